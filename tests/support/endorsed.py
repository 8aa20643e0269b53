"""An anchor, revocation lists by number, and a source of them, for tests of what keeps Endorsements."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from rats_tls.core.anchors import AnchorKind, TrustAnchor, Vendor
from rats_tls.core.endorsements import Endorsement, EndorsementKind, MissingEndorsement
from rats_tls.core.verification import EndorsementUse
from rats_tls.endorsements.service import sha256

START = datetime(2026, 1, 1, tzinfo=UTC)
CRL = MissingEndorsement(kind=EndorsementKind.AMD_CRL, key=(("product", "Milan"), ("type", "VCEK")))
ANCHOR = TrustAnchor(
    vendor=Vendor.AMD, subject=b"subject", spki=b"key", kind=AnchorKind.VENDOR, name="ARK-Milan", source="a test"
)
ANCHORS = (ANCHOR.fingerprint,)


class Source:
    """Gives what it is told to, and counts."""

    name = "a source"

    def __init__(self, give: Callable[[], Endorsement]) -> None:
        self.give = give
        self.asked = 0

    @property
    def channel(self) -> None:
        return None

    def serves(self, _: MissingEndorsement) -> bool:
        return True

    def fetch(self, _: MissingEndorsement) -> tuple[Endorsement, ...]:
        self.asked += 1
        return (self.give(),)


def crl(number: int) -> Endorsement:
    """Give the list of that number."""
    return Endorsement(kind=EndorsementKind.AMD_CRL, data=bytes([number]))


def use(item: Endorsement, day: int) -> EndorsementUse:
    """Say of a list that it is of that day, and valid for 30."""
    issued = START + timedelta(days=day)
    return EndorsementUse(
        kind=item.kind,
        sha256=sha256(item.data),
        origin="local",
        issued=issued,
        expires=issued + timedelta(days=30),
        description="a list",
        key=CRL,
    )
