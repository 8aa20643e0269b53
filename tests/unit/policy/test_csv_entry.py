"""Every field of the entry for Hygon CSV: what it refuses, what is said, and what accepts it."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest

from rats_tls.core.binding import Binding
from rats_tls.core.claims import MeasuredEvent
from rats_tls.core.errors import ConfigurationError
from rats_tls.policy import ANY, Entry, Facts, Level, NullEntry, Policy, lint
from rats_tls.policy.csv_entry import CsvEntry
from support.claims import CSV, CSV_V1, facts
from support.policies import pinning_entry

OTHER = {16: bytes([0xEE] * 16), 32: bytes([0xEE] * 32), 64: bytes([0xEE] * 64)}
ALL = CSV.policy


def refusals(entry: Entry, claims: Any = CSV, known: Facts | None = None) -> list[tuple[str, str, str]]:
    """Give what an entry refuses claims for: field, got, expected."""
    evaluation = Policy.of(entry).evaluate(claims, known or facts(revocation_checked=False), verified=True)
    assert (evaluation.accepted is None) == bool(evaluation.mismatches)
    return [(found.field, found.got, found.expected) for found in evaluation.mismatches]


def registers(index: int) -> tuple[bytes, ...]:
    values = list(CSV.rtmrs or ())
    values[index] = OTHER[32]
    return tuple(values)


PINNED = (
    *((name, 16) for name in ("vm_id", "vm_version")),
    *((name, 32) for name in ("measurement", "user_pubkey_digest")),
    ("host_data", 64),
)

# field, change of the claims that it refuses by default or as pinned, got, expected, value that accepts it
STRICT: list[tuple[str, dict[str, Any], str, str, object]] = [
    *(
        (name, {name: OTHER[size]}, OTHER[size].hex(), getattr(CSV, name).hex(), [getattr(CSV, name), OTHER[size]])
        for name, size in PINNED
    ),
    *((f"rtmr{n}", {"rtmrs": registers(n)}, OTHER[32].hex(), (CSV.rtmrs or ())[n].hex(), "any") for n in range(5)),
    ("allow_debug", {"policy": ALL & ~1}, "NODBG clear", "NODBG set", True),
    ("allow_key_sharing", {"policy": ALL & ~2}, "NOKS clear", "NOKS set", True),
    ("allow_plain_registers", {"policy": ALL & ~4}, "ES clear", "ES set", True),
    ("allow_send", {"policy": ALL & ~8}, "NOSEND clear", "NOSEND set", True),
    ("allow_asid_reuse", {"policy": ALL | 1 << 7}, "ASID_REUSE set", "ASID_REUSE clear", True),
]

# field, value that refuses the healthy claims, got, expected, change that it accepts
NARROWING: list[tuple[str, object, str, str, dict[str, Any]]] = [
    ("min_report_version", 4, "3", "at least 4", {"report_version": 4}),
    ("min_build", 2401, "2400", "at least 2401", {"build": 2401}),
    ("require_domain", True, "DOMAIN clear", "DOMAIN set", {"policy": ALL | 1 << 4}),
    ("require_csv", True, "CSV clear", "CSV set", {"policy": ALL | 1 << 5}),
    ("require_csv3", True, "CSV3 clear", "CSV3 set", {"policy": ALL | 1 << 6}),
    ("min_hsk_version", 3, "2", "at least 3", {"policy": ALL + 0x100}),
    ("min_cek_version", 2, "1", "at least 2", {"policy": ALL + 0x1000}),
    ("min_policy_api", [1, 5], "1.4", "at least 1.5", {"policy": ALL + 0x0100_0000}),
    ("min_policy_api", [2, 0], "1.4", "at least 2.0", {"policy": ALL + 0x0001_0000 - 0x0400_0000}),
    (
        "required_events",
        {"register": "rtmr3", "type": "EV_IPL", "digest": OTHER[32]},
        "no event log",
        "1 required event",
        {"events": (MeasuredEvent(register="rtmr3", type="EV_IPL", digest=OTHER[32]),)},
    ),
    (
        "identity",
        {"hardware_ids": [OTHER[32]]},
        f"machine {'c6' * 32}",
        f"machine {'ee' * 32}",
        {"cek_sha256": OTHER[32]},
    ),
]


def test_healthy_claims_are_accepted_with_every_default() -> None:
    for claims in (CSV, CSV_V1):
        assert refusals(pinning_entry(claims), claims) == []


@pytest.mark.parametrize(("field", "change", "got", "expected", "written"), STRICT, ids=[case[0] for case in STRICT])
def test_strict(field: str, change: dict[str, Any], got: str, expected: str, written: object) -> None:
    bad, entry = replace(CSV, **change), pinning_entry(CSV)
    ((name, shown, wanted),) = refusals(entry, bad)
    assert name == field
    assert got in shown
    assert expected in wanted
    accepting = pinning_entry(CSV, **{field: written})
    assert refusals(accepting, bad) == []
    assert not entry.field_covers(field, accepting)
    assert accepting.field_covers(field, entry)


@pytest.mark.parametrize(
    ("field", "written", "got", "expected", "change"), NARROWING, ids=[case[0] for case in NARROWING]
)
def test_narrowing(field: str, written: object, got: str, expected: str, change: dict[str, Any]) -> None:
    entry = pinning_entry(CSV, **{field: written})
    ((name, shown, wanted),) = refusals(entry)
    assert name == field
    assert got in shown
    assert expected in wanted
    assert refusals(entry, replace(CSV, **change)) == []
    assert not entry.field_covers(field, pinning_entry(CSV))
    assert pinning_entry(CSV).field_covers(field, entry)


def test_every_field_is_tried() -> None:
    tried = {case[0] for case in (*STRICT, *NARROWING)} | {"allow_unproved_mask"}
    shared = {field.name for field in fields(NullEntry)}
    assert {field.name for field in fields(CsvEntry)} - shared - tried == set()


def test_the_api_version_is_compared_as_one() -> None:
    entry = pinning_entry(CSV, min_policy_api=[1, 4])
    assert refusals(entry, replace(CSV, policy=ALL & 0xFFFF | 0x0002_0000)) == []  # 2.0
    assert refusals(pinning_entry(CSV, min_policy_api=[16, 16]), replace(CSV, policy=ALL & 0xFFFF | 0x1010_0000)) == []
    newest_of_0 = replace(CSV, policy=ALL & 0xFFFF | 0xFF00_0000)
    assert [found[0] for found in refusals(entry, newest_of_0)] == ["min_policy_api"]


class TestVersion1:
    def test_it_meets_no_register_and_has_no_host_data(self) -> None:
        wanted = pinning_entry(CSV)
        refused = {name: got for name, got, _ in refusals(wanted, CSV_V1)}
        assert set(refused) == {"host_data", "rtmr0", "rtmr1", "rtmr2", "rtmr3", "rtmr4"}
        assert refused["rtmr0"] == "none: a report of version 1 has no registers"
        zeros = dict.fromkeys((f"rtmr{n}" for n in range(5)), bytes(32))
        found = {name for name, _, _ in refusals(pinning_entry(CSV, **zeros, host_data=bytes(64)), CSV_V1)}
        assert found == set(zeros)
        left_open = dict.fromkeys(zeros, "any")
        assert refusals(pinning_entry(CSV, **left_open, host_data=bytes(64)), CSV_V1) == []
        made = pinning_entry(CSV_V1)
        assert {name: getattr(made, name) for name in zeros} == dict.fromkeys(zeros, ANY)

    def test_it_has_no_build(self) -> None:
        ((field, got, expected),) = refusals(pinning_entry(CSV_V1, min_build=1), CSV_V1)
        assert (field, expected) == ("min_build", "at least 1")
        assert got == "none: report version 1 has no build"
        assert refusals(pinning_entry(CSV_V1, min_build=0), CSV_V1) == []

    @pytest.mark.parametrize("binding", [Binding.CERTIFICATE, Binding.SESSION, Binding.REPORT_DATA])
    def test_its_mask_is_proved_by_a_comparison_of_user_data(self, binding: Binding) -> None:
        bindings = [Binding.CERTIFICATE, Binding.SESSION, Binding.NONE]
        known = facts(binding=binding, revocation_checked=False)
        assert "allow_unproved_mask" not in {
            field for field, _, _ in refusals(pinning_entry(CSV_V1, bindings=bindings), CSV_V1, known)
        }

    def test_its_mask_is_not_proved_without(self) -> None:
        known = facts(binding=Binding.NONE, revocation_checked=False)
        ((field, got, expected),) = refusals(pinning_entry(CSV_V1), CSV_V1, known)
        assert field == "allow_unproved_mask"
        assert got == "report version 1 whose user_data was compared with nothing"
        assert expected == "a report whose words are what the chip signed"
        assert refusals(pinning_entry(CSV_V1, allow_unproved_mask=True), CSV_V1, known) == []
        assert refusals(pinning_entry(CSV), CSV, known) == []

    def test_any_measurement_takes_no_report_with_a_mask(self) -> None:
        with pytest.raises(ConfigurationError, match='measurement: "any" needs min_report_version = 2'):
            pinning_entry(CSV, measurement="any")
        for allowed in ({"min_report_version": 2}, {"allow_unproved_mask": True}):
            entry = pinning_entry(CSV, measurement="any", **allowed)
            assert refusals(entry, replace(CSV, measurement=OTHER[32])) == []


def test_revocation_can_only_be_waived() -> None:
    with pytest.raises(ConfigurationError, match=r"revocation: Hygon publishes no revocation list: write \"not-check"):
        pinning_entry(CSV, revocation="required")


@pytest.mark.parametrize("size", [16, 64])
def test_machines_are_digests_of_ceks(size: int) -> None:
    with pytest.raises(ConfigurationError, match="expected 32 bytes that are not all zero"):
        pinning_entry(CSV, identity={"hardware_ids": OTHER[size]})
    entry = pinning_entry(CSV, identity={"hardware_ids": CSV.cek_sha256})
    assert refusals(entry) == []
    assert refusals(entry, replace(CSV, cek_sha256=None)) == [("identity", "absent", "a verified claim")]


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ({"measurement": "00"}, "measurement: got '00', expected 32 bytes"),
        ({"host_data": bytes(32)}, "host_data: got "),
        ({"rtmr2": bytes(48)}, "rtmr2: got "),
        ({"min_hsk_version": 16}, "min_hsk_version: got 16, expected an integer from 0 to 15"),
        ({"min_policy_api": [1]}, "min_policy_api: got"),
        ({"required_events": {"register": "rtmr0", "type": "EV_IPL"}}, "rtmr0"),
        ({"required_events": {"register": "rtmr1", "type": "EV_IPL", "digest": bytes(48)}}, "digest"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_wrong_values_are_named(written: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        pinning_entry(CSV, **written)
    assert said in caught.value.message


D, W, N = Level.DANGER, Level.WARNING, Level.NOTE


def strict(**written: Any) -> Entry:
    own = {"bindings": "certificate", "identity": {"hardware_ids": OTHER[32]}}
    return pinning_entry(CSV, **{**own, **written})


def test_nothing_is_said_of_a_strict_policy() -> None:
    assert lint(Policy.of(strict())) == ()


@pytest.mark.parametrize(
    ("written", "level", "why"),
    [
        ({"allow_debug": True}, D, "memory of a debug TEE"),
        ({"allow_unproved_mask": True}, D, "may be anybody's choice"),
        ({"allow_key_sharing": True}, W, "read each other's memory"),
        ({"allow_plain_registers": True}, W, "reads and changes the guest's registers"),
        ({"allow_send": True}, W, "a machine that nobody judged"),
        ({"allow_asid_reuse": True}, W, "ASID"),
        ({"rtmr2": "any"}, N, "any boot loader and kernel"),
        ({"host_data": "any"}, N, "host bound to the guest"),
        ({"measurement": "any", "min_report_version": 2}, D, "any guest is accepted"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_is_said_of_a_field(written: dict[str, Any], level: Level, why: str) -> None:
    (advice,) = lint(Policy.of(strict(**written)))
    assert (advice.level, advice.field) == (level, next(iter(written)))
    assert why in advice.why
