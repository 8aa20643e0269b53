"""What tests of Attesters that ask a service on the host have in common."""

from __future__ import annotations

import functools
import socket
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from rats_tls.core.errors import CollectionError
from rats_tls.core.interfaces import Attester
from rats_tls.simulation.trust_domain import SimulatedTrustDomain
from support.simulated import REPORT_DATA, world


@functools.cache
def trust_domain(**state: Any) -> SimulatedTrustDomain:
    """Give the simulated trust domain of a state."""
    return SimulatedTrustDomain(world().attester("simulated_tdx_ecdsa", **state))  # type: ignore[arg-type]  # of TDX


def refusal(attester: Attester) -> str:
    """Give the message with which an attester refuses to collect."""
    try:
        attester.collect(REPORT_DATA)
    except CollectionError as error:
        return error.message
    raise AssertionError("it collected")


def by_100_callers(attester: Attester, carried: Callable[[bytes], bytes]) -> set[int]:
    """Have 100 threads collect at once; give the numbers of those whose Evidence carries their own report_data."""
    right: set[int] = set()

    def call(number: int) -> None:
        report_data = number.to_bytes(64, "big")
        collected = attester.collect(report_data)
        if collected is not None and carried(collected.evidence.data) == report_data:
            right.add(number)

    threads = [threading.Thread(target=call, args=(number,)) for number in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return right


def silent_socket(path: Path) -> closing[socket.socket]:
    """Give a socket that listens, and that nobody serves."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    listener.listen()
    return closing(listener)
