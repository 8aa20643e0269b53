"""Bare Evidence by its first bytes; what cannot be judged remotely is refused by name."""

from __future__ import annotations

import pytest

from rats_tls.core.errors import UnsupportedError
from rats_tls.core.evidence import Evidence, TeeType
from rats_tls.formats.detect import INTEL_QE_VENDOR_ID, detect_evidence


def quote(version: int, tee_type: int, *, vendor: bytes = INTEL_QE_VENDOR_ID, size: int = 700) -> bytes:
    head = version.to_bytes(2, "little") + b"\2\0" + tee_type.to_bytes(4, "little") + bytes(4) + vendor
    return head.ljust(size, b"\0")


def report(version: int = 3, algorithm: int = 1, *, size: int = 0x4A0) -> bytes:
    data = bytearray(size)
    data[0:4] = version.to_bytes(4, "little")
    data[0x34:0x38] = algorithm.to_bytes(4, "little")
    return bytes(data)


@pytest.mark.parametrize(
    ("data", "tee"),
    [
        (quote(3, 0), TeeType.SGX_ECDSA),
        (quote(3, 0x81), TeeType.SGX_ECDSA),  # reserved bytes in version 3: its decoder refuses them
        (quote(4, 0), TeeType.SGX_ECDSA),
        (quote(5, 0), TeeType.SGX_ECDSA),
        (quote(4, 0x81), TeeType.TDX_ECDSA),
        (quote(5, 0x81), TeeType.TDX_ECDSA),
        (quote(9, 0x81), TeeType.TDX_ECDSA),  # its decoder says that the version is unsupported
        (quote(4, 0x81, size=48), TeeType.TDX_ECDSA),
        *((report(version), TeeType.SEV_SNP) for version in (2, 3, 4, 5)),
        (report(size=4000), TeeType.SEV_SNP),
        (bytes(432), TeeType.SGX_LA),
    ],
)
def test_types(data: bytes, tee: TeeType) -> None:
    assert detect_evidence(data) == Evidence.of(tee, data)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (quote(4, 0x82), "tee_type: got 0x82"),
        (quote(5, 0x81000000), "tee_type: got 0x81000000"),
        (bytes(1024), "TDREPORT"),
        (bytes(431), "expected a quote or report of SGX"),
        (b"", "0 bytes that begin with nothing"),
        (b"evidence", "8 bytes that begin with 65766964656e6365"),
        (quote(4, 0x81, size=47), "expected a quote or report of SGX"),
        (quote(4, 0x81, vendor=INTEL_QE_VENDOR_ID[:-1] + b"\0"), "expected a quote or report of SGX"),
        (report(1), "expected a quote or report of SGX"),
        (report(6), "expected a quote or report of SGX"),
        (report(0x10003), "expected a quote or report of SGX"),
        (report(3, 2), "expected a quote or report of SGX"),
        (report(size=0x49F), "expected a quote or report of SGX"),
    ],
)
def test_what_is_none(data: bytes, said: str) -> None:
    with pytest.raises(UnsupportedError, match=said):
        detect_evidence(data)
