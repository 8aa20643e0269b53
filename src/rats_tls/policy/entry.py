"""A policy entry: one TEE and a conjunction of conditions. Its fields are the single definition of everything else."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any as Anything
from typing import ClassVar

from rats_tls.core.binding import Binding
from rats_tls.core.checks import Mismatch
from rats_tls.core.claims import TeeClaims
from rats_tls.core.evidence import BINDS_NOTHING, TeeType
from rats_tls.policy.problems import EntryError
from rats_tls.policy.rules import (
    ClaimAbsentError,
    Facts,
    Finding,
    custom,
    finding,
    optional,
    present,
    required,
    rule_of,
)
from rats_tls.policy.values import (
    ANY,
    Any,
    Form,
    ValueProblem,
    choice,
    claims_table,
    integer,
    octets,
    or_any,
    several,
    shown,
    table,
    text,
)
from rats_tls.policy.width import list_covers, most_covers

MEASUREMENT_ONLY = "measurement-only"
DEFAULT_MAX_EVIDENCE_AGE = 3600
MAX_ENDORSEMENT_GRACE = 366 * 86_400
"""A year: what a vendor has revoked or corrected meanwhile is not known."""

_NAMES_LATER = 'names under a CA come with "session" binding, which this version does not have'


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Which machine the peer must be, apart from what it runs. Every key that is written must hold.

    Attributes:
        spki_sha256: digests of accepted TLS keys (32 bytes each).
        hardware_ids: accepted machines: PPID or platform instance id (16 bytes) for Intel, chip id (64) for SEV-SNP,
            SHA-256 over the key of the CEK certificate (32, `cek_sha256`) for SEV and CSV.
    """

    spki_sha256: tuple[bytes, ...] | None = None
    hardware_ids: tuple[bytes, ...] | None = None


def _identity_form() -> Form:
    tables = table({"spki_sha256": several(octets(32)), "hardware_ids": several(octets(None))}, Identity)

    def parse(value: object) -> object:
        if value == MEASUREMENT_ONLY:
            return MEASUREMENT_ONLY
        if isinstance(value, str):
            raise ValueProblem(f"got {value!r}, expected {MEASUREMENT_ONLY!r} or {tables.text}")
        if isinstance(value, dict) and {"name", "names", "ca", "ca_file"} & set(value):
            raise ValueProblem(_NAMES_LATER)
        return tables.parse(value)

    return Form(
        parse=parse,
        dump=lambda value: value if value == MEASUREMENT_ONLY else tables.dump(value),
        schema={"anyOf": [{"const": MEASUREMENT_ONLY}, dict(tables.schema)]},
        text=f'"{MEASUREMENT_ONLY}", or {tables.text}',
    )


def _identity_holds(value: Anything, claims: Anything, facts: Facts) -> Finding | None:
    if value == MEASUREMENT_ONLY:
        return None
    if value.spki_sha256 is not None and facts.spki_sha256 not in value.spki_sha256:
        got = facts.spki_sha256.hex() if facts.spki_sha256 is not None else "none that the peer has proved to hold"
        return Finding(f"key {got}", "key " + " or ".join(pin.hex() for pin in value.spki_sha256))
    if value.hardware_ids is not None:
        got_ids = present(claims.hardware_ids)
        if not set(got_ids) & set(value.hardware_ids):
            return Finding(
                "machine " + ", ".join(item.hex() for item in got_ids),
                "machine " + " or ".join(item.hex() for item in value.hardware_ids),
            )
    return None


def _identity_covers(wide: Anything, narrow: Anything) -> bool:
    if wide == MEASUREMENT_ONLY:
        return True
    pairs = ((getattr(wide, key), getattr(narrow, key, None)) for key in ("spki_sha256", "hardware_ids"))
    return all(pinned is None or (given is not None and set(given) <= set(pinned)) for pinned, given in pairs)


def _binding_holds(value: Anything, _: Anything, facts: Facts) -> Finding | None:
    # The caller who expects a report_data has bound the Evidence; no entry lists that.
    if facts.binding is Binding.REPORT_DATA or facts.binding in value:
        return None
    return Finding(facts.binding.value, " or ".join(binding.value for binding in value))


def _preamble_holds(value: Anything, _: Anything, facts: Facts) -> Finding | None:
    if value == "required" and facts.preamble is False:
        return Finding("no preamble", "a peer that speaks the preamble")
    return None


def _age_holds(value: Anything, _: Anything, facts: Facts) -> Finding | None:
    if facts.evidence_age == "not-applicable":
        return None
    if facts.evidence_age == "unknown":
        return Finding("unknown age (no issued-at)", f"at most {value} s")
    if facts.evidence_age <= value:
        return None
    return Finding(f"{facts.evidence_age:.0f} s", f"at most {value} s")


def _claims_hold(value: Anything, _: Anything, facts: Facts) -> Finding | None:
    wrong = [(name, item) for name, item in value if facts.custom_claims.get(name) != item]
    if not wrong:
        return None
    got = ", ".join(
        f"{name} = {facts.custom_claims[name].hex()}" if name in facts.custom_claims else f"no {name}"
        for name, _item in wrong
    )
    return Finding(got, ", ".join(f"{name} = {item.hex()}" for name, item in wrong))


def _revocation_holds(value: Anything, _: Anything, facts: Facts) -> Finding | None:
    if value == "required" and not facts.revocation_checked:
        return Finding("not checked", "every certificate checked against a list in date")
    return None


def _grace_holds(value: Anything, _: Anything, facts: Facts) -> Finding | None:
    expired = _known((facts.documents_expired_by, facts.expired_document), (facts.lists_expired_by, facts.expired_list))
    if all(by < value for by, _ in expired):
        return None
    by, what = max(expired)
    return Finding(
        f"{what} that expired {by:.0f} s ago",
        f"in date, or expired less than {value} s ago" if value else "in date",
    )


def _endorsement_age_holds(value: Anything, _: Anything, facts: Facts) -> Finding | None:
    if not facts.endorsements_known:
        raise ClaimAbsentError
    ages = _known((facts.documents_age, facts.oldest_document), (facts.lists_age, facts.oldest_list))
    if all(age <= value for age, _ in ages):
        return None
    age, what = max(ages)
    return Finding(f"{what} issued {age:.0f} s ago", f"at most {value} s")


def _known(*times: tuple[float | None, str]) -> list[tuple[float, str]]:
    return [(seconds, what or "Endorsements") for seconds, what in times if seconds is not None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What every entry has, whatever its TEE. Values are taken in their written or their Python form.

    Raises:
        EntryError: a value that its field does not take, or fields that do not go together; all at once.
    """

    tee: ClassVar[TeeType]
    hardware_id_size: ClassVar[int | None]
    """Bytes of what identifies a machine of this TEE; None where nothing does."""
    unavoidable: ClassVar[frozenset[str]] = frozenset()
    """Fields whose default no Evidence of this TEE can meet, so that they must be written otherwise."""

    name: str = required(
        custom(
            text(expected="a name of printable characters"),
            lambda *_: None,
            "Name of the entry, given in results and mismatches.",
            width=lambda *_: True,
        )
    )
    bindings: tuple[Binding, ...] = required(
        custom(
            several(
                choice(
                    Binding,
                    excluded={"report-data": "the caller of an appraisal asks for it, no policy lists it"},
                )
            ),
            _binding_holds,
            "What may tie the Evidence to the peer: the TLS key, the TLS session, or nothing.",
            width=list_covers,
        )
    )
    identity: str | Identity = required(
        custom(
            _identity_form(),
            _identity_holds,
            "Which machine the peer must be, apart from what it runs: a pinned TLS key, listed machines, or any "
            "machine with these measurements.",
            width=_identity_covers,
        )
    )
    preamble: str = optional(
        custom(
            choice(("required", "optional")),
            _preamble_holds,
            "Whether the peer must speak the preamble, so that both sides know of each other's acceptance.",
            width=lambda wide, _: wide == "optional",
        ),
        "required",
    )
    max_evidence_age: int | Any = optional(
        custom(
            or_any(integer(32, minimum=1)),
            _age_holds,
            "Largest age of Evidence in a certificate, in seconds, by its issued-at claim.",
            width=most_covers,
        ),
        DEFAULT_MAX_EVIDENCE_AGE,
    )
    custom_claims: tuple[tuple[str, bytes], ...] = optional(
        custom(
            claims_table(),
            _claims_hold,
            "Custom claims that the peer must have bound to its Evidence.",
            width=lambda wide, narrow: set(wide) <= set(narrow),
        ),
        (),
    )
    revocation: str = optional(
        custom(
            choice(("required", "not-checked")),
            _revocation_holds,
            "Whether revocation lists must be there and in date. A certificate that a list names is always refused.",
            width=lambda wide, _: wide == "not-checked",
        ),
        "required",
    )
    endorsement_grace: int = optional(
        custom(
            integer(32, maximum=MAX_ENDORSEMENT_GRACE),
            _grace_holds,
            "Seconds after their end for which documents and revocation lists of this side still count; never those of "
            "the peer, and no certificates.",
            width=most_covers,
        ),
        0,
    )
    max_endorsement_age: int | Any = optional(
        custom(
            or_any(integer(32, minimum=1)),
            _endorsement_age_holds,
            "Largest age of documents and revocation lists, in seconds since they were issued, however long they last.",
            width=most_covers,
        ),
        ANY,
    )

    def __post_init__(self) -> None:
        problems: list[str] = []
        for declared in fields(self):
            try:
                object.__setattr__(self, declared.name, rule_of(declared).form.parse(getattr(self, declared.name)))
            except ValueProblem as problem:
                problems.append(f"{declared.name}: {problem}")
        if not problems:
            problems = [*self._identity_problems(), *self.contradictions()]
        if problems:
            raise EntryError(problems)

    @property
    def channel_bindings(self) -> frozenset[Binding]:
        """Bindings of channels over which its peers may come: all, where the Evidence binds nothing in any of them."""
        return frozenset(self.bindings) if self.tee not in BINDS_NOTHING else frozenset(Binding)

    def unproved(self, claims: Anything, binding: Binding) -> str:  # noqa: ARG002  # of some TEEs
        """Say why claims that this entry accepts may not be what was signed; "" where they are."""
        return ""

    def contradictions(self) -> list[str]:
        """Name fields that do not go together."""
        return []

    def _identity_problems(self) -> list[str]:
        """Name hardware ids that no machine of this TEE has."""
        ids = self.identity.hardware_ids if isinstance(self.identity, Identity) else None
        if not ids:
            return []
        if self.hardware_id_size is None:
            return [f"identity: hardware_ids: got {len(ids)}, expected none: {self.tee} has no machine to identify"]
        return [
            f"identity: hardware_ids: got {shown(item)}, expected {self.hardware_id_size} bytes that are not all zero"
            for item in ids
            if len(item) != self.hardware_id_size or not any(item)
        ]

    def mismatches(
        self, claims: TeeClaims, facts: Facts, *, verified: bool
    ) -> tuple[tuple[Mismatch, ...], tuple[str, ...]]:
        """Apply every field.

        Args:
            claims: of this entry's TEE type.
            facts: what is known beside them.
            verified: whether nothing was missing; an absent claim is then a mismatch.

        Returns:
            All mismatches, and the names of the fields that could not be applied.
        """
        if self.revocation == "not-checked":
            facts = replace(facts, lists_expired_by=None, lists_age=None)
        found: list[Mismatch] = []
        not_done: list[str] = []
        for declared in fields(self):
            softened = rule_of(declared).softened and self.can_be_softened(claims)
            try:
                result = finding(rule_of(declared), getattr(self, declared.name), claims, facts)
            except ClaimAbsentError:
                if not verified:
                    not_done.append(declared.name)
                    continue
                result, softened = Finding("absent", "a verified claim"), False
            if result is not None:
                found.append(
                    Mismatch(
                        entry=self.name,
                        field=declared.name,
                        got=result.got,
                        expected=result.expected,
                        softened=softened,
                    )
                )
        return tuple(found), tuple(not_done)

    def can_be_softened(self, claims: TeeClaims) -> bool:  # noqa: ARG002  # entries of other TEEs look at them
        """Whether report-only may pass over any mismatch of these claims."""
        return True

    def field_covers(self, name: str, narrow: Entry) -> bool:
        """Whether the field of that name accepts all that it accepts in `narrow`, an entry of the same TEE.

        False too where that is not known.
        """
        (declared,) = (declared for declared in fields(self) if declared.name == name)
        return rule_of(declared).covers(getattr(self, name), getattr(narrow, name))

    def covers(self, narrow: Entry) -> bool:
        """Whether this entry accepts all that `narrow` does; False too where that is not known."""
        return type(self) is type(narrow) and all(self.field_covers(declared.name, narrow) for declared in fields(self))

    def fresh(self, facts: Facts) -> bool:
        """Whether the Evidence is young enough for this entry."""
        return self.max_evidence_age is ANY or _age_holds(self.max_evidence_age, None, facts) is None


@dataclass(frozen=True, slots=True, kw_only=True)
class NullEntry(Entry):
    """Accepts a peer without Evidence: nothing about it is proved."""

    tee: ClassVar[TeeType] = TeeType.NULL
    hardware_id_size: ClassVar[int | None] = None
