"""A web service on loopback: threads, TLS, faults, counts."""

from __future__ import annotations

import hashlib
import logging
import math
import socket
import ssl
import threading
import time
from abc import ABC, abstractmethod
from collections import Counter
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, Self

from rats_tls.core.errors import ConfigurationError
from rats_tls.simulation.services.certificate import HOST, ServiceCertificate
from rats_tls.simulation.services.faults import NO_FAULTS, Faults, ThrottleWindow
from rats_tls.simulation.services.messages import Request, Response

_log = logging.getLogger("rats_tls.simulation.services")
_MOST_CONNECTIONS = 64
_MOST_PATHS = 1024
_IDLE_SECONDS = 10.0
_END_SECONDS = 5.0
_POLL_SECONDS = 0.05


class WebService(ABC):
    """One web service on 127.0.0.1. Use it as a context manager, or `start` and `close` it. Thread-safe.

    Args:
        name: what it is called.
        certificate: for HTTPS; None is plain HTTP.
        port: 0 is any free one.

    Raises:
        ConfigurationError: the port cannot be had.
    """

    def __init__(self, name: str, *, certificate: ServiceCertificate | None, port: int = 0) -> None:
        self.name = name
        self._certificate = certificate
        # Holds the port while the service is down: a bound socket that does not listen refuses connections.
        self._reserved = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            self._reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._reserved.bind((HOST, port))
        except (OSError, OverflowError) as error:
            self._reserved.close()
            reason = error.strerror if isinstance(error, OSError) else error
            raise ConfigurationError(f"{name}: port {port}: {reason}") from error
        self.port: int = self._reserved.getsockname()[1]
        self._control = threading.RLock()
        self._counting = threading.Lock()
        self._answering = threading.Lock()
        self._requests: Counter[str] = Counter()
        self._listener: _Listener | None = None
        self._started = False
        self._set(NO_FAULTS)

    @abstractmethod
    def respond(self, request: Request, faults: Faults) -> Response:
        """Answer one request; called by one thread at a time."""

    @property
    def url(self) -> str:
        """Scheme, address and port, without a slash behind them."""
        return f"{'http' if self._certificate is None else 'https'}://{HOST}:{self.port}"

    @property
    def faults(self) -> Faults:
        """What is wrong with the service. Setting it takes effect with the next request, and begins all counts anew."""
        return self._faults

    @faults.setter
    def faults(self, faults: Faults) -> None:
        with self._control:
            self._set(faults)
            if self._started:
                self._listen()

    @property
    def requests(self) -> dict[str, int]:
        """How many requests there were by path, refused ones too. Paths beyond the first 1024 are counted as ""."""
        with self._counting:
            return dict(self._requests)

    def forget_requests(self) -> None:
        """Begin to count anew."""
        with self._counting:
            self._requests.clear()

    def start(self) -> None:
        """Listen, unless the service is down by its faults."""
        with self._control:
            self._started = True
            self._listen()

    def close(self) -> None:
        """End every connection and give the port back. Twice is as good as once."""
        with self._control:
            self._started = False
            self._end()
            self._reserved.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _set(self, faults: Faults) -> None:
        with self._counting:
            self._faults = faults
            self._left = math.inf if faults.times is None else faults.times
            self._window = None if faults.throttle is None else ThrottleWindow(faults.throttle)

    def _listen(self) -> None:
        """Make it so that the service listens if it shall."""
        if self._faults.down:
            self._end()
        elif self._listener is None:
            context = None if self._certificate is None else self._certificate.context
            self._listener = _Listener(self, self.port, context)

    def _end(self) -> None:
        if self._listener is not None:
            self._listener.end()
            self._listener = None

    def take(self, request: Request) -> tuple[Faults, int | None]:
        """Count a request. Returns the faults that concern it, and the seconds to wait where it is throttled."""
        with self._counting:
            known = request.path in self._requests or len(self._requests) < _MOST_PATHS
            self._requests[request.path if known else ""] += 1
            faults = self._faults
            if faults.only not in request.target or self._left <= 0:
                return NO_FAULTS, None
            self._left -= 1
            return faults, None if self._window is None else self._window.wait(time.monotonic())

    def answer(self, request: Request, faults: Faults) -> Response:
        """Answer a request that was taken."""
        if faults.status is not None:
            return Response(status=faults.status)
        with self._answering:
            return self.respond(request, faults)


class _Listener(HTTPServer):
    """Listens and serves, each connection in a thread of its own, until `end`."""

    request_queue_size = 64

    def __init__(self, service: WebService, port: int, context: ssl.SSLContext | None) -> None:
        self.service = service
        self.ending = threading.Event()
        self._context = context
        self._places = threading.BoundedSemaphore(_MOST_CONNECTIONS)
        self._lock = threading.Lock()
        self._open: dict[threading.Thread, socket.socket] = {}
        super().__init__((HOST, port), _Handler)
        self._thread = threading.Thread(target=self.serve_forever, args=(_POLL_SECONDS,), daemon=True)
        self._thread.start()

    def server_bind(self) -> None:
        """Bind, without looking the address up in DNS as the base class does."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401  # as in the base class
        """Serve a connection in a thread; beyond the most connections, close it."""
        if not self._places.acquire(blocking=False):
            self.shutdown_request(request)
            return
        thread = threading.Thread(target=self._serve, args=(request, client_address), daemon=True)
        with self._lock:
            self._open[thread] = request
        thread.start()

    def end(self) -> None:
        """Stop listening, end every connection and wait for its thread."""
        self.ending.set()
        self.shutdown()
        self._thread.join(_END_SECONDS)
        self.server_close()
        with self._lock:
            connections = dict(self._open)
            for connection in connections.values():
                _cut(connection)
        for thread in connections:
            thread.join(_END_SECONDS)

    def _serve(self, connection: socket.socket, client_address: Any) -> None:  # noqa: ANN401  # as in the base class
        try:
            connection.settimeout(_IDLE_SECONDS)
            if self._context is not None:
                connection = self._context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
                with self._lock:
                    self._open[threading.current_thread()] = connection
                    if self.ending.is_set():
                        return
                connection.do_handshake()
            self.finish_request(connection, client_address)
        except OSError as error:
            _log.debug("%s: connection ended: %s", self.service.name, error)
        finally:
            with self._lock:
                del self._open[threading.current_thread()]
            self.shutdown_request(connection)
            self._places.release()


def _cut(connection: socket.socket) -> None:
    try:
        # Of the base class: that of SSLSocket takes the TLS state from under the thread that uses it.
        socket.socket.shutdown(connection, socket.SHUT_RDWR)
    except OSError as error:
        _log.debug("connection is closed already: %s", error)


class _Handler(BaseHTTPRequestHandler):
    """Speaks HTTP over one connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else the body waits 40 ms for the receipt of the headers to be acknowledged
    server_version = "rats-tls-simulation"
    sys_version = ""
    timeout = _IDLE_SECONDS
    server: _Listener

    def do_GET(self) -> None:
        """Answer one request."""
        service = self.server.service
        try:
            request = Request.from_target(self.path)
        except ValueError:
            self._send(Response(status=400))
            return
        faults, wait = service.take(request)
        if wait is not None:
            self._send(Response(status=429, headers={"Retry-After": str(wait)}))
            return
        if faults.stall and self.server.ending.wait(faults.stall):
            self.close_connection = True
            return
        try:
            response = service.answer(request, faults)
        except Exception:  # noqa: BLE001  # the one who asked is told, and the log
            _log.exception("%s: %s", service.name, request.path)
            response = Response(status=500)
        self._send(response, faults)

    def _send(self, response: Response, faults: Faults = NO_FAULTS) -> None:
        body = response.body
        if faults.garbage:
            body = hashlib.shake_256(body).digest(len(body))
        self.send_response(response.status)
        for name, value in response.headers.items():
            self.send_header(name, value)
        if body:
            self.send_header("Content-Type", response.content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if faults.cut_off:
            self.close_connection = True
            body = body[: len(body) // 2]
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002, ANN401  # as in the base class
        """Write to the log, in place of standard error."""
        _log.debug("%s: " + format, self.server.service.name, *args)
