"""TCB evaluation: which level matches, and how the statuses of the parts converge."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from rats_tls.core.claims import IntelPlatform, TcbStatus
from rats_tls.core.errors import CertificateChainError, TcbLevelError
from rats_tls.formats.intel.qe_identity import QeIdentity
from rats_tls.formats.intel.report import SgxReportBody, TdReportBody
from rats_tls.formats.intel.tcb_info import EnclaveTcbLevel, TcbInfo, TcbLevel, TdxModule, TdxModuleIdentity
from rats_tls.verifiers.intel_tcb import converge, evaluate_sgx, evaluate_tdx, match_module, match_qe_identity

S = TcbStatus
DATE = datetime(2025, 1, 1, tzinfo=UTC)
PLATFORM_STATUSES = (
    S.UP_TO_DATE,
    S.SW_HARDENING_NEEDED,
    S.CONFIGURATION_NEEDED,
    S.CONFIGURATION_AND_SW_HARDENING_NEEDED,
    S.OUT_OF_DATE,
    S.OUT_OF_DATE_CONFIGURATION_NEEDED,
    S.REVOKED,
)


def sixteen(*first: int) -> tuple[int, ...]:
    return (*first, *(0,) * (16 - len(first)))


def svn(*first: int) -> bytes:
    return bytes(sixteen(*first))


def platform(*components: int, pce_svn: int = 10) -> IntelPlatform:
    return IntelPlatform(
        fmspc=b"FMSPC!",
        pce_id=b"\0\0",
        pce_svn=pce_svn,
        sgx_tcb_components=sixteen(*components),
        cpu_svn=bytes(16),
        ppid=bytes(16),
        sgx_type=0,
    )


def level(
    *sgx: int,
    tdx: tuple[int, ...] | None = None,
    pce_svn: int = 10,
    status: TcbStatus = S.UP_TO_DATE,
    advisories: tuple[str, ...] = (),
) -> TcbLevel:
    return TcbLevel(
        sgx_components=sixteen(*sgx),
        pce_svn=pce_svn,
        tdx_components=None if tdx is None else sixteen(*tdx),
        tcb_date=DATE,
        status=status,
        advisories=advisories,
    )


def part(isv_svn: int, status: TcbStatus = S.UP_TO_DATE, advisories: tuple[str, ...] = ()) -> EnclaveTcbLevel:
    return EnclaveTcbLevel(isv_svn=isv_svn, tcb_date=DATE, status=status, advisories=advisories)


MODULE = TdxModule(mr_signer=bytes(48), attributes=bytes(8), attributes_mask=b"\xff" * 8)
MODULE_LEVELS = (part(6), part(4, S.OUT_OF_DATE, ("MODULE",)), part(2, S.REVOKED))


def identity(version: int, *levels: EnclaveTcbLevel, module: TdxModule = MODULE) -> TdxModuleIdentity:
    return TdxModuleIdentity(id=f"TDX_{version:02X}", module=module, tcb_levels=levels or MODULE_LEVELS)


def tcb_info(*levels: TcbLevel, identities: tuple[TdxModuleIdentity, ...] | None = None) -> TcbInfo:
    tdx = levels[0].tdx_components is not None
    return TcbInfo(
        id="TDX" if tdx else "SGX",
        version=3,
        issue_date=DATE,
        next_update=DATE,
        fmspc=b"FMSPC!",
        pce_id=b"\0\0",
        tcb_evaluation_data_number=17,
        tdx_module=MODULE if tdx else None,
        tdx_module_identities=(identity(1), identity(3)) if identities is None else identities,
        tcb_levels=levels,
    )


def td(*tee_tcb_svn: int, now: tuple[int, ...] | None = None, signer: bytes = bytes(48), seam: int = 0) -> TdReportBody:
    return TdReportBody(
        tee_tcb_svn=svn(*tee_tcb_svn),
        mr_seam=bytes(48),
        mr_signer_seam=signer,
        seam_attributes=seam,
        td_attributes=0,
        xfam=0,
        mr_td=bytes(48),
        mr_config_id=bytes(48),
        mr_owner=bytes(48),
        mr_owner_config=bytes(48),
        rtmr0=bytes(48),
        rtmr1=bytes(48),
        rtmr2=bytes(48),
        rtmr3=bytes(48),
        report_data=bytes(64),
        tee_tcb_svn2=None if now is None else svn(*now),
        mr_service_td=None if now is None else bytes(48),
    )


QE = part(8)


def tdx_status(body: TdReportBody, info: TcbInfo, *components: int, qe: EnclaveTcbLevel = QE) -> TcbStatus:
    return evaluate_tdx(platform(*components), body, info, match_module(body, info), qe).status


# --- convergence (QVL 4.1.2.4.17.4.2 and .5) -------------------------------------------------------------------------
WITH_A_PART_OUT_OF_DATE = {
    S.UP_TO_DATE: S.OUT_OF_DATE,
    S.SW_HARDENING_NEEDED: S.OUT_OF_DATE,
    S.CONFIGURATION_NEEDED: S.OUT_OF_DATE_CONFIGURATION_NEEDED,
    S.CONFIGURATION_AND_SW_HARDENING_NEEDED: S.OUT_OF_DATE_CONFIGURATION_NEEDED,
    S.OUT_OF_DATE: S.OUT_OF_DATE,
    S.OUT_OF_DATE_CONFIGURATION_NEEDED: S.OUT_OF_DATE_CONFIGURATION_NEEDED,
    S.TD_RELAUNCH_ADVISED: S.TD_RELAUNCH_ADVISED,
    S.TD_RELAUNCH_ADVISED_CONFIGURATION_NEEDED: S.TD_RELAUNCH_ADVISED_CONFIGURATION_NEEDED,
    S.REVOKED: S.REVOKED,
}


@pytest.mark.parametrize("status", S)
def test_converge(status: TcbStatus) -> None:
    assert converge(status, S.UP_TO_DATE) is status
    assert converge(status, S.OUT_OF_DATE) is WITH_A_PART_OUT_OF_DATE[status]
    assert converge(status, S.REVOKED) is S.REVOKED


@pytest.mark.parametrize("status", PLATFORM_STATUSES)
@pytest.mark.parametrize("qe", [S.UP_TO_DATE, S.OUT_OF_DATE, S.REVOKED])
def test_sgx_converges_with_the_quoting_enclave(status: TcbStatus, qe: TcbStatus) -> None:
    outcome = evaluate_sgx(platform(5), tcb_info(level(5, status=status)), part(1, qe))
    expected = {S.UP_TO_DATE: status, S.OUT_OF_DATE: WITH_A_PART_OUT_OF_DATE[status], S.REVOKED: S.REVOKED}
    assert outcome.status is expected[qe]
    assert outcome.level.status is status


@pytest.mark.parametrize("status", PLATFORM_STATUSES)
@pytest.mark.parametrize("module", [S.UP_TO_DATE, S.OUT_OF_DATE, S.REVOKED])
@pytest.mark.parametrize("qe", [S.UP_TO_DATE, S.OUT_OF_DATE, S.REVOKED])
def test_tdx_converges_with_module_and_quoting_enclave(status: TcbStatus, module: TcbStatus, qe: TcbStatus) -> None:
    info = tcb_info(level(5, tdx=(0, 0, 3), status=status), identities=(identity(1, part(1, module)),))
    expected = status
    for of_part in (module, qe):
        expected = {
            S.UP_TO_DATE: expected,
            S.OUT_OF_DATE: WITH_A_PART_OUT_OF_DATE[expected],
            S.REVOKED: S.REVOKED,
        }[of_part]
    assert tdx_status(td(1, 1, 3), info, 5, qe=part(1, qe)) is expected


# --- matching (QVL 4.1.2.4.17.1 to .3) -------------------------------------------------------------------------------
LADDER = (
    level(7, 3, status=S.UP_TO_DATE),
    level(7, 2, pce_svn=9, status=S.SW_HARDENING_NEEDED),
    level(5, 2, pce_svn=5, status=S.OUT_OF_DATE),
    level(0, 0, pce_svn=1, status=S.REVOKED),
)


@pytest.mark.parametrize(
    ("components", "pce_svn", "expected"),
    [
        ((7, 3), 10, S.UP_TO_DATE),
        ((255, 255), 0xFFFF, S.UP_TO_DATE),
        ((7, 3), 9, S.SW_HARDENING_NEEDED),
        ((7, 2), 10, S.SW_HARDENING_NEEDED),
        ((6, 3), 10, S.OUT_OF_DATE),
        ((255, 1), 10, S.REVOKED),
        ((4, 255), 10, S.REVOKED),
        ((255, 255), 4, S.REVOKED),
    ],
)
def test_sgx_level(components: tuple[int, ...], pce_svn: int, expected: TcbStatus) -> None:
    assert evaluate_sgx(platform(*components, pce_svn=pce_svn), tcb_info(*LADDER), QE).status is expected


def test_no_sgx_level() -> None:
    with pytest.raises(TcbLevelError, match="SGX components"):
        evaluate_sgx(platform(255, pce_svn=0), tcb_info(*LADDER), QE)


@pytest.mark.parametrize("index", range(16))
def test_every_sgx_component_counts(index: int) -> None:
    needed = [3] * 16
    info = tcb_info(level(*needed))
    assert evaluate_sgx(platform(*needed), info, QE).status is S.UP_TO_DATE
    needed[index] = 2
    with pytest.raises(TcbLevelError):
        evaluate_sgx(platform(*needed), info, QE)


@pytest.mark.parametrize("index", range(16))
@pytest.mark.parametrize("version", [0, 1])
def test_tdx_components_0_and_1_count_for_version_0_only(index: int, version: int) -> None:
    needed = [3] * 16
    needed[1] = 0 if version == 0 else 3
    info = tcb_info(level(5, tdx=tuple(needed)))
    got = list(needed)
    got[1] = version
    if version:
        got[0] = 6
    assert tdx_status(td(*got), info, 5) is S.UP_TO_DATE
    if index == 1:
        return
    got[index] = 2
    if version and index == 0:
        # The module's SVN is judged by its own levels: 2 is revoked there.
        assert tdx_status(td(*got), info, 5) is S.REVOKED
        return
    with pytest.raises(TcbLevelError, match="tee_tcb_svn"):
        tdx_status(td(*got), info, 5)


def test_version_0_component_1_counts() -> None:
    info = tcb_info(level(5, tdx=(0, 1)))
    with pytest.raises(TcbLevelError, match="tee_tcb_svn"):
        tdx_status(td(9, 0), info, 5)


def test_tdx_level_is_the_first_that_both_reach() -> None:
    info = tcb_info(
        level(7, tdx=(5, 0, 5), status=S.UP_TO_DATE),
        level(6, tdx=(5, 0, 3), status=S.SW_HARDENING_NEEDED),
        level(5, tdx=(2, 0, 2), status=S.OUT_OF_DATE, advisories=("LEVEL",)),
    )
    assert tdx_status(td(5, 0, 5), info, 7) is S.UP_TO_DATE
    assert tdx_status(td(5, 0, 4), info, 7) is S.SW_HARDENING_NEEDED
    assert tdx_status(td(5, 0, 5), info, 6) is S.SW_HARDENING_NEEDED
    outcome = evaluate_tdx(platform(7), td(4, 0, 5), info, None, part(8, advisories=("QE", "LEVEL")))
    assert (outcome.status, outcome.level) == (S.OUT_OF_DATE, info.tcb_levels[2])
    assert outcome.advisories == ("LEVEL", "QE")
    with pytest.raises(TcbLevelError, match="SGX components"):
        tdx_status(td(9, 0, 9), info, 4)


def test_sgx_tcb_info_has_no_tdx_level() -> None:
    with pytest.raises(TcbLevelError, match="tee_tcb_svn"):
        evaluate_tdx(platform(7), td(9, 0, 9), tcb_info(level(7)), None, QE)


# --- module (QVL 4.1.2.4.11 and 4.1.2.4.17.4.1) ----------------------------------------------------------------------
INFO = tcb_info(level(5, tdx=(5, 0, 3)))


@pytest.mark.parametrize(
    ("isv_svn", "expected"),
    [(7, S.UP_TO_DATE), (6, S.UP_TO_DATE), (5, S.OUT_OF_DATE), (4, S.OUT_OF_DATE), (3, S.REVOKED)],
)
def test_module_level(isv_svn: int, expected: TcbStatus) -> None:
    outcome = evaluate_tdx(platform(5), td(isv_svn, 1, 3), INFO, identity(1), QE)
    assert outcome.status is expected
    assert outcome.module_level is not None
    assert outcome.advisories == (("MODULE",) if expected is S.OUT_OF_DATE else ())


def test_module_below_every_level() -> None:
    with pytest.raises(TcbLevelError, match="TDX module TDX_01: SVN 1"):
        tdx_status(td(1, 1, 3), INFO, 5)


def test_module_of_an_unknown_version() -> None:
    with pytest.raises(TcbLevelError, match="major version 2: TCB info has TDX_01, TDX_03"):
        match_module(td(9, 2, 9), INFO)


def test_module_of_version_0_is_that_of_tcb_info() -> None:
    assert match_module(td(9, 0, 9), INFO) is None
    with pytest.raises(TcbLevelError, match="no TDX module"):
        match_module(td(9, 0, 9), replace(INFO, tdx_module=None))
    other = replace(INFO, tdx_module=replace(MODULE, mr_signer=b"\1" * 48))
    with pytest.raises(CertificateChainError, match="mr_signer_seam"):
        match_module(td(9, 0, 9), other)
    assert match_module(td(9, 1, 9), other) == identity(1)


@pytest.mark.parametrize("version", [0, 1, 3])
def test_module_signer(version: int) -> None:
    for position in (0, 47):
        signer = bytearray(48)
        signer[position] = 1
        with pytest.raises(CertificateChainError, match="mr_signer_seam"):
            match_module(td(9, version, 9, signer=bytes(signer)), INFO)


@pytest.mark.parametrize("version", [0, 1])
@pytest.mark.parametrize("bit", range(64))
def test_any_seam_attribute_is_refused(version: int, bit: int) -> None:
    body = td(9, version, 9, seam=1 << bit)
    with pytest.raises(CertificateChainError, match="seam_attributes"):
        match_module(body, INFO)
    # Neither a document that has the bit nor one that masks it makes it good.
    attributes = (1 << bit).to_bytes(8, "little")
    for module in (replace(MODULE, attributes=attributes), replace(MODULE, attributes_mask=bytes(8))):
        info = replace(INFO, tdx_module=module, tdx_module_identities=(identity(1, module=module),))
        with pytest.raises(CertificateChainError, match="seam_attributes"):
            match_module(body, info)


def test_zero_attributes_where_the_document_has_some() -> None:
    module = replace(MODULE, attributes=b"\1" + bytes(7))
    with pytest.raises(CertificateChainError, match="seam_attributes"):
        match_module(td(9, 0, 9), replace(INFO, tdx_module=module))


# --- relaunch (QVL 4.1.2.4.17.4.3) -----------------------------------------------------------------------------------
def relaunch(
    *,
    started: tuple[int, ...] = (5, 1, 3),
    now: tuple[int, ...] | None = (6, 1, 3),
    sgx: TcbStatus = S.UP_TO_DATE,
    qe: TcbStatus = S.UP_TO_DATE,
    identities: tuple[TdxModuleIdentity, ...] | None = None,
) -> TcbStatus:
    info = tcb_info(level(5, tdx=(5, 0, 3), status=sgx), identities=identities)
    return tdx_status(td(*started, now=now), info, 5, qe=part(1, qe))


def test_relaunch_is_advised() -> None:
    assert relaunch() is S.TD_RELAUNCH_ADVISED
    assert relaunch(now=(255, 1, 255)) is S.TD_RELAUNCH_ADVISED
    assert relaunch(now=(6, 3, 3)) is S.TD_RELAUNCH_ADVISED


@pytest.mark.parametrize(
    ("sgx", "expected"),
    [
        (S.UP_TO_DATE, S.TD_RELAUNCH_ADVISED),
        (S.SW_HARDENING_NEEDED, S.TD_RELAUNCH_ADVISED),
        (S.CONFIGURATION_NEEDED, S.TD_RELAUNCH_ADVISED_CONFIGURATION_NEEDED),
        (S.CONFIGURATION_AND_SW_HARDENING_NEEDED, S.TD_RELAUNCH_ADVISED_CONFIGURATION_NEEDED),
        (S.OUT_OF_DATE, S.OUT_OF_DATE),
        (S.OUT_OF_DATE_CONFIGURATION_NEEDED, S.OUT_OF_DATE_CONFIGURATION_NEEDED),
        (S.REVOKED, S.REVOKED),
    ],
)
def test_relaunch_by_platform_status(sgx: TcbStatus, expected: TcbStatus) -> None:
    assert relaunch(sgx=sgx) is expected


def test_relaunch_looks_at_the_sgx_level_apart_from_the_tdx_level() -> None:
    """The platform is up to date, its TDX level is out of date: relaunching brings it up to date."""
    info = tcb_info(
        level(5, tdx=(5, 0, 3), status=S.UP_TO_DATE),
        level(5, tdx=(5, 0, 2), status=S.OUT_OF_DATE_CONFIGURATION_NEEDED),
    )
    body = td(5, 1, 2, now=(6, 1, 3))
    assert tdx_status(body, info, 5) is S.TD_RELAUNCH_ADVISED_CONFIGURATION_NEEDED
    worse = replace(info, tcb_levels=(replace(info.tcb_levels[0], status=S.OUT_OF_DATE), info.tcb_levels[1]))
    assert tdx_status(body, worse, 5) is S.OUT_OF_DATE_CONFIGURATION_NEEDED


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (None, S.OUT_OF_DATE),  # body 1.0 does not tell
        ((5, 1, 3), S.OUT_OF_DATE),  # the module now is old too
        ((6, 1, 2), S.OUT_OF_DATE),  # component 2 is below the latest level
        ((6, 0, 3), S.TD_RELAUNCH_ADVISED),  # a module of version 0 is compared with the latest level
        ((5, 0, 3), S.TD_RELAUNCH_ADVISED),
        ((4, 0, 3), S.OUT_OF_DATE),
        ((9, 0, 2), S.OUT_OF_DATE),
    ],
)
def test_relaunch_by_the_module_now(now: tuple[int, ...] | None, expected: TcbStatus) -> None:
    assert relaunch(now=now) is expected


def test_relaunch_with_an_unknown_module_now() -> None:
    with pytest.raises(TcbLevelError, match="major version 7"):
        relaunch(now=(6, 7, 3))


def test_relaunch_needs_a_module_out_of_date() -> None:
    assert relaunch(started=(6, 1, 3)) is S.UP_TO_DATE
    assert relaunch(started=(2, 1, 3)) is S.REVOKED
    # A module of version 0 has no level of its own that could be out of date.
    assert relaunch(started=(5, 0, 3)) is S.UP_TO_DATE


@pytest.mark.parametrize(("qe", "expected"), [(S.OUT_OF_DATE, S.OUT_OF_DATE), (S.REVOKED, S.REVOKED)])
def test_relaunch_needs_a_quoting_enclave_up_to_date(qe: TcbStatus, expected: TcbStatus) -> None:
    assert relaunch(qe=qe) is expected


# --- quoting enclave (QVL 4.1.2.9) -----------------------------------------------------------------------------------
IDENTITY = QeIdentity(
    id="QE",
    version=2,
    issue_date=DATE,
    next_update=DATE,
    tcb_evaluation_data_number=17,
    miscselect=0x10,
    miscselect_mask=0xFFFF_FFF0,
    attributes=0x11 | 0xE0 << 64,
    attributes_mask=0xFB | 0xF0 << 64,
    mr_signer=b"S" * 32,
    isv_prod_id=1,
    tcb_levels=(part(8), part(6, S.OUT_OF_DATE), part(2, S.REVOKED)),
)
REPORT = SgxReportBody(
    cpu_svn=bytes(16),
    miscselect=0x1F,
    isv_ext_prod_id=bytes(16),
    attributes=0x15,
    xfrm=0xE7,
    mr_enclave=bytes(32),
    mr_signer=b"S" * 32,
    config_id=bytes(64),
    isv_prod_id=1,
    isv_svn=8,
    config_svn=0,
    isv_family_id=bytes(16),
    report_data=bytes(64),
)


@pytest.mark.parametrize(
    ("isv_svn", "expected"),
    [(0xFFFF, S.UP_TO_DATE), (8, S.UP_TO_DATE), (7, S.OUT_OF_DATE), (6, S.OUT_OF_DATE), (5, S.REVOKED), (2, S.REVOKED)],
)
def test_qe_level(isv_svn: int, expected: TcbStatus) -> None:
    assert match_qe_identity(replace(REPORT, isv_svn=isv_svn), IDENTITY).status is expected


def test_qe_below_every_level() -> None:
    with pytest.raises(TcbLevelError, match="quoting enclave QE: SVN 1"):
        match_qe_identity(replace(REPORT, isv_svn=1), IDENTITY)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"miscselect": 0x0F}, "miscselect"),
        ({"miscselect": 0x8000_001F}, "miscselect"),
        ({"attributes": 0x17}, "attributes"),  # debug
        ({"attributes": 0x14}, "attributes"),
        ({"xfrm": 0xC7}, "attributes"),
        ({"xfrm": 0xF7}, "attributes"),
        ({"mr_signer": b"T" + b"S" * 31}, "mrsigner"),
        ({"mr_signer": b"S" * 31 + b"T"}, "mrsigner"),
        ({"isv_prod_id": 2}, "isvprodid"),
    ],
)
def test_another_enclave(change: dict[str, object], text: str) -> None:
    with pytest.raises(CertificateChainError, match=text):
        match_qe_identity(replace(REPORT, **change), IDENTITY)


def test_masked_bits_do_not_count() -> None:
    assert match_qe_identity(replace(REPORT, miscselect=0x10, attributes=0x11, xfrm=0xE0), IDENTITY) == part(8)
