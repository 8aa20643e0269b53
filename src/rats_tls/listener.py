"""A listening socket whose connections are attested, for the blocking API."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from rats_tls.connection import Connection


class Listener:
    """A listening socket whose connections are attested. Made by `Context.listen`.

    Args:
        sock: a listening stream socket; the listener owns and closes it.
        wrap: makes the server's end of a connection over an accepted socket.
    """

    def __init__(self, sock: socket.socket, wrap: Callable[[socket.socket], Connection]) -> None:
        self._socket = sock
        self._wrap = wrap

    def accept(self, *, handshake: bool = True) -> tuple[Connection, Any]:
        """Wait for a client.

        Args:
            handshake: do the handshake and the appraisals here. A server of many clients passes False and does them
                in the thread that serves the connection, so that one slow client keeps nobody waiting.

        Returns:
            The connection and the peer's address.

        Raises:
            RatsTlsError: that client was refused or failed; the listener goes on.
            TimeoutError: the listener's timeout ran out.
            OSError: the listener is closed.
        """
        sock, address = self._socket.accept()
        try:
            sock.settimeout(None)
            if sock.family != socket.AF_UNIX:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection = self._wrap(sock)
        except BaseException:
            sock.close()
            raise
        if handshake:
            connection.handshake()
        return connection, address

    @property
    def address(self) -> Any:  # noqa: ANN401  # of the socket's family
        """Own address, with the port that was chosen for port 0."""
        return self._socket.getsockname()

    def fileno(self) -> int:
        """File descriptor of the listening socket."""
        return self._socket.fileno()

    def settimeout(self, seconds: float | None) -> None:
        """Set how long `accept` waits for a client; None for ever."""
        self._socket.settimeout(seconds)

    def close(self) -> None:
        """Stop listening, and wake threads that wait in `accept`; connections go on."""
        with contextlib.suppress(OSError):  # closed before
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
