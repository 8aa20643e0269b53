"""What is shown to a person: every claim that a policy can pin, for every TEE; checks that failed and were waived."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from rats_tls import registry
from rats_tls.cli.render import claim_rows, show_result
from rats_tls.cli.screen import Screen
from rats_tls.core.checks import Check, Stage, Verdict
from rats_tls.core.claims import MeasuredEvent, TeeClaims
from rats_tls.core.endorsements import Endorsements
from rats_tls.core.verification import Verification
from rats_tls.crypto_wrappers.openssl import OpensslCryptoWrapper
from support.claims import SGX, TDX
from support.policies import default_policy
from support.scripted_verifier import ScriptedVerifier, appraiser, evidence
from support.simulated import NOW, REPORT_DATA, world

# What policies judge and what tells machines apart; `min_...` fields judge the claim of that name.
PINNED = {
    "sgx_ecdsa": {
        *("mr_enclave", "mr_signer", "isv_prod_id", "isv_svn", "attributes", "xfrm", "miscselect", "config_id"),
        *("config_svn", "isv_ext_prod_id", "isv_family_id", "report_data", "cpu_svn", "debug", "platform.fmspc"),
        *("platform.ppid", "platform.pce_svn", "platform.sgx_tcb_components", "platform.platform_instance_id"),
        *("tcb.status", "tcb.advisories", "tcb.tcb_evaluation_data_number", "tcb.tcb_date"),
    },
    "tdx_ecdsa": {
        *("mr_td", "rtmr0", "rtmr1", "rtmr2", "rtmr3", "mr_seam", "mr_signer_seam", "seam_attributes"),
        *("td_attributes", "xfam", "mr_config_id", "mr_owner", "mr_owner_config", "mr_service_td", "tee_tcb_svn"),
        *("tee_tcb_svn2", "report_data", "debug", "platform.ppid", "tcb.status", "tcb.module_status"),
    },
    "sev_snp": {
        *("measurement", "host_data", "id_key_digest", "author_key_digest", "family_id", "image_id", "guest_svn"),
        *("policy", "platform_info", "chip_id", "vmpl", "report_version", "current_version", "committed_version"),
        *("current_tcb", "reported_tcb", "committed_tcb", "launch_tcb", "report_data", "report_id", "signing_key"),
        *("key_info", "product", "csp_id", "launch_mit_vector", "current_mit_vector", "debug"),
    },
}


def verified(tee: str) -> TeeClaims:
    collected = world().attester(f"simulated_{tee}").collect(REPORT_DATA)
    assert collected is not None
    verifier = registry.verifier(tee)
    verification = verifier.verify(
        verifier.decode(collected.evidence),
        Endorsements(collected.endorsements),
        anchors=world().trust_anchors,
        crypto=OpensslCryptoWrapper(),
        now=NOW,
    )
    assert verification.problems == ()
    return verification.claims


@pytest.mark.parametrize("tee", sorted(PINNED))
def test_every_claim_is_shown(tee: str) -> None:
    claims = verified(tee)
    rows = dict(claim_rows(claims))
    assert PINNED[tee] <= rows.keys()
    assert rows["report_data"] == REPORT_DATA.hex()
    own = {name for name in claims.__dataclass_fields__ if name not in {"platform", "tcb"}}
    assert own <= rows.keys()
    assert all(isinstance(value, str) and value for value in rows.values())


def test_forms_of_claims() -> None:
    rows = dict(claim_rows(verified("sev_snp")))
    assert rows["policy"] == "0x30000"
    assert rows["current_version"] == "1.55.40"
    assert rows["reported_tcb"] == "bootloader 4, tee 0, snp 24, microcode 219"
    assert rows["csp_id"] == "none"
    assert rows["debug"] == "false"


class _StaleList(ScriptedVerifier):
    def verify(self, *arguments: Any, **settings: Any) -> Verification:
        stale = Check(id="sgx.crl", stage=Stage.REVOCATION, source="a test", verdict=Verdict.FAILED, got="expired 2020")
        return replace(super().verify(*arguments, **settings), checks=(stale,))


def test_an_accepted_result_shows_what_failed_and_was_waived(capsys: pytest.CaptureFixture[str]) -> None:
    made = appraiser(_StaleList(), default_policy(SGX, revocation="not-checked"))
    result = made.appraise_evidence(evidence(), now=NOW, expected_report_data=REPORT_DATA)
    show_result(Screen(), result, title="a peer")
    (line,) = (line for line in capsys.readouterr().out.splitlines() if "waived by policy" in line)
    assert "sgx.crl: got expired 2020" in line


def test_events_of_a_log_are_listed_up_to_a_number() -> None:
    event = MeasuredEvent(register="rtmr2", type="EV_IPL", digest=b"\1" * 48, name="kernel_cmdline", data=b"ro\x1b")
    long = replace(event, data=b"x" * 300, name="")
    rows = claim_rows(replace(TDX, events=(event, replace(event, data=bytes(4)), long, *[event] * 200)))
    listed = [text for name, text in rows if name.startswith("events")]
    digest = "01" * 48
    assert listed[:4] == [
        "203, replayed to the registers",
        f"{digest} kernel_cmdline, data 726f1b",
        f"{digest} kernel_cmdline, data 00000000",
        f"{digest}, data {'x' * 256}…",
    ]
    assert len(listed) == 1 + 128 + 1
    assert listed[-1] == "75 more; --json lists them"
    assert ("events", "none") in claim_rows(TDX)
