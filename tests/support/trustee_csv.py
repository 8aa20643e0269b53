"""CSV Evidence in Trustee's form, written member by member."""

from __future__ import annotations

import base64
import json
from typing import Any

from rats_tls.formats.hygon.report import AttestationReport

NO_MAGIC, MAGIC = bytes(16), b"ATTESTATION_EXT\0"
LABELS = {1: (NO_MAGIC, 0), 2: (MAGIC, 1), 3: (MAGIC, 3)}


def _numbers(data: bytes) -> list[int]:
    return list(data)


def _word(data: bytes) -> int:
    return int.from_bytes(data, "little")


def _point(key: bytes) -> dict[str, Any]:
    return {"g": _word(key[:4]), "x": _numbers(key[4:76]), "y": _numbers(key[76:148])}


def _signature(data: bytes) -> dict[str, Any]:
    return {"r": _numbers(data[:72]), "s": _numbers(data[72:144])}


def key_certificate(data: bytes) -> dict[str, Any]:
    """Write a CEK or PEK certificate."""
    key = data[16:420]
    body = {
        "ver": _word(data[:4]),
        "data": {
            "firmware": {"major": data[4], "minor": data[5]},
            "reserved1": _word(data[6:8]),
            "pubkey": {"usage": _word(data[8:12]), "algo": _word(data[12:16]), "key": _point(key)},
            "uid_size": _word(key[148:150]),
            "user_id": _numbers(key[150:404]),
            "sid": _numbers(data[420:436]),
            "reserved2": _numbers(data[436:1044]),
        },
    }
    slots = (data[1044:1564], data[1564:2084])
    sigs = [
        {
            "usage": _word(slot[:4]),
            "algo": _word(slot[4:8]),
            "signature": _signature(slot[8:152]),
            "_reserved": _numbers(slot[152:]),
        }
        for slot in slots
    ]
    return {"body": body, "sigs": sigs}


def root_certificate(data: bytes) -> dict[str, Any]:
    """Write an HSK certificate."""
    key = data[64:468]
    preamble = {
        "ver": _word(data[:4]),
        "data": {
            "kid": _numbers(data[4:20]),
            "sid": _numbers(data[20:36]),
            "usage": _word(data[36:40]),
            "reserved": _numbers(data[40:64]),
        },
    }
    body = {
        "preamble": preamble,
        "pubkey": _point(key),
        "uid_size": _word(key[148:150]),
        "user_id": _numbers(key[150:404]),
        "reserved": _numbers(data[468:576]),
    }
    return {"body": body, "signature": _signature(data[576:720]), "_reserved": _numbers(data[720:832])}


def document(
    page: bytes, *, hsk_cek: bytes = b"", event_log: bytes = b"", label: tuple[bytes, int] | None = None
) -> dict[str, Any]:
    """Write Evidence; the label is that of the page's version unless another is given."""
    report = AttestationReport.from_bytes(page)
    magic, flags = LABELS[report.version] if label is None else label
    chain: dict[str, Any] = {"pek": key_certificate(report.pek.data)}
    if hsk_cek:
        chain["hsk_cek"] = {"hsk": root_certificate(hsk_cek[:832]), "cek": key_certificate(hsk_cek[832:])}
    written = {
        "attestation_report": {"data": _numbers(page), "magic": _numbers(magic), "flags": flags},
        "cert_chain": chain,
        "serial_number": _numbers(report.chip_id),
    }
    return {**written, "cc_eventlog": base64.b64encode(event_log).decode()} if event_log else written


def to_json(written: dict[str, Any]) -> bytes:
    """Give the file."""
    return json.dumps(written).encode()
