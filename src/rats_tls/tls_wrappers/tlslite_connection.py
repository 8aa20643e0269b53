"""A connection of tlslite-ng over memory, without what it does by itself beyond a TLS 1.3 handshake and records.

tlslite-ng has settings for most of it (`tlslite.make_settings`); the rest is overridden here by names that it does not
promise, so a release that lacks one of them is refused. Imported only where tlslite-ng is there.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from typing import Any

from tlslite.constants import AlertDescription, AlertLevel, ContentType, ExtensionType, HandshakeType
from tlslite.messages import Alert, ApplicationData, CertificateRequest, ClientHello
from tlslite.tlsconnection import TLSConnection

LARGEST_MESSAGE = 102_400
"""Bytes of a handshake message at which no more of it is taken; OpenSSL takes certificates of as much."""
OVERRIDDEN = (
    *("_client_keypair", "_defragmenter", "_getMsg", "_getNextRecordFromSocket", "_handshake_hash", "_queue_message"),
    *("_sendError", "_sendMsg", "_serverTLS13Handshake", "_shutdown", "readAsync", "tickets"),
)
"""What is overridden or used here of a TLSConnection."""
_NOT_OFFERED = frozenset(
    {ExtensionType.post_handshake_auth, ExtensionType.psk_key_exchange_modes, ExtensionType.session_ticket}
)

Steps = Iterator[Any]
"""tlslite-ng's way to wait: 0 for bytes to read, 1 for room to write; anything else is a result."""


class Memory:
    """What tlslite-ng takes for a non-blocking socket."""

    def __init__(self) -> None:
        self.incoming = bytearray()
        self.outgoing = bytearray()
        self.ended = False

    def recv(self, size: int) -> bytes:
        """Give up to `size` bytes; b"" at the end."""
        if not self.incoming and not self.ended:
            raise BlockingIOError(errno.EAGAIN, "")
        data = bytes(self.incoming[:size])
        del self.incoming[:size]
        return data

    def send(self, data: bytes | bytearray) -> int:
        """Take all of `data`."""
        self.outgoing += data
        return len(data)

    def sendall(self, data: bytes | bytearray) -> None:
        """Take all of `data`."""
        self.outgoing += data

    def close(self) -> None:
        """Nothing to close."""


class _Nothing(list[object]):
    """A list that keeps nothing: a server may send tickets without end."""

    def append(self, _item: object) -> None:
        """Forget it."""


class _NoHash:
    """A transcript that is over: it would keep every message after the handshake."""

    def update(self, _data: object) -> None:
        """Forget it."""


class Connection(TLSConnection):  # type: ignore[misc]  # tlslite-ng has no types
    """One connection.

    Args:
        memory: where its bytes come from and go to.
        protocols: of ALPN, which a server chooses from, best first.
    """

    # A client with a certificate would answer any later CertificateRequest with it (RFC 8446 4.6.2). Without a key pair
    # to do so, it is an unexpected message.
    _client_keypair = property(lambda _self: None, lambda _self, _pair: None)

    def __init__(self, memory: Memory, protocols: tuple[bytes, ...]) -> None:
        super().__init__(memory)
        self._protocols = protocols
        self._closing = False
        self.tickets = _Nothing()

    def forget_handshake(self) -> None:
        """Keep no more of the handshake than its result."""
        self._handshake_hash = _NoHash()
        self._first_handshake_hashes = None

    def send_data(self, data: bytes) -> None:
        """Encrypt and send one record of `data`."""
        for _ in self._sendMsg(ApplicationData().create(bytearray(data))):
            pass

    def send_close_notify(self) -> None:
        """End this side's data; the other side's goes on."""
        self._closing = True
        for _ in self._sendMsg(Alert().create(AlertDescription.close_notify, AlertLevel.warning)):
            pass

    def send_fatal(self, number: int) -> None:
        """Send a fatal alert."""
        self.sock.flush()
        self.sock.buffer_writes = False
        for _ in self._sendMsg(Alert().create(number, AlertLevel.fatal)):
            pass

    def _shutdown(self, resumable: bool) -> None:  # noqa: ARG002  # nothing is resumed
        # It would drop the keys, which are needed to send what is left to say, and close the socket.
        self.closed = True

    def _sendMsg(self, msg: Any, *more: Any, **named: Any) -> Steps:  # noqa: N802, ANN401  # the name and types of tlslite-ng
        if isinstance(msg, ClientHello) and msg.extensions:
            msg.extensions = [each for each in msg.extensions if each.extType not in _NOT_OFFERED]
        if isinstance(msg, Alert) and msg.description == AlertDescription.close_notify and not self._closing:
            return  # an answer to the peer's, which does not end this side's data (RFC 8446 6.1)
        yield from super()._sendMsg(msg, *more, **named)

    def _queue_message(self, msg: Any) -> None:  # noqa: ANN401  # likewise
        if isinstance(msg, CertificateRequest):  # it offers a compress_certificate of no algorithm (RFC 8879 3)
            msg.extensions = [each for each in msg.extensions if each.extType != ExtensionType.compress_certificate]
        super()._queue_message(msg)

    def _getMsg(self, kind: Any, messages: Any = None, constructor: Any = None) -> Steps:  # noqa: N802, ANN401  # likewise
        if isinstance(messages, tuple):  # what a few bytes expand to has no bound
            messages = tuple(each for each in messages if each != HandshakeType.compressed_certificate)
        yield from super()._getMsg(kind, messages, constructor)

    def _getNextRecordFromSocket(self) -> Steps:  # noqa: N802  # likewise
        if len(self._defragmenter.buffers[ContentType.handshake]) > LARGEST_MESSAGE:
            yield from self._sendError(
                AlertDescription.illegal_parameter, f"a handshake message above {LARGEST_MESSAGE} bytes"
            )
        yield from super()._getNextRecordFromSocket()

    def _serverTLS13Handshake(self, settings: Any, hello: Any, *more: Any) -> Steps:  # noqa: N802, ANN401  # likewise
        # It would take the first of the client's protocols that the server knows. `srv_alpns` is the sixth of `more`.
        extension = hello.getExtension(ExtensionType.alpn)
        offered = [bytes(name) for name in extension.protocol_names] if extension else []
        chosen = next(([name] for name in self._protocols if name in offered), [])
        yield from super()._serverTLS13Handshake(settings, hello, *more[:5], chosen, *more[6:])
