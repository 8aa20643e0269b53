"""Contexts of two sides over simulated TEEs, and one connection between them over a real socket."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rats_tls.connection import Connection
from rats_tls.context import Context
from rats_tls.core.errors import RatsTlsError
from rats_tls.core.interfaces import Attester
from rats_tls.policy import Policy
from support.appraisals import claims_of, verifiers_for
from support.policies import default_policy
from support.simulated import NOW, world

SGX = "simulated_sgx_ecdsa"
TDX = "simulated_tdx_ecdsa"
SNP = "simulated_sev_snp"
LOCAL = "simulated_sgx_la"
CSV = "simulated_csv"
SEV = "simulated_sev"
ALL_SIMULATED = (SGX, TDX, SNP)
"""Those that a vendor's chain and Endorsements stand behind."""


class Clock:
    """A clock that tests set."""

    def __init__(self, now: datetime = NOW) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now


def attester(name: str, **state: Any) -> Attester:
    """Make a simulated attester of the tests' world."""
    made: Attester = world().attester(name, **state)
    return made


def policy_for(name: str, **changes: Any) -> Policy:
    """Make the policy that pins what a healthy simulated TEE shows."""
    collected = world().attester(name).collect(bytes(64))
    return default_policy(claims_of(collected.evidence.data), **changes)


def context(attests: str | Attester | None = None, judges: str | Policy | None = None, **settings: Any) -> Context:
    """Make a context: what it attests with, and what it judges (a simulated TEE's healthy policy, or a policy)."""
    own = attester(attests) if isinstance(attests, str) and attests.startswith("simulated_") else attests
    policy = policy_for(judges) if isinstance(judges, str) else judges
    common: dict[str, Any] = {
        "verifiers": verifiers_for(policy) if policy is not None else None,
        "trust_anchors": world().trust_anchors,
        "provide_endorsements": True,
        "clock": Clock(),
    }
    return Context(attester=own, policy=policy, **{**common, **settings})


@dataclass
class Outcome:
    """What came of a connection on the server's side."""

    connection: Connection | None = None
    error: BaseException | None = None


@contextmanager
def served(server: Context, converse: Callable[[Connection], None]) -> Iterator[tuple[tuple[str, int], Outcome]]:
    """Serve one connection in a thread; gives the address and what came of it."""
    outcome = Outcome()
    with server.listen(("127.0.0.1", 0)) as listener:
        listener.settimeout(20)

        def run() -> None:
            try:
                connection, _ = listener.accept(handshake=False)
                with connection:
                    outcome.connection = connection
                    connection.settimeout(20)
                    connection.handshake()
                    converse(connection)
            except (RatsTlsError, OSError) as error:
                outcome.error = error

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        address = listener.address
        try:
            yield address, outcome  # type: ignore[misc]  # an IPv4 address is a pair
        finally:
            thread.join(20)
            if thread.is_alive():
                raise TimeoutError("the served connection does not end")


def echo(connection: Connection) -> None:
    """Send back what comes until the peer ends."""
    while data := connection.recv():
        connection.sendall(data)


def connected_pair(server: Context, client: Context) -> tuple[Connection, Connection]:
    """Give the server's and the client's end of an accepted connection over a socket pair."""
    left, right = socket.socketpair()
    server_end, client_end = server.wrap_socket(left, server_side=True), client.wrap_socket(right)
    for end in (server_end, client_end):
        end.settimeout(20)
    thread = threading.Thread(target=server_end.handshake, daemon=True)
    thread.start()
    client_end.handshake()
    thread.join(20)
    return server_end, client_end
