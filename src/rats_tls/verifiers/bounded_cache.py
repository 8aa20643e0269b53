"""What a Verifier remembers (docs/rules-of-trust.md, 12)."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import TypeVar

from rats_tls.core.limits import DEFAULT_LIMITS

_T = TypeVar("_T")
_UNKNOWN = object()


class BoundedCache:
    """Remembers the outcome of a computation by everything that it depended on; oldest use goes first. Thread-safe.

    Belongs to one Verifier (docs/rules-of-trust.md, 12): callers put anchors and crypto back end into the key, and the
    bytes of every certificate and document that took part. What is kept is some multiple of these bytes, so that
    bounding them bounds the memory, whatever a peer sends.

    Never waits: who finds it in use computes for itself. So does for ever a child that was forked while a thread of
    its parent used it.

    Args:
        limit: most outcomes that are kept.
        most_bytes: most bytes in their keys together.
    """

    __slots__ = ("_bytes", "_items", "_limit", "_lock", "_most_bytes")

    def __init__(self, limit: int, most_bytes: int = DEFAULT_LIMITS.cached_vendor_bytes) -> None:
        self._items: OrderedDict[Hashable, object] = OrderedDict()
        self._limit = limit
        self._most_bytes = most_bytes
        self._bytes = 0
        self._lock = threading.Lock()

    def get(self, key: Hashable, compute: Callable[[], _T]) -> _T:
        """Give what was computed for `key`, or compute it now. An exception is not remembered."""
        if self._lock.acquire(blocking=False):
            try:
                known = self._items.get(key, _UNKNOWN)
                if known is not _UNKNOWN:
                    self._items.move_to_end(key)
                    return known  # type: ignore[return-value]  # what `compute` of the same key returned
            finally:
                self._lock.release()
        value = compute()
        if self._lock.acquire(blocking=False):
            try:
                self._keep(key, value)
            finally:
                self._lock.release()
        return value

    def _keep(self, key: Hashable, value: object) -> None:
        known = len(self._items)
        self._items[key] = value
        if len(self._items) > known:
            self._bytes += _bytes_in(key)
        while len(self._items) > self._limit or self._bytes > self._most_bytes:
            oldest, _ = self._items.popitem(last=False)
            self._bytes -= _bytes_in(oldest)

    def __len__(self) -> int:
        return len(self._items)


def _bytes_in(key: object) -> int:
    if isinstance(key, bytes):
        return len(key)
    size = 0
    if isinstance(key, tuple):
        for part in key:
            if isinstance(part, bytes):
                size += len(part)
            elif isinstance(part, tuple):
                size += _bytes_in(part)
    return size
