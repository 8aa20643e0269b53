"""The published JSON Schema takes every result and refusal, and nothing that is not one."""

from __future__ import annotations

import json
from typing import Any, get_args

import pytest
from jsonschema import Draft202012Validator, ValidationError

from rats_tls.cli.sides import Reporter
from rats_tls.core.claims import TeeClaims
from rats_tls.core.documents import refusal_document, result_document, to_json
from rats_tls.core.endorsements import EndorsementKind, MissingEndorsement
from rats_tls.core.errors import AppraisalError, EndorsementMissingError, RatsTlsError
from rats_tls.core.refusals import Refusal
from rats_tls.core.results import AttestationResult
from rats_tls.explanation import document_schema
from rats_tls.explanation.schema import _CLAIMS, _schema_of
from support.claims import SEV, SGX, SNP, TDX
from support.explained import CASES, case

VALIDATOR = Draft202012Validator(document_schema(), format_checker=Draft202012Validator.FORMAT_CHECKER)


def document_of(name: str) -> dict[str, Any]:
    return document(case(name).outcome)


def document(outcome: AttestationResult | RatsTlsError) -> dict[str, Any]:
    made = result_document(outcome) if isinstance(outcome, AttestationResult) else refusal_document(outcome)
    again: dict[str, Any] = json.loads(json.dumps(made))
    return again


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(document_schema())
    json.dumps(document_schema())


@pytest.mark.parametrize("name", CASES)
def test_documents_are_valid(name: str) -> None:
    VALIDATOR.validate(document_of(name))


@pytest.mark.parametrize("refusal", Refusal, ids=lambda refusal: refusal.label)
def test_every_refusal_is_valid(refusal: Refusal) -> None:
    VALIDATOR.validate(refusal_document(RatsTlsError("m", refusal=refusal)))


@pytest.mark.parametrize("refusal", Refusal, ids=lambda refusal: refusal.label)
def test_what_sides_tell_of_every_end_is_valid(refusal: Refusal, capsys: pytest.CaptureFixture[str]) -> None:
    Reporter(as_json=True).ended(RatsTlsError("m", refusal=refusal), title="server 127.0.0.1:1234")
    told = json.loads(capsys.readouterr().out)
    assert told["address"] == "127.0.0.1:1234"
    VALIDATOR.validate(told)
    for other in ("accepted", "refused" if told["event"] == "failed" else "failed"):
        with pytest.raises(ValidationError):
            VALIDATOR.validate({**told, "verdict": other})


def test_what_report_only_passes_over_is_valid_as_refusal_and_as_result() -> None:
    error = case("report-only").error
    assert isinstance(error, AppraisalError)
    assert error.reported is not None
    refusal, result = document(error), document(error.reported)
    for valid in (refusal, result, {**refusal, "event": "refused", "address": "127.0.0.1:1234"}):
        VALIDATOR.validate(valid)
    for other in (
        {**result, "verdict": "accepted"},
        {**result, "mismatches": []},
        {**document_of("good sgx_ecdsa"), "mismatches": result["mismatches"]},
        {**refusal, "result": document_of("good sgx_ecdsa")},
        {**refusal, "verdict": "refused"},
        {name: value for name, value in refusal.items() if name != "result"},
    ):
        with pytest.raises(ValidationError):
            VALIDATOR.validate(other)


@pytest.mark.parametrize("kind", EndorsementKind)
def test_every_missing_endorsement_is_valid(kind: EndorsementKind) -> None:
    missing = (MissingEndorsement(kind=kind, key=(("name", "value"),)),)
    VALIDATOR.validate(refusal_document(EndorsementMissingError("m", missing=missing)))


@pytest.mark.parametrize("claims", [SGX, TDX, SNP, SEV], ids=lambda claims: claims.tee_type.value)
def test_refused_claims_are_valid(claims: Any) -> None:
    VALIDATOR.validate({**document_of("changed sgx"), "claims": to_json(claims)})


def test_the_tcb_of_a_refusal_is_in_its_document() -> None:
    document = document_of("out of date")
    assert document["tcb"]["standings"][0]["behind"] == [{"component": "SGX component 1", "got": 4, "newest": 8}]
    assert "tcb" not in document_of("changed sgx")


@pytest.mark.parametrize("name", ["good sgx_ecdsa", "out of date", "missing"])
def test_a_document_without_one_of_its_fields_is_none(name: str) -> None:
    document = document_of(name)
    optional = {"mismatches", "not_done", "authenticated", "missing", "tcb"}
    for field in set(document) - (optional if document["verdict"] == "refused" else set()):
        with pytest.raises(ValidationError):
            VALIDATOR.validate({key: value for key, value in document.items() if key != field})


@pytest.mark.parametrize(
    "change",
    [
        {"verdict": "accepted?"},
        {"schema": "rats-tls/result/2"},
        {"judged_at": "yesterday"},
        {"policy_digest": "XY"},
        {"binding": "some"},
        {"more": 1},
        {"submodules": {"sgx_ecdsa": {}}},
        {"checks": [{"id": "x"}]},
    ],
    ids=lambda change: next(iter(change)),
)
def test_other_values_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        VALIDATOR.validate({**document_of("good sgx_ecdsa"), **change})


def test_every_kind_of_claims_has_its_submodule() -> None:
    assert set(_CLAIMS.values()) == set(get_args(TeeClaims))


def test_types_that_no_document_holds() -> None:
    with pytest.raises(TypeError, match="no schema"):
        _schema_of(object, {})
