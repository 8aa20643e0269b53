"""Every state of a simulated SEV-SNP guest yields, in the package's own Verifier, the outcome that it promises."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rats_tls.core.anchors import AnchorKind, TrustAnchor
from rats_tls.core.claims import SnpClaims, SnpTcb
from rats_tls.core.endorsements import EndorsementKind as Kind
from rats_tls.core.endorsements import Endorsements, Origin
from rats_tls.core.refusals import Refusal
from rats_tls.core.verification import Problem, Verification
from rats_tls.crypto_wrappers.openssl import OpensslCryptoWrapper
from rats_tls.simulation.amd_report import TCB
from rats_tls.simulation.states import PRODUCTS, Product
from rats_tls.simulation.vendor_state import SignedItem
from rats_tls.verifiers.sev_snp import SevSnpVerifier
from rats_tls.verifiers.vendor_roots import VENDOR_ROOTS
from support.simulated import NOW, REPORT_DATA, world

CRYPTO = OpensslCryptoWrapper()
OLDER = SnpTcb(fmc=None, bootloader=3, tee=0, snp=8, microcode=115)


def verify(*, anchors: tuple[TrustAnchor, ...] | None = None, **settings: object) -> Verification:
    collected = world().attester("simulated_sev_snp", **settings).collect(REPORT_DATA)
    verifier = SevSnpVerifier()
    decoded = verifier.decode(collected.evidence)
    assert decoded.report_data == REPORT_DATA
    return verifier.verify(
        decoded,
        Endorsements(collected.endorsements),
        anchors=world().trust_anchors if anchors is None else anchors,
        crypto=CRYPTO,
        now=NOW,
    )


def claims(**settings: object) -> SnpClaims:
    verification = verify(**settings)
    assert verification.problems == ()
    assert isinstance(verification.claims, SnpClaims)
    return verification.claims


@pytest.mark.parametrize("product", PRODUCTS)
@pytest.mark.parametrize("version", [2, 3, 4, 5])
@pytest.mark.parametrize("key_type", ["VCEK", "VLEK"])
def test_every_product_version_and_key_verifies(product: Product, version: int, key_type: str) -> None:
    verification = verify(product=product, report_version=version, key_type=key_type)
    assert verification.problems == ()
    found = verification.claims
    assert isinstance(found, SnpClaims)
    assert (found.product, found.report_version, found.vek_type) == (product, version, key_type)
    assert found.reported_tcb == found.current_tcb == found.committed_tcb == found.launch_tcb == TCB[product]
    assert found.debug is False
    assert found.csp_id == ("rats-tls-simulation" if key_type == "VLEK" else None)
    assert verification.anchor is not None
    assert (verification.anchor.kind, verification.anchor.name) == (AnchorKind.SIMULATED, f"ARK-{product}")


def test_every_claim_arrives() -> None:
    settings: dict[str, object] = {
        "guest_svn": 7,
        "policy": 0x3_0137,
        "family_id": b"f" * 16,
        "image_id": b"i" * 16,
        "vmpl": 2,
        "platform_info": 0x2B,
        "author_key_enabled": True,
        "measurement": b"m" * 48,
        "host_data": b"h" * 32,
        "id_key_digest": b"k" * 48,
        "author_key_digest": b"a" * 48,
        "report_id": b"r" * 32,
        "report_id_ma": b"R" * 32,
        "reported_tcb": OLDER,
        "committed_tcb": OLDER,
        "launch_tcb": OLDER,
        "current_version": (1, 55, 40),
        "committed_version": (1, 54, 39),
        "launch_mit_vector": 0x11,
        "current_mit_vector": 0x22,
    }
    found = claims(report_version=5, **settings)
    assert {name: getattr(found, name) for name in settings} == settings
    assert found.chip_id == world().amd_chip("Milan").chip_id
    assert found.current_tcb == TCB["Milan"]


def test_debug_and_out_of_date() -> None:
    assert claims(debug=True).debug is True
    older = claims(out_of_date=True).reported_tcb
    assert older is not None
    assert older.microcode < TCB["Milan"].microcode


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"revoked": {SignedItem.AMD_SIGNER}}, Refusal.REVOKED),
        ({"revoked": {SignedItem.AMD_SIGNER}, "key_type": "VLEK"}, Refusal.REVOKED),
        ({"expired": {SignedItem.AMD_CRL}}, Refusal.ENDORSEMENTS_EXPIRED),
        ({"not_yet_valid": {SignedItem.AMD_CRL}}, Refusal.ENDORSEMENTS_EXPIRED),
        ({"expired": {SignedItem.AMD_SIGNER}}, Refusal.CERTIFICATE_NOT_IN_DATE),
        ({"expired": {SignedItem.AMD_VEK}}, Refusal.CERTIFICATE_NOT_IN_DATE),
        ({"not_yet_valid": {SignedItem.AMD_VEK}}, Refusal.CERTIFICATE_NOT_IN_DATE),
        ({"forged": {SignedItem.AMD_SIGNER}}, Refusal.CERTIFICATE_CHAIN),
        ({"forged": {SignedItem.AMD_VEK}}, Refusal.CERTIFICATE_CHAIN),
        ({"forged": {SignedItem.AMD_CRL}}, Refusal.CERTIFICATE_CHAIN),
        ({"missing": {Kind.AMD_VEK}}, Refusal.ENDORSEMENTS_MISSING),
        ({"missing": {Kind.AMD_SIGNER}}, Refusal.ENDORSEMENTS_MISSING),
        ({"missing": {Kind.AMD_CRL}}, Refusal.ENDORSEMENTS_MISSING),
    ],
    ids=repr,
)
def test_what_is_wrong_is_refused_for_its_reason(settings: dict[str, object], expected: Refusal) -> None:
    problems = verify(**settings).problems
    assert {problem.error.refusal for problem in problems} == {expected}


@pytest.mark.parametrize(
    ("settings", "expected", "reason"),
    [
        ({"chip_id": b"c" * 64}, Refusal.CERTIFICATE_CHAIN, "hwID"),
        ({"vek_hwid": b"c" * 64}, Refusal.CERTIFICATE_CHAIN, "hwID"),
        ({"mask_chip_id": True}, Refusal.CERTIFICATE_CHAIN, "chip_id"),
        ({"vek_tcb": OLDER}, Refusal.CERTIFICATE_CHAIN, "TCB"),
        ({"mask_chip_key": True}, Refusal.EVIDENCE_SIGNATURE, "signing_key"),
    ],
    ids=repr,
)
def test_report_of_another_chip_or_tcb_is_refused(settings: dict[str, object], expected: Refusal, reason: str) -> None:
    (problem,) = verify(**settings).problems
    assert problem.error.refusal is expected
    assert reason in problem.error.message


def test_vlek_needs_no_chip_id() -> None:
    assert claims(mask_chip_id=True, key_type="VLEK").chip_id == bytes(64)


def test_hwid_inside_an_octet_string_is_read() -> None:
    claims(hwid_is_der=True)
    claims(hwid_is_der=True, product="Turin")


@pytest.mark.parametrize("product", PRODUCTS)
def test_vendor_anchors_refuse_simulated_evidence(product: Product) -> None:
    (problem,) = verify(product=product, anchors=VENDOR_ROOTS).problems
    assert problem.error.refusal is Refusal.CERTIFICATE_CHAIN


def test_trailing_bytes_are_no_evidence() -> None:
    collected = world().attester("simulated_sev_snp", trailing=b"\1" * 39).collect(REPORT_DATA)
    assert SevSnpVerifier().decode(collected.evidence).not_covered == 39
    claims(trailing=b"\1" * 39)


@pytest.mark.parametrize("kind", [Kind.AMD_VEK, Kind.AMD_SIGNER, Kind.AMD_CRL])
def test_whose_unreadable_copy_it_is_decides(
    kind: Kind,
) -> None:
    collected = world().attester("simulated_sev_snp").collect(REPORT_DATA)
    verifier = SevSnpVerifier()
    decoded = verifier.decode(collected.evidence)
    found: dict[Origin, Problem] = {}
    for origin in (Origin.PEER, Origin.LOCAL):
        items = [
            replace(item, data=item.data[:-1], origin=origin) if item.kind is kind else item
            for item in collected.endorsements
        ]
        (found[origin],) = verifier.verify(
            decoded, Endorsements(items), anchors=world().trust_anchors, crypto=CRYPTO, now=NOW
        ).problems
    assert found[Origin.PEER].missing is not None
    assert found[Origin.PEER].missing.kind is kind
    assert found[Origin.LOCAL].error.refusal is Refusal.CERTIFICATE_CHAIN
    assert "Endorsement is malformed" in found[Origin.LOCAL].error.message
