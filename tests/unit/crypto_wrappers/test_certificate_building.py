"""Certificates made without the library that signs them: the `openssl` wrapper's, byte for byte."""

from __future__ import annotations

import importlib
from datetime import UTC, datetime, timedelta, timezone

import pytest
from asn1crypto import x509 as asn1_x509
from cryptography import x509

from rats_tls.core.algorithms import KeyAlgorithm, SignatureAlgorithm
from rats_tls.core.errors import UnsupportedError
from rats_tls.core.interfaces import CertificateRequest
from rats_tls.crypto_wrappers.certificate_building import USUAL_SIGNATURES, build_certificate
from rats_tls.crypto_wrappers.openssl import OpensslCryptoWrapper
from rats_tls.crypto_wrappers.sm2 import choosing, curve

OPENSSL = OpensslCryptoWrapper()
BEGIN, END = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)


def request_for(**changed: object) -> CertificateRequest:
    fields: dict[str, object] = {
        "organization": "O",
        "common_name": "CN",
        "serial": 7,
        "not_before": BEGIN,
        "not_after": END,
        "extensions": (("2.23.133.5.4.9", b"evidence"), ("1.2.3.4", b"")),
    }
    return CertificateRequest(**(fields | changed))  # type: ignore[arg-type]


REQUESTS = {
    "usual": request_for(),
    "no extension of its own": request_for(extensions=()),
    "names that are not ASCII": request_for(organization="Örg 漢", common_name="é"),
    "twenty bytes of serial": request_for(serial=2**158 + 1),
    "serial whose high bit is set": request_for(serial=0xFF),
    "fractions of a second": request_for(not_before=BEGIN + timedelta(microseconds=999_999)),
    "another time zone": request_for(not_before=BEGIN.astimezone(timezone(timedelta(hours=-5)))),
    "last UTCTime": request_for(not_after=datetime(2049, 12, 31, 23, 59, 59, tzinfo=UTC)),
    "first GeneralizedTime": request_for(not_after=datetime(2050, 1, 1, tzinfo=UTC)),
    "beyond 2050": request_for(
        not_before=datetime(2051, 1, 1, tzinfo=UTC), not_after=datetime(9999, 12, 31, tzinfo=UTC)
    ),
    "60 KB": request_for(extensions=(("2.23.133.5.4.9", bytes(60_000)),)),
    "an extension that asn1crypto knows": request_for(extensions=(("2.5.29.17", bytes.fromhex("30038201") + b"a"),)),
}


@pytest.fixture(scope="module", params=sorted(OPENSSL.capabilities.certificates), ids=lambda algorithm: algorithm.value)
def algorithm(request: pytest.FixtureRequest) -> KeyAlgorithm:
    algorithm: KeyAlgorithm = request.param
    return algorithm


@pytest.fixture(scope="module")
def key(algorithm: KeyAlgorithm):
    return OPENSSL.generate_key(algorithm)


@pytest.mark.parametrize("what", REQUESTS)
def test_byte_for_byte_the_other_ones(algorithm: KeyAlgorithm, key, what: str) -> None:
    request = REQUESTS[what]
    built_der = build_certificate(request, key.public_key.spki, algorithm, key.sign, wrapper="awslc")
    built = x509.load_der_x509_certificate(built_der)
    other_der = OPENSSL.self_signed_certificate(key, request)
    other = x509.load_der_x509_certificate(other_der)
    assert built.tbs_certificate_bytes == other.tbs_certificate_bytes
    assert (
        built_der[: -len(built.signature)].split(built.tbs_certificate_bytes)[1][:-3]
        == other_der[: -len(other.signature)].split(other.tbs_certificate_bytes)[1][:-3]
    )
    key.public_key.verify(USUAL_SIGNATURES[algorithm], built.signature, built.tbs_certificate_bytes)
    if algorithm in (KeyAlgorithm.RSA_3072, KeyAlgorithm.ED25519):  # signed alike each time
        assert built_der == other_der


def test_sm2() -> None:
    asked: list[tuple[SignatureAlgorithm, bytes]] = []

    def sign(algorithm: SignatureAlgorithm, data: bytes) -> bytes:
        asked.append((algorithm, data))
        return b"signature"

    spki = curve.spki_of(choosing.KNOWN_POINT)
    der = build_certificate(request_for(), spki, KeyAlgorithm.SM2, sign, wrapper="gm")
    read = asn1_x509.Certificate.load(der, strict=True)
    tbs = read["tbs_certificate"]
    assert asked == [(SignatureAlgorithm.SM2_SM3, tbs.dump())]
    assert spki in tbs.dump()
    # GM/T 0006: SM2 with SM3, and no parameters.
    assert read["signature_algorithm"].dump() == tbs["signature"].dump() == bytes.fromhex("300a06082a811ccf55018375")
    assert read["signature_value"].native == b"signature"


def test_keys_that_no_certificates_are_made_for() -> None:
    with pytest.raises(UnsupportedError, match="no certificates are made for rsa keys"):
        build_certificate(request_for(), b"", KeyAlgorithm.RSA, lambda *_: b"", wrapper="awslc")


def test_without_asn1crypto(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(UnsupportedError, match=r"awslc makes no certificates .* pip install 'rats-tls\[awslc\]'"):
        build_certificate(request_for(), b"", KeyAlgorithm.EC_P256, lambda *_: b"", wrapper="awslc")
