"""Hygon's formats: any bytes give a value or our error, what is read is written back, no changed byte is accepted."""

from __future__ import annotations

import contextlib
import functools
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rats_tls.core.endorsements import Endorsements, Origin
from rats_tls.core.errors import ConfigurationError, RatsTlsError
from rats_tls.core.evidence import Evidence, TeeType
from rats_tls.files import evidence_from_json
from rats_tls.formats.hygon.certificates import KeyCertificate, RootCertificate
from rats_tls.formats.hygon.evidence import CsvEvidence
from rats_tls.formats.hygon.hsk_cek import endorsement_from_certificate, endorsement_from_hsk_cek, joined
from rats_tls.formats.hygon.report import AttestationReport, looks_like_report, masked
from rats_tls.formats.hygon.sm2 import point_of
from rats_tls.inspection.hygon import certificate_nodes, csv_nodes
from rats_tls.simulation.csv_states import CsvState
from rats_tls.verifiers.csv import CsvVerifier
from rats_tls.verifiers.hygon_chain import anchor_of_root
from support.hygon_links import REPORT_DATA, Links, chip, vendor
from support.intel import CRYPTO
from support.mutations import mutated
from support.simulated import NOW
from support.trustee_csv import document, to_json


@functools.cache
def pages() -> tuple[bytes, ...]:
    states = [CsvState(certificates="beside", report_version=version) for version in (1, 2, 3)]  # type: ignore[arg-type]
    return tuple(chip().evidence(state, REPORT_DATA) for state in states)


@functools.cache
def certificates() -> tuple[bytes, ...]:
    chain = Links().chain()
    return (vendor().root_certificate, *chain.issuer_chain, chain.data)


@functools.cache
def evidence() -> tuple[bytes, ...]:
    both, size = certificates()[1] + certificates()[2], (2916).to_bytes(4, "little")
    return (*pages(), pages()[0][:2548], *(page + both + size for page in pages()), pages()[2] + size + both)


@functools.cache
def documents() -> tuple[bytes, ...]:
    both = certificates()[1] + certificates()[2]
    return tuple(to_json(document(page, hsk_cek=both, event_log=b"log")) for page in pages())


READERS: dict[str, tuple[Callable[[bytes], Any], Callable[[], tuple[bytes, ...]]]] = {
    "report": (AttestationReport.from_bytes, pages),
    "evidence": (CsvEvidence.from_bytes, evidence),
    "root": (RootCertificate.from_bytes, certificates),
    "key": (KeyCertificate.from_bytes, certificates),
    "hsk_cek": (endorsement_from_hsk_cek, certificates),
    "certificate": (endorsement_from_certificate, certificates),
    "spki": (point_of, certificates),
    "looks": (looks_like_report, pages),
    "trustee": (evidence_from_json, documents),
    "nodes": (certificate_nodes, certificates),
    "tree": (lambda data: csv_nodes(CsvEvidence.from_bytes(data)), evidence),
}


@pytest.mark.parametrize("name", READERS)
@given(data=st.data())
def test_any_bytes_give_a_value_or_our_error(name: str, data: st.DataObject) -> None:
    read, genuine = READERS[name]
    with contextlib.suppress(RatsTlsError):
        read(data.draw(mutated(genuine) | st.binary(max_size=200)))


@given(mutated(evidence))
def test_what_is_read_is_written_back(data: bytes) -> None:
    with contextlib.suppress(RatsTlsError):
        assert CsvEvidence.from_bytes(data).to_bytes() == data


@given(st.binary(max_size=300), st.binary(min_size=4, max_size=4))
def test_the_mask_is_its_own_inverse(data: bytes, mask: bytes) -> None:
    assert masked(masked(data, mask), mask) == data
    assert masked(data, bytes(4)) == data


@given(mutated(certificates))
def test_any_root_is_an_anchor_or_refused(data: bytes) -> None:
    with contextlib.suppress(RatsTlsError):
        root = RootCertificate.from_bytes(data)
        try:
            anchor = anchor_of_root(root, CRYPTO)
        except ConfigurationError as error:
            assert error.message.isprintable()  # noqa: PT017  # an anchor would do as well
            return
        assert data == vendor().root_certificate
        assert anchor.subject == vendor().trust_anchor.subject


@given(st.lists(st.sampled_from(range(3)), max_size=4))
def test_halves_are_joined_or_refused(chosen: list[int]) -> None:
    items = [endorsement_from_certificate(certificates()[index]) for index in chosen]
    with contextlib.suppress(RatsTlsError):
        made = joined(item for item in items if item is not None)
        assert all(item.data and len(item.issuer_chain) == 1 for item in made)


# --- judged -----------------------------------------------------------------------------------------------------------
@functools.cache
def warm() -> CsvVerifier:
    return CsvVerifier()


def problems(data: bytes, hsk: bytes, cek: bytes, origin: Origin = Origin.LOCAL) -> bool:
    """Judge; whether something is wrong."""
    item = endorsement_from_hsk_cek(certificates()[1] + certificates()[2])
    changed = type(item)(kind=item.kind, data=cek, issuer_chain=(hsk,), origin=origin)
    decoded = warm().decode(Evidence.of(TeeType.CSV, data))
    verification = warm().verify(
        decoded, Endorsements((changed,)), anchors=(vendor().trust_anchor,), crypto=CRYPTO, now=NOW
    )
    return bool(verification.problems)


@given(st.sampled_from((0, 1, 2)), st.data())
def test_no_changed_byte_of_what_is_signed_is_accepted(index: int, data: st.DataObject) -> None:
    page, (_, hsk, cek) = pages()[index], certificates()
    assert not problems(page, hsk, cek)
    pek = 0x490 if index else 0x150
    spans = {"report": (0, 1024 if index else 180), "pek": (pek, pek + 1044), "hsk": (0, 576), "cek": (0, 1044)}
    name = data.draw(st.sampled_from(sorted(spans)))
    offset, mask = data.draw(st.integers(spans[name][0], spans[name][1] - 1)), data.draw(st.integers(1, 255))
    parts = {"report": page, "hsk": hsk, "cek": cek}
    target = "report" if name == "pek" else name
    old = parts[target]
    parts[target] = old[:offset] + bytes((old[offset] ^ mask,)) + old[offset + 1 :]
    try:
        refused = problems(parts["report"], parts["hsk"], parts["cek"])
    except RatsTlsError:
        refused = True
    assert refused


@given(mutated(evidence), mutated(certificates), mutated(certificates), st.sampled_from(list(Origin)))
def test_any_evidence_is_judged_or_refused(data: bytes, hsk: bytes, cek: bytes, origin: Origin) -> None:
    with contextlib.suppress(RatsTlsError):
        problems(data, hsk, cek, origin)


@given(st.sampled_from(range(3)), st.data())
def test_any_member_of_trustees_form(index: int, data: st.DataObject) -> None:
    written = json.loads(documents()[index])
    inner, path = written, []
    while isinstance(inner, dict):
        path.append(data.draw(st.sampled_from(sorted(inner))))
        parent, inner = inner, inner[path[-1]]
    parent[path[-1]] = data.draw(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.lists(st.integers(0, 300), max_size=80)
    )
    with contextlib.suppress(RatsTlsError):
        evidence_from_json(to_json(written))
