"""report_data: all 64 bytes are made and all 64 are compared (attacks 2.2, 1.6)."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rats_tls.core.binding import REPORT_DATA_SIZE, Binding, certificate_report_data, equal_report_data

DIGEST = hashlib.sha256(b"claims").digest()


def test_certificate_report_data_is_sha256_and_zeros() -> None:
    report_data = certificate_report_data(b"claims")
    assert len(report_data) == REPORT_DATA_SIZE == 64
    assert report_data == DIGEST + bytes(32)


def test_padding_bytes_of_the_claims_buffer_count() -> None:
    assert certificate_report_data(b"claims\0") != certificate_report_data(b"claims")


@pytest.mark.parametrize("position", range(REPORT_DATA_SIZE))
def test_every_byte_is_compared(position: int) -> None:
    expected = certificate_report_data(b"claims")
    changed = bytearray(expected)
    changed[position] ^= 1
    assert equal_report_data(expected, expected)
    assert not equal_report_data(expected, bytes(changed))
    assert not equal_report_data(bytes(changed), expected)


@pytest.mark.parametrize("length", [0, 1, 32, 48, 63, 65, 128])
def test_other_lengths_are_never_equal(length: int) -> None:
    data = (DIGEST * 4)[:length]
    assert not equal_report_data(data, data)
    assert not equal_report_data(data, data.ljust(64, b"\0")[:64])
    assert not equal_report_data(data.ljust(64, b"\0")[:64], data)


@given(st.binary(max_size=80), st.binary(max_size=80))
def test_equal_means_equal_and_64_bytes(expected: bytes, got: bytes) -> None:
    assert equal_report_data(expected, got) == (expected == got and len(got) == 64)


def test_names_of_the_bindings() -> None:
    """They are written in policies and spoken in hello."""
    assert {binding.name: str(binding) for binding in Binding} == {
        "CERTIFICATE": "certificate",
        "SESSION": "session",
        "REPORT_DATA": "report-data",
        "NONE": "none",
    }
