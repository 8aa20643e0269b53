"""The calls of `openssl_calls` by OpenSSL's own functions, on buffers that are used again.

pyOpenSSL makes a buffer and a copy for each of its calls, which costs a third of the speed, and a Python callback with
a dozen calls for each finding about a peer's certificate. What is used here instead is not promised
(`OpenSSL.SSL._lib`, `Connection._ssl`, ...), so it is taken only with versions that were tried and after it has passed
a test of itself.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Sequence
from typing import Any

import OpenSSL
from OpenSSL import SSL

from rats_tls.tls_wrappers.callbacks import Raised
from rats_tls.tls_wrappers.openssl_calls import RECORD, SPACE, WRITE, Calls, PublicCalls

_OVERHEAD = 64  # above what a record adds to its plaintext, RFC 8446 5.2: 5 + 1 + at most 16 bytes
_TRIED = range(26, 27)
"""Major versions of pyOpenSSL whose inner names were tried."""
_WANT_READ = SSL.WantReadError()
"""Made once: it comes often, and nobody reads where it was raised."""


class _Space(threading.local):
    """One buffer for each thread."""

    def __init__(self, ffi: Any) -> None:  # noqa: ANN401  # cffi has no types
        memory = bytearray(SPACE)
        self.view = memoryview(memory)
        self.pointer = ffi.from_buffer(memory)


class BindingCalls:
    """By OpenSSL's calls through pyOpenSSL's binding, on buffers that are used again.

    What `from_buffer` lends is given back within each call: a memoryview lent for longer, and then in a cycle, crashes
    CPython's garbage collector.
    """

    sockets = True

    def __init__(self) -> None:
        inner: Any = SSL
        self._lib = inner._lib  # noqa: SLF001  # see the module's docstring
        self._ffi = inner._ffi  # noqa: SLF001  # likewise
        self._want_read = self._lib.SSL_ERROR_WANT_READ
        self._space = _Space(self._ffi)
        self._raised = Raised()
        # Whatever happens in it gives 0, which refuses.
        self._accept = self._ffi.callback(
            "int(int, X509_STORE_CTX *)", lambda _ok, _chain: 1, error=0, onerror=self._raised.keep
        )
        self._select_by = self._lib.SSL_CTX_set_alpn_select_cb

    def accept_any_certificate(self, context: Any, mode: int) -> None:  # noqa: ANN401  # its inner names
        """See `Calls`."""
        self._lib.SSL_CTX_set_verify(context._context, mode, self._accept)  # noqa: SLF001  # see the module's docstring

    def choose_protocol(self, context: Any, protocols: Sequence[bytes]) -> None:  # noqa: ANN401  # likewise
        """See `Calls`."""

        def select(_ssl: object, out: Any, size: Any, offered: Any, offered_size: int, _: object) -> int:  # noqa: ANN401  # likewise
            listed = self._ffi.buffer(offered, offered_size)[:]
            places: dict[bytes, int] = {}
            at = 0
            while at < offered_size:
                places.setdefault(listed[at + 1 : at + 1 + listed[at]], at)
                at += 1 + listed[at]
            for protocol in protocols:
                if protocol in places:
                    out[0] = offered + places[protocol] + 1
                    size[0] = len(protocol)
                    return int(self._lib.SSL_TLSEXT_ERR_OK)
            return int(self._lib.SSL_TLSEXT_ERR_NOACK)

        # Kept where pyOpenSSL keeps its own: as long as the context, which its connections keep.
        context._alpn_select_callback = self._ffi.callback(  # noqa: SLF001  # see the module's docstring
            "int(SSL *, unsigned char **, unsigned char *, unsigned char *, unsigned int, void *)",
            select,
            error=self._lib.SSL_TLSEXT_ERR_ALERT_FATAL,
            onerror=self._raised.keep,
        )
        self._select_by(context._context, context._alpn_select_callback, self._ffi.NULL)  # noqa: SLF001  # likewise

    def raised(self) -> BaseException | None:
        """See `Calls`."""
        return self._raised.take()

    def prepare_for_socket(self, connection: Any) -> None:  # noqa: ANN401  # likewise
        """See `Calls`.

        One call writes all records, not the first one only. One call reads no record behind one without data: a peer
        that sends tickets or key updates without end would else keep it, and the channel, for as long as it likes.
        """
        modes = self._lib.SSL_MODE_ENABLE_PARTIAL_WRITE | self._lib.SSL_MODE_AUTO_RETRY
        self._lib.SSL_clear_mode(connection._ssl, modes)  # noqa: SLF001  # likewise

    def resumed(self, connection: Any) -> bool:  # noqa: ANN401  # likewise
        """See `Calls`."""
        return bool(self._lib.SSL_session_reused(connection._ssl))  # noqa: SLF001  # likewise

    def read(self, connection: Any, size: int) -> tuple[bytes, SSL.Error | None]:  # noqa: ANN401  # its inner names
        """See `Calls`; gives several records at once."""
        space = self._space
        count, error = self._read(connection, space.pointer, min(size, SPACE))
        return bytes(space.view[:count]), error

    def read_into(self, connection: Any, buffer: memoryview) -> tuple[int, SSL.Error | None]:  # noqa: ANN401  # likewise
        """See `Calls`; gives several records at once."""
        with self._ffi.from_buffer(buffer, require_writable=True) as pointer:
            return self._read(connection, pointer, len(buffer))

    def _read(self, connection: Any, pointer: Any, size: int) -> tuple[int, SSL.Error | None]:  # noqa: ANN401  # likewise
        ssl, read, done = connection._ssl, self._lib.SSL_read, 0  # noqa: SLF001  # see the module's docstring
        while done < size:
            count = read(ssl, pointer + done, size - done)
            if count <= 0:
                return done, self._why(connection, count)
            done += count
            if count < RECORD:
                break  # seldom is another record behind one that is not full
        return done, None

    def feed(self, connection: Any, data: bytes | bytearray) -> None:  # noqa: ANN401  # likewise
        """See `Calls`."""
        into, write, done = connection._into_ssl, self._lib.BIO_write, 0  # noqa: SLF001  # likewise
        with self._ffi.from_buffer(data) as source:
            while done < len(data):
                count = write(into, source + done, len(data) - done)
                if count <= 0:
                    raise MemoryError("OpenSSL takes no more bytes into memory")
                done += count

    def write(
        self,
        connection: Any,  # noqa: ANN401  # likewise
        data: memoryview,
        out: list[bytes | bytearray],
    ) -> tuple[int, SSL.Error | None]:
        """See `Calls`."""
        size = len(data)
        if size <= RECORD:  # `drain` takes the one record out
            return self.send(connection, data)
        due = connection._from_ssl  # noqa: SLF001  # see the module's docstring
        records = bytearray(size + (size // RECORD + 2) * _OVERHEAD)
        done = filled = 0
        error = None
        with self._ffi.from_buffer(data) as plain, self._ffi.from_buffer(records) as encrypted:
            while done < size and error is None:
                count, error = self._write(connection, plain + done, min(WRITE, size - done))
                done += count
                filled += max(self._lib.BIO_read(due, encrypted + filled, len(records) - filled), 0)
        del records[filled:]
        out.append(records)
        self.drain(connection, out)
        return done, error

    def drain(self, connection: Any, out: list[bytes | bytearray]) -> None:  # noqa: ANN401  # likewise
        """See `Calls`."""
        space, due = self._space, connection._from_ssl  # noqa: SLF001  # see the module's docstring
        while (count := self._lib.BIO_read(due, space.pointer, SPACE)) > 0:
            out.append(bytes(space.view[:count]))
            if count < SPACE:
                return

    def send(self, connection: Any, data: memoryview) -> tuple[int, SSL.Error | None]:  # noqa: ANN401  # likewise
        """See `Calls`."""
        with self._ffi.from_buffer(data) as plain:
            return self._write(connection, plain, len(data))

    def _write(self, connection: Any, pointer: Any, size: int) -> tuple[int, SSL.Error | None]:  # noqa: ANN401  # likewise
        ssl, write, done = connection._ssl, self._lib.SSL_write, 0  # noqa: SLF001  # likewise
        while done < size:
            count = write(ssl, pointer + done, size - done)  # in memory one record a call
            if count <= 0:
                return done, self._why(connection, count)
            done += count
        return done, None

    def forget_errors(self) -> None:
        """See `Calls`: pyOpenSSL leaves there what a call of the system failed with."""
        self._lib.ERR_clear_error()

    def _why(self, connection: Any, count: int) -> SSL.Error:  # noqa: ANN401  # likewise
        """Give the error behind a call that gave `count`."""
        ssl = connection._ssl  # noqa: SLF001  # likewise
        if self._lib.SSL_get_error(ssl, count) == self._want_read:
            return _WANT_READ
        try:
            connection._raise_ssl_error(ssl, count)  # noqa: SLF001  # likewise
        except SSL.Error as error:
            self.forget_errors()
            return error.with_traceback(None)  # it would keep the caller's buffers
        return SSL.Error([("SSL routines", "", "nothing was done")])


@functools.cache
def best_calls() -> Calls:
    """Give `BindingCalls` where they were tried and work, else `PublicCalls`. Decided once for a process."""
    major = OpenSSL.__version__.partition(".")[0]
    if major.isdigit() and int(major) in _TRIED:
        try:
            made = BindingCalls()
            require_client_hello(made)
        except Exception:  # noqa: BLE001  # whatever an inner name has become: the promised calls do it too
            return PublicCalls()
        return made
    return PublicCalls()


def require_client_hello(calls: Calls) -> None:
    """Require that a connection's first bytes and its wish to read come through `calls`.

    Raises:
        ValueError: they do not.
    """
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    calls.accept_any_certificate(context, SSL.VERIFY_PEER)
    connection = SSL.Connection(context, None)
    connection.set_connect_state()
    out: list[bytes | bytearray] = []
    if isinstance(calls.read(connection, 1)[1], SSL.WantReadError):
        calls.drain(connection, out)
    hello = b"".join(out)
    if hello[:1] != b"\x16" or len(hello) != 5 + int.from_bytes(hello[3:5], "big"):
        raise ValueError("a ClientHello does not come through")
