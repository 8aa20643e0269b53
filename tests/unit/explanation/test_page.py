"""Pages: whatever a peer says, they stay pages of ours, whole, small and without anything from elsewhere."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rats_tls.core.checks import Check, Mismatch, Stage, Verdict
from rats_tls.core.text import printable
from rats_tls.explanation import Explanation, StageChecks, TcbTable, html_page
from rats_tls.explanation.page import MAX_PAGE
from rats_tls.explanation.style import STYLE
from support.explained import CASES, case
from support.pages import Page
from support.simulated import NOW

TAGS = {
    *("html", "head", "meta", "title", "style", "body", "header", "main", "section", "footer"),
    *("h1", "h2", "p", "span", "dl", "div", "dt", "dd", "ul", "li", "br"),
    *("table", "thead", "tbody", "tr", "th", "td"),
}
ATTRIBUTES = {"lang", "charset", "http-equiv", "content", "name", "class", "role", "scope", "data-label"}


def hostile(text: str, *, times: int = 1) -> Explanation:
    """An explanation that says `text` everywhere where a peer, a file or a policy has a say."""
    checks = tuple(
        Check(id=text, stage=Stage.DECODE, source=text, verdict=verdict, expected=text, got=text, note=text)
        for verdict in Verdict
        for _ in range(times)
    )
    mismatches = (Mismatch(entry=text, field=text, got=text, expected=text),) * times
    return Explanation(
        subject=text,
        verdict="refused",
        label=text,
        reason=text,
        facts=((text, text),) * times,
        mismatches=mismatches,
        missing=(text,) * times,
        not_done=(text,) * times,
        stages=(
            StageChecks(title=text, checks=checks, why_none=None),
            StageChecks(title=text, checks=(), why_none=text),
        ),
        tcb=(TcbTable(title=text, facts=((text, text),), columns=(text,), rows=((text,),) * times, behind=True),),
        judged_at=NOW,
    )


def holds(page: str) -> Page:
    parsed = Page(page)
    assert parsed.tags <= TAGS
    assert parsed.attribute_names <= ATTRIBUTES
    assert len(page.encode()) <= MAX_PAGE
    assert page.count("<style>") == 1
    return parsed


@pytest.mark.parametrize("name", CASES)
def test_every_judgement_has_its_page(name: str) -> None:
    explained = case(name).explained("quote.bin")
    page = holds(html_page(explained))
    headings = page.text("h1", "h2", "span")
    assert ("accepted" if explained.accepted else "refused") in headings
    assert explained.reason in page.text("p")
    for check in explained.checks:
        assert check.id in page.text("td")
    for mismatch in explained.mismatches:
        assert mismatch.got in page.text("td")


def test_headings_go_down_by_one_level() -> None:
    tags = [tag for tag, _ in Page(html_page(case("out of date").explained())).elements if re.fullmatch(r"h\d", tag)]
    assert tags[0] == "h1"
    assert set(tags[1:]) == {"h2"}


def test_tables_say_what_they_are() -> None:
    page = Page(html_page(case("out of date").explained()))
    roles = {
        "table": "table",
        "thead": "rowgroup",
        "tbody": "rowgroup",
        "tr": "row",
        "th": "columnheader",
        "td": "cell",
    }
    for tag, attributes in page.elements:
        if tag in roles:
            assert attributes["role"] == roles[tag]
        if tag == "th":
            assert attributes["scope"] == "col"
        if tag == "td":
            assert attributes["data-label"]


def test_nothing_comes_from_elsewhere() -> None:
    page = html_page(case("out of date").explained())
    assert not re.search(r"https?:|//|url\(|@import|<script|<link|<img", page.split("</style>")[0].split("<style>")[1])
    assert "default-src &#x27;none&#x27;" in page
    assert "script" not in page.replace("description", "")


@given(st.text(max_size=200))
def test_whatever_is_said_stays_text(text: str) -> None:
    page = holds(html_page(hostile(text)))
    if text.strip():
        assert printable(text).strip() in page.text("p")


@pytest.mark.parametrize(
    "text",
    [
        '"><script>alert(1)</script>',
        "</td></table><h1>accepted</h1>",
        "' onload='x",
        "&lt;b&gt;",
        "\x1b[2J\u202e\0",
        "]]>",
    ],
)
def test_what_would_be_markup_is_shown(text: str) -> None:
    page = holds(html_page(hostile(text)))
    assert printable(text) in page.text("p")
    assert "onload" not in page.attribute_names


@pytest.mark.parametrize(
    "text", ["<" * 100_000, '"' * 100_000, "\u202e" * 100_000, "\U0001f512" * 100_000, "a" * 100_000]
)
def test_a_page_has_a_size_whatever_is_said(text: str) -> None:
    assert "left out for their size" in holds(html_page(hostile(text, times=50))).text("footer")


def test_a_value_is_cut_as_it_is_shown() -> None:
    title = holds(html_page(hostile("\U000e0001" * 100_000))).text("title")
    assert title == "\\U000e0001" * 20 + "…: refused"


def test_many_rows_are_counted() -> None:
    explained = replace(case("out of date").explained(), missing=("x" * 3000,) * 100)
    page = holds(html_page(explained))
    assert re.search(r"\d+ rows are left out for their size; the JSON form has them", page.text("footer"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_can_be_told_apart(scheme: str) -> None:
    """WCAG 2.2, 1.4.3: text has a contrast of at least 4.5 to 1 with what it stands on."""
    blocks = re.findall(r":root \{(.*?)\}", STYLE, re.DOTALL)
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", blocks[0 if scheme == "light" else 1]))
    pairs = [(ink, ground) for ink in ("text", "quiet", "good", "bad", "open") for ground in ("page", "raised")]
    pairs += [(ink, f"{ink}-page") for ink in ("good", "bad")] + [("text", "good-page"), ("text", "bad-page")]
    pairs += [("quiet", "bad-page")]
    for ink, ground in pairs:
        light, dark = sorted((luminance(colours[ink]), luminance(colours[ground])), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5, (scheme, ink, ground)


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
