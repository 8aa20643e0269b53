"""The JSON Schema of the file form, made from the fields of the entries."""

from __future__ import annotations

from dataclasses import fields

from rats_tls.policy.entry import Entry
from rats_tls.policy.file_form import Mode
from rats_tls.policy.policy import ENTRY_CLASSES, POLICY_VERSION
from rats_tls.policy.rules import is_required, rule_of
from rats_tls.policy.values import Json


def policy_schema() -> dict[str, Json]:
    """Give the JSON Schema (draft 2020-12) of a policy file."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "rats-tls Appraisal Policy",
        "type": "object",
        "properties": {
            "version": {"const": POLICY_VERSION},
            "mode": {"enum": [mode.value for mode in Mode], "default": Mode.ENFORCE.value},
            "entry": {
                "type": "array",
                "minItems": 1,
                "items": {"oneOf": [_entry_schema(entry) for entry in ENTRY_CLASSES]},
            },
        },
        "required": ["version", "entry"],
        "additionalProperties": False,
    }


def _entry_schema(entry: type[Entry]) -> dict[str, Json]:
    properties: dict[str, Json] = {"tee": {"const": entry.tee.value}}
    for declared in fields(entry):
        rule = rule_of(declared)
        properties[declared.name] = {**rule.form.schema, "description": rule.meaning}
    return {
        "type": "object",
        "properties": properties,
        "required": ["tee", *(declared.name for declared in fields(entry) if is_required(declared))],
        "additionalProperties": False,
    }
