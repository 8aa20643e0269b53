"""What the steps of one quote's verification share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from rats_tls.core.anchors import TrustAnchor
from rats_tls.core.checks import Stage
from rats_tls.core.claims import IntelTcb, MeasuredEvent, SgxClaims, TdxClaims
from rats_tls.core.endorsements import Endorsements
from rats_tls.core.evidence import TeeType
from rats_tls.core.interfaces import CryptoWrapper
from rats_tls.core.limits import Limits
from rats_tls.core.verification import EndorsementUse
from rats_tls.formats.event_log.reading import EventLog
from rats_tls.formats.intel.pck import PckChain
from rats_tls.formats.intel.qe_identity import QeIdentity
from rats_tls.formats.intel.quote import PlatformReference, Quote
from rats_tls.formats.intel.report import SgxReportBody
from rats_tls.formats.intel.tcb_info import EnclaveTcbLevel, TcbInfo
from rats_tls.formats.x509 import RevocationList
from rats_tls.verifiers.bounded_cache import BoundedCache
from rats_tls.verifiers.check_log import CheckLog, Step
from rats_tls.verifiers.intel_chain import VerifiedPck
from rats_tls.verifiers.intel_collateral import Copy
from rats_tls.verifiers.intel_tcb import TcbOutcome
from rats_tls.verifiers.known_keys import KnownKeys

TCB_LEVEL = Step("intel.tcb_level", Stage.TCB, "Intel QVL 4.1.2.4.17", "a TCB level that the platform reaches")


def quote_signature(tee: str) -> Step:
    """Give the check of a quote's signature, under the name of its TEE."""
    return Step(
        f"{tee}.quote_signature",
        Stage.EVIDENCE_SIGNATURE,
        "Intel QVL 4.1.2.4.16",
        "signature by the attestation key over header and body as received",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class TeeProfile:
    """What differs between SGX and TDX.

    Attributes:
        tee_type: the TEE type.
        quote_signature: the check of the quote's signature.
        tcb_info_id: `id` of its TCB info.
        qe_identity_id: `id` of its quoting enclave's identity.
        claims: gives the claims of a quote.
        tcb_inputs: gives everything in a quote's body that `evaluate` depends on, as a part of a cache key.
        evaluate: evaluates the TCB; notes its checks in the log and raises Stop once a problem is noted there.
        registers: gives the registers that an event log beside a quote replays to; None where there are none.
    """

    tee_type: TeeType
    quote_signature: Step
    tcb_info_id: str
    qe_identity_id: str
    claims: Callable[[Quote], SgxClaims | TdxClaims]
    tcb_inputs: Callable[[Quote], tuple[object, ...]]
    evaluate: Callable[[CheckLog, VerifiedPck, Quote, TcbInfo, EnclaveTcbLevel], TcbOutcome]
    registers: Callable[[Quote], Mapping[str, bytes]] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class QuoteEvidence:
    """A decoded quote with what its certification data holds.

    Attributes:
        quote: the quote.
        qe_report: its quoting enclave's report.
        chain: PCK chain (certification data type 5) or PCK certificate alone (type 4); else None.
        platform: how types 1 to 3 name the platform; else None.
        event_log: the event log beside the quote, or None.
    """

    quote: Quote
    qe_report: SgxReportBody
    chain: PckChain | None
    platform: PlatformReference | None
    event_log: EventLog | None = None


class Memory:
    """What one Verifier remembers. Bounded; never holds a comparison of dates.

    The key of every verdict holds the anchors and the crypto wrapper; of a chain all certificates; of a document or
    list its bytes, signature and chains; of a choice among them the digest over all Endorsements at hand; of a QE
    report also its signature, authentication data, attestation key and PCK.
    They are apart so that Evidence which nobody has verified cannot push out what was verified.

    Attributes:
        decoded: PCK chains out of certification data and Endorsements, by their bytes.
        keys: public keys.
        documents: TCB info, identities and revocation lists, each by its bytes.
        signatures: of certificates and lists, by key, signature and signed bytes.
        verified: what was verified of chains, QE reports and sets of Endorsements.
    """

    __slots__ = ("decoded", "documents", "keys", "signatures", "verified")

    def __init__(self, limits: Limits) -> None:
        self.decoded = BoundedCache(limits.cached_vendor_items, limits.cached_vendor_bytes)
        self.keys = BoundedCache(limits.cached_vendor_items, limits.cached_vendor_bytes)
        self.documents = BoundedCache(limits.cached_vendor_items, limits.cached_vendor_bytes)
        self.signatures = BoundedCache(limits.cached_vendor_items, limits.cached_vendor_bytes)
        self.verified = BoundedCache(limits.cached_vendor_items, limits.cached_vendor_bytes)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenPck:
    """The PCK chain on which a verification rests: verified, its dates not compared."""

    pck: VerifiedPck
    use: EndorsementUse


@dataclass(slots=True, kw_only=True)
class Run:
    """One verification.

    Attributes:
        tee: what is special about the TEE.
        evidence: the decoded quote.
        pool: Endorsements at hand.
        anchors: trust anchors.
        crypto: crypto wrapper.
        now: time of judgement.
        now_text: that time, for people.
        trust: anchors and crypto wrapper, part of every cache key.
        keys: loads the keys of certificates.
        memory: what the Verifier remembers.
        log: checks and problems so far.
        chosen: the PCK chain, once verified.
        in_date: whether its certificates are in date.
        events: events of a log that replays to the registers.
        tcb: outcome of the TCB evaluation, once made.
        copies: documents and lists on which the verdict rests, in date.
        expired: documents that have expired, on which it rests where the policy grants them a grace.
    """

    tee: TeeProfile
    evidence: QuoteEvidence
    pool: Endorsements
    anchors: tuple[TrustAnchor, ...]
    crypto: CryptoWrapper
    now: datetime
    now_text: str
    trust: bytes
    keys: KnownKeys
    memory: Memory
    log: CheckLog = field(default_factory=CheckLog)
    chosen: ChosenPck | None = None
    in_date: bool = False
    events: tuple[MeasuredEvent, ...] | None = None
    tcb: IntelTcb | None = None
    copies: list[Copy[TcbInfo] | Copy[QeIdentity] | Copy[RevocationList]] = field(default_factory=list)
    expired: list[Copy[TcbInfo] | Copy[QeIdentity]] = field(default_factory=list)
