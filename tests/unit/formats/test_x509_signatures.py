"""What nothing signed covers in a certificate or revocation list: it says nothing of its own."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from rats_tls.core.errors import DecodeError
from rats_tls.formats.der import read_elements, read_sequence
from rats_tls.formats.x509 import Certificate, RevocationList
from support.intel_pki import PLATFORM_CA, ROOT, certificate, revocation_list
from support.simulated import world

Reader = Callable[[bytes], object]
ECDSA_SHA256_NULL = bytes.fromhex("300c06082a8648ce3d0403020500")
ECDSA_SHA384 = bytes.fromhex("300a06082a8648ce3d040303")
REFUSED = "(?i)signature.?alg|TBSCertList::signature"
TRAILER = bytes.fromhex("a303020101")
"""RSASSA-PSS-params.trailerField with its default, which AMD's certificates write out."""


def rebuilt(der: bytes, *, inner: bytes | None = None, algorithm: bytes | None = None, padding: int = 0) -> bytes:
    """Put a signed structure together again, with another algorithm inside or outside, or another first value byte."""
    (outer,) = read_elements(der, "signed")
    signed, outside, value = read_sequence(outer, "signed", limit=3)
    tbs, signature = element(signed.tag, signed.content), bytes((padding,)) + value.content[1:]
    written = element(outside.tag, outside.content)
    if inner is not None:
        tbs = element(signed.tag, signed.content.replace(written, inner, 1))
    return element(0x30, tbs + (algorithm or written) + element(value.tag, signature))


def element(tag: int, content: bytes) -> bytes:
    length = len(content)
    if length < 0x80:
        return bytes((tag, length)) + content
    size = (length.bit_length() + 7) // 8
    return bytes((tag, 0x80 | size)) + length.to_bytes(size, "big") + content


BOTH = pytest.mark.parametrize(
    ("der", "read"),
    [(certificate(PLATFORM_CA, ROOT, ca=True), Certificate.from_der), (revocation_list(), RevocationList.from_der)],
    ids=["certificate", "list"],
)


@BOTH
def test_as_issued(der: bytes, read: Reader) -> None:
    assert rebuilt(der) == der
    read(der)


@BOTH
@pytest.mark.parametrize("algorithm", [ECDSA_SHA384, ECDSA_SHA256_NULL], ids=["other", "other parameters"])
def test_the_algorithm_outside_is_the_one_inside(der: bytes, read: Reader, algorithm: bytes) -> None:
    with pytest.raises(DecodeError, match=REFUSED):
        read(rebuilt(der, algorithm=algorithm))
    with pytest.raises(DecodeError, match=REFUSED):
        read(rebuilt(der, inner=algorithm))


@pytest.mark.parametrize("kind", ["amd-signer", "amd-root", "amd-crl"])
def test_parameters_outside_are_those_inside(kind: str) -> None:
    """Values that verify nothing differently, like the trailer field of RSASSA-PSS, count as well."""
    endorsements = world().attester("simulated_sev_snp").endorsements
    (der,) = {item.data for item in endorsements if item.kind.value == kind}
    read: Reader = RevocationList.from_der if kind == "amd-crl" else Certificate.from_der
    (outer,) = read_elements(der, "signed")
    outside = read_sequence(outer, "signed", limit=3)[1]
    oid, parameters = read_sequence(outside, "algorithm", limit=2)
    written = element(0x30, parameters.content + TRAILER)
    algorithm = element(0x30, element(oid.tag, oid.content) + written)
    read(rebuilt(der, inner=algorithm, algorithm=algorithm))
    with pytest.raises(DecodeError, match=REFUSED):
        read(rebuilt(der, algorithm=algorithm))
    with pytest.raises(DecodeError, match=REFUSED):
        read(rebuilt(der, inner=algorithm))


@BOTH
@pytest.mark.parametrize("padding", [1, 4, 7])
def test_the_signature_has_no_unused_bits(der: bytes, read: Reader, padding: int) -> None:
    with pytest.raises(DecodeError):
        read(rebuilt(der, padding=padding))
