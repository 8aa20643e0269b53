"""The TLS wrapper `tongsuo`, and connections by it."""

from __future__ import annotations

import platform
from typing import Any

from cffi import FFI

from rats_tls.core.errors import NoInstanceError
from rats_tls.core.tls import TlsConfig, TlsSession
from rats_tls.native.tongsuo import library_path, opened
from rats_tls.tls_wrappers.tongsuo import TongsuoTlsWrapper
from support.client_hello import suites_and_extensions
from support.machine import lacking
from support.tls import handshake


def here() -> TongsuoTlsWrapper:
    """Give it, or skip the test: its library has wheels for x86-64 alone."""
    try:
        return TongsuoTlsWrapper()
    except NoInstanceError as error:
        lacking(error.message, install="rats-tls[tongsuo]" if platform.machine() == "x86_64" else None)


def connected(tls: TongsuoTlsWrapper, client: TlsConfig, server: TlsConfig) -> tuple[TlsSession, TlsSession]:
    ends = tls.context(client).session("server.example"), tls.context(server).session()
    handshake(*ends)
    return ends


def client_hello(session: TlsSession) -> tuple[bytes, dict[int, bytes]]:
    """Cipher suites and extensions of the ClientHello that is due."""
    session.handshake()
    return suites_and_extensions(session.data_to_send())


def more_functions(declarations: str) -> tuple[FFI, Any]:
    """Declare functions of its library that the wrapper does not use."""
    ffi = FFI()
    ffi.cdef(declarations)
    return ffi, opened(ffi, library_path())


def address(pointer: Any) -> int:
    """Give a pointer of one declaration for use with another."""
    return int(FFI().cast("uintptr_t", pointer))
