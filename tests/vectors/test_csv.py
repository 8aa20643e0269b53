"""What the manifest asserts of real CSV Evidence, through the whole appraisal; and every byte of it, changed in turn.

A Verifier that has judged the genuine bytes judges the changed ones, so that nothing it remembers may stand in for
them.
"""

from __future__ import annotations

import functools
import hmac
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from rats_tls.certificates.binding import verify_certificate_key_binding
from rats_tls.certificates.registry import read_attested_certificate
from rats_tls.core.anchors import Vendor
from rats_tls.core.checks import Verdict
from rats_tls.core.claims import CsvClaims
from rats_tls.core.endorsements import EndorsementKind, Endorsements, Origin
from rats_tls.core.errors import AppraisalError, CertificateChainError, EndorsementMissingError, SignatureError
from rats_tls.core.evidence import Evidence, TeeType
from rats_tls.core.refusals import ExitCode, Refusal
from rats_tls.core.results import AttestationResult
from rats_tls.formats.event_log.tcg import TcgEventLog
from rats_tls.formats.hygon.evidence import CsvEvidence
from rats_tls.formats.hygon.report import AttestationReport
from rats_tls.verifiers.csv import CsvVerifier, DecodedCsv
from rats_tls.verifiers.vendor_roots import VENDOR_ROOTS
from support.appraisals import claims_of, make_appraiser
from support.event_logs import SHA384, SM3, Logged
from support.hygon import CSV_RS, PEK_V1, SIGNED_V1, CsvVector, load, trustee_evidence, verify
from support.hygon_links import vendor
from support.intel import CRYPTO, manifest
from support.paths import VECTORS
from support.policies import default_policy
from support.ratls_real import CAPTURED
from support.simulated import NOW
from support.tampering import ACCEPTED, EVERY_BIT, Part, flipped, outcome, surviving_cuts, survivors

BITS: dict[str, Any] = {"allow_key_sharing": True, "allow_plain_registers": True, "allow_send": True}
"""What the guest policy 0x40000001 leaves open: NODBG alone is set."""
UNREVOKED: dict[str, Any] = {"revocation": "not-checked"}


def appraise(vector: CsvVector, *, report_data: bytes | None = None, **policy: Any) -> AttestationResult:
    """Appraise with a policy that pins what the genuine report says."""
    pinned = default_policy(claims_of(load().evidence.data), **{**UNREVOKED, **policy})
    judging = make_appraiser(pinned, vector.endorsements)
    return judging.appraise_evidence(vector.evidence, now=NOW, expected_report_data=report_data)


USER_DATA = b"user data".ljust(64, b"\0")


class TestCsvRs:
    def test_measurements(self) -> None:
        verification = verify(load())
        assert verification.problems == ()
        claims = verification.claims
        assert isinstance(claims, CsvClaims)
        found = {
            "user_data": claims.report_data.hex(),
            "mnonce": claims.mnonce.hex(),
            "measurement": claims.measurement.hex(),
            "policy": claims.policy.to_bytes(4, "little").hex(),
            "vm_id": claims.vm_id.hex(),
            "serial": claims.unsigned_chip_id.rstrip(b"\0").decode(),
        }
        assert found == manifest()[CSV_RS]["measurements"]
        assert (claims.report_version, claims.rtmrs, claims.host_data, claims.build) == (1, None, None, None)

    def test_accepted_by_a_policy_that_allows_its_bits(self) -> None:
        result = appraise(load(), report_data=USER_DATA, **BITS)
        assert result.verdict == "accepted"
        assert result.anchor is not None
        assert result.anchor.name == "HYGON-SSD-HRK"
        assert [check.id for check in result.not_checked] == [
            "csv.unsigned_fields",
            "hygon.not_revoked",
            "freshness.evidence_age",
        ]
        (used,) = result.endorsements
        assert (used.kind, used.origin) == (EndorsementKind.HYGON_CEK_CHAIN, "local")

    @pytest.mark.parametrize("left_out", sorted(BITS))
    def test_refused_without_each_of_them(self, left_out: str) -> None:
        with pytest.raises(AppraisalError) as caught:
            appraise(load(), report_data=USER_DATA, **{name: value for name, value in BITS.items() if name != left_out})
        assert [mismatch.field for mismatch in caught.value.mismatches] == [left_out]
        assert caught.value.authenticated

    def test_the_mask_is_unproved_where_user_data_is_compared_with_nothing(self) -> None:
        with pytest.raises(AppraisalError) as caught:
            appraise(load(), **BITS)
        assert [mismatch.field for mismatch in caught.value.mismatches] == ["allow_unproved_mask"]
        result = appraise(load(), **BITS, allow_unproved_mask=True)
        assert any("nothing signs the mask" in str(check.note) for check in result.not_checked)

    def test_refused_under_any_other_root(self) -> None:
        pinned = default_policy(claims_of(load().evidence.data), **UNREVOKED, **BITS)
        hygon = [anchor for anchor in VENDOR_ROOTS if anchor.vendor is Vendor.HYGON]
        others = (*(anchor for anchor in VENDOR_ROOTS if anchor not in hygon), vendor().trust_anchor)
        judging = make_appraiser(pinned, load().endorsements, anchors=others)
        with pytest.raises(CertificateChainError, match="HSK signature by rats-tls simulation HRK"):
            judging.appraise_evidence(load().evidence, now=NOW, expected_report_data=USER_DATA)

    def test_the_pek_is_the_one_that_upstream_derives(self) -> None:
        report = AttestationReport.from_bytes(load().evidence.data)
        assert report.pek.to_bytes() == (VECTORS / CSV_RS / "pek.cert").read_bytes()

    def test_the_same_in_a_page_and_in_both_orders(self) -> None:
        vector, nothing = load(), Endorsements()
        page = vector.evidence.data.ljust(4096, b"\0")
        chain = vector.chain.issuer_chain[0] + vector.chain.data
        size = len(chain).to_bytes(4, "little")
        expected = verify(vector).claims
        for data, items in (
            (page, vector.endorsements),
            (page + bytes(len(chain) + 4), vector.endorsements),
            (page + chain + size, nothing),
            (page + size + chain, nothing),
        ):
            verification = verify(CsvVector(evidence=Evidence.of(TeeType.CSV, data), endorsements=items))
            assert (verification.problems, verification.claims) == ((), expected)
            assert CsvEvidence.from_bytes(data).to_bytes() == data

    def test_without_the_chain_it_is_named(self) -> None:
        vector = load()
        with pytest.raises(EndorsementMissingError) as caught:
            appraise(CsvVector(evidence=vector.evidence, endorsements=Endorsements()), report_data=USER_DATA, **BITS)
        (missing,) = caught.value.missing
        assert missing.kind is EndorsementKind.HYGON_CEK_CHAIN
        assert "NZA9T14052605" in str(missing)
        assert caught.value.refusal.exit_code is ExitCode.ENDORSEMENTS


class TestTrustee:
    def test_decodes_with_its_event_log(self) -> None:
        decoded = CsvVerifier().decode(trustee_evidence())
        assert isinstance(decoded.structure, DecodedCsv)
        log = decoded.structure.event_log
        assert isinstance(log, TcgEventLog)
        assert [size for _, size in log.algorithms] == [48, 32]
        claims = decoded.claims
        assert isinstance(claims, CsvClaims)
        assert claims.unsigned_chip_id.rstrip(b"\0") == b"KPA64911240507"

    def test_its_own_signature_verifies_and_the_chain_is_missing(self) -> None:
        evidence = trustee_evidence()
        for chains in ((), (load().chain,), (replace(load().chain, origin=Origin.PEER),)):
            verification = verify(CsvVector(evidence=evidence, endorsements=Endorsements(chains)))
            said = {check.id: check.verdict for check in verification.checks}
            passed = {name for name, verdict in said.items() if verdict is Verdict.PASSED}
            assert passed == {"csv.report", "csv.signer", "csv.report_signature", "hygon.pek"}
            assert said["event_log.registers"] is Verdict.NOT_CHECKED
            (problem,) = verification.problems
            assert problem.missing is not None
            assert str(problem.missing) == "hygon-cek-chain (chip KPA64911240507)"

    def test_a_log_that_says_more_than_a_report_of_version_1_can(self) -> None:
        evidence = trustee_evidence()
        head = evidence.event_log[:69]
        event = Logged(index=1, digests=((SM3, bytes(32)), (SHA384, bytes(48)))).to_bytes()
        verification = verify(
            CsvVector(evidence=replace(evidence, event_log=head + event), endorsements=Endorsements())
        )
        (problem,) = verification.problems
        assert problem.error.refusal is Refusal.EVENT_LOG
        assert "no registers" in problem.error.message


# --- as C peers send it -----------------------------------------------------------------------------------------------
def test_captured_from_c_is_refused_for_its_signature() -> None:
    """A page of zeros but for user_data: nobody signed it, and nothing in it says that somebody did."""
    der = (CAPTURED / "cert-csv.der").read_bytes()
    attested = read_attested_certificate(der)
    assert attested.evidence is not None
    assert attested.trailing_bytes == (1037, 19, 28)
    assert attested.custom_claims == {"key_0": b"value_0\0", "key_1": b"value_1\0"}
    claims = CsvVerifier().decode(attested.evidence).claims
    assert isinstance(claims, CsvClaims)
    checks = verify_certificate_key_binding(attested, claims.report_data, CRYPTO)
    assert [check.id for check in checks] == ["binding.pubkey_hash", "binding.report_data"]
    changes: dict[str, Any] = {"max_evidence_age": "any", "preamble": "optional", **UNREVOKED, **BITS}
    judging = make_appraiser(default_policy(claims, **changes))
    with pytest.raises(SignatureError, match="report: ") as caught:
        judging.appraise_certificate(der, now=datetime(2026, 12, 1, tzinfo=UTC), possession_proved=True, preamble=False)
    assert caught.value.refusal is Refusal.EVIDENCE_SIGNATURE
    assert caught.value.refusal.exit_code is ExitCode.NOT_AUTHENTIC
    failed = [check.id for check in caught.value.checks if check.verdict is Verdict.FAILED]
    assert failed == ["csv.signer"]


# --- every byte -------------------------------------------------------------------------------------------------------
REPORT, HSK, CEK = "report", "hsk", "cek"
SIZES = {REPORT: 2548, HSK: 832, CEK: 2084}
PEK = PEK_V1  # where the PEK certificate begins in a report
OWNER_SLOT = 1052 + 512  # where the second signature of a CEK or PEK certificate begins: usage, algorithm, r, s
UNCOVERED: dict[str, list[tuple[int, int]]] = {
    REPORT: [
        (PEK + OWNER_SLOT, PEK + OWNER_SLOT + 40),  # the owner's signature of the PEK adds no trust: usage to r
        (PEK + OWNER_SLOT + 80, PEK + OWNER_SLOT + 112),  # its s
        (PEK + 2084, 2548),  # chip_id identifies nothing; what the hmac covers, and the hmac, are the guest's
    ],
    HSK: [],
    CEK: [],
}
EACH = pytest.mark.parametrize("name", SIZES)


@functools.cache
def parts() -> dict[str, Part]:
    vector, warm = load(), CsvVerifier()

    def part(data: bytes, change: Callable[[bytes], CsvVector]) -> Part:
        return Part(
            data=data,
            judge=lambda changed: outcome(lambda: verify(change(changed), verifier=warm).problems),
            cold=lambda changed: outcome(lambda: verify(change(changed)).problems),
        )

    return {
        REPORT: part(vector.evidence.data, vector.with_data),
        HSK: part(vector.chain.issuer_chain[0], lambda changed: vector.with_chain(hsk=changed)),
        CEK: part(vector.chain.data, lambda changed: vector.with_chain(cek=changed)),
    }


def test_the_table_has_every_byte() -> None:
    assert {name: len(part.data) for name, part in parts().items()} == SIZES


@EACH
def test_every_changed_byte(name: str) -> None:
    """PEK and report are one piece here: what the report's signature leaves out of it, the CEK's covers."""
    uncovered = [offset for start, end in UNCOVERED[name] for offset in range(start, end)]
    assert survivors(parts()[name]) == uncovered
    signed = {REPORT: [*range(SIGNED_V1), *range(PEK, PEK + 1044)], HSK: range(576), CEK: range(1044)}[name]
    assert not set(signed) & set(uncovered)


def test_every_bit_of_what_the_report_signs() -> None:
    offsets = range(0xC0)  # with the words behind it, and the mask
    assert survivors(parts()[REPORT], offsets=offsets, masks=EVERY_BIT) == []


@EACH
def test_what_refuses(name: str) -> None:
    part = parts()[name]
    label = {REPORT: "evidence_signature", HSK: "certificate_chain", CEK: "certificate_chain"}[name]
    last = {REPORT: SIGNED_V1, HSK: 576, CEK: 0}[name]
    assert {part.judge(flipped(part.data, offset, 1)) for offset in (*range(4), *range(last - 4, last))} >= {label}


@EACH
def test_a_verifier_without_memory_says_the_same(name: str) -> None:
    part = parts()[name]
    for offset in range(0, len(part.data), 41):
        changed = flipped(part.data, offset, 1)
        assert part.cold(changed) == part.judge(changed)


@EACH
def test_every_truncation(name: str) -> None:
    part = parts()[name]
    assert part.judge(part.data) == ACCEPTED
    assert surviving_cuts(part, step=3) == []


def test_the_code_by_which_attesters_know_that_nothing_was_changed_is_the_firmwares() -> None:
    report = CsvEvidence.from_bytes(load().evidence.data).report
    assert hmac.new(report.mnonce, report.protected_by_hmac, "sm3").digest() == report.hmac
