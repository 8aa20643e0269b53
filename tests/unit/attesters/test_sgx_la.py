"""The `sgx_la` attester: for whom it has reports made, what it refuses, and that its Evidence is accepted."""

from __future__ import annotations

import errno
import threading
from pathlib import Path

import pytest

from rats_tls.attesters.gramine import Gramine
from rats_tls.attesters.occlum import Occlum
from rats_tls.attesters.sgx_ecdsa import SgxEcdsaAttester
from rats_tls.attesters.sgx_la import SgxLocalAttester
from rats_tls.core.errors import ConfigurationError, SignatureError
from rats_tls.core.evidence import TeeType
from rats_tls.core.interfaces import Attester
from rats_tls.formats.intel.local_report import LocalReport
from rats_tls.simulation.devices.gramine import FakeGramine
from rats_tls.simulation.devices.occlum import FakeOcclum
from support.devices import answers, enclave, gramine, occlum, refusal, unhurried
from support.judged import appraise
from support.sides import LOCAL, policy_for
from support.simulated import REPORT_DATA, world

TARGET = world().target_enclave().target_info()
OTHER = bytes(reversed(REPORT_DATA))


def attester(
    files: FakeGramine | None, device: FakeOcclum | None = None, *, target: bytes = TARGET, seconds: float = 30
) -> SgxLocalAttester:
    """Make one of a machine that has these."""
    absent_files, absent_device = gramine(), occlum()
    absent_files.there = absent_device.there = False
    files, device = files or absent_files, device or absent_device
    there = Gramine(files.root, files=files)
    return SgxLocalAttester(target_info=target, gramine=there, occlum=Occlum(device), seconds=seconds)


PROVIDERS = pytest.mark.parametrize("provider", ["gramine", "occlum"])


def by(provider: str, **settings: bytes) -> SgxLocalAttester:
    return attester(gramine(), **settings) if provider == "gramine" else attester(None, occlum(), **settings)


@PROVIDERS
def test_evidence_is_accepted_by_the_enclave_that_it_is_for(provider: str) -> None:
    collected = by(provider).collect(REPORT_DATA)
    result = appraise(collected.evidence, None, policy_for(LOCAL))
    assert result.claims.tee_type is TeeType.SGX_LA
    with pytest.raises(SignatureError, match="made no such report for this target enclave"):
        world().target_enclave(mr_enclave=bytes([3] * 32)).check(collected.evidence.data)


@PROVIDERS
def test_reports_for_another_enclave_are_not_accepted(provider: str) -> None:
    evidence = by(provider, target=enclave().target_info()).collect(REPORT_DATA).evidence
    enclave().check(evidence.data)
    with pytest.raises(SignatureError):
        appraise(evidence, None, policy_for(LOCAL))


def test_it_is_an_attester_of_its_kind() -> None:
    asked = attester(gramine())
    assert isinstance(asked, Attester)
    assert (asked.name, asked.tee_type) == ("sgx_la", TeeType.SGX_LA)


# --- target_info ------------------------------------------------------------------------------------------------------
def test_target_info_comes_from_a_file_or_as_bytes(tmp_path: Path) -> None:
    path = tmp_path / "target_info"
    path.write_bytes(TARGET)
    for given in (TARGET, path, str(path)):
        files = gramine()
        made = SgxLocalAttester(target_info=given, gramine=Gramine(files.root, files=files), occlum=Occlum(occlum()))
        made.collect(REPORT_DATA)
        assert files.written == [("target_info", TARGET), ("user_report_data", REPORT_DATA)]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (TARGET[:511], "TargetInfo at 0x0: got 511 bytes, expected 512"),
        (TARGET + b"\0", "TargetInfo at 0x0: got 513 bytes, expected 512"),
        (b"", "TargetInfo at 0x0: got 0 bytes, expected 512"),
        (TARGET[:511] + b"\1", "TargetInfo.reserved at 0x80: reserved bytes are"),
        (bytes(32) + TARGET[32:], "got an MRENCLAVE of zeros: it is of no enclave"),
    ],
    ids=["short", "long", "empty", "reserved bytes", "no enclave"],
)
def test_what_is_no_target_info_is_refused_at_once(data: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "target_info"
    path.write_bytes(data)
    for given, name in ((data, "target_info"), (path, f"target_info {path}")):
        with pytest.raises(ConfigurationError) as caught:
            SgxLocalAttester(target_info=given)
        assert caught.value.message.startswith(f"attester sgx_la: {name}: {said}")


def test_it_needs_one() -> None:
    with pytest.raises(
        ConfigurationError, match=r"^attester sgx_la: target_info: missing: the TARGETINFO of the enclave"
    ):
        SgxLocalAttester()


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"target_info .*none: No such file or directory"):
        SgxLocalAttester(target_info=tmp_path / "none")
    with pytest.raises(ConfigurationError, match="Is a directory"):
        SgxLocalAttester(target_info=tmp_path)


def test_no_more_of_a_file_is_read_than_a_target_info_has(tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(bytes(100_000))
    with pytest.raises(ConfigurationError, match=r"target_info .*/large: .*got 513 bytes"):
        SgxLocalAttester(target_info=tmp_path / "large")
    with pytest.raises(ConfigurationError, match=r"target_info /dev/zero: not a regular file"):
        SgxLocalAttester(target_info="/dev/zero")


# --- whom it asks -----------------------------------------------------------------------------------------------------
def test_gramine_is_asked_first() -> None:
    files, device = gramine(attestation_type="none"), occlum()
    asked = attester(files, device)
    assert asked.device == "/dev/attestation"
    assert asked.availability().usable, "local reports need no remote attestation"
    asked.collect(REPORT_DATA)
    assert device.calls == []
    files.there = False
    assert asked.device == "/dev/sgx"
    asked.collect(REPORT_DATA)
    assert device.calls == [0xC0187304]


def test_a_machine_with_neither() -> None:
    said = (
        "/dev/attestation is not there, and /dev/sgx is not there: this process runs under neither Gramine nor Occlum"
    )
    assert refusal(attester(None)) == f"attester sgx_la: {said}"
    assert (attester(None).availability().usable, attester(None).availability().told) == (False, said)


def test_calls_that_fail() -> None:
    files, device = gramine(), occlum()
    files.fails["target_info"] = errno.EACCES
    device.fails[0xC0187304] = errno.EINVAL
    assert refusal(attester(files, device)) == (
        "attester sgx_la: /dev/attestation/target_info: write of 512 bytes: EACCES (Permission denied)"
    )
    assert refusal(attester(None, device)) == (
        "attester sgx_la: /dev/sgx: SGXIOC_CREATE_REPORT: EINVAL (Invalid argument)"
    )


# --- what is refused --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("size", [0, 384, 431])
def test_a_report_that_is_cut_short(size: int) -> None:
    files = gramine()
    files.changes = lambda name, data: data[:size] if name == "report" else data
    assert refusal(attester(files)) == (
        f"attester sgx_la: /dev/attestation gave malformed Evidence: LocalReport at 0x0: got {size} bytes, expected 432"
    )


def test_a_report_that_is_too_long() -> None:
    files = gramine()
    files.changes = lambda name, data: data + b"\0" if name == "report" else data
    assert refusal(attester(files)) == ("attester sgx_la: /dev/attestation/report: read: EFBIG (more than 432 bytes)")


def test_a_report_with_other_report_data() -> None:
    files, device = gramine(), occlum()
    files.overwritten_by = OTHER
    device.changes = lambda report: report[:320] + OTHER + report[384:]
    got, expected = (f"{data[:32].hex()}... (64 bytes)" for data in (OTHER, REPORT_DATA))
    said = f"gave Evidence with other report_data: got {got}, expected {expected}"
    assert refusal(attester(files)) == f"attester sgx_la: /dev/attestation {said}"
    assert refusal(attester(None, device)) == f"attester sgx_la: /dev/sgx {said}"


# --- time and turns ---------------------------------------------------------------------------------------------------
def test_it_takes_turns_with_sgx_ecdsa() -> None:
    """A write of one between write and read of the other would spoil both."""
    go = threading.Event()
    files = gramine(root="/dev/shared-attestation")
    there = Gramine(files.root, files=files)
    files.before = lambda: go.wait(20)
    quotes = SgxEcdsaAttester(gramine=there, occlum=Occlum(occlum()), seconds=0.2)
    try:
        assert refusal(attester(files, seconds=0.2)).endswith("/dev/shared-attestation: no answer within 0.2 seconds")
        assert refusal(quotes).endswith("/dev/shared-attestation: others have kept it busy for 0.2 seconds")
    finally:
        go.set()


@PROVIDERS
def test_100_callers_at_once_get_their_own(provider: str) -> None:
    asked = attester(unhurried(gramine())) if provider == "gramine" else attester(None, occlum())
    for report_data, evidence in answers(asked).items():
        assert LocalReport.from_bytes(evidence).body.report_data == report_data
        world().target_enclave().check(evidence)
