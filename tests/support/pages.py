"""HTML pages: parsed by the standard library, and rendered by Chromium where there is one."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
SECONDS = 60
_VOID = {"meta", "br"}
_SWITCHES = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars"),
)


@dataclass
class Page(HTMLParser):
    """A page's elements, each with its attributes and the text directly in it."""

    source: str
    elements: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    texts: list[tuple[str, str]] = field(default_factory=list)
    open: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.feed(self.source)
        self.close()
        assert self.open == [], f"not closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in _VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append((self.open[-1] if self.open else "", data))

    @property
    def tags(self) -> set[str]:
        return {tag for tag, _ in self.elements}

    def text(self, *within: str) -> str:
        """All text that stands directly in elements of these kinds, or anywhere but in the style sheet."""
        return "\n".join(data for tag, data in self.texts if (tag in within if within else tag != "style"))

    @property
    def attribute_names(self) -> set[str]:
        return {name for _, attributes in self.elements for name in attributes}


@dataclass(frozen=True)
class Rendered:
    """What Chromium makes of a page."""

    dom: str
    screenshot: bytes


def render(page: Path, folder: Path, *, width: int, dark: bool = False) -> Rendered:
    """Render a page in Chromium, which the caller knows to be there."""
    assert CHROMIUM is not None
    picture = folder / f"{page.stem}-{width}-{'dark' if dark else 'light'}.png"
    command = [
        *(CHROMIUM, *_SWITCHES, f"--user-data-dir={folder / 'profile'}", f"--window-size={width},1200"),
        f"--blink-settings=preferredColorScheme={0 if dark else 1}",
    ]
    environment = {**os.environ, "HOME": str(folder)}
    done = subprocess.run(
        [*command, f"--screenshot={picture}", "--dump-dom", page.as_uri()],
        check=True,
        capture_output=True,
        timeout=SECONDS,
        stdin=subprocess.DEVNULL,
        env=environment,
    )
    return Rendered(dom=done.stdout.decode(), screenshot=picture.read_bytes())
