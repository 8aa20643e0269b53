"""One HTTPS request over urllib3 whose every step ends at a deadline. `http.py` imports this on use.

Timeouts of sockets count from one byte to the next, so that a server which trickles never meets them. Here each receipt
gets only what is left until the deadline.
"""

from __future__ import annotations

import http.client
import math
import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import urllib3.connection
import urllib3.exceptions

from rats_tls.core.limits import FetchLimits

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_OK = 200


class ExchangeError(Exception):
    """No answer, or none that can be used.

    Attributes:
        answered: whether the server answered, in a form that is no answer; else it was not reached or broke off.
    """

    def __init__(self, text: str, *, answered: bool) -> None:
        super().__init__(text)
        self.answered = answered


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpAnswer:
    """An answer.

    Attributes:
        status: HTTP status.
        headers: by lower-case name; the values of one that is repeated are joined by a comma and a space.
        body: the body; empty unless the status is 200.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes


class _TooManyBytesError(OSError):
    pass


class _BoundedSocket(ssl.SSLSocket):
    """A TLS socket that receives until a deadline and up to a number of bytes.

    Attributes:
        deadline: of the monotonic clock.
        allowance: bytes that may still come.
    """

    deadline: float = math.inf
    allowance: float = math.inf

    def recv_into(self, buffer: WriteableBuffer, nbytes: int | None = None, flags: int = 0) -> int:
        if self.deadline < math.inf:
            self.settimeout(_left(self.deadline))
        received = super().recv_into(buffer, nbytes, flags)
        self.allowance -= received
        if self.allowance < 0:
            raise _TooManyBytesError("more bytes than an answer may have")
        return received


class _BoundedConnection(urllib3.connection.HTTPSConnection):
    """A connection that is made within its limits, whatever number of addresses the host has."""

    def __init__(
        self, host: str, port: int, *, context: ssl.SSLContext, deadline: float, allowance: int, limits: FetchLimits
    ) -> None:
        super().__init__(host, port, ssl_context=context, timeout=limits.connect_seconds)
        self._deadline = deadline
        self._allowance = allowance
        self._limits = limits
        self._tls: _BoundedSocket | None = None

    def _new_conn(self) -> socket.socket:
        failed: OSError | None = None
        for family, kind, protocol, _, address in socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM):
            sock = socket.socket(family, kind, protocol)
            try:
                self._bound(sock)
                sock.connect(address)
                self._bound(sock)  # of the TLS handshake, which OpenSSL's wrapper counts as a whole
            except OSError as error:
                sock.close()
                failed = error
            else:
                return sock
        raise failed or OSError("the host has no address")

    def _bound(self, sock: socket.socket) -> None:
        sock.settimeout(min(self._limits.connect_seconds, _left(self._deadline)))

    def connect(self) -> None:
        super().connect()
        sock = self.sock
        if not isinstance(sock, _BoundedSocket):
            raise OSError(f"the connection is over {type(sock).__name__}, which has no deadline")
        self._tls = sock
        sock.deadline = self._deadline
        sock.allowance = self._allowance
        sock.settimeout(_left(self._deadline))

    def end(self) -> None:
        """Close the connection, also where a response that could not be read still holds the socket."""
        self.close()
        if self._tls is not None and self._tls.fileno() >= 0:
            socket.close(self._tls.detach())


def tls_context() -> ssl.SSLContext:
    """Make a context that verifies certificates and names, TLS 1.2 or later, and takes no setting from outside.

    It trusts nobody yet.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.sslsocket_class = _BoundedSocket
    return context


def exchange(
    host: str,
    port: int,
    target: str,
    headers: Mapping[str, str],
    *,
    context: ssl.SSLContext,
    most_bytes: int,
    deadline: float,
    limits: FetchLimits,
) -> HttpAnswer:
    """Send GET and receive the answer, over a connection of its own.

    Args:
        host: name or address; sent in Host and compared with the certificate.
        port: TCP port.
        target: path and query.
        headers: request headers besides Host.
        context: of `tls_context`.
        most_bytes: largest body.
        deadline: of the monotonic clock; all ends there, save name resolution, whose end is the system's to set.
        limits: for connecting and for headers.

    Raises:
        ExchangeError: no answer, or none that can be used.
    """
    allowance = most_bytes + limits.headers
    try:
        connection = _BoundedConnection(
            host, port, context=context, deadline=deadline, allowance=allowance, limits=limits
        )
        try:
            connection.request("GET", target, headers=headers, preload_content=False, decode_content=False)
            response = connection.getresponse()
            found = {name.lower(): response.headers[name] for name in response.headers}
            body = _body(response, found, most_bytes) if response.status == _OK else b""
            return HttpAnswer(status=response.status, headers=found, body=body)
        finally:
            connection.end()
    except ExchangeError:
        raise
    except (OSError, ValueError, http.client.HTTPException, urllib3.exceptions.HTTPError) as error:
        raise _explained(error, most_bytes) from error


def _body(response: urllib3.BaseHTTPResponse, headers: Mapping[str, str], most_bytes: int) -> bytes:
    coding = headers.get("content-encoding", "identity")
    if coding.strip().lower() != "identity":
        raise ExchangeError(f"got Content-Encoding {coding[:32]!r}, expected none", answered=True)
    body = response.read(most_bytes + 1)
    while len(body) <= most_bytes and (more := response.read(most_bytes + 1 - len(body))):
        body += more
    if len(body) > most_bytes:
        raise _TooManyBytesError("the body is too long")
    return body


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("timed out")
    return left


def _explained(error: BaseException, most_bytes: int) -> ExchangeError:
    """Tell by what lies under libraries' wrapping what went wrong."""
    causes = tuple(_causes(error))
    for cause in causes:
        if isinstance(cause, _TooManyBytesError):
            return ExchangeError(f"got more than {most_bytes} bytes, the most that are read", answered=True)
        if isinstance(cause, http.client.IncompleteRead | urllib3.exceptions.IncompleteRead):
            return ExchangeError("the answer is cut off", answered=True)
        if isinstance(cause, ssl.SSLCertVerificationError):
            return ExchangeError(f"the server's certificate: {cause.verify_message}", answered=False)
        if isinstance(cause, TimeoutError | urllib3.exceptions.TimeoutError):
            return ExchangeError("timed out", answered=False)
    network = next((cause for cause in causes if isinstance(cause, OSError)), None)
    if network is not None:
        return ExchangeError(f"the connection failed: {network}", answered=False)
    return ExchangeError(f"not an HTTP answer: {error}", answered=True)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__
