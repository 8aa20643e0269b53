"""The sans-I/O channel: wire bytes in, wire bytes and events out. `docs/protocol.md` is its specification.

It never calls an Attester, a Verifier, a disk, the network or a clock. Where it needs Evidence or a judgement it says
so by an event, and is answered by `supply_evidence`, `supply_result` or `refuse`, at once or any time later.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Iterator
from enum import Enum, auto

from rats_tls.channel_events import Accepted, AppraisalNeeded, Event, EvidenceNeeded
from rats_tls.channel_exporter import require_public_export
from rats_tls.channel_settings import ALPN, NO_CREDENTIALS, ChannelSettings, Credentials
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
from rats_tls.core.interfaces import TlsFacts, TlsSession
from rats_tls.core.refusals import Refusal
from rats_tls.core.results import AttestationResult
from rats_tls.preamble.exchange import Exchange
from rats_tls.preamble.frames import FrameReader

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


class _Phase(Enum):
    CREDENTIALS = auto()  # waiting for supply_evidence
    HANDSHAKE = auto()  # TLS handshake
    PREAMBLE = auto()  # preamble and, within it, the appraisal
    APPRAISAL = auto()  # appraisal of a peer without the preamble
    OPEN = auto()  # application data


class Channel:
    """One attested connection. Not thread-safe: the shell holds a lock around its calls.

    After anything fatal `error` is set and every method but `data_to_send`, `next_event`, `refuse`, `time_out` and
    `close` raises it; what `data_to_send` still gives (an alert, a refusal) is to be sent before the transport closes.

    Args:
        settings: this side's settings.
        credentials: what this side presents; when None and needed, the first event asks for them.
        server_hostname: client: sent as SNI. It proves nothing.

    Raises:
        ConfigurationError: the TLS wrapper refuses settings or credentials.
    """

    def __init__(
        self,
        settings: ChannelSettings,
        credentials: Credentials | None = None,
        *,
        server_hostname: str | None = None,
    ) -> None:
        self._settings = settings
        self._limits = settings.limits
        self._server_hostname = server_hostname
        self._phase = _Phase.CREDENTIALS
        self._events: deque[Event] = deque()
        self._credentials = NO_CREDENTIALS
        self._tls: TlsSession | None = None
        self._exchange: Exchange | None = None
        self._frames = FrameReader(self._limits)
        self._held = bytearray()  # wire bytes that came before the credentials
        self._undelivered = 0  # wire bytes taken since the TLS session last had nothing more to give
        self._needed: AppraisalNeeded | None = None
        self._appraised = False
        self._eof = False
        self._ended = False
        self._delivered = False
        self._application_protocol: str | None = None
        self.error: RatsTlsError | None = None
        if credentials is not None or not settings.needs_credentials:
            self._begin(credentials or NO_CREDENTIALS)
        else:
            self._events.append(EvidenceNeeded(binding=settings.usable_bindings[0]))

    # --- wire ----------------------------------------------------------------------------------------------------
    @property
    def wants_data(self) -> bool:
        """Whether the shell should go on reading from the transport; False while too much is undelivered."""
        return self.error is None and not self._eof and self._undelivered < self._limits.undelivered

    def receive_from_wire(self, data: bytes) -> None:
        """Take bytes from the transport. Raises `error`."""
        self._raise_error()
        self._undelivered += len(data)
        if self._tls is None:
            self._held += data
            return
        with self._fatal():
            self._tls.receive_from_wire(data)
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
        """Give and forget the bytes due to the transport. Never raises."""
        return self._tls.data_to_send() if self._tls is not None else b""

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
        if self._phase is not _Phase.CREDENTIALS:
            raise InternalError("channel: credentials supplied, none are needed")
        self._begin(credentials)

    def supply_result(self, result: AttestationResult) -> None:
        """Answer `AppraisalNeeded`: the peer is accepted.

        Raises:
            InternalError: not asked for, or the result is of another certificate or binding; the peer is refused.
            RatsTlsError: `error`.
        """
        self._raise_error()
        if self._needed is None:
            raise InternalError("channel: a result was supplied, none is needed")
        with self._fatal():
            self._needed.require_answer(result)
            self._needed = None
            self._accept()
        self._advance()

    def refuse(self, error: RatsTlsError) -> None:
        """Refuse the peer: it is told the wire code of `error`, no more. An earlier `error` stays."""
        self._fail(error)

    def time_out(self) -> None:
        """Give up because the shell's deadline is over. Does nothing once data may flow."""
        if self._phase is not _Phase.OPEN:
            waiting = self._phase.name.lower() if self._needed is None else "appraisal"
            self._fail(HandshakeTimeoutError(f"not accepted within the time limit; waiting in: {waiting}"))

    # --- application data ----------------------------------------------------------------------------------------
    def send(self, data: bytes | bytearray | memoryview) -> None:
        """Encrypt all of `data`.

        Raises:
            InternalError: before `Accepted`.
            RatsTlsError: `error`; TlsError after `close`.
        """
        self._raise_error()
        if self._phase is not _Phase.OPEN or self._tls is None:
            raise InternalError("channel: application data before acceptance")
        try:
            self._tls.write(data)
        except RatsTlsError:
            raise
        except Exception as error:
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
        self._raise_error()
        if size < 1:
            raise InternalError(f"channel: receive of {size} bytes, expected at least 1")
        if self._phase is not _Phase.OPEN or self._tls is None:
            return None
        if self._ended:
            return b""
        with self._fatal():
            try:
                data = self._tls.read(size)
            except TlsError as error:
                return self._end_or_fail(error)
        if data is None:
            self._undelivered = 0
        elif data:
            self._delivered = True
        else:
            self._ended = True
        return data

    def close(self) -> None:
        """End this side's data by close_notify. Before acceptance: give up, and tell the peer."""
        if self._phase is not _Phase.OPEN:
            self._fail(ConnectionFailedError("closed by this side before acceptance"))
        elif self._tls is not None and self.error is None:
            with contextlib.suppress(TlsError):  # a connection that already broke cannot say good-bye
                self._tls.close()

    # --- facts ---------------------------------------------------------------------------------------------------
    @property
    def accepted(self) -> bool:
        """Whether application data may flow."""
        return self._phase is _Phase.OPEN and self.error is None

    @property
    def facts(self) -> TlsFacts | None:
        """The TLS connection, once its handshake is complete."""
        done = self._tls is not None and self._phase not in (_Phase.CREDENTIALS, _Phase.HANDSHAKE)
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
        if self._phase is not _Phase.OPEN or self._tls is None:
            raise InternalError("channel: exporter before acceptance")
        require_public_export(label, context, length, self._tls.facts().hash)
        return self._tls.exporter(label, context, length)

    # --- progress ------------------------------------------------------------------------------------------------
    def _begin(self, credentials: Credentials) -> None:
        """Start TLS with `credentials`."""
        self._settings.require_credentials(credentials)
        self._tls = self._settings.tls_context(credentials).session(self._server_hostname)
        self._credentials = credentials
        self._phase = _Phase.HANDSHAKE
        if self._held:
            self._tls.receive_from_wire(bytes(self._held))
            self._held.clear()
        self._advance()

    def _advance(self) -> None:
        """Go as far as the bytes and answers here allow. Raises `error`."""
        if self._tls is None:
            return
        with self._fatal():
            if self._phase is _Phase.HANDSHAKE:
                self._handshake(self._tls)
            if self._phase is _Phase.PREAMBLE and self._exchange is not None:
                self._read_preamble(self._tls, self._exchange)

    def _handshake(self, tls: TlsSession) -> None:
        try:
            complete = tls.handshake()
        except TlsError as error:
            if error.refuses_certificate:
                raise PeerRefusedError(f"the peer refused this side's certificate: {error.message}") from error
            raise
        if not complete:
            self._undelivered = 0
            return
        # (1) Neither resumed nor of another version than this side's settings allow.
        self._settings.require_session(tls)
        # (2) The preamble is spoken where ALPN chose it, and always without TLS.
        if not self._settings.tls.capabilities.encrypts or tls.alpn == ALPN:
            self._exchange = Exchange(self._settings.role, self._settings.offer(self._credentials), self._limits)
            self._phase = _Phase.PREAMBLE
            self._exchange.start()
            tls.write(self._exchange.data_to_send())
            return
        if self._settings.preamble_required:
            raise ProtocolError("the peer does not speak the preamble", refusal=Refusal.PREAMBLE_REQUIRED)
        self._application_protocol = tls.alpn
        self._phase = _Phase.APPRAISAL
        if self._settings.demands_evidence:
            self._ask_appraisal(tls, tls.peer_certificate, Binding.CERTIFICATE)
        else:
            self._accept()

    def _read_preamble(self, tls: TlsSession, exchange: Exchange) -> None:
        while self._phase is _Phase.PREAMBLE:
            # Never a byte more than the present frame's: what is behind *accepted* is application data.
            data = self._read_before_acceptance(tls, 1 if exchange.peer_accepted else self._frames.wanted)
            if data is None:
                self._undelivered = 0
                return
            # (3) Application data before this side accepted: the peer cannot have been told.
            if exchange.peer_accepted:
                raise ProtocolError("application data before this side accepted", refusal=Refusal.EARLY_DATA)
            frame = self._frames.feed(data)
            if frame is None:
                continue
            exchange.receive(frame)
            tls.write(exchange.data_to_send())
            if exchange.peer_complete and not self._appraised:
                self._appraised = True
                self._judge_preamble_peer(tls, exchange)
            self._open_if_both_accepted(exchange)

    def _read_before_acceptance(self, tls: TlsSession, size: int) -> bytes | None:
        try:
            data = tls.read(size)
        except TlsError as error:
            if error.peer_alert is not None:
                raise PeerRefusedError(f"the peer refused this side: {error.message}") from error
            if not error.truncated:
                raise
            data = b""
        if data == b"":
            raise PeerRefusedError(
                "the peer closed the connection before it accepted", refusal=Refusal.CLOSED_BEFORE_ACCEPTED
            )
        return data

    def _judge_preamble_peer(self, tls: TlsSession, exchange: Exchange) -> None:
        if not self._settings.demands_evidence:
            self._accept()
            return
        binding = exchange.agreement.binding if exchange.agreement is not None else Binding.NONE
        certificate = tls.peer_certificate if binding is Binding.CERTIFICATE else exchange.peer_certificate
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

    def _accept(self) -> None:
        """This side has nothing against the peer."""
        if self._exchange is None:
            self._open(peer_accepted=None)
        elif self._tls is not None:
            self._exchange.accept()
            self._tls.write(self._exchange.data_to_send())
            self._open_if_both_accepted(self._exchange)

    def _open_if_both_accepted(self, exchange: Exchange) -> None:
        if self._phase is _Phase.PREAMBLE and exchange.own_accepted and exchange.peer_accepted:
            if exchange.agreement is not None:
                self._application_protocol = exchange.agreement.application_protocol
            self._open(peer_accepted=True)

    def _open(self, *, peer_accepted: bool | None) -> None:
        self._phase = _Phase.OPEN
        self._events.append(Accepted(peer_accepted=peer_accepted, application_protocol=self._application_protocol))

    # --- failure -------------------------------------------------------------------------------------------------
    def _end_or_fail(self, error: TlsError) -> bytes:
        if self._exchange is None:
            if error.truncated:
                self._ended = True
                return b""
            # A TLS 1.3 server judges the client after the client's handshake is complete: alert 116 comes here.
            if error.peer_alert is not None and not self._delivered:
                self._fail(PeerRefusedError(f"the peer refused this side: {error.message}"))
        self._fail(error)
        raise self.error or error

    @contextlib.contextmanager
    def _fatal(self) -> Iterator[None]:
        """End the connection by whatever error is raised within; one that is not ours comes from a plug-in."""
        try:
            yield
        except RatsTlsError as error:
            self._fail(error)
            raise
        except Exception as error:
            raise self._broken(error) from error

    def _broken(self, error: Exception) -> RatsTlsError:
        """End the connection: the TLS wrapper failed in a way of its own."""
        wrapped = InternalError(f"TLS wrapper {self._settings.tls.name} failed: {type(error).__name__}: {error}")
        self._fail(wrapped)
        return self.error or wrapped

    def _fail(self, error: RatsTlsError) -> None:
        if self.error is not None:
            return
        self.error = error
        self._events.clear()
        self._needed = None
        if self._tls is None:
            return
        with contextlib.suppress(Exception):  # a connection that already broke cannot carry a refusal
            if self._exchange is not None and not isinstance(error, PeerRefusedError):
                self._exchange.refuse(error.refusal.wire_code)
                self._tls.write(self._exchange.data_to_send())
            self._tls.close()

    def _raise_error(self) -> None:
        if self.error is not None:
            raise self.error
