"""Trustworthiness vectors (draft-ietf-rats-ar4si) of results and refusals.

Values and tiers are those of AR4SI 2.3 and 3.2. A claim that is left out says nothing, as 0 does.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

from rats_tls.core.anchors import AnchorKind, TrustAnchor
from rats_tls.core.checks import GRACE_CHECK, UNPROVED_CHECK, Check, Mismatch, Stage, Verdict
from rats_tls.core.claims import NullClaims, SevClaims, TcbStatus, TeeClaims
from rats_tls.core.errors import AppraisalError, RatsTlsError
from rats_tls.core.refusals import Refusal
from rats_tls.core.results import AttestationResult
from rats_tls.policy import ANY, MEASUREMENT_ONLY, Entry

Vector = dict[str, int]


class Tier(str, Enum):
    """Trustworthiness tiers, by their names in an EAR."""

    NONE = "none"
    AFFIRMING = "affirming"
    WARNING = "warning"
    CONTRAINDICATED = "contraindicated"


INSTANCE, CONFIGURATION, EXECUTABLES, HARDWARE, RUNTIME = (
    *("instance-identity", "configuration", "executables", "hardware", "runtime-opaque"),
)
_MALFUNCTION, _NO_CLAIM, _UNEXPECTED, _AFFIRMED = -1, 0, 1, 2
_UNSAFE, _UNRECOGNIZED_CODE = 32, 33
_SEV_ES = 1 << 2  # of the guest policy: registers are encrypted too
_CONTRAINDICATED, _UNRECOGNIZED, _CRYPTOGRAPHY_FAILED = 96, 97, 99

CLAIM_OF_FIELD: dict[str, str | None] = {
    # What AR4SI has no word for: how the Evidence came here.
    **dict.fromkeys(
        (
            "name",
            "tee",
            "bindings",
            "preamble",
            "max_evidence_age",
            "custom_claims",
            "revocation",
            "endorsement_grace",
            "max_endorsement_age",
        ),
    ),
    "allow_unproved_mask": None,
    "identity": INSTANCE,
    "allow_debug": RUNTIME,
    "allow_plain_registers": RUNTIME,
    **dict.fromkeys(
        (
            *("tcb_statuses", "advisories", "min_tcb", "min_tcb_evaluation_data_number", "fmspcs", "dynamic_platform"),
            *("cached_keys", "smt_enabled", "mr_seam", "min_report_version", "products", "allowed_platform_info"),
            *("required_platform_info", "allowed_key_info", "allow_provisional_firmware", "min_firmware_version"),
            *("required_mitigations", "signing_keys", "csp_ids", "cpu_svn"),
            *("min_build", "min_hsk_version", "min_cek_version"),
        ),
        HARDWARE,
    ),
    **dict.fromkeys(
        (
            *("mr_enclave", "mr_signer", "isv_prod_id", "min_isv_svn", "isv_ext_prod_id", "isv_family_id"),
            *("mr_td", "rtmr1", "rtmr2", "rtmr3", "required_events"),
            *("measurement", "id_key_digest", "author_key_digest", "family_id", "image_id", "min_guest_svn"),
            "launch_digest",
            *("rtmr4", "vm_id", "vm_version", "user_pubkey_digest"),
        ),
        EXECUTABLES,
    ),
    **dict.fromkeys(
        (
            *("config_id", "min_config_svn", "allowed_attributes", "required_attributes", "allowed_xfrm"),
            *("allowed_miscselect", "rtmr0", "mr_config_id", "mr_owner", "mr_owner_config", "mr_service_td"),
            *("require_sept_ve_disable", "allow_migratable", "allowed_td_attributes", "required_td_attributes"),
            *("allowed_xfam", "host_data", "vmpl", "allow_migration_agent", "allow_smt", "allow_cxl"),
            *("allowed_policy_bits", "required_policy_bits", "min_policy_abi", "min_policy_api", "allow_key_sharing"),
            *("allow_send", "allow_send_outside_domain", "allow_send_outside_sev"),
            *("allow_asid_reuse", "require_domain", "require_csv", "require_csv3"),
        ),
        CONFIGURATION,
    ),
}
"""Which claim of the vector each field of a policy entry judges; None for none."""

_CODE = (("mr_enclave",), ("mr_signer",), ("mr_td", "rtmr1", "rtmr2"), ("measurement",), ("launch_digest",))
"""Fields that say which code it is; one of these sets, written out."""
_CONFIGURATION = ("config_id", "rtmr0", "mr_config_id", "mr_owner", "mr_owner_config", "host_data")
_VALUE_OF_MISMATCH = {
    INSTANCE: _UNRECOGNIZED,
    CONFIGURATION: _CONTRAINDICATED,
    EXECUTABLES: _UNRECOGNIZED_CODE,
    HARDWARE: _CONTRAINDICATED,
    RUNTIME: _CONTRAINDICATED,
}
_OF_REFUSAL: dict[Refusal, tuple[Tier, Vector]] = {
    Refusal.MALFORMED_EVIDENCE: (Tier.NONE, {HARDWARE: _UNEXPECTED}),
    Refusal.VERIFIER_FAILED: (Tier.NONE, {HARDWARE: _MALFUNCTION}),
    Refusal.INTERNAL: (Tier.NONE, {HARDWARE: _MALFUNCTION}),
    Refusal.EVIDENCE_SIGNATURE: (Tier.CONTRAINDICATED, {HARDWARE: _CRYPTOGRAPHY_FAILED}),
    Refusal.KEY_BINDING: (Tier.CONTRAINDICATED, {INSTANCE: _CONTRAINDICATED}),
    Refusal.CERTIFICATE_CHAIN: (Tier.CONTRAINDICATED, {HARDWARE: _UNRECOGNIZED}),
    Refusal.REVOKED: (Tier.CONTRAINDICATED, {HARDWARE: _CONTRAINDICATED}),
    Refusal.EVENT_LOG: (Tier.CONTRAINDICATED, {EXECUTABLES: _CRYPTOGRAPHY_FAILED}),
    Refusal.TCB_NO_LEVEL: (Tier.CONTRAINDICATED, {HARDWARE: _CONTRAINDICATED}),
    Refusal.FRESHNESS: (Tier.CONTRAINDICATED, {INSTANCE: _NO_CLAIM}),
    Refusal.NOT_CONFIRMED: (Tier.CONTRAINDICATED, {INSTANCE: _NO_CLAIM}),
}
"""By reason, but for the policy's; any other says that nothing could be concluded."""


def tier_of(value: int) -> Tier:
    """Give the tier of one claim (AR4SI 3.2)."""
    if -1 <= value <= 1:
        return Tier.NONE
    size = abs(value) - (value < 0)  # the negative ranges begin one further out
    if size < _UNSAFE:
        return Tier.AFFIRMING
    return Tier.WARNING if size < _CONTRAINDICATED else Tier.CONTRAINDICATED


def worst_tier(vector: Vector) -> Tier:
    """Give the tier of the worst claim; claims that say nothing do not count."""
    order = tuple(Tier)
    return max((tier_of(value) for value in vector.values()), key=order.index, default=Tier.NONE)


def of_result(result: AttestationResult, entry: Entry | None) -> tuple[Tier, Vector]:
    """Give status and vector of a result; `entry` is the one that it names."""
    claims = result.claims
    if result.mismatches:
        return Tier.CONTRAINDICATED, _of_mismatches(result.mismatches, claims, result.anchor, result.checks)
    if isinstance(claims, NullClaims):
        return Tier.NONE, {INSTANCE: _NO_CLAIM, EXECUTABLES: _NO_CLAIM, HARDWARE: _NO_CLAIM}
    identity = getattr(entry, "identity", MEASUREMENT_ONLY)
    configured = [getattr(entry, name) for name in _CONFIGURATION if hasattr(entry, name)]
    debug = getattr(claims, "debug", False)
    vector = {
        INSTANCE: _AFFIRMED if identity != MEASUREMENT_ONLY else _NO_CLAIM,
        CONFIGURATION: _AFFIRMED if configured and all(value is not ANY for value in configured) else _NO_CLAIM,
        EXECUTABLES: _AFFIRMED if entry is not None and _pins_code(entry) else _UNRECOGNIZED_CODE,
        HARDWARE: _hardware(claims, result.anchor, result.checks),
        RUNTIME: _runtime(claims),
    }
    if debug:
        vector[CONFIGURATION] = _UNSAFE
    if any(check.id == UNPROVED_CHECK for check in result.checks):
        vector |= dict.fromkeys((CONFIGURATION, EXECUTABLES, RUNTIME), _NO_CLAIM)
    return worst_tier(vector), vector


def of_refusal(error: RatsTlsError) -> tuple[Tier, Vector]:
    """Give status and vector of a refusal."""
    if isinstance(error, AppraisalError):
        claims = error.claims if error.authenticated else None
        return Tier.CONTRAINDICATED, _of_mismatches(error.mismatches, claims, error.anchor, error.checks)
    return _OF_REFUSAL.get(error.refusal, (Tier.NONE, {HARDWARE: _NO_CLAIM}))


def _of_mismatches(
    mismatches: Sequence[Mismatch], claims: TeeClaims | None, anchor: TrustAnchor | None, checks: Sequence[Check]
) -> Vector:
    """Give the vector of what a policy refuses; `claims` are those that were proved authentic."""
    vector: Vector = {}
    if claims is not None and not isinstance(claims, NullClaims):
        vector = {HARDWARE: _hardware(claims, anchor, checks), RUNTIME: _runtime(claims)}
    for name in _judged_against(mismatches):
        vector[name] = _VALUE_OF_MISMATCH[name]
    return vector or {HARDWARE: _NO_CLAIM}


def _judged_against(mismatches: Sequence[Mismatch]) -> list[str]:
    """Name the claims that speak against the Evidence under every entry that could have accepted it."""
    by_entry: dict[str, set[str | None]] = {}
    for mismatch in mismatches:
        by_entry.setdefault(mismatch.entry, set()).add(CLAIM_OF_FIELD.get(mismatch.field))
    return [name for name in _VALUE_OF_MISMATCH if by_entry and all(name in found for found in by_entry.values())]


def _pins_code(entry: Entry) -> bool:
    return any(all(getattr(entry, name, ANY) is not ANY for name in names) for names in _CODE)


def _hardware(claims: TeeClaims, anchor: TrustAnchor | None, checks: Sequence[Check]) -> int:
    if anchor is None or anchor.kind is AnchorKind.SIMULATED:
        # Who reads an EAR elsewhere knows nothing of this side's trust anchors: no such hardware exists.
        return _UNRECOGNIZED
    tcb = getattr(claims, "tcb", None)
    if tcb is not None and tcb.status is TcbStatus.REVOKED:
        return _CONTRAINDICATED
    unchecked = any(
        (check.stage in {Stage.REVOCATION, Stage.TCB} or check.id == GRACE_CHECK)
        and check.verdict is not Verdict.PASSED
        for check in checks
    )
    return _UNSAFE if unchecked or (tcb is not None and tcb.status is not TcbStatus.UP_TO_DATE) else _AFFIRMED


def _runtime(claims: TeeClaims) -> int:
    if getattr(claims, "debug", False):
        return _CONTRAINDICATED
    return _UNSAFE if isinstance(claims, SevClaims) and not claims.policy & _SEV_ES else _AFFIRMED
