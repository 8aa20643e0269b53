"""Claims: what Evidence says, and what verification adds. One frozen dataclass per TEE.

Integers that are bit words keep all their bits, unknown ones too. Byte fields are in the vendor's order.
Fields that need an Endorsement are None until it was verified.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from rats_tls.core.evidence import TeeType


class TcbStatus(str, Enum):
    """TCB status strings as Intel writes them; AMD has no statuses."""

    UP_TO_DATE = "UpToDate"
    SW_HARDENING_NEEDED = "SWHardeningNeeded"
    CONFIGURATION_NEEDED = "ConfigurationNeeded"
    CONFIGURATION_AND_SW_HARDENING_NEEDED = "ConfigurationAndSWHardeningNeeded"
    OUT_OF_DATE = "OutOfDate"
    OUT_OF_DATE_CONFIGURATION_NEEDED = "OutOfDateConfigurationNeeded"
    TD_RELAUNCH_ADVISED = "TDRelaunchAdvised"
    TD_RELAUNCH_ADVISED_CONFIGURATION_NEEDED = "TDRelaunchAdvisedConfigurationNeeded"
    REVOKED = "Revoked"


@dataclass(frozen=True, slots=True, kw_only=True)
class IntelPlatform:
    """What the PCK certificate says of the platform (Intel SGX PCK Certificate specification, 1.3.5).

    `sgx_tcb_components` has 16 SVNs; the flags exist for Platform CA certificates only, else None.
    """

    fmspc: bytes  # 6
    pce_id: bytes  # 2, as in the certificate
    pce_svn: int
    sgx_tcb_components: tuple[int, ...]  # 16
    cpu_svn: bytes  # 16
    ppid: bytes  # 16
    sgx_type: int
    platform_instance_id: bytes | None = None  # 16
    dynamic_platform: bool | None = None
    cached_keys: bool | None = None
    smt_enabled: bool | None = None

    @property
    def hardware_ids(self) -> tuple[bytes, ...]:
        """What identifies the machine: PPID, and platform instance id where there is one (16 bytes each)."""
        return (self.ppid, *((self.platform_instance_id,) if self.platform_instance_id is not None else ()))


@dataclass(frozen=True, slots=True, kw_only=True)
class TcbShortfall:
    """A security version that is lower than its vendor's newest level has it.

    Attributes:
        component: its name, for people: `SGX component 1`, `PCE SVN`, `ISV SVN`.
        got: what the platform has.
        newest: what the newest level has.
    """

    component: str
    got: int
    newest: int

    def __str__(self) -> str:
        return f"{self.component} has {self.got}, newest {self.newest}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TcbStanding:
    """Where one part of a platform stands among its vendor's TCB levels.

    Attributes:
        part: what it is, for people: `platform`, `TDX module TDX_01`, `quoting enclave QE`.
        status: status of the level that it reaches.
        tcb_date: date of that level.
        newest_date: date of the newest level that the document lists.
        advisories: those of the level that it reaches.
        behind: what it lacks for the newest level; empty when it is there.
    """

    part: str
    status: TcbStatus
    tcb_date: datetime
    newest_date: datetime
    advisories: tuple[str, ...]
    behind: tuple[TcbShortfall, ...]

    def __str__(self) -> str:
        text = f"{self.part} {self.status.value}, level of {self.tcb_date:%Y-%m-%d}, newest {self.newest_date:%Y-%m-%d}"
        return "; ".join((text, *map(str, self.behind)))


@dataclass(frozen=True, slots=True, kw_only=True)
class IntelTcb:
    """Outcome of Intel's TCB evaluation.

    Attributes:
        status: converged status of platform, module and QE.
        advisories: union of the advisories of all levels that took part, sorted.
        platform_status: status of the matching platform TCB level, before convergence.
        qe_status: status of the quoting enclave's level.
        module_status: status of the TDX module's level; None for SGX and for module version 0.
        tcb_date: date of the matching platform level.
        tcb_evaluation_data_number: the lower of TCB info's and QE identity's numbers.
        issue_date: the earlier of both documents' issue dates.
        standings: where platform, TDX module (if it has levels of its own) and quoting enclave stand.
    """

    status: TcbStatus
    advisories: tuple[str, ...]
    platform_status: TcbStatus
    qe_status: TcbStatus
    module_status: TcbStatus | None
    tcb_date: datetime
    tcb_evaluation_data_number: int
    issue_date: datetime
    standings: tuple[TcbStanding, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredEvent:
    """One event of an event log that replays to the registers of the Evidence.

    Attributes:
        register: the register that it was extended into, as the TEE's claims name it: `rtmr0`, ...
        type: what its log calls its type: `EV_EFI_BOOT_SERVICES_APPLICATION`, or the number in hexadecimal.
        digest: what was extended, of the registers' hash.
        name: what the event is about, where its log says it: a variable, a key; "" where not.
        data: what was measured, where the log holds just that and the digest was recomputed from it; else None. All
            else that a log says beside a digest is not proved, and not here.
    """

    register: str
    type: str
    digest: bytes
    name: str = ""
    data: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SgxReportClaims:
    """What an SGX report body says of an enclave (Intel SGX ECDSA QuoteLibrary API reference, A.4)."""

    cpu_svn: bytes  # 16
    miscselect: int  # 32 bits
    isv_ext_prod_id: bytes  # 16
    attributes: int  # 64 bits
    xfrm: int  # 64 bits
    mr_enclave: bytes  # 32
    mr_signer: bytes  # 32
    config_id: bytes  # 64
    isv_prod_id: int
    isv_svn: int
    config_svn: int
    isv_family_id: bytes  # 16
    report_data: bytes  # 64

    @property
    def debug(self) -> bool:
        """Whether the enclave can be read by a debugger (attributes bit 1)."""
        return bool(self.attributes & 0x2)


@dataclass(frozen=True, slots=True, kw_only=True)
class SgxClaims(SgxReportClaims):
    """Claims of an SGX enclave by a quote."""

    quote_version: int
    platform: IntelPlatform | None = None
    tcb: IntelTcb | None = None

    @property
    def tee_type(self) -> TeeType:
        """Always `sgx_ecdsa`."""
        return TeeType.SGX_ECDSA

    @property
    def hardware_ids(self) -> tuple[bytes, ...] | None:
        """PPID and platform instance id (16 bytes each), once verified."""
        return self.platform.hardware_ids if self.platform is not None else None


@dataclass(frozen=True, slots=True, kw_only=True)
class SgxLocalClaims(SgxReportClaims):
    """Claims of an SGX enclave by a local report, which an enclave on the same machine has checked."""

    @property
    def tee_type(self) -> TeeType:
        """Always `sgx_la`."""
        return TeeType.SGX_LA

    @property
    def hardware_ids(self) -> tuple[bytes, ...]:
        """None: the machine is this one, and a report does not name it."""
        return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TdxClaims:
    """Claims of a trust domain (TD report body 1.0 or 1.5: Intel TDX DCAP QuoteLibrary API reference, A.3)."""

    quote_version: int
    body_version: str  # "1.0" or "1.5"
    tee_tcb_svn: bytes  # 16
    mr_seam: bytes  # 48
    mr_signer_seam: bytes  # 48
    seam_attributes: int  # 64 bits
    td_attributes: int  # 64 bits
    xfam: int  # 64 bits
    mr_td: bytes  # 48
    mr_config_id: bytes  # 48
    mr_owner: bytes  # 48
    mr_owner_config: bytes  # 48
    rtmr0: bytes  # 48
    rtmr1: bytes  # 48
    rtmr2: bytes  # 48
    rtmr3: bytes  # 48
    report_data: bytes  # 64
    tee_tcb_svn2: bytes | None = None  # 16, body 1.5
    mr_service_td: bytes | None = None  # 48, body 1.5
    platform: IntelPlatform | None = None
    tcb: IntelTcb | None = None
    events: tuple[MeasuredEvent, ...] | None = None  # of an event log that replays to the registers

    @property
    def tee_type(self) -> TeeType:
        """Always `tdx_ecdsa`."""
        return TeeType.TDX_ECDSA

    @property
    def debug(self) -> bool:
        """Whether any bit of the TD-under-debug byte is set (td_attributes bits 0-7)."""
        return bool(self.td_attributes & 0xFF)

    @property
    def hardware_ids(self) -> tuple[bytes, ...] | None:
        """PPID and platform instance id (16 bytes each), once verified."""
        return self.platform.hardware_ids if self.platform is not None else None


@dataclass(frozen=True, slots=True, kw_only=True)
class SnpTcb:
    """SEV-SNP TCB_VERSION by component (AMD SEV-SNP ABI, TCB_VERSION; Turin adds fmc)."""

    fmc: int | None  # Turin and later
    bootloader: int
    tee: int
    snp: int
    microcode: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SnpClaims:
    """Claims of a SEV-SNP guest (AMD SEV-SNP ABI, ATTESTATION_REPORT).

    The TCB values are None while the product, which decides their layout, is unknown (report version 2 before the
    chain was verified).
    """

    report_version: int
    guest_svn: int
    policy: int  # 64 bits
    family_id: bytes  # 16
    image_id: bytes  # 16
    vmpl: int
    platform_info: int  # 64 bits
    author_key_enabled: bool
    mask_chip_key: bool
    signing_key: int  # 0 VCEK, 1 VLEK, 7 none
    report_data: bytes  # 64
    measurement: bytes  # 48
    host_data: bytes  # 32
    id_key_digest: bytes  # 48
    author_key_digest: bytes  # 48
    report_id: bytes  # 32
    report_id_ma: bytes  # 32
    chip_id: bytes  # 64
    current_tcb_raw: bytes  # 8
    reported_tcb_raw: bytes  # 8
    committed_tcb_raw: bytes  # 8
    launch_tcb_raw: bytes  # 8
    current_version: tuple[int, int, int]  # major, minor, build
    committed_version: tuple[int, int, int]  # major, minor, build
    key_info: int = 0  # 32 bits; author_key_enabled, mask_chip_key and signing_key are bits of it
    launch_mit_vector: int | None = None  # report version 5
    current_mit_vector: int | None = None  # report version 5
    cpuid_family: int | None = None  # report version 3 and later
    cpuid_model: int | None = None
    cpuid_stepping: int | None = None
    product: str | None = None  # "Milan", "Genoa", "Turin", "Venice"
    current_tcb: SnpTcb | None = None
    reported_tcb: SnpTcb | None = None
    committed_tcb: SnpTcb | None = None
    launch_tcb: SnpTcb | None = None
    csp_id: str | None = None  # of a VLEK
    vek_type: str | None = None  # "VCEK" or "VLEK", once verified

    @property
    def tee_type(self) -> TeeType:
        """Always `sev_snp`."""
        return TeeType.SEV_SNP

    @property
    def debug(self) -> bool:
        """Whether the guest policy allows debugging (policy bit 19)."""
        return bool(self.policy >> 19 & 1)

    @property
    def hardware_ids(self) -> tuple[bytes, ...]:
        """The chip's id (64 bytes)."""
        return (self.chip_id,)


@dataclass(frozen=True, slots=True, kw_only=True)
class SevClaims:
    """Claims of a SEV or SEV-ES guest (AMD SEV API, ATTESTATION). Its report carries nothing that could bind a key.

    The signature covers `mnonce`, `launch_digest` and `policy`, and nothing else.
    """

    mnonce: bytes  # 16, chosen by the host that asked
    launch_digest: bytes  # 32
    policy: int  # 32 bits
    product: str | None = None  # "Naples", "Rome", "Milan", once the chain led to its root
    cek_sha256: bytes | None = None  # 32, over the chip's endorsement key as its certificate holds it, once verified

    @property
    def tee_type(self) -> TeeType:
        """Always `sev`."""
        return TeeType.SEV

    @property
    def debug(self) -> bool:
        """Whether the guest policy allows debugging (NODBG, policy bit 0, is clear)."""
        return not self.policy & 1

    @property
    def hardware_ids(self) -> tuple[bytes, ...] | None:
        """Digest of the chip's endorsement key (32 bytes), once verified."""
        return (self.cek_sha256,) if self.cek_sha256 is not None else None


@dataclass(frozen=True, slots=True, kw_only=True)
class CsvClaims:
    """Claims of a Hygon CSV guest (Hygon CSV attestation report, versions 1 to 3).

    Values are the decoded ones. No signature covers `unsigned_chip_id`; `cek_sha256` tells the machine.
    """

    report_version: int
    user_pubkey_digest: bytes  # 32
    vm_id: bytes  # 16
    vm_version: bytes  # 16
    report_data: bytes  # 64, user_data
    mnonce: bytes  # 16
    measurement: bytes  # 32, measure
    policy: int  # 32 bits
    unsigned_chip_id: bytes  # 64, the serial number in ASCII, zeros behind it
    build: int | None = None  # firmware build; version 2 and later
    rtmr_version: int | None = None  # version 2 and later
    rtmrs: tuple[bytes, ...] | None = None  # rtmr0 to rtmr4, 32 each; version 2 and later
    host_data: bytes | None = None  # 64; version 3
    cek_sha256: bytes | None = None  # 32, over the chip's endorsement key as its certificate holds it, once verified
    events: tuple[MeasuredEvent, ...] | None = None  # of an event log that replays to the registers

    @property
    def tee_type(self) -> TeeType:
        """Always `csv`."""
        return TeeType.CSV

    @property
    def debug(self) -> bool:
        """Whether the guest policy allows debugging (nodbg, policy bit 0, is clear)."""
        return not self.policy & 1

    @property
    def hardware_ids(self) -> tuple[bytes, ...] | None:
        """Digest of the chip's endorsement key (32 bytes), once verified."""
        return (self.cek_sha256,) if self.cek_sha256 is not None else None


@dataclass(frozen=True, slots=True, kw_only=True)
class NullClaims:
    """No claims: a peer without Evidence, accepted only by a policy entry that names `null`."""

    @property
    def tee_type(self) -> TeeType:
        """Always `null`."""
        return TeeType.NULL

    @property
    def hardware_ids(self) -> tuple[bytes, ...]:
        """None: nothing is known of the machine."""
        return ()


TeeClaims = SgxClaims | SgxLocalClaims | TdxClaims | SnpClaims | SevClaims | CsvClaims | NullClaims
