"""The wire side of a channel: what comes from and goes to the transport, and how a connection ends by an error."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from enum import Enum, auto
from types import TracebackType
from typing import cast

from rats_tls.channel_settings import ChannelSettings, Credentials
from rats_tls.core.errors import ConnectionFailedError, InternalError, PeerRefusedError, RatsTlsError
from rats_tls.core.interrupts import interrupts
from rats_tls.core.refusals import WireCode
from rats_tls.core.tls import AlertingTlsSession, NonBlockingSocket, SocketTlsContext, SocketTlsSession, TlsSession
from rats_tls.preamble.exchange import Exchange


class Phase(Enum):
    """How far a channel has come."""

    CREDENTIALS = auto()  # waiting for supply_evidence
    HANDSHAKE = auto()  # TLS handshake
    PREAMBLE = auto()  # preamble and, within it, the appraisal
    APPRAISAL = auto()  # appraisal of a peer without the preamble
    OPEN = auto()  # application data


class _Fatal:
    """Ends a channel by the error that leaves a block. A class: entered for each piece of data, and generators cost."""

    __slots__ = ("_end_by",)

    def __init__(self, end_by: Callable[[BaseException], None]) -> None:
        self._end_by = end_by

    def __enter__(self) -> None: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._end_by(error)


class ChannelTransport(ABC):
    """Bytes in and out, and errors.

    Args:
        settings: this side's settings.
        server_hostname: client: sent as SNI.
        sock: for TLS that moves its bytes by itself; None: bytes go in and out of here.
    """

    def __init__(self, settings: ChannelSettings, server_hostname: str | None, sock: NonBlockingSocket | None) -> None:
        self._settings = settings
        self._limits = settings.limits
        self._server_hostname = server_hostname
        self._sock = sock
        self._phase = Phase.CREDENTIALS
        self._tls: TlsSession | None = None
        self._over_socket: SocketTlsSession | None = None
        self._exchange: Exchange | None = None
        self._held = bytearray()  # wire bytes that came before the credentials
        self._undelivered = 0  # wire bytes taken since the TLS session last had nothing more to give
        self._eof = False
        self.error: RatsTlsError | None = None

    @abstractmethod
    def _advance(self) -> None:
        """Go as far as the bytes and answers here allow. Raises `error`."""

    @abstractmethod
    def _forget(self) -> None:
        """Drop what was asked and not answered: the connection has ended."""

    def _begin_tls(self, credentials: Credentials) -> None:
        """Start TLS with `credentials`, and give it what is here."""
        context = self._settings.tls_context(credentials)
        if self._sock is None:
            self._tls = context.session(self._server_hostname)
        else:
            self._settings.require_sockets()
            over_socket = cast("SocketTlsContext", context).socket_session(self._sock, self._server_hostname)
            self._tls = self._over_socket = over_socket
        self._phase = Phase.HANDSHAKE
        if self._held:
            self._tls.receive_from_wire(bytes(self._held))
            self._held.clear()

    # --- bytes that the shell carries ----------------------------------------------------------------------------
    @property
    def wants_data(self) -> bool:
        """Whether the shell should go on reading from the transport; False while too much is undelivered."""
        return self.error is None and not self._eof and self._undelivered < self._limits.undelivered

    def receive_from_wire(self, data: bytes | bytearray) -> None:
        """Take bytes from the transport. Raises `error`."""
        if self.error is not None:
            raise self.error
        self._undelivered += len(data)
        if self._tls is None:
            self._held += data
            return
        with self._fatal():
            self._tls.receive_from_wire(data)
        if self._phase is not Phase.OPEN:
            self._advance()

    def receive_eof(self) -> None:
        """Take note that the peer closed the transport. Raises `error`."""
        self._raise_error()
        self._eof = True
        if self._tls is None:
            self._fail(ConnectionFailedError("the peer closed the connection before the TLS handshake"))
            self._raise_error()
            return
        with self._fatal():
            self._tls.receive_eof()
        self._advance()

    def data_to_send(self) -> bytes | bytearray:
        """Give and forget the bytes due to the transport. Never raises: what fails here is the next call's `error`."""
        if self._tls is None:
            return b""
        if self._exchange is not None and self._exchange.due:
            with contextlib.suppress(RatsTlsError), self._fatal():
                self._say(self._tls)
        return self._tls.data_to_send()

    # --- a socket that TLS uses by itself ---------------------------------------------------------------------------
    @property
    def over_socket(self) -> bool:
        """Whether TLS uses a socket by itself."""
        return self._sock is not None

    @property
    def waits_to_send(self) -> bool:
        """Whether TLS waits for the socket to take more; else it waits for the peer."""
        return self._over_socket is not None and self._over_socket.waits_to_send

    @property
    def unsent(self) -> bool:
        """Whether anything is left to `flush`."""
        if self._exchange is not None and self._exchange.due:
            return True
        return self._over_socket is not None and self._over_socket.unsent

    @property
    def shaking_hands(self) -> bool:
        """Whether TLS is in its handshake, which reads nothing while it waits to send."""
        return self._phase is Phase.HANDSHAKE

    @property
    def drained(self) -> bool:
        """Whether the last read took all data that was here, and not the end."""
        return self._over_socket is not None and self._over_socket.drained

    def proceed(self) -> None:
        """Begin, or go on after the socket has become ready. Raises `error`."""
        self._raise_error()
        self._advance()

    def own_unsent(self) -> None:
        """Keep a copy of what is not sent yet, whose buffer goes back to whoever wrote it."""
        if self._over_socket is not None:
            self._over_socket.own_unsent()

    def flush(self) -> bool:
        """Send what could not be sent before. Returns whether nothing is left.

        Raises:
            RatsTlsError: it failed just now; an earlier `error` does not keep a refusal from being sent.
        """
        if self._over_socket is None:
            return True
        with self._fatal():
            self._say(self._over_socket)
            return self._over_socket.flush()

    def detach(self) -> None:
        """Never touch the socket again: it is being closed."""
        if self._over_socket is not None:
            self._over_socket.detach()

    def _say(self, tls: TlsSession) -> None:
        """Hand to TLS what the preamble has for the peer: as late as may be, so that it goes in few records."""
        if self._exchange is not None and self._exchange.due:
            tls.write(self._exchange.data_to_send())

    # --- failure -------------------------------------------------------------------------------------------------
    def _fatal(self) -> _Fatal:
        """End the connection by whatever is raised within; an error that is not ours comes from a plug-in."""
        return _Fatal(self._end_by)

    def _end_by(self, error: BaseException) -> None:
        """Take an error that ends the connection. Raises InternalError for one of a plug-in."""
        if isinstance(error, RatsTlsError):
            self._fail(error)
        elif interrupts(error):
            self._interrupted(error)
        else:
            raise self._broken(error) from error

    def _broken(self, error: BaseException) -> RatsTlsError:
        """End the connection: the TLS wrapper failed in a way of its own."""
        wrapped = InternalError(f"TLS wrapper {self._settings.tls.name} failed: {type(error).__name__}: {error}")
        if self._phase is Phase.OPEN:
            self._drop(wrapped)
        else:
            self._fail(wrapped)
        return self.error or wrapped

    def _interrupted(self, error: BaseException) -> None:
        """End the connection: a call of the TLS wrapper was left where it was."""
        self._drop(ConnectionFailedError(f"a call of this connection was interrupted by {type(error).__name__}"))

    def _drop(self, error: RatsTlsError) -> None:
        """End the connection and send nothing more: half a message must not get a close_notify, and so look whole."""
        if self.error is None:
            self.error = error
        self._forget()
        self._tls = None
        self.detach()
        self._over_socket = None

    def _fail(self, error: RatsTlsError) -> None:
        if self.error is not None:
            return
        self.error = error
        self._forget()
        if self._tls is None:
            return
        try:
            if self._exchange is not None and not isinstance(error, PeerRefusedError):
                self._exchange.refuse(error.refusal.wire_code)
                self._tls.write(self._exchange.data_to_send())
            elif self._phase is Phase.APPRAISAL and self._settings.tls.capabilities.chosen_alerts:
                # A peer without the preamble: an alert is all that it can be told.
                judged = error.refusal.wire_code is WireCode.APPRAISAL
                cast("AlertingTlsSession", self._tls).alert("access_denied" if judged else "internal_error")
            self._tls.close()
        except Exception as failure:  # a connection that already broke cannot carry a refusal
            if interrupts(failure):
                raise

    def _raise_error(self) -> None:
        if self.error is not None:
            raise self.error
