"""Encoder of the SEV-SNP attestation report (AMD SEV-SNP ABI specification, ATTESTATION_REPORT).

Written apart from the decoder in `rats_tls.formats.amd`, so that each is a check on the other.
"""

from __future__ import annotations

from rats_tls.core.claims import SnpTcb
from rats_tls.simulation.bytefields import sized, word
from rats_tls.simulation.states import Product, SnpState

REPORT_SIZE = 0x4A0
SIGNED_SIZE = 0x2A0
ECDSA_P384_SHA384 = 1
SIGNING_KEYS = {"VCEK": 0, "VLEK": 1}
NO_SIGNING_KEY = 7
DEBUG_BIT = 1 << 19
# CPUID family, model and stepping as the report has them from version 3 on.
CPUID: dict[Product, tuple[int, int, int]] = {
    "Milan": (0x19, 0x01, 0x01),
    "Genoa": (0x19, 0x11, 0x01),
    "Turin": (0x1A, 0x02, 0x01),
}
TCB: dict[Product, SnpTcb] = {
    "Milan": SnpTcb(fmc=None, bootloader=4, tee=0, snp=24, microcode=219),
    "Genoa": SnpTcb(fmc=None, bootloader=10, tee=0, snp=23, microcode=84),
    "Turin": SnpTcb(fmc=1, bootloader=2, tee=1, snp=4, microcode=80),
}

EARLY_TCB: dict[Product, SnpTcb] = {
    "Milan": SnpTcb(fmc=None, bootloader=2, tee=0, snp=5, microcode=68),
    "Genoa": SnpTcb(fmc=None, bootloader=4, tee=0, snp=7, microcode=14),
    "Turin": SnpTcb(fmc=0, bootloader=0, tee=0, snp=0, microcode=9),
}


def current_tcb(state: SnpState) -> SnpTcb:
    """Give the TCB of the firmware that runs."""
    return state.current_tcb or (EARLY_TCB if state.out_of_date else TCB)[state.product]


def reported_tcb(state: SnpState) -> SnpTcb:
    """Give the TCB that the report vouches for."""
    return state.reported_tcb or current_tcb(state)


def tcb_version(product: Product, tcb: SnpTcb) -> bytes:
    """Encode TCB_VERSION (8 bytes); Turin has a layout of its own.

    Raises:
        ValueError: fmc for a product that has none, or none for one that has it.
    """
    if (tcb.fmc is None) == (product == "Turin"):
        raise ValueError(f"fmc: got {tcb.fmc} for {product}")
    if tcb.fmc is not None:
        return bytes((tcb.fmc, tcb.bootloader, tcb.tee, tcb.snp, 0, 0, 0, tcb.microcode))
    return bytes((tcb.bootloader, tcb.tee, 0, 0, 0, 0, tcb.snp, tcb.microcode))


def report_body(state: SnpState, *, chip_id: bytes, report_data: bytes) -> bytes:
    """Encode the signed part of a report (672 bytes).

    Args:
        state: the guest and its firmware.
        chip_id: 64 bytes.
        report_data: 64 bytes.
    """
    current = current_tcb(state)
    committed_version = state.committed_version or state.current_version
    signing_key = NO_SIGNING_KEY if state.mask_chip_key else SIGNING_KEYS[state.key_type]
    key_info = int(state.author_key_enabled) | int(state.mask_chip_key) << 1 | signing_key << 2
    family_model_stepping = bytes(CPUID[state.product]) if state.report_version >= 3 else bytes(3)
    mitigations = (
        word(state.launch_mit_vector, 8) + word(state.current_mit_vector, 8) if state.report_version >= 5 else bytes(16)
    )
    return b"".join(
        (
            word(state.report_version, 4),
            word(state.guest_svn, 4),
            word(state.policy | (DEBUG_BIT if state.debug else 0), 8),
            sized("family_id", state.family_id, 16),
            sized("image_id", state.image_id, 16),
            word(state.vmpl, 4),
            word(ECDSA_P384_SHA384, 4),
            tcb_version(state.product, current),
            word(state.platform_info, 8),
            word(key_info, 4),
            bytes(4),
            sized("report_data", report_data, 64),
            sized("measurement", state.measurement, 48),
            sized("host_data", state.host_data, 32),
            sized("id_key_digest", state.id_key_digest, 48),
            sized("author_key_digest", state.author_key_digest, 48),
            sized("report_id", state.report_id, 32),
            sized("report_id_ma", state.report_id_ma, 32),
            tcb_version(state.product, reported_tcb(state)),
            family_model_stepping,
            bytes(21),
            sized("chip_id", chip_id, 64),
            tcb_version(state.product, state.committed_tcb or current),
            _firmware_version(state.current_version),
            _firmware_version(committed_version),
            tcb_version(state.product, state.launch_tcb or current),
            mitigations,
            bytes(152),
        )
    )


def signature_field(r: int, s: int) -> bytes:
    """Encode the signature (512 bytes): r and s little-endian in 72 bytes each, then zeros."""
    return word(r, 72) + word(s, 72) + bytes(368)


def _firmware_version(version: tuple[int, int, int]) -> bytes:
    major, minor, build = version
    return bytes((build, minor, major, 0))
