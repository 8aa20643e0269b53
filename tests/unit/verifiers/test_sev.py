"""The Verifier of SEV and SEV-ES: what it says of each step, what it remembers, which ASK it takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from rats_tls.core.anchors import TrustAnchor
from rats_tls.core.checks import Stage, Verdict
from rats_tls.core.endorsements import Endorsement, EndorsementKind, Endorsements
from rats_tls.core.errors import RatsTlsError, UnsupportedError
from rats_tls.core.evidence import Evidence, TeeType
from rats_tls.core.lookup_keys import amd_sev_signer
from rats_tls.core.verification import DecodedEvidence, Verification
from rats_tls.crypto_wrappers.openssl import OpensslCryptoWrapper
from rats_tls.simulation.vendor_state import SignedItem
from rats_tls.verifiers.amd_sev_chain import products_signed_with, sev_anchors
from rats_tls.verifiers.sev import SevVerifier
from rats_tls.verifiers.vendor_roots import VENDOR_ROOTS
from support.judged import collected
from support.sev import FIRST_SIGNATURE, PEK_AT, SECOND_SIGNATURE, ask_of, other_world, put
from support.sides import SEV, SGX
from support.simulated import NOW, world

CRYPTO = OpensslCryptoWrapper()
STEPS = [
    "sev.report",
    "sev.signed_by",
    "sev.report_signature",
    "sev.pek",
    "sev.owner",
    "sev.signer",
    "sev.cek",
    "sev.product",
    "sev.not_revoked",
]


class CountedCrypto(OpensslCryptoWrapper):
    """Counts the keys that are loaded."""

    name = "counted"

    def __init__(self) -> None:
        self.loaded = 0

    def load_public_key(self, spki: bytes) -> Any:
        self.loaded += 1
        return super().load_public_key(spki)

    def load_ec_point(self, algorithm: Any, point: bytes) -> Any:
        self.loaded += 1
        return super().load_ec_point(algorithm, point)


def verify(
    evidence: Evidence,
    endorsements: Endorsements,
    *,
    verifier: SevVerifier | None = None,
    anchors: Sequence[TrustAnchor] | None = None,
    crypto: OpensslCryptoWrapper = CRYPTO,
) -> Verification:
    judging = verifier or SevVerifier()
    trusted = world().trust_anchors if anchors is None else anchors
    return judging.verify(judging.decode(evidence), endorsements, anchors=trusted, crypto=crypto, now=NOW)


def errors(found: Verification) -> list[RatsTlsError]:
    """What was wrong, besides that there is no revocation list."""
    return [problem.error for problem in found.problems if not problem.waived_by_revocation]


def messages(found: Verification) -> list[str]:
    return [error.message for error in errors(found)]


def test_every_step_is_said_in_order() -> None:
    evidence, endorsements = collected(SEV)
    found = verify(evidence, endorsements)
    assert [check.id for check in found.checks] == STEPS
    not_passed = {check.id: check.verdict for check in found.checks if check.verdict is not Verdict.PASSED}
    assert not_passed == {"sev.not_revoked": Verdict.NOT_CHECKED}
    assert errors(found) == []
    (problem,) = found.problems
    assert (problem.stage, problem.waived_by_revocation) == (Stage.REVOCATION, True)
    assert found.checks[0].got == "CEK of API 0.22, PEK of API 0.22"
    assert found.checks[1].got == "ECDSA with SHA-256"
    (use,) = found.endorsements_used
    assert "ASK of Naples" in str(use)
    assert found.claims.product == "Naples"


def test_what_is_not_verified_is_not_claimed() -> None:
    evidence, _ = collected(SEV)
    found = verify(evidence, Endorsements())
    assert (found.claims.product, found.claims.hardware_ids, found.anchor) == (None, None, None)
    decoded = SevVerifier().decode(evidence)
    assert (decoded.report_data, decoded.claims.hardware_ids) == (None, None)


def test_other_evidence_is_refused() -> None:
    other, _ = collected(SGX)
    with pytest.raises(UnsupportedError, match=r"verifier sev: got application/vnd\.rats-tls\.sgx-ecdsa"):
        SevVerifier().decode(other)
    evidence, endorsements = collected(SEV)
    good = SevVerifier().decode(evidence)
    for decoded in (
        DecodedEvidence(claims=good.claims, report_data=None, structure=other),
        DecodedEvidence(claims=object(), report_data=None, structure=good.structure),  # type: ignore[arg-type]
    ):
        with pytest.raises(TypeError, match="not a decoded report"):
            SevVerifier().verify(decoded, endorsements, anchors=(), crypto=CRYPTO, now=NOW)
    assert (SevVerifier().name, SevVerifier().tee_type) == ("sev", TeeType.SEV)


# --- memory -----------------------------------------------------------------------------------------------------------
def test_what_was_verified_is_remembered_and_the_report_never() -> None:
    verifier, crypto = SevVerifier(), CountedCrypto()
    evidence, endorsements = collected(SEV)
    verify(evidence, endorsements, verifier=verifier, crypto=crypto)
    first = crypto.loaded
    assert first > 0
    verify(evidence, endorsements, verifier=verifier, crypto=crypto)
    assert crypto.loaded == first
    changed = put(evidence, 0, bytes((evidence.data[0] ^ 1,)))
    assert "report" in messages(verify(changed, endorsements, verifier=verifier, crypto=crypto))[0]


def test_nothing_is_remembered_from_other_anchors_or_another_crypto_wrapper() -> None:
    verifier = SevVerifier()
    evidence, endorsements = collected(SEV)
    assert errors(verify(evidence, endorsements, verifier=verifier)) == []
    for anchors in ((), VENDOR_ROOTS):
        assert errors(verify(evidence, endorsements, verifier=verifier, anchors=anchors)) != []
    assert errors(verify(evidence, endorsements, verifier=verifier)) == []
    crypto = CountedCrypto()
    verify(evidence, endorsements, verifier=verifier, crypto=crypto)
    assert crypto.loaded > 0


@pytest.mark.parametrize(
    "at",
    [PEK_AT + FIRST_SIGNATURE + 8, PEK_AT + SECOND_SIGNATURE + 8, 208 + FIRST_SIGNATURE + 8, PEK_AT + 4, 208 + 4],
)
def test_other_bytes_of_what_was_verified_are_verified_anew(at: int) -> None:
    verifier = SevVerifier()
    evidence, endorsements = collected(SEV)
    assert errors(verify(evidence, endorsements, verifier=verifier)) == []
    changed = put(evidence, at, bytes((evidence.data[at] ^ 1,)))
    assert errors(verify(changed, endorsements, verifier=verifier)) != []
    assert errors(verify(evidence, endorsements, verifier=verifier)) == []


def test_an_owner_of_one_chip_is_not_remembered_for_another() -> None:
    verifier = SevVerifier()
    first, endorsements = collected(SEV)
    second, _ = collected(SEV, machine=1)
    for evidence in (first, second):
        assert errors(verify(evidence, endorsements, verifier=verifier)) == []
    mixed = put(first, 4376, second.data[4376:6460])
    assert "OCA" in messages(verify(mixed, endorsements, verifier=verifier))[0]


# --- which ASK --------------------------------------------------------------------------------------------------------
def test_of_asks_one_that_an_anchor_signed_is_taken() -> None:
    evidence, endorsements = collected(SEV)
    _, forged = collected(SEV, forged={SignedItem.AMD_SEV_SIGNER})
    for items in ((*forged, *endorsements), (*endorsements, *forged)):
        assert errors(verify(evidence, Endorsements(items))) == []
    # The key is right and nobody's signature: said is what is wrong with it, not that it is missing.
    assert messages(verify(evidence, forged)) == [
        "ASK certificate signature by SEV ARK-Naples: rsa-pss-sha256 signature does not verify"
    ]


def test_of_an_ask_at_hand_that_did_not_sign_what_is_wrong_is_said() -> None:
    evidence, _ = collected(SEV)
    kind = EndorsementKind.AMD_SEV_SIGNER
    foreign = ask_of(other_world().sev("Naples"))
    for item in (foreign, Endorsement(kind=kind, data=b"\1\0\0\0"), Endorsement(kind=kind, data=b"")):
        found = verify(evidence, Endorsements((item,)))
        (problem,) = (problem for problem in found.problems if not problem.waived_by_revocation)
        assert problem.missing == amd_sev_signer("Naples")


def test_no_more_asks_are_tried_than_sixteen() -> None:
    evidence, endorsements = collected(SEV)
    (good,) = endorsements
    others = [Endorsement(kind=good.kind, data=bytes([number])) for number in range(16)]
    twice = [*others[:15], *others[:15], good]
    assert errors(verify(evidence, Endorsements(tuple(twice)))) == []
    assert errors(verify(evidence, Endorsements((*others, good)))) != []


def test_products_by_the_algorithm_that_their_asks_sign_with() -> None:
    assert products_signed_with(0x1, VENDOR_ROOTS) == ("Naples",)
    assert products_signed_with(0x101, VENDOR_ROOTS) == ("Rome", "Milan")
    for algorithm in (0, 2, 0x102):
        assert products_signed_with(algorithm, VENDOR_ROOTS) == ()
    assert products_signed_with(0x101, sev_anchors(VENDOR_ROOTS)[:1]) == ()


@pytest.mark.parametrize(
    ("device_type", "named"), [(0, ["Rome"]), (1, ["Rome", "Milan"]), (2, ["Milan"]), (3, ["Rome", "Milan"])]
)
def test_of_asks_that_may_be_missing_the_claimed_product_is_named(device_type: int, named: list[str]) -> None:
    """A CEK that names RSA with SHA-384 was signed by the ASK of Rome or of Milan."""
    evidence, _ = collected(SEV, device_type=device_type)
    changed = put(evidence, 208 + FIRST_SIGNATURE + 4, (0x101).to_bytes(4, "little"))
    found = verify(changed, Endorsements(), anchors=VENDOR_ROOTS)
    assert [problem.missing for problem in found.problems if not problem.waived_by_revocation] == [
        amd_sev_signer(product) for product in named
    ]
    assert [check.id for check in found.checks if check.verdict is Verdict.NOT_CHECKED][-3:] == [
        "sev.cek",
        "sev.product",
        "sev.not_revoked",
    ]


def test_that_one_ask_signed_is_not_remembered_of_another() -> None:
    verifier = SevVerifier()
    evidence, endorsements = collected(SEV)
    assert errors(verify(evidence, endorsements, verifier=verifier)) == []
    found = verify(evidence, Endorsements((ask_of(other_world().sev("Naples")),)), verifier=verifier)
    assert [problem.missing for problem in found.problems if not problem.waived_by_revocation] == [
        amd_sev_signer("Naples")
    ]


def test_a_pek_that_one_chip_signed_is_not_remembered_for_another() -> None:
    verifier = SevVerifier()
    first, endorsements = collected(SEV)
    second, _ = collected(SEV, machine=1)
    for evidence in (first, second):
        assert errors(verify(evidence, endorsements, verifier=verifier)) == []
    mixed = put(first, 208, second.data[208:PEK_AT])
    assert "PEK certificate signature by the CEK" in messages(verify(mixed, endorsements, verifier=verifier))[0]


def test_another_crypto_wrapper_verifies_all_anew() -> None:
    evidence, endorsements = collected(SEV)
    alone, after = CountedCrypto(), CountedCrypto()
    verify(evidence, endorsements, crypto=alone)
    verifier = SevVerifier()
    verify(evidence, endorsements, verifier=verifier)
    verify(evidence, endorsements, verifier=verifier, crypto=after)
    assert after.loaded == alone.loaded
