"""Files that settings of Attesters name."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from rats_tls.core.errors import ConfigurationError


def read_setting_file(where: str, path: Path | str, most: int) -> bytes:
    """Read a regular file, of which one byte more than `most` tells that it is larger.

    Args:
        where: the setting, for errors.
        path: the file.
        most: how many bytes it should have at most.

    Raises:
        ConfigurationError: it cannot be read, or is a pipe or device; the message names both.
    """
    if not isinstance(path, (str, Path)) or not str(path):  # type: ignore[redundant-expr]  # callers may not be typed
        raise ConfigurationError(f"{where}: got {path!r}, expected a file's name")
    try:
        # Opening a pipe would wait for its writer.
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise ConfigurationError(f"{where} {path}: not a regular file")
            return file.read(most + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise ConfigurationError(f"{where} {path}: {getattr(error, 'strerror', None) or error}") from error
