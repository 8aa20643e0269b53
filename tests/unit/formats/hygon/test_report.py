"""CSV reports of each version, and Evidence in both orders."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from rats_tls.core.errors import DecodeError
from rats_tls.formats.hygon.evidence import EVIDENCE_SIZE, CsvEvidence, Order
from rats_tls.formats.hygon.report import AttestationReport, looks_like_report, masked
from rats_tls.simulation.csv_states import CsvState
from support.hygon_links import REPORT_DATA, Links, chip

VERSIONS = pytest.mark.parametrize("version", [1, 2, 3])
STATE = CsvState(certificates="beside")
CHAIN = Links().chain().issuer_chain[0] + Links().chain().data
SIZE = len(CHAIN).to_bytes(4, "little")


def page(version: int, **changes: Any) -> bytes:
    return chip().evidence(replace(STATE, report_version=version, **changes), REPORT_DATA)


@VERSIONS
def test_fields(version: int) -> None:
    data = page(version)
    report = AttestationReport.from_bytes(data)
    assert (report.version, report.data, report.to_bytes()) == (version, data, data)
    assert report.signed == data[: 180 if version == 1 else 1024]
    for name in ("user_pubkey_digest", "vm_id", "vm_version", "mnonce", "policy", "sig_usage", "sig_algo"):
        assert getattr(report, name) == getattr(STATE, name), name
    assert (report.measure, report.user_data) == (STATE.measurement, REPORT_DATA)
    assert report.chip_id == chip().serial.encode().ljust(64, b"\0")
    assert report.pek.key.point == chip()._pek.point
    registers = tuple(getattr(STATE, f"rtmr{number}") for number in range(5))
    later = version > 1
    assert report.rtmrs == (registers if later else None)
    assert (report.build, report.rtmr_version) == ((2400, 1) if later else (None, None))
    assert report.host_data == (STATE.host_data if version == 3 else None)
    assert report.anonce == (bytes(4) if later else STATE.anonce)


def test_version_3_without_host_data_is_version_2() -> None:
    assert AttestationReport.from_bytes(page(3, host_data=bytes(64))).version == 2


@pytest.mark.parametrize("anonce", [bytes(4), b"\xff" * 4, b"\4\0\0\0", b"\1\0\0\0", b"\1\2\3\4"])
def test_any_mask(anonce: bytes) -> None:
    report = AttestationReport.from_bytes(page(1, anonce=anonce))
    assert (report.version, report.anonce, report.user_data) == (1, anonce, REPORT_DATA)
    assert looks_like_report(page(1, anonce=anonce))


def test_a_bare_report_of_version_1() -> None:
    data = page(1)
    bare = AttestationReport.from_bytes(data[:2548])
    assert replace(bare, data=data) == AttestationReport.from_bytes(data)
    with pytest.raises(DecodeError, match="got 2549 bytes, expected 4096 or 2548"):
        AttestationReport.from_bytes(data[:2549])


@pytest.mark.parametrize(
    ("version", "zeros"),
    [
        (1, (*range(0xC0 + 32, 0xC0 + 72), *range(0xC0 + 104, 0xC0 + 144), *range(2548, 4096))),
        (3, (*range(0xC2, 0xD0), *range(0x170, 0x3C0), *range(0x420, 0x448), *range(0x468, 0x490), *range(3380, 4096))),
    ],
)
def test_every_reserved_byte(version: int, zeros: tuple[int, ...]) -> None:
    data = page(version)
    for offset in zeros:
        assert data[offset] == 0, hex(offset)
        with pytest.raises(DecodeError):
            AttestationReport.from_bytes(data[:offset] + b"\1" + data[offset + 1 :])


@VERSIONS
def test_every_truncation(version: int) -> None:
    data = page(version)
    accepted = []
    for size in range(len(data)):
        try:
            CsvEvidence.from_bytes(data[:size])
        except DecodeError:
            continue
        accepted.append(size)
    # A later report cut to the size of a bare one is read as version 1: nobody signed it as that.
    assert accepted == ([2548] if version == 1 else accepted)
    assert set(accepted) <= {2548}


@VERSIONS
def test_orders_there_and_back(version: int) -> None:
    data = page(version)
    for whole, order, hsk_cek in (
        (data, Order.REPORT, b""),
        (data + CHAIN + SIZE, Order.RATS_TLS, CHAIN),
        (data + SIZE + CHAIN, Order.LIBRATS, CHAIN),
        (data + bytes(2920), Order.REPORT, b""),
    ):
        evidence = CsvEvidence.from_bytes(whole)
        assert (evidence.order, evidence.hsk_cek, evidence.to_bytes()) == (order, hsk_cek, whole)
        assert (evidence.cek_chain is None) is not bool(hsk_cek)


@pytest.mark.parametrize("size", [0, 1, 2915, 2917, 0xFFFFFFFF])
def test_a_size_of_neither_order(size: int) -> None:
    wrong = size.to_bytes(4, "little")
    for whole in (page(3) + CHAIN + wrong, page(3) + wrong + CHAIN):
        with pytest.raises(DecodeError, match="expected 2916") as caught:
            CsvEvidence.from_bytes(whole)
        assert "hsk_cek_len" in caught.value.message
    assert len(whole) == EVIDENCE_SIZE


def test_the_mask_is_its_own_inverse() -> None:
    data = page(1)
    for size in (0, 1, 4, 7, 2084):
        assert masked(masked(data[:size], b"\1\2\3\4"), b"\1\2\3\4") == data[:size]
    assert masked(bytes(6), b"\1\2\3\4") == b"\1\2\3\4\1\2"
