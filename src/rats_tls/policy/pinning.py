"""Entries that pin what claims say: a first policy for Evidence that one knows to be good."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any as Anything

from rats_tls.core.binding import Binding
from rats_tls.core.claims import CsvClaims, SgxClaims, SnpClaims, TdxClaims, TeeClaims
from rats_tls.core.errors import ConfigurationError
from rats_tls.policy.csv_entry import CsvEntry, pinned_fields
from rats_tls.policy.entry import MEASUREMENT_ONLY, Entry, Identity
from rats_tls.policy.intel_entry import SgxEntry, TdxEntry
from rats_tls.policy.snp_entry import SnpEntry, SnpMinimumTcb
from rats_tls.policy.values import ANY

# Of each TEE the fields that must be written, with the claim that each pins.
_PINNED: dict[type[Anything], tuple[type[Anything], dict[str, str]]] = {
    SgxClaims: (
        SgxEntry,
        {
            "mr_enclave": "mr_enclave",
            "mr_signer": "mr_signer",
            "isv_prod_id": "isv_prod_id",
            "min_isv_svn": "isv_svn",
        },
    ),
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
}


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
    the reported TCB. Fields with a default keep it, so that the entry need not accept the very Evidence that the
    claims are of.

    Args:
        claims: what to pin.
        name: the entry's name.
        bindings: accepted bindings.
        identity: accepted machines; any by default.
        written: other fields to write.

    Raises:
        ConfigurationError: claims of a TEE that no entry pins, or a field that does not take its value.
    """
    if isinstance(claims, CsvClaims):
        pinned_csv = {**pinned_fields(claims), "name": name, "bindings": bindings, "identity": identity}
        return CsvEntry(**{**pinned_csv, **written})
    if type(claims) not in _PINNED:
        raise ConfigurationError(f"no entry pins claims of {claims.tee_type}")
    entry, pinned = _PINNED[type(claims)]
    values = {field: getattr(claims, claim) for field, claim in pinned.items()}
    common = {"name": name, "min_tcb": _minimum_tcb(claims), "bindings": bindings, "identity": identity}
    made: Entry = entry(**{**values, **common, **written})
    return made


def _minimum_tcb(claims: TeeClaims) -> Anything:
    if not isinstance(claims, SnpClaims) or claims.reported_tcb is None:
        return ANY
    tcb = claims.reported_tcb
    return SnpMinimumTcb(fmc=tcb.fmc, bootloader=tcb.bootloader, tee=tcb.tee, snp=tcb.snp, microcode=tcb.microcode)
