"""How a blocking connection moves its channel's bytes: TLS uses the socket by itself, or bytes are carried to and fro.

The socket never blocks; whoever waits does so here, in `poll`, without holding the channel.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import socket
import threading
import time
from typing import Protocol

from rats_tls.channel import Channel

_RECEIVE_SIZE = 65_536  # above 128 KiB glibc maps fresh pages for every buffer


class Pump(Protocol):
    """Moves bytes between a socket and a channel."""

    def receive(self, deadline: float | None) -> None:
        """Wait for what the peer sends next, and hand it to the channel.

        Args:
            deadline: time by `time.monotonic`, or None.

        Raises:
            TimeoutError: nothing came until then.
            OSError: the connection failed.
            RatsTlsError: the channel failed.
        """
        ...

    def send(self, deadline: float | None) -> None:
        """Send all that the channel has for the peer. Raises as `receive`."""
        ...


class DirectPump:
    """TLS uses the socket by itself; only waiting is left to do here.

    Args:
        sock: non-blocking.
        channel: over that socket.
        state_lock: held around each call of the channel.
    """

    def __init__(self, sock: socket.socket, channel: Channel, state_lock: threading.RLock) -> None:
        self._socket = sock
        self._channel = channel
        self._state_lock = state_lock

    def receive(self, deadline: float | None) -> None:
        """See `Pump`."""
        events = select.POLLIN
        if self._channel.waits_to_send:
            events |= select.POLLOUT  # besides: another thread's sending may have said so
        wait(self._socket, events, deadline)
        if not self._channel.accepted:
            with self._state_lock:
                self._channel.proceed()

    def send(self, deadline: float | None) -> None:
        """See `Pump`."""
        while True:
            with self._state_lock:
                if self._channel.flush():
                    return
            wait(self._socket, select.POLLOUT, deadline)


class CarryingPump:
    """Bytes are carried between the socket and TLS in memory. Arguments as of `DirectPump`."""

    def __init__(self, sock: socket.socket, channel: Channel, state_lock: threading.RLock) -> None:
        self._socket = sock
        self._channel = channel
        self._state_lock = state_lock

    def receive(self, deadline: float | None) -> None:
        """See `Pump`."""
        data = receive_bytes(self._socket, deadline)
        with self._state_lock:
            if data:
                self._channel.receive_from_wire(data)
            else:
                self._channel.receive_eof()

    def send(self, deadline: float | None) -> None:
        """See `Pump`."""
        while True:
            with self._state_lock:
                data = self._channel.data_to_send()
            if not data:
                return
            left = memoryview(data)
            while left:
                try:
                    left = left[self._socket.send(left) :]
                except BlockingIOError:
                    wait(self._socket, select.POLLOUT, deadline)


def receive_bytes(sock: socket.socket, deadline: float | None) -> bytes:
    """Give what the peer sends next, b"" at the end of the transport. Raises TimeoutError, OSError."""
    while True:
        with contextlib.suppress(BlockingIOError):
            return sock.recv(_RECEIVE_SIZE)
        wait(sock, select.POLLIN, deadline)


def wait(sock: socket.socket, events: int, deadline: float | None) -> None:
    """Wait until the socket is ready, has failed or has ended. Raises TimeoutError, and OSError when it is closed."""
    descriptor = sock.fileno()
    if descriptor < 0:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))
    poll = select.poll()
    poll.register(descriptor, events)
    if deadline is None:
        poll.poll()
        return
    left = deadline - time.monotonic()
    if left <= 0 or not poll.poll(left * 1000):
        raise TimeoutError
