"""TLS sessions back to back in memory, and scripted peers over the standard library's `ssl`."""

from __future__ import annotations

import contextlib
import ssl
import tempfile
from dataclasses import replace
from pathlib import Path

from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)

from rats_tls.core.algorithms import KeyAlgorithm
from rats_tls.core.tls import TlsConfig, TlsSession, TlsWrapper
from rats_tls.tls_wrappers.openssl import OpensslTlsWrapper
from support.channels import Cut, certificate, key, whole


def config(
    role: str,
    *,
    algorithm: KeyAlgorithm = KeyAlgorithm.EC_P256,
    size: int = 5000,
    serial: int = 1,
    present: bool = True,
    mutual: bool = True,
    alpn: tuple[str, ...] = (),
    allow_tls12: bool = False,
) -> TlsConfig:
    return TlsConfig(
        role=role,
        certificate=certificate(algorithm, size=size, serial=serial) if present else None,
        private_key=key(algorithm).pkcs8() if present else None,
        request_peer_certificate=role == "server" and mutual,
        alpn=alpn,
        allow_tls12=allow_tls12,
    )


def sessions(tls: TlsWrapper, client: TlsConfig, server: TlsConfig) -> tuple[TlsSession, TlsSession]:
    """Both ends by `tls`: one way where its servers demand no certificate, with another's client where it has none."""
    if not tls.capabilities.mutual_server:
        server = replace(server, request_peer_certificate=False)
    clients = tls if tls.capabilities.clients else OpensslTlsWrapper()
    return clients.context(client).session(), tls.context(server).session()


def pump(a: TlsSession, b: TlsSession, cut: Cut = whole) -> None:
    """Pass what is due between both, once each way."""
    for source, target in ((a, b), (b, a)):
        for piece in cut(source.data_to_send()):
            target.receive_from_wire(piece)


def handshake(client: TlsSession, server: TlsSession, cut: Cut = whole) -> None:
    """Shake hands, going on after every piece."""
    client.handshake()
    for _ in range(10):
        for source, target in ((client, server), (server, client)):
            for piece in cut(source.data_to_send()):
                target.receive_from_wire(piece)
                target.handshake()
        if client.handshake() & server.handshake():
            return
    raise AssertionError("handshake does not complete")


def roles(tls: TlsWrapper) -> tuple[str, ...]:
    """The roles that `tls` can play."""
    return ("client", "server") if tls.capabilities.clients else ("server",)


def connected(tls: TlsWrapper, **more: object) -> tuple[TlsSession, TlsSession]:
    client, server = sessions(tls, config("client", **more), config("server", **more, serial=2))
    handshake(client, server)
    pump(client, server)
    return client, server


def read_exactly(session: TlsSession, size: int) -> bytes:
    """All that is there, which must be `size` bytes."""
    out = bytearray()
    while (data := session.read(65_536)) is not None and data:
        out += data
    assert len(out) == size
    return bytes(out)


class StdlibPeer:
    """A peer over the standard library's `ssl`: another build of OpenSSL, without any of our code.

    Args:
        server_side: its role.
        serial: serial number of the certificate that it presents, or None for none.
        alpn: protocols it offers or takes; C rats-tls peers know none.
        maximum: highest TLS version.
        session: a session to resume.
        context: a context to reuse.
    """

    def __init__(
        self,
        *,
        server_side: bool,
        serial: int | None = 9,
        alpn: tuple[str, ...] = (),
        maximum: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3,
        session: ssl.SSLSession | None = None,
        context: ssl.SSLContext | None = None,
    ) -> None:
        self.context = context or self._make_context(server_side, serial, alpn, maximum)
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = self.context.wrap_bio(self._in, self._out, server_side=server_side, session=session)
        self.handshaken = False

    @staticmethod
    def _make_context(
        server_side: bool, serial: int | None, alpn: tuple[str, ...], maximum: ssl.TLSVersion
    ) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server_side else ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.maximum_version = maximum
        if alpn:
            context.set_alpn_protocols(list(alpn))
        if serial is not None:
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder, "peer.pem")
                pem = load_der_private_key(key(KeyAlgorithm.EC_P256).pkcs8(), None).private_bytes(
                    Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
                )
                path.write_bytes(pem + ssl.DER_cert_to_PEM_cert(certificate(serial=serial)).encode())
                context.load_cert_chain(path)
        return context

    def feed(self, data: bytes) -> None:
        if data:
            self._in.write(data)

    def advance(self) -> None:
        """Go on with the handshake. Raises ssl.SSLError."""
        if not self.handshaken:
            with contextlib.suppress(ssl.SSLWantReadError):
                self.tls.do_handshake()
                self.handshaken = True

    def output(self) -> bytes:
        return self._out.read()

    def read(self) -> bytes | None:
        try:
            return self.tls.read(65_536)
        except ssl.SSLWantReadError:
            return None
