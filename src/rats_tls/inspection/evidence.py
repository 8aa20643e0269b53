"""Fields of quotes and reports."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

from rats_tls.core.errors import DecodeError, RatsTlsError, UnsupportedError
from rats_tls.core.evidence import NAMES_BY_MEDIA_TYPE, Evidence, TeeType
from rats_tls.formats.amd.report import AttestationReport
from rats_tls.formats.amd.tcb import decode_tcb_version, tcb_text
from rats_tls.formats.hygon.evidence import CsvEvidence
from rats_tls.formats.intel.local_report import LocalReport
from rats_tls.formats.intel.quote import (
    ECDSA_P256,
    PCK_CHAIN,
    PCK_LEAF,
    TEE_SGX,
    TEE_TDX,
    CertificationData,
    Quote,
    QuoteSignatureData,
)
from rats_tls.formats.intel.report import SgxReportBody, TdReportBody
from rats_tls.inspection.certificates import certificate_nodes
from rats_tls.inspection.hygon import csv_nodes
from rats_tls.inspection.sev import sev_evidence_nodes
from rats_tls.inspection.tree import Node, group, octets
from rats_tls.inspection.words import word

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

_MEANINGS: dict[str, dict[int, str]] = {
    "attestation_key_type": {ECDSA_P256: "ECDSA P-256 with SHA-256"},
    "tee_type": {TEE_SGX: "SGX", TEE_TDX: "TDX"},
    "signature_algorithm": {1: "ECDSA P-384 with SHA-384"},
    "certification_type": {
        1: "PPID in plain",
        2: "PPID encrypted, RSA-2048",
        3: "PPID encrypted, RSA-3072",
        PCK_LEAF: "PCK certificate",
        PCK_CHAIN: "PCK certificate chain",
    },
}
_HEXADECIMAL = frozenset({"tee_type"})
_TCB_VALUES = frozenset({"current_tcb", "reported_tcb", "committed_tcb", "launch_tcb"})
_VERSIONS = frozenset({"current_version", "committed_version"})


def evidence_nodes(evidence: Evidence) -> tuple[Node, ...]:
    """Give the fields of Evidence.

    Raises:
        DecodeError: malformed.
        UnsupportedError: of a type or version that nothing here reads.
    """
    names = NAMES_BY_MEDIA_TYPE.get(evidence.media_type)
    tee_type = names.tee_type if names is not None else None
    if tee_type in {TeeType.SGX_ECDSA, TeeType.TDX_ECDSA}:
        return _quote(Quote.from_bytes(evidence.data))
    if tee_type is TeeType.SGX_LA:
        return _local_report(LocalReport.from_bytes(evidence.data))
    if tee_type is TeeType.SEV_SNP:
        return _report(AttestationReport.from_bytes(evidence.data))
    if tee_type is TeeType.SEV:
        return sev_evidence_nodes(evidence.data)
    if tee_type is TeeType.CSV:
        return csv_nodes(CsvEvidence.from_bytes(evidence.data))
    raise UnsupportedError(f"Evidence of type {evidence.media_type}: its fields are not read")


def evidence_title(evidence: Evidence) -> str:
    """Say what Evidence is, for people."""
    names = NAMES_BY_MEDIA_TYPE.get(evidence.media_type)
    return f"Evidence of {names.title}" if names is not None else f"Evidence {evidence.media_type}"


def _quote(quote: Quote) -> tuple[Node, ...]:
    body = quote.body
    title = "enclave report" if isinstance(body, SgxReportBody) else f"TD report {body.version}"
    return (
        group("header", _dataclass_nodes(quote.header), size=48),
        group("body", _dataclass_nodes(body), meaning=title, size=len(body.to_bytes())),
        group("signature_data", _signature_data(quote.signature_data)),
        Node(name="trailing", value=quote.trailing, meaning="bytes behind the quote, which nothing covers"),
    )


def _local_report(report: LocalReport) -> tuple[Node, ...]:
    return (
        group("body", _dataclass_nodes(report.body), meaning="enclave report", size=len(report.body.to_bytes())),
        octets("key_id", report.key_id),
        octets("mac", report.mac, meaning="over the body; only the enclave that the report was made for can check it"),
    )


def _signature_data(data: QuoteSignatureData) -> tuple[Node, ...]:
    try:
        qe_report = group(
            "qe_report", _dataclass_nodes(SgxReportBody.from_bytes(data.qe_report)), size=len(data.qe_report)
        )
    except DecodeError as error:
        qe_report = octets("qe_report", data.qe_report, meaning=error.message)
    return (
        octets("signature", data.signature, meaning="over header and body"),
        octets("attestation_key", data.attestation_key),
        qe_report,
        octets("qe_report_signature", data.qe_report_signature),
        octets("qe_auth_data", data.qe_auth_data),
        group("certification", _certification(data.certification), size=len(data.certification.data)),
    )


def _certification(data: CertificationData) -> tuple[Node, ...]:
    kind = Node(name="type", value=data.type, meaning=_MEANINGS["certification_type"].get(data.type, ""))
    try:
        platform = data.platform()
        if platform is not None:
            return (kind, *_dataclass_nodes(platform))
        certificates = data.certificates()
        return (kind, *(group(f"certificate {n + 1}", certificate_nodes(der)) for n, der in enumerate(certificates)))
    except RatsTlsError as error:
        return (kind, octets("data", data.data, meaning=error.message))


def _report(report: AttestationReport) -> tuple[Node, ...]:
    nodes: list[Node] = []
    for field in fields(report):
        value = getattr(report, field.name)
        if field.name == "signed":
            continue
        if field.name in _TCB_VALUES:
            nodes.append(octets(field.name, value, meaning=_tcb_meaning(report, field.name, value)))
        elif field.name == "cpuid" and value is not None:
            family, model, stepping = value
            product = report.product or "a product that is not known here"
            meaning = f"family {family:#x}, model {model:#x}, stepping {stepping}: {product}"
            nodes.append(Node(name=field.name, value=value, meaning=meaning))
        elif field.name in {"r", "s"}:
            nodes.append(octets(f"signature_{field.name}", value.to_bytes(48, "big")))
        elif field.name == "trailing":
            meaning = "bytes behind the report, which nothing covers"
            nodes.append(Node(name=field.name, value=value, meaning=meaning))
        else:
            nodes.append(_field_node(field.name, value))
    return tuple(nodes)


def _tcb_meaning(report: AttestationReport, name: str, value: bytes) -> str:
    if report.product is None:
        return "its layout depends on the product, which the report does not name"
    try:
        return tcb_text(decode_tcb_version(value, report.product, name))
    except DecodeError as error:
        return error.message


def _dataclass_nodes(structure: DataclassInstance) -> tuple[Node, ...]:
    nodes = []
    for field in fields(structure):
        value = getattr(structure, field.name)
        if value is None and isinstance(structure, TdReportBody):
            continue  # body 1.0 has no such field
        nodes.append(_field_node(field.name, value))
    return tuple(nodes)


def _field_node(name: str, value: object) -> Node:
    if isinstance(value, bytes):
        meaning = ""
        if name in {"tee_tcb_svn", "tee_tcb_svn2"}:
            meaning = f"TDX module SVN {value[0]}, major version {value[1]}"
        return octets(name, value, meaning=meaning)
    if name in _VERSIONS and isinstance(value, tuple):
        return Node(name=name, value=".".join(map(str, value)))
    if isinstance(value, int) and not isinstance(value, bool):
        bits = word(name, value)
        if bits is not None:
            return bits
        shown = f"{value:#x}" if name in _HEXADECIMAL else value
        return Node(name=name, value=shown, meaning=_MEANINGS.get(name, {}).get(value, ""))
    if value is None:
        return Node(name=name, meaning="absent in this version")
    return Node(name=name, value=value if isinstance(value, bool | str) else str(value))
