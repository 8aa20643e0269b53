"""TCB info, versions 2 and 3 (Intel PCS API v3 and v4, "Get TCB Info").

It lists the security versions of a platform (by FMSPC) and, for TDX, of the TDX modules, with the status of each.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from rats_tls.core.claims import TcbStatus
from rats_tls.core.errors import DecodeError
from rats_tls.formats.json_document import JsonObject

COMPONENTS = 16
_PLATFORM_STATUSES = {
    status.value: status
    for status in TcbStatus
    if status not in {TcbStatus.TD_RELAUNCH_ADVISED, TcbStatus.TD_RELAUNCH_ADVISED_CONFIGURATION_NEEDED}
}
_ENCLAVE_STATUSES = {
    status.value: status for status in (TcbStatus.UP_TO_DATE, TcbStatus.OUT_OF_DATE, TcbStatus.REVOKED)
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TcbLevel:
    """One level of a platform's TCB.

    Attributes:
        sgx_components: 16 SVNs.
        pce_svn: SVN of the provisioning certification enclave.
        tdx_components: 16 SVNs; None in TCB info for SGX.
        tcb_date: date of the level.
        status: its status.
        advisories: Intel's security advisories about it.
    """

    sgx_components: tuple[int, ...]
    pce_svn: int
    tdx_components: tuple[int, ...] | None
    tcb_date: datetime
    status: TcbStatus
    advisories: tuple[str, ...]

    @property
    def order(self) -> tuple[tuple[int, ...], int, tuple[int, ...]]:
        """Its place among levels: the higher, the newer (Intel QVL, comparison of TCB levels)."""
        return self.sgx_components, self.pce_svn, self.tdx_components or ()


@dataclass(frozen=True, slots=True, kw_only=True)
class EnclaveTcbLevel:
    """One level of a quoting enclave or of a TDX module: the lowest `isv_svn` that has it."""

    isv_svn: int
    tcb_date: datetime
    status: TcbStatus
    advisories: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TdxModule:
    """What a TDX module must be.

    Attributes:
        mr_signer: 48 bytes.
        attributes: 8 bytes.
        attributes_mask: 8 bytes.
    """

    mr_signer: bytes
    attributes: bytes
    attributes_mask: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class TdxModuleIdentity:
    """A TDX module of one major version, `id` being "TDX_" and that version in two hexadecimal digits."""

    id: str
    module: TdxModule
    tcb_levels: tuple[EnclaveTcbLevel, ...]  # highest isv_svn first


@dataclass(frozen=True, slots=True, kw_only=True)
class TcbInfo:
    """TCB info.

    Attributes:
        id: "SGX" or "TDX"; version 2 has none and is for SGX.
        version: 2 or 3.
        issue_date: when it was issued.
        next_update: until when it is to be used.
        fmspc: 6 bytes.
        pce_id: 2 bytes, in the order of the PCK certificate.
        tcb_evaluation_data_number: counts Intel's TCB recoveries.
        tdx_module: the TDX module of major version 0; None for SGX.
        tdx_module_identities: those of the others.
        tcb_levels: highest first, whatever the order in the document.
    """

    id: str
    version: int
    issue_date: datetime
    next_update: datetime
    fmspc: bytes
    pce_id: bytes
    tcb_evaluation_data_number: int
    tdx_module: TdxModule | None
    tdx_module_identities: tuple[TdxModuleIdentity, ...]
    tcb_levels: tuple[TcbLevel, ...]

    @classmethod
    def from_json(cls, data: bytes) -> TcbInfo:
        """Decode the exact bytes of the `tcbInfo` value.

        Raises:
            DecodeError: not strict JSON; a member missing, of the wrong type or out of range; another version.
        """
        document = JsonObject.from_bytes(data, "TcbInfo")
        version = document.integer("version", maximum=0xFFFF_FFFF)
        if version not in {2, 3}:
            raise DecodeError("TcbInfo", "version", None, f"unsupported version {version}, expected 2 or 3")
        identifier = document.one_of("id", ("SGX", "TDX")) if version == 3 else "SGX"
        tcb_type = document.integer("tcbType", maximum=0xFFFF_FFFF)
        if tcb_type != 0:
            raise DecodeError("TcbInfo", "tcbType", None, f"got {tcb_type}, expected 0")
        tdx = identifier == "TDX"
        levels = [_platform_level(level, version=version, tdx=tdx) for level in document.objects("tcbLevels")]
        levels.sort(key=lambda level: level.order, reverse=True)
        return cls(
            id=identifier,
            version=version,
            issue_date=document.time("issueDate"),
            next_update=document.time("nextUpdate"),
            fmspc=document.hexadecimal("fmspc", size=6),
            pce_id=document.hexadecimal("pceId", size=2),
            tcb_evaluation_data_number=document.integer("tcbEvaluationDataNumber", maximum=0xFFFF_FFFF),
            tdx_module=_module(document.member("tdxModule")) if tdx else None,
            tdx_module_identities=_module_identities(document) if tdx else (),
            tcb_levels=tuple(levels),
        )

    @property
    def title(self) -> str:
        """What it is, for people."""
        return f"TCB info {self.id} for FMSPC {self.fmspc.hex()}"

    def module_identity(self, major_version: int) -> TdxModuleIdentity | None:
        """Find the identity of the TDX module with `major_version`, or None."""
        wanted = f"TDX_{major_version:02X}"
        for identity in self.tdx_module_identities:
            if identity.id.upper() == wanted:
                return identity
        return None


def enclave_levels(document: JsonObject) -> tuple[EnclaveTcbLevel, ...]:
    """Read `tcbLevels` of a quoting enclave or TDX module, highest SVN first. Raises DecodeError."""
    levels = [
        EnclaveTcbLevel(
            isv_svn=level.member("tcb").integer("isvsvn", maximum=0xFFFF),
            tcb_date=level.time("tcbDate"),
            status=_ENCLAVE_STATUSES[level.one_of("tcbStatus", _ENCLAVE_STATUSES)],
            advisories=level.texts("advisoryIDs"),
        )
        for level in document.objects("tcbLevels")
    ]
    levels.sort(key=lambda level: level.isv_svn, reverse=True)
    return tuple(levels)


def _platform_level(level: JsonObject, *, version: int, tdx: bool) -> TcbLevel:
    tcb = level.member("tcb")
    if version == 2:
        sgx = tuple(tcb.integer(f"sgxtcbcomp{number:02}svn", maximum=0xFF) for number in range(1, COMPONENTS + 1))
    else:
        sgx = tcb.integers("sgxtcbcomponents", "svn", count=COMPONENTS, maximum=0xFF)
    return TcbLevel(
        sgx_components=sgx,
        pce_svn=tcb.integer("pcesvn", maximum=0xFFFF),
        tdx_components=tcb.integers("tdxtcbcomponents", "svn", count=COMPONENTS, maximum=0xFF) if tdx else None,
        tcb_date=level.time("tcbDate"),
        status=_PLATFORM_STATUSES[level.one_of("tcbStatus", _PLATFORM_STATUSES)],
        advisories=level.texts("advisoryIDs"),
    )


def _module(module: JsonObject) -> TdxModule:
    return TdxModule(
        mr_signer=module.hexadecimal("mrsigner", size=48),
        attributes=module.hexadecimal("attributes", size=8),
        attributes_mask=module.hexadecimal("attributesMask", size=8),
    )


def _module_identities(document: JsonObject) -> tuple[TdxModuleIdentity, ...]:
    if "tdxModuleIdentities" not in document:
        return ()
    identities = tuple(
        TdxModuleIdentity(id=identity.text("id"), module=_module(identity), tcb_levels=enclave_levels(identity))
        for identity in document.objects("tdxModuleIdentities")
    )
    names = [identity.id.upper() for identity in identities]
    if len(set(names)) != len(names):
        raise DecodeError("TcbInfo", "tdxModuleIdentities", None, "an id occurs twice")
    return identities
