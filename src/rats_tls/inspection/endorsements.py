"""Fields of Endorsements: vendors' documents, certificates and revocation lists."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING

from rats_tls.core.endorsements import Endorsement, EndorsementKind
from rats_tls.core.errors import RatsTlsError
from rats_tls.formats.hygon.hsk_cek import endorsement_to_hsk_cek
from rats_tls.formats.intel.qe_identity import QeIdentity
from rats_tls.formats.intel.tcb_info import TcbInfo
from rats_tls.inspection.certificates import certificate_nodes, revocation_list_nodes
from rats_tls.inspection.hygon import hsk_cek_nodes
from rats_tls.inspection.sev import sev_signer_nodes
from rats_tls.inspection.tree import Node, group, octets
from rats_tls.inspection.words import word

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

_LISTS = frozenset({EndorsementKind.INTEL_ROOT_CRL, EndorsementKind.INTEL_PCK_CRL, EndorsementKind.AMD_CRL})
_WORDS_OF_128_BITS = frozenset({"attributes", "attributes_mask", "miscselect_mask"})


def endorsement_node(item: Endorsement) -> Node:
    """Give one Endorsement with its fields, or with why they cannot be read."""
    try:
        read = [*_fields(item)]
    except RatsTlsError as error:
        read = [octets("data", item.data, meaning=error.message)]
    if item.kind is EndorsementKind.HYGON_CEK_CHAIN:
        return group(item.kind.value, read, size=len(item.data))
    if item.signature:
        read.append(octets("signature", item.signature))
    for number, der in enumerate(item.issuer_chain):
        try:
            read.append(group(f"issuer {number + 1}", certificate_nodes(der), size=len(der)))
        except RatsTlsError as error:
            read.append(octets(f"issuer {number + 1}", der, meaning=error.message))
    return group(item.kind.value, read, size=len(item.data))


def _fields(item: Endorsement) -> tuple[Node, ...]:
    if item.kind is EndorsementKind.INTEL_TCB_INFO:
        return _document(TcbInfo.from_json(item.data))
    if item.kind is EndorsementKind.INTEL_QE_IDENTITY:
        return _document(QeIdentity.from_json(item.data))
    if item.kind is EndorsementKind.AMD_SEV_SIGNER:
        return sev_signer_nodes(item.data)
    if item.kind is EndorsementKind.HYGON_CEK_CHAIN:
        return hsk_cek_nodes(endorsement_to_hsk_cek(item))
    if item.kind in _LISTS:
        return revocation_list_nodes(item.data)
    return certificate_nodes(item.data)


def _document(structure: DataclassInstance) -> tuple[Node, ...]:
    nodes: list[Node] = []
    for field in fields(structure):
        value = getattr(structure, field.name)
        if is_dataclass(value) and not isinstance(value, type):
            nodes.append(group(field.name, _document(value)))
        elif isinstance(value, tuple) and value and is_dataclass(value[0]):
            nodes.extend(group(f"{field.name} {n + 1}", _document(each)) for n, each in enumerate(value))
        elif isinstance(value, bytes):
            nodes.append(octets(field.name, value))
        elif field.name in _WORDS_OF_128_BITS:
            # Flags and XFRM in one word: what a mask leaves out has no meaning of its own.
            nodes.append(Node(name=field.name, value=f"{value:#x}"))
        elif isinstance(value, int):
            nodes.append(word(field.name, value) or Node(name=field.name, value=value))
        elif value is None or value == ():
            nodes.append(Node(name=field.name, meaning="none"))
        else:
            nodes.append(Node(name=field.name, value=value))
    return tuple(nodes)
