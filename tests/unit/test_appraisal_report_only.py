"""Report-only in the one judgement: a refusal as ever, that tells what else was found; and nothing remembers it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from rats_tls.appraisal_memory import AppraisalMemory
from rats_tls.core.checks import Check, Stage, Verdict
from rats_tls.core.documents import refusal_document, result_document
from rats_tls.core.endorsements import EndorsementKind
from rats_tls.core.errors import (
    AppraisalError,
    BindingError,
    CertificateChainError,
    DecodeError,
    ExpiredError,
    InternalError,
    RatsTlsError,
    RevokedError,
    SignatureError,
    TcbLevelError,
)
from rats_tls.core.evidence import Evidence
from rats_tls.core.refusals import ExitCode, Refusal
from rats_tls.core.results import AttestationResult
from rats_tls.policy import Mode, Policy
from support.claims import SGX
from support.policies import pinning_entry
from support.scripted_verifier import ScriptedVerifier, appraiser, certificate, missing, problem
from support.simulated import NOW

OTHER = bytes([0xEE] * 32)


def report_only(**written: Any) -> Policy:
    """A policy that refuses the scripted claims for their measurement, unless something else is written."""
    return Policy.of(pinning_entry(SGX, **{"mr_enclave": OTHER, **written}), mode=Mode.REPORT_ONLY)


def refusal(verifier: ScriptedVerifier, policy: Policy, der: bytes, *, proved: bool = True) -> RatsTlsError:
    with pytest.raises(RatsTlsError) as caught:
        appraiser(verifier, policy).appraise_certificate(der, now=NOW, possession_proved=proved, preamble=True)
    return caught.value


def reported(**written: Any) -> tuple[AppraisalError, AttestationResult]:
    der, report_data = certificate()
    error = refusal(ScriptedVerifier(report_data=report_data), report_only(**written), der)
    assert isinstance(error, AppraisalError)
    assert error.reported is not None
    return error, error.reported


def test_it_is_a_refusal_with_a_result_that_refuses() -> None:
    error, result = reported()
    assert (error.refusal, error.refusal.exit_code) == (Refusal.POLICY, ExitCode.POLICY)
    assert result.verdict == "refused (report-only)"
    assert [str(mismatch) for mismatch in result.mismatches] == [
        f"pinned.mr_enclave: got {SGX.mr_enclave.hex()}, expected {OTHER.hex()}"
    ]
    assert result.policy_entry == "pinned"
    assert "refused (report-only) by entry 'pinned'" in str(result)
    (failed,) = [check for check in result.checks if check.verdict is Verdict.FAILED]
    assert (failed.id, failed.stage) == ("policy", Stage.POLICY)
    assert error.checks == result.checks
    assert "policy.entry" not in {check.id for check in result.checks}


def test_the_documents_say_it() -> None:
    error, result = reported()
    document = refusal_document(error)
    assert (document["verdict"], document["reason"], document["exit_code"]) == ("refused (report-only)", "policy", 5)
    assert document["result"] == result_document(result)
    inner = result_document(result)
    assert inner["verdict"] == "refused (report-only)"
    assert inner["mismatches"][0]["field"] == "mr_enclave"  # type: ignore[call-overload,index]


def test_an_accepted_peer_is_accepted_and_an_enforcing_policy_reports_nothing() -> None:
    der, report_data = certificate()
    verifier = ScriptedVerifier(report_data=report_data)
    made = appraiser(verifier, report_only(mr_enclave=SGX.mr_enclave))
    result = made.appraise_certificate(der, now=NOW, possession_proved=True, preamble=True)
    assert (result.verdict, result.mismatches) == ("accepted", ())
    error = refusal(verifier, Policy.of(pinning_entry(SGX, mr_enclave=OTHER)), der)
    assert isinstance(error, AppraisalError)
    assert error.reported is None
    assert refusal_document(error)["verdict"] == "refused"
    assert "result" not in refusal_document(error)


def fail_to_decode(_: Evidence) -> None:
    raise DecodeError("Quote", "header", 0, "wrong")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"in_decode": fail_to_decode}, DecodeError),
        ({"problems": (problem(Stage.EVIDENCE_SIGNATURE, SignatureError("x")),)}, SignatureError),
        ({"report_data": bytes(64)}, BindingError),
        ({"problems": (problem(Stage.VENDOR_CHAIN, CertificateChainError("x")),)}, CertificateChainError),
        ({"problems": (problem(Stage.REVOCATION, RevokedError("x")),)}, RevokedError),
        ({"problems": (problem(Stage.REVOCATION, ExpiredError("x"), waived=True),)}, ExpiredError),
        ({"problems": (problem(Stage.TCB, ExpiredError("x")),)}, ExpiredError),
        ({"problems": (problem(Stage.TCB, TcbLevelError("x")),)}, TcbLevelError),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_is_not_genuine_bound_and_in_date_is_refused_alone(
    given: dict[str, Any], expected: type[RatsTlsError]
) -> None:
    der, report_data = certificate()
    error = refusal(ScriptedVerifier(**{"report_data": report_data, **given}), report_only(), der)
    assert type(error) is expected
    assert refusal_document(error)["verdict"] == "refused"


def test_what_is_not_authenticated_is_not_reported() -> None:
    der, report_data = certificate()
    verifier = ScriptedVerifier(report_data=report_data, problems=(missing(EndorsementKind.INTEL_TCB_INFO),))
    error = refusal(verifier, report_only(), der)
    assert isinstance(error, AppraisalError)
    assert (error.authenticated, error.reported) == (False, None)


@pytest.mark.parametrize("age", [timedelta(hours=2), None])
def test_old_evidence_is_not_reported(age: timedelta | None) -> None:
    der, report_data = certificate(issued_at=None if age is None else NOW - age)
    assert refusal(ScriptedVerifier(report_data=report_data), report_only(), der).refusal is Refusal.FRESHNESS


def test_unbound_evidence_is_not_reported() -> None:
    der, report_data = certificate()
    error = refusal(ScriptedVerifier(report_data=report_data), report_only(bindings="certificate"), der, proved=False)
    assert isinstance(error, AppraisalError)
    assert error.reported is None


# --- nothing remembers it ---------------------------------------------------------------------------------------------
def test_it_is_judged_every_time() -> None:
    der, report_data = certificate()
    verifier = ScriptedVerifier(report_data=report_data)
    judging = appraiser(verifier, report_only())
    for number in (1, 2, 3):
        with pytest.raises(AppraisalError):
            judging.appraise_certificate(der, now=NOW, possession_proved=True, preamble=True)
        assert judging.recall_certificate(der, now=NOW, possession_proved=True, preamble=True) is None
        assert verifier.calls == ["decode", "verify"] * number


def test_the_memory_takes_no_result_that_refuses() -> None:
    _, result = reported()
    memory = AppraisalMemory(4)
    with pytest.raises(InternalError, match=r"refused \(report-only\)"):
        memory.keep((1,), result)
    assert memory.recall((1,), NOW) is None


def test_checks_of_the_refusal_are_those_of_the_result() -> None:
    """The grace that the entry grants is told there too, though it accepted nothing."""
    error, result = reported()
    assert all(isinstance(check, Check) for check in error.checks)
    assert result.valid_until is not None
