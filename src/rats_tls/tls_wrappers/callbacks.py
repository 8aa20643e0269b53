"""What callbacks raise while a library in C waits for their answer, and how it gets to the library's caller."""

from __future__ import annotations

import threading
from types import TracebackType

from rats_tls.core.errors import TlsError
from rats_tls.core.interrupts import interrupts


class Raised(threading.local):
    """What callbacks raised in this thread, which is the one that called the library.

    A `try` within a callback does not do: a signal's handler may raise before its first line. cffi prints what is
    raised there, and drops it, unless `onerror` takes it.
    """

    def __init__(self) -> None:
        self._error: BaseException | None = None

    def keep(self, _kind: object, error: BaseException, traceback: TracebackType | None) -> None:
        """Keep what a callback raised: `onerror` of cffi's callbacks, whose `error` must be an answer that refuses."""
        if self._error is None or not interrupts(self._error):
            self._error = error.with_traceback(traceback)

    def take(self) -> BaseException | None:
        """Give and forget it. To be asked behind every call that calls back: libraries go on after some errors."""
        error, self._error = self._error, None
        return error


def callback_error(doing: str, raised: BaseException) -> TlsError:
    """Give the error that a connection keeps where a callback raised: its library's state is not known any more.

    `raised` itself goes to the caller where it `interrupts`.
    """
    if interrupts(raised):
        return TlsError(f"TLS {doing}: interrupted by {type(raised).__name__}")
    error = TlsError(f"TLS {doing}: a callback failed: {raised!r}")
    error.__cause__ = raised
    return error
