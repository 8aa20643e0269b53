#!/usr/bin/env python3
"""Tries the Attester of the TEE that this runs in, and packs what came of it into one file to send to the project.

    python tools/attester_report.py [--processes] [OPTIONS OF `rats-tls collect`]

It asks for Evidence a few times, one after the other and at once, and looks at what it got. All of it happens in this
process, since enclaves under Gramine and Occlum may not be able to start others; with --processes others ask too.

The file has that Evidence, which identifies the machine (chip id, PPID or the like) and what was measured, the kernel's
version, and the names of the devices that are there. It is readable for its owner alone, and nothing is sent anywhere.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import platform
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import click

from rats_tls.cli.app import run
from rats_tls.cli.collect import collect as collect_command
from rats_tls.cli.sides import make_attester
from rats_tls.collecting import collect
from rats_tls.core.errors import RatsTlsError

OUTPUT = Path("attester-report.tar.gz")
SECONDS = 120
ALONE, AT_ONCE = 3, 8
DEVICES = (
    *("/dev/attestation", "/dev/sgx", "/dev/sgx_enclave", "/dev/tdx_guest", "/dev/sev-guest", "/dev/csv-guest"),
    *("/sys/kernel/config/tsm/report", "/sys/firmware/acpi/tables/data/CCEL", "/etc/tdx-attest.conf"),
)

Ended = tuple[int, str, str]
"""Exit code, output and errors of a command."""
Tried = dict[str, object]
"""What came of asking once."""


def rats_tls(*arguments: str) -> Ended:
    """Run a command in this process."""
    output, errors = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
    before, sys.argv = sys.argv, ["rats-tls", *arguments]
    try:
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
            code = run()
    finally:
        sys.argv = before
    return code, *(stream.buffer.getvalue().decode() for stream in (output, errors))  # type: ignore[attr-defined]


def rats_tls_elsewhere(*arguments: str) -> Ended:
    """Run a command in a process of its own."""
    try:
        ended = subprocess.run(
            [sys.executable, "-m", "rats_tls", *arguments],
            capture_output=True, text=True, timeout=SECONDS, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return -1, "", f"no end within {SECONDS} seconds"
    return ended.returncode, ended.stdout, ended.stderr


class Report:
    """What is packed."""

    def __init__(self, options: list[str], folder: Path) -> None:
        self.files: dict[str, bytes] = {}
        self.tried: list[Tried] = []
        self._options = options
        self._folder = folder

    def by_command(self, command: Callable[..., Ended], name: str) -> None:
        """Ask by `rats-tls collect`."""
        evidence, log, bundle = (self._folder / f"{name}.{kind}" for kind in ("bin", "log", "zip"))
        places = ("--output", str(evidence), "--event-log-output", str(log), "--endorsements-output", str(bundle))
        begun = time.monotonic()
        code, output, errors = command("collect", *self._options, *places, "--data", name, "--json")
        self.files |= {place.name: place.read_bytes() for place in (evidence, log, bundle) if place.exists()}
        said = json.loads(output) if output else None
        self._add(name, evidence.exists(), begun, {"exit": code, "said": said, "errors": errors})

    def by_threads(self) -> None:
        """Ask one Attester from many threads at once."""
        parsed = collect_command.make_context("collect", [*self._options, "--output", "unused"]).params
        names = [f"at-once-{number}" for number in range(AT_ONCE)]
        begun = time.monotonic()
        try:
            attester = make_attester(
                parsed["attester"] or "auto", parsed["attester_options"], parsed["simulation"], parsed["states"]
            )
        except (RatsTlsError, click.ClickException) as error:
            for name in names:
                self._add(name, False, begun, {"errors": str(error)})
            return
        assert attester is not None

        def ask(name: str) -> None:
            asked = time.monotonic()
            try:
                collected = collect(attester, name.encode())
            except RatsTlsError as error:
                self._add(name, False, asked, {"errors": error.message})
            else:
                self.files[f"{name}.bin"] = collected.evidence.data
                self._add(name, True, asked, {})

        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(ask, names))

    def by_processes(self) -> None:
        """Ask from many processes at once."""
        with ThreadPoolExecutor(AT_ONCE) as pool:
            names = [f"processes-{number}" for number in range(AT_ONCE)]
            list(pool.map(lambda name: self.by_command(rats_tls_elsewhere, name), names))

    def _add(self, name: str, good: bool, begun: float, facts: Tried) -> None:
        self.tried.append({"name": name, "good": good, "seconds": round(time.monotonic() - begun, 2), **facts})


def pack(files: dict[str, bytes]) -> None:
    """Write the file anew, for its owner alone: what is in it identifies the machine."""
    OUTPUT.unlink(missing_ok=True)
    descriptor = os.open(OUTPUT, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file, tarfile.open(fileobj=file, mode="w:gz") as archive:
        for name, data in sorted(files.items()):
            entry = tarfile.TarInfo(f"attester-report/{name}")
            entry.size, entry.mode = len(data), 0o600
            archive.addfile(entry, io.BytesIO(data))


def main(options: list[str]) -> int:
    """Try, and pack."""
    with_processes = "--processes" in options
    options = [option for option in options if option != "--processes"]
    facts: dict[str, object] = {"machine": platform.platform(), "python": platform.python_version(), "options": options}
    facts["devices"] = {path: Path(path).exists() for path in DEVICES}
    with tempfile.TemporaryDirectory() as directory:
        report = Report(options, Path(directory))
        report.files["doctor.json"] = rats_tls("doctor", "--json")[1].encode()
        for number in range(ALONE):
            report.by_command(rats_tls, f"alone-{number}")
        report.by_threads()
        if with_processes:
            report.by_processes()
        if "alone-0.bin" in report.files:
            code, output, errors = rats_tls("inspect", str(Path(directory) / "alone-0.bin"))
            report.files["inspect.txt"] = output.encode()
            facts["inspect"] = {"exit": code, "errors": errors}
    facts["collected"] = report.tried
    report.files["facts.json"] = json.dumps(facts, indent=2).encode()
    pack(report.files)
    good = sum(bool(each["good"]) for each in report.tried)
    print(f"{OUTPUT}: Evidence was got {good} of {len(report.tried)} times")
    print("It identifies this machine: only its owner can read it, and nothing was sent anywhere.")
    return 0 if good == len(report.tried) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
