"""Trustworthiness vectors: every field of a policy has its claim, every judgement its values."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

from rats_tls.core.anchors import AnchorKind
from rats_tls.core.checks import Mismatch
from rats_tls.core.errors import AppraisalError, RatsTlsError
from rats_tls.core.refusals import Refusal
from rats_tls.explanation import refusal_ear, result_ear
from rats_tls.explanation.trustworthiness import CLAIM_OF_FIELD, Tier, of_refusal, of_result, tier_of, worst_tier
from rats_tls.policy import ANY
from rats_tls.policy.policy import ENTRY_CLASSES
from support.explained import case, under_vendor_root
from support.simulated import NOW


def test_every_field_of_every_entry_has_its_claim() -> None:
    """A new field of the policy gets a row, or says that AR4SI has no word for it."""
    declared = {field.name for entry in ENTRY_CLASSES for field in fields(entry)}
    assert declared - set(CLAIM_OF_FIELD) == set()
    assert set(CLAIM_OF_FIELD) - declared == {"tee"}


@pytest.mark.parametrize(
    ("values", "tier"),
    [
        ((-1, 0, 1), Tier.NONE),
        ((2, 3, 31, -2, -32), Tier.AFFIRMING),
        ((32, 33, 95, -33, -96), Tier.WARNING),
        ((96, 97, 99, 127, -97, -128), Tier.CONTRAINDICATED),
    ],
)
def test_tiers(values: tuple[int, ...], tier: Tier) -> None:
    assert {tier_of(value) for value in values} == {tier}


def test_claims_that_say_nothing_do_not_count() -> None:
    assert worst_tier({"hardware": 2, "instance-identity": 0}) is Tier.AFFIRMING
    assert worst_tier({"hardware": 2, "executables": 33}) is Tier.WARNING
    assert worst_tier({"hardware": 99, "executables": 33}) is Tier.CONTRAINDICATED
    assert worst_tier({"hardware": 0}) is Tier.NONE
    assert worst_tier({}) is Tier.NONE


HEALTHY = {"instance-identity": 0, "configuration": 2, "executables": 2, "hardware": 2, "runtime-opaque": 2}


@pytest.mark.parametrize(
    ("name", "tier", "changes"),
    [
        ("good sgx_ecdsa", Tier.AFFIRMING, {}),
        ("good tdx_ecdsa", Tier.AFFIRMING, {}),
        ("good sev_snp", Tier.AFFIRMING, {}),
        ("good csv", Tier.WARNING, {"hardware": 32}),
        ("good sgx_la", Tier.WARNING, {"hardware": 32}),
        ("good sev", Tier.WARNING, {"hardware": 32, "configuration": 0}),
        ("out of date accepted", Tier.WARNING, {"hardware": 32}),
        ("list waived", Tier.WARNING, {"hardware": 32}),
        ("in its grace", Tier.WARNING, {"hardware": 32}),
        ("debug accepted", Tier.CONTRAINDICATED, {"runtime-opaque": 96, "configuration": 32}),
    ],
)
def test_accepted_under_the_vendors_root(name: str, tier: Tier, changes: dict[str, int]) -> None:
    judged = under_vendor_root(case(name))
    assert of_result(judged.result, judged.policy.entries[0]) == (tier, HEALTHY | changes)


def test_simulated_hardware_is_not_recognized() -> None:
    judged = case("good sgx_ecdsa")
    assert judged.result.anchor is not None
    assert judged.result.anchor.kind is AnchorKind.SIMULATED
    assert of_result(judged.result, judged.policy.entries[0]) == (Tier.CONTRAINDICATED, HEALTHY | {"hardware": 97})


def test_what_an_entry_does_not_pin_is_not_affirmed() -> None:
    from support.explained import judge_state
    from support.sides import SGX, SNP, TDX

    code = {"mr_enclave": ANY, "mr_signer": ANY}
    for name, fields_, changes in (
        (SGX, {**code, "config_id": ANY}, {"executables": 33, "configuration": 0}),
        (SGX, {"mr_enclave": ANY}, {}),
        (TDX, {"rtmr2": ANY}, {"executables": 33}),
        (TDX, {"rtmr0": ANY}, {"configuration": 0}),
        (SNP, {"measurement": ANY}, {"executables": 33}),
    ):
        judged = under_vendor_root(judge_state(name, **fields_))
        _, vector = of_result(judged.result, judged.policy.entries[0])
        assert vector == HEALTHY | changes, fields_


def test_a_pinned_machine_is_recognized() -> None:
    from support.explained import judge_state
    from support.sides import SGX

    result = case("good sgx_ecdsa").result
    ppid = result.claims.platform.ppid  # type: ignore[union-attr]
    judged = under_vendor_root(judge_state(SGX, identity={"hardware_ids": [ppid.hex()]}))
    assert of_result(judged.result, judged.policy.entries[0])[1]["instance-identity"] == 2


def test_null_claims_nothing() -> None:
    judged = case("null")
    tier, vector = of_result(judged.result, judged.policy.entries[0])
    assert tier is Tier.NONE
    assert set(vector.values()) == {0}


@pytest.mark.parametrize(
    ("name", "tier", "vector"),
    [
        ("out of date", Tier.CONTRAINDICATED, {"hardware": 96, "runtime-opaque": 2}),
        ("snp out of date", Tier.CONTRAINDICATED, {"hardware": 96, "runtime-opaque": 2}),
        ("revoked level", Tier.CONTRAINDICATED, {"hardware": 96, "runtime-opaque": 2}),
        ("debug sgx", Tier.CONTRAINDICATED, {"hardware": 97, "runtime-opaque": 96}),
        ("debug tdx", Tier.CONTRAINDICATED, {"hardware": 97, "runtime-opaque": 96}),
        ("debug snp", Tier.CONTRAINDICATED, {"hardware": 97, "runtime-opaque": 96}),
        ("other sgx", Tier.CONTRAINDICATED, {"executables": 33, "hardware": 97, "runtime-opaque": 2}),
        ("other tdx", Tier.CONTRAINDICATED, {"executables": 33, "hardware": 97, "runtime-opaque": 2}),
        ("other snp", Tier.CONTRAINDICATED, {"executables": 33, "hardware": 97, "runtime-opaque": 2}),
        ("debug csv", Tier.CONTRAINDICATED, {"hardware": 97, "runtime-opaque": 96}),
        ("other csv", Tier.CONTRAINDICATED, {"executables": 33, "hardware": 97, "runtime-opaque": 2}),
        ("changed csv", Tier.CONTRAINDICATED, {"hardware": 99}),
        ("missing and other", Tier.CONTRAINDICATED, {"executables": 33}),
        ("changed sgx", Tier.CONTRAINDICATED, {"hardware": 99}),
        ("changed tdx", Tier.CONTRAINDICATED, {"hardware": 99}),
        ("changed snp", Tier.CONTRAINDICATED, {"hardware": 99}),
        ("bound to another", Tier.CONTRAINDICATED, {"instance-identity": 96}),
        ("unknown root", Tier.CONTRAINDICATED, {"hardware": 97}),
        ("revoked", Tier.CONTRAINDICATED, {"hardware": 96}),
        ("no level", Tier.CONTRAINDICATED, {"hardware": 96}),
        ("old", Tier.CONTRAINDICATED, {"instance-identity": 0}),
        ("cut", Tier.NONE, {"hardware": 1}),
        ("missing", Tier.NONE, {"hardware": 0}),
        ("expired list", Tier.NONE, {"hardware": 0}),
    ],
)
def test_refused(name: str, tier: Tier, vector: dict[str, int]) -> None:
    assert of_refusal(case(name).error) == (tier, vector)


@pytest.mark.parametrize(
    ("name", "vector"),
    [
        ("out of date", {"hardware": 96, "runtime-opaque": 2}),
        ("debug sgx", {"hardware": 2, "runtime-opaque": 96}),
        ("other sgx", {"executables": 33, "hardware": 2, "runtime-opaque": 2}),
        ("other and list waived", {"executables": 33, "hardware": 32, "runtime-opaque": 2}),
    ],
)
def test_refused_by_the_policy_under_the_vendors_root(
    name: str, vector: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    error = case(name).error
    assert error.anchor is not None
    monkeypatch.setattr(error, "anchor", replace(error.anchor, kind=AnchorKind.VENDOR))
    assert of_refusal(error) == (Tier.CONTRAINDICATED, vector)


def test_a_report_only_result_says_what_its_refusal_says() -> None:
    judged = case("report-only")
    assert isinstance(judged.error, AppraisalError)
    result = judged.error.reported
    assert result is not None
    expected = (Tier.CONTRAINDICATED, {"executables": 33, "hardware": 97, "runtime-opaque": 2})
    assert of_result(result, judged.policy.entries[0]) == of_refusal(judged.error) == expected
    ear = result_ear(result, judged.policy)
    assert "exp" not in ear
    assert ear["submods"] == refusal_ear(judged.error, judged_at=NOW, policy=judged.policy)["submods"]


@pytest.mark.parametrize("refusal", Refusal, ids=lambda refusal: refusal.label)
def test_no_refusal_is_better_than_its_vector_or_affirms(refusal: Refusal) -> None:
    order = list(Tier)
    tier, vector = of_refusal(RatsTlsError("m", refusal=refusal))
    assert vector
    assert tier in {Tier.NONE, Tier.CONTRAINDICATED}
    assert order.index(tier) >= order.index(worst_tier(vector))


def test_what_speaks_against_one_entry_alone_is_not_said() -> None:
    mismatches = (
        Mismatch(entry="a", field="mr_enclave", got="1", expected="2"),
        Mismatch(entry="a", field="identity", got="1", expected="2"),
        Mismatch(entry="b", field="identity", got="1", expected="2"),
    )
    assert of_refusal(AppraisalError("m", mismatches=mismatches)) == (
        Tier.CONTRAINDICATED,
        {"instance-identity": 97},
    )
