"""Which Evidence the Verifiers of quotes take, and what they say about it."""

from __future__ import annotations

import pytest

from rats_tls.core.checks import Verdict
from rats_tls.core.endorsements import Endorsements
from rats_tls.core.errors import DecodeError, UnsupportedError
from rats_tls.core.evidence import Evidence, TeeType
from rats_tls.core.interfaces import Verifier
from rats_tls.core.verification import DecodedEvidence
from rats_tls.verifiers.sgx_ecdsa import SgxEcdsaVerifier
from rats_tls.verifiers.tdx_ecdsa import TdxEcdsaVerifier
from support.intel import CRYPTO, PHALA_SGX, PHALA_TDX, labels, load, verify

CHECKS = (
    "intel.quote",
    "sgx.quote_signature",
    "intel.qe_binding",
    "intel.qe_report_signature",
    "intel.pck_chain",
    "intel.pck_dates",
    "intel.tcb_info_signature",
    "intel.qe_identity_signature",
    "intel.qe_identity",
    "intel.root_crl",
    "intel.pck_crl",
    "intel.pck_ca_not_revoked",
    "intel.pck_not_revoked",
    "intel.tcb_info_dates",
    "intel.qe_identity_dates",
    "intel.tcb_level",
)


def test_they_are_verifiers_under_their_names() -> None:
    for verifier, tee_type in ((SgxEcdsaVerifier(), TeeType.SGX_ECDSA), (TdxEcdsaVerifier(), TeeType.TDX_ECDSA)):
        assert isinstance(verifier, Verifier)
        assert (verifier.name, verifier.tee_type) == (tee_type.value, tee_type)


def test_every_check_is_listed_in_order() -> None:
    verification = verify(load(PHALA_SGX))
    assert tuple(check.id for check in verification.checks) == CHECKS
    verification = verify(load(PHALA_TDX))
    expected = [check.replace("sgx.", "tdx.") for check in CHECKS]
    expected.insert(-1, "tdx.module")
    assert [check.id for check in verification.checks] == expected
    assert all(check.source and check.verdict is Verdict.PASSED for check in verification.checks)
    stages = [check.stage for check in verification.checks]
    assert stages == sorted(stages)


def test_quotes_of_the_other_tee() -> None:
    sgx, tdx = load(PHALA_SGX).evidence.data, load(PHALA_TDX).evidence.data
    with pytest.raises(UnsupportedError, match="got a TDX quote"):
        SgxEcdsaVerifier().decode(Evidence.of(TeeType.SGX_ECDSA, tdx))
    with pytest.raises(UnsupportedError, match="got an SGX quote"):
        TdxEcdsaVerifier().decode(Evidence.of(TeeType.TDX_ECDSA, sgx))


def test_other_media_types() -> None:
    for media_type in ("application/vnd.rats-tls.tdx-ecdsa", "application/octet-stream", ""):
        with pytest.raises(UnsupportedError, match=r"expected application/vnd\.rats-tls\.sgx-ecdsa"):
            SgxEcdsaVerifier().decode(Evidence(media_type, load(PHALA_SGX).evidence.data))


def test_empty_evidence() -> None:
    for verifier in (SgxEcdsaVerifier(), TdxEcdsaVerifier()):
        with pytest.raises(DecodeError):
            verifier.decode(Evidence.of(verifier.tee_type, b""))


def test_decoded_by_something_else() -> None:
    vector = load(PHALA_SGX)
    decoded = SgxEcdsaVerifier().decode(vector.evidence)
    foreign = DecodedEvidence(claims=decoded.claims, report_data=decoded.report_data, structure=object())
    with pytest.raises(TypeError):
        SgxEcdsaVerifier().verify(foreign, Endorsements(), anchors=vector.anchors, crypto=CRYPTO, now=vector.now)


def test_attestation_key_that_is_no_point() -> None:
    vector = load(PHALA_SGX)
    data = vector.evidence.data
    changed = data[:500] + b"\xff" * 64 + data[564:]
    verification = verify(vector.with_data(changed))
    assert labels(verification) == {"evidence_signature"}
    assert "attestation key" in verification.problems[0].error.message


@pytest.mark.parametrize(("r", "s"), [(0, 0), (0, 1), (1, 0), (2**256 - 1, 1)])
def test_signature_values_out_of_range(r: int, s: int) -> None:
    vector = load(PHALA_SGX)
    data = vector.evidence.data
    changed = data[:436] + r.to_bytes(32, "big") + s.to_bytes(32, "big") + data[500:]
    assert labels(verify(vector.with_data(changed))) == {"evidence_signature"}


def test_claims_have_no_platform_before_it_is_verified() -> None:
    vector = load(PHALA_SGX)
    decoded = SgxEcdsaVerifier().decode(vector.evidence)
    assert (decoded.claims.platform, decoded.claims.tcb) == (None, None)
    for refused in (verify(vector, anchors=()), verify(vector.at("2050-01-01T00:00:00Z"))):
        assert (refused.claims.platform, refused.claims.tcb) == (None, None)
    assert verify(vector).claims.platform is not None


def test_simulated_evidence_binds_the_attestation_key() -> None:
    """The QE report of one quote beside the attestation key of another fails at the binding, before any chain."""
    a, b = load(PHALA_TDX), load("tdx_ecdsa/dstack-ra-tls-quote")
    verifier = TdxEcdsaVerifier()
    data = b.evidence.data
    # Signature and attestation key of B with B's body; QE report, its signature and authentication data of A.
    head, tail = data[:770], a.evidence.data[770:1252] + data[1252:]
    verification = verify(a.with_data(head + tail), verifier=verifier)
    assert labels(verification) == {"evidence_signature"}
    assert verification.checks[-1].id == "intel.qe_binding"
