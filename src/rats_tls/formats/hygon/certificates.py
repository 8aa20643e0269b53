"""Hygon's two forms of certificate: HRK and HSK (832 bytes), CEK and PEK (2084 bytes). Neither has dates.

Source: Hygon CSV attestation, certificates. Reserved bytes are zero in the vendor's own certificates; the 16 bytes
behind the key of a CEK are not: there is the key id of the HSK that signed it.
"""

from __future__ import annotations

from dataclasses import dataclass

from rats_tls.core.errors import DecodeError
from rats_tls.core.reader import Reader
from rats_tls.formats.hygon.sm2 import CURVE_SM2, EccPublicKey, read_signature

ROOT_CERTIFICATE_SIZE = 832
CERTIFICATE_SIZE = 2084

_ROOT_SIGNED_SIZE = 576
_SIGNED_SIZE = 1044
_KEY_ID_SIZE = 16

USAGE_HRK = 0x0
USAGE_HSK = 0x13
USAGE_NONE = 0x1000
"""Of a signature that is not there."""
USAGE_OCA = 0x1001
USAGE_PEK = 0x1002
USAGE_CEK = 0x1004


KEY_USAGES = {
    USAGE_HRK: "HRK",
    USAGE_HSK: "HSK",
    USAGE_NONE: "none",
    USAGE_OCA: "OCA",
    USAGE_PEK: "PEK",
    0x1003: "PDH",
    USAGE_CEK: "CEK",
}
"""What a key is for, by the usage in its certificate."""


def is_root_form(data: bytes, usage: int | None = None) -> bool:
    """Whether `data` has the size and curve of an HRK or HSK certificate, and the usage where one is given.

    AMD's certificates before SEV-SNP have the same sizes and usages, and other keys.
    """
    return len(data) == ROOT_CERTIFICATE_SIZE and _word(data, 64) == CURVE_SM2 and usage in {None, _word(data, 36)}


def is_key_form(data: bytes, usage: int | None = None) -> bool:
    """Whether `data` has the size and curve of a CEK or PEK certificate, and the usage where one is given."""
    return len(data) == CERTIFICATE_SIZE and _word(data, 16) == CURVE_SM2 and usage in {None, _word(data, 8)}


def _word(data: bytes, offset: int) -> int:
    return int.from_bytes(data[offset : offset + 4], "little")


@dataclass(frozen=True, slots=True, kw_only=True)
class RootCertificate:
    """Certificate of HRK or HSK.

    Attributes:
        data: the 832 bytes, as received.
        signed: the 576 bytes that the signature covers.
        version: 1.
        key_id: of the key (16 bytes).
        certifying_id: of the key that signed (16 bytes).
        usage: `USAGE_HRK` or `USAGE_HSK`.
        key: the key.
        r: signature, with `s`.
    """

    data: bytes
    signed: bytes
    version: int
    key_id: bytes
    certifying_id: bytes
    usage: int
    key: EccPublicKey
    r: int
    s: int

    @classmethod
    def from_bytes(cls, data: bytes, structure: str = "RootCertificate") -> RootCertificate:
        """Decode a certificate.

        Raises:
            DecodeError: another size, or a reserved byte that is not zero.
        """
        _require_size(data, ROOT_CERTIFICATE_SIZE, structure)
        r = Reader(data, structure)
        version = r.u32("version")
        key_id = r.take("key_id", _KEY_ID_SIZE)
        certifying_id = r.take("certifying_id", _KEY_ID_SIZE)
        usage = r.u32("key_usage")
        r.zeros("reserved", 24)
        key = EccPublicKey.read(r, "pubkey")
        r.zeros("reserved", 108)
        signature_r, signature_s = read_signature(r, "signature")
        r.zeros("reserved", 112)
        r.end()
        return cls(
            data=data,
            signed=data[:_ROOT_SIGNED_SIZE],
            version=version,
            key_id=key_id,
            certifying_id=certifying_id,
            usage=usage,
            key=key,
            r=signature_r,
            s=signature_s,
        )

    def to_bytes(self) -> bytes:
        """Give the certificate as received."""
        return self.data


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateSignature:
    """One of the two signatures of a CEK or PEK certificate; neither it nor its words are signed.

    Attributes:
        usage: usage of the key that signed; `USAGE_NONE` where there is no signature.
        algorithm: 4 is SM2 with SM3.
        r: signature, with `s`.
    """

    usage: int
    algorithm: int
    r: int
    s: int

    @classmethod
    def read(cls, r: Reader, field: str) -> CertificateSignature:
        """Read a signature. Raises DecodeError."""
        usage, algorithm = r.u32(f"{field}_usage"), r.u32(f"{field}_algo")
        signature_r, signature_s = read_signature(r, field)
        r.zeros(field, 368)
        return cls(usage=usage, algorithm=algorithm, r=signature_r, s=signature_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyCertificate:
    """Certificate of CEK or PEK.

    Attributes:
        data: the 2084 bytes, as received.
        signed: the 1044 bytes that the signatures cover.
        version: 1 or 2.
        api_version: of the firmware: major, minor.
        usage: `USAGE_CEK` or `USAGE_PEK`.
        algorithm: 4 is SM2 with SM3.
        key: the key.
        signer_id: key id of the HSK that signed (16 bytes); zeros in a PEK certificate.
        signatures: two; which is whose, their usage tells.
    """

    data: bytes
    signed: bytes
    version: int
    api_version: tuple[int, int]
    usage: int
    algorithm: int
    key: EccPublicKey
    signer_id: bytes
    signatures: tuple[CertificateSignature, CertificateSignature]

    @classmethod
    def from_bytes(cls, data: bytes, structure: str = "KeyCertificate", *, base: int = 0) -> KeyCertificate:
        """Decode a certificate; `base` is its offset in what it is part of, for errors.

        Raises:
            DecodeError: another size, or a reserved byte that is not zero.
        """
        _require_size(data, CERTIFICATE_SIZE, structure)
        r = Reader(data, structure, base=base)
        version = r.u32("version")
        api_version = (r.u8("api_major"), r.u8("api_minor"))
        r.zeros("reserved", 2)
        usage, algorithm = r.u32("pubkey_usage"), r.u32("pubkey_algo")
        key = EccPublicKey.read(r, "pubkey")
        signer_id = r.take("signer_id", _KEY_ID_SIZE)
        r.zeros("reserved", 608)
        signatures = (CertificateSignature.read(r, "sig1"), CertificateSignature.read(r, "sig2"))
        r.end()
        return cls(
            data=data,
            signed=data[:_SIGNED_SIZE],
            version=version,
            api_version=api_version,
            usage=usage,
            algorithm=algorithm,
            key=key,
            signer_id=signer_id,
            signatures=signatures,
        )

    def to_bytes(self) -> bytes:
        """Give the certificate as received."""
        return self.data

    def signature_by(self, usage: int) -> CertificateSignature | None:
        """Give the signature whose usage is `usage`, in whichever of the two places it stands; None without one."""
        return next((signature for signature in self.signatures if signature.usage == usage), None)


def _require_size(data: bytes, size: int, structure: str) -> None:
    if len(data) != size:
        raise DecodeError(structure, "", 0, f"got {len(data)} bytes, expected {size}")
