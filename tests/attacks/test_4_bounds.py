"""What a peer can have done, and how often, is bounded: items, sizes, requests (4.4, 4.5). Numbers: docs/attacks.md."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import pytest

from rats_tls.certificates.endorsement_documents import endorsements_to_documents
from rats_tls.certificates.registry import read_attested_certificate
from rats_tls.core.endorsements import Endorsement, EndorsementKind, Endorsements, MissingEndorsement, Origin
from rats_tls.core.errors import CertificateChainError, DecodeError, EndorsementMissingError
from rats_tls.core.limits import Limits
from rats_tls.crypto_wrappers.openssl import OpensslPublicKey
from rats_tls.endorsements.service import EndorsementService
from rats_tls.formats.x509 import certificates_from_pem
from rats_tls.preamble.endorsements import EndorsementsMessage
from rats_tls.simulation import pki
from rats_tls.simulation.amd_report import TCB
from support.fetching import ScriptedSource, answer_to, vek
from support.judged import appraise, collected
from support.ratls_variants import GOOD, make
from support.sides import SGX, SNP, policy_for
from support.simulated import NOW, world

K = EndorsementKind


def test_4_5_evidence_in_a_certificate_is_bounded_when_it_is_read() -> None:
    evidence = read_attested_certificate(make(GOOD)).evidence
    assert evidence is not None
    size = len(evidence.data)
    assert read_attested_certificate(make(GOOD), limits=Limits(evidence=size)).evidence is not None
    with pytest.raises(DecodeError, match=f"at most {size - 1} are read"):
        read_attested_certificate(make(GOOD), limits=Limits(evidence=size - 1))


@pytest.mark.parametrize("name", [SGX, SNP])
def test_4_5_a_peers_endorsements_are_bounded_in_number(name: str) -> None:
    documents = endorsements_to_documents(collected(name)[1])
    message = EndorsementsMessage({kind.value: data for kind, data in documents.items()})
    count = len(message.items(Limits()))
    assert len(message.items(Limits(peer_endorsements=count))) == count
    with pytest.raises(DecodeError, match=f"at most {count - 1}"):
        message.items(Limits(peer_endorsements=count - 1))


@pytest.mark.parametrize("kind", [K.INTEL_TCB_INFO, K.INTEL_QE_IDENTITY])
def test_4_5_a_signers_chain_is_bounded_before_its_certificates_are_read(kind: EndorsementKind) -> None:
    evidence, endorsements = collected(SGX)
    (own,) = endorsements.of_kind(kind)
    others = [item for item in endorsements if item is not own]
    longer = replace(own, issuer_chain=(*own.issuer_chain, own.issuer_chain[0], *[b"not read"] * 1000))
    with pytest.raises(CertificateChainError, match="got 3 certificates, expected 2"):
        appraise(evidence, Endorsements((*others, longer)), policy_for(SGX))


def test_4_5_a_chain_in_a_quote_is_bounded_in_its_certificates() -> None:
    root = pki.to_pem((world().intel.root_certificate,))
    assert len(certificates_from_pem(root * 8)) == 8
    with pytest.raises(DecodeError, match="9 certificates, at most 8 are read"):
        certificates_from_pem(root * 9)


def test_4_5_of_any_number_of_veks_a_few_are_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each trial is a verification, and a peer can send the VEKs of every TCB that its chip ever had."""
    tcb = TCB["Milan"]
    evidence, endorsements = collected(SNP)
    own = [item for item in endorsements if item.kind is not K.AMD_VEK]
    veks = [
        replace(collected(SNP, vek_tcb=replace(tcb, tee=number))[1].of_kind(K.AMD_VEK)[0], origin=Origin.PEER)
        for number in range(1, 24)
    ]
    verified: list[bytes] = []
    original = OpensslPublicKey.verify_ecdsa

    def counted(self: Any, algorithm: Any, r: int, s: int, data: bytes) -> None:
        verified.append(data)
        original(self, algorithm, r, s, data)

    monkeypatch.setattr(OpensslPublicKey, "verify_ecdsa", counted)
    with pytest.raises((EndorsementMissingError, CertificateChainError)):
        appraise(evidence, Endorsements((*own, *veks)), policy_for(SNP))
    assert 0 < len(verified) <= 16


def test_4_4_what_has_come_is_not_asked_for_again_while_others_are_still_fetched() -> None:
    """Two connections of one peer: the second one comes while the first waits for the next item."""
    go, waiting = threading.Event(), threading.Event()

    def give(item: MissingEndorsement) -> Endorsement:
        if item.kind is K.AMD_VEK:
            waiting.set()
            assert go.wait(20)
        return answer_to(item)

    signer = MissingEndorsement(kind=K.AMD_SIGNER, key=(("product", "Milan"), ("name", "SEV-Milan")))
    source = ScriptedSource(give=give)
    service = EndorsementService((source,), refresh=False)
    first = threading.Thread(target=lambda: service.find([vek(), signer], anchors=(), now=NOW), daemon=True)
    first.start()
    try:
        assert waiting.wait(20)
        assert service.find([signer], anchors=(), now=NOW).items == ((signer, answer_to(signer)),)
        assert source.asked == [signer, vek()]
    finally:
        go.set()
        first.join(20)
