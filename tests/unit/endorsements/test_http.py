"""The HTTP client against real servers on loopback: every answer, every way to fail, and how long each takes."""

from __future__ import annotations

import builtins
import contextlib
import socket
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path

import pytest

from rats_tls.core.errors import ConfigurationError, UnsupportedError
from rats_tls.core.limits import FetchLimits
from rats_tls.endorsements.http import HttpsClient, host_of, require_base_url
from rats_tls.endorsements.https_connection import HttpAnswer
from rats_tls.endorsements.source import FetchError, FetchProblem
from support.vendor_server import Reply, VendorServer, server_identity, vendor_server

P = FetchProblem
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
QUICK = FetchLimits(connect_seconds=0.5, total_seconds=1.0, first_wait_seconds=0.01)


@pytest.fixture
def server() -> Iterator[VendorServer]:
    with vendor_server() as made:
        yield made


def client(server: VendorServer, *, limits: FetchLimits = QUICK, waits: list[float] | None = None) -> HttpsClient:
    noted: list[float] = waits if waits is not None else []
    return HttpsClient(
        (server.host,), ca=server_identity()[0], limits=limits, wait=noted.append, now=lambda: NOW
    )  # fmt: skip


def get(server: VendorServer, path: str = "/document", *, most_bytes: int = 1000, **settings: object) -> HttpAnswer:
    made = client(server, **settings)  # type: ignore[arg-type]
    return made.get(f"{server.url}{path}", what="the document", accept="application/json", most_bytes=most_bytes)


def refused(server: VendorServer, **settings: object) -> FetchError:
    started = time.monotonic()
    with pytest.raises(FetchError) as caught:
        get(server, **settings)
    assert time.monotonic() - started < 5
    assert caught.value.message.startswith(f"the document: https://localhost:{server.port}/document: ")
    return caught.value


def raw(data: bytes) -> Reply:
    return Reply(raw=lambda sock: sock.sendall(data))


# --- what is got --------------------------------------------------------------------------------------------------
def test_a_document_with_its_headers(server: VendorServer) -> None:
    server.replies["/document?a=1"] = Reply(headers=(("X-Chain", "one%20two"), ("X-Chain", "three")), body=b"{}")
    answer = get(server, "/document?a=1")
    assert (answer.status, answer.body) == (200, b"{}")
    assert answer.headers["x-chain"] == "one%20two, three"
    assert server.asked == ["/document?a=1"]
    assert server.headers[0]["Accept"] == "application/json"
    assert server.headers[0]["Accept-Encoding"] == "identity"
    assert server.headers[0]["User-Agent"].startswith("rats-tls/")
    assert set(server.headers[0]) == {"Host", "Accept", "Accept-Encoding", "User-Agent"}


def test_a_chunked_document(server: VendorServer) -> None:
    server.default = raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n3\r\nfgh\r\n0\r\n\r\n")
    assert get(server).body == b"abcdefgh"


@pytest.mark.parametrize("size", [0, 999, 1000])
def test_a_document_up_to_the_limit(server: VendorServer, size: int) -> None:
    server.default = Reply(body=bytes(size))
    assert get(server).body == bytes(size)


def test_a_ca_by_path(server: VendorServer, tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    path.write_bytes(server_identity()[0])
    server.default = Reply(body=b"x")
    for ca in (path, str(path)):
        made = HttpsClient((server.host,), ca=ca, limits=QUICK)
        assert made.get(f"{server.url}/", what="it", accept="*/*", most_bytes=9).body == b"x"


# --- statuses -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("status", "problem", "asked"),
    [
        (400, P.NOT_FOUND, 1),
        (404, P.NOT_FOUND, 1),
        (410, P.NOT_FOUND, 1),
        (461, P.NOT_FOUND, 1),
        (462, P.NOT_FOUND, 1),
        (401, P.UNAVAILABLE, 3),
        (429, P.THROTTLED, 1),
        (500, P.UNAVAILABLE, 3),
        (502, P.UNAVAILABLE, 3),
        (503, P.UNAVAILABLE, 3),
        (204, P.MALFORMED, 1),
        (206, P.MALFORMED, 1),
        (304, P.MALFORMED, 1),
    ],
)
def test_statuses(server: VendorServer, status: int, problem: FetchProblem, asked: int) -> None:
    server.default = Reply(status=status)
    error = refused(server)
    assert (error.problem, error.retry_after) == (problem, None)
    assert f"got HTTP status {status}, expected 200" in error.message
    assert len(server.asked) == asked


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_is_followed(server: VendorServer, status: int) -> None:
    server.default = Reply(status=status, headers=(("Location", f"{server.url}/elsewhere"),))
    assert refused(server).problem is P.MALFORMED
    assert server.asked == ["/document"]


def test_a_failure_that_passes_is_got_over(server: VendorServer) -> None:
    replies = iter([Reply(status=500), Reply(status=503), Reply(body=b"x")])
    server.default = lambda _: next(replies)
    waits: list[float] = []
    assert get(server, waits=waits).body == b"x"
    assert waits == [0.01, 0.02]


@pytest.mark.parametrize("status", [429, 503])
def test_a_short_retry_after_is_waited_for(server: VendorServer, status: int) -> None:
    replies = iter([Reply(status=status, headers=(("Retry-After", "2"),)), Reply(body=b"x")])
    server.default = lambda _: next(replies)
    waits: list[float] = []
    assert get(server, limits=FetchLimits(), waits=waits).body == b"x"
    assert waits == [2.0]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("6", 6.0),
        ("300", 300.0),
        ("9999999999", 86_400.0),
        (format_datetime(datetime(2026, 3, 1, 12, 2, tzinfo=UTC), usegmt=True), 120.0),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
def test_a_long_retry_after_is_handed_on(server: VendorServer, status: int, text: str, seconds: float) -> None:
    server.default = Reply(status=status, headers=(("Retry-After", text),))
    error = refused(server, limits=FetchLimits())
    assert (error.problem, error.retry_after) == (P.THROTTLED, seconds)
    assert len(server.asked) == 1


@pytest.mark.parametrize("text", ["", "soon", "-5", "1.5", "9" * 5000, "Sun, 99 Mar 2026 12:00:00 GMT"])
def test_a_retry_after_of_another_form_is_none(server: VendorServer, text: str) -> None:
    server.default = Reply(status=429, headers=(("Retry-After", text),))
    error = refused(server)
    assert (error.problem, error.retry_after) == (P.THROTTLED, None)
    assert len(server.asked) == 1


def test_a_retry_after_in_the_past_means_now_and_attempts_are_bounded(server: VendorServer) -> None:
    date = format_datetime(datetime(2020, 1, 1, tzinfo=UTC), usegmt=True)
    server.default = Reply(status=429, headers=(("Retry-After", date),))
    assert refused(server).retry_after == 0.0
    assert len(server.asked) == 3


# --- bodies -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("size", [1001, 300_000])
def test_a_document_above_the_limit(server: VendorServer, size: int) -> None:
    server.default = Reply(body=bytes(size))
    error = refused(server)
    assert error.problem is P.MALFORMED
    assert "more than 1000 bytes" in error.message


def test_a_document_without_end(server: VendorServer) -> None:
    def flood(sock: socket.socket) -> None:
        sock.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            sock.sendall(b"4000\r\n" + bytes(0x4000) + b"\r\n")

    server.default = Reply(raw=flood)
    assert refused(server).problem is P.MALFORMED


@pytest.mark.parametrize(
    ("begin", "again"),
    [
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1000),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1;" + b"x" * 60_000 + b"\r\nx\r\n"),
    ],
    ids=["interim answers", "chunk extensions"],
)
def test_framing_without_end(server: VendorServer, begin: bytes, again: bytes) -> None:
    def flood(sock: socket.socket) -> None:
        sock.sendall(begin)
        while True:
            sock.sendall(again)

    server.default = Reply(raw=flood)
    error = refused(server, most_bytes=1_000_000)
    assert error.problem is P.MALFORMED
    assert "more than 1000000 bytes" in error.message


def test_headers_without_end(server: VendorServer) -> None:
    def flood(sock: socket.socket) -> None:
        sock.sendall(b"HTTP/1.1 200 OK\r\n")
        while True:
            sock.sendall(b"X-Header: " + b"x" * 60_000 + b"\r\n")

    server.default = Reply(raw=flood)
    assert refused(server).problem is P.MALFORMED


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabcde\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3, 4\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"SSH-2.0-server\r\n",
        b"\0\0\0\0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n",
    ],
)
def test_answers_that_are_none(server: VendorServer, data: bytes) -> None:
    server.default = raw(data)
    error = refused(server)
    assert error.problem is P.MALFORMED
    assert len(server.asked) == 1


def test_a_connection_that_is_closed_without_an_answer(server: VendorServer) -> None:
    server.default = raw(b"")
    assert refused(server).problem is P.UNAVAILABLE
    assert len(server.asked) == 3


# --- time ---------------------------------------------------------------------------------------------------------
def trickle(before: bytes, piece: bytes) -> Reply:
    def send(sock: socket.socket) -> None:
        sock.sendall(before)
        for _ in range(200):
            sock.sendall(piece)
            time.sleep(0.05)

    return Reply(raw=send)


@pytest.mark.parametrize(
    ("before", "piece"),
    [
        (b"", b"H"),
        (b"HTTP/1.1 200 OK\r\nX: ", b"x"),
        (b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n", b"x"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
        (b"HTTP/1.1 200 OK\r\n\r\n", b"x"),
    ],
)
def test_a_server_that_trickles_holds_nobody_beyond_the_total(
    server: VendorServer, before: bytes, piece: bytes
) -> None:
    server.default = trickle(before, piece)
    started = time.monotonic()
    error = refused(server)
    assert time.monotonic() - started < 3
    assert error.problem in (P.UNAVAILABLE, P.MALFORMED)
    if b"X: y" not in piece:
        assert "timed out" in error.message


def test_a_server_that_says_nothing(server: VendorServer) -> None:
    server.default = Reply(raw=lambda _: time.sleep(2))
    error = refused(server)
    assert error.problem is P.UNAVAILABLE
    assert "timed out" in error.message


@contextlib.contextmanager
def plain_listener(answer: bytes = b"") -> Iterator[int]:
    """A TCP server that accepts and speaks no TLS."""
    kept: list[socket.socket] = []

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = listener.accept()
                kept.append(sock)
                sock.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(5)
    for sock in kept:
        sock.close()


@pytest.mark.parametrize(("answer", "text"), [(b"", "timed out"), (b"HTTP/1.1 400 Bad\r\n\r\n", "connection failed")])
def test_a_server_that_speaks_no_tls(answer: bytes, text: str) -> None:
    with plain_listener(answer) as port:
        error = refused(VendorServer(port=port))
    assert error.problem is P.UNAVAILABLE
    assert text in error.message


def test_nobody_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    error = refused(VendorServer(port=port))
    assert error.problem is P.UNAVAILABLE


def test_many_addresses_that_do_not_answer_do_not_add_up(server: VendorServer, monkeypatch: pytest.MonkeyPatch) -> None:
    with plain_listener() as port:
        entry = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [entry] * 50)
        assert refused(server).problem is P.UNAVAILABLE


def test_the_next_address_is_tried(server: VendorServer, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        closed = listener.getsockname()[1]
    entries = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port)) for port in (closed, server.port)]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: entries)
    server.default = Reply(body=b"x")
    assert get(server).body == b"x"


# --- whom it trusts -----------------------------------------------------------------------------------------------
def test_a_server_that_the_ca_does_not_vouch_for(server: VendorServer) -> None:
    made = HttpsClient((server.host,), limits=QUICK, wait=lambda _: None)
    with pytest.raises(FetchError, match="the server's certificate: self") as caught:
        made.get(f"{server.url}/", what="it", accept="*/*", most_bytes=9)
    assert caught.value.problem is P.UNAVAILABLE
    assert server.asked == []


def test_a_server_of_another_name() -> None:
    with vendor_server("elsewhere") as other:
        made = HttpsClient((other.host,), ca=server_identity("elsewhere")[0], limits=QUICK, wait=lambda _: None)
        with pytest.raises(FetchError, match=r"the server's certificate: .*localhost"):
            made.get(f"{other.url}/", what="it", accept="*/*", most_bytes=9)
        assert other.asked == []


def test_nothing_is_taken_from_the_environment(
    server: VendorServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    log = tmp_path / "keys.log"
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.setenv("SSLKEYLOGFILE", str(log))
    (tmp_path / ".netrc").write_text("machine localhost login a password b\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    server.default = Reply(body=b"x")
    assert get(server).body == b"x"
    assert "Authorization" not in server.headers[0]
    assert not log.exists()


def test_no_connection_is_kept(server: VendorServer) -> None:
    server.default = Reply(body=b"x", headers=(("Connection", "keep-alive"), ("Set-Cookie", "a=b")))
    made = client(server)
    for _ in range(2):
        made.get(f"{server.url}/", what="it", accept="*/*", most_bytes=9)
    assert "Cookie" not in server.headers[1]


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost/",
        "https://localhost/",
        "https://elsewhere/",
        "https://user@localhost:1/",
        "https://localhost:1@elsewhere/",
        "https://localhost:99999/",
        "https://localhost:1/#fragment",
        "https://localhost:1/a b",
        "https://localhost:1/a\x7f",
        "https://localhost:1/é",
        "https://[::1/",
        "file:///etc/passwd",
        "localhost:1",
        "",
    ],
)
def test_urls_that_may_not_be_asked(url: str) -> None:
    made = HttpsClient(("localhost:1",), ca=server_identity()[0])
    with pytest.raises(ConfigurationError):
        made.get(url, what="it", accept="*/*", most_bytes=9)


def test_base_urls() -> None:
    assert require_base_url("https://Example.com:443/a/") == "https://example.com/a"
    assert host_of("https://Example.com:8081/a") == "example.com:8081"
    assert host_of("https://[::1]:8081") == "[::1]:8081"
    for url in (
        "http://a",
        "https://",
        "https://a?b",
        "https://a#b",
        "https://u@a",
        "https://a:0",
        "https://a/ b",
        "https://[",
    ):
        with pytest.raises(ConfigurationError):
            require_base_url(url)


def test_a_ca_that_is_none(tmp_path: Path) -> None:
    for ca in (b"", b"\xff", b"no certificate", tmp_path / "absent", str(tmp_path)):
        with pytest.raises(ConfigurationError, match="CA certificates of a source"):
            HttpsClient(("localhost",), ca=ca)


def test_without_the_extra_its_name_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: object, **named: object) -> object:
        if name.partition(".")[0] == "urllib3":
            raise ImportError(f"No module named {name!r}")
        return real(name, *rest, **named)  # type: ignore[arg-type]

    monkeypatch.delitem(sys.modules, "rats_tls.endorsements.https_connection")
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UnsupportedError, match="extra 'fetch'"):
        HttpsClient(("localhost",))
