"""What every crypto wrapper keeps to. A new instance joins in `support.instances`."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from hypothesis import given
from hypothesis import strategies as st

from rats_tls.core.algorithms import HashAlgorithm, KeyAlgorithm, SignatureAlgorithm
from rats_tls.core.errors import ConfigurationError, DecodeError, RatsTlsError, SignatureError, UnsupportedError
from rats_tls.core.interfaces import CertificateRequest, CryptoWrapper, PrivateKey
from rats_tls.crypto_wrappers.null import NullCryptoWrapper
from rats_tls.crypto_wrappers.sm2 import choosing
from rats_tls.formats.x509 import Certificate
from support.instances import CRYPTO_WRAPPERS

P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
EC_KEYS = {
    KeyAlgorithm.EC_P256: SignatureAlgorithm.ECDSA_SHA256,
    KeyAlgorithm.EC_P384: SignatureAlgorithm.ECDSA_SHA384,
}
SIGNATURES = {
    **EC_KEYS,
    KeyAlgorithm.RSA_3072: SignatureAlgorithm.RSA_PSS_SHA384,
}
MADE: dict[tuple[str, KeyAlgorithm], PrivateKey] = {}
DATA = b"signed data"

wrappers = pytest.mark.parametrize("crypto", CRYPTO_WRAPPERS, ids=lambda wrapper: wrapper.name)
algorithms = pytest.mark.parametrize("algorithm", SIGNATURES, ids=lambda algorithm: algorithm.value)
curves = pytest.mark.parametrize("algorithm", EC_KEYS, ids=lambda algorithm: algorithm.value)


def key_of(crypto: CryptoWrapper, algorithm: KeyAlgorithm) -> PrivateKey:
    if (crypto.name, algorithm) not in MADE:
        MADE[crypto.name, algorithm] = crypto.generate_key(algorithm)
    return MADE[crypto.name, algorithm]


def spki_of(key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey | dsa.DSAPublicKey | ed25519.Ed25519PublicKey) -> bytes:
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


@wrappers
class TestSignatures:
    @algorithms
    def test_what_it_signs_it_verifies_and_nothing_else(self, crypto: CryptoWrapper, algorithm: KeyAlgorithm) -> None:
        key, scheme = key_of(crypto, algorithm), SIGNATURES[algorithm]
        signature = key.sign(scheme, DATA)
        public = crypto.load_public_key(key.public_key.spki)
        assert public.algorithm is algorithm
        assert public.spki == key.public_key.spki
        public.verify(scheme, signature, DATA)
        other = crypto.generate_key(KeyAlgorithm.EC_P256 if algorithm is KeyAlgorithm.RSA_3072 else algorithm)
        changed = bytearray(signature)
        changed[-1] ^= 1
        for attempt in (
            lambda: public.verify(scheme, signature, DATA + b"!"),
            lambda: public.verify(scheme, bytes(changed), DATA),
            lambda: public.verify(scheme, signature[:-1], DATA),
            lambda: public.verify(scheme, b"", DATA),
            lambda: other.public_key.verify(scheme, signature, DATA),
            lambda: public.verify(SignatureAlgorithm.ED25519, signature, DATA),
        ):
            with pytest.raises(SignatureError):
                attempt()

    @curves
    def test_two_integers_verify_as_der_does(self, crypto: CryptoWrapper, algorithm: KeyAlgorithm) -> None:
        key, scheme = key_of(crypto, algorithm), EC_KEYS[algorithm]
        r, s = decode_dss_signature(key.sign(scheme, DATA))
        key.public_key.verify_ecdsa(scheme, r, s, DATA)
        with pytest.raises(SignatureError):
            key.public_key.verify_ecdsa(scheme, s, r, DATA)

    def test_integers_out_of_range(self, crypto: CryptoWrapper) -> None:
        key = key_of(crypto, KeyAlgorithm.EC_P256)
        r, s = decode_dss_signature(key.sign(SignatureAlgorithm.ECDSA_SHA256, DATA))
        for wrong in ((0, s), (r, 0), (0, 0), (P256_ORDER, s), (r, P256_ORDER), (r + P256_ORDER, s), (-r, s), (r, -s)):
            with pytest.raises(SignatureError):
                key.public_key.verify_ecdsa(SignatureAlgorithm.ECDSA_SHA256, *wrong, DATA)

    def test_der_in_another_form(self, crypto: CryptoWrapper) -> None:
        key = key_of(crypto, KeyAlgorithm.EC_P256)
        while True:
            r, s = decode_dss_signature(key.sign(SignatureAlgorithm.ECDSA_SHA256, DATA))
            if r >> 255 and s >> 255:
                break
        der = encode_dss_signature(r, s)
        raw_r, raw_s = r.to_bytes(32, "big"), s.to_bytes(32, "big")
        padded = b"\x02\x22\x00\x00" + raw_r + b"\x02\x21\x00" + raw_s
        negative = b"\x02\x20" + raw_r + b"\x02\x20" + raw_s
        forms = {
            "bytes behind": der + b"\0",
            "padded integer": b"\x30" + bytes([len(padded)]) + padded,
            "high bit without zero": b"\x30" + bytes([len(negative)]) + negative,
            "long-form length": b"\x30\x81" + der[1:],
            "raw": raw_r + raw_s,
        }
        key.public_key.verify(SignatureAlgorithm.ECDSA_SHA256, der, DATA)
        for form in forms.values():
            with pytest.raises(SignatureError):
                key.public_key.verify(SignatureAlgorithm.ECDSA_SHA256, form, DATA)

    def test_pss_salt_is_as_long_as_the_hash(self, crypto: CryptoWrapper) -> None:
        private = rsa.generate_private_key(65537, 2048)
        public = crypto.load_public_key(spki_of(private.public_key()))
        assert public.algorithm is KeyAlgorithm.RSA
        digest = hashes.SHA384()
        for salt, good in ((48, True), (20, False), (0, False)):
            signature = private.sign(DATA, padding.PSS(padding.MGF1(digest), salt), digest)
            if good:
                public.verify(SignatureAlgorithm.RSA_PSS_SHA384, signature, DATA)
            else:
                with pytest.raises(SignatureError):
                    public.verify(SignatureAlgorithm.RSA_PSS_SHA384, signature, DATA)
        with pytest.raises(SignatureError):
            public.verify(SignatureAlgorithm.RSA_PSS_SHA384, private.sign(DATA, padding.PKCS1v15(), digest), DATA)

    def test_ed25519_is_verified(self, crypto: CryptoWrapper) -> None:
        private = ed25519.Ed25519PrivateKey.generate()
        public = crypto.load_public_key(spki_of(private.public_key()))
        public.verify(SignatureAlgorithm.ED25519, private.sign(DATA), DATA)
        with pytest.raises(SignatureError):
            public.verify(SignatureAlgorithm.ED25519, private.sign(DATA), b"other")

    def test_a_key_signs_only_with_its_own_algorithms(self, crypto: CryptoWrapper) -> None:
        with pytest.raises(ConfigurationError):
            key_of(crypto, KeyAlgorithm.EC_P256).sign(SignatureAlgorithm.RSA_PSS_SHA256, DATA)


@wrappers
class TestKeys:
    @curves
    def test_points(self, crypto: CryptoWrapper, algorithm: KeyAlgorithm) -> None:
        key = key_of(crypto, algorithm)
        size = 64 if algorithm is KeyAlgorithm.EC_P256 else 96
        point = key.public_key.spki[-size:]
        loaded = crypto.load_ec_point(algorithm, point)
        loaded.verify(EC_KEYS[algorithm], key.sign(EC_KEYS[algorithm], DATA), DATA)
        off_curve = point[:-1] + bytes([point[-1] ^ 1])
        for wrong in (off_curve, bytes(size), b"\xff" * size, point[:-1], point + b"\0", b"", b"\x04" + point):
            with pytest.raises(DecodeError):
                crypto.load_ec_point(algorithm, wrong)

    def test_a_point_at_infinity_or_off_the_curve_is_no_key(self, crypto: CryptoWrapper) -> None:
        spki = key_of(crypto, KeyAlgorithm.EC_P256).public_key.spki
        infinity = bytes.fromhex("3019301306072a8648ce3d020106082a8648ce3d030107030200") + b"\0"
        for wrong in (infinity, spki[:-1] + bytes([spki[-1] ^ 1]), spki[:-1], spki + b"\0", b""):
            with pytest.raises(DecodeError):
                crypto.load_public_key(wrong)

    @pytest.mark.parametrize(
        "curve", [ec.SECP521R1(), ec.SECP256K1(), ec.BrainpoolP256R1()], ids=lambda curve: curve.name
    )
    def test_other_curves(self, crypto: CryptoWrapper, curve: ec.EllipticCurve) -> None:
        with pytest.raises(UnsupportedError):
            crypto.load_public_key(spki_of(ec.generate_private_key(curve).public_key()))

    def test_keys_it_does_not_make(self, crypto: CryptoWrapper) -> None:
        for algorithm in set(KeyAlgorithm) - crypto.capabilities.generates:
            with pytest.raises(UnsupportedError):
                crypto.generate_key(algorithm)

    @algorithms
    def test_keys_load_into_a_tls_library(self, crypto: CryptoWrapper, algorithm: KeyAlgorithm) -> None:
        key = key_of(crypto, algorithm)
        loaded = serialization.load_der_private_key(key.pkcs8(), None)
        assert spki_of(loaded.public_key()) == key.public_key.spki  # type: ignore[arg-type]

    @given(data=st.binary(max_size=200))
    def test_any_bytes_give_a_key_or_our_error(self, crypto: CryptoWrapper, data: bytes) -> None:
        spki = key_of(crypto, KeyAlgorithm.EC_P256).public_key.spki
        for candidate in (data, spki[: len(data) % len(spki)] + data):
            with contextlib.suppress(RatsTlsError):
                assert crypto.load_public_key(candidate).spki


@wrappers
class TestCertificates:
    @algorithms
    def test_self_signed(self, crypto: CryptoWrapper, algorithm: KeyAlgorithm) -> None:
        key = key_of(crypto, algorithm)
        begin, end = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)
        extensions = (("2.23.133.5.4.9", b"evidence"), ("1.2.3.4", b""))
        der = crypto.self_signed_certificate(
            key,
            CertificateRequest(
                organization="O", common_name="CN", serial=7, not_before=begin, not_after=end, extensions=extensions
            ),
        )
        certificate = Certificate.from_der(der)
        assert (certificate.version, certificate.serial) == (3, 7)
        assert certificate.self_issued
        assert certificate.subject.text == "CN=CN,O=O"
        assert (certificate.not_before, certificate.not_after) == (begin, end)
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
        assert certificate.signature_algorithm is not None
        assert certificate.signature_algorithm.value.endswith("384" if algorithm is KeyAlgorithm.EC_P384 else "256")
        key.public_key.verify(certificate.signature_algorithm, certificate.signature, certificate.tbs)
        identifier = x509.load_der_x509_certificate(der).extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
        assert len(identifier.value.digest) == 20


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
    with pytest.raises(SignatureError):
        key_of(crypto, KeyAlgorithm.EC_P256).public_key.verify_ecdsa(SignatureAlgorithm.SM2_SM3, 1, 1, b"")
    with pytest.raises(DecodeError):
        crypto.load_sm2_point(bytes(64), choosing.KNOWN_USER_ID)
    with pytest.raises(DecodeError):
        crypto.load_sm2_point(choosing.KNOWN_POINT, b"")


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
