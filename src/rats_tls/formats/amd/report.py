"""The attestation report of a SEV-SNP guest (AMD SEV-SNP ABI specification, ATTESTATION_REPORT), versions 2 to 5."""

from __future__ import annotations

from dataclasses import dataclass

from rats_tls.core.errors import DecodeError, UnsupportedError
from rats_tls.core.reader import Reader
from rats_tls.formats.amd.tcb import TCB_VERSION_SIZE, product_of_cpuid

REPORT_SIZE = 0x4A0
SIGNED_SIZE = 0x2A0
"""Bytes from the start that the signature covers."""

SIGNING_KEY_VCEK = 0
SIGNING_KEY_VLEK = 1

_VERSIONS = range(2, 6)
_ECDSA_P384_SHA384 = 1
_INTEGER_FIELD = 72  # r and s, little-endian
_INTEGER_SIZE = 48


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
        r = Reader(data[:REPORT_SIZE], cls.__name__)
        version = r.u32("version")
        if version not in _VERSIONS:
            raise UnsupportedError(f"{cls.__name__} version: got {version}, expected 2 to 5")
        guest_svn = r.u32("guest_svn")
        policy = r.u64("policy")
        family_id = r.take("family_id", 16)
        image_id = r.take("image_id", 16)
        vmpl = r.u32("vmpl")
        signature_algorithm = r.u32("signature_algo")
        if signature_algorithm != _ECDSA_P384_SHA384:
            raise UnsupportedError(
                f"{cls.__name__} signature_algo: got {signature_algorithm}, expected 1 (ECDSA P-384 with SHA-384)"
            )
        current_tcb = r.take("current_tcb", TCB_VERSION_SIZE)
        platform_info = r.u64("platform_info")
        key_info = r.u32("key_info")
        r.zeros("reserved", 4)
        report_data = r.take("report_data", 64)
        measurement = r.take("measurement", 48)
        host_data = r.take("host_data", 32)
        id_key_digest = r.take("id_key_digest", 48)
        author_key_digest = r.take("author_key_digest", 48)
        report_id = r.take("report_id", 32)
        report_id_ma = r.take("report_id_ma", 32)
        reported_tcb = r.take("reported_tcb", TCB_VERSION_SIZE)
        cpuid: tuple[int, int, int] | None = None
        if version >= 3:
            cpuid = (r.u8("cpuid_fam_id"), r.u8("cpuid_mod_id"), r.u8("cpuid_step"))
        else:
            r.zeros("reserved", 3)
        r.zeros("reserved", 21)
        chip_id = r.take("chip_id", 64)
        committed_tcb = r.take("committed_tcb", TCB_VERSION_SIZE)
        current_version = _firmware_version(r, "current")
        committed_version = _firmware_version(r, "committed")
        launch_tcb = r.take("launch_tcb", TCB_VERSION_SIZE)
        launch_mit_vector: int | None = None
        current_mit_vector: int | None = None
        if version >= 5:
            launch_mit_vector = r.u64("launch_mit_vector")
            current_mit_vector = r.u64("current_mit_vector")
        else:
            r.zeros("reserved", 16)
        r.zeros("reserved", 152)
        signature_r = _signature_integer(r, "signature.r")
        signature_s = _signature_integer(r, "signature.s")
        r.zeros("signature.reserved", REPORT_SIZE - SIGNED_SIZE - 2 * _INTEGER_FIELD)
        r.end()
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
            current_version=current_version,
            committed_version=committed_version,
            launch_tcb=launch_tcb,
            launch_mit_vector=launch_mit_vector,
            current_mit_vector=current_mit_vector,
            r=signature_r,
            s=signature_s,
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


def _firmware_version(r: Reader, field: str) -> tuple[int, int, int]:
    build, minor, major = r.u8(f"{field}_build"), r.u8(f"{field}_minor"), r.u8(f"{field}_major")
    r.zeros("reserved", 1)
    return major, minor, build


def _signature_integer(r: Reader, field: str) -> int:
    value = int.from_bytes(r.take(field, _INTEGER_SIZE), "little")
    r.zeros(field, _INTEGER_FIELD - _INTEGER_SIZE)
    return value
