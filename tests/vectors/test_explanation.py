"""Real evidence explained: how far it is behind, its EAR, its page, its document under the published schema."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from rats_tls.core.claims import TcbStatus
from rats_tls.core.documents import refusal_document, result_document
from rats_tls.core.errors import RatsTlsError
from rats_tls.core.results import AttestationResult
from rats_tls.explanation import (
    document_schema,
    explain_refusal,
    explain_result,
    html_page,
    refusal_ear,
    result_ear,
)
from rats_tls.policy import Policy
from support.amd import TRUSTEE_GENOA, VERAISON_GENOA, SnpVector
from support.amd import load as load_snp
from support.appraisals import claims_of, make_appraiser
from support.intel import PHALA_SGX, PHALA_TDX, SPR_E4, IntelVector
from support.intel import load as load_intel
from support.pages import Page
from support.policies import default_policy

VALIDATOR = Draft202012Validator(document_schema())
SGX_ACCEPTED = {
    "tcb_statuses": TcbStatus.CONFIGURATION_AND_SW_HARDENING_NEEDED,
    "advisories": ("INTEL-SA-00289", "INTEL-SA-00615"),
}


def judge(vector: IntelVector | SnpVector, **policy: Any) -> tuple[AttestationResult | RatsTlsError, Policy]:
    pinned = default_policy(claims_of(vector.evidence.data), **policy)
    try:
        return make_appraiser(pinned, vector.endorsements).appraise_evidence(vector.evidence, now=vector.now), pinned
    except RatsTlsError as error:
        return error, pinned


CASES: dict[str, tuple[Callable[[], Any], dict[str, Any]]] = {
    "sgx accepted": (lambda: load_intel(PHALA_SGX), SGX_ACCEPTED),
    "sgx refused": (lambda: load_intel(PHALA_SGX), {}),
    "tdx": (lambda: load_intel(PHALA_TDX), {}),
    "tdx e4": (lambda: load_intel(SPR_E4), {}),
    "snp genoa": (lambda: load_snp(TRUSTEE_GENOA), {"revocation": "not-checked"}),
    "snp refused": (lambda: load_snp(VERAISON_GENOA), {"vmpl": 3}),
}


@pytest.mark.parametrize("name", CASES)
def test_in_every_form(name: str) -> None:
    load, changes = CASES[name]
    vector = load()
    outcome, policy = judge(vector, **changes)
    if isinstance(outcome, AttestationResult):
        document, ear = result_document(outcome), result_ear(outcome, policy)
        explained = explain_result(outcome, subject=name, policy=policy)
    else:
        document = refusal_document(outcome)
        ear = refusal_ear(outcome, judged_at=vector.now, policy=policy)
        explained = explain_refusal(outcome, subject=name, judged_at=vector.now, policy=policy)
    VALIDATOR.validate(json.loads(json.dumps(document)))
    assert ear["rats_tls_result"] == document
    assert explained.reason in Page(html_page(explained)).text("p")
    assert len(html_page(explained).encode()) < 300_000


def status_and_vector(name: str) -> tuple[str, dict[str, int]]:
    load, changes = CASES[name]
    outcome, policy = judge(load(), **changes)
    assert isinstance(outcome, AttestationResult)
    (appraisal,) = json.loads(json.dumps(result_ear(outcome, policy)))["submods"].values()
    return appraisal["ear_status"], appraisal["ear_trustworthiness_vector"]


def test_a_platform_that_needs_configuration_is_a_warning() -> None:
    status, vector = status_and_vector("sgx accepted")
    assert (status, vector["hardware"], vector["executables"], vector["runtime-opaque"]) == ("warning", 32, 2, 2)


def test_a_platform_up_to_date_is_affirmed() -> None:
    status, vector = status_and_vector("tdx")
    assert (status, vector["hardware"], vector["executables"]) == ("affirming", 2, 2)


def test_a_chip_whose_revocation_nobody_checked_is_a_warning() -> None:
    status, vector = status_and_vector("snp genoa")
    assert (status, vector["hardware"], vector["executables"]) == ("warning", 32, 2)


def test_where_a_real_platform_stands() -> None:
    outcome, policy = judge(load_intel(PHALA_SGX))
    assert isinstance(outcome, RatsTlsError)
    explained = explain_refusal(outcome, subject="x", judged_at=load_intel(PHALA_SGX).now, policy=policy)
    assert [table.title for table in explained.tcb] == ["platform", "quoting enclave QE"]
    assert dict(explained.tcb[0].facts)["status"] == TcbStatus.CONFIGURATION_AND_SW_HARDENING_NEEDED.value
