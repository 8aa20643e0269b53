"""The Attestation Result: the one positive outcome of an appraisal, or what a report-only policy passed over."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime

from rats_tls.core.anchors import TrustAnchor
from rats_tls.core.binding import Binding
from rats_tls.core.checks import Check, Mismatch, time_text
from rats_tls.core.claims import TeeClaims
from rats_tls.core.evidence import TeeType
from rats_tls.core.tls import TlsFacts
from rats_tls.core.verification import EndorsementUse

RESULT_SCHEMA = "rats-tls/result/1"
ACCEPTED = "accepted"
REPORT_ONLY = "refused (report-only)"

_APPRAISAL_SEAL = object()
"""Held by `rats_tls.appraisal` alone: an AttestationResult without it cannot be made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionFacts:
    """The connection that a result speaks of; None fields are unknown.

    Attributes:
        tls: version, cipher and group.
        tls_wrapper: wrapper's name and library version.
        peer_accepted: whether the peer said that it accepted this side; None when it has no preamble.
    """

    tls: TlsFacts
    tls_wrapper: str
    peer_accepted: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AttestationResult:
    """What was judged about a peer, and on what grounds. Made only by `rats_tls.appraisal`.

    Attributes:
        verdict: "accepted"; or "refused (report-only)", which a report-only policy makes beside its refusal. Any other
            refusal is an exception alone.
        submodules: claims by TEE, a tree of one for a single TEE; the key is the TEE type.
        binding: what ties the Evidence to the peer.
        binding_note: what that binding cannot tell.
        custom_claims: the peer's custom claims, bound by report_data.
        issued_at: the attester's own claim of when the Evidence was made, or None.
        judged_at: the time that the judgement used.
        remembered_from: when set, the checks are those of a judgement at that earlier time: nothing that it rested on
            has changed or expired since.
        certificate_sha256: digest of the peer's certificate, or None for bare Evidence.
        spki_sha256: digest of the peer's public key, or None.
        endorsements: Endorsements that the verdict rests on.
        valid_from: the verdict holds from here, by its Endorsements and certificates.
        valid_until: earliest expiry of anything it rests on, the age of the Evidence included.
        anchor: the trust anchor reached; None only for `null`.
        policy_digest: SHA-256 over the policy's canonical form.
        policy_entry: name of the entry that accepted, or, report-only, of which no condition but `mismatches` failed.
        crypto: crypto wrapper's name and library version.
        checks: every check, in order; what was not checked is among them with its reason.
        connection: the TLS connection, or None outside a channel.
        profile: what the peer speaks: `rats-tls/1`, without a preamble `interoperable-ra-tls`; None outside a channel.
        mismatches: empty of an accepted peer; report-only, what refused it.
    """

    submodules: dict[str, TeeClaims]
    binding: Binding
    binding_note: str
    custom_claims: dict[str, bytes]
    issued_at: datetime | None
    judged_at: datetime
    certificate_sha256: bytes | None
    spki_sha256: bytes | None
    endorsements: tuple[EndorsementUse, ...]
    valid_from: datetime | None
    valid_until: datetime | None
    anchor: TrustAnchor | None
    policy_digest: bytes
    policy_entry: str
    crypto: str
    checks: tuple[Check, ...]
    connection: ConnectionFacts | None = None
    profile: str | None = None
    remembered_from: datetime | None = None
    mismatches: tuple[Mismatch, ...] = ()
    seal: object = field(repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.seal is not _APPRAISAL_SEAL:
            raise TypeError("AttestationResult is made only by rats_tls.appraisal")

    def __str__(self) -> str:
        tcb = getattr(self.claims, "tcb", None)
        parts = [
            f"{self.tee_type} {self.verdict} by entry {self.policy_entry!r}",
            *([f"TCB {tcb.status.value}"] if tcb is not None else []),
            f"bound by {self.binding.value}",
            f"anchor {self.anchor.name} ({self.anchor.kind.value})" if self.anchor is not None else "nothing proved",
            *([f"until {time_text(self.valid_until)}"] if self.valid_until is not None else []),
        ]
        return ", ".join(parts)

    def with_peer_accepted(self, peer_accepted: bool | None) -> AttestationResult:
        """Give this result with what the peer said afterwards of its own judgement."""
        if self.connection is None:
            return self
        return replace(self, connection=replace(self.connection, peer_accepted=peer_accepted))

    @property
    def verdict(self) -> str:
        """Either "accepted" or "refused (report-only)"."""
        return REPORT_ONLY if self.mismatches else ACCEPTED

    @property
    def claims(self) -> TeeClaims:
        """The claims of the one TEE."""
        (claims,) = self.submodules.values()
        return claims

    @property
    def tee_type(self) -> TeeType:
        """The peer's TEE type."""
        return self.claims.tee_type

    @property
    def not_checked(self) -> tuple[Check, ...]:
        """What was not checked, each with its reason."""
        return tuple(check for check in self.checks if check.verdict.value == "not checked")
