from __future__ import annotations

import os
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from rats_tls.core.algorithms import KeyAlgorithm, SignatureAlgorithm
from rats_tls.core.errors import ConfigurationError, NoInstanceError, RatsTlsError, SignatureError, UnsupportedError
from rats_tls.crypto_wrappers import wolfcrypt, wolfcrypt_library
from rats_tls.crypto_wrappers.openssl import OpensslPublicKey
from rats_tls.crypto_wrappers.wolfcrypt import WolfcryptCryptoWrapper
from rats_tls.crypto_wrappers.wolfcrypt_library import KEY_BYTES, Library
from rats_tls.crypto_wrappers.wolfcrypt_rsa import RsaPublicKey
from support.c_layout import measured
from support.machine import lacking
from support.paths import TESTS
from support.wolfcrypt_growth import DATA, USUAL

HEADER = {
    "headers": (
        "wolfssl/options.h",
        "wolfssl/ssl.h",
        *(f"wolfssl/wolfcrypt/{name}.h" for name in ("rsa", "ecc", "ed25519", "hash", "signature", "asn_public")),
        "wolfssl/wolfcrypt/error-crypt.h",
    ),
    "install": "libwolfssl-dev",
}


@pytest.fixture(scope="module")
def crypto() -> WolfcryptCryptoWrapper:
    try:
        return WolfcryptCryptoWrapper()
    except NoInstanceError as error:
        lacking(error.message, install="libwolfssl35")


def lesser(crypto: WolfcryptCryptoWrapper, monkeypatch: pytest.MonkeyPatch, *without: str) -> WolfcryptCryptoWrapper:
    """Over the library as another build would have it."""
    whole = crypto._library
    made = Library(whole.ffi, whole.lib, whole.version, whole.has - set(without))
    monkeypatch.setattr(wolfcrypt, "library", lambda: made)
    return WolfcryptCryptoWrapper()


def rsa_spki(private: rsa.RSAPrivateKey) -> bytes:
    return private.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


# --- what it leaves to others ------------------------------------------------------------------------------------
@pytest.mark.parametrize("bits", [2048, 4096, 4104])
def test_rsa_keys_are_its_own_as_far_as_it_computes(crypto: WolfcryptCryptoWrapper, bits: int) -> None:
    """A build loads larger keys than it computes with, and would refuse every signature by one."""
    private = rsa.generate_private_key(65537, bits)
    key = crypto.load_public_key(rsa_spki(private))
    assert isinstance(key, RsaPublicKey if bits <= 4096 else OpensslPublicKey | RsaPublicKey)
    key.verify(SignatureAlgorithm.RSA_PKCS1_SHA256, private.sign(DATA, padding.PKCS1v15(), hashes.SHA256()), DATA)
    assert key.spki == rsa_spki(private)


def test_a_build_without_rsa_or_ed25519(crypto: WolfcryptCryptoWrapper, monkeypatch: pytest.MonkeyPatch) -> None:
    other = lesser(crypto, monkeypatch, "rsa", "rsa keys", "ed25519")
    assert other.capabilities.generates == {KeyAlgorithm.EC_P256, KeyAlgorithm.EC_P384}
    assert other.capabilities.certificates == other.capabilities.generates
    assert other.capabilities.verifies == crypto.capabilities.verifies
    for algorithm in (KeyAlgorithm.RSA_3072, KeyAlgorithm.ED25519):
        with pytest.raises(UnsupportedError):
            other.generate_key(algorithm)
    key = crypto.generate_key(KeyAlgorithm.ED25519)
    left = other.load_public_key(key.public_key.spki)
    assert isinstance(left, OpensslPublicKey)
    left.verify(SignatureAlgorithm.ED25519, key.sign(SignatureAlgorithm.ED25519, DATA), DATA)
    private = rsa.generate_private_key(65537, 2048)
    assert isinstance(other.load_public_key(rsa_spki(private)), OpensslPublicKey)
    assert "cryptography" in other.version


def test_a_build_that_makes_no_rsa_keys(crypto: WolfcryptCryptoWrapper, monkeypatch: pytest.MonkeyPatch) -> None:
    other = lesser(crypto, monkeypatch, "rsa keys")
    assert KeyAlgorithm.RSA_3072 not in other.capabilities.generates
    assert isinstance(other.load_public_key(rsa_spki(rsa.generate_private_key(65537, 2048))), RsaPublicKey)


@pytest.mark.parametrize(("name", "value"), [("KEY_BYTES", 128), ("HASH_TYPES", {"sha256": 7})])
def test_rsa_is_left_where_its_keys_do_not_fit_or_hashes_have_other_numbers(
    crypto: WolfcryptCryptoWrapper, monkeypatch: pytest.MonkeyPatch, name: str, value: object
) -> None:
    assert {"rsa", "rsa keys"} <= crypto._library.has
    monkeypatch.setattr(wolfcrypt_library, name, value)
    assert wolfcrypt_library.library.__wrapped__().has == crypto._library.has - {"rsa", "rsa keys"}


# --- what does not rest on wolfCrypt ------------------------------------------------------------------------------
class Agreeing:
    """wolfCrypt's functions, but every signature verifies."""

    def __init__(self, lib: object) -> None:
        self._lib = lib

    def __getattr__(self, name: str) -> object:
        return getattr(self._lib, name)

    def wc_ecc_verify_hash(self, *arguments: object) -> int:
        return self.wc_ed25519_verify_msg(*arguments)

    def wc_ed25519_verify_msg(self, *arguments: object) -> int:
        arguments[4][0] = 1
        return 0

    def wc_RsaPSS_VerifyCheck(self, *_: object) -> int:
        return 1


def test_a_signature_has_its_form_before_wolfcrypt_gets_it(
    crypto: WolfcryptCryptoWrapper, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = {each: crypto.generate_key(each).public_key.spki for each in USUAL}
    private = rsa.generate_private_key(65537, 2048)
    whole = crypto._library
    made = Library(whole.ffi, Agreeing(whole.lib), whole.version, whole.has)
    monkeypatch.setattr(wolfcrypt, "library", lambda: made)
    other = WolfcryptCryptoWrapper()
    good = encode_dss_signature(3, 5)
    for algorithm in (KeyAlgorithm.EC_P256, KeyAlgorithm.EC_P384):
        key = other.load_public_key(keys[algorithm])
        key.verify(USUAL[algorithm], good, DATA)
        for form in (b"", good + b"\0", good[:-1], b"\x30\x81" + good[1:], encode_dss_signature(0, 5), bytes(64)):
            with pytest.raises(SignatureError):
                key.verify(USUAL[algorithm], form, DATA)
        for numbers in ((0, 5), (3, 0), (-3, 5), (3, 2**384)):
            with pytest.raises(SignatureError):
                key.verify_ecdsa(USUAL[algorithm], *numbers, DATA)
    key = other.load_public_key(keys[KeyAlgorithm.ED25519])
    key.verify(SignatureAlgorithm.ED25519, bytes(64), DATA)
    for form in (b"", bytes(63), bytes(65)):
        with pytest.raises(SignatureError, match="expected 64"):
            key.verify(SignatureAlgorithm.ED25519, form, DATA)
    key = other.load_public_key(rsa_spki(private))
    key.verify(SignatureAlgorithm.RSA_PSS_SHA256, bytes(256), DATA)
    for form in (b"", bytes(255), bytes(257)):
        with pytest.raises(SignatureError, match="expected 256"):
            key.verify(SignatureAlgorithm.RSA_PSS_SHA256, form, DATA)


@pytest.mark.parametrize("algorithm", [*USUAL, KeyAlgorithm.RSA_3072])
def test_a_key_has_its_own_algorithms(crypto: WolfcryptCryptoWrapper, algorithm: KeyAlgorithm) -> None:
    family = {KeyAlgorithm.EC_P256: "ecdsa", KeyAlgorithm.EC_P384: "ecdsa"}.get(algorithm, algorithm.value[:3])
    private = crypto.generate_key(algorithm)
    others = [each for each in SignatureAlgorithm if not each.value.startswith(family)]
    assert len(others) in (5, 8, 10)
    for scheme in others:
        with pytest.raises(ConfigurationError, match="does not fit"):
            private.sign(scheme, DATA)
        with pytest.raises(SignatureError, match="does not fit"):
            private.public_key.verify(scheme, encode_dss_signature(3, 5), DATA)
        with pytest.raises(SignatureError, match="does not fit"):
            private.public_key.verify_ecdsa(scheme, 3, 5, DATA)


@pytest.mark.parametrize("algorithm", USUAL)
def test_wolfcrypt_says_it_twice(
    crypto: WolfcryptCryptoWrapper, monkeypatch: pytest.MonkeyPatch, algorithm: KeyAlgorithm
) -> None:
    """It has to succeed, and to say that the signature verifies."""
    key = crypto.generate_key(algorithm)
    signature = key.sign(USUAL[algorithm], DATA)
    for code, said in ((0, 0), (-1, 1), (0, 2)):

        def verify(*arguments: object, code: int = code, said: int = said) -> int:
            arguments[4][0] = said
            return code

        odd = Agreeing(crypto._library.lib)
        vars(odd).update(wc_ecc_verify_hash=verify, wc_ed25519_verify_msg=verify)
        with monkeypatch.context() as patch:
            patch.setattr(crypto._library, "lib", odd)
            with pytest.raises(SignatureError, match="does not verify"):
                key.public_key.verify(USUAL[algorithm], signature, DATA)
    key.public_key.verify(USUAL[algorithm], signature, DATA)


# --- threads, processes, memory ----------------------------------------------------------------------------------
@pytest.mark.parametrize("algorithm", USUAL)
def test_threads_share_a_key(crypto: WolfcryptCryptoWrapper, algorithm: KeyAlgorithm) -> None:
    """wolfCrypt keeps the state of a verification in the key."""
    scheme, private = USUAL[algorithm], crypto.generate_key(algorithm)
    good = private.sign(scheme, DATA)
    public, wrong = private.public_key, []

    def work() -> None:
        for _ in range(60):
            public.verify(scheme, good, DATA)
            try:
                public.verify(scheme, good, b"other")
                wrong.append("taken")
            except SignatureError:
                pass
            public.verify(scheme, private.sign(scheme, b"own"), b"own")

    def worked() -> None:
        try:
            work()
        except RatsTlsError as error:
            wrong.append(error.message)

    threads = [threading.Thread(target=worked) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_key_is_one_threads_at_a_time(crypto: WolfcryptCryptoWrapper) -> None:
    for algorithm, scheme in USUAL.items():
        private = crypto.generate_key(algorithm)
        good = private.sign(scheme, DATA)
        for lock, attempt in (
            (private._lock, lambda private=private, scheme=scheme: private.sign(scheme, DATA)),
            (private._lock, private.pkcs8),
            (
                private.public_key._lock,
                lambda public=private.public_key, scheme=scheme, good=good: public.verify(scheme, good, DATA),
            ),
        ):
            thread = threading.Thread(target=attempt)
            with lock:
                thread.start()
                thread.join(0.1)
                assert thread.is_alive(), "it waits for its turn"
            thread.join()


def test_a_forked_process_has_nonces_of_its_own(crypto: WolfcryptCryptoWrapper) -> None:
    """Two signatures over different data with one nonce give the key away."""
    private = crypto.generate_key(KeyAlgorithm.EC_P256)
    private.sign(SignatureAlgorithm.ECDSA_SHA256, DATA)
    out, into = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # pytest has threads; the child does nothing but sign
        child = os.fork()
    if child == 0:
        os.write(into, private.sign(SignatureAlgorithm.ECDSA_SHA256, DATA))
        os._exit(0)
    own = private.sign(SignatureAlgorithm.ECDSA_SHA256, b"other")
    os.waitpid(child, 0)
    theirs = os.read(out, 200)
    os.close(out)
    os.close(into)
    private.public_key.verify(SignatureAlgorithm.ECDSA_SHA256, theirs, DATA)
    assert decode_dss_signature(own)[0] != decode_dss_signature(theirs)[0]


def test_nothing_is_kept(crypto: WolfcryptCryptoWrapper) -> None:
    """In a process of its own: what other tests have used of the allocator is not measured with it."""
    assert crypto.version
    path = os.pathsep.join(filter(None, (str(TESTS), os.environ.get("PYTHONPATH"))))
    ended = subprocess.run(
        [sys.executable, "-m", "support.wolfcrypt_growth"],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
        timeout=100,
    )
    in_one_thread, of_threads = map(int, ended.stdout.split())
    assert in_one_thread < 1_000_000
    assert of_threads < 8_000_000  # wolfCrypt's tables of 20 threads have more than 30 MB


# --- the library -------------------------------------------------------------------------------------------------
def test_numbers_and_functions_are_those_of_the_header(tmp_path: Path) -> None:
    expected = {
        "ECC_SECP256R1": wolfcrypt_library.ECC_SECP256R1,
        "ECC_SECP384R1": wolfcrypt_library.ECC_SECP384R1,
        "WC_SIGNATURE_TYPE_RSA": wolfcrypt_library.SIGNATURE_TYPE_RSA,
        "BAD_FUNC_ARG": -wolfcrypt_library.BAD_FUNC_ARG,
        "RSA_PAD_E": -wolfcrypt_library.RSA_PAD_E,
        **{f"WC_HASH_TYPE_{name.upper()}": number for name, number in wolfcrypt_library.HASH_TYPES.items()},
        **{f"WC_MGF1{name.upper()}": number for name, number in wolfcrypt_library.MGF1.items()},
    }
    expressions = {name: f"-{name}" if name in ("BAD_FUNC_ARG", "RSA_PAD_E") else name for name in expected}
    found = measured(tmp_path, expressions, declarations=wolfcrypt_library.FUNCTIONS, **HEADER)
    assert found == expected
    wrong = wolfcrypt_library.FUNCTIONS.replace("int wc_ecc_check_key(", "long wc_ecc_check_key(")
    with pytest.raises(AssertionError, match="conflicting types"):
        measured(tmp_path, {"done": "1"}, declarations=wrong, **HEADER)


def test_keys_fit_in_the_memory_they_get(tmp_path: Path) -> None:
    sizes = measured(tmp_path, {name: f"sizeof({name})" for name in ("RsaKey", "ed25519_key")}, **HEADER)
    assert sizes["RsaKey"] <= KEY_BYTES // 4
    assert sizes["ed25519_key"] <= 1024


ENDS = """
import gc
from pathlib import Path
from rats_tls.crypto_wrappers import wolfcrypt_library
from rats_tls.crypto_wrappers.wolfcrypt import WolfcryptCryptoWrapper
from rats_tls.core.algorithms import KeyAlgorithm
key = WolfcryptCryptoWrapper().generate_key(KeyAlgorithm.EC_P256)
wolfcrypt_library.library.cache_clear()
del key
gc.collect()
assert "libwolfssl" in Path("/proc/self/maps").read_text()
"""


def test_the_library_stays_for_what_frees_itself_later(crypto: WolfcryptCryptoWrapper) -> None:
    """The interpreter ends in any order, and a call into a library that is gone by then would crash it."""
    ended = subprocess.run([sys.executable, "-c", ENDS], env=os.environ, timeout=60, check=False)
    assert ended.returncode == 0


def test_what_it_cannot_do_is_our_error(crypto: WolfcryptCryptoWrapper) -> None:
    with pytest.raises(RatsTlsError, match=r"wolfCrypt cannot hash: .*\(wolfCrypt error -173\)"):
        crypto._library.require("hash", -173)
    assert crypto._library.require("hash", 3) == 3
