"""Addresses and files that a peer would choose, where Endorsements are looked up (2.11, 2.12, 3.4, 3.20).

Numbers are those of docs/attacks.md. Vendors' services are the simulated ones, over HTTPS on loopback.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rats_tls.core.claims import SnpTcb, TcbStatus
from rats_tls.core.endorsements import EndorsementKind, MissingEndorsement
from rats_tls.core.errors import AppraisalError, ConfigurationError, EndorsementMissingError
from rats_tls.endorsements.amd_kds import AmdKds
from rats_tls.endorsements.http import HttpsClient
from rats_tls.endorsements.intel_pcs import IntelPcs, Pccs
from rats_tls.endorsements.service import EndorsementService
from rats_tls.endorsements.source import EndorsementSource, FetchError, FetchProblem
from rats_tls.endorsements.store import EndorsementStore
from rats_tls.policy import ANY
from rats_tls.simulation import amd_vendor, intel_vendor
from rats_tls.simulation.amd_report import TCB
from rats_tls.simulation.services.faults import Faults
from rats_tls.simulation.services.vendors import SimulatedServices
from support.looked_up import ONCE, asked, judge, service_of, sources_of, unbounded_fetcher
from support.sides import ALL_SIMULATED, SGX, SNP, TDX, attester, policy_for
from support.simulated import world
from support.vendor_server import Reply, VendorServer, server_identity, vendor_server

K = EndorsementKind
MILAN = TCB["Milan"]


@pytest.fixture
def vendors() -> Iterator[SimulatedServices]:
    with SimulatedServices(world(), products=("Milan",)) as services:
        yield services


@pytest.fixture
def trap() -> Iterator[VendorServer]:
    """Give a server that no one may ask; its clients trust it."""
    with vendor_server() as server:
        yield server


# --- 2.11 who is asked ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("tee", ALL_SIMULATED)
def test_2_11_addresses_in_certificates_are_not_asked(
    vendors: SimulatedServices, trap: VendorServer, tee: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Certificates say where their revocation list is. The user's sources are asked, and nobody else."""
    for module, name in (
        (intel_vendor, "_ROOT_CRL_URL"),
        (intel_vendor, "_PCK_CRL_URL"),
        (amd_vendor, "_CRL_URL"),
    ):
        monkeypatch.setattr(module, name, f"{trap.url}/list")
    hosts: set[tuple[Any, Any]] = set()
    resolve = socket.getaddrinfo

    def noted(host: Any, port: Any, *rest: Any, **more: Any) -> Any:
        hosts.add((host, port))
        return resolve(host, port, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", noted)
    peer = world().attester(tee)  # its certificates are issued now
    ders = [der for item in peer.endorsements for der in (item.data, *item.issuer_chain)]
    assert any(f"{trap.url}/list".encode() in der for der in ders)
    assert judge(peer, service_of(vendors), policy_for(tee)).verdict == "accepted"
    source = vendors.amd_kds if tee == SNP else vendors.intel_pccs
    assert hosts == {("127.0.0.1", source.port)}
    assert trap.asked == []


def test_2_11_a_host_that_is_not_listed_is_not_asked(vendors: SimulatedServices, trap: VendorServer) -> None:
    known = f"127.0.0.1:{vendors.amd_kds.port}"
    client = HttpsClient((known,), ca=server_identity()[0], limits=ONCE)
    for url in (trap.url, f"https://{known}@{trap.host}", f"https://{trap.host}@{known}", f"http://{known}"):
        with pytest.raises(ConfigurationError):
            client.get(f"{url}/vcek/v1/Milan/crl", what="a list", accept="*/*", most_bytes=1000)
    for make in (
        lambda: AmdKds(base_url=trap.url, client=client),
        lambda: Pccs(trap.url, client=client),
        lambda: IntelPcs(base_url=f"https://{known}", root_crl_url=trap.url, client=client),
    ):
        with pytest.raises(ConfigurationError, match="not an https URL of a host that may be asked"):
            make()
    assert trap.asked == []


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_2_11_a_redirect_leads_nowhere(trap: VendorServer, status: int) -> None:
    """Neither to another host nor to another place of this one."""
    crl = MissingEndorsement(kind=K.AMD_CRL, key=(("product", "Milan"), ("type", "VCEK")))
    with vendor_server() as server:
        source = AmdKds(
            base_url=server.url, client=HttpsClient((server.host, trap.host), ca=server_identity()[0], limits=ONCE)
        )
        for target in (trap.url, server.url, ""):
            server.default = Reply(status=status, headers=(("Location", f"{target}/elsewhere"),))
            with pytest.raises(FetchError, match=f"got HTTP status {status}") as caught:
                source.fetch(crl)
            assert caught.value.problem is FetchProblem.MALFORMED
        assert server.asked == ["/vcek/v1/Milan/crl"] * 3
    assert trap.asked == []


SPLS = (("blSPL", "4"), ("teeSPL", "0"), ("snpSPL", "24"), ("ucodeSPL", "219"))
EVIL = ("../../elsewhere", "@elsewhere", "x?y=", "x#", "x\r\nHost: elsewhere", "//elsewhere/", "%2e%2e")


@pytest.mark.parametrize("evil", EVIL)
def test_2_11_no_part_of_a_key_makes_another_address(trap: VendorServer, evil: str) -> None:
    """Keys are made of Evidence, which may be forged."""
    client = HttpsClient((trap.host,), ca=server_identity()[0], limits=ONCE)
    kds, pccs = AmdKds(base_url=trap.url, client=client), Pccs(trap.url, client=client)
    wide = evil.ljust(128, "0")[:128]
    items: list[tuple[EndorsementSource, EndorsementKind, tuple[tuple[str, str], ...]]] = [
        (kds, K.AMD_VEK, (("product", "Milan"), ("type", "VCEK"), ("hwid", wide), *SPLS)),
        (kds, K.AMD_VEK, (("product", evil), ("type", "VCEK"), ("hwid", "1" * 128), *SPLS)),
        (kds, K.AMD_VEK, (("product", "Milan"), ("type", "VCEK"), ("hwid", "1" * 128), *SPLS[:3], ("ucodeSPL", evil))),
        (kds, K.AMD_SIGNER, (("product", evil), ("name", f"SEV-{evil}"))),
        (kds, K.AMD_CRL, (("product", "Milan"), ("type", evil))),
        (kds, K.AMD_CRL, (("product", evil), ("type", "VCEK"))),
        (pccs, K.INTEL_TCB_INFO, (("id", "SGX"), ("fmspc", evil.ljust(12, "0")[:12]))),
        (pccs, K.INTEL_TCB_INFO, (("id", evil), ("fmspc", "0" * 12))),
        (pccs, K.INTEL_QE_IDENTITY, (("id", evil),)),
        (pccs, K.INTEL_PCK_CRL, (("ca", evil),)),
    ]
    for source, kind, key in items:
        item = MissingEndorsement(kind=kind, key=key)
        assert not source.serves(item), key
        with pytest.raises(FetchError):
            source.fetch(item)
    assert trap.asked == []


# --- 2.12 what is reused ----------------------------------------------------------------------------------------------
def test_2_12_and_4_4_a_vcek_is_kept_by_product_chip_and_tcb(vendors: SimulatedServices, tmp_path: Path) -> None:
    """Each chip, and each TCB of a chip, has its own; none takes another's place."""
    service = EndorsementService(fetcher=unbounded_fetcher(vendors), store=EndorsementStore(tmp_path), refresh=False)
    peers = (attester(SNP), attester(SNP, out_of_date=True), attester(SNP, machine=1))
    lenient = policy_for(SNP, min_tcb=ANY)
    chips = [world().amd_chip("Milan", number).hwid.hex() for number in (0, 1)]
    for _ in range(2):
        for peer in peers:
            assert judge(peer, service, lenient).verdict == "accepted"
    assert asked(vendors.amd_kds) == {chips[0]: 2, chips[1]: 1, "cert_chain": 1, "crl": 1}
    veks = [stored for stored in EndorsementStore(tmp_path).entries() if stored.endorsement.kind is K.AMD_VEK]
    assert len({stored.item for stored in veks}) == 3


# --- 3.4, 3.20 what is asked for --------------------------------------------------------------------------------------
@pytest.mark.parametrize("tee", [SGX, TDX])
def test_3_4_the_update_channel_is_the_users_choice_and_the_result_tells_its_number(
    vendors: SimulatedServices, tee: str
) -> None:
    vendors.intel_pccs.faults = Faults(tcb_recovery=True)
    claims: Any = judge(tee, service_of(vendors, channel="standard")).claims
    assert (claims.tcb.status, claims.tcb.tcb_evaluation_data_number) == (TcbStatus.UP_TO_DATE, 18)
    with pytest.raises(AppraisalError, match="tcb_statuses: got OutOfDate"):
        judge(tee, service_of(vendors, channel="early"))
    written = {"tcb_statuses": ("UpToDate", "OutOfDate"), "advisories": ("INTEL-SA-00837", "INTEL-SA-01036")}
    claims = judge(tee, service_of(vendors, channel="early"), policy_for(tee, **written)).claims
    assert (claims.tcb.status, claims.tcb.tcb_evaluation_data_number) == (TcbStatus.OUT_OF_DATE, 19)


def test_3_4_documents_of_two_channels_are_not_mixed(vendors: SimulatedServices, tmp_path: Path) -> None:
    """Not even by way of one store."""
    vendors.intel_pccs.faults = Faults(tcb_recovery=True)
    store = EndorsementStore(tmp_path)
    written = {"tcb_statuses": ("UpToDate", "OutOfDate"), "advisories": ("INTEL-SA-00837", "INTEL-SA-01036")}
    for channel, number in (("early", 19), ("standard", 18), ("early", 19), ("standard", 18)):
        policy = policy_for(SGX, **written, min_tcb_evaluation_data_number=number)
        result = judge(SGX, service_of(vendors, store, channel=channel), policy)
        numbers = {use.number for use in result.endorsements if use.kind in (K.INTEL_TCB_INFO, K.INTEL_QE_IDENTITY)}
        assert numbers == {number}
    with pytest.raises(ConfigurationError, match="early and standard"):
        EndorsementService((sources_of(vendors)[0], sources_of(vendors, channel="early")[0]))


def test_3_20_the_vcek_is_that_of_the_reported_tcb(vendors: SimulatedServices) -> None:
    """The firmware that runs may be newer than what its owner lets reports say."""
    newer = SnpTcb(fmc=None, bootloader=5, tee=0, snp=25, microcode=220)
    peer = attester(SNP, current_tcb=newer, reported_tcb=MILAN, launch_tcb=MILAN)
    claims: Any = judge(peer, service_of(vendors), policy_for(SNP)).claims
    assert (claims.current_tcb, claims.reported_tcb) == (newer, MILAN)


def test_3_22_a_providers_vlek_is_not_to_be_had_of_the_vendor(vendors: SimulatedServices) -> None:
    peer = attester(SNP, key_type="VLEK")
    with pytest.raises(EndorsementMissingError, match="no source serves it"):
        judge(peer, service_of(vendors), policy_for(SNP, csp_ids="rats-tls-simulation"))
