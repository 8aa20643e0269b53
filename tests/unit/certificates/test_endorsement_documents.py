from __future__ import annotations

from dataclasses import replace

import pytest

from rats_tls.certificates.endorsement_documents import (
    DocumentKind,
    endorsements_from_document,
    endorsements_to_documents,
)
from rats_tls.core.endorsements import Endorsement, EndorsementKind, Origin
from rats_tls.core.errors import ConfigurationError, DecodeError
from rats_tls.core.limits import DEFAULT_LIMITS
from support.channels import certificate
from support.simulated import world

CHAIN = (certificate(size=400, serial=1), certificate(size=400, serial=2))
INTEL = (
    Endorsement(
        kind=EndorsementKind.INTEL_TCB_INFO, data=b'{"id" : "SGX"}', signature=b"\x01" * 64, issuer_chain=CHAIN
    ),
    Endorsement(
        kind=EndorsementKind.INTEL_QE_IDENTITY, data=b'{"id":"QE"}', signature=b"\x02" * 64, issuer_chain=CHAIN
    ),
    Endorsement(kind=EndorsementKind.INTEL_ROOT_CRL, data=b"\x30\x01\x00"),
    Endorsement(kind=EndorsementKind.INTEL_PCK_CRL, data=b"\x30\x01\x01", issuer_chain=CHAIN),
    Endorsement(kind=EndorsementKind.INTEL_PCK_CHAIN, data=certificate(size=400, serial=3), issuer_chain=CHAIN),
)
AMD = (
    Endorsement(kind=EndorsementKind.AMD_VEK, data=certificate(size=400, serial=4)),
    Endorsement(kind=EndorsementKind.AMD_SIGNER, data=certificate(size=400, serial=5)),
    Endorsement(kind=EndorsementKind.AMD_ROOT, data=certificate(size=400, serial=6)),
    Endorsement(kind=EndorsementKind.AMD_CRL, data=b"\x30\x01\x02"),
)
SEV = world().attester("simulated_sev").endorsements.items
HYGON = (Endorsement(kind=EndorsementKind.HYGON_CEK_CHAIN, data=b"\x01" * 2084, issuer_chain=(b"\x02" * 832,)),)
DOCUMENTS = {
    DocumentKind.INTEL_JSON: INTEL,
    DocumentKind.AMD_TABLE: AMD,
    DocumentKind.AMD_SEV: SEV,
    DocumentKind.HYGON_HSK_CEK: HYGON,
}


def test_every_kind_of_endorsement_has_a_document() -> None:
    assert {item.kind for items in DOCUMENTS.values() for item in items} == set(EndorsementKind)
    assert set(DOCUMENTS) == set(DocumentKind)


def test_each_vendors_items_come_back_as_the_peers() -> None:
    documents = endorsements_to_documents((*HYGON, *SEV, *AMD, *INTEL))
    assert list(documents) == list(DocumentKind)
    for kind, items in DOCUMENTS.items():
        found = endorsements_from_document(kind, documents[kind], DEFAULT_LIMITS)
        assert set(found) == {replace(item, origin=Origin.PEER) for item in items}


def test_only_what_is_there_is_written() -> None:
    assert endorsements_to_documents(()) == {}
    assert list(endorsements_to_documents(AMD)) == [DocumentKind.AMD_TABLE]
    assert list(endorsements_to_documents(INTEL[2:3])) == [DocumentKind.INTEL_JSON]


def test_a_bundle_holds_one_of_each_intel_kind() -> None:
    with pytest.raises(ConfigurationError, match="two items"):
        endorsements_to_documents((INTEL[0], replace(INTEL[0], data=b'{"id":"TDX"}')))


def test_a_peer_is_one_chip_of_hygons() -> None:
    other = replace(HYGON[0], data=b"\x03" * 2084)
    with pytest.raises(ConfigurationError, match="got 2 CEK chains, one is provided"):
        endorsements_to_documents((*HYGON, other))


@pytest.mark.parametrize("kind", list(DocumentKind))
def test_a_malformed_document_is_an_error_of_ours(kind: DocumentKind) -> None:
    with pytest.raises(DecodeError):
        endorsements_from_document(kind, b"\xff\x00", DEFAULT_LIMITS)
