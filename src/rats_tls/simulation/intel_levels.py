"""TCB levels that the simulated Intel publishes, and what a platform has to be to stand at each.

Levels differ in SGX component 1 alone, so that a platform reaches any status by that one SVN while one TCB info, the
same for every platform, tells them all apart. The last three also lower TDX component 3.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

from rats_tls.core.claims import TcbStatus

LEVEL_DATE = datetime(2024, 11, 13, tzinfo=UTC)
OLD_LEVEL_DATE = datetime(2023, 8, 9, tzinfo=UTC)
PCE_SVN = 13
OLD_ADVISORIES = ("INTEL-SA-00837", "INTEL-SA-01036")


@dataclass(frozen=True, slots=True, kw_only=True)
class TcbLevel:
    """One level of TCB info.

    Attributes:
        status: its tcbStatus.
        sgx_components: 16 SVNs.
        tdx_components: 16 SVNs; left out of TCB info for SGX.
        pce_svn: least PCESVN.
        advisories: advisoryIDs; the member is left out when there are none.
        date: tcbDate.
    """

    status: TcbStatus
    sgx_components: tuple[int, ...]
    tdx_components: tuple[int, ...]
    pce_svn: int = PCE_SVN
    advisories: tuple[str, ...] = ()
    date: datetime = LEVEL_DATE


@dataclass(frozen=True, slots=True, kw_only=True)
class IsvLevel:
    """One level of an enclave identity or a TDX module identity.

    Attributes:
        status: its tcbStatus.
        isv_svn: least ISVSVN.
        advisories: advisoryIDs; the member is left out when there are none.
        date: tcbDate.
    """

    status: TcbStatus
    isv_svn: int
    advisories: tuple[str, ...] = ()
    date: datetime = LEVEL_DATE


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleIdentity:
    """One entry of tdxModuleIdentities.

    Attributes:
        id: "TDX_" and the module's version in two hex digits.
        mr_signer: MRSIGNERSEAM of the module (48 bytes).
        attributes: SEAMATTRIBUTES (8 bytes).
        attributes_mask: attributesMask (8 bytes).
        levels: its TCB levels, newest first.
    """

    id: str
    levels: tuple[IsvLevel, ...]
    mr_signer: bytes = bytes(48)
    attributes: bytes = bytes(8)
    attributes_mask: bytes = field(default=b"\xff" * 8)


def sgx_components(first: int) -> tuple[int, ...]:
    """Give 16 SGX component SVNs that begin with `first`."""
    return (first, 3, 2, 2, 4, 1, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0)


def _tdx_components(third: int) -> tuple[int, ...]:
    return (5, 0, third, *(0,) * 13)


_LADDER = (
    (TcbStatus.UP_TO_DATE, 8, 3),
    (TcbStatus.SW_HARDENING_NEEDED, 7, 3),
    (TcbStatus.CONFIGURATION_NEEDED, 6, 3),
    (TcbStatus.CONFIGURATION_AND_SW_HARDENING_NEEDED, 5, 3),
    (TcbStatus.OUT_OF_DATE, 4, 2),
    (TcbStatus.OUT_OF_DATE_CONFIGURATION_NEEDED, 3, 2),
    (TcbStatus.REVOKED, 2, 2),
)
NO_LEVEL_SVN = 1

TCB_LEVELS: tuple[TcbLevel, ...] = tuple(
    TcbLevel(
        status=status,
        sgx_components=sgx_components(first),
        tdx_components=_tdx_components(third),
        advisories=() if status is TcbStatus.UP_TO_DATE else OLD_ADVISORIES,
        date=LEVEL_DATE if third == 3 else OLD_LEVEL_DATE,
    )
    for status, first, third in _LADDER
)
"""Levels of TCB info, newest first."""

QE_LEVELS: tuple[IsvLevel, ...] = (
    IsvLevel(status=TcbStatus.UP_TO_DATE, isv_svn=8),
    IsvLevel(status=TcbStatus.OUT_OF_DATE, isv_svn=6, advisories=("INTEL-SA-00615",), date=OLD_LEVEL_DATE),
    IsvLevel(status=TcbStatus.REVOKED, isv_svn=2, advisories=("INTEL-SA-00219",), date=OLD_LEVEL_DATE),
)
"""Levels of the QE and TD_QE identities, newest first."""

MODULE_LEVELS: tuple[IsvLevel, ...] = (
    IsvLevel(status=TcbStatus.UP_TO_DATE, isv_svn=6),
    IsvLevel(status=TcbStatus.OUT_OF_DATE, isv_svn=4, advisories=("INTEL-SA-01099",), date=OLD_LEVEL_DATE),
    IsvLevel(status=TcbStatus.REVOKED, isv_svn=2, advisories=("INTEL-SA-01103",), date=OLD_LEVEL_DATE),
)
"""Levels of each TDX module, newest first."""

MODULE_IDENTITIES: tuple[ModuleIdentity, ...] = (
    ModuleIdentity(id="TDX_03", levels=MODULE_LEVELS),
    ModuleIdentity(id="TDX_01", levels=MODULE_LEVELS),
)


def components_for(status: TcbStatus | None) -> tuple[int, ...]:
    """Give the SGX component SVNs of a platform that stands at `status`; below every level for None.

    Raises:
        ValueError: no level has that status.
    """
    if status is None:
        return sgx_components(NO_LEVEL_SVN)
    for level in TCB_LEVELS:
        if level.status is status:
            return level.sgx_components
    raise ValueError(f"tcb_status: no TCB level has status {status.value}")


def tdx_microcode_svn_for(status: TcbStatus | None) -> int:
    """Give TDX component 3 of a platform that stands at `status`."""
    return next((third for level, _, third in _LADDER if level is status), 2)


def isv_svn_for(levels: tuple[IsvLevel, ...], status: TcbStatus | None, name: str) -> int:
    """Give the ISVSVN that stands at `status` among `levels`; below every level for None.

    Raises:
        ValueError: no level has that status.
    """
    if status is None:
        return 0
    for level in levels:
        if level.status is status:
            return level.isv_svn
    raise ValueError(f"{name}: no level has status {status.value}")
