"""Standard streams that cannot end a command in a way of their own."""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Iterator
from typing import cast

import click
import pytest

from rats_tls.cli.sides import Reporter
from rats_tls.cli.streams import GuardedStream, OutputError
from rats_tls.core.errors import ConnectionFailedError


class Failing(io.StringIO):
    """A stream with a file descriptor whose every write fails, an empty one too, as where nothing is buffered."""

    encoding = "ascii"

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number
        self.descriptor = os.dup(2)

    def write(self, text: str) -> int:
        raise OSError(self.number, os.strerror(self.number))

    def fileno(self) -> int:
        return self.descriptor


@pytest.fixture
def full() -> Iterator[Failing]:
    stream = Failing(errno.ENOSPC)
    yield stream
    os.close(stream.descriptor)


@pytest.fixture
def gone() -> Iterator[Failing]:
    stream = Failing(errno.EPIPE)
    yield stream
    os.close(stream.descriptor)


def test_a_reader_that_has_gone_is_no_error(gone: Failing) -> None:
    guarded = GuardedStream(gone, drops_errors=False)
    assert guarded.write("a") == guarded.write("b") == 1
    assert not guarded.isatty()
    with pytest.raises(OSError, match="no stream"):
        guarded.fileno()


def test_anything_else_is_one_error(full: Failing) -> None:
    guarded = GuardedStream(full, drops_errors=False)
    with pytest.raises(OutputError, match=r"^standard output: No space left on device$"):
        guarded.write("a")
    assert guarded.write("b") == 1


def test_standard_error_has_nobody_to_tell(full: Failing) -> None:
    assert GuardedStream(full, drops_errors=True).write("a") == 1
    assert GuardedStream(None, drops_errors=False).write("a") == 1


def test_click_writes_through_it(full: Failing, monkeypatch: pytest.MonkeyPatch) -> None:
    """It tries with nothing, and with bytes, whether it has to go around a stream."""
    monkeypatch.setattr(sys, "stdout", GuardedStream(full, drops_errors=False))
    with pytest.raises(OutputError):
        click.echo("help")


def test_a_server_goes_on_without_output(
    full: Failing, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It says so once. What cannot even say that it listens does not begin."""
    monkeypatch.setattr(sys, "stdout", GuardedStream(full, drops_errors=False))
    reporter = Reporter(as_json=False)
    with pytest.raises(OutputError):
        reporter.event("listening", "listening")
    monkeypatch.setattr(sys, "stdout", GuardedStream(full, drops_errors=False))
    reporter.serving = True
    reporter.accepted(None, title="client")
    reporter.ended(ConnectionFailedError("x"), title="client")
    (line,) = capsys.readouterr().err.splitlines()
    assert line == "warning: standard output: No space left on device; going on without output"


def test_characters_that_the_encoding_lacks_are_escaped() -> None:
    data = io.BytesIO()
    text = io.TextIOWrapper(data, encoding="ascii")
    GuardedStream(text, drops_errors=False).write("é…")
    assert data.getvalue() == b"\\xe9\\u2026"


def test_only_text_is_written() -> None:
    with pytest.raises(TypeError):
        GuardedStream(None, drops_errors=False).write(cast("str", b""))
