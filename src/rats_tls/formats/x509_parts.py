"""Where the parts of a certificate or revocation list stand in its DER (RFC 5280).

What is loaded and encoded again need not give the bytes received, and those are what hashes, signatures and comparisons
cover. `cryptography` has read the bytes before, so they are known to be well formed.
"""

from __future__ import annotations

from typing import NamedTuple

_INTEGER = 0x02
_VERSION = 0xA0


class CertificateParts(NamedTuple):
    """Slices of a certificate."""

    tbs: bytes
    issuer: bytes
    subject: bytes
    spki: bytes

    @classmethod
    def of(cls, der: bytes) -> CertificateParts:
        """Slice a certificate.

        Raises:
            ValueError: what nothing signed covers says something of its own.
        """
        start, _ = element(der, 0)
        version, end = element(der, start)
        serial = element(der, version)[1] if der[version] == _VERSION else version
        _, signature = element(der, serial)
        _, issuer = element(der, signature)
        _, validity = element(der, issuer)
        _, subject = element(der, validity)
        _, spki = element(der, subject)
        _, behind = element(der, spki)
        _require_bound_signature(der, der[signature:issuer], end)
        return cls(der[start:end], der[issuer:validity], der[subject:spki], der[spki:behind])


class ListParts(NamedTuple):
    """Slices of a revocation list."""

    tbs: bytes
    issuer: bytes

    @classmethod
    def of(cls, der: bytes) -> ListParts:
        """Slice a revocation list.

        Raises:
            ValueError: what nothing signed covers says something of its own.
        """
        start, _ = element(der, 0)
        version, end = element(der, start)
        signature = element(der, version)[1] if der[version] == _INTEGER else version
        _, issuer = element(der, signature)
        _, times = element(der, issuer)
        _require_bound_signature(der, der[signature:issuer], end)
        return cls(der[start:end], der[issuer:times])


def _require_bound_signature(der: bytes, inside: bytes, signed_end: int) -> None:
    """Require that what stands beside the signed part, which nothing covers, says nothing of its own.

    `cryptography` passes over both: signatureAlgorithm must be, to the byte, the one inside (RFC 5280 4.1.1.2,
    5.1.1.2), and signatureValue has no unused bits.

    Raises:
        ValueError: it does.
    """
    _, value = element(der, signed_end)
    outside = der[signed_end:value]
    if inside != outside:
        raise ValueError(f"signatureAlgorithm is {outside.hex()}, inside it is {inside.hex()}")
    start, _ = element(der, value)
    if der[start] != 0:
        raise ValueError("signatureValue is not a whole number of bytes")


def serial_number_is_positive(der: bytes) -> bool:
    """Whether it is; of a certificate that nobody has read yet, and True when it is cut short."""
    try:
        tbs, _ = element(der, 0)
        at, _ = element(der, tbs)
        if der[at] == _VERSION:
            _, at = element(der, at)
        start, end = element(der, at)
    except IndexError:
        return True  # `cryptography` says better what is wrong
    return int.from_bytes(der[start:end], "big", signed=True) > 0


def element(data: bytes, offset: int) -> tuple[int, int]:
    """Give start of content and end of the DER element at `offset`."""
    length = data[offset + 1]
    start = offset + 2
    if length & 0x80:
        size = length & 0x7F
        length = int.from_bytes(data[start : start + size], "big")
        start += size
    return start, start + length
