"""Every error that this package raises. Peer input raises no other.

Messages say what was wrong, where, what was got and what was expected; they hold no secrets.
`refusal` names the row of the table in `rats_tls.core.refusals`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rats_tls.core.refusals import Refusal, WireCode
from rats_tls.core.text import printable

if TYPE_CHECKING:
    from rats_tls.core.anchors import TrustAnchor
    from rats_tls.core.checks import Check, Mismatch
    from rats_tls.core.claims import TeeClaims
    from rats_tls.core.endorsements import MissingEndorsement
    from rats_tls.core.results import AttestationResult
    from rats_tls.core.verification import EndorsementUse


_CERTIFICATE_ALERTS = frozenset(
    {
        "access_denied",
        "bad_certificate",
        "certificate_expired",
        "certificate_required",
        "certificate_revoked",
        "certificate_unknown",
        "unknown_ca",
        "unsupported_certificate",
    }
)


REFUSED = "refused"
"""The verdict of a refusal."""


class RatsTlsError(Exception):
    """Base of all errors.

    Its text is one line of printable characters, whatever a peer put into it: what others wrote ends up in terminals
    and logs.

    Attributes:
        refusal: the row of the refusal table.
        checks: the checks done before the refusal, the failed one last; empty outside an appraisal.
        anchor: the trust anchor that the refused Evidence reached, and `endorsements` those that were verified and in
            date: of a policy's refusal and of a TCB level that is not there; None and none of others.
        claims: what was known of the refused Evidence, with platform and TCB where they were verified; authentic only
            in an `AppraisalError` that says so. None where nothing was decoded.
    """

    default_refusal = Refusal.INTERNAL

    def __init__(self, message: str, *, refusal: Refusal | None = None) -> None:
        super().__init__(printable(message))
        self.refusal = refusal or self.default_refusal
        self.checks: tuple[Check, ...] = ()
        self.claims: TeeClaims | None = None
        self.anchor: TrustAnchor | None = None
        self.endorsements: tuple[EndorsementUse, ...] = ()

    @property
    def message(self) -> str:
        """The message in one line of printable characters."""
        return str(self.args[0])

    @property
    def verdict(self) -> str:
        """`REFUSED`, or the verdict of the result that a report-only policy's refusal carries."""
        return REFUSED


class ConfigurationError(RatsTlsError):
    """The local user's mistake: a policy file, an option, a missing trust anchor."""

    default_refusal = Refusal.CONFIGURATION


class UnsupportedError(RatsTlsError):
    """An evidence type, format, version or algorithm that nothing here can judge, or an extra that is not installed."""

    default_refusal = Refusal.UNSUPPORTED_EVIDENCE


class NoInstanceError(RatsTlsError):
    """No usable instance of that kind or name here."""

    default_refusal = Refusal.NO_INSTANCE


class CollectionError(RatsTlsError):
    """The local Attester could not collect Evidence."""

    default_refusal = Refusal.COLLECTION


class DecodeError(RatsTlsError):
    """Bytes that do not have the form their structure demands.

    Attributes:
        structure: the structure's name, for example `TdQuoteHeader`.
        field: the field at which decoding stopped.
        offset: its offset from the start of the structure's bytes, or None for text forms.
        problem: what was wrong.
    """

    default_refusal = Refusal.MALFORMED_EVIDENCE

    def __init__(self, structure: str, field: str, offset: int | None, problem: str) -> None:
        where = f"{structure}.{field}" if field else structure
        at = f" at {offset:#x}" if offset is not None else ""
        super().__init__(f"{where}{at}: {problem}")
        self.structure = structure
        self.field = field
        self.offset = offset
        self.problem = problem

    def __reduce__(self) -> tuple[type[DecodeError], tuple[str, str, int | None, str]]:
        return type(self), (self.structure, self.field, self.offset, self.problem)


class EndorsementMissingError(RatsTlsError):
    """Endorsements that the judgement needs are not at hand. Never treated as success.

    Attributes:
        missing: each missing item with the key to look it up by.
        why: what sources said of them; "" where none was asked.
    """

    default_refusal = Refusal.ENDORSEMENTS_MISSING
    why: str = ""

    def __init__(self, message: str, *, missing: tuple[MissingEndorsement, ...]) -> None:
        super().__init__(message)
        self.missing = missing


class ExpiredError(RatsTlsError):
    """An Endorsement or certificate outside its validity at the time of judgement, either way."""

    default_refusal = Refusal.ENDORSEMENTS_EXPIRED


class RolledBackError(RatsTlsError):
    """An Endorsement older than one of its series that was seen before; it may be in date."""

    default_refusal = Refusal.ENDORSEMENTS_ROLLED_BACK


class ClockError(RatsTlsError):
    """The clock is behind what vendors had signed when this side last saw it, or behind this package's release."""

    default_refusal = Refusal.CLOCK_BEHIND


class AuthenticityError(RatsTlsError):
    """The Evidence is not authentic, or not for this peer."""

    default_refusal = Refusal.EVIDENCE_SIGNATURE


class NoEvidenceError(AuthenticityError):
    """The peer sent no Evidence."""

    default_refusal = Refusal.NO_EVIDENCE


class SignatureError(AuthenticityError):
    """A signature does not verify."""

    default_refusal = Refusal.EVIDENCE_SIGNATURE


class EventLogError(AuthenticityError):
    """An event log does not replay to the registers of the Evidence that it comes with."""

    default_refusal = Refusal.EVENT_LOG


class CertificateChainError(AuthenticityError):
    """A chain does not lead to a trust anchor in the form that the vendor demands.

    Attributes:
        unknown_root: whether nothing is wrong but that it leads to no anchor at hand: a user may name its root as one.
    """

    default_refusal = Refusal.CERTIFICATE_CHAIN

    def __init__(self, message: str, *, refusal: Refusal | None = None, unknown_root: bool = False) -> None:
        super().__init__(message, refusal=refusal)
        self.unknown_root = unknown_root


class RevokedError(AuthenticityError):
    """A certificate is on its issuer's revocation list."""

    default_refusal = Refusal.REVOKED


class BindingError(AuthenticityError):
    """The Evidence is not bound to this key or session."""

    default_refusal = Refusal.KEY_BINDING


class FreshnessError(AuthenticityError):
    """The Evidence is older than allowed, of unknown age, or from the future."""

    default_refusal = Refusal.FRESHNESS


class TcbLevelError(RatsTlsError):
    """No TCB level of the vendor's matches the platform."""

    default_refusal = Refusal.TCB_NO_LEVEL


class AppraisalError(RatsTlsError):
    """The policy does not accept the claims.

    Attributes:
        mismatches: every condition that failed, of every entry that could have applied.
        missing: Endorsements that were missing too.
        not_done: ids of checks that were not done because of them.
        authenticated: whether the claims were proved authentic before the policy was applied.
        reported: when the policy is report-only and passes over every mismatch: the result, whose verdict is a refusal.
    """

    default_refusal = Refusal.POLICY

    def __init__(
        self,
        message: str,
        *,
        mismatches: tuple[Mismatch, ...],
        missing: tuple[MissingEndorsement, ...] = (),
        not_done: tuple[str, ...] = (),
        authenticated: bool = True,
    ) -> None:
        super().__init__(message)
        self.mismatches = mismatches
        self.missing = missing
        self.not_done = not_done
        self.authenticated = authenticated
        self.reported: AttestationResult | None = None

    @property
    def verdict(self) -> str:
        """`REFUSED`, or that of `reported`."""
        return self.reported.verdict if self.reported is not None else REFUSED


class NotConfirmedError(RatsTlsError):
    """The policy accepted the peer, and the application's own `confirm` refused it; its exception is the cause."""

    default_refusal = Refusal.NOT_CONFIRMED


class ConnectionFailedError(RatsTlsError, OSError):
    """The connection could not be made or broke off. An `OSError` too, as users of sockets expect."""

    default_refusal = Refusal.CONNECTION


class TlsError(ConnectionFailedError):
    """The TLS handshake or record layer failed.

    Attributes:
        peer_alert: name of the fatal alert that the peer sent (RFC 8446 B.2), or None when the failure is local.
        truncated: whether the transport closed without the peer's close_notify.
        too_large: whether the peer sent a larger handshake message, as its certificate is one, than the library takes.
    """

    default_refusal = Refusal.TLS

    def __init__(
        self,
        message: str,
        *,
        peer_alert: str | None = None,
        truncated: bool = False,
        too_large: bool = False,
        refusal: Refusal | None = None,
    ) -> None:
        super().__init__(message, refusal=refusal)
        self.peer_alert = peer_alert
        self.truncated = truncated
        self.too_large = too_large

    @property
    def refuses_certificate(self) -> bool:
        """Whether the peer said by its alert that it does not take this side's certificate (RFC 8446 6.2)."""
        return self.peer_alert in _CERTIFICATE_ALERTS


class HandshakeTimeoutError(ConnectionFailedError, TimeoutError):
    """The handshake, preamble or appraisal took longer than its limit."""

    default_refusal = Refusal.TIMEOUT


class ProtocolError(ConnectionFailedError):
    """The peer broke the rats-tls protocol, or the two sides cannot agree on it."""

    default_refusal = Refusal.PROTOCOL_MALFORMED


class PeerRefusedError(ConnectionFailedError):
    """The peer refused this side.

    Attributes:
        wire_code: what it said, or None when it only closed.
    """

    default_refusal = Refusal.REFUSED_BY_PEER

    def __init__(
        self, message: str, *, wire_code: WireCode | int | None = None, refusal: Refusal | None = None
    ) -> None:
        super().__init__(message, refusal=refusal)
        self.wire_code = wire_code


class InternalError(RatsTlsError):
    """A defect of this package or of a plug-in; the cause is chained."""

    default_refusal = Refusal.INTERNAL
