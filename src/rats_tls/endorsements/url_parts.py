"""The keys of missing items, held to fixed forms before anything is made of them: Evidence may be forged."""

from __future__ import annotations

import re
from collections.abc import Mapping

from rats_tls.core.endorsements import MissingEndorsement

_LOWER_HEX = re.compile(r"[0-9a-f]*")
_SERIAL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_DECIMAL = re.compile(r"[0-9]{1,3}")


def parts_of(item: MissingEndorsement) -> Mapping[str, str]:
    """Give the parts of an item's key by name; none if a name occurs twice."""
    parts = dict(item.key)
    return parts if len(parts) == len(item.key) else {}


def hexadecimal(parts: Mapping[str, str], name: str, size: int) -> str | None:
    """Give a part that is `size` bytes in lower-case hexadecimal digits; None if it is absent or anything else."""
    value = parts.get(name, "")
    return value if len(value) == 2 * size and _LOWER_HEX.fullmatch(value) else None


def serial_number(parts: Mapping[str, str], name: str) -> str | None:
    """Give a part that is a serial number, or None.

    Up to 64 letters and digits; behind the first also dots, hyphens and underscores.
    """
    value = parts.get(name, "")
    return value if _SERIAL.fullmatch(value) else None


def one_byte(parts: Mapping[str, str], name: str) -> int | None:
    """Give a part that is a decimal number from 0 to 255; None if it is absent or anything else."""
    value = parts.get(name, "")
    number = int(value) if _DECIMAL.fullmatch(value) else -1
    return number if 0 <= number <= 0xFF else None
