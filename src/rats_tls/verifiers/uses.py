"""What a result says of an Endorsement, and whether that is in date: the same for all vendors."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime

from rats_tls.core.checks import time_text
from rats_tls.core.endorsements import (
    NO_EXPIRY,
    NO_ISSUE_DATE,
    Endorsement,
    EndorsementKind,
    MissingEndorsement,
)
from rats_tls.core.errors import ExpiredError
from rats_tls.core.refusals import Refusal
from rats_tls.core.verification import EndorsementUse
from rats_tls.formats.x509 import Certificate, RevocationList


def certificates_use(
    kind: EndorsementKind, origin: str, certificates: Sequence[Certificate], description: str
) -> EndorsementUse:
    """Give what a result says of a certificate (the first) that holds no longer than those above it."""
    first, *above = certificates
    issued, expires = first.not_before, first.not_after
    for certificate in above:
        issued, expires = max(issued, certificate.not_before), min(expires, certificate.not_after)
    return EndorsementUse(
        kind=kind, sha256=first.sha256, origin=origin, issued=issued, expires=expires, description=description
    )


def undated_use(item: Endorsement, description: str) -> EndorsementUse:
    """Give what a result says of a certificate in a form that has no dates."""
    return EndorsementUse(
        kind=item.kind,
        sha256=hashlib.sha256(item.data).digest(),
        origin=item.origin.value,
        issued=NO_ISSUE_DATE,
        expires=NO_EXPIRY,
        description=description,
    )


def list_use(item: Endorsement, crl: RevocationList, key: MissingEndorsement) -> EndorsementUse:
    """Give what a result says of a revocation list that is looked up by `key`."""
    return EndorsementUse(
        kind=item.kind,
        sha256=hashlib.sha256(item.data).digest(),
        origin=item.origin.value,
        issued=crl.this_update,
        expires=crl.next_update,
        description=f"revocation list of {crl.issuer.common_name}",
        key=key,
        number=crl.number or 0,
        item=item.digest,
    )


def validity(use: EndorsementUse) -> str:
    """Give the dates of a document or list for people."""
    return f"{time_text(use.issued)} to before {time_text(use.expires)}"


def date_error(use: EndorsementUse, now: datetime, name: str) -> ExpiredError | None:
    """Say what is wrong with the dates of a document or list, or None."""
    if use.issued <= now < use.expires:
        return None
    problem = "has expired" if now >= use.expires else "is from the future"
    return ExpiredError(
        f"{name} {problem}: got {time_text(now)}, expected {validity(use)}", refusal=Refusal.ENDORSEMENTS_EXPIRED
    )
