"""Which of two values, or entries, accepts all that the other does. That it never says so wrongly: test_fields.py."""

from __future__ import annotations

from typing import Any

import pytest

from rats_tls.core.claims import TeeClaims
from rats_tls.policy import Entry
from support.claims import SGX, SNP, TDX
from support.policies import null_policy, pinning_entry

B1, B2 = bytes([1] * 32), bytes([2] * 32)
KEYS = {"spki_sha256": [B1, B2]}
INTEL_TCB = {"sgx_components": [2] * 16, "pce_svn": 5}
SNP_TCB = {"bootloader": 4, "tee": 0, "snp": 24, "microcode": 219}

# (claims, field, wide, narrow): the wide value covers the narrow one, and not the other way round.
ORDERED: list[tuple[TeeClaims, str, object, object]] = [
    (SGX, "bindings", ["certificate", "none"], ["none"]),
    (SGX, "identity", "measurement-only", KEYS),
    (SGX, "identity", KEYS, {"spki_sha256": [B2]}),
    (SGX, "identity", KEYS, {"spki_sha256": [B1], "hardware_ids": [B1[:16]]}),
    (SGX, "preamble", "optional", "required"),
    (SGX, "max_evidence_age", "any", 4_000_000),
    (SGX, "max_evidence_age", 60, 59),
    (SGX, "custom_claims", {}, {"role": "00"}),
    (SGX, "custom_claims", {"role": "00"}, {"role": "00", "shard": "01"}),
    (SGX, "revocation", "not-checked", "required"),
    (SGX, "endorsement_grace", 1, 0),
    (SGX, "max_endorsement_age", "any", 60),
    (SGX, "max_endorsement_age", 61, 60),
    (SGX, "mr_enclave", "any", [B1]),
    (SGX, "mr_enclave", [B1, B2], [B2]),
    (SGX, "min_isv_svn", 0, 1),
    (SGX, "min_tcb", "any", INTEL_TCB),
    (SGX, "min_tcb", INTEL_TCB, {**INTEL_TCB, "sgx_components": [*[2] * 15, 3]}),
    (SGX, "min_tcb", INTEL_TCB, {**INTEL_TCB, "pce_svn": 6}),
    (SGX, "allow_debug", True, False),
    (SGX, "allowed_attributes", 0x7, 0x5),
    (SGX, "required_attributes", 0x1, 0x5),
    (SGX, "tcb_statuses", ["UpToDate", "OutOfDate"], ["UpToDate"]),
    (SGX, "advisories", ["INTEL-SA-00289"], []),
    (SGX, "min_tcb_evaluation_data_number", 0, 17),
    (TDX, "require_sept_ve_disable", False, True),
    (TDX, "allow_debug", True, False),
    (SNP, "min_tcb", SNP_TCB, {**SNP_TCB, "fmc": 1}),
    (SNP, "min_tcb", SNP_TCB, {**SNP_TCB, "microcode": 220}),
    (SNP, "products", "any", ["Milan"]),
    (SNP, "min_policy_abi", [1, 51], [2, 0]),
    (SNP, "min_firmware_version", [1, 55, 40], [1, 56, 0]),
    (SNP, "required_mitigations", 1, 3),
    (SNP, "signing_keys", ["VCEK", "VLEK"], ["VCEK"]),
    (SNP, "csp_ids", ["a.example"], []),
    (SNP, "allow_provisional_firmware", True, False),
]


def entry(claims: TeeClaims, field: str, value: object, **more: Any) -> Entry:
    return pinning_entry(claims, **{field: value}, **more)


@pytest.mark.parametrize(("claims", "field", "wide", "narrow"), ORDERED, ids=lambda value: str(value)[:24])
def test_the_wide_one_covers_the_narrow_one(claims: TeeClaims, field: str, wide: object, narrow: object) -> None:
    accepts, refuses = entry(claims, field, wide), entry(claims, field, narrow)
    assert accepts.covers(refuses)
    assert not refuses.covers(accepts)


@pytest.mark.parametrize(
    ("claims", "field", "one", "other"),
    [
        (SGX, "mr_enclave", [B1], [B2]),
        (SGX, "allowed_attributes", 0x5, 0x3),
        (SGX, "custom_claims", {"role": "00"}, {"role": "01"}),
        (SGX, "identity", {"spki_sha256": [B1]}, {"hardware_ids": [B1[:16]]}),
        (SNP, "min_tcb", {**SNP_TCB, "snp": 25}, {**SNP_TCB, "microcode": 220}),
    ],
)
def test_neither_covers_the_other(claims: TeeClaims, field: str, one: object, other: object) -> None:
    first, second = entry(claims, field, one), entry(claims, field, other)
    assert not first.covers(second)
    assert not second.covers(first)


def test_any_version_is_version_0() -> None:
    """Neither "any" nor 0 refuses anything."""
    nothing, everything = entry(SNP, "min_guest_svn", 0), entry(SNP, "min_guest_svn", "any")
    assert nothing.covers(everything)
    assert everything.covers(nothing)


def test_a_list_of_products_accepts_reports_that_name_none() -> None:
    listed = entry(SNP, "products", ["Milan"], min_report_version=2)
    assert not entry(SNP, "products", "any", min_report_version=2).covers(listed)


def test_the_name_is_no_condition_and_the_tee_is() -> None:
    assert pinning_entry(SGX, name="one").covers(pinning_entry(SGX, name="other"))
    for other in (pinning_entry(TDX), null_policy().entries[0]):
        assert not pinning_entry(SGX).covers(other)
        assert not other.covers(pinning_entry(SGX))
