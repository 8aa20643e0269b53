"""The one place that prints: safe text, folding, and nothing that goes around it."""

from __future__ import annotations

import ast
import itertools
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rats_tls.cli.render import show_failure, show_refusal
from rats_tls.cli.screen import LogHandler, Screen, Styled, fold
from rats_tls.core.checks import Mismatch
from rats_tls.core.errors import AppraisalError, ConnectionFailedError
from support.paths import REPOSITORY

HOSTILE = "\x1b[2J\n accepted  client \u202e"
SHOWN = r"\x1b[2J\n accepted  client \u202e"
CLI = REPOSITORY / "src" / "rats_tls" / "cli"


def printed(capsys: pytest.CaptureFixture[str]) -> list[str]:
    output = capsys.readouterr().out
    assert all(character.isprintable() or character == "\n" for character in output)
    return output.splitlines()


def test_every_way_to_print_makes_text_safe(capsys: pytest.CaptureFixture[str]) -> None:
    screen = Screen()
    screen.line(HOSTILE, Styled(HOSTILE, "bold"))
    screen.columns([(HOSTILE, Styled(HOSTILE, "red")), ("name", (HOSTILE, Styled(HOSTILE, "red")))])
    screen.behind_margin(Styled(HOSTILE, "cyan"), HOSTILE.replace("\n", "\u2028"))
    screen.document({HOSTILE: HOSTILE})
    lines = printed(capsys)
    assert len(lines) == 5
    assert lines[0] == SHOWN * 2
    assert lines[1] == f"  {SHOWN}  {SHOWN}"
    assert lines[2].endswith(SHOWN * 2)


def test_refusals_make_text_safe(capsys: pytest.CaptureFixture[str]) -> None:
    mismatch = Mismatch(entry=HOSTILE, field="custom_claims", got=HOSTILE, expected=HOSTILE)
    show_refusal(Screen(), AppraisalError("policy", mismatches=(mismatch,)), title=HOSTILE)
    show_failure(Screen(), ConnectionFailedError(HOSTILE), title=HOSTILE)
    assert printed(capsys) == [
        f" refused  {SHOWN}  policy",
        f"  {SHOWN}: custom_claims",
        f"    got       {SHOWN}",
        f"    expected  {SHOWN}",
        f" failed  {SHOWN}  connection",
        f"  reason  {SHOWN}",
    ]


def test_log_lines_make_text_safe(capsys: pytest.CaptureFixture[str]) -> None:
    handler = LogHandler()
    handler.handle(logging.LogRecord("x", logging.WARNING, "f", 1, "peer %s", (HOSTILE,), None))
    assert capsys.readouterr().err == f"WARNING: peer {SHOWN}\n"


@pytest.mark.parametrize("text", ["server 127.0.0.1:1234: x", ":smile: [red]x[/] [/] [link=x]"])
def test_no_markup_and_no_emoji(capsys: pytest.CaptureFixture[str], text: str) -> None:
    """`:1234:` is the code of one."""
    Screen().line(text)
    Screen().columns([(text, text)])
    assert printed(capsys) == [text, f"  {text}  {text}"]


def test_nothing_goes_around_it() -> None:
    """Only this module uses rich; nobody prints, but for the help of groups."""
    found = []
    for path in sorted(CLI.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import | ast.ImportFrom) and "rich" in ast.unparse(node):
                found.append((path.name, "rich"))
            elif isinstance(node, ast.Attribute) and node.attr in {"echo", "secho", "stdout", "stderr", "print_exc"}:
                found.append((path.name, ast.unparse(node)))
            elif isinstance(node, ast.Name) and node.id == "print":
                found.append((path.name, "print"))
    assert {item for item in found if item[0] not in {"screen.py", "streams.py"}} == {
        ("groups.py", "click.echo"),
        ("demo.py", "self._process.stdout"),
    }


# --- folding ------------------------------------------------------------------------------------------------------
def folded(text: str, width: int, hanging: int) -> list[str]:
    breaks = [0, *fold(text, width, hanging), len(text)]
    pieces = [text[start:end].rstrip() for start, end in itertools.pairwise(breaks)]
    return [pieces[0], *(" " * hanging + piece for piece in pieces[1:])]


def test_words_stay_whole() -> None:
    assert folded("reason  it is too long for one line of this terminal", 34, 8) == [
        "reason  it is too long for one",
        "        line of this terminal",
    ]


def test_hexadecimal_folds_after_a_multiple_of_eight_digits() -> None:
    digits = "0123456789abcdef" * 6
    lines = folded(f"measurement  {digits}", 80, 13)
    assert lines == [f"measurement  {digits[:64]}", " " * 13 + digits[64:]]
    lines = folded(f"measurement  {digits}", 60, 13)
    assert [len(line) for line in lines] == [13 + 40, 13 + 40, 13 + 16]


@given(st.text(alphabet="ab01 ,", max_size=300), st.integers(30, 100), st.integers(0, 5))
def test_folded_text_fits_and_loses_nothing(text: str, width: int, hanging: int) -> None:
    lines = folded(text, width, hanging)
    assert max(map(len, lines)) <= width
    assert "".join("".join(lines).split()) == "".join(text.split())


def test_a_size_is_not_parted_from_its_unit() -> None:
    text = "spki  3059  ec-p256  91 bytes"
    (at,) = fold(text, 26, 2)
    assert text[at:] == "91 bytes"


def test_no_room_to_fold() -> None:
    assert fold("a" * 200, 20, 0) == []


def test_lines_for_other_programs_stay_whole(capsys: pytest.CaptureFixture[str]) -> None:
    """Safe all the same: only tabs and line ends are what they were."""
    Screen().verbatim("a" * 300 + "\tb\n\x1b[2J\r\n\n# end\n")
    assert capsys.readouterr().out == "a" * 300 + "\tb\n" + r"\x1b[2J\r" + "\n\n# end\n"
