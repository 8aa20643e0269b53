"""A server that refuses ten thousand connections is as it was before."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import socket
import threading
from collections import Counter
from collections.abc import Callable

from rats_tls.context import Context, Listener
from rats_tls.core.errors import RatsTlsError
from support.sides import SGX, SNP, attester, connected_pair, context, policy_for

WARM_UP = 1_200
REFUSED = 10_000
MOST_GROWTH = 2 * 1024 * 1024


def resident_bytes() -> int:
    """What the process holds; the C library gives back first what it keeps for later."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123  # a kernel file, not a path of ours
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208  # a kernel folder


def refused_by_either_side(client: Context) -> Callable[[tuple[str, int]], None]:
    def attempt(address: tuple[str, int]) -> None:
        with contextlib.suppress(RatsTlsError):
            client.connect(address, timeout=10).close()
            raise AssertionError("accepted")

    return attempt


def sends(data: bytes) -> Callable[[tuple[str, int]], None]:
    def attempt(address: tuple[str, int]) -> None:
        with socket.create_connection(address, 10) as raw, contextlib.suppress(OSError):
            raw.sendall(data)
            raw.shutdown(socket.SHUT_WR)
            while raw.recv(4096):
                pass

    return attempt


def serve(listener: Listener, count: int, refusals: Counter[str]) -> None:
    for _ in range(count):
        try:
            connection, _ = listener.accept()
            connection.close()
            refusals["accepted"] += 1
        except RatsTlsError as error:
            refusals[error.refusal.label] += 1


def test_memory_after_ten_thousand_refused_connections() -> None:
    server = context(SGX, SNP)
    attempts = (
        *[sends(b"")] * 3,
        *[sends(b"GET / HTTP/1.1\r\n\r\n" * 20)] * 3,
        *[sends(b"\x16\x03\x01\x40\x00" + bytes(0x4000))] * 2,
        refused_by_either_side(context(attester(SNP, debug=True), SGX)),
        refused_by_either_side(context(SNP, policy_for(SGX, mr_enclave=bytes(32)))),
        refused_by_either_side(context(None, SGX)),
        refused_by_either_side(context("null", SGX)),
    )
    refusals: Counter[str] = Counter()
    with server.listen(("127.0.0.1", 0)) as listener:
        address = listener.address

        def run(count: int) -> None:
            thread = threading.Thread(target=serve, args=(listener, count, refusals))
            thread.start()
            for number in range(count):
                attempts[number % len(attempts)](address)  # type: ignore[arg-type]  # an IPv4 address is a pair
            thread.join(60)
            if thread.is_alive():
                raise TimeoutError("the server hangs")

        run(WARM_UP)
        before, descriptors = resident_bytes(), open_descriptors()
        run(REFUSED)
        grown = resident_bytes() - before
    assert "accepted" not in refusals
    assert sum(refusals.values()) == WARM_UP + REFUSED
    assert {"policy", "refused_by_peer", "tls"} <= set(refusals)
    assert open_descriptors() <= descriptors
    assert grown < MOST_GROWTH, f"{grown} bytes more, after {dict(refusals)}"
    for end in connected_pair(server, context(SNP, SGX)):
        end.close()
