"""Attacks on what ties Evidence to a peer, by the numbers of docs/attacks.md; 1.4, 1.7 to 1.9 are in test_channel.py.

1.3, 1.5 and 1.14 need the `session` binding, which is not built; what the `certificate` binding says of itself is here.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import timedelta

import cbor2
import pytest

from rats_tls.certificates.registry import read_attested_certificate
from rats_tls.core.claims import SnpClaims
from rats_tls.core.errors import AppraisalError, BindingError, ConfigurationError, FreshnessError
from rats_tls.core.limits import DEFAULT_LIMITS
from rats_tls.crypto_wrappers.null import NullCryptoWrapper
from rats_tls.policy import ANY, MEASUREMENT_ONLY, Policy
from support.judged import REPORT_DATA, appraise, appraiser, collected, judge, presented
from support.ratls_variants import GOOD, claims_map, make, pubkey_hash, quote, variants
from support.sides import ALL_SIMULATED, SGX, TDX, Clock, context, policy_for
from support.simulated import NOW, world

EVERY_TEE = pytest.mark.parametrize("name", ALL_SIMULATED)
SECOND = timedelta(seconds=1)
SKEW = timedelta(seconds=DEFAULT_LIMITS.clock_skew_seconds)


# --- 1.1 replay ------------------------------------------------------------------------------------------------------
def test_1_1_evidence_without_a_time_is_refused_unless_any_age_is_written() -> None:
    endorsements = world().attester(TDX).endorsements
    with pytest.raises(FreshnessError, match="unknown"):
        judge(appraiser(endorsements, policy_for(TDX)), make(GOOD))
    assert judge(appraiser(endorsements, policy_for(TDX, max_evidence_age=ANY)), make(GOOD)).issued_at is None


@pytest.mark.parametrize("age", [60, 3600])
def test_1_1_evidence_is_accepted_up_to_its_age_and_not_a_second_longer(age: int) -> None:
    certificate, endorsements = presented()
    policy = policy_for(SGX, max_evidence_age=age)
    assert judge(appraiser(endorsements, policy), certificate, now=NOW + age * SECOND).issued_at == NOW
    with pytest.raises(FreshnessError, match=f"at most pinned: {age} s"):
        judge(appraiser(endorsements, policy), certificate, now=NOW + (age + 1) * SECOND)


def test_1_1_evidence_from_the_future_is_refused_beyond_the_skew_whatever_its_age_may_be() -> None:
    certificate, endorsements = presented()
    judging = appraiser(endorsements, policy_for(SGX, max_evidence_age=ANY))
    assert judge(judging, certificate, now=NOW - SKEW).issued_at == NOW
    with pytest.raises(FreshnessError, match="later than now"):
        judge(judging, certificate, now=NOW - SKEW - SECOND)


@pytest.mark.parametrize("size", [0, 7, 9])
def test_1_1_issued_at_is_of_eight_bytes(size: int) -> None:
    claim = (cbor2.dumps("issued-at"), cbor2.dumps(bytes(size)))
    certificate = make(replace(GOOD, pairs=lambda pairs: [*pairs, claim]))
    judging = appraiser(world().attester(TDX).endorsements, policy_for(TDX, max_evidence_age=ANY))
    with pytest.raises(Exception, match=f"issued-at: got {size} bytes, expected 8"):
        judge(judging, certificate)


# --- 1.2, 1.12 which machine -----------------------------------------------------------------------------------------
def test_1_2_which_machine_has_to_be_written() -> None:
    text = policy_for(SGX).to_toml()
    assert f'identity = "{MEASUREMENT_ONLY}"' in text
    with pytest.raises(ConfigurationError, match="identity: not written"):
        Policy.from_toml(text.replace(f'identity = "{MEASUREMENT_ONLY}"\n', ""))


@EVERY_TEE
def test_1_2_another_key_than_the_pinned_one_is_refused(name: str) -> None:
    certificate, endorsements = presented(name)
    own = judge(appraiser(endorsements, policy_for(name)), certificate).spki_sha256
    assert own is not None
    pinned = policy_for(name, identity={"spki_sha256": [own]})
    assert judge(appraiser(endorsements, pinned), certificate).spki_sha256 == own
    # Anybody has the certificate: without proof that the peer holds its key, the pin does not hold.
    unbound = policy_for(name, identity={"spki_sha256": [own]}, bindings=("certificate", "none"))
    with pytest.raises(AppraisalError) as caught:
        judge(appraiser(endorsements, unbound), certificate, proved=False)
    assert [mismatch.field for mismatch in caught.value.mismatches] == ["identity"]
    assert caught.value.mismatches[0].got == "key none that the peer has proved to hold"
    other, _ = presented(name)
    with pytest.raises(AppraisalError) as caught:
        judge(appraiser(endorsements, pinned), other)
    assert [mismatch.field for mismatch in caught.value.mismatches] == ["identity"]


@EVERY_TEE
def test_1_12_another_machine_than_the_listed_ones_is_refused(name: str) -> None:
    evidence, endorsements = collected(name)
    claims = appraise(evidence, endorsements, policy_for(name)).claims
    for own in claims.hardware_ids or ():
        listed = policy_for(name, identity={"hardware_ids": [own]})
        assert appraise(evidence, endorsements, listed).verdict == "accepted"
    other = b"\1" * (64 if isinstance(claims, SnpClaims) else 16)
    with pytest.raises(AppraisalError) as caught:
        appraise(evidence, endorsements, policy_for(name, identity={"hardware_ids": [other]}))
    assert [mismatch.field for mismatch in caught.value.mismatches] == ["identity"]


# --- 1.3 relay -------------------------------------------------------------------------------------------------------
def test_1_3_a_result_of_the_certificate_binding_says_that_it_can_be_relayed() -> None:
    certificate, endorsements = presented()
    assert "relay" in judge(appraiser(endorsements), certificate).binding_note


def test_1_3_without_proof_of_the_key_nothing_is_bound_and_the_result_says_so() -> None:
    certificate, endorsements = presented()
    result = judge(appraiser(endorsements), certificate, proved=False)
    assert result.binding.value == "none"
    assert "binding.key" in {check.id for check in result.not_checked}
    with pytest.raises(AppraisalError) as caught:
        judge(appraiser(endorsements, policy_for(SGX, bindings="certificate")), certificate, proved=False)
    assert [mismatch.field for mismatch in caught.value.mismatches] == ["bindings"]


# --- 1.6 report_data -------------------------------------------------------------------------------------------------
@EVERY_TEE
@pytest.mark.parametrize("bit", [0, 255, 256, 511])
def test_1_6_every_bit_of_what_is_expected_counts(name: str, bit: int) -> None:
    evidence, endorsements = collected(name)
    wrong = bytearray(REPORT_DATA)
    wrong[bit // 8] ^= 1 << bit % 8
    with pytest.raises(BindingError):
        appraise(evidence, endorsements, policy_for(name), report_data=bytes(wrong))


@pytest.mark.parametrize("size", [0, 1, 32, 63, 65, 80, 128])
def test_1_6_expected_data_of_another_length_is_an_error_before_any_cryptography(size: int) -> None:
    """Also 2.8: longer data is not cut to the field. The crypto wrapper raises at the first signature."""
    evidence, endorsements = collected()
    with pytest.raises(ConfigurationError, match="expected 64"):
        appraise(evidence, endorsements, report_data=REPORT_DATA[:size].ljust(size, b"\0"), crypto=NullCryptoWrapper())


def test_1_6_no_evidence_carries_no_report_data() -> None:
    """A claims-buffer beside Evidence that says something else binds nothing: the signed report counts."""
    signed_elsewhere = make(replace(GOOD, quote=lambda _: quote(hashlib.sha256(b"app-data").digest().ljust(64, b"\0"))))
    with pytest.raises(BindingError, match="report_data"):
        judge(appraiser(world().attester(TDX).endorsements, policy_for(TDX, max_evidence_age=ANY)), signed_elsewhere)


# --- 1.10, 1.11 whose Evidence ---------------------------------------------------------------------------------------
@pytest.mark.parametrize("hashed", ["own", "others"])
def test_1_10_evidence_of_another_peer_is_of_no_use_in_ones_own_certificate(hashed: str) -> None:
    """With the other's claims-buffer the key is another; with a claims-buffer of one's own the signed report is."""
    theirs = claims_map([(cbor2.dumps("pubkey-hash"), cbor2.dumps(pubkey_hash(b"their key")))])
    stolen = quote(hashlib.sha256(theirs).digest().ljust(64, b"\0"))
    variant = replace(GOOD, quote=lambda _: stolen)
    if hashed == "others":
        variant = replace(variant, claims=lambda _: theirs)
    with pytest.raises(BindingError, match="pubkey-hash" if hashed == "others" else "report_data"):
        judge(appraiser(world().attester(TDX).endorsements, policy_for(TDX, max_evidence_age=ANY)), make(variant))


def test_1_11_a_callers_claims_never_stand_in_the_place_of_the_keys_hash() -> None:
    for name in ("pubkey-hash", "nonce", "issued-at"):
        with pytest.raises(ConfigurationError, match="reserved"):
            context(SGX, custom_claims={name: b"\x82\x01\x58\x20" + bytes(32)})._credentials.current()


# --- 1.13, 1.15 ------------------------------------------------------------------------------------------------------
def test_1_13_a_key_is_made_by_each_context_and_not_shown() -> None:
    one, two = context(SGX)._credentials.current(), context(SGX)._credentials.current()
    assert one.private_key != two.private_key
    assert "private_key" not in repr(one)


def test_1_13_a_clock_put_back_makes_no_old_key_young_again() -> None:
    clock = Clock()
    own = context(SGX, clock=clock)
    first = own._credentials.current()
    assert own._credentials.current() is first
    clock.now = NOW - SECOND
    second = own._credentials.current()
    assert second.private_key != first.private_key
    assert second.certificate is not None
    assert read_attested_certificate(second.certificate).issued_at == clock.now


def test_1_15_a_name_in_the_certificate_is_no_claim_and_no_nonce() -> None:
    named = make(variants()["subject_other_serial_random"])
    judging = appraiser(world().attester(TDX).endorsements, policy_for(TDX, max_evidence_age=ANY))
    assert judge(judging, named).custom_claims == judge(judging, make(GOOD)).custom_claims
