"""Gramine's pseudo files: what is written and read, and what each failure says."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path

import pytest

from rats_tls.attesters.gramine import Gramine
from rats_tls.core.errors import CollectionError
from rats_tls.formats.intel.local_report import LocalReport
from rats_tls.formats.intel.quote import Quote
from rats_tls.simulation.devices.gramine import FakeGramine
from support.devices import enclave, gramine
from support.simulated import REPORT_DATA, world

TARGET = world().target_enclave().target_info()
OTHER = bytes(reversed(REPORT_DATA))


def of(files: FakeGramine) -> Gramine:
    return Gramine(files.root, files=files)


def refused(call: Callable[[], object]) -> str:
    with pytest.raises(CollectionError) as caught:
        call()
    return caught.value.message


def test_a_quote_carries_what_was_written() -> None:
    files = gramine()
    assert Quote.from_bytes(of(files).quote(REPORT_DATA)).body.report_data == REPORT_DATA
    assert files.written == [("user_report_data", REPORT_DATA)]
    assert Quote.from_bytes(of(files).quote(OTHER)).body.report_data == OTHER


def test_a_local_report_is_made_for_the_enclave_that_was_written() -> None:
    files = gramine()
    report = of(files).local_report(TARGET, REPORT_DATA)
    assert files.written == [("target_info", TARGET), ("user_report_data", REPORT_DATA)]
    assert LocalReport.from_bytes(report).body.report_data == REPORT_DATA
    world().target_enclave().check(report)


def test_it_is_there_where_the_file_with_its_type_is(tmp_path: Path) -> None:
    files = gramine()
    assert of(files).is_there()
    files.there = False
    assert not of(files).is_there()
    assert not Gramine(str(tmp_path)).is_there()
    (tmp_path / "attestation_type").write_text("dcap")
    assert Gramine(str(tmp_path)).is_there()
    assert Gramine().root == "/dev/attestation"


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO, errno.EBUSY, errno.ENOMEM])
@pytest.mark.parametrize(
    ("file", "what", "call"),
    [
        ("attestation_type", "read", lambda it: it.attestation_type()),
        ("user_report_data", "write of 64 bytes", lambda it: it.quote(REPORT_DATA)),
        ("quote", "read", lambda it: it.quote(REPORT_DATA)),
        ("target_info", "write of 512 bytes", lambda it: it.local_report(TARGET, REPORT_DATA)),
        ("user_report_data", "write of 64 bytes", lambda it: it.local_report(TARGET, REPORT_DATA)),
        ("report", "read", lambda it: it.local_report(TARGET, REPORT_DATA)),
    ],
)
def test_a_file_that_fails_is_named_with_call_and_errno(
    file: str, what: str, call: Callable[[Gramine], object], number: int
) -> None:
    files = gramine()
    files.fails[file] = number
    message = refused(lambda: call(of(files)))
    assert message.startswith(f"/dev/attestation/{file}: {what}: {errno.errorcode[number]} (")


def test_a_write_that_is_not_taken_whole_fails() -> None:
    files = gramine()
    files.takes = 32
    expected = "/dev/attestation/user_report_data: write of 64 bytes: EIO (32 of 64 bytes were taken)"
    assert refused(lambda: of(files).quote(REPORT_DATA)) == expected


@pytest.mark.parametrize(("file", "most"), [("quote", 65_536), ("report", 432)])
def test_what_is_read_is_bounded(file: str, most: int) -> None:
    files = gramine()
    files.changes = lambda name, data: data.ljust(most + 1, b"\0") if name == file else data
    call = of(files).quote if file == "quote" else lambda data: of(files).local_report(TARGET, data)
    assert refused(lambda: call(REPORT_DATA)) == f"/dev/attestation/{file}: read: EFBIG (more than {most} bytes)"
    files.changes = lambda name, data: data.ljust(most, b"\0") if name == file else data
    assert len(call(REPORT_DATA)) == most


@pytest.mark.parametrize("kind", ["none", "epid"])
def test_quotes_need_a_manifest_that_asks_for_dcap(kind: str) -> None:
    message = refused(of(gramine(attestation_type=kind)).require_dcap)
    assert message == (
        f"/dev/attestation/attestation_type: got '{kind}', expected 'dcap': "
        'set sgx.remote_attestation = "dcap" in the manifest'
    )
    of(gramine()).require_dcap()


@pytest.mark.parametrize(
    ("text", "said"),
    [(b"", "got '', expected"), (b"dcap\x00", r"got 'dcap\x00', expected"), (b"\xff\n", "got '\ufffd', expected")],
)
def test_any_other_type_is_no_dcap(text: bytes, said: str) -> None:
    files = gramine()
    files.changes = lambda _name, _data: text
    assert said in refused(of(files).require_dcap)
    files.changes = lambda _name, _data: bytes(65)
    assert "read: EFBIG (more than 64 bytes)" in refused(of(files).require_dcap)
    files.changes = lambda _name, _data: b"dcap\n"
    of(files).require_dcap()


def test_real_files_are_written_and_read(tmp_path: Path) -> None:
    for name, data in {"user_report_data": b"", "target_info": b"", "quote": b"a quote", "report": b"a report"}.items():
        (tmp_path / name).write_bytes(data)
    there = Gramine(str(tmp_path))
    assert there.quote(REPORT_DATA) == b"a quote"
    assert there.local_report(TARGET, OTHER) == b"a report"
    assert (tmp_path / "user_report_data").read_bytes() == OTHER
    assert (tmp_path / "target_info").read_bytes() == TARGET
    (tmp_path / "quote").unlink()
    assert refused(lambda: there.quote(REPORT_DATA)).endswith("/quote: read: ENOENT (No such file or directory)")


# --- the fake ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("file", "size"),
    [("user_report_data", 63), ("user_report_data", 65), ("user_report_data", 0), ("target_info", 511)],
)
def test_the_fake_takes_no_other_size(file: str, size: int) -> None:
    with pytest.raises(OSError, match="Invalid argument"):
        gramine().write(f"/dev/attestation/{file}", bytes(size))


def test_the_fake_has_the_files_that_gramine_has() -> None:
    files = gramine(attestation_type="none")
    assert files.names(files.root) == (
        *("attestation_type", "my_target_info", "report", "user_report_data", "target_info"),
    )
    with pytest.raises(OSError, match="No such file"):
        files.read("/dev/attestation/quote", 100)
    with pytest.raises(OSError, match="Permission denied"):
        gramine(attestation_type="epid").read("/dev/attestation/quote", 100)
    assert gramine().read("/dev/attestation/my_target_info", 512) == enclave().target_info()
    for name in ("quote", "report", "my_target_info", "attestation_type"):
        with pytest.raises(OSError, match="Permission denied"):
            gramine().write(f"/dev/attestation/{name}", bytes(64))
    for change in (files.make_directory, files.remove_directory):
        with pytest.raises(OSError, match="Permission denied"):
            change("/dev/attestation/keys")
