"""Omissions of verifiers of AMD SEV and SEV-ES. Numbers are those of docs/attacks.md.

Every case is one healthy simulated chip with one thing changed, judged whole.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from rats_tls.core.binding import Binding
from rats_tls.core.checks import Verdict
from rats_tls.core.claims import SevClaims
from rats_tls.core.endorsements import EndorsementKind, Endorsements, Origin
from rats_tls.core.errors import (
    AppraisalError,
    BindingError,
    CertificateChainError,
    EndorsementMissingError,
    RatsTlsError,
    SignatureError,
)
from rats_tls.core.evidence import Evidence, TeeType
from rats_tls.core.results import AttestationResult
from rats_tls.policy import EntryError, Policy
from rats_tls.policy.sev_entry import SevEntry
from rats_tls.simulation.policies import policy_for
from rats_tls.simulation.sev_states import SevState
from rats_tls.simulation.vendor_state import SignedItem
from rats_tls.simulation.world import SimulatedWorld
from rats_tls.verifiers.vendor_roots import VENDOR_ROOTS
from support.judged import REPORT_DATA, appraise, appraiser, collected, judge, presented
from support.sides import attester, connected_pair, context
from support.simulated import world

SEV = "simulated_sev"


def pinned(**written: Any) -> Policy:
    (entry,) = policy_for(world(), SEV).entries
    return Policy.of(replace(entry, **written))


def judged(written: dict[str, Any] | None = None, /, **state: Any) -> AttestationResult:
    evidence, endorsements = collected(SEV, **state)
    return appraise(evidence, endorsements, pinned(**(written or {})), report_data=None)


def refused(
    error: type[RatsTlsError], message: str, written: dict[str, Any] | None = None, /, **state: Any
) -> RatsTlsError:
    with pytest.raises(error, match=message) as caught:
        judged(written, **state)
    return caught.value


def mismatches(written: dict[str, Any] | None = None, /, **state: Any) -> set[str]:
    error = refused(AppraisalError, "policy", written, **state)
    assert isinstance(error, AppraisalError)
    assert error.authenticated
    return {mismatch.field for mismatch in error.mismatches}


# --- 3.30 it binds nothing --------------------------------------------------------------------------------------------
def test_3_30_it_never_satisfies_an_expected_report_data() -> None:
    evidence, endorsements = collected(SEV)
    for expected in (REPORT_DATA, bytes(64)):
        with pytest.raises(BindingError, match="got none"):
            appraise(evidence, endorsements, pinned(), report_data=expected)


def test_3_30_the_result_of_bare_evidence_says_that_it_has_nothing_to_bind() -> None:
    (check,) = [check for check in judged().checks if check.id == "binding.key"]
    assert check.note == "key binding: not checked: Evidence of sev has no report_data"


def test_3_30_a_certificate_with_it_is_bound_to_nothing() -> None:
    certificate, endorsements = presented(SEV, custom_claims={"role": b"database"})
    result = judge(appraiser(endorsements, pinned()), certificate)
    assert result.binding is Binding.NONE
    assert "key binding: not checked" in result.binding_note
    assert (result.custom_claims, result.issued_at) == ({}, None)
    assert [check.id for check in result.checks if check.verdict is Verdict.NOT_CHECKED] == [
        *("binding.key", "sev.not_revoked")
    ]


def test_3_30_only_a_policy_that_says_so_by_name_accepts_it() -> None:
    (entry,) = pinned().entries
    for bindings in ("certificate", ("certificate", "session")):
        with pytest.raises(EntryError, match="bindings"):
            replace(entry, bindings=bindings)
    for written in ({"max_evidence_age": 3600}, {"revocation": "required"}):
        with pytest.raises(EntryError, match=next(iter(written))):
            replace(entry, **written)


def test_3_30_claims_beside_it_are_anybodys_word() -> None:
    certificate, endorsements = presented(SEV, custom_claims={"role": b"database"})
    with pytest.raises(AppraisalError, match="custom_claims"):
        judge(appraiser(endorsements, pinned(custom_claims={"role": b"database".hex()})), certificate)


def test_3_30_the_same_evidence_serves_in_anybodys_certificate() -> None:
    """What an attacker does with Evidence that he has seen, and why the result says that nothing is bound."""
    victim = attester(SEV).collect(REPORT_DATA)
    assert victim is not None

    class Thief:
        name = "thief"
        tee_type = TeeType.SEV

        def collect(self, _report_data: bytes) -> Any:
            return victim

    server, client = context(Thief(), None), context(None, pinned())
    ours, theirs = connected_pair(server, client)
    with ours, theirs:
        assert theirs.peer is not None
        assert theirs.peer.binding is Binding.NONE


# --- usages, slots, keys ----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("cek_first", [False, True])
@pytest.mark.parametrize("owner", [False, True])
def test_3_33_signatures_are_found_by_usage_wherever_they_stand(cek_first: bool, owner: bool) -> None:
    assert judged(cek_first=cek_first, owner=owner).verdict == "accepted"


@pytest.mark.parametrize(
    ("state", "error", "message"),
    [
        ({"report_usage": 0x1004}, SignatureError, "sig_usage"),
        ({"report_usage": 0x1001}, SignatureError, "sig_usage"),
        ({"report_algorithm": 258}, SignatureError, "sig_algo"),
        ({"pek_usage": 0x1003}, SignatureError, "PEK certificate pubkey_usage"),
        ({"pek_usage": 0x1004}, SignatureError, "PEK certificate pubkey_usage"),
        ({"pek_signed_by": 0x1003}, CertificateChainError, "expected one by 0x1004"),
        ({"pek_signed_by": 0x13}, CertificateChainError, "expected one by 0x1004"),
        ({"cek_usage": 0x1002}, CertificateChainError, "CEK certificate usage"),
        ({"cek_usage": 0x1001}, CertificateChainError, "CEK certificate usage"),
        ({"oca_usage": 0x1002}, CertificateChainError, "OCA certificate usage"),
        ({"forged_owner": True}, CertificateChainError, "PEK certificate signature by the OCA"),
    ],
)
def test_3_33_each_link_has_its_usage(state: dict[str, Any], error: type[RatsTlsError], message: str) -> None:
    refused(error, message, **state)


@pytest.mark.parametrize("algorithm", [2, 258])
def test_both_hashes_are_verified(algorithm: int) -> None:
    assert judged(algorithm=algorithm).verdict == "accepted"


def test_every_byte_that_the_report_signs_is_covered_and_no_other_is_believed() -> None:
    evidence, endorsements = collected(SEV)
    for offset in range(208):
        changed = evidence.data[:offset] + bytes((evidence.data[offset] ^ 1,)) + evidence.data[offset + 1 :]
        with pytest.raises(RatsTlsError):
            appraise(Evidence.of(TeeType.SEV, changed), endorsements, pinned(), report_data=None)


def test_a_report_of_another_pek_is_refused() -> None:
    own, endorsements = collected(SEV)
    other, _ = collected(SEV, machine=1)
    for mixed in (other.data[:208] + own.data[208:], own.data[:208] + other.data[208:]):
        with pytest.raises(SignatureError, match="report"):
            appraise(Evidence.of(TeeType.SEV, mixed), endorsements, pinned(), report_data=None)
    cek_of_other = own.data[:208] + other.data[208 : 208 + 2084] + own.data[208 + 2084 :]
    with pytest.raises(CertificateChainError, match="PEK certificate signature by the CEK"):
        appraise(Evidence.of(TeeType.SEV, cek_of_other), endorsements, pinned(), report_data=None)


# --- the chain --------------------------------------------------------------------------------------------------------
def test_the_root_is_pinned_and_never_the_peers() -> None:
    evidence, endorsements = collected(SEV)
    with pytest.raises(CertificateChainError):
        appraise(evidence, endorsements, pinned(), report_data=None, anchors=VENDOR_ROOTS)
    other = SimulatedWorld()
    with pytest.raises(RatsTlsError):
        appraise(evidence, endorsements, pinned(), report_data=None, anchors=(other.sev("Naples").trust_anchor,))


def test_a_missing_ask_is_named_after_all_that_needs_none() -> None:
    error = refused(EndorsementMissingError, "amd-sev-signer", missing={EndorsementKind.AMD_SEV_SIGNER})
    passed = {check.id for check in error.checks if check.verdict is Verdict.PASSED}
    assert {"sev.report", "sev.signed_by", "sev.report_signature", "sev.pek", "sev.owner"} <= passed


def test_a_forged_ask_is_refused_and_a_peers_does_not_lock_out_a_good_one() -> None:
    refused(CertificateChainError, "ASK certificate signature", forged={SignedItem.AMD_SEV_SIGNER})
    evidence, good = collected(SEV)
    _, bad = collected(SEV, forged={SignedItem.AMD_SEV_SIGNER})
    sent = tuple(replace(item, origin=Origin.PEER) for item in bad)
    both = Endorsements((*sent, *good))
    assert appraise(evidence, both, pinned(), report_data=None).verdict == "accepted"


@pytest.mark.parametrize("device_type", [0, 2, 3, 200])
@pytest.mark.parametrize("size", [1, 4])
def test_the_device_type_is_covered_by_nothing_and_decides_nothing(device_type: int, size: int) -> None:
    claims = judged(device_type=device_type, device_type_size=size).claims
    assert isinstance(claims, SevClaims)
    assert claims.product == "Naples"


# --- the policy -------------------------------------------------------------------------------------------------------
BITS = {0: "allow_debug", 1: "allow_key_sharing", 2: "allow_plain_registers", 3: "allow_send"}


@pytest.mark.parametrize("bit", BITS)
def test_3_34_policy_bit_by_bit(bit: int) -> None:
    usual = SevState().policy
    state: dict[str, Any] = (
        {"es": False} if bit == 2 else {"debug": True} if bit == 0 else {"policy": usual & ~(1 << bit)}
    )
    assert mismatches(**state) == {BITS[bit]}
    assert judged({BITS[bit]: True}, **state).verdict == "accepted"


def test_the_launch_digest_the_product_and_the_machine_are_compared() -> None:
    assert mismatches(launch_digest=b"\xff" * 32) == {"launch_digest"}
    assert mismatches({"products": ("Rome",)}) == {"products"}
    claims = judged().claims
    assert isinstance(claims, SevClaims)
    assert claims.cek_sha256 is not None
    own = {"identity": {"hardware_ids": [claims.cek_sha256.hex()]}}
    assert judged(own).verdict == "accepted"
    assert mismatches(own, machine=1) == {"identity"}


def test_the_entry_is_of_sev() -> None:
    (entry,) = pinned().entries
    assert isinstance(entry, SevEntry)
    assert (entry.binds_keys, entry.channel_bindings) == (False, frozenset(Binding))
