"""Fields of a certificate that may carry Evidence."""

from __future__ import annotations

from rats_tls.certificates.attested import AttestedCertificate
from rats_tls.certificates.registry import read_attested_certificate
from rats_tls.core.errors import RatsTlsError
from rats_tls.inspection.certificates import certificate_nodes, nodes_of_certificate
from rats_tls.inspection.endorsements import endorsement_node
from rats_tls.inspection.event_log import event_log_group
from rats_tls.inspection.evidence import evidence_nodes, evidence_title
from rats_tls.inspection.tree import Node, group, octets


def attested_nodes(der: bytes) -> tuple[Node, ...]:
    """Give the fields of a certificate and of what it carries; what cannot be read is said in its place.

    Raises:
        DecodeError: not a certificate.
    """
    try:
        found = read_attested_certificate(der)
    except RatsTlsError as error:
        # A certificate whose Evidence is malformed or of a format that is not read still has fields to show.
        return (*certificate_nodes(der), Node(name="evidence", meaning=error.message))
    nodes = nodes_of_certificate(found.certificate)
    if found.evidence is None:
        return (*nodes, Node(name="evidence", meaning="none in this certificate"))
    return (*nodes, group("evidence", _carried(found), meaning=found.format))


def _carried(found: AttestedCertificate) -> list[Node]:
    nodes: list[Node] = []
    if found.evidence is not None:
        title = evidence_title(found.evidence)
        try:
            read = evidence_nodes(found.evidence)
            nodes.append(group(title, read, size=len(found.evidence.data)))
        except RatsTlsError as error:
            nodes.append(octets(title, found.evidence.data, meaning=error.message))
        if found.evidence.event_log:
            nodes.append(event_log_group(found.evidence.event_log))
    nodes.append(octets("claims_buffer", found.claims_buffer))
    if found.pubkey_hash is not None:
        algorithm, digest = found.pubkey_hash
        nodes.append(octets("pubkey_hash", digest, meaning=algorithm.value))
    if found.nonce is not None:
        nodes.append(octets("nonce", found.nonce))
    if found.issued_at is not None:
        nodes.append(Node(name="issued_at", value=found.issued_at, meaning="the attester's own claim"))
    nodes += [octets(f"claim {name}", value, meaning=_text(value)) for name, value in found.custom_claims.items()]
    nodes += [endorsement_node(item) for item in found.endorsements]
    if any(found.trailing_bytes):
        meaning = "bytes behind extension, claims and pubkey-hash"
        nodes.append(Node(name="trailing_bytes", value=found.trailing_bytes, meaning=meaning))
    return nodes


def _text(value: bytes) -> str:
    """Give a custom claim as text where it is some."""
    text = value.rstrip(b"\0").decode("utf-8", "replace")
    return repr(text) if text and "\ufffd" not in text else ""
