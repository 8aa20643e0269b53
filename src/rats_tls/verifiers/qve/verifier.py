"""Verifiers of SGX quotes that ask Intel's library too. They are used by their names alone.

A quote is verified here first, in whole; the library is asked last, so that nothing unauthenticated reaches it. Both
must accept. Of the two TCB statuses the graver counts, with the advisories of both: a library that is wrong or lies can
make a platform look worse than it was found here, never better.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from rats_tls.core.anchors import TrustAnchor
from rats_tls.core.checks import Stage, time_text
from rats_tls.core.claims import SgxClaims, TeeClaims
from rats_tls.core.endorsements import Endorsement, EndorsementKind, Endorsements
from rats_tls.core.errors import (
    ExpiredError,
    InternalError,
    NoInstanceError,
    RatsTlsError,
    SignatureError,
    UnsupportedError,
)
from rats_tls.core.evidence import Evidence, TeeType
from rats_tls.core.interfaces import CryptoWrapper, TargetEnclave
from rats_tls.core.limits import DEFAULT_LIMITS, Limits
from rats_tls.core.refusals import Refusal
from rats_tls.core.verification import DecodedEvidence, Verification
from rats_tls.formats.amd.pem import join_pem
from rats_tls.formats.json_document import join_response
from rats_tls.verifiers.check_log import CheckLog, Step
from rats_tls.verifiers.intel_run import QuoteEvidence
from rats_tls.verifiers.local_report import NO_TARGET_ENCLAVE
from rats_tls.verifiers.occlum import own_target_enclave
from rats_tls.verifiers.qve.codes import RESULT_INVALID_SIGNATURE, STATUSES, graver
from rats_tls.verifiers.qve.library import LIBRARY, Answer, CollateralParts, QuoteVerificationLibrary
from rats_tls.verifiers.qve.report import QVE_MIN_ISV_SVN, verify_qve_report
from rats_tls.verifiers.qve.structures import NONCE_SIZE, Supplement
from rats_tls.verifiers.sgx_ecdsa import SgxEcdsaVerifier

_K = EndorsementKind
_SOURCE = "Intel SGX DCAP, sgx_qv_verify_quote"
_ANSWER = Step("intel.qvl", Stage.TCB, _SOURCE, "Intel's library verifies the quote, and gives its TCB status")
_DATES = Step("intel.qvl_dates", Stage.TCB, _SOURCE, "nothing has expired that Intel's library judged by")
_REPORT = Step(
    "intel.qve_report",
    Stage.EVIDENCE_SIGNATURE,
    "Intel SGX DCAP, sgx_tvl_verify_qve_report_and_identity",
    "report of Intel's enclave (QvE) about this quote and this answer, checked by the target enclave",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Question:
    """A quote, without bytes behind it, and what was decoded of it here."""

    quote: bytes
    decoded: DecodedEvidence


class QvlHostVerifier:
    """`qvl-host`: asks the library in this process, without its enclave. Nothing vouches for its answer.

    Args:
        library: name or path of the library.
        limits: sizes and counts.

    Raises:
        NoInstanceError: the library is not there, or lacks a function.
    """

    name = "qvl-host"
    tee_type = TeeType.SGX_ECDSA

    def __init__(self, library: str = LIBRARY, *, limits: Limits = DEFAULT_LIMITS) -> None:
        self._library = QuoteVerificationLibrary(library)
        self._own = SgxEcdsaVerifier(limits)

    def decode(self, evidence: Evidence) -> DecodedEvidence:
        """Decode a quote and the certificates in it. Raises DecodeError, UnsupportedError."""
        decoded = self._own.decode(evidence)
        quote = evidence.data[: len(evidence.data) - decoded.not_covered]
        return replace(decoded, structure=_Question(quote=quote, decoded=decoded))

    def verify(
        self,
        decoded: DecodedEvidence,
        endorsements: Endorsements,
        *,
        anchors: Sequence[TrustAnchor],
        crypto: CryptoWrapper,
        now: datetime,
    ) -> Verification:
        """Verify a decoded quote here, then by the library. Problems are returned, not raised.

        Raises:
            TypeError: `decoded` is not of a quote.
        """
        question = decoded.structure
        if not isinstance(question, _Question):
            raise TypeError(f"verifier {self.name}: not a decoded quote")
        own = self._own.verify(question.decoded, endorsements, anchors=anchors, crypto=crypto, now=now)
        if own.problems:
            return _not_asked(own)
        log = CheckLog()
        log.checks.extend(own.checks)
        claims = own.claims
        step = _ANSWER
        try:
            parts = _parts(question.decoded, endorsements, own)
            answer = self._ask(question.quote, parts, int(now.timestamp()), log)
            step = _DATES
            _require_in_date(answer, now)
            log.passed(_DATES, time_text(now))
            step = _ANSWER
            claims, got = _judged(claims, answer)
            log.passed(_ANSWER, got)
        except RatsTlsError as error:
            if not log.problems:
                log.failed(step, error)
        return replace(own, claims=claims, checks=tuple(log.checks), problems=tuple(log.problems))

    def _ask(self, quote: bytes, parts: CollateralParts, date: int, log: CheckLog) -> Answer:
        answer = self._library.verify(quote, parts, date)
        log.not_checked(_REPORT, "qvl-host asks Intel's library without its enclave: nothing vouches for its answer")
        return answer


class SgxEcdsaQveVerifier(QvlHostVerifier):
    """`sgx_ecdsa_qve`: asks the library's enclave (QvE), and has its report checked by the target enclave.

    Args:
        library: name or path of the library.
        target_enclave: checks QvE's report; the enclave that this process runs in when left out, where there is one.
        min_isv_svn: lowest accepted ISVSVN of QvE.
        limits: sizes and counts.

    Raises:
        NoInstanceError: there is no target enclave; the library is not there, or lacks a function.
    """

    name = "sgx_ecdsa_qve"

    def __init__(
        self,
        library: str = LIBRARY,
        *,
        target_enclave: TargetEnclave | None = None,
        min_isv_svn: int = QVE_MIN_ISV_SVN,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        target = target_enclave or own_target_enclave()
        if target is None:
            raise NoInstanceError(
                f"verifier {self.name}: QvE answers with a local report, and {NO_TARGET_ENCLAVE}; qvl-host takes the "
                "library's word without it"
            )
        super().__init__(library, limits=limits)
        self._target = target
        self._min_isv_svn = min_isv_svn

    def _ask(self, quote: bytes, parts: CollateralParts, date: int, log: CheckLog) -> Answer:
        nonce = os.urandom(NONCE_SIZE)
        answer = self._library.verify(quote, parts, date, nonce=nonce, target_info=self._target.target_info())
        try:
            report = verify_qve_report(
                self._target, answer, nonce=nonce, quote=quote, date=date, min_isv_svn=self._min_isv_svn
            )
        except RatsTlsError as error:
            log.failed(_REPORT, error)
            raise
        log.passed(
            _REPORT, f"QvE, ISVSVN {report.body.isv_svn}, checked by {self._target.name} ({self._target.kind.value})"
        )
        return answer


def _not_asked(own: Verification) -> Verification:
    """Give the refusal of what is not verified here. The library wants every document and list, and in date.

    No policy passes over one that is missing or expired: the library would not have been asked.
    """
    log = CheckLog()
    for step in (_REPORT, _ANSWER):
        log.not_checked(step, "Intel's library was not asked: the quote is not verified here")
    strict = tuple(replace(problem, waived_by_revocation=False, expired=None) for problem in own.problems)
    return replace(own, checks=(*own.checks, *log.checks), problems=strict)


def _parts(decoded: DecodedEvidence, endorsements: Endorsements, own: Verification) -> CollateralParts:
    """Give the very copies on which the verification here rests."""
    chain = decoded.structure.chain if isinstance(decoded.structure, QuoteEvidence) else None
    if chain is None or not chain.issuers:
        raise UnsupportedError("Intel's library wants a quote that carries its PCK certificate chain")
    used = {use.item for use in own.endorsements_used}
    found: dict[EndorsementKind, Endorsement] = {item.kind: item for item in endorsements if item.digest in used}
    tcb_info, identity = found[_K.INTEL_TCB_INFO], found[_K.INTEL_QE_IDENTITY]
    return CollateralParts(
        issuer_chain=join_pem(chain.ders[1:]).encode(),
        root_ca_crl=found[_K.INTEL_ROOT_CRL].data,
        pck_crl=found[_K.INTEL_PCK_CRL].data,
        tcb_info_issuer_chain=join_pem(tcb_info.issuer_chain).encode(),
        tcb_info=join_response(tcb_info.data, "tcbInfo", tcb_info.signature),
        qe_identity_issuer_chain=join_pem(identity.issuer_chain).encode(),
        qe_identity=join_response(identity.data, "enclaveIdentity", identity.signature),
    )


def _require_in_date(answer: Answer, now: datetime) -> None:
    if answer.expiration_status:
        raise ExpiredError(
            f"collateral_expiration_status: got {answer.expiration_status}, expected 0: by Intel's library something "
            f"has expired at {time_text(now)}"
        )


def _judged(claims: TeeClaims, answer: Answer) -> tuple[TeeClaims, str]:
    """Give the claims with the library's TCB status, and what to tell of it.

    Raises:
        SignatureError: the library found a signature that does not verify.
        InternalError: a result that is none, or supplemental data of something else.
        UnsupportedError: supplemental data without advisories.
    """
    if answer.result == RESULT_INVALID_SIGNATURE:
        raise SignatureError("Intel's library: SGX_QL_QV_RESULT_INVALID_SIGNATURE: a signature does not verify")
    status = STATUSES.get(answer.result)
    if status is None or not isinstance(claims, SgxClaims) or claims.tcb is None or claims.platform is None:
        raise InternalError(
            f"Intel's library: result: got {answer.result:#x}, expected one of an SGX quote",
            refusal=Refusal.VERIFIER_FAILED,
        )
    supplement = Supplement.from_bytes(answer.supplemental)
    platform = claims.platform
    if (supplement.ppid, supplement.cpu_svn) != (platform.ppid, platform.cpu_svn):
        raise InternalError(
            f"supplemental data: got PPID {supplement.ppid.hex()}, CPUSVN {supplement.cpu_svn.hex()}, "
            f"expected {platform.ppid.hex()}, {platform.cpu_svn.hex()}, those of the quote's PCK certificate",
            refusal=Refusal.VERIFIER_FAILED,
        )
    own = claims.tcb
    number = min(own.tcb_evaluation_data_number, supplement.tcb_evaluation_data_number)
    tcb = replace(
        own,
        status=graver(own.status, status),
        advisories=tuple(sorted({*own.advisories, *supplement.advisories})),
        tcb_evaluation_data_number=number,
    )
    return replace(claims, tcb=tcb), f"{status.value}; verified here: {own.status.value}"
