"""`required_events`: what is written, what it accepts, what a mismatch says, and how it compares."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from rats_tls.core.claims import MeasuredEvent, TdxClaims
from rats_tls.core.errors import ConfigurationError
from rats_tls.policy import Accepts, EntryError, Policy, RequiredEvent, compare, lint, pinned_events, pinning_entry
from support.claims import TDX, facts

DIGEST, OTHER = b"\1" * 48, b"\2" * 48
LINE = MeasuredEvent(register="rtmr2", type="EV_IPL", digest=DIGEST, name="kernel_cmdline", data=b"ro quiet")
IMAGE = MeasuredEvent(register="rtmr1", type="EV_EFI_BOOT_SERVICES_APPLICATION", digest=OTHER, name="\\vmlinuz")
CLAIMS = replace(TDX, events=(LINE, IMAGE))
REQUIRED = {"register": "rtmr2", "type": "EV_IPL"}


def policy(*events: dict[str, Any] | RequiredEvent, name: str = "td") -> Policy:
    return Policy.of(pinning_entry(CLAIMS, name=name, bindings="certificate", required_events=list(events)))


def mismatch(*events: dict[str, Any], claims: TdxClaims = CLAIMS) -> tuple[str, str] | None:
    (entry,) = policy(*events).entries
    found, not_done = entry.mismatches(claims, facts(), verified=True)
    assert not_done == ()
    wrong = [item for item in found if item.field == "required_events"]
    return (wrong[0].got, wrong[0].expected) if wrong else None


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"name": "kernel_cmdline"},
        {"digest": DIGEST},
        {"digest": [OTHER.hex(), DIGEST.hex()]},
        {"data": {"text": "ro quiet"}},
        {"data": b"ro quiet".hex(), "name": "kernel_cmdline"},
    ],
)
def test_an_event_that_is_there(more: dict[str, Any]) -> None:
    assert mismatch({**REQUIRED, **more}) is None


@pytest.mark.parametrize(
    "more",
    [
        {"register": "rtmr1"},
        {"type": "EV_EFI_ACTION"},
        {"name": "grub_cmd"},
        {"digest": OTHER},
        {"data": {"text": "ro"}},
    ],
)
def test_an_event_that_is_not_there(more: dict[str, Any]) -> None:
    assert mismatch({**REQUIRED, **more}) is not None


def test_every_event_must_be_there() -> None:
    image = {"register": "rtmr1", "type": IMAGE.type, "digest": OTHER}
    assert mismatch({**REQUIRED, "digest": DIGEST}, image) is None
    found = mismatch({**REQUIRED, "digest": OTHER}, image)
    assert found == (
        f"rtmr2 EV_IPL: {DIGEST.hex()} 'kernel_cmdline' of data 'ro quiet'",
        f"rtmr2 EV_IPL: {OTHER.hex()}",
    )


def test_data_counts_only_where_the_digest_is_of_it() -> None:
    unproved = replace(CLAIMS, events=(replace(LINE, data=None),))
    found = mismatch({**REQUIRED, "data": {"text": "ro quiet"}}, claims=unproved)
    assert found == (f"rtmr2 EV_IPL: {DIGEST.hex()} 'kernel_cmdline'", "rtmr2 EV_IPL: data 'ro quiet'")


def test_without_a_log_nothing_is_there() -> None:
    found = mismatch(REQUIRED, {**REQUIRED, "register": "rtmr3"}, claims=replace(CLAIMS, events=None))
    assert found == ("no event log", "an event log with 2 required events")
    assert mismatch({**REQUIRED, "register": "rtmr3"}) == ("rtmr3 EV_IPL: none", "rtmr3 EV_IPL: any")
    (entry,) = policy().entries
    assert entry.mismatches(replace(CLAIMS, events=None), facts(), verified=True) == ((), ())


def test_a_mismatch_lists_few_events() -> None:
    many = tuple(replace(LINE, digest=bytes([n]) * 48) for n in range(3, 40))
    found = mismatch({**REQUIRED, "digest": DIGEST}, claims=replace(CLAIMS, events=many))
    assert found is not None
    assert found[0].endswith("and 33 more")
    assert len(found[0]) < 1000
    long = replace(LINE, data=b"x" * 70_000)
    found = mismatch({**REQUIRED, "digest": OTHER}, claims=replace(CLAIMS, events=(long,)))
    assert found is not None
    assert len(found[0]) < 400


@pytest.mark.parametrize(
    ("event", "problem"),
    [
        ({"type": "EV_IPL"}, "without"),
        ({"register": "rtmr2"}, "without"),
        ({**REQUIRED, "register": "rtmr4"}, "one of 'rtmr0'"),
        ({**REQUIRED, "register": "mrtd"}, "one of 'rtmr0'"),
        ({**REQUIRED, "digest": "00"}, "48 bytes"),
        ({**REQUIRED, "digest": []}, "empty list"),
        ({**REQUIRED, "data": ""}, "hex digits"),
        ({**REQUIRED, "data": {"words": "x"}}, "text ="),
        ({**REQUIRED, "data": "00", "digest": DIGEST.hex()}, "expected one of them"),
        ({**REQUIRED, "type": ""}, "1 to 256"),
        ({**REQUIRED, "color": "red"}, "unknown keys"),
        ("rtmr2", "a table with"),
    ],
)
def test_values_that_are_none(event: Any, problem: str) -> None:
    with pytest.raises(EntryError, match=problem):
        pinning_entry(CLAIMS, name="td", bindings="certificate", required_events=[event])


def test_the_file_form_keeps_every_value() -> None:
    made = policy({**REQUIRED, "data": {"text": "ro quiet"}}, {**REQUIRED, "name": "a", "digest": [DIGEST.hex()]})
    again = Policy.from_toml(made.to_toml(), where="policy")
    assert again.entries == made.entries
    assert again.digest == made.digest
    (entry,) = json.loads(made.canonical())["entry"]
    assert entry["required_events"] == [
        {"register": "rtmr2", "type": "EV_IPL", "data": b"ro quiet".hex()},
        {"register": "rtmr2", "type": "EV_IPL", "name": "a", "digest": [DIGEST.hex()]},
    ]
    assert policy().digest != made.digest


@pytest.mark.parametrize(
    ("a", "b", "accepts"),
    [
        ([], [REQUIRED], Accepts.LESS),
        ([REQUIRED], [], Accepts.MORE),
        ([REQUIRED], [{**REQUIRED, "digest": DIGEST}], Accepts.LESS),
        ([{**REQUIRED, "digest": DIGEST}], [{**REQUIRED, "digest": [DIGEST, OTHER]}], Accepts.MORE),
        ([{**REQUIRED, "digest": DIGEST}], [{**REQUIRED, "digest": OTHER}], Accepts.OTHER),
        ([{**REQUIRED, "data": "00"}], [{**REQUIRED, "name": "a", "data": "00"}], Accepts.LESS),
        ([{**REQUIRED, "data": "00"}], [{**REQUIRED, "data": "01"}], Accepts.OTHER),
    ],
)
def test_which_of_two_accepts_more(a: list[Any], b: list[Any], accepts: Accepts) -> None:
    assert compare(policy(*a), policy(*b)).accepts is accepts


def test_lint_warns_of_words_alone() -> None:
    def warned(event: dict[str, Any]) -> bool:
        return any(advice.field == "required_events" for advice in lint(policy(event), simulated=()))

    assert warned(REQUIRED)
    assert warned({**REQUIRED, "name": "kernel_cmdline"})
    assert not warned({**REQUIRED, "digest": DIGEST})
    assert not warned({**REQUIRED, "name": "kernel_cmdline", "data": {"text": "ro"}})


def test_lint_says_less_of_a_register_with_required_events() -> None:
    def said(*events: dict[str, Any]) -> str:
        entry = pinning_entry(CLAIMS, name="td", bindings="certificate", rtmr2="any", required_events=list(events))
        (why,) = (advice.why for advice in lint(Policy.of(entry)) if advice.field == "rtmr2")
        return why

    assert "any kernel command line" in said()
    assert "any kernel command line" in said(REQUIRED)
    assert "any kernel command line" in said({**REQUIRED, "register": "rtmr3", "digest": DIGEST})
    assert said({**REQUIRED, "digest": DIGEST}) == "whatever is extended besides the required events is accepted"


def test_events_are_pinned_by_data_where_it_is_proved() -> None:
    line, image = pinned_events(CLAIMS, ["EV_IPL", IMAGE.type])
    assert (line.data, line.digest) == (b"ro quiet", None)
    assert (image.data, image.digest) == (None, (OTHER,))
    assert mismatch(line, image) is None  # type: ignore[arg-type]  # written by hand or not, it is the same
    assert pinned_events(replace(CLAIMS, events=(LINE, LINE)), ["EV_IPL"]) == (line,)
    with pytest.raises(ConfigurationError, match="none of type EV_SEPARATOR; there are EV_IPL, EV_EFI"):
        pinned_events(CLAIMS, ["EV_IPL", "EV_SEPARATOR"])
    with pytest.raises(ConfigurationError, match="no event log"):
        pinned_events(TDX, ["EV_IPL"])
