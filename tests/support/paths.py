"""Where the real evidence is."""

from __future__ import annotations

import os
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
TESTS = REPOSITORY / "tests"
VECTORS = Path(os.environ.get("RATS_TLS_VECTORS", REPOSITORY.parent / "shared" / "vectors"))
MANIFEST = VECTORS / "MANIFEST.toml"


def vectors_available() -> bool:
    """Whether the real evidence is here; `tests/conftest.py` leaves out what needs it when it is not."""
    return MANIFEST.is_file()


def vectors_required() -> bool:
    """Whether a run without the real evidence is a failed one: in continuous integration."""
    return any(os.environ.get(name, "") not in ("", "0", "false") for name in ("CI", "RATS_TLS_REQUIRE_VECTORS"))
