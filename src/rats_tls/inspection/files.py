"""Tells what a file is by what is in it, and gives its fields."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

from rats_tls.core.anchors import Vendor
from rats_tls.core.documents import Json
from rats_tls.core.endorsements import Endorsement, EndorsementKind
from rats_tls.core.errors import DecodeError, RatsTlsError, UnsupportedError
from rats_tls.endorsements.bundle import Bundle, bundle_from_bytes, is_bundle
from rats_tls.endorsements.files import endorsements_from_file
from rats_tls.files import VENDOR_FORM_LABELS, anchor_of_vendor_form, evidence_from_json, read_file, require_binary
from rats_tls.formats.amd.pem import CERTIFICATE, CRL, PemBlock, is_pem, split_pem
from rats_tls.formats.amd.sev_certificate import is_sev_certificate
from rats_tls.formats.amd.sev_signer import is_signer_file, split_signers
from rats_tls.formats.detect import detect_evidence
from rats_tls.formats.event_log.reading import is_event_log
from rats_tls.formats.json_document import JsonObject, split_response
from rats_tls.formats.x509 import RevocationList
from rats_tls.inspection.attested import attested_nodes
from rats_tls.inspection.certificates import fingerprint_node, revocation_list_nodes
from rats_tls.inspection.endorsements import endorsement_node
from rats_tls.inspection.event_log import event_log_group, event_log_nodes, event_log_title
from rats_tls.inspection.evidence import evidence_nodes, evidence_title
from rats_tls.inspection.hygon import certificate_nodes as hygon_certificate_nodes
from rats_tls.inspection.hygon import root_certificate_nodes
from rats_tls.inspection.sev import sev_certificate_nodes, sev_signer_nodes
from rats_tls.inspection.tree import Inspection, Node, group, octets
from rats_tls.policy import Policy

_SEQUENCE = b"\x30"
_POLICY_MEMBERS = frozenset({"version", "mode", "entry"})
_RESPONSES = {
    "tcbInfo": EndorsementKind.INTEL_TCB_INFO,
    "enclaveIdentity": EndorsementKind.INTEL_QE_IDENTITY,
}
"""Members of the responses of Intel's service, each a document with its signature."""


def inspect_file(path: Path) -> Inspection:
    """Give the fields of what a file holds.

    Evidence, an event log, a certificate, PEM with certificates and revocation lists, a revocation list, Endorsements
    (a bundle, a JSON bundle, a response of Intel's service, AMD's certificate table, AMD's files before SEV-SNP),
    certificates of Hygon, a policy.

    Raises:
        DecodeError: malformed, or empty.
        UnsupportedError: nothing that is known here.
        ConfigurationError: a policy that is none, or a file that cannot be read.
    """
    data = read_file(path)
    if not data:
        raise DecodeError(str(path), "", None, "the file is empty")
    if is_bundle(data):
        bundle = bundle_from_bytes(data, where=str(path))
        return Inspection(kind="bundle of Endorsements", size=len(data), fields=_bundle(bundle))
    if _is_policy(data):
        return Inspection(kind="policy", size=len(data), fields=_policy(data, str(path)))
    try:
        kind, fields = _read(data)
    except DecodeError as error:
        raise DecodeError(str(path), "", None, error.message) from error
    except UnsupportedError as error:
        raise UnsupportedError(f"{path}: {error.message}") from error
    return Inspection(kind=kind, size=len(data), fields=fields)


def _read(data: bytes) -> tuple[str, tuple[Node, ...]]:
    if is_event_log(data):
        return event_log_title(data), event_log_nodes(data)
    if data.lstrip()[:1] == b"{":
        return _json(data)
    require_binary(data)
    of_hygon = hygon_certificate_nodes(data)
    if of_hygon is not None:
        return of_hygon
    if data[:1] == _SEQUENCE:
        return _der(data)
    # Quotes hold a PEM chain too, behind binary.
    if is_pem(data) and data.partition(b"-----BEGIN ")[0].isascii():
        return _pem(data)
    if is_signer_file(data):
        signers = (group("signer", sev_signer_nodes(each.data), size=len(each.data)) for each in split_signers(data))
        return "AMD SEV signers", tuple(signers)
    if is_sev_certificate(data):
        return "AMD SEV certificate", sev_certificate_nodes(data)
    return _evidence(data)


def _json(data: bytes) -> tuple[str, tuple[Node, ...]]:
    evidence = evidence_from_json(data)
    if evidence is None:
        return "Endorsements (JSON)", tuple(endorsement_node(item) for item in _from_json(data))
    if not evidence.event_log:
        return f"{evidence_title(evidence)} (JSON)", evidence_nodes(evidence)
    nodes = (*evidence_nodes(evidence), event_log_group(evidence.event_log))
    return f"{evidence_title(evidence)} with its event log (JSON)", nodes


def _pem(data: bytes) -> tuple[str, tuple[Node, ...]]:
    blocks = split_pem(data, "Pem", labels=(CERTIFICATE, CRL, *VENDOR_FORM_LABELS))
    if len(blocks) == 1 and blocks[0].label in {CERTIFICATE, CRL}:
        return _der(blocks[0].der)
    return "PEM chain", tuple(_block(number + 1, block) for number, block in enumerate(blocks))


def _evidence(data: bytes) -> tuple[str, tuple[Node, ...]]:
    try:
        evidence = detect_evidence(data)
    except UnsupportedError as unknown:
        # A certificate table has no mark of its own: what can be read as one is one.
        try:
            items = endorsements_from_file(data, where="certificate table")
        except RatsTlsError:
            raise unknown from None
        return "Endorsements (certificate table)", tuple(endorsement_node(item) for item in items)
    return evidence_title(evidence), evidence_nodes(evidence)


def _bundle(bundle: Bundle) -> tuple[Node, ...]:
    return (
        Node(name="made", value=bundle.made),
        Node(name="channel", value=bundle.channel),
        *(endorsement_node(item.endorsement) for item in bundle.items),
    )


def _from_json(data: bytes) -> tuple[Endorsement, ...]:
    document = JsonObject.from_bytes(data, "Endorsements")
    for member, kind in _RESPONSES.items():
        if member in document:
            inner, signature = split_response(data, member, "Endorsements")
            return (Endorsement(kind=kind, data=inner, signature=signature),)
    return endorsements_from_file(data, where="Endorsements")


def _is_list(der: bytes) -> bool:
    try:
        RevocationList.from_der(der)
    except DecodeError:
        return False
    return True


def _der(der: bytes) -> tuple[str, tuple[Node, ...]]:
    if _is_list(der):
        return "revocation list", revocation_list_nodes(der)
    return "certificate", attested_nodes(der)


def _block(number: int, block: PemBlock) -> Node:
    if block.label not in {CERTIFICATE, CRL}:
        return _root(number, block)
    name = f"certificate {number}" if block.label == CERTIFICATE else f"revocation list {number}"
    try:
        _, fields = _der(block.der)
    except RatsTlsError as error:
        return octets(name, block.der, meaning=error.message)
    return group(name, fields, size=len(block.der))


def _root(number: int, block: PemBlock) -> Node:
    """Show a root in a form of its vendor's."""
    name = f"root {number}"
    try:
        anchor = anchor_of_vendor_form(block.label, block.der)
        of_hygon = anchor.vendor is Vendor.HYGON
        fields = root_certificate_nodes(block.der) if of_hygon else sev_signer_nodes(block.der)
    except RatsTlsError as error:
        return octets(name, block.der, meaning=error.message)
    return group(name, (*fields, fingerprint_node(anchor)), size=len(block.der))


def _is_policy(data: bytes) -> bool:
    """Whether it is TOML with a policy's keys; whether the policy is good is another question."""
    try:
        document = tomllib.loads(data.decode())
    except (ValueError, RecursionError):
        return False
    return bool(_POLICY_MEMBERS & document.keys())


def _policy(data: bytes, where: str) -> tuple[Node, ...]:
    policy = Policy.from_toml(data, where=where)
    document = json.loads(policy.canonical())
    entries = (
        group(f"entry {number + 1}", [Node(name=name, value=_plain(entry[name])) for name in _named_first(entry)])
        for number, entry in enumerate(document["entry"])
    )
    return (
        Node(name="version", value=document["version"]),
        Node(name="mode", value=document["mode"]),
        octets("digest", policy.digest, meaning="SHA-256 of the canonical form"),
        *entries,
    )


def _plain(value: Json) -> str | int | bool:
    return value if isinstance(value, str | int) else json.dumps(value, ensure_ascii=False)


def _named_first(entry: dict[str, Json]) -> list[str]:
    return ["name", "tee", *(name for name in entry if name not in {"name", "tee"})]
