"""The shell around the channel for asyncio: a Protocol on any stream transport of any event loop.

Evidence is collected and peers are judged in threads while the loop goes on; what is remembered is answered at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from functools import partial
from typing import Protocol, TypeVar, cast
from weakref import WeakKeyDictionary

from rats_tls.aio_pace import pace
from rats_tls.aio_transport import AttestedTransport
from rats_tls.channel import Accepted, AppraisalNeeded, Channel, Credentials, EvidenceNeeded
from rats_tls.core.errors import ConnectionFailedError, InternalError, RatsTlsError
from rats_tls.core.limits import Limits
from rats_tls.core.results import AttestationResult
from rats_tls.endorsements.service import FetchNeededError

_RECEIVE_SIZE = 262_144
_DELIVER_SIZE = 262_144
_LINGER_SECONDS = 1.0
"""How long the peer of a refused connection may take to read why."""

_T = TypeVar("_T")


class Side(Protocol):
    """What a connection asks of the settings that it was made from: a `rats_tls.Context`."""

    @property
    def limits(self) -> Limits:
        """Times."""
        ...

    @property
    def collector(self) -> Executor:
        """Where Evidence is collected."""
        ...

    @property
    def judge(self) -> Executor:
        """Where peers are judged with what is at hand."""
        ...

    def fetcher(self, *, authenticated: bool) -> Executor:
        """Where peers are judged for whom Endorsements have to be fetched, by whether their Evidence is authentic."""
        ...

    def present_credentials(self) -> Credentials | None:
        """Give credentials that are there already; None when they have to be collected."""
        ...

    def collect_credentials(self) -> Credentials:
        """Give credentials; may block."""
        ...

    def recall(self, needed: AppraisalNeeded) -> AttestationResult | None:
        """Give the result of an appraisal that is remembered, or None."""
        ...

    def appraise(self, needed: AppraisalNeeded, *, may_wait: bool = True) -> AttestationResult:
        """Judge the peer; may block. Raises to refuse; FetchNeededError where it would wait for sources and may not."""
        ...


class Wire(asyncio.BufferedProtocol):
    """Moves bytes between a raw transport, the channel and the application.

    Args:
        side: settings.
        channel: the protocol.
        make_application: makes the application's Protocol, once both sides accepted.
        loop: the event loop.
        opened: told when both sides accepted.
        ended: told once how the connection ended: its error, or None.

    Attributes:
        accepted: both sides accepted; `application` and its `transport` are there from then on.
        peer: what was judged about the peer.
        paused: the application wants no data.
        closing: the connection is over, or ending.
    """

    raw: asyncio.Transport
    application: asyncio.BaseProtocol
    transport: AttestedTransport

    def __init__(
        self,
        side: Side,
        channel: Channel,
        make_application: Callable[[], asyncio.BaseProtocol],
        *,
        loop: asyncio.AbstractEventLoop,
        opened: Callable[[Wire], None],
        ended: Callable[[Wire, BaseException | None], None],
    ) -> None:
        self.channel = channel
        self.peer: AttestationResult | None = None
        self.accepted = False
        self.paused = False
        self.closing = False
        self._side = side
        self._make_application = make_application
        self._loop = loop
        self._opened = opened
        self._ended = ended
        self._buffer = _buffer_of(loop)
        self._error: BaseException | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._reading = True
        self._peer_ended = False
        self._told_end = False
        self._write_ended = False
        self._over = False

    # --- called by the raw transport -----------------------------------------------------------------------------
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin: TLS, preamble and appraisals, within `limits.handshake_seconds` altogether."""
        # Not every loop's transports derive from asyncio's; for a stream Protocol they are what a stream needs.
        self.raw = cast("asyncio.Transport", transport)
        if self.closing:  # closed between its making and this call
            self.raw.abort()
            return
        self._timer = self._loop.call_later(self._side.limits.handshake_seconds, self._step, self.channel.time_out)
        self._step()

    def get_buffer(self, sizehint: int) -> bytearray:  # noqa: ARG002  # asyncio's signature
        """Give the loop's one buffer: what is read into it is taken out before anything else is read."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Take bytes from the peer; none count after this side's end."""
        if not self.closing:
            self._step(self.channel.receive_from_wire, memoryview(self._buffer)[:nbytes])

    def eof_received(self) -> bool:
        """Take note that the peer closed its direction. Returns whether this side's stays open."""
        self._peer_ended = True
        if not self.closing:
            self._step(self.channel.receive_eof)
        return not self.closing

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the application, or whoever waits for the connection, how it ended."""
        if self._over:
            return
        self._over = self.closing = True
        self._stop_timer()
        error = self._error or exc
        if not self.accepted and self._error is None and not isinstance(error, RatsTlsError):
            error = ConnectionFailedError(f"connection lost before acceptance: {error or 'it was closed'}")
        self._ended(self, error)
        if self.accepted:
            self.application.connection_lost(error if isinstance(error, Exception) else None)

    def pause_writing(self) -> None:
        """Pass flow control on."""
        if self.accepted and not self._over:
            self.application.pause_writing()

    def resume_writing(self) -> None:
        """Pass flow control on."""
        if self.accepted and not self._over:
            self.application.resume_writing()

    # --- called by the application's transport -------------------------------------------------------------------
    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Encrypt and send. Raises RuntimeError after `write_eof`."""
        if self._write_ended:
            raise RuntimeError("write after write_eof")
        if not self.closing:
            self._send(self.channel.send, data)

    def write_eof(self) -> None:
        """Send close_notify."""
        if not self.closing and not self._write_ended:
            self._send(self.channel.close)
            self._end_raw()

    def pause_reading(self) -> None:
        """Deliver nothing."""
        self.paused = True
        self._match_reading()

    def resume_reading(self) -> None:
        """Deliver what is there, soon, and what comes."""
        if self.paused:
            self.paused = False
            self._loop.call_soon(self._step)

    def close(self) -> None:
        """End this side's data, then the connection. Before acceptance: give up, and tell the peer."""
        if not self.closing:
            self.channel.close()
            self._end(self.channel.error, self._side.limits.close_seconds)

    def abort(self) -> None:
        """End the connection at once."""
        self.closing = True
        self._stop_timer()
        self.raw.abort()

    # --- progress ------------------------------------------------------------------------------------------------
    def _step(self, action: Callable[..., None] | None = None, *arguments: object) -> None:
        """Do `action`, then all that follows: answer the channel's events, deliver, send."""
        if self.closing:
            return
        try:
            if action is not None:
                action(*arguments)
            self._answer_events()
            self._deliver()
            error = self.channel.error
        except RatsTlsError as failure:
            error = failure
        except Exception as failure:  # noqa: BLE001  # the application's Protocol failed; its loop is told
            self._loop.call_exception_handler(
                {"message": "attested connection: the application failed", "exception": failure, "protocol": self}
            )
            self._error = failure
            self.abort()
            return
        if error is not None:
            self._end(error, _LINGER_SECONDS)
        elif not self.closing:
            self._send_due()
            self._match_reading()

    def _send(self, action: Callable[..., None], *arguments: object) -> None:
        """Do what the application asks; nothing is delivered to it within its own call."""
        try:
            action(*arguments)
        except RatsTlsError as error:
            self._end(error, _LINGER_SECONDS)
        else:
            self._send_due()

    def _send_due(self) -> None:
        data = self.channel.data_to_send()
        if data and not self._write_ended and not self.raw.is_closing():
            self.raw.write(data)

    def _end_raw(self) -> None:
        """End the raw transport's direction too: over `null` TLS that is all that the peer sees."""
        if not self._write_ended and not self.raw.is_closing() and self.raw.can_write_eof():
            try:
                self.raw.write_eof()
            except OSError:  # the peer has reset the connection, and the loop has not told so yet
                self.raw.abort()
        self._write_ended = True

    def _match_reading(self) -> None:
        """Read from the raw transport as long as the channel and the application take more."""
        wanted = self.channel.wants_data and not self.paused
        if wanted is not self._reading and not self.raw.is_closing():
            self._reading = wanted
            if wanted:
                self.raw.resume_reading()
            else:
                self.raw.pause_reading()

    def _answer_events(self) -> None:
        while (event := self.channel.next_event()) is not None:
            if isinstance(event, EvidenceNeeded):
                present = self._side.present_credentials()
                if present is not None:
                    self.channel.supply_evidence(present)
                else:
                    collected = self._loop.run_in_executor(self._side.collector, self._side.collect_credentials)
                    self._hand_on(collected, self.channel.supply_evidence)
            elif isinstance(event, AppraisalNeeded):
                remembered = self._side.recall(event)
                if remembered is not None:
                    self._accept(remembered)
                else:
                    self._judge(event)
            elif isinstance(event, Accepted):
                self._open(event)

    def _judge(self, event: AppraisalNeeded) -> None:
        """Have the peer judged with what is at hand; elsewhere, where Endorsements have to be fetched for it."""

        def judged(future: asyncio.Future[AttestationResult]) -> None:
            error = None if future.cancelled() else future.exception()
            if isinstance(error, FetchNeededError):
                fetcher = self._side.fetcher(authenticated=error.authenticated)
                fetched = self._loop.run_in_executor(fetcher, self._side.appraise, event)
                self._hand_on(fetched, self._accept)
            else:
                self._hand_on(future, self._accept)

        at_hand = partial(self._side.appraise, event, may_wait=False)
        pace().run(self._side.judge, at_hand).add_done_callback(judged)

    def _hand_on(self, asked: asyncio.Future[_T], answer: Callable[[_T], None]) -> None:
        """Hand the value of what was asked of a thread to `answer`; its exception refuses the peer."""

        def answered(future: asyncio.Future[_T]) -> None:
            if future.cancelled():
                return
            error = future.exception()
            if error is None:
                self._step(answer, future.result())
            elif isinstance(error, RatsTlsError):
                self._step(self.channel.refuse, error)
            else:
                self._step(self.channel.refuse, InternalError(f"{type(error).__name__}: {error}"))

        asked.add_done_callback(answered)

    def _accept(self, result: AttestationResult) -> None:
        self.peer = result
        self.channel.supply_result(result)

    def _open(self, event: Accepted) -> None:
        self._stop_timer()
        if self.peer is not None:
            self.peer = self.peer.with_peer_accepted(event.peer_accepted)
        self.application = self._make_application()
        self.accepted = True
        self.transport = AttestedTransport(self)
        self.application.connection_made(self.transport)
        self._opened(self)

    def _deliver(self) -> None:
        """Hand over application data as long as the application takes it."""
        while self.accepted and not self.paused and not self.closing:
            data = self.channel.receive(_DELIVER_SIZE)
            if data is None:
                return
            if not data:
                self._end_of_data()
                return
            _hand_over(self.application, data)

    def _end_of_data(self) -> None:
        """The peer has ended its data; close unless the application wants to go on sending."""
        if self._told_end:
            return
        self._told_end = self._peer_ended = True
        if not self.application.eof_received():  # type: ignore[attr-defined]  # of both kinds of stream Protocol
            self.close()

    # --- end -----------------------------------------------------------------------------------------------------
    def _end(self, error: BaseException | None, seconds: float) -> None:
        """Send what is due, and close when the peer has ended too or `seconds` pass in which nothing moves.

        A socket that is closed over unread bytes resets the connection, and the peer loses what was sent last.
        """
        if self.closing:
            return
        self.closing = True
        self._error = error
        self._stop_timer()
        if not hasattr(self, "raw") or self.raw.is_closing():
            return
        self._send_due()
        if self._peer_ended or not self.raw.can_write_eof():
            self.raw.close()
            return
        if not self._reading:
            self.raw.resume_reading()
        self._end_raw()
        self._linger(seconds, None)

    def _linger(self, seconds: float, unsent: int | None) -> None:
        left = self.raw.get_write_buffer_size()
        if unsent is not None and left >= unsent:
            self.raw.abort()
        else:
            self._timer = self._loop.call_later(seconds, self._linger, seconds, left)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _hand_over(application: asyncio.BaseProtocol, data: bytes) -> None:
    """Deliver to a Protocol of either kind."""
    if not isinstance(application, asyncio.BufferedProtocol):
        application.data_received(data)  # type: ignore[attr-defined]  # what is no BufferedProtocol has it
        return
    left = memoryview(data)
    while left:
        buffer = memoryview(application.get_buffer(len(left)))
        size = min(len(buffer), len(left))
        buffer[:size] = left[:size]
        application.buffer_updated(size)
        left = left[size:]


_buffers: WeakKeyDictionary[asyncio.AbstractEventLoop, bytearray] = WeakKeyDictionary()


def _buffer_of(loop: asyncio.AbstractEventLoop) -> bytearray:
    """Give the loop's receive buffer: one for all connections, which a loop reads one at a time."""
    return _buffers.setdefault(loop, bytearray(_RECEIVE_SIZE))
