"""Policies: any text gives a policy or an error that names the file, and every policy survives its file."""

from __future__ import annotations

import contextlib
import functools
import json
import tomllib
from dataclasses import fields
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from rats_tls.core.binding import Binding
from rats_tls.core.claims import TcbStatus
from rats_tls.core.errors import ConfigurationError
from rats_tls.policy import (
    Accepts,
    Entry,
    NullEntry,
    Policy,
    SevEntry,
    SgxEntry,
    SgxLocalEntry,
    SnpEntry,
    TdxEntry,
    compare,
    lint,
)
from rats_tls.policy.csv_entry import CsvEntry
from rats_tls.policy.file_form import entry_document
from rats_tls.policy.snp_entry import PRODUCTS
from support.claims import CSV, SEV, SGX, SGX_LA, SNP, TDX
from support.mutations import mutated
from support.policies import null_policy, pinning_entry

# --- values of every field --------------------------------------------------------------------------------------------
any_word = st.just("any")
printable = st.text(max_size=40, min_size=1).filter(str.isprintable)


def octets(size: int) -> st.SearchStrategy[bytes]:
    return st.binary(min_size=size, max_size=size)


def one_or_several(value: st.SearchStrategy[Any], *, least: int = 1) -> st.SearchStrategy[Any]:
    return value | st.lists(value, min_size=least, max_size=3)


def numbers(count: int, bits: int) -> st.SearchStrategy[list[int]]:
    return st.lists(st.integers(0, (1 << bits) - 1), min_size=count, max_size=count)


def masks(bits: int) -> st.SearchStrategy[int | str]:
    number = st.integers(0, (1 << bits) - 1)
    return number | number.map(hex)


hexed = {
    size: octets(size) | octets(size).map(bytes.hex) | octets(size).map(lambda d: d.hex().upper())
    for size in (6, 16, 32, 48, 64)
}
pinned = {size: any_word | one_or_several(value) for size, value in hexed.items()}
common: dict[str, st.SearchStrategy[Any]] = {
    "bindings": one_or_several(st.sampled_from([item for item in Binding if item is not Binding.REPORT_DATA])),
    "preamble": st.sampled_from(("required", "optional")),
    "max_evidence_age": any_word | st.integers(1, (1 << 32) - 1),
    "custom_claims": st.dictionaries(
        printable,
        st.binary(min_size=1, max_size=40).map(bytes.hex) | printable.map(lambda text: {"text": text}),
        max_size=4,
    ),
    "revocation": st.sampled_from(("required", "not-checked")),
    "endorsement_grace": st.integers(0, 366 * 86_400),
    "max_endorsement_age": any_word | st.integers(1, (1 << 32) - 1),
}


def identity(size: int) -> st.SearchStrategy[Any]:
    ids = one_or_several(octets(size).filter(any))
    pins = one_or_several(hexed[32])
    return st.just("measurement-only") | st.fixed_dictionaries({"spki_sha256": pins}, optional={"hardware_ids": ids})


statuses = st.sampled_from([item for item in TcbStatus if item is not TcbStatus.REVOKED])
intel: dict[str, st.SearchStrategy[Any]] = {
    **common,
    "identity": identity(16),
    "tcb_statuses": one_or_several(statuses),
    "advisories": one_or_several(printable, least=0),
    "min_tcb_evaluation_data_number": st.integers(0, (1 << 32) - 1),
    "fmspcs": pinned[6],
    **{name: any_word | one_or_several(st.booleans()) for name in ("dynamic_platform", "cached_keys", "smt_enabled")},
}
minimum = {"sgx_components": numbers(16, 8), "pce_svn": st.integers(0, 65535)}
sgx = {
    **intel,
    "mr_enclave": one_or_several(hexed[32]),
    **dict.fromkeys(("mr_signer",), pinned[32]),
    "isv_prod_id": any_word | one_or_several(st.integers(0, 65535)),
    **{name: st.integers(0, 65535) for name in ("min_isv_svn", "min_config_svn")},
    "min_tcb": any_word | st.fixed_dictionaries(minimum),
    "allow_debug": st.booleans(),
    **{name: masks(64) for name in ("allowed_attributes", "required_attributes", "allowed_xfrm")},
    "allowed_miscselect": masks(32),
    "config_id": pinned[64],
    **dict.fromkeys(("isv_ext_prod_id", "isv_family_id"), pinned[16]),
}
measured = st.binary(min_size=1, max_size=40).map(bytes.hex) | printable.map(lambda text: {"text": text})
event = {"register": st.sampled_from(("rtmr0", "rtmr1", "rtmr2", "rtmr3")), "type": printable}
sgx_la = {
    **{name: values for name, values in sgx.items() if name in common or name not in {"min_tcb", *intel}},
    "identity": st.just("measurement-only") | st.fixed_dictionaries({"spki_sha256": one_or_several(hexed[32])}),
    "cpu_svn": pinned[16],
}
tdx = {
    **intel,
    **dict.fromkeys(("mr_td", "rtmr0", "rtmr1", "rtmr2", "rtmr3", "mr_seam", "mr_config_id"), pinned[48]),
    **dict.fromkeys(("mr_owner", "mr_owner_config", "mr_service_td"), pinned[48]),
    "required_events": one_or_several(
        st.fixed_dictionaries(event, optional={"name": printable, "digest": one_or_several(hexed[48])})
        | st.fixed_dictionaries(event, optional={"name": printable, "data": measured}),
        least=0,
    ),
    "min_tcb": any_word | st.fixed_dictionaries({**minimum, "tdx_components": numbers(16, 8)}),
    **{name: st.booleans() for name in ("allow_debug", "require_sept_ve_disable", "allow_migratable")},
    **{name: masks(64) for name in ("allowed_td_attributes", "required_td_attributes", "allowed_xfam")},
}
svn = st.integers(0, 255)
snp = {
    **common,
    "identity": identity(64),
    **dict.fromkeys(("measurement", "id_key_digest", "author_key_digest"), pinned[48]),
    "host_data": pinned[32],
    **dict.fromkeys(("family_id", "image_id"), pinned[16]),
    **{name: st.integers(0, (1 << 32) - 1) for name in ("min_guest_svn", "min_report_version")},
    "min_tcb": any_word
    | st.fixed_dictionaries(dict.fromkeys(("bootloader", "tee", "snp", "microcode"), svn), optional={"fmc": svn}),
    "products": one_or_several(st.sampled_from(PRODUCTS)),
    "vmpl": any_word | one_or_several(st.integers(0, 3)),
    **{name: st.booleans() for name in ("allow_debug", "allow_migration_agent", "allow_smt", "allow_cxl")},
    "allow_provisional_firmware": st.booleans(),
    **{name: masks(64) for name in ("allowed_policy_bits", "required_policy_bits", "allowed_platform_info")},
    "allowed_key_info": masks(32),
    **{name: masks(64) for name in ("required_platform_info", "required_mitigations")},
    "min_policy_abi": numbers(2, 8),
    "min_firmware_version": numbers(3, 8),
    "signing_keys": one_or_several(st.sampled_from(("VCEK", "VLEK"))),
    "csp_ids": one_or_several(printable, least=0),
}
csv = {
    **{name: values for name, values in common.items() if name != "revocation"},
    "revocation": st.just("not-checked"),
    "identity": identity(32),
    "measurement": one_or_several(hexed[32]),
    **dict.fromkeys(("user_pubkey_digest", "rtmr0", "rtmr1", "rtmr2", "rtmr3", "rtmr4"), pinned[32]),
    **dict.fromkeys(("vm_id", "vm_version"), pinned[16]),
    "host_data": pinned[64],
    "required_events": one_or_several(
        st.fixed_dictionaries({**event, "register": st.sampled_from(("rtmr1", "rtmr2", "rtmr3", "rtmr4"))}), least=0
    ),
    **{name: st.integers(0, (1 << 32) - 1) for name in ("min_report_version", "min_build")},
    **{name: st.booleans() for name in ("allow_debug", "allow_key_sharing", "allow_plain_registers", "allow_send")},
    **{name: st.booleans() for name in ("allow_asid_reuse", "require_domain", "require_csv", "require_csv3")},
    **{name: st.integers(0, 15) for name in ("min_hsk_version", "min_cek_version")},
    "min_policy_api": numbers(2, 8),
    "allow_unproved_mask": st.booleans(),
}
sev = {
    **{name: values for name, values in common.items() if name not in {"bindings", "revocation", "max_evidence_age"}},
    "bindings": st.just("none") | st.permutations(("none", "certificate", "session")),
    "revocation": st.just("not-checked"),
    "max_evidence_age": any_word,
    "identity": identity(32),
    "launch_digest": pinned[32],
    "products": any_word | one_or_several(st.sampled_from(("Naples", "Rome", "Milan"))),
    **{name: st.booleans() for name in ("allow_debug", "allow_key_sharing", "allow_plain_registers", "allow_send")},
    **{name: st.booleans() for name in ("allow_send_outside_domain", "allow_send_outside_sev")},
    "allowed_policy_bits": masks(32),
    "min_policy_api": numbers(2, 8),
}
null = {**common, "identity": st.just("measurement-only")}
FIELDS: dict[type[Entry], dict[str, st.SearchStrategy[Any]]] = {
    SgxEntry: sgx, SgxLocalEntry: sgx_la, TdxEntry: tdx, SnpEntry: snp, SevEntry: sev, CsvEntry: csv, NullEntry: null,
}  # fmt: skip
PINNED = tuple(map(pinning_entry, (SGX, SGX_LA, TDX, SNP, SEV, CSV)))
BASES = {type(entry): entry for entry in (*PINNED, null_policy().entries[0])}


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    """A policy whose entries have any value in some of their fields, in any of its written forms."""
    entries: list[Entry] = []
    for name in draw(st.lists(printable, min_size=1, max_size=3, unique=True)):
        chosen = draw(st.sampled_from(list(FIELDS)))
        changed = draw(st.lists(st.sampled_from(sorted(FIELDS[chosen])), max_size=6, unique=True))
        values = {field.name: getattr(BASES[chosen], field.name) for field in fields(BASES[chosen])}
        values |= {field: draw(FIELDS[chosen][field]) for field in changed}
        make: Any = chosen
        entries.append(make(**{**values, "name": name}))
    return Policy.of(*entries)


def test_there_are_values_for_every_field() -> None:
    for entry, values in FIELDS.items():
        assert {field.name for field in fields(entry)} == {"name", *values}


@given(policies())
@settings(max_examples=200)
def test_a_policy_survives_its_file(policy: Policy) -> None:
    written = policy.to_toml()
    read = Policy.from_toml(written)
    assert (read, read.digest) == (policy, policy.digest)
    assert Policy.from_toml(written.encode()).digest == policy.digest
    assert read.to_toml() == written


@given(policies())
def test_the_canonical_form_is_a_file_too(policy: Policy) -> None:
    """It names every value, defaults too, in a form that reads as the same policy."""
    document = json.loads(policy.canonical())
    by_tee = {entry.tee.value: entry for entry in FIELDS}
    made = [by_tee[table.pop("tee")](**table) for table in document["entry"]]
    assert Policy.of(*made).digest == policy.digest
    assert [entry_document(entry) for entry in made] == [entry_document(entry) for entry in policy.entries]


@given(policies(), policies())
def test_every_policy_can_be_compared_and_criticised(a: Policy, b: Policy) -> None:
    forth, back = compare(a, b), compare(b, a)
    mirrored = {Accepts.MORE: Accepts.LESS, Accepts.LESS: Accepts.MORE}
    assert back.accepts is mirrored.get(forth.accepts, forth.accepts)
    assert {entry.entry for entry in forth.entries} == {entry.entry for entry in back.entries}
    assert compare(a, a).entries == ()
    names = {entry.name for entry in a.entries}
    assert all(advice.entry in names and advice.why and advice.write for advice in lint(a))


# --- other texts ------------------------------------------------------------------------------------------------------
@functools.cache
def texts() -> tuple[bytes, ...]:
    healthy = Policy.of(
        *(type(entry)(**{**values_of(entry), "name": str(n)}) for n, entry in enumerate(BASES.values()))
    )
    return (healthy.to_toml().encode(), null_policy().to_toml().encode())


def values_of(entry: Entry) -> dict[str, Any]:
    return {field.name: getattr(entry, field.name) for field in fields(entry)}


@given(mutated(texts) | st.binary(max_size=200))
@settings(max_examples=300)
def test_any_text_is_a_policy_or_an_error_that_names_the_file(data: bytes) -> None:
    try:
        policy = Policy.from_toml(data, where="my policy")
    except ConfigurationError as error:
        said = error.message
    else:
        assert policy.entries
        assert tomllib.loads(data.decode())["version"] == 1
        return
    assert said.startswith("my policy: ")
    assert said.isprintable()


VALUES = st.recursive(
    st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.sampled_from(("any", "0x1", "00" * 32)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@given(st.sampled_from(list(FIELDS)), st.data())
@settings(max_examples=300)
def test_any_value_of_a_field_is_taken_or_named(chosen: type[Entry], data: st.DataObject) -> None:
    field = data.draw(st.sampled_from(sorted(FIELDS[chosen])))
    value = data.draw(VALUES)
    with contextlib.suppress(ConfigurationError):
        try:
            entry = chosen(**{**values_of(BASES[chosen]), field: value})
        except ConfigurationError as error:
            assert field in error.message  # noqa: PT017  # an entry would do as well
            raise
        policy = Policy.of(entry)
        assert Policy.from_toml(policy.to_toml()) == policy
