"""Verification of Intel quotes: the steps that SGX and TDX share.

Sources: Intel SGX/TDX DCAP Quote Verification Library (QVL), by the step numbers of its comments; Intel SGX ECDSA and
TDX DCAP QuoteLibrary API references. Where this is stricter, the step says so.
"""

from __future__ import annotations

import hashlib
import hmac
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import ClassVar

from rats_tls.core.algorithms import KeyAlgorithm, SignatureAlgorithm
from rats_tls.core.anchors import TrustAnchor, anchors_digest
from rats_tls.core.checks import Stage, shorten
from rats_tls.core.claims import IntelTcb, SgxClaims, TdxClaims
from rats_tls.core.endorsements import EndorsementKind, Endorsements, MissingEndorsement
from rats_tls.core.errors import (
    CertificateChainError,
    DecodeError,
    RatsTlsError,
    RevokedError,
    SignatureError,
    UnsupportedError,
)
from rats_tls.core.evidence import NAMES_BY_TEE, Evidence, TeeType
from rats_tls.core.interfaces import CryptoWrapper, PublicKey
from rats_tls.core.limits import DEFAULT_LIMITS, Limits
from rats_tls.core.verification import DecodedEvidence, EndorsementUse, Verification
from rats_tls.formats.intel.pck import PckChain
from rats_tls.formats.intel.qe_identity import QeIdentity
from rats_tls.formats.intel.quote import TEE_SGX, PlatformReference, Quote
from rats_tls.formats.intel.report import SgxReportBody
from rats_tls.formats.intel.tcb_info import EnclaveTcbLevel, TcbInfo
from rats_tls.formats.x509 import RevocationList
from rats_tls.verifiers.chain import BoundedCache, require_in_date
from rats_tls.verifiers.intel_chain import VerifiedPck, load_p256, verify_pck_chain
from rats_tls.verifiers.intel_collateral import (
    Collateral,
    Copies,
    Copy,
    T,
    revoked_serials,
    select_collateral,
    time_text,
)
from rats_tls.verifiers.intel_log import CheckLog, Stop
from rats_tls.verifiers.intel_tcb import TcbOutcome, match_qe_identity

_API = "Intel SGX ECDSA QuoteLibrary API reference, A.4"


@dataclass(frozen=True, slots=True, kw_only=True)
class QuoteEvidence:
    """A decoded quote with what its certification data holds.

    Attributes:
        quote: the quote.
        qe_report: its quoting enclave's report.
        chain: PCK chain (certification data type 5) or PCK certificate alone (type 4); else None.
        platform: how types 1 to 3 name the platform; else None.
    """

    quote: Quote
    qe_report: SgxReportBody
    chain: PckChain | None
    platform: PlatformReference | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Chosen:
    """A verified PCK chain and where it came from."""

    pck: VerifiedPck
    use: EndorsementUse


@dataclass(slots=True, kw_only=True)
class _Run:
    """One verification: its inputs, and what it has found."""

    evidence: QuoteEvidence
    pool: Endorsements
    anchors: tuple[TrustAnchor, ...]
    crypto: CryptoWrapper
    now: datetime
    now_text: str
    trust: tuple[bytes, str, str]  # anchors, crypto wrapper: part of every cache key
    log: CheckLog
    claims: SgxClaims | TdxClaims
    chosen: _Chosen | None = None
    copies: list[Copy[TcbInfo] | Copy[QeIdentity] | Copy[RevocationList]]


class IntelQuoteVerifier(ABC):
    """Verifies quotes of one TEE.

    What it remembers belongs to this instance, is bounded, and never includes a comparison of dates. Every key holds
    the anchors and the crypto wrapper; of a chain all certificates; of documents and lists the digest over all
    Endorsements at hand; of a QE report also its signature, authentication data, attestation key and PCK.
    """

    tee_type: ClassVar[TeeType]
    prefix: ClassVar[str]  # of the ids of checks on the TEE's own report
    tcb_info_id: ClassVar[str]
    qe_identity_id: ClassVar[str]

    def __init__(self, limits: Limits = DEFAULT_LIMITS) -> None:
        self._limits = limits
        # Separate, so that Evidence which nobody has verified cannot push out what was verified.
        self._decoded = BoundedCache(limits.cached_vendor_items)
        self._keys = BoundedCache(limits.cached_vendor_items)
        self._verified = BoundedCache(limits.cached_vendor_items)

    @property
    def name(self) -> str:
        """Instance name: the TEE type."""
        return self.tee_type.value

    # --- what differs between the TEEs -------------------------------------------------------------------------------
    @abstractmethod
    def _claims(self, quote: Quote) -> SgxClaims | TdxClaims:
        """Give the claims of a quote of this TEE."""

    @abstractmethod
    def _tcb_inputs(self, quote: Quote) -> tuple[object, ...]:
        """Give everything in the quote's body that the TCB evaluation depends on, as a cache key."""

    @abstractmethod
    def _evaluate(
        self, log: CheckLog, pck: VerifiedPck, quote: Quote, tcb_info: TcbInfo, qe_level: EnclaveTcbLevel
    ) -> TcbOutcome:
        """Evaluate the TCB. Raises Stop once the problem is noted in `log`."""

    # --- decoding ----------------------------------------------------------------------------------------------------
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
        data = quote.signature_data
        certification = data.certification
        chain = self._decoded.get(
            (certification.type, certification.data),
            lambda: PckChain.from_ders(ders) if (ders := certification.certificates()) else None,
        )
        claims = self._claims(quote)
        return DecodedEvidence(
            claims=claims,
            report_data=claims.report_data,
            structure=QuoteEvidence(
                quote=quote,
                qe_report=SgxReportBody.from_bytes(data.qe_report, "QeReport"),
                chain=chain,
                platform=certification.platform(),
            ),
            not_covered=quote.trailing,
        )

    # --- verification ------------------------------------------------------------------------------------------------
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
            decoded: what `decode` of this TEE's verifier gave.
            endorsements: those at hand, of any platforms.
            anchors: trust anchors of any vendors.
            crypto: crypto wrapper.
            now: time of judgement, with a time zone.

        Raises:
            TypeError: `decoded` is not of an Intel quote.
        """
        if not isinstance(decoded.structure, QuoteEvidence) or not isinstance(decoded.claims, SgxClaims | TdxClaims):
            raise TypeError(f"verifier {self.name}: not a decoded quote")
        anchors = tuple(anchors)
        run = _Run(
            evidence=decoded.structure,
            pool=endorsements,
            anchors=anchors,
            crypto=crypto,
            now=now,
            now_text=time_text(now),
            trust=(self._keys.get(anchors, lambda: anchors_digest(anchors)), crypto.name, crypto.version),
            log=CheckLog(),
            claims=decoded.claims,
            copies=[],
        )
        try:
            self._verify_signatures(run)
            if run.chosen is not None:
                self._verify_platform(run, run.chosen.pck)
        except Stop:
            pass
        return _verification(run)

    def _verify_signatures(self, run: _Run) -> None:
        log, quote = run.log, run.evidence.quote
        data = quote.signature_data

        # (1) Header and structure: done by `decode`. QVL 4.1.2.4.3.
        log.passed("intel.quote", Stage.DECODE, _API, got=f"version {quote.header.version}")

        # (2) Quote signature by the attestation key over header and body as received. QVL 4.1.2.4.16.
        step = (f"{self.prefix}.quote_signature", Stage.EVIDENCE_SIGNATURE, "Intel QVL 4.1.2.4.16")
        try:
            key = self._attestation_key(run, data.attestation_key)
            _verify_raw(key, data.signature, quote.signed, "quote")
        except SignatureError as error:
            raise log.failed(*step, error) from error
        log.passed(*step)

        # (3) The QE report binds the attestation key: SHA-256(key ‖ authentication data), 32 zero bytes behind it.
        # QVL 4.1.2.4.13 compares the digest only; a report of Intel's QE has nothing else there.
        step = ("intel.qe_binding", Stage.EVIDENCE_SIGNATURE, "Intel QVL 4.1.2.4.13")
        expected = hashlib.sha256(data.attestation_key + data.qe_auth_data).digest().ljust(64, b"\0")
        got = run.evidence.qe_report.report_data
        if not hmac.compare_digest(expected, got):
            unbound = SignatureError(
                f"QE report report_data: got {shorten(got, 128)}, expected {shorten(expected, 128)}, "
                "the digest of attestation key and QE authentication data"
            )
            raise log.failed(*step, unbound)
        log.passed(*step)

        # (4) QE report signature by the PCK. QVL 4.1.2.4.12. Then the PCK chain to an anchor. QVL 4.1.2.4.1 to .4.
        carried = run.evidence.chain
        if carried is not None:
            self._verify_carried_chain(run, carried)
        else:
            self._find_chain(run)

    def _verify_carried_chain(self, run: _Run, carried: PckChain) -> None:
        """Verify the QE report with the PCK certificate of the quote, and its chain."""
        log = run.log
        step = ("intel.qe_report_signature", Stage.EVIDENCE_SIGNATURE, "Intel QVL 4.1.2.4.12")
        try:
            self._verify_qe_report(run, carried)
        except RatsTlsError as error:
            raise log.failed(*step, error) from error
        log.passed(*step)

        # A PCK chain at hand beside that of the quote never replaces it: one of them must have the same leaf.
        pool = self._pool_chains(run)
        same = [found for found in pool if found[0].ders[0] == carried.ders[0]]
        if pool:
            step = ("intel.pck_same_leaf", Stage.VENDOR_CHAIN, "rats-tls: one PCK certificate for one quote")
            if not same:
                other = CertificateChainError(
                    f"PCK certificate: the quote carries {carried.leaf.sha256.hex()}, "
                    f"the Endorsements hold {pool[0][0].leaf.sha256.hex()}"
                )
                raise log.failed(*step, other)
            log.passed(*step)
        if carried.issuers:
            self._choose(run, carried, "evidence")
        elif same:
            self._choose(run, *same[0])
        else:
            key = (("leaf_sha256", carried.leaf.sha256.hex()), ("issuer", carried.leaf.issuer.common_name))
            self._chain_missing(run, key, "")

    def _find_chain(self, run: _Run) -> None:
        """Find the PCK chain of a quote that carries none: the one whose PCK signed the QE report."""
        step = ("intel.qe_report_signature", Stage.EVIDENCE_SIGNATURE, "Intel QVL 4.1.2.4.12")
        pool = self._pool_chains(run)
        for chain, origin in pool:
            try:
                self._verify_qe_report(run, chain)
            except RatsTlsError:
                continue  # the PCK of another platform
            run.log.passed(*step)
            self._choose(run, chain, origin)
            return
        run.log.not_checked(*step, "the PCK certificate is not at hand")
        platform = run.evidence.platform
        key: tuple[tuple[str, str], ...] = ()
        if platform is not None:
            key = (
                ("encrypted_ppid" if platform.encrypted else "ppid", platform.ppid.hex()),
                ("cpusvn", platform.cpu_svn.hex()),
                ("pcesvn", platform.pce_svn.to_bytes(2, "little").hex()),
                ("pceid", platform.pce_id.hex() if platform.pce_id is not None else ""),
            )
        why = f"none of {len(pool)} PCK certificates at hand signed the QE report" if pool else ""
        self._chain_missing(run, key, why)

    def _chain_missing(self, run: _Run, key: tuple[tuple[str, str], ...], why: str) -> None:
        item = MissingEndorsement(kind=EndorsementKind.INTEL_PCK_CHAIN, key=key)
        run.log.missing("intel.pck_chain", Stage.VENDOR_CHAIN, "Intel QVL 4.1.2.4.4", item, why=why)

    def _choose(self, run: _Run, chain: PckChain, origin: str) -> None:
        """Verify a chain and take it."""
        step = ("intel.pck_chain", Stage.VENDOR_CHAIN, "Intel QVL 4.1.2.4.4")
        try:
            pck = self._verified.get(
                ("chain", run.trust, chain.ders), lambda: verify_pck_chain(chain, run.anchors, run.crypto)
            )
        except RatsTlsError as error:
            raise run.log.failed(*step, error) from error
        run.log.passed(*step, got=f"anchor {pck.anchor.name} ({pck.anchor.kind.value})")
        use = EndorsementUse(
            kind=EndorsementKind.INTEL_PCK_CHAIN,
            sha256=chain.leaf.sha256,
            origin=origin,
            issued=max(certificate.not_before for _, certificate in pck.certificates),
            expires=min(certificate.not_after for _, certificate in pck.certificates),
            description=f"PCK certificate, FMSPC {chain.platform.fmspc.hex()}",
        )
        run.chosen = _Chosen(pck=pck, use=use)

        # (5) Validity of the three certificates, both ways; QVL 4.1.2.4.1 looks at notAfter only.
        step = ("intel.pck_dates", Stage.VENDOR_CHAIN, "RFC 5280 6.1.3 (a)(2); Intel QVL 4.1.2.4.1")
        try:
            for role, certificate in pck.certificates:
                require_in_date(certificate, run.now, role=role)
        except RatsTlsError as error:
            raise run.log.failed(*step, error) from error
        run.log.passed(*step, got=run.now_text)
        run.claims = replace(run.claims, platform=chain.platform)

    def _verify_platform(self, run: _Run, pck: VerifiedPck) -> None:
        collateral = self._verified.get(
            ("collateral", run.trust, pck.chain.ders, run.pool.digest),
            lambda: select_collateral(
                run.pool, pck, run.crypto, tcb_info_id=self.tcb_info_id, qe_identity_id=self.qe_identity_id
            ),
        )
        platform = pck.chain.platform

        # (6) TCB info and QE identity: signing chain and signature over the exact bytes. QVL 4.1.2.2, 4.1.2.4.9,
        # 4.1.2.4.10 (for this TEE, FMSPC and PCE id), 4.1.2.4.14.
        tcb_info, tcb_info_stale = self._document(
            run,
            collateral.tcb_info,
            "tcb_info",
            MissingEndorsement(
                kind=EndorsementKind.INTEL_TCB_INFO,
                key=(("id", self.tcb_info_id), ("fmspc", platform.fmspc.hex()), ("pceid", platform.pce_id.hex())),
            ),
        )
        identity, identity_stale = self._document(
            run,
            collateral.qe_identity,
            "qe_identity",
            MissingEndorsement(kind=EndorsementKind.INTEL_QE_IDENTITY, key=(("id", self.qe_identity_id),)),
        )

        # (7) The quoting enclave is the one of the identity. QVL 4.1.2.4.15.
        qe_level: EnclaveTcbLevel | None = None
        if identity is not None:
            qe_level = self._match_qe(run, identity)

        # (8) Revocation. QVL 4.1.2.3, 4.1.2.4.6, 4.1.2.4.7.
        self._verify_revocation(run, pck, collateral)

        # (9) Dates of the documents. QVL 4.1.2.2.5 looks at nextUpdate only, here issueDate counts too.
        for name, copy, stale in (
            ("tcb_info", tcb_info, tcb_info_stale),
            ("qe_identity", identity, identity_stale),
        ):
            if copy is None:
                continue
            step = (f"intel.{name}_dates", Stage.TCB, "Intel QVL 4.1.2.2.5")
            if stale is not None:
                raise run.log.failed(*step, stale)
            run.log.passed(*step, expected=copy.validity, got=run.now_text)

        # (10) TCB level. QVL 4.1.2.4.17.
        if tcb_info is None or identity is None or qe_level is None:
            run.log.not_checked(
                "intel.tcb_level", Stage.TCB, "Intel QVL 4.1.2.4.17", "TCB info or QE identity is not at hand"
            )
            return
        self._evaluate_tcb(run, pck, tcb_info, identity, qe_level)

    def _document(
        self, run: _Run, copies: Copies[T], name: str, item: MissingEndorsement
    ) -> tuple[Copy[T] | None, RatsTlsError | None]:
        step = (f"intel.{name}_signature", Stage.VENDOR_CHAIN, "Intel QVL 4.1.2.2")
        copy, error = copies.choose(run.now, item.kind.value)
        if copy is not None:
            run.log.passed(*step, got=copy.use.description)
            run.copies.append(copy)
            return copy, error
        if error is not None:
            stage = Stage.REVOCATION if isinstance(error, RevokedError) else Stage.VENDOR_CHAIN
            raise run.log.failed(f"intel.{name}_signature", stage, "Intel QVL 4.1.2.2", error)
        run.log.missing(
            f"intel.{name}_signature",
            Stage.TCB,
            "Intel QVL 4.1.2.2",
            item,
            why=copies.why_none(run.now, item.kind.value),
        )
        return None, None

    def _match_qe(self, run: _Run, identity: Copy[QeIdentity]) -> EnclaveTcbLevel:
        report, data = run.evidence.qe_report, run.evidence.quote.signature_data
        try:
            level = self._verified.get(
                ("qe", run.trust, identity.item.data, data.qe_report),
                lambda: match_qe_identity(report, identity.value),
            )
        except CertificateChainError as error:
            raise run.log.failed("intel.qe_identity", Stage.VENDOR_CHAIN, "Intel QVL 4.1.2.4.15", error) from error
        except RatsTlsError as error:
            raise run.log.failed("intel.qe_identity", Stage.TCB, "Intel QVL 4.1.2.9.9", error) from error
        run.log.passed(
            "intel.qe_identity",
            Stage.VENDOR_CHAIN,
            "Intel QVL 4.1.2.4.15",
            got=f"isvsvn {report.isv_svn}, {level.status.value}",
        )
        return level

    def _verify_revocation(self, run: _Run, pck: VerifiedPck, collateral: Collateral) -> None:
        root_name = pck.root.subject.common_name
        wanted = (
            ("intel.root_crl", collateral.root_crl, EndorsementKind.INTEL_ROOT_CRL, (("issuer", root_name),)),
            ("intel.pck_crl", collateral.pck_crl, EndorsementKind.INTEL_PCK_CRL, (("ca", pck.ca),)),
        )
        for check_id, copies, kind, key in wanted:
            self._verify_list(run, check_id, copies, MissingEndorsement(kind=kind, key=key))
        # A serial on any authentic list counts, also on one that is out of date.
        for check_id, copies, certificate, role in (
            ("intel.pck_ca_not_revoked", collateral.root_crl, pck.intermediate, "PCK CA certificate"),
            ("intel.pck_not_revoked", collateral.pck_crl, pck.chain.leaf, "PCK certificate"),
        ):
            if not copies.good:
                continue
            step = (check_id, Stage.REVOCATION, "Intel QVL 4.1.2.4.7")
            if certificate.serial in revoked_serials(copies):
                error = RevokedError(
                    f"{role} {certificate.serial:x} is on the revocation list of {certificate.issuer.common_name}"
                )
                raise run.log.failed(*step, error)
            run.log.passed(*step, got=f"serial {certificate.serial:x}")

    def _verify_list(self, run: _Run, check_id: str, copies: Copies[RevocationList], item: MissingEndorsement) -> None:
        step = (check_id, Stage.REVOCATION, "Intel QVL 4.1.2.3")
        copy, error = copies.choose(run.now, item.kind.value)
        if copy is None and error is not None:
            raise run.log.failed(*step, error)
        if copy is None:
            why = copies.why_none(run.now, item.kind.value)
            run.log.missing(*step, item, why=why, waived_by_revocation=True)
        elif error is not None:
            run.log.failed(*step, error, waived_by_revocation=True)
        else:
            run.log.passed(*step, expected=copy.validity, got=run.now_text)
            run.copies.append(copy)

    def _evaluate_tcb(
        self,
        run: _Run,
        pck: VerifiedPck,
        tcb_info: Copy[TcbInfo],
        identity: Copy[QeIdentity],
        qe_level: EnclaveTcbLevel,
    ) -> None:
        quote = run.evidence.quote
        log = CheckLog()
        key = (
            "tcb",
            run.trust,
            pck.chain.ders[0],
            tcb_info.item.data,
            identity.item.data,
            quote.signature_data.qe_report,
            self._tcb_inputs(quote),
        )
        try:
            outcome, checks = self._verified.get(
                key,
                lambda: (self._evaluate(log, pck, quote, tcb_info.value, qe_level), tuple(log.checks)),
            )
        except Stop:
            run.log.checks.extend(log.checks)
            run.log.problems.extend(log.problems)
            raise
        run.log.checks.extend(checks)
        run.claims = replace(
            run.claims,
            tcb=IntelTcb(
                status=outcome.status,
                advisories=outcome.advisories,
                platform_status=outcome.level.status,
                qe_status=outcome.qe_level.status,
                module_status=outcome.module_level.status if outcome.module_level is not None else None,
                tcb_date=outcome.level.tcb_date,
                tcb_evaluation_data_number=min(
                    tcb_info.value.tcb_evaluation_data_number, identity.value.tcb_evaluation_data_number
                ),
                issue_date=min(tcb_info.value.issue_date, identity.value.issue_date),
            ),
        )

    # --- pieces ------------------------------------------------------------------------------------------------------
    def _attestation_key(self, run: _Run, point: bytes) -> PublicKey:
        try:
            return self._keys.get((run.trust, point), lambda: run.crypto.load_ec_point(KeyAlgorithm.EC_P256, point))
        except DecodeError as error:
            raise SignatureError(f"attestation key: {error.message}") from error

    def _verify_qe_report(self, run: _Run, chain: PckChain) -> None:
        """Verify the QE report's signature by the chain's PCK. Raises SignatureError, CertificateChainError."""
        data = run.evidence.quote.signature_data

        def verify() -> bool:
            key = load_p256(chain.leaf.spki, run.crypto, "PCK certificate")
            _verify_raw(key, data.qe_report_signature, data.qe_report, "QE report")
            return True

        key = (
            "qe_report",
            run.trust,
            chain.leaf.spki,
            data.qe_report,
            data.qe_report_signature,
            data.qe_auth_data,
            data.attestation_key,
        )
        self._verified.get(key, verify)

    def _pool_chains(self, run: _Run) -> tuple[tuple[PckChain, str], ...]:
        """PCK chains at hand that can be read, with their origin; this side's first."""

        def read() -> tuple[tuple[PckChain, str], ...]:
            found: list[tuple[PckChain, str]] = []
            for item in run.pool.of_kind(EndorsementKind.INTEL_PCK_CHAIN):
                try:
                    found.append((PckChain.from_ders((item.data, *item.issuer_chain)), item.origin.value))
                except DecodeError:
                    continue  # counts as absent
            return tuple(found)

        return self._verified.get(("pool", run.pool.digest), read)


def _verify_raw(key: PublicKey, signature: bytes, data: bytes, what: str) -> None:
    """Verify r‖s, big-endian. Raises SignatureError."""
    try:
        key.verify_ecdsa(
            SignatureAlgorithm.ECDSA_SHA256,
            int.from_bytes(signature[:32], "big"),
            int.from_bytes(signature[32:], "big"),
            data,
        )
    except SignatureError as error:
        raise SignatureError(f"{what}: {error.message}") from error


def _verification(run: _Run) -> Verification:
    log, chosen = run.log, run.chosen
    uses = ((chosen.use,) if chosen is not None else ()) + tuple(copy.use for copy in run.copies)
    signers = [copy.signer for copy in run.copies if copy.signer is not None]
    starts = [use.issued for use in uses] + [signer.not_before for signer in signers]
    ends = [use.expires for use in uses] + [signer.not_after for signer in signers]
    return Verification(
        claims=run.claims,
        checks=tuple(log.checks),
        problems=tuple(log.problems),
        anchor=chosen.pck.anchor if chosen is not None else None,
        endorsements_used=uses,
        valid_from=max(starts, default=None),
        valid_until=min(ends, default=None),
    )
