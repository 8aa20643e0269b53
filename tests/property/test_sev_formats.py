"""AMD's formats before SEV-SNP: any bytes give a value or our error, and what is read is what is written."""

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
from rats_tls.verifiers.sev import SevVerifier
from support.mutations import mutated
from support.simulated import REPORT_DATA, world

SIZES = (832, 1600, 2084, 6461, 6464)


def collected(name: str, **state: Any) -> bytes:
    data: bytes = world().attester(name, **state).collect(REPORT_DATA).evidence.data
    return data


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


@given(data=st.data())
def test_a_certificate_that_is_read_writes_the_same_bytes(data: st.DataObject) -> None:
    """So no byte is passed over: whatever is changed is in the value, or refused."""
    changed = data.draw(mutated(sev_certificates))
    try:
        value = SevCertificate.from_bytes(changed)
    except RatsTlsError:
        return
    assert value.to_bytes() == changed
