"""How a blocking connection moves its channel's bytes: TLS uses the socket by itself, or bytes are carried to and fro.

No call on the socket blocks; whoever waits does so here, in `poll`, without holding the channel.
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
    """Moves bytes between a socket and a channel.

    Attributes:
        waits: whether `receive` was left where it waited: nothing was taken then, and it can be called again. Set to
            False by who receives.
    """

    waits: bool

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

    def take_what_is_here(self) -> None:
        """Hand to the channel what the peer has sent so far, without waiting. Raises OSError, RatsTlsError."""
        ...

    def send(self, deadline: float | None) -> None:
        """Send all that the channel has for the peer. Raises as `receive`."""
        ...

    def send_or_receive(self, deadline: float | None) -> bool:
        """Send what the channel has; where the socket does not take all, take what the peer sends meanwhile.

        So two ends that both have much to say do not wait for each other.

        Returns:
            Whether all is sent. Else something has moved, and there may be events to answer.

        Raises:
            OSError: as `receive`.
            RatsTlsError: likewise.
        """
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
        self.waits = False

    def receive(self, deadline: float | None) -> None:
        """See `Pump`."""
        self.waits = True
        wait(self._socket, self._events(), deadline)
        self.waits = False
        if not self._channel.accepted:
            with self._state_lock:
                self._channel.proceed()

    def take_what_is_here(self) -> None:
        """See `Pump`: nothing to do, the channel reads the socket."""

    def _events(self) -> int:
        if not self._channel.waits_to_send:
            return select.POLLIN
        # A handshake that waits to send reads nothing, so that bytes from the peer are no reason to go on.
        return select.POLLOUT if self._channel.shaking_hands else select.POLLIN | select.POLLOUT

    def send(self, deadline: float | None) -> None:
        """See `Pump`."""
        while True:
            with self._state_lock:
                if self._channel.flush():
                    return
            wait(self._socket, select.POLLOUT, deadline)

    def send_or_receive(self, deadline: float | None) -> bool:
        """See `Pump`."""
        with self._state_lock:
            if self._channel.flush():
                return True
        wait(self._socket, select.POLLIN | select.POLLOUT, deadline)
        with self._state_lock:
            self._channel.proceed()
        return False


class CarryingPump:
    """Bytes are carried between the socket and TLS in memory. Arguments as of `DirectPump`.

    The socket may block or not: its flags, which it may share with other descriptors, are left alone.
    """

    def __init__(self, sock: socket.socket, channel: Channel, state_lock: threading.RLock) -> None:
        self._socket = sock
        self._channel = channel
        self._state_lock = state_lock
        self._left = memoryview(b"")
        self.waits = False

    def receive(self, deadline: float | None) -> None:
        """See `Pump`."""
        while True:
            self.waits = True
            require_time(deadline)
            self.waits = False
            with contextlib.suppress(BlockingIOError):
                self._hand_over(self._socket.recv(_RECEIVE_SIZE, socket.MSG_DONTWAIT))
                return
            self.waits = True
            wait(self._socket, select.POLLIN, deadline)

    def take_what_is_here(self) -> None:
        """See `Pump`."""
        with contextlib.suppress(BlockingIOError):
            self._hand_over(self._socket.recv(_RECEIVE_SIZE, socket.MSG_DONTWAIT))

    def _hand_over(self, data: bytes) -> None:
        with self._state_lock:
            if data:
                self._channel.receive_from_wire(data)
            else:
                self._channel.receive_eof()

    def send(self, deadline: float | None) -> None:
        """See `Pump`."""
        while not self._send_some():
            wait(self._socket, select.POLLOUT, deadline)

    def send_or_receive(self, deadline: float | None) -> bool:
        """See `Pump`."""
        if self._send_some():
            return True
        wait(self._socket, select.POLLIN | select.POLLOUT, deadline)
        self.take_what_is_here()
        return False

    def _send_some(self) -> bool:
        """Send until the socket takes no more. Returns whether all is sent."""
        while True:
            if not self._left:
                with self._state_lock:
                    self._left = memoryview(self._channel.data_to_send())
                if not self._left:
                    return True
            try:
                self._left = self._left[self._socket.send(self._left, socket.MSG_DONTWAIT) :]
            except BlockingIOError:
                return False


def receive_bytes(sock: socket.socket, deadline: float | None) -> bytes:
    """Give what the peer sends next, b"" at the end of the transport. Raises TimeoutError, OSError."""
    while True:
        require_time(deadline)
        with contextlib.suppress(BlockingIOError):
            return sock.recv(_RECEIVE_SIZE, socket.MSG_DONTWAIT)
        wait(sock, select.POLLIN, deadline)


def require_time(deadline: float | None) -> None:
    """Require that the deadline is not over. Raises TimeoutError."""
    if deadline is not None and time.monotonic() > deadline:
        raise TimeoutError("timed out")


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
        raise TimeoutError("timed out")
