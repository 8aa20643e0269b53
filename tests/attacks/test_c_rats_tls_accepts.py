"""Each certificate variant that was put to a C rats-tls, put to this one: one stated outcome each.

The C reader's answers were recorded with a verifier that checked only the binding; here the whole appraisal runs over
simulated evidence. Where the outcome differs from C's, the line says why.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import pytest

from rats_tls.core.endorsements import Endorsements
from rats_tls.core.errors import RatsTlsError
from support.appraisals import claims_of, make_appraiser
from support.paths import VECTORS
from support.policies import default_policy
from support.ratls_variants import endorsements, make, quote, variants
from support.simulated import NOW, world

NEEDS_VECTORS = True
ACCEPTED = "accepted"


@dataclass(frozen=True)
class Outcome:
    """Outcome here; `why` is given where the C reader (with `-v tdx_ecdsa`) decides otherwise."""

    label: str
    message: str = ""
    why: str = ""


OUTCOMES = {
    "good": Outcome(ACCEPTED),
    "good_256byte_trailing_garbage_everywhere": Outcome(ACCEPTED),
    "subject_other_serial_random": Outcome(ACCEPTED),
    "evidence_ext_critical": Outcome(
        ACCEPTED, why="the specification wants it critical and C peers cannot read that; a known OID may be either"
    ),
    "unknown_critical_ext": Outcome("certificate_chain", "critical and unknown"),
    "unknown_noncritical_ext": Outcome(ACCEPTED),
    "expired": Outcome("freshness", "validity"),
    "not_yet_valid": Outcome("freshness", "validity"),
    "bad_self_signature": Outcome(
        "certificate_chain", "self-signature", why="C takes any signature; a certificate put together is refused here"
    ),
    "signed_by_other_key_same_names": Outcome(
        "certificate_chain", "self-signature", why="C takes any signature; a certificate put together is refused here"
    ),
    "issuer_differs": Outcome("certificate_chain", "issuer"),
    "no_ski_aki": Outcome(ACCEPTED),
    "keyusage_digsig_critical": Outcome(ACCEPTED),
    "keyusage_digsig_certsign": Outcome(ACCEPTED),
    "eku_clientauth_only": Outcome(
        ACCEPTED, why="C demands serverAuth of both sides; here a client's certificate may say that it is a client's"
    ),
    "ca_true": Outcome(ACCEPTED),
    "p384_key_sha256hash": Outcome(ACCEPTED),
    "p384_key_sha384hash": Outcome(ACCEPTED),
    "rsa2048_key": Outcome(ACCEPTED),
    "ed25519_key": Outcome(ACCEPTED),
    "hash_alg_512": Outcome(ACCEPTED),
    "hash_alg_id_0": Outcome("malformed_evidence", "hash id", why="id 0 names no hash; C reads it as SHA-256"),
    "hash_alg_id_10_sha3": Outcome("malformed_evidence", "hash id"),
    "hash_alg_id_as_uint16_encoding": Outcome(ACCEPTED),
    "hash_entry_3_elements": Outcome("malformed_evidence", "array of 3"),
    "pubkey_hash_wrong": Outcome("key_binding", "pubkey-hash"),
    "report_data_wrong": Outcome("key_binding", "report_data"),
    "report_data_tail_nonzero": Outcome(
        "key_binding", "report_data", why="C compares 32 bytes; all 64 are compared here"
    ),
    "claim_nonce_bytes": Outcome(ACCEPTED),
    "claim_text_value": Outcome("malformed_evidence", "byte string"),
    "claim_int_key": Outcome("malformed_evidence", "expected a text"),
    "claims_no_pubkey_hash": Outcome("malformed_evidence", "pubkey-hash"),
    "claims_duplicate_pubkey_hash_last_bad": Outcome("malformed_evidence", "twice"),
    "claims_duplicate_pubkey_hash_last_good": Outcome(
        "malformed_evidence", "twice", why="C takes the last of two; a map with a key twice is refused here"
    ),
    "array_3_elements": Outcome(
        "malformed_evidence", "array of 3", why="C logs the error and goes on; the format has exactly two items"
    ),
    "array_indefinite": Outcome("malformed_evidence", "indefinite"),
    "claims_map_indefinite": Outcome("malformed_evidence", "indefinite"),
    "untagged_array": Outcome("malformed_evidence", "tag"),
    "tag_60001": Outcome("unsupported_evidence", "60001"),
    "tag_61000_unassigned_in_range": Outcome("unsupported_evidence", "61000"),
    "tag_5_out_of_range": Outcome("unsupported_evidence", "5"),
    "octet_string_wrapped": Outcome("malformed_evidence", "tag"),
    "no_evidence": Outcome(
        "no_evidence", "no Evidence", why="C accepts the all-zero evidence it makes up; here none is none"
    ),
    "evidence_8208_bytes": Outcome(ACCEPTED),
    "evidence_8209_bytes": Outcome(ACCEPTED, why="C's buffer ends at 8,208 bytes; the limit here is 65,536"),
    "tdx_quote_v5": Outcome(ACCEPTED, why="C knows no version 5 quotes"),
    "endorsement_garbage": Outcome("malformed_evidence", "Endorsements"),
    "endorsement_ok_shape": Outcome(ACCEPTED, why="the C process aborts on well-formed Endorsements"),
    "endorsement_version_minimal_int": Outcome(ACCEPTED, why="C wants four bytes; the number is the same"),
    "endorsement_no_evidence": Outcome("malformed_evidence", "without Evidence"),
    "extra_chain_cert": Outcome(ACCEPTED),
    "leaf_signed_by_ca_in_chain": Outcome("certificate_chain", "issuer"),
}
MADE = variants()


def c_answers() -> dict[str, str]:
    """What the C reader did with `-v tdx_ecdsa`, by variant."""
    text = (VECTORS.parent / "reference" / "c-rats-tls-accepts.txt").read_text()
    rows = (line.split(" | ") for line in text.splitlines() if not line.startswith("#"))
    return {row[0]: row[2].strip() for row in rows}


def test_every_variant_of_the_list_is_made_and_has_an_outcome() -> None:
    assert set(c_answers()) == set(OUTCOMES) == set(MADE)


def test_a_line_says_why_exactly_where_the_outcome_differs_from_c() -> None:
    differs = {
        name for name, answer in c_answers().items() if (answer == "ACCEPT") != (OUTCOMES[name].label == ACCEPTED)
    }
    assert {name for name, outcome in OUTCOMES.items() if outcome.why} == differs


@pytest.mark.parametrize("name", OUTCOMES)
def test_outcome(name: str) -> None:
    policy = default_policy(claims_of(quote(bytes(64))), max_evidence_age="any")
    appraiser = make_appraiser(policy, Endorsements(endorsements()), anchors=world().trust_anchors)
    certificate = make(MADE[name])
    expected = OUTCOMES[name]
    if expected.label == ACCEPTED:
        result = appraiser.appraise_certificate(certificate, now=NOW, possession_proved=True, preamble=True)
        assert result.binding.value == "certificate"
        assert result.custom_claims == {"key_0": b"value_0\0"}
        return
    with pytest.raises(RatsTlsError, match=re.escape(expected.message)) as caught:
        appraiser.appraise_certificate(certificate, now=NOW, possession_proved=True, preamble=True)
    assert caught.value.refusal.label == expected.label


def test_without_issued_at_the_age_is_unknown_and_refused_by_default() -> None:
    policy = default_policy(claims_of(quote(bytes(64))))
    appraiser = make_appraiser(policy, Endorsements(endorsements()), anchors=world().trust_anchors)
    with pytest.raises(RatsTlsError, match="unknown") as caught:
        appraiser.appraise_certificate(make(MADE["good"]), now=NOW, possession_proved=True, preamble=True)
    assert caught.value.refusal.label == "freshness"
