"""Every field of every entry: what its default or pinned value refuses, what is said, and what accepts it."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest

from rats_tls.core.binding import Binding
from rats_tls.core.checks import Mismatch
from rats_tls.core.claims import MeasuredEvent, NullClaims, SnpTcb, TcbStatus, TeeClaims
from rats_tls.policy import ANY, Entry, Facts, NullEntry, Policy, SevEntry, SgxEntry, SgxLocalEntry, SnpEntry, TdxEntry
from rats_tls.policy.sgx_entry import SgxReportEntry
from support.claims import SEV, SGX, SGX_LA, SNP, SNP_TCB, TDX, facts
from support.policies import null_policy, pinning_entry

NULL = NullClaims()
OTHER_32, OTHER_48, OTHER_16, OTHER_64 = (bytes([0xEE] * size) for size in (32, 48, 16, 64))

Change = dict[str, Any]


def tcb(**changes: int | None) -> SnpTcb:
    return replace(SNP_TCB, **changes)


SNP_OLD = dict.fromkeys(("reported_tcb", "launch_tcb", "committed_tcb", "current_tcb"), tcb(microcode=83))

# (claims, field, change, got, expected, written): an entry that pins what the claims say and writes no default
# refuses the changed claims for that field alone, and accepts them once `written` is written.
STRICT: list[tuple[TeeClaims, str, Change, str, str, object]] = [
    # every TEE
    (SGX, "bindings", {"facts.binding": Binding.SESSION}, "session", "none or certificate", ["session"]),
    (SGX, "preamble", {"facts.preamble": False}, "no preamble", "a peer that speaks the preamble", "optional"),
    (SGX, "max_evidence_age", {"facts.evidence_age": 3601.0}, "3601 s", "at most 3600 s", 3601),
    (SGX, "max_evidence_age", {"facts.evidence_age": "unknown"}, "unknown age", "at most 3600 s", "any"),
    (SGX, "max_evidence_age", {"facts.evidence_age": float("nan")}, "nan s", "at most 3600 s", "any"),
    (SNP, "revocation", {"facts.revocation_checked": False}, "not checked", "every certificate", "not-checked"),
    (SGX, "endorsement_grace", {"facts.documents_expired_by": 59.0}, "expired 59 s ago", "in date", 60),
    (SNP, "endorsement_grace", {"facts.lists_expired_by": 0.0}, "expired 0 s ago", "in date", 1),
    # SGX: the enclave
    (SGX, "mr_enclave", {"mr_enclave": OTHER_32}, OTHER_32.hex(), SGX.mr_enclave.hex(), [SGX.mr_enclave, OTHER_32]),
    (SGX, "mr_signer", {"mr_signer": OTHER_32}, OTHER_32.hex(), SGX.mr_signer.hex(), ANY),
    (SGX, "isv_prod_id", {"isv_prod_id": 8}, "8", "7", [7, 8]),
    (SGX, "min_isv_svn", {"isv_svn": 2}, "2", "at least 3", 2),
    (SGX, "allow_debug", {"attributes": 0x7}, "DEBUG set", "DEBUG clear", True),
    (SGX, "allowed_attributes", {"attributes": 0x15}, "0x15 (not allowed: 0x10)", "only bits of 0x4c5", "0x15"),
    (SGX, "allowed_attributes", {"attributes": 0x25}, "0x25 (not allowed: 0x20)", "only bits of 0x4c5", "0x25"),
    (SGX, "allowed_attributes", {"attributes": 1 << 63 | 5}, "0x8000000000000000", "0x4c5", 1 << 63 | 5),
    (SGX, "required_attributes", {"attributes": 0x4}, "0x4 (not set: 0x1)", "all bits of 0x5", "0x4"),
    (SGX, "required_attributes", {"attributes": 0x1}, "0x1 (not set: 0x4)", "all bits of 0x5", "0x1"),
    (SGX, "allowed_xfrm", {"xfrm": 0x1E7}, "0x1e7 (not allowed: 0x100)", "only bits of 0x602ff", "0x1e7"),
    (SGX, "allowed_miscselect", {"miscselect": 3}, "0x3 (not allowed: 0x2)", "only bits of 0x1", 3),
    (SGX, "config_id", {"config_id": OTHER_64}, OTHER_64.hex(), bytes(64).hex(), OTHER_64),
    (SGX, "isv_ext_prod_id", {"isv_ext_prod_id": OTHER_16}, OTHER_16.hex(), bytes(16).hex(), OTHER_16),
    (SGX, "isv_family_id", {"isv_family_id": OTHER_16}, OTHER_16.hex(), bytes(16).hex(), OTHER_16),
    # SGX by a local report
    (SGX_LA, "cpu_svn", {"cpu_svn": OTHER_16}, OTHER_16.hex(), SGX_LA.cpu_svn.hex(), [SGX_LA.cpu_svn, OTHER_16]),
    (SGX_LA, "cpu_svn", {"cpu_svn": OTHER_16}, OTHER_16.hex(), SGX_LA.cpu_svn.hex(), "any"),
    (SGX_LA, "mr_enclave", {"mr_enclave": OTHER_32}, OTHER_32.hex(), SGX_LA.mr_enclave.hex(), ANY),
    (SGX_LA, "allow_debug", {"attributes": 0x7}, "DEBUG set", "DEBUG clear", True),
    # SGX and TDX: the platform
    (
        TDX,
        "tcb_statuses",
        {"tcb.status": TcbStatus.TD_RELAUNCH_ADVISED},
        "TDRelaunchAdvised",
        "UpToDate",
        ["UpToDate", "TDRelaunchAdvised"],
    ),
    (
        TDX,
        "tcb_statuses",
        {"tcb.status": TcbStatus.TD_RELAUNCH_ADVISED_CONFIGURATION_NEEDED},
        "TDRelaunchAdvisedConfigurationNeeded",
        "UpToDate",
        "TDRelaunchAdvisedConfigurationNeeded",
    ),
    *(
        (SGX, "tcb_statuses", {"tcb.status": status}, status.value, "UpToDate", [status])
        for status in TcbStatus
        if status not in {TcbStatus.UP_TO_DATE, TcbStatus.REVOKED}
    ),
    # TDX: the trust domain
    *(
        (TDX, name, {name: OTHER_48}, OTHER_48.hex(), getattr(TDX, name).hex(), [OTHER_48.hex()])
        for name in ("mr_td", "rtmr0", "rtmr1", "rtmr2", "rtmr3", "mr_seam")
    ),
    *(
        (TDX, name, {name: OTHER_48}, OTHER_48.hex(), bytes(48).hex(), "any")
        for name in ("mr_config_id", "mr_owner", "mr_owner_config", "mr_service_td")
    ),
    *(
        (TDX, "allow_debug", {"td_attributes": 1 << 28 | 1 << bit}, f"debug ({1 << bit:#x})", "no bit", True)
        for bit in range(8)
    ),
    (
        TDX,
        "require_sept_ve_disable",
        {"td_attributes": 0},
        "SEPT_VE_DISABLE clear",
        "SEPT_VE_DISABLE set",
        False,
    ),
    (TDX, "allow_migratable", {"td_attributes": 0x3000_0000}, "MIGRATABLE set", "MIGRATABLE clear", True),
    *(
        (TDX, "allowed_td_attributes", {"td_attributes": 1 << 28 | 1 << bit}, f"{1 << bit:#x})", "only bits", 2**64 - 1)
        for bit in range(8, 64)
        if bit not in {27, 28, 29, 30}
    ),
    *(
        (TDX, "allowed_xfam", {"xfam": 0x6_02E7 | 1 << bit}, f"{1 << bit:#x})", "only bits", 2**64 - 1)
        for bit in (8, 15, 19, 63)
    ),
    # SEV-SNP
    (SNP, "measurement", {"measurement": OTHER_48}, OTHER_48.hex(), SNP.measurement.hex(), "any"),
    (SNP, "host_data", {"host_data": OTHER_32}, OTHER_32.hex(), SNP.host_data.hex(), OTHER_32.hex()),
    (SNP, "id_key_digest", {"id_key_digest": OTHER_48}, OTHER_48.hex(), bytes(48).hex(), OTHER_48),
    (SNP, "author_key_digest", {"author_key_digest": OTHER_48}, OTHER_48.hex(), bytes(48).hex(), OTHER_48),
    (SNP, "family_id", {"family_id": OTHER_16}, OTHER_16.hex(), bytes(16).hex(), "any"),
    (SNP, "image_id", {"image_id": OTHER_16}, OTHER_16.hex(), bytes(16).hex(), "any"),
    (SNP, "min_report_version", {"report_version": 2}, "2", "at least 3", 2),
    (SNP, "vmpl", {"vmpl": 1}, "1", "0", [0, 1]),
    (SNP, "allow_debug", {"policy": 0xB_0000}, "DEBUG set", "DEBUG clear", True),
    (SNP, "allow_migration_agent", {"policy": 0x7_0000}, "MIGRATE_MA set", "MIGRATE_MA clear", True),
    (SNP, "allow_cxl", {"policy": 0x23_0000}, "CXL set", "CXL clear", True),
    *(
        (SNP, "allowed_policy_bits", {"policy": 0x3_0000 | 1 << bit}, f"{1 << bit:#x})", "only bits", 2**64 - 1)
        for bit in range(26, 64)
    ),
    (SNP, "required_policy_bits", {"policy": 0x1_0000}, "(not set: 0x20000)", "all bits of 0x20000", 0),
    *(
        (SNP, "allowed_platform_info", {"platform_info": 1 << bit}, f"{1 << bit:#x})", "only bits of 0xbf", 2**64 - 1)
        for bit in (6, *range(8, 64))
    ),
    *(
        (SNP, "allowed_key_info", {"key_info": 1 << bit}, f"{1 << bit:#x})", "only bits of 0x1f", 2**32 - 1)
        for bit in range(5, 32)
    ),
    (
        SNP,
        "allow_provisional_firmware",
        {"committed_tcb": tcb(snp=22), "reported_tcb": tcb(snp=22), "launch_tcb": tcb(snp=22)},
        "provisional",
        "firmware that is committed",
        True,
    ),
    (
        SNP,
        "allow_provisional_firmware",
        {"committed_version": (1, 55, 39)},
        "provisional",
        "firmware that is committed",
        True,
    ),
    (
        SNP,
        "csp_ids",
        {"signing_key": 1, "vek_type": "VLEK", "csp_id": "cloud.example"},
        "VLEK of cloud.example",
        "VLEK of nobody",
        ["cloud.example"],
    ),
    (SNP, "csp_ids", {"signing_key": 1, "csp_id": "cloud.example"}, "VLEK of cloud.example", "nobody", "any"),
    # SEV and SEV-ES
    (SEV, "launch_digest", {"launch_digest": OTHER_32}, OTHER_32.hex(), SEV.launch_digest.hex(), "any"),
    *(
        (SEV, field, {"policy": SEV.policy & ~(1 << bit)}, f"{name} clear", f"{name} set", True)
        for field, bit, name in (
            ("allow_debug", 0, "NODBG"),
            ("allow_key_sharing", 1, "NOKS"),
            ("allow_plain_registers", 2, "ES"),
            ("allow_send", 3, "NOSEND"),
        )
    ),
    *(
        (SEV, "allowed_policy_bits", {"policy": SEV.policy | 1 << bit}, f"{1 << bit:#x})", "only bits", 0xFFFF)
        for bit in range(6, 16)
    ),
]

# (claims, field, written, got, expected, change): once `written` is written, the unchanged claims are refused for
# that field alone, and the changed ones are accepted.
NARROWING: list[tuple[TeeClaims, str, object, str, str, Change]] = [
    (SGX, "bindings", "none", "certificate", "none", {"facts.binding": Binding.NONE}),
    (
        SGX,
        "identity",
        {"spki_sha256": [OTHER_32]},
        "key " + "d1" * 32,
        "key " + OTHER_32.hex(),
        {"facts.spki_sha256": OTHER_32},
    ),
    (
        SGX,
        "identity",
        {"hardware_ids": OTHER_16.hex()},
        f"machine {'99' * 16}, {'77' * 16}",
        f"machine {OTHER_16.hex()}",
        {"platform.ppid": OTHER_16},
    ),
    (
        TDX,
        "identity",
        {"hardware_ids": [OTHER_16]},
        f"machine {'99' * 16}, {'77' * 16}",
        f"machine {OTHER_16.hex()}",
        {"platform.platform_instance_id": OTHER_16},
    ),
    (
        SNP,
        "identity",
        {"hardware_ids": [OTHER_64]},
        f"machine {'c4' * 64}",
        f"machine {OTHER_64.hex()}",
        {"chip_id": OTHER_64},
    ),
    (
        SGX,
        "custom_claims",
        {"role": {"text": "client"}, "shard": "0001"},
        "role = 736572766572, no shard",
        "role = 636c69656e74, shard = 0001",
        {"facts.custom_claims": {"role": b"client", "shard": b"\x00\x01", "more": b""}},
    ),
    (
        TDX,
        "required_events",
        {"register": "rtmr2", "type": "EV_IPL", "digest": OTHER_48},
        "no event log",
        "1 required event",
        {"events": (MeasuredEvent(register="rtmr2", type="EV_IPL", digest=OTHER_48),)},
    ),
    (SGX, "max_evidence_age", 59, "60 s", "at most 59 s", {"facts.evidence_age": 59.0}),
    (
        SGX,
        "max_endorsement_age",
        60 - 1,
        "issued 60 s ago",
        "at most 59 s",
        {"facts.documents_age": 59.0, "facts.lists_age": 59.0},
    ),
    (SGX, "min_config_svn", 1, "0", "at least 1", {"config_svn": 1}),
    (SGX, "min_tcb_evaluation_data_number", 21, "20", "at least 21", {"tcb.tcb_evaluation_data_number": 21}),
    (
        TDX,
        "fmspcs",
        ["00a067110000"],
        "00906ed50000",
        "00a067110000",
        {"platform.fmspc": bytes.fromhex("00a067110000")},
    ),
    (SGX, "dynamic_platform", True, "False", "True", {"platform.dynamic_platform": True}),
    (SGX, "cached_keys", True, "False", "True", {"platform.cached_keys": True}),
    (SGX, "smt_enabled", False, "True", "False", {"platform.smt_enabled": False}),
    (
        SGX,
        "min_tcb",
        {"sgx_components": [*[5] * 15, 6], "pce_svn": 13},
        "sgx_components [5, 5,",
        "at least [5, 5,",
        {"platform.sgx_tcb_components": (*[5] * 15, 6)},
    ),
    (
        SGX,
        "min_tcb",
        {"sgx_components": [0] * 16, "pce_svn": 14},
        "pce_svn 13",
        "at least 14",
        {"platform.pce_svn": 14},
    ),
    (
        TDX,
        "min_tcb",
        {"sgx_components": [0] * 16, "pce_svn": 0, "tdx_components": [7, *[0] * 15]},
        "tdx_components [6, 1, 3,",
        "at least [7, 0,",
        {"tee_tcb_svn": bytes([7, *[0] * 15])},
    ),
    # A later component that is higher does not make up for an earlier one that is lower.
    (
        TDX,
        "min_tcb",
        {"sgx_components": [6, *[0] * 15], "pce_svn": 0, "tdx_components": [0] * 16},
        "sgx_components [5,",
        "at least [6,",
        {"platform.sgx_tcb_components": (6, *[0] * 15)},
    ),
    *(
        (
            SNP,
            "min_tcb",
            {"bootloader": 0, "tee": 0, "snp": 0, "microcode": 0, name: getattr(SNP_TCB, name) + 1},
            f"reported TCB: {name} {getattr(SNP_TCB, name)} < {getattr(SNP_TCB, name) + 1}",
            f"{name} {getattr(SNP_TCB, name) + 1}",
            dict.fromkeys(SNP_OLD, tcb(**{name: getattr(SNP_TCB, name) + 1})),
        )
        for name in ("bootloader", "tee", "snp", "microcode")
    ),
    (
        SNP,
        "min_tcb",
        {"fmc": 1, "bootloader": 0, "tee": 0, "snp": 0, "microcode": 0},
        "reported TCB: fmc None < 1",
        "fmc 1",
        dict.fromkeys(SNP_OLD, tcb(fmc=1)),
    ),
    (
        TDX,
        "required_td_attributes",
        "0x40000000",
        "(not set: 0x40000000)",
        "all bits of 0x40000000",
        {"td_attributes": 0x5000_0000},
    ),
    (SNP, "min_guest_svn", 1, "0", "at least 1", {"guest_svn": 1}),
    (SNP, "min_report_version", 5, "3", "at least 5", {"report_version": 5}),
    (SNP, "products", ["Milan", "Turin"], "Genoa", "Milan or Turin", {"product": "Turin"}),
    (SNP, "allow_smt", False, "SMT set", "SMT clear", {"policy": 0x2_0000}),
    (SNP, "required_policy_bits", "0x120000", "(not set: 0x100000)", "0x120000", {"policy": 0x13_0000}),
    (SNP, "min_policy_abi", [1, 51], "0.0", "at least 1.51", {"policy": 0x3_0133}),
    (SNP, "required_platform_info", "0x8", "0x25 (not set: 0x8)", "all bits of 0x8", {"platform_info": 0x2D}),
    (
        SNP,
        "min_firmware_version",
        [1, 56, 0],
        "1.55.40",
        "at least 1.56.0",
        {"current_version": (1, 56, 0), "committed_version": (1, 56, 0)},
    ),
    (
        SNP,
        "required_mitigations",
        "0x3",
        "absent",
        "a verified claim",
        {"current_mit_vector": 7, "launch_mit_vector": 3},
    ),
    (SNP, "signing_keys", ["VLEK"], "VCEK", "VLEK", {}),
    (SEV, "products", ["Naples", "Milan"], "Rome", "Naples or Milan", {"product": "Milan"}),
    (SEV, "min_policy_api", [0, 23], "0.22", "at least 0.23", {"policy": 0x1700_003F}),
    (SEV, "min_policy_api", [1, 0], "0.22", "at least 1.0", {"policy": 0x0001_003F}),
    (
        SEV,
        "identity",
        {"hardware_ids": [OTHER_32]},
        f"machine {'d4' * 32}",
        f"machine {OTHER_32.hex()}",
        {"cek_sha256": OTHER_32},
    ),
]


def changed(claims: TeeClaims, change: Change) -> tuple[TeeClaims, Facts]:
    """Apply a change to claims and facts; dots lead into the facts, the platform and the TCB."""
    known = facts()
    for path, value in change.items():
        part, dot, name = path.partition(".")
        if part == "facts":
            known = replace(known, **{name: value})
        elif dot:
            claims = replace(claims, **{part: replace(getattr(claims, part), **{name: value})})
        else:
            claims = replace(claims, **{path: value})
    return claims, known


def refusals(entry: Entry, claims: TeeClaims, known: Facts) -> tuple[Mismatch, ...]:
    evaluation = Policy.of(entry).evaluate(claims, known, verified=True)
    assert (evaluation.accepted is None) == bool(evaluation.mismatches)
    assert evaluation.accepted in {None, entry}
    assert evaluation.not_done == ()
    return evaluation.mismatches


def ids(cases: list[Any]) -> list[str]:
    return [f"{case[0].tee_type}-{case[1]}-{number}" for number, case in enumerate(cases)]


@pytest.mark.parametrize("claims", [SGX, TDX, SNP, SEV], ids=["sgx", "tdx", "snp", "sev"])
def test_healthy_claims_are_accepted_with_every_default(claims: TeeClaims) -> None:
    assert refusals(pinning_entry(claims), claims, facts()) == ()


@pytest.mark.parametrize(("claims", "field", "change", "got", "expected", "written"), STRICT, ids=ids(STRICT))
def test_strict(claims: TeeClaims, field: str, change: Change, got: str, expected: str, written: object) -> None:
    bad, known = changed(claims, change)
    entry = pinning_entry(claims)
    (mismatch,) = refusals(entry, bad, known) if field != "min_report_version" else refusals(entry, bad, known)[:1]
    assert (mismatch.entry, mismatch.field) == ("pinned", field)
    assert got in mismatch.got
    assert expected in mismatch.expected
    also: dict[str, Any] = {"products": ["Genoa"]} if field == "min_report_version" else {}
    accepting = pinning_entry(claims, **{field: written}, **also)
    assert refusals(accepting, bad, known) == ()
    assert not entry.field_covers(field, accepting), "it accepts what the other refuses"


@pytest.mark.parametrize(("claims", "field", "written", "got", "expected", "change"), NARROWING, ids=ids(NARROWING))
def test_narrowing(claims: TeeClaims, field: str, written: object, got: str, expected: str, change: Change) -> None:
    entry = pinning_entry(claims, **{field: written})
    (mismatch,) = refusals(entry, *changed(claims, {}))
    assert (mismatch.entry, mismatch.field) == ("pinned", field)
    assert got in mismatch.got
    assert expected in mismatch.expected
    assert not entry.field_covers(field, pinning_entry(claims)), "it refuses what the other accepts"
    if change:
        assert refusals(entry, *changed(claims, change)) == ()


@pytest.mark.parametrize("entry", [SgxEntry, TdxEntry, SgxLocalEntry, SnpEntry, SevEntry, NullEntry])
def test_every_field_is_tried(entry: type[Entry]) -> None:
    tried = {(type(pinning_entry(case[0])), case[1]) for case in (*STRICT, *NARROWING)}
    shared = {field.name for field in fields(NullEntry)} - {"name"}
    intel = {field.name for field in fields(SgxEntry)} & {field.name for field in fields(TdxEntry)} - shared
    if issubclass(entry, SgxReportEntry):
        shared |= {field.name for field in fields(SgxReportEntry)}
    own = {field for cls, field in tried if cls is entry}
    anywhere = {field for _, field in tried}
    # Has no condition; have tests of their own.
    alone = {"name", "advisories", "allow_send_outside_domain", "allow_send_outside_sev"}
    assert {field.name for field in fields(entry)} - own - (anywhere & (shared | intel)) - alone == set()


# --- what the tables cannot say ---------------------------------------------------------------------------------------
def test_advisories_are_accepted_only_all_together() -> None:
    status = {"tcb.status": TcbStatus.SW_HARDENING_NEEDED, "tcb.advisories": ("INTEL-SA-00289", "INTEL-SA-00615")}
    claims, known = changed(SGX, status)
    accepts = {"tcb_statuses": ["SWHardeningNeeded"]}
    for listed, unlisted in (
        ([], "INTEL-SA-00289, INTEL-SA-00615"),
        (["INTEL-SA-00289"], "INTEL-SA-00615"),
        (["INTEL-SA-00615", "INTEL-SA-09999"], "INTEL-SA-00289"),
    ):
        (mismatch,) = refusals(pinning_entry(SGX, advisories=listed, **accepts), claims, known)
        assert (mismatch.field, mismatch.got) == ("advisories", unlisted)
    whole = ["INTEL-SA-00615", "INTEL-SA-00289", "INTEL-SA-09999"]
    assert refusals(pinning_entry(SGX, advisories=whole, **accepts), claims, known) == ()
    (mismatch,) = refusals(pinning_entry(SGX, advisories=whole), claims, known)
    assert mismatch.field == "tcb_statuses"


def test_advisories_of_an_up_to_date_platform_need_not_be_listed() -> None:
    assert refusals(pinning_entry(SGX), *changed(SGX, {"tcb.advisories": ("INTEL-SA-00289",)})) == ()


def test_revoked_is_refused_even_where_a_field_holds_it() -> None:
    entry = pinning_entry(SGX)
    object.__setattr__(entry, "tcb_statuses", tuple(TcbStatus))
    claims, known = changed(SGX, {"tcb.status": TcbStatus.REVOKED})
    (mismatch,) = refusals(entry, claims, known)
    assert (mismatch.field, mismatch.got) == ("tcb_statuses", "Revoked")


def test_identity_demands_every_key_that_is_written() -> None:
    both = {"spki_sha256": ["d1" * 32], "hardware_ids": ["99" * 16]}
    assert refusals(pinning_entry(SGX, identity=both), SGX, facts()) == ()
    for change in ({"facts.spki_sha256": OTHER_32}, {"platform.ppid": OTHER_16}, {"facts.spki_sha256": None}):
        (mismatch,) = refusals(pinning_entry(SGX, identity=both), *changed(SGX, change))
        assert mismatch.field == "identity"


def test_custom_claims_must_all_be_there() -> None:
    entry = pinning_entry(SGX, custom_claims={"role": {"text": "server"}, "shard": "01"})
    (mismatch,) = refusals(entry, SGX, facts())
    assert (mismatch.got, mismatch.expected) == ("no shard", "shard = 01")


def test_report_data_that_the_caller_expected_needs_no_listed_binding() -> None:
    for claims in (SGX, TDX, SNP):
        assert refusals(pinning_entry(claims, bindings="session"), claims, facts(binding=Binding.REPORT_DATA)) == ()


def test_the_grace_ends_with_its_last_second() -> None:
    entry = pinning_entry(SGX, endorsement_grace=60)
    for expired_by, accepted in ((59.9, True), (60.0, False)):
        for which in ("documents_expired_by", "lists_expired_by"):
            assert (refusals(entry, SGX, facts(**{which: expired_by})) == ()) is accepted


def test_lists_that_are_not_asked_for_have_no_age() -> None:
    entry = pinning_entry(SGX, revocation="not-checked", max_endorsement_age=60)
    assert refusals(entry, SGX, facts(lists_expired_by=1e9, lists_age=1e9)) == ()
    for name in ("documents_expired_by", "documents_age"):
        assert refusals(entry, SGX, facts(**{name: 1e9})) != ()


def test_what_has_expired_or_is_too_old_is_named() -> None:
    entry = pinning_entry(SGX, max_endorsement_age=60)
    ended = facts(documents_expired_by=5.0, expired_document="TCB info", lists_expired_by=9.0, expired_list="a list")
    (mismatch,) = refusals(entry, SGX, ended)
    assert mismatch.got == "a list that expired 9 s ago"
    old = facts(documents_age=90.0, oldest_document="TCB info", lists_age=70.0, oldest_list="a list")
    (mismatch,) = refusals(entry, SGX, old)
    assert mismatch.got == "TCB info issued 90 s ago"


def test_the_age_of_what_is_missing_is_not_known() -> None:
    entry = pinning_entry(SGX, max_endorsement_age=1)
    mismatches, not_done = entry.mismatches(SGX, facts(endorsements_known=False), verified=False)
    assert (mismatches, not_done) == ((), ("max_endorsement_age",))


def test_what_does_not_apply_outside_a_channel_is_not_demanded() -> None:
    assert refusals(pinning_entry(SGX), SGX, facts(preamble=None, evidence_age="not-applicable")) == ()


def test_a_service_td_that_is_pinned_is_not_met_by_a_body_without_one() -> None:
    older = replace(TDX, body_version="1.0", mr_service_td=None, tee_tcb_svn2=None)
    assert refusals(pinning_entry(TDX), older, facts()) == ()
    (mismatch,) = refusals(pinning_entry(TDX, mr_service_td=OTHER_48), older, facts())
    assert (mismatch.field, mismatch.got, mismatch.expected) == ("mr_service_td", "none", OTHER_48.hex())


def test_report_version_2_needs_a_named_product() -> None:
    claims = replace(SNP, report_version=2, cpuid_family=None, cpuid_model=None, cpuid_stepping=None, product="Milan")
    found = refusals(pinning_entry(SNP), claims, facts())
    assert [mismatch.field for mismatch in found] == ["min_report_version", "products"]
    (mismatch,) = refusals(pinning_entry(SNP, min_report_version=2), claims, facts())
    assert (mismatch.field, mismatch.got) == ("products", "none: report version 2 names no product")
    assert refusals(pinning_entry(SNP, min_report_version=2, products="Milan"), claims, facts()) == ()
    (mismatch,) = refusals(pinning_entry(SNP, min_report_version=2, products="Genoa"), claims, facts())
    assert (mismatch.field, mismatch.got, mismatch.expected) == ("products", "Milan", "Genoa")


def test_firmware_never_reports_or_commits_more_than_it_runs() -> None:
    entry = pinning_entry(SNP, allow_provisional_firmware=True)
    for change, said in (
        ({"reported_tcb": tcb(microcode=85)}, "reported above current: microcode 84 < 85"),
        ({"committed_tcb": tcb(bootloader=11)}, "committed above current: bootloader 10 < 11"),
        ({"committed_version": (1, 55, 41)}, "committed version (1, 55, 41) above current (1, 55, 40)"),
    ):
        (mismatch,) = refusals(entry, *changed(SNP, change))
        assert (mismatch.field, mismatch.got) == ("allow_provisional_firmware", said)


def test_tcb_is_compared_by_component_for_reported_and_launch() -> None:
    floor = {"bootloader": 10, "tee": 0, "snp": 23, "microcode": 84}
    entry = pinning_entry(SNP, min_tcb=floor)
    assert refusals(entry, SNP, facts()) == ()
    # The higher microcode outweighs the lower SNP firmware in the u64, not by component.
    lower = dict.fromkeys(SNP_OLD, tcb(microcode=200, snp=22))
    (mismatch,) = refusals(entry, *changed(SNP, lower))
    assert mismatch.got == "reported TCB: snp 22 < 23; launch TCB: snp 22 < 23"
    (mismatch,) = refusals(entry, *changed(SNP, {"launch_tcb": tcb(bootloader=9)}))
    assert mismatch.got == "launch TCB: bootloader 9 < 10"


@pytest.mark.parametrize(
    ("vector", "got"), [("current_mit_vector", "not applied: 0x2"), ("launch_mit_vector", "not applied: 0x2")]
)
def test_mitigations_must_be_there_at_launch_and_now(vector: str, got: str) -> None:
    claims = replace(SNP, **{"report_version": 5, "current_mit_vector": 7, "launch_mit_vector": 7, vector: 5})
    (mismatch,) = refusals(pinning_entry(SNP, required_mitigations=3), claims, facts())
    assert (mismatch.field, mismatch.got, mismatch.expected) == ("required_mitigations", got, "all of 0x3")


def test_signing_keys_other_than_those_of_chip_and_cloud_are_refused() -> None:
    for number in (2, 6, 7):
        (mismatch,) = refusals(pinning_entry(SNP), replace(SNP, signing_key=number), facts())
        assert (mismatch.field, mismatch.got) == ("signing_keys", f"signing key {number}")


def test_stricter_guest_policy_bits_are_accepted() -> None:
    for bit in (20, 22, 23, 24, 25):
        assert refusals(pinning_entry(SNP), replace(SNP, policy=0x3_0000 | 1 << bit), facts()) == ()


@pytest.mark.parametrize("absent", ["platform", "tcb"])
@pytest.mark.parametrize("claims", [SGX, TDX], ids=["sgx", "tdx"])
def test_verified_intel_claims_without_platform_or_tcb_are_refused(claims: Any, absent: str) -> None:
    entry = pinning_entry(claims, fmspcs=[SGX.platform.fmspc]) if SGX.platform is not None else None
    assert entry is not None
    found = refusals(entry, replace(claims, **{absent: None}), facts())
    assert {(mismatch.got, mismatch.expected) for mismatch in found} == {("absent", "a verified claim")}
    fields_found = {mismatch.field for mismatch in found}
    assert fields_found == (
        {"fmspcs"} if absent == "platform" else {"tcb_statuses", "advisories", "min_tcb_evaluation_data_number"}
    )


@pytest.mark.parametrize("absent", ["current_tcb", "committed_tcb", "reported_tcb"])
def test_verified_snp_claims_without_tcb_are_refused(absent: str) -> None:
    found = refusals(pinning_entry(SNP), replace(SNP, **{absent: None}), facts())
    assert [(mismatch.field, mismatch.got) for mismatch in found] == [("allow_provisional_firmware", "absent")]


def test_null_accepts_by_binding_identity_and_preamble_only() -> None:
    bare = facts(evidence_age="not-applicable", custom_claims={})
    policy = null_policy()
    assert policy.evaluate(NULL, bare, verified=True).accepted is policy.entries[0]
    (mismatch,) = null_policy(bindings="session").evaluate(NULL, bare, verified=True).mismatches
    assert (mismatch.field, mismatch.got, mismatch.expected) == ("bindings", "certificate", "session")
    pinned = null_policy(identity={"spki_sha256": [OTHER_32]})
    (mismatch,) = pinned.evaluate(NULL, bare, verified=True).mismatches
    assert mismatch.field == "identity"


@pytest.mark.parametrize(("field", "bit", "name"), [("domain", 4, "DOMAIN"), ("sev", 5, "SEV")])
def test_where_a_sev_guest_may_be_sent_matters_where_it_may_be_sent(field: str, bit: int, name: str) -> None:
    outside = f"allow_send_outside_{field}"
    kept = replace(SEV, policy=SEV.policy & ~(1 << bit))
    assert refusals(pinning_entry(SEV), kept, facts()) == ()
    sent = replace(kept, policy=kept.policy & ~(1 << 3))
    sending = pinning_entry(SEV, allow_send=True)
    (mismatch,) = refusals(sending, sent, facts())
    assert (mismatch.field, mismatch.got, mismatch.expected) == (outside, f"{name} clear", f"{name} set")
    everywhere = pinning_entry(SEV, allow_send=True, **{outside: True})
    assert refusals(everywhere, sent, facts()) == ()
    assert not sending.field_covers(outside, everywhere)


def test_every_api_version_in_the_policy_of_a_sev_guest_is_accepted_unless_there_is_a_lowest() -> None:
    for bit in range(16, 32):
        assert refusals(pinning_entry(SEV), replace(SEV, policy=0x3F | 1 << bit), facts()) == ()
    # 0.255 is older than 1.0.
    (mismatch,) = refusals(pinning_entry(SEV, min_policy_api=[1, 0]), replace(SEV, policy=0xFF00_003F), facts())
    assert mismatch.got == "0.255"


@pytest.mark.parametrize("absent", ["product", "cek_sha256"])
def test_verified_sev_claims_without_their_chain_are_refused(absent: str) -> None:
    written = {"products": ["Rome"]} if absent == "product" else {"identity": {"hardware_ids": [SEV.cek_sha256]}}
    assert refusals(pinning_entry(SEV, **written), SEV, facts()) == ()
    assert refusals(pinning_entry(SEV, **written), replace(SEV, **{absent: None}), facts()) != ()
