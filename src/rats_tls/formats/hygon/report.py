"""The attestation report of a CSV guest, versions 1 to 3.

Source: Hygon CSV attestation, attestation report. The firmware gives a page of 4096 bytes; a report of version 1 is
also stored without the zeros behind it, in 2548 bytes. Nothing in a report names its version: it is told by where the
PEK certificate stands, and 3 from 2 by host_data, which only 3 has.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from rats_tls.core.errors import DecodeError
from rats_tls.core.reader import Reader
from rats_tls.formats.hygon.certificates import CERTIFICATE_SIZE, KeyCertificate
from rats_tls.formats.hygon.sm2 import ALGORITHM_SM2, CURVE_SM2, read_signature

PAGE_SIZE = 4096
BARE_V1_SIZE = 2548
SIGNED_SIZE_V1 = 0x0B4
SIGNED_SIZE = 0x400
REGISTERS = 5

_ANONCE = 0x0BC
_HEAD_END = 0x0C0
_PEK_V1 = 0x150
_WORDS_SIZE = 20
_PEK = 0x490
_CHIP_ID_SIZE = 64
_HOST_DATA_SIZE = 64
_TAIL = 64  # reserved1 and hmac
_REGISTER_SIZE = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class AttestationReport:
    """A report; fields are the decoded ones.

    Attributes:
        data: the bytes as received: of version 1 with the mask on.
        signed: the bytes that the signature covers, as received: 180 of version 1, 1024 of later ones.
        version: 1, 2 or 3; one of version 3 whose host_data is zero is no different from version 2.
        anonce: the mask of version 1 (4 bytes), under which `signed`, the words behind it, PEK and chip_id are
            stored; it is not signed itself. Zeros in later versions.
        policy: guest policy.
        sig_usage: usage of the key that signed; of version 1 not signed, as `sig_algo`.
        build: firmware build; None in version 1, as `rtmr_version` and `rtmrs`.
        host_data: None before version 3.
        r: signature, with `s`.
        pek: the certificate of the key that signed.
        chip_id: the chip's serial number, zeros behind it; not signed.
        reserved1: 32 bytes that the hmac covers; random in real reports.
        hmac: protects PEK and chip_id on their way from the firmware to the guest; not for Verifiers.
    """

    data: bytes
    signed: bytes
    version: int
    user_pubkey_digest: bytes
    vm_id: bytes
    vm_version: bytes
    user_data: bytes
    mnonce: bytes
    measure: bytes
    policy: int
    sig_usage: int
    sig_algo: int
    anonce: bytes
    build: int | None
    rtmr_version: int | None
    rtmrs: tuple[bytes, ...] | None
    host_data: bytes | None
    r: int
    s: int
    pek: KeyCertificate
    chip_id: bytes
    reserved1: bytes
    hmac: bytes

    @classmethod
    def from_bytes(cls, data: bytes) -> AttestationReport:
        """Decode a page (4096 bytes), or a report of version 1 without the zeros behind it (2548 bytes).

        Raises:
            DecodeError: another size, or a reserved byte that is not zero.
        """
        if len(data) not in {PAGE_SIZE, BARE_V1_SIZE}:
            raise DecodeError(cls.__name__, "", 0, f"got {len(data)} bytes, expected {PAGE_SIZE} or {BARE_V1_SIZE}")
        return _read_later(data) if _is_later(data) else _read_v1(data)

    def to_bytes(self) -> bytes:
        """Give the report as received."""
        return self.data

    @property
    def protected_by_hmac(self) -> bytes:
        """The bytes that `hmac` covers, as received: PEK, chip_id, reserved1."""
        start = _PEK_V1 if self.version == 1 else _PEK
        return self.data[start : start + CERTIFICATE_SIZE + _CHIP_ID_SIZE + _TAIL // 2]


def looks_like_report(data: bytes) -> bool:
    """Whether a PEK certificate stands where a report of some version has it: a guess by its form alone."""
    if len(data) < BARE_V1_SIZE:
        return False
    return _is_later(data[:PAGE_SIZE]) or _is_certificate(
        masked(data[_PEK_V1 : _PEK_V1 + _WORDS_SIZE], data[_ANONCE:_HEAD_END])
    )


def masked(data: bytes, anonce: bytes) -> bytes:
    """XOR every 32-bit word of `data` with `anonce` (4 bytes): puts the mask of version 1 on, or takes it off."""
    size = len(data)
    pad = (anonce * (size // len(anonce) + 1))[:size]
    return (int.from_bytes(data) ^ int.from_bytes(pad)).to_bytes(size)


def _is_later(data: bytes) -> bool:
    """Whether the PEK certificate stands, in plain, where versions 2 and 3 have it.

    In a page of version 1 are reserved bytes of the PEK there, each word of which is the mask.
    """
    return len(data) == PAGE_SIZE and _is_certificate(data[_PEK : _PEK + _WORDS_SIZE])


def _is_certificate(start: bytes) -> bool:
    """Whether the first words of a certificate hold the version, algorithm and curve of one."""
    version, _api, _usage, algorithm, curve = struct.unpack("<5I", start)
    return version in {1, 2} and algorithm == ALGORITHM_SM2 and curve == CURVE_SM2


def _read_v1(data: bytes) -> AttestationReport:
    anonce = data[_ANONCE:_HEAD_END]
    pek_end = _PEK_V1 + CERTIFICATE_SIZE + _CHIP_ID_SIZE
    plain = b"".join(
        (
            masked(data[:_ANONCE], anonce),
            data[_ANONCE:_PEK_V1],
            masked(data[_PEK_V1:pek_end], anonce),
            data[pek_end:],
        )
    )
    r = Reader(plain, AttestationReport.__name__)
    head = _Head.read(r)
    r.take("anonce", 4)
    signature = read_signature(r, "sig")
    return _report(data, SIGNED_SIZE_V1, head, signature, r, version=1, anonce=anonce)


def _read_later(data: bytes) -> AttestationReport:
    r = Reader(data, AttestationReport.__name__)
    head = _Head.read(r)
    build, rtmr_version = r.u32("build"), r.u16("rtmr_version")
    r.zeros("reserved0", 14)
    rtmrs = tuple(r.take(f"rtmr{index}", _REGISTER_SIZE) for index in range(REGISTERS))
    r.zeros("reserved1", SIGNED_SIZE - _HOST_DATA_SIZE - r.offset)
    host_data = r.take("host_data", _HOST_DATA_SIZE)
    signature = read_signature(r, "sig")
    return _report(
        data,
        SIGNED_SIZE,
        head,
        signature,
        r,
        version=3 if any(host_data) else 2,
        build=build,
        rtmr_version=rtmr_version,
        rtmrs=rtmrs,
        host_data=host_data if any(host_data) else None,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Head:
    """What all versions begin with."""

    user_pubkey_digest: bytes
    vm_id: bytes
    vm_version: bytes
    user_data: bytes
    mnonce: bytes
    measure: bytes
    policy: int
    sig_usage: int
    sig_algo: int

    @classmethod
    def read(cls, r: Reader) -> _Head:
        return cls(
            user_pubkey_digest=r.take("user_pubkey_digest", 32),
            vm_id=r.take("vm_id", 16),
            vm_version=r.take("vm_version", 16),
            user_data=r.take("user_data", 64),
            mnonce=r.take("mnonce", 16),
            measure=r.take("measure", 32),
            policy=r.u32("policy"),
            sig_usage=r.u32("sig_usage"),
            sig_algo=r.u32("sig_algo"),
        )


def _report(
    data: bytes,
    signed_size: int,
    head: _Head,
    signature: tuple[int, int],
    r: Reader,
    *,
    version: int,
    anonce: bytes = bytes(4),
    build: int | None = None,
    rtmr_version: int | None = None,
    rtmrs: tuple[bytes, ...] | None = None,
    host_data: bytes | None = None,
) -> AttestationReport:
    """Read what all versions end with, and put the report together."""
    base = r.offset
    pek = KeyCertificate.from_bytes(r.take("pek_cert", CERTIFICATE_SIZE), "PekCertificate", base=base)
    chip_id = r.take("chip_id", _CHIP_ID_SIZE)
    reserved1, hmac = r.take("reserved1", _TAIL // 2), r.take("hmac", _TAIL // 2)
    r.zeros("padding", r.remaining)
    return AttestationReport(
        data=data,
        signed=data[:signed_size],
        version=version,
        user_pubkey_digest=head.user_pubkey_digest,
        vm_id=head.vm_id,
        vm_version=head.vm_version,
        user_data=head.user_data,
        mnonce=head.mnonce,
        measure=head.measure,
        policy=head.policy,
        sig_usage=head.sig_usage,
        sig_algo=head.sig_algo,
        anonce=anonce,
        build=build,
        rtmr_version=rtmr_version,
        rtmrs=rtmrs,
        host_data=host_data,
        r=signature[0],
        s=signature[1],
        pek=pek,
        chip_id=chip_id,
        reserved1=reserved1,
        hmac=hmac,
    )
