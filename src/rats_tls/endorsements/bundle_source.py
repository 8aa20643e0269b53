"""A source that asks nobody: a bundle of Endorsements, or a directory of bundles and other files with Endorsements."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from rats_tls.core.endorsements import Endorsement, MissingEndorsement
from rats_tls.core.errors import ConfigurationError, DecodeError, RatsTlsError
from rats_tls.core.limits import DEFAULT_BUNDLE_LIMITS, DEFAULT_LIMITS, BundleLimits
from rats_tls.endorsements.bundle import CHANNELS, bundle_from_bytes, is_bundle
from rats_tls.endorsements.bundle_form import BundleItem
from rats_tls.endorsements.files import endorsements_from_file
from rats_tls.endorsements.forking import renew_in_children
from rats_tls.endorsements.local_files import read_regular_file
from rats_tls.endorsements.source import FetchError, FetchProblem, LocalSource
from rats_tls.formats.endorsement_keys import keys_of, validity_of

_LARGEST_LOOSE_FILE = 4 * DEFAULT_LIMITS.endorsement_document
_Stamp = tuple[int, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Carried:
    """What a file holds.

    Attributes:
        items: untrusted; dates and keys of a bundle's are those of its manifest.
        channel: update channel of a bundle; None of other files, which do not say.
    """

    items: tuple[BundleItem, ...]
    channel: str | None = None


def read_carried(path: Path | str, *, limits: BundleLimits = DEFAULT_BUNDLE_LIMITS) -> Carried:
    """Read a bundle, or a file of any other form that `endorsements_from_file` knows.

    Raises:
        ConfigurationError: it cannot be read.
        DecodeError: none of these forms, or an item that is malformed.
    """
    data = read_regular_file(path, limit=limits.archive)
    if not data:
        raise DecodeError(str(path), "", None, "the file is empty; expected Endorsements")
    if is_bundle(data):
        bundle = bundle_from_bytes(data, where=str(path), limits=limits)
        return Carried(items=bundle.items, channel=bundle.channel)
    if len(data) > _LARGEST_LOOSE_FILE:
        raise ConfigurationError(f"{path}: larger than {_LARGEST_LOOSE_FILE} bytes, and no bundle")
    try:
        items = tuple(map(described, endorsements_from_file(data, where=str(path))))
    except DecodeError as error:
        if error.structure == str(path):
            raise
        raise DecodeError(str(path), "", None, error.message) from error
    return Carried(items=items)


def described(item: Endorsement) -> BundleItem:
    """Say of an item what it says itself. Raises DecodeError: it is malformed."""
    issued, expires = validity_of(item)
    return BundleItem(endorsement=item, keys=keys_of(item), issued=issued, expires=expires)


@dataclass(slots=True)
class _File:
    """One file, as it was when its stamp was taken; `why` says what of it could not be read."""

    stamp: _Stamp
    channel: str | None = None
    by_key: dict[MissingEndorsement, tuple[Endorsement, ...]] = field(default_factory=dict)
    why: str = ""


class BundleSource(LocalSource):
    """Gives what is in a bundle, or in a directory of bundles and other files with Endorsements. Thread-safe.

    A file that has changed is read again. Items are found by what they are about, whatever a manifest says; PCK chains
    also by the keys that their manifest gives them. Directories within the directory, and files whose names begin with
    a dot, are left alone.

    Args:
        path: a bundle, or a directory.
        channel: update channel that its documents must be of; what its bundles say when left out, and `standard` where
            there is none yet.
        limits: sizes and counts.

    Raises:
        ConfigurationError: nothing is there; a bundle that cannot be read; bundles of two update channels, or of
            another one than `channel`.
    """

    def __init__(
        self, path: Path | str, *, channel: str | None = None, limits: BundleLimits = DEFAULT_BUNDLE_LIMITS
    ) -> None:
        self._path = Path(path)
        self._limits = limits
        self._files: dict[str, _File] = {}
        if channel is not None and channel not in CHANNELS:
            raise ConfigurationError(f"update channel: got {channel!r}, expected {' or '.join(CHANNELS)}")
        self.renew_in_child()
        renew_in_children(self)
        try:
            files = self._current()
        except OSError as error:
            raise ConfigurationError(f"{path}: {error.strerror or error}") from error
        if not self._path.is_dir():
            for file in files.values():
                if not file.by_key and file.why:
                    raise ConfigurationError(file.why)
        self._channel = channel or next((file.channel for file in files.values() if file.channel), CHANNELS[0])
        for name, file in files.items():
            if why := self._wrong_channel(name, file):
                raise ConfigurationError(why)

    def renew_in_child(self) -> None:
        """Take a new lock: the parent's may be held for ever."""
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        """What it is called in logs and errors."""
        return f"bundle {self._path}"

    @property
    def channel(self) -> str:
        """Update channel of its Intel documents."""
        return self._channel

    def serves(self, item: MissingEndorsement) -> bool:
        """Whether `item` says what it is to be found by."""
        return bool(item.key)

    def fetch(self, item: MissingEndorsement) -> tuple[Endorsement, ...]:
        """Give what is there for `item`.

        Raises:
            FetchError: nothing; the message names files that cannot be read.
        """
        try:
            files = self._current()
        except OSError as error:
            text = f"{self._path}: {error.strerror or error}"
            raise FetchError(text, problem=FetchProblem.UNAVAILABLE) from error
        found: dict[Endorsement, None] = {}
        problems: list[str] = []
        for name, file in files.items():
            wrong = self._wrong_channel(name, file)
            if not wrong:
                found.update(dict.fromkeys(file.by_key.get(item, ())))
            problems += [why for why in (wrong, file.why) if why]
        if found:
            return tuple(found)
        if problems:
            raise FetchError("; ".join(problems), problem=FetchProblem.MALFORMED)
        raise FetchError(f"{self.name}: {item} is not in it", problem=FetchProblem.NOT_FOUND)

    def _wrong_channel(self, name: str, file: _File) -> str:
        if file.channel in {None, self._channel}:
            return ""
        return f"{name}: update channel: got {file.channel}, expected {self._channel}"

    def _current(self) -> dict[str, _File]:
        """Give the files by name, as they are now. Raises OSError where the bundle or directory cannot be read."""
        stamps = dict(self._stamps())
        with self._lock:
            known = self._files
        current = {
            name: known[name] if name in known and known[name].stamp == stamp else self._read(name, stamp)
            for name, stamp in stamps.items()
        }
        with self._lock:
            self._files = current
        return current

    def _stamps(self) -> Iterator[tuple[str, _Stamp]]:
        if not self._path.is_dir():
            yield str(self._path), _stamp(self._path.stat())
            return
        with os.scandir(self._path) as entries:
            names = sorted(entry.name for entry in entries if not entry.name.startswith("."))
        if len(names) > self._limits.files:
            raise OSError(errno.E2BIG, f"got {len(names)} files, at most {self._limits.files} are read")
        for name in names:
            path = self._path / name
            try:
                status = path.stat()
            except OSError:  # gone in between, or a link to nothing
                continue
            if not path.is_dir():
                yield str(path), _stamp(status)

    def _read(self, name: str, stamp: _Stamp) -> _File:
        try:
            carried = read_carried(name, limits=self._limits)
        except RatsTlsError as error:
            return _File(stamp, why=error.message)
        file = _File(stamp, carried.channel)
        for item in carried.items:
            try:
                keys = _keys(item)
            except DecodeError as error:
                file.why = f"{name}: {error.message}"
                continue
            for key in keys:
                file.by_key[key] = (*file.by_key.get(key, ()), item.endorsement)
        return file


def _keys(item: BundleItem) -> tuple[MissingEndorsement, ...]:
    keys = keys_of(item.endorsement)
    if item.endorsement.kind.is_named_by_request:
        keys = tuple(dict.fromkeys((*keys, *item.keys)))
    return keys


def _stamp(status: os.stat_result) -> _Stamp:
    return status.st_mtime_ns, status.st_size, status.st_ino
