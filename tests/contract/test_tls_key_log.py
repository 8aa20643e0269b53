"""No TLS wrapper tells the secrets of connections to whoever names a file for them in the environment."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from support.commands import environment
from support.instances import TLS_WRAPPERS

CONNECTION = """
import sys
from support.instances import TLS_WRAPPERS
from support.tls import connected, pump, read_exactly
client, server = connected(TLS_WRAPPERS[int(sys.argv[1])])
client.write(b"data")
pump(client, server)
assert read_exactly(server, 4) == b"data"
"""


@pytest.mark.parametrize("number", range(len(TLS_WRAPPERS)), ids=[tls.name for tls in TLS_WRAPPERS])
def test_a_key_log_that_the_environment_names_stays_empty(number: int, tmp_path: Path) -> None:
    """Several libraries read the variable when they are loaded, so it is there from a process's start."""
    log = tmp_path / "secrets"
    settings = {**environment(), "SSLKEYLOGFILE": str(log), "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", CONNECTION, str(number)], env=settings, check=True, timeout=60)
    assert not log.exists() or not log.read_bytes()
