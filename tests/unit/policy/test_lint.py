"""What is said against policies that accept too much: each with its level and its field."""

from __future__ import annotations

from typing import Any

import pytest

from rats_tls.core.claims import TeeClaims
from rats_tls.policy import Advice, Level, Policy, lint
from rats_tls.simulation.states import FMSPC, SgxState
from rats_tls.simulation.values import simulated_values
from support.claims import SEV, SGX, SNP, TDX
from support.policies import null_policy, pinning_entry

D, W, N = Level.DANGER, Level.WARNING, Level.NOTE
B1, B2 = bytes([1] * 32), bytes([2] * 32)

STRICT: dict[type[TeeClaims], dict[str, Any]] = {
    type(SGX): {"min_tcb": {"sgx_components": [1] * 16, "pce_svn": 1}, "identity": {"hardware_ids": [b"1" * 16]}},
    type(TDX): {
        "min_tcb": {"sgx_components": [1] * 16, "pce_svn": 1, "tdx_components": [1] * 16},
        "identity": {"hardware_ids": [b"1" * 16]},
    },
    type(SNP): {
        "min_tcb": {"bootloader": 1, "tee": 0, "snp": 1, "microcode": 1},
        "identity": {"hardware_ids": [b"1" * 64]},
    },
}


def strict(claims: TeeClaims, **written: Any) -> Any:
    """An entry of which nothing is said, with other fields written."""
    return pinning_entry(claims, **{"bindings": "certificate", **STRICT[type(claims)], **written})


def said(*entries: Any) -> list[tuple[Level, str]]:
    return [(advice.level, advice.field) for advice in lint(Policy.of(*entries))]


@pytest.mark.parametrize("claims", [SGX, TDX, SNP], ids=["sgx", "tdx", "snp"])
def test_nothing_is_said_of_a_strict_policy(claims: TeeClaims) -> None:
    assert lint(Policy.of(strict(claims)), simulated=simulated_values()) == ()


@pytest.mark.parametrize(
    ("claims", "written", "level", "why"),
    [
        (SGX, {"mr_enclave": "any", "mr_signer": "any"}, D, "any enclave of anybody"),
        (SGX, {"mr_enclave": "any"}, N, "every enclave of the signer"),
        (SGX, {"min_tcb": "any"}, N, "left to Intel's TCB status"),
        (SGX, {"min_tcb": {"sgx_components": [0] * 16, "pce_svn": 0}}, N, "left to Intel's TCB status"),
        (SGX, {"identity": "measurement-only"}, N, "any machine"),
        (SGX, {"bindings": ["certificate", "none"]}, W, "not tied to its peer"),
        (SGX, {"bindings": "session"}, W, "accepts nobody"),
        (SGX, {"preamble": "optional"}, W, "cannot say whether they accepted"),
        (SGX, {"max_evidence_age": "any"}, W, "of any age"),
        (SGX, {"max_evidence_age": 3601}, N, "3601 s old"),
        (SGX, {"max_evidence_age": 90_000}, W, "25 hours old"),
        (SGX, {"revocation": "not-checked"}, W, "revoked is accepted"),
        (SGX, {"endorsement_grace": 3600}, N, "corrected in the last 3600 s"),
        (SGX, {"endorsement_grace": 8 * 86_400}, W, "corrected in the last 8 days"),
        (SGX, {"max_endorsement_age": 2**32 - 1}, W, "without effect, as if left out"),
        (SNP, {"max_endorsement_age": 400 * 86_400}, W, "in date for 400 days"),
        (SGX, {"allow_debug": True}, D, "reads and changes the memory"),
        (SGX, {"allowed_attributes": 0x4D5}, W, "keys for provisioning"),
        (SGX, {"allowed_xfrm": 0x1602FF}, W, "more than the strict default"),
        (SGX, {"required_attributes": 0x4}, W, "more than the strict default"),
        (SGX, {"config_id": "any"}, W, "part of what it runs"),
        (SGX, {"tcb_statuses": ["UpToDate", "SWHardeningNeeded"]}, N, "SWHardeningNeeded: "),
        (SGX, {"tcb_statuses": ["OutOfDate"]}, W, "OutOfDate: the platform lacks updates"),
        (SGX, {"tcb_statuses": ["TDRelaunchAdvised"]}, W, "lacks updates"),
        (SGX, {"advisories": ["INTEL-SA-00289"]}, N, "they have no effect"),
        (SGX, {"required_attributes": 0x15}, W, "bits 0x10 must be set here"),
        (TDX, {"mr_td": "any"}, W, "may lie about it"),
        (TDX, {"rtmr1": "any"}, W, "any boot loader and kernel"),
        (TDX, {"rtmr2": "any"}, W, "command line"),
        (TDX, {"rtmr3": "any"}, N, "running system"),
        (TDX, {"mr_seam": "any"}, N, "that Intel signed"),
        (TDX, {"require_sept_ve_disable": False}, W, "inject exceptions"),
        (TDX, {"allow_migratable": True}, W, "moved to a machine"),
        (TDX, {"allowed_td_attributes": 1 << 30}, W, "accepts nobody"),
        (TDX, {"mr_service_td": "any"}, W, "service trust domain"),
        (SNP, {"measurement": "any"}, D, "any guest is accepted"),
        (SNP, {"min_tcb": "any"}, W, "AMD has no TCB status"),
        (SNP, {"min_tcb": {"bootloader": 0, "tee": 0, "snp": 0, "microcode": 0}}, W, "AMD has no TCB status"),
        (SNP, {"host_data": "any"}, N, "the host bound"),
        (SNP, {"min_guest_svn": "any"}, N, "older version"),
        (SNP, {"vmpl": "any"}, W, "highest privilege"),
        (SNP, {"min_report_version": 2, "products": ["Milan"]}, W, "before version 3"),
        (SNP, {"allow_debug": True}, D, "memory of a debug TEE"),
        (SNP, {"allow_migration_agent": True}, W, "migration agent"),
        (SNP, {"allow_provisional_firmware": True}, W, "older firmware"),
        (SNP, {"csp_ids": "any"}, W, "no chip's"),
        (SNP, {"required_policy_bits": 1 << 40 | 1 << 17}, W, "bits 0x10000000000 must be set here"),
    ],
    ids=lambda value: str(value)[:40] if isinstance(value, dict | str) else "",
)
def test_one_field(claims: TeeClaims, written: dict[str, Any], level: Level, why: str) -> None:
    (advice,) = lint(Policy.of(strict(claims, **written)))
    assert (advice.entry, advice.level) == ("pinned", level)
    assert advice.field in written
    assert why in advice.why
    assert advice.write


def sev(**written: Any) -> Any:
    return pinning_entry(SEV, **{"bindings": "none", "identity": {"hardware_ids": [SEV.cek_sha256]}, **written})


@pytest.mark.parametrize("bindings", ["none", ["none", "certificate"]])
def test_of_sev_only_what_it_can_never_do_is_said(bindings: Any) -> None:
    (advice,) = lint(Policy.of(sev(bindings=bindings)), simulated=simulated_values())
    assert (advice.level, advice.field) == (W, "bindings")
    assert "whoever has seen it can show it, of any age" in advice.why


@pytest.mark.parametrize(
    ("written", "level", "why"),
    [
        ({"launch_digest": "any"}, D, "any guest is accepted"),
        ({"identity": "measurement-only"}, N, "any machine"),
        ({"allow_debug": True}, D, "memory of a debug TEE"),
        ({"allow_key_sharing": True}, W, "read each other's memory"),
        ({"allow_plain_registers": True}, W, "the guest's registers"),
        ({"allow_send": True}, W, "that nobody judged"),
        ({"allow_send_outside_domain": True}, W, "of another owner"),
        ({"allow_send_outside_sev": True}, W, "encrypts no memory"),
        ({"allowed_policy_bits": 0x40}, W, "more than the strict default"),
    ],
    ids=lambda value: str(value)[:40] if isinstance(value, dict) else "",
)
def test_one_field_of_sev(written: dict[str, Any], level: Level, why: str) -> None:
    (advice,) = (advice for advice in lint(Policy.of(sev(**written))) if advice.field != "bindings")
    assert (advice.level, advice.field) == (level, next(iter(written)))
    assert why in advice.why


def test_any_trust_domain_is_one_danger() -> None:
    every = dict.fromkeys(("mr_td", "rtmr0", "rtmr1", "rtmr2"), "any")
    assert said(strict(TDX, **every)) == [(D, "mr_td")]


def test_a_provider_whose_key_may_not_sign() -> None:
    written = {"csp_ids": ["cloud.example"], "signing_keys": ["VCEK"]}
    assert (N, "csp_ids") in said(strict(SNP, **written))


def test_peers_without_evidence_are_a_danger() -> None:
    assert said(null_policy().entries[0]) == [(D, "")]


def test_values_of_simulated_tees() -> None:
    written = {"mr_enclave": [SgxState().mr_enclave, B1], "fmspcs": [FMSPC]}
    found = lint(Policy.of(strict(SGX, **written)), simulated=simulated_values())
    assert [(advice.level, advice.field) for advice in found] == [(W, "fmspcs"), (W, "mr_enclave")]
    assert bytes(48) not in simulated_values()


# --- beside each other ------------------------------------------------------------------------------------------------
def beside(*entries: Any) -> list[Advice]:
    return [advice for advice in lint(Policy.of(*entries)) if "entry '" in advice.why]


def test_an_entry_that_another_one_makes_needless() -> None:
    lax = strict(SGX, name="lax", min_isv_svn=1)
    demanding = strict(SGX, name="demanding", min_isv_svn=3)
    for entries in ((lax, demanding), (demanding, lax)):
        (advice,) = beside(*entries)
        assert (advice.entry, advice.field, advice.level) == ("demanding", "", W)
        assert advice.why == "needless: entry 'lax' accepts all that it does, whatever it says of min_isv_svn"


def test_an_entry_that_is_there_twice() -> None:
    (advice,) = beside(strict(SGX, name="one"), strict(SGX, name="two"))
    assert (advice.entry, advice.why) == ("two", "needless: entry 'one' says the same")


def test_conditions_that_another_entry_undoes_for_the_same_code() -> None:
    demanding = strict(SGX, name="demanding", mr_enclave=[B1, B2])
    debug = strict(SGX, name="debug", mr_enclave=[B1], allow_debug=True, min_isv_svn=1)
    (advice,) = beside(demanding, debug)
    assert (advice.entry, advice.field, advice.level) == ("demanding", "min_isv_svn, allow_debug", W)
    assert "undone for some of the same code: entry 'debug'" in advice.why


def test_entries_for_other_code_or_other_tees_do_not_meet() -> None:
    one = strict(SGX, name="one", mr_enclave=[B1])
    two = strict(SGX, name="two", mr_enclave=[B2], allow_debug=True)
    assert beside(one, two, strict(TDX, name="td"), strict(SNP, name="guest")) == []
    # Stricter in one thing and less strict in another: two kinds of deployment.
    other = strict(SGX, name="two", mr_enclave=[B1], allow_debug=True, max_evidence_age=60)
    assert beside(one, other) == []


def test_a_grace_that_is_longer_than_documents_are_in_date() -> None:
    long = lint(Policy.of(strict(SGX, endorsement_grace=90 * 86_400)))
    assert [(advice.field, advice.level) for advice in long] == [("max_endorsement_age", W), ("endorsement_grace", W)]
    assert "longer than Intel's documents" in long[1].why
    bounded = lint(Policy.of(strict(SGX, endorsement_grace=90 * 86_400, max_endorsement_age=100 * 86_400)))
    assert [advice.field for advice in bounded] == ["endorsement_grace"]


@pytest.mark.parametrize("age", [60, 86_400, 60 * 86_400, 366 * 86_400])
def test_nothing_is_said_of_a_largest_age_that_can_refuse_something(age: int) -> None:
    assert lint(Policy.of(strict(SGX, max_endorsement_age=age))) == ()
