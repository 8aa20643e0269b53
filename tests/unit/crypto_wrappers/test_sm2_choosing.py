"""Which library does SM2, and why others cannot; nothing is loaded before first use."""

from __future__ import annotations

import builtins
import subprocess
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from cffi import FFI

from rats_tls.core.algorithms import SignatureAlgorithm
from rats_tls.core.errors import ConfigurationError, DecodeError, SignatureError, UnsupportedError
from rats_tls.crypto_wrappers.null import NullCryptoWrapper
from rats_tls.crypto_wrappers.openssl import OpensslCryptoWrapper
from rats_tls.crypto_wrappers.sm2 import choosing, libcrypto, signing, tongsuo
from rats_tls.crypto_wrappers.sm2.curve import N, check_signature
from support.commands import environment

PRIVATE = (5).to_bytes(32, "big")


@pytest.fixture(autouse=True)
def _undecided(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choosing, "_found", {})


class Stub:
    """A back end that loads points and verifies as it is told."""

    name = "stub"
    version = "0"

    def __init__(self, verify: Callable[[int, int, bytes], None], load: Callable[[bytes, bytes], None] | None = None):
        self._verify = verify
        self._load = load

    def load(self, point: bytes, user_id: bytes) -> Callable[[int, int, bytes], None]:
        if self._load is not None:
            self._load(point, user_id)
        return self._verify


def refuse(*_: object) -> None:
    raise SignatureError("no")


def of_one_id(*arguments: object) -> None:
    """Verify the known data, whoever the signer says it is: like a library whose user id is fixed."""
    if arguments[-1] != choosing.KNOWN_DATA:
        raise SignatureError("no")


def broken(*_: object) -> None:
    raise ValueError("broken")


def loaded(monkeypatch: pytest.MonkeyPatch, **back_ends: object) -> None:
    """Have modules of those names give these back ends, or raise these exceptions."""

    def module(name: str) -> Any:
        found = back_ends[name.rpartition(".")[2]]

        def load() -> object:
            if isinstance(found, Exception):
                raise found
            return found

        return SimpleNamespace(load=load)

    monkeypatch.setattr(choosing, "BACK_ENDS", tuple(back_ends))
    monkeypatch.setattr(choosing.importlib, "import_module", module)


def test_the_first_that_works_is_taken_and_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    good = choosing.probe(choosing.choose().back_end.name)  # type: ignore[union-attr]  # one is here
    choosing._found.clear()
    loaded(monkeypatch, a=UnsupportedError("too old"), b=ModuleNotFoundError("no", name="b"), c=good, d=broken)
    choice = choosing.choose()
    assert choice.back_end is good
    assert choice.unusable == (("a", "too old"), ("b", "the package b is not installed"))
    loaded(monkeypatch, e=UnsupportedError("never asked"))
    assert choosing.choose() is choice
    assert choosing.chosen() is good


@pytest.mark.parametrize(
    ("back_end", "reason"),
    [
        (Stub(refuse), "self-test: the known signature does not verify: no"),
        (
            Stub(lambda *_: None),
            "self-test: b'message digest!' of user b'1234567812345678' verifies, and was not signed",
        ),
        (Stub(of_one_id), "self-test: b'message digest' of user b'1234567812345679' verifies, and was not signed"),
        (Stub(broken), "ValueError: broken"),
        (Stub(refuse, load=refuse), "no"),
        (OSError("does not load"), "OSError: does not load"),
        (DecodeError("Sm2Point", "", None, "not taken"), "Sm2Point: not taken"),
    ],
)
def test_none_that_fails_its_self_test(monkeypatch: pytest.MonkeyPatch, back_end: object, reason: str) -> None:
    loaded(monkeypatch, stub=back_end)
    with pytest.raises(UnsupportedError) as caught:
        choosing.chosen()
    assert caught.value.message.startswith(
        "no library for SM2: install OpenSSL 3, rats-tls[tongsuo] or rats-tls[sm2] (stub: "
    )
    assert caught.value.message.endswith(f"{reason})")
    with pytest.raises(UnsupportedError, match="install OpenSSL 3"):
        OpensslCryptoWrapper().load_sm2_point(choosing.KNOWN_POINT, choosing.KNOWN_USER_ID)
    with pytest.raises(UnsupportedError, match="install OpenSSL 3"):
        signing.public_point(PRIVATE)


def test_the_wrapper_verifies_with_the_chosen_one() -> None:
    key = OpensslCryptoWrapper().load_sm2_point(choosing.KNOWN_POINT, choosing.KNOWN_USER_ID)
    assert key.library.startswith(f"{choosing.chosen().name} (")
    key.verify_ecdsa(SignatureAlgorithm.SM2_SM3, *choosing.KNOWN_SIGNATURE, choosing.KNOWN_DATA)
    with pytest.raises(DecodeError):
        OpensslCryptoWrapper().load_sm2_point(bytes(64), choosing.KNOWN_USER_ID)


def test_null_refuses() -> None:
    with pytest.raises(UnsupportedError):
        NullCryptoWrapper().load_sm2_point(choosing.KNOWN_POINT, choosing.KNOWN_USER_ID)


# --- libraries that are not as they should be -----------------------------------------------------------------------
def test_a_libcrypto_that_is_not_there() -> None:
    with pytest.raises(UnsupportedError, match=r"libcrypto.so.9 cannot be loaded: .*No such file"):
        libcrypto.load("libcrypto.so.9")


@pytest.mark.parametrize(
    ("number", "group", "reason"),
    [(0x1010117F, 1, "OpenSSL 1.1.1w, expected OpenSSL 3 or later"), (0x30000000, 0, "was built without SM2")],
)
def test_a_libcrypto_that_does_not_do(monkeypatch: pytest.MonkeyPatch, number: int, group: int, reason: str) -> None:
    """`no-sm2` of OpenSSL's configuration, and a library before OpenSSL 3 under this name."""

    class Other(FFI):  # type: ignore[misc]  # cffi has no types
        def dlopen(self, name: object, flags: int = 0) -> object:
            return SimpleNamespace(
                OpenSSL_version_num=lambda: number,
                OpenSSL_version=lambda _: self.new("char[]", b"OpenSSL 1.1.1w"),
                EC_GROUP_new_by_curve_name=lambda _: self.cast("EC_GROUP *", group),
                ERR_clear_error=lambda: None,
            )

    monkeypatch.setattr(libcrypto, "FFI", Other)
    with pytest.raises(UnsupportedError, match=reason):
        libcrypto.load()


def test_a_tongsuo_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tongsuo, "library_path", lambda: None)
    with pytest.raises(UnsupportedError, match="tongsuopy is not installed"):
        tongsuo.load()


def test_a_tongsuo_for_another_platform(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    library = tmp_path / "_tongsuo.abi3.so"
    library.write_text("not a library")
    monkeypatch.setattr(tongsuo, "library_path", lambda: library)
    with pytest.raises(UnsupportedError, match="the library in tongsuopy cannot be loaded"):
        tongsuo.load()


def test_a_gmalg_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    load = builtins.__import__

    def without(name: str, *arguments: Any, **more: Any) -> object:
        if name == "gmalg":
            raise ModuleNotFoundError("no", name=name)
        return load(name, *arguments, **more)

    monkeypatch.delitem(sys.modules, "rats_tls.crypto_wrappers.sm2.gmalg", raising=False)
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UnsupportedError, match="the package gmalg is not installed"):
        choosing.probe("gmalg")


def test_nothing_is_loaded_before_first_use() -> None:
    code = (
        "import sys, rats_tls, rats_tls.crypto_wrappers.openssl, rats_tls.simulation, rats_tls.cli.main;"
        "print([name for name in sys.modules if name.partition('.')[0] in ('cffi', 'gmalg', 'tongsuopy')"
        " or name.endswith(('sm2.evp', 'sm2.libcrypto', 'sm2.tongsuo', 'sm2.gmalg'))])"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment(None), timeout=60
    )
    assert ended.stdout.strip() == "[]"


# --- signing, and what is checked whatever library does it ----------------------------------------------------------
def test_signing() -> None:
    private = signing.generate_private_key()
    assert len(private) == 32
    assert private != signing.generate_private_key()
    point = signing.public_point(private)
    assert len(point) == 64
    key = OpensslCryptoWrapper().load_sm2_point(point, b"SIMULATED-HRK")
    key.verify_ecdsa(SignatureAlgorithm.SM2_SM3, *signing.sign(private, b"SIMULATED-HRK", b"data"), b"data")
    # (n - 1) has no inverse of 1 + d.
    for wrong in (b"", private[1:], b"\0" + private, bytes(32), (N - 1).to_bytes(32, "big"), b"\xff" * 32):
        with pytest.raises(ConfigurationError):
            signing.public_point(wrong)
        with pytest.raises(ConfigurationError):
            signing.sign(wrong, b"id", b"data")
    for user_id in (b"", bytes(8191)):
        with pytest.raises(DecodeError):
            signing.sign(private, user_id, b"data")
    signing.public_point((N - 2).to_bytes(32, "big"))


def test_ranges() -> None:
    check_signature(1, 1)
    check_signature(N - 1, N - 1)
    for r, s in ((0, 1), (1, 0), (N, 1), (1, N), (-1, 1), (1, -1), (1, N - 1), (N - 1, 1)):
        with pytest.raises(SignatureError):
            check_signature(r, s)
