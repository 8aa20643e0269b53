"""CSV Evidence as Trustee's attesters write it; attack 3.32: a label beside a report has no say in what it is."""

from __future__ import annotations

import functools
from typing import Any

import pytest

from rats_tls.core.errors import DecodeError
from rats_tls.core.evidence import Evidence
from rats_tls.files import evidence_from_json
from rats_tls.formats.hygon.report import masked
from rats_tls.simulation.csv_states import CsvState
from support.hygon_links import REPORT_DATA, Links, chip
from support.trustee_csv import LABELS, MAGIC, NO_MAGIC, document, to_json

CHAIN = Links().chain().issuer_chain[0] + Links().chain().data
VERSIONS = pytest.mark.parametrize("version", [1, 2, 3])


@functools.cache
def page(version: int) -> bytes:
    state = CsvState(certificates="beside", report_version=version)  # type: ignore[arg-type]
    return chip().evidence(state, REPORT_DATA)


def read(written: dict[str, Any]) -> Evidence:
    found = evidence_from_json(to_json(written))
    assert found is not None
    return found


@VERSIONS
def test_what_it_says(version: int) -> None:
    data = page(version)
    assert read(document(data)).data == data
    with_chain = read(document(data, hsk_cek=CHAIN, event_log=b"log"))
    assert with_chain.data == data + CHAIN + len(CHAIN).to_bytes(4, "little")
    assert with_chain.event_log == b"log"


def test_a_page_of_version_1_without_the_mask_on_its_pek() -> None:
    data = page(1)
    written = document(data)
    plain = data[:0x150] + masked(data[0x150 : 0x150 + 2148], data[0xBC:0xC0]) + data[0x150 + 2148 :]
    written["attestation_report"]["data"] = list(plain)
    assert read(written).data == data


@VERSIONS
@pytest.mark.parametrize("of", [1, 2, 3])
def test_3_32_a_label_of_another_version(version: int, of: int) -> None:
    written = document(page(version), label=LABELS[of])
    if version == of or (version, of) == (2, 3):  # version 3 whose host_data is zero is no different
        assert read(written).data == page(version)
        return
    with pytest.raises(DecodeError, match="the label is of version"):
        read(written)


@pytest.mark.parametrize("label", [(NO_MAGIC, 1), (MAGIC, 2), (MAGIC, 4), (b"ATTESTATION_EXX\0", 0)])
def test_3_32_a_label_that_nobody_knows(label: tuple[bytes, int]) -> None:
    with pytest.raises(DecodeError, match="expected a label that is known"):
        read(document(page(1), label=label))


@VERSIONS
def test_pek_and_serial_number_are_those_of_the_page(version: int) -> None:
    written = document(page(version))
    written["serial_number"][0] ^= 1
    with pytest.raises(DecodeError, match="it is not the chip_id in the page"):
        read(written)
    written = document(page(version))
    written["cert_chain"]["pek"]["body"]["data"]["sid"][0] ^= 1
    with pytest.raises(DecodeError, match="it is not the certificate in the page"):
        read(written)


@pytest.mark.parametrize("event_log", ["?", "AAA", 7])
def test_an_event_log_that_is_no_base64(event_log: object) -> None:
    written = {**document(page(3)), "cc_eventlog": event_log}
    with pytest.raises(DecodeError):
        read(written)


def leaves(written: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    if isinstance(written, dict):
        return [inner for key, value in written.items() for inner in leaves(value, (*path, key))]
    return [path]


def test_every_member_left_out_or_of_another_form() -> None:
    whole = document(page(3), hsk_cek=CHAIN)
    paths = leaves(whole)
    assert len(paths) > 40
    for path in paths:
        for wrong in (None, "text", -1, [1], [256] * 16, {}):
            written = document(page(3), hsk_cek=CHAIN)
            inner: Any = written
            for key in path[:-1]:
                inner = inner[key]
            inner[path[-1]] = wrong
            with pytest.raises(DecodeError):
                read(written)
