"""The JSON Schema takes what the loader takes and refuses what it refuses, field by field."""

from __future__ import annotations

import tomllib
from dataclasses import fields
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from rats_tls.core.errors import ConfigurationError
from rats_tls.policy import Entry, Policy, policy_schema
from rats_tls.policy.file_form import entry_document
from support.claims import SGX, SNP, TDX
from support.policies import null_policy, pinning_entry

VALIDATOR = Draft202012Validator(policy_schema())
ENTRIES = (pinning_entry(SGX), pinning_entry(TDX), pinning_entry(SNP), *null_policy().entries)

# Values of every form, right for some fields and wrong for others.
VALUES: tuple[Any, ...] = (
    *("any", "", "x", "0x", "0x3", "0XfF", "0x1_0", "0x-1", "-1", "zz", "a", "00 11", "UpToDate", "Revoked", "Milan"),
    *("certificate", "report-data", "none", "required", "not-checked", "optional", "VCEK", "measurement-only"),
    *("0x" + "f" * 16, "0x" + "f" * 17, "0x" + "0" * 20 + "1", "x" * 256, "x" * 257),
    *("ab" * size for size in (5, 6, 15, 16, 31, 32, 47, 48, 49, 64, 65)),
    *(True, False, 0, 1, -1, 3, 4, 255, 256, 65535, 65536, 2**32 - 1, 2**32, 2**64 - 1, 2**64, 1.5),
    *([], [0], [0, 0], [0, 0, 0], [0, 0, 256], [True], [0] * 16, ["any"], ["ab" * 32], ["ab" * 48, "cd" * 48], [[]]),
    *(["UpToDate", "OutOfDate"], ["UpToDate", "Revoked"], ["certificate", "session"], ["VLEK"], ["Milan", "Naples"]),
    *({}, {"x": 1}, {"spki_sha256": "ab" * 32}, {"spki_sha256": []}, {"spki_sha256": ["ab"]}, {"names": ["a"]}),
    *({"role": {"text": "server"}}, {"role": "00"}, {"role": "0"}, {"role": {"text": 1}}, {"role": {"text": ""}}),
    *({"sgx_components": [0] * 16}, {"sgx_components": [0] * 16, "pce_svn": 1}, {"bootloader": 1, "tee": 1}),
    {"sgx_components": [0] * 16, "pce_svn": 1, "tdx_components": [0] * 16},
    {"bootloader": 1, "tee": 1, "snp": 1, "microcode": 255},
    {"fmc": 1, "bootloader": 1, "tee": 1, "snp": 1, "microcode": 256},
)


def document_of(entry: Entry, **changes: Any) -> dict[str, Any]:
    return {"version": 1, "entry": [{**entry_document(entry, defaults=False), **changes}]}


def loads(entry: Entry, field: str, value: object) -> bool:
    """Whether the loader takes the value; an entry is made of the JSON document as of the TOML tables it stands for."""
    table = {**entry_document(entry, defaults=False), field: value}
    del table["tee"]
    try:
        type(entry)(**table)  # type: ignore[arg-type]
    except ConfigurationError as error:
        # Fields that do not go together are beyond the schema; each is right by itself.
        return "mr_signer without mr_enclave" in error.message
    return True


def test_schema_is_a_schema() -> None:
    Draft202012Validator.check_schema(policy_schema())


def test_schema_takes_files_of_every_entry() -> None:
    policy = Policy.of(*(pinning_entry(c, name=n) for c, n in ((SGX, "a"), (TDX, "b"), (SNP, "c"))), ENTRIES[3])
    VALIDATOR.validate(tomllib.loads(policy.to_toml()))


@pytest.mark.parametrize(
    ("entry", "field"),
    [(entry, field.name) for entry in ENTRIES for field in fields(entry)],
    ids=lambda value: value if isinstance(value, str) else str(value.tee),
)
def test_schema_and_loader_agree(entry: Entry, field: str) -> None:
    taken = [value for value in VALUES if loads(entry, field, value)]
    assert [value for value in VALUES if VALIDATOR.is_valid(document_of(entry, **{field: value}))] == taken
    assert 0 < len(taken) < len(VALUES)


@pytest.mark.parametrize(
    "changes", [{"version": 2}, {"version": "1"}, {"entry": []}, {"entry": None}, {"more": 1}, {"entry": [{}]}]
)
def test_schema_refuses_other_documents(changes: dict[str, Any]) -> None:
    assert not VALIDATOR.is_valid({**document_of(ENTRIES[0]), **changes})


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: str(entry.tee))
def test_schema_refuses_unknown_and_missing_fields(entry: Entry) -> None:
    assert VALIDATOR.is_valid(document_of(entry))
    assert not VALIDATOR.is_valid(document_of(entry, mr_enclav="any"))
    for field in entry_document(entry, defaults=False):
        document = document_of(entry)
        del document["entry"][0][field]
        assert not VALIDATOR.is_valid(document), field
