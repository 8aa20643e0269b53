"""Policy entry for AMD SEV-SNP: every field of the attestation report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any as Anything
from typing import ClassVar

from rats_tls.core.claims import SnpTcb
from rats_tls.core.evidence import TeeType
from rats_tls.policy.entry import Entry
from rats_tls.policy.rules import (
    Facts,
    Finding,
    allowed_bit,
    at_least,
    custom,
    has_bits,
    one_of,
    optional,
    present,
    required,
    within_mask,
)
from rats_tls.policy.values import ANY, Any, choice, flag, integer, mask, numbers, octets, or_any, several, table, text
from rats_tls.policy.width import bits_cover, floors_cover, least_covers, list_covers, permission_covers

PRODUCTS = ("Milan", "Genoa", "Turin", "Venice")
_COMPONENTS = ("fmc", "bootloader", "tee", "snp", "microcode")

# Guest policy (AMD SEV-SNP ABI, guest policy): ABI 0-15, SMT 16, must-be-one 17, MIGRATE_MA 18, DEBUG 19,
# SINGLE_SOCKET 20, CXL 21, MEM_AES_256_XTS 22, RAPL_DIS 23, CIPHERTEXT_HIDING 24, PAGE_SWAP_DISABLE 25.
_SMT, _MUST_BE_ONE, _MIGRATE_MA, _DEBUG, _CXL = 16, 17, 18, 19, 21
_ABI_VERSION = 0xFFFF
POLICY_BITS = 1 << _MUST_BE_ONE | 1 << 20 | 1 << 22 | 1 << 23 | 1 << 24 | 1 << 25
# PLATFORM_INFO: SMT, TSME, ECC, RAPL disabled, ciphertext hiding, alias check complete, TIO.
PLATFORM_INFO_BITS = 0b1011_1111
# KEY_INFO: AUTHOR_KEY_EN, MASK_CHIP_KEY, SIGNING_KEY in three bits.
KEY_INFO_BITS = 0b1_1111


@dataclass(frozen=True, slots=True, kw_only=True)
class SnpMinimumTcb:
    """Lowest accepted security versions, by component; `fmc` exists from Turin on, and may be left out."""

    fmc: int | None = None
    bootloader: int | None = None
    tee: int | None = None
    snp: int | None = None
    microcode: int | None = None


def _below(got: SnpTcb, minimum: Anything) -> list[str]:
    """Name the components of `got` that are lower than those of `minimum`, each compared by itself."""
    below = []
    for name in _COMPONENTS:
        wanted, has = getattr(minimum, name), getattr(got, name)
        if wanted is not None and (has is None or has < wanted):
            below.append(f"{name} {has} < {wanted}")
    return below


def _min_tcb_holds(value: Anything, claims: Anything, _: Facts) -> Finding | None:
    below = [
        f"{which} TCB: {item}"
        for which, tcb in (("reported", claims.reported_tcb), ("launch", claims.launch_tcb))
        for item in _below(present(tcb), value)
    ]
    if not below:
        return None
    wanted = ", ".join(f"{name} {getattr(value, name)}" for name in _COMPONENTS if getattr(value, name) is not None)
    return Finding("; ".join(below), f"at least {wanted}")


def _firmware_holds(value: Anything, claims: Anything, _: Facts) -> Finding | None:
    """Hold reported and committed firmware against the firmware now running (AMD SEV-SNP ABI, TCB versions)."""
    current, committed, reported = (
        present(claims.current_tcb),
        present(claims.committed_tcb),
        present(claims.reported_tcb),
    )
    wrong = [f"reported above current: {item}" for item in _below(current, reported)]
    wrong += [f"committed above current: {item}" for item in _below(current, committed)]
    if claims.committed_version > claims.current_version:
        wrong.append(f"committed version {claims.committed_version} above current {claims.current_version}")
    if not value and not wrong and (committed != current or claims.committed_version != claims.current_version):
        wrong.append(f"provisional: committed {claims.committed_tcb_raw.hex()}, current {claims.current_tcb_raw.hex()}")
    return Finding("; ".join(wrong), "firmware that is committed") if wrong else None


def _products_hold(value: Anything, claims: Anything, _: Facts) -> Finding | None:
    if value is ANY:
        if claims.report_version >= 3:
            return None
        return Finding(f"none: report version {claims.report_version} names no product", "products written out")
    got = present(claims.product)
    return None if got in value else Finding(got, " or ".join(value))


def _vek_holds(value: Anything, claims: Anything, _: Facts) -> Finding | None:
    got = {0: "VCEK", 1: "VLEK"}.get(claims.signing_key, f"signing key {claims.signing_key}")
    return None if got in value else Finding(got, " or ".join(value))


def _csp_holds(value: Anything, claims: Anything, _: Facts) -> Finding | None:
    if claims.signing_key != 1:
        return None
    got = present(claims.csp_id)
    return None if got in value else Finding(f"VLEK of {got}", "VLEK of " + (" or ".join(value) or "nobody"))


def _version_holds(value: Anything, claims: Anything, _: Facts) -> Finding | None:
    low = min(claims.current_version, claims.committed_version)
    return None if low >= value else Finding(".".join(map(str, low)), "at least " + ".".join(map(str, value)))


def _abi_holds(value: Anything, claims: Anything, _: Facts) -> Finding | None:
    got = (claims.policy >> 8 & 0xFF, claims.policy & 0xFF)
    return None if got >= value else Finding(f"{got[0]}.{got[1]}", f"at least {value[0]}.{value[1]}")


def _mitigations_hold(value: Anything, claims: Anything, _: Facts) -> Finding | None:
    if not value:
        return None
    absent = value & ~(present(claims.current_mit_vector) & present(claims.launch_mit_vector))
    return Finding(f"not applied: {absent:#x}", f"all of {value:#x}") if absent else None


@dataclass(frozen=True, slots=True, kw_only=True)
class SnpEntry(Entry):
    """Accepts SEV-SNP guests."""

    tee: ClassVar[TeeType] = TeeType.SEV_SNP
    hardware_id_size: ClassVar[int | None] = 64

    measurement: tuple[bytes, ...] | Any = required(
        one_of(octets(48), "measurement", "Accepted MEASUREMENT: the guest's initial memory.", reference_value=True)
    )
    host_data: tuple[bytes, ...] | Any = required(
        one_of(
            octets(32),
            "host_data",
            "Accepted HOST_DATA: what the host bound to the guest at launch.",
            reference_value=True,
        )
    )
    id_key_digest: tuple[bytes, ...] | Any = required(
        one_of(
            octets(48),
            "id_key_digest",
            "Accepted ID_KEY_DIGEST: the key that signed the ID block; zeros for none.",
            reference_value=True,
        )
    )
    author_key_digest: tuple[bytes, ...] | Any = required(
        one_of(
            octets(48),
            "author_key_digest",
            "Accepted AUTHOR_KEY_DIGEST: the key that signed the ID key.",
            reference_value=True,
        )
    )
    family_id: tuple[bytes, ...] | Any = required(
        one_of(octets(16), "family_id", "Accepted FAMILY_ID of the ID block.", reference_value=True)
    )
    image_id: tuple[bytes, ...] | Any = required(
        one_of(octets(16), "image_id", "Accepted IMAGE_ID of the ID block.", reference_value=True)
    )
    min_guest_svn: int | Any = required(
        at_least(
            32,
            "guest_svn",
            "Lowest accepted GUEST_SVN: the guest's security version.",
            any_allowed=True,
            reference_value=True,
        )
    )
    min_tcb: SnpMinimumTcb | Any = required(
        custom(
            or_any(table({name: integer(8) for name in _COMPONENTS}, SnpMinimumTcb, required=_COMPONENTS[1:])),
            _min_tcb_holds,
            "Lowest accepted security versions, by component, of the reported and the launch TCB.",
            width=floors_cover,
            reference_value=True,
        )
    )
    min_report_version: int = optional(
        at_least(32, "report_version", "Lowest accepted report version; 2 also needs `products`."), 3
    )
    products: tuple[str, ...] | Any = optional(
        custom(
            or_any(several(choice(PRODUCTS))),
            _products_hold,
            'Accepted processors; Genoa includes Bergamo and Siena. "any" needs a report that names its product.',
            judges_any=True,
            width=list_covers,
        ),
        ANY,
    )
    vmpl: tuple[int, ...] | Any = optional(
        one_of(integer(32, maximum=3), "vmpl", "Accepted VMPL: the privilege level that asked for the report."), (0,)
    )
    allow_debug: bool = optional(
        allowed_bit("policy", _DEBUG, "DEBUG", "Accept guests that their host may debug."), False
    )
    allow_migration_agent: bool = optional(
        allowed_bit("policy", _MIGRATE_MA, "MIGRATE_MA", "Accept guests that a migration agent may move."), False
    )
    allow_smt: bool = optional(
        allowed_bit("policy", _SMT, "SMT", "Accept guests that may run where hyper-threading is on."), True
    )
    allow_cxl: bool = optional(
        allowed_bit("policy", _CXL, "CXL", "Accept guests that may run where CXL devices are populated."), False
    )
    allowed_policy_bits: int = optional(
        within_mask(
            64,
            "policy",
            "Guest policy bits that may be set, besides those with fields of their own and the ABI version.",
            judged_elsewhere=_ABI_VERSION | 1 << _SMT | 1 << _MIGRATE_MA | 1 << _DEBUG | 1 << _CXL,
        ),
        POLICY_BITS,
    )
    required_policy_bits: int = optional(
        has_bits(64, "policy", "Guest policy bits that must be set; by default bit 17, which the ABI demands."),
        1 << _MUST_BE_ONE,
    )
    min_policy_abi: tuple[int, ...] = optional(
        custom(
            numbers(2, 8),
            _abi_holds,
            "Lowest accepted firmware ABI version in the guest policy: major, minor.",
            width=least_covers,
        ),
        (0, 0),
    )
    allowed_platform_info: int = optional(
        within_mask(64, "platform_info", "Platform info bits that may be set; by default all that are defined."),
        PLATFORM_INFO_BITS,
    )
    required_platform_info: int = optional(
        has_bits(64, "platform_info", "Platform info bits that must be set, such as 0x20: alias check complete."), 0
    )
    allowed_key_info: int = optional(
        within_mask(
            32,
            "key_info",
            "Key info bits that may be set; by default author key, masked chip key and signing key, which has "
            "a field of its own.",
        ),
        KEY_INFO_BITS,
    )
    allow_provisional_firmware: bool = optional(
        custom(
            flag(),
            _firmware_holds,
            "Accept firmware that its host can still roll back (committed below current). Reported or committed "
            "firmware above the current one is refused in any case.",
            width=permission_covers,
        ),
        False,
    )
    min_firmware_version: tuple[int, ...] = optional(
        custom(
            numbers(3, 8),
            _version_holds,
            "Lowest accepted firmware version: major, minor, build.",
            width=least_covers,
            reference_value=True,
        ),
        (0, 0, 0),
    )
    required_mitigations: int = optional(
        custom(
            mask(64),
            _mitigations_hold,
            "Bits of the mitigation vectors that must be set at launch and now (report version 5).",
            width=bits_cover,
        ),
        0,
    )
    signing_keys: tuple[str, ...] = optional(
        custom(
            several(choice(("VCEK", "VLEK"))),
            _vek_holds,
            "Which keys may sign: the chip's, the cloud's.",
            width=list_covers,
        ),
        ("VCEK", "VLEK"),
    )
    csp_ids: tuple[str, ...] | Any = optional(
        custom(
            or_any(several(text(expected="a cloud provider's id"), empty=True)),
            _csp_holds,
            "Cloud providers whose VLEK is accepted; none by default.",
            width=list_covers,
        ),
        (),
    )

    def field_covers(self, name: str, narrow: Entry) -> bool:
        """As that of every entry; "any" product needs a report that names its product, a list does not."""
        if name == "products" and self.products is ANY and isinstance(narrow, SnpEntry):
            return narrow.products is ANY or narrow.min_report_version >= 3
        return Entry.field_covers(self, name, narrow)
