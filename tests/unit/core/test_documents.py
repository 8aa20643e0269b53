"""Results and refusals as JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest

from rats_tls.core.binding import Binding
from rats_tls.core.checks import Check, Mismatch, Stage, Verdict
from rats_tls.core.documents import refusal_document, result_document, to_json
from rats_tls.core.endorsements import EndorsementKind, MissingEndorsement
from rats_tls.core.errors import AppraisalError, EndorsementMissingError, SignatureError
from unit.core.test_results import sealed


@dataclass(frozen=True)
class Inner:
    data: bytes
    hidden: str = field(default="secret", repr=False)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        (True, True),
        (7, 7),
        (1.5, 1.5),
        ("text", "text"),
        (b"\x00\xff", "00ff"),
        (Binding.REPORT_DATA, "report-data"),
        (Stage.TCB, "tcb"),
        (datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "2026-01-02T03:04:05Z"),
        ({Binding.NONE: b"\x01", 2: None}, {"none": "01", "2": None}),
        ((b"\x01", [b"\x02"]), ["01", ["02"]]),
        (Inner(b"\x01"), {"data": "01"}),
    ],
    ids=repr,
)
def test_forms(value: object, expected: object) -> None:
    assert to_json(value) == expected


@pytest.mark.parametrize("value", [object(), 1j, bytearray(b"x")])
def test_what_has_no_form(value: object) -> None:
    with pytest.raises(TypeError):
        to_json(value)


def test_a_result_as_json() -> None:
    document = result_document(sealed())
    json.dumps(document)
    assert list(document)[:4] == ["schema", "verdict", "tee_type", "debug"]
    assert document["schema"] == "rats-tls/result/1"
    assert document["verdict"] == "accepted"
    assert document["binding"] == "none"
    assert document["policy_digest"] == "00" * 32
    assert "seal" not in document
    assert document["checks"][1]["verdict"] == "not checked"


def test_a_refusal_as_json() -> None:
    error = SignatureError("quote signature: does not verify")
    error.checks = (
        Check(id="sgx.quote_signature", stage=Stage.EVIDENCE_SIGNATURE, source="s", verdict=Verdict.FAILED),
    )
    document = refusal_document(error)
    assert document == {
        "schema": "rats-tls/result/1",
        "verdict": "refused",
        "reason": "evidence_signature",
        "exit_code": 3,
        "message": "quote signature: does not verify",
        "checks": [
            {
                "id": "sgx.quote_signature",
                "stage": "evidence_signature",
                "source": "s",
                "verdict": "failed",
                "expected": None,
                "got": None,
                "note": None,
            }
        ],
    }
    json.dumps(document)


def test_mismatches_and_missing_endorsements_as_json() -> None:
    missing = (MissingEndorsement(kind=EndorsementKind.AMD_VEK, key=(("product", "Milan"),)),)
    mismatches = (Mismatch(entry="e", field="f", got="1", expected="2"),)
    document = refusal_document(
        AppraisalError("m", mismatches=mismatches, missing=missing, not_done=("x",), authenticated=False)
    )
    assert document["mismatches"] == [{"entry": "e", "field": "f", "got": "1", "expected": "2"}]
    assert document["missing"] == [{"kind": "amd-vek", "key": [["product", "Milan"]]}]
    assert document["not_done"] == ["x"]
    assert document["authenticated"] is False
    assert refusal_document(EndorsementMissingError("m", missing=missing))["missing"] == document["missing"]
