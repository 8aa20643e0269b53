#!/usr/bin/env python3
"""Tries the Attester of the TEE that this runs in, and packs what came of it into one file to send to the project.

    python tools/attester_report.py [OPTIONS]        (--help lists them)

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
import secrets
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO

try:
    import click

    from rats_tls.cli.app import run
    from rats_tls.cli.main import Stopped
    from rats_tls.cli.options import attester_options, simulation_options, trust_anchors_option
    from rats_tls.cli.sides import make_attester
    from rats_tls.collecting import collect
    from rats_tls.core.errors import ConfigurationError, RatsTlsError
    from rats_tls.core.interfaces import Attester
except ImportError as missing:
    sys.exit(f"error: {sys.executable} has no rats_tls ({missing}): pip install . gives it")

PLACE = "attester-report.tar.gz"
ROOM = 4 * 1024 * 1024
"""Bytes that the file may take: 27 times Evidence and its Endorsements."""
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
    written = io.BytesIO(), io.BytesIO()
    output, errors = (io.TextIOWrapper(stream, encoding="utf-8", write_through=True) for stream in written)
    before, sys.argv = sys.argv, ["rats-tls", *arguments]
    try:
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
            code = run()
    finally:
        sys.argv = before
    return code, written[0].getvalue().decode(), written[1].getvalue().decode()


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
    """What is packed.

    Args:
        options: of `rats-tls collect`.
        folder: where commands write.
    """

    def __init__(self, options: list[str], folder: Path) -> None:
        self.files: dict[str, bytes] = {}
        self.tried: list[Tried] = []
        self.first_error = ""
        self._options = options
        self._folder = folder

    @property
    def good(self) -> int:
        """How often Evidence was got."""
        return sum(bool(each["good"]) for each in self.tried)

    def by_command(self, command: Callable[..., Ended], name: str) -> None:
        """Ask by `rats-tls collect`."""
        evidence, log, bundle = (self._folder / f"{name}.{kind}" for kind in ("bin", "log", "zip"))
        places = ["--output", str(evidence), "--event-log-output", str(log)]
        if "sgx_la" not in " ".join(self._options):
            places += ["--endorsements-output", str(bundle)]
        begun = time.monotonic()
        code, output, errors = command("collect", *self._options, *places, "--data", name, "--json")
        self.files |= {place.name: place.read_bytes() for place in (evidence, log, bundle) if place.exists()}
        self._add(name, evidence.exists(), begun, errors, exit=code, said=output)

    def by_threads(self, attester: Attester) -> None:
        """Ask one Attester from many threads at once."""

        def ask(name: str) -> None:
            asked = time.monotonic()
            try:
                collected = collect(attester, name.encode())
            except RatsTlsError as error:
                self._add(name, False, asked, f"error: {error.message}")
            else:
                self.files[f"{name}.bin"] = collected.evidence.data
                self._add(name, True, asked, "")

        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(ask, (f"at-once-{number}" for number in range(AT_ONCE))))

    def by_processes(self) -> None:
        """Ask from many processes at once."""
        with ThreadPoolExecutor(AT_ONCE) as pool:
            names = [f"processes-{number}" for number in range(AT_ONCE)]
            list(pool.map(lambda name: self.by_command(rats_tls_elsewhere, name), names))

    def inspect(self) -> None:
        """Have the first Evidence decoded, if there is any."""
        first = self._folder / "alone-0.bin"
        if first.exists():
            _, output, errors = rats_tls("inspect", str(first))
            self.files["inspect.txt"] = (output + errors).encode()

    def _add(self, name: str, good: bool, begun: float, errors: str, **facts: object) -> None:
        seconds = round(time.monotonic() - begun, 2)
        self.tried.append({"name": name, "good": good, "seconds": seconds, "errors": errors, **facts})
        if not good and not self.first_error:
            last = (errors.strip() or "no Evidence, and no error").splitlines()[-1]
            self.first_error = f"{name}: {last}"


@contextlib.contextmanager
def place(path: Path) -> Iterator[BinaryIO]:
    """Give a new file that takes the place of `path` in the end; nothing is left of it where that is not reached.

    It is for its owner alone, as what is in it identifies the machine, and there is room for it. Raises OSError.
    """
    if path.exists() and not path.is_file():
        raise OSError(f"{path} is there, and is no regular file")
    new = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.posix_fallocate(descriptor, 0, ROOM)
            yield file
            file.truncate()
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)


def pack(file: BinaryIO, files: Mapping[str, bytes]) -> None:
    """Write the archive."""
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        for name, data in sorted(files.items()):
            entry = tarfile.TarInfo(f"attester-report/{name}")
            entry.size, entry.mode = len(data), 0o600
            archive.addfile(entry, io.BytesIO(data))


def as_options(attester: str | None, settings: tuple[str, ...], given: Mapping[str, Any]) -> list[str]:
    """Give options of `rats-tls collect` as it is told them."""
    options = [] if attester is None else ["--attester", attester]
    options += [word for setting in settings for word in ("--attester-option", setting)]
    options += [] if given["simulation"] is None else ["--simulation", str(given["simulation"])]
    options += [word for state in given["states"] for word in ("--simulate", state)]
    return options + [word for path in given["trust_anchors"] for word in ("--trust-anchors", str(path))]


def made_attester(attester: str | None, settings: tuple[str, ...], given: Mapping[str, Any]) -> Attester | None:
    """Make the Attester; None where there is no TEE, of which the report tells. Raises what a user has to mend."""
    try:
        return make_attester(attester or "auto", settings, given["simulation"], given["states"])
    except ConfigurationError:
        raise
    except RatsTlsError:
        return None


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--report", "path", type=click.Path(dir_okay=False, path_type=Path), default=PLACE, show_default=True,
              metavar="FILE", help="Where the report is written.")  # fmt: skip
@click.option("--processes", is_flag=True, help="Have other processes ask at once too.")
@attester_options
@simulation_options
@trust_anchors_option
def main(
    path: Path,
    processes: bool,
    attester: str | None,
    attester_options: tuple[str, ...],
    **given: Any,  # noqa: ANN401
) -> int:
    """Try the Attester of the TEE that this runs in, and pack what came of it into one file.

    That file identifies the machine. Only its owner can read it, and nothing is sent anywhere.
    """
    options = as_options(attester, attester_options, given)
    made = made_attester(attester, attester_options, given)
    facts: dict[str, object] = {"machine": platform.platform(), "python": platform.python_version(), "options": options}
    facts["devices"] = {device: Path(device).exists() for device in DEVICES}
    with place(path) as file, tempfile.TemporaryDirectory() as directory:
        report = Report(options, Path(directory))
        report.files["doctor.json"] = rats_tls("doctor", "--json")[1].encode()
        for number in range(ALONE):
            report.by_command(rats_tls, f"alone-{number}")
        if made is not None:
            report.by_threads(made)
        if processes:
            report.by_processes()
        report.inspect()
        facts["collected"] = report.tried
        report.files["facts.json"] = json.dumps(facts, indent=2).encode()
        pack(file, report.files)
    click.echo(f"{path}: Evidence was got {report.good} of {len(report.tried)} times")
    if report.first_error:
        click.echo(f"the first that failed: {report.first_error}", err=True)
    held = "It identifies this machine" if report.good else "It tells of this machine's kernel and devices"
    click.echo(f"{held}: only its owner can read it, and nothing was sent anywhere.")
    return 0 if report.good == len(report.tried) else 1


def _run() -> int:
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # so that nothing half-written stays
    try:
        return int(main(standalone_mode=False) or 0)
    except click.Abort:
        return 130
    except Stopped as stopped:
        return stopped.exit_code
    except click.ClickException as error:
        problem = f"{error.format_message()} (--help tells more)"
    except RatsTlsError as error:
        problem = error.message
    except OSError as error:
        problem = f"the report cannot be written: {error.strerror or error}"
    click.echo(f"error: {problem}", err=True)
    return 1


if __name__ == "__main__":
    sys.exit(_run())
