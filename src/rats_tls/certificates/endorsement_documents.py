"""Endorsements in the forms in which one peer provides them to another, beside its certificate.

Intel: the JSON bundle `QuoteCollateralV3`. AMD: the certificate table of the GHCB specification, with the revocation
list under its GUID; ASKs before SEV-SNP in AMD's own form, one behind the other. Hygon: HSK ‖ CEK of one chip (2916
bytes). Nothing here is verified.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from enum import Enum

from rats_tls.core.endorsements import Endorsement, EndorsementKind, Origin
from rats_tls.core.errors import ConfigurationError
from rats_tls.core.limits import Limits
from rats_tls.formats.amd.certificate_table import endorsements_from_table, endorsements_to_table
from rats_tls.formats.amd.sev_bundle import endorsements_from_signers
from rats_tls.formats.hygon.hsk_cek import endorsement_from_hsk_cek, endorsement_to_hsk_cek
from rats_tls.formats.intel.collateral import endorsements_from_json, endorsements_to_json


class DocumentKind(str, Enum):
    """Forms in which Endorsements are provided."""

    INTEL_JSON = "intel-json"
    AMD_TABLE = "amd-certificate-table"
    AMD_SEV = "amd-sev-signers"
    HYGON_HSK_CEK = "hygon-hsk-cek"


_DOCUMENT_OF: dict[EndorsementKind, DocumentKind] = {
    EndorsementKind.INTEL_PCK_CHAIN: DocumentKind.INTEL_JSON,
    EndorsementKind.INTEL_ROOT_CRL: DocumentKind.INTEL_JSON,
    EndorsementKind.INTEL_PCK_CRL: DocumentKind.INTEL_JSON,
    EndorsementKind.INTEL_TCB_INFO: DocumentKind.INTEL_JSON,
    EndorsementKind.INTEL_QE_IDENTITY: DocumentKind.INTEL_JSON,
    EndorsementKind.AMD_VEK: DocumentKind.AMD_TABLE,
    EndorsementKind.AMD_SIGNER: DocumentKind.AMD_TABLE,
    EndorsementKind.AMD_ROOT: DocumentKind.AMD_TABLE,
    EndorsementKind.AMD_CRL: DocumentKind.AMD_TABLE,
    EndorsementKind.AMD_SEV_SIGNER: DocumentKind.AMD_SEV,
    EndorsementKind.HYGON_CEK_CHAIN: DocumentKind.HYGON_HSK_CEK,
}


def endorsements_to_documents(items: Iterable[Endorsement]) -> dict[DocumentKind, bytes]:
    """Write `items`, each vendor's into one document; in the order of `DocumentKind`.

    Raises:
        ConfigurationError: two Intel items of one kind, certificates of two Hygon chips, or more AMD items than a table
            is read with.
        DecodeError: a document that is not UTF-8, or a VEK that is not a certificate.
    """
    items = tuple(items)
    wanted = {_DOCUMENT_OF[item.kind] for item in items}
    documents: dict[DocumentKind, bytes] = {}
    if DocumentKind.INTEL_JSON in wanted:
        documents[DocumentKind.INTEL_JSON] = endorsements_to_json(items)
    if DocumentKind.AMD_TABLE in wanted:
        documents[DocumentKind.AMD_TABLE] = endorsements_to_table(items)
    if DocumentKind.AMD_SEV in wanted:
        signers = (item.data for item in items if item.kind is EndorsementKind.AMD_SEV_SIGNER)
        documents[DocumentKind.AMD_SEV] = b"".join(signers)
    if DocumentKind.HYGON_HSK_CEK in wanted:
        documents[DocumentKind.HYGON_HSK_CEK] = _only_hsk_cek(items)
    return documents


def endorsements_from_document(kind: DocumentKind, data: bytes, limits: Limits) -> tuple[Endorsement, ...]:
    """Read a peer's document.

    Raises:
        DecodeError: not of that form, or beyond `limits`.
    """
    if kind is DocumentKind.INTEL_JSON:
        return endorsements_from_json(data, origin=Origin.PEER, limits=limits)
    if kind is DocumentKind.AMD_SEV:
        return endorsements_from_signers(data, origin=Origin.PEER, limits=limits)
    if kind is DocumentKind.HYGON_HSK_CEK:
        return (replace(endorsement_from_hsk_cek(data), origin=Origin.PEER),)
    return endorsements_from_table(data, origin=Origin.PEER, limits=limits)


def _only_hsk_cek(items: Iterable[Endorsement]) -> bytes:
    chains = [item for item in items if item.kind is EndorsementKind.HYGON_CEK_CHAIN]
    if len(chains) != 1:
        raise ConfigurationError(f"Endorsements of Hygon: got {len(chains)} CEK chains, one is provided")
    return endorsement_to_hsk_cek(chains[0])
