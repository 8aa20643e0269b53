"""Verification of one SEV-SNP report, step by step.

Sources of the steps: AMD SEV-SNP ABI specification; AMD VCEK Certificate and KDS Interface Specification ("VCEK
specification"); RFC 5280. How the report's TCB values and versions stand to each other and to minimums, and the bits of
its words, are the policy's to judge.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from rats_tls.core import lookup_keys
from rats_tls.core.anchors import TrustAnchor
from rats_tls.core.checks import Stage, shorten, time_text
from rats_tls.core.claims import SnpClaims
from rats_tls.core.endorsements import Endorsement, EndorsementKind, MissingEndorsement
from rats_tls.core.errors import (
    CertificateChainError,
    RatsTlsError,
    RevokedError,
    RolledBackError,
    SignatureError,
    UnsupportedError,
)
from rats_tls.core.floors import Floors
from rats_tls.core.verification import EndorsementUse, Verification
from rats_tls.formats.amd.report import SIGNING_KEY_VCEK, AttestationReport
from rats_tls.formats.amd.tcb import decode_tcb_version, has_fmc, tcb_text
from rats_tls.formats.amd.vek import SHORT_HWID, VCEK_NAME, VekCertificate
from rats_tls.formats.x509 import Certificate
from rats_tls.verifiers.amd_chain import anchors_of_product, signer_name, verify_root
from rats_tls.verifiers.amd_endorsements import Held, Judge, Pool, choose_signer, choose_vek, product_for
from rats_tls.verifiers.amd_report import VEK_NAMES, require_identity, require_name, require_tcb, with_product, with_vek
from rats_tls.verifiers.amd_revocation import find_lists
from rats_tls.verifiers.chain import require_in_date
from rats_tls.verifiers.check_log import VERIFIES, CheckLog, Step
from rats_tls.verifiers.uses import certificates_use, validity

_ABI = "AMD SEV-SNP ABI, ATTESTATION_REPORT"
_KEY_INFO_SOURCE = "AMD SEV-SNP ABI, KEY_INFO"
_CERTIFICATES = "AMD VCEK specification, certificate profiles"
_REPORT = Step("snp.report", Stage.DECODE, _ABI, "a report of version 2 to 5, reserved bytes zero")
_SIGNING_KEY = Step("snp.signing_key", Stage.EVIDENCE_SIGNATURE, _KEY_INFO_SOURCE, "signed by a VCEK or a VLEK")
_SIGNATURE = Step(
    "snp.report_signature", Stage.EVIDENCE_SIGNATURE, _ABI, "signature by the VEK over bytes 0x0 to 0x29F as received"
)
_CHIP_ID = Step(
    "snp.chip_id", Stage.VENDOR_CHAIN, "AMD SEV-SNP ABI, CHIP_ID and MASK_CHIP_ID", "a chip_id that is not masked"
)
_SIGNER = Step("amd.signer", Stage.VENDOR_CHAIN, _CERTIFICATES, "ASK or ASVK of the product, issued by its pinned ARK")
_VEK_CHAIN = Step("amd.vek_chain", Stage.VENDOR_CHAIN, _CERTIFICATES, "VEK certificate issued by the product's signer")
_ROOT = Step("amd.root", Stage.VENDOR_CHAIN, "RFC 5280 6.1.1 (d)", "an ARK certificate at hand is the product's anchor")
_DATES = Step("amd.dates", Stage.VENDOR_CHAIN, "RFC 5280 6.1.3 (a)(2)", "VEK and signer certificates in date")
_PRODUCT = Step(
    "snp.product",
    Stage.VENDOR_CHAIN,
    "AMD SEV-SNP ABI, ATTESTATION_REPORT CPUID fields",
    "one product for report, VEK and anchor",
)
_IDENTITY = Step(
    "snp.vek_identity",
    Stage.VENDOR_CHAIN,
    "AMD VCEK specification, hwID and CSP_ID",
    "VCEK of the report's chip, or VLEK of a provider",
)
_VEK_TCB = Step(
    "snp.vek_tcb",
    Stage.VENDOR_CHAIN,
    "AMD VCEK specification, SPLs; AMD SEV-SNP ABI, REPORTED_TCB",
    "a VEK for the reported TCB, component by component",
)
_CRL = Step("amd.crl", Stage.REVOCATION, "RFC 5280 6.3.3", "revocation list of the ARK, in date")
_NOT_REVOKED = Step("amd.not_revoked", Stage.REVOCATION, "RFC 5280 6.3.3", "no certificate of the chain on any list")


@dataclass(slots=True, kw_only=True)
class SnpRun:
    """One verification.

    Attributes:
        report: the decoded report.
        claims: its claims, completed on the way.
        judge: anchors, crypto wrapper, time, memory.
        pool: Endorsements at hand.
        floors: what counts as rolled back.
        log: checks and problems so far.
        vek: the VEK certificate, once its key verified the report's signature.
        signer: the ASK or ASVK certificate, once an anchor was found to have issued it.
        root: the ARK certificate, if one is at hand.
        anchor: the anchor to which the chain led.
        used: Endorsements on which the verdict rests.
    """

    report: AttestationReport
    claims: SnpClaims
    judge: Judge
    pool: Pool
    floors: Floors
    log: CheckLog = field(default_factory=CheckLog)
    vek: Held[VekCertificate] | None = None
    signer: Held[Certificate] | None = None
    root: Held[Certificate] | None = None
    anchor: TrustAnchor | None = None
    used: list[EndorsementUse] = field(default_factory=list)

    def verify(self) -> None:
        """Take the steps. Raises Stop at the first problem that is neither a missing Endorsement nor a stale list."""
        # (1) Length, version, reserved bytes, signature algorithm: done when the report was decoded.
        self.log.passed(_REPORT, f"version {self.report.version}")
        name = self._verify_signing_key()
        self._verify_signature(name)
        product = self._find_product()
        self._verify_chip_id()
        if product is None:
            self._skip_chain()
            return
        anchors = self._verify_chain(name, product)
        self._verify_root(anchors)
        self._verify_dates()
        self._verify_product(product)
        self._verify_vek(product)
        self._verify_revocation(name, product, anchors)

    def verification(self) -> Verification:
        """Give what was found."""
        return Verification(
            claims=self.claims,
            checks=tuple(self.log.checks),
            problems=tuple(self.log.problems),
            anchor=self.anchor,
            endorsements_used=tuple(self.used),
            valid_from=max((use.issued for use in self.used), default=None),
            valid_until=min((use.expires for use in self.used), default=None),
        )

    # --- the report itself ---------------------------------------------------------------------------------------
    def _verify_signing_key(self) -> str:
        """Give the common name that the VEK certificate must have."""
        # (2) A VCEK or a VLEK signed. Value 7 is an unsigned report; the others are reserved.
        report = self.report
        name = VEK_NAMES.get(report.signing_key)
        if name is None:
            error = SignatureError(f"key_info signing_key: got {report.signing_key}, expected 0 (VCEK) or 1 (VLEK)")
            raise self.log.failed(_SIGNING_KEY, error)
        self.log.passed(_SIGNING_KEY, name)
        return name

    def _verify_signature(self, name: str) -> None:
        # (3) ECDSA P-384 with SHA-384 over the first 0x2A0 bytes as received, by the VEK. Never remembered.
        chosen = choose_vek(self.judge, self.pool, self.report)
        if chosen.held is None and chosen.error is not None:
            self.log.not_checked(_SIGNATURE, "no VEK certificate of this report is at hand")
            raise self.log.failed(_VEK_CHAIN, chosen.error)
        if chosen.held is None:
            self.log.missing(_SIGNATURE, _wanted_vek(self.report, name), why=chosen.why)
            return
        if chosen.signature_error is not None:
            raise self.log.failed(_SIGNATURE, chosen.signature_error)
        self.log.passed(_SIGNATURE, VERIFIES)
        self.vek = chosen.held

    def _find_product(self) -> str | None:
        """Give the product, by whose root the chain is judged."""
        # (4) From version 3 on the report names its processor. Before, the product is that of the chain, see (9).
        product = product_for(self.report, self.vek.value if self.vek is not None else None)
        if product is not None:
            return product
        if self.report.cpuid is not None:
            family, model, _ = self.report.cpuid
            unknown = UnsupportedError(f"CPUID family {family:#x}, model {model:#x}: no product that is known here")
            raise self.log.failed(_PRODUCT, unknown)
        if self.vek is not None:
            issuer = self.vek.value.certificate.issuer.common_name
            error = CertificateChainError(f"VEK certificate issuer: got {issuer!r}, expected that of an AMD product")
            raise self.log.failed(_PRODUCT, error)
        return None

    def _verify_chip_id(self) -> None:
        # (5) A VCEK is a chip's, so a report with a masked chip_id cannot be told to be of it.
        if self.report.signing_key != SIGNING_KEY_VCEK:
            return
        if not any(self.report.chip_id):
            error = CertificateChainError("chip_id: got zeros (masked), expected the chip's id, which a VCEK needs")
            raise self.log.failed(_CHIP_ID, error)
        self.log.passed(_CHIP_ID, shorten(self.report.chip_id))

    # --- the chain -----------------------------------------------------------------------------------------------
    def _verify_chain(self, name: str, product: str) -> tuple[TrustAnchor, ...]:
        """Verify VEK and signer; give the anchors that come into question for the product, or the one reached."""
        # (6) The root is the pinned one of the product; nothing that came with the evidence has a say in it.
        try:
            anchors = anchors_of_product(self.judge.anchors, product)
            vek = self.vek.value if self.vek is not None else None
            if vek is not None:
                require_name(self.report, vek, product)
        except RatsTlsError as error:
            raise self.log.failed(_VEK_CHAIN, error) from error
        # (7) ARK issued the ASK or ASVK, which issued the VEK certificate.
        wanted = signer_name(name, product)
        chosen = choose_signer(self.judge, self.pool, wanted, product, vek)
        if chosen is None:
            unreadable = self.pool.unreadable.get(EndorsementKind.AMD_SIGNER)
            if unreadable is not None and unreadable.refusal is not None:
                raise self.log.failed(_SIGNER, unreadable.refusal)
            item = lookup_keys.amd_signer(product, wanted)
            self.log.missing(_SIGNER, item, why=str(unreadable) if unreadable is not None else "")
            self.log.not_checked(_VEK_CHAIN, f"the certificate of {wanted} is not at hand")
            return anchors
        if chosen.anchor is None:
            raise self.log.failed(_SIGNER, chosen.error or CertificateChainError(f"{wanted}: no trust anchor"))
        self.log.passed(_SIGNER, f"anchor {chosen.anchor.name} ({chosen.anchor.kind.value})")
        self.signer = chosen.held
        if chosen.error is not None:
            raise self.log.failed(_VEK_CHAIN, chosen.error)
        if vek is None:
            self.log.not_checked(_VEK_CHAIN, "the VEK certificate is not at hand")
        else:
            self.log.passed(_VEK_CHAIN, f"{name} issued by {wanted}")
            self.anchor = chosen.anchor
        return (chosen.anchor,)

    def _verify_root(self, anchors: Sequence[TrustAnchor]) -> None:
        # (8) No ARK certificate is needed: the anchor gives name and key. One that is at hand must be the anchor, or
        # that of another product.
        unreadable = self.pool.unreadable.get(EndorsementKind.AMD_ROOT)
        first_error = unreadable.refusal if unreadable is not None else None
        for held in self.pool.roots:
            if self._is_of_another_product(held.value, anchors):
                continue
            try:
                anchor = self._require_root(held.value, anchors)
            except RatsTlsError as error:
                first_error = first_error or error
            else:
                self.log.passed(_ROOT, f"{anchor.name}, SHA-256 {held.value.sha256.hex()}")
                self.root = held
                return
        if first_error is not None:
            raise self.log.failed(_ROOT, first_error)

    def _is_of_another_product(self, root: Certificate, anchors: Sequence[TrustAnchor]) -> bool:
        return any(
            (root.subject.der, root.spki) == (anchor.subject, anchor.spki)
            for anchor in self.judge.anchors
            if anchor not in anchors
        )

    def _require_root(self, root: Certificate, anchors: Sequence[TrustAnchor]) -> TrustAnchor:
        anchor = self.judge.memory.verified.get(
            ("root", self.judge.trust, tuple(anchor.fingerprint for anchor in anchors), root.der),
            lambda: verify_root(root, anchors, self.judge.crypto),
        )
        require_in_date(root, self.judge.now, role=f"{anchor.name} certificate")
        return anchor

    def _verify_dates(self) -> None:
        # (9) Certificates are in date.
        try:
            if self.vek is not None:
                require_in_date(self.vek.value.certificate, self.judge.now, role="VEK certificate")
            if self.signer is not None:
                require_in_date(self.signer.value, self.judge.now, role=self.signer.value.subject.common_name)
        except RatsTlsError as error:
            raise self.log.failed(_DATES, error) from error
        if self.vek is not None or self.signer is not None:
            self.log.passed(_DATES, time_text(self.judge.now))
        if self.vek is not None:
            certificate = self.vek.value.certificate
            text = f"{certificate.subject.common_name}, {tcb_text(self.vek.value.extensions.tcb)}"
            self._use(self.vek.item, certificate, text)
        for held in (self.signer, self.root):
            if held is not None:
                self._use(held.item, held.value, held.value.subject.common_name)

    def _use(self, item: Endorsement, certificate: Certificate, description: str) -> None:
        self.used.append(certificates_use(item.kind, item.origin.value, (certificate,), description))

    # --- report and VEK ------------------------------------------------------------------------------------------
    def _verify_product(self, product: str) -> None:
        # (10) A report of version 2 names no product: it is the one whose root the chain led to.
        if self.report.cpuid is not None:
            self.log.passed(_PRODUCT, f"{product}, by the report's CPUID")
            return
        if self.anchor is None or self.vek is None:
            self.log.not_checked(_PRODUCT, "the report is of version 2, and its chain is not verified")
            return
        # The extension is known to be wrong on some chips, so it counts only where the report is silent.
        stepping = self.vek.value.extensions.product_name
        if stepping.partition("-")[0] != product:
            error = CertificateChainError(f"VEK productName: got {stepping!r}, expected {product}, as the chain has it")
            raise self.log.failed(_PRODUCT, error)
        try:
            self.claims = with_product(self.claims, self.report, product)
        except RatsTlsError as error:
            raise self.log.failed(_PRODUCT, error) from error
        self.log.passed(_PRODUCT, f"{product}, by the anchor {self.anchor.name}: the report names none")

    def _verify_vek(self, product: str) -> None:
        if self.vek is None or (self.report.cpuid is None and self.anchor is None):
            note = "the VEK certificate is not at hand" if self.vek is None else "the product is not known for certain"
            self.log.not_checked(_IDENTITY, note)
            self.log.not_checked(_VEK_TCB, note)
            return
        vek = self.vek.value
        # (11) The VEK is of this chip (VCEK: hwID, no CSP_ID), or on loan to a provider (VLEK: the other way round).
        try:
            identity = require_identity(self.report, vek, product)
        except RatsTlsError as error:
            raise self.log.failed(_IDENTITY, error) from error
        self.log.passed(_IDENTITY, identity)
        # (12) The VEK was derived for the reported TCB, component by component.
        try:
            tcb = require_tcb(self.report, vek, product)
        except RatsTlsError as error:
            raise self.log.failed(_VEK_TCB, error) from error
        self.log.passed(_VEK_TCB, tcb)
        if self.anchor is not None:
            vek_type = vek.certificate.subject.common_name.removeprefix("SEV-")
            self.claims = with_vek(self.claims, vek_type, vek.extensions.csp_id)

    # --- revocation ----------------------------------------------------------------------------------------------
    def _verify_revocation(self, name: str, product: str, anchors: Sequence[TrustAnchor]) -> None:
        vek_type = name.removeprefix("SEV-")
        lists = find_lists(self.judge, self.pool, anchors, vek_type, self.floors)
        # (13) No certificate of the chain is on any list that the ARK signed, however old the list is.
        chain = [held.value for held in (self.signer, self.root) if held is not None]
        if self.vek is not None:
            chain.append(self.vek.value.certificate)
        for certificate in chain:
            if certificate.serial in lists.revoked:
                revoked = RevokedError(
                    f"{certificate.subject.common_name} {certificate.serial:x} is on the revocation list of "
                    f"{anchors[0].name}"
                )
                raise self.log.failed(_NOT_REVOKED, revoked)
        # (14) A list of the ARK is there and in date.
        if lists.current is not None:
            self.log.passed(_CRL, time_text(self.judge.now), expected=f"{_CRL.expected}: {validity(lists.current)}")
            self.used.append(lists.current)
        elif lists.stale is not None and lists.error is not None:
            use = lists.stale
            expired = use if use.issued <= self.judge.now and use.expires <= self.judge.now else None
            self.log.failed(_CRL, lists.error, waived_by_revocation=True, expired=expired)
        elif lists.error is not None:
            rolled_back = isinstance(lists.error, RolledBackError)
            stop = self.log.failed(_CRL, lists.error, waived_by_revocation=rolled_back)
            if not rolled_back:
                raise stop
        else:
            item = lookup_keys.amd_crl(product, vek_type)
            self.log.missing(_CRL, item, why=lists.why, waived_by_revocation=True)
        if lists.current is None:
            self.log.not_checked(_NOT_REVOKED, f"no revocation list of {anchors[0].name} that is in date")
        elif self.signer is None:
            self.log.not_checked(_NOT_REVOKED, "the signer's certificate is not at hand")
        else:
            self.log.passed(_NOT_REVOKED, f"serial {self.signer.value.serial:x}")

    def _skip_chain(self) -> None:
        note = "the product is not known: the report is of version 2, and its VEK certificate is not at hand"
        for step in (_SIGNER, _VEK_CHAIN, _PRODUCT, _IDENTITY, _VEK_TCB, _CRL, _NOT_REVOKED):
            self.log.not_checked(step, note)


def _wanted_vek(report: AttestationReport, name: str) -> MissingEndorsement:
    product, vek_type = report.product, name.removeprefix("SEV-")
    chip_id = report.chip_id if name == VCEK_NAME else None
    if product is None:
        return lookup_keys.vek_without_product(vek_type, chip_id, report.reported_tcb)
    hwid = chip_id[:SHORT_HWID] if chip_id is not None and has_fmc(product) else chip_id
    return lookup_keys.vek(product, vek_type, hwid, decode_tcb_version(report.reported_tcb, product, "reported_tcb"))
