"""What the package costs before it does anything: time to import, memory of a connection that waits."""

from __future__ import annotations

import subprocess
import sys
from functools import partial

from bench.measure import Candidate, Figure, interleaved


def figures(rounds: int) -> list[Figure]:
    """Measure both."""
    return [
        *_imports(rounds),
        _idle("blocking", "an idle connection, one end"),
        _idle("asyncio", "an idle asyncio connection, one end"),
    ]


def _imports(rounds: int) -> list[Figure]:
    """Start interpreters in turn; each line's value is what it takes beyond a bare one."""
    bare, *others = interleaved(
        Candidate("interpreter alone", partial(_start, "pass"), 1, "starts/s"),
        Candidate("import rats_tls", partial(_start, "import rats_tls"), 1, "starts/s"),
        Candidate("import rats_tls; Context", partial(_start, "import rats_tls; rats_tls.Context"), 1, "starts/s"),
        rounds=rounds,
    )
    return [
        bare,
        *(
            Figure(name=other.name, rate=(1 / other.rate - 1 / bare.rate) * 1000, unit="ms more", wanted="<= 120 ms")
            for other in others
        ),
    ]


def _start(code: str) -> None:
    subprocess.run([sys.executable, "-c", code], check=True)


def _idle(kind: str, name: str) -> Figure:
    """Measure in an interpreter of its own: what others have freed is memory that this one would not see grow."""
    answer = subprocess.run([sys.executable, "-m", "bench.idle", kind], check=True, capture_output=True, text=True)
    return Figure(name=name, rate=float(answer.stdout) / 1024, unit="KB", wanted="<= 60 KB")
