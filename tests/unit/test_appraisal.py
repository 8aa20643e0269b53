"""The one judgement over a scripted Verifier: order of failures, what is missing, and plug-ins that misbehave."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from rats_tls.core.binding import Binding
from rats_tls.core.checks import Check, Stage, Verdict
from rats_tls.core.claims import NullClaims
from rats_tls.core.endorsements import Endorsement, EndorsementKind, Endorsements
from rats_tls.core.errors import (
    AppraisalError,
    BindingError,
    CertificateChainError,
    ConfigurationError,
    DecodeError,
    EndorsementMissingError,
    ExpiredError,
    FreshnessError,
    InternalError,
    NoEvidenceError,
    RatsTlsError,
    SignatureError,
    TcbLevelError,
    UnsupportedError,
)
from rats_tls.core.evidence import Evidence, TeeType
from rats_tls.core.limits import Limits
from rats_tls.core.refusals import Refusal
from rats_tls.core.results import AttestationResult
from rats_tls.policy import Policy
from support.channels import certificate as plain_certificate
from support.claims import SGX, SNP
from support.policies import default_policy, null_policy, pinning_entry
from support.scripted_verifier import ScriptedVerifier, appraiser, certificate, evidence, missing, problem
from support.simulated import NOW, REPORT_DATA

K = EndorsementKind
DAY = timedelta(days=1)


def judge(
    verifier: ScriptedVerifier,
    policy: Policy | None = None,
    *,
    report_data: bytes | None = REPORT_DATA,
    limits: Limits | None = None,
    subject: Evidence | None = None,
) -> AttestationResult:
    made = appraiser(verifier, policy, **({"limits": limits} if limits is not None else {}))
    return made.appraise_evidence(subject or evidence(), now=NOW, expected_report_data=report_data)


# --- order of failures ------------------------------------------------------------------------------------------------
HARD = {
    Stage.EVIDENCE_SIGNATURE: problem(Stage.EVIDENCE_SIGNATURE, SignatureError("wrong signature")),
    Stage.VENDOR_CHAIN: problem(Stage.VENDOR_CHAIN, CertificateChainError("wrong chain")),
    Stage.REVOCATION: problem(Stage.REVOCATION, CertificateChainError("revoked", refusal=Refusal.REVOKED)),
    Stage.TCB: problem(Stage.TCB, TcbLevelError("no level")),
}
OTHERS = {
    Stage.KEY_BINDING: BindingError,
    Stage.POLICY: AppraisalError,
}
MISSING = missing(K.INTEL_TCB_INFO)


@pytest.mark.parametrize(
    "stages", list(itertools.combinations([*HARD, *OTHERS], 2)), ids=lambda stages: "+".join(s.name for s in stages)
)
@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("also_missing", [False, True])
@pytest.mark.parametrize("revocation", ["required", "not-checked"])
def test_the_earliest_stage_is_reported(
    stages: tuple[Stage, ...], backwards: bool, also_missing: bool, revocation: str
) -> None:
    problems = [HARD[stage] for stage in sorted(stages) if stage in HARD] + [MISSING] * also_missing
    verifier = ScriptedVerifier(
        problems=tuple(problems[::-1] if backwards else problems),
        report_data=bytes(64) if Stage.KEY_BINDING in stages else REPORT_DATA,
    )
    pinned = {"mr_enclave": bytes(32)} if Stage.POLICY in stages else {}
    policy = default_policy(SGX, revocation=revocation, **pinned)
    with pytest.raises(RatsTlsError) as caught:
        judge(verifier, policy)
    first = min(stages)
    if first in HARD:
        assert caught.value is HARD[first].error
    else:
        assert type(caught.value) is OTHERS[first]


def test_an_undecodable_quote_is_reported_before_everything_else() -> None:
    error = DecodeError("Quote", "header", 0, "wrong")

    def fail(_: Evidence) -> None:
        raise error

    verifier = ScriptedVerifier(in_decode=fail, problems=tuple(HARD.values()), report_data=bytes(64))
    with pytest.raises(DecodeError) as caught:
        judge(verifier, default_policy(SGX, mr_enclave=bytes(32)))
    assert caught.value is error
    assert verifier.calls == ["decode"]


@pytest.mark.parametrize("stage", list(HARD))
def test_freshness_comes_after_what_is_verified_and_before_what_is_missing(stage: Stage) -> None:
    der, report_data = certificate(issued_at=NOW - DAY)
    settings: dict[str, Any] = {"now": NOW, "possession_proved": True, "preamble": True}
    wrong = ScriptedVerifier(report_data=report_data, problems=(HARD[stage], MISSING))
    with pytest.raises(RatsTlsError) as caught:
        appraiser(wrong).appraise_certificate(der, **settings)
    assert caught.value is HARD[stage].error
    right = ScriptedVerifier(report_data=report_data, problems=(MISSING,))
    for policy in (default_policy(SGX), default_policy(SGX, mr_enclave=bytes(32))):
        with pytest.raises(FreshnessError, match="Evidence age: got 86400 s, expected at most pinned: 3600 s"):
            appraiser(right, policy).appraise_certificate(der, **settings)
    with pytest.raises(EndorsementMissingError):
        appraiser(right, default_policy(SGX, max_evidence_age="any")).appraise_certificate(der, **settings)


def test_evidence_from_the_future_is_not_fresh() -> None:
    skew = timedelta(seconds=Limits().clock_skew_seconds)
    for issued_at, accepted in ((NOW + skew, True), (NOW + skew + timedelta(seconds=1), False)):
        der, report_data = certificate(issued_at=issued_at)
        for age in (3600, "any"):
            made = appraiser(ScriptedVerifier(report_data=report_data), default_policy(SGX, max_evidence_age=age))
            if accepted:
                assert made.appraise_certificate(der, now=NOW, possession_proved=True).issued_at == issued_at
                continue
            with pytest.raises(FreshnessError, match="later than now"):
                made.appraise_certificate(der, now=NOW, possession_proved=True)


def test_checks_of_a_refusal_stand_in_order_with_the_failed_one_last() -> None:
    with pytest.raises(AppraisalError) as caught:
        judge(ScriptedVerifier(not_covered=7), default_policy(SGX, mr_enclave=bytes(32)))
    assert [check.id for check in caught.value.checks] == [
        "evidence.trailing_bytes",
        "scripted.signature",
        "binding.report_data",
        "freshness.evidence_age",
        "policy",
    ]
    assert [check.verdict for check in caught.value.checks] == [
        Verdict.NOT_CHECKED, Verdict.PASSED, Verdict.PASSED, Verdict.NOT_CHECKED, Verdict.FAILED,
    ]  # fmt: skip
    assert "7 bytes behind" in str(caught.value.checks[0].note)


def test_checks_that_an_error_brings_are_kept() -> None:
    error = SignatureError("wrong signature")
    error.checks = (Check(id="own", stage=Stage.EVIDENCE_SIGNATURE, source="a test", verdict=Verdict.FAILED),)
    with pytest.raises(SignatureError) as caught:
        judge(ScriptedVerifier(problems=(problem(Stage.EVIDENCE_SIGNATURE, error),)))
    assert [check.id for check in caught.value.checks] == ["own"]


# --- missing Endorsements ---------------------------------------------------------------------------------------------
def test_everything_that_is_missing_is_listed_with_what_passed() -> None:
    problems = tuple(missing(kind) for kind in (K.INTEL_TCB_INFO, K.INTEL_QE_IDENTITY, K.INTEL_ROOT_CRL))
    with pytest.raises(EndorsementMissingError, match=r"checks passed: scripted\.signature") as caught:
        judge(ScriptedVerifier(problems=problems))
    assert [item.kind for item in caught.value.missing] == [item.missing.kind for item in problems if item.missing]
    assert "intel-tcb-info (fmspc 00)" in caught.value.message
    assert "binding.report_data" in [check.id for check in caught.value.checks]


def test_claims_that_contradict_the_policy_are_said_before_anything_is_fetched() -> None:
    unverified = ScriptedVerifier(claims=replace(SGX, platform=None, tcb=None), problems=(MISSING,))
    with pytest.raises(AppraisalError, match="not authenticated; Endorsements missing: intel-tcb-info") as caught:
        judge(unverified, default_policy(SGX, mr_enclave=bytes(32), min_isv_svn=9))
    error = caught.value
    assert {mismatch.field for mismatch in error.mismatches} == {"mr_enclave", "min_isv_svn"}
    assert ([item.kind for item in error.missing], error.authenticated) == ([K.INTEL_TCB_INFO], False)
    assert "tcb_statuses" in error.not_done
    assert error.refusal is Refusal.POLICY


def test_a_missing_endorsement_is_never_acceptance() -> None:
    """Whatever the claims say of platform and TCB."""
    with pytest.raises(EndorsementMissingError):
        judge(ScriptedVerifier(problems=(MISSING,)))


CRL = missing(K.INTEL_PCK_CRL, Stage.REVOCATION, waived=True)
OLD_CRL = problem(Stage.REVOCATION, ExpiredError("the list has ended"), waived=True)
NOT_CHECKED = default_policy(SGX, revocation="not-checked")


def test_lists_may_be_missing_only_where_the_policy_says_so() -> None:
    with pytest.raises(EndorsementMissingError, match="intel-pck-crl"):
        judge(ScriptedVerifier(problems=(CRL,)))
    assert judge(ScriptedVerifier(problems=(CRL,)), NOT_CHECKED).policy_entry == "pinned"
    with pytest.raises(EndorsementMissingError) as caught:
        judge(ScriptedVerifier(problems=(CRL, MISSING)), NOT_CHECKED)
    assert [item.kind for item in caught.value.missing] == [K.INTEL_TCB_INFO]


def test_lists_may_have_ended_only_where_the_policy_says_so() -> None:
    for later in ((), (HARD[Stage.TCB],)):
        with pytest.raises(ExpiredError, match="the list has ended"):
            judge(ScriptedVerifier(problems=(*later, OLD_CRL)))
    assert judge(ScriptedVerifier(problems=(OLD_CRL,)), NOT_CHECKED).policy_entry == "pinned"


@pytest.mark.parametrize("stage", list(HARD))
def test_no_policy_waives_what_is_wrong(stage: Stage) -> None:
    with pytest.raises(RatsTlsError) as caught:
        judge(ScriptedVerifier(problems=(OLD_CRL, CRL, HARD[stage])), NOT_CHECKED)
    assert caught.value is HARD[stage].error


def test_an_entry_that_waives_lists_waives_them_for_itself_alone() -> None:
    policy = Policy.of(
        pinning_entry(SGX, name="strict"),
        pinning_entry(SGX, name="lenient", revocation="not-checked", mr_enclave=bytes(32)),
    )
    # Nothing but the list lacks for one entry: then that is what is said, so that it can be fetched.
    with pytest.raises(EndorsementMissingError) as missing:
        judge(ScriptedVerifier(problems=(CRL,)), policy)
    assert [item.kind for item in missing.value.missing] == [K.INTEL_PCK_CRL]
    with pytest.raises(ExpiredError, match="the list has ended"):
        judge(ScriptedVerifier(problems=(OLD_CRL,)), policy)
    # More lacks for both.
    neither = Policy.of(
        pinning_entry(SGX, name="strict", mr_signer=bytes(32)),
        pinning_entry(SGX, name="lenient", revocation="not-checked", mr_enclave=bytes(32)),
    )
    with pytest.raises(AppraisalError) as caught:
        judge(ScriptedVerifier(problems=(CRL,)), neither)
    assert {(item.entry, item.field) for item in caught.value.mismatches} == {
        ("strict", "revocation"),
        ("strict", "mr_signer"),
        ("lenient", "mr_enclave"),
    }
    assert [item.kind for item in caught.value.missing] == [K.INTEL_PCK_CRL]


# --- sizes ------------------------------------------------------------------------------------------------------------
def test_evidence_that_is_too_large_reaches_no_verifier() -> None:
    verifier = ScriptedVerifier()
    limits = Limits(evidence=100)
    assert judge(verifier, limits=limits, subject=evidence(bytes(100)))
    verifier.calls.clear()
    with pytest.raises(DecodeError, match="got 101 bytes, at most 100 are read"):
        judge(verifier, limits=limits, subject=evidence(bytes(101)))
    assert verifier.calls == []


def test_a_certificate_that_is_too_large_reaches_no_verifier() -> None:
    der, report_data = certificate()
    verifier = ScriptedVerifier(report_data=report_data)
    made = appraiser(verifier, limits=Limits(certificate_read=len(der) - 1))
    with pytest.raises(DecodeError, match=f"at most {len(der) - 1} are read"):
        made.appraise_certificate(der, now=NOW, possession_proved=True)
    assert verifier.calls == []


@pytest.mark.parametrize("size", [0, 32, 63, 65])
def test_report_data_of_another_length_is_not_bound(size: int) -> None:
    """A plug-in may decode less than 64 bytes: nothing of another length ever equals what is expected."""
    with pytest.raises(BindingError):
        judge(ScriptedVerifier(report_data=REPORT_DATA[:size].ljust(size, b"\0")))
    der, report_data = certificate()
    verifier = ScriptedVerifier(report_data=report_data[:size].ljust(size, b"\0"))
    with pytest.raises(BindingError):
        appraiser(verifier).appraise_certificate(der, now=NOW, possession_proved=True)


# --- plug-ins ---------------------------------------------------------------------------------------------------------
def raising(error: BaseException) -> Callable[[object], object]:
    def fail(_: object) -> None:
        raise error

    return fail


@pytest.mark.parametrize(
    "error", [ValueError("x"), KeyError(7), AssertionError(), RecursionError(), OSError(2, "gone"), StopIteration()]
)
@pytest.mark.parametrize("where", ["in_decode", "in_verify"])
def test_whatever_a_verifier_raises_is_a_refusal(where: str, error: Exception) -> None:
    with pytest.raises(InternalError, match=f"Verifier scripted failed.*{type(error).__name__}") as caught:
        judge(ScriptedVerifier(**{where: raising(error)}))  # type: ignore[arg-type]  # one of two of its fields
    assert caught.value.refusal is Refusal.VERIFIER_FAILED
    assert caught.value.__cause__ is error


@pytest.mark.parametrize("where", ["in_decode", "in_verify"])
def test_errors_of_ours_and_ends_of_the_process_pass_a_verifier_as_they_are(where: str) -> None:
    for error in (UnsupportedError("no such quote"), KeyboardInterrupt()):
        with pytest.raises(type(error)) as caught:
            judge(ScriptedVerifier(**{where: raising(error)}))  # type: ignore[arg-type]  # one of two of its fields
        assert caught.value is error


def test_a_failed_verifier_is_asked_again() -> None:
    der, report_data = certificate()
    verifier = ScriptedVerifier(report_data=report_data, in_verify=raising(ValueError("busy")))
    made = appraiser(verifier)
    for _ in range(2):
        with pytest.raises(InternalError):
            made.appraise_certificate(der, now=NOW, possession_proved=True)
    verifier.in_verify = lambda _: None
    assert made.appraise_certificate(der, now=NOW, possession_proved=True).verdict == "accepted"


# --- choice of the Verifier -------------------------------------------------------------------------------------------
def test_a_policy_needs_a_verifier_for_each_of_its_tees() -> None:
    policy = Policy.of(pinning_entry(SGX, name="a"), pinning_entry(SNP, name="b"))
    with pytest.raises(ConfigurationError, match="without a Verifier here: sev_snp"):
        appraiser(ScriptedVerifier(), policy)


def test_the_verifier_is_that_of_the_evidences_type() -> None:
    sgx, snp = ScriptedVerifier(), ScriptedVerifier(claims=SNP)
    policy = Policy.of(pinning_entry(SGX, name="a"), pinning_entry(SNP, name="b"))
    made = appraiser(sgx, policy, verifiers={TeeType.SGX_ECDSA: sgx, TeeType.SEV_SNP: snp})
    result = made.appraise_evidence(Evidence.of(TeeType.SEV_SNP, b"x"), now=NOW, expected_report_data=REPORT_DATA)
    assert (result.policy_entry, sgx.calls, snp.calls) == ("b", [], ["decode", "verify"])


@pytest.mark.parametrize(
    ("subject", "error", "said"),
    [
        (Evidence("application/octet-stream", b""), UnsupportedError, "media type"),
        (Evidence.of(TeeType.SGX_LA, b""), AppraisalError, "tee: got sgx_la, expected sgx_ecdsa"),
        (Evidence.of(TeeType.CSV, b""), AppraisalError, "tee: got csv, expected sgx_ecdsa"),
        (Evidence.of(TeeType.TDX_ECDSA, b""), AppraisalError, "tee: got tdx_ecdsa, expected sgx_ecdsa"),
    ],
)
def test_evidence_of_other_types_is_refused_unread(subject: Evidence, error: type[RatsTlsError], said: str) -> None:
    verifier = ScriptedVerifier()
    with pytest.raises(error, match=said) as caught:
        judge(verifier, subject=subject)
    assert verifier.calls == []
    if isinstance(caught.value, AppraisalError):
        assert not caught.value.authenticated


def test_a_certificate_without_evidence_needs_a_null_entry() -> None:
    der = plain_certificate()
    settings: dict[str, Any] = {"now": NOW.replace(month=1, day=1), "possession_proved": True, "preamble": True}
    with pytest.raises(NoEvidenceError):
        appraiser(ScriptedVerifier()).appraise_certificate(der, **settings)
    null = ScriptedVerifier(claims=NullClaims(), in_decode=raising(ValueError("there is nothing to decode")))
    result = appraiser(null, null_policy()).appraise_certificate(der, **settings)
    assert (result.tee_type, result.anchor, null.calls) == (TeeType.NULL, None, ["verify"])


# --- what a result says -----------------------------------------------------------------------------------------------
def test_a_result_of_bare_evidence() -> None:
    result = judge(ScriptedVerifier())
    assert (result.binding, result.certificate_sha256, result.spki_sha256) == (Binding.REPORT_DATA, None, None)
    assert (result.judged_at, result.issued_at, result.valid_until) == (NOW, None, NOW + 10 * DAY)
    assert [check.stage for check in result.checks] == sorted(check.stage for check in result.checks)
    unbound = judge(ScriptedVerifier(), default_policy(SGX, bindings="none"), report_data=None)
    assert unbound.binding is Binding.NONE
    assert "binding.key" in [check.id for check in unbound.not_checked]


def test_a_result_holds_until_the_earliest_end() -> None:
    der, report_data = certificate()  # ends in 30 days
    for verified, expected in (
        (NOW + 10 * DAY, NOW + 10 * DAY),
        (NOW + 90 * DAY, NOW + 30 * DAY),
        (None, NOW + 30 * DAY),
    ):
        verifier = ScriptedVerifier(report_data=report_data, valid_until=verified)
        judging = appraiser(verifier, default_policy(SGX, max_evidence_age="any"))
        assert judging.appraise_certificate(der, now=NOW, possession_proved=True).valid_until == expected


def test_endorsements_of_this_side_and_of_the_peer_reach_the_verifier_together() -> None:
    own, peers = (Endorsement(kind=K.INTEL_PCK_CRL, data=data) for data in (b"own", b"peers"))
    verifier = ScriptedVerifier()
    made = appraiser(verifier, endorsements=Endorsements((own,)))
    made.appraise_evidence(evidence(), now=NOW, expected_report_data=REPORT_DATA, peer_endorsements=[peers, own])
    made.appraise_evidence(evidence(), now=NOW, expected_report_data=REPORT_DATA)
    assert [set(given) for given in verifier.given] == [{own, peers}, {own}]
