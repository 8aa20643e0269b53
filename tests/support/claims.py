"""Claims as healthy TEEs show them, and the facts of a healthy connection; tests change one thing at a time."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from rats_tls.core.binding import Binding
from rats_tls.core.claims import (
    CsvClaims,
    IntelPlatform,
    IntelTcb,
    SevClaims,
    SgxClaims,
    SgxLocalClaims,
    SnpClaims,
    SnpTcb,
    TcbStatus,
    TdxClaims,
)
from rats_tls.policy import Facts

PLATFORM = IntelPlatform(
    fmspc=bytes.fromhex("00906ed50000"),
    pce_id=bytes(2),
    pce_svn=13,
    sgx_tcb_components=(5,) * 16,
    cpu_svn=bytes([5] * 16),
    ppid=bytes([0x99] * 16),
    sgx_type=0,
    platform_instance_id=bytes([0x77] * 16),
    dynamic_platform=False,
    cached_keys=False,
    smt_enabled=True,
)

TCB = IntelTcb(
    status=TcbStatus.UP_TO_DATE,
    advisories=(),
    platform_status=TcbStatus.UP_TO_DATE,
    qe_status=TcbStatus.UP_TO_DATE,
    module_status=None,
    tcb_date=datetime(2026, 3, 11, tzinfo=UTC),
    tcb_evaluation_data_number=20,
    issue_date=datetime(2026, 11, 1, tzinfo=UTC),
    standings=(),
)

SGX = SgxClaims(
    quote_version=3,
    cpu_svn=bytes([5] * 16),
    miscselect=0,
    isv_ext_prod_id=bytes(16),
    attributes=0x5,
    xfrm=0xE7,
    mr_enclave=bytes([0xA1] * 32),
    mr_signer=bytes([0xA2] * 32),
    config_id=bytes(64),
    isv_prod_id=7,
    isv_svn=3,
    config_svn=0,
    isv_family_id=bytes(16),
    report_data=bytes(64),
    platform=PLATFORM,
    tcb=TCB,
)

SGX_LA = SgxLocalClaims(
    cpu_svn=bytes([5] * 16),
    miscselect=0,
    isv_ext_prod_id=bytes(16),
    attributes=0x5,
    xfrm=0xE7,
    mr_enclave=bytes([0xA1] * 32),
    mr_signer=bytes([0xA2] * 32),
    config_id=bytes(64),
    isv_prod_id=7,
    isv_svn=3,
    config_svn=0,
    isv_family_id=bytes(16),
    report_data=bytes(64),
)

TDX = TdxClaims(
    quote_version=5,
    body_version="1.5",
    tee_tcb_svn=bytes([6, 1, 3, *[0] * 13]),
    mr_seam=bytes([0xB1] * 48),
    mr_signer_seam=bytes(48),
    seam_attributes=0,
    td_attributes=0x1000_0000,
    xfam=0x6_02E7,
    mr_td=bytes([0xB2] * 48),
    mr_config_id=bytes(48),
    mr_owner=bytes(48),
    mr_owner_config=bytes(48),
    rtmr0=bytes([0xB3] * 48),
    rtmr1=bytes([0xB4] * 48),
    rtmr2=bytes([0xB5] * 48),
    rtmr3=bytes([0xB6] * 48),
    report_data=bytes(64),
    tee_tcb_svn2=bytes([6, 1, 3, *[0] * 13]),
    mr_service_td=bytes(48),
    platform=PLATFORM,
    tcb=replace(TCB, module_status=TcbStatus.UP_TO_DATE),
)

SNP_TCB = SnpTcb(fmc=None, bootloader=10, tee=0, snp=23, microcode=84)

SNP = SnpClaims(
    report_version=3,
    guest_svn=0,
    policy=0x3_0000,
    family_id=bytes(16),
    image_id=bytes(16),
    vmpl=0,
    platform_info=0x25,
    author_key_enabled=False,
    mask_chip_key=False,
    signing_key=0,
    report_data=bytes(64),
    measurement=bytes([0xC1] * 48),
    host_data=bytes([0xC2] * 32),
    id_key_digest=bytes(48),
    author_key_digest=bytes(48),
    report_id=bytes([0xC3] * 32),
    report_id_ma=bytes([0xFF] * 32),
    chip_id=bytes([0xC4] * 64),
    current_tcb_raw=bytes.fromhex("0a00000000001754"),
    reported_tcb_raw=bytes.fromhex("0a00000000001754"),
    committed_tcb_raw=bytes.fromhex("0a00000000001754"),
    launch_tcb_raw=bytes.fromhex("0a00000000001754"),
    current_version=(1, 55, 40),
    committed_version=(1, 55, 40),
    cpuid_family=0x19,
    cpuid_model=0x11,
    cpuid_stepping=1,
    product="Genoa",
    current_tcb=SNP_TCB,
    reported_tcb=SNP_TCB,
    committed_tcb=SNP_TCB,
    launch_tcb=SNP_TCB,
    vek_type="VCEK",
)

CSV = CsvClaims(
    report_version=3,
    user_pubkey_digest=bytes([0xC1] * 32),
    vm_id=bytes([0xC2] * 16),
    vm_version=bytes([0xC3] * 16),
    report_data=bytes(64),
    mnonce=bytes([0xC4] * 16),
    measurement=bytes([0xC5] * 32),
    policy=0x0401_120F,
    unsigned_chip_id=b"SIM0123456789".ljust(64, b"\0"),
    build=2400,
    rtmr_version=1,
    rtmrs=tuple(bytes([0xD0 + number] * 32) for number in range(5)),
    host_data=bytes([0xC7] * 64),
    cek_sha256=bytes([0xC6] * 32),
)

CSV_V1 = replace(CSV, report_version=1, build=None, rtmr_version=None, rtmrs=None, host_data=None)


SEV = SevClaims(
    mnonce=bytes([0xD2] * 16),
    launch_digest=bytes([0xD3] * 32),
    policy=0x1600_003F,
    product="Rome",
    cek_sha256=bytes([0xD4] * 32),
)


def facts(**changes: Any) -> Facts:
    """Facts of a certificate presented over the preamble, one minute old, its chain looked up in every list."""
    known: dict[str, Any] = {
        "binding": Binding.CERTIFICATE,
        "preamble": True,
        "custom_claims": {"role": b"server"},
        "evidence_age": 60.0,
        "spki_sha256": bytes([0xD1] * 32),
        "revocation_checked": True,
        "documents_age": 60.0,
        "lists_age": 60.0,
    }
    return Facts(**(known | changes))
