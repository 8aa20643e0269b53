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
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cbor2

from rats_tls.core.cbor import decode_exact
from rats_tls.core.endorsements import Endorsement, EndorsementKind, MissingEndorsement, Origin
from rats_tls.core.errors import ConfigurationError, DecodeError
from rats_tls.core.floors import Floor, Floors, Series
from rats_tls.endorsements.store_tables import FIRST_TO_GO, FORGET_USES, OF_ONE_PLATFORM, SELECT, TABLES, VERSION

FILE_NAME = "endorsements.sqlite3"
MOST_BYTES = 64 * 1024 * 1024
"""Bytes of Endorsements that a store keeps: some 30,000 chips, or 2,000 families of platforms."""

_BUSY_SECONDS = 5.0
_SECONDS_BETWEEN_USES = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredEndorsement:
    """One item in a store.

    Attributes:
        anchor: fingerprint of the trust anchor under which it was verified when it was kept (32 bytes).
        channel: update channel of Intel's documents; "" for what is the same in all.
        item: kind and key by which it is found.
        endorsement: the item.
        issued: thisUpdate, issueDate or notBefore.
        expires: nextUpdate or notAfter.
        kept: when it was written, or last given by a source again.
        number: tcbEvaluationDataNumber or cRLNumber; 0 where there is none.
    """

    anchor: bytes
    channel: str = ""
    item: MissingEndorsement
    endorsement: Endorsement
    issued: datetime
    expires: datetime
    kept: datetime
    number: int = 0

    @property
    def floor(self) -> tuple[Series, Floor]:
        """What it says of how new the next of its series must be."""
        return (self.anchor, str(self.item)), Floor(number=self.number, issued=self.issued)


class EndorsementStore:
    """A store in a directory. Thread-safe, shared by processes, usable in forked children.

    Of one key the newest item under an anchor is kept. When it grows beyond `most_bytes`, certificates of single
    platforms go first, the longest not used before the others; then what expires first. Floors are kept beside the
    items and outlive them; who can write the file can put both back. Who can only read it reads; what is to be kept is
    then an error.

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
        writable = os.access(self._path.parent, os.W_OK) and os.access(self._path, os.W_OK)
        self._read_only = self._path.is_file() and not writable
        with self._database() as database:
            (version,) = database.execute("PRAGMA user_version").fetchone()
            if version not in {0, VERSION}:
                raise ConfigurationError(
                    f"store {self._path}: version {version}, expected {VERSION}; delete the file to begin anew"
                )
            if not self._read_only:
                for table in TABLES:
                    database.execute(table)
                database.execute(f"PRAGMA user_version = {VERSION}")

    @classmethod
    def existing(cls, directory: Path | str) -> EndorsementStore:
        """Open a store that is there already. Raises ConfigurationError: there is none, or it cannot be used."""
        if not is_store(directory):
            raise ConfigurationError(f"store {directory}: there is none")
        return cls(directory)

    def find(
        self, item: MissingEndorsement, anchors: Collection[bytes], *, channel: str = ""
    ) -> tuple[StoredEndorsement, ...]:
        """Give what is kept for `item` under any of `anchors` (fingerprints), the newest first, expired ones too.

        Raises:
            ConfigurationError: the file cannot be read.
        """
        with self._database() as database:
            rows = database.execute(
                f"{SELECT} WHERE lookup = ? AND channel = ? ORDER BY issued DESC", (str(item), channel)
            ).fetchall()
        known = frozenset(anchors)
        return tuple(stored for row in rows if row[0] in known and (stored := _stored(row)) is not None)

    def keep(
        self,
        items: Iterable[StoredEndorsement],
        *,
        raises_floors: bool | Collection[StoredEndorsement] = False,
        whole: bool = False,
    ) -> tuple[StoredEndorsement, ...]:
        """Keep items that a Verifier has verified, all or none; an older one of the same key and anchor goes.

        PCK chains stay beside each other: what an encrypted PPID stands for is seen in an appraisal only.

        Args:
            items: the items.
            raises_floors: whether what is older than they are is a rollback from now on; or of which of them.
            whole: whether nothing is kept, and no floor raised, where one of them is older than what is there.

        Returns:
            What was kept, or would have been but for `whole`: the others are older than what is there.

        Raises:
            ConfigurationError: the file cannot be written.
        """
        given = tuple(items)
        raising = raises_floors if isinstance(raises_floors, bool) else frozenset(raises_floors)
        kept: list[StoredEndorsement] = []
        with self._database() as database:
            for item in given:
                if item.endorsement.kind.is_reissued and (raising if isinstance(raising, bool) else item in raising):
                    _raise_floor(database, item)
                if _keep(database, item):
                    kept.append(item)
            if whole and len(kept) < len(given):
                database.rollback()
            else:
                self._bound(database)
        return tuple(kept)

    def floors(self) -> dict[str, Floors]:
        """Give the floors by update channel, "" for what is the same in all.

        Raises:
            ConfigurationError: the file cannot be read.
        """
        with self._database() as database:
            rows = database.execute("SELECT anchor, channel, lookup, number, issued FROM floors").fetchall()
        by_channel: dict[str, dict[Series, Floor]] = {}
        for anchor, channel, series, number, issued in rows:
            floor = Floor(number=int(number), issued=datetime.fromtimestamp(issued, UTC))
            by_channel.setdefault(channel, {})[anchor, series] = floor
        return {channel: Floors(floors) for channel, floors in by_channel.items()}

    def note_use(self, item: StoredEndorsement, now: datetime) -> None:
        """Remember that `item` was used, so that others go before it. Raises ConfigurationError: as `keep`."""
        row = (item.anchor, item.channel, str(item.item))
        now = min(now, datetime.now(UTC))  # a time to come, which a user may judge by, would keep it for ever
        since = _seconds(now) - _SECONDS_BETWEEN_USES
        with self._database() as database:
            known = "SELECT 1 FROM uses WHERE anchor = ? AND channel = ? AND lookup = ? AND used > ?"
            if _seconds(item.kept) > since or database.execute(known, (*row, since)).fetchone():
                return
            database.execute(
                "INSERT INTO uses VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET used = MAX(used, excluded.used)",
                (*row, _seconds(now)),
            )

    def has_about(self, beginning: str, anchors: Collection[bytes], *, channel: str = "") -> bool:
        """Whether something is kept whose printed kind and key begin so, up to the end of a value of the key.

        Raises:
            ConfigurationError: the file cannot be read.
        """
        between = (f"{beginning})", f"{beginning}-")  # behind a value stand "," or ")"
        query = "SELECT 1 FROM items WHERE anchor = ? AND channel = ? AND lookup >= ? AND lookup < ? LIMIT 1"
        with self._database() as database:
            return any(database.execute(query, (anchor, channel, *between)).fetchone() for anchor in anchors)

    def delete(self, item: StoredEndorsement) -> None:
        """Delete `item`, under each of its keys. Raises ConfigurationError: as `keep`."""
        with self._database() as database:
            database.execute(
                "DELETE FROM items WHERE anchor = ? AND digest = ?",
                (item.anchor, replace(item.endorsement, origin=Origin.LOCAL).digest),
            )

    def _bound(self, database: sqlite3.Connection) -> None:
        (size,) = database.execute("SELECT TOTAL(LENGTH(data) + LENGTH(proof)) FROM items").fetchone()
        if size <= self._most_bytes:
            return
        rows = database.execute(FIRST_TO_GO, OF_ONE_PLATFORM * 2).fetchall()
        for *key, bytes_there in rows:
            if size <= self._most_bytes:
                break
            database.execute("DELETE FROM items WHERE anchor = ? AND channel = ? AND lookup = ? AND digest = ?", key)
            size -= bytes_there
        database.execute(FORGET_USES)

    def entries(self) -> tuple[StoredEndorsement, ...]:
        """Give all items, what expires first first. Raises ConfigurationError: the file cannot be read."""
        with self._database() as database:
            rows = database.execute(f"{SELECT} ORDER BY expires, lookup").fetchall()
        return tuple(stored for row in rows if (stored := _stored(row)) is not None)

    def prune(self, now: datetime) -> int:
        """Delete what has expired; gives how many items, each with all its keys.

        Raises:
            ConfigurationError: the file cannot be written.
        """
        with self._database() as database:
            gone = (_seconds(now),)
            (count,) = database.execute("SELECT COUNT(DISTINCT digest) FROM items WHERE expires <= ?", gone).fetchone()
            database.execute("DELETE FROM items WHERE expires <= ?", gone)
            database.execute(FORGET_USES)
            return int(count)

    @contextmanager
    def _database(self) -> Iterator[sqlite3.Connection]:
        """Give this thread's connection, in one transaction."""
        try:
            database = self._connection()
            with database:
                yield database
        except sqlite3.Error as error:
            raise ConfigurationError(f"store {self._path}: {error}") from error

    def _connect(self) -> sqlite3.Connection:
        if self._read_only:
            return _open_to_read(self._path)
        database = sqlite3.connect(self._path, timeout=_BUSY_SECONDS)
        database.execute("PRAGMA journal_mode = WAL")
        return database

    def _connection(self) -> sqlite3.Connection:
        process: int | None = getattr(self._local, "process", None)
        if process != os.getpid():  # SQLite's connections do not survive a fork
            database = self._connect()
            if process is not None:  # closing what a parent has open would disturb its locks
                _inherited.append(self._local.database)
            self._local.database, self._local.process = database, os.getpid()
        connection: sqlite3.Connection = self._local.database
        return connection


def _open_to_read(path: Path) -> sqlite3.Connection:
    """Open a file that may not be written; where there is no room for lock files, as one that nobody writes."""
    uri = path.absolute().as_uri()
    try:
        database = sqlite3.connect(f"{uri}?mode=ro", uri=True, timeout=_BUSY_SECONDS)
        database.execute("PRAGMA user_version").fetchone()
    except sqlite3.OperationalError:
        database = sqlite3.connect(f"{uri}?immutable=1", uri=True)
    return database


def is_store(directory: Path | str) -> bool:
    """Whether a store lies in `directory`."""
    try:
        return (Path(directory) / FILE_NAME).is_file()
    except (OSError, ValueError):
        return False


_inherited: list[sqlite3.Connection] = []
"""Connections of the parents of this process, never used and never closed."""


def _keep(database: sqlite3.Connection, item: StoredEndorsement) -> bool:
    """Write an item unless a newer one of its key is there; an older one goes. Gives whether it was written."""
    row = (item.anchor, item.channel, str(item.item))
    endorsement = replace(item.endorsement, origin=Origin.LOCAL)  # as it will be read
    if endorsement.kind.is_named_by_request:  # several may be good
        same = (*row, endorsement.digest)
        database.execute("DELETE FROM items WHERE anchor = ? AND channel = ? AND lookup = ? AND digest = ?", same)
    else:
        newer = database.execute(
            "SELECT 1 FROM items WHERE anchor = ? AND channel = ? AND lookup = ? AND issued > ?",
            (*row, _seconds(item.issued)),
        ).fetchone()
        if newer is not None:
            return False
        database.execute("DELETE FROM items WHERE anchor = ? AND channel = ? AND lookup = ?", row)
    database.execute(
        "INSERT INTO items VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            *row,
            endorsement.digest,
            cbor2.dumps([list(part) for part in item.item.key]),
            endorsement.kind.value,
            endorsement.data,
            cbor2.dumps([endorsement.signature, list(endorsement.issuer_chain)]),
            str(item.number),
            _seconds(item.issued),
            _seconds(item.expires),
            _seconds(item.kept),
        ),
    )
    return True


def _raise_floor(database: sqlite3.Connection, item: StoredEndorsement) -> None:
    row = (item.anchor, item.channel, str(item.item))
    known = database.execute(
        "SELECT number, issued FROM floors WHERE anchor = ? AND channel = ? AND lookup = ?", row
    ).fetchone()
    number, issued = (int(known[0]), known[1]) if known is not None else (0, 0)
    floor = (str(max(number, item.number)), max(issued, _seconds(item.issued)))
    database.execute("INSERT OR REPLACE INTO floors VALUES (?, ?, ?, ?, ?)", (*row, *floor))


def _seconds(time: datetime) -> int:
    return int(time.timestamp())


def _stored(row: tuple[Any, ...]) -> StoredEndorsement | None:
    """Give an item out of its columns; None of a kind or form that is not known here, or not as it was written."""
    anchor, channel, digest, kind, key, data, proof, number, *times = row
    try:
        parts = decode_exact(key, "StoredKey", max_depth=3)
        value = decode_exact(proof, "StoredProof", max_depth=3)
        known, counted = EndorsementKind(kind), int(number)
        issued, expires, kept = (datetime.fromtimestamp(seconds, UTC) for seconds in times)
    except (DecodeError, ValueError, OverflowError, TypeError):
        return None
    match value:
        case [bytes() as signature, list() as chain] if all(isinstance(der, bytes) for der in chain):
            endorsement = Endorsement(kind=known, data=data, signature=signature, issuer_chain=tuple(chain))
        case _:
            return None
    if endorsement.digest != digest:  # a disk's errors: it is fetched anew, where else it would be refused
        return None
    if not isinstance(parts, list) or not all(_is_part(part) for part in parts):
        return None
    return StoredEndorsement(
        anchor=anchor,
        channel=channel,
        item=MissingEndorsement(kind=known, key=tuple((name, text) for name, text in parts)),
        endorsement=endorsement,
        issued=issued,
        expires=expires,
        kept=kept,
        number=counted,
    )


def _is_part(part: object) -> bool:
    return isinstance(part, list) and len(part) == 2 and all(isinstance(text, str) for text in part)
