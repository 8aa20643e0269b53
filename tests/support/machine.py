"""What tests need of a machine beside Python: where it lacks, they are skipped, and fail where all is asked for."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest

REQUIRE = "RATS_TLS_REQUIRE_MACHINE"


def lacking(what: str, *, install: str | None = None) -> NoReturn:
    """End a test, or a whole module where that is loaded, for which the machine lacks something.

    Args:
        what: is lacking.
        install: what brings it; None where nothing can be installed, such as a device.
    """
    if install is not None and os.environ.get(REQUIRE):
        pytest.fail(f"{what}: {REQUIRE} is set; install {install}")
    pytest.skip(what if install is None else f"{what}: install {install}", allow_module_level=True)
