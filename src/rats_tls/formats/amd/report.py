"""The attestation report of a SEV-SNP guest (AMD SEV-SNP ABI specification, ATTESTATION_REPORT), versions 2 to 5."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from rats_tls.core.errors import DecodeError, UnsupportedError
from rats_tls.core.reader import Reader
from rats_tls.formats.amd.tcb import product_of_cpuid

REPORT_SIZE = 0x4A0
SIGNED_SIZE = 0x2A0
"""Bytes from the start that the signature covers."""

SIGNING_KEY_VCEK = 0
SIGNING_KEY_VLEK = 1

_VERSIONS = range(2, 6)
_ECDSA_P384_SHA384 = 1
_VERSION_OF_CPUID = 3
_VERSION_OF_VECTORS = 5
_VECTORS = struct.Struct("<2Q")
_LAYOUT = struct.Struct(
    "<IIQ 16s16s II"  # 0x000 version, guest_svn, policy; family_id, image_id; vmpl, signature_algo
    "8sQI4s"  # 0x038 current_tcb, platform_info, key_info, reserved
    "64s48s32s48s48s32s32s"  # 0x050 report_data, measurement, host_data, id and author key digests, report ids
    "8s3s21s64s8s"  # 0x180 reported_tcb, CPUID, reserved, chip_id, committed_tcb
    "3Bs3Bs"  # 0x1E8 current and committed version: build, minor, major, reserved
    "8s16s152s"  # 0x1F0 launch_tcb, mitigation vectors, reserved
    "48s24s48s24s368s"  # 0x2A0 r and s, little-endian in fields of 72 bytes; reserved
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AttestationReport:
    """ATTESTATION_REPORT. Words keep all bits; TCB values stay raw, because their layout depends on the product.

    Attributes:
        signed: the 672 bytes that the signature covers, as received.
        key_info: author_key_en (bit 0), mask_chip_key (1), signing_key (2-4); the rest is reserved.
        current_tcb: 8 bytes, as are the other TCB values; the ABI also calls it platform_version.
        cpuid: family, model and stepping (version 3 and later).
        current_version: firmware version: major, minor, build.
        launch_mit_vector: mitigation vector (version 5), as `current_mit_vector`.
        r: signature, with `s`.
        trailing: number of bytes behind the report, which nothing covers.
    """

    signed: bytes
    version: int
    guest_svn: int
    policy: int
    family_id: bytes
    image_id: bytes
    vmpl: int
    signature_algorithm: int
    current_tcb: bytes
    platform_info: int
    key_info: int
    report_data: bytes
    measurement: bytes
    host_data: bytes
    id_key_digest: bytes
    author_key_digest: bytes
    report_id: bytes
    report_id_ma: bytes
    reported_tcb: bytes
    cpuid: tuple[int, int, int] | None
    chip_id: bytes
    committed_tcb: bytes
    current_version: tuple[int, int, int]
    committed_version: tuple[int, int, int]
    launch_tcb: bytes
    launch_mit_vector: int | None
    current_mit_vector: int | None
    r: int
    s: int
    trailing: int

    @classmethod
    def from_bytes(cls, data: bytes) -> AttestationReport:
        """Decode the report at the start of `data`; device buffers have padding behind it.

        Raises:
            DecodeError: too short, or a reserved byte that is not zero.
            UnsupportedError: another version or signature algorithm.
        """
        if len(data) < REPORT_SIZE:
            raise DecodeError(cls.__name__, "", 0, f"got {len(data)} bytes, expected at least {REPORT_SIZE}")
        # fmt: off
        (
            version, guest_svn, policy, family_id, image_id, vmpl, signature_algorithm,
            current_tcb, platform_info, key_info, reserved_4c,
            report_data, measurement, host_data, id_key_digest, author_key_digest, report_id, report_id_ma,
            reported_tcb, cpuid_bytes, reserved_18b, chip_id, committed_tcb,
            current_build, current_minor, current_major, reserved_1eb,
            committed_build, committed_minor, committed_major, reserved_1ef,
            launch_tcb, mit_vectors, reserved_208,
            signature_r, reserved_2d0, signature_s, reserved_318, reserved_330,
        ) = _LAYOUT.unpack_from(data)
        # fmt: on
        if version not in _VERSIONS:
            raise UnsupportedError(f"{cls.__name__} version: got {version}, expected 2 to 5")
        if signature_algorithm != _ECDSA_P384_SHA384:
            raise UnsupportedError(
                f"{cls.__name__} signature_algo: got {signature_algorithm}, expected 1 (ECDSA P-384 with SHA-384)"
            )
        cpuid = tuple(cpuid_bytes) if version >= _VERSION_OF_CPUID else None
        vectors = _VECTORS.unpack(mit_vectors) if version >= _VERSION_OF_VECTORS else (None, None)
        for field, offset, reserved in (
            ("reserved", 0x4C, reserved_4c),
            ("reserved", 0x188, b"" if cpuid is not None else cpuid_bytes),
            ("reserved", 0x18B, reserved_18b),
            ("reserved", 0x1EB, reserved_1eb),
            ("reserved", 0x1EF, reserved_1ef),
            ("reserved", 0x1F8, b"" if vectors[0] is not None else mit_vectors),
            ("reserved", 0x208, reserved_208),
            ("signature.r", 0x2D0, reserved_2d0),
            ("signature.s", 0x318, reserved_318),
            ("signature.reserved", 0x330, reserved_330),
        ):
            if reserved.strip(b"\0"):
                Reader(reserved, cls.__name__, base=offset).zeros(field, len(reserved))
        return cls(
            signed=data[:SIGNED_SIZE],
            version=version,
            guest_svn=guest_svn,
            policy=policy,
            family_id=family_id,
            image_id=image_id,
            vmpl=vmpl,
            signature_algorithm=signature_algorithm,
            current_tcb=current_tcb,
            platform_info=platform_info,
            key_info=key_info,
            report_data=report_data,
            measurement=measurement,
            host_data=host_data,
            id_key_digest=id_key_digest,
            author_key_digest=author_key_digest,
            report_id=report_id,
            report_id_ma=report_id_ma,
            reported_tcb=reported_tcb,
            cpuid=cpuid,
            chip_id=chip_id,
            committed_tcb=committed_tcb,
            current_version=(current_major, current_minor, current_build),
            committed_version=(committed_major, committed_minor, committed_build),
            launch_tcb=launch_tcb,
            launch_mit_vector=vectors[0],
            current_mit_vector=vectors[1],
            r=int.from_bytes(signature_r, "little"),
            s=int.from_bytes(signature_s, "little"),
            trailing=len(data) - REPORT_SIZE,
        )

    @property
    def product(self) -> str | None:
        """The product that the report names; None for version 2 and for processors that are not known here."""
        return product_of_cpuid(self.cpuid[0], self.cpuid[1]) if self.cpuid is not None else None

    @property
    def author_key_enabled(self) -> bool:
        """Whether author_key_digest holds the digest of a key (key_info bit 0)."""
        return bool(self.key_info & 1)

    @property
    def mask_chip_key(self) -> bool:
        """Whether the firmware does not sign reports (key_info bit 1)."""
        return bool(self.key_info >> 1 & 1)

    @property
    def signing_key(self) -> int:
        """Which key signed: 0 VCEK, 1 VLEK, 7 none (key_info bits 2 to 4)."""
        return self.key_info >> 2 & 0x7
