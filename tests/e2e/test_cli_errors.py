"""How the command line ends when it cannot do its work: one line on standard error, an exit code, no traceback."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from support.command_files import SGX, CommandFiles
from support.commands import PROGRAM, port_of, run, started

Arguments = list[str | Path]


def verify(files: CommandFiles, *more: str | Path) -> Arguments:
    evidence, _ = files.evidence()
    return ["verify", evidence, "--policy", files.policy(), *more]


def client(files: CommandFiles, *more: str | Path) -> Arguments:
    """A client of a port where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    return ["client", "--port", str(port), "--policy", files.policy(), *more]


def pipe(files: CommandFiles) -> Path:
    path = files.folder / "pipe"
    if not path.exists():
        os.mkfifo(path)
    return path


def simulated(files: CommandFiles, state: str) -> Arguments:
    return client(files, "--attester", SGX, "--simulation", files.world.trust_anchors_file.parent, "--simulate", state)


BAD_PEM = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"

ERRORS: list[tuple[str, Callable[[CommandFiles], Arguments], int, str]] = [
    ("no such command", lambda _: ["nope"], 1, "error: usage: No such command 'nope'"),
    ("no policy", lambda _: ["client"], 1, "error: usage: give --policy FILE"),
    ("no policy for Evidence", lambda f: ["verify", f.evidence()[0]], 1, "error: usage: give --policy FILE"),
    ("no such file", lambda f: verify(f, "--trust-anchors", "absent.pem"), 1, "error: usage: "),
    ("report data", lambda f: verify(f, "--report-data", "00"), 1, "got 1 bytes, expected 64"),
    ("claim", lambda f: client(f, "--claim", "x"), 1, "expected NAME=VALUE"),
    ("first year", lambda f: verify(f, "--at", "0001-01-01T00:00:00+23:59"), 1, "error: usage: "),
    ("last year", lambda f: verify(f, "--at", "9999-12-31T23:59:59-12:00"), 1, "error: usage: "),
    ("last second", lambda f: verify(f, "--at", "9999-12-31T23:59:59Z"), 1, "error: usage: "),
    ("no zone", lambda f: verify(f, "--at", "2026-01-01T00:00:00"), 1, "a time needs its zone"),
    ("empty policy", lambda f: ["verify", f.evidence()[0], "--policy", f.write("e", b"")], 1, "/e: the file is empty"),
    ("empty anchors", lambda f: verify(f, "--trust-anchors", f.write("e", b"")), 1, "/e: the file is empty"),
    ("empty Endorsements", lambda f: verify(f, "--endorsements-file", f.write("e", b"")), 2, "/e: the file is empty"),
    ("bad anchors", lambda f: verify(f, "--trust-anchors", f.write("b.pem", BAD_PEM)), 1, "/b.pem: "),
    ("anchors that are none", lambda f: verify(f, "--trust-anchors", f.write("g", "hello")), 1, "/g: "),
    ("bad Endorsements", lambda f: verify(f, "--endorsements-file", f.write("b.pem", BAD_PEM)), 2, "/b.pem: "),
    ("no anchor", lambda f: verify(f, "--trust-anchors", f.root("r.pem", "SGX Root CA")), 1, "/r.pem: trust anchor"),
    (
        "Endorsements that are none",
        lambda f: verify(f, "--endorsements-file", f.write("g", "hello")),
        2,
        "/g: no known",
    ),
    ("pipe as Evidence", lambda f: ["verify", pipe(f), "--policy", f.policy()], 1, "/pipe: not a regular file"),
    ("pipe as policy", lambda f: ["verify", f.evidence()[0], "--policy", pipe(f)], 1, "/pipe: not a regular file"),
    ("state", lambda f: simulated(f, "tcb_status=Nope"), 1, "expected one of UpToDate, SWHardeningNeeded, "),
    ("no attester", lambda f: client(f, "--attester", "nope"), 6, "error: no_instance: "),
    ("no TEE", lambda _: ["server", "--port", "0"], 6, "error: no_instance: "),
    ("nobody there", client, 7, "no connection: Connection refused"),
]


@pytest.mark.parametrize(("arguments", "code", "says"), [row[1:] for row in ERRORS], ids=[row[0] for row in ERRORS])
def test_errors(files: CommandFiles, arguments: Callable[[CommandFiles], Arguments], code: int, says: str) -> None:
    ended = run(*arguments(files))
    assert (ended.returncode, ended.stdout) == (code, "")
    (line,) = ended.stderr.splitlines()
    assert line.startswith("error: ")
    assert says in line
    assert not [word for word in ("http", "ParseError", "Traceback", "kind:") if word in line]


def test_a_tls_server_without_the_preamble(files: CommandFiles, tmp_path: Path) -> None:
    """It is judged by its protocol, so it is a refusal."""
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    der, private = files.plain("plain")
    certificate.write_text(ssl.DER_cert_to_PEM_cert(der), encoding="ascii")
    key.write_text(private, encoding="ascii")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            sock, _ = listener.accept()
            try:
                with context.wrap_socket(sock, server_side=True) as connection:
                    connection.recv(10)
            except OSError:
                sock.close()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        ended = run("client", "--port", listener.getsockname()[1], "--policy", files.policy(), "--message", "x")
        thread.join(30)
    assert (ended.returncode, ended.stderr) == (7, "")
    assert ended.stdout.splitlines()[0].endswith("preamble_required")


@pytest.mark.parametrize("arguments", [[], ["simulate"], ["--help"], ["verify", "-h"]], ids=" ".join)
def test_help_is_on_standard_output(arguments: list[str]) -> None:
    ended = run(*arguments)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.startswith("Usage: rats-tls ")


@pytest.mark.parametrize(
    "arguments",
    [
        lambda _: ["--help"],
        lambda _: ["--version"],
        lambda _: [],
        lambda _: ["server", "--attester", "null", "--port", "0"],
        verify,
        lambda f: verify(f, "--json"),
        lambda f: client(f, "--json"),
        lambda f: ["inspect", f.evidence()[0]],
        lambda f: ["policy", "from-evidence", f.evidence()[0]],
        lambda _: ["policy", "schema"],
        lambda _: ["doctor", "--json"],
        lambda _: ["completion", "bash"],
    ],
    ids=[
        *("help", "version", "nothing", "server", "verify", "json", "client", "inspect", "from-evidence", "schema"),
        *("doctor", "completion"),
    ],
)
def test_output_that_cannot_be_written(files: CommandFiles, arguments: Callable[[CommandFiles], Arguments]) -> None:
    with Path("/dev/full").open("w") as full:
        ended = run(*arguments(files), stdout=full)
    assert ended.returncode == 1
    assert ended.stderr == "error: output: standard output: No space left on device\n"


def test_errors_that_cannot_be_written(files: CommandFiles) -> None:
    with Path("/dev/full").open("w") as full:
        assert run("nope", stderr=full).returncode == 1
        assert run(*client(files), stdout=full, stderr=full).returncode == 7


# --- signals ------------------------------------------------------------------------------------------------------
WAITING = ("server", "--attester", "null", "--port", "0")
# Says when it answers signals, and goes on as the program does: before that, Python itself is being started.
ANNOUNCED = """
import os, sys
from rats_tls.cli import main
original = main._on_signals


def announced(handler):
    original(handler)
    os.write(1, b"ready")
    main._on_signals = original


main._on_signals = announced
sys.exit(main.main())
"""


@pytest.mark.parametrize("milliseconds", [0, 30, 60, 100, 150, 250, 500])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["INT", "TERM"])
def test_a_signal_at_any_moment(milliseconds: int, number: signal.Signals, code: int) -> None:
    """While modules are loaded, and while the server waits for clients."""
    with started(*WAITING, program=(sys.executable, "-c", ANNOUNCED)) as process:
        assert process.stdout is not None
        assert process.stdout.read(5) == "ready"
        time.sleep(milliseconds / 1000)
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (code, "")


def test_a_signal_that_was_ignored_from_the_start_stays_ignored() -> None:
    """As a shell has it for a server that it starts in the background."""
    with started(*WAITING, program=("/bin/sh", "-c", 'trap "" INT; exec "$@"', "sh", *PROGRAM)) as process:
        port_of(process)
        process.send_signal(signal.SIGINT)
        time.sleep(0.2)
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (143, "")
