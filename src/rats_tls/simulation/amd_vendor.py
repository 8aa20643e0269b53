"""The simulated AMD for one product: root (ARK), signers (ASK, ASVK), VEK certificates and the revocation list."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from rats_tls.core.anchors import AnchorKind, TrustAnchor, Vendor
from rats_tls.core.claims import SnpTcb
from rats_tls.core.endorsements import Endorsement, EndorsementKind, Endorsements
from rats_tls.simulation import der, pki
from rats_tls.simulation.states import Product
from rats_tls.simulation.vendor_state import AMD_HEALTHY, AmdVendorState, SignedItem
from rats_tls.verifiers.chain import SIMULATED_ORGANIZATION

CA_VALIDITY = pki.Validity(
    start=datetime(2020, 10, 22, 17, 23, 5, tzinfo=UTC), end=datetime(2049, 12, 31, 23, 59, 59, tzinfo=UTC)
)
KeyType = Literal["VCEK", "VLEK"]
AmdKeyName = Literal["ark", "ask", "asvk"]
_SIGNERS: dict[KeyType, AmdKeyName] = {"VCEK": "ask", "VLEK": "asvk"}
_OID = "1.3.6.1.4.1.3704.1"
_CRL_URL = "https://simulated.invalid/vcek/v1/{product}/crl"
_RSA_BITS = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class VekSubject:
    """What a VEK certificate is issued for.

    Attributes:
        key_type: VCEK (a chip's) or VLEK (a cloud provider's).
        public_key: P-384.
        tcb: the TCB that the key stands for.
        hwid: extnValue of hwID; VCEK only.
        csp_id: CSP_ID; VLEK only.
    """

    key_type: KeyType
    public_key: ec.EllipticCurvePublicKey
    tcb: SnpTcb
    hwid: bytes = b""
    csp_id: str = ""


def generate_rsa_key(_name: AmdKeyName) -> rsa.RSAPrivateKey:
    """Make an RSA-4096 key; takes a part of a second, rarely a few."""
    return rsa.generate_private_key(65537, _RSA_BITS)


class SimulatedAmdVendor:
    """The simulated AMD for one product. Its RSA keys are made on first use; time is an argument.

    Args:
        product: "Milan", "Genoa" or "Turin".
        key_for: gives the key named "ark", "ask" or "asvk"; called at most once each. New keys when left out.
    """

    def __init__(self, product: Product, key_for: Callable[[AmdKeyName], rsa.RSAPrivateKey] = generate_rsa_key) -> None:
        self.product: Product = product
        self._key_for = key_for
        self._authorities: dict[AmdKeyName, pki.Authority] = {}
        self._lock = threading.Lock()
        self._names: dict[AmdKeyName, x509.Name] = {
            "ark": _name(f"ARK-{product}"),
            "ask": _name(f"SEV-{product}"),
            "asvk": _name(f"SEV-VLEK-{product}"),
        }
        ark = self._authority("ark")
        self.root_certificate = ark.issue(
            ark.name,
            ark.key.public_key(),
            pki.CertificateProfile(
                validity=CA_VALIDITY,
                ca=True,
                usage=frozenset({"key_cert_sign", "crl_sign"}),
                crl_url=_CRL_URL.format(product=product),
            ),
        )

    def _authority(self, name: AmdKeyName) -> pki.Authority:
        with self._lock:
            if name not in self._authorities:
                self._authorities[name] = pki.Authority(self._names[name], self._key_for(name))
            return self._authorities[name]

    @property
    def trust_anchor(self) -> TrustAnchor:
        """The anchor to give explicitly to whoever shall accept this vendor's Evidence."""
        return TrustAnchor(
            vendor=Vendor.AMD,
            subject=self._names["ark"].public_bytes(),
            spki=pki.spki_of(self._authority("ark").key),
            kind=AnchorKind.SIMULATED,
            name=f"ARK-{self.product}",
            source="rats_tls.simulation",
        )

    def endorsements(self, subject: VekSubject, now: datetime, state: AmdVendorState = AMD_HEALTHY) -> Endorsements:
        """Issue VEK, signer and root certificates and the revocation list that judge a report."""
        items = (
            Endorsement(kind=EndorsementKind.AMD_VEK, data=self.vek(subject, now, state)),
            Endorsement(kind=EndorsementKind.AMD_SIGNER, data=self.signer(subject.key_type, now, state)),
            Endorsement(kind=EndorsementKind.AMD_ROOT, data=self.root_certificate),
            Endorsement(kind=EndorsementKind.AMD_CRL, data=self.crl(subject.key_type, now, state)),
        )
        return Endorsements(tuple(item for item in items if item.kind not in state.missing))

    def signer(self, key_type: KeyType, now: datetime, state: AmdVendorState = AMD_HEALTHY) -> bytes:
        """Issue the certificate of the ASK (for VCEKs) or ASVK (for VLEKs). Returns DER."""
        signer = self._authority(_SIGNERS[key_type])
        certificate = self._authority("ark").issue(
            signer.name,
            signer.key.public_key(),
            pki.CertificateProfile(
                validity=state.validity(SignedItem.AMD_SIGNER, now, CA_VALIDITY),
                ca=True,
                path_length=0,
                usage=frozenset({"key_cert_sign"}),
                crl_url=_CRL_URL.format(product=self.product),
            ),
        )
        return state.signed(SignedItem.AMD_SIGNER, certificate)

    def crl(self, key_type: KeyType, now: datetime, state: AmdVendorState = AMD_HEALTHY) -> bytes:
        """Issue the root's revocation list, which may name the signer of VEKs of `key_type`. Returns DER."""
        serials = []
        if SignedItem.AMD_SIGNER in state.revoked:
            signer = self._authority(_SIGNERS[key_type])
            serials.append(pki.serial_of(signer.name, signer.key.public_key()))
        validity = state.document_validity(SignedItem.AMD_CRL, now)
        crl = self._authority("ark").revoke(serials, state.crl_number, validity)
        return state.signed(SignedItem.AMD_CRL, crl)

    def vek(self, subject: VekSubject, now: datetime, state: AmdVendorState = AMD_HEALTHY) -> bytes:
        """Issue a VEK certificate. Returns DER."""
        certificate = self._authority(_SIGNERS[subject.key_type]).issue(
            _name(f"SEV-{subject.key_type}"),
            subject.public_key,
            pki.CertificateProfile(
                validity=state.validity(SignedItem.AMD_VEK, now, CA_VALIDITY),
                extensions=self._vek_extensions(subject),
                key_identifiers=False,
            ),
        )
        return state.signed(SignedItem.AMD_VEK, certificate)

    def _vek_extensions(self, subject: VekSubject) -> tuple[tuple[str, bytes], ...]:
        """Encode AMD's extensions (AMD VCEK certificate and KDS interface specification, table of OIDs)."""
        tcb = subject.tcb
        spls = {"3.1": tcb.bootloader, "3.2": tcb.tee, "3.3": tcb.snp, "3.4": 0, "3.5": 0, "3.6": 0, "3.7": 0}
        spls["3.8"] = tcb.microcode
        turin = tcb.fmc is not None
        if tcb.fmc is not None:
            spls = {"3.9": tcb.fmc, **spls}
            del spls["3.4"]  # as in Turin's own certificates
        product_name = self.product if turin else f"{self.product}-B0"
        identity = (
            (f"{_OID}.4", subject.hwid) if subject.key_type == "VCEK" else (f"{_OID}.5", der.ia5_string(subject.csp_id))
        )
        return (
            (f"{_OID}.1", der.integer(1 if turin else 0)),
            (f"{_OID}.2", der.ia5_string(product_name)),
            *((f"{_OID}.{suffix}", der.integer(spl)) for suffix, spl in spls.items()),
            identity,
        )


def _name(common_name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "Engineering"),
            x509.NameAttribute(NameOID.COUNTRY_NAME, "US"),
            x509.NameAttribute(NameOID.LOCALITY_NAME, "Santa Clara"),
            x509.NameAttribute(NameOID.STATE_OR_PROVINCE_NAME, "CA"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, SIMULATED_ORGANIZATION),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )
