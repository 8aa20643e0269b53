"""The JSON Schema of result and refusal documents, made from the dataclasses that they are written from."""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime
from enum import Enum
from typing import Union, get_args, get_origin, get_type_hints

from rats_tls.core.checks import Check, Mismatch, Stage
from rats_tls.core.claims import (
    CsvClaims,
    IntelTcb,
    NullClaims,
    SevClaims,
    SgxClaims,
    SgxLocalClaims,
    SnpClaims,
    TdxClaims,
    TeeClaims,
)
from rats_tls.core.documents import Json
from rats_tls.core.endorsements import MissingEndorsement
from rats_tls.core.evidence import TeeType
from rats_tls.core.refusals import ExitCode, Refusal
from rats_tls.core.results import ACCEPTED, REPORT_ONLY, RESULT_SCHEMA, AttestationResult

Schema = dict[str, Json]

_REPORTED = "ReportOnlyResult"

_HEX: Schema = {"type": "string", "pattern": "^([0-9a-f]{2})*$"}
_TIME: Schema = {"type": "string", "format": "date-time", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$"}
_SIMPLE: dict[object, Schema] = {
    bytes: _HEX,
    datetime: _TIME,
    str: {"type": "string"},
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    type(None): {"type": "null"},
    Stage: {"enum": [stage.name.lower() for stage in Stage]},
}
_CLAIMS = {
    TeeType.SGX_ECDSA: SgxClaims,
    TeeType.TDX_ECDSA: TdxClaims,
    TeeType.SGX_LA: SgxLocalClaims,
    TeeType.SEV_SNP: SnpClaims,
    TeeType.SEV: SevClaims,
    TeeType.CSV: CsvClaims,
    TeeType.NULL: NullClaims,
}


def document_schema() -> Schema:
    """Give the JSON Schema (draft 2020-12) of `rats-tls/result/1`: a result, accepted or report-only, or a refusal."""
    definitions: dict[str, Json] = {}
    accepted = _result(ACCEPTED, {"maxItems": 0}, definitions)
    definitions[_REPORTED] = _result(REPORT_ONLY, {"minItems": 1}, definitions)
    reported: Schema = {"$ref": f"#/$defs/{_REPORTED}"}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"{RESULT_SCHEMA}: an Attestation Result or a refusal",
        "oneOf": [
            accepted,
            reported,
            _refused("refused", {}, definitions),
            _refused(REPORT_ONLY, {"result": reported}, definitions),
            _refused("failed", {"event": {"const": "failed"}}, definitions),
        ],
        "$defs": definitions,
    }


def _result(verdict: str, mismatches: Schema, definitions: dict[str, Json]) -> Schema:
    properties: dict[str, Json] = {
        "schema": {"const": RESULT_SCHEMA},
        "verdict": {"const": verdict},
        "tee_type": _schema_of(TeeType, definitions),
        "debug": {"type": ["boolean", "null"]},
        **_properties(AttestationResult, definitions),
        "submodules": _submodules(definitions),
        "mismatches": {**_schema_of(tuple[Mismatch, ...], definitions), **mismatches},
    }
    return _object(properties)


def _submodules(definitions: dict[str, Json]) -> Schema:
    claims: dict[str, Json] = {tee.value: _schema_of(kind, definitions) for tee, kind in _CLAIMS.items()}
    return {"type": "object", "properties": claims, "minProperties": 1, "additionalProperties": False}


def _refused(verdict: str, besides: Mapping[str, Json], definitions: dict[str, Json]) -> Schema:
    always: dict[str, Json] = {
        "schema": {"const": RESULT_SCHEMA},
        "verdict": {"const": verdict},
        "reason": {"enum": [refusal.label for refusal in Refusal]},
        "exit_code": {"enum": [int(code) for code in ExitCode]},
        "message": {"type": "string"},
        "checks": _schema_of(tuple[Check, ...], definitions),
        **besides,
    }
    sometimes: dict[str, Json] = {
        "mismatches": _schema_of(tuple[Mismatch, ...], definitions),
        "not_done": _schema_of(tuple[str, ...], definitions),
        "authenticated": {"type": "boolean"},
        "missing": _schema_of(tuple[MissingEndorsement, ...], definitions),
        "tcb": _schema_of(IntelTcb, definitions),
        "claims": _schema_of(TeeClaims, definitions),
        "event": {"const": "refused"},
        "address": {"type": "string"},
    }
    return _object({**sometimes, **always}, required=list(always))


def _object(properties: Mapping[str, Json], required: list[str] | None = None) -> Schema:
    names: list[Json] = [*(required if required is not None else properties)]
    return {"type": "object", "properties": dict(properties), "required": names, "additionalProperties": False}


def _schema_of(kind: object, definitions: dict[str, Json]) -> Schema:
    """Give the schema of what `core.documents.to_json` writes for a value of a type.

    Raises:
        TypeError: a type that no document holds.
    """
    if kind in _SIMPLE:
        return dict(_SIMPLE[kind])
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in {Union, types.UnionType}:
        return {"anyOf": [_schema_of(item, definitions) for item in arguments]}
    if origin is tuple:
        return _tuple_schema(arguments, definitions)
    if origin is dict:
        return {"type": "object", "additionalProperties": _schema_of(arguments[1], definitions)}
    if isinstance(kind, type) and issubclass(kind, Enum):
        return {"enum": [item.value for item in kind]}
    if isinstance(kind, type) and is_dataclass(kind):
        if kind.__name__ not in definitions:
            definitions[kind.__name__] = {}  # keeps its place should a type hold itself
            definitions[kind.__name__] = _object(_properties(kind, definitions))
        return {"$ref": f"#/$defs/{kind.__name__}"}
    raise TypeError(f"no schema for {kind}")


def _tuple_schema(arguments: tuple[object, ...], definitions: dict[str, Json]) -> Schema:
    if arguments[1:] == (Ellipsis,):
        return {"type": "array", "items": _schema_of(arguments[0], definitions)}
    items: list[Json] = [_schema_of(item, definitions) for item in arguments]
    return {"type": "array", "prefixItems": items, "items": False, "minItems": len(items)}


def _properties(kind: type, definitions: dict[str, Json]) -> dict[str, Json]:
    hints = get_type_hints(kind)
    if not is_dataclass(kind):
        raise TypeError(f"{kind.__name__} is no dataclass")
    return {field.name: _schema_of(hints[field.name], definitions) for field in fields(kind) if field.repr}
