"""Certificates with Evidence: any change gives what the bytes say or our error, and what is made is read again."""

from __future__ import annotations

import contextlib
import functools
from datetime import UTC, datetime, timedelta

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rats_tls.appraisal import Appraiser
from rats_tls.certificates.attested import RESERVED_CLAIMS
from rats_tls.certificates.interoperable import EVIDENCE_OID, HASH_IDS
from rats_tls.certificates.making import make_certificate, make_claims_buffer
from rats_tls.certificates.registry import read_attested_certificate
from rats_tls.core.algorithms import HashAlgorithm, KeyAlgorithm
from rats_tls.core.binding import Binding
from rats_tls.core.endorsements import Endorsements
from rats_tls.core.errors import DecodeError, RatsTlsError
from rats_tls.core.evidence import EVIDENCE_NAMES, Evidence, TeeType
from rats_tls.core.interfaces import CertificateRequest
from rats_tls.core.limits import Limits
from rats_tls.core.results import AttestationResult
from support.appraisals import claims_of, make_appraiser
from support.channels import CRYPTO, key
from support.mutations import mutated
from support.odd_certificates import with_null_parameters
from support.policies import default_policy
from support.ratls_variants import endorsements as intel_endorsements
from support.ratls_variants import make, quote, variants
from support.simulated import NOW, world

KEY = key(KeyAlgorithm.EC_P256)
names = st.text(max_size=40).filter(lambda name: name not in RESERVED_CLAIMS)
claims = st.dictionaries(names, st.binary(max_size=60), max_size=6)
# Types with a tag of their own; SGX and TDX are told by the quote's header.
tees = st.sampled_from([row.tee_type for row in EVIDENCE_NAMES if row.cbor_tag not in (None, 60000)])
times = st.floats(0, 253_402_300_799).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))


@functools.cache
def certificates() -> tuple[bytes, ...]:
    made = variants()
    wanted = (
        "good",
        "good_256byte_trailing_garbage_everywhere",
        "claim_nonce_bytes",
        "endorsement_ok_shape",
        "no_evidence",
    )
    return (*(make(made[name]) for name in wanted), with_null_parameters(), certificate_of(simulated_snp()))


def judged_certificates() -> tuple[bytes, ...]:
    return (certificates()[0], with_null_parameters())


@functools.cache
def extensions() -> tuple[bytes, ...]:
    """Values of the Evidence extension with little Evidence, so that changes hit the envelope."""
    buffer = make_claims_buffer(KEY.public_key.spki, CRYPTO, custom_claims={"role": b"server"}, issued_at=NOW)
    return tuple(cbor2.dumps(cbor2.CBORTag(tag, [quote(bytes(64))[:60], buffer])) for tag in (60000, 0x1A7504))


def simulated_snp() -> Evidence:
    return world().attester("simulated_sev_snp").collect(bytes(64)).evidence


def certificate_of(evidence: Evidence | None, claims_buffer: bytes = b"", **more: object) -> bytes:
    buffer = claims_buffer or make_claims_buffer(KEY.public_key.spki, CRYPTO, issued_at=NOW)
    return make_certificate(KEY, evidence, buffer, CRYPTO, now=NOW, lifetime_seconds=3600, **more).der


@given(
    tees, st.binary(max_size=2000), claims, st.none() | times, st.none() | st.binary(max_size=64),
    st.sampled_from(sorted(HASH_IDS.values())),
)  # fmt: skip
def test_what_is_made_is_read_again(
    tee: TeeType,
    data: bytes,
    custom: dict[str, bytes],
    issued_at: datetime | None,
    nonce: bytes | None,
    algorithm: HashAlgorithm,
) -> None:
    spki = KEY.public_key.spki
    buffer = make_claims_buffer(
        spki, CRYPTO, hash_algorithm=algorithm, custom_claims=custom, issued_at=issued_at, nonce=nonce
    )
    found = read_attested_certificate(certificate_of(Evidence.of(tee, data), buffer))
    assert found.evidence == Evidence.of(tee, data)
    assert (found.claims_buffer, found.trailing_bytes) == (buffer, (0, 0, 0))
    assert (found.custom_claims, list(found.custom_claims)) == (custom, list(custom))
    assert (found.nonce, found.pubkey_hash) == (nonce, (algorithm, CRYPTO.digest(algorithm, spki)))
    assert found.issued_at == (issued_at.replace(microsecond=0) if issued_at is not None else None)
    assert (found.certificate.not_before, found.certificate.not_after) == (
        NOW - timedelta(hours=1),
        NOW + timedelta(hours=1),
    )


@given(mutated(certificates))
@settings(max_examples=200)
def test_any_change_of_a_certificate(data: bytes) -> None:
    with contextlib.suppress(RatsTlsError):
        found = read_attested_certificate(data)
        assert found.certificate.der == data
        assert found.claims_buffer in data
        if found.evidence is not None:
            assert found.evidence.data in data
            assert found.pubkey_hash is not None


@given(mutated(extensions) | st.binary(max_size=200))
@settings(max_examples=200)
def test_any_bytes_as_the_evidence_extension(value: bytes) -> None:
    request = CertificateRequest(
        organization="Test",
        common_name="peer",
        serial=1,
        not_before=NOW - timedelta(days=1),
        not_after=NOW + timedelta(days=1),
        extensions=((EVIDENCE_OID, value),),
    )
    der = CRYPTO.self_signed_certificate(KEY, request)
    try:
        found = read_attested_certificate(der)
    except RatsTlsError:
        return
    # The extension is there, so it never counts as a certificate without Evidence.
    assert found.evidence is not None
    item = cbor2.loads(value[: len(value) - found.trailing_bytes[0]])
    assert list(item.value) == [found.evidence.data, found.claims_buffer]


@given(st.integers(1, 70_000))
@settings(max_examples=20)
def test_size_is_bounded(size: int) -> None:
    der = certificates()[0]
    limits = Limits(certificate_read=size)
    if len(der) <= size:
        assert read_attested_certificate(der, limits=limits).evidence is not None
        return
    with pytest.raises(DecodeError, match=f"at most {size} are read"):
        read_attested_certificate(der, limits=limits)


@functools.cache
def appraiser() -> Appraiser:
    policy = default_policy(claims_of(quote(bytes(64))), max_evidence_age="any")
    return make_appraiser(policy, Endorsements(intel_endorsements()), anchors=world().trust_anchors)


def judged(data: bytes) -> AttestationResult:
    return appraiser().appraise_certificate(data, now=NOW, possession_proved=True, preamble=True)


def test_the_unchanged_certificates_are_accepted() -> None:
    for data in judged_certificates():
        assert judged(data).binding is Binding.CERTIFICATE


@given(mutated(judged_certificates))
def test_no_changed_certificate_is_accepted(data: bytes) -> None:
    if data in judged_certificates():
        return
    with pytest.raises(RatsTlsError):
        judged(data)
