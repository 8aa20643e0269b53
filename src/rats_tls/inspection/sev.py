"""Fields of AMD's structures before SEV-SNP: Evidence, and the certificates of chips, platforms and AMD's signers."""

from __future__ import annotations

from rats_tls.formats.amd.sev_certificate import CERTIFICATE_SIZE, SevCertificate, SevSignature
from rats_tls.formats.amd.sev_keys import ALGORITHMS, USAGES, SevEcKey, SevKey
from rats_tls.formats.amd.sev_report import DEVICE_TYPES, REPORT_SIZE, SevEvidence, SevReport
from rats_tls.formats.amd.sev_signer import SevSignerCertificate, products_of_root
from rats_tls.inspection.tree import Node, group, octets
from rats_tls.inspection.words import flags

# AMD SEV API, GPOLICY; bits 16 to 31 are the API version.
_POLICY = {0: "NODBG", 1: "NOKS", 2: "ES", 3: "NOSEND", 4: "DOMAIN", 5: "SEV"}


def sev_evidence_nodes(data: bytes) -> tuple[Node, ...]:
    """Give the fields of Evidence of a SEV or SEV-ES guest.

    Raises:
        DecodeError: malformed.
        UnsupportedError: an algorithm, curve or key size that is not known.
    """
    evidence = SevEvidence.from_bytes(data)
    no_owner = "zeros: the platform shows no owner"
    hint = dict(enumerate(DEVICE_TYPES)).get(evidence.device_type)
    return (
        group("report", _report(evidence.report), size=REPORT_SIZE),
        group("cek", _certificate(evidence.cek), meaning="the chip's", size=CERTIFICATE_SIZE),
        group("pek", _certificate(evidence.pek), meaning="the platform's; it signs reports", size=CERTIFICATE_SIZE),
        Node(name="oca", meaning=no_owner, size=CERTIFICATE_SIZE)
        if evidence.oca is None
        else group("oca", _certificate(evidence.oca), meaning="the owner's: anybody's", size=CERTIFICATE_SIZE),
        Node(
            name="device_type",
            value=evidence.device_type,
            meaning=f"{hint or 'no product that is known here'}; nothing covers it",
        ),
    )


def sev_certificate_nodes(data: bytes) -> tuple[Node, ...]:
    """Give the fields of a CEK, PEK, OCA or PDH certificate. Raises DecodeError, UnsupportedError."""
    return _certificate(SevCertificate.from_bytes(data))


def sev_signer_nodes(data: bytes) -> tuple[Node, ...]:
    """Give the fields of an ASK or ARK certificate. Raises DecodeError."""
    signer = SevSignerCertificate.from_bytes(data)
    products = " or ".join(products_of_root(signer.certifying_id, signer.key.bits))
    return (
        Node(name="version", value=signer.version),
        octets("key_id", signer.key_id),
        octets("certifying_id", signer.certifying_id, meaning=f"the ARK of {products}"),
        _usage("key_usage", signer.usage),
        *_key(signer.key),
        octets("signature", signer.signature, meaning="RSASSA-PSS"),
    )


def _report(report: SevReport) -> tuple[Node, ...]:
    api = f"API {report.policy >> 16 & 0xFF}.{report.policy >> 24}"
    bits = flags(report.policy & 0xFFFF, _POLICY)
    return (
        octets("mnonce", report.mnonce, meaning="chosen by the host"),
        octets("launch_digest", report.launch_digest),
        Node(name="policy", value=f"{report.policy:#x}", meaning=f"{api}, {bits}"),
        _usage("sig_usage", report.sig_usage),
        _algorithm("sig_algo", report.sig_algo),
        octets("signature_r", report.r.to_bytes(48, "big"), meaning="over mnonce, launch_digest and policy"),
        octets("signature_s", report.s.to_bytes(48, "big")),
    )


def _certificate(certificate: SevCertificate) -> tuple[Node, ...]:
    return (
        Node(name="version", value=certificate.version),
        Node(name="api", value=f"{certificate.api_major}.{certificate.api_minor}"),
        _usage("pubkey_usage", certificate.usage),
        _algorithm("pubkey_algo", certificate.algorithm),
        *_key(certificate.key),
        *(group(f"signature {n + 1}", _signature(each)) for n, each in enumerate(certificate.signatures)),
    )


def _signature(signature: SevSignature) -> tuple[Node, ...]:
    nodes = [_usage("usage", signature.usage), _algorithm("algo", signature.algorithm)]
    if signature.rsa is not None:
        nodes.append(octets("rsa", signature.rsa.to_bytes(512, "big").lstrip(b"\0")))
    if signature.r is not None and signature.s is not None:
        nodes += [octets("r", signature.r.to_bytes(48, "big")), octets("s", signature.s.to_bytes(48, "big"))]
    return tuple(nodes)


def _key(key: SevKey) -> tuple[Node, ...]:
    if isinstance(key, SevEcKey):
        return (octets("pubkey", key.point, meaning="P-384, x and y"),)
    return (
        Node(name="pubexp", value=key.exponent),
        octets("modulus", key.modulus.to_bytes(key.bits // 8, "big"), meaning=f"RSA, {key.bits} bits"),
    )


def _usage(name: str, usage: int) -> Node:
    return Node(name=name, value=f"{usage:#x}", meaning=USAGES.get(usage, "unknown"))


def _algorithm(name: str, algorithm: int) -> Node:
    return Node(name=name, value=f"{algorithm:#x}", meaning=ALGORITHMS.get(algorithm, "unknown"))
