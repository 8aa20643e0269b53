"""Chains of Intel's PKI: PCK certificates, signers of TCB info and identities, revocation lists.

Nothing here looks at a clock: outcomes are remembered, dates are compared by the callers each time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rats_tls.core.algorithms import KeyAlgorithm, SignatureAlgorithm
from rats_tls.core.anchors import TrustAnchor, Vendor
from rats_tls.core.errors import CertificateChainError, RatsTlsError, SignatureError
from rats_tls.core.interfaces import PublicKey
from rats_tls.formats.intel.pck import PckChain
from rats_tls.formats.x509 import Certificate, RevocationList
from rats_tls.verifiers.chain import match_anchor, verify_issued_by
from rats_tls.verifiers.known_keys import KeyLoader

# Phrases in common names (Intel QVL 4.1.2.4.4 and its certificate constants).
_ROOT_NAME = "SGX Root CA"
_PCK_NAME = "SGX PCK Certificate"
_TCB_SIGNING_NAME = "SGX TCB Signing"
_CA_NAMES = {"Platform CA": "platform", "Processor CA": "processor"}

_UNDERSTOOD_CRITICAL = frozenset({"2.5.29.15", "2.5.29.19"})  # keyUsage, basicConstraints


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedPck:
    """A PCK chain that leads to a trust anchor; its dates are not compared.

    Attributes:
        chain: the chain.
        intermediate: Platform or Processor CA.
        root: root certificate as it came with the chain.
        anchor: the anchor that the root is.
        ca: "platform" or "processor", as Intel's services name the two.
        key: the PCK.
    """

    chain: PckChain
    intermediate: Certificate
    root: Certificate
    anchor: TrustAnchor
    ca: str
    key: PublicKey

    @property
    def certificates(self) -> tuple[tuple[str, Certificate], ...]:
        """Role and certificate, leaf first."""
        return (
            ("PCK certificate", self.chain.leaf),
            ("PCK CA certificate", self.intermediate),
            ("root certificate", self.root),
        )


def load_p256(spki: bytes, keys: KeyLoader, role: str) -> PublicKey:
    """Load a P-256 key out of a certificate. Raises CertificateChainError: another key, or none."""
    try:
        key = keys.load_public_key(spki)
    except RatsTlsError as error:
        raise CertificateChainError(f"{role} key: {error.message}") from error
    if key.algorithm is not KeyAlgorithm.EC_P256:
        raise CertificateChainError(f"{role} key: got {key.algorithm.value}, expected {KeyAlgorithm.EC_P256.value}")
    return key


def verify_pck_chain(chain: PckChain, anchors: Sequence[TrustAnchor], keys: KeyLoader) -> VerifiedPck:
    """Verify that a PCK chain is root, CA and leaf in Intel's form and leads to an anchor (QVL 4.1.2.4.1 to .4).

    Raises:
        CertificateChainError: it does not.
    """
    if len(chain.issuers) != 2:
        raise CertificateChainError(f"PCK chain: got {len(chain.issuers) + 1} certificates, expected 3")
    intermediate, root = chain.issuers
    _require_name(chain.leaf, _PCK_NAME, "PCK certificate")
    _require_name(root, _ROOT_NAME, "root certificate")
    ca = _ca_of(intermediate)
    if chain.leaf.is_ca:
        raise CertificateChainError("PCK certificate: basicConstraints has the CA flag")
    _require_links(((chain.leaf, intermediate, "PCK certificate"), (intermediate, root, "PCK CA certificate")), keys)
    if root.path_length is not None and root.path_length < 1:
        raise CertificateChainError(f"root certificate path length: got {root.path_length}, expected at least 1")
    return VerifiedPck(
        chain=chain,
        intermediate=intermediate,
        root=root,
        anchor=_match_root(root, anchors, keys),
        ca=ca,
        key=load_p256(chain.leaf.spki, keys, "PCK certificate"),
    )


def verify_ca_chain(
    certificates: Sequence[Certificate], anchor: TrustAnchor, keys: KeyLoader
) -> tuple[Certificate, Certificate, str]:
    """Verify the chain of a PCK CA without a PCK: Platform or Processor CA, then root.

    Returns:
        The CA's certificate, the root's, and "platform" or "processor".

    Raises:
        CertificateChainError: not that form, or it does not lead to `anchor`.
    """
    if len(certificates) != 2:
        raise CertificateChainError(f"PCK CA chain: got {len(certificates)} certificates, expected 2")
    intermediate, root = certificates
    _require_name(root, _ROOT_NAME, "root certificate")
    ca = _ca_of(intermediate)
    _require_links(((intermediate, root, "PCK CA certificate"),), keys)
    _match_root(root, (anchor,), keys)
    return intermediate, root, ca


def _ca_of(intermediate: Certificate) -> str:
    name = intermediate.subject.common_name
    ca = next((ca for phrase, ca in _CA_NAMES.items() if phrase in name), None)
    if ca is None:
        raise CertificateChainError(
            f"PCK CA certificate common name: got {name!r}, expected one with {' or '.join(_CA_NAMES)}"
        )
    return ca


def verify_tcb_signer(certificates: Sequence[Certificate], anchor: TrustAnchor, keys: KeyLoader) -> PublicKey:
    """Verify the chain of a TCB info's or identity's signer: TCB signing certificate, then root (QVL 4.1.2.2.2).

    Args:
        certificates: the issuer chain.
        anchor: the anchor to which the PCK chain led.
        keys: loads keys.

    Returns:
        The signing certificate's key.

    Raises:
        CertificateChainError: not that form, or it does not lead to `anchor`.
    """
    if len(certificates) != 2:
        raise CertificateChainError(f"TCB signing chain: got {len(certificates)} certificates, expected 2")
    signer, root = certificates
    _require_name(signer, _TCB_SIGNING_NAME, "TCB signing certificate")
    _require_name(root, _ROOT_NAME, "root certificate")
    if signer.is_ca:
        raise CertificateChainError("TCB signing certificate: basicConstraints has the CA flag")
    _require_links(((signer, root, "TCB signing certificate"),), keys)
    _match_root(root, (anchor,), keys)
    return load_p256(signer.spki, keys, "TCB signing certificate")


def verify_revocation_list(crl: RevocationList, issuer: Certificate, keys: KeyLoader) -> None:
    """Verify that `issuer` issued a list that has the extensions Intel's lists have (QVL 4.1.2.3, 4.1.2.4.6).

    Raises:
        CertificateChainError: it did not; crlNumber or authorityKeyIdentifier is missing; an unknown critical
            extension.
    """
    role = f"revocation list of {issuer.subject.common_name}"
    _require_list(crl, role)
    _require_links(((crl, issuer, role),), keys)


def verify_list_of_anchor(crl: RevocationList, anchor: TrustAnchor, keys: KeyLoader) -> None:
    """Verify that the root itself issued a list, where no certificate of it is at hand; rules as for any list.

    Raises:
        CertificateChainError: as `verify_revocation_list`.
    """
    role = f"revocation list of {anchor.name}"
    _require_list(crl, role)
    if crl.signature_algorithm is not SignatureAlgorithm.ECDSA_SHA256:
        raise CertificateChainError(f"{role} signature algorithm: expected ECDSA with SHA-256")
    try:
        load_p256(anchor.spki, keys, role).verify(SignatureAlgorithm.ECDSA_SHA256, crl.signature, crl.tbs)
    except SignatureError as error:
        raise CertificateChainError(f"{role} signature by {anchor.name}: {error.message}") from error


def _require_list(crl: RevocationList, role: str) -> None:
    if crl.number is None:
        raise CertificateChainError(f"{role}: crlNumber is missing")
    if not crl.authority_key_id:
        raise CertificateChainError(f"{role}: authorityKeyIdentifier is missing")
    if crl.unknown_critical:
        raise CertificateChainError(f"{role}: unknown critical extension {crl.unknown_critical[0]}")


def _require_name(certificate: Certificate, phrase: str, role: str) -> None:
    name = certificate.subject.common_name
    if phrase not in name:
        raise CertificateChainError(f"{role} common name: got {name!r}, expected one with {phrase!r}")


def _require_links(links: Sequence[tuple[Certificate | RevocationList, Certificate, str]], keys: KeyLoader) -> None:
    for child, issuer, role in links:
        if child.signature_algorithm is not SignatureAlgorithm.ECDSA_SHA256:
            got = child.signature_algorithm.value if child.signature_algorithm else "an unknown one"
            raise CertificateChainError(f"{role} signature algorithm: got {got}, expected ECDSA with SHA-256")
        if isinstance(child, Certificate):
            for oid, extension in child.extensions.items():
                if extension.critical and oid not in _UNDERSTOOD_CRITICAL:
                    raise CertificateChainError(f"{role}: unknown critical extension {oid}")
        load_p256(issuer.spki, keys, f"issuer of {role}")
        verify_issued_by(child, issuer, keys, child_role=role)


def _match_root(root: Certificate, anchors: Sequence[TrustAnchor], keys: KeyLoader) -> TrustAnchor:
    if root.signature_algorithm is not SignatureAlgorithm.ECDSA_SHA256:
        raise CertificateChainError("root certificate signature algorithm: expected ECDSA with SHA-256")
    return match_anchor(root, anchors, Vendor.INTEL, keys)
