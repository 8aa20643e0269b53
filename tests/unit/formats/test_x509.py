"""X.509 certificates and revocation lists: what is read out of them, and what is refused."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from rats_tls.core.algorithms import SignatureAlgorithm
from rats_tls.core.errors import DecodeError, UnsupportedError
from rats_tls.formats.x509 import (
    Certificate,
    Extension,
    RevocationList,
    certificates_from_pem,
    require_signature_algorithm,
)
from rats_tls.simulation import der
from support.intel_pki import END, START, certificate, name_of, revocation_list
from support.intel_pki import key as named_key
from support.odd_certificates import content, elements, parts, plain, rebuilt
from support.ratls_variants import key, name

UNKNOWN = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\0")


def spki_of(own: Any) -> bytes:
    data: bytes = own.public_key().public_bytes(Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return data


# --- certificates -----------------------------------------------------------------------------------------------------
def test_every_field() -> None:
    data = certificate("Leaf", "CA", ca=True, path_length=2, serial=(1 << 150) + 1, extensions=((UNKNOWN, False),))
    found = Certificate.from_der(data)
    tbs, _, signature = elements(content(data))
    assert (found.der, found.tbs, b"\0" + found.signature) == (data, tbs, content(signature))
    assert (found.version, found.serial) == (3, (1 << 150) + 1)
    assert (found.subject.common_name, found.issuer.common_name) == ("Leaf", "CA")
    assert found.subject.der == name_of("Leaf").public_bytes()
    assert (found.not_before, found.not_after) == (START, END)
    assert found.spki == spki_of(named_key("Leaf"))
    assert found.signature_algorithm is SignatureAlgorithm.ECDSA_SHA256
    assert (found.is_ca, found.path_length, found.self_issued) == (True, 2, False)
    assert found.extensions == {
        "2.5.29.19": Extension(True, bytes.fromhex("30060101ff020102")),
        "1.2.3.4": Extension(False, b"\x05\0"),
    }
    assert found.sha256 == hashlib.sha256(data).digest()


def test_without_basic_constraints_it_is_no_ca() -> None:
    found = Certificate.from_der(plain())
    assert (found.is_ca, found.path_length, found.extensions, found.self_issued) == (False, None, {}, True)


def test_names_give_their_first_attribute_and_all_of_their_bytes() -> None:
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, "first"),
            x509.NameAttribute(NameOID.COMMON_NAME, "second"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "O"),
        ]
    )
    found = Certificate.from_der(plain(subject=subject)).subject
    assert (found.common_name, found.organization, found.der) == ("first", "O", subject.public_bytes())
    assert str(found) == found.text == "O=O,CN=second,CN=first"
    assert Certificate.from_der(plain(subject=x509.Name([]))).subject.common_name == ""


def test_the_key_is_that_received_and_not_one_written_again() -> None:
    """A point may be compressed: read and written again it would be whole, and hashes would be of other bytes."""
    own = key("p256")
    assert isinstance(own, ec.EllipticCurvePrivateKey)
    point = own.public_key().public_bytes(Encoding.X962, serialization.PublicFormat.CompressedPoint)
    algorithm, _ = elements(content(spki_of(own)))
    compressed = der.sequence(algorithm, der.element(0x03, b"\0" + point))
    found = Certificate.from_der(rebuilt(plain(), change=lambda tbs: [*tbs[:6], compressed, *tbs[7:]]))
    assert found.spki == compressed != spki_of(own)


def test_version_1_has_no_version_field() -> None:
    found = Certificate.from_der(rebuilt(plain(), change=lambda tbs: tbs[1:7]))
    assert (found.version, found.serial) == (1, 7)
    assert found.spki == spki_of(key("p256"))


@pytest.mark.parametrize(
    ("serial", "number"), [(b"\x02\x01\x00", 0), (b"\x02\x01\xff", -1), (b"\x02\x02\xff\x7f", -129)]
)
def test_serial_numbers_that_are_not_positive_are_read_without_a_warning(serial: bytes, number: int) -> None:
    """AMD's VCEK certificates have 0. Warnings are errors in these tests, as they may be in a user's process."""
    data = rebuilt(plain(), change=lambda tbs: [tbs[0], serial, *tbs[2:]])
    assert Certificate.from_der(data).serial == number


@pytest.mark.parametrize("digest", [hashes.SHA256(), hashes.SHA384(), hashes.SHA512()])
def test_signature_algorithms_of_each_kind(digest: hashes.HashAlgorithm) -> None:
    suffix = digest.name
    assert Certificate.from_der(certificate("A", "A", digest=digest)).signature_algorithm is SignatureAlgorithm(
        f"ecdsa-{suffix}"
    )
    assert rsa_signed(digest).signature_algorithm is SignatureAlgorithm(f"rsa-pkcs1-{suffix}")
    pss = padding.PSS(padding.MGF1(digest), digest.digest_size)
    assert rsa_signed(digest, pss).signature_algorithm is SignatureAlgorithm(f"rsa-pss-{suffix}")


def rsa_signed(digest: hashes.HashAlgorithm, pss: padding.PSS | None = None) -> Certificate:
    own = key("rsa2048")
    assert isinstance(own, rsa.RSAPrivateKey)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name())
        .issuer_name(name())
        .public_key(own.public_key())
        .serial_number(1)
        .not_valid_before(START)
        .not_valid_after(END)
    )
    return Certificate.from_der(builder.sign(own, digest, rsa_padding=pss).public_bytes(Encoding.DER))


@pytest.mark.parametrize(
    ("digest", "pss"),
    [
        (hashes.SHA384(), padding.PSS(padding.MGF1(hashes.SHA384()), 32)),
        (hashes.SHA384(), padding.PSS(padding.MGF1(hashes.SHA256()), 48)),
        (hashes.SHA224(), None),
        (hashes.SHA224(), padding.PSS(padding.MGF1(hashes.SHA224()), 28)),
    ],
)
def test_algorithms_that_nothing_here_verifies_have_no_name(
    digest: hashes.HashAlgorithm, pss: padding.PSS | None
) -> None:
    """RFC 4055 3.1: MGF1 with the same hash, a salt of its length. The parameters are not passed over."""
    found = rsa_signed(digest, pss)
    assert found.signature_algorithm is None
    with pytest.raises(UnsupportedError, match="signature algorithm"):
        require_signature_algorithm(found)


def test_a_named_algorithm_is_given() -> None:
    assert require_signature_algorithm(Certificate.from_der(plain())) is SignatureAlgorithm.ECDSA_SHA256


def unused_bits(data: bytes, unused: int) -> bytes:
    tbs, algorithm, signature = elements(content(data))
    return der.sequence(tbs, algorithm, der.element(0x03, bytes([unused]) + content(signature)[1:-1] + b"\x80"))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x30",
        b"\x30\x00",
        b"\x30\x80\x00\x00",
        b"-----BEGIN CERTIFICATE-----",
        plain() + b"\0",
        plain()[:-1],
        unused_bits(plain(), 1),
        unused_bits(plain(), 7),
        revocation_list(),
        rebuilt(plain(), change=lambda tbs: [b"\xa0\x03\x02\x01\x07", *tbs[1:]]),  # version 8
    ],
)
def test_no_certificate(data: bytes) -> None:
    with pytest.raises(DecodeError, match=r"not an X\.509 certificate") as caught:
        Certificate.from_der(data, "Thing")
    assert caught.value.structure == "Thing"


def test_an_extension_twice_is_refused() -> None:
    other = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.5"), b"\x05\0")
    one, two = der.object_identifier("1.2.3.4"), der.object_identifier("1.2.3.5")
    data = rebuilt(plain((UNKNOWN, False), (other, False)), change=lambda tbs: [*tbs[:-1], tbs[-1].replace(two, one)])
    with pytest.raises(DecodeError, match=r"not an X\.509 certificate"):
        Certificate.from_der(data)


# --- revocation lists -------------------------------------------------------------------------------------------------
def test_every_field_of_a_list() -> None:
    data = revocation_list("CA", revoked=(1, 1 << 150), number=77, extensions=((UNKNOWN, True),))
    found = RevocationList.from_der(data)
    tbs, _, signature = elements(content(data))
    assert (found.der, found.tbs, b"\0" + found.signature) == (data, tbs, content(signature))
    assert (found.issuer.common_name, found.this_update, found.next_update) == ("CA", START, END)
    assert (found.number, found.authority_key_id) == (77, True)
    assert found.revoked == {1, 1 << 150}
    assert found.unknown_critical == ("1.2.3.4",)
    assert require_signature_algorithm(found) is SignatureAlgorithm.ECDSA_SHA256


def test_what_a_list_may_be_without() -> None:
    found = RevocationList.from_der(
        revocation_list("CA", number=None, authority_key_id=False, extensions=((UNKNOWN, False),))
    )
    assert (found.number, found.authority_key_id, found.revoked, found.unknown_critical) == (
        None,
        False,
        frozenset(),
        (),
    )


def list_without_an_end() -> bytes:
    """Its nextUpdate is left out: it would be in date for ever."""
    data = revocation_list("CA")
    tbs, algorithm, _ = elements(content(data))
    fields = elements(content(tbs))
    # version, algorithm, issuer, thisUpdate, nextUpdate, extensions
    signed = der.sequence(*fields[:4], *fields[5:])
    return der.sequence(
        signed, algorithm, der.element(0x03, b"\0" + named_key("CA").sign(signed, ec.ECDSA(hashes.SHA256())))
    )


def test_a_list_without_an_end_is_refused() -> None:
    with pytest.raises(DecodeError) as caught:
        RevocationList.from_der(list_without_an_end())
    assert caught.value.field == "nextUpdate"


@pytest.mark.parametrize(
    "data",
    [b"", b"\x30\x00", revocation_list() + b"\0", revocation_list()[:-1], plain(), unused_bits(revocation_list(), 1)],
)
def test_no_list(data: bytes) -> None:
    with pytest.raises(DecodeError, match="not a revocation list") as caught:
        RevocationList.from_der(data, "Thing")
    assert caught.value.structure == "Thing"


def test_a_list_of_many_is_read_whole() -> None:
    serials = tuple(range(1, 2001))
    assert RevocationList.from_der(revocation_list(revoked=serials)).revoked == set(serials)


# --- PEM --------------------------------------------------------------------------------------------------------------
def pem(*ders: bytes) -> bytes:
    return b"".join(x509.load_der_x509_certificate(item).public_bytes(Encoding.PEM) for item in ders)


def test_certificates_in_order_with_text_between() -> None:
    one, two = plain(), certificate("Leaf", "CA")
    assert certificates_from_pem(b"leaf:\n" + pem(two) + b"\nissuer:\n" + pem(one) + b"\0") == (two, one)


def test_bundles_are_bounded() -> None:
    assert len(certificates_from_pem(pem(plain()) * 8)) == 8
    with pytest.raises(DecodeError, match="9 certificates, at most 8"):
        certificates_from_pem(pem(plain()) * 9)
    with pytest.raises(DecodeError, match="2 certificates, at most 1"):
        certificates_from_pem(pem(plain()) * 2, limit=1)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"text",
        plain(),
        pem(plain())[:-10],
        pem(plain()) + b"-----BEGIN CERTIFICATE-----\nMII\n",
        pem(plain()) + b"-----BEGIN PRIVATE KEY-----\nMII=\n-----END PRIVATE KEY-----\n",
        pem(plain()).replace(b"M", b"*", 1),
        b"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n",
    ],
)
def test_no_bundle(data: bytes) -> None:
    """A block that is not a whole certificate is not passed over as text between blocks."""
    with pytest.raises(DecodeError) as caught:
        certificates_from_pem(data, "Bundle")
    assert caught.value.structure == "Bundle"


def test_dates_have_their_zone() -> None:
    found = Certificate.from_der(plain())
    assert found.not_before.utcoffset() == found.not_after.utcoffset() == timedelta(0)
    assert parts(found.der)[0]
