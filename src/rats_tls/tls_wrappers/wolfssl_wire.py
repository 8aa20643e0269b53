"""The wire of a connection in memory, which wolfSSL's I/O callbacks read and write."""

from __future__ import annotations


class Wire:
    """Bytes from the peer that wolfSSL has not asked for yet, and bytes due to the peer.

    Attributes:
        out: pieces due to the peer.
        ended: whether the transport is closed.
        first: the peer's first byte, once it came.
        certificate: DER of the peer's leaf certificate, once it came; its key is proved when the handshake completes.
    """

    __slots__ = ("_at", "_in", "certificate", "ended", "first", "out")

    def __init__(self) -> None:
        self._in = bytearray()
        self._at = 0
        self.out: list[bytes] = []
        self.ended = False
        self.first: int | None = None
        self.certificate: bytes | None = None

    def feed(self, data: bytes | bytearray) -> None:
        """Take bytes from the peer."""
        if self.first is None and data:
            self.first = data[0]
        if self._at:
            del self._in[: self._at]
            self._at = 0
        self._in += data

    def take(self, size: int) -> bytes:
        """Give and forget up to `size` bytes from the peer."""
        data = bytes(self._in[self._at : self._at + size])
        self._at += len(data)
        if self._at == len(self._in):
            self._in.clear()
            self._at = 0
        return data

    def longest_record(self, since: int) -> int:
        """Give the bytes of the longest TLS record among the pieces due to the peer from the `since`th on; 0: none."""
        longest = 0
        for piece in self.out[since:]:
            at = 0
            while at < len(piece):
                size = 5 + int.from_bytes(piece[at + 3 : at + 5], "big")
                longest = max(longest, size)
                at += size
        return longest

    def drain(self) -> bytes:
        """Give and forget what is due to the peer."""
        out, self.out = self.out, []
        return out[0] if len(out) == 1 else b"".join(out)
