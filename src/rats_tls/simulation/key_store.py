"""Where the secrets of a simulated world lie: in memory, or in files of a directory that processes share."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from rats_tls.core.errors import ConfigurationError


class KeyStore:
    """Items by name. In a directory each is a file of mode 0600, made once by whichever process needs it first.

    Args:
        directory: None keeps nothing: each item is made for whoever asks.
    """

    def __init__(self, directory: Path | None) -> None:
        self.directory = directory

    def get(self, name: str, make: Callable[[], bytes]) -> bytes:
        """Give the item `name`, made now if it is not there.

        Raises:
            ConfigurationError: the directory cannot be read or written.
        """
        if self.directory is None:
            return make()
        path = self.directory / name
        try:
            if not path.exists():
                self._create(path, make())
            return path.read_bytes()
        except OSError as error:
            raise ConfigurationError(f"simulated world {self.directory}: {name}: {error.strerror}") from error

    def contains(self, name: str) -> bool:
        """Tell whether a directory holds the item `name`."""
        return self.directory is not None and (self.directory / name).exists()

    def replace(self, name: str, data: bytes) -> None:
        """Write a public file in place of an older one; readers see the one or the other. Nothing without a directory.

        Raises:
            ConfigurationError: the directory cannot be written.
        """
        if self.directory is None:
            return
        try:
            temporary = self._temporary(data)
            temporary.chmod(0o644)
            temporary.replace(self.directory / name)
        except OSError as error:
            raise ConfigurationError(f"simulated world {self.directory}: {name}: {error.strerror}") from error

    def _create(self, path: Path, data: bytes) -> None:
        """Make a file with all of its content at once; another process's file stays."""
        temporary = self._temporary(data)
        try:
            path.hardlink_to(temporary)
        except FileExistsError:
            return  # another process was first, and its item is the one that counts
        finally:
            temporary.unlink()

    def _temporary(self, data: bytes) -> Path:
        descriptor, name = tempfile.mkstemp(dir=self.directory, prefix=".new-")  # mode 0600
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        return Path(name)
