"""What every crypto wrapper keeps to, with the keys that it declares. A new instance joins in `support.instances`.

What wrappers owe each other is in `test_crypto_crossed`, what they refuse in `test_crypto_refusals`.
"""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from hypothesis import given
from hypothesis import strategies as st

from rats_tls.core.algorithms import HashAlgorithm, KeyAlgorithm, SignatureAlgorithm
from rats_tls.core.errors import DecodeError, RatsTlsError, SignatureError, UnsupportedError
from rats_tls.core.interfaces import CertificateRequest, CryptoWrapper
from rats_tls.crypto_wrappers.certificate_building import USUAL_SIGNATURES
from rats_tls.crypto_wrappers.null import NullCryptoWrapper
from rats_tls.crypto_wrappers.sm2 import choosing
from rats_tls.crypto_wrappers.sm2.curve import spki_of as sm2_spki_of
from rats_tls.formats.x509 import Certificate
from support.crypto import BEGIN, DATA, END, REQUEST, key_of, load, with_keys, wrappers
from support.der import spki_of
from support.instances import CRYPTO_WRAPPERS

EC_KEYS = (KeyAlgorithm.EC_P256, KeyAlgorithm.EC_P384)
LOADED = (*EC_KEYS, KeyAlgorithm.RSA_3072, KeyAlgorithm.ED25519)
"""Keys that load from a SubjectPublicKeyInfo; SM2 needs a user id beside it."""


class TestSignatures:
    @with_keys("generates")
    def test_what_it_signs_it_verifies_and_nothing_else(self, crypto: CryptoWrapper, algorithm: KeyAlgorithm) -> None:
        key, scheme = key_of(crypto, algorithm), USUAL_SIGNATURES[algorithm]
        assert key.algorithm is algorithm
        signature = key.sign(scheme, DATA)
        public = load(crypto, algorithm, key.public_key.spki)
        assert public.algorithm is algorithm
        assert public.spki == key.public_key.spki
        public.verify(scheme, signature, DATA)
        key.public_key.verify(scheme, signature, DATA)
        changed = bytearray(signature)
        changed[-1] ^= 1
        for attempt in (
            lambda: public.verify(scheme, signature, DATA + b"!"),
            lambda: public.verify(scheme, bytes(changed), DATA),
            lambda: public.verify(scheme, signature[:-1], DATA),
            lambda: public.verify(scheme, b"", DATA),
        ):
            with pytest.raises(SignatureError):
                attempt()
        if algorithm is not KeyAlgorithm.RSA_3072:  # slow to make
            with pytest.raises(SignatureError):
                crypto.generate_key(algorithm).public_key.verify(scheme, signature, DATA)

    @with_keys("generates", *EC_KEYS, KeyAlgorithm.SM2)
    def test_two_integers_verify_as_der_does(self, crypto: CryptoWrapper, algorithm: KeyAlgorithm) -> None:
        key, scheme = key_of(crypto, algorithm), USUAL_SIGNATURES[algorithm]
        r, s = decode_dss_signature(key.sign(scheme, DATA))
        key.public_key.verify_ecdsa(scheme, r, s, DATA)
        with pytest.raises(SignatureError):
            key.public_key.verify_ecdsa(scheme, s, r, DATA)


class TestKeys:
    @with_keys("generates", *EC_KEYS)
    def test_points(self, crypto: CryptoWrapper, algorithm: KeyAlgorithm) -> None:
        key = key_of(crypto, algorithm)
        size = 64 if algorithm is KeyAlgorithm.EC_P256 else 96
        point = key.public_key.spki[-size:]
        loaded = crypto.load_ec_point(algorithm, point)
        scheme = USUAL_SIGNATURES[algorithm]
        loaded.verify(scheme, key.sign(scheme, DATA), DATA)
        off_curve = point[:-1] + bytes([point[-1] ^ 1])
        for wrong in (off_curve, bytes(size), b"\xff" * size, point[:-1], point + b"\0", b"", b"\x04" + point):
            with pytest.raises(DecodeError):
                crypto.load_ec_point(algorithm, wrong)

    @wrappers
    def test_keys_it_does_not_make(self, crypto: CryptoWrapper) -> None:
        for algorithm in set(KeyAlgorithm) - crypto.capabilities.generates:
            with pytest.raises(UnsupportedError):
                crypto.generate_key(algorithm)

    @with_keys("generates", *LOADED)
    def test_keys_load_into_a_tls_library(self, crypto: CryptoWrapper, algorithm: KeyAlgorithm) -> None:
        key = key_of(crypto, algorithm)
        loaded = serialization.load_der_private_key(key.pkcs8(), None)
        assert spki_of(loaded.public_key()) == key.public_key.spki  # type: ignore[arg-type]

    @with_keys("generates", *LOADED)
    @given(data=st.binary(max_size=200))
    def test_any_bytes_give_a_key_or_our_error(
        self, crypto: CryptoWrapper, algorithm: KeyAlgorithm, data: bytes
    ) -> None:
        spki = key_of(crypto, algorithm).public_key.spki
        for candidate in (data, spki[: len(data) % len(spki)] + data):
            with contextlib.suppress(RatsTlsError):
                assert crypto.load_public_key(candidate).spki == candidate


class TestCertificates:
    @with_keys("certificates")
    def test_self_signed(self, crypto: CryptoWrapper, algorithm: KeyAlgorithm) -> None:
        key = key_of(crypto, algorithm)
        der = crypto.self_signed_certificate(key, REQUEST)
        certificate = Certificate.from_der(der)
        assert (certificate.version, certificate.serial) == (3, 7)
        assert certificate.self_issued
        assert certificate.subject.text == "CN=CN,O=O"
        assert (certificate.not_before, certificate.not_after) == (BEGIN, END)
        assert certificate.spki == key.public_key.spki
        assert not certificate.is_ca
        assert [(oid, extension.critical) for oid, extension in certificate.extensions.items()] == [
            ("2.5.29.19", False),
            ("2.5.29.14", False),
            ("2.5.29.35", False),
            ("2.23.133.5.4.9", False),
            ("1.2.3.4", False),
        ]
        assert certificate.extensions["2.23.133.5.4.9"].value == b"evidence"
        usual = USUAL_SIGNATURES[algorithm]
        assert certificate.signature_algorithm is usual
        load(crypto, algorithm, certificate.spki).verify(usual, certificate.signature, certificate.tbs)
        identifier = x509.load_der_x509_certificate(der).extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
        assert len(identifier.value.digest) == 20

    @wrappers
    def test_declares_certificates_for_keys_that_it_makes(self, crypto: CryptoWrapper) -> None:
        assert crypto.capabilities.certificates <= crypto.capabilities.generates


@wrappers
def test_digests(crypto: CryptoWrapper) -> None:
    assert crypto.digest(HashAlgorithm.SHA256, b"").hex().startswith("e3b0c442")
    assert crypto.digest(HashAlgorithm.SHA384, b"").hex().startswith("38b060a7")
    assert crypto.digest(HashAlgorithm.SHA512, b"").hex().startswith("cf83e135")
    # GB/T 32905-2016, annex A, example 1.
    assert (
        crypto.digest(HashAlgorithm.SM3, b"abc").hex()
        == "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0"
    )
    assert all(len(crypto.digest(algorithm, b"")) == algorithm.size for algorithm in HashAlgorithm)


@wrappers
def test_sm2(crypto: CryptoWrapper) -> None:
    key = crypto.load_sm2_point(choosing.KNOWN_POINT, choosing.KNOWN_USER_ID)
    assert key.algorithm is KeyAlgorithm.SM2
    key.verify_ecdsa(SignatureAlgorithm.SM2_SM3, *choosing.KNOWN_SIGNATURE, choosing.KNOWN_DATA)
    with pytest.raises(SignatureError):
        key.verify_ecdsa(SignatureAlgorithm.SM2_SM3, *choosing.KNOWN_SIGNATURE, b"other")
    with pytest.raises(DecodeError):
        crypto.load_sm2_point(bytes(64), choosing.KNOWN_USER_ID)
    with pytest.raises(DecodeError):
        crypto.load_sm2_point(choosing.KNOWN_POINT, b"")
    # Of a certificate: its owner has the default user id, as the known signer has.
    key = crypto.load_public_key(sm2_spki_of(choosing.KNOWN_POINT))
    assert (key.algorithm, key.spki) == (KeyAlgorithm.SM2, sm2_spki_of(choosing.KNOWN_POINT))
    key.verify_ecdsa(SignatureAlgorithm.SM2_SM3, *choosing.KNOWN_SIGNATURE, choosing.KNOWN_DATA)
    for wrong in (bytes(64), choosing.KNOWN_POINT + b"\0", choosing.KNOWN_POINT[:-1]):
        with pytest.raises(DecodeError):
            crypto.load_public_key(sm2_spki_of(wrong))


def test_a_hash_that_the_library_was_built_without(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(_: object) -> None:
        raise UnsupportedAlgorithm("no such hash")

    monkeypatch.setattr(hashes, "Hash", none)
    for crypto in (*CRYPTO_WRAPPERS, NullCryptoWrapper()):
        assert crypto.digest(HashAlgorithm.SHA256, b"").hex().startswith("e3b0c442")
        with pytest.raises(UnsupportedError, match="hash sm3"):
            crypto.digest(HashAlgorithm.SM3, b"")


def test_null_hashes_and_refuses_everything_else() -> None:
    crypto = NullCryptoWrapper()
    other = CRYPTO_WRAPPERS[0].generate_key(KeyAlgorithm.EC_P256)
    request = CertificateRequest(
        organization="O",
        common_name="CN",
        serial=1,
        not_before=datetime(2026, 1, 1, tzinfo=UTC),
        not_after=datetime(2026, 2, 1, tzinfo=UTC),
    )
    assert isinstance(crypto, CryptoWrapper)
    assert crypto.digest(HashAlgorithm.SHA256, b"").hex().startswith("e3b0c442")
    assert crypto.digest(HashAlgorithm.SM3, b"").hex().startswith("1ab21d83")
    for attempt in (
        lambda: crypto.generate_key(KeyAlgorithm.EC_P256),
        lambda: crypto.load_public_key(other.public_key.spki),
        lambda: crypto.load_ec_point(KeyAlgorithm.EC_P256, other.public_key.spki[-64:]),
        lambda: crypto.load_sm2_point(choosing.KNOWN_POINT, choosing.KNOWN_USER_ID),
        lambda: crypto.self_signed_certificate(other, request),
    ):
        with pytest.raises(UnsupportedError):
            attempt()
