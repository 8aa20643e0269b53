"""`python -m rats_tls` is the command line."""

from __future__ import annotations

import sys

from rats_tls.cli.main import main

sys.exit(main())
