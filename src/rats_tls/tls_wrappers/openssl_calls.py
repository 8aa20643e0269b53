"""What a pyOpenSSL connection is asked for, and how its promised calls do it. `openssl_binding` does it faster."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from OpenSSL import SSL, crypto

from rats_tls.tls_wrappers.buffers import require_writable

RECORD = 16_384  # largest plaintext of one record, RFC 8446 5.1
WRITE = 6 * RECORD  # plaintext encrypted before its records are taken out of the BIO, which grows by copying
SPACE = 7 * RECORD  # bytes of one buffer; from 128 KiB on, glibc maps fresh pages for every one


class Calls(Protocol):
    """Moves bytes of a connection; errors are returned beside what was done before them, never raised.

    `feed`, `write` and `drain` are for a connection in memory, `send` for one over a socket.

    Attributes:
        sockets: whether connections over a socket can be had: one that reads no more than one record a call, whatever
            the peer sends, so that deadlines hold.
    """

    sockets: bool

    def accept_any_certificate(self, context: SSL.Context, mode: int) -> None:
        """Have a context ask for certificates as `mode` says and accept whatever chain the peer presents.

        Its Evidence is judged later, outside the handshake. Possession of the leaf's key is proved by
        CertificateVerify, which OpenSSL checks in any case.
        """
        ...

    def choose_protocol(self, context: SSL.Context, protocols: Sequence[bytes]) -> None:
        """Have a server's context choose by ALPN the first of `protocols` that a client offers.

        Without one, TLS goes on without ALPN.
        """
        ...

    def raised(self) -> BaseException | None:
        """Give and forget what a callback raised in this thread; to be asked where a handshake failed."""
        ...

    def prepare_for_socket(self, connection: SSL.Connection) -> None:
        """Make a new connection over a socket ready for `send`."""
        ...

    def resumed(self, connection: SSL.Connection) -> bool:
        """Whether a complete handshake resumed a session and so carried no certificate."""
        ...

    def read(self, connection: SSL.Connection, size: int) -> tuple[bytes, SSL.Error | None]:
        """Give up to `size` plain bytes, perhaps fewer than there are, and what kept it from reading more."""
        ...

    def read_into(self, connection: SSL.Connection, buffer: memoryview) -> tuple[int, SSL.Error | None]:
        """As `read`, into `buffer`: the number of bytes."""
        ...

    def feed(self, connection: SSL.Connection, data: bytes | bytearray) -> None:
        """Take bytes from the wire."""
        ...

    def write(
        self, connection: SSL.Connection, data: memoryview, out: list[bytes | bytearray]
    ) -> tuple[int, SSL.Error | None]:
        """Encrypt `data` and append the records to `out`: the number of its bytes that were, and what stopped it."""
        ...

    def drain(self, connection: SSL.Connection, out: list[bytes | bytearray]) -> None:
        """Append to `out` what is due to the peer."""
        ...

    def forget_errors(self) -> None:
        """Clear the thread's queue of errors: what one connection left there must not count for another."""
        ...

    def send(self, connection: SSL.Connection, data: memoryview) -> tuple[int, SSL.Error | None]:
        """Encrypt and send `data`: the number of its bytes that are done with, and what stopped it.

        After WantWriteError the bytes that are not done with must come again, all of them.
        """
        ...


class PublicCalls:
    """By pyOpenSSL's promised calls. They cannot switch SSL_MODE_AUTO_RETRY off, without which no socket is safe.

    Nor can they keep an interrupt (KeyboardInterrupt) that comes within a callback: the handshake fails by a TlsError,
    and what interrupted it is printed only.
    """

    sockets = False

    def accept_any_certificate(self, context: SSL.Context, mode: int) -> None:
        """See `Calls`."""
        context.set_verify(mode, _accept_any_certificate)

    def choose_protocol(self, context: SSL.Context, protocols: Sequence[bytes]) -> None:
        """See `Calls`."""
        context.set_alpn_select_callback(
            lambda _, offered: next((p for p in protocols if p in offered), SSL.NO_OVERLAPPING_PROTOCOLS)
        )

    def raised(self) -> BaseException | None:
        """See `Calls`: pyOpenSSL raises it by itself where it can."""
        return None

    def prepare_for_socket(self, connection: SSL.Connection) -> None:
        """See `Calls`: nothing to do."""

    def resumed(self, connection: SSL.Connection) -> bool:
        """See `Calls`: a certificate is known that the callback did not see."""
        return connection.get_app_data() is not _SEEN and connection.get_peer_certificate() is not None

    def read(self, connection: SSL.Connection, size: int) -> tuple[bytes, SSL.Error | None]:
        """See `Calls`."""
        try:
            return connection.recv(min(size, RECORD)), None
        except SSL.Error as error:
            return b"", error

    def read_into(self, connection: SSL.Connection, buffer: memoryview) -> tuple[int, SSL.Error | None]:
        """See `Calls`."""
        require_writable(buffer)
        try:
            return connection.recv_into(buffer[:RECORD]), None
        except SSL.Error as error:
            return 0, error

    def feed(self, connection: SSL.Connection, data: bytes | bytearray) -> None:
        """See `Calls`."""
        view = memoryview(data)
        while view:
            view = view[connection.bio_write(view) :]

    def write(
        self, connection: SSL.Connection, data: memoryview, out: list[bytes | bytearray]
    ) -> tuple[int, SSL.Error | None]:
        """See `Calls`."""
        done, error = 0, None
        while done < len(data) and error is None:
            count, error = self.send(connection, data[done : done + WRITE])
            done += count
            self.drain(connection, out)
        return done, error

    def drain(self, connection: SSL.Connection, out: list[bytes | bytearray]) -> None:
        """See `Calls`."""
        while True:
            try:
                chunk = connection.bio_read(SPACE)
            except SSL.WantReadError:
                return
            out.append(chunk)
            if len(chunk) < SPACE:
                return

    def send(self, connection: SSL.Connection, data: memoryview) -> tuple[int, SSL.Error | None]:
        """See `Calls`."""
        done = 0
        while done < len(data):
            try:
                done += connection.send(data[done : done + RECORD])
            except SSL.Error as error:
                return done, error
        return done, None

    def forget_errors(self) -> None:
        """See `Calls`: in memory no call of the system fails."""


_SEEN = object()
"""Marks a connection whose handshake carried the peer's certificate."""


def _accept_any_certificate(
    connection: SSL.Connection, _certificate: crypto.X509, _error: int, _depth: int, _ok: int
) -> bool:
    """Runs once for each finding about the chain, so at least twice for a self-signed leaf, and must not raise."""
    connection.set_app_data(_SEEN)
    return True
