"""EFI device paths in words (UEFI 2.10, 10.3 and 10.6)."""

from __future__ import annotations

from dataclasses import dataclass

from rats_tls.core.errors import DecodeError
from rats_tls.core.reader import Reader

_STRUCTURE = "EfiDevicePath"
_END = 0x7F
_MOST_NODES = 64
_PCI, _ACPI, _HARD_DRIVE, _VENDOR_MEDIA, _FILE_PATH = (1, 1), (2, 1), (4, 1), (4, 3), (4, 4)


@dataclass(frozen=True, slots=True)
class DevicePathNode:
    """One node.

    Attributes:
        type: type of the node.
        subtype: sub-type of the node.
        data: what follows its header.
    """

    type: int
    subtype: int
    data: bytes

    @property
    def text(self) -> str:
        """The node in the text form of UEFI 2.10, 10.6; `Path(type,subtype,data)` of those that are not known here."""
        known = (self.type, self.subtype)
        reader = Reader(self.data, _STRUCTURE)
        try:
            if known == _PCI:
                function = reader.u8("function")
                return f"Pci({reader.u8('device'):#x},{function:#x})"
            if known == _ACPI:
                return f"Acpi({_eisa_id(reader.u32('hid'))},{reader.u32('uid'):#x})"
            if known == _HARD_DRIVE:
                return _hard_drive(reader)
            if known == _VENDOR_MEDIA:
                guid = guid_text(reader.take("guid", 16))
                return f"VenMedia({guid.upper()}{',' if reader.remaining else ''}{reader.rest().hex()})"
            if known == _FILE_PATH:
                return self.data.decode("utf-16-le").rstrip("\0")
        except (DecodeError, UnicodeDecodeError):
            pass  # a node that its type does not describe is shown as it is
        return f"Path({self.type},{self.subtype},{self.data.hex()})"


def read_device_path(data: bytes) -> tuple[DevicePathNode, ...]:
    """Read the nodes of one path.

    Raises:
        DecodeError: a node shorter than its header, without its end, or too many nodes.
    """
    reader = Reader(data, _STRUCTURE)
    nodes: list[DevicePathNode] = []
    while reader.remaining:
        kind, subtype, length = reader.u8("type"), reader.u8("subtype"), reader.u16("length")
        if length < 4:
            raise reader.error("length", f"got {length}, expected at least 4")
        content = reader.take("data", length - 4)
        if kind == _END:
            break
        if len(nodes) == _MOST_NODES:
            raise reader.error("nodes", f"more than {_MOST_NODES}")
        nodes.append(DevicePathNode(kind, subtype, content))
    return tuple(nodes)


def guid_text(data: bytes) -> str:
    """Give an EFI GUID (16 bytes, its first three fields little-endian) as text."""
    parts = data[3::-1], data[5:3:-1], data[7:5:-1], data[8:10], data[10:16]
    return "-".join(part.hex() for part in parts)


def _hard_drive(reader: Reader) -> str:
    partition, start, size = reader.u32("partition"), reader.u64("start"), reader.u64("size")
    signature = reader.take("signature", 16)
    _, kind = reader.u8("format"), reader.u8("signature_type")
    if kind == 2:
        return f"HD({partition},GPT,{guid_text(signature).upper()},{start:#x},{size:#x})"
    return f"HD({partition},{kind},{signature.hex()},{start:#x},{size:#x})"


def _eisa_id(number: int) -> str:
    """Give a compressed EISA id as text: `PNP0A03`."""
    vendor = "".join(chr(0x40 + (number >> shift & 0x1F)) for shift in (10, 5, 0))
    return f"{vendor}{number >> 16:04X}" if vendor.isalpha() else f"{number:#x}"
