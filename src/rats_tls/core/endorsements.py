"""Endorsements as values: what a Verifier is given, and what it says it misses."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import Enum

from rats_tls.core.floors import NO_FLOORS, Floors


class EndorsementKind(str, Enum):
    """Kinds of Endorsement, by the vendor's document."""

    INTEL_PCK_CHAIN = "intel-pck-chain"
    INTEL_ROOT_CRL = "intel-root-crl"
    INTEL_PCK_CRL = "intel-pck-crl"
    INTEL_TCB_INFO = "intel-tcb-info"
    INTEL_QE_IDENTITY = "intel-qe-identity"
    AMD_VEK = "amd-vek"
    AMD_SIGNER = "amd-signer"  # ASK or ASVK
    AMD_ROOT = "amd-root"  # ARK
    AMD_CRL = "amd-crl"
    AMD_SEV_SIGNER = "amd-sev-signer"  # ASK in AMD's own form, before SEV-SNP
    HYGON_CEK_CHAIN = "hygon-cek-chain"

    @property
    def is_revocation_list(self) -> bool:
        """Whether it is a revocation list."""
        return self in _LISTS

    @property
    def is_reissued(self) -> bool:
        """Whether it is a document or list that its vendor issues anew before its end, as certificates are not."""
        return self in _LISTS or self in _DOCUMENTS

    @property
    def has_channel(self) -> bool:
        """Whether it is a document that differs by update channel."""
        return self in _DOCUMENTS

    @property
    def is_of_one_platform(self) -> bool:
        """Whether it is a certificate of a single platform, of which there may be any number."""
        return self in {EndorsementKind.AMD_VEK, EndorsementKind.INTEL_PCK_CHAIN, EndorsementKind.HYGON_CEK_CHAIN}

    @property
    def is_named_by_request(self) -> bool:
        """Whether its content does not say all that it is looked up by: the request that it answered does."""
        return self in _NAMED_BY_REQUEST


_LISTS = frozenset({EndorsementKind.INTEL_ROOT_CRL, EndorsementKind.INTEL_PCK_CRL, EndorsementKind.AMD_CRL})
_DOCUMENTS = frozenset({EndorsementKind.INTEL_TCB_INFO, EndorsementKind.INTEL_QE_IDENTITY})
# A PCK certificate does not say by which encrypted PPID it is got, a CEK certificate not for which chip.
_NAMED_BY_REQUEST = frozenset({EndorsementKind.INTEL_PCK_CHAIN, EndorsementKind.HYGON_CEK_CHAIN})


NO_ISSUE_DATE = datetime(1970, 1, 1, tzinfo=UTC)
NO_EXPIRY = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
"""Dates of Endorsements whose form has none, such as certificates of AMD SEV and Hygon. Source: RFC 5280, 4.1.2.5."""


class Origin(str, Enum):
    """Where an Endorsement came from. A peer's copy never beats a newer local one."""

    LOCAL = "local"
    PEER = "peer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Endorsement:
    """One document or certificate, as received. Untrusted until a Verifier has verified it.

    Attributes:
        kind: what it is.
        data: DER for certificates and revocation lists (for `INTEL_PCK_CHAIN` the leaf); the exact bytes of the
            inner JSON value for TCB info and QE identity; the vendor's own form for `AMD_SEV_SIGNER` (ASK) and
            `HYGON_CEK_CHAIN` (CEK, 2084 bytes).
        signature: raw r‖s (64 bytes) over `data` for the two JSON documents, else empty.
        issuer_chain: DER certificates, issuer of `data` first, root last (for `INTEL_PCK_CHAIN` the intermediate,
            then the root; for `HYGON_CEK_CHAIN` the HSK, 832 bytes of Hygon's form); empty where the kind has none.
        origin: local or peer.
    """

    kind: EndorsementKind
    data: bytes
    signature: bytes = b""
    issuer_chain: tuple[bytes, ...] = ()
    origin: Origin = Origin.LOCAL

    @property
    def digest(self) -> bytes:
        """SHA-256 over all that a verdict can depend on (32 bytes)."""
        h = hashlib.sha256()
        for part in (
            self.kind.value.encode(),
            self.origin.value.encode(),
            self.data,
            self.signature,
            *self.issuer_chain,
        ):
            h.update(len(part).to_bytes(4, "big"))
            h.update(part)
        return h.digest()


@dataclass(frozen=True, slots=True)
class Endorsements:
    """An unordered set of Endorsements, from any number of platforms. Verifiers pick what fits the Evidence.

    Attributes:
        items: the set.
        floors: what counts as rolled back; a Verifier takes no item below them.
        digest: SHA-256 over both.
    """

    items: tuple[Endorsement, ...] = ()
    floors: Floors = NO_FLOORS
    digest: bytes = field(init=False, compare=False, repr=False, default=b"")

    def __post_init__(self) -> None:
        h = hashlib.sha256(self.floors.digest)
        for item in sorted(item.digest for item in self.items):
            h.update(item)
        object.__setattr__(self, "digest", h.digest())

    def __iter__(self) -> Iterator[Endorsement]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)

    def of_kind(self, kind: EndorsementKind) -> tuple[Endorsement, ...]:
        """Give the items of `kind`, local ones first."""
        found = [item for item in self.items if item.kind is kind]
        found.sort(key=lambda item: item.origin is Origin.PEER)
        return tuple(found)

    def with_items(self, more: Iterable[Endorsement]) -> Endorsements:
        """Give these and `more` together, each item once."""
        added = tuple(more)
        return replace(self, items=tuple(dict.fromkeys((*self.items, *added)))) if added else self

    def with_floors(self, floors: Floors) -> Endorsements:
        """Give these under `floors`."""
        return self if floors is self.floors else replace(self, floors=floors)


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingEndorsement:
    """What a Verifier did not find.

    Attributes:
        kind: the kind of document.
        key: what to look it up by, as (name, value) pairs: fmspc, ca, product, hwid, reported TCB, ...
    """

    kind: EndorsementKind
    key: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        key = ", ".join(f"{name} {value}" for name, value in self.key)
        return f"{self.kind.value} ({key})" if key else self.kind.value
