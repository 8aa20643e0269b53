"""Policy entry for AMD SEV and SEV-ES: every field of the firmware's report.

Such a report binds no key, AMD publishes no revocation list for its certificates, and what could tell its age is bound
to nothing: an entry has to say that it does without.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any as Anything
from typing import ClassVar

from rats_tls.core.binding import Binding
from rats_tls.core.evidence import TeeType
from rats_tls.policy.entry import Entry
from rats_tls.policy.rules import Facts, Finding, Rule, custom, one_of, optional, present, required, within_mask
from rats_tls.policy.values import ANY, Any, choice, flag, numbers, octets, or_any, several
from rats_tls.policy.width import least_covers, list_covers, permission_covers

PRODUCTS = ("Naples", "Rome", "Milan")

# Guest policy (AMD SEV API, GPOLICY): the six bits below, API_MAJOR 16-23, API_MINOR 24-31.
_NODBG, _NOKS, _ES, _NOSEND, _DOMAIN, _SEV = range(6)
_WITH_FIELDS = 0b111111
_API_VERSION = 0xFFFF_0000


def _products_hold(value: Anything, claims: Anything, _: Facts) -> Finding | None:
    got = present(claims.product)
    return None if got in value else Finding(got, " or ".join(value))


def _api_holds(value: Anything, claims: Anything, _: Facts) -> Finding | None:
    got = (claims.policy >> 16 & 0xFF, claims.policy >> 24 & 0xFF)
    return None if got >= value else Finding(f"{got[0]}.{got[1]}", f"at least {value[0]}.{value[1]}")


def _set_unless_allowed(bit: int, what: str, meaning: str, *, without: Callable[[int], bool] | None = None) -> Rule:
    """The bit of the guest policy is set unless the field is true; nor where `without` says that it means nothing."""

    def condition(value: Anything, claims: Anything, _: Facts) -> Finding | None:
        if value or claims.policy >> bit & 1 or (without is not None and without(claims.policy)):
            return None
        return Finding(f"{what} clear", f"{what} set")

    return custom(flag(), condition, meaning, width=permission_covers)


def _never_sent(policy: int) -> bool:
    return bool(policy >> _NOSEND & 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class SevEntry(Entry):
    """Accepts SEV and SEV-ES guests."""

    tee: ClassVar[TeeType] = TeeType.SEV
    hardware_id_size: ClassVar[int | None] = 32
    unavoidable: ClassVar[frozenset[str]] = frozenset({"revocation", "max_evidence_age"})

    launch_digest: tuple[bytes, ...] | Any = required(
        one_of(octets(32), "launch_digest", "Accepted LAUNCH_DIGEST: the guest's initial memory.", reference_value=True)
    )
    products: tuple[str, ...] | Any = optional(
        custom(
            or_any(several(choice(PRODUCTS))),
            _products_hold,
            "Accepted processors, by the root that the chain led to.",
            width=list_covers,
        ),
        ANY,
    )
    allow_debug: bool = optional(
        _set_unless_allowed(_NODBG, "NODBG", "Accept guests that their host may debug."), False
    )
    allow_key_sharing: bool = optional(
        _set_unless_allowed(_NOKS, "NOKS", "Accept guests that share their memory's key with other guests."), False
    )
    allow_plain_registers: bool = optional(
        _set_unless_allowed(_ES, "ES", "Accept SEV guests, whose host reads and changes their registers."), False
    )
    allow_send: bool = optional(
        _set_unless_allowed(_NOSEND, "NOSEND", "Accept guests that their host may send to another machine."), False
    )
    allow_send_outside_domain: bool = optional(
        _set_unless_allowed(
            _DOMAIN,
            "DOMAIN",
            "Of guests that may be sent, accept those that may leave their owner's domain.",
            without=_never_sent,
        ),
        False,
    )
    allow_send_outside_sev: bool = optional(
        _set_unless_allowed(
            _SEV, "SEV", "Of guests that may be sent, accept those that may go where no SEV is.", without=_never_sent
        ),
        False,
    )
    allowed_policy_bits: int = optional(
        within_mask(
            32,
            "policy",
            "Guest policy bits that may be set, besides those with fields of their own and the API version.",
            judged_elsewhere=_API_VERSION | _WITH_FIELDS,
        ),
        0,
    )
    min_policy_api: tuple[int, ...] = optional(
        custom(
            numbers(2, 8),
            _api_holds,
            "Lowest accepted API version of the firmware in the guest policy: major, minor.",
            width=least_covers,
        ),
        (0, 0),
    )

    def contradictions(self) -> list[str]:
        """Name what an entry must say because nothing of this TEE can be otherwise."""
        found = []
        if Binding.NONE not in self.bindings:
            got = " or ".join(binding.value for binding in self.bindings)
            found.append(
                f"bindings: got {got}, expected none among them: nothing in a report of a {self.tee} guest binds a key"
            )
        if self.revocation != "not-checked":
            found.append(
                f'revocation: got {self.revocation!r}, expected "not-checked": AMD publishes no revocation list for '
                "certificates before SEV-SNP"
            )
        if self.max_evidence_age is not ANY:
            found.append(
                f'max_evidence_age: got {self.max_evidence_age}, expected "any": nothing that {self.tee} binds tells it'
            )
        return found
