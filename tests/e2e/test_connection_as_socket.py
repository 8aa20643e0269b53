"""What users of `ssl.SSLSocket` do with a connection besides reading and writing it."""

from __future__ import annotations

import os
import selectors
import socket
import threading
import time

import pytest

from rats_tls.context import Context
from rats_tls.core.errors import (
    AppraisalError,
    ConfigurationError,
    ConnectionFailedError,
    HandshakeTimeoutError,
    PeerRefusedError,
)
from rats_tls.core.limits import Limits
from support.sides import SGX, SNP, attester, connected_pair, context, echo, policy_for, served


class TestSelect:
    def test_nothing_is_left_behind_a_selector(self) -> None:
        server_end, client_end = connected_pair(context(SGX), context(None, SGX))
        with server_end, client_end, selectors.DefaultSelector() as selector:
            selector.register(client_end, selectors.EVENT_READ)
            server_end.sendall(b"0123456789")
            received = b""
            while len(received) < 10 and selector.select(5):
                received += client_end.recv(4)
                while client_end.pending():
                    received += client_end.recv(4)
            assert received == b"0123456789"
            assert client_end.pending() == 0

    def test_pending_gives_what_recv_gives(self) -> None:
        server_end, client_end = connected_pair(context(SGX), context(None, SGX))
        with server_end, client_end:
            server_end.sendall(b"abc" * 20_000)
            assert client_end.recv(1) == b"a"
            assert (waiting := client_end.pending()) >= 1
            assert len(client_end.recv(1_000_000)) == waiting


class TestFileAfterTimeout:
    def test_a_file_that_timed_out_reads_no_more(self) -> None:
        server_end, client_end = connected_pair(context(SGX), context(None, SGX))
        with server_end, client_end:
            client_end.settimeout(0.1)
            file = client_end.makefile("rb")
            server_end.sendall(b"par")
            with pytest.raises(TimeoutError):
                file.readline()
            server_end.sendall(b"tial\n")
            with pytest.raises(OSError, match="timed out"):
                file.readline()
            file.close()

    def test_recv_goes_on_after_a_timeout(self) -> None:
        server_end, client_end = connected_pair(context(SGX), context(None, SGX))
        with server_end, client_end:
            client_end.settimeout(0.1)
            with pytest.raises(TimeoutError):
                client_end.recv()
            server_end.sendall(b"late")
            client_end.settimeout(20)
            assert client_end.recv() == b"late"


class TestSockets:
    def test_flags_mean_nothing_over_tls(self) -> None:
        server_end, client_end = connected_pair(context(SGX), context(None, SGX))
        with server_end, client_end:
            for call in (lambda: client_end.recv(1, socket.MSG_PEEK), lambda: client_end.sendall(b"x", 1)):
                with pytest.raises(ValueError, match="flags"):
                    call()

    def test_options_reach_the_socket(self) -> None:
        with served(context(SGX), echo) as (address, _), context(None, SGX).connect(address, timeout=20) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 0)
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 0

    def test_a_read_only_buffer_takes_no_data(self) -> None:
        server_end, client_end = connected_pair(context(SGX), context(None, SGX))
        with server_end, client_end:
            server_end.sendall(b"kept")
            with pytest.raises(TypeError, match="written"):
                client_end.recv_into(memoryview(b"1234"))
            assert client_end.recv() == b"kept"

    def test_listens_on_ipv6(self) -> None:
        server, client = context(SGX), context(None, SGX)
        with server.listen(("::1", 0)) as listener:
            listener.settimeout(20)

            def accept() -> None:
                listener.accept()[0].close()

            thread = threading.Thread(target=accept, daemon=True)
            thread.start()
            with client.connect(listener.address[:2], timeout=20) as connection:
                assert connection.recv() == b""
            thread.join(20)

    @pytest.mark.parametrize("kind", ["listening", "datagram", "non-blocking"])
    def test_sockets_that_cannot_carry_a_connection_are_refused(self, kind: str) -> None:
        datagram = kind == "datagram"
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM if datagram else socket.SOCK_STREAM) as sock:
            if kind == "listening":
                sock.bind(("127.0.0.1", 0))
                sock.listen()
            sock.setblocking(kind != "non-blocking")
            with pytest.raises(ConfigurationError, match="socket"):
                context(SGX).wrap_socket(sock, server_side=True)

    def test_failures_are_oserrors(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as sock:
            port = sock.getsockname()[1]
        with pytest.raises(OSError, match="refused") as caught:
            context(None, SGX).connect(("127.0.0.1", port), timeout=5)
        assert isinstance(caught.value, ConnectionFailedError)


class TestFork:
    def test_a_forked_child_cannot_use_the_connection(self) -> None:
        """Two processes with one TLS state would encrypt different data with the same key and nonce."""
        server_end, client_end = connected_pair(context(SGX), context(None, SGX))
        with server_end, client_end:
            child = os.fork()
            if child == 0:  # exits without cleaning up: this is pytest's process
                refused = 0
                for use in (lambda: client_end.sendall(b"from the child"), client_end.recv, client_end.unwrap):
                    try:
                        use()
                    except ConnectionFailedError:
                        refused += 1
                client_end.close()
                os._exit(0 if refused == 3 else 1)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
            client_end.sendall(b"from the parent")
            assert server_end.recv() == b"from the parent"


def test_a_refused_peer_reads_why_though_it_was_still_sending() -> None:
    """A socket that is closed over unread bytes resets the connection, and with it what was sent last."""
    server = context(SGX, policy_for(SNP, measurement=bytes(48)))
    client = context(SNP, SGX)
    refused = pytest.raises(PeerRefusedError, match="refused this side: code 1")
    with served(server, echo) as (address, outcome), refused:
        client.connect(address, timeout=20)
    assert isinstance(outcome.error, AppraisalError)


def test_the_result_says_that_the_peer_accepted() -> None:
    server_end, client_end = connected_pair(context(SGX, SNP, mutual=True), context(SNP, SGX, mutual=True))
    with server_end, client_end:
        for end in (server_end, client_end):
            assert end.peer is not None
            assert end.peer.connection is not None
            assert end.peer.connection.peer_accepted is True


def test_paths_where_values_belong_are_named() -> None:
    for setting in ({"policy": "policy.toml"}, {"policy": policy_for(SGX), "trust_anchors": "anchors.pem"}):
        with pytest.raises(ConfigurationError, match="reads"):
            Context(**setting)  # type: ignore[arg-type]  # what the test is about


class TestSeveralThreads:
    def test_who_reads_keeps_nobody_waiting(self) -> None:
        """`pending` never waits, `unwrap` not beyond its limit, and a half-close leaves the reader's timeout alone."""
        server_end, client_end = connected_pair(context(SGX), context(None, SGX, limits=Limits(close_seconds=0.5)))
        client_end.settimeout(None)
        received: list[bytes | BaseException] = []

        def read() -> None:
            try:
                received.append(client_end.recv())
            except Exception as error:  # noqa: BLE001  # whatever comes is what the test is about
                received.append(error)

        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        time.sleep(0.1)
        begun = time.monotonic()
        assert client_end.pending() == 0
        client_end.shutdown(socket.SHUT_WR)
        with pytest.raises(TimeoutError):
            client_end.unwrap()
        assert time.monotonic() - begun < 5
        assert received == [], "the reader was disturbed"
        server_end.sendall(b"at last")
        reader.join(20)
        assert received == [b"at last"]
        server_end.close()
        client_end.close()

    @pytest.mark.parametrize(("limit", "timeout"), [(0.3, 20), (30, 0.3)])
    def test_evidence_that_comes_too_late_does_not_count(self, limit: float, timeout: float) -> None:
        class Late:
            def __init__(self) -> None:
                inner = attester(SGX)
                self.name, self.tee_type, self._inner = inner.name, inner.tee_type, inner

            def collect(self, report_data: bytes) -> object:
                time.sleep(0.6)
                return self._inner.collect(report_data)

        client = context(Late(), SGX, limits=Limits(handshake_seconds=limit))  # type: ignore[arg-type]  # an Attester
        with context(SGX, SGX).listen(("127.0.0.1", 0)) as listener:
            listener.settimeout(0.2)
            with pytest.raises(HandshakeTimeoutError, match=r"not collected within 0\.3 s; nobody was dialed"):
                client.connect(listener.address, timeout=timeout)  # type: ignore[arg-type]  # a pair
            with pytest.raises(TimeoutError):
                listener.accept()

    def test_what_a_plug_in_says_too_late_does_not_count(self) -> None:
        def late(_result: object, _needed: object) -> None:
            time.sleep(0.6)

        client = context(SGX, SGX, confirm=late, limits=Limits(handshake_seconds=0.3))
        with served(context(SGX, SGX), echo) as (address, _), pytest.raises(HandshakeTimeoutError):
            client.connect(address, timeout=20)


class TestArguments:
    @pytest.mark.parametrize(
        "address", [("a" * 70 + ".com", 1), ("localhost", 99999), ("h\0", 1), ("localhost", -1)], ids=repr
    )
    def test_what_is_no_address_is_our_error(self, address: tuple[str, int]) -> None:
        with pytest.raises(
            (ConfigurationError, ConnectionFailedError),
            match=r"connect to|address localhost:(99999|-1): expected a port",
        ):
            context(None, SGX).connect(address, timeout=5)
        with pytest.raises((ConfigurationError, ConnectionFailedError), match="listen on"):
            context(SGX).listen(address)

    def test_settings_are_looked_at_before_the_network(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            for bad in ({"server_hostname": "a" * 70 + ".com"}, {"timeout": -1.0}, {"timeout": 0}):
                with pytest.raises(ConfigurationError):
                    context(None, SGX).connect(listening.getsockname(), **bad)  # type: ignore[arg-type]  # as given
            listening.settimeout(0.2)
            with pytest.raises(TimeoutError):
                listening.accept()

    def test_sizes_are_not_negative(self) -> None:
        server_end, client_end = connected_pair(context(SGX), context(None, SGX))
        with server_end, client_end:
            for call in (lambda: client_end.recv(-1), lambda: client_end.recv_into(bytearray(4), -3)):
                with pytest.raises(ValueError, match="at least 0"):
                    call()

    def test_facts_are_as_ssl_gives_them(self) -> None:
        server_end, client_end = connected_pair(context(SGX), context(None, SGX))
        with server_end, client_end:
            assert client_end.cipher() == ("TLS_AES_256_GCM_SHA384", "TLSv1.3", 256)
            client_end.setblocking(True)
            assert client_end.gettimeout() is None
            with pytest.raises(ValueError, match="timeout"):
                client_end.setblocking(False)
            client_end.shutdown(socket.SHUT_RD)
            assert client_end.recv() == b""
