"""Policies that pin what claims say and write nothing that has a default."""

from __future__ import annotations

from typing import Any

from rats_tls.core.binding import Binding
from rats_tls.core.claims import SgxClaims, SnpClaims, TdxClaims, TeeClaims
from rats_tls.policy import ANY, MEASUREMENT_ONLY, Entry, NullEntry, Policy, SgxEntry, SnpEntry, TdxEntry

_PINNED: dict[type[Any], tuple[type[Any], dict[str, str]]] = {
    SgxClaims: (
        SgxEntry,
        {
            "mr_enclave": "mr_enclave",
            "mr_signer": "mr_signer",
            "isv_prod_id": "isv_prod_id",
            "min_isv_svn": "isv_svn",
        },
    ),
    TdxClaims: (
        TdxEntry,
        {name: name for name in ("mr_td", "rtmr0", "rtmr1", "rtmr2", "rtmr3", "mr_seam")},
    ),
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


def pinning_entry(claims: TeeClaims, **changes: Any) -> Entry:
    """Make an entry that pins the measurements in `claims`; `changes` are written besides."""
    entry, pinned = _PINNED[type(claims)]
    written = {field: getattr(claims, claim) for field, claim in pinned.items()}
    common = {
        "name": "pinned",
        "min_tcb": ANY,
        "bindings": (Binding.NONE, Binding.CERTIFICATE),
        "identity": MEASUREMENT_ONLY,
    }
    made: Entry = entry(**{**written, **common, **changes})
    return made


def default_policy(claims: TeeClaims, **changes: Any) -> Policy:
    """Make the policy of one `pinning_entry`."""
    return Policy.of(pinning_entry(claims, **changes))


def null_policy(**changes: Any) -> Policy:
    """Make a policy that accepts peers without Evidence."""
    common: dict[str, Any] = {
        "name": "nobody",
        "bindings": (Binding.NONE, Binding.CERTIFICATE),
        "identity": MEASUREMENT_ONLY,
    }
    return Policy.of(NullEntry(**{**common, **changes}))
