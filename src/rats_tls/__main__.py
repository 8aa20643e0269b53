"""`python -m rats_tls` is the command line."""

from __future__ import annotations

from rats_tls.cli.main import main

main()
