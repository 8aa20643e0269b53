"""Quotes that Intel's library judges too: both must accept, and what is told of it."""

from __future__ import annotations

import ctypes
from dataclasses import replace
from typing import Any

import pytest

from rats_tls.core.anchors import AnchorKind
from rats_tls.core.checks import Check, Verdict
from rats_tls.core.claims import IntelTcb, TcbStatus
from rats_tls.core.endorsements import EndorsementKind, Endorsements, Origin
from rats_tls.core.errors import (
    AppraisalError,
    CertificateChainError,
    EndorsementMissingError,
    ExpiredError,
    InternalError,
    RatsTlsError,
    SignatureError,
    UnsupportedError,
)
from rats_tls.core.evidence import TeeType
from rats_tls.core.results import AttestationResult
from rats_tls.formats.amd.pem import join_pem
from rats_tls.formats.intel.pck import PckChain
from rats_tls.simulation.vendor_state import SignedItem
from rats_tls.verifiers.qve.verifier import QvlHostVerifier, SgxEcdsaQveVerifier
from support.intel import CRYPTO
from support.judged import REPORT_DATA, appraise, collected
from support.judged import appraiser as make_appraiser
from support.quoteverify import OUT_OF_DATE, REVOKED, Stub, supplemental
from support.sides import SGX, policy_for
from support.simulated import NOW, world

ADVISORY = "INTEL-SA-09999"


@pytest.fixture
def stub() -> Stub:
    made = Stub()
    made.answers(platform_supplement())
    return made


def platform_supplement(**changes: Any) -> bytes:
    claims = appraise(*collected(SGX), policy_for(SGX)).claims
    platform = claims.platform  # type: ignore[union-attr]  # an SGX enclave's
    given = {"ppid": platform.ppid, "cpu_svn": platform.cpu_svn, **changes}
    return supplemental(given.pop("ppid"), given.pop("cpu_svn"), **given)


def host(stub: Stub) -> QvlHostVerifier:
    return QvlHostVerifier(stub.path)


def qve(stub: Stub, **settings: Any) -> SgxEcdsaQveVerifier:
    target = settings.pop("target_enclave", None) or world().target_enclave()
    return SgxEcdsaQveVerifier(stub.path, target_enclave=target, **settings)


def judged(
    verifier: QvlHostVerifier,
    policy: dict[str, Any] | None = None,
    *,
    without: EndorsementKind | None = None,
    **state: Any,
) -> AttestationResult:
    evidence, endorsements = collected(SGX, **state)
    left = Endorsements(tuple(item for item in endorsements if item.kind is not without))
    return appraise(evidence, left, policy_for(SGX, **(policy or {})), verifiers={TeeType.SGX_ECDSA: verifier}, now=NOW)


def tcb(result: AttestationResult) -> IntelTcb:
    found = result.claims.tcb  # type: ignore[union-attr]  # an SGX enclave's
    assert found is not None
    return found


def check(result: AttestationResult | RatsTlsError, name: str) -> Check:
    (found,) = (item for item in result.checks if item.id == name)
    return found


# --- what is told -----------------------------------------------------------------------------------------------------
def test_the_library_is_told_what_the_verdict_rests_on(stub: Stub) -> None:
    result = judged(host(stub), trailing=bytes(40))
    evidence, endorsements = collected(SGX)
    by_kind = {item.kind: item for item in endorsements}
    assert len(stub.part("quote")) == len(evidence.data)
    assert stub.part("quote")[48:432] == evidence.data[48:432]
    assert stub.part("root_crl") == by_kind[EndorsementKind.INTEL_ROOT_CRL].data
    assert stub.part("pck_crl") == by_kind[EndorsementKind.INTEL_PCK_CRL].data
    for name, kind in (
        ("tcb_info", EndorsementKind.INTEL_TCB_INFO),
        ("qe_identity", EndorsementKind.INTEL_QE_IDENTITY),
    ):
        document = stub.part(name)
        assert by_kind[kind].data in document
        assert by_kind[kind].signature.hex().encode() in document
    for name in ("issuer_chain", "tcb_chain", "qe_chain"):
        assert stub.part(name).count(b"-----BEGIN CERTIFICATE-----") == 2
    assert stub.date == int(NOW.timestamp())
    assert result.claims.report_data == REPORT_DATA  # type: ignore[union-attr]  # an SGX enclave's


def test_qvl_host_says_that_nothing_vouches_for_the_answer(stub: Stub) -> None:
    result = judged(host(stub))
    found = check(result, "intel.qve_report")
    assert found.verdict is Verdict.NOT_CHECKED
    assert "nothing vouches for its answer" in (found.note or "")
    assert found in result.not_checked
    assert stub.got("with_report") == 0
    assert check(result, "intel.qvl").got == "UpToDate; verified here: UpToDate"


def test_qve_says_who_checked_its_report(stub: Stub) -> None:
    result = judged(qve(stub))
    found = check(result, "intel.qve_report")
    assert found.verdict is Verdict.PASSED
    assert found.got == "QvE, ISVSVN 7, checked by simulated processor of machine 0 (simulated)"
    assert stub.got("with_report") == 1
    assert result.anchor is not None
    assert result.anchor.kind is AnchorKind.SIMULATED


# --- what the library says --------------------------------------------------------------------------------------------
@pytest.mark.parametrize("make", [host, qve])
@pytest.mark.parametrize(
    ("result", "status"),
    [
        (0xA001, TcbStatus.CONFIGURATION_NEEDED),
        (0xA002, TcbStatus.OUT_OF_DATE),
        (0xA003, TcbStatus.OUT_OF_DATE_CONFIGURATION_NEEDED),
        (0xA007, TcbStatus.SW_HARDENING_NEEDED),
        (0xA008, TcbStatus.CONFIGURATION_AND_SW_HARDENING_NEEDED),
    ],
)
def test_its_status_is_the_policys_to_judge(make: Any, result: int, status: TcbStatus, stub: Stub) -> None:
    stub.set("result", result)
    stub.answers(platform_supplement(advisories=ADVISORY.encode()))
    with pytest.raises(AppraisalError) as caught:
        judged(make(stub))
    assert {(m.field, m.got) for m in caught.value.mismatches} == {
        ("tcb_statuses", status.value),
        ("advisories", ADVISORY),
    }
    accepting = {"tcb_statuses": [status.value], "advisories": [ADVISORY]}
    assert tcb(judged(make(stub), accepting)).status is status
    with pytest.raises(AppraisalError, match="advisories"):
        judged(make(stub), {"tcb_statuses": [status.value]})


def test_revoked_is_never_accepted(stub: Stub) -> None:
    stub.set("result", REVOKED)
    with pytest.raises(AppraisalError) as caught:
        judged(host(stub), {"tcb_statuses": [status for status in TcbStatus if status is not TcbStatus.REVOKED]})
    assert [(m.field, m.got) for m in caught.value.mismatches] == [("tcb_statuses", "Revoked")]


def test_the_graver_status_counts(stub: Stub) -> None:
    accepting = {
        "tcb_statuses": ["OutOfDate", "ConfigurationNeeded", "UpToDate"],
        "advisories": ["INTEL-SA-00837", "INTEL-SA-01036", ADVISORY],
    }
    evidence, endorsements = collected(SGX, tcb_status=TcbStatus.OUT_OF_DATE)
    claims = appraise(evidence, endorsements, policy_for(SGX, **accepting)).claims
    stub.answers(supplemental(claims.platform.ppid, claims.platform.cpu_svn, advisories=ADVISORY.encode(), number=3))
    stub.set("result", 0xA001)
    found = tcb(judged(host(stub), accepting, tcb_status=TcbStatus.OUT_OF_DATE))
    assert found.status is TcbStatus.OUT_OF_DATE
    assert set(found.advisories) == {"INTEL-SA-00837", "INTEL-SA-01036", ADVISORY}
    assert found.tcb_evaluation_data_number == 3


def test_the_lower_evaluation_number_counts(stub: Stub) -> None:
    own = tcb(judged(host(stub))).tcb_evaluation_data_number
    assert own < 99
    stub.answers(platform_supplement(number=own - 1))
    with pytest.raises(AppraisalError, match="min_tcb_evaluation_data_number"):
        judged(host(stub), {"min_tcb_evaluation_data_number": own})


@pytest.mark.parametrize("result", [0xA004])
def test_a_signature_that_it_does_not_take(result: int, stub: Stub) -> None:
    stub.set("result", result)
    with pytest.raises(SignatureError, match="SGX_QL_QV_RESULT_INVALID_SIGNATURE"):
        judged(host(stub))


@pytest.mark.parametrize("result", [0xA006, 0xA009, 0xA00A, 0xA0FF, 1, 0xFFFFFFFF])
def test_results_that_are_none_of_an_sgx_quote(result: int, stub: Stub) -> None:
    stub.set("result", result)
    with pytest.raises(InternalError, match=f"result: got {result:#x}") as caught:
        judged(host(stub))
    assert caught.value.refusal.label == "verifier_failed"


def test_what_has_expired_by_it(stub: Stub) -> None:
    stub.set("expiration", 1)
    with pytest.raises(ExpiredError, match="collateral_expiration_status: got 1, expected 0"):
        judged(host(stub), {"endorsement_grace": 86_400})


@pytest.mark.parametrize(
    ("code", "error"),
    [(0xE016, UnsupportedError), (0xE022, CertificateChainError), (0xE001, InternalError), (0xE0AA, InternalError)],
)
def test_its_errors_are_refusals(code: int, error: type[RatsTlsError], stub: Stub) -> None:
    stub.set("code", code)
    with pytest.raises(error, match="sgx_qv_verify_quote") as caught:
        judged(host(stub))
    assert check(caught.value, "intel.qvl").verdict is Verdict.FAILED


@pytest.mark.parametrize(
    "data",
    [b"", b"\3\0", b"\3\0\1\0", b"\xff" * 536, bytes(536)],
    ids=["none", "2 bytes", "4 bytes", "ones", "zeros"],
)
def test_garbage_as_supplemental_data_is_a_refusal(data: bytes, stub: Stub) -> None:
    stub.answers(data)
    with pytest.raises(RatsTlsError, match="supplemental data"):
        judged(host(stub))


@pytest.mark.parametrize("changed", [{"ppid": bytes([1] * 16)}, {"cpu_svn": bytes([1] * 16)}])
def test_supplemental_data_of_another_platform_is_a_refusal(changed: dict[str, bytes], stub: Stub) -> None:
    stub.answers(platform_supplement(**changed))
    with pytest.raises(InternalError, match="those of the quote's PCK certificate"):
        judged(host(stub))


# --- what is verified here --------------------------------------------------------------------------------------------
def test_nothing_that_is_not_verified_here_reaches_the_library(stub: Stub) -> None:
    for state in ({"forged": {SignedItem.INTEL_TCB_INFO}}, {"revoked": {SignedItem.INTEL_PCK}}, {"tcb_status": None}):
        with pytest.raises(RatsTlsError) as caught:
            judged(host(stub), **state)
        assert check(caught.value, "intel.qvl").verdict is Verdict.NOT_CHECKED
    assert stub.got("calls") == 0


def test_no_policy_passes_over_what_the_library_would_not_judge_without(stub: Stub) -> None:
    """A missing or expired list may be passed over in what is verified here alone: the library was then not asked."""
    with pytest.raises(EndorsementMissingError):
        judged(host(stub), {"revocation": "not-checked"}, without=EndorsementKind.INTEL_PCK_CRL)
    with pytest.raises(ExpiredError):
        judged(host(stub), {"endorsement_grace": 86_400 * 60}, expired={SignedItem.INTEL_TCB_INFO})
    with pytest.raises(ExpiredError):
        judged(host(stub), {"revocation": "not-checked"}, expired={SignedItem.INTEL_PCK_CRL})
    assert stub.got("calls") == 0


def test_a_quote_without_its_chain_is_refused(stub: Stub) -> None:
    with pytest.raises(UnsupportedError, match="carries its PCK certificate chain"):
        judged(host(stub), certification_data_type=1)
    assert stub.got("calls") == 0


def test_a_quote_with_its_pck_certificate_alone_is_refused(stub: Stub) -> None:
    evidence, _ = collected(SGX)
    _, endorsements = collected(SGX, certification_data_type=1)
    verifier = host(stub)
    decoded = verifier.decode(evidence)
    question: Any = decoded.structure
    quote = question.decoded.structure
    alone = replace(quote, chain=PckChain.from_ders(quote.chain.ders[:1]))
    question = replace(question, decoded=replace(question.decoded, structure=alone))
    verification = verifier.verify(
        replace(decoded, structure=question), endorsements, anchors=world().trust_anchors, crypto=CRYPTO, now=NOW
    )
    assert [problem.error.message for problem in verification.problems] == [
        "Intel's library wants a quote that carries its PCK certificate chain"
    ]
    assert stub.got("calls") == 0


# --- QvE's report -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        ({"mr_signer": bytes([1] * 32)}, CertificateChainError, "mrsigner"),
        ({"isv_prod_id": 1}, CertificateChainError, "isvprodid"),
        ({"isv_svn": 6}, CertificateChainError, "isvsvn: got 6, expected at least 7"),
        ({"attributes": 0x07}, CertificateChainError, "attributes: got 0x3"),
        ({"attributes": 0x04}, CertificateChainError, "attributes: got 0x0"),
        ({"attributes": 0x15}, CertificateChainError, "attributes: got 0x11"),
        ({"miscselect": 1}, CertificateChainError, "miscselect"),
        ({"report_data": bytes(64)}, SignatureError, "QvE report report_data"),
    ],
)
def test_another_report_than_qves_is_refused(
    changes: dict[str, Any], error: type[RatsTlsError], said: str, stub: Stub
) -> None:
    stub.changes = changes
    with pytest.raises(error, match=said) as caught:
        judged(qve(stub))
    assert check(caught.value, "intel.qve_report").verdict is Verdict.FAILED


@pytest.mark.parametrize("place", range(6), ids=["nonce", "quote", "date", "expiration", "result", "supplemental"])
def test_a_report_about_something_else_is_refused(place: int, stub: Stub) -> None:
    stub.bound = {place: b"\1" * 16}
    with pytest.raises(SignatureError, match="the digest of nonce, quote, date and answer"):
        judged(qve(stub))


def test_report_data_is_compared_to_its_end(stub: Stub) -> None:
    class Lenient:
        """Takes any report, so that only its report_data is looked at."""

        name, kind = "lenient", AnchorKind.SIMULATED

        def target_info(self) -> bytes:
            return world().target_enclave().target_info()

        def check(self, report: bytes) -> None:
            pass

    verifier = qve(stub, target_enclave=Lenient())
    ask = verifier._library.verify

    def changed(*arguments: Any, **settings: Any) -> Any:
        answer = ask(*arguments, **settings)
        report = bytearray(answer.report)
        report[383] ^= 1
        return replace(answer, report=bytes(report))

    assert judged(verifier).verdict == "accepted"
    verifier._library.verify = changed  # type: ignore[method-assign]
    with pytest.raises(SignatureError, match="QvE report report_data"):
        judged(verifier)


def test_a_nonce_is_used_once(stub: Stub) -> None:
    verifier = qve(stub)
    judged(verifier)
    nonces = set()
    ask = verifier._library.verify

    def noting(*arguments: Any, **settings: Any) -> Any:
        nonces.add(settings["nonce"])
        return ask(*arguments, **settings)

    verifier._library.verify = noting  # type: ignore[method-assign]
    for _ in range(5):
        judged(verifier)
    assert len(nonces) == 5
    assert {len(nonce) for nonce in nonces} == {16}


def test_a_report_for_another_enclave_or_of_another_machine_is_refused(stub: Stub) -> None:
    stub.machine = 1
    with pytest.raises(SignatureError, match="no such report for this target enclave"):
        judged(qve(stub))
    assert judged(qve(stub, target_enclave=world().target_enclave(machine=1))).verdict == "accepted"


def test_the_lowest_version_of_qve_can_be_raised(stub: Stub) -> None:
    with pytest.raises(CertificateChainError, match="isvsvn: got 7, expected at least 8"):
        judged(qve(stub, min_isv_svn=8))
    stub.changes = {"isv_svn": 8}
    assert judged(qve(stub, min_isv_svn=8)).verdict == "accepted"


def test_without_a_report_nothing_is_accepted(stub: Stub) -> None:
    """A library that does without its enclave leaves the report as it was: zeros."""
    ctypes.c_void_p.in_dll(stub._library, "stub_reporter").value = None
    with pytest.raises(SignatureError):
        judged(qve(stub))
    assert stub.got("calls") == 1
    stub.set("result", OUT_OF_DATE)
    with pytest.raises(SignatureError):
        judged(qve(stub))


def test_a_copy_that_a_peer_signed_itself_never_reaches_the_library(stub: Stub) -> None:
    """The same document as the good one beside it, with another signature and chain."""
    evidence, endorsements = collected(SGX)
    (good,) = endorsements.of_kind(EndorsementKind.INTEL_TCB_INFO)
    forged = replace(good, origin=Origin.PEER, signature=b"\x42" * 64, issuer_chain=(b"\x30\x03\x02\x01\x00",))
    appraiser = make_appraiser(endorsements, policy_for(SGX), verifiers={TeeType.SGX_ECDSA: host(stub)})
    result = appraiser.appraise_evidence(
        evidence, now=NOW, expected_report_data=REPORT_DATA, peer_endorsements=(forged,)
    )
    assert result.verdict == "accepted"
    assert good.signature.hex().encode() in stub.part("tcb_info")
    assert forged.signature.hex().encode() not in stub.part("tcb_info")
    assert join_pem(good.issuer_chain).encode() in stub.part("tcb_chain")
