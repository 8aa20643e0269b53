"""Certificates and lists: any bytes give a value or our error, and both readers read the same."""

from __future__ import annotations

import contextlib
import functools
from dataclasses import replace

from cryptography import x509
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from rats_tls.certificates.tolerant import read_tolerantly
from rats_tls.core.endorsements import EndorsementKind
from rats_tls.core.errors import DecodeError
from rats_tls.formats.x509 import Certificate, Name, RevocationList, certificates_from_pem
from rats_tls.simulation import pki
from support.intel_pki import certificate, revocation_list
from support.mutations import mutated
from support.odd_certificates import WITH_NULL, plain, rebuilt, with_null_parameters
from support.ratls_variants import make, variants
from support.simulated import world

REFUSAL = DecodeError("Certificate", "", None, "not one that `cryptography` reads")


@functools.cache
def good_certificates() -> tuple[bytes, ...]:
    made = variants()
    names = (
        "good",
        "evidence_ext_critical",
        "p384_key_sha384hash",
        "rsa2048_key",
        "ed25519_key",
        "keyusage_digsig_certsign",
    )
    several = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text) for text in ("first", "second")])
    return (
        *(make(made[name]) for name in names),
        plain(subject=several),
        plain(subject=x509.Name([])),
        certificate("Leaf", "CA"),
        certificate("CA", "CA", ca=True, path_length=1),
    )


@functools.cache
def amd_certificates() -> tuple[bytes, ...]:
    """RSA-PSS signatures; the VEK's serial number is 0 on real chips."""
    items = world().attester("simulated_sev_snp").endorsements
    return tuple(item.data for item in items if item.kind is not EndorsementKind.AMD_CRL)


def all_certificates() -> tuple[bytes, ...]:
    return (*good_certificates(), *amd_certificates())


@functools.cache
def lists() -> tuple[bytes, ...]:
    (amd,) = world().attester("simulated_sev_snp").endorsements.of_kind(EndorsementKind.AMD_CRL)
    return (amd.data, revocation_list(), revocation_list(revoked=(1, 2, 1 << 150), number=1 << 60))


@functools.cache
def odd_certificates() -> tuple[bytes, ...]:
    return (with_null_parameters(), rebuilt(plain(), algorithm=WITH_NULL))


@functools.cache
def bundles() -> tuple[bytes, ...]:
    return (pki.to_pem(good_certificates()[:2]), pki.to_pem(amd_certificates()))


def read(data: bytes) -> Certificate | None:
    with contextlib.suppress(DecodeError):
        return Certificate.from_der(data)
    return None


def read_otherwise(data: bytes) -> Certificate | None:
    with contextlib.suppress(DecodeError):
        return read_tolerantly(data, REFUSAL)
    return None


def slices(found: Certificate, data: bytes) -> None:
    """What hashes and signatures cover is the bytes received, not bytes written again."""
    assert found.der == data
    assert found.tbs in data
    assert found.spki in found.tbs
    assert found.signature in data
    assert found.subject.der in found.tbs
    assert all(extension.value in found.tbs for extension in found.extensions.values())


@given(mutated(all_certificates) | st.binary(max_size=300))
@settings(max_examples=200)
def test_any_certificate(data: bytes) -> None:
    found = read(data)
    if found is not None:
        slices(found, data)


@given(mutated(lists) | st.binary(max_size=300))
@settings(max_examples=200)
def test_any_revocation_list(data: bytes) -> None:
    with contextlib.suppress(DecodeError):
        found = RevocationList.from_der(data)
        assert found.der == data
        assert found.tbs in data
        assert found.signature in data
        assert found.revoked == {entry.serial_number for entry in x509.load_der_x509_crl(data)}


@given(mutated(bundles) | st.binary(max_size=300))
def test_any_bundle(data: bytes) -> None:
    with contextlib.suppress(DecodeError):
        for der in certificates_from_pem(data):
            Certificate.from_der(der)


def certificates_in(data: bytes) -> tuple[bytes, ...] | None:
    with contextlib.suppress(DecodeError):
        return certificates_from_pem(data)
    return None


@given(mutated(bundles))
@settings(max_examples=200)
def test_a_bundle_reads_the_same_behind_text(data: bytes) -> None:
    """Plain bundles and others are read on two ways."""
    assert certificates_in(data) == certificates_in(b"bundle:\n" + data)


@given(mutated(odd_certificates, most=3) | st.binary(max_size=300))
@settings(max_examples=200)
def test_any_certificate_read_tolerantly(data: bytes) -> None:
    found = read_otherwise(data)
    if found is not None:
        slices(found, data)


def without_texts(found: Certificate) -> Certificate:
    """The two libraries write names for people in their own way."""
    names = {field: replace(getattr(found, field), text="") for field in ("subject", "issuer")}
    return replace(found, **names)


@given(mutated(good_certificates, most=1))
@settings(max_examples=200)
def test_both_readers_read_the_same(data: bytes) -> None:
    found, otherwise = read(data), read_otherwise(data)
    if found is not None and otherwise is not None:
        assert without_texts(found) == without_texts(otherwise)


def test_both_readers_read_every_good_certificate() -> None:
    for data in good_certificates():
        found, otherwise = read(data), read_otherwise(data)
        assert found is not None
        assert otherwise is not None
        assert without_texts(found) == without_texts(otherwise)
        assert isinstance(otherwise.subject, Name)


def test_the_odd_ones_are_read_by_one_reader_alone() -> None:
    for data in odd_certificates():
        assert read(data) is None
        assert read_otherwise(data) is not None
