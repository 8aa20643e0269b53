"""What the data of an event says, and what its digest may have been made of.

Nothing here is proved: a digest covers what was measured, and a log may write anything beside it. A `Reading` says what
counts once the digest was recomputed from it.
"""

from __future__ import annotations

from dataclasses import dataclass

from rats_tls.core.errors import DecodeError
from rats_tls.core.reader import Reader
from rats_tls.formats.event_log.device_path import guid_text, read_device_path
from rats_tls.formats.event_log.event_types import (
    EV_EFI_ACTION,
    EV_EFI_BOOT_SERVICES_APPLICATION,
    EV_EFI_BOOT_SERVICES_DRIVER,
    EV_EFI_HANDOFF_TABLES2,
    EV_EFI_PLATFORM_FIRMWARE_BLOB2,
    EV_EFI_RUNTIME_SERVICES_DRIVER,
    EV_EFI_VARIABLE_AUTHORITY,
    EV_EFI_VARIABLE_BOOT,
    EV_EFI_VARIABLE_BOOT2,
    EV_EFI_VARIABLE_DRIVER_CONFIG,
    EV_EVENT_TAG,
    EV_IPL,
    EV_PLATFORM_CONFIG_FLAGS,
    EV_POST_CODE,
    EV_S_CRTM_VERSION,
)

LONGEST_NAME = 256
AAEL = b"LEAA"
"""Tag of events of the Application Attestation Event Log, as the log writes it."""

_VARIABLES = frozenset(
    {EV_EFI_VARIABLE_DRIVER_CONFIG, EV_EFI_VARIABLE_BOOT, EV_EFI_VARIABLE_BOOT2, EV_EFI_VARIABLE_AUTHORITY}
)
_IMAGES = frozenset({EV_EFI_BOOT_SERVICES_APPLICATION, EV_EFI_BOOT_SERVICES_DRIVER, EV_EFI_RUNTIME_SERVICES_DRIVER})
_TEXTS = frozenset({EV_EFI_ACTION, EV_POST_CODE, EV_PLATFORM_CONFIG_FLAGS})
_SIZED_TEXTS = frozenset({EV_EFI_PLATFORM_FIRMWARE_BLOB2, EV_EFI_HANDOFF_TABLES2})


@dataclass(frozen=True, slots=True)
class Reading:
    """One way in which a digest may have been made.

    Attributes:
        measured: what was hashed.
        data: what that says: `measured`, without a frame that follows from it.
    """

    measured: bytes
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class EventContent:
    """What an event's data says.

    Attributes:
        name: what the event is about: a variable, a file, a key; "" where it says no such thing.
        text: more of it, for people: a command, a GUID, the bytes of a variable.
        readings: what its digest may be of; the first one that it is of counts.
    """

    name: str
    text: str
    readings: tuple[Reading, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class EfiVariable:
    """UEFI_VARIABLE_DATA (TCG PC Client Platform Firmware Profile, 10.2.6).

    Attributes:
        guid: whose variable it is, as text.
        name: its name.
        data: its value.
    """

    guid: str
    name: str
    data: bytes

    @classmethod
    def from_bytes(cls, data: bytes) -> EfiVariable:
        """Decode. Raises DecodeError."""
        reader = Reader(data, "UefiVariableData")
        guid = guid_text(reader.take("variable_name", 16))
        name_length, size = reader.u64("unicode_name_length"), reader.u64("variable_data_length")
        name = _utf16(reader, "unicode_name", reader.take("unicode_name", 2 * name_length))
        value = reader.take("variable_data", size)
        reader.end()
        return cls(guid=guid, name=name, data=value)


@dataclass(frozen=True, slots=True)
class TaggedEvent:
    """TCG_PCClientTaggedEvent (TCG PC Client Platform Firmware Profile, 10.4.2.1).

    Attributes:
        id: 4 bytes, as the log writes them.
        data: what they tag.
    """

    id: bytes
    data: bytes

    @classmethod
    def from_bytes(cls, data: bytes) -> TaggedEvent:
        """Decode. Raises DecodeError."""
        reader = Reader(data, "TaggedEvent")
        tag = reader.take("tagged_event_id", 4)
        content = reader.take("tagged_event_data", reader.u32("tagged_event_data_size"))
        reader.end()
        return cls(tag, content)


def event_content(kind: int, data: bytes) -> EventContent:
    """Say what the data of an event of type `kind` says; of data that its type does not describe, nothing."""
    whole = Reading(data, data)
    try:
        if kind in _VARIABLES:
            return _variable(kind, data, whole)
        if kind == EV_EVENT_TAG:
            return _tagged(data, whole)
        if kind in _IMAGES:
            path = "/".join(node.text for node in read_device_path(_image_path(data)))
            return EventContent(name=_name(path), text="", readings=(whole,))
        if kind == EV_IPL:
            return _ipl(data, whole)
        if kind in _SIZED_TEXTS:
            reader = Reader(data, "EventData")
            text = _ascii(reader.take("description", reader.u8("description_size")))
            return EventContent(name=_name(text), text="", readings=(whole,))
        if kind in _TEXTS:
            return EventContent(name=_name(_ascii(data)), text="", readings=(whole,))
        if kind == EV_S_CRTM_VERSION:
            wide = len(data) % 2 == 0 and data[1:2] == b"\0"
            text = data.decode("utf-16-le").rstrip("\0") if wide else _ascii(data)
            return EventContent(name=_name(text), text="", readings=(whole,))
    except (DecodeError, UnicodeDecodeError):
        pass  # what it is about is not known; its digest counts all the same
    return EventContent(name="", text="", readings=(whole,))


def _variable(kind: int, data: bytes, whole: Reading) -> EventContent:
    """EDK II measures of boot variables the value alone, of the others the whole structure."""
    variable = EfiVariable.from_bytes(data)
    value = (Reading(variable.data, variable.data),) if kind == EV_EFI_VARIABLE_BOOT else ()
    return EventContent(name=_name(variable.name), text=variable.guid, readings=(*value, whole))


def _tagged(data: bytes, whole: Reading) -> EventContent:
    event = TaggedEvent.from_bytes(data)
    text = _ascii(event.data)
    if event.id == AAEL:
        return EventContent(name="AAEL", text=text, readings=(Reading(data, event.data),))
    return EventContent(name=_name(text), text="", readings=(whole,))


def _ipl(data: bytes, whole: Reading) -> EventContent:
    """Boot loaders say what they measure in a text of their own.

    GRUB writes `grub_cmd: COMMAND` and measures the command; others write `grub_kernel_cmdline COMMAND`. systemd-stub
    writes the name of a section in UTF-16, and measures that name with its NUL, then the section.
    """
    if len(data) >= 4 and len(data) % 2 == 0 and not any(data[1::2]):
        section = data[0::2].rstrip(b"\0")
        return EventContent(name=_name(_ascii(section)), text="", readings=(Reading(section + b"\0", section), whole))
    text = data.partition(b"\0")[0]
    word, _, command = text.partition(b" ")
    if not command:
        return EventContent(name=_name(_ascii(text)), text="", readings=(whole,))
    name = _name(_ascii(word.removesuffix(b":")))
    return EventContent(name=name, text=_ascii(command), readings=(Reading(command, command), whole))


def _image_path(data: bytes) -> bytes:
    """Give the device path of UEFI_IMAGE_LOAD_EVENT. Raises DecodeError."""
    reader = Reader(data, "UefiImageLoadEvent")
    for field in ("image_location", "image_length", "image_link_time_address"):
        reader.u64(field)
    return reader.take("device_path", reader.u64("device_path_length"))


def _ascii(data: bytes) -> str:
    return data.rstrip(b"\0").decode("utf-8")


def _utf16(reader: Reader, field: str, data: bytes) -> str:
    try:
        return data.decode("utf-16-le")
    except UnicodeDecodeError as error:
        raise reader.error(field, "not UTF-16") from error


def _name(text: str) -> str:
    """Give a name; one that is longer than any real one is none."""
    return text if len(text) <= LONGEST_NAME else ""
