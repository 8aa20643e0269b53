"""What the bits of vendors' words mean. Names only: what a policy accepts is the policy's."""

from __future__ import annotations

from collections.abc import Mapping

from rats_tls.inspection.tree import Node

# Intel SDM 3D, ENCLAVE ATTRIBUTES.
_SGX_ATTRIBUTES = {
    0: "INIT",
    1: "DEBUG",
    2: "MODE64",
    4: "PROVISION_KEY",
    5: "EINITTOKEN_KEY",
    6: "CET",
    7: "KSS",
    10: "AEX_NOTIFY",
}
# Intel SDM 1, XCR0 and IA32_XSS: XFRM of enclaves and XFAM of trust domains.
_EXTENDED_FEATURES = {
    0: "x87",
    1: "SSE",
    2: "AVX",
    3: "MPX bound registers",
    4: "MPX bound configuration",
    5: "AVX-512 opmask",
    6: "AVX-512 upper halves",
    7: "AVX-512 upper registers",
    8: "PT",
    9: "PKRU",
    11: "CET user",
    12: "CET supervisor",
    14: "UINTR",
    15: "LBR",
    17: "AMX configuration",
    18: "AMX data",
}
# Intel SDM 3D, MISCSELECT.
_MISCSELECT = {0: "EXINFO", 1: "CPINFO"}
# Intel TDX module ABI, ATTRIBUTES; bits 0 to 7 are "TD under debug".
_TD_ATTRIBUTES = {
    0: "DEBUG",
    **{bit: f"TUD bit {bit}" for bit in range(1, 8)},
    16: "ICSSD",
    27: "LASS",
    28: "SEPT_VE_DISABLE",
    29: "MIGRATABLE",
    30: "PKS",
    31: "KL",
    62: "TPA",
    63: "PERFMON",
}
# AMD SEV-SNP ABI, guest policy; bits 0 to 15 are the ABI version.
_SNP_POLICY = {
    16: "SMT allowed",
    17: "must-be-one",
    18: "MIGRATE_MA allowed",
    19: "DEBUG allowed",
    20: "SINGLE_SOCKET required",
    21: "CXL allowed",
    22: "MEM_AES_256_XTS required",
    23: "RAPL_DIS required",
    24: "CIPHERTEXT_HIDING required",
    25: "PAGE_SWAP_DISABLE required",
}
# AMD SEV-SNP ABI, PLATFORM_INFO.
_SNP_PLATFORM_INFO = {
    0: "SMT_EN",
    1: "TSME_EN",
    2: "ECC_EN",
    3: "RAPL_DIS",
    4: "CIPHERTEXT_HIDING_DRAM_EN",
    5: "ALIAS_CHECK_COMPLETE",
    7: "TIO_EN",
}
# AMD SEV-SNP ABI, ATTESTATION_REPORT, KEY_INFO.
_SNP_KEY_INFO = {0: "AUTHOR_KEY_EN", 1: "MASK_CHIP_KEY"}
_SNP_SIGNING_KEYS = {0: "VCEK", 1: "VLEK", 7: "none"}

_BITS: dict[str, Mapping[int, str]] = {
    "attributes": _SGX_ATTRIBUTES,
    "xfrm": _EXTENDED_FEATURES,
    "xfam": _EXTENDED_FEATURES,
    "miscselect": _MISCSELECT,
    "td_attributes": _TD_ATTRIBUTES,
    "seam_attributes": {},
    "platform_info": _SNP_PLATFORM_INFO,
}


def flags(value: int, names: Mapping[int, str]) -> str:
    """Name the bits that are set, those that are not known too."""
    found = [names.get(bit, f"unknown bit {bit}") for bit in range(value.bit_length()) if value >> bit & 1]
    return ", ".join(found) or "no bit set"


def word(name: str, value: int) -> Node | None:
    """Give a field whose value is a word of bits; None when it is none."""
    if name in _BITS:
        meaning = flags(value, _BITS[name])
    elif name == "policy":
        abi = f"ABI {value >> 8 & 0xFF}.{value & 0xFF}"
        meaning = f"{abi}, {flags(value >> 16 << 16, _SNP_POLICY)}"
    elif name == "key_info":
        key = value >> 2 & 0x7
        signer = f"signing key {_SNP_SIGNING_KEYS.get(key, f'unknown ({key})')}"
        rest = value & ~0b1_1100
        meaning = f"{flags(rest, _SNP_KEY_INFO)}, {signer}" if rest else signer
    elif name in {"launch_mit_vector", "current_mit_vector"}:
        meaning = flags(value, {bit: f"mitigation {bit}" for bit in range(64)})
    else:
        return None
    return Node(name=name, value=f"{value:#x}", meaning=meaning)
