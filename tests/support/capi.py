"""Handles of the C API over simulated TEEs, and connections between two of them over real sockets."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rats_tls import capi
from rats_tls.capi import Configuration, Flags, Handle
from rats_tls.core.errors import RatsTlsError
from rats_tls.policy import Policy
from support.sides import Clock, attester, policy_for
from support.simulated import world

SERVER = Flags.SERVER | Flags.PROVIDE_ENDORSEMENTS
MUTUAL_SERVER = SERVER | Flags.MUTUAL
CLIENT = Flags.PROVIDE_ENDORSEMENTS
MUTUAL_CLIENT = CLIENT | Flags.MUTUAL


def handle(
    flags: Flags,
    attests: str | None = None,
    judges: str | Policy | None = None,
    *,
    callback: Any = None,
    options: dict[str, Any] | None = None,
    **fields: Any,
) -> Handle:
    """Make a handle: what it attests with, what it judges; `fields` are the configuration's, `options` are init's."""
    given: dict[str, Any] = {
        "policy": policy_for(judges) if isinstance(judges, str) else judges,
        "trust_anchors": world().trust_anchors,
        "clock": Clock(),
        **({"attester": attester(attests)} if attests is not None else {}),
    }
    made = capi.init(Configuration(flags=flags, **fields), **{**given, **(options or {})})
    if callback is not None:
        capi.set_verification_callback(made, callback)
    return made


@contextmanager
def socket_pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Give two connected TCP sockets that block."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        left = socket.create_connection(listening.getsockname())
        right, _ = listening.accept()
    with left, right:
        yield left, right


def in_threads(*actions: Callable[[], Any]) -> list[BaseException | None]:
    """Do all at once; give what each raised."""
    raised: list[BaseException | None] = [None] * len(actions)

    def run(index: int, action: Callable[[], Any]) -> None:
        try:
            action()
        except (RatsTlsError, OSError) as error:
            raised[index] = error

    threads = [threading.Thread(target=run, args=item, daemon=True) for item in enumerate(actions)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not any(thread.is_alive() for thread in threads)
    return raised


def negotiated(server: Handle, client: Handle) -> tuple[BaseException | None, BaseException | None]:
    """Negotiate by descriptors, both at once; give the error of the server and of the client."""
    with socket_pair() as (left, right):
        server_error, client_error = in_threads(
            lambda: capi.negotiate(server, left.fileno()), lambda: capi.negotiate(client, right.fileno())
        )
    return server_error, client_error


@contextmanager
def connected(server: Handle, client: Handle) -> Iterator[tuple[socket.socket, socket.socket]]:
    """Give the sockets of two handles that have negotiated by descriptors; both are cleaned up afterwards."""
    with socket_pair() as (left, right), server, client:
        errors = in_threads(
            lambda: capi.negotiate(server, left.fileno()), lambda: capi.negotiate(client, right.fileno())
        )
        assert errors == [None, None]
        yield left, right
