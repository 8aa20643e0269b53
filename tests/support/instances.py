"""Every built-in instance, by kind: the contract suites run over these."""

from __future__ import annotations

from rats_tls.core.interfaces import CryptoWrapper
from rats_tls.core.tls import TlsWrapper
from rats_tls.crypto_wrappers.openssl import OpensslCryptoWrapper
from rats_tls.tls_wrappers.null import NullTlsWrapper
from rats_tls.tls_wrappers.openssl import OpensslTlsWrapper
from rats_tls.tls_wrappers.openssl_calls import PublicCalls

TLS_WRAPPERS: tuple[TlsWrapper, ...] = (
    OpensslTlsWrapper(),
    OpensslTlsWrapper(PublicCalls()),
    NullTlsWrapper(),
)
CRYPTO_WRAPPERS: tuple[CryptoWrapper, ...] = (OpensslCryptoWrapper(),)
"""Those that verify; `null` has expectations of its own."""
