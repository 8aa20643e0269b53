"""Fields of certificates and revocation lists, vendors' extensions included."""

from __future__ import annotations

import hashlib
from dataclasses import fields

from rats_tls import registry
from rats_tls.certificates.registry import read_certificate
from rats_tls.core.anchors import TrustAnchor
from rats_tls.core.claims import IntelPlatform
from rats_tls.core.errors import RatsTlsError
from rats_tls.files import anchor_of_root
from rats_tls.formats.amd.tcb import tcb_text
from rats_tls.formats.amd.vek import VCEK_NAME, VLEK_NAME, VekExtensions
from rats_tls.formats.intel.pck import SGX_EXTENSION_OID, platform_from_extension
from rats_tls.formats.x509 import Certificate, Extension, RevocationList
from rats_tls.inspection.tree import Node, group, octets

_LONGEST_EXTENSION = 128
_MOST_SERIALS = 32
_EXTENSIONS = {
    "2.5.29.14": "subjectKeyIdentifier",
    "2.5.29.15": "keyUsage",
    "2.5.29.17": "subjectAltName",
    "2.5.29.19": "basicConstraints",
    "2.5.29.31": "cRLDistributionPoints",
    "2.5.29.32": "certificatePolicies",
    "2.5.29.35": "authorityKeyIdentifier",
    "2.5.29.37": "extKeyUsage",
    "2.23.133.5.4.9": "Evidence (Interoperable RA-TLS)",
    "2.23.133.5.4.2": "Endorsements (Interoperable RA-TLS)",
    "2.25.270967098088067792840985670263767220255": "event log (rats-tls)",
    SGX_EXTENSION_OID: "SGX (PCK certificate)",
    "1.3.6.1.4.1.3704.1.1": "AMD structVersion",
    "1.3.6.1.4.1.3704.1.2": "AMD productName",
    "1.3.6.1.4.1.3704.1.4": "AMD hwID",
    "1.3.6.1.4.1.3704.1.5": "AMD CSP_ID",
    **{
        f"1.3.6.1.4.1.3704.1.3.{arc}": f"AMD {name}"
        for arc, name in (
            *((1, "blSPL"), (2, "teeSPL"), (3, "snpSPL"), (4, "spl4"), (5, "spl5"), (6, "spl6"), (7, "spl7")),
            *((8, "ucodeSPL"), (9, "fmcSPL")),
        )
    },
}
_SGX_TYPES = {0: "standard", 1: "scalable", 2: "scalable with integrity"}


def certificate_nodes(der: bytes) -> tuple[Node, ...]:
    """Give the fields of a certificate. Raises DecodeError: not one."""
    return nodes_of_certificate(read_certificate(der))


def nodes_of_certificate(certificate: Certificate) -> tuple[Node, ...]:
    """Give the fields of a decoded certificate."""
    algorithm = certificate.signature_algorithm
    nodes = [
        Node(name="version", value=certificate.version),
        Node(name="serial", value=f"{certificate.serial:#x}"),
        Node(name="subject", value=certificate.subject.text),
        Node(name="issuer", value=certificate.issuer.text, meaning="the subject" if certificate.self_issued else ""),
        Node(name="not_before", value=certificate.not_before),
        Node(name="not_after", value=certificate.not_after),
        _public_key(certificate.spki),
        octets("spki_sha256", hashlib.sha256(certificate.spki).digest()),
        Node(name="is_ca", value=certificate.is_ca),
        Node(
            name="signature_algorithm",
            value=algorithm.value if algorithm is not None else None,
            meaning="" if algorithm is not None else "one that is not verified here",
        ),
        octets("signature", certificate.signature),
        octets("sha256", certificate.sha256, meaning="over all of it"),
    ]
    anchor = anchor_of_root(certificate)
    if anchor is not None:
        nodes.append(fingerprint_node(anchor))
    if certificate.path_length is not None:
        nodes.append(Node(name="path_length", value=certificate.path_length))
    nodes.append(group("extensions", (_extension(oid, found) for oid, found in certificate.extensions.items())))
    return (*nodes, *_vendor(certificate))


def fingerprint_node(anchor: TrustAnchor) -> Node:
    """Show by what a root is told where it is not known."""
    meaning = f"as a trust anchor, of kind {anchor.kind.value}"
    return Node(name="fingerprint", value=anchor.shown_fingerprint, meaning=meaning)


def _public_key(spki: bytes) -> Node:
    try:
        algorithm = registry.crypto_wrapper("openssl").load_public_key(spki).algorithm.value
    except RatsTlsError as error:
        algorithm = error.message
    return octets("spki", spki, meaning=algorithm)


def _extension(oid: str, extension: Extension) -> Node:
    meaning = ", ".join(part for part in (_EXTENSIONS.get(oid, ""), "critical" if extension.critical else "") if part)
    value = extension.value if len(extension.value) <= _LONGEST_EXTENSION else None
    return Node(name=oid, value=value, meaning=meaning, size=len(extension.value))


def _vendor(certificate: Certificate) -> tuple[Node, ...]:
    """Give what the vendors' own extensions say."""
    name = ""
    try:
        if SGX_EXTENSION_OID in certificate.extensions:
            name = "sgx_extension"
            return (group(name, _platform(platform_from_extension(certificate.extensions[SGX_EXTENSION_OID].value))),)
        if certificate.subject.common_name in {VCEK_NAME, VLEK_NAME}:
            name = "amd_extensions"
            return (group(name, _vek(VekExtensions.from_extensions(certificate.extensions))),)
    except RatsTlsError as error:
        return (Node(name=name, meaning=error.message),)
    return ()


def _platform(platform: IntelPlatform) -> tuple[Node, ...]:
    nodes = []
    for field in fields(platform):
        value = getattr(platform, field.name)
        if isinstance(value, bytes):
            nodes.append(octets(field.name, value))
        elif value is not None:
            meaning = _SGX_TYPES.get(value, "") if field.name == "sgx_type" else ""
            nodes.append(Node(name=field.name, value=value, meaning=meaning))
    return tuple(nodes)


def _vek(extensions: VekExtensions) -> tuple[Node, ...]:
    return (
        Node(name="struct_version", value=extensions.struct_version),
        Node(name="product_name", value=extensions.product_name),
        Node(name="tcb", value=tcb_text(extensions.tcb)),
        octets("hwid", extensions.hwid),
        Node(name="csp_id", value=extensions.csp_id, meaning="" if extensions.csp_id is not None else "absent"),
    )


def revocation_list_nodes(der: bytes) -> tuple[Node, ...]:
    """Give the fields of a revocation list. Raises DecodeError: not one."""
    found = RevocationList.from_der(der)
    algorithm = found.signature_algorithm
    serials = sorted(found.revoked)
    more = f"the first {_MOST_SERIALS} of {len(serials)}" if len(serials) > _MOST_SERIALS else ""
    return (
        Node(name="issuer", value=found.issuer.text),
        Node(name="this_update", value=found.this_update),
        Node(name="next_update", value=found.next_update),
        Node(name="number", value=found.number, meaning="" if found.number is not None else "absent"),
        Node(name="signature_algorithm", value=algorithm.value if algorithm is not None else None),
        octets("signature", found.signature),
        Node(name="revoked", value=len(serials), meaning="certificates"),
        *(
            [Node(name="serials", value=tuple(f"{serial:#x}" for serial in serials[:_MOST_SERIALS]), meaning=more)]
            if serials
            else []
        ),
        *([Node(name="unknown_critical", value=found.unknown_critical)] if found.unknown_critical else []),
        octets("sha256", hashlib.sha256(der).digest(), meaning="over all of it"),
    )
