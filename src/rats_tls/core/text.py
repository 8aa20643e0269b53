"""Text that others wrote, made safe to show: names in certificates, custom claims, file names."""

from __future__ import annotations


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
