"""The sans-I/O channel: wire bytes in, wire bytes and events out. `docs/protocol.md` is its specification.

It never calls an Attester, a Verifier, a disk, the network or a clock. Where it needs Evidence or a judgement it says
so by an event, and is answered by `supply_evidence`, `supply_result` or `refuse`, at once or any time later.
"""

from __future__ import annotations

import contextlib
from collections import deque

from rats_tls.channel_events import Accepted, AppraisalNeeded, Event, EvidenceNeeded
from rats_tls.channel_exporter import require_public_export
from rats_tls.channel_settings import ALPN, NO_CREDENTIALS, ChannelSettings, Credentials
from rats_tls.channel_transport import ChannelTransport, Phase
from rats_tls.core.binding import Binding
from rats_tls.core.errors import (
    ConnectionFailedError,
    DecodeError,
    HandshakeTimeoutError,
    InternalError,
    NoEvidenceError,
    PeerRefusedError,
    ProtocolError,
    RatsTlsError,
    TlsError,
)
from rats_tls.core.interrupts import interrupts
from rats_tls.core.refusals import Refusal
from rats_tls.core.results import AttestationResult
from rats_tls.core.tls import NonBlockingSocket, TlsFacts, TlsSession
from rats_tls.preamble.exchange import Exchange, early_data

__all__ = [
    "ALPN",
    "Accepted",
    "AppraisalNeeded",
    "Channel",
    "ChannelSettings",
    "Credentials",
    "Event",
    "EvidenceNeeded",
]


_NO_CERTIFICATE = "certificate_required"  # RFC 8446 6.2


class Channel(ChannelTransport):
    """One attested connection. Not thread-safe: the shell holds a lock around its calls.

    After anything fatal `error` is set and every method but `data_to_send`, `next_event`, `refuse`, `time_out` and
    `close` raises it; what `data_to_send` still gives (an alert, a refusal) is to be sent before the transport closes.

    Args:
        settings: this side's settings.
        credentials: what this side presents; when None and needed, the first event asks for them.
        server_hostname: client: sent as SNI. It proves nothing.
        sock: a connected non-blocking socket for a TLS wrapper that declares `sockets`; TLS then moves its bytes by
            itself, as far as that goes without waiting. None: bytes go in and out of here.

    Raises:
        ConfigurationError: the TLS wrapper refuses settings or credentials, or takes no socket.
    """

    def __init__(
        self,
        settings: ChannelSettings,
        credentials: Credentials | None = None,
        *,
        server_hostname: str | None = None,
        sock: NonBlockingSocket | None = None,
    ) -> None:
        super().__init__(settings, server_hostname, sock)
        self._events: deque[Event] = deque()
        self._credentials = NO_CREDENTIALS
        self._peer_certificate: bytes | None = None
        self._needed: AppraisalNeeded | None = None
        self._appraised = False
        self._ended = False
        self._delivered = False
        self._application_protocol: str | None = None
        self._given: Credentials | None = None  # what to begin with at the first `proceed`
        if credentials is not None or not settings.needs_credentials:
            if sock is None:
                self._begin(credentials or NO_CREDENTIALS)
            else:
                self._given = credentials or NO_CREDENTIALS
        else:
            self._events.append(EvidenceNeeded(binding=settings.usable_bindings[0]))

    # --- events and their answers --------------------------------------------------------------------------------
    def next_event(self) -> Event | None:
        """Give the next event, or None."""
        return self._events.popleft() if self._events else None

    def supply_evidence(self, credentials: Credentials) -> None:
        """Answer `EvidenceNeeded`.

        Raises:
            ConfigurationError: no Evidence where this side attests, or TLS refuses the credentials.
            InternalError: not asked for.
            RatsTlsError: `error`.
        """
        self._raise_error()
        if self._phase is not Phase.CREDENTIALS:
            raise InternalError("channel: credentials supplied, none are needed")
        self._begin(credentials)

    def supply_result(self, result: AttestationResult) -> None:
        """Answer `AppraisalNeeded`: the peer is accepted.

        Raises:
            InternalError: not asked for, or the result is of another certificate or binding, or refuses the peer where
                `insecure_report_only` is not set; the peer is refused.
            RatsTlsError: `error`.
        """
        self._raise_error()
        if self._needed is None:
            raise InternalError("channel: a result was supplied, none is needed")
        with self._fatal():
            self._needed.require_answer(result)
            self._settings.require_verdict(result)
            self._needed = None
            self._require_nothing_early()
            self._accept()
        self._advance()

    def refuse(self, error: RatsTlsError) -> None:
        """Refuse the peer: it is told the wire code of `error`, no more. An earlier `error` stays."""
        self._fail(error)

    def time_out(self) -> None:
        """Give up because the shell's deadline is over. Does nothing once data may flow."""
        if self._phase is not Phase.OPEN:
            waiting = self._phase.name.lower() if self._needed is None else "appraisal"
            self._fail(HandshakeTimeoutError(f"not accepted within the time limit; waiting in: {waiting}"))

    # --- application data ----------------------------------------------------------------------------------------
    def send(self, data: bytes | bytearray | memoryview) -> None:
        """Encrypt all of `data`.

        Raises:
            InternalError: before `Accepted`.
            RatsTlsError: `error`; TlsError after `close`.
        """
        if self.error is not None:
            raise self.error
        if self._phase is not Phase.OPEN or self._tls is None:
            raise InternalError("channel: application data before acceptance")
        try:
            self._tls.write(data)
        except RatsTlsError:
            raise
        except BaseException as error:
            if interrupts(error):
                self._interrupted(error)
                raise
            raise self._broken(error) from error

    def receive(self, size: int) -> bytes | None:
        """Give up to `size` bytes of application data, perhaps fewer than there are: None when none are there yet.

        Gives b"" after the peer's end: its close_notify, or, from a peer without the preamble (C peers send no
        close_notify), the end of the transport.

        Args:
            size: at least 1.

        Raises:
            PeerRefusedError: a peer without the preamble refused this side by an alert.
            TlsError: broken record, fatal alert, or cut off without close_notify.
            RatsTlsError: `error`.
        """
        if size < 1:
            raise InternalError(f"channel: receive of {size} bytes, expected at least 1")
        if (tls := self._readable()) is None:
            return b"" if self._ended else None
        try:
            data = tls.read(size)
        except BaseException as error:  # noqa: BLE001  # raised again, or turned into the connection's end
            return self._end_or_fail(error)
        self._took(None if data is None else len(data))
        return data

    def receive_into(self, buffer: memoryview) -> int | None:
        """As `receive`, into a writable buffer of at least one byte: the number of bytes, 0 after the peer's end."""
        if not buffer:
            raise InternalError("channel: receive into 0 bytes, expected at least 1")
        if (tls := self._readable()) is None:
            return 0 if self._ended else None
        try:
            count = tls.read_into(buffer)
        except BaseException as error:  # noqa: BLE001  # likewise
            return len(self._end_or_fail(error))
        self._took(count)
        return count

    def _readable(self) -> TlsSession | None:
        """Give the connection where data may be read from it. Raises `error`."""
        if self.error is not None:
            raise self.error
        return self._tls if self._phase is Phase.OPEN and not self._ended else None

    def _end_or_fail(self, error: BaseException) -> bytes:
        """Give the end where reading failed by what is one; else end the connection and raise."""
        if not isinstance(error, RatsTlsError):
            if interrupts(error):
                self._interrupted(error)
                raise error
            raise self._broken(error) from error
        if self._exchange is None and isinstance(error, TlsError):
            if error.truncated:
                self._ended = True
                return b""
            # A TLS 1.3 server judges the client after the client's handshake is complete: alert 116 comes here.
            if error.peer_alert is not None and not self._delivered:
                self._fail(PeerRefusedError(f"the peer refused this side: {error.message}"))
        self._fail(error)
        raise self.error or error

    def _took(self, count: int | None) -> None:
        if count is None:
            self._undelivered = 0
        elif count:
            self._delivered = True
        else:
            self._ended = True

    def close(self) -> None:
        """End this side's data by close_notify. Before acceptance: give up, and tell the peer."""
        if self._phase is not Phase.OPEN:
            self._fail(ConnectionFailedError("closed by this side before acceptance"))
        elif self._tls is not None and self.error is None:
            with contextlib.suppress(TlsError):  # a connection that already broke cannot say good-bye
                self._tls.close()

    # --- facts ---------------------------------------------------------------------------------------------------
    @property
    def accepted(self) -> bool:
        """Whether application data may flow."""
        return self._phase is Phase.OPEN and self.error is None

    @property
    def facts(self) -> TlsFacts | None:
        """The TLS connection, once its handshake is complete."""
        done = self._tls is not None and self._phase not in (Phase.CREDENTIALS, Phase.HANDSHAKE)
        return self._tls.facts() if done and self._tls is not None else None

    def selected_alpn_protocol(self) -> str | None:
        """The application's protocol; None before acceptance or when there is none."""
        return self._application_protocol if self.accepted else None

    def exporter(self, label: str, context: bytes, length: int) -> bytes:
        """Keying material of this connection for the application (RFC 8446 7.5).

        Args:
            label: ASCII; not one that the protocol uses.
            context: at most 65,535 bytes; an empty one equals none.
            length: bytes wanted, 1 to 255 digests of the cipher suite's hash.

        Raises:
            ConfigurationError: a reserved label, or a size out of range.
            InternalError: before `Accepted`.
            UnsupportedError: the TLS wrapper has no exporter.
            RatsTlsError: `error`.
        """
        self._raise_error()
        if self._phase is not Phase.OPEN or self._tls is None:
            raise InternalError("channel: exporter before acceptance")
        require_public_export(label, context, length, self._tls.facts().hash)
        return self._tls.exporter(label, context, length)

    # --- progress ------------------------------------------------------------------------------------------------
    def _begin(self, credentials: Credentials) -> None:
        """Start TLS with `credentials`."""
        self._settings.require_credentials(credentials)
        self._credentials = credentials
        self._begin_tls(credentials)
        if self._sock is None or self._settings.role == "client":  # a server's socket seldom has anything yet
            self._advance()

    def _forget(self) -> None:
        self._events.clear()
        self._needed = None

    def _advance(self) -> None:
        """Go as far as the bytes and answers here allow. Raises `error`."""
        if self._given is not None:
            given, self._given = self._given, None
            self._begin(given)
            return
        if self._tls is None or self._phase is Phase.OPEN:
            return
        with self._fatal():
            if self._phase is Phase.HANDSHAKE:
                self._handshake(self._tls)
                if self._over_socket is not None and self._settings.role == "client":
                    return  # the server speaks second
            if self._phase is Phase.PREAMBLE and self._exchange is not None:
                self._read_preamble(self._tls, self._exchange)

    def _handshake(self, tls: TlsSession) -> None:
        try:
            complete = tls.handshake()
        except TlsError as error:
            if error.refuses_certificate:
                raise PeerRefusedError(f"the peer refused this side's certificate: {error.message}") from error
            if error.too_large:
                raise self._settings.too_large(error) from error
            raise
        if not complete:
            self._undelivered = 0
            return
        # (1) Neither resumed nor of another version than this side's settings allow.
        self._settings.require_session(tls)
        # (2) The preamble is spoken where ALPN chose it, and always without TLS.
        if not self._settings.tls.capabilities.encrypts or tls.alpn == ALPN:
            self._exchange = Exchange(self._settings.role, self._settings.offer(self._credentials), self._limits)
            self._phase = Phase.PREAMBLE
            self._exchange.start()
            if self._over_socket is not None:
                self._say(tls)
            # Read here, while the peer is busy with its own part.
            self._peer_certificate = tls.peer_certificate
            return
        if self._settings.preamble_required:
            raise ProtocolError("the peer does not speak the preamble", refusal=Refusal.PREAMBLE_REQUIRED)
        self._application_protocol = tls.alpn
        self._phase = Phase.APPRAISAL
        if self._settings.demands_evidence:
            self._ask_appraisal(tls, tls.peer_certificate, Binding.CERTIFICATE)
        else:
            self._accept()

    def _read_preamble(self, tls: TlsSession, exchange: Exchange) -> None:
        while self._phase is Phase.PREAMBLE:
            size = exchange.readable
            data = self._read_before_acceptance(tls, size)
            if data is None:
                self._undelivered = 0
                return
            exchange.take(data)
            if exchange.peer_complete and not self._appraised:
                self._appraised = True
                self._judge_preamble_peer(tls, exchange)
            self._open_if_both_accepted(exchange)
            if self._over_socket is not None and len(data) < size:
                return  # what TLS had is read, and the socket tells when more is there

    def _read_before_acceptance(self, tls: TlsSession, size: int) -> bytes | None:
        try:
            data = tls.read(size)
        except TlsError as error:
            if error.peer_alert is not None:
                wants = self._wants if error.peer_alert == _NO_CERTIFICATE else ""
                raise PeerRefusedError(f"the peer refused this side{wants}: {error.message}") from error
            if not error.truncated:
                raise
            data = b""
        if data == b"":
            raise PeerRefusedError(
                "the peer closed the connection before it accepted", refusal=Refusal.CLOSED_BEFORE_ACCEPTED
            )
        return data

    @property
    def _wants(self) -> str:
        """What a peer wants that missed a certificate: a TLS library presents none with a key that it cannot take."""
        if self._credentials.certificate is None:
            return ": it demands that this side attests"
        return ": it demands a certificate with another kind of key than this side has"

    def _judge_preamble_peer(self, tls: TlsSession, exchange: Exchange) -> None:
        if not self._settings.demands_evidence:
            self._accept()
            return
        binding = exchange.agreement.binding if exchange.agreement is not None else Binding.NONE
        certificate = self._peer_certificate if binding is Binding.CERTIFICATE else exchange.peer_certificate
        self._ask_appraisal(tls, certificate, binding)

    def _ask_appraisal(self, tls: TlsSession, certificate: bytes | None, binding: Binding) -> None:
        if certificate is None:
            raise NoEvidenceError("the peer presented no certificate")
        largest = self._limits.certificate_read
        if len(certificate) > largest:
            raise DecodeError("Certificate", "", None, f"got {len(certificate)} bytes, expected at most {largest}")
        self._needed = AppraisalNeeded(
            certificate=certificate,
            binding=binding,
            endorsements=self._exchange.peer_endorsements if self._exchange is not None else (),
            preamble=self._exchange is not None,
            facts=tls.facts(),
        )
        self._events.append(self._needed)

    def _require_nothing_early(self) -> None:
        """Require that the peer, which has accepted, waits: what is here now, it sent before this side accepted."""
        exchange, tls = self._exchange, self._tls
        if exchange is None or tls is None:
            return
        self._read_preamble(tls, exchange)  # *accepted* of the peer may lie unread, and data behind it
        if exchange.peer_accepted and self._read_before_acceptance(tls, 1) is not None:
            raise early_data()

    def _accept(self) -> None:
        """This side has nothing against the peer."""
        if self._exchange is None:
            self._open(peer_accepted=None)
        elif self._tls is not None:
            self._exchange.accept()
            self._open_if_both_accepted(self._exchange)

    def _open_if_both_accepted(self, exchange: Exchange) -> None:
        if self._phase is Phase.PREAMBLE and exchange.own_accepted and exchange.peer_accepted:
            if exchange.agreement is not None:
                self._application_protocol = exchange.agreement.application_protocol
            if self._tls is not None:
                self._say(self._tls)
            self._open(peer_accepted=True)

    def _open(self, *, peer_accepted: bool | None) -> None:
        self._phase = Phase.OPEN
        self._peer_certificate = None
        if self._exchange is not None:
            self._exchange.forget()
        self._events.append(Accepted(peer_accepted=peer_accepted, application_protocol=self._application_protocol))
