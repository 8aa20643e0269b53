"""What all tests share: the rule for real evidence, and how much Hypothesis tries.

Real evidence is outside the repository (`tests/support/paths.py`). Where it is absent, `tests/vectors/` and every test
file with a module-level `NEEDS_VECTORS = True` are not collected, all others run on simulated evidence
(`tests/support/intel_stand_ins.py`), the run says so, and in continuous integration it fails.
"""

from __future__ import annotations

import ast
import signal
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from support.pages import CHROMIUM
from support.paths import TESTS, VECTORS, vectors_available, vectors_required

# What is started in the background, as by a shell's `&`, ignores Ctrl-C, and so would all that tests start.
if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Machines are shared and slow at times: no deadlines.
settings.register_profile("local", deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", settings.get_profile("local"), derandomize=True, database=None)
settings.load_profile("ci" if vectors_required() else "local")


def needs_vectors(path: Path) -> bool:
    """Whether a test file reads real evidence. Its code is not run to find out."""
    if path.is_relative_to(TESTS / "vectors"):
        return True
    return any(
        isinstance(node, ast.Assign)
        and any(isinstance(target, ast.Name) and target.id == "NEEDS_VECTORS" for target in node.targets)
        and isinstance(node.value, ast.Constant)
        and node.value.value is True
        for node in ast.parse(path.read_text(encoding="utf-8")).body
    )


def _absence() -> str:
    left_out = [path for path in sorted(TESTS.rglob("test_*.py")) if needs_vectors(path)]
    return (
        f"real evidence: absent ({VECTORS}); {len(left_out)} test files that need it are left out, "
        "the others run on simulated evidence"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Refuse to call a run complete that leaves tests out, where completeness is asked for."""
    if vectors_required() and not vectors_available():
        raise pytest.UsageError(_absence() + ", and CI or RATS_TLS_REQUIRE_VECTORS demands them")


def pytest_report_header() -> str:
    return f"real evidence: {VECTORS}" if vectors_available() else _absence()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say it at the end too: `-q` prints no header. Likewise where there is no Chromium to render pages."""
    if CHROMIUM is None:
        terminalreporter.write_line("Chromium: absent; pages are parsed and not rendered", yellow=True)
    if not vectors_available():
        terminalreporter.write_line(_absence(), yellow=True)


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Leave out what needs real evidence that is not here."""
    if vectors_available() or collection_path.suffix != ".py" or not collection_path.name.startswith("test_"):
        return None
    return needs_vectors(collection_path) or None
