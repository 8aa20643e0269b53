"""Refuses combinations of TLS wrapper, crypto wrapper and settings that cannot work, and names the nearest that can."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal, overload

from rats_tls import registry
from rats_tls.core.algorithms import KeyAlgorithm
from rats_tls.core.errors import ConfigurationError, RatsTlsError
from rats_tls.core.interfaces import CryptoCapabilities, CryptoWrapper
from rats_tls.core.tls import TlsCapabilities, TlsWrapper
from rats_tls.tls_self_test import tried


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
        certificate: bytes of the certificate that it presents, once there is one; 0 without.
    """

    key_algorithm: KeyAlgorithm | None = None
    client: bool = False
    mutual_server: bool = False
    preamble: bool = False
    memory: bool = False
    tls12: bool = False
    judges: bool = False
    certificate: int = 0


def require_combination(needs: Needs, tls: TlsWrapper, crypto: CryptoWrapper) -> None:
    """Require that both wrappers do what is needed of them.

    Raises:
        ConfigurationError: one does not; the message says what it lacks, and the nearest combination that works.
    """
    lacking = _lacking(needs, tls, crypto)
    if lacking:
        raise ConfigurationError(f"{lacking}; {_nearest(needs, tls, crypto)}")


def require_some_role(roles: Mapping[str, Needs], tls: TlsWrapper, crypto: CryptoWrapper) -> None:
    """Require that both wrappers do what is needed of them in one role at least.

    Args:
        roles: what is needed, by role: of those that the settings allow.
        tls: the TLS wrapper.
        crypto: the crypto wrapper.

    Raises:
        ConfigurationError: they do not; the message says why in each role, and the nearest combination for the first.
    """
    lacking = {role: _lacking(needs, tls, crypto) for role, needs in roles.items()}
    if not lacking or not all(lacking.values()):
        return
    if len(set(lacking.values())) == 1:
        require_combination(next(iter(roles.values())), tls, crypto)
    reasons = "; ".join(f"as a {role}: {reason}" for role, reason in lacking.items())
    raise ConfigurationError(f"{reasons}; {_nearest(next(iter(roles.values())), tls, crypto)}")


def _lacking(needs: Needs, tls: TlsWrapper, crypto: CryptoWrapper) -> str:
    """Say what one of both lacks; "" where neither lacks anything."""
    reasons = " and ".join(_lacks_of_tls(needs, tls.capabilities))
    if reasons:
        return f"TLS wrapper {tls.name} {reasons}"
    reasons = " and ".join(_lacks_of_crypto(needs, crypto.capabilities))
    return f"crypto wrapper {crypto.name} {reasons}" if reasons else ""


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
    if needs.certificate > able.largest_certificate:
        advice = f" ({able.larger_certificates})" if able.larger_certificates else ""
        yield f"takes certificates of at most {able.largest_certificate} bytes here, not {needs.certificate}{advice}"


def _lacks_of_crypto(needs: Needs, able: CryptoCapabilities) -> Iterator[str]:
    if needs.key_algorithm is not None and needs.key_algorithm not in able.generates:
        yield f"makes no {needs.key_algorithm.value} keys"
    elif needs.key_algorithm is not None and needs.key_algorithm not in able.certificates:
        advice = f": {able.more_certificates}" if able.more_certificates else ""
        yield f"makes no certificates for {needs.key_algorithm.value} keys{advice}"
    if needs.judges and not able.verifies:
        yield "verifies nothing"


def _nearest(needs: Needs, tls: TlsWrapper, crypto: CryptoWrapper) -> str:
    """Name the combination that works with fewest changes, and the key algorithm that needs none."""
    other = _other_wrappers(needs, tls, crypto)
    key = _other_key(needs, tls, crypto)
    if other is not None and key is not None:
        return f"the nearest that does: {other}; here key_algorithm {key.value} works"
    if other is not None:
        return f"the nearest that does: {other}"
    return f"key_algorithm {key.value} works" if key is not None else "no wrapper that is installed does"


def _other_wrappers(needs: Needs, tls: TlsWrapper, crypto: CryptoWrapper) -> str | None:
    """Name another TLS wrapper, another crypto wrapper, or both."""
    for each in _others("tls_wrappers", tls.name):
        if not _lacking(needs, each, crypto):
            return f"tls={each.name!r}"
    for maker in _others("crypto_wrappers", crypto.name):
        if not _lacking(needs, tls, maker):
            return f"crypto={maker.name!r}"
    for each in _others("tls_wrappers", tls.name):
        for maker in _others("crypto_wrappers", crypto.name):
            if not _lacking(needs, each, maker):
                return f"tls={each.name!r}, crypto={maker.name!r}"
    return None


@overload
def _others(kind: Literal["tls_wrappers"], name: str) -> Iterator[TlsWrapper]: ...
@overload
def _others(kind: Literal["crypto_wrappers"], name: str) -> Iterator[CryptoWrapper]: ...
def _others(kind: Literal["tls_wrappers", "crypto_wrappers"], name: str) -> Iterator[TlsWrapper | CryptoWrapper]:
    """Give the built-in wrappers of a kind that can be made here, without `null` and the one named `name`."""
    for other in registry.BUILT_IN[kind]:
        if other not in (name, "null"):
            with contextlib.suppress(RatsTlsError):
                yield tried(registry.tls_wrapper(other)) if kind == "tls_wrappers" else registry.crypto_wrapper(other)


def _other_key(needs: Needs, tls: TlsWrapper, crypto: CryptoWrapper) -> KeyAlgorithm | None:
    if needs.key_algorithm is None:
        return None
    for algorithm in KeyAlgorithm:
        if algorithm is not needs.key_algorithm and not _lacking(replace(needs, key_algorithm=algorithm), tls, crypto):
            return algorithm
    return None
