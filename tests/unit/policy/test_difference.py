"""What one policy accepts that another does not."""

from __future__ import annotations

from typing import Any

import pytest

from rats_tls.policy import Accepts, Policy, compare
from support.claims import SGX, TDX
from support.policies import pinning_entry

B1, B2 = bytes([1] * 32), bytes([2] * 32)
A = Accepts


def one(**written: Any) -> Policy:
    return Policy.of(pinning_entry(SGX, **written))


def test_a_policy_accepts_what_it_accepts() -> None:
    found = compare(one(), one(allow_debug=False, max_evidence_age=3600))
    assert (found.entries, found.reordered, found.accepts) == ((), False, A.SAME)


@pytest.mark.parametrize(
    ("field", "a", "b", "accepts", "added", "removed"),
    [
        ("mr_enclave", [B1], [B1, B2], A.MORE, (B2.hex(),), ()),
        ("mr_enclave", [B1, B2], [B2], A.LESS, (), (B1.hex(),)),
        ("mr_enclave", [B1], [B2], A.OTHER, (B2.hex(),), (B1.hex(),)),
        ("mr_enclave", [B1, B2], [B2, B1], A.SAME, (), ()),
        ("mr_enclave", [B1], "any", A.MORE, (), ()),
        ("allow_debug", True, False, A.LESS, (), ()),
        ("min_isv_svn", 3, 2, A.MORE, (), ()),
        ("allowed_attributes", "0x5", "0x6", A.OTHER, (), ()),
    ],
)
def test_a_field_that_differs(
    field: str, a: object, b: object, accepts: Accepts, added: tuple[str, ...], removed: tuple[str, ...]
) -> None:
    found = compare(one(**{field: a}), one(**{field: b}))
    (entry,) = found.entries
    assert (entry.entry, entry.tee, entry.change, entry.accepts) == ("pinned", "sgx_ecdsa", "changed", accepts)
    (difference,) = entry.fields
    assert (difference.field, difference.accepts) == (field, accepts)
    assert (difference.added, difference.removed) == (added, removed)
    assert found.accepts is accepts


def test_values_are_given_as_they_are_written() -> None:
    (entry,) = compare(one(mr_enclave=[B1], min_isv_svn=1), one(mr_enclave="any", min_isv_svn=2)).entries
    assert [(field.field, field.a, field.b) for field in entry.fields] == [
        ("mr_enclave", [B1.hex()], "any"),
        ("min_isv_svn", 1, 2),
    ]
    assert entry.accepts is A.OTHER


def test_entries_that_are_new_or_gone() -> None:
    first, second = pinning_entry(SGX, name="first", mr_enclave=[B1]), pinning_entry(SGX, name="second")
    found = compare(Policy.of(first), Policy.of(first, second))
    assert [(e.entry, e.change, e.accepts, e.covered_by) for e in found.entries] == [("second", "added", A.MORE, None)]
    found = compare(Policy.of(first, second), Policy.of(first))
    assert [(e.entry, e.change, e.accepts, e.covered_by) for e in found.entries] == [
        ("second", "removed", A.LESS, None)
    ]
    assert compare(Policy.of(first), Policy.of(second)).accepts is A.OTHER


def test_an_entry_that_the_other_policy_makes_up_for() -> None:
    wide = pinning_entry(SGX, name="wide", max_evidence_age="any")
    narrow = pinning_entry(SGX, name="narrow")
    for a, b, change in (
        (Policy.of(wide), Policy.of(wide, narrow), "added"),
        (Policy.of(wide, narrow), Policy.of(wide), "removed"),
    ):
        found = compare(a, b)
        (entry,) = found.entries
        assert (entry.change, entry.accepts, entry.covered_by) == (change, A.SAME, "wide")
        assert found.accepts is A.SAME


def test_an_entry_of_the_same_name_for_another_tee_is_another_entry() -> None:
    found = compare(one(), Policy.of(pinning_entry(TDX)))
    assert [(entry.tee, entry.change) for entry in found.entries] == [("tdx_ecdsa", "added"), ("sgx_ecdsa", "removed")]


def test_the_order_decides_which_entry_results_name() -> None:
    first, second = pinning_entry(SGX, name="first"), pinning_entry(SGX, name="second")
    found = compare(Policy.of(first, second), Policy.of(second, first))
    assert (found.entries, found.reordered, found.accepts) == ((), True, A.SAME)
