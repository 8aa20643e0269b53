"""Real evidence stays outside the repository: neither its files nor long pieces of them are in it, and tests run
without it."""

from __future__ import annotations

import base64
import functools
import hashlib
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.paths import MANIFEST, REPOSITORY, VECTORS
from support.repository import name, text, tracked

NEEDS_VECTORS = True

PIECE = 48
LINE = 160  # of files that are text themselves: JSON of one line, PEM


@functools.cache
def listed_files() -> tuple[tuple[str, str, bytes], ...]:
    """Kind of vector, SHA-256 and bytes of every file that the manifest lists."""
    return tuple(
        (vector["kind"], file["sha256"], (VECTORS / file["file"]).read_bytes())
        for vector in tomllib.loads(text(MANIFEST))["vector"]
        for file in vector.get("files", ())
    )


def written_forms(data: bytes) -> Iterator[str]:
    """How four pieces of a file could stand in a text file, without white space; none that is mostly repeats."""
    for quarter in range(4):
        start = len(data) * quarter // 4
        piece = data[start : start + PIECE]
        if len(piece) == PIECE and len(set(piece)) > PIECE // 3:
            yield piece.hex()
            # Base64 depends on where a group of three begins.
            for shift in range(3):
                yield base64.b64encode(piece[shift : shift + (PIECE - 3)]).decode()
        line = b"".join(data[start : start + 2 * LINE].split())[:LINE]
        if len(line) == LINE and line.isascii():
            yield line.decode()


def pieces_in(content: str) -> list[str]:
    """Pieces of real evidence in `content`. Vendor roots are facts, pinned in the package; all else is looked for."""
    squeezed = "".join(content.split())
    lower = squeezed.lower()
    return [
        f"{kind} {sha256[:8]}: {form[:40]}"
        for kind, sha256, data in listed_files()
        if kind != "trust"
        for form in written_forms(data)
        if form in squeezed or form in lower
    ]


def test_no_file_of_the_evidence_is_tracked() -> None:
    real = {sha256 for _, sha256, _ in listed_files()}
    assert len(real) > 100
    assert [name(path) for path in tracked() if hashlib.sha256(path.read_bytes()).hexdigest() in real] == []


def test_no_piece_of_the_evidence_is_tracked() -> None:
    assert pieces_in("".join(text(path) for path in tracked())) == []


@pytest.mark.parametrize("write", [bytes.hex, lambda data: base64.encodebytes(b"x" + data).decode()])
def test_pieces_are_seen(write: object) -> None:
    quote = next(data for kind, _, data in listed_files() if kind == "tdx_ecdsa")
    assert pieces_in(f"QUOTE = '{write(quote)}'")


# --- without it -------------------------------------------------------------------------------------------------------
# One file of each way in which tests come by evidence of Intel's form: quotes, documents, bundles, pools, memory.
RUN_WITHOUT = (
    "tests/unit/formats/intel/test_quote.py",
    "tests/unit/formats/intel/test_documents.py",
    "tests/unit/formats/intel/test_collateral.py",
    "tests/unit/verifiers/test_intel_selection.py",
    "tests/unit/verifiers/test_intel_memory.py",
)


def pytest_without_vectors(tmp_path: Path, *arguments: str) -> str:
    environment = {key: value for key, value in os.environ.items() if key not in ("CI", "RATS_TLS_REQUIRE_VECTORS")}
    environment["RATS_TLS_VECTORS"] = str(tmp_path / "absent")
    command = [sys.executable, "-m", "pytest", "-q", *arguments]
    run = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-3000:]
    assert "the others run on simulated evidence" in run.stdout
    return run.stdout


def test_every_test_file_can_be_collected_without_real_evidence(tmp_path: Path) -> None:
    collected = set(re.findall(r"^(tests/\S+\.py)", pytest_without_vectors(tmp_path, "--collect-only"), re.MULTILINE))
    assert {path for path in collected if path.startswith("tests/vectors/")} == set()
    assert set(RUN_WITHOUT) <= collected


def test_tests_run_on_simulated_evidence_without_real_evidence(tmp_path: Path) -> None:
    passed = re.search(r"^(\d+) passed in", pytest_without_vectors(tmp_path, *RUN_WITHOUT), re.MULTILINE)
    assert passed is not None
    assert int(passed[1]) > 500
