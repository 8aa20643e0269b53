"""What is at a path where something of one kind should be."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from rats_tls.attesters.device import CharacterDevice
from rats_tls.attesters.gramine import Gramine
from rats_tls.attesters.occlum import Occlum
from rats_tls.attesters.presence import absence
from rats_tls.attesters.sev_snp import SevSnpAttester
from rats_tls.attesters.sgx_ecdsa import SgxEcdsaAttester
from rats_tls.attesters.tsm import Tsm
from support.devices import refusal

LOOP = "cannot be looked at (Too many levels of symbolic links)"
NO_DEVICE = "is there, but is no character device"


@pytest.fixture
def loop(tmp_path: Path) -> str:
    path = tmp_path / "loop"
    path.symlink_to("loop")
    return str(path)


def test_what_is_there(tmp_path: Path, loop: str) -> None:
    assert absence(str(tmp_path), stat.S_ISDIR, "directory") == ""
    assert absence("/dev/null", stat.S_ISDIR, "directory") == "is there, but is no directory"
    assert absence(f"{tmp_path}/none", stat.S_ISDIR, "directory") == "is not there"
    assert absence(loop, stat.S_ISDIR, "directory") == LOOP
    assert absence("a\0b", stat.S_ISDIR, "directory") == "cannot be looked at (embedded null byte)"


def test_a_machine_where_something_else_is_there(tmp_path: Path, loop: str) -> None:
    """No reason is guessed: what it is is said."""
    (tmp_path / "directory").mkdir()
    device = CharacterDevice(f"{tmp_path}/directory")
    snp = SevSnpAttester(tsm=Tsm(loop), device=device)
    assert refusal(snp) == f"attester sev_snp: {loop} {LOOP}, and {device.path} {NO_DEVICE}"
    sgx = SgxEcdsaAttester(gramine=Gramine(loop), occlum=Occlum(device))
    under = "this process runs under neither Gramine nor Occlum"
    assert refusal(sgx) == f"attester sgx_ecdsa: {loop} {LOOP}, and {device.path} {NO_DEVICE}: {under}"
    for made in (snp, sgx):
        assert made.availability().told in refusal(made)
