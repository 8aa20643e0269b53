"""Verification of Endorsements by themselves: before they are kept in a store or taken from a bundle.

An appraisal verifies them again, against its Evidence; this only says what is worth keeping, and for what.
Links and signatures are verified by the functions that an appraisal uses, numbered there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from rats_tls.core.anchors import TrustAnchor, Vendor
from rats_tls.core.endorsements import Endorsement, EndorsementKind, MissingEndorsement
from rats_tls.core.errors import CertificateChainError, RatsTlsError, RevokedError
from rats_tls.core.floors import Floors
from rats_tls.core.interfaces import CryptoWrapper
from rats_tls.core.verification import EndorsementUse, RefusedEndorsement, VerifiedEndorsement
from rats_tls.formats.amd.sev_signer import SevSignerCertificate
from rats_tls.formats.amd.vek import VCEK_NAME, VLEK_NAME, VekCertificate
from rats_tls.formats.endorsement_keys import keys_of
from rats_tls.formats.intel.pck import PckChain
from rats_tls.formats.intel.qe_identity import QeIdentity
from rats_tls.formats.intel.tcb_info import TcbInfo
from rats_tls.formats.x509 import Certificate, RevocationList
from rats_tls.verifiers import intel_chain
from rats_tls.verifiers.amd_chain import (
    anchors_of_product,
    product_of_signer,
    verify_root,
    verify_signer,
    verify_vek,
)
from rats_tls.verifiers.amd_revocation import issuer_of
from rats_tls.verifiers.amd_sev_chain import product_of_anchor
from rats_tls.verifiers.amd_sev_chain import verify_signer as verify_sev_signer
from rats_tls.verifiers.chain import anchors_of, match_anchor, require_in_date
from rats_tls.verifiers.hygon_chain import verify_cek, verify_hsk
from rats_tls.verifiers.hygon_endorsements import cek_chain_use, read_chain
from rats_tls.verifiers.intel_collateral import document_use, verify_document
from rats_tls.verifiers.uses import certificates_use, date_error, list_use, undated_use

_K = EndorsementKind
_ENTRIES = 3
"""Most certificates of an issuer chain that are read: leaf, CA, root."""


class SignerAbsentError(CertificateChainError):
    """What came without the certificates of its signer: it may be authentic, and cannot be verified by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """What is known of one item. `certificates`: role and certificate, all of which must be in date and unrevoked."""

    use: EndorsementUse
    anchor: TrustAnchor
    certificates: tuple[tuple[str, Certificate], ...] = ()
    revoked: tuple[tuple[bytes, int], ...] = ()


class VendorEndorsementsVerifier:
    """Verifies Endorsements of all vendors by themselves. Holds no state.

    Args:
        anchors: trust anchors.
        crypto: crypto wrapper.
    """

    def __init__(self, anchors: Sequence[TrustAnchor], crypto: CryptoWrapper) -> None:
        self._anchors = tuple(anchors)
        self._crypto = crypto

    def __call__(
        self, items: Sequence[Endorsement], *, now: datetime, floors: Floors
    ) -> tuple[VerifiedEndorsement | RefusedEndorsement, ...]:
        """Verify `items`, each with the help of the others: signers of VEKs, revocation lists of certificates.

        Authentic is what leads to an anchor as the vendor demands, is in date, on no list among `items`, and not below
        `floors`. What Evidence would be needed for is not verified: a PCK chain is not of any quote yet.

        Args:
            items: Endorsements of any platforms.
            now: time of judgement, aware.
            floors: what counts as rolled back.

        Returns:
            One outcome for each, in their order. Raises nothing for what is in them.
        """
        signers = [item for item in items if item.kind is _K.AMD_SIGNER]
        found = [self._verify(item, signers) for item in items]
        revoked = {pair for outcome in found if isinstance(outcome, _Found) for pair in outcome.revoked}
        return tuple(
            _judged(item, outcome, now, revoked, floors) if isinstance(outcome, _Found) else outcome
            for item, outcome in zip(items, found, strict=True)
        )

    def _verify(self, item: Endorsement, signers: Sequence[Endorsement]) -> _Found | RefusedEndorsement:
        try:
            if item.kind is _K.AMD_VEK:
                return self._vek(item, signers)
            return self._by_itself[item.kind](item)
        except RatsTlsError as error:
            return RefusedEndorsement(item, error)

    @property
    def _by_itself(self) -> Mapping[EndorsementKind, Callable[[Endorsement], _Found]]:
        """What verifies each kind that needs no other Endorsement."""
        return {
            _K.INTEL_TCB_INFO: self._intel_document,
            _K.INTEL_QE_IDENTITY: self._intel_document,
            _K.INTEL_ROOT_CRL: self._intel_root_list,
            _K.INTEL_PCK_CRL: self._intel_pck_list,
            _K.INTEL_PCK_CHAIN: self._pck_chain,
            _K.AMD_SIGNER: self._amd_signer,
            _K.AMD_ROOT: self._amd_root,
            _K.AMD_CRL: self._amd_list,
            _K.AMD_SEV_SIGNER: self._amd_sev_signer,
            _K.HYGON_CEK_CHAIN: self._hygon_chain,
        }

    # --- Intel ---------------------------------------------------------------------------------------------------
    def _intel_document(self, item: Endorsement) -> _Found:
        read = TcbInfo.from_json if item.kind is _K.INTEL_TCB_INFO else QeIdentity.from_json
        value = read(item.data)
        anchor = self._intel_anchor(item.issuer_chain)
        signer, root = verify_document(item, _certificates(item.issuer_chain), anchor, self._crypto)
        return _Found(
            use=document_use(item, value),
            anchor=anchor,
            certificates=(("TCB signing certificate", signer), ("root certificate", root)),
        )

    def _intel_root_list(self, item: Endorsement) -> _Found:
        crl = RevocationList.from_der(item.data)
        errors: list[RatsTlsError] = []
        for anchor in anchors_of(self._anchors, Vendor.INTEL):
            if anchor.subject != crl.issuer.der:
                continue
            try:
                intel_chain.verify_list_of_anchor(crl, anchor, self._crypto)
            except RatsTlsError as error:
                errors.append(error)
            else:
                return _Found(
                    use=list_use(item, crl, _only_key(item)),
                    anchor=anchor,
                    revoked=_serials(crl),
                )
        raise errors[0] if errors else CertificateChainError(f"revocation list issuer: got {crl.issuer}, no anchor")

    def _intel_pck_list(self, item: Endorsement) -> _Found:
        crl = RevocationList.from_der(item.data)
        anchor = self._intel_anchor(item.issuer_chain)
        issuer, root, _ = intel_chain.verify_ca_chain(_certificates(item.issuer_chain), anchor, self._crypto)
        intel_chain.verify_revocation_list(crl, issuer, self._crypto)
        return _Found(
            use=list_use(item, crl, _only_key(item)),
            anchor=anchor,
            certificates=(("PCK CA certificate", issuer), ("root certificate", root)),
            revoked=_serials(crl),
        )

    def _pck_chain(self, item: Endorsement) -> _Found:
        chain = PckChain.from_ders((item.data, *item.issuer_chain))
        pck = intel_chain.verify_pck_chain(chain, self._anchors, self._crypto)
        return _Found(
            use=certificates_use(
                item.kind,
                item.origin.value,
                [certificate for _, certificate in pck.certificates],
                f"PCK certificate, FMSPC {chain.platform.fmspc.hex()}",
            ),
            anchor=pck.anchor,
            certificates=pck.certificates,
        )

    def _intel_anchor(self, issuer_chain: Sequence[bytes]) -> TrustAnchor:
        certificates = _certificates(issuer_chain)
        if not certificates:
            raise SignerAbsentError("issuer chain: got no certificate")
        return match_anchor(certificates[-1], self._anchors, Vendor.INTEL, self._crypto)

    # --- Hygon ---------------------------------------------------------------------------------------------------
    def _hygon_chain(self, item: Endorsement) -> _Found:
        hsk, cek = read_chain(item)
        anchor = verify_hsk(hsk, self._anchors, self._crypto)
        verify_cek(cek, hsk, self._crypto)
        return _Found(use=cek_chain_use(item, item.origin.value, hsk), anchor=anchor)

    # --- AMD -----------------------------------------------------------------------------------------------------
    def _amd_signer(self, item: Endorsement) -> _Found:
        signer = Certificate.from_der(item.data, "AmdSignerCertificate")
        name = signer.subject.common_name
        product = product_of_signer(VLEK_NAME, name) or product_of_signer(VCEK_NAME, name)
        if product is None:
            raise CertificateChainError(f"signer common name: got {name!r}, which is no ASK or ASVK of AMD's")
        anchor = verify_signer(signer, anchors_of_product(self._anchors, product), name, self._crypto)
        return _Found(
            use=certificates_use(item.kind, item.origin.value, (signer,), name),
            anchor=anchor,
            certificates=((name, signer),),
        )

    def _amd_sev_signer(self, item: Endorsement) -> _Found:
        signer = SevSignerCertificate.from_bytes(item.data)
        anchor = verify_sev_signer(signer, self._anchors, self._crypto)
        return _Found(use=undated_use(item, f"ASK of {product_of_anchor(anchor)}"), anchor=anchor)

    def _amd_root(self, item: Endorsement) -> _Found:
        root = Certificate.from_der(item.data, "AmdRootCertificate")
        name = root.subject.common_name
        anchor = verify_root(root, anchors_of(self._anchors, Vendor.AMD), self._crypto)
        return _Found(
            use=certificates_use(item.kind, item.origin.value, (root,), name),
            anchor=anchor,
            certificates=((name, root),),
        )

    def _amd_list(self, item: Endorsement) -> _Found:
        crl = RevocationList.from_der(item.data, "AmdRevocationList")
        issuers = [a for a in anchors_of(self._anchors, Vendor.AMD) if a.subject == crl.issuer.der]
        if not issuers:
            raise CertificateChainError(f"revocation list issuer: got {crl.issuer}, no anchor")
        anchor = issuer_of(crl, issuers, self._crypto)
        return _Found(use=list_use(item, crl, keys_of(item)[0]), anchor=anchor, revoked=_serials(crl))

    def _vek(self, item: Endorsement, signers: Iterable[Endorsement]) -> _Found:
        vek = VekCertificate.from_der(item.data)
        name, issuer = vek.certificate.subject.common_name, vek.certificate.issuer
        product = product_of_signer(name, issuer.common_name)
        if product is None:
            raise CertificateChainError(f"VEK certificate: got {name!r} issued by {issuer.common_name!r}")
        signer, anchor = self._signer_of(vek, product, signers)
        return _Found(
            use=certificates_use(item.kind, item.origin.value, (vek.certificate,), name),
            anchor=anchor,
            certificates=((name, vek.certificate), (issuer.common_name, signer)),
        )

    def _signer_of(
        self, vek: VekCertificate, product: str, signers: Iterable[Endorsement]
    ) -> tuple[Certificate, TrustAnchor]:
        name = vek.certificate.issuer.common_name
        error: RatsTlsError | None = None
        for item in signers:
            try:
                signer = Certificate.from_der(item.data, "AmdSignerCertificate")
                if signer.subject.der != vek.certificate.issuer.der:
                    continue
                anchor = verify_signer(signer, anchors_of_product(self._anchors, product), name, self._crypto)
                verify_vek(vek, signer, self._crypto)
            except RatsTlsError as problem:
                error = error or problem
            else:
                return signer, anchor
        raise error or SignerAbsentError(f"VEK certificate: the certificate of {name} is not at hand")


def _judged(
    item: Endorsement, found: _Found, now: datetime, revoked: set[tuple[bytes, int]], floors: Floors
) -> VerifiedEndorsement | RefusedEndorsement:
    use = found.use
    try:
        for role, certificate in found.certificates:
            if (certificate.issuer.der, certificate.serial) in revoked:
                raise RevokedError(f"{role} {certificate.serial:x} is on the list of {certificate.issuer.common_name}")
            require_in_date(certificate, now, role=role)
        out_of_date = date_error(use, now, use.description) if item.kind.is_reissued else None
        if out_of_date is not None:
            raise out_of_date
        keys = keys_of(item)
        older = {key: replace(use, key=key).rolled_back(floors, found.anchor) for key in keys}
        for error in older.values():
            if error is not None and all(older.values()):
                raise error
    except RatsTlsError as error:
        return RefusedEndorsement(item, error)
    current = tuple(key for key in keys if older[key] is None)
    return VerifiedEndorsement(item=item, keys=current, use=use, anchor=found.anchor)


def _only_key(item: Endorsement) -> MissingEndorsement:
    keys = keys_of(item)
    if len(keys) != 1:
        raise CertificateChainError(f"{item.kind.value}: its issuer is {len(keys)} of Intel's CAs, expected one")
    return keys[0]


def _certificates(ders: Sequence[bytes]) -> tuple[Certificate, ...]:
    return tuple(Certificate.from_der(der, "IssuerChain") for der in ders[:_ENTRIES])


def _serials(crl: RevocationList) -> tuple[tuple[bytes, int], ...]:
    return tuple((crl.issuer.der, serial) for serial in crl.revoked)
