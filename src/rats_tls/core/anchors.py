"""Trust anchors: the roots of vendor chains, as subject name and public key."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum

_SHOWN_DIGITS = 16


class AnchorKind(str, Enum):
    """Whose word an anchor rests on. Results always say it."""

    VENDOR = "vendor"  # pinned in this package
    USER = "user"  # given explicitly by the local user
    SIMULATED = "simulated"  # root of a simulated vendor, given explicitly


class Vendor(str, Enum):
    """Vendors of TEEs."""

    INTEL = "intel"
    AMD = "amd"
    HYGON = "hygon"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustAnchor:
    """A root: a supplied root certificate must match subject and key, verify its own signature and be in date.

    Attributes:
        vendor: whose TEEs it anchors.
        subject: DER of the root certificate's subject Name; of roots that are no X.509, the id that their vendor's
            format has for the key: 16 bytes of key id (AMD SEV), the user id of the signer (Hygon).
        spki: DER SubjectPublicKeyInfo of the root key.
        kind: vendor, user or simulated.
        name: common name of the subject, for people; for AMD `ARK-<Product>`, and `SEV ARK-<Product>` before SEV-SNP,
            also tells the product.
        source: where the value was taken from.
        fingerprint: SHA-256 over kind, vendor, subject, key and name, which tells an AMD anchor's product (32 bytes).
    """

    vendor: Vendor
    subject: bytes
    spki: bytes
    kind: AnchorKind
    name: str
    source: str
    fingerprint: bytes = field(init=False, compare=False, repr=False, default=b"")

    def __post_init__(self) -> None:
        h = hashlib.sha256()
        for part in (self.kind.value.encode(), self.vendor.value.encode(), self.subject, self.spki, self.name.encode()):
            h.update(len(part).to_bytes(4, "big"))
            h.update(part)
        object.__setattr__(self, "fingerprint", h.digest())

    @property
    def shown_fingerprint(self) -> str:
        """The fingerprint as it is shown."""
        return shown_fingerprint(self.fingerprint)


def shown_fingerprint(fingerprint: bytes) -> str:
    """Give a fingerprint in the one form in which people, files and monitoring see it: its first 16 digits."""
    return fingerprint.hex()[:_SHOWN_DIGITS]


def anchors_digest(anchors: Iterable[TrustAnchor]) -> bytes:
    """SHA-256 over a set of anchors, in any order (32 bytes); part of every cache key."""
    return hashlib.sha256(b"".join(sorted(anchor.fingerprint for anchor in anchors))).digest()
