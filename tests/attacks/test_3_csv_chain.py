"""Links of Hygon's chain, whose keys and user ids they are by, and who may hand certificates in.

Numbers are those of docs/attacks.md.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from rats_tls.core.checks import Verdict
from rats_tls.core.endorsements import Endorsements, Origin
from rats_tls.core.errors import (
    CertificateChainError,
    EndorsementMissingError,
    RatsTlsError,
    SignatureError,
)
from rats_tls.core.evidence import Evidence, TeeType
from rats_tls.core.results import AttestationResult
from rats_tls.simulation.vendor_state import HygonVendorState, SignedItem
from rats_tls.verifiers import hygon_endorsements
from rats_tls.verifiers.vendor_roots import VENDOR_ROOTS
from support.hygon import PEK_LATER, pinned
from support.hygon_links import (
    FIRST_ALGORITHM,
    SECOND_USAGE,
    Links,
    chip,
    named,
    swapped_slots,
    vendor,
    with_pek,
    with_word,
)
from support.judged import appraise, collected
from support.sides import CSV, policy_for
from support.simulated import world


def failed(error: RatsTlsError) -> list[str]:
    return [check.id for check in error.checks if check.verdict is Verdict.FAILED]


# --- 3.33 links ------------------------------------------------------------------------------------------------------
def linked(links: Links, *, anchors: Any = None, endorsements: Endorsements | None = None) -> AttestationResult:
    """Judge a chain under the root of its vendor."""
    evidence = links.evidence()
    trusted = (vendor().trust_anchor,) if anchors is None else anchors
    at_hand = links.endorsements() if endorsements is None else endorsements
    return appraise(evidence, at_hand, pinned(evidence.data), anchors=trusted)


def test_3_33_links_in_order() -> None:
    result = linked(Links())
    assert result.anchor == vendor().trust_anchor
    assert linked(Links(change_pek=swapped_slots)).verdict == "accepted"


@pytest.mark.parametrize(
    ("state", "check", "says"),
    [
        ({"hsk_usage": 0x0}, "hygon.chain", "HSK key usage: got 0x0, expected 0x13"),
        ({"hsk_usage": 0x1004}, "hygon.chain", "HSK key usage"),
        ({"cek_usage": 0x1002}, "hygon.chain", "CEK key usage: got 0x1002, expected 0x1004"),
        ({"cek_usage": 0x13}, "hygon.chain", "CEK key usage"),
        ({"cek_signed_by": 0x0}, "hygon.chain", "CEK first signature key usage: got 0x0, expected 0x13"),
        ({"cek_signed_by": 0x1000}, "hygon.chain", "CEK first signature key usage"),
        ({"pek_usage": 0x1004}, "hygon.pek", "PEK key usage: got 0x1004, expected 0x1002"),
        ({"pek_usage": 0x1001}, "hygon.pek", "PEK key usage"),
        ({"pek_signed_by": 0x1001}, "hygon.chain", "got usages 0x1001 and 0x1000, expected 0x1004"),
        ({"pek_signed_by": 0x1000}, "hygon.chain", "expected 0x1004 (CEK) among them"),
    ],
)
def test_3_33_usages(state: dict[str, Any], check: str, says: str) -> None:
    evidence, _ = collected(CSV, **state)
    with pytest.raises(CertificateChainError) as caught:
        appraise(evidence, None, policy_for(CSV))
    assert says in caught.value.message
    assert failed(caught.value) == [check]


@pytest.mark.parametrize(
    ("links", "says"),
    [
        (Links(change_cek=lambda cek: with_word(cek, SECOND_USAGE, 0x1001)), "CEK second signature key usage"),
        (Links(change_cek=swapped_slots), "CEK first signature key usage: got 0x1000"),
        (Links(change_cek=lambda cek: with_word(cek, FIRST_ALGORITHM, 5)), "got algorithm 5, expected 4"),
    ],
    ids=["second-signature", "swapped", "algorithm"],
)
def test_3_33_words_that_no_signature_covers(links: Links, says: str) -> None:
    with pytest.raises(CertificateChainError, match=says):
        linked(links)


def test_3_33_the_algorithm_of_the_peks_signature() -> None:
    links = Links(change_pek=lambda pek: with_word(pek, FIRST_ALGORITHM, 5))
    with pytest.raises(EndorsementMissingError, match="got algorithm 5, expected 4"):
        linked(links)


OTHER_ID = b"another user"


@pytest.mark.parametrize(
    "links",
    [
        Links(hrk=named(vendor()._hrk, OTHER_ID)),
        Links(hsk=named(vendor()._hsk, OTHER_ID)),
        Links(hsk_key=named(vendor()._hsk, OTHER_ID)),
        Links(hrk=vendor()._hsk),
        Links(hsk=vendor()._hrk),
        Links(hrk=vendor("another vendor")._hrk),
        Links(hsk=vendor("another vendor")._hsk),
        Links(hsk=chip()._cek),
    ],
    ids=[
        "HRK signs with another user id",
        "HSK signs with another user id",
        "HSK has another user id",
        "HSK by itself",
        "CEK by HRK",
        "HSK of another HRK",
        "CEK of another HSK",
        "CEK by itself",
    ],
)
def test_3_33_who_signed_and_by_which_user_id(links: Links) -> None:
    with pytest.raises(CertificateChainError, match="does not verify") as caught:
        linked(links)
    assert failed(caught.value) == ["hygon.chain"]


@pytest.mark.parametrize(
    "links",
    [
        Links(cek=named(chip()._cek, OTHER_ID)),
        Links(cek_key=named(chip()._cek, OTHER_ID)),
        Links(cek=chip("another chip")._cek),
        Links(cek_key=chip("another chip")._cek),
        Links(cek=chip()._pek),
    ],
    ids=["CEK signs with another user id", "CEK has another user id", "of another CEK", "CEK of another", "PEK itself"],
)
def test_3_33_a_pek_that_the_cek_at_hand_did_not_sign(links: Links) -> None:
    """Local certificates are then another chip's, and none; those in the Evidence are refused."""
    with pytest.raises(EndorsementMissingError, match="CEK at hand: PEK signature by the CEK"):
        linked(links)
    evidence = links.evidence()
    both = links.chain()
    inside = replace(evidence, data=evidence.data + both.issuer_chain[0] + both.data + (2916).to_bytes(4, "little"))
    with pytest.raises(CertificateChainError, match="PEK signature by the CEK"):
        appraise(inside, None, pinned(evidence.data), anchors=(vendor().trust_anchor,))


@pytest.mark.parametrize("state", [{"wrong_user_id": True}, {"another_pek": True}])
@pytest.mark.parametrize("version", [1, 2, 3])
def test_3_33_the_report_by_its_pek_and_its_user_id(version: int, state: dict[str, Any]) -> None:
    evidence, _ = collected(CSV, report_version=version, **state)
    with pytest.raises(SignatureError) as caught:
        appraise(evidence, None, pinned(evidence.data))
    assert failed(caught.value) == ["csv.report_signature"]


@pytest.mark.parametrize("user_id", [OTHER_ID, b""])
def test_3_33_a_pek_of_another_user_id(user_id: bytes) -> None:
    with pytest.raises(SignatureError):
        linked(Links(pek_key=named(chip()._pek, user_id)))


@pytest.mark.parametrize(("where", "offset"), [("hsk", 64), ("cek", 16), ("pek", 16)])
def test_3_33_keys_of_another_curve(where: str, offset: int) -> None:
    """Curve 2 is no other field's word: the key would not be SM2's."""
    links = Links()
    chain, evidence = links.chain(), links.evidence()
    if where == "pek":
        pek = evidence.data[PEK_LATER : PEK_LATER + 2084]
        changed = replace(evidence, data=with_pek(evidence.data, with_word(pek, offset, 2)))
        with pytest.raises(RatsTlsError):
            appraise(changed, Endorsements((chain,)), pinned(evidence.data), anchors=(vendor().trust_anchor,))
        return
    if where == "cek":
        chain = replace(chain, data=with_word(chain.data, offset, 2))
    else:
        chain = replace(chain, issuer_chain=(with_word(chain.issuer_chain[0], offset, 2),))
    with pytest.raises(RatsTlsError):
        linked(links, endorsements=Endorsements((chain,)))


@pytest.mark.parametrize("item", [SignedItem.HYGON_HSK, SignedItem.HYGON_CEK])
@pytest.mark.parametrize("certificates", ["rats-tls", "librats", "beside"])
def test_3_33_forged_certificates(item: SignedItem, certificates: str) -> None:
    evidence, endorsements = collected(CSV, forged={item}, certificates=certificates)
    with pytest.raises(CertificateChainError, match="does not verify"):
        appraise(evidence, endorsements, policy_for(CSV))


def test_3_33_the_root_is_the_pinned_one_alone() -> None:
    """Certificates in the Evidence are complete and right, under a root that nobody named."""
    evidence, _ = collected(CSV)
    with pytest.raises(CertificateChainError, match="HSK signature by HYGON-SSD-HRK"):
        appraise(evidence, None, policy_for(CSV), anchors=VENDOR_ROOTS)
    others = tuple(anchor for anchor in world().trust_anchors if anchor.vendor.value != "hygon")
    with pytest.raises(CertificateChainError, match=r"none of the \d anchors is Hygon's") as caught:
        appraise(evidence, None, policy_for(CSV), anchors=others)
    assert failed(caught.value) == ["hygon.pek"]


def test_3_33_an_anchor_is_its_key_with_its_user_id() -> None:
    own = vendor().trust_anchor
    with pytest.raises(CertificateChainError):
        linked(Links(), anchors=(replace(own, subject=OTHER_ID),))
    with pytest.raises(CertificateChainError):
        linked(Links(), anchors=(replace(own, spki=vendor("another vendor").trust_anchor.spki),))
    assert linked(Links(), anchors=(vendor("another vendor").trust_anchor, own)).anchor == own


# --- who hands certificates in ---------------------------------------------------------------------------------------
WRONG: dict[str, Links] = {
    "of another chip": Links(cek_key=chip("another chip")._cek),
    "under another HRK": Links(hrk=vendor("another vendor")._hrk),
    "forged": Links(hsk=named(vendor()._hsk, OTHER_ID)),
}


def malformed(origin: Origin) -> Any:
    return replace(Links().chain(origin), data=b"\1")


@pytest.mark.parametrize("origin", list(Origin))
@pytest.mark.parametrize("name", [*WRONG, "malformed"])
def test_3_33_no_chain_locks_out_a_good_one(name: str, origin: Origin) -> None:
    """Whoever sent the bad one, and whatever came with the Evidence."""
    bad = malformed(origin) if name == "malformed" else WRONG[name].chain(origin)
    for good in (Origin.LOCAL, Origin.PEER):
        both = Endorsements((bad, Links().chain(good)))
        result = linked(Links(), endorsements=both)
        assert [used.origin for used in result.endorsements] == [good.value]


@pytest.mark.parametrize("name", WRONG)
def test_3_33_a_bad_chain_in_the_evidence_locks_out_none(name: str) -> None:
    links = Links()
    inside = WRONG[name].chain()
    page = links.evidence().data
    evidence = Evidence.of(TeeType.CSV, page + (2916).to_bytes(4, "little") + inside.issuer_chain[0] + inside.data)
    for origin in Origin:
        at_hand = Endorsements((links.chain(origin),))
        result = appraise(evidence, at_hand, pinned(page), anchors=(vendor().trust_anchor,))
        assert [used.origin for used in result.endorsements] == [origin.value]
    with pytest.raises(CertificateChainError):
        appraise(evidence, None, pinned(page), anchors=(vendor().trust_anchor,))


@pytest.mark.parametrize("name", ["of another chip", "malformed"])
def test_3_33_what_a_peer_sends_beside_is_no_more_than_nothing(name: str) -> None:
    bad = malformed(Origin.PEER) if name == "malformed" else WRONG[name].chain(Origin.PEER)
    with pytest.raises(EndorsementMissingError) as caught:
        linked(Links(), endorsements=Endorsements((bad,)))
    assert dict(caught.value.missing[0].key) == {"chip": chip().serial}


def test_3_33_a_forged_chain_that_a_peer_sends_beside_is_missing_and_said() -> None:
    """So that a good one is looked up."""
    forged = world().hygon_chip().chain(vendor_state=HygonVendorState(forged=frozenset({SignedItem.HYGON_HSK})))
    evidence, _ = collected(CSV, certificates="beside")
    sent = Endorsements((replace(forged, origin=Origin.PEER),))
    with pytest.raises(EndorsementMissingError, match="peer copy: HSK signature"):
        appraise(evidence, sent, policy_for(CSV))
    with pytest.raises(CertificateChainError, match="HSK signature"):
        appraise(evidence, Endorsements((forged,)), policy_for(CSV))


def test_3_33_a_stranger_has_so_many_chains_tried_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []
    verify_pek = hygon_endorsements.verify_pek

    def counted(*arguments: Any) -> None:
        tried.append(1)
        verify_pek(*arguments)

    monkeypatch.setattr(hygon_endorsements, "verify_pek", counted)
    monkeypatch.setattr(hygon_endorsements, "_MOST_TRIALS", 3)
    others = [chip(f"chip {number}").chain() for number in range(5)]
    evidence, _ = collected(CSV, certificates="beside")
    with pytest.raises(EndorsementMissingError, match="of 5 chains at hand 3 were tried: keep them in a store"):
        appraise(evidence, Endorsements(tuple(others)), policy_for(CSV))
    assert len(tried) == 3
    # What comes in the Evidence is tried all the same.
    evidence, _ = collected(CSV, certificates="rats-tls")
    assert appraise(evidence, Endorsements(tuple(others)), policy_for(CSV)).verdict == "accepted"


def test_3_33_a_malformed_chain_of_this_side_is_said() -> None:
    with pytest.raises(RatsTlsError, match="CekCertificate") as caught:
        linked(Links(), endorsements=Endorsements((malformed(Origin.LOCAL),)))
    assert not isinstance(caught.value, EndorsementMissingError)


@pytest.mark.parametrize("serial", ["../../etc/passwd", "a b", "", "\udcff\udcfe", "-x"])
def test_2_11_a_serial_number_that_nothing_can_be_looked_up_by(serial: str) -> None:
    evidence, _ = collected(CSV, serial=serial, certificates="beside")
    with pytest.raises(CertificateChainError, match="expected a serial number of letters, digits"):
        appraise(evidence, None, policy_for(CSV))
    whole, _ = collected(CSV, serial=serial)
    assert appraise(whole, None, policy_for(CSV)).verdict == "accepted"


@pytest.mark.parametrize("certificates", ["rats-tls", "librats"])
@pytest.mark.parametrize("version", [1, 2, 3])
def test_both_orders_of_report_and_certificates(version: int, certificates: str) -> None:
    evidence, endorsements = collected(CSV, report_version=version, certificates=certificates)
    assert len(evidence.data) == 7016
    assert tuple(endorsements) == ()
    result = appraise(evidence, None, pinned(evidence.data))
    assert [used.origin for used in result.endorsements] == ["evidence"]
    cut = replace(evidence, data=evidence.data[:-1])
    with pytest.raises(RatsTlsError, match="7015 bytes"):
        appraise(cut, None, pinned(evidence.data))
