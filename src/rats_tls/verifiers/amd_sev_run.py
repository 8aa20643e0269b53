"""Verification of Evidence of one SEV or SEV-ES guest, step by step.

Source of the steps: AMD, Secure Encrypted Virtualization API (55766, "SEV API"), ATTESTATION and appendix B and C. The
bits of the guest policy are the policy's to judge. Nothing in a report is the guest's, so that none binds a key.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from rats_tls.core.algorithms import HashAlgorithm
from rats_tls.core.anchors import TrustAnchor
from rats_tls.core.checks import Stage
from rats_tls.core.claims import SevClaims
from rats_tls.core.endorsements import Endorsements, MissingEndorsement
from rats_tls.core.errors import CertificateChainError, EndorsementMissingError, RatsTlsError, SignatureError
from rats_tls.core.verification import EndorsementUse, Problem, Verification
from rats_tls.formats.amd.sev_certificate import SevCertificate
from rats_tls.formats.amd.sev_keys import OCA
from rats_tls.formats.amd.sev_report import SevEvidence
from rats_tls.verifiers.amd_endorsements import Judge
from rats_tls.verifiers.amd_sev_chain import (
    load_key,
    product_of_anchor,
    require_report_form,
    verify_owner,
    verify_pek,
    verify_report,
)
from rats_tls.verifiers.amd_sev_signers import choose_ask
from rats_tls.verifiers.check_log import VERIFIES, CheckLog, Step
from rats_tls.verifiers.uses import undated_use

_ATTESTATION = "AMD SEV API, ATTESTATION"
_CERTIFICATES = "AMD SEV API, appendix C, certificates"
_SIGNERS = "AMD SEV API, appendix B, AMD signing keys"
_FORM = Step(
    "sev.report", Stage.DECODE, _ATTESTATION, "a report of 208 bytes with CEK, PEK and OCA, reserved bytes zero"
)
_SIGNED_BY = Step("sev.signed_by", Stage.EVIDENCE_SIGNATURE, _ATTESTATION, "signed by a PEK, with the PEK's algorithm")
_SIGNATURE = Step(
    "sev.report_signature",
    Stage.EVIDENCE_SIGNATURE,
    _ATTESTATION,
    "signature by the PEK over bytes 0 to 51 as received",
)
_PEK = Step(
    "sev.pek", Stage.VENDOR_CHAIN, _CERTIFICATES, "PEK certificate signed by the chip's CEK, found by its usage"
)
_OWNER = Step(
    "sev.owner", Stage.VENDOR_CHAIN, _CERTIFICATES, "OCA certificate signed by itself, and the PEK certificate by it"
)
_SIGNER = Step("sev.signer", Stage.VENDOR_CHAIN, _SIGNERS, "ASK signed by the pinned ARK of its product")
_CEK = Step("sev.cek", Stage.VENDOR_CHAIN, _CERTIFICATES, "CEK certificate signed by the ASK")
_PRODUCT = Step("sev.product", Stage.VENDOR_CHAIN, _SIGNERS, "the product whose ARK the chain led to")
_NOT_REVOKED = Step("sev.not_revoked", Stage.REVOCATION, "AMD SEV API", "no certificate of the chain on any list")
_NO_LIST = "AMD publishes no revocation list for certificates before SEV-SNP"


@dataclass(slots=True, kw_only=True)
class SevRun:
    """One verification.

    Attributes:
        evidence: the decoded Evidence.
        claims: its claims, completed on the way.
        judge: anchors, crypto wrapper, time, memory.
        endorsements: those at hand.
        log: checks and problems so far.
        anchor: the anchor to which the chain led.
        used: Endorsements on which the verdict rests.
    """

    evidence: SevEvidence
    claims: SevClaims
    judge: Judge
    endorsements: Endorsements
    log: CheckLog = field(default_factory=CheckLog)
    anchor: TrustAnchor | None = None
    used: list[EndorsementUse] = field(default_factory=list)

    def verify(self) -> None:
        """Take the steps. Raises Stop at the first problem that is not a missing Endorsement."""
        # (1) Lengths, versions, usages and algorithms that are known, reserved bytes: done when it was decoded.
        self.log.passed(_FORM, f"CEK of API {_version(self.evidence.cek)}, PEK of API {_version(self.evidence.pek)}")
        self._verify_report()
        self._verify_pek()
        self._verify_owner()
        self._verify_chip()
        self._note_revocation()

    def verification(self) -> Verification:
        """Give what was found. Certificates before SEV-SNP have no dates."""
        return Verification(
            claims=self.claims,
            checks=tuple(self.log.checks),
            problems=tuple(self.log.problems),
            anchor=self.anchor,
            endorsements_used=tuple(self.used),
        )

    def _verify_report(self) -> None:
        report, pek = self.evidence.report, self.evidence.pek
        # (2) Usage and algorithm of the signature are not under it: they must be those of the PEK.
        try:
            self.log.passed(_SIGNED_BY, require_report_form(report, pek))
        except SignatureError as error:
            raise self.log.failed(_SIGNED_BY, error) from error
        # (3) ECDSA P-384 over the first 52 bytes as received, by the PEK. Never remembered.
        try:
            key = self.judge.memory.keys.get(
                ("sev-pek-key", self.judge.trust, pek.key_field), lambda: load_key(pek.key, self.judge.crypto, "PEK")
            )
            verify_report(report, key)
        except RatsTlsError as error:
            raise self.log.failed(_SIGNATURE, error) from error
        self.log.passed(_SIGNATURE, VERIFIES)

    def _verify_pek(self) -> None:
        # (4) The CEK signed the PEK. Which of both signatures is the CEK's is told by its usage.
        cek, pek = self.evidence.cek, self.evidence.pek

        def verify() -> bool:
            verify_pek(pek, cek, self.judge.crypto)
            return True

        try:
            self.judge.memory.platforms.get(("sev-pek", self.judge.trust, cek.data, pek.data), verify)
        except RatsTlsError as error:
            raise self.log.failed(_PEK, error) from error
        self.log.passed(_PEK, VERIFIES)

    def _verify_owner(self) -> None:
        # (5) Anybody can own a platform: the owner's certificate adds no trust. Where it is there, it must be right.
        pek, oca = self.evidence.pek, self.evidence.oca
        if oca is None:
            signed = pek.signature_by(OCA) is not None
            self.log.not_checked(_OWNER, "no OCA certificate" + (" of the owner that signed the PEK" if signed else ""))
            return

        def verify() -> bool:
            verify_owner(pek, oca, self.judge.crypto)
            return True

        try:
            self.judge.memory.platforms.get(("sev-oca", self.judge.trust, oca.data, pek.data), verify)
        except RatsTlsError as error:
            raise self.log.failed(_OWNER, error) from error
        self.log.passed(_OWNER, VERIFIES, note="anybody can own a platform: it adds no trust")

    def _verify_chip(self) -> None:
        cek, hint = self.evidence.cek, self.evidence.product_hint
        chosen = choose_ask(self.judge, self.endorsements, cek, hint)
        if chosen.item is None:
            self._without_signer(chosen.why, chosen.missing)
            return
        # (6) The pinned ARK signed the ASK. (7) The ASK signed the CEK.
        if chosen.anchor is None:
            raise self.log.failed(_SIGNER, chosen.signer_error or CertificateChainError("ASK: no trust anchor"))
        product = product_of_anchor(chosen.anchor)
        self.log.passed(_SIGNER, f"anchor {chosen.anchor.name} ({chosen.anchor.kind.value})")
        self.log.passed(_CEK, VERIFIES)
        # (8) Which product it is says the chain alone. What the Evidence says of it is covered by nothing.
        note = f"the device type says {hint}, which nothing covers" if hint not in {None, product} else None
        self.log.passed(_PRODUCT, product, note=note)
        self.anchor = chosen.anchor
        self.used.append(undated_use(chosen.item, f"ASK of {product}"))
        digest = self.judge.crypto.digest(HashAlgorithm.SHA256, cek.key_field)
        self.claims = replace(self.claims, product=product, cek_sha256=digest)

    def _without_signer(self, why: str, missing: tuple[MissingEndorsement, ...]) -> None:
        if not missing:
            raise self.log.failed(
                _CEK, CertificateChainError(f"CEK certificate: no ASK signed it: {why or 'none fits'}")
            )
        for item in missing:
            self.log.missing(_SIGNER, item, why=why)
        for step in (_CEK, _PRODUCT):
            self.log.not_checked(step, "the certificate of the ASK is not at hand")

    def _note_revocation(self) -> None:
        # (9) There is nothing to look a certificate up in; an entry has to say that it does without.
        self.log.not_checked(_NOT_REVOKED, _NO_LIST)
        error = EndorsementMissingError(_NO_LIST, missing=())
        self.log.problems.append(Problem(stage=_NOT_REVOKED.stage, error=error, waived_by_revocation=True))


def claims_of(evidence: SevEvidence) -> SevClaims:
    """Give what the signed part of a report says."""
    report = evidence.report
    return SevClaims(mnonce=report.mnonce, launch_digest=report.launch_digest, policy=report.policy)


def _version(certificate: SevCertificate) -> str:
    return f"{certificate.api_major}.{certificate.api_minor}"
