"""Text that others wrote, made safe to show: names in certificates, custom claims, file names."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_LONGEST_NAME = 64


def printable(text: str) -> str:
    r"""Give `text` in one line that a terminal only displays.

    Letters of any script, marks, punctuation and the space stay. Everything else becomes a Python escape: controls and
    line ends (`\x1b`, `\n`), what changes the direction or is invisible (`\u202e`), unassigned characters, and lone
    surrogates.
    """
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in text
    )


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Give ", did you mean 'x'?" with the known name nearest to one that is not; "" where none is near."""
    close = difflib.get_close_matches(name[:_LONGEST_NAME], list(known), n=1)
    return f", did you mean {close[0]!r}?" if close else ""
