"""Certificates of AMD SEV platforms: CEK, PEK, OCA and PDH (AMD SEV API, appendix C.1)."""

from __future__ import annotations

from dataclasses import dataclass

from rats_tls.core.errors import DecodeError, UnsupportedError
from rats_tls.core.reader import Reader
from rats_tls.formats.amd.sev_keys import (
    ALGORITHMS,
    CEK,
    INVALID,
    KEY_SIZE,
    NO_ALGORITHM,
    OCA,
    PDH,
    PEK,
    RSA_ALGORITHMS,
    SIGNATURE_SIZE,
    USAGES,
    SevKey,
    ecdsa_to_bytes,
    key_to_bytes,
    read_ecdsa,
    read_key,
)

CERTIFICATE_SIZE = 2084
SIGNED_SIZE = 1044
"""Bytes from the start that both signatures cover."""

_VERSION = 1
_KEY_OFFSET = 16
_ECDSA_SIZE = 144


@dataclass(frozen=True, slots=True, kw_only=True)
class SevSignature:
    """One of the two signatures.

    Attributes:
        usage: usage of the key that made it.
        algorithm: how.
        r: of ECDSA, with `s`; None of RSA.
        rsa: of RSA: the number; None of ECDSA.
    """

    usage: int
    algorithm: int
    r: int | None = None
    s: int | None = None
    rsa: int | None = None

    @classmethod
    def read(cls, reader: Reader, field: str) -> SevSignature:
        """Read usage, algorithm and signature (520 bytes).

        Raises:
            DecodeError: an unknown usage, or a byte that must be zero is not.
            UnsupportedError: an unknown algorithm.
        """
        usage = _usage(reader, f"{field}_usage")
        algorithm = _algorithm(reader, f"{field}_algo")
        if algorithm in RSA_ALGORITHMS:
            rsa = int.from_bytes(reader.take(field, SIGNATURE_SIZE), "little")
            return cls(usage=usage, algorithm=algorithm, rsa=rsa)
        if algorithm == NO_ALGORITHM:
            reader.zeros(field, SIGNATURE_SIZE)
            return cls(usage=usage, algorithm=algorithm)
        r, s = read_ecdsa(reader, field)
        reader.zeros(f"{field}.reserved", SIGNATURE_SIZE - _ECDSA_SIZE)
        return cls(usage=usage, algorithm=algorithm, r=r, s=s)

    def to_bytes(self) -> bytes:
        """Write it (520 bytes)."""
        value = b""
        if self.rsa is not None:
            value = self.rsa.to_bytes(SIGNATURE_SIZE, "little")
        elif self.r is not None and self.s is not None:
            value = ecdsa_to_bytes(self.r, self.s)
        head = self.usage.to_bytes(4, "little") + self.algorithm.to_bytes(4, "little")
        return head + value.ljust(SIGNATURE_SIZE, b"\0")


@dataclass(frozen=True, slots=True, kw_only=True)
class SevCertificate:
    """A certificate of 2084 bytes. It has no dates and no name: its usage says what it is.

    Attributes:
        data: the certificate as received.
        api_major: version of the firmware's API, with `api_minor`.
        usage: what the key is: OCA, PEK, PDH or CEK.
        algorithm: what it is used with.
        key: the key.
        signatures: both, in their order, which means nothing.
    """

    data: bytes
    version: int
    api_major: int
    api_minor: int
    usage: int
    algorithm: int
    key: SevKey
    signatures: tuple[SevSignature, SevSignature]

    @classmethod
    def from_bytes(cls, data: bytes, structure: str = "SevCertificate", *, base: int = 0) -> SevCertificate:
        """Decode a certificate.

        Args:
            data: exactly 2084 bytes.
            structure: what to call it in errors.
            base: offset of `data` within the outermost structure.

        Raises:
            DecodeError: another size or version, an unknown usage, two signatures by one kind of key, or a byte that
                must be zero is not.
            UnsupportedError: an algorithm, curve or key size that is not known.
        """
        if len(data) != CERTIFICATE_SIZE:
            raise DecodeError(structure, "", base, f"got {len(data)} bytes, expected {CERTIFICATE_SIZE}")
        reader = Reader(data, structure, base=base)
        version = reader.u32("version")
        if version != _VERSION:
            raise DecodeError(structure, "version", base, f"got {version}, expected {_VERSION}")
        api_major, api_minor = reader.u8("api_major"), reader.u8("api_minor")
        reader.zeros("reserved", 2)
        usage = _usage(reader, "pubkey_usage")
        algorithm = _algorithm(reader, "pubkey_algo")
        if algorithm == NO_ALGORITHM:
            raise reader.error("pubkey_algo", "got 0 (none), expected that of the key")
        key = read_key(reader, algorithm)
        first, second = SevSignature.read(reader, "sig1"), SevSignature.read(reader, "sig2")
        if first.usage == second.usage != INVALID:
            raise reader.error("sig2_usage", f"got two signatures by a key of usage {first.usage:#x}")
        reader.end()
        return cls(
            data=data,
            version=version,
            api_major=api_major,
            api_minor=api_minor,
            usage=usage,
            algorithm=algorithm,
            key=key,
            signatures=(first, second),
        )

    def to_bytes(self) -> bytes:
        """Encode from the fields, not from `data`."""
        head = b"".join(
            (
                self.version.to_bytes(4, "little"),
                bytes((self.api_major, self.api_minor, 0, 0)),
                self.usage.to_bytes(4, "little"),
                self.algorithm.to_bytes(4, "little"),
            )
        )
        return head + key_to_bytes(self.key) + b"".join(signature.to_bytes() for signature in self.signatures)

    @property
    def signed(self) -> bytes:
        """The 1044 bytes that the signatures cover, as received."""
        return self.data[:SIGNED_SIZE]

    @property
    def key_field(self) -> bytes:
        """The key as the certificate holds it (1028 bytes)."""
        return self.data[_KEY_OFFSET : _KEY_OFFSET + KEY_SIZE]

    def signature_by(self, usage: int) -> SevSignature | None:
        """Give the signature by a key of that usage, wherever it stands; None when there is none."""
        return next((signature for signature in self.signatures if signature.usage == usage), None)


def is_sev_certificate(data: bytes) -> bool:
    """Tell whether data has the form of a CEK, PEK, OCA or PDH certificate of AMD's by its size and first fields."""
    usage, algorithm = (int.from_bytes(data[at : at + 4], "little") for at in (8, 12))
    keys = ALGORITHMS.keys() - {NO_ALGORITHM}
    return (
        len(data) == CERTIFICATE_SIZE
        and data[:4] == b"\1\0\0\0"
        and usage in {OCA, PEK, PDH, CEK}
        and algorithm in keys
    )


def _usage(reader: Reader, field: str) -> int:
    offset = reader.offset
    usage = reader.u32(field)
    if usage not in USAGES:
        known = ", ".join(f"{number:#x}" for number in USAGES)
        raise DecodeError("SevCertificate", field, offset, f"got {usage:#x}, expected one of {known}")
    return usage


def _algorithm(reader: Reader, field: str) -> int:
    algorithm = reader.u32(field)
    if algorithm not in ALGORITHMS:
        known = ", ".join(f"{number:#x}" for number in ALGORITHMS)
        raise UnsupportedError(f"SevCertificate {field}: got {algorithm:#x}, expected one of {known}")
    return algorithm
