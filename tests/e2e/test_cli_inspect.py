"""`rats-tls inspect` in processes of its own."""

from __future__ import annotations

import json
import socket
import ssl
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from rats_tls.simulation.pki import to_pem
from support.command_files import REPORT_DATA, SGX, TDX, CommandFiles
from support.commands import port_of, run, run_in_terminal, started

UNVERIFIED = "  nothing here is verified: whoever made it may have written anything"
HOSTILE = "\x1b[2J\n not verified  me \u202e\x07"
SHOWN = r"\x1b[2J\n not verified  me \u202e\x07"


def bundle(files: CommandFiles) -> Path:
    return files.evidence()[1]


def chain(files: CommandFiles) -> Path:
    ders = [files.plain(name)[0] for name in ("leaf", "root")]
    return files.write("chain.pem", to_pem(ders))


def revocation_list(files: CommandFiles) -> Path:
    return files.write("list.crl", bytes.fromhex(json.loads(bundle(files).read_bytes())["root_ca_crl"]))


TARGETS: list[tuple[Callable[[CommandFiles], Path], str, str]] = [
    (lambda f: f.evidence()[0], "Evidence of Intel SGX", "mr_enclave"),
    (lambda f: f.certificate("shown.der"), "certificate", "claims_buffer"),
    (lambda f: f.certificate("none.der", attests=False), "certificate", "none in this certificate"),
    (lambda f: f.write("root.pem", to_pem([f.world.intel.root_certificate])), "certificate", "subject"),
    (bundle, "Endorsements (JSON)", "tcb_levels 1"),
    (chain, "PEM chain", "certificate 2"),
    (revocation_list, "revocation list", "next_update"),
    (lambda f: f.policy("shown.toml"), "policy", "mr_enclave"),
]


@pytest.mark.parametrize(("target", "kind", "says"), TARGETS)
def test_files(files: CommandFiles, target: Callable[[CommandFiles], Path], kind: str, says: str) -> None:
    ended = run("inspect", target(files))
    assert (ended.returncode, ended.stderr) == (0, "")
    lines = ended.stdout.splitlines()
    assert lines[0].startswith(f" not verified  {target(files).name}  {kind}, ")
    assert lines[1] == UNVERIFIED
    assert says in ended.stdout
    assert all(line == line.rstrip() for line in lines)


@pytest.mark.parametrize(("target", "kind", "says"), TARGETS)
def test_files_as_json(files: CommandFiles, target: Callable[[CommandFiles], Path], kind: str, says: str) -> None:
    ended = run("inspect", target(files), "--json")
    assert (ended.returncode, ended.stderr) == (0, "")
    (line,) = ended.stdout.splitlines()
    document = json.loads(line)
    assert (document["schema"], document["kind"]) == ("rats-tls/inspection/1", kind)
    assert document["verified"] is False
    assert says in line


def test_values_of_fields_as_json(files: CommandFiles) -> None:
    document = json.loads(run("inspect", files.evidence()[0], "--json").stdout)
    body = next(field for field in document["fields"] if field["name"] == "body")
    fields = {field["name"]: field for field in body["fields"]}
    assert fields["report_data"] == {"name": "report_data", "value": REPORT_DATA.hex(), "size": 64}
    assert fields["attributes"] == {"name": "attributes", "value": "0x5", "meaning": "INIT, MODE64"}


@pytest.mark.parametrize("target", [target for target, *_ in TARGETS])
def test_a_terminal_folds(files: CommandFiles, target: Callable[[CommandFiles], Path]) -> None:
    code, output = run_in_terminal("inspect", target(files))
    lines = [strip_styles(line) for line in output.splitlines()]
    assert code == 0
    assert "\x1b[" in output
    assert max(len(line) for line in lines) <= 80


def strip_styles(text: str) -> str:
    parts = text.split("\x1b[")
    return parts[0] + "".join(part.partition("m")[2] for part in parts[1:])


@pytest.mark.parametrize(
    ("content", "code", "label"),
    [
        (b"", 2, "malformed_evidence"),
        (b"hello", 6, "unsupported_evidence"),
        (b"{}", 2, "malformed_evidence"),
        (b"version = 1\n", 1, "configuration"),
    ],
)
def test_what_is_none_of_it(files: CommandFiles, content: bytes, code: int, label: str) -> None:
    ended = run("inspect", files.write("odd", content))
    assert (ended.returncode, ended.stdout) == (code, "")
    (line,) = ended.stderr.splitlines()
    assert line.startswith(f"error: {label}: ")


@pytest.mark.parametrize("target", ["absent", "host:0", "host:65536", "a/b:1", ":1"])
def test_no_target(target: str) -> None:
    ended = run("inspect", target)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith(f"error: usage: {target}: ")


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_what_others_wrote_is_shown_safely(files: CommandFiles, form: list[str]) -> None:
    """Names of claims and in certificates."""
    shown = "".join(
        run("inspect", target, *form).stdout
        for target in (
            files.certificate("hostile.der", {HOSTILE: HOSTILE.encode()}),
            files.root("hostile.pem", HOSTILE),
        )
    )
    assert all(character.isprintable() or character == "\n" for character in shown)
    assert form or SHOWN in shown
    assert len([line for line in shown.splitlines() if line.startswith(" not verified")]) == (0 if form else 2)


# --- servers ------------------------------------------------------------------------------------------------------
WARNING = "warning: the server is NOT judged: anyone may answer there, with any certificate\n"


def test_a_server_that_demands_a_certificate(files: CommandFiles) -> None:
    """It is shown all the same, and serves the next."""
    policy = files.policy("client-policy.toml", tee=TDX)
    arguments = ("--trust-anchors", files.anchors, "-a", SGX, "--simulation", files.directory, "--policy", policy)
    with started("server", *arguments, "-p", "0", "--count", "2") as process:
        port = port_of(process)
        ended = run("inspect", f"127.0.0.1:{port}")
        again = run("inspect", f"localhost:{port}", "--json")
        process.communicate(timeout=60)
    assert (ended.returncode, ended.stderr) == (0, WARNING)
    lines = ended.stdout.splitlines()
    assert lines[0].startswith(f" not verified  127.0.0.1:{port}  TLS server, ")
    assert lines[1] == UNVERIFIED
    assert "the rats-tls preamble is spoken" in ended.stdout
    assert "Evidence of Intel SGX" in ended.stdout
    assert again.returncode == 0
    assert json.loads(again.stdout)["verified"] is False


def serve(answer: Callable[[socket.socket], None]) -> tuple[socket.socket, threading.Thread]:
    listener = socket.create_server(("127.0.0.1", 0))

    def accept() -> None:
        connection, _ = listener.accept()
        with connection:
            answer(connection)

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    return listener, thread


def test_any_tls_server(files: CommandFiles, tmp_path: Path) -> None:
    der, private = files.plain("plain")
    (tmp_path / "certificate.pem").write_text(ssl.DER_cert_to_PEM_cert(der), encoding="ascii")
    (tmp_path / "key.pem").write_text(private, encoding="ascii")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "certificate.pem", tmp_path / "key.pem")
    received: list[bytes] = []

    def answer(sock: socket.socket) -> None:
        with context.wrap_socket(sock, server_side=True) as connection:
            received.append(connection.recv(10))

    listener, thread = serve(answer)
    with listener:
        ended = run("inspect", f"127.0.0.1:{listener.getsockname()[1]}")
        thread.join(30)
    assert (ended.returncode, ended.stderr) == (0, WARNING)
    assert "CN=plain" in ended.stdout
    assert "none in this certificate" in ended.stdout
    # Not one byte of application data, and a tidy end.
    assert received == [b""]


@pytest.mark.parametrize(
    ("answer", "label", "says"),
    [
        (b"SSH-2.0-OpenSSH_9.9\r\n", "tls", "the peer does not speak TLS"),
        (b"", "tls", "closed"),
        (bytes.fromhex("15030300020228"), "tls", "alert handshake_failure"),
    ],
)
def test_no_tls_server(answer: bytes, label: str, says: str) -> None:
    def send(sock: socket.socket) -> None:
        sock.recv(65_536)
        sock.sendall(answer)
        sock.shutdown(socket.SHUT_WR)
        sock.recv(65_536)

    listener, thread = serve(send)
    with listener:
        ended = run("inspect", f"127.0.0.1:{listener.getsockname()[1]}")
        thread.join(30)
    assert (ended.returncode, ended.stdout) == (7, "")
    _, error = ended.stderr.splitlines()
    assert error.startswith(f"error: {label}: ")
    assert says in error


@pytest.mark.parametrize("piece", [b"", b"\x16\x03\x03\x40\x00"], ids=["silent", "slow"])
def test_a_server_that_takes_its_time(piece: bytes) -> None:
    """The time is for all of it, not for each byte."""
    done = threading.Event()

    def trickle(sock: socket.socket) -> None:
        for _ in range(200):
            if done.wait(0.1):
                return
            if piece:
                try:
                    sock.sendall(piece[:1])
                except OSError:
                    return

    listener, thread = serve(trickle)
    with listener:
        begun = time.monotonic()
        ended = run("inspect", f"127.0.0.1:{listener.getsockname()[1]}", "--timeout", "1")
        took = time.monotonic() - begun
        done.set()
        thread.join(30)
    assert ended.returncode == 7
    assert took < 10


def test_nobody_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    ended = run("inspect", f"127.0.0.1:{port}")
    assert (ended.returncode, ended.stdout) == (7, "")
    assert ended.stderr == WARNING + "error: connection: no connection: Connection refused\n"
