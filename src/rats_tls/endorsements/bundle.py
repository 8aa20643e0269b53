"""Bundles: Endorsements in one file, to carry to a site without a network.

A ZIP archive (PKWARE APPNOTE 6.3.3, without its 64-bit and encrypted forms) whose first member is `manifest.json`.
What is read is whatever somebody has put on a disk: nothing in it is trusted, and no name in it is used as a path.
"""

from __future__ import annotations

import io
import json
import re
import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from rats_tls.core.checks import time_text
from rats_tls.core.documents import Json
from rats_tls.core.endorsements import EndorsementKind
from rats_tls.core.errors import ConfigurationError, DecodeError
from rats_tls.core.limits import DEFAULT_BUNDLE_LIMITS, BundleLimits
from rats_tls.endorsements.bundle_form import BundleItem, item_of, manifest_entry, members_of, names_in
from rats_tls.endorsements.local_files import read_regular_file, replace_file
from rats_tls.formats.json_document import JsonObject

SCHEMA = "rats-tls/endorsement-bundle/1"
MANIFEST = "manifest.json"
CHANNELS = ("standard", "early")

_STRUCTURE = "Bundle"
_MAGIC = b"PK"
_END = struct.Struct("<4s4H2LH")  # APPNOTE 4.3.16: end of central directory record
_END_SIGNATURE = b"PK\x05\x06"
_HARMLESS_FLAGS = 0x080E  # APPNOTE 4.4.4: compression options, data descriptor, UTF-8; bits 0, 6 and 13 encrypt
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_NAME = re.compile(r"(?:[a-z0-9][a-z0-9-]{0,63}/)?[a-z0-9][a-z0-9.-]{0,63}")
_FIRST_DAY = (1980, 1, 1, 0, 0, 0)
_MODE = 0o100644 << 16
_UNIX = 3
_FAILURES = (
    *(zipfile.BadZipFile, zlib.error, struct.error),
    *(EOFError, IndexError, KeyError, OSError, OverflowError, RuntimeError, ValueError),
)
"""What the standard library raises for archives that are none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """Endorsements that are carried together.

    Attributes:
        made: when; whole seconds.
        channel: update channel of Intel's documents in it: "standard" or "early".
        items: at least one.
    """

    made: datetime
    channel: str
    items: tuple[BundleItem, ...]


def is_bundle(data: bytes) -> bool:
    """Tell a bundle from every other form of Endorsements by how it begins."""
    return data.startswith(_MAGIC)


# --- writing -----------------------------------------------------------------------------------------------------
def bundle_to_bytes(bundle: Bundle, *, limits: BundleLimits = DEFAULT_BUNDLE_LIMITS) -> bytes:
    """Write a bundle: the same bytes for the same items, in whatever order they are.

    Raises:
        ConfigurationError: no item, more than a bundle holds, or one that has no form in it.
    """
    if not bundle.items:
        raise ConfigurationError("bundle: there is nothing to write")
    if bundle.channel not in CHANNELS:
        raise ConfigurationError(f"bundle: update channel: got {bundle.channel!r}, expected {' or '.join(CHANNELS)}")
    entries: list[Json] = []
    files: list[tuple[str, bytes]] = []
    numbers = dict.fromkeys(EndorsementKind, 0)
    for item in sorted(bundle.items, key=_order):
        kind = item.endorsement.kind
        numbers[kind] += 1
        members = members_of(item.endorsement, numbers[kind])
        entries.append(manifest_entry(item, members))
        files.append((members.name, members.data))
        if members.chain_name:
            files.append((members.chain_name, members.chain))
    manifest: dict[str, Json] = {
        "schema": SCHEMA,
        "made": time_text(bundle.made),
        "channel": bundle.channel,
        "items": entries,
    }
    files.insert(0, (MANIFEST, json.dumps(manifest, indent=2).encode() + b"\n"))
    data = _archive(files)
    too_large = (
        (len(files), limits.members, "files"),
        (len(files[0][1]), limits.manifest, "bytes of manifest"),
        (sum(len(content) for _, content in files), limits.total, "bytes"),
        (len(data), limits.archive, "bytes, compressed"),
    )
    for got, most, what in too_large:
        if got > most:
            raise ConfigurationError(f"bundle: got {got} {what}, at most {most} fit into one: write several")
    return data


def write_bundle(path: Path | str, bundle: Bundle, *, limits: BundleLimits = DEFAULT_BUNDLE_LIMITS) -> None:
    """Write a bundle into a file in one step, in place of one that is there.

    Raises:
        ConfigurationError: as `bundle_to_bytes`, or it cannot be written; the message names it.
    """
    replace_file(path, bundle_to_bytes(bundle, limits=limits))


def _order(item: BundleItem) -> tuple[str, str, bytes]:
    return item.endorsement.kind.value, " ".join(map(str, item.keys)), item.endorsement.digest


def _archive(files: Iterable[tuple[str, bytes]]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in files:
            info = zipfile.ZipInfo(name, _FIRST_DAY)
            info.create_system, info.external_attr = _UNIX, _MODE
            archive.writestr(info, content, compress_type=zipfile.ZIP_DEFLATED, compresslevel=9)
    return stream.getvalue()


# --- reading -----------------------------------------------------------------------------------------------------
def read_bundle(path: Path | str, *, limits: BundleLimits = DEFAULT_BUNDLE_LIMITS) -> Bundle:
    """Read a bundle from a file.

    Raises:
        ConfigurationError: it cannot be read; the message names it.
        DecodeError: as `bundle_from_bytes`.
    """
    return bundle_from_bytes(read_regular_file(path, limit=limits.archive), where=str(path), limits=limits)


def bundle_from_bytes(data: bytes, *, where: str, limits: BundleLimits = DEFAULT_BUNDLE_LIMITS) -> Bundle:
    """Read a bundle. Nothing about its items is verified.

    Args:
        data: the file's bytes.
        where: what to call it in errors.
        limits: sizes and counts.

    Raises:
        DecodeError: not a bundle, one that was changed, or larger than the limits; the message names file and member.
    """
    try:
        _require_small(data, limits)
        with _our_errors(), zipfile.ZipFile(io.BytesIO(data)) as archive:
            return _read(archive, limits)
    except DecodeError as error:
        raise DecodeError(where, "", None, error.message) from error


def _require_small(data: bytes, limits: BundleLimits) -> None:
    """Bound what the standard library reads at once, by the record at the end of the archive."""
    if len(data) > limits.archive:
        raise DecodeError(_STRUCTURE, "", None, f"got {len(data)} bytes, at most {limits.archive} are read")
    if len(data) < _END.size:
        raise DecodeError(_STRUCTURE, "", None, f"got {len(data)} bytes, expected a ZIP archive")
    signature, disk, first_disk, here, count, size, offset, comment = _END.unpack(data[-_END.size :])
    if signature != _END_SIGNATURE or comment:
        raise DecodeError(_STRUCTURE, "", len(data) - _END.size, "no end of a ZIP archive, or something behind it")
    if disk or first_disk or here != count or offset + size + _END.size != len(data):
        raise DecodeError(_STRUCTURE, "", len(data) - _END.size, "not one whole ZIP archive without 64-bit fields")
    if count > limits.members:
        raise DecodeError(_STRUCTURE, "", None, f"got {count} members, at most {limits.members} are read")
    if size > count * limits.directory_entry:
        raise DecodeError(_STRUCTURE, "", offset, f"directory of {size} bytes is too large for {count} members")


@contextmanager
def _our_errors() -> Iterator[None]:
    try:
        yield
    except _FAILURES as error:
        raise DecodeError(_STRUCTURE, "", None, f"not a ZIP archive of this form: {error}") from error


def _read(archive: zipfile.ZipFile, limits: BundleLimits) -> Bundle:
    infos = archive.infolist()
    for info in infos:
        _require_plain(info)
    names = [info.filename for info in infos]
    if names[:1] != [MANIFEST]:
        raise DecodeError(_STRUCTURE, "", None, f"first member: got {names[0] if names else 'none'!r}, not {MANIFEST}")
    for name, count in Counter(names).items():
        if count != 1:
            raise DecodeError(_STRUCTURE, name, None, f"{count} members have this name")
    manifest = JsonObject.from_bytes(_content(archive, infos[0], limits.manifest), MANIFEST)
    manifest.one_of("schema", (SCHEMA,))
    entries = manifest.objects("items", most=limits.members)
    listed = [name for entry in entries for name in names_in(entry)]
    _require_listed(listed, names[1:])
    left = limits.total
    files: dict[str, bytes] = {}
    for info in infos[1:]:
        files[info.filename] = _content(archive, info, min(limits.member, left))
        left -= len(files[info.filename])
    return Bundle(
        made=manifest.time("made"),
        channel=manifest.one_of("channel", CHANNELS),
        items=tuple(item_of(entry, files, limits) for entry in entries),
    )


def _require_plain(info: zipfile.ZipInfo) -> None:
    """Require a plain file with a plain name: the one in the archive, which the library cuts at a NUL."""
    name = info.orig_filename
    if not _NAME.fullmatch(name):
        raise DecodeError(_STRUCTURE, name[:64], None, "a name that no member of a bundle has")
    if info.flag_bits & ~_HARMLESS_FLAGS:
        raise DecodeError(_STRUCTURE, name, None, f"encrypted, or of another kind: flags {info.flag_bits:#06x}")
    if info.compress_type not in _METHODS:
        raise DecodeError(_STRUCTURE, name, None, f"compression: got method {info.compress_type}, expected 0 or 8")


def _require_listed(listed: list[str], there: list[str]) -> None:
    """Require that every file belongs to one item."""
    count = Counter(listed)
    for name in count.keys() - set(there):
        raise DecodeError(_STRUCTURE, name[:64], None, "is in the manifest and not in the archive")
    for name in there:
        if count[name] != 1:
            problem = "is in the manifest twice" if count[name] else "is not in the manifest"
            raise DecodeError(_STRUCTURE, name, None, problem)


def _content(archive: zipfile.ZipFile, info: zipfile.ZipInfo, limit: int) -> bytes:
    """Decompress a member, whatever size its header says."""
    with archive.open(info) as member:
        content = member.read(limit + 1)
    if len(content) > limit:
        raise DecodeError(_STRUCTURE, info.filename, None, f"more than {limit} bytes, the most that are read")
    if len(content) != info.file_size:
        raise DecodeError(_STRUCTURE, info.filename, None, f"got {len(content)} bytes, its header says otherwise")
    return content
