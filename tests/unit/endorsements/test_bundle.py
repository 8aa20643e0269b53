"""Bundles: what is written is read, and what is anything else is refused with an error that names it."""

from __future__ import annotations

import io
import os
import random
import re
import struct
import tracemalloc
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rats_tls.core.endorsements import Endorsement, EndorsementKind, MissingEndorsement, Origin
from rats_tls.core.errors import ConfigurationError, DecodeError
from rats_tls.core.limits import DEFAULT_BUNDLE_LIMITS, BundleLimits
from rats_tls.endorsements import bundle as bundles
from rats_tls.endorsements.bundle import MANIFEST, Bundle, bundle_from_bytes, bundle_to_bytes, read_bundle, write_bundle
from support.bundles import SGX, SNP, TDX, archive_of, bundle_of, files_of, small_bundle, with_files, with_manifest
from support.pcs import one, simulated

K = EndorsementKind


def read(data: bytes, limits: BundleLimits = DEFAULT_BUNDLE_LIMITS) -> Bundle:
    return bundle_from_bytes(data, where="carried.zip", limits=limits)


def problem(data: bytes, limits: BundleLimits = DEFAULT_BUNDLE_LIMITS) -> str:
    with pytest.raises(DecodeError) as caught:
        read(data, limits)
    assert caught.value.message.startswith("carried.zip: ")
    return caught.value.message


# --- round trip ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", [SGX, TDX, SNP])
def test_what_is_written_is_read(name: str) -> None:
    bundle = bundle_of(*simulated(name))
    again = read(bundle_to_bytes(bundle))
    assert (again.made, again.channel) == (bundle.made, "standard")
    assert sorted(again.items, key=repr) == sorted(bundle.items, key=repr)


def test_the_bytes_of_a_document_stay() -> None:
    """The signature is over them, spaces and all."""
    item = one(TDX, K.INTEL_QE_IDENTITY)
    data = item.data.replace(b'{"id"', b'{ "id"', 1)
    assert data != item.data
    bundle = bundle_of(item, channel="early")
    bundle = replace(bundle, items=(replace(bundle.items[0], endorsement=replace(item, data=data)),))
    (again,) = read(bundle_to_bytes(bundle)).items
    assert again.endorsement.data == data
    assert read(bundle_to_bytes(bundle)).channel == "early"


def test_the_same_items_give_the_same_bytes() -> None:
    bundle = bundle_of(*simulated(TDX), *simulated(SNP))
    backwards = replace(bundle, items=bundle.items[::-1])
    assert bundle_to_bytes(bundle) == bundle_to_bytes(backwards)


def test_members_are_as_vendors_serve_them() -> None:
    files = dict(files_of(bundle_to_bytes(bundle_of(*simulated(TDX), *simulated(SNP)))))
    assert next(iter(files)) == MANIFEST
    assert files["intel-tcb-info/1.json"].startswith(b'{"tcbInfo":{')
    assert files["intel-tcb-info/1.pem"].startswith(b"-----BEGIN CERTIFICATE-----")
    assert files["amd-vek/1.der"] == one(SNP, K.AMD_VEK).data
    assert files["amd-crl/1.crl"] == one(SNP, K.AMD_CRL).data


def test_a_peers_copy_becomes_local() -> None:
    (item,) = bundle_of(replace(one(SNP, K.AMD_VEK), origin=Origin.PEER)).items
    (again,) = read(bundle_to_bytes(replace(bundle_of(), items=(item,)))).items
    assert again.endorsement.origin is Origin.LOCAL


def test_keys_keep_their_order() -> None:
    key = MissingEndorsement(kind=K.AMD_VEK, key=(("z", "1"), ("a", "2"), ("m", "")))
    (item,) = bundle_of(one(SNP, K.AMD_VEK)).items
    (again,) = read(bundle_to_bytes(replace(bundle_of(), items=(replace(item, keys=(key,)),)))).items
    assert again.keys == (key,)


# --- what is not written ------------------------------------------------------------------------------------------
def test_nothing_is_no_bundle() -> None:
    with pytest.raises(ConfigurationError, match="nothing to write"):
        bundle_to_bytes(replace(bundle_of(), items=()))


def test_an_unknown_channel_is_not_written() -> None:
    with pytest.raises(ConfigurationError, match="'late', expected standard or early"):
        bundle_to_bytes(replace(bundle_of(), channel="late"))


@pytest.mark.parametrize(
    "item",
    [
        Endorsement(kind=K.INTEL_TCB_INFO, data=b' {"id":"TDX"} ', signature=bytes(64)),
        Endorsement(kind=K.INTEL_TCB_INFO, data=b"{}", signature=bytes(3)),
        Endorsement(kind=K.INTEL_TCB_INFO, data=b'{},"more":{}', signature=bytes(64)),
        Endorsement(kind=K.AMD_VEK, data=b"der", signature=bytes(64)),
        Endorsement(kind=K.AMD_VEK, data=bytes(1_048_577)),
        Endorsement(kind=K.INTEL_PCK_CHAIN, data=b"leaf", issuer_chain=(b"der",) * 9),
    ],
)
def test_what_would_be_read_otherwise_is_not_written(item: Endorsement) -> None:
    first = bundle_of().items[0]
    with pytest.raises(ConfigurationError, match="no form in a bundle"):
        bundle_to_bytes(replace(bundle_of(), items=(replace(first, endorsement=item),)))


@pytest.mark.parametrize("limit", ["archive", "members", "manifest", "total"])
def test_more_than_fits_is_not_written(limit: str) -> None:
    limits = replace(DEFAULT_BUNDLE_LIMITS, **{limit: 3})
    with pytest.raises(ConfigurationError, match="at most 3 fit into one"):
        bundle_to_bytes(bundle_of(), limits=limits)


def test_a_bundle_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "bundle.zip"
    path.write_bytes(b"before")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", fail)
        with pytest.raises(ConfigurationError, match=re.escape(f"{path}: No space left on device")):
            write_bundle(path, bundle_of())
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]
    write_bundle(path, bundle_of())
    assert len(read_bundle(path).items) == len(bundle_of().items)
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_stays_and_a_pipe_is_no_place(tmp_path: Path) -> None:
    (tmp_path / "there.zip").write_bytes(b"")
    (tmp_path / "link.zip").symlink_to("there.zip")
    write_bundle(tmp_path / "link.zip", bundle_of())
    assert (tmp_path / "link.zip").is_symlink()
    assert read_bundle(tmp_path / "there.zip").items
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ConfigurationError, match="not a regular file"):
        write_bundle(tmp_path / "pipe", bundle_of())
    with pytest.raises(ConfigurationError, match="not a regular file"):
        read_bundle(tmp_path / "pipe")


# --- what is not read ---------------------------------------------------------------------------------------------
def test_every_truncation_is_refused() -> None:
    data = small_bundle()
    for length in range(len(data)):
        problem(data[:length])


def test_changed_bytes_are_refused_or_change_nothing() -> None:
    data, good = small_bundle(), read(small_bundle())
    chance = random.Random(1)
    readings = []
    for _ in range(600):
        changed = bytearray(data)
        changed[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        readings.append(reading(bytes(changed)))
    assert all(each in {None, good} for each in readings)
    assert readings.count(None) > 500  # the others are dates and attributes of members, which nothing reads


def reading(data: bytes) -> Bundle | None:
    try:
        return read(data)
    except DecodeError:
        return None


@pytest.mark.parametrize(
    "name",
    [
        "../outside.der",
        "/absolute.der",
        "amd-vek/../../1.der",
        "amd-vek\\1.der",
        "C:1.der",
        "amd-vek/",
        ".hidden",
        "a/b/c.der",
        "Manifest.json",
        "ümlaut.der",
        "x" * 200 + ".der",
        "",
    ],
)
def test_names_that_no_bundle_has(name: str) -> None:
    def rename(files: list[tuple[str, bytes]]) -> None:
        files[1] = (name, files[1][1])

    assert "a name that no member of a bundle has" in problem(with_files(small_bundle(), rename))


def test_a_name_with_a_nul_is_not_cut() -> None:
    data = small_bundle().replace(b"manifest.json", b"manifest.jso\0")
    assert "a name that no member" in problem(data)


def test_names_occur_once() -> None:
    files = files_of(small_bundle())
    with pytest.warns(UserWarning, match="Duplicate name"):
        data = archive_of([*files, files[1]])
    assert "2 members have this name" in problem(data)


def test_a_manifest_occurs_once() -> None:
    files = files_of(small_bundle())
    with pytest.warns(UserWarning, match="Duplicate name"):
        data = archive_of([*files, files[0]])
    assert "2 members have this name" in problem(data)


def test_the_manifest_is_the_first() -> None:
    assert f"not {MANIFEST}" in problem(with_files(small_bundle(), list.reverse))


def test_what_the_manifest_does_not_list() -> None:
    data = with_files(small_bundle(), lambda files: files.append(("extra.bin", b"x")))
    assert "extra.bin: is not in the manifest" in problem(data)


def test_what_the_archive_does_not_hold() -> None:
    data = with_files(small_bundle(), lambda files: files.pop(1) and None)
    assert "is in the manifest and not in the archive" in problem(data)


def test_a_file_belongs_to_one_item() -> None:
    data = with_manifest(small_bundle(), lambda manifest: manifest["items"].append(manifest["items"][0]))
    assert "is in the manifest twice" in problem(data)


def test_another_file_than_the_manifest_was_written_for() -> None:
    def change(files: list[tuple[str, bytes]]) -> None:
        name, content = next(file for file in files if file[0].endswith(".crl"))
        files[files.index((name, content))] = (name, content[:-1] + bytes([content[-1] ^ 1]))

    message = problem(with_files(small_bundle(), change))
    assert re.search(r"sha256: .*crl: got [0-9a-f]{64}, expected [0-9a-f]{64}", message)


def test_another_chain_than_the_manifest_was_written_for() -> None:
    def change(files: list[tuple[str, bytes]]) -> None:
        name, content = next(file for file in files if file[0].endswith(".pem"))
        files[files.index((name, content))] = (name, content + b"\n")

    assert "chain_sha256" in problem(with_files(small_bundle(), change))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m.update(schema="rats-tls/endorsement-bundle/2"), "schema: got 'rats-tls/endorsement-bundle/2'"),
        (lambda m: m.update(channel="late"), "channel: got 'late', expected standard or early"),
        (lambda m: m.update(made="yesterday"), "made: got 'yesterday'"),
        (lambda m: m.pop("made"), "made: missing"),
        (lambda m: m.update(items=[]), "items: the list is empty"),
        (lambda m: m.update(items={}), "items: got an object, expected a list"),
        (lambda m: m["items"][0].update(kind="amd-rumour"), "kind: got 'amd-rumour'"),
        (lambda m: m["items"][0].update(keys=[{"a": 1}]), "keys[0].a: got an integer, expected a string"),
        (lambda m: m["items"][0].update(keys=[{}] * 65), "65 members, at most 64"),
        (lambda m: m["items"][0].update(sha256="00"), "sha256: got 2 characters"),
        (lambda m: m["items"][0].update(file=7), "file: got an integer"),
        (lambda m: m["items"][0].update(issued="2026-02-30T00:00:00Z"), "issued: got 2026-02-30T00:00:00Z"),
        (lambda m: m["items"][0].pop("expires"), "expires: missing"),
    ],
)
def test_manifests_of_another_form(change: Callable[[dict[str, Any]], None], message: str) -> None:
    assert message in problem(with_manifest(small_bundle(), change))


def test_manifests_with_more_in_them_are_read() -> None:
    def change(manifest: dict[str, Any]) -> None:
        manifest["note"] = "from the other site"
        manifest["items"][0]["colour"] = "blue"

    assert read(with_manifest(small_bundle(), change)).items == read(small_bundle()).items


@pytest.mark.parametrize("text", [b"", b"[]", b"{", b'{"schema":1,"schema":1}', b"\xff", b"[" * 100_000])
def test_manifests_that_are_none(text: bytes) -> None:
    def change(files: list[tuple[str, bytes]]) -> None:
        files[0] = (MANIFEST, text)

    assert MANIFEST in problem(with_files(small_bundle(), change))


# --- hostile archives ---------------------------------------------------------------------------------------------
def test_other_compression_is_not_read() -> None:
    assert "compression: got method 12" in problem(archive_of(files_of(small_bundle()), zipfile.ZIP_BZIP2))


def test_stored_members_are_read() -> None:
    assert read(archive_of(files_of(small_bundle()), zipfile.ZIP_STORED)).items == read(small_bundle()).items


@pytest.mark.parametrize("flag", [0x1, 0x20, 0x40, 0x2000])
def test_encrypted_members_are_not_read(flag: int) -> None:
    data = bytearray(small_bundle())
    (at,) = struct.unpack("<L", data[-6:-2])
    flags = struct.unpack("<H", data[at + 8 : at + 10])[0] | flag
    data[at + 8 : at + 10] = struct.pack("<H", flags)
    assert "encrypted, or of another kind" in problem(bytes(data))


def test_a_bomb_is_read_to_its_limit() -> None:
    """Neither the manifest nor a member; whatever size its header says."""
    bomb = bytes(40_000_000)

    def in_manifest(files: list[tuple[str, bytes]]) -> None:
        files[0] = (MANIFEST, bomb)

    def in_member(files: list[tuple[str, bytes]]) -> None:
        files[1] = (files[1][0], bomb)

    for change in (in_manifest, in_member):
        data = with_files(small_bundle(), change)
        assert len(data) < 200_000
        tracemalloc.start()
        try:
            message = problem(data)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert "the most that are read" in message
        assert peak < 30_000_000


def test_a_header_that_lies_about_the_size() -> None:
    def in_member(files: list[tuple[str, bytes]]) -> None:
        files[1] = (files[1][0], bytes(2_000_000))

    data = with_files(small_bundle(), in_member).replace(struct.pack("<L", 2_000_000), struct.pack("<L", 100))
    problem(data)


def test_many_members_have_a_limit_together() -> None:
    limits = replace(DEFAULT_BUNDLE_LIMITS, total=2000)
    assert "the most that are read" in problem(small_bundle(), limits)


def test_a_large_archive_is_not_looked_at() -> None:
    data = small_bundle()
    limits = replace(DEFAULT_BUNDLE_LIMITS, archive=len(data) - 1)
    assert f"got {len(data)} bytes, at most {len(data) - 1} are read" in problem(data, limits)


def test_many_members_are_refused_before_they_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    data = archive_of([(MANIFEST, b"{}"), *((f"{number}.der", b"") for number in range(20_000))])

    def never(*_: object) -> None:
        raise AssertionError("the directory was read")

    monkeypatch.setattr(bundles.zipfile, "ZipFile", never)
    assert "got 20001 members, at most 16384 are read" in problem(data)


def test_a_directory_that_is_larger_than_its_members_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the record at the end says of their number is nothing that the standard library goes by."""
    data = bytearray(archive_of([(MANIFEST, b"{}"), *((f"{number}.der", b"") for number in range(2000))]))
    data[-14:-10] = struct.pack("<2H", 1, 1)

    def never(*_: object) -> None:
        raise AssertionError("the directory was read")

    monkeypatch.setattr(bundles.zipfile, "ZipFile", never)
    assert "too large for 1 members" in problem(bytes(data))


def test_a_record_at_the_end_that_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """The standard library goes by another one before it, of which this is the comment."""
    data = archive_of([(MANIFEST, b"{}"), *((f"{number}.der", b"") for number in range(20_000))])
    small = struct.pack("<4s4H2LH", b"none", 0, 0, 1, 1, 200, len(data) - 200, 0)
    data = data[:-2] + struct.pack("<H", len(small)) + small
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert len(archive.namelist()) == 20_001

    def never(*_: object) -> None:
        raise AssertionError("the directory was read")

    monkeypatch.setattr(bundles.zipfile, "ZipFile", never)
    assert "no end of a ZIP archive" in problem(data)


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data + b"x",
        lambda data: b"x" + data,
        lambda data: data[:-2] + b"\x01\x00x",
        lambda data: data[:0] + b"PK\x05\x06" + bytes(18),
        lambda data: data[:2],
    ],
    ids=["behind", "before", "comment", "empty", "nothing"],
)
def test_one_whole_archive_and_nothing_else(change: Callable[[bytes], bytes]) -> None:
    problem(change(small_bundle()))


def test_64_bit_archives_are_not_read() -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in files_of(small_bundle()):
            archive.writestr(name, content)
    data = stream.getvalue()
    end = data[-22:]
    _, _, _, _, count, size, offset, _ = struct.unpack("<4s4H2LH", end)
    record = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, count, count, size, offset)
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, offset + size, 1)
    assert "without 64-bit fields" in problem(data[:-22] + record + locator + end)
