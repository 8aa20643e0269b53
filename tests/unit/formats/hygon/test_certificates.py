"""Hygon's certificates: fields, reserved bytes, sizes."""

from __future__ import annotations

import pytest

from rats_tls.core.errors import DecodeError
from rats_tls.core.reader import Reader
from rats_tls.formats.hygon.certificates import KeyCertificate, RootCertificate
from rats_tls.formats.hygon.hsk_cek import (
    endorsement_from_certificate,
    endorsement_from_hsk_cek,
    endorsement_to_hsk_cek,
    joined,
)
from rats_tls.formats.hygon.report import AttestationReport
from rats_tls.formats.hygon.sm2 import KEY_SIZE, EccPublicKey, point_of
from support.hygon_links import Links, chip, vendor

HRK = vendor().root_certificate
CHAIN = Links().chain()
HSK, CEK = CHAIN.issuer_chain[0], CHAIN.data
PEK = AttestationReport.from_bytes(Links().evidence().data).pek.data
ROOT_RESERVED = (*range(40, 64), *range(468, 576), *range(608, 648), *range(680, 832))
KEY_RESERVED = (6, 7, *range(436, 1044), *range(1084, 1124), *range(1156, 1564), *range(1604, 1644), *range(1676, 2084))
KEY_HOLES = (*range(36, 76), *range(108, 148))
"""Behind 32 bytes of a coordinate, from the begin of a key."""


def test_fields_of_root_certificates() -> None:
    hrk, hsk = RootCertificate.from_bytes(HRK), RootCertificate.from_bytes(HSK)
    assert (hrk.version, hrk.usage, hrk.key_id) == (1, 0x0, hrk.certifying_id)
    assert (hsk.version, hsk.usage, hsk.certifying_id) == (1, 0x13, hrk.key_id)
    assert hsk.key.point == vendor()._hsk.point
    assert hsk.key.user_id == vendor()._hsk.user_id
    assert point_of(hsk.key.spki) == hsk.key.point
    assert (hsk.signed, hsk.to_bytes()) == (HSK[:576], HSK)


def test_fields_of_key_certificates() -> None:
    cek, pek = KeyCertificate.from_bytes(CEK), KeyCertificate.from_bytes(PEK)
    assert (cek.version, cek.api_version, cek.usage, cek.algorithm) == (1, (1, 4), 0x1004, 4)
    assert cek.signer_id == RootCertificate.from_bytes(HSK).key_id
    assert [signature.usage for signature in cek.signatures] == [0x13, 0x1000]
    assert (pek.usage, pek.signer_id, pek.key.point) == (0x1002, bytes(16), chip()._pek.point)
    assert (cek.signed, cek.to_bytes()) == (CEK[:1044], CEK)
    first, none = cek.signatures
    assert cek.signature_by(0x13) == first
    assert cek.signature_by(0x1000) == none
    assert cek.signature_by(0x1004) is None
    assert first.r == int.from_bytes(CEK[1052:1084], "little")
    assert first.s == int.from_bytes(CEK[1124:1156], "little")


@pytest.mark.parametrize(
    ("data", "read", "reserved", "key"),
    [(HSK, RootCertificate, ROOT_RESERVED, 64), (CEK, KeyCertificate, KEY_RESERVED, 16)],
    ids=["root", "key"],
)
def test_every_reserved_byte(data: bytes, read: type, reserved: tuple[int, ...], key: int) -> None:
    unused = range(key + 150 + int.from_bytes(data[key + 148 : key + 150], "little"), key + KEY_SIZE)
    for offset in (*reserved, *(key + hole for hole in KEY_HOLES), *unused):
        assert data[offset] == 0
        with pytest.raises(DecodeError) as caught:
            read.from_bytes(data[:offset] + b"\1" + data[offset + 1 :])  # type: ignore[attr-defined]
        assert "zero" in caught.value.message


@pytest.mark.parametrize(("data", "read"), [(HSK, RootCertificate), (CEK, KeyCertificate)], ids=["root", "key"])
def test_every_other_size(data: bytes, read: type) -> None:
    for size in (*range(len(data)), len(data) + 1):
        with pytest.raises(DecodeError, match=f"got {size} bytes, expected {len(data)}"):
            read.from_bytes(data.ljust(size, b"\0")[:size])  # type: ignore[attr-defined]


def key_of(size: int, user_id: bytes = b"") -> bytes:
    return CEK[16 : 16 + 148] + size.to_bytes(2, "little") + user_id.ljust(254, b"\0")


@pytest.mark.parametrize("size", [0, 1, 254])
def test_user_ids_of_every_length(size: int) -> None:
    data = key_of(size, b"u" * size)
    key = EccPublicKey.read(Reader(data, "key"), "pubkey")
    assert (key.user_id, key.data, key.curve) == (b"u" * size, data, 3)


@pytest.mark.parametrize(("size", "user_id"), [(255, b"u" * 254), (65535, b""), (3, b"user")])
def test_user_ids_that_do_not_fit(size: int, user_id: bytes) -> None:
    with pytest.raises(DecodeError, match="uid"):
        EccPublicKey.read(Reader(key_of(size, user_id), "key"), "pubkey")


@pytest.mark.parametrize("spki", [b"", b"\x30\x59", bytes(91), RootCertificate.from_bytes(HSK).key.spki + b"\0"])
def test_other_keys_are_no_sm2_keys(spki: bytes) -> None:
    with pytest.raises(DecodeError, match="not an SM2 key"):
        point_of(spki)


# --- HSK and CEK in one piece -----------------------------------------------------------------------------------------
def test_hsk_and_cek_there_and_back() -> None:
    item = endorsement_from_hsk_cek(HSK + CEK)
    assert (item.data, item.issuer_chain) == (CEK, (HSK,))
    assert endorsement_to_hsk_cek(item) == HSK + CEK
    assert endorsement_from_certificate(HSK + CEK) == item
    for size in (0, 2915, 2917):
        with pytest.raises(DecodeError, match=f"got {size} bytes, expected 2916"):
            endorsement_from_hsk_cek((HSK + CEK).ljust(size, b"\0")[:size])


def test_one_alone_is_half() -> None:
    hsk, cek = endorsement_from_certificate(HSK), endorsement_from_certificate(CEK)
    assert hsk is not None
    assert cek is not None
    assert joined([hsk, cek]) == (endorsement_from_hsk_cek(HSK + CEK),)
    for half, missing in ((hsk, "CEK"), (cek, "HSK")):
        with pytest.raises(DecodeError, match=f"expected the {missing}'s beside it"):
            joined([half])
    other = endorsement_from_certificate(chip("another chip").chain().data)
    assert other is not None
    assert {item.data for item in joined([cek, hsk, other])} == {cek.data, other.data}


@pytest.mark.parametrize("data", [HRK, PEK, HSK[:-1], CEK + b"\0", b""], ids=["HRK", "PEK", "cut", "longer", "empty"])
def test_what_is_neither(data: bytes) -> None:
    assert endorsement_from_certificate(data) is None
