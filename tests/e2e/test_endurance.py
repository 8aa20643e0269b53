"""A server that refuses ten thousand connections is as it was before."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

from support.endurance import WARM_UP
from support.paths import REPOSITORY, TESTS

REFUSED = 9_440
# In each half of 4,720 connections: 440 bytes for each, where a TLS session has some ten thousand; no object at all.
# Allocators take memory in steps of a MiB, at any time: a leak is what grows in the first half and in the second.
MOST_BYTES = 2 * 1024 * 1024
MOST_OBJECTS = 100


def measured() -> dict[str, Any]:
    """Measure in a new process: in this one it would be the rest of the suite that is measured."""
    path = os.pathsep.join(filter(None, (str(TESTS), os.environ.get("PYTHONPATH"))))
    run = subprocess.run(
        [sys.executable, "-m", "support.endurance", str(REFUSED)],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    found: dict[str, Any] = json.loads(run.stdout)
    return found


def test_a_server_after_ten_thousand_refused_connections() -> None:
    found = measured()
    assert {"policy", "refused_by_peer", "no_evidence", "tls"} == set(found["refusals"])
    assert sum(found["refusals"].values()) == WARM_UP + REFUSED == 10_000
    assert min(found["bytes"]) < MOST_BYTES, found
    assert min(found["objects"]) < MOST_OBJECTS, found
    assert found["descriptors"] == [0, 0]
