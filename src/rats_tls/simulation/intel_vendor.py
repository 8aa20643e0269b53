"""The simulated Intel: root and intermediate authorities, PCK certificates, revocation lists, TCB info, identities."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from rats_tls.core.anchors import AnchorKind, TrustAnchor, Vendor
from rats_tls.core.endorsements import Endorsement, EndorsementKind, Endorsements
from rats_tls.simulation import pki
from rats_tls.simulation.intel_documents import Tee, qe_identity, tcb_evaluation_data_numbers, tcb_info
from rats_tls.simulation.intel_pck import SGX_EXTENSION_OID
from rats_tls.simulation.vendor_state import INTEL_HEALTHY, IntelVendorState, SignedItem
from rats_tls.verifiers.bounded_cache import BoundedCache
from rats_tls.verifiers.chain import SIMULATED_ORGANIZATION

CA_VALIDITY = pki.Validity(
    start=datetime(2018, 5, 21, 10, 45, 10, tzinfo=UTC), end=datetime(2049, 12, 31, 23, 59, 59, tzinfo=UTC)
)
Authority = Literal["processor", "platform"]
_REMEMBERED = 64
_ROOT_CRL_URL = "https://simulated.invalid/IntelSGXRootCA.der"
_PCK_CRL_URL = "https://simulated.invalid/sgx/certification/v4/pckcrl?ca={ca}&encoding=der"


@dataclass(frozen=True, slots=True, kw_only=True)
class PckSubject:
    """What a PCK certificate is issued for.

    Attributes:
        public_key: the PCK key.
        authority: which intermediate authority issues it.
        fmspc: FMSPC (6 bytes), as in the extension.
        pce_id: PCE id (2 bytes), as in the extension.
        extension: extnValue of the SGX extension.
    """

    public_key: ec.EllipticCurvePublicKey
    authority: Authority
    fmspc: bytes
    pce_id: bytes
    extension: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class IntelKeys:
    """The simulated Intel's private keys, all P-256."""

    root: ec.EllipticCurvePrivateKey
    processor: ec.EllipticCurvePrivateKey
    platform: ec.EllipticCurvePrivateKey
    tcb_signing: ec.EllipticCurvePrivateKey

    @classmethod
    def generate(cls) -> IntelKeys:
        """Make new keys."""
        root, processor, platform, tcb_signing = (ec.generate_private_key(ec.SECP256R1()) for _ in range(4))
        return cls(root=root, processor=processor, platform=platform, tcb_signing=tcb_signing)


def _name(common_name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, SIMULATED_ORGANIZATION),
            x509.NameAttribute(NameOID.LOCALITY_NAME, "Santa Clara"),
            x509.NameAttribute(NameOID.STATE_OR_PROVINCE_NAME, "CA"),
            x509.NameAttribute(NameOID.COUNTRY_NAME, "US"),
        ]
    )


_ROOT = _name("Simulated Intel SGX Root CA")
_PCK = _name("Simulated Intel SGX PCK Certificate")
_TCB_SIGNING = _name("Simulated Intel SGX TCB Signing")
_INTERMEDIATE = {
    "processor": _name("Simulated Intel SGX PCK Processor CA"),
    "platform": _name("Simulated Intel SGX PCK Platform CA"),
}
_CA_USAGE = frozenset({"key_cert_sign", "crl_sign"})
_LEAF_USAGE = frozenset({"digital_signature", "content_commitment"})


class SimulatedIntelVendor:
    """The simulated Intel. Everything it issues is made from its keys on demand; time is an argument.

    Args:
        keys: its private keys; new ones when left out.
    """

    def __init__(self, keys: IntelKeys | None = None) -> None:
        self.keys = keys or IntelKeys.generate()
        self._signatures = BoundedCache(_REMEMBERED)
        self._root = pki.Authority(_ROOT, self.keys.root)
        self._intermediates = {
            "processor": pki.Authority(_INTERMEDIATE["processor"], self.keys.processor),
            "platform": pki.Authority(_INTERMEDIATE["platform"], self.keys.platform),
        }
        self.root_certificate = self._root.issue(
            _ROOT,
            self.keys.root.public_key(),
            pki.CertificateProfile(
                validity=CA_VALIDITY, ca=True, path_length=1, usage=_CA_USAGE, crl_url=_ROOT_CRL_URL
            ),
        )

    @property
    def trust_anchor(self) -> TrustAnchor:
        """The anchor to give explicitly to whoever shall accept this vendor's Evidence."""
        return TrustAnchor(
            vendor=Vendor.INTEL,
            subject=_ROOT.public_bytes(),
            spki=pki.spki_of(self.keys.root),
            kind=AnchorKind.SIMULATED,
            name="Simulated Intel SGX Root CA",
            source="rats_tls.simulation",
        )

    def pck_chain(
        self, subject: PckSubject, now: datetime, state: IntelVendorState = INTEL_HEALTHY
    ) -> tuple[bytes, ...]:
        """Issue a PCK certificate. Returns leaf, intermediate and root as DER."""
        leaf = self._intermediates[subject.authority].issue(
            _PCK,
            subject.public_key,
            pki.CertificateProfile(
                validity=state.validity(SignedItem.INTEL_PCK, now, CA_VALIDITY),
                ca=False,
                usage=_LEAF_USAGE,
                crl_url=_PCK_CRL_URL.format(ca=subject.authority),
                extensions=((SGX_EXTENSION_OID, subject.extension),),
            ),
        )
        return (
            state.signed(SignedItem.INTEL_PCK, leaf),
            self._intermediate(subject.authority, now, state),
            self.root_certificate,
        )

    def endorsements(
        self, tee: Tee, subject: PckSubject, now: datetime, state: IntelVendorState = INTEL_HEALTHY
    ) -> Endorsements:
        """Issue all documents that judge Evidence of the platform with `subject`, but for the PCK chain."""
        items = (
            self.root_crl(now, state),
            self.pck_crl(subject.authority, (subject,), now, state),
            self.tcb_info(tee, subject.fmspc, subject.pce_id, now, state),
            self.qe_identity(tee, now, state),
        )
        return Endorsements(tuple(item for item in items if item.kind not in state.missing))

    def root_crl(self, now: datetime, state: IntelVendorState = INTEL_HEALTHY) -> Endorsement:
        """Issue the root's revocation list."""
        serials = []
        if SignedItem.INTEL_INTERMEDIATE in state.revoked:
            serials += [pki.serial_of(ca.name, ca.key.public_key()) for ca in self._intermediates.values()]
        if SignedItem.INTEL_TCB_SIGNING in state.revoked:
            serials.append(pki.serial_of(_TCB_SIGNING, self.keys.tcb_signing.public_key()))
        validity = state.document_validity(SignedItem.INTEL_ROOT_CRL, now)
        crl = state.signed(SignedItem.INTEL_ROOT_CRL, self._root.revoke(serials, state.crl_number, validity))
        return Endorsement(kind=EndorsementKind.INTEL_ROOT_CRL, data=crl, issuer_chain=(self.root_certificate,))

    def pck_crl(
        self,
        authority: Authority,
        subjects: Iterable[PckSubject],
        now: datetime,
        state: IntelVendorState = INTEL_HEALTHY,
    ) -> Endorsement:
        """Issue the revocation list of an intermediate authority.

        Args:
            authority: whose list.
            subjects: those whose PCK certificates it names if `state` says that they are revoked.
            now: time of issue.
            state: what is published.
        """
        serials = []
        if SignedItem.INTEL_PCK in state.revoked:
            serials = [pki.serial_of(_PCK, subject.public_key) for subject in subjects]
        validity = state.document_validity(SignedItem.INTEL_PCK_CRL, now)
        crl = self._intermediates[authority].revoke(serials, state.crl_number, validity)
        return Endorsement(
            kind=EndorsementKind.INTEL_PCK_CRL,
            data=state.signed(SignedItem.INTEL_PCK_CRL, crl),
            issuer_chain=(self._intermediate(authority, now, state), self.root_certificate),
        )

    def tcb_info(
        self, tee: Tee, fmspc: bytes, pce_id: bytes, now: datetime, state: IntelVendorState = INTEL_HEALTHY
    ) -> Endorsement:
        """Issue the TCB info of platforms with `fmspc` (6 bytes) and `pce_id` (2 bytes)."""
        data = tcb_info(tee, fmspc, pce_id, now, state)
        return self._document(EndorsementKind.INTEL_TCB_INFO, SignedItem.INTEL_TCB_INFO, data, now, state)

    def qe_identity(self, tee: Tee, now: datetime, state: IntelVendorState = INTEL_HEALTHY) -> Endorsement:
        """Issue the identity of the QE or TD_QE."""
        data = qe_identity(tee, now, state)
        return self._document(EndorsementKind.INTEL_QE_IDENTITY, SignedItem.INTEL_QE_IDENTITY, data, now, state)

    def tcb_evaluation_data_numbers(
        self, tee: Tee, numbers: Iterable[int], now: datetime, state: IntelVendorState = INTEL_HEALTHY
    ) -> tuple[bytes, bytes, tuple[bytes, ...]]:
        """Issue the list of TCB evaluation data numbers. Returns its bytes, the raw signature and the issuer chain."""
        data = tcb_evaluation_data_numbers(tee, numbers, now, state)
        return data, self._sign(data), (self._tcb_signing(now, state), self.root_certificate)

    def _document(
        self, kind: EndorsementKind, item: SignedItem, data: bytes, now: datetime, state: IntelVendorState
    ) -> Endorsement:
        return Endorsement(
            kind=kind,
            data=data,
            signature=state.signed(item, self._sign(data)),
            issuer_chain=(self._tcb_signing(now, state), self.root_certificate),
        )

    def _sign(self, data: bytes) -> bytes:
        return self._signatures.get(data, lambda: pki.sign_raw(self.keys.tcb_signing, data))

    def _intermediate(self, name: Authority, now: datetime, state: IntelVendorState) -> bytes:
        authority = self._intermediates[name]
        certificate = self._root.issue(
            authority.name,
            authority.key.public_key(),
            pki.CertificateProfile(
                validity=state.validity(SignedItem.INTEL_INTERMEDIATE, now, CA_VALIDITY),
                ca=True,
                path_length=0,
                usage=_CA_USAGE,
                crl_url=_ROOT_CRL_URL,
            ),
        )
        return state.signed(SignedItem.INTEL_INTERMEDIATE, certificate)

    def _tcb_signing(self, now: datetime, state: IntelVendorState) -> bytes:
        certificate = self._root.issue(
            _TCB_SIGNING,
            self.keys.tcb_signing.public_key(),
            pki.CertificateProfile(
                validity=state.validity(SignedItem.INTEL_TCB_SIGNING, now, CA_VALIDITY),
                ca=False,
                usage=_LEAF_USAGE,
                crl_url=_ROOT_CRL_URL,
            ),
        )
        return state.signed(SignedItem.INTEL_TCB_SIGNING, certificate)
