"""Tries each TLS wrapper on first use in a process, and lets it declare only what it has shown.

A wrapper's declarations are of the library that it was written for; the one that is installed may be another build
or release. A trial is a handful of handshakes in memory, both ends by the wrapper, or the client's by the default one
where the wrapper does no clients (docs/tls-and-crypto.md).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from typing import NoReturn, TypeVar

from rats_tls import registry
from rats_tls.core.algorithms import KeyAlgorithm
from rats_tls.core.errors import ConfigurationError, NoInstanceError, RatsTlsError, TlsError
from rats_tls.core.interfaces import CertificateRequest
from rats_tls.core.tls import TlsCapabilities, TlsConfig, TlsContext, TlsSession, TlsWrapper

ORDINARY = 5_000
"""Bytes of a certificate with Evidence of common size."""
_PRECISION = 256
_ROUNDS = 12
_ALPN = "rats-tls/1"
_LABEL = "EXPERIMENTAL-rats-tls-self-test"
_PADDING_OID = "1.3.6.1.4.1.99999.1"
_BY_COST = (KeyAlgorithm.EC_P256, KeyAlgorithm.ED25519, KeyAlgorithm.EC_P384, KeyAlgorithm.RSA_3072)

_T = TypeVar("_T")
_Key = tuple[type, str, str, TlsCapabilities]
_Credentials = tuple[bytes, bytes]


class TriedTlsWrapper:
    """A TLS wrapper that has been tried here.

    Args:
        tls: the wrapper.
        capabilities: what it has shown.
    """

    def __init__(self, tls: TlsWrapper, capabilities: TlsCapabilities) -> None:
        self._tls = tls
        self._capabilities = capabilities

    @property
    def name(self) -> str:
        """Instance name."""
        return self._tls.name

    @property
    def version(self) -> str:
        """Version of the library underneath."""
        return self._tls.version

    @property
    def capabilities(self) -> TlsCapabilities:
        """What it declares and has shown."""
        return self._capabilities

    def context(self, config: TlsConfig) -> TlsContext:
        """Load `config`. Raises ConfigurationError; also for a certificate larger than has passed here."""
        able = self._capabilities
        if config.certificate is not None and len(config.certificate) > able.largest_certificate:
            advice = f"; {able.larger_certificates}" if able.larger_certificates else ""
            raise ConfigurationError(
                f"TLS certificate: got {len(config.certificate)} bytes, expected at most {able.largest_certificate}, "
                f"which is what TLS wrapper {self.name} takes here{advice}"
            )
        return self._tls.context(config)


_shown: dict[_Key, TlsCapabilities | NoInstanceError] = {}
_lock = threading.Lock()


def tried(tls: TlsWrapper) -> TlsWrapper:
    """Give `tls` with the capabilities that it has shown in this process; it is tried on first use.

    Raises:
        NoInstanceError: it fails where no TLS wrapper may: in a handshake with certificates of ordinary size, by
            taking what was changed on the wire or a client without certificate, or by resuming a session.
    """
    if isinstance(tls, TriedTlsWrapper) or not tls.capabilities.encrypts:
        return tls
    key = (type(tls), tls.name, tls.version, tls.capabilities)
    with _lock:
        found = _shown.get(key)
        if found is None:
            try:
                found = _Trial(tls).capabilities()
            except NoInstanceError as error:
                found = error
            _shown[key] = found
    if isinstance(found, NoInstanceError):
        raise NoInstanceError(found.message)
    return TriedTlsWrapper(tls, found)


@dataclass(frozen=True, slots=True)
class _Connected:
    """Both ends of one connection in memory."""

    client: TlsSession
    server: TlsSession


@dataclass(frozen=True, slots=True)
class _Ends:
    """Settings of both ends."""

    client: TlsContext
    server: TlsContext

    def connected(self, *, changed_for: str = "") -> _Connected:
        """Shake hands in memory, and exchange a byte each way.

        Args:
            changed_for: the side whose peer's last flight is changed on its way.

        Raises:
            RatsTlsError: it failed.
        """
        client, server = self.client.session("self-test.invalid"), self.server.session()
        done = False
        for _ in range(_ROUNDS):
            ready = client.handshake()
            server.receive_from_wire(_changed(client.data_to_send(), ready and changed_for == "server"))
            accepted = server.handshake()
            done = ready and accepted
            if done:
                break
            client.receive_from_wire(_changed(server.data_to_send(), changed_for == "client"))
        if not done:
            raise TlsError(f"the handshake is not complete after {_ROUNDS} rounds")
        server.write(b"s")
        client.receive_from_wire(server.data_to_send())
        client.write(b"c")
        server.receive_from_wire(client.data_to_send())
        if (client.read(2), server.read(2)) != (b"s", b"c"):
            raise TlsError("what one end wrote is not what the other read")
        return _Connected(client, server)


class _Trial:
    """One trial of one wrapper."""

    def __init__(self, tls: TlsWrapper) -> None:
        self._tls = tls
        self._declared = tls.capabilities
        self._clients = tls if tls.capabilities.clients else registry.tls_wrapper("openssl")
        self._algorithm = next((each for each in _BY_COST if each in self._declared.key_algorithms), None)

    def capabilities(self) -> TlsCapabilities:
        """Give what the wrapper declares and has shown. Raises NoInstanceError."""
        # 1. Handshakes with certificates of ordinary size, two over the same settings: nothing is resumed.
        ends = self._ends(ORDINARY)
        first = self._must("shake hands", ends.connected)
        second = self._must("shake hands again", ends.connected)
        if second.client.resumed or second.server.resumed:
            self._fails("its second connection resumed the session of the first")
        # 2. Each side refuses what was changed on the wire, and a server a client without certificate.
        for side in self._sides():
            self._must_refuse(f"its {side} took a changed handshake", ends, changed_for=side)
        if self._declared.mutual_server:
            self._must_refuse("its server took a client without certificate", self._ends(ORDINARY, bare_client=True))
        # 3. What it has or lacks.
        return replace(
            self._declared,
            alpn=self._declared.alpn and first.client.alpn == first.server.alpn == _ALPN,
            exporter_with_context=self._declared.exporter_with_context and _exports(first, second),
            largest_certificate=self._largest(),
        )

    def _sides(self) -> tuple[str, ...]:
        """The sides of a changed handshake that are this wrapper's."""
        return ("client", "server") if self._declared.clients else ("server",)

    def _largest(self) -> int:
        """Give the size of the largest certificate that passes: to within 256 bytes where it is not the declared."""
        fits, fails = ORDINARY, self._declared.largest_certificate
        if self._passes(fails):
            return fails
        while fails - fits > _PRECISION:
            middle = (fits + fails) // 2
            fits, fails = (middle, fails) if self._passes(middle) else (fits, middle)
        return fits

    def _passes(self, size: int) -> bool:
        try:
            self._ends(size).connected()
        except RatsTlsError:
            return False
        return True

    def _ends(self, size: int, *, bare_client: bool = False) -> _Ends:
        if self._algorithm is None:
            self._fails("it presents no kind of key that this trial can make")
        credentials = _credentials(self._algorithm, size)
        mutual = self._declared.mutual_server
        alpn = (_ALPN,) if self._declared.alpn else ()
        certificate, private_key = credentials if mutual and not bare_client else (None, None)

        def load() -> _Ends:
            return _Ends(
                client=self._clients.context(
                    TlsConfig(
                        role="client",
                        certificate=certificate,
                        private_key=private_key,
                        request_peer_certificate=False,
                        alpn=alpn,
                    )
                ),
                server=self._tls.context(
                    TlsConfig(
                        role="server",
                        certificate=credentials[0],
                        private_key=credentials[1],
                        request_peer_certificate=mutual,
                        alpn=alpn,
                    )
                ),
            )

        return self._must(f"load a certificate of {size} bytes", load) if size == ORDINARY else load()

    def _must(self, doing: str, attempt: Callable[[], _T]) -> _T:
        try:
            return attempt()
        except Exception as error:  # noqa: BLE001  # whatever a wrapper raises
            self._fails(f"it cannot {doing}: {error}", error)

    def _must_refuse(self, otherwise: str, ends: _Ends, *, changed_for: str = "") -> None:
        try:
            ends.connected(changed_for=changed_for)
        except RatsTlsError:
            return
        except Exception as error:  # noqa: BLE001  # whatever a wrapper raises
            self._fails(f"{type(error).__name__} where a TlsError was due: {error}", error)
        self._fails(otherwise)

    def _fails(self, why: str, cause: Exception | None = None) -> NoReturn:
        raise NoInstanceError(
            f"TLS wrapper {self._tls.name} ({self._tls.version}) fails its self-test: {why}"
        ) from cause


def _changed(data: bytes | bytearray, change: bool) -> bytes | bytearray:
    """Give `data`, with its last bit changed where asked: that of the last record's authentication tag."""
    return data[:-1] + bytes([data[-1] ^ 1]) if change and data else data


def _exports(one: _Connected, other: _Connected) -> bool:
    """Whether both ends export the same, and another context or connection gives something else."""
    try:
        values = [
            end.exporter(_LABEL, context, 32)
            for end in (one.client, one.server, other.client)
            for context in (b"a", b"b")
        ]
    except RatsTlsError:
        return False
    return values[:2] == values[2:4] and len(set(values)) == 4


@cache
def _credentials(algorithm: KeyAlgorithm, size: int) -> _Credentials:
    """Make a certificate of `size` bytes (a few less for signatures of varying length), and its key."""
    crypto = registry.crypto_wrapper("openssl")
    key = crypto.generate_key(algorithm)

    def made(padding: int) -> bytes:
        return crypto.self_signed_certificate(
            key,
            CertificateRequest(
                organization="rats-tls",
                common_name="self-test",
                serial=1,
                not_before=datetime(2020, 1, 1, tzinfo=UTC),  # no clock is needed: nobody judges it
                not_after=datetime(2049, 12, 31, tzinfo=UTC),
                extensions=((_PADDING_OID, bytes(padding)),),
            ),
        )

    padding = size - len(made(size)) + size
    while len(certificate := made(padding)) > size:
        padding -= 1
    return certificate, key.pkcs8()
