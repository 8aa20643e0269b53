"""The source over bundles and other files: what it gives, and when it reads again."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from rats_tls.core.endorsements import EndorsementKind, MissingEndorsement
from rats_tls.core.errors import ConfigurationError
from rats_tls.endorsements.budget import FetchBudget, Rate
from rats_tls.endorsements.bundle_source import BundleSource, described, read_carried
from rats_tls.endorsements.failures import RecentFailures
from rats_tls.endorsements.fetcher import Fetcher
from rats_tls.endorsements.service import EndorsementService
from rats_tls.endorsements.source import FetchError, FetchProblem
from rats_tls.formats.endorsement_keys import keys_of
from rats_tls.formats.intel.collateral import endorsements_to_json
from support.bundles import SNP, TDX, bundle_of, with_item, write
from support.fetching import ScriptedSource
from support.pcs import one, simulated

K = EndorsementKind
TCB_INFO = one(TDX, K.INTEL_TCB_INFO)
VEK = one(SNP, K.AMD_VEK)
(TCB_KEY,) = keys_of(TCB_INFO)


def changed(path: Path) -> None:
    """Let the file seem written later, whatever the resolution of its times is."""
    status = path.stat()
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1_000_000_000))


def problem(source: BundleSource, item: MissingEndorsement) -> FetchError:
    with pytest.raises(FetchError) as caught:
        source.fetch(item)
    return caught.value


def test_it_gives_what_is_in_a_bundle(tmp_path: Path) -> None:
    path = write(tmp_path / "b.zip", bundle_of(*simulated(TDX), *simulated(SNP), channel="early"))
    source = BundleSource(path)
    assert (source.name, source.channel) == (f"bundle {path}", "early")
    for item in (*simulated(TDX), *simulated(SNP)):
        for key in keys_of(item):
            assert source.serves(key)
            assert source.fetch(key) == (item,)
    unknown = replace(TCB_KEY, key=(*TCB_KEY.key[:1], ("fmspc", "00" * 6), *TCB_KEY.key[2:]))
    assert problem(source, unknown).problem is FetchProblem.NOT_FOUND
    assert not source.serves(MissingEndorsement(kind=K.AMD_ROOT))


def test_items_are_found_by_their_content_and_not_by_what_a_manifest_says(tmp_path: Path) -> None:
    lie = MissingEndorsement(kind=K.INTEL_TCB_INFO, key=(("id", "TDX"), ("fmspc", "00" * 6), ("pceid", "0000")))
    item = replace(described(TCB_INFO), keys=(lie,))
    source = BundleSource(write(tmp_path / "b.zip", replace(bundle_of(), items=(item,))))
    assert source.fetch(TCB_KEY) == (TCB_INFO,)
    assert problem(source, lie).problem is FetchProblem.NOT_FOUND


def test_pck_chains_are_found_by_what_they_were_asked_by(tmp_path: Path) -> None:
    chain = one("simulated_sgx_ecdsa", K.INTEL_PCK_CHAIN)
    asked = MissingEndorsement(kind=K.INTEL_PCK_CHAIN, key=(("encrypted_ppid", "ab" * 384),))
    item = described(chain)
    carried = replace(bundle_of(), items=(replace(item, keys=(asked,)),))
    source = BundleSource(write(tmp_path / "b.zip", carried))
    assert source.fetch(asked) == (chain,)
    assert source.fetch(item.keys[0]) == (chain,)


def test_a_directory_of_bundles_and_other_files(tmp_path: Path) -> None:
    write(tmp_path / "amd.zip", bundle_of(*simulated(SNP)))
    (tmp_path / "tdx.json").write_bytes(endorsements_to_json(simulated(TDX)))
    (tmp_path / ".hidden").write_bytes(b"nothing of ours")
    (tmp_path / "more").mkdir()
    source = BundleSource(tmp_path)
    assert source.channel == "standard"
    assert [found.data for found in source.fetch(TCB_KEY)] == [TCB_INFO.data]
    assert source.fetch(keys_of(VEK)[0]) == (VEK,)


def test_a_file_that_has_changed_is_read_again(tmp_path: Path) -> None:
    path = write(tmp_path / "b.zip", bundle_of(TCB_INFO))
    source = BundleSource(path)
    assert problem(source, keys_of(VEK)[0]).problem is FetchProblem.NOT_FOUND
    write(path, bundle_of(VEK))
    changed(path)
    assert source.fetch(keys_of(VEK)[0]) == (VEK,)
    assert problem(source, TCB_KEY).problem is FetchProblem.NOT_FOUND


def test_a_file_that_has_not_changed_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = BundleSource(write(tmp_path / "b.zip", bundle_of(TCB_INFO)))

    def never(*_: object, **__: object) -> None:
        raise AssertionError("it was read again")

    monkeypatch.setattr("rats_tls.endorsements.bundle_source.read_carried", never)
    assert source.fetch(TCB_KEY) == (TCB_INFO,)


def test_files_come_and_go(tmp_path: Path) -> None:
    source = BundleSource(tmp_path)
    path = write(tmp_path / "b.zip", bundle_of(TCB_INFO))
    assert source.fetch(TCB_KEY) == (TCB_INFO,)
    path.unlink()
    assert problem(source, TCB_KEY).problem is FetchProblem.NOT_FOUND


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    """And hides nothing that can."""
    path = write(tmp_path / "b.zip", bundle_of(TCB_INFO))
    (tmp_path / "bad.zip").write_bytes(path.read_bytes()[:-30])
    source = BundleSource(tmp_path)
    assert source.fetch(TCB_KEY) == (TCB_INFO,)
    error = problem(source, keys_of(VEK)[0])
    assert error.problem is FetchProblem.MALFORMED
    assert error.message.startswith(f"{tmp_path / 'bad.zip'}: Bundle")


def test_a_bundle_that_becomes_unreadable(tmp_path: Path) -> None:
    path = write(tmp_path / "b.zip", bundle_of(TCB_INFO))
    source = BundleSource(path)
    path.write_bytes(b"PK garbage")
    changed(path)
    assert str(path) in problem(source, TCB_KEY).message
    path.unlink()
    error = problem(source, TCB_KEY)
    assert (error.problem, error.message) == (FetchProblem.UNAVAILABLE, f"{path}: No such file or directory")


def test_a_malformed_item_hides_no_other(tmp_path: Path) -> None:
    good = bundle_of(TCB_INFO, VEK)
    bad = replace(described(VEK), endorsement=replace(VEK, data=b"\x30\x00"))
    source = BundleSource(write(tmp_path / "b.zip", with_item(good, 1, bad)))
    assert source.fetch(TCB_KEY) == (TCB_INFO,)
    assert "VekCertificate" in problem(source, keys_of(VEK)[0]).message


# --- update channels ----------------------------------------------------------------------------------------------
def test_channels_are_not_mixed(tmp_path: Path) -> None:
    write(tmp_path / "one.zip", bundle_of(TCB_INFO))
    two = write(tmp_path / "two.zip", bundle_of(VEK, channel="early"))
    with pytest.raises(ConfigurationError, match=r"two\.zip: update channel: got early, expected standard"):
        BundleSource(tmp_path)
    with pytest.raises(ConfigurationError, match=r"two\.zip: update channel"):
        BundleSource(two, channel="standard")
    assert BundleSource(two, channel="early").channel == "early"
    with pytest.raises(ConfigurationError, match="'late', expected standard or early"):
        BundleSource(two, channel="late")
    with pytest.raises(ConfigurationError, match="not to be mixed"):
        EndorsementService((BundleSource(tmp_path / "one.zip"), BundleSource(two)))


def test_a_bundle_of_another_channel_that_comes_later_gives_nothing(tmp_path: Path) -> None:
    source = BundleSource(tmp_path)
    write(tmp_path / "b.zip", bundle_of(TCB_INFO, channel="early"))
    assert "update channel: got early, expected standard" in problem(source, TCB_KEY).message


# --- what is no source --------------------------------------------------------------------------------------------
def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="No such file or directory"):
        BundleSource(tmp_path / "none.zip")
    (tmp_path / "empty.zip").write_bytes(b"")
    with pytest.raises(ConfigurationError, match="the file is empty"):
        BundleSource(tmp_path / "empty.zip")


def test_too_many_files(tmp_path: Path) -> None:
    for number in range(1025):
        (tmp_path / f"{number}").touch()
    with pytest.raises(ConfigurationError, match="got 1025 files, at most 1024"):
        BundleSource(tmp_path)


def test_a_large_file_is_read_as_a_bundle_alone(tmp_path: Path) -> None:
    path = tmp_path / "large.json"
    path.write_bytes(b"{" + bytes(5_000_000))
    with pytest.raises(ConfigurationError, match="larger than 4194304 bytes, and no bundle"):
        read_carried(path)


# --- nobody is asked ----------------------------------------------------------------------------------------------
def test_it_spends_no_budget(tmp_path: Path) -> None:
    """A site without a network would else be slowed by its own files."""
    source = BundleSource(write(tmp_path / "b.zip", bundle_of(*simulated(TDX))))
    budget = FetchBudget(total=Rate(burst=1, seconds_each=1000.0))
    fetcher = Fetcher((source, ScriptedSource(kinds=(K.AMD_VEK,))), budget=budget)
    for _ in range(3):
        assert fetcher.fetch((TCB_KEY,), authenticated=False).found == (TCB_INFO,)
    assert fetcher.fetch((keys_of(VEK)[0],), authenticated=False).found
    assert fetcher.fetch((keys_of(VEK)[0],), authenticated=False).missing


def test_what_it_did_not_have_is_not_remembered(tmp_path: Path) -> None:
    path = write(tmp_path / "b.zip", bundle_of(VEK))
    failures = RecentFailures()
    fetcher = Fetcher((BundleSource(path),), failures=failures)
    assert fetcher.fetch((TCB_KEY,), authenticated=False).missing
    assert len(failures) == 0
    write(path, bundle_of(TCB_INFO))
    changed(path)
    assert fetcher.fetch((TCB_KEY,), authenticated=False).found == (TCB_INFO,)
