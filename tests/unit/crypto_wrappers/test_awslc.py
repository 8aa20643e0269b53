"""What is peculiar to the crypto wrapper over AWS-LC."""

from __future__ import annotations

import importlib
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from rats_tls import registry
from rats_tls.core.algorithms import KeyAlgorithm, SignatureAlgorithm
from rats_tls.core.errors import NoInstanceError, SignatureError, UnsupportedError
from rats_tls.crypto_wrappers.awslc import AwslcCryptoWrapper, AwslcPublicKey, AwslcRsaPublicKey
from rats_tls.crypto_wrappers.openssl import OpensslPublicKey
from support.crypto import DATA, REQUEST, key_of, without
from support.der import spki_of

CRYPTO = AwslcCryptoWrapper()
SCHEME = SignatureAlgorithm.ECDSA_SHA256


def test_the_library_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, "awscrt")
    with pytest.raises(NoInstanceError, match=r"awscrt .*pip install 'rats-tls\[awslc\]'"):
        AwslcCryptoWrapper()
    with pytest.raises(NoInstanceError, match=r"pip install 'rats-tls\[awslc\]'"):
        registry.crypto_wrapper("awslc")


def test_certificates_need_asn1crypto(monkeypatch: pytest.MonkeyPatch) -> None:
    key = key_of(CRYPTO, KeyAlgorithm.EC_P256)
    without(monkeypatch, "asn1crypto")
    with pytest.raises(UnsupportedError, match="asn1crypto"):
        CRYPTO.self_signed_certificate(key, REQUEST)


def test_the_version_names_both_libraries() -> None:
    version = importlib.import_module("awscrt").__version__
    assert CRYPTO.version.startswith(f"awscrt {version}; ")
    assert "cryptography " in CRYPTO.version
    assert "OpenSSL " in CRYPTO.version


@pytest.mark.parametrize("answer", [False, None, 0, 1, "True", b"", [True]], ids=repr)
def test_only_true_is_a_yes(answer: object) -> None:
    key = AwslcPublicKey(SimpleNamespace(verify=lambda *_: answer), KeyAlgorithm.EC_P256, b"")
    with pytest.raises(SignatureError, match="does not verify"):
        key.verify(SCHEME, b"", DATA)


@pytest.mark.parametrize("error", [RuntimeError("AWS_ERROR"), ValueError("odd")], ids=repr)
def test_an_error_of_the_library_is_a_no(error: Exception) -> None:
    def failing(*_: object) -> bool:
        raise error

    key = AwslcPublicKey(SimpleNamespace(verify=failing), KeyAlgorithm.EC_P256, b"")
    with pytest.raises(SignatureError, match="does not verify"):
        key.verify(SCHEME, b"", DATA)


def test_a_defect_passes_through() -> None:
    def failing(*_: object) -> bool:
        raise MemoryError

    key = AwslcPublicKey(SimpleNamespace(verify=failing), KeyAlgorithm.EC_P256, b"")
    with pytest.raises(MemoryError):
        key.verify(SCHEME, b"", DATA)


class TestRsa:
    @pytest.mark.parametrize(
        ("bits", "kind"),
        [
            (2048, AwslcRsaPublicKey),
            (3072, AwslcRsaPublicKey),
            (4096, AwslcRsaPublicKey),
            (2049, OpensslPublicKey),
            (2056, OpensslPublicKey),
            (4104, OpensslPublicKey),
            (8192, OpensslPublicKey),
        ],
    )
    def test_which_sizes_are_left_to_the_default(self, bits: int, kind: type) -> None:
        spki = spki_of(rsa.RSAPublicNumbers(65537, 1 << bits - 1 | 1).public_key())
        key = CRYPTO.load_public_key(spki)
        assert isinstance(key, kind)
        assert key.spki == spki
        assert key.algorithm is (KeyAlgorithm.RSA_3072 if bits == 3072 else KeyAlgorithm.RSA)

    def test_which_schemes_are_left_to_the_default(self, monkeypatch: pytest.MonkeyPatch) -> None:
        key = key_of(CRYPTO, KeyAlgorithm.RSA_3072)
        public = CRYPTO.load_public_key(key.public_key.spki)
        left: set[SignatureAlgorithm] = set()
        verify = OpensslPublicKey.verify

        def noted(key: OpensslPublicKey, scheme: SignatureAlgorithm, signature: bytes, data: bytes) -> None:
            left.add(scheme)
            verify(key, scheme, signature, data)

        monkeypatch.setattr(OpensslPublicKey, "verify", noted)
        schemes = {scheme for scheme in SignatureAlgorithm if scheme.value.startswith("rsa-")}
        for scheme in schemes:
            public.verify(scheme, key.sign(scheme, DATA), DATA)
        assert schemes - left == {SignatureAlgorithm.RSA_PKCS1_SHA256, SignatureAlgorithm.RSA_PSS_SHA256}

    def test_a_key_that_the_library_refuses(self) -> None:
        def refusing(_: bytes) -> Any:
            raise RuntimeError("AWS_ERROR_CAL_UNSUPPORTED_KEY_FORMAT")

        library: Any = SimpleNamespace(RSA=SimpleNamespace(new_public_key_from_der_data=refusing))
        with pytest.raises(UnsupportedError, match="not supported by AWS-LC"):
            AwslcRsaPublicKey(library, key_of(CRYPTO, KeyAlgorithm.RSA_3072).public_key)
