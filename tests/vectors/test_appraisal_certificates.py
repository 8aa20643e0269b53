"""What the manifest asserts of real certificates that carry evidence, through the whole appraisal."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography import x509

from rats_tls.certificates.attested import AttestedCertificate
from rats_tls.certificates.binding import verify_certificate_key_binding
from rats_tls.certificates.interoperable import EVIDENCE_OID
from rats_tls.certificates.registry import read_attested_certificate
from rats_tls.core.checks import Verdict
from rats_tls.core.errors import (
    AppraisalError,
    EndorsementMissingError,
    NoEvidenceError,
    RatsTlsError,
    SignatureError,
    UnsupportedError,
)
from rats_tls.core.evidence import Evidence
from rats_tls.core.refusals import ExitCode, Refusal
from rats_tls.core.results import AttestationResult
from rats_tls.crypto_wrappers.openssl import OpensslCryptoWrapper
from rats_tls.formats.x509 import certificates_from_pem
from rats_tls.policy import Policy
from support.appraisals import claims_of, make_appraiser
from support.policies import default_policy, null_policy
from support.ratls_real import CAPTURED, FOLDER, GRAMINE, RATS_TLS, der_of

CAPTURED_AT = datetime(2026, 12, 1, tzinfo=UTC)
INTEROP_AT = datetime(2023, 6, 1, tzinfo=UTC)
TRAILING = {
    "cert-tdx_ecdsa": (3049, 19, 28),
    "cert-sgx_ecdsa": (3455, 19, 28),
    "cert-tdx_ecdsa-libcbor010": (0, 0, 0),
}
"""Bytes behind the CBOR at three levels: extension, claims-buffer, pubkey-hash."""
COLLATERAL = {"intel-root-crl", "intel-pck-crl", "intel-tcb-info", "intel-qe-identity"}


def evidence_of(attested: AttestedCertificate) -> Evidence:
    if attested.evidence is None:
        raise AssertionError("no evidence")
    return attested.evidence


def policy_of(attested: AttestedCertificate, **changes: Any) -> Policy:
    """C peers send no issued-at and speak no preamble: a policy for them says so."""
    common: dict[str, Any] = {"max_evidence_age": "any", "preamble": "optional"}
    return default_policy(claims_of(evidence_of(attested).data), **{**common, **changes})


PROVED = {
    "certificate.self_signature",
    "binding.pubkey_hash",
    "binding.report_data",
    "intel.quote",
    "sgx.quote_signature",
    "intel.qe_binding",
    "intel.qe_report_signature",
    "intel.pck_chain",
}
"""What a certificate with an SGX quote proves without Endorsements."""


def passed(error: RatsTlsError) -> set[str]:
    return {check.id for check in error.checks if check.verdict is Verdict.PASSED}


def appraise(der: bytes, policy: Policy, now: datetime) -> AttestationResult:
    return make_appraiser(policy).appraise_certificate(der, now=now, possession_proved=True, preamble=False)


@pytest.mark.parametrize("name", TRAILING)
class TestCapturedFromC:
    def test_envelope_and_binding(self, name: str) -> None:
        attested = read_attested_certificate((CAPTURED / f"{name}.der").read_bytes())
        evidence = evidence_of(attested)
        report_data = claims_of(evidence.data).report_data  # type: ignore[union-attr]
        checks = verify_certificate_key_binding(attested, report_data, OpensslCryptoWrapper())
        assert [check.id for check in checks] == ["binding.pubkey_hash", "binding.report_data"]
        assert attested.custom_claims == {"key_0": b"value_0\0", "key_1": b"value_1\0"}
        assert attested.trailing_bytes == TRAILING[name]
        assert name.startswith(f"cert-{evidence.media_type.rpartition('.')[2].replace('-', '_')}")

    def test_signature_error_before_missing_endorsements(self, name: str) -> None:
        der = (CAPTURED / f"{name}.der").read_bytes()
        attested = read_attested_certificate(der)
        with pytest.raises(SignatureError, match="quote: ecdsa-sha256 signature does not verify") as caught:
            appraise(der, policy_of(attested, allow_debug=True), CAPTURED_AT)
        assert caught.value.refusal is Refusal.EVIDENCE_SIGNATURE
        assert caught.value.refusal.exit_code is ExitCode.NOT_AUTHENTIC
        prefix = evidence_of(attested).media_type.rpartition(".")[2].partition("-")[0]
        assert [check.id for check in caught.value.checks if check.verdict is Verdict.FAILED] == [
            f"{prefix}.quote_signature"
        ]
        unread = [str(check.note) for check in caught.value.checks if check.id == "certificate.trailing_bytes"]
        assert len(unread) == any(attested.trailing_bytes)
        for note in unread:
            assert f"{attested.trailing_bytes[0]} behind the Evidence extension's item" in note


def test_captured_null_certificate_only_where_null_is_named() -> None:
    der = (CAPTURED / "null-server-cert.der").read_bytes()
    captured = read_attested_certificate((CAPTURED / "cert-sgx_ecdsa.der").read_bytes())
    with pytest.raises(NoEvidenceError) as caught:
        appraise(der, policy_of(captured), CAPTURED_AT)
    assert caught.value.refusal is Refusal.NO_EVIDENCE
    assert caught.value.refusal.exit_code is ExitCode.NOT_AUTHENTIC
    result = appraise(der, null_policy(preamble="optional"), CAPTURED_AT)
    assert result.verdict == "accepted"
    assert result.tee_type.value == "null"
    assert result.anchor is None


def test_interop_rats_tls() -> None:
    (der,) = certificates_from_pem((RATS_TLS).read_bytes())
    attested = read_attested_certificate(der)
    assert attested.custom_claims == {"key_0": b"value_0\0", "key_1": b"value_1\0"}
    with pytest.raises(EndorsementMissingError) as caught:
        appraise(der, policy_of(attested, allow_debug=True), INTEROP_AT)
    assert passed(caught.value) >= PROVED
    assert {item.kind.value for item in caught.value.missing} == COLLATERAL
    with pytest.raises(AppraisalError) as refused:
        appraise(der, policy_of(attested), INTEROP_AT)
    assert {mismatch.field for mismatch in refused.value.mismatches} == {"allow_debug"}
    assert refused.value.refusal.exit_code is ExitCode.POLICY
    assert not refused.value.authenticated


def test_interop_gramine() -> None:
    der = der_of(GRAMINE)
    with pytest.raises(ValueError, match="signature_alg"):
        x509.load_der_x509_certificate(der)
    attested = read_attested_certificate(der)
    assert attested.format == "interoperable-ra-tls"
    # Two quotes are in it; the one of the DICE extension is taken.
    data, extensions = evidence_of(attested).data, attested.certificate.extensions
    assert data in extensions[EVIDENCE_OID].value
    assert data not in extensions["0.6.9.42.840.113741.1337.6"].value
    with pytest.raises(EndorsementMissingError) as caught:
        appraise(der, policy_of(attested, allow_debug=True), INTEROP_AT)
    assert passed(caught.value) >= PROVED
    assert {item.kind.value for item in caught.value.missing} == COLLATERAL
    assert "fmspc 00606a000000" in caught.value.message


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("rats-tls-old-openssl/rats-tls-cert-openssl-sample.pem", "rats-tls before"),
        ("rats-tls-old-wolfcrypt/rats-tls-cert-sample.pem", "rats-tls before"),
        ("openenclave-ec-bad/sgx_cert_ec_bad.der", "Open Enclave"),
        ("openenclave-rsa-bad/sgx_cert_rsa_bad.der", "Open Enclave"),
    ],
)
def test_other_formats_are_unsupported_by_name(file: str, name: str) -> None:
    with pytest.raises(UnsupportedError, match=name) as caught:
        appraise(der_of(FOLDER / file), null_policy(preamble="optional"), INTEROP_AT)
    assert caught.value.refusal is Refusal.UNSUPPORTED_EVIDENCE
    assert caught.value.refusal.exit_code is ExitCode.NO_INSTANCE


@pytest.mark.parametrize(
    "file",
    [
        "debug-mode-cert-containing-attestation-doc-18-1-23.pem",
        "non-debug-cert-containing-attestation-document-18-1-23-der.crt",
        "non-debug-cert-containing-attestation-document-18-1-23.pem",
    ],
)
def test_nitro_in_a_subject_alternative_name_is_no_evidence_extension(file: str) -> None:
    der = der_of(FOLDER / "evervault-nitro-in-san" / file)
    captured = read_attested_certificate((CAPTURED / "cert-sgx_ecdsa.der").read_bytes())
    with pytest.raises(NoEvidenceError, match="expected an Evidence extension") as caught:
        appraise(der, policy_of(captured), datetime(2023, 1, 18, 15, 15, 14, tzinfo=UTC))
    assert caught.value.refusal.exit_code is ExitCode.NOT_AUTHENTIC
