"""The Protocols of TLS wrappers. Third parties implement them; nothing here does anything."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

from rats_tls.core.algorithms import HashAlgorithm, KeyAlgorithm

Role = Literal["client", "server"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsCapabilities:
    """What a TLS wrapper can do; a combination that cannot work is refused when a Context is made.

    Attributes:
        encrypts: False only for `null`.
        mutual_server: can demand and hand over a client's self-signed certificate.
        exporter_with_context: RFC 8446 7.5 exporter with a context value.
        alpn: can negotiate ALPN.
        tls12: can do TLS 1.2 with extended master secret.
        largest_certificate: bytes of DER that go through a handshake, each way. More is declared than any build of
            the library takes where builds differ: what passes here is found on first use.
        key_algorithms: keys it can present.
        sockets: its contexts can also do a connection right over a socket (`SocketTlsContext`).
        memory: its contexts can do a connection in memory, which asyncio needs.
        chosen_alerts: its sessions can end by a fatal alert of choice (`AlertingTlsSession`).
        clients: can be a client, which means that it checks that a server holds the key of its certificate.
        slow: a handshake takes hundreds of times as long as OpenSSL's: fewer and smaller trials are made of it.
        caution: what whoever names it must know, as a clause, or "": "not for production, its timing tells secrets".
        larger_certificates: what to do to get larger certificates through, as a sentence, or "".
    """

    encrypts: bool
    mutual_server: bool
    exporter_with_context: bool
    alpn: bool
    tls12: bool
    largest_certificate: int
    key_algorithms: frozenset[KeyAlgorithm]
    sockets: bool = False
    memory: bool = True
    chosen_alerts: bool = False
    clients: bool = True
    slow: bool = False
    caution: str = ""
    larger_certificates: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsConfig:
    """One side's TLS settings, shared by its connections.

    Attributes:
        role: client or server.
        certificate: own leaf certificate (DER), or None (a client that does not attest).
        private_key: PKCS #8 DER of its key, or None.
        request_peer_certificate: server: demand a client certificate.
        alpn: protocols to offer or to choose from, best first.
        allow_tls12: also accept TLS 1.2 with extended master secret; 1.3 only by default.
    """

    role: Role
    certificate: bytes | None
    private_key: bytes | None
    request_peer_certificate: bool
    alpn: tuple[str, ...] = ()
    allow_tls12: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsFacts:
    """What is known of a connection after its handshake, for results.

    Attributes:
        version: "TLSv1.3", "TLSv1.2" or "none".
        cipher: cipher suite name.
        group: key exchange group, or "" where the library does not tell.
        hash: the cipher suite's hash.
    """

    version: str
    cipher: str
    group: str
    hash: HashAlgorithm


class TlsSession(Protocol):
    """One TLS connection in memory: wire bytes in and out, plain bytes in and out. No I/O."""

    def handshake(self) -> bool:
        """Go on with the handshake as far as the bytes fed allow.

        Accepts any peer certificate whose key the peer proves to hold: the judgement comes later, outside.

        Returns:
            Whether it is complete.

        Raises:
            TlsError: it failed; `data_to_send` may hold the alert for the peer.
        """
        ...

    def receive_from_wire(self, data: bytes | bytearray) -> None:
        """Take bytes from the peer. Bounded only by the caller."""
        ...

    def receive_eof(self) -> None:
        """Take note that the transport is closed; a read then raises TlsError unless close_notify came before."""
        ...

    def data_to_send(self) -> bytes | bytearray:
        """Give and forget the bytes due to the peer."""
        ...

    def read(self, size: int) -> bytes | None:
        """Read up to `size` plain bytes: None when none are there yet, b"" after the peer's close_notify.

        Raises:
            TlsError: a fatal alert or a broken record; the handshake is not complete, which it can still become.
        """
        ...

    def read_into(self, buffer: memoryview) -> int | None:
        """As `read`, into a writable buffer of bytes: the number of bytes, 0 after the peer's close_notify.

        Raises:
            TlsError: as `read`.
            BufferError or TypeError: the buffer is read-only; nothing is read.
        """
        ...

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Encrypt all of `data`; the records are due in `data_to_send`.

        Raises:
            TlsError: the connection has failed, or this side has closed it; the handshake is not complete, which it can
                still become.
        """
        ...

    def close(self) -> None:
        """Send close_notify; later writes raise TlsError."""
        ...

    @property
    def peer_certificate(self) -> bytes | None:
        """DER of the peer's leaf certificate, whose key the peer has proved to hold; None before, and without one."""
        ...

    @property
    def alpn(self) -> str | None:
        """The protocol that ALPN chose."""
        ...

    @property
    def resumed(self) -> bool:
        """Whether the session was resumed; the channel refuses it."""
        ...

    def facts(self) -> TlsFacts:
        """Version, cipher, group and hash, once the handshake is complete."""
        ...

    def exporter(self, label: str, context: bytes, length: int) -> bytes:
        """Keying material of this connection (RFC 8446 7.5). Raises UnsupportedError without the capability."""
        ...


class AlertingTlsSession(TlsSession, Protocol):
    """A connection of a wrapper that declares `chosen_alerts`."""

    def alert(self, name: str) -> None:
        """Send the fatal alert `name` (RFC 8446 B.2) in place of close_notify; later writes raise TlsError."""
        ...


class NonBlockingSocket(Protocol):
    """A connected stream socket that does not block."""

    def fileno(self) -> int:
        """Its descriptor."""
        ...


class SocketTlsSession(TlsSession, Protocol):
    """One TLS connection right over a non-blocking stream socket, which a library does with fewer copies and calls.

    As `TlsSession`, but its calls send and receive on the socket by themselves, as far as that goes without waiting.
    `receive_from_wire` and `receive_eof` are not used, and `data_to_send` is always empty.
    """

    @property
    def waits_to_send(self) -> bool:
        """Whether the last call stopped because the socket takes no more; else it waits for the peer's bytes."""
        ...

    @property
    def unsent(self) -> bool:
        """Whether a part of earlier writes is left to `flush`."""
        ...

    @property
    def drained(self) -> bool:
        """Whether the last read took all data that was here and not the end: waiting then saves a read in vain."""
        ...

    def own_unsent(self) -> None:
        """Keep a copy of what is left of earlier writes, whose buffer goes back to whoever wrote it."""
        ...

    def flush(self) -> bool:
        """Send what earlier writes could not. Returns whether nothing is left.

        Raises:
            ConnectionFailedError: the connection has failed, and a part of what was written is lost.
        """
        ...

    def detach(self) -> None:
        """Never touch the socket again: its descriptor may become another connection's. Later calls raise TlsError."""
        ...


class TlsContext(Protocol):
    """A side's settings, loaded once into the TLS library."""

    def session(self, server_hostname: str | None = None) -> TlsSession:
        """Start a connection in memory; `server_hostname` is sent as SNI by a client."""
        ...


class SocketTlsContext(TlsContext, Protocol):
    """A `TlsContext` of a wrapper that declares `sockets`."""

    def socket_session(self, sock: NonBlockingSocket, server_hostname: str | None = None) -> SocketTlsSession:
        """Start a connection over `sock`, which the caller keeps open and closes."""
        ...


@runtime_checkable
class TlsWrapper(Protocol):
    """One TLS library."""

    @property
    def name(self) -> str:
        """Instance name."""
        ...

    @property
    def version(self) -> str:
        """Version of the library underneath."""
        ...

    @property
    def capabilities(self) -> TlsCapabilities:
        """What it can do."""
        ...

    def context(self, config: TlsConfig) -> TlsContext:
        """Load `config`. Raises ConfigurationError when the library refuses key or certificate."""
        ...
