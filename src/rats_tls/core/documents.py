"""Results and refusals as JSON documents (`schema: rats-tls/result/1`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime
from enum import Enum

from rats_tls.core.checks import Stage, time_text
from rats_tls.core.errors import AppraisalError, EndorsementMissingError, RatsTlsError
from rats_tls.core.results import RESULT_SCHEMA, AttestationResult

Json = dict[str, "Json"] | list["Json"] | str | int | float | bool | None


def to_json(value: object) -> Json:
    """Give a value of this package as JSON: bytes as lower-case hex, times as RFC 3339, enums by value.

    Raises:
        TypeError: a value that no dataclass of this package holds.
    """
    if isinstance(value, Stage):
        return value.name.lower()
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Enum):
        return to_json(value.value)
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, datetime):
        return time_text(value)
    if isinstance(value, Mapping):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [to_json(item) for item in value]
    if is_dataclass(value):
        return {field.name: to_json(getattr(value, field.name)) for field in fields(value) if field.repr}
    raise TypeError(f"no JSON form for {type(value).__name__}")


def result_document(result: AttestationResult) -> dict[str, Json]:
    """Give a result as a JSON document."""
    document = to_json(result)
    if not isinstance(document, dict):
        raise TypeError("a result is an object")
    tee: dict[str, Json] = {"tee_type": result.tee_type.value, "debug": getattr(result.claims, "debug", None)}
    return {"schema": RESULT_SCHEMA, "verdict": result.verdict, **tee, **document}


def refusal_document(error: RatsTlsError) -> dict[str, Json]:
    """Give a refusal as a JSON document; the checks are those done before it.

    Of a policy in report-only mode that passes over every mismatch, `result` holds the whole result.
    """
    document: dict[str, Json] = {
        "schema": RESULT_SCHEMA,
        "verdict": error.verdict,
        "reason": error.refusal.label,
        "exit_code": int(error.refusal.exit_code),
        "message": error.message,
        "checks": to_json(error.checks),
    }
    if isinstance(error, AppraisalError):
        document["mismatches"] = to_json(error.mismatches)
        document["not_done"] = to_json(error.not_done)
        document["authenticated"] = error.authenticated
        if error.reported is not None:
            document["result"] = result_document(error.reported)
    tcb = getattr(error.claims, "tcb", None)
    if tcb is not None:
        document["tcb"] = to_json(tcb)
    if isinstance(error, AppraisalError | EndorsementMissingError):
        document["missing"] = to_json(error.missing)
    return document
