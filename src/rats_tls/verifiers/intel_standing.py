"""How far a platform, a TDX module or a quoting enclave is behind Intel's newest TCB level.

Says nothing about the status: that is `rats_tls.verifiers.intel_tcb`'s, and the components compared are the same.
"""

from __future__ import annotations

from collections.abc import Sequence

from rats_tls.core.claims import IntelPlatform, TcbShortfall, TcbStanding
from rats_tls.formats.intel.tcb_info import EnclaveTcbLevel, TcbInfo, TcbLevel


def platform_standing(
    platform: IntelPlatform, tcb_info: TcbInfo, level: TcbLevel, tee_tcb_svn: bytes | None = None
) -> TcbStanding:
    """Give where a platform stands that reaches `level`; `tee_tcb_svn` is the TD's, for TDX."""
    return TcbStanding(
        part="platform",
        status=level.status,
        tcb_date=level.tcb_date,
        newest_date=tcb_info.tcb_levels[0].tcb_date,
        advisories=level.advisories,
        behind=_platform_shortfalls(platform, tcb_info, tee_tcb_svn),
    )


def enclave_standing(
    part: str, isv_svn: int, level: EnclaveTcbLevel, levels: tuple[EnclaveTcbLevel, ...]
) -> TcbStanding:
    """Give where a quoting enclave or TDX module of that SVN stands that reaches `level` of `levels`, highest first."""
    newest = levels[0]
    behind = (TcbShortfall(component="ISV SVN", got=isv_svn, newest=newest.isv_svn),)
    return TcbStanding(
        part=part,
        status=level.status,
        tcb_date=level.tcb_date,
        newest_date=newest.tcb_date,
        advisories=level.advisories,
        behind=behind if isv_svn < newest.isv_svn else (),
    )


def distance(platform: IntelPlatform, tcb_info: TcbInfo, tee_tcb_svn: bytes | None = None) -> str | None:
    """Say what a platform lacks for the newest level; None when it is there."""
    behind = _platform_shortfalls(platform, tcb_info, tee_tcb_svn)
    if not behind:
        return None
    newest = tcb_info.tcb_levels[0].tcb_date
    return f"behind the newest level, of {newest:%Y-%m-%d}: {'; '.join(map(str, behind))}"


def _platform_shortfalls(
    platform: IntelPlatform, tcb_info: TcbInfo, tee_tcb_svn: bytes | None
) -> tuple[TcbShortfall, ...]:
    newest = tcb_info.tcb_levels[0]
    behind = _component_shortfalls("SGX", platform.sgx_tcb_components, newest.sgx_components)
    if platform.pce_svn < newest.pce_svn:
        behind.append(TcbShortfall(component="PCE SVN", got=platform.pce_svn, newest=newest.pce_svn))
    if tee_tcb_svn is not None and newest.tdx_components is not None:
        # A module with a major version has levels of its own for its SVN and version (QVL 4.1.2.4.17.3).
        first = 2 if tee_tcb_svn[1] > 0 else 0
        behind += _component_shortfalls("TDX", tee_tcb_svn, newest.tdx_components, first=first)
    return tuple(behind)


def _component_shortfalls(tee: str, got: Sequence[int], newest: Sequence[int], *, first: int = 0) -> list[TcbShortfall]:
    """Compare components from position `first` on; people count them from 1."""
    return [
        TcbShortfall(component=f"{tee} component {position + 1}", got=svn, newest=wanted)
        for position, (svn, wanted) in enumerate(zip(got, newest, strict=True))
        if svn < wanted and position >= first
    ]
