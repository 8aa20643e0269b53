"""Policies that pin what claims say and write nothing that has a default."""

from __future__ import annotations

from typing import Any

from rats_tls import policy
from rats_tls.core.binding import Binding
from rats_tls.core.claims import SevClaims, SgxLocalClaims, TeeClaims
from rats_tls.policy import MEASUREMENT_ONLY, Entry, NullEntry, Policy


def pinning_entry(claims: TeeClaims, **changes: Any) -> Entry:
    """Make an entry that pins the measurements in `claims`, at any TCB; `changes` are written besides."""
    common: dict[str, Any] = {"name": "pinned", "bindings": (Binding.NONE, Binding.CERTIFICATE)}
    if not isinstance(claims, SgxLocalClaims | SevClaims):
        common["min_tcb"] = "any"
    return policy.pinning_entry(claims, **{**common, **changes})


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
