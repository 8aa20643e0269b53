"""`rats-tls server`, `client` and `demo` in processes of their own."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rats_tls.context import Context
from rats_tls.policy import Policy
from support.command_files import SGX, TDX, CommandFiles
from support.commands import environment, port_of, run, started

Arguments = list[str | Path]


def side(files: CommandFiles, attester: str) -> Arguments:
    shared: Arguments = ["--trust-anchors", files.anchors]
    if attester == "null":
        return [*shared, "--attester", "null"]
    return [*shared, "--attester", attester, "--simulation", files.directory, "--endorsements"]


def server(files: CommandFiles, *more: str | Path) -> Arguments:
    """An SGX server that judges nobody, unless `more` says so."""
    return ["server", "--port", "0", *side(files, SGX), *more]


def client(files: CommandFiles, port: int, *more: str | Path, attester: str = TDX) -> Arguments:
    policy = files.policy("server-policy.toml")
    return ["client", "--port", str(port), "--policy", policy, *side(files, attester), *more]


def connects(files: CommandFiles, port: int) -> bool:
    """Whether a good client gets its echo; it runs in this process."""
    context = Context(
        policy=Policy.from_file(files.policy("server-policy.toml")),
        trust_anchors=files.world.trust_anchors,
    )
    with context.connect(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(b"echo")
        return connection.recv() == b"echo"


# --- both sides ---------------------------------------------------------------------------------------------------
def test_both_sides_attest(files: CommandFiles) -> None:
    policy = files.policy("client-policy.toml", tee=TDX)
    with started(
        *server(files, "--policy", policy, "--count", "1", "--claim", "role=echo\x1b[2J\n accepted ")
    ) as process:
        ended = run(*client(files, port_of(process), "--message", "one\x1b[2J\n accepted  two"))
        said, warned = process.communicate(timeout=60)
    assert (ended.returncode, process.returncode) == (0, 0)
    lines = ended.stdout.splitlines()
    assert lines[0].startswith(" accepted  server 127.0.0.1:")
    assert lines[-1] == r"sent 22 bytes, got 22 back: one\x1b[2J\n accepted  two"
    assert said.splitlines()[0].startswith(" accepted  client 127.0.0.1:")
    assert ended.stderr == f"WARNING: {TDX}: a simulated TEE proves nothing\n"
    assert warned == f"WARNING: {SGX}: a simulated TEE proves nothing\n"


def test_events_as_json(files: CommandFiles) -> None:
    policy = files.policy("client-policy.toml", tee=TDX)
    with started(*server(files, "--policy", policy, "--count", "2", "--json")) as process:
        assert process.stdout is not None
        port = json.loads(process.stdout.readline())["address"].rpartition(":")[2]
        good = run(*client(files, port, "--message", "hello", "--json"))
        bad = run(*client(files, port, "--message", "hello", "--json", attester="null"))
        said, _ = process.communicate(timeout=60)
    assert (good.returncode, bad.returncode, process.returncode) == (0, 8, 0)
    accepted, answer = map(json.loads, good.stdout.splitlines())
    assert (accepted["event"], accepted["peer"]["verdict"]) == ("accepted", "accepted")
    assert (answer["event"], answer["data"]) == ("answer", "hello")
    (refused,) = map(json.loads, bad.stdout.splitlines())
    assert (refused["event"], refused["reason"], refused["checks"]) == ("refused", "refused_by_peer", [])
    first, second = map(json.loads, said.splitlines())
    assert (first["event"], first["peer"]["schema"]) == ("accepted", "rats-tls/result/1")
    assert (second["event"], second["reason"], second["verdict"]) == ("refused", "no_evidence", "refused")


@pytest.mark.parametrize("as_json", [False, True])
def test_a_client_that_cannot_attest_dials_nobody(files: CommandFiles, as_json: bool) -> None:
    policy = files.policy("server-policy.toml")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        port = listener.getsockname()[1]
        attesting = ("client", "--port", port, "--policy", policy, "--attester", "tdx_ecdsa", "--message", "x")
        ended = run(*attesting, *(("--json",) if as_json else ()))
        with pytest.raises(BlockingIOError):
            listener.accept()
    assert ended.returncode == 6
    assert "attester tdx_ecdsa: " in ended.stderr
    assert "/dev/tdx_guest" in ended.stderr
    assert (json.loads(ended.stdout)["reason"] if as_json else ended.stdout) == ("collection" if as_json else "")


@contextmanager
def peer(answer: bytes) -> Iterator[int]:
    """A server that reads a little, says `answer` and closes; gives its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65_536)
                connection.sendall(answer)
                connection.shutdown(socket.SHUT_WR)
                connection.recv(65_536)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        thread.join(30)


@pytest.mark.parametrize(
    ("answer", "label", "says"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "tls", "the peer does not speak TLS"),
        (b"SSH-2.0-OpenSSH_9.9\r\n", "tls", "the peer does not speak TLS"),
        (b"", "tls", "closed"),
        (bytes.fromhex("15030300020228"), "tls", "alert handshake_failure"),
    ],
    ids=["http", "ssh", "nothing", "alert"],
)
def test_a_peer_that_is_no_attested_server(files: CommandFiles, answer: bytes, label: str, says: str) -> None:
    """One line on standard error: nobody has been judged."""
    with peer(answer) as port:
        ended = run(*client(files, port, attester="null"))
    assert (ended.returncode, ended.stdout) == (7, "")
    (line,) = ended.stderr.splitlines()
    assert line.startswith(f"error: {label}: server 127.0.0.1:{port}: ")
    assert says in line


def test_a_server_that_echoes_less(files: CommandFiles) -> None:
    context = Context(attester=files.world.attester(SGX), provide_endorsements=True)
    with context.listen(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(connection.recv()[:3])

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        ended = run(*client(files, listener.address[1], "--message", "hello", attester="null"))
        thread.join(30)
    assert ended.returncode == 7
    assert ended.stdout.splitlines()[-1] == "sent 5 bytes, got 3 back: hel"
    (line,) = ended.stderr.splitlines()
    assert "closed the connection early: got 3 bytes back, expected 5" in line


def test_an_endless_input_is_not_read_whole(files: CommandFiles) -> None:
    with started(*server(files, "--count", "1")) as process, Path("/dev/zero").open("rb") as endless:
        ended = run(*client(files, port_of(process), attester="null"), stdin=endless)
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert "standard input: more than 16777216 bytes" in line


def test_what_is_read_from_standard_input_is_echoed(files: CommandFiles) -> None:
    with started(*server(files, "--count", "1")) as process:
        ended = run(*client(files, port_of(process), attester="null"), input="x" * 200_000)
        process.communicate(timeout=60)
    assert ended.returncode == 0
    assert ended.stdout.splitlines()[-1].startswith("sent 200000 bytes, got 200000 back: xxx")


def test_a_server_of_other_code(files: CommandFiles) -> None:
    policy = files.policy("other-server.toml", mr_enclave=b"\xaa" * 32)
    with started(*server(files, "--count", "1")) as process:
        ended = run(*client(files, port_of(process), "--policy", policy, "--message", "x", attester="null"))
        said, _ = process.communicate(timeout=60)
    assert (ended.returncode, ended.stderr) == (5, "")
    assert ended.stdout.startswith(" refused  server 127.0.0.1:")
    assert said.splitlines()[0].endswith("refused_by_peer")


# --- a server and its clients -------------------------------------------------------------------------------------
def test_bad_clients_do_not_end_a_server(files: CommandFiles) -> None:
    with started(*server(files)) as process:
        port = port_of(process)
        silent = socket.create_connection(("127.0.0.1", port))
        for sent in (b"\xff" * 500, b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\xff\xff" + b"a" * 99, b""):
            with socket.create_connection(("127.0.0.1", port)) as bad:
                bad.sendall(sent)
                bad.shutdown(socket.SHUT_WR)
                bad.settimeout(30)
                while bad.recv(65_536):
                    pass
        with socket.create_connection(("127.0.0.1", port)) as reset:
            reset.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            reset.sendall(b"\x16")
        assert connects(files, port)
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        said, errors = process.communicate(timeout=60)
        silent.close()
    assert process.returncode == 143
    assert "Traceback" not in said + errors
    assert len(errors.splitlines()) == 1
    failed = [line for line in said.splitlines() if line.startswith(" failed  client 127.0.0.1:")]
    assert len(failed) == 5
    assert "the peer does not speak TLS (http request)" in said


def test_a_server_goes_on_when_nobody_reads_its_output(files: CommandFiles) -> None:
    with started(*server(files)) as process:
        port = port_of(process)
        assert process.stdout is not None
        process.stdout.close()
        assert connects(files, port)
        assert connects(files, port)
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 130
        assert process.stderr is not None
        assert len(process.stderr.read().splitlines()) == 1


# --- the demo -----------------------------------------------------------------------------------------------------
def test_demo(tmp_path: Path) -> None:
    """Piped and without colour: no escape sequence, nothing padded, no word broken; and its folder is gone after it."""
    ended = run("demo", env={"NO_COLOR": "1", "TMPDIR": str(tmp_path)})
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "\x1b" not in ended.stdout
    lines = ended.stdout.splitlines()
    assert sum("│  accepted  " in line for line in lines) == 2
    assert sum("│  refused  " in line for line in lines) == 8
    assert lines[-1].startswith("done: one channel opened, 4 refused")
    assert all(line == line.rstrip() for line in lines)
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_demo_leaves_nothing(tmp_path: Path) -> None:
    """Neither private keys nor processes."""
    with started("demo", env=environment({"TMPDIR": str(tmp_path)}), start_new_session=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("Simulated vendors are made")
        os.killpg(process.pid, signal.SIGINT)
        said, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (130, "")
    assert "Traceback" not in said
    assert list(tmp_path.iterdir()) == []
