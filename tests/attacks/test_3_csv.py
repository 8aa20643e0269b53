"""What a CSV report says beside its signature, links of Hygon's chain, and who may hand one in.

Numbers are those of docs/attacks.md.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from rats_tls.certificates.registry import read_attested_certificate
from rats_tls.core.checks import Verdict
from rats_tls.core.claims import CsvClaims
from rats_tls.core.endorsements import NO_EXPIRY, NO_ISSUE_DATE, Endorsements
from rats_tls.core.errors import (
    AppraisalError,
    BindingError,
    ConfigurationError,
    RatsTlsError,
    SignatureError,
)
from rats_tls.core.evidence import Evidence, TeeType
from rats_tls.policy import Mode, Policy
from rats_tls.simulation.csv_states import CsvState
from support.hygon import ANONCE, PEK_LATER, SIGNED_V1, csv_claims, pinned, shifted, under_another_mask, xor
from support.judged import REPORT_DATA, appraise, collected, judge, presented
from support.judged import appraiser as make_appraiser
from support.sides import CSV, attester, policy_for
from support.simulated import NOW, world

NODBG = 1
OTHER_32 = bytes([1] * 32)
V1: dict[str, Any] = {"report_version": 1}


def mismatches(evidence: Evidence, policy: Policy, **settings: Any) -> set[str]:
    """Give the fields for which Evidence is refused."""
    with pytest.raises(AppraisalError) as caught:
        appraise(evidence, None, policy, **settings)
    assert caught.value.authenticated
    return {mismatch.field for mismatch in caught.value.mismatches}


def failed(error: RatsTlsError) -> list[str]:
    return [check.id for check in error.checks if check.verdict is Verdict.FAILED]


def masked_anew(evidence: Evidence, change: int) -> Evidence:
    return replace(evidence, data=under_another_mask(evidence.data, shifted(change)))


# --- 3.31 what nothing signs in version 1 ----------------------------------------------------------------------------
def test_3_31_another_mask_shifts_the_policy_under_a_good_signature() -> None:
    """The attack, with nothing in its way: compared with no user_data, and a policy that says that it may be so."""
    evidence, _ = collected(CSV, **V1, debug=True)
    moved = masked_anew(evidence, NODBG)
    assert csv_claims(evidence.data).debug
    assert not csv_claims(moved.data).debug
    open_policy = pinned(moved.data, allow_unproved_mask=True)
    result = appraise(moved, None, open_policy, report_data=None)
    assert not result.claims.debug  # type: ignore[union-attr]
    assert any("nothing signs the mask (anonce)" in str(check.note) for check in result.not_checked)


def test_3_31_without_a_comparison_of_user_data_no_policy_accepts_it_by_default() -> None:
    evidence, _ = collected(CSV, **V1)
    for data in (evidence.data, under_another_mask(evidence.data, shifted(1 << 31))):
        other = replace(evidence, data=data)
        assert mismatches(other, pinned(data), report_data=None) == {"allow_unproved_mask"}
    assert appraise(evidence, None, pinned(evidence.data)).verdict == "accepted"
    later, _ = collected(CSV)
    assert appraise(later, None, policy_for(CSV), report_data=None).verdict == "accepted"


@pytest.mark.parametrize("change", [1 << bit for bit in range(32)])
def test_3_31_user_data_compared_refuses_every_other_mask(change: int) -> None:
    evidence, _ = collected(CSV, **V1)
    with pytest.raises(BindingError):
        appraise(masked_anew(evidence, change), None, pinned(evidence.data))


class Padding:
    """An attester that puts other bytes than zeros behind the digest of a certificate's key."""

    name = CSV
    tee_type = TeeType.CSV

    def __init__(self, version: int) -> None:
        self._attester = attester(CSV, report_version=version)

    def collect(self, report_data: bytes) -> Any:
        assert report_data[32:] == bytes(32)
        return self._attester.collect(report_data[:32] + bytes(31) + b"\1")


@pytest.mark.parametrize("version", [1, 2, 3])
def test_3_31_a_certificate_binds_the_zeros_behind_the_digest_too(version: int) -> None:
    certificate, endorsements = presented(Padding(version))
    attested = read_attested_certificate(certificate).evidence
    assert attested is not None
    with pytest.raises(BindingError):
        judge(make_appraiser(endorsements, pinned(attested.data)), certificate)
    right, endorsements = presented(attester(CSV, report_version=version))
    assert judge(make_appraiser(endorsements, pinned(attested.data)), right).verdict == "accepted"


def test_3_31_a_guest_that_chooses_user_data_for_its_mask_is_refused_by_its_measurement() -> None:
    """All that its owner chooses at launch reads as expected; only the measurement is what it is."""
    healthy, _ = collected(CSV, **V1)
    expected = csv_claims(healthy.data)
    mask = shifted(NODBG)
    chosen = {
        name: xor(getattr(expected, name), mask) for name in ("user_pubkey_digest", "vm_id", "vm_version", "mnonce")
    }
    made = world().attester(CSV, **V1, **chosen, debug=True).collect(xor(REPORT_DATA, mask))
    moved = replace(made.evidence, data=under_another_mask(made.evidence.data, mask))
    shown = csv_claims(moved.data)
    assert (shown.report_data, shown.policy) == (REPORT_DATA, expected.policy)
    assert mismatches(moved, pinned(healthy.data)) == {"measurement"}


def test_3_31_any_measurement_needs_reports_without_a_mask() -> None:
    evidence, _ = collected(CSV, **V1)
    with pytest.raises(ConfigurationError, match='measurement: "any" needs min_report_version = 2'):
        pinned(evidence.data, measurement="any")
    later, _ = collected(CSV)
    assert appraise(later, None, policy_for(CSV, measurement="any", min_report_version=2)).verdict == "accepted"


@pytest.mark.parametrize("version", [1, 2, 3])
@pytest.mark.parametrize("state", [{"sig_usage": 0x1001}, {"sig_usage": 0x1004}, {"sig_algo": 5}, {"sig_algo": 0}])
def test_3_31_the_words_behind_what_is_signed(version: int, state: dict[str, Any]) -> None:
    evidence, _ = collected(CSV, report_version=version, **state)
    with pytest.raises(SignatureError, match="expected sig_usage 0x1002 \\(PEK\\), sig_algo 4") as caught:
        appraise(evidence, None, policy_for(CSV))
    assert failed(caught.value) == ["csv.signer"]


@pytest.mark.parametrize("offset", [SIGNED_V1, SIGNED_V1 + 4])
def test_3_31_the_words_as_they_read_under_the_mask(offset: int) -> None:
    evidence, _ = collected(CSV, **V1)
    data = bytearray(evidence.data)
    mask = data[ANONCE]
    data[offset : offset + 4] = b"\2\x10\0\0" if offset == SIGNED_V1 else b"\4\0\0\0"  # right without the mask
    assert any(mask)
    with pytest.raises(SignatureError, match="sig_usage"):
        appraise(replace(evidence, data=bytes(data)), None, pinned(evidence.data))


@pytest.mark.parametrize("version", [1, 2, 3])
def test_3_31_chip_id_is_no_identity(version: int) -> None:
    own, _ = collected(CSV, report_version=version)
    other, _ = collected(CSV, report_version=version, serial="another chip")
    results = [appraise(evidence, None, pinned(own.data)) for evidence in (own, other)]
    assert results[0].claims.hardware_ids == results[1].claims.hardware_ids
    (identity,) = results[0].claims.hardware_ids or ()
    assert appraise(other, None, pinned(own.data, identity={"hardware_ids": [identity]})).verdict == "accepted"
    another_machine, _ = collected(CSV, report_version=version, machine=1, serial=world().hygon_chip(0).serial)
    assert mismatches(another_machine, pinned(own.data, identity={"hardware_ids": [identity]})) == {"identity"}
    with pytest.raises(ConfigurationError, match="expected 32 bytes"):
        policy_for(CSV, identity={"hardware_ids": [csv_claims(own.data).unsigned_chip_id]})


@pytest.mark.parametrize("position", [8, 31, 32, 63])
@pytest.mark.parametrize("version", [1, 2, 3])
def test_3_31_all_64_bytes_of_user_data_count(version: int, position: int) -> None:
    evidence, _ = collected(CSV, report_version=version)
    expected = REPORT_DATA[:position] + bytes((REPORT_DATA[position] ^ 1,)) + REPORT_DATA[position + 1 :]
    with pytest.raises(BindingError):
        appraise(evidence, None, pinned(evidence.data), report_data=expected)


# --- 3.32 which version a report is ----------------------------------------------------------------------------------
@pytest.mark.parametrize("version", [2, 3])
def test_3_32_a_later_report_read_as_version_1(version: int) -> None:
    """Its PEK is moved to where version 1 has it: the signature covers other bytes there."""
    evidence, _ = collected(CSV, report_version=version, certificates="beside")
    data = evidence.data
    tail = data[0x400 : PEK_LATER + 2084 + 128]
    as_first = (data[:0xBC] + bytes(4) + tail).ljust(4096, b"\0")
    assert csv_claims(as_first).report_version == 1
    with pytest.raises(SignatureError) as caught:
        appraise(replace(evidence, data=as_first), Endorsements((world().hygon_chip(0).chain(),)), pinned(as_first))
    assert failed(caught.value) == ["csv.report_signature"]


def test_3_32_a_report_of_version_1_read_as_a_later_one() -> None:
    evidence, _ = collected(CSV, **V1, anonce=bytes(4), certificates="beside")
    data = evidence.data
    as_later = (data[:0xC0].ljust(0x400, b"\0") + data[0xC0 : 0x150 + 2084 + 128]).ljust(4096, b"\0")
    assert csv_claims(as_later).report_version == 2
    with pytest.raises(SignatureError) as caught:
        appraise(replace(evidence, data=as_later), Endorsements((world().hygon_chip(0).chain(),)), pinned(as_later))
    assert failed(caught.value) == ["csv.report_signature"]


@pytest.mark.parametrize(("version", "least"), [(1, 2), (1, 3), (2, 3)])
def test_3_32_older_versions_than_the_policy_accepts(version: int, least: int) -> None:
    evidence, _ = collected(CSV, report_version=version)
    assert mismatches(evidence, pinned(evidence.data, min_report_version=least)) == {"min_report_version"}
    assert appraise(evidence, None, pinned(evidence.data, min_report_version=version)).verdict == "accepted"


def test_3_32_a_report_without_registers_meets_none_that_is_pinned() -> None:
    """Whatever a guest has extended, it can ask for a report of version 1."""
    evidence, _ = collected(CSV, **V1)
    refused = mismatches(evidence, policy_for(CSV, min_build=1))
    assert refused == {"rtmr0", "rtmr1", "rtmr2", "rtmr3", "rtmr4", "min_build", "host_data"}


def test_3_31_report_only_passes_over_nothing_that_another_mask_can_hide() -> None:
    """A guest under debug asks for user data that another mask turns into the expected ones, and its policy too."""
    word = b"\1\0\0\0"
    own, _ = collected(CSV, **V1)
    entries = pinned(own.data, vm_id="any", vm_version="any", user_pubkey_digest="any").entries
    policy = Policy.of(*entries, mode=Mode.REPORT_ONLY)
    state = CsvState(report_version=1, debug=True, certificates="rats-tls")
    made = world().hygon_chip().evidence(state, xor(REPORT_DATA, word))
    shifted = Evidence.of(TeeType.CSV, under_another_mask(made, word))
    with pytest.raises(AppraisalError) as caught:
        appraise(shifted, None, policy)
    assert [mismatch.field for mismatch in caught.value.mismatches] == ["measurement"]
    assert caught.value.reported is None
    later, _ = collected(CSV, report_version=3, measurement=bytes(32))
    with pytest.raises(AppraisalError) as caught:
        appraise(later, None, Policy.of(*pinned(collected(CSV)[0].data).entries, mode=Mode.REPORT_ONLY))
    assert caught.value.reported is not None


# --- 3.34 policy bits ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("bit", "field"),
    [(0, "allow_debug"), (1, "allow_key_sharing"), (2, "allow_plain_registers"), (3, "allow_send")],
)
@pytest.mark.parametrize("version", [1, 2, 3])
def test_3_34_bits_that_are_required_by_default(version: int, bit: int, field: str) -> None:
    word = 0x0401_007F & ~(1 << bit)
    evidence, _ = collected(CSV, report_version=version, policy=word)
    assert mismatches(evidence, pinned(evidence.data)) == {field}
    result = appraise(evidence, None, pinned(evidence.data, **{field: True}))
    assert isinstance(result.claims, CsvClaims)
    assert result.claims.policy == word


def test_3_34_a_bit_that_must_be_clear_by_default() -> None:
    evidence, _ = collected(CSV, policy=0x0401_00FF)
    assert mismatches(evidence, pinned(evidence.data)) == {"allow_asid_reuse"}
    assert appraise(evidence, None, pinned(evidence.data, allow_asid_reuse=True)).verdict == "accepted"


@pytest.mark.parametrize(("bit", "field"), [(4, "require_domain"), (5, "require_csv"), (6, "require_csv3")])
def test_3_34_bits_that_a_policy_may_demand(bit: int, field: str) -> None:
    evidence, _ = collected(CSV, policy=0x0401_007F & ~(1 << bit))
    assert mismatches(evidence, pinned(evidence.data, **{field: True})) == {field}
    assert appraise(evidence, None, pinned(evidence.data)).verdict == "accepted"


def test_3_34_versions_that_the_guest_demands_of_its_platform() -> None:
    evidence, _ = collected(CSV, policy=0x0401_127F)
    accepted = {"min_hsk_version": 2, "min_cek_version": 1, "min_policy_api": [1, 4]}
    assert appraise(evidence, None, pinned(evidence.data, **accepted)).verdict == "accepted"
    for field, value in {"min_hsk_version": 3, "min_cek_version": 2, "min_policy_api": [1, 5]}.items():
        assert mismatches(evidence, pinned(evidence.data, **{field: value})) == {field}
    assert mismatches(evidence, pinned(evidence.data, min_policy_api=[2, 0])) == {"min_policy_api"}


# --- the rest --------------------------------------------------------------------------------------------------------
def test_1_12_the_machine_is_told_by_its_cek() -> None:
    (own,) = appraise(*collected(CSV), policy_for(CSV)).claims.hardware_ids or ()
    evidence, endorsements = collected(CSV, machine=1)
    assert mismatches(evidence, policy_for(CSV, identity={"hardware_ids": [own]})) == {"identity"}
    result = appraise(evidence, endorsements, policy_for(CSV))
    assert result.claims.hardware_ids not in ((), None, (own,))


def test_revocation_cannot_be_required() -> None:
    with pytest.raises(ConfigurationError, match="revocation: Hygon publishes no revocation list"):
        policy_for(CSV, revocation="required")
    result = appraise(*collected(CSV), policy_for(CSV))
    assert "hygon.not_revoked" in {check.id for check in result.not_checked}


def test_4_1_nothing_of_hygons_has_dates() -> None:
    evidence, endorsements = collected(CSV)
    for now in (NOW - timedelta(days=7), NOW + timedelta(days=36_500)):
        result = appraise(evidence, endorsements, policy_for(CSV), now=now)
        assert [(used.issued, used.expires) for used in result.endorsements] == [(NO_ISSUE_DATE, NO_EXPIRY)]
