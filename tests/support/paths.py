"""Where the real evidence is."""

from __future__ import annotations

import os
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
VECTORS = Path(os.environ.get("RATS_TLS_VECTORS", REPOSITORY.parent / "shared" / "vectors"))
