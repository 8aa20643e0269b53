"""Pools of Endorsements: which copy is taken, and what a bad one can do."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from rats_tls.core.checks import Stage, Verdict
from rats_tls.core.endorsements import Endorsement, EndorsementKind, Endorsements, Origin
from rats_tls.core.errors import CertificateChainError
from rats_tls.core.verification import EndorsementUse, Verification
from rats_tls.formats.x509 import Certificate
from rats_tls.simulation.vendor_state import SignedItem
from rats_tls.verifiers import intel_collateral
from rats_tls.verifiers.intel_collateral import Copies, Copy
from support.intel import CRYPTO, OUTDATED, PHALA_SGX, PHALA_TDX, SPR_E4, labels, load, passed, verifier_of, verify
from support.intel_pki import revocation_list
from support.simulated import NOW, REPORT_DATA, world

K = EndorsementKind
DOCUMENTS_AND_LISTS = (K.INTEL_TCB_INFO, K.INTEL_QE_IDENTITY, K.INTEL_ROOT_CRL, K.INTEL_PCK_CRL)
TDX = "simulated_tdx_ecdsa"


def peers(items: Iterable[Endorsement]) -> tuple[Endorsement, ...]:
    return tuple(replace(item, origin=Origin.PEER) for item in items)


def bad_copies(item: Endorsement) -> tuple[Endorsement, ...]:
    last = bytes((item.data[-1] ^ 1,))
    copies = [replace(item, data=b""), replace(item, data=item.data[:-1] + last), replace(item, data=item.data + b" x")]
    if item.signature:
        copies += [
            replace(item, signature=b""),
            replace(item, signature=bytes(64)),
            replace(item, signature=item.signature[:-1] + bytes((item.signature[-1] ^ 1,))),
            replace(item, issuer_chain=()),
            replace(item, issuer_chain=item.issuer_chain[:1]),
            replace(item, issuer_chain=(b"x", b"y")),
            replace(item, issuer_chain=item.issuer_chain[::-1]),
        ]
    return tuple(copies)


@pytest.mark.parametrize("vector_id", [PHALA_SGX, PHALA_TDX])
@pytest.mark.parametrize("kind", DOCUMENTS_AND_LISTS)
def test_bad_copies_never_block_a_good_one(vector_id: str, kind: EndorsementKind) -> None:
    vector = load(vector_id)
    bad = bad_copies(vector.item(kind))
    for more in (bad, peers(bad)):
        assert not verify(vector.with_items((*more, *vector.endorsements))).problems
        assert not verify(vector.with_items((*more, *peers(vector.endorsements)))).problems


@pytest.mark.parametrize("kind", DOCUMENTS_AND_LISTS)
def test_without_a_good_copy_a_bad_one_of_this_side_is_an_error(kind: EndorsementKind) -> None:
    vector = load(PHALA_TDX)
    others = tuple(item for item in vector.endorsements if item.kind is not kind)
    for bad in bad_copies(vector.item(kind)):
        verification = verify(vector.with_items((*others, bad)))
        assert labels(verification) == {"certificate_chain"}
        assert isinstance(verification.problems[0].error, CertificateChainError)
        assert not verification.problems[0].waived_by_revocation


@pytest.mark.parametrize("kind", DOCUMENTS_AND_LISTS)
def test_without_a_good_copy_a_bad_one_of_the_peer_counts_as_absent(kind: EndorsementKind) -> None:
    vector = load(PHALA_TDX)
    others = tuple(item for item in vector.endorsements if item.kind is not kind)
    for bad in bad_copies(vector.item(kind)):
        verification = verify(vector.with_items((*others, *peers((bad,)))))
        assert labels(verification) == {"endorsements_missing"}
        (problem,) = verification.problems
        assert problem.missing is not None
        assert problem.missing.kind is kind
        assert problem.waived_by_revocation == (kind in {K.INTEL_ROOT_CRL, K.INTEL_PCK_CRL})
        assert "peer's copy" in problem.error.message


def test_other_platforms_and_other_tees_do_not_count() -> None:
    """TCB info is found by TEE, FMSPC and PCE id, an identity by its TEE, a list by its issuer."""
    vector = load(PHALA_TDX)
    others = (*load(OUTDATED).endorsements, *load(PHALA_SGX).endorsements, *load(SPR_E4).endorsements)
    assert not verify(vector.with_items((*others, *vector.endorsements))).problems
    for kind in (K.INTEL_TCB_INFO, K.INTEL_QE_IDENTITY, K.INTEL_PCK_CRL):
        of_sgx = load(PHALA_SGX).item(kind)
        kept = [of_sgx if item.kind is kind else item for item in vector.endorsements]
        verification = verify(vector.with_items(kept))
        assert labels(verification) == {"endorsements_missing"}
        assert verification.problems[0].missing is not None
        assert verification.problems[0].missing.kind is kind


# --- simulated documents: which of several good copies ---------------------------------------------------------------
def collected(**settings: Any) -> Any:
    return world().attester(TDX, **settings).collect(REPORT_DATA)


def judge(items: Iterable[Endorsement], *, evidence: Any = None, now: Any = NOW) -> Verification:
    evidence = evidence or collected().evidence
    verifier = verifier_of_tdx()
    return verifier.verify(
        verifier.decode(evidence), Endorsements(tuple(items)), anchors=world().trust_anchors, crypto=CRYPTO, now=now
    )


def verifier_of_tdx() -> Any:
    return verifier_of(load(PHALA_TDX))


def items_of(**settings: Any) -> tuple[Endorsement, ...]:
    return tuple(collected(**settings).endorsements)


def only(kind: EndorsementKind, items: Iterable[Endorsement]) -> Endorsement:
    (item,) = (item for item in items if item.kind is kind)
    return item


def without(kind: EndorsementKind, items: Iterable[Endorsement]) -> tuple[Endorsement, ...]:
    return tuple(item for item in items if item.kind is not kind)


def used(verification: Verification, kind: EndorsementKind) -> bytes:
    (use,) = (use for use in verification.endorsements_used if use.kind is kind)
    return use.sha256


def digest(item: Endorsement) -> bytes:
    return hashlib.sha256(item.data).digest()


@pytest.mark.parametrize("kind", [K.INTEL_TCB_INFO, K.INTEL_QE_IDENTITY])
@pytest.mark.parametrize("older_is", list(Origin))
@pytest.mark.parametrize("newer_is", list(Origin))
@pytest.mark.parametrize("backwards", [False, True])
def test_the_newest_copy_is_taken(kind: EndorsementKind, older_is: Origin, newer_is: Origin, backwards: bool) -> None:
    healthy = items_of()
    newer = replace(only(kind, items_of(issue_date=NOW - timedelta(hours=2))), origin=newer_is)
    older = replace(only(kind, items_of(issue_date=NOW - timedelta(days=3))), origin=older_is)
    pair = (older, newer) if backwards else (newer, older)
    verification = judge((*without(kind, healthy), *pair))
    assert verification.problems == ()
    assert used(verification, kind) == digest(newer)


@pytest.mark.parametrize("kind", [K.INTEL_TCB_INFO, K.INTEL_QE_IDENTITY])
def test_an_older_recovery_never_beats_a_newer_one(kind: EndorsementKind) -> None:
    """The peer sends a document issued a minute ago, of an older TCB recovery (the attack on collateral, 3.4)."""
    healthy = items_of()
    high = only(kind, items_of(tcb_evaluation_data_number=19, issue_date=NOW - timedelta(days=5)))
    low = only(kind, items_of(tcb_evaluation_data_number=18, issue_date=NOW - timedelta(minutes=1)))
    for pair in ((high, *peers((low,))), (*peers((low,)), high), (low, high)):
        assert used(judge((*without(kind, healthy), *pair)), kind) == digest(high)


@pytest.mark.parametrize("kind", [K.INTEL_TCB_INFO, K.INTEL_QE_IDENTITY])
@pytest.mark.parametrize("dates", ["expired", "not_yet_valid"])
def test_a_peer_never_goes_back_behind_this_sides_recovery(kind: EndorsementKind, dates: str) -> None:
    """Attack 3.4: this side's authentic copy, though out of date, proves that there is a newer TCB recovery."""
    healthy = items_of()
    signed = SignedItem.INTEL_TCB_INFO if kind is K.INTEL_TCB_INFO else SignedItem.INTEL_QE_IDENTITY
    stale = only(kind, items_of(**{dates: {signed}}, tcb_evaluation_data_number=99))
    older = peers((only(kind, healthy),))
    assert labels(judge((*without(kind, healthy), stale, *older))) == {"endorsements_expired"}
    # Two copies of this side are its own affair; a forged one is no floor.
    assert judge((*healthy, stale)).problems == ()
    forged = only(kind, items_of(forged={signed}, tcb_evaluation_data_number=99))
    assert judge((*without(kind, healthy), forged, *older)).problems == ()


def test_this_sides_copy_before_an_equally_new_one_of_the_peer() -> None:
    healthy = items_of()
    for pool in ((*peers(healthy), *healthy), (*healthy, *peers(healthy))):
        verification = judge(pool)
        origins = {use.kind: use.origin for use in verification.endorsements_used}
        assert origins == {K.INTEL_PCK_CHAIN: "evidence"} | dict.fromkeys(DOCUMENTS_AND_LISTS, "local")


@pytest.mark.parametrize("kind", DOCUMENTS_AND_LISTS)
@pytest.mark.parametrize("dates", ["expired", "not_yet_valid"])
def test_a_copy_in_date_before_one_that_is_not(kind: EndorsementKind, dates: str) -> None:
    healthy = items_of()
    signed = {
        K.INTEL_TCB_INFO: SignedItem.INTEL_TCB_INFO,
        K.INTEL_QE_IDENTITY: SignedItem.INTEL_QE_IDENTITY,
        K.INTEL_ROOT_CRL: SignedItem.INTEL_ROOT_CRL,
        K.INTEL_PCK_CRL: SignedItem.INTEL_PCK_CRL,
    }[kind]
    stale = only(kind, items_of(**{dates: {signed}}))
    verification = judge((*without(kind, healthy), stale, *peers((only(kind, healthy),))))
    assert verification.problems == ()
    assert used(verification, kind) == digest(only(kind, healthy))
    # Alone, this side's is out of date; the peer's counts as absent.
    assert labels(judge((*without(kind, healthy), stale))) == {"endorsements_expired"}
    absent = judge((*without(kind, healthy), *peers((stale,))))
    assert labels(absent) == {"endorsements_missing"}
    assert "peer's copy" in absent.problems[0].error.message


def test_dates_are_compared_at_the_time_given() -> None:
    issued, ends = NOW - timedelta(days=1), NOW + timedelta(days=1)
    items = items_of(issue_date=issued, next_update=ends)
    second = timedelta(seconds=1)
    assert judge(items, now=issued).problems == ()
    assert judge(items, now=ends - second).problems == ()
    for now in (issued - second, ends):
        assert labels(judge(items, now=now)) == {"endorsements_expired"}


SIGNED = {
    K.INTEL_TCB_INFO: SignedItem.INTEL_TCB_INFO,
    K.INTEL_QE_IDENTITY: SignedItem.INTEL_QE_IDENTITY,
    K.INTEL_ROOT_CRL: SignedItem.INTEL_ROOT_CRL,
    K.INTEL_PCK_CRL: SignedItem.INTEL_PCK_CRL,
}


@pytest.mark.parametrize("kind", DOCUMENTS_AND_LISTS)
def test_what_has_expired_is_named_and_verification_goes_on(kind: EndorsementKind) -> None:
    """The policy may grant it a grace; it is not among what is in date."""
    verification = judge(items_of(expired={SIGNED[kind]}))
    (problem,) = verification.problems
    assert problem.expired is not None
    assert (problem.expired.kind, problem.expired.origin) == (kind, "local")
    assert problem.expired.expires <= NOW
    assert kind not in {use.kind for use in verification.endorsements_used}
    assert "intel.tcb_level" in passed(verification)
    assert verification.claims.tcb is not None
    assert verification.valid_until is not None
    assert verification.valid_until > NOW


@pytest.mark.parametrize("kind", DOCUMENTS_AND_LISTS)
def test_what_is_not_valid_yet_has_not_expired(kind: EndorsementKind) -> None:
    (problem,) = judge(items_of(not_yet_valid={SIGNED[kind]})).problems
    assert problem.expired is None


@pytest.mark.parametrize("kind", [K.INTEL_TCB_INFO, K.INTEL_QE_IDENTITY])
@pytest.mark.parametrize("dates", ["expired", "not_yet_valid"])
def test_no_document_outlives_its_signer(kind: EndorsementKind, dates: str) -> None:
    settings: dict[str, set[SignedItem]] = {"expired": {SIGNED[kind]}}
    settings[dates] = settings.get(dates, set()) | {SignedItem.INTEL_TCB_SIGNING}
    verification = judge(items_of(**settings))
    assert labels(verification) == {"certificate_not_in_date"}
    assert [problem.expired for problem in verification.problems] == [None]
    assert "intel.tcb_level" not in passed(verification)


def test_a_document_in_its_grace_ends_with_its_signer(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the verdict rests on without being listed: a signing certificate that ends before everything else."""
    verify_document = intel_collateral.verify_document
    soon = NOW + timedelta(seconds=1)

    def ends_soon(*given: Any) -> tuple[Certificate, Certificate]:
        signer, root = verify_document(*given)
        return replace(signer, not_after=soon), root

    monkeypatch.setattr(intel_collateral, "verify_document", ends_soon)
    both = {SignedItem.INTEL_TCB_INFO, SignedItem.INTEL_QE_IDENTITY}
    assert judge(items_of(expired=both)).valid_until == soon


def test_a_copy_of_the_peers_has_not_expired_in_a_way_that_counts() -> None:
    item = only(K.INTEL_TCB_INFO, items_of(expired={SignedItem.INTEL_TCB_INFO}))
    (problem,) = judge((item, *without(K.INTEL_TCB_INFO, items_of()))).problems
    assert problem.expired is not None
    copy: Any = Copy(item=item, value=None, signers=(), newness=(1, NOW), use=problem.expired)  # type: ignore[type-var]
    assert copy.expired(NOW) is problem.expired
    assert replace(copy, item=replace(item, origin=Origin.PEER)).expired(NOW) is None
    assert copy.expired(problem.expired.expires - timedelta(seconds=1)) is None


@pytest.mark.parametrize(("days", "chosen"), [(1, None), (6, Origin.PEER)])
def test_a_peers_copy_that_is_older_than_one_of_this_side_does_not_count_even_when_that_one_has_ended(
    days: int, chosen: Origin | None
) -> None:
    """Lists and documents need not end in the order in which they were issued."""

    def copy(origin: Origin, issued: int, expires: int) -> Copy[Any]:
        item = Endorsement(kind=K.INTEL_TCB_INFO, data=b"", origin=origin)
        use = EndorsementUse(
            kind=item.kind,
            sha256=b"",
            origin=origin.value,
            issued=NOW + timedelta(days=issued),
            expires=NOW + timedelta(days=expires),
            description="TCB info",
        )
        return Copy(item=item, value=None, signers=(), newness=(18, use.issued), use=use)

    good = sorted((copy(Origin.LOCAL, 5, 6), copy(Origin.PEER, days, 31)), key=lambda c: c.newness, reverse=True)
    found, error = Copies(good=tuple(good), error=None, notes=()).choose(NOW + timedelta(days=7), "TCB info")
    assert found is not None
    assert (found.item.origin if error is None else None) is chosen


# --- revocation ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("revoked", "kind", "check"),
    [
        (SignedItem.INTEL_PCK, K.INTEL_PCK_CRL, "intel.pck_not_revoked"),
        (SignedItem.INTEL_INTERMEDIATE, K.INTEL_ROOT_CRL, "intel.pck_ca_not_revoked"),
        (SignedItem.INTEL_TCB_SIGNING, K.INTEL_ROOT_CRL, "intel.tcb_info_signature"),
    ],
)
@pytest.mark.parametrize("dates", [{}, {"expired"}, {"not_yet_valid"}])
@pytest.mark.parametrize("origin", list(Origin))
def test_revoked_on_any_authentic_list(
    revoked: SignedItem, kind: EndorsementKind, check: str, dates: set[str], origin: Origin
) -> None:
    """Also on one that is out of date, from the peer, beside a newer one that does not name it."""
    signed = SignedItem.INTEL_PCK_CRL if kind is K.INTEL_PCK_CRL else SignedItem.INTEL_ROOT_CRL
    names_it = only(kind, items_of(revoked={revoked}, **{key: {signed} for key in dates}))
    verification = judge((*items_of(), replace(names_it, origin=origin)))
    assert labels(verification) == {"revoked"}
    for problem in verification.problems:
        assert problem.stage is Stage.REVOCATION
        assert not problem.waived_by_revocation
    failed = [entry.id for entry in verification.checks if entry.verdict is Verdict.FAILED]
    # One signer signs both documents.
    assert failed == ([check, "intel.qe_identity_signature"] if revoked is SignedItem.INTEL_TCB_SIGNING else [check])


@pytest.mark.parametrize("revoked", [SignedItem.INTEL_PCK, SignedItem.INTEL_INTERMEDIATE, SignedItem.INTEL_TCB_SIGNING])
def test_a_forged_list_revokes_nothing(revoked: SignedItem) -> None:
    kind = K.INTEL_PCK_CRL if revoked is SignedItem.INTEL_PCK else K.INTEL_ROOT_CRL
    signed = SignedItem.INTEL_PCK_CRL if kind is K.INTEL_PCK_CRL else SignedItem.INTEL_ROOT_CRL
    forged = only(kind, items_of(revoked={revoked}, forged={signed}))
    for copy in (forged, *peers((forged,))):
        assert judge((*items_of(), copy)).problems == ()


def test_missing_and_expired_lists_are_waivable_and_verification_goes_on() -> None:
    healthy = items_of()
    verification = judge(without(K.INTEL_PCK_CRL, without(K.INTEL_ROOT_CRL, healthy)))
    assert [problem.waived_by_revocation for problem in verification.problems] == [True, True]
    assert "intel.tcb_level" in passed(verification)
    expired = items_of(expired={SignedItem.INTEL_PCK_CRL, SignedItem.INTEL_ROOT_CRL})
    verification = judge(expired)
    assert labels(verification) == {"endorsements_expired"}
    assert [problem.waived_by_revocation for problem in verification.problems] == [True, True]
    assert "intel.tcb_level" in passed(verification)
    # That a list which has ended does not name a certificate tells nothing.
    lists = {"intel.pck_crl", "intel.root_crl", "intel.pck_not_revoked", "intel.pck_ca_not_revoked"}
    assert not lists & passed(verification)
    not_checked = {check.id for check in verification.checks if check.verdict is Verdict.NOT_CHECKED}
    assert {"intel.pck_not_revoked", "intel.pck_ca_not_revoked"} <= not_checked


def test_lists_without_the_extensions_of_intels_lists_are_refused() -> None:
    vector = load(PHALA_TDX)
    foreign = Endorsement(kind=K.INTEL_PCK_CRL, data=revocation_list())
    kept = [foreign if item.kind is K.INTEL_PCK_CRL else item for item in vector.endorsements]
    assert labels(verify(vector.with_items(kept))) == {"endorsements_missing"}


# --- PCK chains at hand ----------------------------------------------------------------------------------------------
def chain_of(vector_id: str) -> Endorsement:
    vector = load(vector_id)
    ders = verifier_of(vector).decode(vector.evidence).structure.chain.ders
    return Endorsement(kind=K.INTEL_PCK_CHAIN, data=ders[0], issuer_chain=ders[1:])


@pytest.mark.parametrize("origin", list(Origin))
def test_chain_of_the_quote_and_chain_at_hand_have_the_same_leaf(origin: Origin) -> None:
    """Attack 3.14: collateral with the PCK chain of another platform."""
    vector = load(PHALA_TDX)
    own, other = (replace(chain_of(name), origin=origin) for name in (PHALA_TDX, OUTDATED))
    verification = verify(vector.with_items((*vector.endorsements, own)))
    assert verification.problems == ()
    assert ("intel.pck_same_leaf" in passed(verification)) == (origin is Origin.PEER)
    assert {use.kind: use.origin for use in verification.endorsements_used}[K.INTEL_PCK_CHAIN] == "evidence"
    verification = verify(vector.with_items((*vector.endorsements, other)))
    if origin is Origin.PEER:
        assert labels(verification) == {"certificate_chain"}
        assert verification.checks[-1].id == "intel.pck_same_leaf"
    else:
        # This side may hold chains of a whole fleet: they stand neither for nor against this quote.
        assert verification.problems == ()
    assert verify(vector.with_items((*vector.endorsements, other, own))).problems == ()
    # One that cannot be read counts as absent.
    broken = replace(other, data=b"x")
    assert verify(vector.with_items((*vector.endorsements, broken))).problems == ()


def test_pck_chain_that_the_quote_does_not_carry() -> None:
    settings = {"certification_data_type": 1}
    evidence = collected(**settings).evidence
    items = items_of(**settings)
    chain = only(K.INTEL_PCK_CHAIN, items)
    verification = judge(items, evidence=evidence)
    assert verification.problems == ()
    assert {use.kind: use.origin for use in verification.endorsements_used}[K.INTEL_PCK_CHAIN] == "local"
    # Among chains of other platforms the QE report's signature tells which one it is.
    others = (chain_of(PHALA_TDX), chain_of(OUTDATED))
    assert judge((*others, *items), evidence=evidence).problems == ()
    absent = judge((*others, *without(K.INTEL_PCK_CHAIN, items)), evidence=evidence)
    assert labels(absent) == {"endorsements_missing"}
    (problem,) = absent.problems
    assert problem.missing is not None
    assert problem.missing.kind is K.INTEL_PCK_CHAIN
    assert [name for name, _ in problem.missing.key] == ["ppid", "cpusvn", "pcesvn", "pceid", "qeid"]
    assert "none of 2 PCK certificates" in problem.error.message
    assert not {"intel.qe_report_signature", "intel.pck_chain"} & passed(absent)
    # It is verified as one inside a quote would be.
    broken = replace(chain, issuer_chain=chain.issuer_chain[:1])
    assert labels(judge((*without(K.INTEL_PCK_CHAIN, items), broken), evidence=evidence)) == {"certificate_chain"}


def quote_with_leaf_alone(vector_id: str) -> Any:
    """Rewrite certification data of type 5 to type 4: the PCK certificate without its issuers."""
    vector = load(vector_id)
    quote = verifier_of(vector).decode(vector.evidence).structure.quote
    certification = quote.signature_data.certification
    end = certification.data.index(b"-----END CERTIFICATE-----") + len(b"-----END CERTIFICATE-----\n")
    signature_data = replace(
        quote.signature_data, certification=replace(certification, type=4, data=certification.data[:end])
    ).to_bytes(version=quote.header.version)
    return vector.with_data(quote.signed + len(signature_data).to_bytes(4, "little") + signature_data)


@pytest.mark.parametrize("vector_id", [PHALA_SGX, PHALA_TDX])
def test_pck_certificate_without_its_issuers(vector_id: str) -> None:
    vector = quote_with_leaf_alone(vector_id)
    verification = verify(vector)
    assert labels(verification) == {"endorsements_missing"}
    assert "intel.qe_report_signature" in passed(verification)
    (problem,) = verification.problems
    assert problem.missing is not None
    assert [name for name, _ in problem.missing.key] == ["leaf_sha256", "issuer"]
    assert verify(vector.with_items((*vector.endorsements, chain_of(vector_id)))).problems == ()
    other = chain_of(PHALA_SGX if vector_id == PHALA_TDX else PHALA_TDX)
    assert labels(verify(vector.with_items((*vector.endorsements, other)))) == {"endorsements_missing"}
