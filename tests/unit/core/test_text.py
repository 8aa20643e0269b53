"""Text of others is shown in one line of printable characters."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rats_tls.core.errors import AppraisalError, ConfigurationError, DecodeError, HandshakeTimeoutError, TlsError
from rats_tls.core.text import printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Größe 鍵 é …", "Größe 鍵 é …"),
        ("a\nb\r\tc", r"a\nb\r\tc"),
        ("\x1b[2J\x07\x00\x7f", r"\x1b[2J\x07\x00\x7f"),
        ("\x85\x9b31m", r"\x85\x9b31m"),
        ("\u202eabc\u2066\u200b\ufeff", r"\u202eabc\u2066\u200b\ufeff"),
        ("\u2028\u2029\xa0", r"\u2028\u2029\xa0"),
        ("\U000e0041\ue000", r"\U000e0041\ue000"),
        ("\udcff", r"\udcff"),
    ],
    ids=ascii,
)
def test_what_is_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(st.text(alphabet=st.characters(exclude_categories=())))
def test_any_text(text: str) -> None:
    shown = printable(text)
    assert shown.isprintable()
    assert printable(shown) == shown
    assert len(shown.splitlines()) <= 1


@pytest.mark.parametrize(
    "error",
    [
        ConfigurationError("a\n\x1b[2J"),
        DecodeError("Name\n", "field\x1b", 3, "got \u202e"),
        TlsError("a\r\n", peer_alert="x"),
        HandshakeTimeoutError("a\n"),
        AppraisalError("policy: a\nb", mismatches=()),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_are_one_printable_line(error: ConfigurationError) -> None:
    assert str(error).isprintable()
    assert str(error) == error.message
    assert "\\" in error.message


def test_errors_survive_a_process_boundary() -> None:
    error = pickle.loads(pickle.dumps(HandshakeTimeoutError("a\nb")))
    assert str(error) == r"a\nb"
