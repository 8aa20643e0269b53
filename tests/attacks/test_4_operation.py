"""Attacks on the operation of a verifier. Numbers are those of docs/attacks.md; 4.3 is in
test_memory_of_appraisals and test_memory_of_verifiers.

More of 4.5 is in test_4_bounds and test_channel, 4.1 in test_rollback, 4.2 to 4.5 where Endorsements are looked up in
test_4_endorsements, 4.8 in test_channel; 4.6 needs Attestation Results from peers, which are not taken.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import cbor2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from rats_tls.appraisal import Appraiser
from rats_tls.certificates.making import make_certificate
from rats_tls.certificates.registry import read_attested_certificate
from rats_tls.core.algorithms import KeyAlgorithm
from rats_tls.core.anchors import TrustAnchor
from rats_tls.core.claims import NullClaims
from rats_tls.core.endorsements import EndorsementKind, Endorsements, Origin
from rats_tls.core.errors import (
    AppraisalError,
    CertificateChainError,
    ConfigurationError,
    DecodeError,
    EndorsementMissingError,
    ExpiredError,
    InternalError,
    RatsTlsError,
    UnsupportedError,
)
from rats_tls.core.evidence import TeeType
from rats_tls.core.interfaces import CryptoWrapper
from rats_tls.core.limits import DEFAULT_LIMITS, Limits
from rats_tls.core.refusals import Refusal, WireCode
from rats_tls.core.verification import DecodedEvidence, Verification
from rats_tls.crypto_wrappers.openssl import OpensslCryptoWrapper
from rats_tls.formats.x509 import certificates_from_pem
from rats_tls.policy import ANY, Policy
from rats_tls.preamble.endorsements import EndorsementsMessage
from rats_tls.preamble.frames import FrameType
from rats_tls.preamble.hello import Hello
from rats_tls.simulation.vendor_state import SignedItem
from rats_tls.tls_wrappers.null import NullTlsWrapper
from rats_tls.verifiers.sgx_ecdsa import SgxEcdsaVerifier
from support.appraisals import claims_of
from support.instances import CRYPTO_WRAPPERS
from support.judged import appraise, appraiser, collected, judge, presented
from support.policies import pinning_entry
from support.ratls_variants import GOOD, make, variants
from support.scripted import ScriptedPeer
from support.sides import ALL_SIMULATED, SGX, SNP, TDX, policy_for
from support.simulated import NOW, world

CRYPTO = OpensslCryptoWrapper()
EVERY_TEE = pytest.mark.parametrize("name", ALL_SIMULATED)
DAY = timedelta(days=1)
LISTS = (EndorsementKind.INTEL_PCK_CRL, EndorsementKind.INTEL_ROOT_CRL, EndorsementKind.AMD_CRL)


def outcome(certificate: bytes, *, limits: Limits = DEFAULT_LIMITS) -> Any:
    """Judge a certificate with simulated TDX Evidence of any age."""
    judging = appraiser(world().attester(TDX).endorsements, policy_for(TDX, max_evidence_age=ANY), limits=limits)
    return judge(judging, certificate)


def refused(certificate: bytes, error: type[RatsTlsError], message: str, **settings: Any) -> None:
    with pytest.raises(error, match=message):
        outcome(certificate, **settings)


# --- 4.1, 4.2 clock and network --------------------------------------------------------------------------------------
@EVERY_TEE
def test_4_1_a_clock_put_back_or_forward_refuses(name: str) -> None:
    evidence, endorsements = collected(name)
    for now in (NOW - 5 * DAY, NOW + 31 * DAY):
        with pytest.raises(ExpiredError):
            appraise(evidence, endorsements, policy_for(name), now=now)


def test_4_1_a_floor_in_the_policy_needs_no_clock() -> None:
    evidence, endorsements = collected(TDX)
    assert appraise(evidence, endorsements, policy_for(TDX, min_tcb_evaluation_data_number=18)).verdict == "accepted"
    with pytest.raises(AppraisalError) as caught:
        appraise(evidence, endorsements, policy_for(TDX, min_tcb_evaluation_data_number=19))
    assert [mismatch.field for mismatch in caught.value.mismatches] == ["min_tcb_evaluation_data_number"]


@EVERY_TEE
def test_4_2_without_endorsements_there_is_no_acceptance(name: str) -> None:
    evidence, _ = collected(name)
    with pytest.raises(EndorsementMissingError):
        appraise(evidence, None, policy_for(name))


@EVERY_TEE
def test_4_2_each_missing_list_is_a_refusal_unless_an_entry_waives_it(name: str) -> None:
    evidence, endorsements = collected(name)
    without = Endorsements(tuple(item for item in endorsements if item.kind not in LISTS))
    with pytest.raises(EndorsementMissingError) as caught:
        appraise(evidence, without, policy_for(name))
    assert {item.kind for item in caught.value.missing} == {item.kind for item in endorsements if item.kind in LISTS}
    waived = appraise(evidence, without, policy_for(name, revocation="not-checked"))
    assert {check.id for check in waived.not_checked} >= ({"amd.crl"} if name == SNP else {"intel.pck_crl"})


@EVERY_TEE
def test_4_2_what_one_entry_waives_another_still_demands(name: str) -> None:
    evidence, endorsements = collected(name)
    without = Endorsements(tuple(item for item in endorsements if item.kind not in LISTS))
    claims: Any = claims_of(evidence.data)
    strict = pinning_entry(claims, name="strict")
    other = {SGX: "mr_enclave", TDX: "mr_td", SNP: "measurement"}[name]
    lax = {"name": "lax", "revocation": "not-checked"}
    elsewhere = pinning_entry(claims, **lax, **{other: bytes(len(getattr(claims, other)))})
    with pytest.raises(EndorsementMissingError) as caught:
        appraise(evidence, without, Policy.of(strict, elsewhere))
    assert {item.kind for item in caught.value.missing} <= set(LISTS)
    assert caught.value.missing
    assert appraise(evidence, without, Policy.of(strict, pinning_entry(claims, **lax))).policy_entry == "lax"


@EVERY_TEE
def test_4_2_what_is_waived_is_the_list_and_never_what_it_says(name: str) -> None:
    """An expired list is waived; a certificate that it names stays refused, and a forged list is none."""
    waiving = policy_for(name, revocation="not-checked")
    item, listed = {SGX: ("intel-pck-crl", "intel-pck"), TDX: ("intel-root-crl", "intel-intermediate")}.get(
        name, ("amd-crl", "amd-signer")
    )
    evidence, endorsements = collected(name, expired={SignedItem(item)})
    assert appraise(evidence, endorsements, waiving).verdict == "accepted"
    with pytest.raises(ExpiredError):
        appraise(evidence, endorsements, policy_for(name))
    evidence, endorsements = collected(name, expired={SignedItem(item)}, revoked={SignedItem(listed)})
    with pytest.raises(RatsTlsError) as caught:
        appraise(evidence, endorsements, waiving)
    assert caught.value.refusal is Refusal.REVOKED
    evidence, endorsements = collected(name, forged={SignedItem(item)})
    with pytest.raises(CertificateChainError):
        appraise(evidence, endorsements, waiving)


@EVERY_TEE
def test_4_3_documents_of_another_platform_or_from_a_forger_never_stand_in_the_way(name: str) -> None:
    """A peer sends, beside the right ones, wrong and foreign Endorsements of every kind, before and behind them."""
    evidence, own = collected(name)
    foreign = collected(name, **({"product": "Genoa"} if name == SNP else {"fmspc": b"SIM\0\0\1"}))[1]
    garbage = [
        replace(item, origin=Origin.PEER, data=data)
        for item in own
        for data in (b"", b"\x30\x80", item.data[:-1], item.data[:-1] + bytes([item.data[-1] ^ 1]))
    ]
    as_peers = [replace(item, origin=Origin.PEER) for item in own]
    theirs = [replace(item, origin=Origin.PEER) for item in foreign]
    for pool in ((*garbage, *theirs, *own), (*own, *theirs, *garbage), (*theirs, *garbage, *as_peers)):
        assert appraise(evidence, Endorsements(pool), policy_for(name)).verdict == "accepted"
    # And none of them is taken for a right one.
    needed = {item.kind for item in own} - {EndorsementKind.INTEL_PCK_CHAIN, EndorsementKind.AMD_ROOT}
    for kind in needed:
        without = [item for item in (*as_peers, *theirs, *garbage) if item.kind is not kind or item in garbage]
        with pytest.raises((EndorsementMissingError, CertificateChainError)) as caught:
            appraise(evidence, Endorsements(tuple(without)), policy_for(name))
        if isinstance(caught.value, EndorsementMissingError):
            assert [item.kind for item in caught.value.missing] == [kind]


def test_4_3_a_peers_list_of_a_lower_number_never_stands_in_for_one_at_hand() -> None:
    """This side's list has expired; the peer sends one of a lower number that is in date."""
    evidence, endorsements = collected(SNP)
    (older,) = endorsements.of_kind(EndorsementKind.AMD_CRL)
    # A list that names another certificate has a higher number.
    (newer,) = collected(SNP, key_type="VLEK", revoked={SignedItem.AMD_SIGNER}, expired={SignedItem.AMD_CRL})[
        1
    ].of_kind(EndorsementKind.AMD_CRL)
    others = [item for item in endorsements if item is not older]
    peers = replace(older, origin=Origin.PEER)
    assert appraise(evidence, Endorsements((*others, peers)), policy_for(SNP)).verdict == "accepted"
    with pytest.raises(ExpiredError):
        appraise(evidence, Endorsements((*others, newer, peers)), policy_for(SNP))


# --- 4.5 sizes, and what plug-ins do ---------------------------------------------------------------------------------
def test_4_5_a_certificate_is_bounded_when_read_and_when_made() -> None:
    der = make(GOOD)
    assert read_attested_certificate(der, limits=Limits(certificate_read=len(der))).evidence is not None
    with pytest.raises(DecodeError, match=f"at most {len(der) - 1} are read"):
        read_attested_certificate(der, limits=Limits(certificate_read=len(der) - 1))
    key = CRYPTO.generate_key(KeyAlgorithm.EC_P256)
    settings: dict[str, Any] = {"now": NOW, "lifetime_seconds": 60.0}
    made = make_certificate(key, None, b"", CRYPTO, **settings)
    with pytest.raises(ConfigurationError, match="are made"):
        make_certificate(key, None, b"", CRYPTO, **settings, limits=Limits(certificate_made=len(made.der) - 10))


def test_4_5_bare_evidence_is_bounded_before_a_verifier_sees_it() -> None:
    evidence, endorsements = collected(TDX)
    with pytest.raises(DecodeError, match="are read"):
        appraise(evidence, endorsements, policy_for(TDX), limits=Limits(evidence=len(evidence.data) - 1))


def test_4_5_custom_claims_are_bounded() -> None:
    def with_claims(count: int) -> bytes:
        more = [(cbor2.dumps(f"claim {number}"), cbor2.dumps(b"x")) for number in range(count)]
        return make(replace(GOOD, pairs=lambda pairs: [pairs[0], *more], claims=many_claims))

    def many_claims(pairs: list[tuple[bytes, bytes]]) -> bytes:
        return b"\xb8" + bytes([len(pairs)]) + b"".join(a + b for a, b in pairs)

    most = DEFAULT_LIMITS.custom_claims
    assert len(outcome(with_claims(most)).custom_claims) == most
    refused(with_claims(most + 3), DecodeError, f"at most {most} custom ones")


def test_4_5_endorsements_in_a_certificate_are_bounded() -> None:
    der = make(variants()["endorsement_ok_shape"])
    assert outcome(der).verdict == "accepted"
    refused(der, DecodeError, "EndorsementsExtension: got", limits=Limits(endorsement_document=1000))


@pytest.mark.parametrize("nested", [b"\x81" * 100, b"\xa1\x00" * 100, b"\xc1" * 100], ids=["array", "map", "tag"])
def test_4_5_depth_is_bounded(nested: bytes) -> None:
    refused(make(replace(GOOD, item=lambda *_: nested + b"\0")), DecodeError, "nested deeper than 8")


@pytest.mark.parametrize(
    ("head", "message"),
    [(b"\x9b", "items announced"), (b"\xbb", "items announced"), (b"\x5b", "need"), (b"\x7b", "need")],
    ids=["array", "map", "bytes", "text"],
)
def test_4_5_a_count_beyond_the_bytes_is_refused_before_anything_is_made_for_it(head: bytes, message: str) -> None:
    huge = b"\xd9\xea\x60" + head + b"\x00\xff\xff\xff\xff\xff\xff\xff"
    refused(make(replace(GOOD, item=lambda *_: huge)), DecodeError, message)


def test_4_5_messages_do_not_repeat_what_they_are_about() -> None:
    """The library names the labels that it found in PEM, whatever their length."""
    for begin, end in (("X" * 9000, "CERTIFICATE"), ("CERTIFICATE", "Y" * 9000)):
        pem = f"-----BEGIN {begin}-----\nAAAA\n-----END {end}-----\n".encode()
        with pytest.raises(DecodeError) as caught:
            certificates_from_pem(pem)
        assert len(caught.value.message) < 2000


def test_4_5_messages_are_short_whatever_a_peer_calls_itself() -> None:
    subject, issuer = (x509.Name([x509.NameAttribute(NameOID.TITLE, letter * 20_000)]) for letter in "si")
    with pytest.raises(CertificateChainError, match="issuer") as caught:
        outcome(make(replace(GOOD, subject=subject, issuer=issuer)))
    assert len(caught.value.message) < 2000
    claim = (cbor2.dumps("c" * 20_000), cbor2.dumps(b""))
    with pytest.raises(DecodeError, match="twice") as repeated:
        outcome(make(replace(GOOD, pairs=lambda pairs: [*pairs, claim, claim])))
    assert len(repeated.value.message) < 2000


@pytest.mark.parametrize("bits", [16_384, 17_000])
def test_4_5_a_huge_rsa_key_costs_little_and_raises_our_errors(bits: int) -> None:
    """Nobody needs a private key for this: the key is not even loaded."""
    public = rsa.RSAPublicNumbers((1 << 64) - 59, (1 << bits) - 1).public_key()
    spki = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    for crypto in CRYPTO_WRAPPERS:
        started = time.process_time()
        with pytest.raises(UnsupportedError, match=f"RSA key: got {bits} bits, expected 2048 to 8192"):
            crypto.load_public_key(spki)
        assert time.process_time() - started < 1


def test_4_5_a_hello_that_announces_thousands_of_kinds_is_read_in_no_time() -> None:
    """Each document of the Endorsements message is looked up among those that hello announced."""
    kinds = tuple(f"{number:x}" for number in range(3500))
    assert len(Hello(attests=True, demands=True, endorsements=kinds).to_bytes()) <= 16_384
    peer = ScriptedPeer(NullTlsWrapper(), "client")
    peer.hello(endorsements=kinds)
    started = time.process_time()
    peer.frame(FrameType.ENDORSEMENTS, EndorsementsMessage(dict.fromkeys(kinds, b"")).to_bytes())
    assert peer.asked is None
    assert peer.error is None
    assert time.process_time() - started < 5


class OddVerifier:
    """A third party's Verifier that gives something else than the Protocol says."""

    name = "sgx_ecdsa"
    tee_type = TeeType.SGX_ECDSA

    def __init__(self, given: Any) -> None:
        self._given = given

    def decode(self, evidence: Any) -> DecodedEvidence:
        return SgxEcdsaVerifier().decode(evidence)

    def verify(
        self,
        decoded: DecodedEvidence,
        endorsements: Endorsements,
        *,
        anchors: Sequence[TrustAnchor],
        crypto: CryptoWrapper,
        now: datetime,
    ) -> Verification:
        verification = SgxEcdsaVerifier().verify(decoded, endorsements, anchors=anchors, crypto=crypto, now=now)
        given: Verification = self._given(verification)
        return given


@pytest.mark.parametrize(
    "given",
    [
        lambda _: None,
        lambda verification: replace(verification, claims=None),
        lambda verification: replace(verification, claims=NullClaims()),
        lambda verification: replace(verification, claims=claims_of(collected(TDX)[0].data)),
        lambda verification: replace(verification, problems=("wrong",)),
        lambda verification: replace(verification, checks=None),
    ],
    ids=["nothing", "no claims", "null claims", "claims of another TEE", "no problems", "no checks"],
)
def test_4_5_a_verifier_that_gives_something_else_is_a_refusal(given: Any) -> None:
    evidence, endorsements = collected()
    verifiers = {TeeType.SGX_ECDSA: OddVerifier(given)}
    policy = Policy.of(*policy_for(SGX).entries, pinning_entry(claims_of(collected(TDX)[0].data), name="trust domain"))
    with pytest.raises(InternalError) as caught:
        appraise(
            evidence,
            endorsements,
            policy,
            verifiers={**verifiers, TeeType.TDX_ECDSA: OddVerifier(given)},
        )
    assert caught.value.refusal is Refusal.VERIFIER_FAILED
    assert caught.value.refusal.wire_code is WireCode.APPRAISAL


def test_4_5_a_policy_needs_a_verifier_for_each_tee_that_it_names() -> None:
    policy = policy_for(SGX)
    with pytest.raises(ConfigurationError, match="without a Verifier here: sgx_ecdsa"):
        Appraiser(policy, verifiers={}, anchors=world().trust_anchors, crypto=CRYPTO)


# --- 4.7 what is accepted is written ---------------------------------------------------------------------------------
def test_4_7_an_empty_policy_is_an_error() -> None:
    for make_policy in (Policy.of, lambda: Policy(()), lambda: Policy.from_toml("version = 1\n")):
        with pytest.raises(ConfigurationError):
            make_policy()


@EVERY_TEE
def test_4_7_each_accepted_measurement_is_listed(name: str) -> None:
    evidence, endorsements = collected(name)
    field = {SGX: "mr_enclave", TDX: "mr_td", SNP: "measurement"}[name]
    with pytest.raises(AppraisalError) as caught:
        appraise(evidence, endorsements, policy_for(name, **{field: bytes(32 if name == SGX else 48)}))
    assert [mismatch.field for mismatch in caught.value.mismatches] == [field]
    with pytest.raises(ConfigurationError, match=field):
        policy_for(name, **{field: ()})


@EVERY_TEE
def test_4_8_a_peer_is_told_the_same_whatever_was_wrong(name: str) -> None:
    certificate, endorsements = presented(name)
    judging = [
        appraiser(None, policy_for(name)),
        appraiser(endorsements, policy_for(name, bindings="none")),
        appraiser(endorsements, policy_for(name), anchors=()),
        appraiser(endorsements, policy_for(next(other for other in ALL_SIMULATED if other != name))),
    ]
    codes = set()
    for judge_of in judging:
        with pytest.raises(RatsTlsError) as caught:
            judge(judge_of, certificate)
        codes.add(caught.value.refusal.wire_code)
    assert codes == {WireCode.APPRAISAL}
