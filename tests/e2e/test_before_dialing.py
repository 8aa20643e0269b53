"""What cannot work is said before anybody is dialed or served."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Iterator

import pytest

from rats_tls.aio import create_connection, create_server
from rats_tls.context import Context
from rats_tls.core.algorithms import KeyAlgorithm
from rats_tls.core.errors import CollectionError, ConfigurationError, TlsError
from rats_tls.core.interfaces import Collected
from support.command_files import SGX, CommandFiles
from support.commands import run
from support.instances import UNAVAILABLE
from support.machine import lacking
from support.sides import context, echo, served

LARGE = {"a": bytes(24_000)}


@pytest.fixture
def port() -> Iterator[int]:
    """A port where nobody may come."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        yield listener.getsockname()[1]
        with pytest.raises(BlockingIOError):
            listener.accept()


def needs(name: str) -> None:
    if ("tls_wrappers", name) in UNAVAILABLE:
        lacking(UNAVAILABLE["tls_wrappers", name], install="what .ci/run installs")


class Failing:
    """An Attester that collects nothing."""

    name = "failing"
    tee_type = context(SGX)._attester.tee_type  # type: ignore[union-attr]  # any

    def collect(self, report_data: bytes) -> Collected:
        raise CollectionError(f"no device for {len(report_data)} bytes")


def too_large() -> Context:
    needs("wolfssl")
    return context(SGX, SGX, tls="wolfssl", custom_claims=LARGE)


def test_connect(port: int) -> None:
    made = too_large()
    for _ in range(2):  # also where the certificate is there already
        with pytest.raises(
            ConfigurationError, match=r"wolfssl takes certificates of at most 1\d+ bytes .*; .*: tls='openssl'"
        ):
            made.connect(("127.0.0.1", port))
    with pytest.raises(CollectionError, match="no device"):
        context(Failing(), SGX).connect(("127.0.0.1", port))


def test_connect_under_asyncio(port: int) -> None:
    async def connect(made: Context) -> None:
        await create_connection(asyncio.Protocol, "127.0.0.1", port, context=made)

    made = too_large()
    for _ in range(2):
        with pytest.raises(ConfigurationError, match="tls='openssl'"):
            asyncio.run(connect(made))
    with pytest.raises(CollectionError, match="no device"):
        asyncio.run(connect(context(Failing(), SGX)))


def test_a_peers_certificate_that_is_too_large() -> None:
    """It cannot be known before: what this side takes is said, and what to do."""
    needs("wolfssl")
    with served(context(SGX, custom_claims=LARGE), echo) as (address, outcome):
        with pytest.raises(
            TlsError,
            match=r"too large .*: TLS wrapper wolfssl takes certificates of at most 1\d+ bytes "
            r"here; for larger ones build wolfSSL with CFLAGS=-DMAX_CERTIFICATE_SZ=",
        ) as caught:
            context(None, SGX, tls="wolfssl").connect(address)
        assert caught.value.too_large
    assert outcome.error is not None


def test_verify_without_verification(files: CommandFiles) -> None:
    evidence, endorsements = files.evidence()
    more = ("--endorsements-file", endorsements, "--trust-anchors", files.anchors)
    ended = run("verify", evidence, "--policy", files.policy(), *more, "--crypto", "null")
    assert (ended.returncode, ended.stdout) == (1, "")
    said = "crypto wrapper null verifies nothing; the nearest that does: crypto='openssl'"
    assert ended.stderr == f"error: configuration: {said}\n"


def test_prepared_once() -> None:
    made = context(SGX, SGX, key_algorithm=KeyAlgorithm.EC_P256)
    assert not made.is_prepared
    made.prepare()
    assert made.is_prepared
    alone = context(None, SGX)
    assert not alone.is_prepared
    alone.prepare()
    assert alone.is_prepared


def test_a_server() -> None:
    async def serve() -> None:
        await create_server(asyncio.Protocol, "127.0.0.1", 0, context=too_large())

    with pytest.raises(ConfigurationError, match=r"wolfssl takes certificates of at most .*: tls='openssl'"):
        too_large().listen(("127.0.0.1", 0))
    with pytest.raises(ConfigurationError, match=r"wolfssl takes certificates of at most .*: tls='openssl'"):
        asyncio.run(serve())


@pytest.mark.parametrize(
    ("tls", "more", "code", "said"),
    [
        ("rustls", (), 1, "TLS wrapper rustls does no clients"),
        ("nulltls", (), 1, "bindings: got certificate; TLS wrapper null gives none"),
        ("wolfssl", ("--claim", f"a={'a' * 24_000}"), 1, "TLS wrapper wolfssl takes certificates of at most"),
        ("nosuch", (), 6, "TLS wrapper 'nosuch'"),
    ],
)
@pytest.mark.parametrize("as_json", [False, True])
def test_the_command_line(
    files: CommandFiles, port: int, tls: str, more: tuple[str, ...], code: int, said: str, as_json: bool
) -> None:
    needs(tls)
    attests = ("--attester", SGX, "--simulation", files.directory, *more)
    judges = ("--policy", files.policy(), "--trust-anchors", files.anchors)
    ended = run("client", "-p", port, "-t", tls, *judges, *attests, "--message", "x", *(["--json"] if as_json else []))
    assert ended.returncode == code
    assert said in ended.stderr
    if not as_json:
        assert ended.stdout == ""
        return
    document = json.loads(ended.stdout)
    assert (document["event"], document["verdict"], document["exit_code"]) == ("failed", "failed", code)
    assert document["address"] == f"127.0.0.1:{port}"
    assert said in document["message"]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("-t", "wolfssl", "--claim", f"a={'a' * 24_000}"), "tls='openssl'"),
        (("-t", "stdlib", "--policy", "POLICY"), "TLS wrapper stdlib cannot demand a client's certificate"),
    ],
)
def test_a_server_on_the_command_line(files: CommandFiles, more: tuple[str, ...], said: str) -> None:
    needs(more[1])
    arguments = [files.policy() if each == "POLICY" else each for each in more]
    attests = ("--attester", SGX, "--simulation", files.directory)
    ended = run("server", "-p", 0, *attests, "--json", *arguments)
    assert ended.returncode == 1
    document = json.loads(ended.stdout)  # and nothing that says that it listens
    assert (document["event"], document["exit_code"]) == ("failed", 1)
    assert said in document["message"]
    assert said in ended.stderr
