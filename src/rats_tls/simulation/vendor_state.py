"""What simulated vendors publish, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Literal

from rats_tls.core.endorsements import EndorsementKind
from rats_tls.core.errors import ConfigurationError
from rats_tls.simulation.intel_levels import (
    MODULE_IDENTITIES,
    QE_LEVELS,
    TCB_LEVELS,
    IsvLevel,
    ModuleIdentity,
    TcbLevel,
)
from rats_tls.simulation.pki import Validity, forge

DOCUMENT_LIFETIME = timedelta(days=30)
_HOUR = timedelta(hours=1)
_DAY = timedelta(days=1)


class SignedItem(str, Enum):
    """What a vendor signs, to say which of it is revoked, expired or forged."""

    INTEL_INTERMEDIATE = "intel-intermediate"
    INTEL_PCK = "intel-pck"
    INTEL_TCB_SIGNING = "intel-tcb-signing"
    INTEL_ROOT_CRL = "intel-root-crl"
    INTEL_PCK_CRL = "intel-pck-crl"
    INTEL_TCB_INFO = "intel-tcb-info"
    INTEL_QE_IDENTITY = "intel-qe-identity"
    AMD_SIGNER = "amd-signer"  # ASK or ASVK
    AMD_VEK = "amd-vek"
    AMD_CRL = "amd-crl"
    AMD_SEV_SIGNER = "amd-sev-signer"  # ASK before SEV-SNP
    HYGON_HSK = "hygon-hsk"
    HYGON_CEK = "hygon-cek"


_INTEL_REVOCABLE = frozenset({SignedItem.INTEL_INTERMEDIATE, SignedItem.INTEL_PCK, SignedItem.INTEL_TCB_SIGNING})
_AMD_REVOCABLE = frozenset({SignedItem.AMD_SIGNER})


@dataclass(frozen=True, slots=True, kw_only=True)
class VendorState:
    """What a simulated vendor publishes. The defaults are in order.

    Attributes:
        revoked: certificates on a revocation list. Vendors can revoke `INTEL_INTERMEDIATE`, `INTEL_TCB_SIGNING`,
            `INTEL_PCK` and `AMD_SIGNER`; AMD's lists name no VEK.
        expired: items that ended a day ago.
        not_yet_valid: items that begin in a day.
        forged: items whose signature is wrong.
        missing: Endorsements that are not handed out.
        issue_date: thisUpdate and issueDate of lists and documents, in place of an hour ago.
        next_update: nextUpdate of lists and documents, in place of 30 days behind the issue date.
        list_number: CRLNumber of the revocation lists, in place of one more than are revoked.
    """

    revoked: Collection[SignedItem] = frozenset()
    expired: Collection[SignedItem] = frozenset()
    not_yet_valid: Collection[SignedItem] = frozenset()
    forged: Collection[SignedItem] = frozenset()
    missing: Collection[EndorsementKind] = frozenset()
    issue_date: datetime | None = None
    next_update: datetime | None = None
    list_number: int | None = None

    @property
    def crl_number(self) -> int:
        """CRLNumber of the revocation lists: a list that revokes is newer than one that does not."""
        return 1 + len(self.revoked) if self.list_number is None else self.list_number

    def document_validity(self, item: SignedItem, now: datetime) -> Validity:
        """Give the dates of a list or document: issued an hour before the last full hour."""
        start = self.issue_date or now.replace(minute=0, second=0, microsecond=0) - _HOUR
        return self.validity(item, now, Validity(start=start, end=self.next_update or start + DOCUMENT_LIFETIME))

    def validity(self, item: SignedItem, now: datetime, usual: Validity) -> Validity:
        """Give the validity of an item that is usually valid for `usual`."""
        now = now.replace(microsecond=0)
        if item in self.expired:
            return Validity(start=min(usual.start, now - DOCUMENT_LIFETIME), end=now - _DAY)
        if item in self.not_yet_valid:
            return Validity(start=now + _DAY, end=max(usual.end, now + DOCUMENT_LIFETIME))
        return usual

    def _require_own(self, vendor: str, revocable: frozenset[SignedItem]) -> None:
        """Refuse settings that would have no effect: items of another vendor, certificates that no list can name."""
        for name in ("revoked", "expired", "not_yet_valid", "forged", "missing"):
            for item in getattr(self, name):
                if not item.value.startswith(vendor) or (name == "revoked" and item not in revocable):
                    raise ConfigurationError(f"{name}: got {item.value}, which the simulated vendor cannot do")

    def signed(self, item: SignedItem, signed: bytes) -> bytes:
        """Give a certificate, list or raw signature, or a forgery of it."""
        return forge(signed) if item in self.forged else signed


@dataclass(frozen=True, slots=True, kw_only=True)
class NoVendorState:
    """Of TEEs that no vendor publishes anything for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IntelVendorState(VendorState):
    """What the simulated Intel publishes.

    Attributes:
        tcb_info_version: 2 (SGX only) or 3.
        tcb_evaluation_data_number: of TCB info.
        qe_evaluation_data_number: of the identities, in place of the former.
        tcb_levels: levels of TCB info, newest first.
        qe_levels: levels of the QE and TD_QE identities.
        module_identities: identities of TDX modules.
        levels_reversed: writes every list of levels oldest first; its meaning is the same.
        tcb_info_fmspc: FMSPC in TCB info, in place of the platform's.
        tcb_info_id: id of TCB info, in place of "SGX" or "TDX".
        qe_identity_id: id of the QE identity, in place of "QE" or "TD_QE".

    Raises:
        ConfigurationError: an item that is not Intel's, or a revoked one that no list of Intel's can name.
    """

    tcb_info_version: Literal[2, 3] = 3
    tcb_evaluation_data_number: int = 18
    qe_evaluation_data_number: int | None = None
    tcb_levels: tuple[TcbLevel, ...] = TCB_LEVELS
    qe_levels: tuple[IsvLevel, ...] = QE_LEVELS
    module_identities: tuple[ModuleIdentity, ...] = MODULE_IDENTITIES
    levels_reversed: bool = False
    tcb_info_fmspc: bytes | None = None
    tcb_info_id: str | None = None
    qe_identity_id: str | None = None

    def __post_init__(self) -> None:
        self._require_own("intel-", _INTEL_REVOCABLE)


@dataclass(frozen=True, slots=True, kw_only=True)
class AmdVendorState(VendorState):
    """What the simulated AMD publishes; its settings are those of every vendor.

    Raises:
        ConfigurationError: an item that is not AMD's, or a revoked one that no list of AMD's can name.
    """

    def __post_init__(self) -> None:
        self._require_own("amd-", _AMD_REVOCABLE)


@dataclass(frozen=True, slots=True, kw_only=True)
class SevVendorState(VendorState):
    """What the simulated AMD publishes for guests before SEV-SNP: ASKs, without dates, and no list that revokes.

    Raises:
        ConfigurationError: another item, or one that is revoked, expired or not yet valid.
    """

    def __post_init__(self) -> None:
        self._require_own("amd-sev-", frozenset())
        if self.expired or self.not_yet_valid:
            raise ConfigurationError("expired, not_yet_valid: certificates before SEV-SNP have no dates")


@dataclass(frozen=True, slots=True, kw_only=True)
class HygonVendorState(VendorState):
    """What the simulated Hygon publishes: certificates of chips, without dates, and no list that revokes.

    Raises:
        ConfigurationError: another item, or one that is revoked, expired or not yet valid.
    """

    def __post_init__(self) -> None:
        self._require_own("hygon-", frozenset())
        if self.expired or self.not_yet_valid:
            raise ConfigurationError("expired, not_yet_valid: certificates of Hygon have no dates")


INTEL_HEALTHY = IntelVendorState()
AMD_HEALTHY = AmdVendorState()
SEV_HEALTHY = SevVendorState()
HYGON_HEALTHY = HygonVendorState()
