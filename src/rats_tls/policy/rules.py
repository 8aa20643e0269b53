"""Rules of policy fields: a form for the value, and the condition that claims or facts must meet."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, replace
from typing import Any as Anything
from typing import Literal

from rats_tls.core.binding import Binding
from rats_tls.core.checks import shorten
from rats_tls.policy.values import ANY, Form, flag, integer, mask, octets, or_any, several
from rats_tls.policy.width import (
    Covers,
    bits_cover,
    least_covers,
    list_covers,
    mask_covers,
    permission_covers,
    same,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What an appraisal knows beside the claims.

    Attributes:
        binding: what ties the Evidence to the peer.
        preamble: whether the peer spoke the preamble; None outside a channel, where it is not checked.
        custom_claims: the peer's custom claims.
        evidence_age: seconds since issued-at; "unknown" without one; "not-applicable" for bare Evidence.
        spki_sha256: digest of the public key that the peer has proved to hold; None where it has proved none.
        revocation_checked: whether every certificate was checked against a list that is in date, or that has expired
            `lists_expired_by` seconds ago.
        documents_expired_by: seconds since the first document ended that is in use; None when all are in date.
        lists_expired_by: the same of revocation lists.
        documents_age: seconds since the oldest document in use was issued; None without one.
        lists_age: the same of revocation lists.
        expired_document: description of the document that `documents_expired_by` is about, for people; likewise
            `expired_list`, and `oldest_document` and `oldest_list` of the ages. "" where it is not known.
        endorsements_known: whether no Endorsement is missing.
    """

    binding: Binding
    preamble: bool | None
    custom_claims: Mapping[str, bytes]
    evidence_age: float | Literal["unknown", "not-applicable"]
    spki_sha256: bytes | None
    revocation_checked: bool = True
    documents_expired_by: float | None = None
    lists_expired_by: float | None = None
    documents_age: float | None = None
    lists_age: float | None = None
    expired_document: str = ""
    expired_list: str = ""
    oldest_document: str = ""
    oldest_list: str = ""
    endorsements_known: bool = True


_LISTED = 8
"""How many accepted values a mismatch lists."""


class ClaimAbsentError(Exception):
    """The claim is not there: its Endorsement is missing, or the Evidence has no such field."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A condition that does not hold, for people."""

    got: str
    expected: str


Condition = Callable[[Anything, Anything, Facts], Finding | None]
"""From the field's value, the claims and the facts to a finding, or None when it holds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One field's rule.

    Attributes:
        form: how its value is written and held.
        condition: what must hold.
        meaning: one sentence for the documentation.
        judges_any: whether the condition is asked when the value is ANY too.
        width: whether a value accepts all that another one does, where neither is the other nor the first one ANY.
        reference_value: whether the field holds Reference Values: what code runs, who signed it, in which version.
        tcb_status: whether the field judges the TCB status that the vendor gives.
    """

    form: Form
    condition: Condition
    meaning: str
    judges_any: bool = False
    width: Covers = same
    reference_value: bool = False
    tcb_status: bool = False

    @property
    def softened(self) -> bool:
        """Whether a policy in report-only mode passes over a mismatch of the field."""
        return self.reference_value or self.tcb_status

    def covers(self, wide: Anything, narrow: Anything) -> bool:
        """Whether `wide` accepts all that `narrow` does; False too where no order is known."""
        return wide is ANY or wide == narrow or self.width(wide, narrow)


def required(rule: Rule) -> Anything:
    """Declare a field that must be written."""
    return field(metadata={"rule": rule})


def optional(rule: Rule, default: object) -> Anything:
    """Declare a field with a strict default."""
    return field(default=default, metadata={"rule": rule})


def rule_of(declared: Anything) -> Rule:
    """Give the rule of a dataclass field."""
    rule: Rule = declared.metadata["rule"]
    return rule


def is_required(declared: Anything) -> bool:
    """Whether a dataclass field must be written."""
    return declared.default is MISSING


def default_of(declared: Anything) -> Anything:
    """Give the default of a dataclass field that has one, as an entry holds it."""
    return ANY if declared.default is ANY else rule_of(declared).form.parse(declared.default)


def _show(value: object) -> str:
    if isinstance(value, bytes):
        return shorten(value, 128)
    if isinstance(value, tuple):
        more = len(value) - _LISTED
        return " or ".join(_show(item) for item in value[:_LISTED]) + (f" or {more} more" if more > 0 else "")
    return str(getattr(value, "value", value))


def present(value: Anything) -> Anything:
    """Give a claim that is there. Raises ClaimAbsentError."""
    if value is None:
        raise ClaimAbsentError
    return value


def claim(name: str) -> Callable[[Anything], Anything]:
    """Give a getter of the claim `name`, dots and all, that fails when any part is absent."""
    parts = name.split(".")

    def get(claims: Anything) -> Anything:
        value = claims
        for part in parts:
            value = present(getattr(value, part))
        return value

    return get


def one_of(form: Form, name: str, meaning: str, *, reference_value: bool = False) -> Rule:
    """The claim is one of the listed values; the field also takes "any"."""
    get = claim(name)

    def condition(value: Anything, claims: Anything, _: Facts) -> Finding | None:
        got = get(claims)
        return None if got in value else Finding(_show(got), _show(value))

    return Rule(
        form=or_any(several(form)),
        condition=condition,
        meaning=meaning,
        width=list_covers,
        reference_value=reference_value,
    )


def one_of_or_none(size: int, name: str, meaning: str, *, reference_value: bool = False) -> Rule:
    """As `one_of` for `size` bytes; where this version of the Evidence has no such field, it counts as zeros."""
    rule = one_of(octets(size), name, meaning, reference_value=reference_value)

    def condition(value: Anything, claims: Anything, facts: Facts) -> Finding | None:
        if getattr(claims, name) is not None:
            return rule.condition(value, claims, facts)
        return None if bytes(size) in value else Finding("none", _show(value))

    return replace(rule, condition=condition)


def at_least(bits: int, name: str, meaning: str, *, any_allowed: bool = False, reference_value: bool = False) -> Rule:
    """The claim is not below the value."""
    get = claim(name)

    def condition(value: Anything, claims: Anything, _: Facts) -> Finding | None:
        got = get(claims)
        return None if got >= value else Finding(str(got), f"at least {value}")

    form = integer(bits)
    return Rule(
        form=or_any(form) if any_allowed else form,
        condition=condition,
        meaning=meaning,
        width=least_covers,
        reference_value=reference_value,
    )


def within_mask(bits: int, name: str, meaning: str, *, judged_elsewhere: int = 0) -> Rule:
    """No bit of the claim is set outside the mask; bits of `judged_elsewhere` have fields of their own."""
    get = claim(name)

    def condition(value: Anything, claims: Anything, _: Facts) -> Finding | None:
        got = get(claims)
        outside = got & ~value & ~judged_elsewhere
        return Finding(f"{got:#x} (not allowed: {outside:#x})", f"only bits of {value:#x}") if outside else None

    return Rule(form=mask(bits), condition=condition, meaning=meaning, width=mask_covers)


def has_bits(bits: int, name: str, meaning: str) -> Rule:
    """Every bit of the mask is set in the claim."""
    get = claim(name)

    def condition(value: Anything, claims: Anything, _: Facts) -> Finding | None:
        if not value:
            return None
        got = get(claims)
        absent = value & ~got
        return Finding(f"{got:#x} (not set: {absent:#x})", f"all bits of {value:#x}") if absent else None

    return Rule(form=mask(bits), condition=condition, meaning=meaning, width=bits_cover)


def allowed_bit(name: str, bit: int, what: str, meaning: str) -> Rule:
    """The bit of the claim is clear unless the field is true."""
    get = claim(name)

    def condition(value: Anything, claims: Anything, _: Facts) -> Finding | None:
        return Finding(f"{what} set", f"{what} clear") if not value and get(claims) >> bit & 1 else None

    return Rule(form=flag(), condition=condition, meaning=meaning, width=permission_covers)


def custom(
    form: Form,
    condition: Condition,
    meaning: str,
    *,
    judges_any: bool = False,
    width: Covers = same,
    reference_value: bool = False,
    tcb_status: bool = False,
) -> Rule:
    """A rule with a condition of its own."""
    return Rule(
        form=form,
        condition=condition,
        meaning=meaning,
        judges_any=judges_any,
        width=width,
        reference_value=reference_value,
        tcb_status=tcb_status,
    )


def finding(rule: Rule, value: Anything, claims: Anything, facts: Facts) -> Finding | None:
    """Apply a rule. Raises ClaimAbsentError."""
    return None if value is ANY and not rule.judges_any else rule.condition(value, claims, facts)
