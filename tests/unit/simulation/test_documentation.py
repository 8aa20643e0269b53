"""`docs/simulation.md` says what is so."""

from __future__ import annotations

import re

from rats_tls.simulation.settings import NAMED_STATES
from rats_tls.simulation.states import FMSPC, SgxState, SnpState, TdxState
from rats_tls.simulation.world import ATTESTERS
from support.paths import REPOSITORY

TEXT = (REPOSITORY / "docs" / "simulation.md").read_text(encoding="utf-8")


def test_example_runs() -> None:
    (example,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    names: dict[str, object] = {}
    exec(compile(example, "docs/simulation.md", "exec"), names)
    assert names["collected"]
    assert names["anchors"]


def test_names_of_states_are_those_that_there_are() -> None:
    rows = [line.split("|")[3] for line in TEXT.splitlines() if line.startswith("| ") and line.count("|") == 4]
    listed = {name.replace("-", "_") for row in rows for name in re.findall(r"`([a-z-]+)`", row)}
    flags = {"debug", "relaunch_advised", "out_of_date"}
    assert listed == {state for states in NAMED_STATES.values() for state in states} | flags
    assert all(hasattr(TdxState(), flag) or hasattr(SnpState(), flag) for flag in flags)


def test_settings_named_exist() -> None:
    rows = [line.split("|")[2] for line in TEXT.splitlines() if line.startswith("| ") and line.count("|") == 4]
    named = {name for row in rows for name in re.findall(r"`([a-z_]+)=", row)}
    fields = {field for classes in ATTESTERS.values() for each in classes for field in each.__dataclass_fields__}
    assert named
    assert named <= fields


def test_fmspc_is_the_one_named() -> None:
    assert f"`{FMSPC.hex()}`" in TEXT
    assert SgxState().fmspc == FMSPC
