"""Settings of simulated TEEs: one frozen dataclass each. Every default is that of a healthy production system."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Literal

from rats_tls.core.claims import SnpTcb, TcbStatus
from rats_tls.simulation.intel_levels import PCE_SVN

FMSPC = b"SIM\0\0\0"
"""Of simulated Intel platforms: no genuine platform has it, so no genuine document is ever taken for theirs."""
FMSPCS = tuple(FMSPC[:5] + bytes((number,)) for number in range(4))
"""FMSPCs for which simulated services have TCB info; `FMSPC` is the first."""


def simulated_measurement(what: str, size: int) -> bytes:
    """Give the default measurement of a simulated thing: SHA-384 over its name, cut to `size` bytes."""
    return hashlib.sha384(b"rats-tls simulation: " + what.encode()).digest()[:size]


@dataclass(frozen=True, slots=True, kw_only=True)
class IntelPlatformState:
    """The platform under an enclave or trust domain.

    Attributes:
        tcb_status: status of the TCB level at which the platform stands; None is below every level.
        sgx_components: 16 component SVNs of the PCK certificate, in place of those that `tcb_status` implies.
        pce_svn: PCESVN of the PCK certificate.
        qe_status: status of the level at which the quoting enclave stands; None is below every level.
        qe_isv_svn: ISVSVN of the quoting enclave, in place of the one that `qe_status` implies.
        qe_mr_signer: MRSIGNER of the quoting enclave (32 bytes), in place of the vendor's.
        qe_isv_prod_id: ISVPRODID of the quoting enclave, in place of 1 (QE) or 2 (TD_QE).
        qe_miscselect: MISCSELECT of the quoting enclave.
        qe_attributes: attribute flags of the quoting enclave.
        qe_auth: QE authentication data.
        fmspc: FMSPC (6 bytes).
        pce_id: PCE id (2 bytes).
        certificate_authority: which CA issued the PCK certificate.
        sgx_type: 0 standard, 1 scalable, 2 scalable with integrity.
        dynamic_platform: flag of the PCK certificate; the three flags exist under the Platform CA only.
        cached_keys: flag of the PCK certificate.
        smt_enabled: flag of the PCK certificate.
        certification_data_type: 5 carries the PCK chain in the quote; 1 carries the PPID and 3 its encrypted form (384
            bytes), and the chain is an Endorsement.
        trailing: bytes behind the quote, as vendor buffers have them.
    """

    tcb_status: TcbStatus | None = TcbStatus.UP_TO_DATE
    sgx_components: tuple[int, ...] | None = None
    pce_svn: int = PCE_SVN
    qe_status: TcbStatus | None = TcbStatus.UP_TO_DATE
    qe_isv_svn: int | None = None
    qe_mr_signer: bytes | None = None
    qe_isv_prod_id: int | None = None
    qe_miscselect: int = 0
    qe_attributes: int = 0x15
    qe_auth: bytes = bytes(range(32))
    fmspc: bytes = FMSPC
    pce_id: bytes = b"\0\0"
    certificate_authority: Literal["processor", "platform"] = "platform"
    sgx_type: int = 1
    dynamic_platform: bool = True
    cached_keys: bool = False
    smt_enabled: bool = True
    certification_data_type: Literal[1, 3, 5] = 5
    trailing: bytes = b""


# Without slots of its own: a class may have one base with slots, and `SgxState` has another.
@dataclass(frozen=True, kw_only=True)
class EnclaveState:
    """An SGX enclave; fields are those of the report body.

    Attributes:
        debug: sets the DEBUG attribute.
        attributes: attribute flags besides DEBUG (INIT, MODE64).
    """

    debug: bool = False
    mr_enclave: bytes = simulated_measurement("mr_enclave", 32)
    mr_signer: bytes = simulated_measurement("mr_signer", 32)
    isv_prod_id: int = 1
    isv_svn: int = 1
    attributes: int = 0x05
    xfrm: int = 0xE7
    miscselect: int = 0
    isv_ext_prod_id: bytes = bytes(16)
    isv_family_id: bytes = bytes(16)
    config_id: bytes = bytes(64)
    config_svn: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SgxState(EnclaveState, IntelPlatformState):
    """An SGX enclave and its platform.

    Attributes:
        quote_version: 3, 4 or 5.
        cpu_svn: CPUSVN of the report (16 bytes), in place of the platform's.
    """

    quote_version: Literal[3, 4, 5] = 3
    cpu_svn: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SgxLocalState(EnclaveState):
    """An SGX enclave that makes local reports.

    Attributes:
        target_info: TARGETINFO of the enclave that reports are made for (512 bytes); when left out that of a healthy
            simulated target enclave.
        key_id: KEYID of the report (32 bytes).
        cpu_svn: CPUSVN of the machine (16 bytes).
    """

    target_info: bytes | None = None
    key_id: bytes = simulated_measurement("key_id", 32)
    cpu_svn: bytes = simulated_measurement("cpu_svn", 16)


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetEnclaveState:
    """The enclave that local reports are made for; fields are those of TARGETINFO."""

    mr_enclave: bytes = simulated_measurement("target mr_enclave", 32)
    attributes: int = 0x05
    xfrm: int = 0xE7
    cet_attributes: int = 0
    config_svn: int = 0
    miscselect: int = 0
    config_id: bytes = bytes(64)


@dataclass(frozen=True, slots=True, kw_only=True)
class TdxState(IntelPlatformState):
    """A trust domain, its TDX module and its platform; fields are those of the TD report body.

    Attributes:
        quote_version: 4 or 5.
        body_version: "1.0" or "1.5"; quote version 4 carries "1.0" only.
        debug: sets the DEBUG attribute.
        td_attributes: attributes besides DEBUG (SEPT_VE_DISABLE).
        module_status: status of the level at which the TDX module stands; None is below every level.
        module_version: version of the TDX module; 0 is a module without an identity of its own.
        tee_tcb_svn: 16 SVNs, in place of those that the module's status and version imply.
        tee_tcb_svn2: 16 SVNs of the module now loaded (body 1.5), in place of `tee_tcb_svn`.
        relaunch_advised: the TD started under an out-of-date module that was since replaced by one up to date
            (sets `quote_version` 5, body "1.5").
        event_log: whether an event log goes with the quote. The registers are then those to which it replays; one that
            is set here all the same keeps its value, and the log does not replay to it.
        command_line: kernel command line in that log.
    """

    quote_version: Literal[4, 5] = 4
    body_version: Literal["1.0", "1.5"] = "1.0"
    debug: bool = False
    mr_td: bytes = simulated_measurement("mr_td", 48)
    rtmr0: bytes = simulated_measurement("rtmr0", 48)
    rtmr1: bytes = simulated_measurement("rtmr1", 48)
    rtmr2: bytes = simulated_measurement("rtmr2", 48)
    rtmr3: bytes = bytes(48)
    td_attributes: int = 1 << 28
    xfam: int = 0x0618E7
    mr_config_id: bytes = bytes(48)
    mr_owner: bytes = bytes(48)
    mr_owner_config: bytes = bytes(48)
    mr_service_td: bytes = bytes(48)
    mr_seam: bytes = simulated_measurement("mr_seam", 48)
    mr_signer_seam: bytes = bytes(48)
    seam_attributes: int = 0
    module_status: TcbStatus | None = TcbStatus.UP_TO_DATE
    module_version: int = 1
    tee_tcb_svn: bytes | None = None
    tee_tcb_svn2: bytes | None = None
    relaunch_advised: bool = False
    event_log: bool = False
    command_line: str = "root=LABEL=root ro console=ttyS0"


Product = Literal["Milan", "Genoa", "Turin"]
PRODUCTS: tuple[Product, ...] = ("Milan", "Genoa", "Turin")


@dataclass(frozen=True, slots=True, kw_only=True)
class SnpState:
    """A SEV-SNP guest, its chip and its firmware; fields are those of ATTESTATION_REPORT.

    Attributes:
        product: name of the processor family.
        report_version: 2 to 5.
        debug: sets policy bit 19.
        out_of_date: the firmware that runs is an early one of the product.
        policy: guest policy besides the debug bit (SMT allowed, bit 17 set).
        key_type: which key signs the report.
        csp_id: CSP_ID of the VLEK certificate.
        current_tcb: TCB of the firmware that runs, in place of the product's; `reported_tcb`, `committed_tcb` and
            `launch_tcb` follow it unless set.
        vek_tcb: TCB in the VEK certificate, in place of `reported_tcb`.
        chip_id: 64 bytes, in place of the chip's own (8 bytes and zeros for Turin).
        vek_hwid: hwID in the VCEK certificate, in place of the chip's.
        hwid_is_der: whether hwID stands inside a DER OCTET STRING.
        mask_chip_id: the report's chip_id is zero.
        mask_chip_key: the report is not signed: signing_key is 7, the signature zero.
        current_version: firmware version that runs: major, minor, build.
        committed_version: firmware version committed, in place of `current_version`.
        launch_mit_vector: mitigations at launch (report version 5).
        current_mit_vector: mitigations now (report version 5).
        trailing: bytes behind the report.
    """

    product: Product = "Milan"
    report_version: Literal[2, 3, 4, 5] = 3
    debug: bool = False
    out_of_date: bool = False
    measurement: bytes = simulated_measurement("measurement", 48)
    host_data: bytes = bytes(32)
    id_key_digest: bytes = bytes(48)
    author_key_digest: bytes = bytes(48)
    author_key_enabled: bool = False
    report_id: bytes = simulated_measurement("report_id", 32)
    report_id_ma: bytes = b"\xff" * 32
    guest_svn: int = 0
    family_id: bytes = bytes(16)
    image_id: bytes = bytes(16)
    vmpl: int = 0
    policy: int = 0x30000
    platform_info: int = 0x25
    key_type: Literal["VCEK", "VLEK"] = "VCEK"
    csp_id: str = "rats-tls-simulation"
    current_tcb: SnpTcb | None = None
    reported_tcb: SnpTcb | None = None
    committed_tcb: SnpTcb | None = None
    launch_tcb: SnpTcb | None = None
    vek_tcb: SnpTcb | None = None
    chip_id: bytes | None = None
    vek_hwid: bytes | None = None
    hwid_is_der: bool = False
    mask_chip_id: bool = False
    mask_chip_key: bool = False
    current_version: tuple[int, int, int] = (1, 55, 40)
    committed_version: tuple[int, int, int] | None = None
    launch_mit_vector: int = 0
    current_mit_vector: int = 0
    trailing: bytes = b""
