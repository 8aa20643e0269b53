"""The *endorsements* message: Endorsements that a side provides for its own Evidence."""

from __future__ import annotations

from collections.abc import Iterable

from rats_tls.core.endorsements import Endorsement, EndorsementKind, Origin
from rats_tls.core.errors import DecodeError
from rats_tls.core.limits import Limits
from rats_tls.preamble.cbor import Cbor, encode_message
from rats_tls.preamble.fields import Fields

_STRUCTURE = "endorsements"
_ITEM_FIELDS = 4


def encode_endorsements(endorsements: Iterable[Endorsement]) -> bytes:
    """Encode the payload: key 0, an array of [kind, data, signature, [issuer chain]]."""
    return encode_message(
        {0: [[item.kind.value, item.data, item.signature, list(item.issuer_chain)] for item in endorsements]}
    )


def decode_endorsements(data: bytes, limits: Limits) -> tuple[Endorsement, ...]:
    """Decode the payload. Items of a kind that is not known here are left out: nothing here can rest on them.

    Raises:
        DecodeError: malformed, or beyond `limits`.
        ProtocolError: an unknown critical key.
    """
    items = Fields(data, _STRUCTURE, limits).array(0, "items")
    if len(items) > limits.peer_endorsements:
        raise DecodeError(_STRUCTURE, "items", None, f"got {len(items)}, expected at most {limits.peer_endorsements}")
    decoded = (_item(item, limits) for item in items)
    return tuple(item for item in decoded if item is not None)


def _item(item: Cbor, limits: Limits) -> Endorsement | None:
    match item:
        case [str(kind), bytes(data), bytes(signature), list(chain)] if all(type(der) is bytes for der in chain):
            pass
        case _:
            raise DecodeError(_STRUCTURE, "item", None, f"expected {_ITEM_FIELDS} fields: text, bytes, bytes, array")
    if len(data) > limits.endorsement_document:
        raise DecodeError(
            _STRUCTURE, "data", None, f"got {len(data)} bytes, expected at most {limits.endorsement_document}"
        )
    if len(chain) > limits.certificate_chain:
        raise DecodeError(
            _STRUCTURE, "issuer_chain", None, f"got {len(chain)}, expected at most {limits.certificate_chain}"
        )
    if kind not in _KINDS:
        return None
    return Endorsement(
        kind=_KINDS[kind],
        data=data,
        signature=signature,
        issuer_chain=tuple(der for der in chain if isinstance(der, bytes)),
        origin=Origin.PEER,
    )


_KINDS = {kind.value: kind for kind in EndorsementKind}
