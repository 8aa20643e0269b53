"""The `wolfssl` wrapper in threads, and the memory that it takes."""

from __future__ import annotations

import threading

import pytest

from rats_tls.tls_wrappers import wolfssl
from rats_tls.tls_wrappers.wolfssl import WolfsslTlsWrapper
from rats_tls.tls_wrappers.wolfssl_wire import Wire
from support.endurance import resident_bytes
from support.tls import config, handshake, pump
from support.wolfssl import here


@pytest.fixture(scope="module")
def tls() -> WolfsslTlsWrapper:
    return here()


def shake(clients: wolfssl.WolfsslTlsContext, servers: wolfssl.WolfsslTlsContext) -> None:
    client, server = clients.session(), servers.session()
    handshake(client, server)
    client.write(b"x")
    pump(client, server)
    assert server.read(1) == b"x"


def test_threads_share_contexts(tls: WolfsslTlsWrapper) -> None:
    clients, servers = tls.context(config("client")), tls.context(config("server", serial=2))
    done: list[int] = []

    def work() -> None:
        for _ in range(10):
            shake(clients, servers)
        done.append(1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(done) == 4


def test_threads_that_end_leave_no_memory_behind(tls: WolfsslTlsWrapper) -> None:
    clients, servers = tls.context(config("client")), tls.context(config("server", serial=2))

    def end_threads(count: int) -> None:
        for _ in range(count):
            thread = threading.Thread(target=shake, args=(clients, servers))
            thread.start()
            thread.join()

    end_threads(5)
    before = resident_bytes()
    end_threads(30)
    assert resident_bytes() - before < 8_000_000  # left behind they are 1.6 MB each


def test_connections_leave_no_memory_behind(tls: WolfsslTlsWrapper) -> None:
    clients, servers = tls.context(config("client")), tls.context(config("server", serial=2))

    def connections(count: int) -> None:
        for _ in range(count):
            shake(clients, servers)
            half, _ = clients.session(), servers.session()
            half.handshake()

    connections(100)
    before = resident_bytes()
    connections(400)
    assert resident_bytes() - before < 1_000_000


def test_a_wire_gives_bytes_once_and_in_order() -> None:
    wire = Wire()
    wire.feed(b"abc")
    assert [wire.take(2), wire.take(0)] == [b"ab", b""]
    wire.feed(bytearray(b"de"))
    assert [wire.take(9), wire.take(9)] == [b"cde", b""]
    wire.out += [b"x", b"y"]
    assert [wire.drain(), wire.drain()] == [b"xy", b""]


def test_a_wire_measures_the_records_that_are_due() -> None:
    wire = Wire()
    wire.out += [b"\x17\x03\x03\x00\x04none", b"\x17\x03\x03\x00\x01a\x17\x03\x03\x00\x02bc"]
    assert [wire.longest_record(at) for at in (0, 1, 2)] == [9, 7, 0]
