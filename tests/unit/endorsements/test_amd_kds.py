"""AMD KDS: what is asked, and what comes of each answer, with made certificates."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from rats_tls.core.endorsements import Endorsement, EndorsementKind, MissingEndorsement
from rats_tls.core.errors import ConfigurationError
from rats_tls.endorsements.amd_kds import AmdKds
from rats_tls.endorsements.http import HttpsClient
from rats_tls.endorsements.source import FetchError, FetchProblem
from rats_tls.formats.amd.vek import VekCertificate
from rats_tls.formats.x509 import Certificate
from rats_tls.simulation.pki import to_pem
from support.intel_pki import certificate, revocation_list
from support.pcs import missing, one
from support.vendor_server import Reply, VendorServer, server_identity, vendor_server

K = EndorsementKind
P = FetchProblem
SNP = "simulated_sev_snp"
SPLS = {"blSPL": "3", "teeSPL": "0", "snpSPL": "21", "ucodeSPL": "209"}
QUERY = "blSPL=03&teeSPL=00&snpSPL=21&ucodeSPL=209"


@pytest.fixture
def server() -> Iterator[VendorServer]:
    with vendor_server() as made:
        yield made


def kds(server: VendorServer) -> AmdKds:
    return AmdKds(base_url=server.url, ca=server_identity()[0])


def product() -> str:
    return Certificate.from_der(one(SNP, K.AMD_ROOT).data).subject.common_name.removeprefix("ARK-")


def hwid() -> str:
    found = VekCertificate.from_der(one(SNP, K.AMD_VEK).data).extensions.hwid
    assert found is not None
    return found.hex()


def vcek(product: str, hwid: str, **more: str) -> MissingEndorsement:
    return missing(K.AMD_VEK, **{"product": product, "type": "VCEK", "hwid": hwid, **SPLS, **more})


def refused(source: AmdKds, item: MissingEndorsement) -> FetchError:
    with pytest.raises(FetchError) as caught:
        source.fetch(item)
    assert caught.value.message.startswith("amd-kds: ")
    return caught.value


# --- what is got --------------------------------------------------------------------------------------------------
def test_a_vcek(server: VendorServer) -> None:
    vek = one(SNP, K.AMD_VEK)
    server.replies[f"/vcek/v1/Milan/{hwid()}?{QUERY}"] = Reply(body=vek.data)
    assert kds(server).fetch(vcek("Milan", hwid())) == (Endorsement(kind=K.AMD_VEK, data=vek.data),)


@pytest.mark.parametrize(
    ("item", "path"),
    [
        (vcek("Genoa", "ab" * 64), f"/vcek/v1/Genoa/{'ab' * 64}?{QUERY}"),
        (vcek("Turin", "ab" * 8, fmcSPL="1"), f"/vcek/v1/Turin/{'ab' * 8}?fmcSPL=01&{QUERY}"),
        (missing(K.AMD_SIGNER, product="Milan", name="SEV-Milan"), "/vcek/v1/Milan/cert_chain"),
        (missing(K.AMD_SIGNER, product="Turin", name="SEV-VLEK-Turin"), "/vlek/v1/Turin/cert_chain"),
        (missing(K.AMD_CRL, product="Genoa", type="VCEK"), "/vcek/v1/Genoa/crl"),
        (missing(K.AMD_CRL, product="Milan", type="VLEK"), "/vlek/v1/Milan/crl"),
    ],
)
def test_what_is_asked(server: VendorServer, item: MissingEndorsement, path: str) -> None:
    source = kds(server)
    assert source.serves(item)
    assert refused(source, item).problem is P.NOT_FOUND
    assert server.asked == [path]


@pytest.mark.parametrize(("kind", "prefix"), [("vcek", "SEV-"), ("vlek", "SEV-VLEK-")])
def test_a_chain_gives_signer_and_root(server: VendorServer, kind: str, prefix: str) -> None:
    signer, root = certificate(f"{prefix}Genoa", "ARK-Genoa", ca=True), certificate("ARK-Genoa", "ARK-Genoa", ca=True)
    server.replies[f"/{kind}/v1/Genoa/cert_chain"] = Reply(body=to_pem([signer, root]))
    assert kds(server).fetch(missing(K.AMD_SIGNER, product="Genoa", name=f"{prefix}Genoa")) == (
        Endorsement(kind=K.AMD_SIGNER, data=signer),
        Endorsement(kind=K.AMD_ROOT, data=root),
    )


def test_a_revocation_list(server: VendorServer) -> None:
    data = one(SNP, K.AMD_CRL).data
    server.replies[f"/vcek/v1/{product()}/crl"] = Reply(body=data)
    item = missing(K.AMD_CRL, product=product(), type="VCEK")
    assert kds(server).fetch(item) == (Endorsement(kind=K.AMD_CRL, data=data),)


# --- what is not --------------------------------------------------------------------------------------------------
def test_answers_about_something_else(server: VendorServer) -> None:
    source = kds(server)
    server.default = Reply(body=one(SNP, K.AMD_VEK).data)
    assert f"hwID: got {hwid()[:16]}, asked for abab" in refused(source, vcek("Milan", "ab" * 64)).message
    server.default = Reply(body=revocation_list("ARK-Genoa"))
    assert (
        "got 'ARK-Genoa', asked for 'ARK-Milan'"
        in refused(source, missing(K.AMD_CRL, product="Milan", type="VCEK")).message
    )
    root = certificate("ARK-Milan", "ARK-Milan", ca=True)
    server.default = Reply(body=to_pem([certificate("SEV-VLEK-Milan", "ARK-Milan", ca=True), root]))
    error = refused(source, missing(K.AMD_SIGNER, product="Milan", name="SEV-Milan"))
    assert "got 'SEV-VLEK-Milan', asked for 'SEV-Milan'" in error.message
    assert error.problem is P.MALFORMED


def test_answers_of_another_form(server: VendorServer) -> None:
    signer, root = certificate("SEV-Milan", "ARK-Milan", ca=True), certificate("ARK-Milan", "ARK-Milan", ca=True)
    bodies = (
        b"",
        b"<html/>",
        bytes(48),
        to_pem([signer]),
        to_pem([root, signer]),
        to_pem([signer, root, root]),
        to_pem([signer, root])[:-40],
        signer,
        revocation_list("ARK-Milan")[:-1],
        one(SNP, K.AMD_VEK).data[:-1],
        one(SNP, K.AMD_VEK).data + b"\0",
        to_pem([one(SNP, K.AMD_VEK).data]),
    )
    source = kds(server)
    for body in bodies:
        server.default = Reply(body=body)
        for item in (
            vcek("Milan", hwid()),
            missing(K.AMD_SIGNER, product="Milan", name="SEV-Milan"),
            missing(K.AMD_CRL, product="Milan", type="VCEK"),
        ):
            assert refused(source, item).problem is P.MALFORMED, body


def test_throttling_is_handed_on(server: VendorServer) -> None:
    server.default = Reply(status=429, headers=(("Retry-After", "600"),))
    error = refused(kds(server), vcek("Milan", hwid()))
    assert (error.problem, error.retry_after) == (P.THROTTLED, 600.0)
    assert len(server.asked) == 1


def test_sizes_are_bounded_by_kind(server: VendorServer) -> None:
    source = kds(server)
    server.default = Reply(body=bytes(1_048_577))
    assert "more than 65536 bytes" in refused(source, vcek("Milan", hwid())).message
    assert "more than 1048576 bytes" in refused(source, missing(K.AMD_CRL, product="Milan", type="VCEK")).message


# --- keys ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "item",
    [
        vcek("Milan", "00" * 64),  # masked
        vcek("Turin", "00" * 8, fmcSPL="1"),
        vcek("Milan", "ab" * 8),
        vcek("Turin", "ab" * 64, fmcSPL="1"),
        vcek("Turin", "ab" * 8),
        vcek("Milan", "AB" * 64),
        vcek("Milan", "ab" * 63 + ".."),
        vcek("Venice", "ab" * 8, fmcSPL="1"),
        vcek("../Milan", "ab" * 64),
        vcek("", "ab" * 64),
        vcek("Milan", "ab" * 64, type="VLEK"),
        vcek("Milan", "ab" * 64, blSPL="256"),
        vcek("Milan", "ab" * 64, blSPL="-1"),
        vcek("Milan", "ab" * 64, blSPL="1&x=1"),
        vcek("Milan", "ab" * 64, blSPL="\u0663"),
        vcek("Milan", "ab" * 64, blSPL=""),
        missing(K.AMD_VEK, type="VCEK", hwid="ab" * 64, reported_tcb="00" * 8),
        missing(K.AMD_SIGNER, product="Milan", name="SEV-Genoa"),
        missing(K.AMD_SIGNER, product="Milan"),
        missing(K.AMD_CRL, product="Milan"),
        missing(K.AMD_CRL, product="Milan", type="cek"),
        missing(K.AMD_ROOT, product="Milan"),
        missing(K.INTEL_TCB_INFO, id="SGX", fmspc="00" * 6),
    ],
)
def test_other_items_are_never_asked_for(server: VendorServer, item: MissingEndorsement) -> None:
    source = kds(server)
    assert not source.serves(item)
    assert refused(source, item).problem is P.NOT_FOUND
    assert server.asked == []


def test_a_client_that_does_not_allow_the_host() -> None:
    with pytest.raises(ConfigurationError, match=r"kdsintf\.amd\.com: not an https URL of a host that may be asked"):
        AmdKds(client=HttpsClient(("localhost",)))
