"""The *endorsements* message: Endorsements that a side provides for its own Evidence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rats_tls.certificates.endorsement_documents import DocumentKind, endorsements_from_document
from rats_tls.core.endorsements import Endorsement
from rats_tls.core.errors import DecodeError
from rats_tls.core.limits import Limits
from rats_tls.preamble.cbor import encode_message
from rats_tls.preamble.fields import Fields

_STRUCTURE = "endorsements"


@dataclass(frozen=True, slots=True)
class EndorsementsMessage:
    """Documents by kind.

    Attributes:
        documents: (key 0) name of the kind and bytes of the document, one of each kind.
    """

    documents: Mapping[str, bytes]

    @classmethod
    def from_bytes(cls, data: bytes, limits: Limits) -> EndorsementsMessage:
        """Decode the payload. Raises DecodeError, and ProtocolError for an unknown critical key."""
        return cls(Fields(data, _STRUCTURE, limits).octets_by_name(0, "documents"))

    def to_bytes(self) -> bytes:
        """Encode the payload."""
        return encode_message({0: dict(self.documents)})

    def items(self, limits: Limits) -> tuple[Endorsement, ...]:
        """Read the documents. Those of a kind that is not known here are left out: nothing here can rest on them.

        Raises:
            DecodeError: a malformed document, or more than `limits.peer_endorsements` items.
        """
        items: list[Endorsement] = []
        for kind in DocumentKind:
            if kind.value in self.documents:
                items += endorsements_from_document(kind, self.documents[kind.value], limits)
        if len(items) > limits.peer_endorsements:
            raise DecodeError(
                _STRUCTURE, "documents", None, f"got {len(items)} items, expected at most {limits.peer_endorsements}"
            )
        return tuple(items)
