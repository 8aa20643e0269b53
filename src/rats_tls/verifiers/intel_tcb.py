"""TCB evaluation of Intel platforms: pure functions over decoded documents.

Source of every rule: Intel SGX/TDX DCAP Quote Verification Library (QVL), by the step numbers of its comments.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import ge

from rats_tls.core.checks import shorten
from rats_tls.core.claims import IntelPlatform, TcbStatus
from rats_tls.core.errors import CertificateChainError, TcbLevelError
from rats_tls.formats.intel.qe_identity import QeIdentity
from rats_tls.formats.intel.report import SgxReportBody, TdReportBody
from rats_tls.formats.intel.tcb_info import EnclaveTcbLevel, TcbInfo, TcbLevel, TdxModuleIdentity

_S = TcbStatus
_BECOMES_OUT_OF_DATE = {
    _S.UP_TO_DATE: _S.OUT_OF_DATE,
    _S.SW_HARDENING_NEEDED: _S.OUT_OF_DATE,
    _S.CONFIGURATION_NEEDED: _S.OUT_OF_DATE_CONFIGURATION_NEEDED,
    _S.CONFIGURATION_AND_SW_HARDENING_NEEDED: _S.OUT_OF_DATE_CONFIGURATION_NEEDED,
}
_NEEDS_CONFIGURATION = {
    _S.CONFIGURATION_NEEDED,
    _S.CONFIGURATION_AND_SW_HARDENING_NEEDED,
    _S.OUT_OF_DATE_CONFIGURATION_NEEDED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TcbOutcome:
    """Outcome of the evaluation.

    Attributes:
        status: converged status.
        advisories: those of all levels that took part, sorted.
        level: the matching level of the platform (for TDX: the one that its TDX components match too).
        module_level: the level of the TDX module; None for SGX and for modules of major version 0.
        qe_level: the level of the quoting enclave.
    """

    status: TcbStatus
    advisories: tuple[str, ...]
    level: TcbLevel
    module_level: EnclaveTcbLevel | None
    qe_level: EnclaveTcbLevel

    @property
    def summary(self) -> str:
        """Status, and date of the platform's level, for people."""
        return f"{self.status.value}, level of {self.level.tcb_date:%Y-%m-%d}"


def match_qe_identity(report: SgxReportBody, identity: QeIdentity) -> EnclaveTcbLevel:
    """Compare a quoting enclave's report with its identity and find its level (QVL 4.1.2.9.5 to 4.1.2.9.9).

    Raises:
        CertificateChainError: it is another enclave.
        TcbLevelError: its SVN is below every level.
    """
    compared = (
        ("miscselect", report.miscselect & identity.miscselect_mask, identity.miscselect),
        ("attributes", (report.attributes | report.xfrm << 64) & identity.attributes_mask, identity.attributes),
        ("isvprodid", report.isv_prod_id, identity.isv_prod_id),
    )
    for name, got, expected in compared:
        if got != expected:
            raise CertificateChainError(f"QE report {name}: got {got:#x}, expected {expected:#x} ({identity.id})")
    if report.mr_signer != identity.mr_signer:
        raise CertificateChainError(
            f"QE report mrsigner: got {report.mr_signer.hex()}, expected {identity.mr_signer.hex()} ({identity.id})"
        )
    return _enclave_level(identity.tcb_levels, report.isv_svn, f"quoting enclave {identity.id}")


def match_module(body: TdReportBody, tcb_info: TcbInfo) -> TdxModuleIdentity | None:
    """Require that the TDX module is Intel's and give the identity of its major version (QVL 4.1.2.4.11).

    Returns:
        The identity; None for major version 0, whose module the TCB info describes by itself.

    Raises:
        TcbLevelError: TCB info knows no module of that major version.
        CertificateChainError: signer or attributes differ.
    """
    major_version = body.tee_tcb_svn[1]
    identity = _module_identity(tcb_info, major_version)
    module = identity.module if identity is not None else tcb_info.tdx_module
    if module is None:
        raise TcbLevelError("TCB info: no TDX module in it")
    if body.mr_signer_seam != module.mr_signer:
        raise CertificateChainError(
            f"TDX module mr_signer_seam: got {shorten(body.mr_signer_seam)}, expected {shorten(module.mr_signer)}"
        )
    # QVL does not apply attributesMask: whatever the document allows, a module with any attribute is refused.
    expected = int.from_bytes(module.attributes, "little")
    if body.seam_attributes != 0 or body.seam_attributes != expected:
        raise CertificateChainError(
            f"TDX module seam_attributes: got {body.seam_attributes:#x}, expected 0 and {expected:#x}"
        )
    return identity


def evaluate_sgx(platform: IntelPlatform, tcb_info: TcbInfo, qe_level: EnclaveTcbLevel) -> TcbOutcome:
    """Evaluate an SGX platform (QVL 4.1.2.4.17). Raises TcbLevelError: it is below every level."""
    level = next((level for level in tcb_info.tcb_levels if _matches_sgx(platform, level)), None)
    if level is None:
        raise _no_level("SGX components and PCE SVN of the PCK certificate", platform, tcb_info)
    return TcbOutcome(
        status=converge(level.status, qe_level.status),
        advisories=_union((level, qe_level)),
        level=level,
        module_level=None,
        qe_level=qe_level,
    )


def evaluate_tdx(
    platform: IntelPlatform,
    body: TdReportBody,
    tcb_info: TcbInfo,
    module_identity: TdxModuleIdentity | None,
    qe_level: EnclaveTcbLevel,
) -> TcbOutcome:
    """Evaluate a TDX platform (QVL 4.1.2.4.17).

    Args:
        platform: of the PCK certificate.
        body: the TD's report body.
        tcb_info: TCB info for TDX.
        module_identity: what `match_module` gave.
        qe_level: level of the quoting enclave.

    Raises:
        TcbLevelError: platform or module is below every level.
    """
    # 4.1.2.4.17.1 to .3: of the levels that the platform reaches, the first is its SGX level; the first whose TDX
    # components the TD reaches too is its TDX level.
    reached = [level for level in tcb_info.tcb_levels if _matches_sgx(platform, level)]
    if not reached:
        raise _no_level("SGX components and PCE SVN of the PCK certificate", platform, tcb_info)
    level = next((level for level in reached if _matches_tdx(body.tee_tcb_svn, level)), None)
    if level is None:
        raise _no_level(f"tee_tcb_svn {body.tee_tcb_svn.hex()} of the TD report", platform, tcb_info)
    status = level.status

    # 4.1.2.4.17.4.1: the module's own level.
    module_level: EnclaveTcbLevel | None = None
    if module_identity is not None:
        module_level = _enclave_level(
            module_identity.tcb_levels, body.tee_tcb_svn[0], f"TDX module {module_identity.id}"
        )
        status = converge(status, module_level.status)

    # 4.1.2.4.17.4.3: a TD that runs on an updated platform but was launched before the update.
    if body.tee_tcb_svn2 is not None and module_level is not None and module_level.status is _S.OUT_OF_DATE:
        status = _relaunch(body.tee_tcb_svn2, tcb_info, reached[0].status, status, qe_level.status)

    return TcbOutcome(
        status=converge(status, qe_level.status),
        advisories=_union((level, *((module_level,) if module_level else ()), qe_level)),
        level=level,
        module_level=module_level,
        qe_level=qe_level,
    )


def converge(status: TcbStatus, part: TcbStatus) -> TcbStatus:
    """Converge a status with that of a part, TDX module or quoting enclave (QVL 4.1.2.4.17.4.2 and .5).

    A part out of date makes the whole out of date, a part revoked makes it revoked; else the status stays.
    """
    if part is _S.REVOKED:
        return _S.REVOKED
    if part is _S.OUT_OF_DATE:
        return _BECOMES_OUT_OF_DATE.get(status, status)
    return status


def _relaunch(
    svn2: bytes, tcb_info: TcbInfo, sgx_status: TcbStatus, tdx_status: TcbStatus, qe_status: TcbStatus
) -> TcbStatus:
    """Decide whether a relaunch would bring the TD up to date; the caller saw that the module is out of date."""
    if qe_status is not _S.UP_TO_DATE or sgx_status not in _BECOMES_OUT_OF_DATE:
        return tdx_status
    if tdx_status not in {_S.OUT_OF_DATE, _S.OUT_OF_DATE_CONFIGURATION_NEEDED}:
        return tdx_status
    latest = tcb_info.tcb_levels[0].tdx_components
    if latest is None:
        return tdx_status
    identity = _module_identity(tcb_info, svn2[1])
    module_svn = latest[0] if identity is None else identity.tcb_levels[0].isv_svn
    if svn2[0] < module_svn or svn2[2] < latest[2]:
        return tdx_status
    if sgx_status in _NEEDS_CONFIGURATION or tdx_status in _NEEDS_CONFIGURATION:
        return _S.TD_RELAUNCH_ADVISED_CONFIGURATION_NEEDED
    return _S.TD_RELAUNCH_ADVISED


def _module_identity(tcb_info: TcbInfo, major_version: int) -> TdxModuleIdentity | None:
    if major_version == 0:
        return None
    identity = tcb_info.module_identity(major_version)
    if identity is None:
        known = ", ".join(identity.id for identity in tcb_info.tdx_module_identities) or "none"
        raise TcbLevelError(f"TDX module of major version {major_version}: TCB info has {known}")
    return identity


def _enclave_level(levels: tuple[EnclaveTcbLevel, ...], svn: int, what: str) -> EnclaveTcbLevel:
    for level in levels:
        if svn >= level.isv_svn:
            return level
    raise TcbLevelError(f"{what}: SVN {svn} is below every TCB level, the lowest of which is {levels[-1].isv_svn}")


def _matches_sgx(platform: IntelPlatform, level: TcbLevel) -> bool:
    return platform.pce_svn >= level.pce_svn and _reaches(platform.sgx_tcb_components, level.sgx_components)


def _matches_tdx(svn: bytes, level: TcbLevel) -> bool:
    # A module with a major version has its own levels, so components 0 and 1 (its SVN and version) are not compared.
    first = 2 if svn[1] > 0 else 0
    return level.tdx_components is not None and _reaches(svn[first:], level.tdx_components[first:])


def _reaches(got: Sequence[int], needed: Sequence[int]) -> bool:
    """Whether each component does; there are equally many."""
    if len(got) != len(needed):
        raise ValueError(f"{len(got)} components beside {len(needed)}")
    return all(map(ge, got, needed))


def _no_level(what: str, platform: IntelPlatform, tcb_info: TcbInfo) -> TcbLevelError:
    components = ",".join(str(svn) for svn in platform.sgx_tcb_components)
    return TcbLevelError(
        f"no TCB level matches: {what}; PCK certificate has components {components} and PCE SVN {platform.pce_svn}, "
        f"TCB info for FMSPC {tcb_info.fmspc.hex()} has {len(tcb_info.tcb_levels)} levels"
    )


def _union(levels: Iterable[TcbLevel | EnclaveTcbLevel]) -> tuple[str, ...]:
    return tuple(sorted({advisory for level in levels for advisory in level.advisories}))
