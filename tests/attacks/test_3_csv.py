"""Omissions of verifiers of Hygon CSV. Numbers are those of docs/attacks.md.

Every case is one healthy simulated chip with one thing changed, judged whole.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from rats_tls.core.binding import Binding
from rats_tls.core.claims import CsvClaims
from rats_tls.core.endorsements import Endorsement, EndorsementKind, Endorsements, Origin
from rats_tls.core.errors import (
    AppraisalError,
    BindingError,
    CertificateChainError,
    DecodeError,
    EndorsementMissingError,
    RatsTlsError,
    SignatureError,
)
from rats_tls.core.evidence import Evidence, TeeType
from rats_tls.core.results import AttestationResult
from rats_tls.formats.hygon.evidence import CsvEvidence
from rats_tls.policy import ANY, EntryError, Policy
from rats_tls.policy.csv_entry import CsvEntry
from rats_tls.simulation.csv_states import CsvState
from rats_tls.simulation.world import SimulatedWorld
from rats_tls.verifiers.vendor_roots import VENDOR_ROOTS
from support.judged import REPORT_DATA, appraise, collected
from support.sides import policy_for
from support.simulated import NOW, world

CSV = "simulated_csv"
KIND = EndorsementKind.HYGON_CEK_CHAIN
EVERY_VERSION = pytest.mark.parametrize("version", [1, 2, 3])


def pinned(version: int = 3, **written: Any) -> Policy:
    """Give the policy for a healthy guest whose report is of a version."""
    state = CsvState()
    zeros = {f"rtmr{number}": bytes(32) for number in range(5)} if version == 1 else {}
    host_data = {} if version == 3 else {"host_data": bytes(64)}
    assert state.report_version == 3
    return policy_for(CSV, **{**zeros, **host_data, **written})


def accepted(written: dict[str, Any] | None = None, /, *, version: int = 3, **state: Any) -> AttestationResult:
    evidence, endorsements = collected(CSV, report_version=version, **state)
    return appraise(evidence, endorsements, pinned(version, **(written or {})))


def refused(
    error: type[RatsTlsError], message: str, written: dict[str, Any] | None = None, /, *, version: int = 3, **state: Any
) -> RatsTlsError:
    evidence, endorsements = collected(CSV, report_version=version, **state)
    with pytest.raises(error, match=message) as caught:
        appraise(evidence, endorsements, pinned(version, **(written or {})))
    return caught.value


def mismatches(written: dict[str, Any] | None = None, /, **state: Any) -> set[str]:
    error = refused(AppraisalError, "policy", written, **state)
    assert isinstance(error, AppraisalError)
    assert error.authenticated
    return {mismatch.field for mismatch in error.mismatches}


def with_mask(data: bytes, change: int) -> bytes:
    """Give a page of version 1 as if the firmware had chosen another mask: every word behind the signature follows.

    The signed words stay as they are stored, so that the signature holds, and are read differently.
    """
    words = change.to_bytes(4, "little")

    def shifted(part: bytes) -> bytes:
        return bytes(byte ^ words[number % 4] for number, byte in enumerate(part))

    anonce, pek_end = shifted(data[0xBC:0xC0]), 0x150 + 2084 + 64
    return b"".join(
        (data[:0xB4], shifted(data[0xB4:0xBC]), anonce, data[0xC0:0x150], shifted(data[0x150:pek_end]), data[pek_end:])
    )


# --- 3.31 what a report of version 1 does not sign --------------------------------------------------------------------
@EVERY_VERSION
def test_3_31_user_data_is_compared_over_all_64_bytes(version: int) -> None:
    evidence, endorsements = collected(CSV, report_version=version)
    assert appraise(evidence, endorsements, pinned(version)).binding is Binding.REPORT_DATA
    for offset in range(64):
        other = bytearray(REPORT_DATA)
        other[offset] ^= 0x80
        with pytest.raises(BindingError, match="report_data"):
            appraise(evidence, endorsements, pinned(version), report_data=bytes(other))


@pytest.mark.parametrize("change", [1, 1 << 1, 1 << 31, 0x00010000, 0xFFFFFFFF])
def test_3_31_another_mask_is_refused_where_user_data_is_compared(change: int) -> None:
    evidence, endorsements = collected(CSV, report_version=1)
    shifted = Evidence.of(TeeType.CSV, with_mask(evidence.data, change))
    got = CsvEvidence.from_bytes(shifted.data).report
    assert got.policy == CsvEvidence.from_bytes(evidence.data).report.policy ^ change
    with pytest.raises(BindingError):
        appraise(shifted, endorsements, pinned(1))


def test_3_31_a_guest_that_chose_its_user_data_for_another_mask_is_told_by_its_measurement() -> None:
    """Its signature holds and its user data is the expected one; the mask that makes it so turns every word."""
    change = 1  # clears or sets NODBG
    twisted = bytes(byte ^ (change if number % 4 == 0 else 0) for number, byte in enumerate(REPORT_DATA))
    made = world().hygon_chip().evidence(CsvState(report_version=1, debug=True), twisted)
    shifted = Evidence.of(TeeType.CSV, with_mask(made, change))
    decoded = CsvEvidence.from_bytes(shifted.data).report
    assert (decoded.user_data, decoded.policy & 1) == (REPORT_DATA, 1), "it passes for a guest that nobody debugs"
    with pytest.raises(AppraisalError) as caught:
        appraise(shifted, Endorsements(), pinned(1))
    assert "measurement" in {mismatch.field for mismatch in caught.value.mismatches}
    open_to_any = {"measurement": ANY, "vm_id": ANY, "vm_version": ANY, "user_pubkey_digest": ANY, "host_data": ANY}
    with pytest.raises(EntryError, match="measurement"):
        pinned(1, **open_to_any)


def test_3_31_without_expected_user_data_a_masked_report_needs_a_policy_that_says_so() -> None:
    evidence, endorsements = collected(CSV, report_version=1)
    with pytest.raises(AppraisalError, match="allow_unproved_mask"):
        appraise(evidence, endorsements, pinned(1), report_data=None)
    result = appraise(evidence, endorsements, pinned(1, allow_unproved_mask=True), report_data=None)
    assert result.binding is Binding.NONE
    assert any("mask" in (check.note or "") for check in result.checks)
    for version in (2, 3):
        evidence, endorsements = collected(CSV, report_version=version)
        assert appraise(evidence, endorsements, pinned(version), report_data=None).verdict == "accepted"


@EVERY_VERSION
@pytest.mark.parametrize("usage", [0, 0x13, 0x1000, 0x1001, 0x1004])
def test_3_31_the_report_is_signed_by_a_pek(version: int, usage: int) -> None:
    refused(SignatureError, f"sig_usage {usage:#x}", version=version, sig_usage=usage)


@EVERY_VERSION
@pytest.mark.parametrize("algorithm", [0, 3, 5])
def test_3_31_the_report_is_signed_by_sm2(version: int, algorithm: int) -> None:
    refused(SignatureError, f"sig_algo {algorithm}", version=version, sig_algo=algorithm)


@EVERY_VERSION
def test_3_31_a_serial_number_identifies_nobody(version: int) -> None:
    usual, other = accepted(version=version), accepted(version=version, serial="SOMEBODYELSE")
    assert isinstance(usual.claims, CsvClaims)
    assert isinstance(other.claims, CsvClaims)
    assert usual.claims.cek_sha256 == other.claims.cek_sha256
    digest = usual.claims.cek_sha256
    assert digest is not None
    assert accepted({"identity": {"hardware_ids": [digest.hex()]}}, version=version).verdict == "accepted"
    assert mismatches({"identity": {"hardware_ids": [digest.hex()]}}, version=version, machine=1) == {"identity"}
    with pytest.raises(EntryError, match="hardware_ids"):
        pinned(version, identity={"hardware_ids": [usual.claims.unsigned_chip_id.hex()]})


# --- 3.32 versions ----------------------------------------------------------------------------------------------------
def test_3_32_a_version_is_told_by_the_signed_bytes_and_has_a_floor() -> None:
    for version in (1, 2, 3):
        claims = accepted(version=version).claims
        assert isinstance(claims, CsvClaims)
        assert claims.report_version == version
    for version, floor in ((1, 2), (1, 3), (2, 3)):
        assert mismatches({"min_report_version": floor}, version=version) == {"min_report_version"}


def test_3_32_a_page_of_one_version_does_not_pass_for_another() -> None:
    """A signature of version 2 put where version 1 has it, and the reverse: what is signed is another length."""
    first, _ = collected(CSV, report_version=1, certificates="beside")
    second, chain = collected(CSV, report_version=2, certificates="beside")
    relabelled = bytearray(second.data)
    relabelled[0x0BC:0x0C0] = bytes(4)
    relabelled[0x0C0 : 0x0C0 + 144] = second.data[0x400 : 0x400 + 144]
    relabelled[0x150 : 0x150 + 2084 + 64] = second.data[0x490 : 0x490 + 2084 + 64]
    for data in (bytes(relabelled), first.data[:0x400] + second.data[0x400:]):
        with pytest.raises((SignatureError, DecodeError)):
            appraise(Evidence.of(TeeType.CSV, data), chain, pinned(1))


def test_3_32_the_build_has_a_floor() -> None:
    assert accepted({"min_build": 2400}).verdict == "accepted"
    assert mismatches({"min_build": 2401}) == {"min_build"}
    assert mismatches({"min_build": 1}, version=1) == {"min_build"}


# --- 3.33 usages, roots, user ids -------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"hsk_usage": 0}, "HSK key usage"),
        ({"hsk_usage": 0x1004}, "HSK key usage"),
        ({"cek_usage": 0x1002}, "CEK key usage"),
        ({"cek_signed_by": 0x1001}, "CEK first signature"),
        ({"cek_signed_by": 0}, "CEK first signature"),
        ({"pek_usage": 0x1003}, "PEK key usage"),
        ({"pek_signed_by": 0x1001}, "PEK"),
        ({"pek_signed_by": 0x13}, "PEK"),
    ],
)
def test_3_33_each_link_has_its_usage(state: dict[str, int], message: str) -> None:
    refused(CertificateChainError, message, **state)


def test_3_33_a_cek_has_no_second_signature() -> None:
    evidence, _ = collected(CSV, certificates="beside")
    own = world().hygon_chip(0).chain()
    for at in (1564, 1568, 1572, 1644):  # usage, algorithm, r, s
        changed = own.data[:at] + bytes((own.data[at] ^ 1,)) + own.data[at + 1 :]
        with pytest.raises(CertificateChainError, match="CEK second signature"):
            appraise(evidence, Endorsements((replace(own, data=changed),)), pinned())


def test_3_33_a_report_with_another_user_id_or_key_is_refused() -> None:
    for version in (1, 2, 3):
        refused(SignatureError, "report", version=version, wrong_user_id=True)
        refused(SignatureError, "report", version=version, another_pek=True)


def test_3_33_the_root_is_pinned_and_never_the_peers() -> None:
    evidence, endorsements = collected(CSV)
    with pytest.raises(CertificateChainError, match="HSK signature by HYGON-SSD-HRK"):
        appraise(evidence, endorsements, pinned(), anchors=VENDOR_ROOTS)
    other = SimulatedWorld()
    other.hygon()
    with pytest.raises(CertificateChainError, match="HSK signature by"):
        appraise(evidence, endorsements, pinned(), anchors=other.trust_anchors)
    with pytest.raises(CertificateChainError, match="anchor"):
        appraise(evidence, endorsements, pinned(), anchors=(world().intel.trust_anchor,))


def test_3_33_a_chain_of_another_chip_is_no_chain_of_this_one() -> None:
    evidence, _ = collected(CSV, certificates="beside")
    others = world().hygon_chip(1).chain()
    with pytest.raises(EndorsementMissingError, match="hygon-cek-chain"):
        appraise(evidence, Endorsements((others,)), pinned())
    own = world().hygon_chip(0).chain()
    assert appraise(evidence, Endorsements((others, own)), pinned()).verdict == "accepted"


@pytest.mark.parametrize("place", ["hsk", "cek", "short", "empty"])
def test_3_33_a_peers_broken_chain_does_not_lock_out_a_good_one(place: str) -> None:
    evidence, _ = collected(CSV, certificates="beside")
    own = world().hygon_chip(0).chain()
    broken = {
        "hsk": replace(own, issuer_chain=(own.issuer_chain[0][:-200] + b"\1" + own.issuer_chain[0][-199:],)),
        "cek": replace(own, data=own.data[:1100] + bytes((own.data[1100] ^ 1,)) + own.data[1101:]),
        "short": replace(own, data=own.data[:-1]),
        "empty": Endorsement(kind=KIND, data=b""),
    }[place]
    sent = replace(broken, origin=Origin.PEER)
    assert appraise(evidence, Endorsements((sent, own)), pinned()).verdict == "accepted"
    with pytest.raises(RatsTlsError):
        appraise(evidence, Endorsements((sent,)), pinned())


def test_3_33_certificates_in_evidence_prove_nothing_by_themselves() -> None:
    """The chain of another vendor's chip beside a report of that chip: whole, and under no anchor."""
    other = SimulatedWorld()
    made = other.attester(CSV).collect(REPORT_DATA)
    assert made is not None
    with pytest.raises(CertificateChainError, match="HSK signature"):
        appraise(made.evidence, Endorsements(made.endorsements), pinned())


# --- 3.34 policy bits -------------------------------------------------------------------------------------------------
SET_BY_DEFAULT = {0: "allow_debug", 1: "allow_key_sharing", 2: "allow_plain_registers", 3: "allow_send"}
DEMANDED = {4: "require_domain", 5: "require_csv", 6: "require_csv3"}


@EVERY_VERSION
@pytest.mark.parametrize("bit", range(8))
def test_3_34_policy_bit_by_bit(bit: int, version: int) -> None:
    usual = CsvState().policy
    if bit in SET_BY_DEFAULT:
        assert mismatches(version=version, policy=usual & ~(1 << bit)) == {SET_BY_DEFAULT[bit]}
        waived = {SET_BY_DEFAULT[bit]: True}
        assert accepted(waived, version=version, policy=usual & ~(1 << bit)).verdict == "accepted"
    elif bit in DEMANDED:
        assert accepted(version=version, policy=usual & ~(1 << bit)).verdict == "accepted"
        assert mismatches({DEMANDED[bit]: True}, version=version, policy=usual & ~(1 << bit)) == {DEMANDED[bit]}
    else:
        assert mismatches(version=version, policy=usual | 1 << bit) == {"allow_asid_reuse"}
        assert accepted({"allow_asid_reuse": True}, version=version, policy=usual | 1 << bit).verdict == "accepted"


def test_3_34_versions_in_the_policy_word_have_floors() -> None:
    word = CsvState().policy & 0xFF | 5 << 8 | 3 << 12 | 1 << 16 | 4 << 24
    for field, good, bad in (
        ("min_hsk_version", 5, 6),
        ("min_cek_version", 3, 4),
        ("min_policy_api", (1, 4), (1, 5)),
    ):
        assert accepted({field: good}, policy=word).verdict == "accepted"
        assert mismatches({field: bad}, policy=word) == {field}


def test_3_34_revocation_is_written_out() -> None:
    (entry,) = pinned().entries
    assert isinstance(entry, CsvEntry)
    assert entry.revocation == "not-checked"
    with pytest.raises(EntryError, match="Hygon publishes no revocation list"):
        replace(entry, revocation="required")


# --- 3.12 measurements ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("measurement", b"\xff" * 32),
        ("vm_id", b"\xff" * 16),
        ("vm_version", b"\xff" * 16),
        ("user_pubkey_digest", b"\xff" * 32),
        ("host_data", b"\xff" * 64),
        *((f"rtmr{number}", b"\xff" * 32) for number in range(5)),
    ],
)
def test_3_12_each_measured_field_is_compared(field: str, value: bytes) -> None:
    assert mismatches(**{field: value}) == {field}
    assert accepted({field: value}, **{field: value}).verdict == "accepted"
    assert accepted({field: ANY, "min_report_version": 2}, **{field: value}).verdict == "accepted"


def test_3_12_registers_that_a_report_does_not_have_count_as_zeros() -> None:
    evidence, endorsements = collected(CSV, report_version=1)
    with pytest.raises(AppraisalError) as caught:
        appraise(evidence, endorsements, pinned(3))
    assert {mismatch.field for mismatch in caught.value.mismatches} == {"rtmr0", "rtmr1", "rtmr2", "rtmr3", "host_data"}


def test_event_logs_replay_to_registers_in_sm3() -> None:
    result = accepted(
        {f"rtmr{number}": ANY for number in range(1, 5)},
        event_log=True,
    )
    assert isinstance(result.claims, CsvClaims)
    assert result.claims.events is not None
    assert [event.register for event in result.claims.events][:1] == ["rtmr1"]
    refused(RatsTlsError, "rtmr3", {f"rtmr{number}": ANY for number in range(1, 5)}, event_log=True, rtmr3=b"\xff" * 32)
    evidence, _ = collected(CSV, report_version=2, event_log=True)
    first, endorsements = collected(CSV, report_version=1)
    with pytest.raises(RatsTlsError, match="version 1 has no registers"):
        appraise(replace(first, event_log=evidence.event_log), endorsements, pinned(1), now=NOW)
