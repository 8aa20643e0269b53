"""Expired Endorsements and old ones: what a policy's grace covers, what it never covers, and when a result ends."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from rats_tls.core.checks import Stage, Verdict
from rats_tls.core.documents import result_document
from rats_tls.core.endorsements import EndorsementKind, MissingEndorsement
from rats_tls.core.errors import (
    AppraisalError,
    CertificateChainError,
    EndorsementMissingError,
    ExpiredError,
    RatsTlsError,
    RevokedError,
    RolledBackError,
    SignatureError,
    TcbLevelError,
)
from rats_tls.core.floors import Floor, Floors
from rats_tls.core.results import AttestationResult
from rats_tls.core.verification import EndorsementUse, Problem
from rats_tls.policy import Policy
from support.claims import SGX
from support.endorsed import ANCHOR
from support.policies import default_policy, pinning_entry
from support.scripted_verifier import USE, ScriptedVerifier, appraiser, certificate, evidence, missing, problem
from support.simulated import NOW, REPORT_DATA

K = EndorsementKind
HOUR, SECOND = timedelta(hours=1), timedelta(seconds=1)
STALE = replace(USE, issued=NOW - 720 * HOUR, expires=NOW - HOUR, description="TCB info of the test")
STALE_LIST = replace(STALE, kind=K.INTEL_PCK_CRL, description="list of the test")


def expired(use: EndorsementUse = STALE, *, waived: bool = False) -> Problem:
    return Problem(
        stage=Stage.REVOCATION if use.kind.is_revocation_list else Stage.TCB,
        error=ExpiredError(f"{use.description} has expired"),
        waived_by_revocation=waived,
        expired=use,
    )


def judge(
    *problems: Problem, used: tuple[EndorsementUse, ...] = (USE,), policy: Policy | None = None, **written: Any
) -> AttestationResult:
    verifier = ScriptedVerifier(problems=problems, used=used)
    made = appraiser(verifier, policy or default_policy(SGX, **written))
    return made.appraise_evidence(evidence(), now=NOW, expected_report_data=REPORT_DATA)


def refused(error: type[RatsTlsError], *problems: Problem, **given: Any) -> RatsTlsError:
    with pytest.raises(error) as caught:
        judge(*problems, **given)
    assert type(caught.value) is error
    return caught.value


# --- the grace --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("problem_", [expired(), expired(STALE_LIST, waived=True)], ids=["document", "list"])
@pytest.mark.parametrize(("grace", "accepted"), [(0, False), (1, False), (3600, False), (3601, True)])
def test_it_counts_until_the_grace_ends(problem_: Problem, grace: int, accepted: bool) -> None:
    if accepted:
        assert judge(problem_, endorsement_grace=grace).verdict == "accepted"
    else:
        error = refused(ExpiredError, problem_, endorsement_grace=grace)
        ended = (NOW - timedelta(hours=1) + timedelta(seconds=grace)).strftime("%Y-%m-%dT%H:%M:%SZ")
        told = f"; the grace of entry 'pinned', {grace} s, ended at {ended}" if grace else ""
        assert error.message == problem_.error.message + told
        assert error.refusal is problem_.error.refusal


def test_without_a_grace_nothing_that_ends_now_counts() -> None:
    refused(ExpiredError, expired(replace(STALE, expires=NOW)))
    assert judge(expired(replace(STALE, expires=NOW)), endorsement_grace=1).valid_until == NOW + SECOND


@pytest.mark.parametrize("kind", [kind for kind in EndorsementKind if not kind.is_reissued])
def test_no_certificate_has_a_grace(kind: EndorsementKind) -> None:
    """Whatever a Verifier says."""
    refused(ExpiredError, expired(replace(STALE, kind=kind)), endorsement_grace=366 * 86_400)


@pytest.mark.parametrize(
    "change",
    [{"origin": "peer"}, {"origin": "evidence"}, {"expires": NOW + HOUR}, {"issued": NOW + HOUR}],
    ids=str,
)
def test_nothing_of_the_peers_and_nothing_from_the_future_has_a_grace(change: dict[str, Any]) -> None:
    refused(ExpiredError, expired(replace(STALE, **change)), endorsement_grace=366 * 86_400)


@pytest.mark.parametrize("error", [SignatureError, CertificateChainError, RevokedError])
def test_what_is_not_authentic_is_never_passed_over(error: type[RatsTlsError]) -> None:
    """A Verifier of others may say that it has merely expired, or that it is a list which nobody asks for."""
    for said in (expired(), expired(STALE_LIST, waived=True)):
        refused(error, replace(said, error=error("x")), endorsement_grace=7200, revocation="not-checked")


def test_what_is_wrong_besides_refuses() -> None:
    below = problem(Stage.TCB, TcbLevelError("no level"))
    refused(TcbLevelError, expired(), below, endorsement_grace=7200)
    refused(ExpiredError, expired(), below)
    refused(EndorsementMissingError, expired(), missing(K.INTEL_QE_IDENTITY), endorsement_grace=7200)
    error = refused(AppraisalError, expired(), endorsement_grace=7200, mr_enclave=bytes(32))
    assert [mismatch.field for mismatch in error.mismatches] == ["mr_enclave"]  # type: ignore[attr-defined]


def test_a_list_that_is_not_asked_for_needs_no_grace() -> None:
    result = judge(expired(STALE_LIST, waived=True), revocation="not-checked")
    assert "endorsements.grace" not in {check.id for check in result.checks}
    refused(ExpiredError, expired(), expired(STALE_LIST, waived=True), revocation="not-checked")


# --- several entries --------------------------------------------------------------------------------------------------
def test_the_grace_is_that_of_the_entry_that_accepts() -> None:
    """The measurement of one entry and the grace of another do not add up."""
    strict = pinning_entry(SGX, name="strict")
    other = pinning_entry(SGX, name="other", mr_enclave=bytes(32), endorsement_grace=7200)
    for entries in ((strict, other), (other, strict)):
        error = refused(ExpiredError, expired(), policy=Policy.of(*entries))
        assert "has expired" in error.message
    lenient = pinning_entry(SGX, name="lenient", endorsement_grace=7200)
    result = judge(expired(), policy=Policy.of(strict, lenient))
    assert result.policy_entry == "lenient"


def test_mismatches_of_entries_whose_grace_has_ended_name_it() -> None:
    short = pinning_entry(SGX, name="short", endorsement_grace=60, mr_signer=bytes(32))
    other = pinning_entry(SGX, name="other", mr_enclave=bytes(32), endorsement_grace=7200)
    error = refused(AppraisalError, expired(), policy=Policy.of(short, other))
    assert isinstance(error, AppraisalError)
    assert [f"{mismatch.entry}.{mismatch.field}" for mismatch in error.mismatches] == [
        "short.endorsement_grace",
        "short.mr_signer",
        "other.mr_enclave",
    ]


# --- what the result says ---------------------------------------------------------------------------------------------
def test_the_result_says_that_the_grace_was_used() -> None:
    result = judge(expired(), expired(STALE_LIST, waived=True), endorsement_grace=7200)
    (check,) = [check for check in result.checks if check.id == "endorsements.grace"]
    assert (check.verdict, check.stage) == (Verdict.NOT_CHECKED, Stage.POLICY)
    assert check in result.not_checked
    assert check.note is not None
    assert "TCB info of the test expired at 2026-03-01T11:30:00Z, 3600 s ago, and counts until" in check.note
    assert "list of the test expired" in check.note
    assert "entry 'pinned'" in check.note
    graced = [use for use in result.endorsements if use.grace_until is not None]
    assert graced == [replace(use, grace_until=NOW + HOUR) for use in (STALE, STALE_LIST)]
    assert result.valid_until == NOW + HOUR
    document = result_document(result)
    assert [use["grace_until"] for use in document["endorsements"]] == [  # type: ignore[call-overload,index,union-attr]
        None,
        "2026-03-01T13:30:00Z",
        "2026-03-01T13:30:00Z",
    ]


def test_a_grace_that_is_not_used_is_not_told_and_extends_nothing() -> None:
    result = judge(endorsement_grace=7200)
    assert "endorsements.grace" not in {check.id for check in result.checks}
    assert result.valid_until == USE.expires


def test_what_is_remembered_ends_with_the_grace() -> None:
    der, report_data = certificate()
    verifier = ScriptedVerifier(report_data=report_data, problems=(expired(),))
    judging = appraiser(verifier, default_policy(SGX, endorsement_grace=3660, max_evidence_age="any"))
    for seconds in (0, 59):
        result = judging.appraise_certificate(der, now=NOW + seconds * SECOND, possession_proved=True)
        assert result.valid_until == NOW + 60 * SECOND
    assert verifier.calls == ["decode", "verify"]
    with pytest.raises(ExpiredError):
        judging.appraise_certificate(der, now=NOW + 60 * SECOND, possession_proved=True)


def test_a_grace_past_the_end_of_the_calendar() -> None:
    last = NOW.replace(year=9999, month=12, day=31)
    late = replace(STALE, issued=last - 2 * HOUR, expires=last - HOUR)
    verifier = ScriptedVerifier(problems=(expired(late),), used=(), valid_until=None)
    judging = appraiser(verifier, default_policy(SGX, endorsement_grace=366 * 86_400, max_endorsement_age=2**32 - 1))
    assert judging.appraise_evidence(evidence(), now=last, expected_report_data=REPORT_DATA).valid_until is not None


# --- the largest age --------------------------------------------------------------------------------------------------
def test_documents_and_lists_must_not_be_older() -> None:
    a_list = replace(USE, kind=K.INTEL_ROOT_CRL, issued=NOW - 2 * HOUR)
    chain = replace(USE, kind=K.INTEL_PCK_CHAIN, issued=NOW - 9000 * HOUR)
    for used, age, accepted in (
        ((USE,), 86_400, True),
        ((USE,), 86_399, False),
        ((a_list, chain), 7200, True),
        ((a_list, chain), 7199, False),
    ):
        if accepted:
            assert judge(used=used, max_endorsement_age=age).valid_until == NOW
            continue
        error = refused(AppraisalError, used=used, max_endorsement_age=age)
        assert isinstance(error, AppraisalError)
        assert [mismatch.field for mismatch in error.mismatches] == ["max_endorsement_age"]
        assert error.mismatches[0].got.startswith(f"{used[0].description} issued ")
    assert judge(used=(a_list,), max_endorsement_age=1, revocation="not-checked").valid_until == USE.expires


def test_a_grace_does_not_lift_the_largest_age() -> None:
    age = int((NOW - STALE.issued).total_seconds())
    assert judge(expired(), endorsement_grace=7200, max_endorsement_age=age).valid_until == NOW
    refused(AppraisalError, expired(), endorsement_grace=7200, max_endorsement_age=age - 1)


def test_what_is_remembered_ends_with_the_largest_age() -> None:
    der, report_data = certificate()
    verifier = ScriptedVerifier(report_data=report_data)
    judging = appraiser(verifier, default_policy(SGX, max_endorsement_age=86_460, max_evidence_age="any"))
    for seconds in (0, 59):
        judging.appraise_certificate(der, now=NOW + seconds * SECOND, possession_proved=True)
    assert verifier.calls == ["decode", "verify"]
    with pytest.raises(AppraisalError, match="max_endorsement_age"):
        judging.appraise_certificate(der, now=NOW + 61 * SECOND, possession_proved=True)


# --- rollbacks --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("of", ["endorsements_used", "problems"])
@pytest.mark.parametrize("above", [False, True])
def test_no_verdict_rests_on_what_is_rolled_back_whatever_a_verifier_says(of: str, above: bool) -> None:
    """Also on what has expired, and would count by the grace of its policy."""
    key = MissingEndorsement(kind=K.INTEL_TCB_INFO, key=(("id", "SGX"),))
    use = replace(STALE if of == "problems" else USE, key=key, number=17)
    verifier = ScriptedVerifier(
        problems=(expired(use),) if of == "problems" else (), used=() if of == "problems" else (use,), anchor=ANCHOR
    )
    floor = Floor(number=17 if above else 18, issued=use.issued)
    floors = Floors({(ANCHOR.fingerprint, str(key)): floor})
    made = appraiser(verifier, default_policy(SGX, endorsement_grace=7200))

    def judged() -> AttestationResult:
        return made.appraise_evidence(evidence(), now=NOW, expected_report_data=REPORT_DATA, floors=floors)

    if above:
        assert judged().verdict == "accepted"
    else:
        with pytest.raises(RolledBackError, match="got 17, expected at least 18"):
            judged()
