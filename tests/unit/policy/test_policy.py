"""The policy as a whole: one entry accepts, all mismatches together, what is not done, the canonical form."""

from __future__ import annotations

import hashlib
import json
from dataclasses import fields, replace
from typing import Any

import pytest

from rats_tls.core.binding import Binding
from rats_tls.core.claims import NullClaims, TcbStatus, TeeClaims
from rats_tls.core.errors import ConfigurationError
from rats_tls.core.evidence import TeeType
from rats_tls.policy import ANY, JUDGED_TEE_TYPES, Entry, Identity, NullEntry, Policy, SevEntry, SgxEntry
from support.claims import CSV, SEV, SGX, SGX_LA, SNP, TDX, facts
from support.policies import default_policy, null_policy, pinning_entry


def fields_of(policy: Policy, claims: TeeClaims, *, verified: bool = True, **known: Any) -> list[str]:
    evaluation = policy.evaluate(claims, facts(**known), verified=verified)
    assert evaluation.accepted is None
    return [f"{mismatch.entry}.{mismatch.field}" for mismatch in evaluation.mismatches]


# --- which entry ------------------------------------------------------------------------------------------------------
def test_first_entry_that_holds_whole_accepts() -> None:
    wrong = pinning_entry(SGX, name="wrong", mr_enclave=bytes([1] * 32))
    second = pinning_entry(SGX, name="second")
    third = pinning_entry(SGX, name="third", mr_signer=ANY)
    evaluation = Policy.of(wrong, second, third).evaluate(SGX, facts(), verified=True)
    assert evaluation.accepted is second
    assert evaluation.mismatches == ()


def test_entries_are_not_mixed() -> None:
    """Old firmware of one entry with the new enclave of another is no peer of either."""
    old = pinning_entry(SGX, name="old", mr_enclave=bytes([1] * 32), min_isv_svn=2)
    new = pinning_entry(SGX, name="new", min_isv_svn=4)
    assert fields_of(Policy.of(old, new), SGX) == ["old.mr_enclave", "new.min_isv_svn"]


def test_all_mismatches_of_all_entries_of_the_tee_are_reported() -> None:
    first = pinning_entry(SGX, name="first", mr_enclave=bytes([1] * 32), mr_signer=bytes([2] * 32), isv_prod_id=9)
    second = pinning_entry(SGX, name="second", min_isv_svn=100, max_evidence_age=1, bindings="session")
    policy = Policy.of(first, second, pinning_entry(SNP, name="other-tee", vmpl=3))
    claims = replace(SGX, attributes=0x17)
    assert fields_of(policy, claims, preamble=False, revocation_checked=False) == [
        "first.preamble",
        "first.revocation",
        "first.mr_enclave",
        "first.mr_signer",
        "first.isv_prod_id",
        "first.allow_debug",
        "first.allowed_attributes",
        "second.bindings",
        "second.preamble",
        "second.max_evidence_age",
        "second.revocation",
        "second.min_isv_svn",
        "second.allow_debug",
        "second.allowed_attributes",
    ]


def test_no_entry_for_the_tee_is_one_mismatch() -> None:
    policy = Policy.of(pinning_entry(SGX), pinning_entry(TDX, name="td"))
    (mismatch,) = policy.evaluate(SNP, facts(), verified=True).mismatches
    assert (mismatch.field, mismatch.got, mismatch.expected) == ("tee", "sev_snp", "sgx_ecdsa or tdx_ecdsa")
    (mismatch,) = policy.evaluate(NullClaims(), facts(), verified=True).mismatches
    assert (mismatch.field, mismatch.got) == ("tee", "null")


def test_entries_by_tee() -> None:
    sgx, td, nobody = pinning_entry(SGX), pinning_entry(TDX, name="td"), null_policy().entries[0]
    policy = Policy.of(td, sgx, nobody)
    assert policy.tee_types == {TeeType.SGX_ECDSA, TeeType.TDX_ECDSA, TeeType.NULL}
    assert policy.entries_for(TeeType.SGX_ECDSA) == (sgx,)
    assert policy.entries_for(TeeType.SEV_SNP) == ()
    assert {TeeType.SGX_ECDSA, TeeType.TDX_ECDSA, TeeType.SEV_SNP} <= set(JUDGED_TEE_TYPES)


def test_fresh_entries_are_those_whose_age_limit_holds() -> None:
    hour, day = pinning_entry(SGX, name="hour"), pinning_entry(SGX, name="day", max_evidence_age=86_400)
    ever = pinning_entry(SGX, name="ever", max_evidence_age="any")
    policy = Policy.of(hour, day, ever)
    for age, fresh in (
        (3600.0, (hour, day, ever)),
        (3600.1, (day, ever)),
        (86_401.0, (ever,)),
        ("unknown", (ever,)),
        ("not-applicable", (hour, day, ever)),
    ):
        assert policy.fresh_entries(TeeType.SGX_ECDSA, facts(evidence_age=age)) == fresh
    stale_only = Policy.of(hour, replace(day, mr_enclave=(bytes([1] * 32),)))
    assert fields_of(stale_only, SGX, evidence_age=7200.0) == ["hour.max_evidence_age", "day.mr_enclave"]


# --- before verification ----------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("claims", "not_done"),
    [
        (
            replace(SGX, platform=None, tcb=None),
            ("tcb_statuses", "advisories", "min_tcb_evaluation_data_number", "min_tcb"),
        ),
        (
            replace(TDX, platform=None, tcb=None),
            ("tcb_statuses", "advisories", "min_tcb_evaluation_data_number", "min_tcb"),
        ),
        (
            replace(
                SNP,
                report_version=2,
                product=None,
                current_tcb=None,
                reported_tcb=None,
                committed_tcb=None,
                launch_tcb=None,
            ),
            ("min_tcb", "products", "allow_provisional_firmware"),
        ),
    ],
    ids=["sgx", "tdx", "snp"],
)
def test_conditions_that_need_endorsements_are_named_and_nothing_is_accepted(
    claims: TeeClaims, not_done: tuple[str, ...]
) -> None:
    components: dict[str, object] = {"sgx_components": [0] * 16, "pce_svn": 0}
    more: dict[str, Any] = {
        TeeType.SGX_ECDSA: {"min_tcb": components},
        TeeType.TDX_ECDSA: {"min_tcb": {**components, "tdx_components": [0] * 16}},
        TeeType.SEV_SNP: {
            "min_tcb": {"bootloader": 0, "tee": 0, "snp": 0, "microcode": 0},
            "products": "Milan",
            "min_report_version": 2,
        },
    }[claims.tee_type]
    policy = default_policy(claims, **more)
    evaluation = policy.evaluate(claims, facts(), verified=False)
    assert (evaluation.accepted, evaluation.mismatches, evaluation.not_done) == (None, (), not_done)
    # Decoded fields need no Endorsement: what fails there is said at once.
    assert fields_of(default_policy(claims, bindings="session", **more), claims, verified=False) == ["pinned.bindings"]
    # Once verified, an absent claim is a refusal.
    assert fields_of(policy, claims, verified=True) == [f"pinned.{name}" for name in not_done]


def test_an_entry_that_nothing_speaks_against_yet_hides_the_mismatches_of_others() -> None:
    policy = Policy.of(pinning_entry(SGX, name="wrong", mr_enclave=bytes([1] * 32)), pinning_entry(SGX, name="right"))
    evaluation = policy.evaluate(replace(SGX, platform=None, tcb=None), facts(), verified=False)
    assert (evaluation.accepted, evaluation.mismatches) == (None, ())
    assert "tcb_statuses" in evaluation.not_done


# --- making one -------------------------------------------------------------------------------------------------------
def test_an_empty_policy_is_an_error() -> None:
    with pytest.raises(ConfigurationError, match="empty policy"):
        Policy.of()


def test_names_are_unique_across_tees() -> None:
    with pytest.raises(ConfigurationError, match="'pinned': name used by 2 entries"):
        Policy.of(pinning_entry(SGX), pinning_entry(TDX))


@pytest.mark.parametrize(
    ("claims", "changes", "said"),
    [
        (SGX, {"mr_enclave": bytes(31)}, "mr_enclave: got 0{62}, expected 32 bytes as 64 hex digits"),
        (SGX, {"mr_enclave": "zz" * 32}, "mr_enclave: got 'zzz"),
        (SGX, {"mr_enclave": " " * 64}, "mr_enclave: got '   "),
        (SGX, {"mr_enclave": []}, "mr_enclave: got an empty list"),
        (SGX, {"mr_enclave": None}, "mr_enclave: got None"),
        (SGX, {"bindings": []}, "bindings: got an empty list"),
        (SGX, {"bindings": "report-data"}, "bindings: got 'report-data': the caller"),
        (SGX, {"bindings": "tls"}, "bindings: got 'tls', expected one of 'certificate', 'session', 'none'"),
        (SGX, {"identity": "any"}, "identity: got 'any', expected 'measurement-only'"),
        (SGX, {"identity": {}}, "identity: got an empty table"),
        (SGX, {"identity": {"spki_sha256": []}}, "identity: spki_sha256: got an empty list"),
        (SGX, {"identity": {"spki_sha256": "00"}}, "identity: spki_sha256: got '00', expected 32 bytes"),
        (SGX, {"identity": {"names": ["host"]}}, 'identity: names under a CA come with "session" binding'),
        (SGX, {"identity": {"name": "host", "ca_file": "ca.pem"}}, 'names under a CA come with "session" binding'),
        (SGX, {"identity": {"hardware_ids": "c4" * 64}}, "expected 16 bytes that are not all zero"),
        (SGX, {"identity": {"hardware_ids": bytes(16)}}, "expected 16 bytes that are not all zero"),
        (SNP, {"identity": {"hardware_ids": "99" * 16}}, "expected 64 bytes that are not all zero"),
        (SGX, {"preamble": True}, "preamble: got True, expected one of 'required', 'optional'"),
        (SGX, {"max_evidence_age": 0}, "max_evidence_age: got 0, expected an integer from 1"),
        (SGX, {"max_evidence_age": True}, "max_evidence_age: got True"),
        (SGX, {"max_evidence_age": 3600.0}, "max_evidence_age: got 3600.0"),
        (SGX, {"revocation": "any"}, "revocation: got 'any', expected one of 'required', 'not-checked'"),
        (SGX, {"custom_claims": {"role": 7}}, "custom_claims: role: got 7"),
        (SGX, {"custom_claims": {"role": {"text": ""}}}, "custom_claims: role: got ''"),
        (SGX, {"custom_claims": {"": "00"}}, "custom_claims: got ''"),
        (SGX, {"custom_claims": ["role"]}, "custom_claims: got \\['role'\\], expected a table"),
        (SGX, {"tcb_statuses": ["UpToDate", "Revoked"]}, "tcb_statuses: got 'Revoked': a revoked TCB can never be"),
        (SGX, {"tcb_statuses": TcbStatus.REVOKED}, "tcb_statuses: got 'Revoked'"),
        (SGX, {"tcb_statuses": "any"}, "tcb_statuses: got 'any', expected one of 'UpToDate', 'SWHardeningNeeded'"),
        (SGX, {"advisories": "any\n"}, "advisories: got 'any.n'"),
        (SGX, {"min_tcb": {}}, "min_tcb: got without \\['sgx_components', 'pce_svn'\\]"),
        (SGX, {"min_tcb": {"sgx_components": [0] * 16}}, "min_tcb: got without \\['pce_svn'\\]"),
        (SGX, {"min_tcb": {"sgx_components": [0] * 15, "pce_svn": 0}}, "min_tcb: sgx_components: got .*, expected 16"),
        (SGX, {"min_tcb": {"sgx_components": [256] * 16, "pce_svn": 0}}, "min_tcb: sgx_components: got 256"),
        (SGX, {"min_tcb": {"sgx_components": [0] * 16, "pce_svn": 0, "x": 1}}, "min_tcb: got unknown keys \\['x'\\]"),
        (TDX, {"min_tcb": {"sgx_components": [0] * 16, "pce_svn": 0}}, "min_tcb: got without \\['tdx_components'\\]"),
        (SNP, {"min_tcb": {"microcode": 1}}, "min_tcb: got without \\['bootloader', 'tee', 'snp'\\]"),
        (SGX, {"min_isv_svn": 1 << 16}, "min_isv_svn: got 65536, expected an integer from 0 to 65535"),
        (SGX, {"min_isv_svn": -1}, "min_isv_svn: got -1"),
        (SGX, {"allowed_attributes": "0x1_0"}, "allowed_attributes: got '0x1_0', expected a 64-bit mask"),
        (SGX, {"allowed_attributes": 1 << 64}, "allowed_attributes: got 18446744073709551616"),
        (SGX, {"allow_debug": "any"}, "allow_debug: got 'any', expected true or false"),
        (SGX, {"mr_enclave": ANY, "isv_prod_id": ANY}, 'isv_prod_id: got "any", expected a value: mr_signer without'),
        (SGX, {"mr_enclave": ANY, "min_isv_svn": "any"}, 'min_isv_svn: got "any", expected a value'),
        (SNP, {"products": "Naples"}, "products: got 'Naples', expected one of 'Milan'"),
        (SNP, {"vmpl": 4}, "vmpl: got 4, expected an integer from 0 to 3"),
        (SNP, {"min_firmware_version": [1, 55]}, "min_firmware_version: got \\[1, 55\\], expected 3 integers"),
        (SNP, {"signing_keys": "any"}, "signing_keys: got 'any'"),
        (SNP, {"csp_ids": "any\x00"}, "csp_ids: got 'any"),
    ],
)
def test_wrong_values_are_named(claims: TeeClaims, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        pinning_entry(claims, **changes)


def test_all_wrong_values_of_an_entry_are_named_at_once() -> None:
    with pytest.raises(ConfigurationError) as caught:
        pinning_entry(SNP, vmpl=9, products="Naples", measurement="00")
    assert [part.split(":")[0] for part in caught.value.message.split("; ")] == ["measurement", "products", "vmpl"]


def test_null_has_no_machine_to_identify() -> None:
    with pytest.raises(ConfigurationError, match="null has no machine to identify"):
        null_policy(identity={"hardware_ids": ["99" * 16]})


def test_signer_and_enclave_may_both_be_any_when_written() -> None:
    entry = pinning_entry(SGX, mr_enclave="any", mr_signer="any", isv_prod_id="any", min_isv_svn="any")
    assert Policy.of(entry).evaluate(SGX, facts(), verified=True).accepted is entry


def test_written_and_python_forms_are_the_same() -> None:
    written = pinning_entry(
        SGX, bindings=["certificate"], mr_enclave="A1" * 32, identity={"spki_sha256": ["D1" * 32]}, config_id="any"
    )
    held = pinning_entry(
        SGX,
        bindings=Binding.CERTIFICATE,
        mr_enclave=bytes([0xA1] * 32),
        identity=Identity(spki_sha256=(bytes([0xD1] * 32),)),
        config_id=ANY,
    )
    assert written == held
    assert repr(held.config_id) == "ANY" if isinstance(held, SgxEntry) else False


# --- canonical form and digest ----------------------------------------------------------------------------------------
def test_canonical_form_is_what_the_documentation_says() -> None:
    policy = Policy.of(pinning_entry(TDX, name="tür", identity={"spki_sha256": "AB" * 32}))
    canonical = policy.canonical()
    document = json.loads(canonical)
    assert canonical == json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    assert policy.digest == hashlib.sha256(canonical).digest()
    (entry,) = document["entry"]
    assert set(entry) == {"tee", *(field.name for field in fields(policy.entries[0]))}  # every value, defaults too
    assert entry["identity"] == {"spki_sha256": ["ab" * 32]}
    assert entry["name"] == "tür"
    assert entry["tcb_statuses"] == ["UpToDate"]
    assert document["version"] == 1


def test_canonical_form_of_null_is_fixed() -> None:
    """The digest is cited by results and caches: a change of it is a change of the format."""
    assert null_policy().canonical() == (
        b'{"entry":[{"bindings":["none","certificate"],"custom_claims":{},"endorsement_grace":0,'
        b'"identity":"measurement-only","max_endorsement_age":"any","max_evidence_age":3600,'
        b'"name":"nobody","preamble":"required","revocation":"required","tee":"null"}],'
        b'"mode":"enforce","version":1}'
    )


OTHER_VALUES: dict[str, object] = {
    "name": "other",
    "bindings": "session",
    "identity": {"spki_sha256": "00" * 32},
    "preamble": "optional",
    "max_evidence_age": 1,
    "max_endorsement_age": 1,
    "custom_claims": {"role": "00"},
    "revocation": "not-checked",
    "tcb_statuses": ["UpToDate", "OutOfDate"],
    "advisories": "INTEL-SA-00001",
    "fmspcs": "00" * 6,
    "dynamic_platform": False,
    "cached_keys": False,
    "smt_enabled": False,
    "products": "Milan",
    "vmpl": 1,
    "min_policy_abi": [0, 1],
    "min_policy_api": [0, 1],
    "min_firmware_version": [0, 0, 1],
    "signing_keys": "VCEK",
    "csp_ids": "cloud",
    "required_events": {"register": "rtmr3", "type": "EV_EVENT_TAG", "name": "AAEL"},
}


def other_value(entry: Entry, name: str) -> object:
    value = getattr(entry, name)
    if name == "min_tcb":
        return {
            TeeType.SGX_ECDSA: {"sgx_components": [0] * 16, "pce_svn": 0},
            TeeType.TDX_ECDSA: {"sgx_components": [0] * 16, "pce_svn": 0, "tdx_components": [0] * 16},
            TeeType.SEV_SNP: {"bootloader": 0, "tee": 0, "snp": 0, "microcode": 0},
        }[entry.tee]
    if entry.tee is TeeType.CSV and name == "measurement":  # version 1 must not leave it open
        return bytes(32)
    if name == "bindings" and isinstance(entry, SevEntry):
        return "none"
    if name in OTHER_VALUES:
        return OTHER_VALUES[name]
    if isinstance(value, bool):
        return not value
    return value + 1 if isinstance(value, int) else ANY


@pytest.mark.parametrize(
    "claims", [SGX, TDX, SGX_LA, SNP, SEV, CSV, NullClaims()], ids=["sgx", "tdx", "local", "snp", "sev", "csv", "null"]
)
def test_every_field_changes_the_digest_and_survives_the_file(claims: TeeClaims) -> None:
    entry = null_policy().entries[0] if isinstance(claims, NullClaims) else pinning_entry(claims)
    digests = {Policy.of(entry).digest}
    changeable = [field for field in fields(entry) if field.name not in entry.unavoidable]
    for field in changeable:
        policy = Policy.of(replace(entry, **{field.name: other_value(entry, field.name)}))
        assert policy.digest not in digests, field.name
        digests.add(policy.digest)
        assert Policy.from_toml(policy.to_toml()) == policy, field.name
    assert len(digests) == len(changeable) + 1


def test_order_of_entries_changes_the_digest() -> None:
    first, second = pinning_entry(SGX, name="first"), pinning_entry(SGX, name="second")
    assert Policy.of(first, second).digest != Policy.of(second, first).digest


def test_entries_are_values() -> None:
    assert hash(default_policy(SGX)) == hash(default_policy(SGX))
    assert isinstance(null_policy().entries[0], NullEntry)
    with pytest.raises(AttributeError):
        pinning_entry(SGX).name = "changed"  # type: ignore[misc]
