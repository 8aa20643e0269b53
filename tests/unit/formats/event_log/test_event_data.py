"""What events say, and what their digests may be of."""

from __future__ import annotations

import pytest

from rats_tls.core.errors import DecodeError
from rats_tls.formats.event_log.device_path import DevicePathNode, read_device_path
from rats_tls.formats.event_log.event_data import EfiVariable, TaggedEvent, event_content
from rats_tls.formats.event_log.event_types import event_type_name
from support.event_logs import u16, u32, variable

CONFIG, BOOT, APPLICATION, BOOT2, AUTHORITY = 0x80000001, 0x80000002, 0x80000003, 0x8000000C, 0x800000E0
TAG, IPL, ACTION, BLOB2, TABLES2 = 6, 13, 0x80000007, 0x8000000A, 0x8000000B


def readings(kind: int, data: bytes) -> list[tuple[bytes, bytes]]:
    return [(reading.measured, reading.data) for reading in event_content(kind, data).readings]


@pytest.mark.parametrize(
    ("kind", "data", "name", "text"),
    [
        (CONFIG, variable("SecureBoot", b"\1"), "SecureBoot", "03020100-0504-0706-0809-0a0b0c0d0e0f"),
        (IPL, b"grub_cmd: set default=2\0", "grub_cmd", "set default=2"),
        (IPL, b"grub_kernel_cmdline /vmlinuz ro\0l", "grub_kernel_cmdline", "/vmlinuz ro"),
        (IPL, b"MokList\0", "MokList", ""),
        (IPL, ".linux\0".encode("utf-16-le"), ".linux", ""),
        (TAG, b"LEAA" + u32(9) + b"a.com b c", "AAEL", "a.com b c"),
        (TAG, bytes.fromhex("ed223b8f") + u32(6) + b"Linux\0", "Linux", ""),
        (ACTION, b"Exit Boot Services Invocation", "Exit Boot Services Invocation", ""),
        (BLOB2, b"\4Fv()" + bytes(16), "Fv()", ""),
        (TABLES2, b"\x09TdxTable\0" + bytes(8), "TdxTable", ""),
        (8, "v1\0".encode("utf-16-le"), "v1", ""),
        (8, b"v1\0", "v1", ""),
        (4, bytes(4), "", ""),
        (0x1234, b"anything", "", ""),
    ],
)
def test_names(kind: int, data: bytes, name: str, text: str) -> None:
    content = event_content(kind, data)
    assert (content.name, content.text) == (name, text)


def test_of_boot_variables_the_value_is_measured_of_others_all() -> None:
    data = variable("Boot0000", b"\7\7")
    assert readings(BOOT, data) == [(b"\7\7", b"\7\7"), (data, data)]
    for kind in (CONFIG, BOOT2, AUTHORITY):
        assert readings(kind, data) == [(data, data)]


def test_of_boot_loaders_the_command_is_measured() -> None:
    data = b"kernel_cmdline: /vmlinuz ro\0"
    assert readings(IPL, data) == [(b"/vmlinuz ro", b"/vmlinuz ro"), (data, data)]
    wide = ".cmdline\0".encode("utf-16-le")
    assert readings(IPL, wide) == [(b".cmdline\0", b".cmdline"), (wide, wide)]


def test_of_application_events_all_is_measured_and_the_text_counts() -> None:
    data = b"LEAA" + u32(5) + b"a b c"
    assert readings(TAG, data) == [(data, b"a b c")]


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        (CONFIG, b""),
        (CONFIG, variable("SecureBoot", b"\1")[:-1]),
        (CONFIG, variable("SecureBoot", b"\1") + b"\0"),
        (CONFIG, bytes(16) + b"\xff" * 16),
        (TAG, b"LEAA" + u32(6) + b"a b c"),
        (TAG, b"LEAA" + u32(4) + b"a b c"),
        (TAG, b"LEAA" + u32(1) + b"\xff"),
        (APPLICATION, b"\0" * 31),
        (APPLICATION, bytes(24) + b"\xff" * 8),
        (IPL, b"\xff\xfe"),
        (ACTION, b"\xff"),
        (BLOB2, b"\5Fv()"),
        (8, b"\0\xd8\0\xd8"),
    ],
)
def test_data_that_its_type_does_not_describe_says_nothing(kind: int, data: bytes) -> None:
    content = event_content(kind, data)
    assert (content.name, content.text) == ("", "")
    assert readings(kind, data) == [(data, data)]


def test_a_name_longer_than_any_real_one_is_none() -> None:
    assert event_content(ACTION, b"x" * 256).name == "x" * 256
    assert event_content(ACTION, b"x" * 257).name == ""


def test_structures_are_read_whole() -> None:
    found = EfiVariable.from_bytes(variable("db", b"\1\2"))
    assert (found.name, found.data) == ("db", b"\1\2")
    assert TaggedEvent.from_bytes(b"LEAA" + u32(1) + b"x") == TaggedEvent(b"LEAA", b"x")
    for cut in range(len(variable("db", b"\1\2"))):
        with pytest.raises(DecodeError):
            EfiVariable.from_bytes(variable("db", b"\1\2")[:cut])
    with pytest.raises(DecodeError, match="not UTF-16"):
        EfiVariable.from_bytes(bytes(16) + (1).to_bytes(8, "little") + bytes(8) + b"\0\xd8")


def node(kind: int, subtype: int, data: bytes) -> bytes:
    return bytes((kind, subtype)) + u16(4 + len(data)) + data


END = bytes.fromhex("7fff0400")
HARD_DRIVE = u32(2) + (0x800).to_bytes(8, "little") + (0x1000).to_bytes(8, "little")


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (node(2, 1, u32(0x0A0341D0) + u32(0)), "Acpi(PNP0A03,0x0)"),
        (node(1, 1, b"\1\3"), "Pci(0x3,0x1)"),
        (node(4, 4, "\\EFI\\a.efi\0".encode("utf-16-le")), "\\EFI\\a.efi"),
        (node(4, 3, bytes(range(16))), "VenMedia(03020100-0504-0706-0809-0A0B0C0D0E0F)"),
        (
            node(4, 1, HARD_DRIVE + bytes(range(16)) + b"\2\2"),
            "HD(2,GPT,03020100-0504-0706-0809-0A0B0C0D0E0F,0x800,0x1000)",
        ),
        (node(4, 1, HARD_DRIVE + bytes(16) + b"\1\1"), f"HD(2,1,{bytes(16).hex()},0x800,0x1000)"),
        (node(3, 23, b"\1"), "Path(3,23,01)"),
        (node(1, 1, b"\1"), "Path(1,1,01)"),
        (node(4, 4, b"\0\xd8"), "Path(4,4,00d8)"),
    ],
)
def test_device_paths_in_words(data: bytes, text: str) -> None:
    assert [found.text for found in read_device_path(data + END)] == [text]


def test_device_paths_are_bounded() -> None:
    assert read_device_path(END + b"behind") == ()
    assert read_device_path(node(9, 9, b"")) == (DevicePathNode(9, 9, b""),)
    with pytest.raises(DecodeError, match="at least 4"):
        read_device_path(b"\1\1\3\0")
    with pytest.raises(DecodeError, match="more than 64"):
        read_device_path(node(9, 9, b"") * 65)


def test_an_image_is_named_by_its_path() -> None:
    path = node(4, 4, "kernel\0".encode("utf-16-le")) + END
    data = bytes(24) + len(path).to_bytes(8, "little") + path
    assert event_content(APPLICATION, data).name == "kernel"


def test_names_of_types() -> None:
    assert event_type_name(3) == "EV_NO_ACTION"
    assert event_type_name(0x80000003) == "EV_EFI_BOOT_SERVICES_APPLICATION"
    assert event_type_name(0x08000001) == "0x08000001"
