"""Certificates beside the usual: with parameters in the AlgorithmIdentifier of ECDSA, which `cryptography` refuses."""

from __future__ import annotations

import functools
from collections.abc import Callable
from datetime import timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from rats_tls.simulation import der
from support.ratls_variants import key, make, name, variants
from support.simulated import NOW

ECDSA_SHA256 = der.object_identifier("1.2.840.10045.4.3.2")
WITHOUT_PARAMETERS = der.sequence(ECDSA_SHA256)
NULL = b"\x05\x00"
WITH_NULL = der.sequence(ECDSA_SHA256, NULL)

Extension = tuple[x509.ExtensionType, bool]


def parts(certificate: bytes) -> tuple[list[bytes], bytes, bytes]:
    """Split a certificate into the elements of its signed part, its algorithm and its signature value."""
    tbs, algorithm, signature = elements(content(certificate))
    return elements(content(tbs)), algorithm, signature


def elements(data: bytes) -> list[bytes]:
    """Split the DER elements that `data` consists of."""
    found = []
    while data:
        size = len(data) - len(content(data, rest=True)) + _length(data)
        found.append(data[:size])
        data = data[size:]
    return found


def content(element: bytes, *, rest: bool = False) -> bytes:
    """Give the content of one element; with `rest`, and what is behind it."""
    start = 2 + (element[1] & 0x7F if element[1] & 0x80 else 0)
    return element[start:] if rest else element[start : start + _length(element)]


def _length(element: bytes) -> int:
    return int.from_bytes(element[2 : 2 + (element[1] & 0x7F)], "big") if element[1] & 0x80 else element[1]


def rebuilt(
    certificate: bytes,
    *,
    algorithm: bytes | None = None,
    outer: bytes | None = None,
    change: Callable[[list[bytes]], list[bytes]] = lambda tbs: tbs,
    signer: ec.EllipticCurvePrivateKey | None = None,
) -> bytes:
    """Write a certificate again with other parts and sign it anew.

    Args:
        certificate: with version and an ECDSA signature.
        algorithm: AlgorithmIdentifier inside, in place of what is there.
        outer: AlgorithmIdentifier outside, in place of the one inside.
        change: other elements of the signed part: version, serial, algorithm, issuer, validity, subject, key, ...
        signer: signs; the key of the variants when left out.
    """
    tbs, _, _ = parts(certificate)
    inner = algorithm or tbs[2]
    signed = der.sequence(*change([*tbs[:2], inner, *tbs[3:]]))
    own = signer or key("p256")
    if not isinstance(own, ec.EllipticCurvePrivateKey):
        raise TypeError("expected an EC key")
    signature = own.sign(signed, ec.ECDSA(hashes.SHA256()))
    return der.sequence(signed, outer or inner, der.element(0x03, b"\0" + signature))


@functools.cache
def with_null_parameters() -> bytes:
    """A certificate with Evidence, good but for NULL parameters in both of its ECDSA AlgorithmIdentifiers."""
    return rebuilt(make(variants()["good"]), algorithm=WITH_NULL)


def plain(*extensions: Extension, subject: x509.Name | None = None) -> bytes:
    """A self-signed certificate without Evidence."""
    own = key("p256")
    if not isinstance(own, ec.EllipticCurvePrivateKey):
        raise TypeError("expected an EC key")
    builder = (
        x509.CertificateBuilder()
        .subject_name(name() if subject is None else subject)
        .issuer_name(name() if subject is None else subject)
        .public_key(own.public_key())
        .serial_number(7)
        .not_valid_before(NOW - timedelta(days=1))
        .not_valid_after(NOW + timedelta(days=1))
    )
    for value, critical in extensions:
        builder = builder.add_extension(value, critical=critical)
    return builder.sign(own, hashes.SHA256()).public_bytes(Encoding.DER)
