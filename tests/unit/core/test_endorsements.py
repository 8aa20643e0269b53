"""Endorsements as values: digests that hold all a verdict depends on, and the pool they make up."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rats_tls.core.anchors import AnchorKind, TrustAnchor, Vendor, anchors_digest
from rats_tls.core.endorsements import Endorsement, EndorsementKind, Endorsements, Origin

TCB_INFO = Endorsement(
    kind=EndorsementKind.INTEL_TCB_INFO, data=b"document", signature=b"signature", issuer_chain=(b"one", b"two")
)
CRL = Endorsement(kind=EndorsementKind.INTEL_PCK_CRL, data=b"list", issuer_chain=(b"one",))
ANCHOR = TrustAnchor(
    vendor=Vendor.INTEL, subject=b"subject", spki=b"key", kind=AnchorKind.VENDOR, name="root", source="here"
)


@pytest.mark.parametrize(
    "change",
    [
        {"kind": EndorsementKind.INTEL_QE_IDENTITY},
        {"data": b"documenu"},
        {"signature": b"signaturf"},
        {"issuer_chain": (b"one",)},
        {"issuer_chain": (b"two", b"one")},
        {"issuer_chain": (b"onet", b"wo")},
        {"data": b"documents", "signature": b"ignature"},
        {"signature": b"signatureone", "issuer_chain": (b"", b"two")},
        {"origin": Origin.PEER},
    ],
    ids=str,
)
def test_a_digest_holds_every_field(change: dict[str, object]) -> None:
    assert replace(TCB_INFO, **change).digest != TCB_INFO.digest
    assert len(TCB_INFO.digest) == 32


def test_the_pool_has_no_order() -> None:
    assert Endorsements((TCB_INFO, CRL)).digest == Endorsements((CRL, TCB_INFO)).digest
    assert Endorsements((TCB_INFO,)).digest != Endorsements((TCB_INFO, CRL)).digest
    assert Endorsements().digest != Endorsements((CRL,)).digest


def test_each_item_is_there_once() -> None:
    pool = Endorsements((TCB_INFO,)).with_items([TCB_INFO, CRL, CRL])
    assert tuple(pool) == (TCB_INFO, CRL)
    assert len(pool) == 2
    assert pool.digest == Endorsements((CRL, TCB_INFO)).digest


def test_a_peers_copy_comes_behind_a_local_one() -> None:
    theirs = replace(TCB_INFO, origin=Origin.PEER, data=b"theirs")
    pool = Endorsements((theirs, CRL, TCB_INFO))
    assert pool.of_kind(EndorsementKind.INTEL_TCB_INFO) == (TCB_INFO, theirs)
    assert pool.of_kind(EndorsementKind.AMD_CRL) == ()


@given(st.lists(st.binary(max_size=4), max_size=6), st.randoms())
def test_the_digest_of_a_pool_follows_its_items_alone(documents: list[bytes], order: object) -> None:
    items = [replace(CRL, data=data) for data in documents]
    shuffled = list(items)
    order.shuffle(shuffled)
    assert Endorsements().with_items(items).digest == Endorsements().with_items(shuffled).digest


@pytest.mark.parametrize(
    "change",
    [
        {"vendor": Vendor.AMD},
        {"subject": b"subjecu"},
        {"spki": b"kez"},
        {"subject": b"subjectk", "spki": b"ey"},
        {"kind": AnchorKind.SIMULATED},
        {"name": "ARK-Other"},
    ],
    ids=str,
)
def test_a_digest_of_anchors_holds_what_a_verdict_depends_on(change: dict[str, object]) -> None:
    other = replace(ANCHOR, **change)
    assert other.fingerprint != ANCHOR.fingerprint
    assert anchors_digest((other,)) != anchors_digest((ANCHOR,))
    assert anchors_digest((ANCHOR, other)) == anchors_digest((other, ANCHOR)) != anchors_digest((ANCHOR,))
