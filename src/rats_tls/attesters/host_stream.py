"""One connection to a service on the host: bounded in time as a whole, and what is taken from it in size."""

from __future__ import annotations

import time
from typing import Self

from rats_tls.attesters.dialing import Address, dial, stream_failure
from rats_tls.core.errors import CollectionError

SHARE_OF_TIME = 0.8
"""How much of an Attester's time a service may take, so that who waits learns that it was the service."""


class HostStream:
    """A connection, as a context manager.

    Args:
        address: of the service.
        seconds: for all of it, from dialing on.

    Raises:
        CollectionError: it cannot be reached.
    """

    def __init__(self, address: Address, seconds: float) -> None:
        self._address = address
        self._seconds = seconds
        self._end = time.monotonic() + seconds
        self._socket = dial(address, seconds)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    @property
    def left(self) -> float:
        """Seconds that are left; at least a millisecond."""
        return max(self._end - time.monotonic(), 0.001)

    def send(self, data: bytes, what: str) -> None:
        """Send all of `data`.

        Args:
            data: what is sent.
            what: what is being done, for errors.

        Raises:
            CollectionError: the connection failed, or the time is over.
        """
        try:
            self._socket.settimeout(self.left)
            self._socket.sendall(data)
        except OSError as error:
            raise stream_failure(self._address, what, error, self._seconds) from error

    def receive(self, size: int, what: str) -> bytes:
        """Receive exactly `size` bytes; the caller has bounded them.

        Raises:
            CollectionError: the connection failed or was cut off, or the time is over.
        """
        data = bytearray()
        while len(data) < size:
            try:
                # Anew for each part: a service that sends byte by byte has no more time than any other.
                self._socket.settimeout(self.left)
                part = self._socket.recv(size - len(data))
            except OSError as error:
                raise stream_failure(self._address, what, error, self._seconds) from error
            if not part:
                raise CollectionError(
                    f"{self._address}: {what}: the connection was cut off: got {len(data)} bytes, expected {size}"
                )
            data += part
        return bytes(data)
