"""The handle of the C API: one side's settings, and one connection at a time."""

from __future__ import annotations

import inspect
import os
import socket
import threading
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Self

from rats_tls.capi.errors import CoreError, TlsWrapperCode, as_call_errors, invalid
from rats_tls.capi.evidence import PeerEvidence, peer_evidence
from rats_tls.channel import AppraisalNeeded
from rats_tls.connection import Connection
from rats_tls.context import Context
from rats_tls.core.endorsements import Endorsement
from rats_tls.core.errors import ConnectionFailedError
from rats_tls.core.limits import Limits
from rats_tls.core.results import AttestationResult

VerificationCallback = Callable[[PeerEvidence], int]
"""Says of a peer that the policy accepted whether to go on: an int other than 0, or True; anything else refuses."""


class Confirmation:
    """Asks the callback that is set at the time.

    Args:
        endorsements: local Endorsements.
        limits: those of the context.

    Attributes:
        callback: the callback, or None where the policy alone decides.
    """

    def __init__(self, endorsements: Iterable[Endorsement], limits: Limits) -> None:
        self.callback: VerificationCallback | None = None
        self._endorsements = tuple(endorsements)
        self._limits = limits

    def __call__(self, result: AttestationResult, needed: AppraisalNeeded) -> None:
        """Ask the callback. Raises to refuse."""
        callback = self.callback
        if callback is None:
            return
        answer: object = callback(peer_evidence(result, needed, self._endorsements, self._limits))
        if inspect.iscoroutine(answer):
            answer.close()
        # What is true in Python may mean anything, an awaitable for instance that has asked nobody yet.
        if not isinstance(answer, int) or answer == 0:
            raise ValueError(f"the verification callback gave {answer!r}, expected True or an int other than 0")


class Handle:
    """What `init` gives. Threads may share it: one may receive while another transmits, and any may clean up.

    Args:
        context: the settings.
        confirmation: asks the callback; None where nobody is judged.
        server: whether this side is the server.
    """

    def __init__(self, context: Context, confirmation: Confirmation | None, *, server: bool) -> None:
        self._context = context
        self._confirmation = confirmation
        self._server = server
        self._lock = threading.Lock()
        self._cleaned_up = False
        self._negotiating = False
        self._pending: Connection | None = None
        self._connection: Connection | None = None

    @property
    def peer(self) -> AttestationResult | None:
        """What was judged about the peer of the present connection; None when this side judges nobody.

        Raises:
            CoreError: cleaned up, or not negotiated.
        """
        with as_call_errors():
            return self._present().peer

    def set_callback(self, callback: VerificationCallback | None) -> None:
        """See `rats_tls.capi.set_verification_callback`."""
        with self._lock:
            self._require_usable()
            if self._confirmation is not None:
                self._confirmation.callback = callback
            elif callback is not None:
                raise invalid("verification callback: a server without MUTUAL judges nobody, it would never be called")

    def negotiate(self, fd: int | socket.socket) -> None:
        """See `rats_tls.capi.negotiate`."""
        with self._lock:
            self._require_usable()
            if self._negotiating:
                raise invalid("negotiate: this handle is negotiating already; make a handle for each connection")
            self._negotiating = True
        try:
            with as_call_errors():
                self._negotiate(self._wrap(fd))
        finally:
            with self._lock:
                self._negotiating = False
                self._pending = None

    def _wrap(self, fd: int | socket.socket) -> Connection:
        sock = _duplicate(fd)
        try:
            return self._context.wrap_socket(sock, server_side=self._server, shared=True)
        except BaseException:
            sock.close()
            raise

    def _negotiate(self, connection: Connection) -> None:
        with self._lock:
            former, self._connection = self._connection, None
            self._pending = connection  # from here on `clean_up` closes it
            cleaned_up = self._cleaned_up
        if former is not None:
            former.close()
        if not cleaned_up:
            connection.handshake()
        with self._lock:
            if not self._cleaned_up:
                self._connection = connection
                return
        connection.close()
        raise _cleaned_up()

    def receive(self, size: int) -> bytes:
        """See `rats_tls.capi.receive`."""
        if size <= 0:
            raise invalid(f"receive: size: got {size}, expected at least 1")
        connection = self._present()
        with as_call_errors(ConnectionFailedError, TlsWrapperCode.RECEIVE):
            return connection.recv(size)

    def transmit(self, data: bytes | bytearray | memoryview) -> int:
        """See `rats_tls.capi.transmit`."""
        connection = self._present()
        with as_call_errors(ConnectionFailedError, TlsWrapperCode.TRANSMIT):
            return connection.send(data)

    def clean_up(self) -> None:
        """See `rats_tls.capi.cleanup`."""
        with self._lock:
            self._cleaned_up = True
            connections = (self._pending, self._connection)
            self._connection = None
        for connection in connections:
            if connection is not None:
                connection.close()

    def _present(self) -> Connection:
        with self._lock:
            self._require_usable()
            if self._connection is None:
                raise invalid("not negotiated: call negotiate first")
            return self._connection

    def _require_usable(self) -> None:
        if self._cleaned_up:
            raise _cleaned_up()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.clean_up()


def _cleaned_up() -> CoreError:
    return invalid("the handle was cleaned up")


def _duplicate(fd: object) -> socket.socket:
    """Give a socket of our own over the caller's, which stays his."""
    try:
        if isinstance(fd, socket.socket):
            return fd.dup()
        if not isinstance(fd, int) or isinstance(fd, bool) or fd < 0:
            raise invalid(f"negotiate: got {fd!r}, expected a file descriptor or a socket")
        if not os.get_blocking(fd):
            raise invalid(f"negotiate: descriptor {fd} does not block; a socket with a timeout is given as a socket")
        own = os.dup(fd)
        try:
            return socket.socket(fileno=own)
        except BaseException:
            os.close(own)
            raise
    except OSError as error:
        raise invalid(f"negotiate: {error}") from error
