"""Policy entries for Intel platforms: what quotes of SGX and TDX share, and the entry for TDX."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any as Anything
from typing import ClassVar

from rats_tls.core.claims import TcbStatus, TeeClaims
from rats_tls.core.evidence import TeeType
from rats_tls.policy.entry import Entry
from rats_tls.policy.required_events import TDX_EVENT_REGISTERS, RequiredEvent, required_events_rule
from rats_tls.policy.rules import (
    ClaimAbsentError,
    Facts,
    Finding,
    Rule,
    allowed_bit,
    at_least,
    custom,
    has_bits,
    one_of,
    one_of_or_none,
    optional,
    required,
    within_mask,
)
from rats_tls.policy.values import ANY, Any, choice, flag, integer, numbers, octets, or_any, several, table, text
from rats_tls.policy.width import demand_covers, floors_cover, list_covers, permission_covers

# TD attributes (Intel TDX module ABI): TUD 0-7, LASS 27, SEPT_VE_DISABLE 28, MIGRATABLE 29, PKS 30.
_TDX_TUD = 0xFF
_SEPT_VE_DISABLE = 28
_MIGRATABLE = 29
TDX_ATTRIBUTES = 1 << 27 | 1 << _SEPT_VE_DISABLE | 1 << 30
# XFAM: x87, SSE, AVX, AVX-512, PKRU, CET, UINTR, AMX; not PT (8) and LBR (15), which trace.
TDX_XFAM = 0x65AE7


@dataclass(frozen=True, slots=True, kw_only=True)
class IntelMinimumTcb:
    """Lowest accepted security versions, by component.

    Attributes:
        sgx_components: 16 component SVNs of the PCK certificate.
        pce_svn: PCESVN of the PCK certificate.
        tdx_components: 16 SVNs of tee_tcb_svn (TDX only).
    """

    sgx_components: tuple[int, ...] | None = None
    pce_svn: int | None = None
    tdx_components: tuple[int, ...] | None = None


def minimum_tcb(*, tdx: bool) -> Rule:
    """Give the rule of a lowest accepted TCB."""
    forms = {"sgx_components": numbers(16, 8), "pce_svn": integer(16)}
    if tdx:
        forms["tdx_components"] = numbers(16, 8)

    def condition(value: Anything, claims: Anything, _: Facts) -> Finding | None:
        below: list[Finding] = []
        if value.tdx_components is not None:
            got = tuple(claims.tee_tcb_svn)
            if any(g < v for g, v in zip(got, value.tdx_components, strict=True)):
                below.append(Finding(f"tdx_components {list(got)}", f"at least {list(value.tdx_components)}"))
        if value.sgx_components is not None or value.pce_svn is not None:
            if claims.platform is None:
                raise ClaimAbsentError
            components = claims.platform.sgx_tcb_components
            if value.sgx_components is not None and any(
                g < v for g, v in zip(components, value.sgx_components, strict=True)
            ):
                below.append(Finding(f"sgx_components {list(components)}", f"at least {list(value.sgx_components)}"))
            if value.pce_svn is not None and claims.platform.pce_svn < value.pce_svn:
                below.append(Finding(f"pce_svn {claims.platform.pce_svn}", f"at least {value.pce_svn}"))
        if not below:
            return None
        return Finding("; ".join(f.got for f in below), "; ".join(f.expected for f in below))

    form = table(forms, IntelMinimumTcb, required=tuple(forms))
    return custom(
        or_any(form),
        condition,
        "Lowest accepted security versions, by component.",
        width=floors_cover,
        reference_value=True,
    )


def _status_holds(value: Anything, claims: Anything, _: Facts) -> Finding | None:
    if claims.tcb is None:
        raise ClaimAbsentError
    status = claims.tcb.status
    # Revoked is refused whatever a policy says: the field does not take it, and this line does not ask the field.
    if status in value and status is not TcbStatus.REVOKED:
        return None
    return Finding(status.value, " or ".join(item.value for item in value))


def _advisories_hold(value: Anything, claims: Anything, _: Facts) -> Finding | None:
    if claims.tcb is None:
        raise ClaimAbsentError
    if claims.tcb.status is TcbStatus.UP_TO_DATE:
        return None
    unlisted = [item for item in claims.tcb.advisories if item not in value]
    if not unlisted:
        return None
    return Finding(", ".join(unlisted), "only " + ", ".join(value) if value else "none")


@dataclass(frozen=True, slots=True, kw_only=True)
class IntelEntry(Entry):
    """What SGX and TDX entries share: the platform and its TCB."""

    hardware_id_size: ClassVar[int | None] = 16

    tcb_statuses: tuple[TcbStatus, ...] = optional(
        custom(
            several(choice(TcbStatus, excluded={"Revoked": "a revoked TCB can never be accepted"})),
            _status_holds,
            "Accepted TCB statuses. One other than UpToDate is accepted only together with all its advisories.",
            width=list_covers,
            tcb_status=True,
        ),
        (TcbStatus.UP_TO_DATE,),
    )
    advisories: tuple[str, ...] = optional(
        custom(
            several(text(expected="an advisory id such as INTEL-SA-00289"), empty=True),
            _advisories_hold,
            "Accepted advisories, for statuses other than UpToDate; every one that the platform has must be listed.",
            width=list_covers,
            tcb_status=True,
        ),
        (),
    )
    min_tcb_evaluation_data_number: int = optional(
        at_least(
            32,
            "tcb.tcb_evaluation_data_number",
            "Lowest accepted tcbEvaluationDataNumber of TCB info and QE identity, against rollback to older ones.",
        ),
        0,
    )
    fmspcs: tuple[bytes, ...] | Any = optional(
        one_of(octets(6), "platform.fmspc", "Accepted platform families (FMSPC)."), ANY
    )
    dynamic_platform: tuple[bool, ...] | Any = optional(
        one_of(flag(), "platform.dynamic_platform", "Whether packages may be added to the platform (PCK certificate)."),
        ANY,
    )
    cached_keys: tuple[bool, ...] | Any = optional(
        one_of(flag(), "platform.cached_keys", "Whether Intel keeps the platform's root keys (PCK certificate)."), ANY
    )
    smt_enabled: tuple[bool, ...] | Any = optional(
        one_of(flag(), "platform.smt_enabled", "Whether hyper-threading was on (PCK certificate)."), ANY
    )

    def can_be_softened(self, claims: TeeClaims) -> bool:
        """As that of every entry; no mismatch beside a revoked TCB is."""
        tcb = getattr(claims, "tcb", None)
        return tcb is None or tcb.status is not TcbStatus.REVOKED


@dataclass(frozen=True, slots=True, kw_only=True)
class TdxEntry(IntelEntry):
    """Accepts TDX trust domains."""

    tee: ClassVar[TeeType] = TeeType.TDX_ECDSA

    mr_td: tuple[bytes, ...] | Any = required(
        one_of(
            octets(48), "mr_td", "Accepted MRTD: the trust domain's initial memory, its firmware.", reference_value=True
        )
    )
    rtmr0: tuple[bytes, ...] | Any = required(
        one_of(
            octets(48), "rtmr0", "Accepted RTMR0: firmware configuration, as firmware extends it.", reference_value=True
        )
    )
    rtmr1: tuple[bytes, ...] | Any = required(
        one_of(
            octets(48), "rtmr1", "Accepted RTMR1: boot loader and kernel, as firmware extends it.", reference_value=True
        )
    )
    rtmr2: tuple[bytes, ...] | Any = required(
        one_of(
            octets(48),
            "rtmr2",
            "Accepted RTMR2: kernel command line and initrd, as the boot loader extends it.",
            reference_value=True,
        )
    )
    rtmr3: tuple[bytes, ...] | Any = required(
        one_of(octets(48), "rtmr3", "Accepted RTMR3: what the running system extends.", reference_value=True)
    )
    mr_seam: tuple[bytes, ...] | Any = required(
        one_of(
            octets(48),
            "mr_seam",
            "Accepted TDX modules; Intel's signature over them is verified in any case.",
            reference_value=True,
        )
    )
    min_tcb: IntelMinimumTcb | Any = required(minimum_tcb(tdx=True))
    allow_debug: bool = optional(
        custom(
            flag(),
            lambda value, claims, _: (
                Finding(f"debug ({claims.td_attributes & _TDX_TUD:#x})", "no bit of the debug byte")
                if not value and claims.td_attributes & _TDX_TUD
                else None
            ),
            "Accept trust domains under debug (any bit of the TUD byte).",
            width=permission_covers,
        ),
        False,
    )
    require_sept_ve_disable: bool = optional(
        custom(
            flag(),
            lambda value, claims, _: (
                Finding("SEPT_VE_DISABLE clear", "SEPT_VE_DISABLE set")
                if value and not claims.td_attributes >> _SEPT_VE_DISABLE & 1
                else None
            ),
            "Require that the host cannot inject exceptions by removing pages (SEPT_VE_DISABLE).",
            width=demand_covers,
        ),
        True,
    )
    allow_migratable: bool = optional(
        allowed_bit("td_attributes", _MIGRATABLE, "MIGRATABLE", "Accept trust domains that can be migrated."), False
    )
    allowed_td_attributes: int = optional(
        within_mask(
            64,
            "td_attributes",
            "Attributes that may be set, besides those with fields of their own; by default LASS, PKS.",
            judged_elsewhere=_TDX_TUD | 1 << _MIGRATABLE,
        ),
        TDX_ATTRIBUTES,
    )
    required_td_attributes: int = optional(
        has_bits(64, "td_attributes", "Attributes that must be set, besides SEPT_VE_DISABLE."), 0
    )
    allowed_xfam: int = optional(
        within_mask(64, "xfam", "Processor features that may be enabled (XFAM); by default not PT and LBR."), TDX_XFAM
    )
    mr_config_id: tuple[bytes, ...] | Any = optional(
        one_of(
            octets(48), "mr_config_id", "Accepted MRCONFIGID: configuration chosen by the owner.", reference_value=True
        ),
        (bytes(48),),
    )
    mr_owner: tuple[bytes, ...] | Any = optional(
        one_of(octets(48), "mr_owner", "Accepted MROWNER: the owner of the trust domain.", reference_value=True),
        (bytes(48),),
    )
    mr_owner_config: tuple[bytes, ...] | Any = optional(
        one_of(
            octets(48),
            "mr_owner_config",
            "Accepted MROWNERCONFIG: the owner's own configuration.",
            reference_value=True,
        ),
        (bytes(48),),
    )
    mr_service_td: tuple[bytes, ...] | Any = optional(
        one_of_or_none(
            48,
            "mr_service_td",
            "Accepted service trust domains (TD report body 1.5); zeros for none.",
            reference_value=True,
        ),
        (bytes(48),),
    )
    required_events: tuple[RequiredEvent, ...] = optional(required_events_rule(TDX_EVENT_REGISTERS, 48), ())
