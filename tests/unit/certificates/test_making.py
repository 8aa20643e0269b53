"""Certificates that this side makes: the exact bytes that peers in C read, what is refused, and what is said of them.

Expected CBOR is written out here byte by byte (docs/certificate-format.md), not by an encoder.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from rats_tls.certificates.making import (
    C_READER_EVIDENCE,
    MadeCertificate,
    make_certificate,
    make_claims_buffer,
)
from rats_tls.core.algorithms import HashAlgorithm, KeyAlgorithm
from rats_tls.core.endorsements import Endorsement, EndorsementKind
from rats_tls.core.errors import ConfigurationError
from rats_tls.core.evidence import Evidence, TeeType
from rats_tls.core.limits import Limits
from rats_tls.formats.intel.collateral import endorsements_to_fields
from support.channels import CRYPTO, key
from support.ratls_variants import endorsements

NOW = datetime(2026, 3, 1, 12, 30, 15, 999_999, tzinfo=UTC)
KEY = key(KeyAlgorithm.EC_P256)
SPKI = KEY.public_key.spki
EVIDENCE_OID, ENDORSEMENTS_OID = "2.23.133.5.4.9", "2.23.133.5.4.2"
CLAIMS = b"\xa1kpubkey-hashX\x24" + b"\x82\x01\x58\x20" + hashlib.sha256(SPKI).digest()


def make(evidence: Evidence | None = None, claims_buffer: bytes = CLAIMS, **settings: object) -> MadeCertificate:
    common: dict[str, object] = {"now": NOW, "lifetime_seconds": 3600.0}
    return make_certificate(KEY, evidence, claims_buffer, CRYPTO, **{**common, **settings})


def quote(size: int = 300) -> Evidence:
    return Evidence.of(TeeType.TDX_ECDSA, bytes(range(256)) * (size // 256) + bytes(size % 256))


def extensions_of(made: MadeCertificate) -> list[x509.Extension]:
    return list(x509.load_der_x509_certificate(made.der).extensions)


def value_of(made: MadeCertificate, oid: str) -> bytes:
    (found,) = (item for item in extensions_of(made) if item.oid.dotted_string == oid)
    data: bytes = found.value.public_bytes()
    return data


# --- the claims-buffer ------------------------------------------------------------------------------------------------
def test_the_least_claims_buffer() -> None:
    assert len(SPKI) == 91  # SubjectPublicKeyInfo of P-256, not the bare point
    assert make_claims_buffer(SPKI, CRYPTO) == CLAIMS
    assert len(CLAIMS) == 51


@pytest.mark.parametrize(
    ("algorithm", "head"),
    [
        (HashAlgorithm.SHA256, b"\x58\x24\x82\x01\x58\x20"),
        (HashAlgorithm.SHA384, b"\x58\x34\x82\x07\x58\x30"),
        (HashAlgorithm.SHA512, b"\x58\x44\x82\x08\x58\x40"),
    ],
)
def test_hash_ids_are_those_of_iana(algorithm: HashAlgorithm, head: bytes) -> None:
    digest = hashlib.new(algorithm.value, SPKI).digest()
    assert make_claims_buffer(SPKI, CRYPTO, hash_algorithm=algorithm) == b"\xa1kpubkey-hash" + head + digest


def test_claims_stand_in_the_callers_order_behind_the_reserved_ones() -> None:
    buffer = make_claims_buffer(
        SPKI,
        CRYPTO,
        custom_claims={"key_1": b"value_1\0", "key_0": b"value_0\0", "": b""},
        issued_at=NOW,
        nonce=b"nonce",
    )
    seconds = int(datetime(2026, 3, 1, 12, 30, 15, tzinfo=UTC).timestamp())
    assert buffer == (
        b"\xa6"
        + CLAIMS[1:]
        + b"\x69issued-at\x48"
        + seconds.to_bytes(8, "big")
        + b"\x65nonce\x45nonce"
        + b"\x65key_1\x48value_1\0"
        + b"\x65key_0\x48value_0\0"
        + b"\x60\x40"
    )


@pytest.mark.parametrize("name", ["pubkey-hash", "issued-at", "nonce"])
def test_reserved_names_are_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{name}: reserved"):
        make_claims_buffer(SPKI, CRYPTO, custom_claims={"role": b"", name: b""})


def test_number_of_claims_is_that_which_is_read() -> None:
    most = Limits().custom_claims
    assert make_claims_buffer(SPKI, CRYPTO, custom_claims={str(n): b"" for n in range(most)})
    with pytest.raises(ConfigurationError, match=f"got {most + 1}, at most {most}"):
        make_claims_buffer(SPKI, CRYPTO, custom_claims={str(n): b"" for n in range(most + 1)})


@pytest.mark.parametrize("name", ["\ud800", "role\udcff"])
def test_names_that_are_no_text_are_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match="not UTF-8"):
        make_claims_buffer(SPKI, CRYPTO, custom_claims={name: b""})


def test_values_are_bytes() -> None:
    """A text would be written as one, and every reader would refuse it."""
    with pytest.raises(ConfigurationError, match="role: got str, expected bytes"):
        make_claims_buffer(SPKI, CRYPTO, custom_claims={"role": "server"})  # type: ignore[dict-item]  # what is tried


# --- the certificate --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("tee", "tag"),
    [
        (TeeType.SGX_ECDSA, "d9ea60"),
        (TeeType.TDX_ECDSA, "d9ea60"),
        (TeeType.SGX_LA, "d9ea62"),
        (TeeType.SEV_SNP, "da001a7504"),
        (TeeType.SEV, "da001a7505"),
        (TeeType.CSV, "da001a7506"),
    ],
)
def test_the_evidence_extension_is_a_tagged_pair_and_nothing_else(tee: TeeType, tag: str) -> None:
    data = bytes(range(256)) * 2
    value = value_of(make(Evidence.of(tee, data)), EVIDENCE_OID)
    assert value == bytes.fromhex(tag) + b"\x82\x59\x02\x00" + data + b"\x58\x33" + CLAIMS


def test_form_of_the_certificate() -> None:
    certificate = x509.load_der_x509_certificate(make(quote()).der)
    assert certificate.version is x509.Version.v3
    assert certificate.subject == certificate.issuer
    assert certificate.subject.rfc4514_string() == "CN=rats-tls,O=rats-tls"
    assert certificate.not_valid_before_utc == datetime(2026, 3, 1, 11, 30, 15, tzinfo=UTC)
    assert certificate.not_valid_after_utc == datetime(2026, 3, 1, 13, 30, 15, tzinfo=UTC)
    public = certificate.public_key()
    assert isinstance(public, ec.EllipticCurvePublicKey)
    assert public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) == SPKI
    assert isinstance(certificate.signature_hash_algorithm, hashes.SHA256)
    certificate.verify_directly_issued_by(certificate)
    # C readers refuse a critical Evidence extension; extKeyUsage and names of hosts have no place in it.
    assert [(item.oid.dotted_string, item.critical) for item in certificate.extensions] == [
        ("2.5.29.19", False),
        ("2.5.29.14", False),
        ("2.5.29.35", False),
        (EVIDENCE_OID, False),
    ]
    assert certificate.extensions[0].value == x509.BasicConstraints(ca=False, path_length=None)
    identifier = x509.SubjectKeyIdentifier.from_public_key(public)
    assert certificate.extensions[1].value == identifier
    assert certificate.extensions[2].value == x509.AuthorityKeyIdentifier(identifier.digest, None, None)


def test_without_evidence_there_is_no_evidence_extension() -> None:
    made = make(None)
    assert [item.oid.dotted_string for item in extensions_of(made)] == ["2.5.29.19", "2.5.29.14", "2.5.29.35"]
    assert made.warnings == ()
    # Nothing would bind the claims.
    assert CLAIMS not in made.der


def test_serial_numbers_are_positive_and_of_the_claims_buffer() -> None:
    serials = {
        x509.load_der_x509_certificate(make(quote(), CLAIMS + bytes([number])).der).serial_number
        for number in range(20)
    }
    assert len(serials) == 20
    assert all(1 << 62 <= serial < 1 << 63 for serial in serials)


@pytest.mark.parametrize(("size", "warned"), [(C_READER_EVIDENCE, False), (C_READER_EVIDENCE + 1, True)])
def test_evidence_beyond_the_buffer_of_c_readers_is_warned_of(size: int, warned: bool) -> None:
    warnings = make(quote(size)).warnings
    assert C_READER_EVIDENCE == 8208
    assert len(warnings) == warned
    assert all(f"{size} bytes" in warning for warning in warnings)


def test_evidence_without_a_tag_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="no tag"):
        make(Evidence("application/of-another-package", b""))


def test_certificates_are_made_up_to_the_limit() -> None:
    size = len(make(quote(400)).der)  # a signature of ECDSA may have a few bytes more or less
    assert make(quote(400), limits=Limits(certificate_made=size + 4))
    with pytest.raises(ConfigurationError, match=f"at most {size - 4} are made"):
        make(quote(400), limits=Limits(certificate_made=size - 4))
    assert len(make(quote(60_000)).der) <= Limits().certificate_made == 61_440
    with pytest.raises(ConfigurationError, match="at most 61440 are made"):
        make(quote(61_000))


# --- Endorsements in it -----------------------------------------------------------------------------------------------
def head(size: int) -> bytes:
    """Head of a CBOR byte string of 256 bytes and more."""
    return b"\x59" + size.to_bytes(2, "big")


def test_endorsements_stand_behind_the_evidence_with_a_version_of_four_bytes() -> None:
    made = make(quote(), endorsements=endorsements())
    assert [item.oid.dotted_string for item in extensions_of(made)][-2:] == [EVIDENCE_OID, ENDORSEMENTS_OID]
    fields = endorsements_to_fields(endorsements())
    assert len(fields) == 7
    # C readers take the version in its four-byte form only, and nine items at most.
    expected = b"\xd9\xea\x60\x88\x1a\x00\x00\x00\x03" + b"".join(head(len(field)) + field for field in fields)
    assert value_of(made, ENDORSEMENTS_OID) == expected
    assert not extensions_of(made)[-1].critical
    assert any("abort" in warning for warning in made.warnings)


def test_endorsements_without_a_place_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="no Evidence that they belong to"):
        make(None, endorsements=endorsements())
    with pytest.raises(ConfigurationError, match="Intel only"):
        make(Evidence.of(TeeType.SEV_SNP, b"report"), endorsements=endorsements())
    kept = [item for item in endorsements() if item.kind is not EndorsementKind.INTEL_PCK_CRL]
    with pytest.raises(ConfigurationError, match="intel-pck-crl"):
        make(quote(), endorsements=kept)
    # A generator is not used up by the first look at it.
    assert make(quote(), endorsements=(item for item in endorsements())).warnings
    assert make(quote(), endorsements=iter(())).warnings == ()


def test_other_vendors_endorsements_are_left_out() -> None:
    amd = Endorsement(kind=EndorsementKind.AMD_CRL, data=b"x")
    assert value_of(make(quote(), endorsements=(*endorsements(), amd)), ENDORSEMENTS_OID) == value_of(
        make(quote(), endorsements=endorsements()), ENDORSEMENTS_OID
    )


def test_notafter_is_the_lifetime_from_now() -> None:
    certificate = x509.load_der_x509_certificate(make(quote(), lifetime_seconds=86_400 * 365).der)
    assert certificate.not_valid_after_utc == NOW.replace(microsecond=0) + timedelta(days=365)
