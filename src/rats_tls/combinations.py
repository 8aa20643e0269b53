"""Refuses combinations of TLS wrapper, crypto wrapper and settings that cannot work, and names the nearest that can."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from rats_tls import registry
from rats_tls.core.algorithms import KeyAlgorithm
from rats_tls.core.errors import ConfigurationError, RatsTlsError
from rats_tls.core.interfaces import CryptoCapabilities, CryptoWrapper
from rats_tls.core.tls import TlsCapabilities, TlsWrapper


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What one side's settings need of its TLS and crypto wrappers.

    Attributes:
        key_algorithm: of its TLS key, or None where it presents no certificate.
        client: it is a client.
        mutual_server: it is a server that demands its clients' certificates.
        preamble: it demands the preamble, which ALPN negotiates.
        memory: its connections are made in memory.
        tls12: it allows TLS 1.2.
        judges: it verifies its peer's Evidence.
    """

    key_algorithm: KeyAlgorithm | None = None
    client: bool = False
    mutual_server: bool = False
    preamble: bool = False
    memory: bool = False
    tls12: bool = False
    judges: bool = False


def require_combination(needs: Needs, tls: TlsWrapper, crypto: CryptoWrapper) -> None:
    """Require that both wrappers do what is needed of them.

    Raises:
        ConfigurationError: one does not; the message says what it lacks, and the nearest combination that works.
    """
    lacking = tuple(_lacks_of_tls(needs, tls.capabilities))
    if lacking:
        nearest = _nearest_for_tls(needs, tls, crypto)
        raise ConfigurationError(f"TLS wrapper {tls.name} {' and '.join(lacking)}; {nearest}")
    lacking = tuple(_lacks_of_crypto(needs, crypto.capabilities))
    if lacking:
        nearest = _nearest_for_crypto(needs, tls, crypto)
        raise ConfigurationError(f"crypto wrapper {crypto.name} {' and '.join(lacking)}; {nearest}")


def _lacks_of_tls(needs: Needs, able: TlsCapabilities) -> Iterator[str]:
    if needs.key_algorithm is not None and able.encrypts and needs.key_algorithm not in able.key_algorithms:
        yield f"presents no {needs.key_algorithm.value} keys"
    if needs.client and not able.clients:
        yield "does no clients"
    if needs.mutual_server and not able.mutual_server:
        yield "cannot demand a client's certificate, which a server with a policy must"
    if needs.preamble and able.encrypts and not able.alpn:
        yield "has no ALPN, without which there is no preamble"
    if needs.memory and not able.memory:
        yield "makes no connections in memory"
    if needs.tls12 and not able.tls12:
        yield "offers no TLS 1.2 with extended master secret"


def _lacks_of_crypto(needs: Needs, able: CryptoCapabilities) -> Iterator[str]:
    if needs.key_algorithm is not None and needs.key_algorithm not in able.generates:
        yield f"makes no {needs.key_algorithm.value} keys"
    elif needs.key_algorithm is not None and needs.key_algorithm not in able.certificates:
        yield f"makes no certificates for {needs.key_algorithm.value} keys"
    if needs.judges and not able.verifies:
        yield "verifies nothing"


def _works(needs: Needs, tls: TlsCapabilities, crypto: CryptoCapabilities) -> bool:
    return not any(_lacks_of_tls(needs, tls)) and not any(_lacks_of_crypto(needs, crypto))


def _nearest_for_tls(needs: Needs, tls: TlsWrapper, crypto: CryptoWrapper) -> str:
    """Name another key algorithm for the same wrapper, else the first other wrapper that does it all."""
    other_key = _other_key(needs, tls, crypto)
    if other_key is not None:
        return f"key_algorithm {other_key.value} works"
    for name in registry.BUILT_IN["tls_wrappers"]:
        other = _made(name) if name not in (tls.name, "null") else None
        if other is not None and _works(needs, other.capabilities, crypto.capabilities):
            return f"the nearest that does: tls={name!r}"
    return "no TLS wrapper that is installed does"


def _nearest_for_crypto(needs: Needs, tls: TlsWrapper, crypto: CryptoWrapper) -> str:
    other_key = _other_key(needs, tls, crypto)
    if other_key is not None:
        return f"key_algorithm {other_key.value} works"
    for name in registry.BUILT_IN["crypto_wrappers"]:
        if name not in (crypto.name, "null"):
            try:
                other = registry.crypto_wrapper(name)
            except RatsTlsError:
                continue
            if _works(needs, tls.capabilities, other.capabilities):
                return f"the nearest that does: crypto={name!r}"
    return "no crypto wrapper that is installed does"


def _other_key(needs: Needs, tls: TlsWrapper, crypto: CryptoWrapper) -> KeyAlgorithm | None:
    if needs.key_algorithm is None:
        return None
    for algorithm in KeyAlgorithm:
        if algorithm is not needs.key_algorithm and _works(
            replace(needs, key_algorithm=algorithm), tls.capabilities, crypto.capabilities
        ):
            return algorithm
    return None


def _made(name: str) -> TlsWrapper | None:
    try:
        return registry.tls_wrapper(name)
    except RatsTlsError:
        return None
