"""Endorsements that have ended, under policies with a grace: what an attacker who holds on to them could gain by it.

Documents that simulated vendors call expired ended a day before `NOW`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest

from rats_tls.core.checks import Verdict
from rats_tls.core.claims import TcbStatus
from rats_tls.core.endorsements import Endorsement, EndorsementKind, Endorsements, Origin
from rats_tls.core.errors import EndorsementMissingError, ExpiredError, RatsTlsError, RevokedError, TcbLevelError
from rats_tls.core.results import AttestationResult
from rats_tls.simulation.vendor_state import SignedItem
from rats_tls.verifiers.sev_snp import SevSnpVerifier
from support.channels import CRYPTO
from support.judged import appraise, collected
from support.sides import SGX, SNP, TDX, policy_for
from support.simulated import NOW, world

S = SignedItem
DAY = 86_400
YEAR = 366 * DAY
INTEL_ITEMS = {
    S.INTEL_TCB_INFO: EndorsementKind.INTEL_TCB_INFO,
    S.INTEL_QE_IDENTITY: EndorsementKind.INTEL_QE_IDENTITY,
    S.INTEL_ROOT_CRL: EndorsementKind.INTEL_ROOT_CRL,
    S.INTEL_PCK_CRL: EndorsementKind.INTEL_PCK_CRL,
}
ITEMS = [
    *((name, item, kind) for name in (SGX, TDX) for item, kind in INTEL_ITEMS.items()),
    (SNP, S.AMD_CRL, EndorsementKind.AMD_CRL),
]
EVERY_ITEM = pytest.mark.parametrize(("name", "item", "kind"), ITEMS, ids=str)


def judge(name: str, items: Iterable[Endorsement] | None = None, *, grace: int = 0, **state: Any) -> AttestationResult:
    evidence, endorsements = collected(name, **state)
    pool = endorsements if items is None else Endorsements(tuple(items))
    return appraise(evidence, pool, policy_for(name, endorsement_grace=grace))


def refused(error: type[RatsTlsError], name: str, items: Iterable[Endorsement] | None = None, **given: Any) -> None:
    with pytest.raises(error) as caught:
        judge(name, items, **given)
    assert type(caught.value) is error


def of_peer(items: Iterable[Endorsement]) -> list[Endorsement]:
    return [replace(item, origin=Origin.PEER) for item in items]


@EVERY_ITEM
def test_what_has_ended_counts_within_the_grace_alone(name: str, item: SignedItem, kind: EndorsementKind) -> None:
    for grace in (0, DAY):
        refused(ExpiredError, name, expired={item}, grace=grace)
    result = judge(name, expired={item}, grace=DAY + 1)
    (use,) = [use for use in result.endorsements if use.grace_until is not None]
    assert (use.kind, use.origin) == (kind, "local")
    assert result.valid_until == use.grace_until
    assert "endorsements.grace" in {check.id for check in result.not_checked}
    assert [check.verdict for check in result.checks].count(Verdict.FAILED) == 1


@EVERY_ITEM
def test_a_peers_copy_that_has_ended_never_counts(name: str, item: SignedItem, kind: EndorsementKind) -> None:
    """The attacker keeps the last copy that does not know of the hole, and sends it."""
    _, stale = collected(name, expired={item})
    others = [each for each in stale if each.kind is not kind]
    ended = of_peer(each for each in stale if each.kind is kind)
    refused(EndorsementMissingError, name, [*others, *ended], grace=YEAR)
    # Nor does it take the place of one of this side that is within its grace.
    own = [each for each in stale if each.kind is kind]
    result = judge(name, [*others, *own, *ended], grace=YEAR)
    assert {use.origin for use in result.endorsements if use.kind is kind} == {"local"}


@EVERY_ITEM
def test_a_copy_in_date_is_taken_before_one_in_its_grace(name: str, item: SignedItem, kind: EndorsementKind) -> None:
    _, fresh = collected(name)
    _, stale = collected(name, expired={item})
    both = [*(each for each in stale if each.kind is kind), *fresh]
    assert [use for use in judge(name, both, grace=YEAR).endorsements if use.grace_until is not None] == []


@EVERY_ITEM
def test_what_is_not_valid_yet_has_no_grace(name: str, item: SignedItem, kind: EndorsementKind) -> None:
    refused(ExpiredError, name, not_yet_valid={item}, grace=YEAR)


@pytest.mark.parametrize(
    ("name", "item"),
    [
        (SGX, S.INTEL_PCK),
        (SGX, S.INTEL_INTERMEDIATE),
        (SGX, S.INTEL_TCB_SIGNING),
        (TDX, S.INTEL_TCB_SIGNING),
        (SNP, S.AMD_VEK),
        (SNP, S.AMD_SIGNER),
    ],
)
def test_certificates_have_no_grace(name: str, item: SignedItem) -> None:
    refused(ExpiredError, name, expired={item}, grace=YEAR)
    # Not even where what they signed has one.
    documents = {S.AMD_CRL} if name == SNP else {S.INTEL_TCB_INFO, S.INTEL_QE_IDENTITY}
    refused(ExpiredError, name, expired={item, *documents}, grace=YEAR)


@pytest.mark.parametrize(
    ("name", "revoked", "lists"),
    [
        (SGX, S.INTEL_PCK, {S.INTEL_PCK_CRL}),
        (SGX, S.INTEL_INTERMEDIATE, {S.INTEL_ROOT_CRL}),
        (SGX, S.INTEL_TCB_SIGNING, {S.INTEL_ROOT_CRL}),
        (SNP, S.AMD_SIGNER, {S.AMD_CRL}),
    ],
)
def test_a_list_in_its_grace_still_revokes(name: str, revoked: SignedItem, lists: set[SignedItem]) -> None:
    refused(RevokedError, name, revoked={revoked}, expired=lists, grace=YEAR)


def test_documents_in_their_grace_are_judged_as_if_they_were_in_date() -> None:
    documents = {S.INTEL_TCB_INFO, S.INTEL_QE_IDENTITY}
    refused(TcbLevelError, SGX, tcb_status=None, expired=documents, grace=YEAR)
    refused(TcbLevelError, SGX, qe_status=None, expired=documents, grace=YEAR)
    refused(ExpiredError, SGX, qe_status=None, expired=documents)
    with pytest.raises(RatsTlsError, match="tcb_statuses: got OutOfDate"):
        judge(SGX, tcb_status=TcbStatus.OUT_OF_DATE, expired=documents, grace=YEAR)
    with pytest.raises(RatsTlsError, match="tcb_statuses: got Revoked"):
        judge(SGX, tcb_status=TcbStatus.REVOKED, expired=documents, grace=YEAR)


def test_a_peer_does_not_go_behind_a_document_in_its_grace() -> None:
    """It proves that there was a newer TCB recovery than the one that the peer's copy in date knows."""
    kind = EndorsementKind.INTEL_TCB_INFO
    _, fresh = collected(SGX, tcb_evaluation_data_number=16)
    _, stale = collected(SGX, expired={S.INTEL_TCB_INFO}, tcb_evaluation_data_number=99)
    others = [each for each in fresh if each.kind is not kind]
    own = [each for each in stale if each.kind is kind]
    older = of_peer(each for each in fresh if each.kind is kind)
    refused(ExpiredError, SGX, [*others, *own, *older])
    result = judge(SGX, [*others, *own, *older], grace=YEAR)
    assert {use.origin for use in result.endorsements if use.kind is kind} == {"local"}


def test_the_verifier_names_what_has_expired_and_nothing_else() -> None:
    """The appraisal asks again; a Verifier that said it of a list from the future would still be wrong."""
    evidence, stale = collected(SNP, expired={S.AMD_CRL})
    for pool, named in ((stale, True), (collected(SNP, not_yet_valid={S.AMD_CRL})[1], False)):
        verifier = SevSnpVerifier()
        verification = verifier.verify(
            verifier.decode(evidence), pool, anchors=world().trust_anchors, crypto=CRYPTO, now=NOW
        )
        (problem,) = verification.problems
        assert problem.waived_by_revocation
        assert (problem.expired is not None) is named
        assert EndorsementKind.AMD_CRL not in {use.kind for use in verification.endorsements_used}
