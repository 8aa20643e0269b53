"""`docs/simulation.md` says what is so."""

from __future__ import annotations

import re

from rats_tls.simulation.services.faults import FAULT_NAMES
from rats_tls.simulation.settings import NAMED_STATES
from rats_tls.simulation.states import FMSPC, FMSPCS, SgxState, SnpState, TdxState
from rats_tls.simulation.world import ATTESTERS
from support.paths import REPOSITORY

TEXT = (REPOSITORY / "docs" / "simulation.md").read_text(encoding="utf-8")


def test_examples_run() -> None:
    names: dict[str, object] = {}
    for example in re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL):
        exec(compile(example, "docs/simulation.md", "exec"), names)
    assert names["collected"]
    assert names["anchors"]
    assert str(names["url"]).startswith("https://127.0.0.1:")
    assert names["asked"] == {}


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


def test_faults_are_those_that_there_are() -> None:
    section = TEXT.partition("## Vendor services")[2].partition("\n## ")[0]
    listed = re.findall(r"^\| `([^`]+)` \|", section.partition("| fault |")[2], re.MULTILINE)
    assert sorted(listed) == sorted(FAULT_NAMES)
    assert FMSPCS[-1].hex() in section


def test_fmspc_is_the_one_named() -> None:
    assert f"`{FMSPC.hex()}`" in TEXT
    assert SgxState().fmspc == FMSPC
