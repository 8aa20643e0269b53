"""Every built-in instance, by kind: the contract suites run over these."""

from __future__ import annotations

from rats_tls.core.interfaces import TlsWrapper
from rats_tls.tls_wrappers.null import NullTlsWrapper
from rats_tls.tls_wrappers.openssl import OpensslTlsWrapper

TLS_WRAPPERS: tuple[TlsWrapper, ...] = (OpensslTlsWrapper(), NullTlsWrapper())
