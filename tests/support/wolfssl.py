"""The TLS wrapper `wolfssl`, and its library as other builds have it."""

from __future__ import annotations

import pytest

from rats_tls.core.errors import NoInstanceError
from rats_tls.tls_wrappers import wolfssl
from rats_tls.tls_wrappers.wolfssl import WolfsslTlsWrapper
from rats_tls.tls_wrappers.wolfssl_library import Library
from support.machine import lacking


def here() -> WolfsslTlsWrapper:
    """Give it, or skip the test."""
    try:
        return WolfsslTlsWrapper()
    except NoInstanceError as error:
        lacking(error.message, install="libwolfssl35")


def over(made: Library, monkeypatch: pytest.MonkeyPatch) -> WolfsslTlsWrapper:
    """Over another library."""
    monkeypatch.setattr(wolfssl, "library", lambda: made)
    return WolfsslTlsWrapper()


def lesser(tls: WolfsslTlsWrapper, monkeypatch: pytest.MonkeyPatch, without: str) -> WolfsslTlsWrapper:
    """Over the library as another build would have it."""
    whole = tls._library
    return over(Library(whole.ffi, whole.lib, whole.version, whole.has - {without}), monkeypatch)


class Odd:
    """wolfSSL's functions, some of which do something else."""

    def __init__(self, lib: object, **functions: object) -> None:
        self._lib = lib
        vars(self).update(functions)

    def __getattr__(self, name: str) -> object:
        return getattr(self._lib, name)
