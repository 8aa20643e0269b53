"""The asyncio API over real sockets, on asyncio's own loop and on uvloop's."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from itertools import permutations
from typing import Any

import pytest

from rats_tls import aio
from rats_tls.core.errors import (
    AppraisalError,
    CollectionError,
    ConfigurationError,
    ConnectionFailedError,
    HandshakeTimeoutError,
    PeerRefusedError,
    RatsTlsError,
)
from rats_tls.core.limits import Limits
from support.loops import LOOPS, echo, run, serving
from support.sides import ALL_SIMULATED, SGX, SNP, Clock, attester, context, policy_for

loops = pytest.mark.parametrize("loop", LOOPS)


class Slow:
    """An attester that takes its time, and can fail."""

    def __init__(self, seconds: float, *, error: Exception | None = None) -> None:
        self._inner = attester(SGX)
        self._seconds = seconds
        self._error = error
        self.name, self.tee_type = self._inner.name, self._inner.tee_type
        self.threads: set[int] = set()
        self.calls = 0

    def collect(self, report_data: bytes) -> Any:
        self.threads.add(threading.get_ident())
        self.calls += 1
        time.sleep(self._seconds)
        if self._error is not None:
            raise self._error
        return self._inner.collect(report_data)


@loops
@pytest.mark.parametrize(("server_tee", "client_tee"), list(permutations(ALL_SIMULATED, 2)))
def test_two_different_tees_attest_to_each_other(loop: str, server_tee: str, client_tee: str) -> None:
    server = context(server_tee, client_tee, mutual=True, application_protocols=("echo/1",))
    client = context(client_tee, server_tee, mutual=True, application_protocols=("echo/1",))
    seen: list[Any] = []

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(writer.get_extra_info("peer"))
        await echo(reader, writer)

    async def main() -> None:
        async with serving(server, connected) as port:
            reader, writer = await aio.open_connection("127.0.0.1", port, context=client)
            writer.write(b"hello")
            assert await reader.readexactly(5) == b"hello"
            peer = writer.get_extra_info("peer")
            assert f"simulated_{peer.tee_type}" == server_tee
            assert f"simulated_{seen[0].tee_type}" == client_tee
            assert peer.connection.peer_accepted is True
            assert writer.get_extra_info("tls").version == "TLSv1.3"
            assert writer.get_extra_info("application_protocol") == "echo/1"
            assert writer.get_extra_info("peername") == ("127.0.0.1", port)
            writer.close()
            await writer.wait_closed()
            assert await reader.read() == b""

    assert run(loop, main()) == []


@loops
def test_refusals_reach_both_sides(loop: str) -> None:
    refused: list[RatsTlsError] = []

    async def main() -> None:
        async with serving(context(SGX, policy_for(SNP, measurement=bytes(48))), refused=refused) as port:
            with pytest.raises(PeerRefusedError, match="code 1"):
                await aio.open_connection("127.0.0.1", port, context=context(SNP, SGX))
        async with serving(context(SGX, SNP), refused=refused) as port:
            client = context(SNP, policy_for(SGX, mr_enclave=bytes(32)))
            with pytest.raises(AppraisalError, match="mr_enclave"):
                await aio.open_connection("127.0.0.1", port, context=client)
            with pytest.raises(PeerRefusedError):
                await aio.open_connection("127.0.0.1", port, context=context(None, SGX))

    assert run(loop, main()) == []
    assert [error.refusal.label for error in refused] == ["policy", "refused_by_peer", "tls"] or [
        error.refusal.label for error in refused
    ] == ["policy", "refused_by_peer", "no_evidence"]


@loops
def test_large_data_both_ways_at_once_with_flow_control(loop: str) -> None:
    payload = bytes(range(256)) * 40_000  # 10 MB

    async def main() -> None:
        async with serving(context(SGX)) as port:
            reader, writer = await aio.open_connection("127.0.0.1", port, context=context(None, SGX))

            async def send() -> None:
                for start in range(0, len(payload), 100_000):
                    writer.write(payload[start : start + 100_000])
                    await writer.drain()
                writer.write_eof()

            sending = asyncio.create_task(send())
            received = await reader.read()
            await sending
            assert received == payload
            writer.close()
            await writer.wait_closed()

    assert run(loop, main()) == []


@loops
def test_a_reader_that_does_not_read_makes_the_sender_wait(loop: str) -> None:
    async def main() -> None:
        gate = asyncio.Event()
        sent = 0

        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await gate.wait()
            while await reader.read(65_536):
                pass
            writer.close()

        async with serving(context(SGX), connected) as port:
            _, writer = await aio.open_connection("127.0.0.1", port, context=context(None, SGX))

            async def send() -> None:
                nonlocal sent
                for _ in range(1000):
                    writer.write(bytes(65_536))
                    await writer.drain()
                    sent += 65_536

            sending = asyncio.create_task(send())
            await asyncio.sleep(0.5)
            held = sent
            await asyncio.sleep(0.3)
            assert sent == held < 1000 * 65_536, "the sender was not told to wait"
            gate.set()
            await sending
            writer.close()
            await writer.wait_closed()

    assert run(loop, main()) == []


@loops
def test_half_close(loop: str) -> None:
    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received = await reader.read()
        writer.write(received[::-1])
        writer.close()

    async def main() -> None:
        async with serving(context(SGX), connected) as port:
            reader, writer = await aio.open_connection("127.0.0.1", port, context=context(None, SGX))
            assert writer.can_write_eof()
            writer.write(b"abc")
            writer.write_eof()
            with pytest.raises(RuntimeError, match="write_eof"):
                writer.write(b"d")
            assert await reader.read() == b"cba"
            writer.close()
            await writer.wait_closed()

    assert run(loop, main()) == []


@loops
def test_the_last_data_before_close_arrives(loop: str) -> None:
    """Though the closing side has not read what the peer sent: no reset cuts it off."""
    payload = bytes(5_000_000)

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(1)
        writer.write(payload)
        writer.close()

    async def main() -> None:
        async with serving(context(SGX), connected) as port:
            reader, writer = await aio.open_connection("127.0.0.1", port, context=context(None, SGX))
            writer.write(bytes(100_000))  # of which the server reads one byte
            received = 0
            while data := await reader.read(65_536):
                received += len(data)
                await asyncio.sleep(0)
            assert received == len(payload)
            writer.close()
            await writer.wait_closed()

    assert run(loop, main()) == []


@loops
def test_collecting_happens_in_one_thread_and_once(loop: str) -> None:
    slow = Slow(0.3)

    async def main() -> None:
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                await asyncio.sleep(0.01)
                ticks += 1

        ticking = asyncio.create_task(tick())
        client = context(slow, SGX, mutual=None)
        async with serving(context(SGX, SGX)) as port:
            begun = ticks
            pairs = await asyncio.gather(*(aio.open_connection("127.0.0.1", port, context=client) for _ in range(5)))
            assert ticks - begun > 10, "the loop stood still"
            for _, writer in pairs:
                writer.close()
        ticking.cancel()

    assert run(loop, main()) == []
    assert slow.calls == 1
    assert threading.get_ident() not in slow.threads


@loops
def test_evidence_due_for_renewal_is_renewed_in_the_background(loop: str) -> None:
    clock, slow = Clock(), Slow(0.2)
    client = context(slow, SGX, clock=clock, max_evidence_age=1000.0)

    async def main() -> None:
        async with serving(context(SGX, policy_for(SGX), clock=clock)) as port:
            first = await certificate_seen(port)
            clock.now = clock.now.fromtimestamp(clock.now.timestamp() + 800, clock.now.tzinfo)
            begun = asyncio.get_running_loop().time()
            assert await certificate_seen(port) == first
            assert asyncio.get_running_loop().time() - begun < 0.2, "the connection waited for the attester"
            await asyncio.sleep(0.5)
            assert await certificate_seen(port) != first

    async def certificate_seen(port: int) -> bytes:
        _, writer = await aio.open_connection("127.0.0.1", port, context=client)
        present = client.present_credentials()
        writer.close()
        await writer.wait_closed()
        assert present is not None
        assert present.certificate is not None
        return present.certificate

    assert run(loop, main()) == []
    assert slow.calls == 2


@loops
@pytest.mark.parametrize("error", [CollectionError("no device"), RuntimeError("plug-in broke")], ids=["ours", "other"])
def test_an_attester_that_fails_refuses(loop: str, error: Exception) -> None:
    async def main() -> None:
        async with serving(context(SGX, SGX)) as port:
            with pytest.raises(CollectionError):
                await aio.open_connection("127.0.0.1", port, context=context(Slow(0, error=error), SGX))

    assert run(loop, main()) == []


@loops
def test_cancelling_while_connecting_leaves_nothing(loop: str) -> None:
    refused: list[RatsTlsError] = []

    async def main() -> None:
        slow = context(SGX, SGX, confirm=lambda *_: time.sleep(2))
        slow.prepare()
        async with serving(context(SGX, SGX), refused=refused) as port:
            connecting = asyncio.create_task(aio.open_connection("127.0.0.1", port, context=slow))
            await asyncio.sleep(0.2)
            connecting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await connecting
            for _ in range(100):
                if refused:
                    break
                await asyncio.sleep(0.02)

    assert run(loop, main()) == []
    assert len(refused) == 1


@loops
def test_cancelling_while_evidence_is_collected_dials_nobody(loop: str) -> None:
    refused: list[RatsTlsError] = []

    async def main() -> None:
        async with serving(context(SGX, SGX), refused=refused) as port:
            slow = context(Slow(1), SGX)
            connecting = asyncio.create_task(aio.open_connection("127.0.0.1", port, context=slow))
            await asyncio.sleep(0.2)
            connecting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await connecting
            await asyncio.sleep(1)

    assert run(loop, main()) == []
    assert not refused


@loops
def test_evidence_that_comes_too_late_does_not_count(loop: str) -> None:
    refused: list[RatsTlsError] = []

    async def main() -> None:
        async with serving(context(SGX, SGX), refused=refused) as port:
            slow = context(Slow(1), SGX, limits=Limits(handshake_seconds=0.3))
            begun = time.monotonic()
            with pytest.raises(HandshakeTimeoutError, match=r"not collected within 0\.3 s; nobody was dialed"):
                await aio.open_connection("127.0.0.1", port, context=slow)
            assert time.monotonic() - begun < 0.9
            await asyncio.sleep(1)

    assert run(loop, main()) == []
    assert not refused


@loops
def test_a_silent_peer_ends_at_the_time_limit(loop: str) -> None:
    limits = Limits(handshake_seconds=0.4)

    async def main() -> None:
        client = context(None, SGX, limits=limits)
        with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(HandshakeTimeoutError):
            await aio.open_connection("127.0.0.1", silent.getsockname()[1], context=client)
        refused: list[RatsTlsError] = []
        async with serving(context(SGX, limits=limits), refused=refused) as port:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            for _ in range(20):  # a byte now and then does not prolong it
                writer.write(b"\x16")
                await asyncio.sleep(0.05)
            for _ in range(100):
                if refused:
                    break
                await asyncio.sleep(0.02)
            assert [error.refusal.label for error in refused][:1] in (["timeout"], ["tls"])
            writer.close()

    assert run(loop, main()) == []


@loops
def test_no_server_and_bad_addresses(loop: str) -> None:
    async def main() -> None:
        client = context(None, SGX)
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            with pytest.raises(ConnectionFailedError, match="listen"):
                await aio.start_server(echo, "127.0.0.1", port, context=context(SGX))
        with pytest.raises(ConnectionFailedError, match="connect"):
            await aio.open_connection("127.0.0.1", port, context=client)
        with pytest.raises(ConfigurationError, match="address"):
            await aio.open_connection(context=client)
        with pytest.raises(ConfigurationError, match="attester"):
            await aio.start_server(echo, "127.0.0.1", 0, context=client)

    assert run(loop, main()) == []


@loops
def test_unix_sockets_and_sockets_given(loop: str, tmp_path: Any) -> None:
    async def main() -> None:
        path = str(tmp_path / "socket")
        client = context(None, SGX)
        async with await aio.start_server(echo, path=path, context=context(SGX)):
            reader, writer = await aio.open_connection(path=path, context=client)
            writer.write(b"x")
            assert await reader.read(1) == b"x"
            writer.close()
            sock = socket.socket(socket.AF_UNIX)
            sock.connect(path)
            sock.setblocking(False)
            reader, writer = await aio.open_connection(sock=sock, context=client)
            writer.write(b"y")
            assert await reader.read(1) == b"y"
            writer.close()

    assert run(loop, main()) == []


@loops
def test_blocking_and_asyncio_talk_to_each_other(loop: str) -> None:
    async def main() -> None:
        async with serving(context(SGX, SNP, mutual=True)) as port:

            def blocking() -> bytes:
                with context(SNP, SGX, mutual=True).connect(("127.0.0.1", port), timeout=20) as connection:
                    connection.sendall(b"from a thread")
                    return connection.recv()

            assert await asyncio.to_thread(blocking) == b"from a thread"

    assert run(loop, main()) == []


class TestShutdown:
    @loops
    def test_grace_lets_connections_end_by_themselves(self, loop: str) -> None:
        async def main() -> None:
            server = await aio.start_server(echo, "127.0.0.1", 0, context=context(SGX))
            reader, writer = await aio.open_connection("127.0.0.1", server.port, context=context(None, SGX))
            stopping = asyncio.create_task(server.shutdown(grace=10))
            await asyncio.sleep(0.1)
            assert not server.is_serving()
            writer.write(b"still served")
            assert await reader.readexactly(12) == b"still served"
            writer.close()
            await writer.wait_closed()
            await asyncio.wait_for(stopping, 5)

        assert run(loop, main()) == []

    @loops
    def test_without_grace_open_connections_get_an_end(self, loop: str) -> None:
        async def main() -> None:
            server = await aio.start_server(echo, "127.0.0.1", 0, context=context(SGX))
            reader, writer = await aio.open_connection("127.0.0.1", server.port, context=context(None, SGX))
            await asyncio.wait_for(asyncio.gather(server.shutdown(), drop(reader, writer)), 5)

        async def drop(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            assert await reader.read() == b""
            writer.close()

        assert run(loop, main()) == []

    @loops
    def test_a_peer_that_never_ends_is_cut_off(self, loop: str) -> None:
        async def main() -> None:
            server = await aio.start_server(
                echo, "127.0.0.1", 0, context=context(SGX, limits=Limits(close_seconds=0.3))
            )
            _, writer = await aio.open_connection("127.0.0.1", server.port, context=context(None, SGX))
            writer.transport.pause_reading()
            await asyncio.wait_for(server.shutdown(), 5)
            writer.transport.abort()

        assert run(loop, main()) == []


class Recorder(asyncio.Protocol):
    def __init__(self) -> None:
        self.calls: list[Any] = []
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.calls.append("made")

    def data_received(self, data: bytes) -> None:
        self.calls.append(bytes(data))

    def eof_received(self) -> None:
        self.calls.append("eof")

    def connection_lost(self, exc: Exception | None) -> None:
        self.calls.append(exc)
        self.lost.set_result(None)


class TestProtocols:
    @loops
    def test_a_protocol_is_told_in_order(self, loop: str) -> None:
        async def main() -> None:
            async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                writer.write(await reader.read(100))
                writer.close()

            async with serving(context(SGX), connected) as port:
                transport, protocol = await aio.create_connection(
                    Recorder, "127.0.0.1", port, context=context(None, SGX)
                )
                assert protocol.transport is transport
                assert transport.get_protocol() is protocol
                transport.writelines([b"a", bytearray(b"b"), memoryview(b"c")])
                await protocol.lost
                assert protocol.calls == ["made", b"abc", "eof", None]
                assert transport.is_closing()
                transport.write(b"into nothing")
                transport.close()
                transport.abort()

        assert run(loop, main()) == []

    @loops
    def test_a_buffered_protocol_gets_its_buffer_filled(self, loop: str) -> None:
        class Buffered(asyncio.BufferedProtocol):
            def __init__(self) -> None:
                self.buffer, self.received = bytearray(1000), bytearray()
                self.lost = asyncio.get_running_loop().create_future()

            def get_buffer(self, sizehint: int) -> bytearray:
                return self.buffer

            def buffer_updated(self, nbytes: int) -> None:
                self.received += self.buffer[:nbytes]

            def connection_lost(self, exc: Exception | None) -> None:
                self.lost.set_result(None)

        payload = bytes(range(256)) * 200

        async def main() -> None:
            async def connected(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                writer.write(payload)
                writer.close()

            async with serving(context(SGX), connected) as port:
                _, protocol = await aio.create_connection(Buffered, "127.0.0.1", port, context=context(None, SGX))
                await protocol.lost
                assert protocol.received == payload

        assert run(loop, main()) == []

    @loops
    def test_a_protocol_that_writes_within_its_own_call_is_not_called_within_it(self, loop: str) -> None:
        class Echo(Recorder):
            depth = deepest = 0

            def data_received(self, data: bytes) -> None:
                self.depth += 1
                self.deepest = max(self.deepest, self.depth)
                self.transport.write(data)  # type: ignore[attr-defined]  # a stream transport
                self.depth -= 1

        made: list[Echo] = []

        def factory() -> Echo:
            made.append(Echo())
            return made[-1]

        async def main() -> None:
            async with await aio.create_server(factory, "127.0.0.1", 0, context=context(SGX)) as server:
                reader, writer = await aio.open_connection("127.0.0.1", server.port, context=context(None, SGX))
                for _ in range(50):
                    writer.write(bytes(20_000))
                await reader.readexactly(1_000_000)
                writer.close()
                await writer.wait_closed()

        assert run(loop, main()) == []
        assert made[0].deepest == 1

    @loops
    def test_a_protocol_that_fails_ends_its_connection_alone(self, loop: str) -> None:
        class Broken(Recorder):
            def data_received(self, data: bytes) -> None:
                raise ZeroDivisionError("broken")

        async def main() -> None:
            async with await aio.create_server(Broken, "127.0.0.1", 0, context=context(SGX)) as server:
                client = context(None, SGX)
                for _ in range(2):
                    reader, writer = await aio.open_connection("127.0.0.1", server.port, context=client)
                    writer.write(b"x")
                    with pytest.raises(OSError):  # a reset or a missing close_notify
                        await reader.readexactly(1)
                    writer.close()

        told = run(loop, main())
        assert [type(context["exception"]) for context in told] == [ZeroDivisionError] * 2
