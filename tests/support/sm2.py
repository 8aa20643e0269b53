"""SM2 back ends that are here, and the SM2 signatures of real Hygon certificates."""

from __future__ import annotations

import platform
from dataclasses import dataclass

from rats_tls.core.errors import UnsupportedError
from rats_tls.crypto_wrappers.sm2 import choosing
from rats_tls.crypto_wrappers.sm2.back_end import BackEnd
from support.paths import VECTORS

EXPECTED = tuple(name for name in choosing.BACK_ENDS if name != "tongsuo" or platform.machine() == "x86_64")
"""Those that continuous integration must have: `tongsuopy` has wheels for x86_64 alone."""
UNUSABLE: dict[str, str] = {}


def _here() -> dict[str, BackEnd]:
    found = {}
    for name in choosing.BACK_ENDS:
        try:
            found[name] = choosing.probe(name)
        except UnsupportedError as error:
            UNUSABLE[name] = error.message
    return found


BACK_ENDS = _here()


@dataclass(frozen=True, slots=True, kw_only=True)
class CsvSignature:
    """One signature of a chain: by whom, what over. r and s are little-endian in fields of 72 bytes."""

    signer: str
    point: bytes
    user_id: bytes
    r: int
    s: int
    signed: bytes


def csv_signatures(vector_id: str = "csv/csv-rs-complete") -> tuple[CsvSignature, ...]:
    """Give the five signatures from HRK to report. Source: Hygon CSV certificate and report forms, version 1."""
    hrk, hsk, cek, pek, report = (
        (VECTORS / vector_id / f"{name}.cert").read_bytes() for name in ("hrk", "hsk", "cek", "pek", "report")
    )
    return (
        _signature("HRK", hrk, 64, hrk, 576, 576),
        _signature("HRK", hrk, 64, hsk, 576, 576),
        _signature("HSK", hsk, 64, cek, 1052, 1044),
        _signature("CEK", cek, 16, pek, 1052, 1044),
        _signature("PEK", pek, 16, report, 192, 180),
    )


def _signature(signer: str, by: bytes, key_at: int, of: bytes, signature_at: int, signed_size: int) -> CsvSignature:
    key = by[key_at:]
    id_size = int.from_bytes(key[148:150], "little")
    return CsvSignature(
        signer=signer,
        point=key[4:36][::-1] + key[76:108][::-1],
        user_id=key[150 : 150 + id_size],
        r=int.from_bytes(of[signature_at : signature_at + 72], "little"),
        s=int.from_bytes(of[signature_at + 72 : signature_at + 144], "little"),
        signed=of[:signed_size],
    )
