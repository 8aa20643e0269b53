"""The asyncio API: streams, and a Protocol and Transport layer that any asyncio library can sit on.

reader, writer = await open_connection("10.0.0.7", 1234, context=context)
writer.write(b"for the attested peer only")

What `context` says holds as in the blocking API. Nothing here blocks the event loop: Evidence is collected and peers
are judged in threads.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from types import TracebackType
from typing import Self, TypeVar

from rats_tls.aio_transport import AttestedTransport
from rats_tls.aio_wire import Wire
from rats_tls.context import Context, collected_too_late
from rats_tls.core.errors import ConfigurationError, ConnectionFailedError, RatsTlsError

__all__ = [
    "AttestedServer",
    "AttestedTransport",
    "create_connection",
    "create_server",
    "open_connection",
    "start_server",
]

_log = logging.getLogger(__name__)

_STREAM_LIMIT = 65_536

_P = TypeVar("_P", bound=asyncio.BaseProtocol)
Refused = Callable[[RatsTlsError, object], None]
"""Told of a client that was not accepted: the error, and the peer's address."""


async def create_connection(
    protocol_factory: Callable[[], _P],
    host: str | None = None,
    port: int | None = None,
    *,
    context: Context,
    path: str | None = None,
    sock: socket.socket | None = None,
    server_hostname: str | None = None,
) -> tuple[AttestedTransport, _P]:
    """Connect, judge the server, and be judged where it asks.

    Args:
        protocol_factory: makes the application's Protocol, once both sides accepted.
        host: where to connect to, with `port`; or give `path` or `sock`.
        port: TCP port.
        context: this side's settings.
        path: of a Unix socket.
        sock: a connected stream socket, which the connection then owns.
        server_hostname: sent as SNI; not a proof of identity.

    Returns:
        The transport and the Protocol, whose `connection_made` has been called.

    Raises:
        RatsTlsError: refused, by either side, or failed. Cancelling ends the connection.
    """
    loop = asyncio.get_running_loop()
    channel = context.channel(server_hostname=server_hostname)
    if sock is None and not context.is_prepared:
        seconds = context.limits.handshake_seconds
        try:
            await asyncio.wait_for(loop.run_in_executor(context.collector, context.prepare), seconds)
        except TimeoutError as error:
            raise collected_too_late(seconds) from error
    done: asyncio.Future[_P] = loop.create_future()

    def opened(wire: Wire) -> None:
        if not done.done():
            done.set_result(wire.application)  # type: ignore[arg-type]  # what the factory made

    def ended(_: Wire, error: BaseException | None) -> None:
        if not done.done():
            done.set_exception(error or ConnectionFailedError("connection closed before acceptance"))

    def factory() -> Wire:
        return Wire(context, channel, protocol_factory, loop=loop, opened=opened, ended=ended)

    try:
        if path is not None:
            _, wire = await loop.create_unix_connection(factory, path)
        elif sock is not None:
            _, wire = await loop.create_connection(factory, sock=sock)
        else:
            host, port = _tcp(host, port)
            _, wire = await loop.create_connection(factory, host, port)
    except OSError as error:
        raise ConnectionFailedError(f"connect to {path or f'{host}:{port}'}: {error}") from error
    except asyncio.CancelledError:
        _forget(done)
        raise
    try:
        protocol = await done
    except asyncio.CancelledError:
        wire.abort()
        raise
    return wire.transport, protocol


def _forget(done: asyncio.Future[_P]) -> None:
    """Nobody waits for it any more, whatever comes of the connection."""
    if not done.cancel() and not done.cancelled():
        done.exception()


def _tcp(host: str | None, port: int | None) -> tuple[str, int]:
    if host is None or port is None:
        raise ConfigurationError("an address is host and port, or path, or sock")
    return host, port


async def open_connection(
    host: str | None = None,
    port: int | None = None,
    *,
    context: Context,
    path: str | None = None,
    sock: socket.socket | None = None,
    server_hostname: str | None = None,
    limit: int = _STREAM_LIMIT,
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect as `create_connection` does, and give streams.

    `writer.get_extra_info("peer")` is the AttestationResult.

    Args:
        host: as for `create_connection`.
        port: likewise.
        context: likewise.
        path: likewise.
        sock: likewise.
        server_hostname: likewise.
        limit: bytes that the reader buffers before the peer has to wait.

    Raises:
        RatsTlsError: refused, by either side, or failed.
    """
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=limit, loop=loop)
    transport, protocol = await create_connection(
        lambda: asyncio.StreamReaderProtocol(reader, loop=loop),
        host,
        port,
        context=context,
        path=path,
        sock=sock,
        server_hostname=server_hostname,
    )
    return reader, asyncio.StreamWriter(transport, protocol, reader, loop)


class AttestedServer:
    """A listening server and its connections. As a context manager it shuts down, without grace, at the end.

    Attributes:
        listening: the event loop's server.
    """

    listening: asyncio.Server

    def __init__(self, context: Context, refused: Refused | None) -> None:
        self._context = context
        self._refused = refused
        self._wires: set[Wire] = set()
        self._empty = asyncio.Event()
        self._empty.set()

    @property
    def sockets(self) -> Sequence[object]:
        """The listening sockets; none once closed."""
        return self.listening.sockets

    @property
    def port(self) -> int:
        """The TCP port that is listened on, which the system chose for port 0."""
        port: int = self.listening.sockets[0].getsockname()[1]
        return port

    def is_serving(self) -> bool:
        """Whether new connections are taken."""
        return self.listening.is_serving()

    async def serve_forever(self) -> None:
        """Serve until cancelled, which also stops listening."""
        await self.listening.serve_forever()

    def close(self) -> None:
        """Stop listening; connections go on."""
        self.listening.close()

    async def wait_closed(self) -> None:
        """Wait until every connection has ended. Call `close` first."""
        await self._empty.wait()

    async def shutdown(self, grace: float = 0.0) -> None:
        """Stop listening and end every connection.

        Args:
            grace: seconds for accepted connections to end by themselves; those that are not accepted yet are given up
                at once. Whatever is left is closed, and cut off after `limits.close_seconds`.
        """
        self.listening.close()
        for wire in tuple(self._wires):
            if not wire.accepted:
                wire.close()
        if grace > 0:
            await self._wait_empty(grace)
        for wire in tuple(self._wires):
            wire.close()
        await self._wait_empty(self._context.limits.close_seconds)
        for wire in tuple(self._wires):
            wire.abort()
        await self._empty.wait()

    async def _wait_empty(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._empty.wait(), seconds)
        except TimeoutError:
            return

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.shutdown()

    def make_wire(self, protocol_factory: Callable[[], asyncio.BaseProtocol], loop: asyncio.AbstractEventLoop) -> Wire:
        """Make what serves one raw connection; the event loop asks for it."""
        channel = self._context.channel(server_side=True)
        wire = Wire(self._context, channel, protocol_factory, loop=loop, opened=_nothing, ended=self._wire_ended)
        self._wires.add(wire)
        self._empty.clear()
        return wire

    def _wire_ended(self, wire: Wire, error: BaseException | None) -> None:
        self._wires.discard(wire)
        if not self._wires:
            self._empty.set()
        if wire.accepted or not isinstance(error, RatsTlsError):
            return
        address = wire.raw.get_extra_info("peername")
        _log.info("client %s not accepted: %s: %s", address, error.refusal.label, error)
        if self._refused is not None:
            self._refused(error, address)


def _nothing(_: Wire) -> None:
    """The application's Protocol is told by its `connection_made`."""


async def create_server(
    protocol_factory: Callable[[], asyncio.BaseProtocol],
    host: str | Sequence[str] | None = None,
    port: int | None = None,
    *,
    context: Context,
    path: str | None = None,
    sock: socket.socket | None = None,
    backlog: int = 128,
    refused: Refused | None = None,
) -> AttestedServer:
    """Serve attested connections.

    Args:
        protocol_factory: makes the application's Protocol of a connection, once both sides accepted.
        host: where to listen, with `port`, None for every address; or give `path` or `sock`.
        port: TCP port; 0 for any that is free.
        context: this side's settings.
        path: of a Unix socket.
        sock: a bound stream socket, which the server then owns.
        backlog: connections that may wait to be taken.
        refused: told of every client that was not accepted; they are logged in any case (level info).

    Raises:
        ConfigurationError: the settings do not fit a server.
        CollectionError: the Attester cannot collect Evidence.
        ConnectionFailedError: the address cannot be listened on.
    """
    loop = asyncio.get_running_loop()
    context.channel(server_side=True)
    await loop.run_in_executor(context.collector, partial(context.prepare, server_side=True))
    server = AttestedServer(context, refused)
    factory = partial(server.make_wire, protocol_factory, loop)
    try:
        if path is not None:
            server.listening = await loop.create_unix_server(factory, path, backlog=backlog)
        elif sock is not None:
            server.listening = await loop.create_server(factory, sock=sock, backlog=backlog)
        elif port is not None:
            server.listening = await loop.create_server(factory, host, port, backlog=backlog)
        else:
            raise ConfigurationError("an address is host and port, or path, or sock")
    except OSError as error:
        raise ConnectionFailedError(f"listen on {path or f'{host}:{port}'}: {error}") from error
    return server


async def start_server(
    connected: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None] | None],
    host: str | Sequence[str] | None = None,
    port: int | None = None,
    *,
    context: Context,
    path: str | None = None,
    sock: socket.socket | None = None,
    backlog: int = 128,
    refused: Refused | None = None,
    limit: int = _STREAM_LIMIT,
) -> AttestedServer:
    """Serve as `create_server` does, with streams.

    Args:
        connected: called with reader and writer of every accepted client; a coroutine becomes a task.
        host: as for `create_server`.
        port: likewise.
        context: likewise.
        path: likewise.
        sock: likewise.
        backlog: likewise.
        refused: likewise.
        limit: bytes that a reader buffers before its peer has to wait.

    Raises:
        RatsTlsError: as `create_server`.
    """
    loop = asyncio.get_running_loop()

    def factory() -> asyncio.StreamReaderProtocol:
        reader = asyncio.StreamReader(limit=limit, loop=loop)
        return asyncio.StreamReaderProtocol(reader, connected, loop=loop)

    return await create_server(
        factory, host, port, context=context, path=path, sock=sock, backlog=backlog, refused=refused
    )
