"""Policy entries for SGX enclaves: by a quote, and by a local report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rats_tls.core.evidence import TeeType
from rats_tls.policy.entry import Entry
from rats_tls.policy.intel_entry import IntelEntry, IntelMinimumTcb, minimum_tcb
from rats_tls.policy.rules import allowed_bit, at_least, has_bits, one_of, optional, required, within_mask
from rats_tls.policy.values import ANY, Any, integer, octets

# SGX attribute flags (Intel SDM 3D, ENCLAVE ATTRIBUTES): INIT 0, DEBUG 1, MODE64 2, PROVISION_KEY 4,
# EINITTOKEN_KEY 5, CET 6, KSS 7, AEX_NOTIFY 10. Keys for provisioning and launch are no application's business.
_SGX_DEBUG = 0x2
SGX_ATTRIBUTES = 1 << 0 | 1 << 2 | 1 << 6 | 1 << 7 | 1 << 10
SGX_REQUIRED_ATTRIBUTES = 1 << 0 | 1 << 2
# XFRM: x87, SSE, AVX, MPX, AVX-512, PKRU, AMX.
SGX_XFRM = 0x602FF
SGX_MISCSELECT = 1 << 0  # EXINFO


# Without slots of its own: a class may have one base with slots, and `SgxEntry` has another.
@dataclass(frozen=True, kw_only=True)
class SgxReportEntry(Entry):
    """What entries for SGX enclaves share: everything that a report body says of an enclave."""

    mr_enclave: tuple[bytes, ...] | Any = required(
        one_of(
            octets(32), "mr_enclave", "Accepted MRENCLAVE: the enclave's code and initial data.", reference_value=True
        )
    )
    mr_signer: tuple[bytes, ...] | Any = required(
        one_of(octets(32), "mr_signer", "Accepted MRSIGNER: the key that signed the enclave.", reference_value=True)
    )
    isv_prod_id: tuple[int, ...] | Any = required(
        one_of(integer(16), "isv_prod_id", "Accepted ISVPRODID: which of the signer's products.", reference_value=True)
    )
    min_isv_svn: int | Any = required(
        at_least(
            16,
            "isv_svn",
            "Lowest accepted ISVSVN: the enclave's security version.",
            any_allowed=True,
            reference_value=True,
        )
    )
    allow_debug: bool = optional(
        allowed_bit("attributes", 1, "DEBUG", "Accept enclaves whose memory a debugger can read."), False
    )
    allowed_attributes: int = optional(
        within_mask(
            64,
            "attributes",
            "Attribute flags that may be set; by default INIT, MODE64, CET, KSS, AEX_NOTIFY.",
            judged_elsewhere=_SGX_DEBUG,
        ),
        SGX_ATTRIBUTES,
    )
    required_attributes: int = optional(
        has_bits(64, "attributes", "Attribute flags that must be set; by default INIT, MODE64."),
        SGX_REQUIRED_ATTRIBUTES,
    )
    allowed_xfrm: int = optional(
        within_mask(64, "xfrm", "Processor state components that may be enabled (XFRM)."), SGX_XFRM
    )
    allowed_miscselect: int = optional(
        within_mask(32, "miscselect", "Bits of MISCSELECT that may be set; by default EXINFO."), SGX_MISCSELECT
    )
    config_id: tuple[bytes, ...] | Any = optional(
        one_of(
            octets(64), "config_id", "Accepted CONFIGID (KSS): what was loaded into the enclave.", reference_value=True
        ),
        (bytes(64),),
    )
    min_config_svn: int = optional(
        at_least(16, "config_svn", "Lowest accepted CONFIGSVN (KSS).", reference_value=True), 0
    )
    isv_ext_prod_id: tuple[bytes, ...] | Any = optional(
        one_of(octets(16), "isv_ext_prod_id", "Accepted ISVEXTPRODID (KSS).", reference_value=True), (bytes(16),)
    )
    isv_family_id: tuple[bytes, ...] | Any = optional(
        one_of(octets(16), "isv_family_id", "Accepted ISVFAMILYID (KSS).", reference_value=True), (bytes(16),)
    )

    def contradictions(self) -> list[str]:
        """A signer has many enclaves: pinning it alone says neither which nor how old."""
        if self.mr_enclave is not ANY or self.mr_signer is ANY:
            return []
        return [
            f'{name}: got "any", expected a value: mr_signer without mr_enclave accepts every enclave of that signer'
            for name in ("isv_prod_id", "min_isv_svn")
            if getattr(self, name) is ANY
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class SgxEntry(SgxReportEntry, IntelEntry):
    """Accepts SGX enclaves by their quotes."""

    tee: ClassVar[TeeType] = TeeType.SGX_ECDSA

    min_tcb: IntelMinimumTcb | Any = required(minimum_tcb(tdx=False))


@dataclass(frozen=True, slots=True, kw_only=True)
class SgxLocalEntry(SgxReportEntry):
    """Accepts SGX enclaves on this machine by their local reports.

    No vendor says whether a CPUSVN is up to date, nor in which order two of them are: each that is accepted is listed.
    """

    tee: ClassVar[TeeType] = TeeType.SGX_LA
    hardware_id_size: ClassVar[int | None] = None

    cpu_svn: tuple[bytes, ...] | Any = required(
        one_of(
            octets(16),
            "cpu_svn",
            "Accepted CPUSVN: security version of this machine's processor and microcode. No vendor judges it here.",
            reference_value=True,
        )
    )
