"""Formats of Hygon CSV and AMD SEV: any bytes give a value or our error, and what is read is what is written."""

from __future__ import annotations

import contextlib
import functools
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rats_tls.core.errors import RatsTlsError
from rats_tls.core.evidence import Evidence, TeeType
from rats_tls.formats.amd.sev_certificate import SevCertificate
from rats_tls.formats.amd.sev_report import SevEvidence, evidence_from_json
from rats_tls.formats.amd.sev_signer import split_signers
from rats_tls.formats.hygon.certificates import KeyCertificate, RootCertificate
from rats_tls.formats.hygon.evidence import CsvEvidence
from rats_tls.formats.hygon.hsk_cek import endorsement_from_certificate
from rats_tls.formats.hygon.report import AttestationReport, looks_like_report
from rats_tls.inspection.hygon import certificate_nodes
from rats_tls.verifiers.csv import CsvVerifier
from rats_tls.verifiers.sev import SevVerifier
from support.mutations import mutated
from support.simulated import REPORT_DATA, world

SIZES = (832, 1600, 2084, 2548, 2916, 4096, 6461, 6464, 7016)


def collected(name: str, **state: Any) -> bytes:
    data: bytes = world().attester(name, **state).collect(REPORT_DATA).evidence.data
    return data


@functools.cache
def csv_evidence() -> tuple[bytes, ...]:
    return tuple(
        collected("simulated_csv", report_version=version, certificates=form)
        for version in (1, 2, 3)
        for form in ("rats-tls", "librats", "beside")
    )


@functools.cache
def csv_reports() -> tuple[bytes, ...]:
    return tuple(data for data in csv_evidence() if len(data) == 4096)


@functools.cache
def hygon_certificates() -> tuple[bytes, ...]:
    chain = world().hygon_chip().chain()
    return (*chain.issuer_chain, chain.data, chain.issuer_chain[0] + chain.data)


@functools.cache
def sev_evidence() -> tuple[bytes, ...]:
    return tuple(
        collected("simulated_sev", device_type_size=size, owner=owner) for size in (1, 4) for owner in (False, True)
    )


@functools.cache
def sev_certificates() -> tuple[bytes, ...]:
    data = sev_evidence()[-1]
    return tuple(data[208 + number * 2084 :][:2084] for number in range(3))


@functools.cache
def sev_signers() -> tuple[bytes, ...]:
    items = world().attester("simulated_sev").endorsements
    return tuple(b"".join((item.data, *item.issuer_chain)) for item in items)


@functools.cache
def sev_json() -> tuple[bytes, ...]:
    data = sev_evidence()[-1]
    report = {"monce": list(data[:16]), "launch_digest": list(data[16:48]), "sig1": list(data[64:208])}
    words = {"policy": 1, "sig_usage": 0x1002, "sig_algo": 2, "reserved": 0}
    names = zip(("cek", "pek", "oca"), sev_certificates(), strict=True)
    parts = {name: list(certificate) for name, certificate in names}
    return (json.dumps({"report": report | words, **parts, "device_type": "AmdRome"}).encode(),)


DECODERS: dict[str, tuple[Callable[[bytes], object], Callable[[], tuple[bytes, ...]]]] = {
    "csv report": (AttestationReport.from_bytes, csv_reports),
    "csv report's mark": (looks_like_report, csv_evidence),
    "csv evidence": (CsvEvidence.from_bytes, csv_evidence),
    "csv verifier": (lambda data: CsvVerifier().decode(Evidence.of(TeeType.CSV, data)), csv_evidence),
    "hygon root certificate": (RootCertificate.from_bytes, hygon_certificates),
    "hygon key certificate": (KeyCertificate.from_bytes, hygon_certificates),
    "hygon file": (endorsement_from_certificate, hygon_certificates),
    "hygon inspection": (certificate_nodes, hygon_certificates),
    "sev evidence": (SevEvidence.from_bytes, sev_evidence),
    "sev verifier": (lambda data: SevVerifier().decode(Evidence.of(TeeType.SEV, data)), sev_evidence),
    "sev certificate": (SevCertificate.from_bytes, sev_certificates),
    "sev signers": (split_signers, sev_signers),
    "sev json": (evidence_from_json, sev_json),
}
NAMES = pytest.mark.parametrize("name", DECODERS)


@NAMES
@given(
    data=st.binary(max_size=400) | st.sampled_from(SIZES).flatmap(lambda size: st.binary(min_size=size, max_size=size))
)
def test_any_bytes(name: str, data: bytes) -> None:
    decode, _ = DECODERS[name]
    with contextlib.suppress(RatsTlsError):
        decode(data)


@NAMES
@given(data=st.data())
def test_changed_originals(name: str, data: st.DataObject) -> None:
    decode, originals = DECODERS[name]
    with contextlib.suppress(RatsTlsError):
        decode(data.draw(mutated(originals)))


READ_BACK: dict[str, tuple[Callable[[bytes], Any], Callable[[], tuple[bytes, ...]]]] = {
    name: DECODERS[name]
    for name in ("csv report", "csv evidence", "hygon root certificate", "hygon key certificate", "sev certificate")
}


@pytest.mark.parametrize("name", READ_BACK)
@given(data=st.data())
def test_what_is_read_writes_the_same_bytes(name: str, data: st.DataObject) -> None:
    """So no byte is passed over: whatever is changed is in the value, or refused."""
    decode, originals = READ_BACK[name]
    changed = data.draw(mutated(originals))
    try:
        value = decode(changed)
    except RatsTlsError:
        return
    assert value.to_bytes() == changed
