"""Every byte that a signature or hash covers, changed in real evidence and Endorsements, is refused."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from rats_tls.core.endorsements import Endorsement, EndorsementKind
from rats_tls.core.errors import RatsTlsError
from support.intel import PHALA_SGX, PHALA_TDX, IntelVector, IntelVerifier, load, verifier_of, verify

VECTORS = pytest.mark.parametrize("vector_id", [PHALA_SGX, PHALA_TDX])
MASK = 0x01

NOT_COVERED = {
    PHALA_SGX: (),
    PHALA_TDX: (("bytes behind the signature data: padding of the vendor's buffer", 70),),
}
"""What nothing covers, at the end of the quote, by its number of bytes; the result reports it as not covered."""


def flips(data: bytes) -> Iterator[tuple[int, bytes]]:
    changed = bytearray(data)
    for offset in range(len(data)):
        changed[offset] ^= MASK
        yield offset, bytes(changed)
        changed[offset] ^= MASK


def accepted(verifier: IntelVerifier, vector: IntelVector) -> bool:
    try:
        return not verify(vector, verifier=verifier).problems
    except RatsTlsError:
        return False


def survivors(vector: IntelVector, data: bytes, change: Callable[[bytes], IntelVector]) -> list[int]:
    """Give the offsets in `data` whose change is accepted; unchanged data must be."""
    verifier = verifier_of(vector)
    assert accepted(verifier, change(data))
    return [offset for offset, changed in flips(data) if accepted(verifier, change(changed))]


def pem(ders: list[bytes]) -> bytes:
    blocks = []
    for der in ders:
        text = base64.b64encode(der).decode()
        lines = "\n".join(text[start : start + 64] for start in range(0, len(text), 64))
        blocks.append(f"-----BEGIN CERTIFICATE-----\n{lines}\n-----END CERTIFICATE-----\n")
    return "".join(blocks).encode()


def parts_of(vector: IntelVector) -> tuple[bytes, bytes, bytes, tuple[bytes, ...]]:
    """Give the quote before, in and behind its PEM chain, and the certificates in there."""
    structure = verifier_of(vector).decode(vector.evidence).structure
    certification = structure.quote.signature_data.certification
    before, chain, behind = vector.evidence.data.partition(certification.data)
    return before, chain, behind, certification.certificates()


@VECTORS
def test_quote(vector_id: str) -> None:
    vector = load(vector_id)
    before, chain, behind, _ = parts_of(vector)
    assert not survivors(vector, before, lambda changed: vector.with_data(changed + chain + behind))
    uncovered = sum(size for _, size in NOT_COVERED[vector_id])
    assert len(behind) == uncovered
    assert verifier_of(vector).decode(vector.evidence).not_covered == uncovered
    found = survivors(vector, behind, lambda changed: vector.with_data(before + chain + changed)) if behind else []
    assert len(found) == uncovered


@VECTORS
@pytest.mark.parametrize("index", [0, 1, 2], ids=["leaf", "intermediate", "root"])
def test_pck_chain(vector_id: str, index: int) -> None:
    vector = load(vector_id)
    before, chain, behind, ders = parts_of(vector)
    assert pem(list(ders)).rstrip(b"\n") == chain.rstrip(b"\n\0")
    tail = chain[len(pem(list(ders)).rstrip(b"\n")) :]

    def change(changed: bytes) -> IntelVector:
        certificates = [*ders[:index], changed, *ders[index + 1 :]]
        return vector.with_data(before + pem(certificates).rstrip(b"\n") + tail + behind)

    assert not survivors(vector, ders[index], change)


def replaced(vector: IntelVector, old: Endorsement, new: Endorsement) -> IntelVector:
    return vector.with_items(new if item is old else item for item in vector.endorsements)


@VECTORS
@pytest.mark.parametrize(
    "kind",
    [
        EndorsementKind.INTEL_TCB_INFO,
        EndorsementKind.INTEL_QE_IDENTITY,
        EndorsementKind.INTEL_ROOT_CRL,
        EndorsementKind.INTEL_PCK_CRL,
    ],
)
def test_endorsement(vector_id: str, kind: EndorsementKind) -> None:
    vector = load(vector_id)
    item = vector.item(kind)
    assert not survivors(vector, item.data, lambda data: replaced(vector, item, replace(item, data=data)))
    if item.signature:
        assert not survivors(
            vector, item.signature, lambda signature: replaced(vector, item, replace(item, signature=signature))
        )


@VECTORS
@pytest.mark.parametrize("kind", [EndorsementKind.INTEL_TCB_INFO, EndorsementKind.INTEL_QE_IDENTITY])
@pytest.mark.parametrize("index", [0, 1], ids=["signer", "root"])
def test_issuer_chain(vector_id: str, kind: EndorsementKind, index: int) -> None:
    vector = load(vector_id)
    item = vector.item(kind)
    chain = item.issuer_chain

    def change(changed: bytes) -> IntelVector:
        return replaced(vector, item, replace(item, issuer_chain=(*chain[:index], changed, *chain[index + 1 :])))

    assert not survivors(vector, chain[index], change)


@VECTORS
def test_issuer_chain_of_the_pck_list_is_not_used(vector_id: str) -> None:
    """The list is verified with the CA out of the PCK chain; the chain beside it can say anything."""
    vector = load(vector_id)
    item = vector.item(EndorsementKind.INTEL_PCK_CRL)
    assert item.issuer_chain
    assert not verify(replaced(vector, item, replace(item, issuer_chain=(b"anything",)))).problems


@VECTORS
def test_every_truncation(vector_id: str) -> None:
    vector = load(vector_id)
    size = len(vector.evidence.data) - sum(size for _, size in NOT_COVERED[vector_id])
    verifier = verifier_of(vector)
    for end in range(size):
        with pytest.raises(RatsTlsError):
            verifier.decode(vector.with_data(vector.evidence.data[:end]).evidence)
    assert accepted(verifier, vector.with_data(vector.evidence.data[:size]))


@VECTORS
def test_every_truncation_of_endorsements(vector_id: str) -> None:
    vector = load(vector_id)
    verifier = verifier_of(vector)
    for item in vector.endorsements:
        step = 1 if len(item.data) < 1000 else 13
        for end in range(0, len(item.data), step):
            assert not accepted(verifier, replaced(vector, item, replace(item, data=item.data[:end])))
