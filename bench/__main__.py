"""Runs the measurements: `python -m bench [--rounds N] [--only WORD] [--json FILE]`."""

from __future__ import annotations

import argparse
import json
import logging
import os
import platform
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench import bulk, crypto, footprint, handshakes, loop, sm2, store, verification, wrappers
from bench.measure import Figure
from rats_tls.crypto_wrappers.openssl import OpensslCryptoWrapper
from rats_tls.simulation.world import SimulatedWorld
from rats_tls.tls_wrappers.openssl import OpensslTlsWrapper

_PARTS = ("handshakes", "bulk", "verification", "crypto", "sm2", "store", "loop", "footprint", "wrappers")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="times that candidates run in turn (7)")
    parser.add_argument("--only", choices=_PARTS, help="one part of the measurements")
    parser.add_argument("--json", type=Path, default=Path("build/bench.json"), help="where the figures go")
    options = parser.parse_args()
    logging.getLogger("rats_tls.simulation").setLevel(logging.ERROR)
    world = SimulatedWorld()
    world.amd("Milan")
    parts: dict[str, Callable[[], list[Figure]]] = {
        "handshakes": lambda: handshakes.figures(world, options.rounds),
        "bulk": lambda: bulk.figures(world, options.rounds),
        "verification": lambda: verification.figures(options.rounds),
        "crypto": lambda: crypto.figures(options.rounds),
        "sm2": lambda: sm2.figures(options.rounds),
        "store": lambda: store.figures(options.rounds),
        "loop": lambda: loop.figures(world),
        "footprint": lambda: footprint.figures(options.rounds),
        "wrappers": lambda: wrappers.figures(world, options.rounds),
    }
    console = Console()
    found: list[Figure] = []
    for name, part in parts.items():
        if options.only in {None, name}:
            with console.status(f"measuring {name}"):
                figures = part()
            found += figures
            _show(console, name, figures)
    options.json.parent.mkdir(parents=True, exist_ok=True)
    machine = {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "tls": OpensslTlsWrapper().version,
        "crypto": OpensslCryptoWrapper().version,
    }
    options.json.write_text(json.dumps({**machine, "figures": [asdict(figure) for figure in found]}, indent=1))
    console.print(f"written to {options.json}")


def _show(console: Console, title: str, figures: list[Figure]) -> None:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    table.add_column("what")
    for column in ("rate", "ratio", "wanted", "CPU"):
        table.add_column(column, justify="right")
    for figure in figures:
        table.add_row(
            figure.name,
            f"{figure.rate:,.1f} {figure.unit}",
            f"{figure.ratio:.2f}" if figure.ratio is not None else "",
            figure.wanted,
            f"{figure.cpu:.2f}" if figure.cpu is not None else "",
        )
    console.print(table)


if __name__ == "__main__":
    main()
