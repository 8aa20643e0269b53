from __future__ import annotations

from pathlib import Path

import pytest

from rats_tls.tls_wrappers import wolfssl_library
from rats_tls.tls_wrappers.wolfssl import WolfsslTlsWrapper
from support.c_layout import measured
from support.wolfssl import here

HEADER = {
    "headers": ("wolfssl/options.h", "wolfssl/openssl/ssl.h", "wolfssl/error-ssl.h"),
    "install": "libwolfssl-dev",
}
NUMBERS = {
    "SUCCESS": "WOLFSSL_SUCCESS",
    "FILETYPE_ASN1": "WOLFSSL_FILETYPE_ASN1",
    "VERIFY_PEER": "WOLFSSL_VERIFY_PEER",
    "VERIFY_FAIL_IF_NO_PEER_CERT": "WOLFSSL_VERIFY_FAIL_IF_NO_PEER_CERT",
    "SESS_CACHE_OFF": "WOLFSSL_SESS_CACHE_OFF",
    "ERROR_WANT_READ": "WOLFSSL_ERROR_WANT_READ",
    "ERROR_ZERO_RETURN": "WOLFSSL_ERROR_ZERO_RETURN",
    "FATAL_ERROR": "-FATAL_ERROR",
    "HANDSHAKE_SIZE_ERROR": "-HANDSHAKE_SIZE_ERROR",
    "CBIO_ERR_GENERAL": "-WOLFSSL_CBIO_ERR_GENERAL",
    "CBIO_ERR_WANT_READ": "-WOLFSSL_CBIO_ERR_WANT_READ",
    "CBIO_ERR_CONN_CLOSE": "-WOLFSSL_CBIO_ERR_CONN_CLOSE",
    "SNI_HOST_NAME": "WOLFSSL_SNI_HOST_NAME",
    "ALPN_CONTINUE_ON_MISMATCH": "WOLFSSL_ALPN_CONTINUE_ON_MISMATCH",
    "ALERT_FATAL": "alert_fatal",
    "TLSEXT_ERR_OK": "SSL_TLSEXT_ERR_OK",
    "TLSEXT_ERR_ALERT_FATAL": "SSL_TLSEXT_ERR_ALERT_FATAL",
    "TLSEXT_ERR_NOACK": "SSL_TLSEXT_ERR_NOACK",
}


@pytest.fixture(scope="module")
def tls() -> WolfsslTlsWrapper:
    return here()


def test_numbers_are_those_of_the_header(tmp_path: Path) -> None:
    found = measured(tmp_path, NUMBERS, **HEADER)
    assert found == {name: abs(getattr(wolfssl_library, name)) for name in NUMBERS}
    groups = measured(
        tmp_path,
        {name: f"WOLFSSL_ECC_{name}" for name in ("X25519", "SECP256R1", "SECP384R1")},
        **HEADER,
    )
    assert tuple(groups.values()) == wolfssl_library.GROUPS
    assert {
        name
        for name in vars(wolfssl_library)
        if name.isupper() and name[0] != "_" and isinstance(getattr(wolfssl_library, name), int)
    } == NUMBERS.keys()


def test_functions_are_those_of_the_header(tmp_path: Path) -> None:
    """A declaration that differs from the header's is one that the compiler refuses."""
    own = "typedef int (*CallbackIO)(WOLFSSL *, char *, int, void *);"
    assert own in wolfssl_library.TYPES
    measured(tmp_path, {"done": "1"}, declarations=own + wolfssl_library.FUNCTIONS, **HEADER)
    wrong = wolfssl_library.FUNCTIONS.replace("int wolfSSL_shutdown(", "long wolfSSL_shutdown(")
    with pytest.raises(AssertionError, match="conflicting types"):
        measured(tmp_path, {"done": "1"}, declarations=own + wrong, **HEADER)


def test_types_are_those_of_the_header(tls: WolfsslTlsWrapper, tmp_path: Path) -> None:
    fields = {"code": "last_rx.code", "level": "last_rx.level", "sent": "last_tx"}
    expressions = {name: f"offsetof(WOLFSSL_ALERT_HISTORY, {field})" for name, field in fields.items()}
    found = measured(tmp_path, {"size": "sizeof(WOLFSSL_ALERT_HISTORY)", **expressions}, **HEADER)
    ffi = tls._library.ffi
    assert found == {
        "size": ffi.sizeof("WOLFSSL_ALERT_HISTORY"),
        **{name: ffi.offsetof("WOLFSSL_ALERT_HISTORY", *field.split(".")) for name, field in fields.items()},
    }
