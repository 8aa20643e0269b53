"""Simulated quotes and documents, read by offsets of Intel's references."""

from __future__ import annotations

import hashlib
import json

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from rats_tls.core.endorsements import EndorsementKind as Kind
from rats_tls.formats.x509 import Certificate
from support.simulated import REPORT_DATA, world

SGX = "simulated_sgx_ecdsa"
TDX = "simulated_tdx_ecdsa"
VENDOR_ID = bytes.fromhex("939a7233f79c4ca9940a0db3957f0607")


def quote(name: str, **settings: object) -> bytes:
    return world().attester(name, **settings).collect(REPORT_DATA).evidence.data


def u16(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 2], "little")


def u32(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 4], "little")


def verify(point: bytes, signature: bytes, data: bytes) -> None:
    key = ec.EllipticCurvePublicNumbers(
        int.from_bytes(point[:32], "big"), int.from_bytes(point[32:], "big"), ec.SECP256R1()
    ).public_key()
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    key.verify(encode_dss_signature(r, s), data, ec.ECDSA(hashes.SHA256()))


def test_version_3_is_laid_out_flat() -> None:
    data = quote(SGX)
    assert (u16(data, 0), u16(data, 2), u32(data, 4)) == (3, 2, 0)
    assert (u16(data, 8), u16(data, 10)) == (8, 13)  # QE SVN, PCE SVN
    assert data[12:28] == VENDOR_ID
    assert data[48 + 320 : 48 + 384] == REPORT_DATA
    assert u32(data, 432) == len(data) - 436
    verify(data[500:564], data[436:500], data[:432])
    assert (u16(data, 1012), u16(data, 1046)) == (32, 5)
    assert data[564 + 320 : 564 + 352] == hashlib.sha256(data[500:564] + data[1014:1046]).digest()
    assert data[564 + 352 : 564 + 384] == bytes(32)
    assert u32(data, 1048) == len(data) - 1052
    assert data[1052:].startswith(b"-----BEGIN CERTIFICATE-----\n")


@pytest.mark.parametrize(
    ("name", "settings", "body_type", "body_at", "body_size", "report_data_at"),
    [
        (SGX, {"quote_version": 4}, None, 48, 384, 320),
        (TDX, {"quote_version": 4}, None, 48, 584, 520),
        (SGX, {"quote_version": 5}, 1, 54, 384, 320),
        (TDX, {"quote_version": 5}, 2, 54, 584, 520),
        (TDX, {"quote_version": 5, "body_version": "1.5"}, 3, 54, 648, 520),
    ],
)
def test_later_versions_nest_the_certification_data(
    name: str, settings: dict[str, object], body_type: int | None, body_at: int, body_size: int, report_data_at: int
) -> None:
    data = quote(name, **settings)
    assert (u16(data, 0), u16(data, 2)) == (settings["quote_version"], 2)
    assert u32(data, 4) == (0 if name == SGX else 0x81)
    assert data[8:12] == bytes(4)
    if body_type is not None:
        assert (u16(data, 48), u32(data, 50)) == (body_type, body_size)
    at = body_at + body_size
    assert data[body_at + report_data_at :].startswith(REPORT_DATA)
    assert u32(data, at) == len(data) - at - 4
    verify(data[at + 68 : at + 132], data[at + 4 : at + 68], data[:at])
    assert u16(data, at + 132) == 6
    assert u32(data, at + 134) == len(data) - at - 138
    qe_report = data[at + 138 : at + 522]
    assert qe_report[320:352] == hashlib.sha256(data[at + 68 : at + 132] + data[at + 588 : at + 620]).digest()
    assert (u16(data, at + 586), u16(data, at + 620)) == (32, 5)
    assert u32(data, at + 622) == len(data) - at - 626


def test_ppid_certification_data() -> None:
    data = quote(SGX, certification_data_type=1)
    assert (u16(data, 1046), u32(data, 1048)) == (1, 36)
    assert data[1052:1068] == world().intel_platform.ppid
    assert data[1068:1084] == data[48:64]  # CPUSVN
    assert (u16(data, 1084), data[1086:]) == (13, b"\0\0")


def test_the_pck_key_signs_the_qe_report() -> None:
    attester = world().attester(SGX, certification_data_type=1)
    collected = attester.collect(REPORT_DATA)
    (chain,) = attester.endorsements.of_kind(Kind.INTEL_PCK_CHAIN)
    data = collected.evidence.data
    verify(Certificate.from_der(chain.data).spki[-64:], data[948:1012], data[564:948])


def test_documents_are_written_as_asked() -> None:
    def document(kind: Kind, **settings: object) -> dict[str, list[object]]:
        (item,) = world().endorsements(TDX, **settings).of_kind(kind)
        decoded: dict[str, list[object]] = json.loads(item.data)
        return decoded

    info, reversed_info = (document(Kind.INTEL_TCB_INFO, levels_reversed=flag) for flag in (False, True))
    assert reversed_info["tcbLevels"] == info["tcbLevels"][::-1]
    identity, reversed_identity = (document(Kind.INTEL_QE_IDENTITY, levels_reversed=flag) for flag in (False, True))
    assert reversed_identity["tcbLevels"] == identity["tcbLevels"][::-1]
    assert (info["id"], info["version"], identity["id"], identity["version"]) == ("TDX", 3, "TD_QE", 2)
    assert (info["issueDate"], info["nextUpdate"]) == ("2026-03-01T11:00:00Z", "2026-03-31T11:00:00Z")
    assert (info["fmspc"], info["pceId"], info["tcbEvaluationDataNumber"]) == ("53494D000000", "0000", 18)
