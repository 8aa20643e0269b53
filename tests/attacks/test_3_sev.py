"""Omissions of verifiers of SEV and SEV-ES. Numbers are those of docs/attacks.md.

Every case is one healthy simulated chip with one thing changed, judged whole.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from rats_tls.channel_events import AppraisalNeeded
from rats_tls.core.anchors import AnchorKind
from rats_tls.core.binding import Binding
from rats_tls.core.checks import Verdict
from rats_tls.core.endorsements import Endorsement, EndorsementKind, Endorsements, Origin
from rats_tls.core.errors import (
    AppraisalError,
    BindingError,
    CertificateChainError,
    ConfigurationError,
    DecodeError,
    EndorsementMissingError,
    InternalError,
    RatsTlsError,
    SignatureError,
    UnsupportedError,
)
from rats_tls.core.evidence import Evidence
from rats_tls.core.lookup_keys import amd_sev_signer
from rats_tls.core.results import AttestationResult
from rats_tls.formats.amd.sev_report import SevEvidence
from rats_tls.formats.amd.sev_signer import SevSignerCertificate
from rats_tls.simulation import sev_structure
from rats_tls.simulation.sev_structure import ARK, ASK, CEK, OCA, PEK
from rats_tls.simulation.vendor_state import SignedItem
from rats_tls.verifiers.amd_sev_chain import verify_cek, verify_pek, verify_root, verify_signer
from support.channels import CRYPTO
from support.judged import appraise, appraiser, collected, judge, presented
from support.sev import (
    CEK_AT,
    DEVICE_TYPE,
    FIRST_SIGNATURE,
    OCA_AT,
    PEK_AT,
    REPORT,
    SECOND_SIGNATURE,
    ask_of,
    other_world,
    owner_of,
    part,
    put,
)
from support.sides import SEV, SNP, connected_pair, context, policy_for
from support.simulated import world

PDH, NOBODY = 0x1003, 0x1000
ECDSA_SHA256, ECDH_SHA256, ECDSA_SHA384, RSA_SHA256 = 2, 3, 258, 1


def judged(evidence: Evidence, endorsements: Endorsements | None, **written: Any) -> AttestationResult:
    return appraise(evidence, endorsements, policy_for(SEV, **written), report_data=None)


def accepted(written: dict[str, Any] | None = None, /, **state: Any) -> AttestationResult:
    return judged(*collected(SEV, **state), **(written or {}))


def refused(error: type[RatsTlsError], message: str, /, **state: Any) -> RatsTlsError:
    with pytest.raises(error, match=message) as caught:
        accepted(**state)
    return caught.value


def refused_bytes(error: type[RatsTlsError], message: str, evidence: Evidence) -> RatsTlsError:
    with pytest.raises(error, match=message) as caught:
        judged(evidence, collected(SEV)[1])
    return caught.value


def assert_not_bound(result: AttestationResult) -> None:
    (check,) = (check for check in result.not_checked if check.id == "binding.key")
    assert check.note == "key binding: not checked: Evidence of sev has no report_data"
    assert result.binding_note == "key binding: not checked"
    (age,) = (check for check in result.checks if check.id == "freshness.evidence_age")
    assert age.got == "unknown"


def word(number: int) -> bytes:
    return number.to_bytes(4, "little")


# --- 3.30 nothing binds a key -----------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("written", "says"),
    [
        ({"bindings": "certificate"}, "bindings: got certificate, expected none among them"),
        ({"bindings": ["session", "certificate"]}, "bindings: got session or certificate, expected none"),
        ({"revocation": "required"}, "revocation: got 'required'"),
        ({"max_evidence_age": 3600}, "max_evidence_age: got 3600"),
    ],
    ids=["certificate", "two", "revocation", "age"],
)
def test_3_30_a_policy_has_to_say_what_it_does_without(written: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        policy_for(SEV, **written)


def test_3_30_bare_evidence_is_accepted_as_bound_by_nothing() -> None:
    result = accepted({"bindings": "none"})
    assert (result.binding, result.verdict) == (Binding.NONE, "accepted")
    not_checked = {check.id: check.verdict for check in result.not_checked}
    assert not_checked["binding.key"] is Verdict.NOT_CHECKED
    assert not_checked["sev.not_revoked"] is Verdict.NOT_CHECKED
    assert result.anchor is not None
    assert (result.anchor.kind, result.anchor.name) == (AnchorKind.SIMULATED, "SEV ARK-Naples")
    assert result.claims.product == "Naples"


@pytest.mark.parametrize("report_data", [bytes(64), bytes(range(64))])
def test_3_30_expected_report_data_is_never_met(report_data: bytes) -> None:
    evidence, endorsements = collected(SEV)
    with pytest.raises(BindingError, match="report_data: got none, expected"):
        appraise(evidence, endorsements, policy_for(SEV), report_data=report_data)


def test_3_30_what_the_certificate_beside_it_says_does_not_count() -> None:
    certificate, endorsements = presented(SEV, custom_claims={"role": b"server"})
    result = judge(appraiser(endorsements, policy_for(SEV)), certificate)
    assert (result.binding, result.custom_claims, result.issued_at) == (Binding.NONE, {}, None)
    assert_not_bound(result)
    with pytest.raises(AppraisalError) as caught:
        judge(appraiser(endorsements, policy_for(SEV, custom_claims={"role": b"server"})), certificate)
    assert {mismatch.field for mismatch in caught.value.mismatches} == {"custom_claims"}


def test_3_30_a_certificate_by_anybody_around_evidence_of_another_changes_nothing() -> None:
    """It may be copied from a genuine guest; what it proves is that such a guest is somewhere."""
    first, endorsements = presented(SEV)
    second, _ = presented(SEV)
    assert first != second
    for certificate in (first, second):
        assert judge(appraiser(endorsements, policy_for(SEV)), certificate).binding is Binding.NONE


@pytest.mark.parametrize("bindings", ["none", ["none", "certificate"]], ids=["none", "both"])
def test_3_30_over_a_connection_both_sides_know_that_nothing_is_bound(bindings: Any) -> None:
    server = context(SEV, policy_for(SEV, bindings=bindings), custom_claims={"role": b"server"})
    client = context(SEV, policy_for(SEV, bindings=bindings), custom_claims={"role": b"client"})
    for end in connected_pair(server, client):
        result = end.peer
        assert result is not None
        assert (result.claims.tee_type, result.binding) == ("sev", Binding.NONE)
        assert (result.custom_claims, result.issued_at) == ({}, None)
        assert_not_bound(result)
        end.close()


def test_3_30_a_channel_takes_no_result_that_says_otherwise() -> None:
    certificate, endorsements = presented(SEV)
    result = judge(appraiser(endorsements, policy_for(SEV)), certificate)
    needed = AppraisalNeeded(
        certificate=certificate,
        binding=Binding.CERTIFICATE,
        endorsements=(),
        preamble=True,
        facts=None,  # type: ignore[arg-type]  # not looked at
    )
    needed.require_answer(result)
    object.__setattr__(result, "binding", Binding.CERTIFICATE)
    with pytest.raises(InternalError, match="the result's binding is certificate, expected none"):
        needed.require_answer(result)


def test_3_30_an_entry_for_bound_evidence_accepts_none_of_it() -> None:
    certificate, endorsements = presented(SEV)
    with pytest.raises(RatsTlsError):
        judge(appraiser(endorsements, policy_for(SNP, bindings="certificate")), certificate)


# --- usages and slots (3.33, the same for AMD) ------------------------------------------------------------------------
@pytest.mark.parametrize("cek_first", [False, True])
@pytest.mark.parametrize("algorithm", [ECDSA_SHA256, ECDSA_SHA384])
def test_3_33_the_ceks_signature_is_found_by_its_usage(cek_first: bool, algorithm: int) -> None:
    assert accepted(cek_first=cek_first, algorithm=algorithm).claims.product == "Naples"
    assert accepted(cek_first=cek_first, algorithm=algorithm, owner=False).claims.product == "Naples"


@pytest.mark.parametrize("cek_first", [False, True])
def test_3_33_an_owner_does_not_stand_in_for_the_chip(cek_first: bool) -> None:
    """The owner's signature with the usage of the CEK: in either place."""
    evidence, _ = collected(SEV)
    pek, oca = owner_of(part(evidence, PEK_AT))
    owners = word(CEK) + pek[FIRST_SIGNATURE + 4 : SECOND_SIGNATURE]
    slots = [owners, sev_structure.NO_SIGNATURE]
    forged = pek[:FIRST_SIGNATURE] + b"".join(slots if cek_first else slots[::-1])
    changed = put(put(evidence, PEK_AT, forged), OCA_AT, oca)
    refused_bytes(CertificateChainError, "PEK certificate signature by the CEK", changed)


@pytest.mark.parametrize(
    ("state", "error", "says"),
    [
        *(
            ({"cek_usage": usage}, CertificateChainError, f"CEK certificate usage: got {usage:#x}")
            for usage in (PEK, OCA, PDH, NOBODY)
        ),
        *(
            ({"pek_usage": usage}, SignatureError, f"PEK certificate pubkey_usage: got {usage:#x}")
            for usage in (CEK, OCA, PDH, NOBODY)
        ),
        *(
            ({"oca_usage": usage}, CertificateChainError, f"OCA certificate usage: got {usage:#x}")
            for usage in (CEK, PEK, PDH, NOBODY)
        ),
        *(
            ({"pek_signed_by": usage}, CertificateChainError, r"expected one by 0x1004 \(CEK\)")
            for usage in (PEK, PDH, ASK, ARK, NOBODY)
        ),
        *(
            ({"report_usage": usage}, SignatureError, f"sig_usage: got {usage:#x}")
            for usage in (CEK, OCA, PDH, NOBODY, ASK, ARK, 0xFFFF)
        ),
        *(
            ({"report_algorithm": number}, SignatureError, f"sig_algo: got {number:#x}")
            for number in (0, RSA_SHA256, ECDH_SHA256, ECDSA_SHA384, 0x103, 4, 0xFFFF_FFFF)
        ),
        ({"algorithm": ECDSA_SHA384, "report_algorithm": ECDSA_SHA256}, SignatureError, "sig_algo: got 0x2"),
    ],
    ids=lambda value: "-".join(f"{k}={v:#x}" for k, v in value.items()) if isinstance(value, dict) else "",
)
def test_3_33_another_usage_or_algorithm_is_refused_at_each_link(
    state: dict[str, Any], error: type[RatsTlsError], says: str
) -> None:
    refused(error, says, **state)


def test_3_33_two_signatures_of_one_usage_are_malformed() -> None:
    refused(DecodeError, "two signatures by a key of usage 0x1001", pek_signed_by=OCA)


@pytest.mark.parametrize(
    ("at", "link"),
    [
        (CEK_AT + FIRST_SIGNATURE, "CEK certificate: got signatures by .* expected one by 0x13 "),
        (PEK_AT + SECOND_SIGNATURE, "PEK certificate: got signatures by .* expected one by 0x1004 "),
        (PEK_AT + FIRST_SIGNATURE, "PEK certificate: got signatures by .* expected one by 0x1001 "),
        (OCA_AT + FIRST_SIGNATURE, "OCA certificate: got signatures by .* expected one by 0x1001 "),
    ],
)
def test_3_33_a_certificate_without_its_signature_is_refused(at: int, link: str) -> None:
    refused_bytes(CertificateChainError, link, put(collected(SEV)[0], at, sev_structure.NO_SIGNATURE))


@pytest.mark.parametrize(
    ("at", "number", "link"),
    [
        (CEK_AT + FIRST_SIGNATURE, 0x101, "CEK certificate signature by 0x13"),
        (PEK_AT + SECOND_SIGNATURE, ECDSA_SHA384, "PEK certificate signature by 0x1004"),
        (PEK_AT + SECOND_SIGNATURE, ECDH_SHA256, "PEK certificate signature by 0x1004"),
        (PEK_AT + FIRST_SIGNATURE, ECDSA_SHA384, "PEK certificate signature by 0x1001"),
        (OCA_AT + FIRST_SIGNATURE, ECDSA_SHA384, "OCA certificate signature by 0x1001"),
    ],
)
def test_3_33_a_signature_that_names_another_algorithm_is_refused(at: int, number: int, link: str) -> None:
    refused_bytes(RatsTlsError, link, put(collected(SEV)[0], at + 4, word(number)))


def test_3_33_keys_for_another_purpose_sign_nothing() -> None:
    """A chip's, a platform's and an owner's key that are for ECDH, each with good signatures above it."""
    for algorithm in (ECDH_SHA256, 0x103):
        vendor, evidence = world().sev("Naples"), collected(SEV)[0]
        cek = part(evidence, CEK_AT)[:12] + word(algorithm) + part(evidence, CEK_AT)[16:FIRST_SIGNATURE]
        changed = put(evidence, CEK_AT, cek + vendor.certified(cek))
        refused_bytes(CertificateChainError, "expected", changed)
        changed = put(evidence, PEK_AT + 12, word(algorithm))
        refused_bytes(SignatureError, "PEK certificate pubkey_algo: got ECDH", changed)


def test_3_33_each_link_asks_for_usage_and_algorithm_itself() -> None:
    evidence = SevEvidence.from_bytes(collected(SEV)[0].data)
    ask = SevSignerCertificate.from_bytes(world().sev("Naples").signer())
    for changes, says in (({"algorithm": ECDH_SHA256}, "pubkey_algo: got ECDH"), ({"usage": PDH}, "usage: got 0x1003")):
        with pytest.raises(CertificateChainError, match=f"CEK certificate {says}"):
            verify_cek(replace(evidence.cek, **changes), ask, CRYPTO)
        with pytest.raises(CertificateChainError, match=f"PEK certificate {says}"):
            verify_pek(replace(evidence.pek, **changes), evidence.cek, CRYPTO)
    verify_cek(evidence.cek, ask, CRYPTO)
    verify_pek(evidence.pek, evidence.cek, CRYPTO)


def test_3_33_an_owner_whose_key_signs_nothing_is_refused() -> None:
    """Key and signatures all say ECDH, which is how none of them was made."""
    evidence, ecdh = collected(SEV)[0], word(ECDH_SHA256)
    for at in (OCA_AT + 12, OCA_AT + FIRST_SIGNATURE + 4, PEK_AT + FIRST_SIGNATURE + 4):
        evidence = put(evidence, at, ecdh)
    refused_bytes(CertificateChainError, "OCA certificate signature by 0x1001", evidence)


@pytest.mark.parametrize("at", [256, 300, 511])
def test_3_33_an_rsa_signature_longer_than_the_key_is_refused(at: int) -> None:
    changed = put(collected(SEV)[0], CEK_AT + FIRST_SIGNATURE + 8 + at, b"\1")
    refused_bytes(CertificateChainError, "no ASK signed it: CEK certificate signature by the ASK", changed)


# --- the report -------------------------------------------------------------------------------------------------------
def test_3_30_a_report_of_another_chip_is_refused() -> None:
    evidence, _ = collected(SEV)
    other, _ = collected(SEV, machine=1)
    refused_bytes(SignatureError, "report", put(evidence, REPORT, part(other, REPORT)))
    refused_bytes(CertificateChainError, "PEK certificate signature", put(evidence, CEK_AT, part(other, CEK_AT)))
    refused_bytes(SignatureError, "report", put(evidence, PEK_AT, part(other, PEK_AT)))
    assert judged(other, collected(SEV)[1]).claims.hardware_ids != judged(*collected(SEV)).claims.hardware_ids


def test_3_30_every_signed_byte_of_a_report_counts() -> None:
    evidence, _ = collected(SEV)
    for at in range(52):
        changed = put(evidence, at, bytes((evidence.data[at] ^ 1,)))
        refused_bytes(SignatureError, "report", changed)


def test_3_30_reserved_bytes_that_nothing_signs_are_zero() -> None:
    refused_bytes(DecodeError, "reserved", put(collected(SEV)[0], 60, b"\0\1\0\0"))


# --- the owner --------------------------------------------------------------------------------------------------------
def owner_check(result: AttestationResult) -> Any:
    (check,) = (check for check in result.checks if check.id == "sev.owner")
    return check


def test_3_30_an_owner_may_be_anybody_and_adds_no_trust() -> None:
    evidence, endorsements = collected(SEV)
    pek, oca = owner_of(part(evidence, PEK_AT))
    result = judged(put(put(evidence, PEK_AT, pek), OCA_AT, oca), endorsements)
    check = owner_check(result)
    assert (check.verdict, "adds no trust" in check.note) == (Verdict.PASSED, True)
    assert result.claims == judged(evidence, endorsements).claims


def test_3_30_an_owners_certificate_that_is_wrong_is_refused() -> None:
    refused(CertificateChainError, "PEK certificate signature by the OCA", forged_owner=True)
    evidence, _ = collected(SEV)
    _, oca = owner_of(part(evidence, PEK_AT))
    refused_bytes(CertificateChainError, "PEK certificate signature by the OCA", put(evidence, OCA_AT, oca))
    bad = bytes((evidence.data[OCA_AT + 1060] ^ 1,))
    refused_bytes(CertificateChainError, "OCA certificate signature by the OCA", put(evidence, OCA_AT + 1060, bad))


def test_3_30_without_an_owner_that_is_said() -> None:
    check = owner_check(accepted(owner=False))
    assert (check.verdict, check.note) == (Verdict.NOT_CHECKED, "no OCA certificate")
    evidence, endorsements = collected(SEV)
    check = owner_check(judged(put(evidence, OCA_AT, bytes(2084)), endorsements))
    assert (check.verdict, check.note) == (
        Verdict.NOT_CHECKED,
        "no OCA certificate of the owner that signed the PEK",
    )


# --- the product ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("device_type", [0, 2, 3, 4, 255, 0xFFFF_FFFF])
def test_3_30_the_device_type_is_nobodys_word(device_type: int) -> None:
    result = accepted({"products": "Naples"}, device_type=device_type)
    assert result.claims.product == "Naples"
    (check,) = (check for check in result.checks if check.id == "sev.product")
    said = {0: "Rome", 2: "Milan"}.get(device_type)
    assert check.note == (f"the device type says {said}, which nothing covers" if said else None)
    with pytest.raises(AppraisalError) as caught:
        accepted({"products": "Rome"}, device_type=0)
    assert {mismatch.field for mismatch in caught.value.mismatches} == {"products"}


def test_3_30_the_chip_is_told_by_its_key() -> None:
    (own,) = accepted().claims.hardware_ids
    assert len(own) == 32
    assert accepted({"identity": {"hardware_ids": [own]}}).claims.hardware_ids == (own,)
    with pytest.raises(AppraisalError) as caught:
        accepted({"identity": {"hardware_ids": [own]}}, machine=1)
    assert {mismatch.field for mismatch in caught.value.mismatches} == {"identity"}
    assert accepted(device_type=0, owner=False).claims.hardware_ids == (own,)


# --- AMD's signers ----------------------------------------------------------------------------------------------------
def signer_changed(**changes: Any) -> SevSignerCertificate:
    return replace(SevSignerCertificate.from_bytes(world().sev("Naples").signer()), **changes)


def test_3_25_an_ask_that_no_pinned_ark_signed_is_refused() -> None:
    """One under the right key id, by another key; one whose signature is wrong; one of nobody's key id."""
    evidence, endorsements = collected(SEV)
    stranger = other_world().attester(SEV).collect(bytes(64))
    with pytest.raises(CertificateChainError, match="ASK certificate signature by SEV ARK-Naples"):
        judged(stranger.evidence, Endorsements(stranger.endorsements))
    refused(CertificateChainError, "ASK certificate signature by SEV ARK-Naples", forged={SignedItem.AMD_SEV_SIGNER})
    with pytest.raises(CertificateChainError, match="is the key id of no trust anchor"):
        appraise(evidence, endorsements, policy_for(SEV), report_data=None, anchors=())


def test_3_25_an_ark_is_no_ask_and_an_ask_no_ark() -> None:
    ark = SevSignerCertificate.from_bytes(world().sev("Naples").root_certificate)
    with pytest.raises(CertificateChainError, match="ASK certificate usage: got 0x0"):
        verify_signer(ark, world().trust_anchors, CRYPTO)
    with pytest.raises(CertificateChainError, match="ARK certificate usage: got 0x13"):
        verify_root(signer_changed(), CRYPTO)
    with pytest.raises(CertificateChainError, match="ARK certificate certifying_id: got"):
        verify_root(signer_changed(usage=ARK), CRYPTO)
    verify_root(ark, CRYPTO)
    other = SevSignerCertificate.from_bytes(other_world().sev("Naples").root_certificate)
    with pytest.raises(CertificateChainError, match="ARK certificate signature by itself"):
        verify_root(replace(ark, signature=other.signature), CRYPTO)
    verify_signer(signer_changed(), world().trust_anchors, CRYPTO)


def test_4_a_bad_ask_does_not_stand_in_the_way_of_a_good_one() -> None:
    evidence, endorsements = collected(SEV)
    (good,) = endorsements
    foreign = ask_of(other_world().sev("Naples"))
    junk = [Endorsement(kind=good.kind, data=bytes([n]) * 832, origin=Origin.PEER) for n in range(8)]
    forged = collected(SEV, forged={SignedItem.AMD_SEV_SIGNER})[1].items
    for items in ((foreign, *forged, *junk, good), (good, *junk, *forged, foreign), (foreign, *forged, good)):
        result = judged(evidence, Endorsements(items))
        assert result.claims.product == "Naples"


def test_4_a_missing_ask_is_named_when_all_else_was_verified() -> None:
    missing = {"missing": {EndorsementKind.AMD_SEV_SIGNER}}
    error = refused(EndorsementMissingError, "ASK|amd-sev-signer", **missing)
    assert isinstance(error, EndorsementMissingError)
    assert error.missing == (amd_sev_signer("Naples"),)
    assert {check.id for check in error.checks if check.verdict is Verdict.PASSED} >= {
        "sev.report_signature",
        "sev.pek",
    }
    refused(SignatureError, "sig_usage", report_usage=CEK, **missing)
    refused(CertificateChainError, "OCA", forged_owner=True, **missing)


def test_4_a_cek_that_the_ask_at_hand_did_not_sign_is_refused_and_nothing_is_asked_for() -> None:
    evidence, _ = collected(SEV)
    bad = bytes((evidence.data[CEK_AT + 1100] ^ 1,))
    error = refused_bytes(CertificateChainError, "no ASK signed it", put(evidence, CEK_AT + 1100, bad))
    assert not isinstance(error, EndorsementMissingError)
    refused_bytes(CertificateChainError, "no ASK signed it", put(evidence, CEK_AT + 4, b"\1"))


def test_2_7_evidence_of_another_size_or_form_is_refused() -> None:
    evidence, _ = collected(SEV)
    refused_bytes(DecodeError, "6461 or 6464", replace(evidence, data=evidence.data[:-1]))
    refused_bytes(DecodeError, "6461 or 6464", replace(evidence, data=evidence.data + b"\0"))
    refused_bytes(UnsupportedError, "curve: got 1", put(evidence, CEK_AT + 16, word(1)))
    assert len(collected(SEV, device_type_size=1)[0].data) == DEVICE_TYPE + 1
    assert accepted(device_type_size=1).claims == accepted().claims
