"""One trial of a TLS wrapper: handshakes in memory, good ones and such as must be refused (docs/tls-and-crypto.md)."""

from __future__ import annotations

import contextlib
import importlib
import ssl
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from typing import NoReturn, TypeVar, cast

from rats_tls import registry
from rats_tls.core.algorithms import KeyAlgorithm
from rats_tls.core.errors import NoInstanceError, RatsTlsError, TlsError
from rats_tls.core.interfaces import CertificateRequest, PrivateKey
from rats_tls.core.tls import (
    AlertingTlsSession,
    Role,
    TlsCapabilities,
    TlsConfig,
    TlsContext,
    TlsSession,
    TlsWrapper,
)
from rats_tls.crypto_wrappers.trial_key import rsa_trial_key

ORDINARY = 5_000
"""Bytes of a certificate with Evidence of common size."""
_PRECISION = 256
_ROUNDS = 12
_ALPN = "rats-tls/1"
_LABEL = "EXPERIMENTAL-rats-tls-self-test"
_PADDING_OID = "1.3.6.1.4.1.99999.1"
_BY_COST = (KeyAlgorithm.EC_P256, KeyAlgorithm.ED25519, KeyAlgorithm.EC_P384, KeyAlgorithm.RSA_3072)

_T = TypeVar("_T")
_Credentials = tuple[bytes, bytes]


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


class Trial:
    """One trial of one wrapper."""

    def __init__(self, tls: TlsWrapper) -> None:
        self._tls = tls
        self._declared = tls.capabilities
        self._default = registry.tls_wrapper("openssl")
        self._key = next((key for key in _BY_COST if key in self._declared.key_algorithms), None)

    def capabilities(self) -> TlsCapabilities:
        """Give what the wrapper declares and has shown. Raises NoInstanceError."""
        # 1. Handshakes with certificates of ordinary size, two over the same settings: nothing is resumed.
        ends = self._must(f"load a certificate of {ORDINARY} bytes", lambda: self._ends(ORDINARY))
        first = self._must("shake hands", ends.connected)
        second = self._must("shake hands again", ends.connected)
        if second.client.resumed or second.server.resumed:
            self._fails("its second connection resumed the session of the first")
        # 2. What was changed on the wire, a client without certificate, and certificates whose keys the peer does not
        #    hold are refused; each side gives the certificate that the other presented.
        for side in self._sides():
            self._must_refuse(f"its {side} took a changed handshake", ends, changed_for=side)
        if self._declared.mutual_server:
            self._must_refuse("its server took a client without certificate", self._ends(ORDINARY, bare_client=True))
        self._require_certificates(first)
        self._refuse_forgers()
        # 3. What it has or lacks.
        keys = frozenset(key for key in self._declared.key_algorithms if key is self._key or self._presents(key))
        return replace(
            self._declared,
            alpn=self._declared.alpn and first.client.alpn == first.server.alpn == _ALPN,
            exporter_with_context=self._declared.exporter_with_context and _exports(first, second),
            chosen_alerts=self._declared.chosen_alerts and _sends_alert(second),
            tls12=self._declared.tls12 and self._speaks_tls12(),
            key_algorithms=keys,
            largest_certificate=self._largest(),
        )

    def _require_certificates(self, connected: _Connected) -> None:
        presented = self._credentials(self._key, ORDINARY)[0]
        if self._declared.clients and connected.client.peer_certificate != presented:
            self._fails("its client gives another certificate than the server presented")
        expected = presented if self._declared.mutual_server else None
        if connected.server.peer_certificate != expected:
            self._fails("its server gives another certificate than the client presented")

    def _refuse_forgers(self) -> None:
        """Require that each side that is given certificates refuses one whose key the peer does not hold."""
        # Loaded here: `doctor` tells what is wrong where the default wrapper's library does not load.
        forger: TlsWrapper = importlib.import_module("rats_tls.tls_wrappers.openssl_forger").ForgingTlsWrapper()
        for side, is_given in (("client", self._declared.clients), ("server", self._declared.mutual_server)):
            if is_given:
                honest, forged = (
                    self._ends(
                        ORDINARY,
                        key=KeyAlgorithm.EC_P256,
                        client=peer if side == "server" else None,
                        server=peer if side == "client" else None,
                    )
                    for peer in (self._default, forger)
                )
                self._must(f"shake hands as a {side} with the default wrapper", honest.connected)
                self._must_refuse(f"its {side} took a certificate whose key the peer does not hold", forged)

    def _presents(self, key: KeyAlgorithm) -> bool:
        try:
            self._ends(ORDINARY, key=key).connected()
        except Exception:  # noqa: BLE001  # whatever a wrapper raises
            return False
        return True

    def _speaks_tls12(self) -> bool:
        """Whether its server speaks TLS 1.2 to a client that knows no other: Python's own."""
        try:
            return _tls12_version(self._tls.context(self._config("server", self._key, demands=False, tls12=True)))
        except Exception:  # noqa: BLE001  # whatever a wrapper raises
            return False

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
        except Exception:  # noqa: BLE001  # whatever a wrapper raises
            return False
        return True

    def _ends(
        self,
        size: int,
        *,
        key: KeyAlgorithm | None = None,
        bare_client: bool = False,
        client: TlsWrapper | None = None,
        server: TlsWrapper | None = None,
    ) -> _Ends:
        """Load the settings of both ends, each by this wrapper where no other is given."""
        mutual = (server or self._tls).capabilities.mutual_server
        chosen = key or self._key
        return _Ends(
            client=(client or (self._tls if self._declared.clients else self._default)).context(
                self._config("client", chosen if mutual and not bare_client else None, size)
            ),
            server=(server or self._tls).context(self._config("server", chosen, size, demands=mutual)),
        )

    def _config(
        self, role: Role, key: KeyAlgorithm | None, size: int = ORDINARY, *, demands: bool = False, tls12: bool = False
    ) -> TlsConfig:
        certificate, private_key = (None, None) if key is None and role == "client" else self._credentials(key, size)
        return TlsConfig(
            role=role,
            certificate=certificate,
            private_key=private_key,
            request_peer_certificate=demands,
            alpn=(_ALPN,) if self._declared.alpn else (),
            allow_tls12=tls12,
        )

    def _credentials(self, key: KeyAlgorithm | None, size: int) -> _Credentials:
        if key is None:
            self._fails("it presents no kind of key that this trial can make")
        return _credentials(key, size)

    def _must(self, doing: str, attempt: Callable[[], _T]) -> _T:
        try:
            return attempt()
        except NoInstanceError:
            raise
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


def _sends_alert(connected: _Connected) -> bool:
    """Whether the client's end sends the very alert that it is told to."""
    try:
        cast("AlertingTlsSession", connected.client).alert("access_denied")
        connected.server.receive_from_wire(connected.client.data_to_send())
        connected.server.read(1)
    except TlsError as error:
        return error.peer_alert == "access_denied"
    except Exception:  # noqa: BLE001  # whatever a wrapper raises
        return False
    return False


def _tls12_version(context: TlsContext) -> bool:
    """Whether a server speaks TLS 1.2 with Python's own client."""
    settings = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    settings.check_hostname = False
    settings.verify_mode = ssl.CERT_NONE
    settings.maximum_version = ssl.TLSVersion.TLSv1_2
    to_client, to_server, server = ssl.MemoryBIO(), ssl.MemoryBIO(), context.session()
    client = settings.wrap_bio(to_client, to_server)
    for _ in range(_ROUNDS):
        with contextlib.suppress(ssl.SSLWantReadError):
            client.do_handshake()
        server.receive_from_wire(to_server.read())
        done = server.handshake()
        to_client.write(server.data_to_send())
        if done:
            return server.facts().version == "TLSv1.2"
    return False


@cache
def _credentials(algorithm: KeyAlgorithm, size: int) -> _Credentials:
    """Make a certificate of `size` bytes (a few less for signatures of varying length), and its key.

    Raises:
        RatsTlsError: no crypto wrapper makes such keys here.
    """
    crypto = registry.crypto_wrapper("gm" if algorithm is KeyAlgorithm.SM2 else "openssl")
    key: PrivateKey = rsa_trial_key() if algorithm is KeyAlgorithm.RSA_3072 else crypto.generate_key(algorithm)

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
