"""What one crypto wrapper makes, every other takes: signatures, keys, certificates."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization

from rats_tls.core.algorithms import KeyAlgorithm, SignatureAlgorithm
from rats_tls.core.errors import ConfigurationError, SignatureError
from rats_tls.core.interfaces import CryptoWrapper
from rats_tls.crypto_wrappers.certificate_building import USUAL_SIGNATURES
from rats_tls.formats.x509 import Certificate
from support.crypto import DATA, REQUEST, SCHEMES, key_of, load, verifies, with_keys
from support.der import spki_of
from support.instances import CRYPTO_WRAPPERS

_EC = (KeyAlgorithm.EC_P256, KeyAlgorithm.EC_P384)


@with_keys("generates")
def test_what_it_signs_all_verify(crypto: CryptoWrapper, algorithm: KeyAlgorithm) -> None:
    key = key_of(crypto, algorithm)
    for scheme in SCHEMES[algorithm]:
        signature = key.sign(scheme, DATA)
        for other in CRYPTO_WRAPPERS:
            if verifies(other, algorithm):
                public = load(other, algorithm, key.public_key.spki)
                assert (public.algorithm, public.spki) == (algorithm, key.public_key.spki), other.name
                public.verify(scheme, signature, DATA)
                for wrong in (signature[:-1] + bytes([signature[-1] ^ 1]), signature[:-1], b""):
                    with pytest.raises(SignatureError):
                        public.verify(scheme, wrong, DATA)
                with pytest.raises(SignatureError):
                    public.verify(scheme, signature, DATA + b"!")


@with_keys("generates", *_EC)
def test_many_signatures_all_verify(crypto: CryptoWrapper, algorithm: KeyAlgorithm) -> None:
    # Enough for integers of every length that comes up: one in 256 is a byte shorter.
    key, scheme = key_of(crypto, algorithm), USUAL_SIGNATURES[algorithm]
    signatures = [key.sign(scheme, bytes([number])) for number in range(100)]
    for other in CRYPTO_WRAPPERS:
        if verifies(other, algorithm):
            public = load(other, algorithm, key.public_key.spki)
            for number, signature in enumerate(signatures):
                public.verify(scheme, signature, bytes([number]))


@with_keys("certificates")
def test_its_certificates_all_verify(crypto: CryptoWrapper, algorithm: KeyAlgorithm) -> None:
    key = key_of(crypto, algorithm)
    certificate = Certificate.from_der(crypto.self_signed_certificate(key, REQUEST))
    assert certificate.spki == key.public_key.spki
    for other in CRYPTO_WRAPPERS:
        if verifies(other, algorithm):
            public = load(other, algorithm, certificate.spki)
            public.verify(USUAL_SIGNATURES[algorithm], certificate.signature, certificate.tbs)
            with pytest.raises(SignatureError):
                public.verify(USUAL_SIGNATURES[algorithm], certificate.signature, certificate.tbs + b"\0")


@with_keys("certificates")
def test_certificates_by_another_wrappers_key_are_refused(crypto: CryptoWrapper, algorithm: KeyAlgorithm) -> None:
    for other in CRYPTO_WRAPPERS:
        if other.name == crypto.name or algorithm not in other.capabilities.generates:
            continue
        key = key_of(other, algorithm)
        if type(key) is type(key_of(crypto, algorithm)):  # both leave such keys to the same library
            assert crypto.self_signed_certificate(key, REQUEST)
            continue
        with pytest.raises(ConfigurationError, match="another crypto wrapper"):
            crypto.self_signed_certificate(key, REQUEST)


def _cryptography(der: bytes, algorithm: KeyAlgorithm) -> bytes:
    return spki_of(serialization.load_der_private_key(der, None).public_key())  # type: ignore[arg-type]


def _pycryptodome(der: bytes, algorithm: KeyAlgorithm) -> bytes:
    module = "RSA" if algorithm is KeyAlgorithm.RSA_3072 else "ECC"
    key: Any = importlib.import_module(f"Crypto.PublicKey.{module}").import_key(der)
    return bytes(key.public_key().export_key(format="DER"))


def _awscrt(der: bytes, algorithm: KeyAlgorithm) -> bytes | None:
    crypto: Any = importlib.import_module("awscrt.crypto")
    if algorithm not in _EC:
        return None
    return bytes(crypto.EC.new_key_from_der_data(der).export_key(crypto.ECExportFormat.SPKI))


@pytest.mark.parametrize("reader", [_cryptography, _pycryptodome, _awscrt], ids=lambda reader: reader.__name__)
@with_keys("generates", *_EC, KeyAlgorithm.RSA_3072, KeyAlgorithm.ED25519)
def test_its_private_keys_load_in_other_libraries(
    crypto: CryptoWrapper,
    algorithm: KeyAlgorithm,
    reader: Callable[[bytes, KeyAlgorithm], bytes | None],
) -> None:
    key = key_of(crypto, algorithm)
    assert reader(key.pkcs8(), algorithm) in (key.public_key.spki, None)


@with_keys("generates")
def test_keys_differ(crypto: CryptoWrapper, algorithm: KeyAlgorithm) -> None:
    if algorithm is not KeyAlgorithm.RSA_3072:  # slow to make
        assert crypto.generate_key(algorithm).public_key.spki != crypto.generate_key(algorithm).public_key.spki


@with_keys("generates")
def test_a_key_signs_and_verifies_only_with_its_own_schemes(crypto: CryptoWrapper, algorithm: KeyAlgorithm) -> None:
    key = key_of(crypto, algorithm)
    public = load(crypto, algorithm, key.public_key.spki)
    signature = key.sign(SCHEMES[algorithm][0], DATA)
    for scheme in set(SignatureAlgorithm) - set(SCHEMES[algorithm]):
        with pytest.raises(ConfigurationError):
            key.sign(scheme, DATA)
        with pytest.raises(SignatureError):
            public.verify(scheme, signature, DATA)
        with pytest.raises(SignatureError):
            public.verify_ecdsa(scheme, 1, 1, DATA)
    if algorithm not in (*_EC, KeyAlgorithm.SM2):
        for scheme in SCHEMES[algorithm]:
            with pytest.raises(SignatureError):
                public.verify_ecdsa(scheme, 1, 1, DATA)
