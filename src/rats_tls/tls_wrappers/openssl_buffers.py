"""How bytes get in and out of a pyOpenSSL connection in memory.

pyOpenSSL's own calls make a buffer and a copy each time, which costs a third of the speed. `BindingBuffers` makes the
same calls of OpenSSL on buffers that are used again. It uses what pyOpenSSL does not promise (`OpenSSL.SSL._lib`,
`Connection._ssl`, ...), so it is taken only with versions that were tried and after it has passed a test of itself.
Otherwise `PublicBuffers` does the same by promised calls.
"""

from __future__ import annotations

import functools
import threading
from typing import Any, Protocol

import OpenSSL
from OpenSSL import SSL

_RECORD = 16_384  # largest plaintext of one record, RFC 8446 5.1
_OVERHEAD = 64  # above what a record adds to its plaintext, RFC 8446 5.2: 5 + 1 + at most 16 bytes
_WRITE = 6 * _RECORD  # plaintext encrypted before its records are taken out of the BIO, which grows by copying
_SPACE = 7 * _RECORD  # bytes of one buffer; from 128 KiB on, glibc maps fresh pages for every one
_TRIED = range(25, 27)
"""Major versions of pyOpenSSL whose inner names were tried."""


class Buffers(Protocol):
    """Reads, writes and drains a connection."""

    def read(self, connection: SSL.Connection, size: int) -> tuple[bytes, SSL.Error | None]:
        """Give up to `size` plain bytes, and the error that came behind them. Raises SSL.Error when there are none."""
        ...

    def write(self, connection: SSL.Connection, data: memoryview, out: list[bytes | bytearray]) -> None:
        """Encrypt all of `data` and append the records to `out`. Raises SSL.Error."""
        ...

    def drain(self, connection: SSL.Connection, out: list[bytes | bytearray]) -> None:
        """Append to `out` what is due to the peer."""
        ...


class PublicBuffers:
    """By pyOpenSSL's promised calls."""

    def read(self, connection: SSL.Connection, size: int) -> tuple[bytes, SSL.Error | None]:
        """See `Buffers`."""
        return connection.recv(min(size, _RECORD)), None

    def write(self, connection: SSL.Connection, data: memoryview, out: list[bytes | bytearray]) -> None:
        """See `Buffers`."""
        for start in range(0, len(data), _WRITE):
            connection.sendall(data[start : start + _WRITE])
            self.drain(connection, out)

    def drain(self, connection: SSL.Connection, out: list[bytes | bytearray]) -> None:
        """See `Buffers`."""
        while True:
            try:
                chunk = connection.bio_read(_SPACE)
            except SSL.WantReadError:
                return
            out.append(chunk)
            if len(chunk) < _SPACE:
                return


class _Space(threading.local):
    """One buffer for each thread."""

    def __init__(self, ffi: Any) -> None:  # noqa: ANN401  # cffi has no types
        memory = bytearray(_SPACE)
        self.view = memoryview(memory)
        self.pointer = ffi.from_buffer(memory)


class BindingBuffers:
    """By OpenSSL's calls through pyOpenSSL's binding, on buffers that are used again."""

    def __init__(self) -> None:
        inner: Any = SSL
        self._lib = inner._lib  # noqa: SLF001  # see the module's docstring
        self._ffi = inner._ffi  # noqa: SLF001  # likewise
        self._space = _Space(self._ffi)

    def read(self, connection: Any, size: int) -> tuple[bytes, SSL.Error | None]:  # noqa: ANN401  # its inner names
        """See `Buffers`; gives several records at once."""
        ssl, lib, space = connection._ssl, self._lib, self._space  # noqa: SLF001  # see the module's docstring
        most, got = min(size, _SPACE), 0
        while got < most:
            count = lib.SSL_read(ssl, space.pointer + got, most - got)
            if count <= 0:
                try:
                    connection._raise_ssl_error(ssl, count)  # noqa: SLF001  # likewise
                except (SSL.WantReadError, SSL.ZeroReturnError):
                    if got:
                        break  # the next call says so again
                    raise
                except SSL.Error as error:
                    if got:
                        return bytes(space.view[:got]), error
                    raise
                break
            got += count
        return bytes(space.view[:got]), None

    def write(self, connection: Any, data: memoryview, out: list[bytes | bytearray]) -> None:  # noqa: ANN401  # likewise
        """See `Buffers`."""
        ssl, lib = connection._ssl, self._lib  # noqa: SLF001  # see the module's docstring
        due = connection._from_ssl  # noqa: SLF001  # likewise
        size = len(data)
        records = bytearray(size + (size // _RECORD + 2) * _OVERHEAD)
        plain, encrypted = self._ffi.from_buffer(data), self._ffi.from_buffer(records)
        written = filled = 0
        while written < size:
            end = min(written + _WRITE, size)
            while written < end:
                count = lib.SSL_write(ssl, plain + written, end - written)
                if count <= 0:
                    connection._raise_ssl_error(ssl, count)  # noqa: SLF001  # likewise
                    raise SSL.Error([("SSL routines", "", "nothing was written")])
                written += count
            filled += max(lib.BIO_read(due, encrypted + filled, len(records) - filled), 0)
        self._ffi.release(encrypted)
        del records[filled:]
        out.append(records)
        self.drain(connection, out)

    def drain(self, connection: Any, out: list[bytes | bytearray]) -> None:  # noqa: ANN401  # likewise
        """See `Buffers`."""
        space, due = self._space, connection._from_ssl  # noqa: SLF001  # see the module's docstring
        while (count := self._lib.BIO_read(due, space.pointer, _SPACE)) > 0:
            out.append(bytes(space.view[:count]))


@functools.cache
def best_buffers() -> Buffers:
    """Give `BindingBuffers` where they were tried and work, else `PublicBuffers`. Decided once for a process."""
    major = OpenSSL.__version__.partition(".")[0]
    if major.isdigit() and int(major) in _TRIED:
        try:
            made = BindingBuffers()
            require_client_hello(made)
        except Exception:  # noqa: BLE001  # whatever an inner name has become: the promised calls do it too
            return PublicBuffers()
        return made
    return PublicBuffers()


def require_client_hello(buffers: Buffers) -> None:
    """Require that a connection's first bytes and its wish to read come through `buffers`.

    Raises:
        ValueError: they do not.
    """
    connection = SSL.Connection(SSL.Context(SSL.TLS_CLIENT_METHOD), None)
    connection.set_connect_state()
    out: list[bytes | bytearray] = []
    try:
        buffers.read(connection, 1)
    except SSL.WantReadError:
        buffers.drain(connection, out)
    hello = b"".join(out)
    if hello[:1] != b"\x16" or len(hello) != 5 + int.from_bytes(hello[3:5], "big"):
        raise ValueError("a ClientHello does not come through")
