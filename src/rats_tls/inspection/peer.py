"""Takes a TLS server's certificate to show it. Nobody is judged, and nothing but a handshake is exchanged."""

from __future__ import annotations

import socket
import time
from contextlib import suppress

from rats_tls import registry
from rats_tls.channel_settings import ALPN
from rats_tls.core.errors import ConnectionFailedError, HandshakeTimeoutError, TlsError
from rats_tls.core.limits import DEFAULT_LIMITS
from rats_tls.core.tls import TlsConfig, TlsSession
from rats_tls.inspection.attested import attested_nodes
from rats_tls.inspection.tree import Inspection, Node, group

_READ = 16_384
_MOST_BYTES = 4 * DEFAULT_LIMITS.certificate_read
"""Bytes taken from a server: its certificate may come with a chain."""
_PROTOCOLS = (ALPN, "h2", "http/1.1")
"""What is offered, so that servers that choose strictly choose something."""


def inspect_server(host: str, port: int, *, seconds: float) -> Inspection:
    """Connect, take the server's certificate and end the connection.

    A server that demands a client's certificate gets none; its own has come before.

    Args:
        host: name or address.
        port: TCP port.
        seconds: for connecting and handshake together.

    Raises:
        ConnectionFailedError: no connection, or no certificate came.
        DecodeError: what came is no certificate.
    """
    deadline = time.monotonic() + seconds
    session = _session(host)
    try:
        with socket.create_connection((host, port), seconds) as sock:
            problem = _handshake(session, sock, deadline)
            with suppress(OSError, TlsError):
                # A polite end; what the server thinks of it is no longer of interest.
                session.close()
                sock.sendall(session.data_to_send())
    except TimeoutError as error:
        raise HandshakeTimeoutError(f"no connection within {seconds:g} s") from error
    except (OSError, UnicodeError) as error:
        if isinstance(error, ConnectionFailedError):
            raise
        reason = error.strerror if isinstance(error, OSError) else None
        raise ConnectionFailedError(f"no connection: {reason or error}") from error
    certificate = session.peer_certificate
    if certificate is None:
        raise problem or TlsError("TLS handshake: the server showed no certificate")
    fields = [group("certificate", attested_nodes(certificate), size=len(certificate))]
    return Inspection(kind="TLS server", size=len(certificate), fields=(_connection(session, problem), *fields))


def _session(host: str) -> TlsSession:
    config = TlsConfig(
        role="client", certificate=None, private_key=None, request_peer_certificate=False, alpn=_PROTOCOLS
    )
    return registry.tls_wrapper("openssl").context(config).session(host)


def _handshake(session: TlsSession, sock: socket.socket, deadline: float) -> ConnectionFailedError | None:
    """Go on until the handshake is done or the certificate is there; give what went wrong behind it."""
    taken = 0
    try:
        while not session.handshake():
            sock.sendall(session.data_to_send())
            left = deadline - time.monotonic()
            if left <= 0:
                raise HandshakeTimeoutError("TLS handshake: it takes too long")
            sock.settimeout(left)
            try:
                data = sock.recv(_READ)
            except TimeoutError as error:
                raise HandshakeTimeoutError("TLS handshake: it takes too long") from error
            taken += len(data)
            if taken > _MOST_BYTES:
                raise TlsError(f"TLS handshake: more than {_MOST_BYTES} bytes from the server")
            if data:
                session.receive_from_wire(data)
            else:
                session.receive_eof()
    except ConnectionFailedError as error:
        return error
    return None


def _connection(session: TlsSession, problem: ConnectionFailedError | None) -> Node:
    if problem is not None:
        return group("connection", [Node(name="handshake", meaning=problem.message)])
    facts = session.facts()
    spoken = "the rats-tls preamble is spoken" if session.alpn == ALPN else "no rats-tls preamble"
    return group(
        "connection",
        [
            Node(name="tls", value=facts.version),
            Node(name="cipher", value=facts.cipher),
            Node(name="group", value=facts.group or None),
            Node(name="alpn", value=session.alpn, meaning=spoken),
        ],
    )
