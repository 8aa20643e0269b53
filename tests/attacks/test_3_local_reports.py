"""Local reports that are judged where they prove nothing, or for another enclave.

Numbers are those of docs/attacks.md.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from rats_tls.core.anchors import AnchorKind
from rats_tls.core.checks import Stage, Verdict
from rats_tls.core.errors import (
    AppraisalError,
    BindingError,
    ConfigurationError,
    RatsTlsError,
    SignatureError,
    UnsupportedError,
)
from rats_tls.core.evidence import Evidence, TeeType
from rats_tls.core.interfaces import TargetEnclave
from rats_tls.core.refusals import ExitCode
from rats_tls.policy.sgx_entry import SGX_ATTRIBUTES
from rats_tls.verifiers.sgx_la import SgxLocalVerifier
from support.judged import REPORT_DATA, appraise, appraiser, collected, judge, presented
from support.sides import LOCAL, SGX, policy_for
from support.simulated import world

OTHER = bytes([1] * 32)


def judged_by(target: TargetEnclave | None, evidence: Evidence, **settings: Any) -> Any:
    verifiers = {TeeType.SGX_LA: SgxLocalVerifier(target)}
    return appraise(evidence, None, policy_for(LOCAL), verifiers=verifiers, **settings)


def mismatches(policy: dict[str, Any] | None = None, **state: Any) -> set[str]:
    """Give the fields for which a local report of an enclave in `state` is refused."""
    evidence, _ = collected(LOCAL, **state)
    with pytest.raises(AppraisalError) as caught:
        appraise(evidence, None, policy_for(LOCAL, **(policy or {})))
    assert caught.value.authenticated
    return {mismatch.field for mismatch in caught.value.mismatches}


# --- 3.16 who checks the MAC -----------------------------------------------------------------------------------------
def test_3_16_outside_an_enclave_local_reports_are_refused_and_the_reason_is_said() -> None:
    evidence, _ = collected(LOCAL)
    with pytest.raises(UnsupportedError, match="runs in no enclave that can check the MAC") as caught:
        judged_by(None, evidence)
    assert caught.value.refusal.exit_code is ExitCode.NO_INSTANCE
    assert "Gramine has no such file" in caught.value.message
    failed = caught.value.checks[-1]
    assert (failed.id, failed.verdict, failed.stage) == (
        "sgx_la.report_mac",
        Verdict.FAILED,
        Stage.EVIDENCE_SIGNATURE,
    )


def test_3_16_an_anchor_of_the_simulated_vendor_stands_for_no_target_enclave() -> None:
    evidence, _ = collected(LOCAL)
    with pytest.raises(UnsupportedError):
        judged_by(None, evidence, anchors=world().trust_anchors)


def test_3_16_the_target_enclave_accepts_and_the_result_says_whose_word_it_is() -> None:
    evidence, _ = collected(LOCAL)
    result = judged_by(world().target_enclave(), evidence, anchors=())
    assert result.anchor is not None
    assert (result.anchor.kind, result.anchor.name) == (AnchorKind.SIMULATED, "simulated processor of machine 0")
    assert [check.id for check in result.not_checked] == ["sgx_la.tcb", "freshness.evidence_age"]
    assert (result.endorsements, result.claims.hardware_ids) == ((), ())


@pytest.mark.parametrize(
    "state",
    [
        {"mr_enclave": OTHER},
        {"attributes": 0x07},
        {"xfrm": 0x3},
        {"cet_attributes": 1},
        {"config_svn": 1},
        {"miscselect": 1},
        {"config_id": bytes([1] * 64)},
    ],
    ids=lambda state: next(iter(state)),
)
def test_3_16_a_report_for_another_enclave_is_refused(state: dict[str, Any]) -> None:
    evidence, _ = collected(LOCAL)
    other = world().target_enclave(**state)
    with pytest.raises(SignatureError, match="no such report for this target enclave"):
        judged_by(other, evidence)
    made_for_it, _ = collected(LOCAL, target_info=other.target_info())
    assert judged_by(other, made_for_it).verdict == "accepted"
    with pytest.raises(SignatureError):
        judged_by(world().target_enclave(), made_for_it)


def test_3_16_a_report_of_another_machine_is_refused() -> None:
    here, _ = collected(LOCAL)
    there, _ = collected(LOCAL, machine=1)
    with pytest.raises(SignatureError):
        judged_by(world().target_enclave(machine=1), here)
    with pytest.raises(SignatureError):
        judged_by(world().target_enclave(), there)
    assert judged_by(world().target_enclave(machine=1), there).anchor.name == "simulated processor of machine 1"


def test_3_16_a_report_under_another_key_id_is_refused() -> None:
    evidence, _ = collected(LOCAL)
    data = evidence.data[:384] + OTHER + evidence.data[416:]
    with pytest.raises(SignatureError):
        judged_by(world().target_enclave(), replace(evidence, data=data))
    again, _ = collected(LOCAL, key_id=OTHER)
    assert again.data[384:416] == OTHER
    assert judged_by(world().target_enclave(), again).verdict == "accepted"


def test_3_16_a_report_bound_to_another_key_is_refused() -> None:
    evidence, _ = collected(LOCAL)
    with pytest.raises(BindingError):
        judged_by(world().target_enclave(), evidence, report_data=REPORT_DATA[:-1] + b"\0")


def test_3_16_the_mac_is_checked_on_every_connection() -> None:
    class Counting:
        kind = AnchorKind.SIMULATED
        name = "counting"
        asked = 0
        refuses = False

        def target_info(self) -> bytes:
            return world().target_enclave().target_info()

        def check(self, report: bytes) -> None:
            assert len(report) == 432
            self.asked += 1
            if self.refuses:
                raise SignatureError("no longer")

    target = Counting()
    certificate, endorsements = presented(LOCAL)
    judging = appraiser(endorsements, policy_for(LOCAL), verifiers={TeeType.SGX_LA: SgxLocalVerifier(target)})
    for times in (1, 2, 3):
        assert judge(judging, certificate).remembered_from is None
        assert target.asked == times
    target.refuses = True
    with pytest.raises(SignatureError):
        judge(judging, certificate)


def test_3_16_a_target_enclave_that_breaks_is_a_refusal() -> None:
    class Breaking:
        kind = AnchorKind.SIMULATED
        name = "breaking"

        def target_info(self) -> bytes:
            raise KeyError

        def check(self, report: bytes) -> None:
            raise KeyError(len(report))

    evidence, _ = collected(LOCAL)
    with pytest.raises(RatsTlsError) as caught:
        judged_by(Breaking(), evidence)
    assert caught.value.refusal.label == "verifier_failed"


def test_3_16_quotes_and_local_reports_are_not_taken_for_each_other() -> None:
    local, _ = collected(LOCAL)
    quote, endorsements = collected(SGX)
    target = world().target_enclave()
    with pytest.raises(RatsTlsError):
        judged_by(target, Evidence.of(TeeType.SGX_LA, quote.data[48:480]))
    with pytest.raises(RatsTlsError):
        appraise(Evidence.of(TeeType.SGX_ECDSA, local.data), endorsements, policy_for(SGX))
    with pytest.raises(AppraisalError, match="tee: got sgx_la, expected sgx_ecdsa"):
        appraise(local, endorsements, policy_for(SGX))


# --- what the policy judges of an enclave, whatever tells it ----------------------------------------------------------
def test_3_7_debug_enclaves() -> None:
    assert mismatches(debug=True) == {"allow_debug"}


@pytest.mark.parametrize("bit", [bit for bit in range(64) if bit != 1 and not SGX_ATTRIBUTES >> bit & 1])
def test_3_8_every_attribute_bit_that_is_not_allowed(bit: int) -> None:
    assert mismatches(attributes=0x05 | 1 << bit) == {"allowed_attributes"}


def test_3_12_kss_fields() -> None:
    assert mismatches(config_id=bytes([1] * 64)) == {"config_id"}
    assert mismatches(isv_ext_prod_id=bytes([1] * 16)) == {"isv_ext_prod_id"}
    assert mismatches(isv_family_id=bytes([1] * 16)) == {"isv_family_id"}
    assert mismatches({"min_config_svn": 2}, config_svn=1) == {"min_config_svn"}


def test_3_13_a_signer_alone_is_no_policy() -> None:
    with pytest.raises(ConfigurationError, match="accepts every enclave of that signer"):
        policy_for(LOCAL, mr_enclave="any", isv_prod_id="any", min_isv_svn="any")


def test_3_13_other_code_and_other_microcode() -> None:
    assert mismatches(mr_enclave=OTHER) == {"mr_enclave"}
    assert mismatches(mr_signer=OTHER) == {"mr_signer"}
    assert mismatches(isv_prod_id=2) == {"isv_prod_id"}
    assert mismatches(isv_svn=0) == {"min_isv_svn"}
    assert mismatches(cpu_svn=bytes([1] * 16)) == {"cpu_svn"}
    evidence, _ = collected(LOCAL, cpu_svn=bytes([1] * 16))
    assert appraise(evidence, None, policy_for(LOCAL, cpu_svn="any")).verdict == "accepted"


def test_1_12_no_machine_can_be_listed() -> None:
    with pytest.raises(ConfigurationError, match="sgx_la has no machine to identify"):
        policy_for(LOCAL, identity={"hardware_ids": [bytes([1] * 16)]})
