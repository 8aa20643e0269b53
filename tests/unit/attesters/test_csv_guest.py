"""Hygon's guest device: what is asked, and what a device, firmware or host that fails or errs ends in."""

from __future__ import annotations

import ctypes
import errno
import hashlib
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from rats_tls.attesters import csv_guest as module
from rats_tls.attesters.csv_guest import CsvGuest
from rats_tls.attesters.device import CharacterDevice
from rats_tls.core.errors import CollectionError
from rats_tls.formats.devices.csv_guest import GET_REPORT, ReportRequest
from rats_tls.formats.hygon.report import AttestationReport
from rats_tls.simulation.csv_states import CsvState
from rats_tls.simulation.devices.csv_guest import FakeCsvGuest
from support.devices import csv_guest
from support.simulated import REPORT_DATA, world

VERSIONS = pytest.mark.parametrize("version", [1, 2, 3])
PEK = {1: 0x150, 2: 0x490, 3: 0x490}
IDENTITY_SIZE = 2084 + 64 + 32
NONCE = bytes(range(100, 116))


def refused(device: FakeCsvGuest, version: int = 3) -> str:
    with pytest.raises(CollectionError) as caught:
        CsvGuest(device).report(REPORT_DATA, version=version)
    prefix, said = "/dev/csv-guest: GET_REPORT: ", caught.value.message
    assert said.startswith(prefix)
    return said.removeprefix(prefix)


def flipped(at: int) -> Callable[[bytes], bytes]:
    return lambda page: page[:at] + bytes([page[at] ^ 1]) + page[at + 1 :]


@VERSIONS
def test_a_report_answers_the_request(version: int) -> None:
    device = csv_guest()
    page = CsvGuest(device, random=lambda size: NONCE[:size]).report(REPORT_DATA, version=version)
    report = AttestationReport.from_bytes(page)
    assert len(page) == 4096
    assert (report.version, report.user_data, report.mnonce) == (version, REPORT_DATA, NONCE)
    assert [address % 4096 for address in device.pages] == [0]


def test_each_request_has_a_nonce_of_its_own() -> None:
    guest = CsvGuest(csv_guest())
    pages = [AttestationReport.from_bytes(guest.report(REPORT_DATA, version=2)) for _ in range(3)]
    assert len({page.mnonce for page in pages}) == 3


def test_host_data_of_zeros_is_no_other_version() -> None:
    device = FakeCsvGuest(world().hygon_chip(), CsvState(host_data=bytes(64)))
    page = CsvGuest(device).report(REPORT_DATA, version=3)
    assert AttestationReport.from_bytes(page).version == 2


@pytest.mark.parametrize("number", [errno.EIO, errno.EINVAL, errno.EACCES, errno.EBUSY, errno.ENOTTY])
def test_a_call_that_fails_is_named_with_its_errno(number: int) -> None:
    device = csv_guest()
    device.fails = number
    assert refused(device).startswith(f"{errno.errorcode[number]} (")


def test_an_errno_of_the_hypervisor_has_no_name() -> None:
    device = csv_guest()
    device.fails = 1000  # KVM_ENOSYS: the host knows no such hypercall
    assert refused(device) == "1000 (Unknown error 1000)"


def test_a_device_that_is_not_there(tmp_path: Path) -> None:
    guest = CsvGuest(CharacterDevice(str(tmp_path / "csv-guest")))
    assert not guest.is_there()
    with pytest.raises(CollectionError, match=r"csv-guest: open: ENOENT \(No such file or directory\)"):
        guest.report(REPORT_DATA, version=1)
    assert CsvGuest().path == "/dev/csv-guest"


def test_another_device() -> None:
    guest = CsvGuest(CharacterDevice("/dev/null"))
    assert guest.is_there()
    with pytest.raises(CollectionError, match=r"^/dev/null: GET_REPORT: ENOTTY \("):
        guest.report(REPORT_DATA, version=1)


# --- what is no answer ------------------------------------------------------------------------------------------------
@VERSIONS
def test_a_page_that_nobody_wrote_to(version: int) -> None:
    device = csv_guest()
    device.silent = True
    assert refused(device, version) == "the page came back as it was sent"


@VERSIONS
def test_an_answer_to_another_request(version: int) -> None:
    device = csv_guest()
    device.mnonce = NONCE
    message = refused(device, version)
    assert message.startswith(f"mnonce: got {NONCE.hex()}, expected ")
    assert message.endswith(": not the answer to this request")


@VERSIONS
@pytest.mark.parametrize("at", [20, 1060, 2084, 2148, IDENTITY_SIZE - 1, IDENTITY_SIZE, IDENTITY_SIZE + 31])
def test_pek_and_serial_number_that_were_changed_on_their_way(version: int, at: int) -> None:
    """Key and signature of the PEK, serial number, reserved1, hmac."""
    device = csv_guest()
    device.changes = flipped(PEK[version] + at)
    message = refused(device, version)
    assert message.startswith("hmac: got ")
    assert message.endswith(": changed on its way from the firmware")


@pytest.mark.parametrize("version", [2, 3])
def test_an_older_version_than_was_asked_for(version: int) -> None:
    """The driver hands the extension of a request on in guests with CSV3 alone."""
    message = refused(csv_guest(newest=1), version)
    assert message == (
        f"got a report of version 1, expected {version}: guests without CSV3, and firmware before build 2337, give "
        "version 1 alone (report_version=1)"
    )
    assert CsvGuest(csv_guest(newest=1)).report(REPORT_DATA, version=1)


def test_a_newer_version_than_was_asked_for() -> None:
    device, newer = csv_guest(), csv_guest()

    def swap(_page: bytes) -> bytes:
        nonce = asked[-1]
        return CsvGuest(newer, random=lambda _: nonce).report(REPORT_DATA, version=3)

    asked: list[bytes] = []

    def random(size: int) -> bytes:
        asked.append(NONCE[:size])
        return asked[-1]

    device.changes = swap
    with pytest.raises(CollectionError, match="got a report of version 3, expected 1"):
        CsvGuest(device, random=random).report(REPORT_DATA, version=1)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (lambda _: bytes(4096), f"mnonce: got {'00' * 16}, expected "),
        (lambda _: b"\xff" * 4096, "AttestationReport.sig.r at 0xe0: reserved byte is 0xff, must be zero"),
        (lambda page: page[:-1] + b"\1", "AttestationReport.padding at 0xfff: reserved byte is 0x01, must be zero"),
        (lambda page: page[:2000] + bytes(2096), "hmac: got 00"),
    ],
    ids=["zeros", "ones", "bytes behind it", "cut short"],
)
def test_a_page_that_is_no_report(changes: Callable[[bytes], bytes], said: str) -> None:
    device = csv_guest()
    device.changes = changes
    assert refused(device).startswith(said)


@VERSIONS
def test_any_page_ends_in_one_error(version: int) -> None:
    """Whatever is written into the page."""
    device = csv_guest()
    for seed in range(200):
        noise = hashlib.shake_256(bytes([version, seed])).digest(4096)
        device.changes = lambda page, noise=noise, cut=20 * seed: page[:cut] + noise[cut:]  # type: ignore[misc]  # bound now
        refused(device, version)


def test_a_python_without_sm3(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SM3", "sm-none")
    with pytest.raises(CollectionError, match=r"^/dev/csv-guest: a request needs SM3, which this Python's OpenSSL"):
        CsvGuest(csv_guest()).report(REPORT_DATA, version=1)


# --- the fake ---------------------------------------------------------------------------------------------------------
def request(page: bytes, *, size: int = 4096, number: int = GET_REPORT, device: FakeCsvGuest | None = None) -> bytes:
    buffer = (ctypes.c_uint8 * 4096).from_buffer_copy(page.ljust(4096, b"\0"))
    argument = ReportRequest(address=ctypes.addressof(buffer), size=size)
    (device or csv_guest()).ioctl(number, argument)
    return bytes(buffer)


HEAD = REPORT_DATA + NONCE + hashlib.new("sm3", REPORT_DATA + NONCE).digest()


@pytest.mark.parametrize(
    ("page", "changes", "number"),
    [
        (HEAD[:-1] + bytes([HEAD[-1] ^ 1]), {}, errno.EIO),
        (b"\1" + HEAD[1:], {}, errno.EIO),
        (HEAD + b"ATTESTATION_EXT\0" + bytes([2, 0, 0, 0]), {}, errno.EIO),
        (HEAD + b"ATTESTATION_EXT\0", {}, errno.EIO),
        (HEAD, {"size": 4095}, errno.EINVAL),
        (HEAD, {"size": 0}, errno.EINVAL),
        (HEAD, {"number": GET_REPORT + 1}, errno.ENOTTY),
    ],
)
def test_the_fake_refuses_what_driver_and_firmware_do(page: bytes, changes: dict[str, int], number: int) -> None:
    with pytest.raises(OSError, match=r"\[Errno") as caught:
        request(page, **changes)  # type: ignore[arg-type]  # by name
    assert caught.value.errno == number


def test_the_fake_gives_the_version_that_the_flags_ask_for() -> None:
    for end, version in ((b"", 1), (b"ATTESTATION_EXT\0\1\0\0\0", 2), (b"ATTESTATION_EXT\0\3\0\0\0", 3), (b"?", 1)):
        assert AttestationReport.from_bytes(request(HEAD + end)).version == version
    with pytest.raises(OSError, match="Invalid argument"):
        csv_guest().ioctl(GET_REPORT, ReportRequest(address=0, size=4096))
    absent = csv_guest()
    absent.there = False
    with pytest.raises(OSError, match="No such file"):
        request(HEAD, device=absent)


def test_calls_of_several_threads_do_not_mix_in_the_fake() -> None:
    device, given = csv_guest(), []

    def ask(number: int) -> None:
        data = bytes([number] * 64)
        page = CsvGuest(device).report(data, version=1 + number % 3)
        given.append(AttestationReport.from_bytes(page).user_data == data)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert given == [True] * 12
