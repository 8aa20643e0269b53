"""The library inside the package `tongsuopy`: Tongsuo 8.3, made from OpenSSL 1.1.1."""

from __future__ import annotations

import os
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any


def library_path() -> Path | None:
    """Give where the library is; None where the package is not installed, or has none for this platform."""
    spec = find_spec("tongsuopy")
    folders = (spec.submodule_search_locations if spec is not None else None) or ()
    return next((path for folder in folders for path in Path(folder).glob("backends/_tongsuo.*.so")), None)


def opened(ffi: Any, path: Path) -> Any:  # noqa: ANN401  # cffi has no types
    """Open the library. Raises OSError.

    Its names are those of other builds of OpenSSL, without versions: where the program itself is linked to one, as some
    that embed Python are, it must find its own first. Tests do not see it: `python` is not linked to one.
    """
    return ffi.dlopen(str(path), os.RTLD_NOW | os.RTLD_LOCAL | getattr(os, "RTLD_DEEPBIND", 0))


def package_version() -> str:
    """Give "tongsuopy 1.0.1"."""
    return f"tongsuopy {version('tongsuopy')}"
