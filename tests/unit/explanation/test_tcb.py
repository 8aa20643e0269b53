"""How far a TCB is behind, and what of it the policy demands."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rats_tls.core.checks import Verdict
from rats_tls.core.claims import NullClaims, SnpTcb
from rats_tls.explanation import TcbTable, tcb_tables
from rats_tls.policy import ANY, IntelMinimumTcb, SnpMinimumTcb
from support.claims import SGX, SNP
from support.explained import case, judge_state
from support.policies import pinning_entry
from support.sides import TDX as SIMULATED_TDX


def tables(name: str) -> dict[str, TcbTable]:
    return {table.title: table for table in case(name).explained().tcb}


def test_an_sgx_platform_that_is_behind() -> None:
    found = tables("out of date")
    platform, qe = found["platform"], found["quoting enclave QE"]
    assert platform.rows == (("SGX component 1", "4", "8"),)
    assert platform.columns == ("component", "has", "newest")
    assert dict(platform.facts) == {
        "status": "OutOfDate",
        "level of": "2023-08-09",
        "newest level": "2024-11-13, 462 days later",
        "advisories": "INTEL-SA-00837, INTEL-SA-01036",
    }
    assert (platform.behind, qe.behind) == (True, False)
    assert dict(qe.facts)["status"] == "UpToDate"


def test_a_tdx_platform_and_module_that_are_behind() -> None:
    found = tables("tdx out of date")
    assert found["platform"].rows == (("SGX component 1", "4", "8"), ("TDX component 3", "2", "3"))
    assert found["TDX module TDX_01"].rows == (("ISV SVN", "4", "6"),)
    assert dict(found["TDX module TDX_01"].facts)["advisories"] == "INTEL-SA-01099"
    assert not found["quoting enclave TD_QE"].behind


def test_a_module_without_levels_of_its_own_has_no_table() -> None:
    explained = judge_state(SIMULATED_TDX, {"module_version": "0"}).explained()
    assert [table.title for table in explained.tcb] == ["platform", "quoting enclave TD_QE"]


def test_a_quoting_enclave_that_is_behind() -> None:
    found = tables("qe out of date")
    assert found["quoting enclave QE"].rows == (("ISV SVN", "6", "8"),)
    assert not found["platform"].behind


@pytest.mark.parametrize("name", ["no level", "tdx no level"])
def test_below_every_level_the_check_says_what_is_lacking(name: str) -> None:
    (failed,) = [check for check in case(name).error.checks if check.verdict is Verdict.FAILED]
    assert failed.id == "intel.tcb_level"
    assert failed.note is not None
    assert failed.note.startswith("behind the newest level, of 2024-11-13: SGX component 1 has 1, newest 8")


@pytest.mark.parametrize("name", ["good sgx_ecdsa", "good tdx_ecdsa"])
def test_at_the_newest_level_nothing_is_behind(name: str) -> None:
    found = tables(name)
    assert found
    assert not any(table.behind or table.rows for table in found.values())


def test_the_floor_of_an_intel_policy() -> None:
    floor = IntelMinimumTcb(sgx_components=(4, 3, *(0,) * 14), pce_svn=14)
    entry = pinning_entry(SGX, min_tcb=floor)
    claims = case("out of date").error.claims
    platform, _ = tcb_tables(claims, [entry])
    assert platform.columns[-1] == "floor"
    assert platform.rows == (("SGX component 1", "4", "8", "4"), ("PCE SVN", "13", "-", "14"))


def test_floors_of_several_entries_are_named() -> None:
    entries = [
        pinning_entry(SGX, name=name, min_tcb=IntelMinimumTcb(sgx_components=(5, *(0,) * 15), pce_svn=pce))
        for name, pce in (("old", 13), ("new", 14))
    ]
    platform, _ = tcb_tables(case("out of date").error.claims, entries)
    assert platform.rows == (("SGX component 1", "4", "8", "5 (old), 5 (new)"),)


def test_a_floor_without_a_verified_tcb() -> None:
    """Documents are missing, the PCK certificate is there."""
    entry = pinning_entry(SGX, min_tcb=IntelMinimumTcb(sgx_components=(6, *(0,) * 15), pce_svn=0))
    (table,) = tcb_tables(replace(SGX, tcb=None), [entry])
    assert table.rows == (("SGX component 1", "5", "6"),)
    assert tcb_tables(replace(SGX, tcb=None), []) == ()


def test_an_amd_guest_below_its_floor() -> None:
    (table,) = case("snp out of date").explained().tcb
    assert table.columns == ("component", "reported", "committed", "current", "launch", "floor")
    assert table.rows[0] == ("bootloader", "2", "2", "2", "2", "4")
    assert table.behind
    assert table.title == "firmware of Milan"


def test_an_amd_guest_whose_reported_tcb_is_behind_its_firmware() -> None:
    older = SnpTcb(fmc=None, bootloader=9, tee=0, snp=23, microcode=84)
    (table,) = tcb_tables(replace(SNP, reported_tcb=older), [])
    assert table.behind
    assert table.rows[0] == ("bootloader", "9", "10", "10", "10", "-")
    (table,) = tcb_tables(SNP, [pinning_entry(SNP, min_tcb=ANY)])
    assert not table.behind


def test_fmc_is_shown_where_there_is_one() -> None:
    turin = SnpTcb(fmc=1, bootloader=9, tee=0, snp=23, microcode=84)
    claims = replace(SNP, reported_tcb=turin, committed_tcb=turin, current_tcb=turin, launch_tcb=None)
    entry = pinning_entry(SNP, min_tcb=SnpMinimumTcb(fmc=2, bootloader=0, tee=0, snp=0, microcode=0))
    (table,) = tcb_tables(claims, [entry])
    assert table.rows[0] == ("fmc", "1", "1", "1", "-", "2")
    assert table.behind


def test_what_has_no_tcb() -> None:
    assert tcb_tables(None, []) == ()
    assert tcb_tables(NullClaims(), []) == ()
    assert tcb_tables(replace(SNP, reported_tcb=None), []) == ()
