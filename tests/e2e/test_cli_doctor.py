"""`rats-tls doctor` in processes of its own."""

from __future__ import annotations

import json
import sys

from support.commands import run, run_in_terminal, started

# As on a machine whose TLS library does not load.
WITHOUT_TLS = """
import sys
from rats_tls.registry import BUILT_IN
for name in BUILT_IN["tls_wrappers"]:
    if name != "null":
        sys.modules[f"rats_tls.tls_wrappers.{name}"] = None
from rats_tls.cli.main import main
sys.exit(main())
"""

WITHOUT_GMALG = """
import sys
sys.modules["gmalg"] = None
from rats_tls.cli.main import main
sys.exit(main())
"""


def test_a_machine_without_a_tee_is_a_good_one() -> None:
    ended = run("doctor", env={"NO_COLOR": "1"})
    assert (ended.returncode, ended.stderr) == (0, "")
    lines = ended.stdout.splitlines()
    kinds = ["Attesters", "Verifiers", "TLS wrappers", "Crypto wrappers"]
    assert [line for line in lines if line in kinds] == kinds
    assert lines[-1] == "good: something of each kind can be used here."
    (exporter,) = (line.split() for line in lines if line.startswith("  exporter "))
    assert (exporter[1], exporter[-1]) == ("yes", "no")  # openssl comes first, null last
    assert all(line == line.rstrip() for line in lines)
    assert "\x1b" not in ended.stdout


def test_as_json() -> None:
    ended = run("doctor", "--json")
    assert (ended.returncode, ended.stderr) == (0, "")
    (line,) = ended.stdout.splitlines()
    document = json.loads(line)
    assert (document["schema"], document["usable"], document["lacking"]) == ("rats-tls/doctor/1", True, [])
    assert [library["name"] for library in document["sm2"]] == ["libcrypto", "tongsuo", "gmalg"]
    assert {"kind", "name", "origin", "state", "note", "version", "capabilities"} <= document["instances"][0].keys()


def test_a_terminal_folds() -> None:
    code, output = run_in_terminal("doctor")
    lines = [strip_styles(line) for line in output.splitlines()]
    assert code == 0
    assert "\x1b[" in output
    assert max(len(line) for line in lines) <= 80


def strip_styles(text: str) -> str:
    parts = text.split("\x1b[")
    return parts[0] + "".join(part.partition("m")[2] for part in parts[1:])


def test_a_kind_without_a_usable_instance() -> None:
    """`null` TLS is there, and does not count."""
    with started("doctor", program=(sys.executable, "-c", WITHOUT_TLS)) as process:
        said, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (6, "")
    lines = said.splitlines()
    assert lines[-1] == "problem: TLS wrappers: none can be used here"
    assert any(line.split()[:3] == ["openssl", "not", "usable"] for line in lines)


def test_why_a_library_for_sm2_is_not_used() -> None:
    with started("doctor", program=(sys.executable, "-c", WITHOUT_GMALG)) as process:
        said, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "")
    lines = [" ".join(line.split()) for line in said.splitlines()]
    at = lines.index("libraries for SM2 (Hygon CSV); the first that is usable is used")
    rows = {line.split()[0]: line for line in lines[at + 1 : at + 4]}
    assert list(rows) == ["libcrypto", "tongsuo", "gmalg"]
    assert rows["gmalg"] == "gmalg not usable the package gmalg is not installed"
    assert [" usable used; " in row for row in rows.values()].count(True) == 1
