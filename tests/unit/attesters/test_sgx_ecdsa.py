"""The `sgx_ecdsa` attester: whom it asks, what it refuses, and that its Evidence is accepted."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from rats_tls.attesters.device import CharacterDevice
from rats_tls.attesters.gramine import Gramine
from rats_tls.attesters.occlum import Occlum
from rats_tls.attesters.sgx_ecdsa import SgxEcdsaAttester
from rats_tls.core.errors import CollectionError
from rats_tls.core.evidence import TeeType
from rats_tls.core.interfaces import Attester
from rats_tls.core.results import AttestationResult
from rats_tls.formats.intel.quote import Quote
from rats_tls.simulation.devices.gramine import FakeGramine
from rats_tls.simulation.devices.occlum import FakeOcclum
from support.devices import answers, gramine, occlum, refusal, unhurried
from support.judged import appraise
from support.sides import SGX, policy_for
from support.simulated import REPORT_DATA, world

OTHER = bytes(reversed(REPORT_DATA))


def attester(files: FakeGramine | None, device: FakeOcclum | None = None, **settings: float) -> SgxEcdsaAttester:
    """Make one of a machine that has these."""
    absent_files, absent_device = gramine(), occlum()
    absent_files.there = absent_device.there = False
    files, device = files or absent_files, device or absent_device
    return SgxEcdsaAttester(gramine=Gramine(files.root, files=files), occlum=Occlum(device), **settings)


def changed(changes: Callable[[bytes], bytes]) -> tuple[SgxEcdsaAttester, SgxEcdsaAttester]:
    """Give one under Gramine and one under Occlum whose quotes are changed, in buffers that would hold more."""
    files, device = gramine(), occlum(room=8000)
    files.changes = lambda name, data: changes(data) if name == "quote" else data
    device.changes = changes
    return attester(files), attester(None, device)


@pytest.mark.parametrize(
    "make",
    [lambda: attester(gramine()), lambda: attester(None, occlum()), lambda: attester(None, occlum(room=3000))],
    ids=["gramine", "occlum", "occlum's buffer too large"],
)
def test_evidence_is_accepted(make: Callable[[], SgxEcdsaAttester]) -> None:
    collected = make().collect(REPORT_DATA)
    assert collected.endorsements == ()
    assert Quote.from_bytes(collected.evidence.data).trailing == 0
    result = appraise(collected.evidence, world().endorsements(SGX), policy_for(SGX))
    assert isinstance(result, AttestationResult)
    assert result.claims.tee_type is TeeType.SGX_ECDSA


def test_it_is_an_attester_of_its_kind() -> None:
    asked = attester(gramine())
    assert isinstance(asked, Attester)
    assert (asked.name, asked.tee_type) == ("sgx_ecdsa", TeeType.SGX_ECDSA)
    assert SgxEcdsaAttester().device in {"/dev/attestation", "/dev/sgx"}


# --- whom it asks -----------------------------------------------------------------------------------------------------
def test_gramine_is_asked_first() -> None:
    files, device = gramine(), occlum()
    asked = attester(files, device)
    assert asked.device == "/dev/attestation"
    asked.collect(REPORT_DATA)
    assert (files.written, device.calls) == ([("user_report_data", REPORT_DATA)], [])
    files.there = False
    assert asked.device == "/dev/sgx"
    asked.collect(OTHER)
    assert len(files.written) == 1
    assert device.calls


def test_it_does_not_turn_from_one_that_fails_to_the_next() -> None:
    files, device = gramine(), occlum()
    files.fails["quote"] = errno.EACCES
    assert refusal(attester(files, device)) == (
        "attester sgx_ecdsa: /dev/attestation/quote: read: EACCES (Permission denied)"
    )
    assert device.calls == []


def test_a_machine_with_neither() -> None:
    asked = attester(None)
    said = (
        "/dev/attestation is not there, and /dev/sgx is not there: this process runs under neither Gramine nor Occlum"
    )
    assert refusal(asked) == f"attester sgx_ecdsa: {said}"
    assert (asked.availability().usable, asked.availability().told) == (False, said)


@pytest.mark.parametrize("kind", ["none", "epid"])
def test_gramine_without_dcap(kind: str) -> None:
    files, device = gramine(attestation_type=kind), occlum()
    said = f"/dev/attestation/attestation_type: got '{kind}', expected 'dcap'"
    assert refusal(attester(files, device)).startswith(f"attester sgx_ecdsa: {said}")
    assert (files.written, device.calls) == ([], [])
    available = attester(files, device).availability()
    assert not available.usable
    assert available.told.startswith(said)


def test_it_says_whether_it_can_be_used() -> None:
    files, device = gramine(), occlum()
    assert attester(files, device).availability().told == "Gramine, /dev/attestation"
    assert attester(None, device).availability().told == "Occlum, /dev/sgx"
    assert attester(files).availability().usable
    assert attester(None, device).availability().usable
    assert (files.written, device.calls) == ([], [0x82007303, 0x82007303])
    files.fails["attestation_type"] = errno.EACCES
    assert attester(files, device).availability().told == (
        "/dev/attestation/attestation_type: read: EACCES (Permission denied)"
    )
    device.fails[0x82007303] = errno.ENOTTY
    available = attester(None, device).availability()
    assert not available.usable
    assert available.told.startswith("/dev/sgx: SGXIOC_SELF_TARGET: ENOTTY (")


def test_another_device_under_occlums_name(tmp_path: Path) -> None:
    asked = SgxEcdsaAttester(gramine=Gramine(str(tmp_path)), occlum=Occlum(CharacterDevice("/dev/null")))
    assert not asked.availability().usable
    assert refusal(asked).startswith("attester sgx_ecdsa: /dev/null: SGXIOC_GET_DCAP_QUOTE_SIZE: ENOTTY (")


def test_no_permission() -> None:
    files, device = gramine(), occlum()
    files.fails["user_report_data"] = errno.EACCES
    device.fails[0x80047307] = errno.EACCES
    assert refusal(attester(files)) == (
        "attester sgx_ecdsa: /dev/attestation/user_report_data: write of 64 bytes: EACCES (Permission denied)"
    )
    assert refusal(attester(None, device)) == (
        "attester sgx_ecdsa: /dev/sgx: SGXIOC_GET_DCAP_QUOTE_SIZE: EACCES (Permission denied)"
    )


# --- what is refused --------------------------------------------------------------------------------------------------
def tdx(_quote: bytes) -> bytes:
    return world().attester("simulated_tdx_ecdsa").collect(REPORT_DATA).evidence.data


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (lambda quote: quote[:1000] + bytes(len(quote) - 1000), "malformed Evidence: "),
        (lambda _: b"", "malformed Evidence: "),
        (lambda quote: quote + bytes(7) + b"\1", "malformed Evidence: Quote.end: "),
        (lambda quote: b"\2" + quote[1:], "malformed Evidence: QuoteHeader.version: got 2, expected 3, 4 or 5"),
        (tdx, "malformed Evidence: Quote.tee_type at 0x4: got 0x81, expected 0 (SGX)"),
        (lambda quote: quote[:431] + bytes([quote[431] ^ 1]) + quote[432:], "Evidence with other report_data: got 00"),
    ],
    ids=["cut short", "nothing", "bytes behind", "EPID", "TDX", "other report_data"],
)
def test_what_no_peer_would_accept_is_refused(changes: Callable[[bytes], bytes], said: str) -> None:
    under_gramine, under_occlum = changed(changes)
    assert refusal(under_gramine).startswith(f"attester sgx_ecdsa: /dev/attestation gave {said}")
    assert refusal(under_occlum).startswith(f"attester sgx_ecdsa: /dev/sgx gave {said}")


def test_a_quote_that_is_cut_at_its_end_is_refused() -> None:
    files, device = gramine(), occlum()
    files.changes = lambda name, data: data[:-1] if name == "quote" else data
    size = len(attester(None, device).collect(REPORT_DATA).evidence.data)
    device.made_size = size - 1
    assert "gave malformed Evidence: " in refusal(attester(files))
    assert "gave malformed Evidence: " in refusal(attester(None, device))


def test_report_data_that_others_of_the_process_wrote_is_seen() -> None:
    files = gramine()
    files.overwritten_by = OTHER
    assert refusal(attester(files)) == (
        "attester sgx_ecdsa: /dev/attestation gave Evidence with other report_data: "
        f"got {OTHER[:32].hex()}... (64 bytes), expected {REPORT_DATA[:32].hex()}... (64 bytes)"
    )


@pytest.mark.parametrize("size", [0, 32, 63, 65])
def test_other_sizes_are_not_asked_for(size: int) -> None:
    files = gramine()
    with pytest.raises(CollectionError, match=f"sgx_ecdsa: report_data: got {size} bytes, expected 64"):
        attester(files).collect(bytes(size))
    assert files.written == []


# --- time and turns ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("provider", ["gramine", "occlum"])
def test_a_device_that_hangs_is_given_up_and_is_busy_until_it_answers(provider: str) -> None:
    go = threading.Event()
    name = f"/dev/hangs-{provider}"
    if provider == "gramine":
        files = gramine(root=name)
        files.before = lambda: go.wait(20)
        asked = attester(files, seconds=0.2)
    else:
        device = occlum(path=name)
        device.before = lambda: go.wait(20)
        asked = attester(None, device, seconds=0.2)
    try:
        assert refusal(asked) == f"attester sgx_ecdsa: {name}: no answer within 0.2 seconds"
        assert refusal(asked) == f"attester sgx_ecdsa: {name}: others have kept it busy for 0.2 seconds"
    finally:
        go.set()
    patient = attester(files, seconds=20) if provider == "gramine" else attester(None, device, seconds=20)
    assert Quote.from_bytes(patient.collect(OTHER).evidence.data).body.report_data == OTHER


@pytest.mark.parametrize(
    "make",
    [lambda: attester(unhurried(gramine())), lambda: attester(None, occlum(room=100))],
    ids=["gramine", "occlum"],
)
def test_100_callers_at_once_get_their_own(make: Callable[[], SgxEcdsaAttester]) -> None:
    for report_data, evidence in answers(make()).items():
        assert Quote.from_bytes(evidence).body.report_data == report_data
