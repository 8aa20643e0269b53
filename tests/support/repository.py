"""The files that the repository tracks."""

from __future__ import annotations

import subprocess
from pathlib import Path

from support.paths import REPOSITORY


def tracked() -> list[Path]:
    """Every tracked file that is there."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=REPOSITORY, check=True, capture_output=True, text=True
    ).stdout.split("\0")
    return [path for path in (REPOSITORY / entry for entry in listed if entry) if path.is_file()]


def name(path: Path) -> str:
    """Path from the repository's root."""
    return str(path.relative_to(REPOSITORY))


def text(path: Path) -> str:
    """The file as text."""
    return path.read_text(encoding="utf-8")
