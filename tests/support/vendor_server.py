"""A real HTTPS server on loopback that answers as a test says, whatever it is."""

from __future__ import annotations

import contextlib
import functools
import ipaddress
import socket
import ssl
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from support.intel_pki import name_of


@dataclass(frozen=True, kw_only=True)
class Reply:
    """An answer: status, headers, body; `raw` stands for all of it."""

    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    raw: Callable[[socket.socket], None] | None = None


@dataclass
class VendorServer:
    """A server that gives `replies` by path with query, and `default` for any other; it notes what it was asked."""

    port: int = 0
    replies: dict[str, Reply] = field(default_factory=dict)
    default: Reply | Callable[[str], Reply] = Reply(status=404)
    asked: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Its base URL."""
        return f"https://localhost:{self.port}"

    @property
    def host(self) -> str:
        """Its host and port."""
        return f"localhost:{self.port}"

    def reply_to(self, target: str) -> Reply:
        """Choose the answer."""
        if target in self.replies:
            return self.replies[target]
        return self.default if isinstance(self.default, Reply) else self.default(target)


def server_identity(name: str = "localhost") -> tuple[bytes, bytes]:
    """Give a self-signed certificate for `name` and 127.0.0.1 and its key, PEM; the same each time."""
    return _made(name)


@functools.cache
def _made(name: str) -> tuple[bytes, bytes]:
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)
    names = x509.SubjectAlternativeName([x509.DNSName(name), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name_of(name))
        .issuer_name(name_of(name))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return certificate.public_bytes(Encoding.PEM), private


@contextlib.contextmanager
def vendor_server(name: str = "localhost") -> Iterator[VendorServer]:
    """Serve on a free port until the block ends."""
    vendor = VendorServer()

    class Handler(BaseHTTPRequestHandler):
        timeout = 10

        def do_GET(self) -> None:
            vendor.asked.append(self.path)
            vendor.headers.append(dict(self.headers.items()))
            reply = vendor.reply_to(self.path)
            self.close_connection = True
            with contextlib.suppress(OSError):
                if reply.raw is not None:
                    reply.raw(self.connection)
                    return
                self.send_response(reply.status)
                for header, value in reply.headers:
                    self.send_header(header, value)
                if not any(header.lower() in ("content-length", "transfer-encoding") for header, _ in reply.headers):
                    self.send_header("Content-Length", str(len(reply.body)))
                self.end_headers()
                self.wfile.write(reply.body)

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def get_request(self) -> tuple[socket.socket, object]:
            raw, address = self.socket.accept()
            raw.settimeout(10)
            return context.wrap_socket(raw, server_side=True, do_handshake_on_connect=False), address

        def handle_error(self, *_: object) -> None:
            pass

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate, key = server_identity(name)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "identity.pem"
        path.write_bytes(certificate + key)
        context.load_cert_chain(path)
    server = Server(("127.0.0.1", 0), Handler)
    vendor.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield vendor
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
