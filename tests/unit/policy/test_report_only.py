"""A policy's report-only mode: which mismatches it passes over, and how it is written."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import jsonschema
import pytest

from rats_tls.core.claims import NullClaims, TcbStatus, TeeClaims
from rats_tls.core.errors import ConfigurationError
from rats_tls.core.evidence import TeeType
from rats_tls.policy import (
    ANY,
    Entry,
    Level,
    Mode,
    NullEntry,
    Policy,
    SevEntry,
    SgxEntry,
    SgxLocalEntry,
    SnpEntry,
    TdxEntry,
    compare,
    lint,
)
from rats_tls.policy import policy_schema as schema
from rats_tls.policy.rules import rule_of
from support.claims import SGX, SNP, TDX, facts
from support.paths import REPOSITORY
from support.policies import null_policy, pinning_entry

OTHER = bytes([0xEE] * 48)
SOFTENED: dict[type[Entry], set[str]] = {
    SgxEntry: {
        *("mr_enclave", "mr_signer", "isv_prod_id", "min_isv_svn", "config_id", "min_config_svn", "isv_ext_prod_id"),
        *("isv_family_id", "min_tcb", "tcb_statuses", "advisories"),
    },
    SgxLocalEntry: {
        *("mr_enclave", "mr_signer", "isv_prod_id", "min_isv_svn", "config_id", "min_config_svn", "isv_ext_prod_id"),
        *("isv_family_id", "cpu_svn"),
    },
    TdxEntry: {
        *("mr_td", "rtmr0", "rtmr1", "rtmr2", "rtmr3", "mr_seam", "mr_config_id", "mr_owner", "mr_owner_config"),
        *("mr_service_td", "min_tcb", "tcb_statuses", "advisories", "required_events"),
    },
    SnpEntry: {
        *("measurement", "host_data", "id_key_digest", "author_key_digest", "family_id", "image_id", "min_guest_svn"),
        *("min_tcb", "min_firmware_version"),
    },
    SevEntry: {"launch_digest"},
    NullEntry: set(),
}


def policy(*entries: Entry) -> Policy:
    return Policy.of(*entries, mode=Mode.REPORT_ONLY)


def reported(made: Policy, claims: TeeClaims, *, verified: bool = True, **known: Any) -> Entry | None:
    """The entry that report-only passes over; it never accepts what enforcing refuses."""
    evaluation = made.evaluate(claims, facts(**known), verified=verified)
    enforced = Policy.of(*made.entries).evaluate(claims, facts(**known), verified=verified)
    assert (evaluation.accepted, evaluation.mismatches) == (enforced.accepted, enforced.mismatches)
    assert enforced.reported is None
    assert evaluation.accepted is None or evaluation.reported is None
    return evaluation.reported


@pytest.mark.parametrize("kind", SOFTENED)
def test_the_softened_fields_are_these_and_no_others(kind: type[Entry]) -> None:
    assert {declared.name for declared in fields(kind) if rule_of(declared).softened} == SOFTENED[kind]


def test_the_page_names_them() -> None:
    page = (REPOSITORY / "docs" / "policy.md").read_text(encoding="utf-8")
    (paragraph,) = [part for part in page.split("\n\n") if part.startswith("It passes over")]
    named = {word.strip("`,.;") for word in paragraph.split() if word.startswith("`")}
    assert set().union(*SOFTENED.values()) <= named


def test_reference_values_are_passed_over() -> None:
    entry = pinning_entry(TDX)
    changed = replace(TDX, mr_td=OTHER, rtmr2=OTHER)
    assert reported(policy(entry), changed) is entry
    assert reported(policy(entry), TDX) is None, "an accepted peer is accepted"


def test_the_tcb_status_is_passed_over_but_never_revoked() -> None:
    entry = pinning_entry(SGX, mr_signer=OTHER[:32])
    for status in TcbStatus:
        tcb = replace(SGX.tcb, status=status, advisories=("INTEL-SA-00289",))  # type: ignore[type-var]
        found = reported(policy(entry), replace(SGX, tcb=tcb))
        assert (found is entry) is (status is not TcbStatus.REVOKED)


def test_what_nobody_evaluated_is_not_passed_over() -> None:
    """An absent claim is no mismatch of a value."""
    minimum = {"sgx_components": [0] * 16, "pce_svn": 0}
    assert reported(policy(pinning_entry(SGX)), replace(SGX, tcb=None)) is None
    assert reported(policy(pinning_entry(SGX, min_tcb=minimum)), replace(SGX, platform=None)) is None
    tcb = {"bootloader": 0, "tee": 0, "snp": 0, "microcode": 0}
    assert reported(policy(pinning_entry(SNP, min_tcb=tcb)), replace(SNP, reported_tcb=None)) is None
    assert reported(policy(pinning_entry(SGX)), replace(SGX, mr_enclave=OTHER[:32]), verified=False) is None


@pytest.mark.parametrize(
    ("claims", "known"),
    [
        (replace(SGX, attributes=0x7), {}),
        (replace(SGX, attributes=0x15), {}),
        (replace(SGX, xfrm=0x1E7), {}),
        (SGX, {"spki_sha256": bytes(32)}),
        (SGX, {"preamble": False}),
        (SGX, {"evidence_age": 3601.0}),
        (SGX, {"custom_claims": {}}),
        (SGX, {"revocation_checked": False}),
        (SGX, {"documents_expired_by": 0.0}),
        (SGX, {"lists_age": 1e6}),
    ],
    ids=str,
)
def test_every_other_mismatch_refuses(claims: TeeClaims, known: dict[str, Any]) -> None:
    """With one that is passed over, and alone."""
    strict = {
        "identity": {"spki_sha256": "d1" * 32},
        "custom_claims": {"role": {"text": "server"}},
        "max_endorsement_age": 86_400,
    }
    for pinned in (SGX.mr_enclave, OTHER[:32]):
        assert reported(policy(pinning_entry(SGX, mr_enclave=pinned, **strict)), claims, **known) is None


def test_one_whole_entry_is_passed_over() -> None:
    debug = pinning_entry(SGX, name="debug", mr_enclave=OTHER[:32], allow_debug=True)
    strict = pinning_entry(SGX, name="strict")
    debugged = replace(SGX, attributes=0x7)
    assert reported(policy(strict, debug), debugged) is debug
    assert reported(policy(strict), debugged) is None
    assert reported(policy(strict), NullClaims()) is None


# --- the file form ----------------------------------------------------------------------------------------------------
def test_the_mode_is_written_and_read() -> None:
    made = policy(pinning_entry(SGX))
    assert made.to_toml().startswith('version = 1\nmode = "report-only"\n')
    assert Policy.from_toml(made.to_toml()) == made
    assert "mode" not in Policy.of(*made.entries).to_toml()
    assert Policy.from_toml(Policy.of(*made.entries).to_toml()).mode is Mode.ENFORCE
    assert Policy.from_toml('mode = "enforce"\n' + null_policy().to_toml()).mode is Mode.ENFORCE


@pytest.mark.parametrize("mode", ['"report_only"', "true", "[]", "1", '""'])
def test_another_mode_is_an_error(mode: str) -> None:
    with pytest.raises(ConfigurationError, match=r"mode: got .*, expected 'enforce' or 'report-only'"):
        Policy.from_toml(f"mode = {mode}\n" + null_policy().to_toml())


def test_the_mode_is_the_policys_and_no_entrys() -> None:
    with pytest.raises(ConfigurationError, match="mode: unknown key"):
        Policy.from_toml(null_policy().to_toml() + 'mode = "report-only"\n')


def test_the_schema_has_it() -> None:
    document: dict[str, Any] = {"version": 1, "entry": [{"tee": "null", "name": "n", "bindings": "none"}]}
    document["entry"][0]["identity"] = "measurement-only"
    for mode, good in (("enforce", True), ("report-only", True), ("off", False)):
        validator = jsonschema.Draft202012Validator(schema())
        assert validator.is_valid({**document, "mode": mode}) is good


def test_the_mode_changes_the_digest_and_stays_with_a_part() -> None:
    """What is remembered under one mode is never found under the other."""
    made = policy(pinning_entry(SGX), pinning_entry(TDX, name="td"))
    assert made.digest != Policy.of(*made.entries).digest
    assert made.restricted_to(TeeType.SGX_ECDSA).mode is Mode.REPORT_ONLY


def test_lint_and_diff_name_it() -> None:
    made = policy(pinning_entry(SGX, mr_signer=ANY))
    (advice,) = [advice for advice in lint(made) if not advice.entry]
    assert (advice.level, advice.field, advice.place) == (Level.DANGER, "mode", "mode")
    found = compare(Policy.of(*made.entries), made)
    assert (found.a_mode, found.b_mode, found.entries) == (Mode.ENFORCE, Mode.REPORT_ONLY, ())
