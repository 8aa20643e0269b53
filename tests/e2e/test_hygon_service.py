"""HSK and CEK of CSV guests looked up at Hygon's service, kept, and carried in bundles."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rats_tls.core.endorsements import EndorsementKind
from rats_tls.core.errors import CertificateChainError, EndorsementMissingError
from rats_tls.endorsements.store import EndorsementStore
from rats_tls.policy import Policy
from rats_tls.simulation.policies import policy_for
from rats_tls.simulation.services.faults import Faults, Throttle
from rats_tls.simulation.services.publication import HygonPublication
from rats_tls.simulation.services.vendors import SimulatedServices
from rats_tls.simulation.vendor_state import HygonVendorState, SignedItem
from rats_tls.simulation.world import SimulatedWorld
from support.commands import run
from support.looked_up import judge, service_of
from support.sides import attester
from support.simulated import world

CSV = "simulated_csv"


@pytest.fixture
def vendors() -> Iterator[SimulatedServices]:
    with SimulatedServices(world(), products=()) as services:
        yield services


def peer(machine: int = 0):  # a simulated attester
    return attester(CSV, machine=machine, certificates="beside")


def policy() -> Policy:
    return policy_for(world(), CSV)


def requests(vendors: SimulatedServices) -> int:
    return sum(vendors.hygon_certs.requests.values())


def test_a_chip_is_asked_for_once_and_then_taken_from_the_store(vendors: SimulatedServices, tmp_path: Path) -> None:
    store = EndorsementStore(tmp_path)
    service = service_of(vendors, store)
    for _ in range(3):
        result = judge(peer(), service, policy())
    assert [use.kind for use in result.endorsements] == [EndorsementKind.HYGON_CEK_CHAIN]
    assert requests(vendors) == 1
    vendors.close()
    assert judge(peer(), service_of(vendors, store), policy()).verdict == "accepted"
    (entry,) = store.entries()
    assert dict(entry.item.key) == {"chip": world().hygon_chip().serial}


@pytest.mark.parametrize(
    ("faults", "said"),
    [
        (Faults(down=True), "hygon-certs"),
        (Faults(garbage=True), "HskCertificate"),
        (Faults(cut_off=True), "hygon-certs"),
        (Faults(status=503), "503"),
        (Faults(throttle=Throttle(requests=0)), "429"),
        (Faults(for_another=True), "did not sign|at hand"),
    ],
)
def test_what_is_wrong_with_the_service_refuses_and_names_the_item(
    vendors: SimulatedServices, faults: Faults, said: str
) -> None:
    vendors.hygon_certs.faults = faults
    with pytest.raises(EndorsementMissingError, match=said) as caught:
        judge(peer(), service_of(vendors), policy())
    (missing,) = caught.value.missing
    assert str(missing) == f"hygon-cek-chain (chip {world().hygon_chip().serial})"


@pytest.mark.parametrize("item", [SignedItem.HYGON_HSK, SignedItem.HYGON_CEK])
def test_a_forged_certificate_of_the_service_is_refused_and_not_kept(
    vendors: SimulatedServices, tmp_path: Path, item: SignedItem
) -> None:
    vendors.hygon_certs.publication = HygonPublication(state=HygonVendorState(forged=frozenset({item})))
    store = EndorsementStore(tmp_path)
    with pytest.raises(CertificateChainError, match="signature"):
        judge(peer(), service_of(vendors, store), policy())
    assert store.entries() == ()


def test_a_bundle_carries_it_to_a_site_without_network(tmp_path: Path) -> None:
    made = SimulatedWorld.create(tmp_path / "world")
    evidence = tmp_path / "report.bin"
    evidence.write_bytes(made.attester(CSV, certificates="beside").collect(bytes(64)).evidence.data)
    rules = tmp_path / "policy.toml"
    rules.write_text(policy_for(made, CSV).to_toml().replace('"certificate"', '"none"', 1))
    trusted = ("--trust-anchors", str(made.trust_anchors_file))
    bundle, store = str(tmp_path / "carried.rtb"), str(tmp_path / "store")
    with SimulatedServices(made, products=()) as vendors:
        authority = tmp_path / "ca.pem"
        authority.write_bytes(vendors.certificate_authority)
        asked = ("--hygon", vendors.hygon_certs.url, "--services-ca", str(authority))
        fetched = run("endorsements", "fetch", str(evidence), "--output", bundle, *trusted, *asked)
        chip = ("--chip", f"hygon:{made.hygon_chip().serial}")
        by_serial = run("endorsements", "fetch", *chip, "--output", f"{bundle}.2", *trusted, *asked)
        odd = run("endorsements", "fetch", "--chip", "hygon:../x", "--output", f"{bundle}.3", *trusted, *asked)
    assert fetched.returncode == 0, fetched.stderr
    assert by_serial.returncode == 0, by_serial.stderr
    assert odd.returncode == 1
    assert "serial number '../x'" in odd.stderr
    judging = ("verify", str(evidence), "--policy", str(rules), *trusted)
    assert run(*judging).returncode == 4
    assert run(*judging, "--endorsements-file", bundle).returncode == 0
    assert run("endorsements", "import", bundle, "--store", store, *trusted).returncode == 0
    assert run(*judging, "--store", store).returncode == 0
    listed = run("endorsements", "list", store, *trusted)
    assert listed.stdout.splitlines()[0].split()[:3] == ["never", "hygon-cek-chain", "simulated"]
    assert run(*judging, "--endorsements-file", f"{bundle}.2").returncode == 0
