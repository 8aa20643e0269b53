"""Real Hygon CSV Evidence: a report of version 1 with its whole chain, and Trustee's Evidence without one."""

from __future__ import annotations

import functools
import hmac
from dataclasses import replace

import pytest

from rats_tls.appraisal import Appraiser
from rats_tls.core.anchors import AnchorKind
from rats_tls.core.binding import Binding
from rats_tls.core.checks import Verdict
from rats_tls.core.claims import CsvClaims
from rats_tls.core.endorsements import Endorsement, EndorsementKind, Endorsements
from rats_tls.core.errors import AppraisalError, EndorsementMissingError, RatsTlsError
from rats_tls.core.evidence import Evidence, TeeType
from rats_tls.core.refusals import ExitCode
from rats_tls.endorsements.files import endorsements_from_file
from rats_tls.files import evidence_from_json, load_endorsements
from rats_tls.formats.hygon.certificates import KeyCertificate, RootCertificate
from rats_tls.formats.hygon.evidence import CsvEvidence
from rats_tls.policy import CsvEntry, Policy
from rats_tls.policy.csv_entry import pinned_fields
from support.appraisals import claims_of, make_appraiser
from support.paths import VECTORS
from support.simulated import NOW

COMPLETE = VECTORS / "csv" / "csv-rs-complete"
USER_DATA = b"user data".ljust(64, b"\0")
ALLOWED = {"allow_key_sharing": True, "allow_plain_registers": True, "allow_send": True, "allow_debug": False}
"""Its policy word is 0x40000001: NODBG alone."""


@functools.cache
def report() -> bytes:
    return (COMPLETE / "report.cert").read_bytes()


@functools.cache
def chain() -> Endorsement:
    (found,) = endorsements_from_file((COMPLETE / "hsk_cek.cert").read_bytes(), where="hsk_cek.cert")
    return found


def entry(**written: object) -> CsvEntry:
    claims = claims_of(report())
    assert isinstance(claims, CsvClaims)
    common = {"name": "pinned", "bindings": "none", "identity": "measurement-only", "revocation": "not-checked"}
    return CsvEntry(**{**common, **pinned_fields(claims), **ALLOWED, **written})  # type: ignore[arg-type]  # by name


@functools.cache
def judging() -> Appraiser:
    """One that has judged the genuine bytes: nothing that it remembers may stand in for others."""
    made = make_appraiser(Policy.of(entry()))
    judge(made, report(), chain())
    return made


def judge(appraiser: Appraiser, data: bytes, *items: Endorsement, report_data: bytes | None = USER_DATA):
    evidence = Evidence.of(TeeType.CSV, data)
    return appraiser.appraise_evidence(evidence, now=NOW, expected_report_data=report_data, peer_endorsements=items)


# --- csv-rs-complete ----------------------------------------------------------------------------------------------
def test_complete_is_accepted_by_a_policy_that_allows_its_policy_bits() -> None:
    result = judge(judging(), report(), chain())
    assert result.verdict == "accepted"
    assert result.anchor is not None
    assert (result.anchor.kind, result.anchor.name) == (AnchorKind.VENDOR, "HYGON-SSD-HRK")
    assert result.binding is Binding.REPORT_DATA
    claims = result.claims
    assert isinstance(claims, CsvClaims)
    assert claims.report_version == 1
    assert claims.policy == 0x40000001
    assert claims.mnonce.hex() == "67c6697351ff4aec29cdbaabf2fbe346"
    assert claims.measurement.hex() == "1178dadbf826ec7a07444ba358376d81c312cb53d703f9da83b26c1eee2ea052"
    assert claims.chip_id.rstrip(b"\0") == b"NZA9T14052605"
    assert claims.vm_id == bytes(16)
    assert [check.id for check in result.checks if check.verdict is Verdict.NOT_CHECKED] == [
        "hygon.not_revoked",
        "freshness.evidence_age",
    ]


@pytest.mark.parametrize("field", [name for name, allowed in ALLOWED.items() if allowed])
def test_complete_is_refused_by_each_policy_bit_that_is_not_allowed(field: str) -> None:
    with pytest.raises(AppraisalError) as caught:
        judge(make_appraiser(Policy.of(entry(**{field: False}))), report(), chain())
    assert [mismatch.field for mismatch in caught.value.mismatches] == [field]


def test_complete_in_the_forms_of_its_files() -> None:
    both = load_endorsements(COMPLETE / "hsk.cert", COMPLETE / "cek.cert")
    assert both.items == (chain(),)
    page = report().ljust(4096, b"\0")
    hsk_cek = (COMPLETE / "hsk_cek.cert").read_bytes()
    size = len(hsk_cek).to_bytes(4, "little")
    for data in (page, page + hsk_cek + size, page + size + hsk_cek):
        items = () if len(data) > 4096 else (chain(),)
        assert judge(judging(), data, *items).verdict == "accepted"


def test_every_byte_that_the_report_signs_is_covered() -> None:
    accepted = []
    for offset in range(180):
        changed = bytearray(report())
        changed[offset] ^= 1
        try:
            # Nothing is compared but what the signature covers.
            judge(judging(), bytes(changed), chain(), report_data=None)
        except RatsTlsError as error:
            if error.refusal.exit_code is ExitCode.NOT_AUTHENTIC:
                continue
        accepted.append(offset)
    assert accepted == []


@pytest.mark.parametrize("name", ["HSK", "CEK", "PEK"])
def test_every_byte_that_a_certificate_signs_is_covered(name: str) -> None:
    accepted = []
    size = {"HSK": 576, "CEK": 1044, "PEK": 1044}[name]
    for offset in range(size):
        data, item = bytearray(report()), chain()
        if name == "PEK":
            data[0x150 + offset] ^= 1  # under the mask as well as without it
        elif name == "HSK":
            item = replace(item, issuer_chain=(flipped(item.issuer_chain[0], offset),))
        else:
            item = replace(item, data=flipped(item.data, offset))
        try:
            judge(judging(), bytes(data), item)
        except RatsTlsError as error:
            if error.refusal.exit_code in {ExitCode.NOT_AUTHENTIC, ExitCode.MALFORMED, ExitCode.ENDORSEMENTS}:
                continue
        accepted.append(offset)
    assert accepted == []


def flipped(data: bytes, offset: int) -> bytes:
    return data[:offset] + bytes((data[offset] ^ 1,)) + data[offset + 1 :]


def test_the_root_of_its_file_is_the_pinned_one() -> None:
    root = RootCertificate.from_bytes((COMPLETE / "hrk.cert").read_bytes())
    anchor = judge(judging(), report(), chain()).anchor
    assert anchor is not None
    assert (root.key.spki, root.key.user_id, root.usage) == (anchor.spki, anchor.subject, 0)
    pek = KeyCertificate.from_bytes((COMPLETE / "pek.cert").read_bytes())
    assert CsvEvidence.from_bytes(report()).report.pek == pek


def test_without_certificates_they_are_missing_after_all_that_needs_none() -> None:
    with pytest.raises(EndorsementMissingError) as caught:
        judge(judging(), report())
    (missing,) = caught.value.missing
    assert (missing.kind, missing.key) == (EndorsementKind.HYGON_CEK_CHAIN, (("chip", "NZA9T14052605"),))
    passed = {check.id for check in caught.value.checks if check.verdict is Verdict.PASSED}
    assert {"csv.report", "csv.signer", "csv.report_signature", "hygon.pek", "binding.report_data"} <= passed


def test_the_code_by_which_attesters_know_that_nothing_was_changed_is_the_firmwares() -> None:
    decoded = CsvEvidence.from_bytes(report()).report
    assert hmac.new(decoded.mnonce, decoded.protected_by_hmac, "sm3").digest() == decoded.hmac


# --- trustee-csv-evidence-v2 --------------------------------------------------------------------------------------
def test_trustees_evidence_lacks_its_certificates_and_names_them() -> None:
    evidence = evidence_from_json((VECTORS / "csv" / "trustee-csv-evidence-v2" / "csv_evidence.json").read_bytes())
    assert evidence is not None
    assert evidence.event_log
    claims = claims_of(evidence.data)
    assert isinstance(claims, CsvClaims)
    common = {"name": "pinned", "bindings": "none", "identity": "measurement-only", "revocation": "not-checked"}
    loose = {name: True for name in ALLOWED if name != "allow_debug"}
    accepting = CsvEntry(**{**common, **pinned_fields(claims), **loose, "allow_debug": True})  # type: ignore[arg-type]
    with pytest.raises(EndorsementMissingError) as caught:
        make_appraiser(Policy.of(accepting), Endorsements()).appraise_evidence(
            evidence, now=NOW, expected_report_data=claims.report_data
        )
    (missing,) = caught.value.missing
    assert str(missing) == "hygon-cek-chain (chip KPA64911240507)"
