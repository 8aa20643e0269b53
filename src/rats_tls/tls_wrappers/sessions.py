"""What sessions of several TLS wrappers share: how far a connection is, and plain bytes that are Python's objects."""

from __future__ import annotations

from abc import ABC, abstractmethod

from rats_tls.core.errors import ConnectionFailedError, TlsError
from rats_tls.tls_wrappers.buffers import require_writable

_RECORD = 16_384  # largest plaintext of one record, RFC 8446 5.1
_FIRST_BYTES = frozenset({0x15, 0x16})  # types of records that a peer can begin with: alert and handshake, 5.1


def speaks_tls(first: int | None) -> bool:
    """Whether the first byte of a peer's can be one of TLS; also where none came."""
    return first is None or first in _FIRST_BYTES


class SessionState:
    """How far a connection is.

    Attributes:
        _complete: the handshake is complete, and what is required of it was looked at.
        _closed: close_notify was sent.
        _error: what ended the connection: raised by every later call.
    """

    __slots__ = ("_closed", "_complete", "_error")

    def __init__(self) -> None:
        self._complete = False
        self._closed = False
        self._error: ConnectionFailedError | None = None

    def _raise_earlier_error(self) -> None:
        # Libraries name the reason once only; later calls on a failed connection give none.
        if self._error is not None:
            raise self._error

    def _require_complete(self, doing: str) -> None:
        """Require a complete handshake: libraries' own calls would go on with it, past what is required of it."""
        self._raise_earlier_error()
        if not self._complete:
            raise TlsError(f"TLS {doing}: the handshake is not complete")

    def _require_writable(self) -> None:
        self._require_complete("write")
        if self._closed:
            raise TlsError("TLS write: this side has sent close_notify")

    def _begins_to_close(self) -> bool:
        """Whether close_notify is due, which from here on was sent."""
        if self._closed or not self._complete or self._error is not None:
            return False
        self._closed = True
        return True


class PlainBytesSession(SessionState, ABC):
    """A connection by a library that takes and gives plain bytes as objects of Python."""

    __slots__ = ()

    @abstractmethod
    def read(self, size: int) -> bytes | None:
        """Read up to `size` plain bytes, perhaps fewer than there are. Raises TlsError."""

    def read_into(self, buffer: memoryview) -> int | None:
        """As `read`, into `buffer`; 0 after the peer's close_notify."""
        require_writable(buffer)
        data = self.read(len(buffer))
        if data is None:
            return None
        buffer[: len(data)] = data
        return len(data)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Encrypt all of `data`. Raises TlsError."""
        self._require_writable()
        view = memoryview(data).cast("B")
        for start in range(0, len(view), _RECORD):
            self._encrypt(bytes(view[start : start + _RECORD]))

    def close(self) -> None:
        """Send close_notify. Does nothing before the handshake is complete or after a failure."""
        if self._begins_to_close():
            self._send_close_notify()

    @abstractmethod
    def _encrypt(self, data: bytes) -> None:
        """Encrypt what fits in one record. Raises TlsError."""

    @abstractmethod
    def _send_close_notify(self) -> None:
        """Make close_notify due."""
