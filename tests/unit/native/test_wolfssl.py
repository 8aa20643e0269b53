"""Finding and opening libwolfssl, for the TLS wrapper `wolfssl` and the crypto wrapper `wolfcrypt`."""

from __future__ import annotations

from types import ModuleType

import pytest

from rats_tls.core.errors import NoInstanceError
from rats_tls.crypto_wrappers import wolfcrypt_library
from rats_tls.native import wolfssl
from rats_tls.tls_wrappers import wolfssl_library
from support.machine import lacking

USERS = {"TLS wrapper wolfssl": wolfssl_library, "crypto wrapper wolfcrypt": wolfcrypt_library}
users = pytest.mark.parametrize(("who", "module"), USERS.items(), ids=["wolfssl", "wolfcrypt"])


def loaded(module: ModuleType) -> wolfssl_library.Library | wolfcrypt_library.Library:
    try:
        return module.library()
    except NoInstanceError as error:
        lacking(error.message, install="libwolfssl35")


@users
def test_a_library_that_is_missing(who: str, module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wolfssl, "NAMES", ("libnonesuch.so.1",))
    for found, words in ((None, "libwolfssl is not in"), ("libnonesuch.so.2", r"libnonesuch\.so\.2 cannot be")):
        monkeypatch.setattr("ctypes.util.find_library", lambda _, found=found: found)
        with pytest.raises(NoInstanceError, match=f"{who}: {words}.*install libwolfssl"):
            module.library.__wrapped__()


@users
def test_a_library_under_another_name_is_found(who: str, module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    here = loaded(module)
    found = next(name for name in wolfssl.NAMES if _loads(here, name))
    monkeypatch.setattr(wolfssl, "NAMES", ())
    monkeypatch.setattr("ctypes.util.find_library", lambda _: found)
    assert module.library.__wrapped__().version == here.version


def _loads(library: wolfssl_library.Library | wolfcrypt_library.Library, name: str) -> bool:
    try:
        return bool(library.ffi.dlopen(name))
    except OSError:
        return False


@users
def test_a_library_that_is_too_old(who: str, module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    number = loaded(module).version.split()[1]
    monkeypatch.setattr(wolfssl, "OLDEST", 0x7F000000)
    with pytest.raises(NoInstanceError, match=f"{who}: got wolfSSL {number}, expected at least"):
        module.library.__wrapped__()


@users
def test_a_library_that_does_not_begin(who: str, module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded(module)
    monkeypatch.setattr(wolfssl, "SUCCESS", 2)
    with pytest.raises(NoInstanceError, match=f"{who}: wolfSSL .* cannot be initialised"):
        module.library.__wrapped__()


@users
def test_a_library_that_lacks_something(who: str, module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    here = loaded(module)
    monkeypatch.setattr(module, "FUNCTIONS", module.FUNCTIONS + "int wc_none_such(void);\n")
    with pytest.raises(NoInstanceError, match=f"{who}: libwolfssl is here but was built without wc_none_such"):
        module.library.__wrapped__()
    part = "alpn" if module is wolfssl_library else "ed25519"
    monkeypatch.setattr(module, "OPTIONAL", {**module.OPTIONAL, part: ("wc_none_such",)})
    assert module.library.__wrapped__().has == here.has - {part}
