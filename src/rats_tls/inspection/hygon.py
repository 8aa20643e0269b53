"""Fields of Hygon's reports and certificates."""

from __future__ import annotations

from collections.abc import Mapping

from rats_tls.formats.hygon.certificates import (
    CERTIFICATE_SIZE,
    KEY_USAGES,
    ROOT_CERTIFICATE_SIZE,
    CertificateSignature,
    KeyCertificate,
    RootCertificate,
    is_key_form,
    is_root_form,
)
from rats_tls.formats.hygon.evidence import CsvEvidence
from rats_tls.formats.hygon.report import AttestationReport
from rats_tls.formats.hygon.sm2 import ALGORITHM_SM2, CURVE_SM2, EccPublicKey
from rats_tls.inspection.tree import Node, group, octets
from rats_tls.inspection.words import flags

_ALGORITHMS = {ALGORITHM_SM2: "SM2 with SM3", 5: "SM2 key exchange"}
_CURVES = {CURVE_SM2: "SM2"}
# Hygon CSV attestation, guest policy; what stands above bit 7 are versions.
_POLICY = {
    0: "NODBG",
    1: "NOKS",
    2: "ES",
    3: "NOSEND",
    4: "DOMAIN",
    5: "CSV",
    6: "CSV3",
    7: "ASID_REUSE",
}


def csv_nodes(evidence: CsvEvidence) -> tuple[Node, ...]:
    """Give the fields of Evidence."""
    size = len(evidence.report.data)
    report = group("report", _report(evidence.report), meaning=f"version {evidence.report.version}", size=size)
    order = Node(name="order", value=evidence.order.value)
    if not evidence.hsk_cek:
        return order, report
    return order, report, *hsk_cek_nodes(evidence.hsk_cek)


def hsk_cek_nodes(data: bytes) -> tuple[Node, ...]:
    """Give the fields of HSK ‖ CEK. Raises DecodeError."""
    hsk, cek = data[:ROOT_CERTIFICATE_SIZE], data[ROOT_CERTIFICATE_SIZE:]
    return (
        group("hsk", root_certificate_nodes(hsk), size=len(hsk)),
        group("cek", key_certificate_nodes(cek), size=len(cek)),
    )


def certificate_nodes(data: bytes) -> tuple[str, tuple[Node, ...]] | None:
    """Give what a file with certificates of Hygon's is, and its fields; None of anything else.

    Raises:
        DecodeError: malformed.
    """
    if is_root_form(data):
        usage = KEY_USAGES.get(RootCertificate.from_bytes(data).usage, "unknown key")
        return f"certificate of Hygon ({usage})", root_certificate_nodes(data)
    if is_key_form(data):
        usage = KEY_USAGES.get(KeyCertificate.from_bytes(data).usage, "unknown key")
        return f"certificate of Hygon ({usage})", key_certificate_nodes(data)
    if len(data) == ROOT_CERTIFICATE_SIZE + CERTIFICATE_SIZE and is_root_form(data[:ROOT_CERTIFICATE_SIZE]):
        return "certificates of Hygon (HSK, CEK)", hsk_cek_nodes(data)
    return None


def root_certificate_nodes(data: bytes) -> tuple[Node, ...]:
    """Give the fields of an HRK or HSK certificate. Raises DecodeError."""
    certificate = RootCertificate.from_bytes(data)
    return (
        Node(name="version", value=certificate.version),
        octets("key_id", certificate.key_id),
        octets("certifying_id", certificate.certifying_id),
        _named("key_usage", certificate.usage, KEY_USAGES),
        *_key(certificate.key),
        *_signature_integers("signature", certificate.r, certificate.s),
    )


def key_certificate_nodes(data: bytes) -> tuple[Node, ...]:
    """Give the fields of a CEK or PEK certificate. Raises DecodeError."""
    return _key_certificate(KeyCertificate.from_bytes(data))


def _key_certificate(certificate: KeyCertificate) -> tuple[Node, ...]:
    signer = "key id of the HSK that signed" if any(certificate.signer_id) else "none"
    return (
        Node(name="version", value=certificate.version),
        Node(name="api_version", value=".".join(map(str, certificate.api_version))),
        _named("pubkey_usage", certificate.usage, KEY_USAGES),
        _named("pubkey_algo", certificate.algorithm, _ALGORITHMS),
        *_key(certificate.key),
        octets("signer_id", certificate.signer_id, meaning=signer),
        *(node for index, item in enumerate(certificate.signatures, 1) for node in _signature(f"sig{index}", item)),
    )


def _report(report: AttestationReport) -> tuple[Node, ...]:
    later = report.version > 1
    mask = "mask of all words of this version" if not later else "no mask in this version"
    nodes = [
        octets("user_pubkey_digest", report.user_pubkey_digest),
        octets("vm_id", report.vm_id),
        octets("vm_version", report.vm_version),
        octets("user_data", report.user_data),
        octets("mnonce", report.mnonce),
        octets("measure", report.measure),
        Node(name="policy", value=f"{report.policy:#x}", meaning=policy_words(report.policy)),
        _named("sig_usage", report.sig_usage, KEY_USAGES),
        _named("sig_algo", report.sig_algo, _ALGORITHMS),
        octets("anonce", report.anonce, meaning=mask),
        _absent_or("build", report.build),
        _absent_or("rtmr_version", report.rtmr_version),
        *(octets(f"rtmr{index}", register) for index, register in enumerate(report.rtmrs or ())),
        octets("host_data", report.host_data, meaning="" if report.host_data is not None else "absent in this version"),
        *_signature_integers("sig", report.r, report.s),
        group("pek_cert", _key_certificate(report.pek), size=CERTIFICATE_SIZE),
        octets("chip_id", report.chip_id, meaning=_serial(report.chip_id)),
        octets("reserved1", report.reserved1),
        octets("hmac", report.hmac, meaning="of PEK and chip_id, for the guest that asked"),
    ]
    return tuple(nodes)


def policy_words(policy: int) -> str:
    """Say what a guest policy's bits mean."""
    versions = f"HSK version {policy >> 8 & 0xF}, CEK version {policy >> 12 & 0xF}"
    return f"{flags(policy & 0xFF, _POLICY)}; {versions}, API {policy >> 16 & 0xFF}.{policy >> 24 & 0xFF}"


def _serial(chip_id: bytes) -> str:
    text = chip_id.rstrip(b"\0").decode("ascii", "replace")
    return f"serial number {text}" if text.isprintable() and "\ufffd" not in text else "no serial number"


def _absent_or(name: str, value: int | None) -> Node:
    return Node(name=name, meaning="absent in this version") if value is None else Node(name=name, value=value)


def _named(name: str, value: int, names: Mapping[int, str]) -> Node:
    return Node(name=name, value=f"{value:#x}", meaning=names.get(value, "unknown"))


def _key(key: EccPublicKey) -> tuple[Node, ...]:
    return (
        _named("curve", key.curve, _CURVES),
        octets("public_key", key.point, meaning="x and y, big-endian"),
        octets("user_id", key.user_id, meaning=key.user_id.decode("ascii", "backslashreplace")),
    )


def _signature(name: str, signature: CertificateSignature) -> tuple[Node, ...]:
    return (
        _named(f"{name}_usage", signature.usage, KEY_USAGES),
        _named(f"{name}_algo", signature.algorithm, _ALGORITHMS),
        *_signature_integers(name, signature.r, signature.s),
    )


def _signature_integers(name: str, r: int, s: int) -> tuple[Node, Node]:
    return octets(f"{name}_r", r.to_bytes(32, "big")), octets(f"{name}_s", s.to_bytes(32, "big"))
