"""The standard library's own clients and servers run over a connection as they run over `ssl.SSLSocket`."""

from __future__ import annotations

import http.client
import io
import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from rats_tls.connection import Connection
from rats_tls.context import Context, Listener
from rats_tls.core.errors import ConnectionFailedError, RatsTlsError
from support.sides import SGX, SNP, connected_pair, context, echo, served

LARGE = bytes(range(256)) * 4096


class AttestedServer(socketserver.ThreadingTCPServer):
    """What a user writes to serve `socketserver` handlers over attested connections."""

    daemon_threads = True

    def __init__(self, listener: Listener, handler: type[socketserver.BaseRequestHandler]) -> None:
        super().__init__(("127.0.0.1", 0), handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener  # type: ignore[assignment]  # it has what is used of it: fileno, accept, close
        self.peers: list[str] = []

    def get_request(self) -> tuple[Any, Any]:
        return self.socket.accept(handshake=False)  # type: ignore[call-arg]

    def handle_error(self, request: Any, client_address: Any) -> None:
        raise AssertionError("a handler failed")


class Pages(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        peer = self.connection.peer  # type: ignore[attr-defined]
        body = LARGE if self.path == "/large" else f"hello, {peer.tee_type}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the library's name
        pass


@contextmanager
def pages() -> Iterator[tuple[str, int]]:
    server = context(SGX, SNP, mutual=True)
    with server.listen(("127.0.0.1", 0)) as listener:
        httpd = AttestedServer(listener, Pages)
        thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield listener.address  # type: ignore[misc]  # an IPv4 address is a pair
        finally:
            httpd.shutdown()
            thread.join(20)


def http_client(client: Context, address: tuple[str, int]) -> http.client.HTTPConnection:
    connection = http.client.HTTPConnection(*address)
    connection.sock = client.connect(address, timeout=20)  # type: ignore[assignment]
    return connection


def test_http_client_and_server() -> None:
    client = context(SNP, SGX, mutual=True)
    with pages() as address:
        connection = http_client(client, address)
        connection.request("GET", "/")
        response = connection.getresponse()
        # HTTP/1.0: the client closes its socket here, and reads the body from its file afterwards.
        assert response.read() == b"hello, sev_snp"
        connection.close()


def test_a_body_is_read_after_the_connection_was_closed() -> None:
    client = context(SNP, SGX, mutual=True)
    with pages() as address:
        connection = http_client(client, address)
        connection.request("GET", "/large")
        response = connection.getresponse()
        connection.close()
        assert response.read() == LARGE


def test_a_body_without_a_length_ends_with_the_connection() -> None:
    client = context(SNP, SGX, mutual=True)
    with pages() as address:
        connection = http_client(client, address)
        connection.request("POST", "/", body=LARGE)
        response = connection.getresponse()
        assert response.length is None
        assert response.read() == LARGE
        connection.close()


class TestMakefile:
    def test_text_with_encoding_errors_and_newline(self) -> None:
        server_end, client_end = connected_pair(context(SGX), context(None, SGX))
        with (
            server_end,
            client_end,
            client_end.makefile("r", encoding="ascii", errors="replace", newline="\r\n") as file,
        ):
            server_end.sendall("caf\xe9\nline\r\nmore\r\n".encode("latin-1"))
            assert isinstance(file, io.TextIOBase)
            assert file.readline() == "caf�\nline\r\n"
            assert file.readline() == "more\r\n"

    @pytest.mark.parametrize("mode", ["a", "", "b", "r+", "rr", "x"])
    def test_refuses_unknown_modes(self, mode: str) -> None:
        server_end, client_end = connected_pair(context(SGX), context(None, SGX))
        with server_end, client_end, pytest.raises(ValueError, match="mode"):
            client_end.makefile(mode)

    def test_refuses_unbuffered_text_and_stays_usable(self) -> None:
        server_end, client_end = connected_pair(context(SGX), context(None, SGX))
        with pytest.raises(ValueError, match="unbuffered"):
            client_end.makefile("r", 0)
        client_end.close()
        assert client_end.fileno() == -1
        server_end.close()

    def test_the_last_one_to_close_closes(self) -> None:
        server_end, client_end = connected_pair(context(SGX), context(None, SGX))
        first, second = client_end.makefile("rb"), client_end.makefile("wb")
        client_end.close()
        first.close()
        first.close()
        assert client_end.fileno() != -1
        assert isinstance(second, io.BufferedWriter)
        second.write(b"last")
        second.close()
        assert client_end.fileno() == -1
        assert server_end.recv() == b"last"
        assert server_end.recv() == b""
        server_end.close()
        with pytest.raises(ConnectionFailedError, match="closed"):
            client_end.makefile("rb")


class TestShutdown:
    def test_the_peer_reads_an_end_and_goes_on_sending(self) -> None:
        def answer(connection: Connection) -> None:
            received = b""
            while data := connection.recv():
                received += data
            connection.sendall(received[::-1])

        client = context(None, SGX)
        with served(context(SGX), answer) as (address, outcome), client.connect(address, timeout=20) as connection:
            connection.sendall(b"abc")
            connection.shutdown(socket.SHUT_WR)
            assert connection.recv() == b"cba"
            assert connection.recv() == b""
        assert outcome.error is None

    def test_nothing_is_sent_after_it(self) -> None:
        with served(context(SGX), echo) as (address, _), context(None, SGX).connect(address, timeout=20) as connection:
            connection.shutdown(socket.SHUT_WR)
            with pytest.raises(RatsTlsError):
                connection.sendall(b"late")
