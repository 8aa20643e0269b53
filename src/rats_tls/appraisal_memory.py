"""Accepted appraisals that may be given again, each within the time that it holds. Thread-safe and bounded.

Nobody waits for it: who finds it in use judges anew. So does for ever a child that was forked while a thread of its
parent used it.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, replace
from datetime import datetime

from rats_tls.core.errors import InternalError
from rats_tls.core.results import ACCEPTED, AttestationResult, ConnectionFacts


@dataclass(frozen=True, slots=True)
class _Remembered:
    """An accepted appraisal and the time within which it may be given again."""

    result: AttestationResult
    not_before: datetime
    not_after: datetime


class AppraisalMemory:
    """Remembers accepted appraisals by everything that their verdict depended on.

    Args:
        size: how many are kept; the least recently used goes first.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._remembered: OrderedDict[tuple[object, ...], _Remembered] = OrderedDict()
        self._lock = threading.Lock()

    def recall(
        self, key: tuple[object, ...], now: datetime, connection: ConnectionFacts | None = None
    ) -> AttestationResult | None:
        """Give the result kept under `key` as one of `now` and `connection`, or None when there is none that holds."""
        if not self._lock.acquire(blocking=False):
            return None
        try:
            remembered = self._remembered.get(key)
            if remembered is None:
                return None
            if not remembered.not_before <= now < remembered.not_after:
                del self._remembered[key]
                return None
            self._remembered.move_to_end(key)
            result = remembered.result
            return replace(result, judged_at=now, remembered_from=result.judged_at, connection=connection)
        finally:
            self._lock.release()

    def keep(self, key: tuple[object, ...], result: AttestationResult) -> None:
        """Keep an accepted certificate until the earliest expiry of anything that the verdict rests on.

        A result without an expiry is not kept. Its time begins with the judgement: what was not yet in date then is not
        asked again.

        Raises:
            InternalError: the result is no accepted one; what report-only passed over is judged every time.
        """
        if not self._size or result.valid_until is None or not result.endorsements:
            return
        if result.verdict != ACCEPTED:
            raise InternalError(f"appraisal memory: got a result that is {result.verdict}, expected an accepted one")
        remembered = _Remembered(replace(result, connection=None), result.judged_at, result.valid_until)
        if not self._lock.acquire(blocking=False):
            return
        try:
            self._remembered[key] = remembered
            while len(self._remembered) > self._size:
                self._remembered.popitem(last=False)
        finally:
            self._lock.release()
