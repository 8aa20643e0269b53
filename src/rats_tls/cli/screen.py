"""Prints for people: the one place where text is made safe, styled and laid out. Nothing else here prints.

Colour is rich's: NO_COLOR and pipes are respected. In a terminal lines are folded to its width; anywhere else every
line stays whole, so that values can be searched for and copied.
"""

from __future__ import annotations

import json
import logging
import re
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from rich.console import Console
from rich.text import Text

from rats_tls.cli.main import Tidily
from rats_tls.core.documents import Json
from rats_tls.core.text import printable

if TYPE_CHECKING:
    from rats_tls.cli.streams import GuardedStream

_NARROWEST_VALUE = 24
_HEX = re.compile(r"[0-9a-f]{16,}[,;.…]?")
_WORD = re.compile(r"(?:\d+ bytes\b\S*|\S+)\s*|\s+")
"""What stays on one line: a word, and a size with its unit."""


@dataclass(frozen=True, slots=True)
class Styled:
    """Text with one of rich's styles."""

    text: str
    style: str


Part = str | Styled
Cell = Part | Sequence[Part]
"""A value: one part, or several."""


class Screen:
    """Standard output, or standard error.

    Args:
        stderr: whether it is standard error.
    """

    def __init__(self, *, stderr: bool = False) -> None:
        self._console = Console(stderr=stderr, markup=False, highlight=False, emoji=False)

    @property
    def is_terminal(self) -> bool:
        """Whether a person sees it at once."""
        return self._console.file.isatty()

    @property
    def width(self) -> int | None:
        """Columns of the terminal; None elsewhere, where no line is folded."""
        return self._console.width if self.is_terminal else None

    @property
    def has_box_characters(self) -> bool:
        """Whether the encoding has more than ASCII letters."""
        return (getattr(self._console.file, "encoding", None) or "").lower().startswith("utf")

    def line(self, *parts: Part, hanging: int = 2) -> None:
        """Print one line; where it is folded, what follows is indented by `hanging`."""
        self._print(_text(parts), hanging)

    def columns(self, rows: Sequence[Sequence[Cell]], *, indent: int = 2, style: str = "dim") -> None:
        """Print rows in columns; the last column is folded within itself, the first has `style`."""
        if not rows:
            return
        cells = [[_text(cell) for cell in row] for row in rows]
        widths = [max(cell.cell_len for cell in column) + 2 for column in list(zip(*cells, strict=True))[:-1]]
        for row in cells:
            row[0].stylize(style)
            line = Text(" " * indent)
            for cell, width in zip(row, widths, strict=False):
                line.append_text(cell)
                line.append(" " * (width - cell.cell_len))
            line.append_text(row[-1])
            self._print(line, indent + sum(widths))

    def behind_margin(self, margin: Part, line: str) -> None:
        """Print a line of another process behind a margin; its colours stay, everything else is made safe.

        Where it has columns, it is folded within the last of them.
        """
        text = Text()
        for plain, style in _spans(Text.from_ansi(line)):
            text.append(printable(plain), style)
        columns = re.match(r"\s*\S+(?: \S+)*\s{2,}(?=\S)", text.plain)
        self._print(text, columns.end() if columns else 2, _text(margin))

    def document(self, document: Mapping[str, Json]) -> None:
        """Print JSON in one line of ASCII."""
        file = self._console.file
        file.write(json.dumps(document) + "\n")

    def verbatim(self, text: str) -> None:
        """Print lines for other programs, such as a policy: safe, but never folded or styled; tabs stay."""
        file = self._console.file
        file.write(re.sub(r"[^\n\t]+", lambda match: printable(match[0]), text.removesuffix("\n")) + "\n")

    def binary(self, data: bytes) -> None:
        """Write what is no text, byte for byte. Raises OutputError: it cannot be written."""
        cast("GuardedStream", self._console.file).write_bytes(data)

    def traceback(self, error: BaseException) -> None:
        """Print the traceback of `error` and of its causes, if that was asked for by --debug."""
        if not debugging():
            return
        for chunk in traceback.format_exception(error):
            for line in chunk.rstrip("\n").split("\n"):
                # The margin keeps a message of several lines from looking like output.
                self.line(Styled("| ", "dim"), line)

    @contextmanager
    def status(self, text: str) -> Iterator[Callable[[str], None]]:
        """Show in a terminal that something takes its time; gives a function that says what comes next."""
        if not self.is_terminal or not self.has_box_characters:
            yield lambda _: None
            return
        # The cursor is hidden meanwhile.
        with Tidily(), self._console.status(printable(text)) as shown:
            yield lambda next_text: shown.update(printable(next_text))

    def _print(self, text: Text, hanging: int, margin: Text | None = None) -> None:
        margin = margin or Text()
        text.rstrip()
        pieces = [text]
        if self.is_terminal:
            width = self._console.width - margin.cell_len
            if hanging > width - _NARROWEST_VALUE:
                hanging = 4
            breaks = fold(text.plain, width, hanging)
            pieces = list(text.divide(breaks)) if breaks else pieces
        for number, piece in enumerate(pieces):
            piece.rstrip()
            indent = " " * hanging if number else ""
            self._console.print(Text.assemble(margin, indent, piece), soft_wrap=True)


def fold(text: str, width: int, hanging: int) -> list[int]:
    """Give the offsets at which to break `text` so that it fits `width` columns; later lines begin at `hanging`.

    Breaks at words, and within a word that is too long for a line: hexadecimal digits after a multiple of eight.
    """
    if width < _NARROWEST_VALUE + hanging:
        return []
    breaks: list[int] = []
    column = 0
    for match in _WORD.finditer(text):
        word = match[0].rstrip()
        at = match.start()
        if column + len(word) > width and column > hanging:
            breaks.append(at)
            column = hanging
        while column + len(word) > width:
            step = width - column
            if _HEX.fullmatch(word):
                step -= step % 8
            at += step
            breaks.append(at)
            word = word[step:]
            column = hanging
        column += match.end() - at
    return breaks


def debugging() -> bool:
    """Whether --debug was given."""
    return logging.getLogger().isEnabledFor(logging.DEBUG)


class LogHandler(logging.Handler):
    """Prints log records on standard error, one line each."""

    def __init__(self) -> None:
        super().__init__()
        self._screen = Screen(stderr=True)

    def emit(self, record: logging.LogRecord) -> None:
        """Print one record."""
        try:
            self._screen.line(f"{record.levelname}: {record.getMessage()}")
            if record.exc_info and record.exc_info[1] is not None:
                self._screen.traceback(record.exc_info[1])
        except Exception:  # noqa: BLE001  # as the standard library's handlers do
            self.handleError(record)


def start_logging() -> None:
    """Send log records and Python's warnings to standard error."""
    logging.basicConfig(level=logging.WARNING, handlers=[LogHandler()])
    logging.captureWarnings(capture=True)


def print_error(kind: str, message: str) -> None:
    """Print the one line with which a command ends that could not do its work."""
    Screen(stderr=True).line(Styled("error", "red"), f": {kind}: {message}")


def _text(cell: Cell) -> Text:
    """The choke point: every text that is printed is made safe here."""
    text = Text()
    for part in (cell,) if isinstance(cell, str | Styled) else cell:
        if isinstance(part, Styled):
            text.append(printable(part.text), part.style)
        else:
            text.append(printable(part))
    return text


def _spans(text: Text) -> Iterator[tuple[str, str]]:
    """Give the pieces of `text`, each with its style."""
    offsets = sorted({0, len(text), *(end for span in text.spans for end in (span.start, span.end))})
    for piece in text.divide(offsets[1:-1]) if len(offsets) > 2 else [text]:
        yield piece.plain, str(piece.spans[0].style) if piece.spans else ""
