"""Refuses thousands of connections in a process of its own, and says by how much it grew in each half.

Run as `python -m support.endurance COUNT`; what it measures is JSON on its standard output.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import json
import os
import socket
import sys
import threading
from collections import Counter
from collections.abc import Callable
from itertools import pairwise

from rats_tls.context import Context, Listener
from rats_tls.core.errors import RatsTlsError
from support.sides import SGX, SNP, attester, connected_pair, context, policy_for

WARM_UP = 560  # until caches are full and every kind of refusal has been met
Attempt = Callable[[tuple[str, int]], None]


def resident_bytes() -> int:
    """What the process holds; the C library gives back first what it keeps for later."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123  # a kernel file, not a path of ours
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def refused_by_either_side(client: Context) -> Attempt:
    def attempt(address: tuple[str, int]) -> None:
        with contextlib.suppress(RatsTlsError):
            client.connect(address, timeout=10).close()
            raise AssertionError("accepted")

    return attempt


def sends(data: bytes) -> Attempt:
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


def measure(count: int) -> dict[str, object]:
    """Refuse `count` connections after a warm-up, in two halves. Growth is that of each half."""
    server = context(SGX, SNP)
    attempts: tuple[Attempt, ...] = (
        *[sends(b"")] * 4,
        *[sends(b"GET / HTTP/1.1\r\n\r\n" * 20)] * 4,
        *[sends(b"\x16\x03\x01\x40\x00" + bytes(0x4000))] * 2,
        refused_by_either_side(context(attester(SNP, debug=True), SGX)),
        refused_by_either_side(context(SNP, policy_for(SGX, mr_enclave=bytes(32)))),
        refused_by_either_side(context(None, SGX)),
        refused_by_either_side(context("null", SGX)),
    )
    refusals: Counter[str] = Counter()
    held: list[dict[str, int]] = []
    with server.listen(("127.0.0.1", 0)) as listener:
        address = listener.address
        for part in (WARM_UP, count // 2, count // 2):
            thread = threading.Thread(target=serve, args=(listener, part, refusals))
            thread.start()
            for number in range(part):
                attempts[number % len(attempts)](address)  # type: ignore[arg-type]  # an IPv4 address is a pair
            thread.join(60)
            if thread.is_alive():
                raise TimeoutError("the server hangs")
            bytes_held = resident_bytes()
            held.append(
                {"bytes": bytes_held, "objects": len(gc.get_objects()), "descriptors": len(os.listdir("/proc/self/fd"))}  # noqa: PTH208  # a kernel folder
            )
    for end in connected_pair(server, context(SNP, SGX)):
        end.close()
    return {
        "refusals": dict(refusals),
        **{what: [after[what] - before[what] for before, after in pairwise(held)] for what in held[0]},
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(measure(int(sys.argv[1]))))
