"""Every built-in instance, by kind: the contract suites run over these."""

from __future__ import annotations

from rats_tls import registry
from rats_tls.core.errors import NoInstanceError
from rats_tls.core.interfaces import CryptoWrapper
from rats_tls.core.tls import TlsWrapper
from rats_tls.tls_wrappers.openssl import OpensslTlsWrapper
from rats_tls.tls_wrappers.openssl_calls import PublicCalls
from support.machine import lacking

UNAVAILABLE: dict[tuple[str, str], str] = {}
"""Kind and name of the built-in instances that cannot be made here, and why."""


def _tls_wrappers() -> tuple[TlsWrapper, ...]:
    made: list[TlsWrapper] = [OpensslTlsWrapper(PublicCalls())]
    for name in registry.BUILT_IN["tls_wrappers"]:
        try:
            made.append(registry.tls_wrapper(name))
        except NoInstanceError as error:
            UNAVAILABLE["tls_wrappers", name] = error.message
    return tuple(made)


def _crypto_wrappers() -> tuple[CryptoWrapper, ...]:
    made: list[CryptoWrapper] = []
    for name in registry.BUILT_IN["crypto_wrappers"]:
        try:
            made.append(registry.crypto_wrapper(name))
        except NoInstanceError as error:
            UNAVAILABLE["crypto_wrappers", name] = error.message
    return tuple(made)


def tls_wrapper_of_a_module(name: str) -> TlsWrapper:
    """Give a TLS wrapper that all tests of a module need; they are skipped where it cannot be made."""
    if ("tls_wrappers", name) in UNAVAILABLE:
        lacking(UNAVAILABLE["tls_wrappers", name], install="what .ci/run installs")
    return registry.tls_wrapper(name)


TLS_WRAPPERS = _tls_wrappers()
"""Those that can be made here, not yet tried; `openssl` twice, the other time without its faster calls."""

CRYPTO_WRAPPERS = tuple(crypto for crypto in _crypto_wrappers() if crypto.name != "null")
"""Those that verify; `null` has expectations of its own."""
