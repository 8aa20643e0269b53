"""Endorsements verified by themselves: authentic, in date, unrevoked, not rolled back; found by what they are about."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes

from rats_tls.core.anchors import TrustAnchor
from rats_tls.core.endorsements import Endorsement, EndorsementKind, Endorsements, MissingEndorsement
from rats_tls.core.errors import CertificateChainError, ExpiredError, RatsTlsError, RevokedError, RolledBackError
from rats_tls.core.floors import NO_FLOORS, Floor, Floors
from rats_tls.core.verification import RefusedEndorsement, VerifiedEndorsement
from rats_tls.formats.endorsement_keys import keys_of
from rats_tls.registry import verifier
from rats_tls.simulation.vendor_state import SignedItem
from rats_tls.verifiers.endorsements import VendorEndorsementsVerifier
from rats_tls.verifiers.vendor_roots import VENDOR_ROOTS
from support import amd, intel
from support.intel import CRYPTO, PHALA_SGX, PHALA_TDX, SPR_E4
from support.intel_pki import PLATFORM_CA, ROOT, anchor_of, certificate, key, revocation_list
from support.sides import SGX, SNP, TDX
from support.simulated import NOW, REPORT_DATA, world

K = EndorsementKind
Outcome = VerifiedEndorsement | RefusedEndorsement


def items_of(name: str, **settings: Any) -> tuple[Endorsement, ...]:
    return tuple(world().attester(name, **settings).collect(REPORT_DATA).endorsements)


def verified(
    items: Iterable[Endorsement],
    *,
    now: datetime = NOW,
    anchors: tuple[TrustAnchor, ...] | None = None,
    floors: Floors = NO_FLOORS,
) -> dict[EndorsementKind, Outcome]:
    given = tuple(items)
    trusted = world().trust_anchors if anchors is None else anchors
    outcomes = VendorEndorsementsVerifier(trusted, CRYPTO)(given, now=now, floors=floors)
    assert [outcome.item for outcome in outcomes] == list(given)
    return {outcome.item.kind: outcome for outcome in outcomes}


def error_of(outcome: Outcome) -> RatsTlsError | None:
    return outcome.error if isinstance(outcome, RefusedEndorsement) else None


@pytest.mark.parametrize("vector_id", [PHALA_SGX, PHALA_TDX, SPR_E4])
def test_real_documents_and_lists_are_found_by_what_a_quote_misses(vector_id: str) -> None:
    vector = intel.load(vector_id)
    outcomes = verified(vector.endorsements, now=vector.now, anchors=VENDOR_ROOTS)
    assert {error_of(outcome) for outcome in outcomes.values()} == {None}
    missed = {
        problem.missing for problem in intel.verify(vector.with_items(())).problems if problem.missing is not None
    }
    found = {key for outcome in outcomes.values() if isinstance(outcome, VerifiedEndorsement) for key in outcome.keys}
    assert len(missed) >= 2
    assert missed <= found


@pytest.mark.parametrize("vector_id", [amd.TRUSTEE_MILAN, amd.TRUSTEE_GENOA, amd.VERAISON_GENOA])
def test_real_certificates_are_found_by_what_a_report_misses(vector_id: str) -> None:
    vector = amd.load(vector_id)
    outcomes = verified(vector.endorsements, now=vector.now, anchors=VENDOR_ROOTS)
    assert {error_of(outcome) for outcome in outcomes.values()} == {None}
    missed = {p.missing for p in amd.verify(vector.with_items(())).problems if p.missing is not None}
    found = {key for outcome in outcomes.values() if isinstance(outcome, VerifiedEndorsement) for key in outcome.keys}
    assert {item for item in missed if item.kind is K.AMD_VEK} & found


@pytest.mark.parametrize("name", [SGX, TDX, SNP])
def test_what_a_simulated_tee_needs_is_found_by_what_it_misses(name: str) -> None:
    collected = world().attester(name).collect(REPORT_DATA)
    outcomes = verified(collected.endorsements)
    assert {error_of(outcome) for outcome in outcomes.values()} == {None}
    chosen = verifier(name.removeprefix("simulated_"))
    found: dict[MissingEndorsement, Endorsement] = {
        key: outcome.item
        for outcome in outcomes.values()
        if isinstance(outcome, VerifiedEndorsement)
        for key in outcome.keys
    }
    pool: tuple[Endorsement, ...] = ()
    for _ in range(4):
        verification = chosen.verify(
            chosen.decode(collected.evidence),
            Endorsements(pool),
            anchors=world().trust_anchors,
            crypto=CRYPTO,
            now=NOW,
        )
        missed = [problem.missing for problem in verification.problems if problem.missing is not None]
        pool += tuple(found[item] for item in missed)
        if not missed:
            break
    assert verification.problems == ()


@pytest.mark.parametrize("name", [SGX, SNP])
def test_under_other_anchors_nothing_is_authentic(name: str) -> None:
    outcomes = verified(items_of(name), anchors=VENDOR_ROOTS)
    assert {type(error_of(outcome)) for outcome in outcomes.values()} == {CertificateChainError}


@pytest.mark.parametrize("name", [SGX, TDX, SNP])
def test_every_changed_byte_is_seen(name: str) -> None:
    """In what is signed, and in the signature; a few hundred of each."""
    items = items_of(name)
    for item in items:
        others = tuple(other for other in items if other is not item)
        for at in range(0, len(item.data), max(1, len(item.data) // 100)):
            data = bytearray(item.data)
            data[at] ^= 1
            changed = replace(item, data=bytes(data))
            assert isinstance(verified((changed, *others))[item.kind], RefusedEndorsement), (item.kind, at)
        if item.signature:
            changed = replace(item, signature=item.signature[:-1] + bytes((item.signature[-1] ^ 1,)))
            assert isinstance(verified((changed, *others))[item.kind], RefusedEndorsement)
            assert isinstance(verified((replace(item, issuer_chain=()), *others))[item.kind], RefusedEndorsement)


@pytest.mark.parametrize(
    ("name", "signed", "kind"),
    [
        (SGX, SignedItem.INTEL_TCB_INFO, K.INTEL_TCB_INFO),
        (SGX, SignedItem.INTEL_QE_IDENTITY, K.INTEL_QE_IDENTITY),
        (SGX, SignedItem.INTEL_ROOT_CRL, K.INTEL_ROOT_CRL),
        (SGX, SignedItem.INTEL_PCK_CRL, K.INTEL_PCK_CRL),
        (SNP, SignedItem.AMD_CRL, K.AMD_CRL),
        (SNP, SignedItem.AMD_SIGNER, K.AMD_SIGNER),
        (SNP, SignedItem.AMD_VEK, K.AMD_VEK),
    ],
)
def test_what_is_forged_or_out_of_date_is_refused(name: str, signed: SignedItem, kind: EndorsementKind) -> None:
    assert isinstance(error_of(verified(items_of(name, forged={signed}))[kind]), CertificateChainError)
    for dates in ("expired", "not_yet_valid"):
        outcomes = verified(items_of(name, **{dates: {signed}}))
        assert isinstance(error_of(outcomes[kind]), ExpiredError), dates


@pytest.mark.parametrize(
    ("name", "revoked", "kinds"),
    [
        (SGX, SignedItem.INTEL_TCB_SIGNING, {K.INTEL_TCB_INFO, K.INTEL_QE_IDENTITY}),
        (SGX, SignedItem.INTEL_INTERMEDIATE, {K.INTEL_PCK_CRL}),
        (SNP, SignedItem.AMD_SIGNER, {K.AMD_SIGNER, K.AMD_VEK}),
    ],
)
def test_what_a_revoked_signer_signed_is_refused(name: str, revoked: SignedItem, kinds: set[EndorsementKind]) -> None:
    outcomes = verified(items_of(name, revoked={revoked}))
    refused = {kind for kind, outcome in outcomes.items() if isinstance(error_of(outcome), RevokedError)}
    assert refused == kinds


def test_a_vek_needs_its_signer_beside_it() -> None:
    items = tuple(item for item in items_of(SNP) if item.kind is not K.AMD_SIGNER)
    error = error_of(verified(items)[K.AMD_VEK])
    assert error is not None
    assert "SEV-Milan is not at hand" in str(error)


@pytest.mark.parametrize("name", [SGX, SNP])
def test_what_is_below_its_floor_is_refused(name: str) -> None:
    items = items_of(name)
    (anchor,) = {outcome.anchor for outcome in verified(items).values() if isinstance(outcome, VerifiedEndorsement)}
    late = Floor(number=0, issued=NOW + timedelta(days=1))
    reissued = [item for item in items if item.kind.is_reissued]
    floors = Floors({(anchor.fingerprint, str(key)): late for item in reissued for key in keys_of(item)})
    outcomes = verified(items, floors=floors)
    refused = {kind for kind, outcome in outcomes.items() if isinstance(error_of(outcome), RolledBackError)}
    assert refused == {item.kind for item in reissued}


def test_a_list_that_is_rolled_back_for_one_type_of_vek_is_good_for_the_other() -> None:
    """Lists for VCEK and VLEK may be numbered each for itself."""
    items = items_of(SNP)
    outcome = verified(items)[K.AMD_CRL]
    assert isinstance(outcome, VerifiedEndorsement)
    vcek, vlek = outcome.keys
    late = Floor(number=0, issued=NOW + timedelta(days=1))
    again = verified(items, floors=Floors({(outcome.anchor.fingerprint, str(vcek)): late}))[K.AMD_CRL]
    assert isinstance(again, VerifiedEndorsement)
    assert again.keys == (vlek,)


# --- lists in Intel's form, each detail of which is wrong once --------------------------------------------------------
def pki_root(**settings: Any) -> bytes:
    return certificate(ROOT, ROOT, ca=True, **settings)


def outcome_of(item: Endorsement) -> RatsTlsError | None:
    return error_of(verified((item,), anchors=(anchor_of(pki_root()),))[item.kind])


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({}, None),
        ({"number": None}, "crlNumber"),
        ({"authority_key_id": False}, "authorityKeyIdentifier"),
        ({"issuer_key": key("x")}, "signature"),
        ({"digest": hashes.SHA384()}, "signature algorithm"),
        ({"issuer": PLATFORM_CA}, "no anchor"),
    ],
)
def test_the_root_list_has_intels_form(settings: dict[str, Any], text: str | None) -> None:
    """No certificate of the root is needed: the anchor has its key."""
    item = Endorsement(kind=K.INTEL_ROOT_CRL, data=revocation_list(**{"issuer": ROOT, **settings}))
    error = outcome_of(item)
    assert (error is None) is (text is None)
    assert text is None or text in str(error)


@pytest.mark.parametrize(
    ("chain", "text"),
    [
        (("ca", "root"), None),
        (("ca of another", "root"), "signature"),
        (("ca", "another root"), "not a trust anchor"),
        (("root",), "got 1 certificates"),
        ((), "no certificate"),
        (("other ca", "root"), "common name"),
    ],
)
def test_the_list_of_a_pck_ca_leads_to_the_anchor(chain: tuple[str, ...], text: str | None) -> None:
    ders = {
        "ca": certificate(PLATFORM_CA, ROOT, ca=True),
        "ca of another": certificate(PLATFORM_CA, ROOT, ca=True, issuer_key=key("x")),
        "other ca": certificate("Test SGX Other CA", ROOT, ca=True),
        "root": pki_root(),
        "another root": pki_root(subject_key=key("y"), issuer_key=key("y")),
    }
    item = Endorsement(kind=K.INTEL_PCK_CRL, data=revocation_list(), issuer_chain=tuple(ders[name] for name in chain))
    error = outcome_of(item)
    assert (error is None) is (text is None), error
    assert text is None or text in str(error)
