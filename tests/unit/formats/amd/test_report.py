"""Attestation reports byte by byte: offsets are those of the AMD SEV-SNP ABI specification, ATTESTATION_REPORT."""

from __future__ import annotations

from typing import Any

import pytest

from rats_tls.core.errors import DecodeError, UnsupportedError
from rats_tls.formats.amd.report import REPORT_SIZE, SIGNED_SIZE, AttestationReport

VERSIONS = pytest.mark.parametrize("version", [2, 3, 4, 5])
FIELDS: dict[str, tuple[int, int]] = {
    "guest_svn": (0x004, 4),
    "policy": (0x008, 8),
    "family_id": (0x010, 16),
    "image_id": (0x020, 16),
    "vmpl": (0x030, 4),
    "current_tcb": (0x038, 8),
    "platform_info": (0x040, 8),
    "key_info": (0x048, 4),
    "report_data": (0x050, 64),
    "measurement": (0x090, 48),
    "host_data": (0x0C0, 32),
    "id_key_digest": (0x0E0, 48),
    "author_key_digest": (0x110, 48),
    "report_id": (0x140, 32),
    "report_id_ma": (0x160, 32),
    "reported_tcb": (0x180, 8),
    "chip_id": (0x1A0, 64),
    "committed_tcb": (0x1E0, 8),
    "launch_tcb": (0x1F0, 8),
    "r": (0x2A0, 48),
    "s": (0x2E8, 48),
}
SINCE_3 = {"cpuid": (0x188, 3)}
SINCE_5 = {"launch_mit_vector": (0x1F8, 8), "current_mit_vector": (0x200, 8)}
# Offsets of three bytes each: build, minor, major.
FIRMWARE = {"current_version": 0x1E8, "committed_version": 0x1EC}
# version and signature_algo have one value for each form.
FIXED = {*range(0x004), *range(0x034, 0x038)}


def fields_of(version: int) -> dict[str, tuple[int, int]]:
    firmware = {name: (offset, 3) for name, offset in FIRMWARE.items()}
    return {**FIELDS, **firmware, **(SINCE_3 if version >= 3 else {}), **(SINCE_5 if version >= 5 else {})}


def report_of(version: int, **values: bytes) -> bytes:
    """Write a report by offsets."""
    data = bytearray(REPORT_SIZE)
    data[0:4] = version.to_bytes(4, "little")
    data[0x34] = 1
    for name, value in values.items():
        offset, size = fields_of(version)[name]
        assert len(value) == size, name
        data[offset : offset + size] = value
    return bytes(data)


def changed(data: bytes, offset: int, value: int = 0xA5) -> bytes:
    return data[:offset] + bytes((value,)) + data[offset + 1 :]


@VERSIONS
def test_every_field_stands_at_its_offset(version: int) -> None:
    fields = fields_of(version)
    values = {
        name: bytes((index * 7 + n) % 255 + 1 for n in range(size))
        for index, (name, (_, size)) in enumerate(fields.items())
    }
    data = report_of(version, **values)
    found = AttestationReport.from_bytes(data)
    assert (found.version, found.signature_algorithm, found.signed) == (version, 1, data[:SIGNED_SIZE])
    for name, value in values.items():
        got: Any = getattr(found, name)
        if isinstance(got, bytes):
            assert got == value, name
        elif name in FIRMWARE:
            assert got == (value[2], value[1], value[0]), name
        elif isinstance(got, tuple):
            assert got == tuple(value), name
        else:
            assert got == int.from_bytes(value, "little"), name
    if version < 3:
        assert (found.cpuid, found.product) == (None, None)
    if version < 5:
        assert (found.launch_mit_vector, found.current_mit_vector) == (None, None)


@VERSIONS
def test_every_other_byte_must_be_zero(version: int) -> None:
    """What is reserved in one version is a field of a later one."""
    taken = {at for offset, size in fields_of(version).values() for at in range(offset, offset + size)} | FIXED
    data = report_of(version)
    refused = set()
    for offset in range(REPORT_SIZE):
        if offset in FIXED:
            continue
        try:
            AttestationReport.from_bytes(changed(data, offset))
        except DecodeError as error:
            assert error.offset == offset  # noqa: PT017  # which are refused is asserted below
            assert "must be zero" in error.problem  # noqa: PT017
            refused.add(offset)
    assert refused == set(range(REPORT_SIZE)) - taken
    assert {0x4C, 0x18B, 0x1EB, 0x1EF, 0x208, 0x29F, 0x2D0, 0x2E7, 0x318, 0x32F, 0x330, 0x49F} <= refused


@VERSIONS
def test_every_byte_of_a_field_counts(version: int) -> None:
    data = report_of(version)
    original = AttestationReport.from_bytes(data)
    for name, (offset, size) in fields_of(version).items():
        for at in range(offset, offset + size):
            other = AttestationReport.from_bytes(changed(data, at))
            assert getattr(other, name) != getattr(original, name), (name, at)


@pytest.mark.parametrize("version", [0, 1, 6, 0x0102, 0x01000003, 0xFFFFFFFF])
def test_other_versions_are_unsupported(version: int) -> None:
    with pytest.raises(UnsupportedError, match=f"version: got {version}, expected 2 to 5"):
        AttestationReport.from_bytes(report_of(version))


@pytest.mark.parametrize("algorithm", [0, 2, 0x101, 0xFFFFFFFF])
def test_other_signature_algorithms_are_unsupported(algorithm: int) -> None:
    data = report_of(3)
    data = data[:0x34] + algorithm.to_bytes(4, "little") + data[0x38:]
    with pytest.raises(UnsupportedError, match=f"signature_algo: got {algorithm}"):
        AttestationReport.from_bytes(data)


def test_every_truncation_is_refused_by_its_size() -> None:
    data = report_of(5)
    for size in range(REPORT_SIZE):
        with pytest.raises(DecodeError, match=f"got {size} bytes, expected at least 1184"):
            AttestationReport.from_bytes(data[:size])


@pytest.mark.parametrize("behind", [b"", b"\0", b"\xff" * 2912])
def test_padding_of_device_buffers_is_counted_and_no_part_of_it(behind: bytes) -> None:
    data = report_of(3)
    found = AttestationReport.from_bytes(data + behind)
    assert found.trailing == len(behind)
    assert found.signed == data[:SIGNED_SIZE]


@pytest.mark.parametrize("author", [0, 1])
@pytest.mark.parametrize("masked", [0, 1])
@pytest.mark.parametrize("signing_key", [0, 1, 2, 7])
def test_parts_of_key_info(author: int, masked: int, signing_key: int) -> None:
    word = author | masked << 1 | signing_key << 2
    # Reserved bits are kept, for the policy to see.
    for more in (0, 1 << 5, 1 << 31):
        found = AttestationReport.from_bytes(report_of(3, key_info=(word | more).to_bytes(4, "little")))
        assert (found.author_key_enabled, found.mask_chip_key, found.signing_key) == (author, masked, signing_key)
        assert found.key_info == word | more


@pytest.mark.parametrize(
    ("cpuid", "product"),
    [
        ((0x19, 0x00, 0), "Milan"),
        ((0x19, 0x01, 1), "Milan"),
        ((0x19, 0x0F, 9), "Milan"),
        ((0x19, 0x10, 0), "Genoa"),
        ((0x19, 0x11, 1), "Genoa"),
        ((0x19, 0x1F, 0), "Genoa"),
        ((0x19, 0xA0, 2), "Genoa"),  # Bergamo, Siena
        ((0x19, 0xAF, 0), "Genoa"),
        ((0x1A, 0x00, 0), "Turin"),
        ((0x1A, 0x02, 1), "Turin"),
        ((0x1A, 0x11, 0), "Turin"),
        ((0x1A, 0x50, 0), "Venice"),
        ((0x19, 0x20, 0), None),
        ((0x19, 0x9F, 0), None),
        ((0x19, 0xB0, 0), None),
        ((0x1A, 0x12, 0), None),
        ((0x17, 0x31, 0), None),
        ((0x00, 0x00, 0), None),
    ],
)
def test_products_by_cpuid(cpuid: tuple[int, int, int], product: str | None) -> None:
    found = AttestationReport.from_bytes(report_of(3, cpuid=bytes(cpuid)))
    assert (found.cpuid, found.product) == (cpuid, product)
