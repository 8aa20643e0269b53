"""Reading and writing files of this machine: regular ones only, whole or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

from rats_tls.core.errors import ConfigurationError


def read_regular_file(path: Path | str, *, limit: int) -> bytes:
    """Read a regular file of at most `limit` bytes.

    Raises:
        ConfigurationError: it cannot be read, is a pipe or device, or is larger; the message names it.
    """
    try:
        # Opening a pipe would wait for its writer.
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise ConfigurationError(f"{path}: not a regular file: copy what the pipe or device gives into one")
            data = file.read(limit + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise ConfigurationError(f"{path}: {_reason(error)}") from error
    if len(data) > limit:
        raise ConfigurationError(f"{path}: larger than {limit} bytes")
    return data


def replace_file(path: Path | str, data: bytes) -> None:
    """Write a file in one step: whoever reads meanwhile, or after a crash, has the old one or the new one whole.

    Raises:
        ConfigurationError: it cannot be written, or something else than a regular file is there; the message names it.
    """
    replace_files({path: data})


def replace_files(files: Mapping[Path, bytes] | Mapping[Path | str, bytes]) -> None:
    """Write files that belong together, each as `replace_file` does: none is replaced before all have been written.

    Raises:
        ConfigurationError: as `replace_file`, of the first that fails.
    """
    with contextlib.ExitStack() as made:
        steps: list[tuple[Path | str, str, str]] = []
        for path, data in files.items():
            with _named(path):
                target = _target(path)
                folder, name = os.path.split(target)
                new = os.path.join(folder, f".{name[:100]}.{secrets.token_hex(8)}.tmp")  # noqa: PTH118  # beside its target
                made.callback(_unlink, new)
                _write_new(new, data)
            steps.append((path, new, target))
        for path, new, target in steps:
            with _named(path):
                os.replace(new, target)  # noqa: PTH105  # as the rest here
                _flush_directory(os.path.dirname(target))  # noqa: PTH120  # as the rest here


def remove_regular_file(path: Path | str) -> bool:
    """Remove a file, if there is one; say whether there was.

    Raises:
        ConfigurationError: it cannot be removed, or something else than a regular file is there; the message names it.
    """
    with _named(path):
        target = _target(path)
        if not os.path.lexists(target):
            return False
        os.unlink(target)  # noqa: PTH108  # as the rest here
        return True


@contextlib.contextmanager
def _named(path: Path | str) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise ConfigurationError(f"{path}: {_reason(error)}") from error


def _target(path: Path | str) -> str:
    """Give where a regular file is or would be: a link stays, and what it points at is meant."""
    target = os.path.realpath(path)
    if os.path.lexists(target) and not stat.S_ISREG(os.lstat(target).st_mode):
        raise ConfigurationError(f"{path}: not a regular file")
    return target


def _unlink(path: str) -> None:
    with contextlib.suppress(OSError):
        os.unlink(path)  # noqa: PTH108  # as the rest here


def _write_new(path: str, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(descriptor)


def _flush_directory(folder: str) -> None:
    """Let the new name outlast a crash; some file systems cannot."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _reason(error: OSError | ValueError) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
