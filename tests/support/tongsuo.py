"""The TLS wrapper `tongsuo`, and connections by it."""

from __future__ import annotations

import platform
from typing import Any

from cffi import FFI

from rats_tls.core.errors import NoInstanceError
from rats_tls.core.tls import TlsConfig, TlsSession
from rats_tls.native.tongsuo import library_path, opened
from rats_tls.tls_wrappers.tongsuo import TongsuoTlsWrapper
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
    """Cipher suites and extensions of the ClientHello that is due (RFC 8446 4.1.2)."""
    session.handshake()
    body = session.data_to_send()[5 + 4 + 2 + 32 :]
    body = body[1 + body[0] :]
    size = int.from_bytes(body[:2], "big")
    suites, body = bytes(body[2 : 2 + size]), body[2 + size :]
    body = body[1 + body[0] + 2 :]
    extensions = {}
    while body:
        size = int.from_bytes(body[2:4], "big")
        extensions[int.from_bytes(body[:2], "big")] = bytes(body[4 : 4 + size])
        body = body[4 + size :]
    return suites, extensions


def more_functions(declarations: str) -> tuple[FFI, Any]:
    """Declare functions of its library that the wrapper does not use."""
    ffi = FFI()
    ffi.cdef(declarations)
    return ffi, opened(ffi, library_path())


def address(pointer: Any) -> int:
    """Give a pointer of one declaration for use with another."""
    return int(FFI().cast("uintptr_t", pointer))
