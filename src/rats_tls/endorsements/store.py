"""Endorsements on disk, shared by processes: one SQLite file, readable whenever a writer is killed.

What lies there is as untrusted as what a peer sends: a Verifier verifies it in every appraisal. The store only says
what is at hand for a key, which begins with the trust anchor that it was verified under when it was kept.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import cbor2

from rats_tls.core.cbor import decode_exact
from rats_tls.core.endorsements import Endorsement, EndorsementKind, MissingEndorsement
from rats_tls.core.errors import ConfigurationError, DecodeError

FILE_NAME = "endorsements.sqlite3"
MOST_BYTES = 64 * 1024 * 1024
"""Bytes of Endorsements that a store keeps: some 30,000 chips, or 2,000 families of platforms."""

_BUSY_SECONDS = 5.0
_VERSION = 1
_TABLE = """
CREATE TABLE IF NOT EXISTS items (
    anchor  BLOB NOT NULL,     -- fingerprint of the trust anchor, 32 bytes
    lookup  TEXT NOT NULL,     -- kind and key
    digest  BLOB NOT NULL,     -- SHA-256 of the Endorsement
    kind    TEXT NOT NULL,
    data    BLOB NOT NULL,
    proof   BLOB NOT NULL,     -- CBOR: [signature, [certificates]]
    issued  INTEGER NOT NULL,  -- Unix seconds, as the item itself says
    expires INTEGER NOT NULL,
    kept    INTEGER NOT NULL,
    PRIMARY KEY (anchor, lookup, digest)
) WITHOUT ROWID
"""
_SELECT = "SELECT anchor, lookup, kind, data, proof, issued, expires, kept FROM items"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredEndorsement:
    """One item in a store.

    Attributes:
        anchor: fingerprint of the trust anchor under which it was verified when it was kept (32 bytes).
        lookup: kind and key by which it is found, for people and as `MissingEndorsement` prints it.
        endorsement: the item.
        issued: thisUpdate, issueDate or notBefore.
        expires: nextUpdate or notAfter.
        kept: when it was written.
    """

    anchor: bytes
    lookup: str
    endorsement: Endorsement
    issued: datetime
    expires: datetime
    kept: datetime


class EndorsementStore:
    """A store in a directory. Thread-safe, shared by processes, usable in forked children.

    Of one key the newest item under an anchor is kept. When it grows beyond `most_bytes`, what expires first goes
    first.

    Args:
        directory: where the file lies; made with mode 0700 when it is not there.
        most_bytes: bound of all items together.

    Raises:
        ConfigurationError: the directory cannot be used, or the file is no store.
    """

    def __init__(self, directory: Path | str, *, most_bytes: int = MOST_BYTES) -> None:
        self._path = Path(directory) / FILE_NAME
        self._most_bytes = most_bytes
        self._local = threading.local()
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigurationError(f"store {directory}: {error.strerror or error}") from error
        with self._database() as database:
            (version,) = database.execute("PRAGMA user_version").fetchone()
            if version not in {0, _VERSION}:
                raise ConfigurationError(f"store {self._path}: version {version}, expected {_VERSION}")
            database.execute(_TABLE)
            database.execute(f"PRAGMA user_version = {_VERSION}")

    def find(self, item: MissingEndorsement, anchors: Collection[bytes]) -> tuple[StoredEndorsement, ...]:
        """Give what is kept for `item` under any of `anchors` (fingerprints), the newest first, expired ones too.

        Raises:
            ConfigurationError: the file cannot be read.
        """
        with self._database() as database:
            rows = database.execute(f"{_SELECT} WHERE lookup = ? ORDER BY issued DESC", (str(item),)).fetchall()
        known = frozenset(anchors)
        return tuple(stored for row in rows if row[0] in known and (stored := _stored(row)) is not None)

    def keep(self, items: Iterable[StoredEndorsement]) -> None:
        """Keep items that a Verifier has verified; an older one of the same key and anchor goes.

        Raises:
            ConfigurationError: the file cannot be written.
        """
        with self._database() as database:
            for item in items:
                row = (item.anchor, item.lookup)
                newer = database.execute(
                    "SELECT 1 FROM items WHERE anchor = ? AND lookup = ? AND issued > ?",
                    (*row, _seconds(item.issued)),
                ).fetchone()
                if newer is not None:
                    continue
                database.execute("DELETE FROM items WHERE anchor = ? AND lookup = ?", row)
                endorsement = item.endorsement
                database.execute(
                    "INSERT INTO items VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (
                        *row,
                        endorsement.digest,
                        endorsement.kind.value,
                        endorsement.data,
                        cbor2.dumps([endorsement.signature, list(endorsement.issuer_chain)]),
                        _seconds(item.issued),
                        _seconds(item.expires),
                        _seconds(item.kept),
                    ),
                )
            self._bound(database)

    def _bound(self, database: sqlite3.Connection) -> None:
        (size,) = database.execute("SELECT TOTAL(LENGTH(data) + LENGTH(proof)) FROM items").fetchone()
        while size > self._most_bytes:
            first = database.execute(
                "SELECT anchor, lookup, digest, LENGTH(data) + LENGTH(proof) FROM items ORDER BY expires LIMIT 1"
            ).fetchone()
            database.execute("DELETE FROM items WHERE anchor = ? AND lookup = ? AND digest = ?", first[:3])
            size -= first[3]

    def entries(self) -> tuple[StoredEndorsement, ...]:
        """Give all items, what expires first first. Raises ConfigurationError: the file cannot be read."""
        with self._database() as database:
            rows = database.execute(f"{_SELECT} ORDER BY expires, lookup").fetchall()
        return tuple(stored for row in rows if (stored := _stored(row)) is not None)

    def prune(self, now: datetime) -> int:
        """Delete what has expired; gives how many. Raises ConfigurationError: the file cannot be written."""
        with self._database() as database:
            return database.execute("DELETE FROM items WHERE expires <= ?", (_seconds(now),)).rowcount

    @contextmanager
    def _database(self) -> Iterator[sqlite3.Connection]:
        """Give this thread's connection, in one transaction."""
        try:
            database = self._connection()
            with database:
                yield database
        except sqlite3.Error as error:
            raise ConfigurationError(f"store {self._path}: {error}") from error

    def _connection(self) -> sqlite3.Connection:
        process: int | None = getattr(self._local, "process", None)
        if process != os.getpid():  # SQLite's connections do not survive a fork
            database = sqlite3.connect(self._path, timeout=_BUSY_SECONDS)
            database.execute("PRAGMA journal_mode = WAL")
            if process is not None:  # closing what a parent has open would disturb its locks
                _inherited.append(self._local.database)
            self._local.database, self._local.process = database, os.getpid()
        connection: sqlite3.Connection = self._local.database
        return connection


_inherited: list[sqlite3.Connection] = []
"""Connections of the parents of this process, never used and never closed."""


def _seconds(time: datetime) -> int:
    return int(time.timestamp())


def _stored(row: tuple[bytes, str, str, bytes, bytes, int, int, int]) -> StoredEndorsement | None:
    """Give an item out of its columns; None of a kind or form that is not known here."""
    anchor, lookup, kind, data, proof, *times = row
    try:
        value = decode_exact(proof, "StoredProof", max_depth=3)
        known = EndorsementKind(kind)
        issued, expires, kept = (datetime.fromtimestamp(seconds, UTC) for seconds in times)
    except (DecodeError, ValueError, OverflowError):
        return None
    match value:
        case [bytes() as signature, list() as chain] if all(isinstance(der, bytes) for der in chain):
            return StoredEndorsement(
                anchor=anchor,
                lookup=lookup,
                endorsement=Endorsement(kind=known, data=data, signature=signature, issuer_chain=tuple(chain)),
                issued=issued,
                expires=expires,
                kept=kept,
            )
        case _:
            return None
