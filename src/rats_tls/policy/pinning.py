"""Entries that pin what claims say: a first policy for Evidence that one knows to be good."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields
from typing import Any as Anything

from rats_tls.core.binding import Binding
from rats_tls.core.claims import (
    CsvClaims,
    MeasuredEvent,
    SevClaims,
    SgxClaims,
    SgxLocalClaims,
    SnpClaims,
    TdxClaims,
    TeeClaims,
)
from rats_tls.core.errors import ConfigurationError
from rats_tls.policy.csv_entry import CsvEntry, pinned_fields
from rats_tls.policy.entry import MEASUREMENT_ONLY, Entry, Identity
from rats_tls.policy.intel_entry import TdxEntry
from rats_tls.policy.required_events import RequiredEvent
from rats_tls.policy.sev_entry import SevEntry
from rats_tls.policy.sgx_entry import SgxEntry, SgxLocalEntry
from rats_tls.policy.snp_entry import SnpEntry, SnpMinimumTcb
from rats_tls.policy.values import ANY

# Of each TEE the fields that must be written, with the claim that each pins.
_SGX_REPORT = {
    "mr_enclave": "mr_enclave",
    "mr_signer": "mr_signer",
    "isv_prod_id": "isv_prod_id",
    "min_isv_svn": "isv_svn",
}
_PINNED: dict[type[Anything], tuple[type[Anything], dict[str, str]]] = {
    SgxClaims: (SgxEntry, _SGX_REPORT),
    SgxLocalClaims: (SgxLocalEntry, {**_SGX_REPORT, "cpu_svn": "cpu_svn"}),
    TdxClaims: (TdxEntry, {name: name for name in ("mr_td", "rtmr0", "rtmr1", "rtmr2", "rtmr3", "mr_seam")}),
    SnpClaims: (
        SnpEntry,
        {
            "measurement": "measurement",
            "host_data": "host_data",
            "id_key_digest": "id_key_digest",
            "author_key_digest": "author_key_digest",
            "family_id": "family_id",
            "image_id": "image_id",
            "min_guest_svn": "guest_svn",
        },
    ),
    SevClaims: (SevEntry, {"launch_digest": "launch_digest"}),
    CsvClaims: (CsvEntry, {}),  # `pinned_fields`
}
_WRITTEN: Mapping[type[Anything], Mapping[str, object]] = {
    SevClaims: {"revocation": "not-checked", "max_evidence_age": ANY},
    CsvClaims: {"revocation": "not-checked"},
}
"""Of each TEE the fields whose default no Evidence of it can meet, with the only value that it can."""


def pinning_entry(
    claims: TeeClaims,
    *,
    name: str,
    bindings: Sequence[Binding] | Binding | str,
    identity: str | Identity = MEASUREMENT_ONLY,
    **written: object,
) -> Entry:
    """Make an entry that accepts the code in `claims`, on any up-to-date platform.

    Every field that must be written is pinned to its claim. The minimum TCB is "any" where the vendor says what is up
    to date (Intel), and where the product of an SNP report is not known; else, since AMD says no such thing, it is
    the reported TCB, and of a local report its CPUSVN; entries of TEEs without a TCB have none. Fields with a default
    keep it, so that the entry need not accept the very Evidence that the claims are of, but for those that no Evidence
    of the TEE can meet.

    Args:
        claims: what to pin.
        name: the entry's name.
        bindings: accepted bindings.
        identity: accepted machines; any by default.
        written: other fields to write.

    Raises:
        ConfigurationError: claims of a TEE that no entry pins, or a field that does not take its value.
    """
    if type(claims) not in _PINNED:
        raise ConfigurationError(f"no entry pins claims of {claims.tee_type}")
    entry, pinned = _PINNED[type(claims)]
    values = {field: getattr(claims, claim) for field, claim in pinned.items()}
    if isinstance(claims, CsvClaims):
        values.update(pinned_fields(claims))
    common: dict[str, object] = {
        "name": name,
        "bindings": bindings,
        "identity": identity,
        **_WRITTEN.get(type(claims), {}),
    }
    if any(declared.name == "min_tcb" for declared in fields(entry)):
        common["min_tcb"] = _minimum_tcb(claims)
    made: Entry = entry(**{**values, **common, **written})
    return made


def pinned_events(claims: TeeClaims, types: Collection[str]) -> tuple[RequiredEvent, ...]:
    """Give requirements of all events of these types that an event log has: by data where it is proved, else by digest.

    Raises:
        ConfigurationError: no event log, or one without events of a type.
    """
    events: tuple[MeasuredEvent, ...] | None = getattr(claims, "events", None)
    if events is None:
        raise ConfigurationError("required events: the Evidence has no event log")
    absent = [kind for kind in types if all(event.type != kind for event in events)]
    if absent:
        there = ", ".join(dict.fromkeys(event.type for event in events)) or "none"
        raise ConfigurationError(f"required events: the event log has none of type {absent[0]}; there are {there}")
    return tuple(
        dict.fromkeys(
            RequiredEvent(
                register=event.register,
                type=event.type,
                name=event.name if event.name.isprintable() and event.name else None,
                digest=None if event.data else (event.digest,),
                data=event.data or None,
            )
            for event in events
            if event.type in types
        )
    )


def _minimum_tcb(claims: TeeClaims) -> Anything:
    if not isinstance(claims, SnpClaims) or claims.reported_tcb is None:
        return ANY
    tcb = claims.reported_tcb
    return SnpMinimumTcb(fmc=tcb.fmc, bootloader=tcb.bootloader, tee=tcb.tee, snp=tcb.snp, microcode=tcb.microcode)
