"""What an explanation says of each judgement: reason, checks under their stages, what was not checked and why."""

from __future__ import annotations

import re

import pytest

from rats_tls.core.checks import Stage, Verdict
from rats_tls.core.errors import AppraisalError, UnsupportedError
from rats_tls.explanation import explain_refusal, explain_result, html_page
from support.explained import CASES, TEES, case
from support.simulated import NOW


@pytest.mark.parametrize("name", CASES)
def test_every_check_stands_under_its_stage(name: str) -> None:
    explained = case(name).explained()
    checks = sorted(case(name).outcome.checks, key=lambda check: check.stage)
    assert [check.id for check in explained.checks] == [check.id for check in checks]
    assert len(explained.stages) == len(Stage)
    for stage in explained.stages:
        assert (stage.why_none is None) == bool(stage.checks)
    assert explained.count(Verdict.PASSED) + explained.count(Verdict.FAILED) + explained.count(
        Verdict.NOT_CHECKED
    ) == len(explained.checks)


@pytest.mark.parametrize("tee", TEES.values())
def test_an_accepted_tee(tee: str) -> None:
    explained = case(f"good {tee}").explained("quote.bin")
    facts = dict(explained.facts)
    assert explained.accepted
    assert explained.reason == "accepted by the policy entry 'pinned'"
    assert facts["bound by"].startswith("report-data")
    assert facts["anchor"].endswith("(simulated: proves nothing)")
    assert explained.count(Verdict.FAILED) == 0
    assert explained.counts.endswith(f"0 failed, { {'sgx_la': 2, 'csv': 3}.get(tee, 1) } not checked")


def test_a_refusal_by_the_policy_lists_every_mismatch_once() -> None:
    explained = case("out of date").explained()
    assert [item.field for item in explained.mismatches] == ["tcb_statuses", "advisories"]
    assert explained.reason == "the policy does not accept it: 2 mismatches"
    (failed,) = [check for check in explained.checks if check.verdict is Verdict.FAILED]
    assert failed.got == "the mismatches listed above"
    assert dict(explained.facts)["claims are"] == "authentic"


def test_a_bad_signature_ends_the_judgement() -> None:
    explained = case("changed sgx").explained()
    stages = {stage.title: stage for stage in explained.stages}
    assert [check.verdict for check in stages["evidence signature"].checks][-1] is Verdict.FAILED
    assert stages["TCB"].why_none == "not reached: the judgement had ended before it"
    assert dict(explained.facts)["claims are"] == "not authenticated"
    assert explained.tcb == ()


def test_a_stage_without_checks_before_the_end_was_not_missed() -> None:
    stages = {stage.title: stage for stage in case("snp out of date").explained().stages}
    assert stages["TCB"].why_none == "nothing to check at this stage for this TEE"
    assert stages["policy"].why_none is None


def test_the_tcb_of_evidence_that_is_not_authentic_is_marked() -> None:
    (table,) = case("changed snp").explained().tcb
    assert ("note", "not authenticated: what the Evidence says of itself") in table.facts
    (table,) = case("snp out of date").explained().tcb
    assert "note" not in dict(table.facts)


def test_missing_endorsements_and_what_they_kept_from_being_done() -> None:
    explained = case("missing and other").explained()
    assert len(explained.missing) == 1
    assert "intel.tcb_level" in explained.not_done
    assert dict(explained.facts)["claims are"] == "not authenticated"
    assert case("missing").explained().missing == explained.missing


def test_a_report_only_result_is_a_refusal_as_its_error_is() -> None:
    judged = case("report-only")
    assert isinstance(judged.error, AppraisalError)
    assert judged.error.reported is not None
    explained = explain_result(judged.error.reported, subject="quote.bin", policy=judged.policy)
    assert (explained.accepted, explained.label) == (False, "policy")
    assert explained.reason == "the policy does not accept it: 1 mismatch"
    assert explained.mismatches == judged.explained().mismatches
    for each in (explained, judged.explained()):
        assert each.verdict == "refused (report-only)"
        page = html_page(each)
        assert '<header class="refused">' in page
        assert "refused (report-only)</title>" in page
        assert '<span class="verdict">refused (report-only)</span>' in page
        assert "accepted" not in re.sub("<style>.*</style>", "", page, flags=re.DOTALL)


def test_a_waived_check_is_shown_as_not_checked() -> None:
    explained = case("list waived").explained()
    assert explained.accepted
    assert explained.count(Verdict.NOT_CHECKED) >= 2


def test_null_has_nothing_to_check_in_most_stages() -> None:
    explained = case("null").explained()
    assert dict(explained.facts)["TEE"] == "none: nothing is proved"
    assert {stage.why_none for stage in explained.stages} == {None, "nothing to check at this stage for this TEE"}


def test_a_refusal_before_any_check() -> None:
    explained = explain_refusal(UnsupportedError("no known Evidence"), subject="x", judged_at=NOW)
    assert explained.checks == ()
    assert explained.label == "unsupported_evidence"
    assert all(stage.why_none for stage in explained.stages)
