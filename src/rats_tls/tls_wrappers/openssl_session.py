"""Connections of the `openssl` wrapper: in memory, and right over a socket."""

from __future__ import annotations

import os
import re
from collections import deque

from OpenSSL import SSL, crypto

from rats_tls.core.algorithms import HashAlgorithm
from rats_tls.core.errors import ConnectionFailedError, TlsError
from rats_tls.core.interrupts import interrupts
from rats_tls.core.tls import TlsFacts
from rats_tls.tls_wrappers.callbacks import callback_error
from rats_tls.tls_wrappers.openssl_calls import RECORD, SPACE, Calls
from rats_tls.tls_wrappers.sessions import SessionState

# OpenSSL's reasons for alerts that it received: "tlsv13 alert certificate required", "ssl/tls alert bad certificate",
# "tls alert bad record mac"; for a few older ones the word is left out.
_ALERT = re.compile(r"(?:ssl/tls|tls|sslv3|tlsv1|tlsv13) alert (.+)|tlsv1 (unsupported extension|unrecognized name)")
_WIRE_RECORD = RECORD + 256  # most that a record takes, RFC 8446 5.2
_UNEXPECTED_EOF = "unexpected eof while reading"
# What the first bytes of HTTP, SSH, SMTP, ... or of noise look like to OpenSSL.
_NOT_TLS = frozenset({"wrong version number", "http request", "https proxy request"})


def reason(error: SSL.Error) -> str:
    """Give OpenSSL's innermost reason in words."""
    queue = error.args[0] if error.args else []
    if isinstance(queue, list) and queue:
        return str(queue[-1][-1]) or "no reason given"
    return "no reason given"


class _OpensslSession(SessionState):
    """What both kinds of connection share. Used by one thread at a time.

    Args:
        connection: in accept or connect state, of a context that accepts any certificate by the same calls.
        calls: how it is used.
    """

    __slots__ = ("_behind", "_calls", "_connection", "_facts")

    def __init__(self, connection: SSL.Connection, calls: Calls) -> None:
        super().__init__()
        self._connection = connection
        self._calls = calls
        self._behind = False  # the end or a failure came behind the last bytes read
        self._facts: TlsFacts | None = None

    def handshake(self) -> bool:
        """Go on with the handshake. Returns whether it is complete. Raises TlsError, ConnectionFailedError."""
        if self._complete:
            return True
        self._raise_earlier_error()
        try:
            self._connection.do_handshake()
        except (SSL.WantReadError, SSL.WantWriteError) as error:
            self._stopped(error)
            return False
        except SSL.Error as error:
            self._raise_of_callback()
            raise self._failed("handshake", error) from error
        self._complete = True
        return True

    def read(self, size: int) -> bytes | None:
        """Read up to `size` plain bytes, perhaps fewer than there are. Raises TlsError, ConnectionFailedError."""
        if self._error is not None or not self._complete:
            self._require_complete("read")
        data, error = self._calls.read(self._connection, size)
        return data if error is None or self._goes_on(error, len(data)) else (data or None)

    def read_into(self, buffer: memoryview) -> int | None:
        """As `read`, into `buffer`; 0 after the peer's close_notify."""
        if self._error is not None or not self._complete:
            self._require_complete("read")
        count, error = self._calls.read_into(self._connection, buffer)
        return count if error is None or self._goes_on(error, count) else (count or None)

    def _goes_on(self, error: SSL.Error, count: int) -> bool:
        """Take what came behind `count` plain bytes: False where more may come. Raises a failure behind none."""
        self._behind = not isinstance(error, SSL.WantReadError | SSL.WantWriteError)
        if isinstance(error, SSL.WantReadError | SSL.WantWriteError):
            self._stopped(error)
            return False
        if isinstance(error, SSL.ZeroReturnError):
            return True  # behind bytes, the next call says so again
        failure = self._failed("read", error)  # raised by the next call, once these bytes were taken
        if not count:
            raise failure from error
        return True

    def _stopped(self, error: SSL.Error) -> None:
        """Take note of why a call could not go on."""

    @property
    def peer_certificate(self) -> bytes | None:
        """DER of the peer's leaf certificate, or None."""
        # OpenSSL gives it before CertificateVerify came, and behind one that does not verify.
        certificate = self._connection.get_peer_certificate() if self._complete else None
        return crypto.dump_certificate(crypto.FILETYPE_ASN1, certificate) if certificate is not None else None

    @property
    def alpn(self) -> str | None:
        """The protocol that ALPN chose."""
        return self._connection.get_alpn_proto_negotiated().decode("ascii", "replace") or None

    @property
    def resumed(self) -> bool:
        """Whether the handshake resumed a session."""
        return self._calls.resumed(self._connection)

    def facts(self) -> TlsFacts:
        """Version, cipher suite, group and hash."""
        if self._facts is None:
            facts = self._read_facts()
            if not self._complete:
                return facts
            self._facts = facts
        return self._facts

    def _read_facts(self) -> TlsFacts:
        cipher = self._connection.get_cipher_name() or ""
        return TlsFacts(
            version=self._connection.get_protocol_version_name(),
            cipher=cipher,
            group=self._connection.get_group_name() or "",
            hash=HashAlgorithm.SHA384 if cipher.endswith("SHA384") else HashAlgorithm.SHA256,
        )

    def exporter(self, label: str, context: bytes, length: int) -> bytes:
        """Keying material of this connection (RFC 8446 7.5). Raises TlsError before the handshake is complete."""
        if not self._complete:
            raise TlsError("TLS exporter: the handshake is not complete")
        try:
            return self._connection.export_keying_material(label.encode("ascii"), length, context)
        except SSL.Error as error:
            raise TlsError(f"TLS exporter: {reason(error)}") from error

    def _raise_of_callback(self) -> None:
        raised = self._calls.raised()
        if raised is not None:
            self._calls.forget_errors()
            self._error = callback_error("handshake", raised)
            raise raised if interrupts(raised) else self._error

    def _failed(self, doing: str, error: SSL.Error) -> ConnectionFailedError:
        self._calls.forget_errors()
        said = reason(error)
        if isinstance(error, SSL.SysCallError) and isinstance(number := error.args[0], int) and number > 0:
            self._error = ConnectionFailedError(f"TLS {doing}: the connection failed: {os.strerror(number)}")
        elif isinstance(error, SSL.SysCallError) or said == _UNEXPECTED_EOF:
            self._error = TlsError(f"TLS {doing}: the peer closed the connection without close_notify", truncated=True)
        elif alert := _ALERT.fullmatch(said):
            name = (alert[1] or alert[2]).replace(" ", "_")
            self._error = TlsError(f"TLS {doing}: the peer sent alert {name}", peer_alert=name)
        elif not self._complete and said in _NOT_TLS:
            self._error = TlsError(f"TLS {doing}: the peer does not speak TLS ({said})")
        else:
            self._error = TlsError(f"TLS {doing}: {said}")
        return self._error


class OpensslTlsSession(_OpensslSession):
    """One connection over memory BIOs."""

    __slots__ = ("_fed", "_out")

    def __init__(self, connection: SSL.Connection, calls: Calls) -> None:
        super().__init__(connection, calls)
        self._out: list[bytes | bytearray] = []
        self._fed = 0  # wire bytes since nothing more could be read, less those of what was read

    def receive_from_wire(self, data: bytes | bytearray) -> None:
        """Take bytes from the peer."""
        self._fed += len(data)
        self._calls.feed(self._connection, data)

    def read(self, size: int) -> bytes | None:
        """Read up to `size` plain bytes, perhaps fewer than there are. Raises TlsError."""
        data = super().read(self._worth_reading(size))
        self._fed = max(self._fed - len(data or b""), 0)
        return data

    def read_into(self, buffer: memoryview) -> int | None:
        """As `read`, into `buffer`; 0 after the peer's close_notify."""
        worth = self._worth_reading(len(buffer))
        count = super().read_into(buffer[:worth] if worth < len(buffer) else buffer)
        self._fed = max(self._fed - (count or 0), 0)
        return count

    def _worth_reading(self, size: int) -> int:
        """Give how much to ask for: where there is but one record, looking for another one behind it is in vain."""
        return size if size <= RECORD or self._fed > _WIRE_RECORD else RECORD

    def _stopped(self, error: SSL.Error) -> None:  # noqa: ARG002  # whatever it was
        self._fed = 0

    def receive_eof(self) -> None:
        """Take note that the transport is closed."""
        self._connection.bio_shutdown()

    def data_to_send(self) -> bytes | bytearray:
        """Give and forget the bytes due to the peer."""
        self._calls.drain(self._connection, self._out)
        out, self._out = self._out, []
        return out[0] if len(out) == 1 else b"".join(out)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Encrypt all of `data`. Raises TlsError."""
        self._require_writable()
        view = memoryview(data).cast("B")
        if not view:
            return
        _, error = self._calls.write(self._connection, view, self._out)
        if error is not None:
            raise self._failed("write", error) from error

    def close(self) -> None:
        """Send close_notify. Does nothing before the handshake is complete or after a failure."""
        if not self._begins_to_close():
            return
        try:
            self._connection.shutdown()
        except SSL.Error as error:
            raise self._failed("close", error) from error


class OpensslSocketTlsSession(_OpensslSession):
    """One connection right over a non-blocking socket."""

    __slots__ = ("_drained", "_notified", "_pending", "_waits_to_send")

    def __init__(self, connection: SSL.Connection, calls: Calls) -> None:
        super().__init__(connection, calls)
        calls.prepare_for_socket(connection)
        self._pending: deque[memoryview] = deque()
        self._waits_to_send = False
        self._notified = False
        self._drained = False

    @property
    def waits_to_send(self) -> bool:
        """Whether the last call stopped because the socket takes no more."""
        return self._waits_to_send

    @property
    def drained(self) -> bool:
        """Whether the last read took all that was here."""
        return self._drained

    def read(self, size: int) -> bytes | None:
        """Read up to `size` plain bytes, perhaps fewer than there are. Raises TlsError, ConnectionFailedError."""
        self._drained = False
        data = super().read(size)
        if data and len(data) < min(size, SPACE) and not self._behind:
            self._drained = True
        return data

    def read_into(self, buffer: memoryview) -> int | None:
        """As `read`, into `buffer`; 0 after the peer's close_notify."""
        self._drained = False
        count = super().read_into(buffer)
        if count and count < len(buffer) and not self._behind:
            self._drained = True
        return count

    def receive_from_wire(self, data: bytes | bytearray) -> None:
        """Raise TlsError: bytes come from the socket."""
        raise TlsError(f"TLS over a socket: {len(data)} bytes were fed, they come from the socket")

    def receive_eof(self) -> None:
        """Nothing to do: the socket's end shows by itself."""

    def data_to_send(self) -> bytes:
        """Nothing, ever: what is due goes to the socket."""
        return b""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Encrypt and send `data`; what the socket does not take now is left to `flush`, and must not change till then.

        Raises:
            TlsError: after `close`, or the connection failed.
            ConnectionFailedError: the socket failed.
        """
        if self._error is not None or self._closed or not self._complete:
            self._require_writable()
        view = memoryview(data).cast("B")
        if not self._pending:
            sent, error = self._calls.send(self._connection, view)
            if error is None:
                return
            self._stopped_sending(error)
            view = view[sent:]
        self._pending.append(view)

    @property
    def unsent(self) -> bool:
        """Whether a part of earlier writes is left to `flush`."""
        return bool(self._pending)

    def own_unsent(self) -> None:
        """Keep a copy of what is left of earlier writes: whoever wrote it has his buffer back."""
        self._pending = deque(memoryview(bytes(view)) for view in self._pending)

    def flush(self) -> bool:
        """Go on with what earlier writes and `close` could not send. Raises as `write` where some of it is lost."""
        if self._error is not None:
            if self._pending:
                self._pending.clear()
                raise self._error
            return True
        while self._pending:
            # What OpenSSL stopped at must come again, so it stays first here until it is sent.
            sent, error = self._calls.send(self._connection, self._pending[0])
            if error is not None:
                self._pending[0] = self._pending[0][sent:]
                self._stopped_sending(error)
                return False
            self._pending.popleft()
        if self._closed and not self._notified:
            try:
                self._connection.shutdown()
            except SSL.Error as error:
                # OpenSSL counts the alert as sent when it was made; whether it went out is told by this call alone.
                self._stopped_sending(error)
                return False
            self._notified = True
        self._waits_to_send = False
        return True

    def _stopped_sending(self, error: SSL.Error) -> None:
        if not isinstance(error, SSL.WantReadError | SSL.WantWriteError):
            self._pending.clear()
            raise self._failed("write", error) from error
        self._stopped(error)

    def close(self) -> None:
        """Send close_notify behind what is written. Does nothing before a complete handshake or after a failure."""
        if not self._begins_to_close():
            return
        self.flush()

    def detach(self) -> None:
        """Never touch the socket again."""
        self._pending.clear()
        if self._error is None:
            self._error = TlsError("TLS: the socket of this connection is closed")

    def _stopped(self, error: SSL.Error) -> None:
        self._waits_to_send = isinstance(error, SSL.WantWriteError)
        self._drained = not self._waits_to_send
