"""Policy entry for Hygon CSV: every field of the attestation report.

Source of the bits: Hygon CSV attestation, guest policy.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any as Anything
from typing import ClassVar

from rats_tls.core.binding import Binding
from rats_tls.core.claims import CsvClaims, TeeClaims
from rats_tls.core.evidence import TeeType
from rats_tls.policy.entry import Entry
from rats_tls.policy.required_events import RequiredEvent, required_events_rule
from rats_tls.policy.rules import (
    Facts,
    Finding,
    Rule,
    allowed_bit,
    at_least,
    custom,
    one_of,
    one_of_or_none,
    optional,
    required,
)
from rats_tls.policy.values import ANY, Any, flag, integer, numbers, octets
from rats_tls.policy.width import demand_covers, least_covers, permission_covers

_NODBG, _NOKS, _ES, _NOSEND, _DOMAIN, _CSV, _CSV3, _ASID_REUSE = range(8)
_HSK_VERSION, _CEK_VERSION, _API_MAJOR, _API_MINOR = 8, 12, 16, 24
_REGISTER_SIZE = 32


def _unless_set(bit: int, name: str, meaning: str) -> Rule:
    """The bit of the policy is set unless the field is true."""

    def condition(value: Anything, claims: Anything, _: Facts) -> Finding | None:
        return Finding(f"{name} clear", f"{name} set") if not value and not claims.policy >> bit & 1 else None

    return custom(flag(), condition, meaning, width=permission_covers)


def _demanded(bit: int, name: str, meaning: str) -> Rule:
    """The bit of the policy is set if the field is true."""

    def condition(value: Anything, claims: Anything, _: Facts) -> Finding | None:
        return Finding(f"{name} clear", f"{name} set") if value and not claims.policy >> bit & 1 else None

    return custom(flag(), condition, meaning, width=demand_covers)


def _version_at_least(shift: int, meaning: str) -> Rule:
    """Four bits of the policy are not below the value."""

    def condition(value: Anything, claims: Anything, _: Facts) -> Finding | None:
        got = claims.policy >> shift & 0xF
        return None if got >= value else Finding(str(got), f"at least {value}")

    return custom(integer(4), condition, meaning, width=least_covers)


def _register(index: int, meaning: str) -> Rule:
    """The register is one of the listed values; a report of version 1 has none, and meets no value at all."""
    form = one_of(octets(_REGISTER_SIZE), f"rtmr{index}", meaning, reference_value=True)

    def condition(value: Anything, claims: Anything, facts: Facts) -> Finding | None:
        if claims.rtmrs is None:
            return Finding("none: a report of version 1 has no registers", "one of those listed")
        return form.condition(value, _Registers.of(claims), facts)

    return replace(form, condition=condition)


@dataclass(frozen=True, slots=True)
class _Registers:
    """Registers by name."""

    rtmr0: bytes
    rtmr1: bytes
    rtmr2: bytes
    rtmr3: bytes
    rtmr4: bytes

    @classmethod
    def of(cls, claims: Anything) -> _Registers:
        return cls(*claims.rtmrs)


def _build_holds(value: Anything, claims: Anything, _: Facts) -> Finding | None:
    got = claims.build if claims.build is not None else "none: report version 1 has no build"
    return None if (claims.build or 0) >= value else Finding(str(got), f"at least {value}")


def _api_holds(value: Anything, claims: Anything, _: Facts) -> Finding | None:
    got = (claims.policy >> _API_MAJOR & 0xFF, claims.policy >> _API_MINOR & 0xFF)
    return None if got >= value else Finding(f"{got[0]}.{got[1]}", f"at least {value[0]}.{value[1]}")


def _mask_holds(value: Anything, claims: Anything, facts: Facts) -> Finding | None:
    if value or claims.report_version > 1 or facts.binding is not Binding.NONE:
        return None
    return Finding(
        "report version 1 whose user_data was compared with nothing", "a report whose words are what the chip signed"
    )


_MASK = "the mask of a report of version 1 is not signed, and every word may be another than the chip signed"


@dataclass(frozen=True, slots=True, kw_only=True)
class CsvEntry(Entry):
    """Accepts CSV guests."""

    tee: ClassVar[TeeType] = TeeType.CSV
    hardware_id_size: ClassVar[int | None] = 32
    unavoidable: ClassVar[frozenset[str]] = frozenset({"revocation"})

    measurement: tuple[bytes, ...] | Any = required(
        one_of(octets(32), "measurement", "Accepted MEASURE: the guest's initial memory.", reference_value=True)
    )
    vm_id: tuple[bytes, ...] | Any = required(
        one_of(octets(16), "vm_id", "Accepted VM_ID, which the owner gave at launch.", reference_value=True)
    )
    vm_version: tuple[bytes, ...] | Any = required(
        one_of(octets(16), "vm_version", "Accepted VM_VERSION, which the owner gave at launch.", reference_value=True)
    )
    user_pubkey_digest: tuple[bytes, ...] | Any = required(
        one_of(
            octets(32),
            "user_pubkey_digest",
            "Accepted USER_PUBKEY_DIGEST: the owner's key at launch; zeros for none.",
            reference_value=True,
        )
    )
    host_data: tuple[bytes, ...] | Any = required(
        one_of_or_none(
            64,
            "host_data",
            "Accepted HOST_DATA: what the host bound to the guest at launch; zeros before report version 3.",
            reference_value=True,
        )
    )
    rtmr0: tuple[bytes, ...] | Any = required(_register(0, "Accepted RTMR0; zeros in report version 1, as the others."))
    rtmr1: tuple[bytes, ...] | Any = required(_register(1, "Accepted RTMR1: the firmware's configuration."))
    rtmr2: tuple[bytes, ...] | Any = required(_register(2, "Accepted RTMR2: boot loader and kernel."))
    rtmr3: tuple[bytes, ...] | Any = required(_register(3, "Accepted RTMR3: kernel command line and initrd."))
    rtmr4: tuple[bytes, ...] | Any = required(_register(4, "Accepted RTMR4: what the running system extends."))
    required_events: tuple[RequiredEvent, ...] = optional(
        required_events_rule(("rtmr1", "rtmr2", "rtmr3", "rtmr4"), _REGISTER_SIZE), ()
    )
    min_report_version: int = optional(at_least(32, "report_version", "Lowest accepted report version, 1 to 3."), 1)
    min_build: int = optional(
        custom(
            integer(32),
            _build_holds,
            "Lowest accepted firmware build; report version 1 has none, which counts as 0.",
            width=least_covers,
            reference_value=True,
        ),
        0,
    )
    allow_debug: bool = optional(
        _unless_set(_NODBG, "NODBG", "Accept guests that their host may debug (NODBG clear)."), False
    )
    allow_key_sharing: bool = optional(
        _unless_set(_NOKS, "NOKS", "Accept guests that may share their memory key with others (NOKS clear)."), False
    )
    allow_plain_registers: bool = optional(
        _unless_set(_ES, "ES", "Accept guests whose registers the host sees (ES clear)."), False
    )
    allow_send: bool = optional(
        _unless_set(_NOSEND, "NOSEND", "Accept guests that may be sent to another platform (NOSEND clear)."), False
    )
    allow_asid_reuse: bool = optional(
        allowed_bit("policy", _ASID_REUSE, "ASID_REUSE", "Accept guests whose ASID others may reuse."), False
    )
    require_domain: bool = optional(
        _demanded(_DOMAIN, "DOMAIN", "Require that the guest is sent within its owner's domain only."), False
    )
    require_csv: bool = optional(
        _demanded(_CSV, "CSV", "Require that the guest is sent to platforms with CSV only."), False
    )
    require_csv3: bool = optional(_demanded(_CSV3, "CSV3", "Require a CSV3 guest, whose memory is isolated."), False)
    min_hsk_version: int = optional(
        _version_at_least(_HSK_VERSION, "Lowest accepted HSK version that the guest demands of its platform."), 0
    )
    min_cek_version: int = optional(
        _version_at_least(_CEK_VERSION, "Lowest accepted CEK version that the guest demands of its platform."), 0
    )
    min_policy_api: tuple[int, ...] = optional(
        custom(
            numbers(2, 8),
            _api_holds,
            "Lowest accepted firmware API version in the guest policy: major, minor.",
            width=least_covers,
        ),
        (0, 0),
    )
    allow_unproved_mask: bool = optional(
        custom(
            flag(),
            _mask_holds,
            "Accept a report of version 1 whose mask is not proved, because user_data was not compared or any "
            "measurement is accepted: every word, the policy too, may be another than the chip signed.",
            width=permission_covers,
        ),
        False,
    )

    def can_be_softened(self, claims: TeeClaims) -> bool:
        """As that of every entry; of version 1 the measurement proves every other word, so that no mismatch is."""
        return getattr(claims, "report_version", 0) > 1

    def unproved(self, claims: Anything, binding: Binding) -> str:
        """Say that the words of a report of version 1 may be others than the chip signed, where nothing shows them."""
        if claims.report_version > 1:
            return ""
        if binding is Binding.NONE:
            return f"{_MASK}: its user_data was compared with nothing"
        return f"{_MASK}: entry {self.name!r} accepts any measurement" if self.measurement is ANY else ""

    def contradictions(self) -> list[str]:
        """Name fields that do not go together."""
        problems = []
        if self.revocation == "required":
            problems.append('revocation: Hygon publishes no revocation list: write "not-checked"')
        if self.measurement is ANY and self.min_report_version <= 1 and not self.allow_unproved_mask:
            # A guest can ask for user_data that a mask of its choice turns into the expected one. The same mask turns
            # its measurement, which it cannot choose.
            problems.append(
                'measurement: "any" needs min_report_version = 2: in a report of version 1 only the measurement shows '
                "that its words are what the chip signed"
            )
        return problems


def pinned_fields(claims: CsvClaims) -> dict[str, Anything]:
    """Give the fields of an entry that must be written, by what `claims` say."""
    registers = claims.rtmrs or (ANY,) * 5
    return {
        "measurement": claims.measurement,
        "vm_id": claims.vm_id,
        "vm_version": claims.vm_version,
        "user_pubkey_digest": claims.user_pubkey_digest,
        "host_data": claims.host_data or bytes(64),
        **{f"rtmr{index}": value for index, value in enumerate(registers)},
    }
