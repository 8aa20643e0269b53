"""What a simulated service has to give out, and how faults change it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TypeVar

from rats_tls.core.claims import TcbStatus
from rats_tls.simulation.intel_levels import OLD_ADVISORIES
from rats_tls.simulation.vendor_state import (
    AMD_HEALTHY,
    HYGON_HEALTHY,
    INTEL_HEALTHY,
    AmdVendorState,
    HygonVendorState,
    IntelVendorState,
    SignedItem,
    VendorState,
)

_INTEL_DOCUMENTS = frozenset(
    {
        *(SignedItem.INTEL_ROOT_CRL, SignedItem.INTEL_PCK_CRL),
        *(SignedItem.INTEL_TCB_INFO, SignedItem.INTEL_QE_IDENTITY),
    }
)
_AMD_DOCUMENTS = frozenset({SignedItem.AMD_CRL})
ROLLED_BACK_BY = timedelta(days=10)
"""How much older documents are that were rolled back: still in date."""
_State = TypeVar("_State", bound=VendorState)


@dataclass(frozen=True, slots=True, kw_only=True)
class IntelPublication:
    """What Intel's service gives out.

    Attributes:
        standard: documents of the channel `update=standard`; revocation lists are these too.
        early: documents of the channel `update=early`; those of `standard` when None.
        for_another: answers are for another than was asked for: another FMSPC, enclave, CA, platform.
    """

    standard: IntelVendorState = INTEL_HEALTHY
    early: IntelVendorState | None = None
    for_another: bool = False

    @property
    def channels(self) -> dict[str, IntelVendorState]:
        """What each channel gives out."""
        return {"standard": self.standard, "early": self.early or self.standard}

    def expired(self) -> IntelPublication:
        """Let every list and document have ended a day ago."""
        return self._each(expired=_INTEL_DOCUMENTS)

    def revoked(self) -> IntelPublication:
        """Revoke the PCK certificates of all platforms."""
        return self._each(revoked=frozenset({SignedItem.INTEL_PCK}))

    def rolled_back(self, now: datetime) -> IntelPublication:
        """Give out what was there before: older dates, the TCB evaluation data numbers before, nothing revoked."""
        return replace(
            self,
            standard=_before(_older(self.standard, now)),
            early=None if self.early is None else _before(_older(self.early, now)),
        )

    def after_tcb_recovery(self) -> IntelPublication:
        """Disclose a TCB recovery: the early channel has the next number, and calls out of date what was up to date."""
        state = self.standard
        newest = state.tcb_levels[0]
        first, *others = newest.sgx_components
        levels = (
            replace(newest, sgx_components=(first + 1, *others)),
            replace(newest, status=TcbStatus.OUT_OF_DATE, advisories=OLD_ADVISORIES),
            *state.tcb_levels[1:],
        )
        return replace(
            self, early=replace(_with_number(state, state.tcb_evaluation_data_number + 1), tcb_levels=levels)
        )

    def to_another(self) -> IntelPublication:
        """Give answers for another than was asked for."""
        return replace(self, for_another=True)

    def _each(self, **changes: frozenset[SignedItem]) -> IntelPublication:
        return replace(
            self,
            standard=replace(self.standard, **changes),  # type: ignore[arg-type]  # fields of that name
            early=None if self.early is None else replace(self.early, **changes),  # type: ignore[arg-type]  # likewise
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AmdPublication:
    """What AMD's service gives out.

    Attributes:
        state: certificates and lists.
        for_another: answers are for another than was asked for: another chip, the signer of the other kind of key.
    """

    state: AmdVendorState = field(default=AMD_HEALTHY)
    for_another: bool = False

    def expired(self) -> AmdPublication:
        """Let the revocation lists have ended a day ago."""
        return replace(self, state=replace(self.state, expired=_AMD_DOCUMENTS))

    def revoked(self) -> AmdPublication:
        """Revoke the signers of VEKs."""
        return replace(self, state=replace(self.state, revoked=frozenset({SignedItem.AMD_SIGNER})))

    def rolled_back(self, now: datetime) -> AmdPublication:
        """Give out the revocation lists that were there before: older dates, nothing revoked."""
        return replace(self, state=_older(self.state, now))

    def to_another(self) -> AmdPublication:
        """Give answers for another than was asked for."""
        return replace(self, for_another=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class HygonPublication:
    """What Hygon's service gives out: certificates without dates, which nothing revokes.

    Attributes:
        state: certificates.
        for_another: answers are for another chip than was asked for.
    """

    state: HygonVendorState = field(default=HYGON_HEALTHY)
    for_another: bool = False

    def expired(self) -> HygonPublication:
        """Change nothing: its certificates have no dates."""
        return self

    def revoked(self) -> HygonPublication:
        """Change nothing: Hygon publishes no revocation list."""
        return self

    def rolled_back(self, _now: datetime) -> HygonPublication:
        """Change nothing: its certificates are the same for ever."""
        return self

    def to_another(self) -> HygonPublication:
        """Give answers for another than was asked for."""
        return replace(self, for_another=True)


def state_of_number(publication: IntelPublication, number: int) -> IntelVendorState | None:
    """Give what was published under a TCB evaluation data number; None where there is no such number yet."""
    channels = publication.channels
    for state in channels.values():
        if state.tcb_evaluation_data_number == number:
            return state
    if number > channels["early"].tcb_evaluation_data_number:
        return None
    return _with_number(publication.standard, number)


def _with_number(state: IntelVendorState, number: int) -> IntelVendorState:
    return replace(state, tcb_evaluation_data_number=number, qe_evaluation_data_number=None)


def _before(state: IntelVendorState) -> IntelVendorState:
    return _with_number(state, state.tcb_evaluation_data_number - 1)


def _older(state: _State, now: datetime) -> _State:
    issued = (state.issue_date or now.replace(minute=0, second=0, microsecond=0)) - ROLLED_BACK_BY
    return replace(state, issue_date=issued, revoked=frozenset(), list_number=0)
