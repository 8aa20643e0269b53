"""What the simulated Intel publishes, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Literal

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


class IntelItem(str, Enum):
    """What the simulated Intel signs, to say which of it is revoked, expired, forged or missing."""

    INTERMEDIATE = "intermediate"
    PCK = "pck"
    TCB_SIGNING = "tcb-signing"
    ROOT_CRL = "root-crl"
    PCK_CRL = "pck-crl"
    TCB_INFO = "tcb-info"
    QE_IDENTITY = "qe-identity"


@dataclass(frozen=True, slots=True, kw_only=True)
class IntelVendorState:
    """What the simulated Intel publishes. The defaults are in order.

    Attributes:
        revoked: of `INTERMEDIATE`, `TCB_SIGNING` (root CRL) and `PCK` (PCK CRL).
        expired: items that ended a day ago.
        not_yet_valid: items that begin in a day.
        forged: items whose signature is wrong.
        missing: documents that are not handed out (`ROOT_CRL`, `PCK_CRL`, `TCB_INFO`, `QE_IDENTITY`).
        issue_date: thisUpdate and issueDate, in place of an hour ago.
        next_update: nextUpdate, in place of 30 days behind the issue date.
        tcb_info_version: 2 (SGX only) or 3.
        tcb_evaluation_data_number: of TCB info.
        qe_evaluation_data_number: of the identities, in place of the former.
        tcb_levels: levels of TCB info, newest first.
        qe_levels: levels of the QE and TD_QE identities.
        module_identities: identities of TDX modules.
        levels_reversed: writes every list of levels oldest first; its meaning is the same.
        tcb_info_fmspc: FMSPC in TCB info, in place of the platform's.
        qe_identity_id: id of the QE identity, in place of "QE" or "TD_QE".
    """

    revoked: Collection[IntelItem] = frozenset()
    expired: Collection[IntelItem] = frozenset()
    not_yet_valid: Collection[IntelItem] = frozenset()
    forged: Collection[IntelItem] = frozenset()
    missing: Collection[IntelItem] = frozenset()
    issue_date: datetime | None = None
    next_update: datetime | None = None
    tcb_info_version: Literal[2, 3] = 3
    tcb_evaluation_data_number: int = 18
    qe_evaluation_data_number: int | None = None
    tcb_levels: tuple[TcbLevel, ...] = TCB_LEVELS
    qe_levels: tuple[IsvLevel, ...] = QE_LEVELS
    module_identities: tuple[ModuleIdentity, ...] = MODULE_IDENTITIES
    levels_reversed: bool = False
    tcb_info_fmspc: bytes | None = None
    qe_identity_id: str | None = None

    def document_validity(self, item: IntelItem, now: datetime) -> Validity:
        """Give thisUpdate or issueDate and nextUpdate of a document: issued at the last full hour but one."""
        start = self.issue_date or now.replace(minute=0, second=0, microsecond=0) - _HOUR
        end = self.next_update or start + DOCUMENT_LIFETIME
        return self._shift(item, now, Validity(start=start, end=end))

    def certificate_validity(self, item: IntelItem, now: datetime, usual: Validity) -> Validity:
        """Give the validity of a certificate that is usually valid for `usual`."""
        return self._shift(item, now, usual)

    def _shift(self, item: IntelItem, now: datetime, usual: Validity) -> Validity:
        now = now.replace(microsecond=0)
        if item in self.expired:
            return Validity(start=min(usual.start, now - DOCUMENT_LIFETIME), end=now - _DAY)
        if item in self.not_yet_valid:
            return Validity(start=now + _DAY, end=max(usual.end, now + DOCUMENT_LIFETIME))
        return usual

    def signed(self, item: IntelItem, signed: bytes) -> bytes:
        """Give what was signed, or a forgery of it."""
        return forge(signed) if item in self.forged else signed


HEALTHY = IntelVendorState()
