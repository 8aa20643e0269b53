"""The HTTP client of sources: bounded in bytes, time, attempts and hosts.

Extra: `fetch` (urllib3).
"""

from __future__ import annotations

import importlib
import re
import ssl
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlsplit

from rats_tls._version import __version__
from rats_tls.core.errors import ConfigurationError, UnsupportedError
from rats_tls.core.limits import DEFAULT_FETCH_LIMITS, FetchLimits
from rats_tls.endorsements.source import FetchError, FetchProblem

if TYPE_CHECKING:
    from rats_tls.endorsements.https_connection import HttpAnswer

_EXTRA = "fetch"
_HTTPS_PORT = 443
_HOST = re.compile(r"(?P<host>[A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::(?P<port>[0-9]{1,5}))?")
_TARGET = re.compile(r"/[!-~]*")
_SECONDS = re.compile(r"[0-9]{1,10}")
_LONGEST_PLACE = 120
# A request that the service does not take (400) names no item of it. 410: Intel PCS, number no longer given. 461, 462:
# Intel PCCS, platform unknown, certificates not available.
_NO_SUCH_ITEM = frozenset({400, 404, 410, 461, 462})
_TOO_MANY_REQUESTS = 429
_SERVICE_UNAVAILABLE = 503


class HttpsClient:
    """Gets documents over HTTPS. Blocks; thread-safe; safe to use in a forked child.

    It follows no redirect, keeps no connection (so that a forked child shares none), sends no cookie or credential,
    and takes nothing from the environment: no proxy, no `.netrc`, no key log. Without `ca`, servers are verified by
    the certificates that OpenSSL finds on the system, whose place SSL_CERT_FILE and SSL_CERT_DIR change as in any
    program; what is fetched is signed by its vendor, so that they decide about privacy and availability alone.
    Name resolution takes as long as the system lets it; everything else ends within the limits.

    Args:
        hosts: all that may be asked, `host` or `host:port`.
        ca: PEM certificates to verify servers by, instead of the system's: a path, or the bytes.
        limits: sizes, times, attempts.
        wait: waits so many seconds between attempts.
        now: the time, for a Retry-After that is a date.

    Raises:
        UnsupportedError: the extra `fetch` is not installed.
        ConfigurationError: a host or `ca` of another form, or no certificate in `ca`.
    """

    def __init__(
        self,
        hosts: Iterable[str],
        *,
        ca: str | Path | bytes | None = None,
        limits: FetchLimits = DEFAULT_FETCH_LIMITS,
        wait: Callable[[float], None] = time.sleep,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.limits = limits
        self._hosts = frozenset(_authority(host) for host in hosts)
        self._connection = _connection_module()
        self._context = self._connection.tls_context()
        _trust(self._context, ca)
        self._wait = wait
        self._now = now

    def require_allowed(self, *urls: str) -> None:
        """Require that each URL may be asked.

        Raises:
            ConfigurationError: one may not.
        """
        for url in urls:
            self._parts(url)

    def get(self, url: str, *, what: str, accept: str, most_bytes: int) -> HttpAnswer:
        """Get the document at `url`.

        Args:
            url: an `https` URL of one of the hosts; never one that came with Evidence.
            what: what to call the document in errors.
            accept: media types that are asked for.
            most_bytes: largest body.

        Returns:
            The answer, whose status is 200.

        Raises:
            FetchError: it was not got.
            ConfigurationError: the URL is not one that may be asked.
        """
        host, port, target = self._parts(url)
        where = f"{what}: {url.partition('?')[0][:_LONGEST_PLACE]}"
        headers = {"Accept": accept, "Accept-Encoding": "identity", "User-Agent": f"rats-tls/{__version__}"}
        deadline = time.monotonic() + self.limits.total_seconds
        pause = self.limits.first_wait_seconds
        for attempts_left in reversed(range(self.limits.attempts)):
            try:
                answer: HttpAnswer = self._connection.exchange(
                    host,
                    port,
                    target,
                    headers,
                    context=self._context,
                    most_bytes=most_bytes,
                    deadline=deadline,
                    limits=self.limits,
                )
                self._require_ok(answer, where)
            except self._connection.ExchangeError as error:
                problem = FetchProblem.MALFORMED if error.answered else FetchProblem.UNAVAILABLE
                failed = FetchError(f"{where}: {error}", problem=problem)
                failed.__cause__ = error
            except FetchError as error:
                failed = error
            else:
                return answer
            seconds = self._seconds_to_wait(failed, pause)
            if not attempts_left or seconds is None or seconds >= deadline - time.monotonic():
                break
            self._wait(seconds)
            pause *= 2
        raise failed

    def _parts(self, url: str) -> tuple[str, int, str]:
        """Give host, port and target of a URL that may be asked."""
        parts = _split(url)
        if parts.scheme != "https" or parts.fragment or _authority(parts.netloc) not in self._hosts:
            known = ", ".join(sorted(self._hosts))
            raise ConfigurationError(f"{_place(parts)}: not an https URL of a host that may be asked: {known}")
        target = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
        if not _TARGET.fullmatch(target):
            raise ConfigurationError(f"{_place(parts)}: characters in it that no URL has")
        return (parts.hostname or "").strip("[]"), parts.port or _HTTPS_PORT, target

    def _require_ok(self, answer: HttpAnswer, where: str) -> None:
        status = answer.status
        if status == 200:
            return
        retry_after = self._retry_after(answer)
        if status in _NO_SUCH_ITEM:
            problem, retry_after = FetchProblem.NOT_FOUND, None
        elif status == _TOO_MANY_REQUESTS or (status == _SERVICE_UNAVAILABLE and retry_after is not None):
            problem = FetchProblem.THROTTLED
        elif status < 400:
            problem, retry_after = FetchProblem.MALFORMED, None  # a redirect, or half an answer
        else:
            problem, retry_after = FetchProblem.UNAVAILABLE, None
        later = "" if retry_after is None else f", to be asked again in {retry_after:.0f} seconds"
        raise FetchError(
            f"{where}: got HTTP status {status}{later}, expected 200", problem=problem, retry_after=retry_after
        )

    def _retry_after(self, answer: HttpAnswer) -> float | None:
        """Read Retry-After (RFC 9110 10.2.3): seconds or a date."""
        text = answer.headers.get("retry-after", "").strip()
        if _SECONDS.fullmatch(text):
            seconds = float(text)
        else:
            try:
                date = parsedate_to_datetime(text)
                seconds = (date.replace(tzinfo=date.tzinfo or UTC) - self._now()).total_seconds()
            except (ValueError, TypeError, IndexError, OverflowError):
                return None
        return min(max(seconds, 0.0), self.limits.retry_after_seconds)

    def _seconds_to_wait(self, failed: FetchError, pause: float) -> float | None:
        """Give how long to wait before asking again; None where that is of no use now."""
        if failed.problem is FetchProblem.UNAVAILABLE:
            return pause
        if failed.problem is not FetchProblem.THROTTLED or failed.retry_after is None:
            return None
        return failed.retry_after if failed.retry_after <= self.limits.longest_wait_seconds else None


def require_base_url(url: str) -> str:
    """Give the base URL of a service, without a slash at the end.

    Raises:
        ConfigurationError: not `https`, or with user, query or fragment.
    """
    parts = _split(url)
    if parts.scheme != "https" or "?" in url or "#" in url or not _TARGET.fullmatch(parts.path or "/"):
        raise ConfigurationError(f"{_place(parts)}: expected the base URL of a service, https://host[:port][/path]")
    return f"https://{_authority(parts.netloc)}{parts.path.rstrip('/')}"


def host_of(url: str) -> str:
    """Give `host` or `host:port` of a URL."""
    return _authority(_split(url).netloc)


def _authority(text: str) -> str:
    match = _HOST.fullmatch(text)
    port = int(match["port"] or _HTTPS_PORT) if match is not None else -1
    if match is None or not 0 < port <= 0xFFFF:
        raise ConfigurationError(f"host {text[:64]!r}: expected a name or address, and perhaps a port up to 65535")
    host = match["host"].lower()
    return host if port == _HTTPS_PORT else f"{host}:{port}"


def _split(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError as error:
        raise ConfigurationError(f"URL {url[:_LONGEST_PLACE]!r}: {error}") from error


def _place(parts: SplitResult) -> str:
    return f"URL {parts.scheme}://{parts.netloc}{parts.path}"[:_LONGEST_PLACE]


def _trust(context: ssl.SSLContext, ca: str | Path | bytes | None) -> None:
    try:
        if ca is None:
            context.load_default_certs()
        else:
            pem = ca if isinstance(ca, bytes) else Path(ca).read_bytes()
            context.load_verify_locations(cadata=pem.decode("ascii"))
    except (OSError, ValueError) as error:
        name = "the given bytes" if isinstance(ca, bytes) else ca
        raise ConfigurationError(f"CA certificates of a source, {name}: {error}") from error


def _connection_module() -> ModuleType:
    try:
        return importlib.import_module("rats_tls.endorsements.https_connection")
    except ImportError as error:
        raise UnsupportedError(f"fetching Endorsements needs the extra '{_EXTRA}' (urllib3): {error}") from error
