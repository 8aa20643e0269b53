"""The Verifier of Intel quotes: what SGX and TDX share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import ClassVar

from rats_tls.core.anchors import TrustAnchor
from rats_tls.core.checks import time_text
from rats_tls.core.claims import SgxClaims, TdxClaims
from rats_tls.core.endorsements import Endorsements
from rats_tls.core.errors import DecodeError, UnsupportedError
from rats_tls.core.evidence import NAMES_BY_TEE, Evidence, TeeType
from rats_tls.core.interfaces import CryptoWrapper
from rats_tls.core.limits import DEFAULT_LIMITS, Limits
from rats_tls.core.verification import DecodedEvidence, Verification
from rats_tls.formats.event_log.reading import read_event_log
from rats_tls.formats.intel.pck import PckChain
from rats_tls.formats.intel.quote import TEE_SGX, Quote
from rats_tls.formats.intel.report import SgxReportBody
from rats_tls.verifiers.check_log import Stop
from rats_tls.verifiers.intel_evidence import verify_evidence
from rats_tls.verifiers.intel_platform import verify_platform
from rats_tls.verifiers.intel_run import Memory, QuoteEvidence, Run, TeeProfile
from rats_tls.verifiers.known_keys import KnownKeys, trust_in


class IntelQuoteVerifier:
    """Verifies quotes of one TEE; what it remembers belongs to the instance (`Memory`)."""

    profile: ClassVar[TeeProfile]

    def __init__(self, limits: Limits = DEFAULT_LIMITS) -> None:
        self._limits = limits
        self._memory = Memory(limits)

    @property
    def name(self) -> str:
        """Instance name: the TEE type."""
        return self.profile.tee_type.value

    @property
    def tee_type(self) -> TeeType:
        """The TEE type."""
        return self.profile.tee_type

    def decode(self, evidence: Evidence) -> DecodedEvidence:
        """Decode a quote and the certificates in it.

        Raises:
            DecodeError: malformed.
            UnsupportedError: other Evidence than a quote of this TEE, or a version or key type that is not judged.
        """
        names = NAMES_BY_TEE[self.tee_type]
        if evidence.media_type != names.media_type:
            raise UnsupportedError(f"verifier {self.name}: got {evidence.media_type}, expected {names.media_type}")
        if len(evidence.data) > self._limits.evidence:
            raise DecodeError("Quote", "", 0, f"{len(evidence.data)} bytes, at most {self._limits.evidence} are read")
        quote = Quote.from_bytes(evidence.data)
        is_sgx = quote.header.tee_type == TEE_SGX
        if is_sgx != (self.tee_type is TeeType.SGX_ECDSA):
            other = "an SGX" if is_sgx else "a TDX"
            raise UnsupportedError(f"verifier {self.name}: got {other} quote (tee_type {quote.header.tee_type:#x})")
        certification = quote.signature_data.certification
        chain = self._memory.decoded.get(
            (certification.type, certification.data),
            lambda: PckChain.from_ders(ders) if (ders := certification.certificates()) else None,
        )
        claims = self.profile.claims(quote)
        return DecodedEvidence(
            claims=claims,
            report_data=claims.report_data,
            structure=QuoteEvidence(
                quote=quote,
                qe_report=SgxReportBody.from_bytes(quote.signature_data.qe_report, "QeReport"),
                chain=chain,
                platform=certification.platform(),
                event_log=read_event_log(evidence.event_log, limits=self._limits) if evidence.event_log else None,
            ),
            not_covered=quote.trailing,
        )

    def verify(
        self,
        decoded: DecodedEvidence,
        endorsements: Endorsements,
        *,
        anchors: Sequence[TrustAnchor],
        crypto: CryptoWrapper,
        now: datetime,
    ) -> Verification:
        """Verify a decoded quote. Problems are returned, not raised; a TCB status is none, the policy judges it.

        Args:
            decoded: what `decode` of this TEE's Verifier gave.
            endorsements: those at hand, of any platforms.
            anchors: trust anchors of any vendors.
            crypto: crypto wrapper.
            now: time of judgement, with a time zone.

        Raises:
            TypeError: `decoded` is not of a quote.
        """
        claims = decoded.claims
        if not isinstance(decoded.structure, QuoteEvidence) or not isinstance(claims, SgxClaims | TdxClaims):
            raise TypeError(f"verifier {self.name}: not a decoded quote")
        given = tuple(anchors)
        memory = self._memory
        trust = trust_in(given, crypto)
        run = Run(
            tee=self.profile,
            evidence=decoded.structure,
            pool=endorsements,
            anchors=given,
            crypto=crypto,
            now=now,
            now_text=time_text(now),
            trust=trust,
            keys=KnownKeys(crypto=crypto, trust=trust, keys=memory.keys, signatures=memory.signatures),
            memory=memory,
        )
        try:
            verify_evidence(run)
            if run.chosen is not None:
                verify_platform(run, run.chosen.pck)
        except Stop:
            pass  # noted in the log
        return _verification(run, claims)


def _verification(run: Run, claims: SgxClaims | TdxClaims) -> Verification:
    chosen = run.chosen
    if run.events is not None and isinstance(claims, TdxClaims):
        claims = replace(claims, events=run.events)
    if chosen is not None and run.in_date:
        claims = replace(claims, platform=chosen.pck.chain.platform, tcb=run.tcb)
    uses = ((chosen.use,) if chosen is not None else ()) + tuple(copy.use for copy in run.copies)
    signers = [certificate for copy in (*run.copies, *run.expired) for _, certificate in copy.signers]
    starts = [use.issued for use in uses] + [signer.not_before for signer in signers]
    ends = [use.expires for use in uses] + [signer.not_after for signer in signers]
    return Verification(
        claims=claims,
        checks=tuple(run.log.checks),
        problems=tuple(run.log.problems),
        anchor=chosen.pck.anchor if chosen is not None else None,
        endorsements_used=uses,
        valid_from=max(starts, default=None),
        valid_until=min(ends, default=None),
    )
