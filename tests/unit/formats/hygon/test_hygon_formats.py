"""Hygon's certificates, reports and Evidence: what is read, what is not, and that every byte comes back."""

from __future__ import annotations

import functools

import pytest

from rats_tls.core.endorsements import Endorsement, EndorsementKind
from rats_tls.core.errors import DecodeError
from rats_tls.formats.hygon.certificates import USAGE_CEK, USAGE_PEK, KeyCertificate, RootCertificate
from rats_tls.formats.hygon.evidence import CsvEvidence, Order
from rats_tls.formats.hygon.hsk_cek import endorsement_from_certificate, endorsement_from_hsk_cek, joined
from rats_tls.formats.hygon.report import AttestationReport, looks_like_report, masked
from rats_tls.formats.hygon.sm2 import point_of
from rats_tls.simulation.csv_states import CsvState
from support.judged import REPORT_DATA
from support.simulated import world

STATES = {version: CsvState(report_version=version) for version in (1, 2, 3)}  # type: ignore[arg-type]  # 1 to 3
EVERY_VERSION = pytest.mark.parametrize("version", STATES)


@functools.cache
def chain() -> Endorsement:
    return world().hygon_chip().chain()


@functools.cache
def page(version: int) -> bytes:
    state = CsvState(report_version=version, certificates="beside")  # type: ignore[arg-type]  # 1 to 3
    return world().hygon_chip().evidence(state, REPORT_DATA)


# --- reports ------------------------------------------------------------------------------------------------------
@EVERY_VERSION
def test_a_report_says_what_was_written(version: int) -> None:
    report, state = AttestationReport.from_bytes(page(version)), STATES[version]
    assert report.to_bytes() == page(version)
    assert report.version == version
    assert (report.user_data, report.measure, report.mnonce) == (REPORT_DATA, state.measurement, state.mnonce)
    assert (report.vm_id, report.vm_version) == (state.vm_id, state.vm_version)
    assert (report.policy, report.sig_usage, report.sig_algo) == (state.policy, USAGE_PEK, 4)
    assert report.user_pubkey_digest == state.user_pubkey_digest
    assert report.chip_id.rstrip(b"\0").decode() == world().hygon_chip().serial
    assert report.pek.usage == USAGE_PEK
    later = version > 1
    assert report.build == (state.build if later else None)
    assert report.rtmrs == (tuple(getattr(state, f"rtmr{n}") for n in range(5)) if later else None)
    assert report.host_data == (state.host_data if version == 3 else None)
    assert report.anonce == (bytes(4) if later else state.anonce)
    assert len(report.signed) == (0x400 if later else 180)


def test_a_report_of_version_1_may_come_without_its_zeros() -> None:
    bare = AttestationReport.from_bytes(page(1)[:2548])
    assert (bare.version, bare.signed) == (1, page(1)[:180])
    for size in (0, 180, 2547, 2549, 4095, 4097):
        with pytest.raises(DecodeError, match=f"got {size} bytes, expected 4096 or 2548"):
            AttestationReport.from_bytes(page(1).ljust(size, b"\0")[:size])


@EVERY_VERSION
def test_what_is_reserved_is_zero(version: int) -> None:
    layout = {1: (0x0C0 + 32, 0x0C0 + 72 + 32, 4095), 2: (0x0C2, 0x170, 0x3BF, 0x400 + 32, 4095)}
    for offset in layout[min(version, 2)]:
        changed = bytearray(page(version))
        changed[offset] ^= 1
        with pytest.raises(DecodeError, match="must be zero"):
            AttestationReport.from_bytes(bytes(changed))


def test_a_mask_of_zeros_is_none_and_a_mask_twice_is_none() -> None:
    assert masked(b"abcdefg", bytes(4)) == b"abcdefg"
    assert masked(masked(page(2), b"\x01\x02\x03\x04"), b"\x01\x02\x03\x04") == page(2)
    assert masked(b"", b"mask") == b""


@EVERY_VERSION
def test_reports_are_told_by_their_pek(version: int) -> None:
    assert looks_like_report(page(version))
    for other in (b"", bytes(2548), bytes(4096), page(version)[:-2000], b"\xff" * 7016):
        assert not looks_like_report(other)


# --- Evidence -----------------------------------------------------------------------------------------------------
@EVERY_VERSION
@pytest.mark.parametrize("order", [Order.RATS_TLS, Order.LIBRATS, Order.REPORT])
def test_certificates_stand_in_either_order(version: int, order: Order) -> None:
    certificates = {Order.RATS_TLS: "rats-tls", Order.LIBRATS: "librats", Order.REPORT: "beside"}[order]
    state = CsvState(report_version=version, certificates=certificates)  # type: ignore[arg-type]  # of these
    data = world().hygon_chip().evidence(state, REPORT_DATA)
    read = CsvEvidence.from_bytes(data)
    assert (read.order, read.to_bytes()) == (order, data)
    assert read.cek_chain == (None if order is Order.REPORT else chain())


def test_neither_order_is_an_error_and_zeros_are_a_report_alone() -> None:
    zeros = CsvEvidence.from_bytes(page(3) + bytes(2920))
    assert (zeros.order, zeros.trailing, zeros.cek_chain) == (Order.REPORT, 2920, None)
    assert zeros.to_bytes() == page(3) + bytes(2920)
    for size in (2915, 2917, 832):
        with pytest.raises(DecodeError, match="expected 2916"):
            CsvEvidence.from_bytes(page(3) + b"\1" * 2916 + size.to_bytes(4, "little"))


# --- certificates -------------------------------------------------------------------------------------------------
def test_certificates_say_what_was_written() -> None:
    root = RootCertificate.from_bytes(chain().issuer_chain[0])
    cek = KeyCertificate.from_bytes(chain().data)
    assert (root.usage, cek.usage) == (0x13, USAGE_CEK)
    assert (root.to_bytes(), cek.to_bytes()) == (chain().issuer_chain[0], chain().data)
    assert cek.signer_id == root.key_id
    assert cek.signature_by(0x13) is cek.signatures[0]
    assert cek.signature_by(0x1004) is None
    assert point_of(cek.key.spki) == cek.key.point
    assert root.key.user_id.startswith(b"rats-tls simulation")


@pytest.mark.parametrize("kind", ["HSK", "CEK"])
def test_certificates_of_every_other_length_are_refused(kind: str) -> None:
    data = chain().issuer_chain[0] if kind == "HSK" else chain().data
    read = RootCertificate.from_bytes if kind == "HSK" else KeyCertificate.from_bytes
    for size in range(0, len(data), 61):
        with pytest.raises(DecodeError, match=f"got {size} bytes"):
            read(data[:size])
    with pytest.raises(DecodeError):
        read(data + b"\0")


@pytest.mark.parametrize(
    ("kind", "offsets"),
    [
        ("HSK", (40, 63, 68 + 32, 140 + 71, 468, 575, 576 + 32, 831)),
        ("CEK", (6, 7, 20 + 32, 92 + 71, 436, 1043, 1052 + 32, 1563, 1572 + 32, 2083)),
    ],
)
def test_reserved_bytes_of_certificates_are_zero(kind: str, offsets: tuple[int, ...]) -> None:
    data = chain().issuer_chain[0] if kind == "HSK" else chain().data
    read = RootCertificate.from_bytes if kind == "HSK" else KeyCertificate.from_bytes
    for offset in offsets:
        with pytest.raises(DecodeError, match="must be zero"):
            read(data[:offset] + bytes((data[offset] | 0x80,)) + data[offset + 1 :])


def test_a_user_id_ends_within_its_field() -> None:
    data = chain().data
    at = 16 + 4 + 144
    for size in (255, 0xFFFF):
        with pytest.raises(DecodeError, match=f"uid_len.*got {size}"):
            KeyCertificate.from_bytes(data[:at] + size.to_bytes(2, "little") + data[at + 2 :])
    with pytest.raises(DecodeError, match="must be zero"):
        KeyCertificate.from_bytes(data[:at] + (1).to_bytes(2, "little") + data[at + 2 :])


# --- HSK and CEK --------------------------------------------------------------------------------------------------
def test_the_two_in_one_or_apart() -> None:
    hsk, cek = chain().issuer_chain[0], chain().data
    assert endorsement_from_certificate(hsk + cek) == endorsement_from_hsk_cek(hsk + cek) == chain()
    halves = [endorsement_from_certificate(each) for each in (hsk, cek)]
    assert None not in halves
    assert joined(half for half in halves if half is not None) == (chain(),)
    other = Endorsement(kind=EndorsementKind.AMD_CRL, data=b"x")
    assert joined((other, chain())) == (other, chain())
    for half, said in ((halves[0], "an HSK"), (halves[1], "a CEK")):
        assert half is not None
        with pytest.raises(DecodeError, match=f"got {said} certificate alone"):
            joined((half,))


@pytest.mark.parametrize("data", [b"", bytes(832), bytes(2084), bytes(2916), b"\x13" * 832])
def test_what_is_neither(data: bytes) -> None:
    assert endorsement_from_certificate(data) is None
