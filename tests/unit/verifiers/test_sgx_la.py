"""The Verifier of SGX local reports: what it decodes, and what it leaves to others."""

from __future__ import annotations

import pytest

from rats_tls.core.checks import Stage, Verdict
from rats_tls.core.claims import SgxLocalClaims
from rats_tls.core.endorsements import Endorsements
from rats_tls.core.errors import DecodeError, UnsupportedError
from rats_tls.core.evidence import Evidence, TeeType
from rats_tls.core.verification import DecodedEvidence
from rats_tls.verifiers.sgx_la import SgxLocalVerifier
from support.intel import CRYPTO
from support.judged import REPORT_DATA, collected
from support.sides import LOCAL
from support.simulated import NOW, world


def report() -> Evidence:
    return collected(LOCAL, isv_svn=7, config_svn=9)[0]


def test_claims_are_those_of_the_report_body() -> None:
    decoded = SgxLocalVerifier().decode(report())
    claims = decoded.claims
    assert isinstance(claims, SgxLocalClaims)
    assert (claims.tee_type, claims.hardware_ids, claims.debug) == (TeeType.SGX_LA, (), False)
    assert (claims.isv_svn, claims.config_svn, claims.report_data) == (7, 9, REPORT_DATA)
    assert (decoded.report_data, decoded.not_covered) == (REPORT_DATA, 0)


def test_other_evidence_is_refused() -> None:
    with pytest.raises(UnsupportedError, match=r"verifier sgx_la: got application/vnd\.rats-tls\.sgx-ecdsa, expected"):
        SgxLocalVerifier().decode(Evidence.of(TeeType.SGX_ECDSA, report().data))


@pytest.mark.parametrize("size", [0, 384, 431, 433, 1024])
def test_other_sizes_are_refused(size: int) -> None:
    data = report().data.ljust(size, b"\0")[:size]
    with pytest.raises(DecodeError, match=f"got {size} bytes, expected 432"):
        SgxLocalVerifier().decode(Evidence.of(TeeType.SGX_LA, data))


def test_what_was_decoded_by_another_is_a_defect() -> None:
    decoded = SgxLocalVerifier().decode(report())
    other = DecodedEvidence(claims=decoded.claims, report_data=b"", structure=None)
    with pytest.raises(TypeError, match="not a decoded local report"):
        SgxLocalVerifier().verify(other, Endorsements(), anchors=(), crypto=CRYPTO, now=NOW)


def test_it_says_whether_it_can_verify_here() -> None:
    assert "runs in no enclave" in (SgxLocalVerifier().why_unusable or "")
    assert SgxLocalVerifier(world().target_enclave()).why_unusable is None


def test_the_mac_comes_first_and_the_tcb_is_left_open() -> None:
    verifier = SgxLocalVerifier(world().target_enclave())
    verification = verifier.verify(verifier.decode(report()), Endorsements(), anchors=(), crypto=CRYPTO, now=NOW)
    assert verification.problems == ()
    assert [(check.id, check.stage, check.verdict) for check in verification.checks] == [
        ("sgx_la.report", Stage.DECODE, Verdict.PASSED),
        ("sgx_la.report_mac", Stage.EVIDENCE_SIGNATURE, Verdict.PASSED),
        ("sgx_la.tcb", Stage.TCB, Verdict.NOT_CHECKED),
    ]
    assert (verification.endorsements_used, verification.valid_from, verification.valid_until) == ((), None, None)
