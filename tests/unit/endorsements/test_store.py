"""The store on disk: newest, bounded, shared, and readable whatever happens to who writes."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from rats_tls.core.endorsements import Endorsement, EndorsementKind, MissingEndorsement
from rats_tls.core.errors import ConfigurationError
from rats_tls.endorsements.store import FILE_NAME, EndorsementStore, StoredEndorsement

ANCHOR, OTHER = b"a" * 32, b"b" * 32
START = datetime(2026, 1, 1, tzinfo=UTC)
WRITER = """
import sys
from datetime import datetime, timedelta, UTC
from rats_tls.core.endorsements import Endorsement, EndorsementKind, MissingEndorsement
from rats_tls.endorsements.store import EndorsementStore, StoredEndorsement
store = EndorsementStore(sys.argv[1])
print("ready", flush=True)
number = 0
while True:
    number += 1
    time = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=number)
    chip = number % 50
    if number % 7 == 0:
        store.prune(time + timedelta(days=1) - timedelta(seconds=20))  # all but the last 20
    item = Endorsement(kind=EndorsementKind.AMD_VEK, data=bytes([chip]) * 2000, issuer_chain=(bytes([chip]) * 10,))
    stored = StoredEndorsement(anchor=b"a" * 32, number=number, kept=time, issued=time,
        expires=time + timedelta(days=1), endorsement=item,
        item=MissingEndorsement(kind=EndorsementKind.AMD_VEK, key=(("chip", str(chip)),)))
    store.keep([stored], raises_floors=True)
    store.note_use(stored, time + timedelta(days=2))
"""


def key(name: str) -> MissingEndorsement:
    return MissingEndorsement(kind=EndorsementKind.AMD_VEK, key=(("hwid", name),))


def document(name: str, data: bytes = b"data", *, kind: EndorsementKind, day: int = 0) -> StoredEndorsement:
    """Make an item that is not of a single platform."""
    item = stored(name, data, day=day)
    return replace(
        item,
        item=MissingEndorsement(kind=kind, key=(("id", name),)),
        endorsement=Endorsement(kind=kind, data=data),
    )


def stored(name: str, data: bytes = b"data", *, anchor: bytes = ANCHOR, day: int = 0) -> StoredEndorsement:
    issued = START + timedelta(days=day)
    return StoredEndorsement(
        anchor=anchor,
        item=key(name),
        endorsement=Endorsement(
            kind=EndorsementKind.AMD_VEK, data=data, signature=b"s" * 64, issuer_chain=(b"one", b"two")
        ),
        issued=issued,
        expires=issued + timedelta(days=30),
        kept=START,
    )


def test_what_is_kept_is_found_whole(tmp_path: Path) -> None:
    item = stored("1")
    EndorsementStore(tmp_path).keep([item])
    again = EndorsementStore(tmp_path)
    assert again.find(key("1"), [ANCHOR]) == (item,)
    assert again.entries() == (item,)
    assert again.find(key("2"), [ANCHOR]) == ()


@pytest.mark.parametrize("column", ["data", "proof", "digest"])
def test_what_is_not_as_it_was_written_is_not_there(tmp_path: Path, column: str) -> None:
    """A bit that a disk has turned: the item is fetched anew, and nobody is refused for it until it expires."""
    store = EndorsementStore(tmp_path)
    item = stored("1")
    store.keep([item])
    with sqlite3.connect(tmp_path / FILE_NAME) as database:
        (good,) = database.execute(f"SELECT {column} FROM items").fetchone()
        database.execute(f"UPDATE items SET {column} = ?", (good[:-1] + bytes([good[-1] ^ 1]),))
    database.close()
    assert store.find(key("1"), [ANCHOR]) == store.entries() == ()
    store.keep([item])
    assert store.entries() == (item,)


def test_an_item_is_found_under_its_anchor_only(tmp_path: Path) -> None:
    store = EndorsementStore(tmp_path)
    store.keep([stored("1", b"simulated", anchor=OTHER), stored("1", b"genuine")])
    assert [found.endorsement.data for found in store.find(key("1"), [ANCHOR])] == [b"genuine"]
    assert store.find(key("1"), []) == ()


@pytest.mark.parametrize("days", [(0, 1), (1, 0)])
def test_the_newest_stays(tmp_path: Path, days: tuple[int, int]) -> None:
    store = EndorsementStore(tmp_path)
    for day in days:
        store.keep([stored("1", bytes([day]), day=day)])
    assert [found.endorsement.data for found in store.find(key("1"), [ANCHOR])] == [b"\1"]


def names(store: EndorsementStore) -> set[str]:
    return {found.item.key[0][1] for found in store.entries()}


def test_its_size_is_bounded_and_of_documents_what_expires_first_goes_first(tmp_path: Path) -> None:
    store = EndorsementStore(tmp_path, most_bytes=5000)
    kind = EndorsementKind.INTEL_TCB_INFO
    store.keep([document(str(number), bytes(1000), kind=kind, day=9 - number) for number in range(10)])
    assert names(store) == {"0", "1", "2", "3"}


def test_certificates_of_platforms_go_before_documents_and_lists(tmp_path: Path) -> None:
    """Of chips there may be any number, and a certificate lasts for years; without a list nobody is accepted."""
    store = EndorsementStore(tmp_path, most_bytes=5000)
    kinds = [kind for kind in EndorsementKind if not kind.is_of_one_platform][:3]
    store.keep([document(kind.value, bytes(1000), kind=kind) for kind in kinds])
    for number in range(20):
        late = START + timedelta(days=100 + number)  # the documents have ended
        store.keep([replace(stored(str(number), bytes(1000), day=1 + number), kept=late)])
        assert {kind.value for kind in kinds} <= names(store)


def test_of_certificates_of_platforms_the_longest_not_used_go_first(tmp_path: Path) -> None:
    store = EndorsementStore(tmp_path, most_bytes=4600)
    chips = [stored(str(number), bytes(1000), day=9 - number) for number in range(4)]
    store.keep(chips)
    for days, chip in ((3, chips[2]), (2, chips[0]), (4, chips[1])):
        store.note_use(chip, START + timedelta(days=days))
    for number, gone in ((10, "3"), (11, "0"), (12, "2"), (13, "1")):
        there = names(store)
        store.keep([replace(stored(str(number), bytes(1000)), kept=START + timedelta(days=number))])
        assert there - names(store) == {gone}


def test_a_use_in_a_time_to_come_is_one_of_now(tmp_path: Path) -> None:
    store = EndorsementStore(tmp_path)
    store.note_use(stored("1"), datetime.now(UTC) + timedelta(days=9999))
    with sqlite3.connect(tmp_path / FILE_NAME) as database:
        ((used,),) = database.execute("SELECT used FROM uses").fetchall()
    database.close()
    assert used <= time.time()


def test_uses_of_what_is_gone_are_forgotten(tmp_path: Path) -> None:
    store = EndorsementStore(tmp_path)
    store.keep([stored("old"), stored("new", day=5)])
    for name in ("old", "new"):
        store.note_use(stored(name), START + timedelta(days=2))
    store.prune(START + timedelta(days=31))
    with sqlite3.connect(tmp_path / FILE_NAME) as database:
        assert database.execute("SELECT lookup FROM uses").fetchall() == [(str(key("new")),)]
    database.close()


def test_what_is_kept_about_a_platform_is_known_under_its_anchor_only(tmp_path: Path) -> None:
    store = EndorsementStore(tmp_path)
    item = MissingEndorsement(kind=EndorsementKind.AMD_VEK, key=(("product", "Milan"), ("hwid", "ab"), ("blSPL", "3")))
    store.keep([replace(stored("1"), item=item)])
    beginning = "amd-vek (product Milan, hwid ab"
    assert store.has_about(beginning, [OTHER, ANCHOR])
    assert not store.has_about(beginning, [OTHER])
    for other in (
        "amd-vek (product Milan, hwid a",
        "amd-vek (product Milan, hwid abc",
        "amd-vek (product Genoa, hwid ab",
    ):
        assert not store.has_about(other, [ANCHOR])
    assert store.has_about(beginning + ", blSPL 3", [ANCHOR])


def test_prune_takes_what_has_expired(tmp_path: Path) -> None:
    store = EndorsementStore(tmp_path)
    store.keep([stored("old"), stored("new", day=5)])
    assert store.prune(START + timedelta(days=31)) == 1
    assert [found.item for found in store.entries()] == [key("new")]


@pytest.mark.parametrize(
    "content", [b"this is no database, and long enough to be looked at" * 40, b"SQLite format 3\0" + bytes(4000)]
)
def test_a_file_that_is_no_store_is_one_clear_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE_NAME).write_bytes(content)
    with pytest.raises(ConfigurationError, match=FILE_NAME):
        EndorsementStore(tmp_path)


def test_a_directory_that_cannot_be_made_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ConfigurationError, match="store"):
        EndorsementStore(tmp_path / "file" / "store")


def test_a_forked_child_reads_and_writes(tmp_path: Path) -> None:
    store = EndorsementStore(tmp_path)
    store.keep([stored("parent")])
    child = os.fork()
    if child == 0:
        try:
            assert store.find(key("parent"), [ANCHOR])
            store.keep([stored("child")])
        except BaseException:  # noqa: BLE001  # told by the exit code
            os._exit(1)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert store.find(key("child"), [ANCHOR])


def test_a_writer_killed_at_any_moment_leaves_a_store_that_reads(tmp_path: Path) -> None:
    """100 moments; what is read afterwards is whole, each time."""
    chance = random.Random(1)
    for _ in range(100):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, env={**os.environ}
        )
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"ready\n"
        time.sleep(chance.random() * 0.02)
        writer.send_signal(signal.SIGKILL)
        writer.wait(20)
        writer.stdout.close()
        for found in EndorsementStore(tmp_path).entries():
            chip = int(found.item.key[0][1])
            assert found.endorsement.data == bytes([chip]) * 2000
            assert found.endorsement.issuer_chain == (bytes([chip]) * 10,)
    assert EndorsementStore(tmp_path).entries()


def test_who_may_not_write_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As who watches what expires when, while the service has the store open."""
    writer = EndorsementStore(tmp_path)
    writer.keep([stored("1")], raises_floors=True)
    monkeypatch.setattr("rats_tls.endorsements.store.os.access", lambda *_: False)
    reader = EndorsementStore(tmp_path)
    assert reader.entries() == (stored("1"),)
    with pytest.raises(ConfigurationError, match="readonly"):
        reader.keep([stored("2")])
    monkeypatch.undo()
    writer.keep([stored("3")])
    assert len(reader.entries()) == 2


def test_a_store_that_nobody_has_open_is_read_without_lock_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A directory without leave to write has no room for them; who is root would be let write."""
    EndorsementStore(tmp_path).keep([stored("1")])
    with sqlite3.connect(tmp_path / FILE_NAME) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()
    copied = tmp_path / "copied"
    copied.mkdir()
    (copied / FILE_NAME).write_bytes((tmp_path / FILE_NAME).read_bytes())
    opened: list[str] = []
    connect = sqlite3.connect

    def without_room_for_locks(target: str, **settings: Any) -> sqlite3.Connection:
        opened.append(target.rpartition("?")[2])
        if opened[-1] == "mode=ro":
            return connect(str(tmp_path / "absent" / "file?mode=ro"), **{**settings, "uri": False})
        return connect(target, **settings)

    monkeypatch.setattr("rats_tls.endorsements.store.os.access", lambda *_: False)
    monkeypatch.setattr("rats_tls.endorsements.store.sqlite3.connect", without_room_for_locks)
    assert EndorsementStore(copied).entries() == (stored("1"),)
    assert opened == ["mode=ro", "immutable=1"]
    assert [path.name for path in copied.iterdir()] == [FILE_NAME]
