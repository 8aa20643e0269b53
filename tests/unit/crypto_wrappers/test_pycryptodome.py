"""What is peculiar to the crypto wrapper over PyCryptodome."""

from __future__ import annotations

import importlib
from typing import Any

import pytest

from rats_tls import registry
from rats_tls.core.algorithms import KeyAlgorithm, SignatureAlgorithm
from rats_tls.core.errors import NoInstanceError, SignatureError, UnsupportedError
from rats_tls.crypto_wrappers.pycryptodome import PycryptodomeCryptoWrapper
from support.crypto import DATA, REQUEST, key_of, without

CRYPTO = PycryptodomeCryptoWrapper()


def test_the_library_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, "Crypto")
    with pytest.raises(NoInstanceError, match=r"pip install 'rats-tls\[pycryptodome\]'"):
        PycryptodomeCryptoWrapper()
    with pytest.raises(NoInstanceError, match=r"pip install 'rats-tls\[pycryptodome\]'"):
        registry.crypto_wrapper("pycryptodome")


def test_certificates_need_asn1crypto(monkeypatch: pytest.MonkeyPatch) -> None:
    key = key_of(CRYPTO, KeyAlgorithm.EC_P256)
    without(monkeypatch, "asn1crypto")
    with pytest.raises(UnsupportedError, match="asn1crypto"):
        CRYPTO.self_signed_certificate(key, REQUEST)


def test_the_version_is_the_librarys() -> None:
    assert CRYPTO.version == f"pycryptodome {importlib.import_module('Crypto').__version__}"


def test_computing_in_python_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    numbers: Any = importlib.import_module("Crypto.Math.Numbers")
    in_c = numbers.Integer.__name__ != "IntegerNative"
    assert bool(CRYPTO.capabilities.caution) is not in_c
    in_python = importlib.import_module("Crypto.Math._IntegerNative").IntegerNative
    monkeypatch.setattr(numbers, "Integer", in_python)
    assert PycryptodomeCryptoWrapper().capabilities.caution == (
        "computes in Python here, in a time that depends on the key"
    )


def test_each_answer_of_the_library_that_is_a_no(monkeypatch: pytest.MonkeyPatch) -> None:
    def refusing(*_: object, **__: object) -> Any:
        raise ValueError("not authentic")

    for algorithm, scheme, module in (
        (KeyAlgorithm.EC_P256, SignatureAlgorithm.ECDSA_SHA256, "DSS"),
        (KeyAlgorithm.RSA_3072, SignatureAlgorithm.RSA_PSS_SHA256, "pss"),
        (KeyAlgorithm.RSA_3072, SignatureAlgorithm.RSA_PKCS1_SHA256, "pkcs1_15"),
        (KeyAlgorithm.ED25519, SignatureAlgorithm.ED25519, "eddsa"),
    ):
        key = key_of(CRYPTO, algorithm)
        signature = key.sign(scheme, DATA)
        key.public_key.verify(scheme, signature, DATA)
        with monkeypatch.context() as patch:
            patch.setattr(importlib.import_module(f"Crypto.Signature.{module}"), "new", refusing)
            with pytest.raises(SignatureError, match="not authentic"):
                key.public_key.verify(scheme, signature, DATA)
