"""The tree of fields that an inspection gives."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from rats_tls.core.documents import Json, to_json

LARGEST_VALUE = 512
"""Bytes of a value that are shown; of larger ones size and digest are."""

Value = str | int | bool | bytes | datetime | Enum | tuple[int | str, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One field, or a structure of fields.

    Attributes:
        name: its name in the vendor's document, as the dataclasses of this package have it.
        value: its value; None for a structure, and for a field that is absent.
        meaning: the value in words: names of set bits, of types and versions. Empty where the value says it all.
        size: bytes, or None where the value has no size of its own.
        fields: the fields of a structure.
    """

    name: str
    value: Value = None
    meaning: str = ""
    size: int | None = None
    fields: tuple[Node, ...] = ()

    def document(self) -> dict[str, Json]:
        """Give it as JSON; without what it does not have."""
        document: dict[str, Json] = {"name": self.name}
        if not self.fields or self.value is not None:
            document["value"] = to_json(self.value)
        if self.meaning:
            document["meaning"] = self.meaning
        if self.size is not None:
            document["size"] = self.size
        if self.fields:
            document["fields"] = [field.document() for field in self.fields]
        return document


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """What an inspection found.

    Attributes:
        kind: what it is, for people.
        size: bytes.
        fields: the tree.
    """

    kind: str
    size: int
    fields: tuple[Node, ...]


def octets(name: str, data: bytes | None, *, meaning: str = "") -> Node:
    """Give a field of bytes; large ones by their digest."""
    if data is None:
        return Node(name=name, meaning=meaning or "absent")
    if len(data) <= LARGEST_VALUE:
        return Node(name=name, value=data, meaning=meaning, size=len(data))
    digest = f"SHA-256 {hashlib.sha256(data).hexdigest()}"
    return Node(name=name, meaning=f"{meaning}; {digest}" if meaning else digest, size=len(data))


def group(name: str, fields: Iterable[Node], *, meaning: str = "", size: int | None = None) -> Node:
    """Give a structure of fields."""
    return Node(name=name, meaning=meaning, size=size, fields=tuple(fields))
