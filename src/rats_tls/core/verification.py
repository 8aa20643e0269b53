"""What a Verifier returns. Only `rats_tls.appraisal` turns it into a judgement."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from rats_tls.core.anchors import TrustAnchor
from rats_tls.core.checks import Check, Stage
from rats_tls.core.claims import TeeClaims
from rats_tls.core.endorsements import Endorsement, EndorsementKind, MissingEndorsement
from rats_tls.core.errors import RatsTlsError, RolledBackError
from rats_tls.core.floors import Floor, Floors


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Why the Evidence is not verified.

    Attributes:
        stage: where in the order of judgement it stands.
        error: what to raise, with its message and refusal set; made for this verification, whatever is remembered.
        missing: the Endorsement whose absence is the problem, or None when something is wrong with what is there.
        why: of one that is missing: what is wrong with the copies that are there; "" where there are none.
        waived_by_revocation: whether a policy entry with `revocation = "not-checked"` makes it none (a missing or
            expired revocation list; never a certificate that a list names).
        expired: when the problem is no more than that a document or list of this side has expired: that document or
            list. A policy entry whose grace has not ended makes it none. Never a certificate, nor a peer's copy.
    """

    stage: Stage
    error: RatsTlsError
    missing: MissingEndorsement | None = None
    why: str = ""
    waived_by_revocation: bool = False
    expired: EndorsementUse | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EndorsementUse:
    """An Endorsement on which a verdict rests.

    Attributes:
        kind: its kind.
        sha256: digest over its data.
        origin: "local", "peer", or "evidence" when it came inside the Evidence.
        issued: thisUpdate, issueDate or notBefore.
        expires: nextUpdate or notAfter.
        description: subject, id or FMSPC, for people.
        key: what it is looked up by, where its vendor issues it again and again: by it, it is compared with what was
            seen before and what is at hand elsewhere; None for certificates.
        number: tcbEvaluationDataNumber or cRLNumber; 0 where there is none.
        item: digest over all of the Endorsement, signature and chain too (`Endorsement.digest`); b"" where it is not
            told.
        grace_until: when set, it had expired, and counts until then by the grace of the policy entry that accepted.
    """

    kind: EndorsementKind
    sha256: bytes
    origin: str
    issued: datetime
    expires: datetime
    description: str
    key: MissingEndorsement | None = None
    number: int = 0
    item: bytes = b""
    grace_until: datetime | None = None

    def rolled_back(self, floors: Floors, anchor: TrustAnchor) -> RolledBackError | None:
        """Say that it is older than what was seen under its key and `anchor`, or None."""
        if self.key is None or not floors:
            return None
        seen = Floor(number=self.number, issued=self.issued)
        problem = floors.problem((anchor.fingerprint, str(self.key)), seen)
        return RolledBackError(f"{self.description} is rolled back: {problem}") if problem else None


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodedEvidence:
    """Evidence whose form is right; nothing about it is proved.

    Attributes:
        claims: what the bytes say.
        report_data: the 64 bytes that bind the Evidence; None where its form has none, so that nothing can bind it.
        structure: the format's own dataclass, for the Verifier that made it.
        not_covered: bytes behind the signed structure that nothing covers (padding of vendor buffers), by their
            number; 0 when there are none.
        unproved_unbound: what of the claims no signature proves unless `report_data` is compared, for people; "" for
            nothing.
    """

    claims: TeeClaims
    report_data: bytes | None
    structure: object
    not_covered: int = 0
    unproved_unbound: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """Outcome of verifying one piece of Evidence.

    Attributes:
        claims: the decoded claims, with platform and TCB where they could be verified.
        checks: every check done, in order, failed and not-checked ones too.
        problems: empty only when all checks held. A Verifier goes on after a missing Endorsement with every check
            that needs none, after one that has expired with every check, and stops at the first other problem that is
            not a revocation list's.
        anchor: the trust anchor that the chain led to, or None.
        endorsements_used: what the verdict rests on and is in date.
        valid_from: latest of the notBefore and issue dates used, or None.
        valid_until: earliest expiry used, or None.
    """

    claims: TeeClaims
    checks: tuple[Check, ...]
    problems: tuple[Problem, ...] = ()
    anchor: TrustAnchor | None = None
    endorsements_used: tuple[EndorsementUse, ...] = ()
    valid_from: datetime | None = None
    valid_until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedEndorsement:
    """An Endorsement that is authentic and in date, whatever Evidence there is.

    Attributes:
        item: as received.
        keys: what it is looked up by, as its content says, and not rolled back for; several where its content leaves
            it open.
        use: what a result would say of it.
        anchor: the trust anchor to which it leads.
    """

    item: Endorsement
    keys: tuple[MissingEndorsement, ...]
    use: EndorsementUse
    anchor: TrustAnchor


@dataclass(frozen=True, slots=True)
class RefusedEndorsement:
    """An Endorsement that is not authentic, or not in date."""

    item: Endorsement
    error: RatsTlsError


class EndorsementsVerifier(Protocol):
    """Verifies Endorsements by themselves, before they are kept."""

    def __call__(
        self, items: Sequence[Endorsement], *, now: datetime, floors: Floors
    ) -> tuple[VerifiedEndorsement | RefusedEndorsement, ...]:
        """Verify `items`, each with the help of the others; gives one outcome for each, in their order."""
        ...
