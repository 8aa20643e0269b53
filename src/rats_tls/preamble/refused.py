"""The *refused* message: a code that tells no more than `rats_tls.core.refusals.WireCode` says."""

from __future__ import annotations

from dataclasses import dataclass

from rats_tls.core.limits import Limits
from rats_tls.core.refusals import WireCode
from rats_tls.preamble.cbor import encode_message
from rats_tls.preamble.fields import Fields

_STRUCTURE = "refused"


@dataclass(frozen=True, slots=True)
class RefusedMessage:
    """Refusal of the peer.

    Attributes:
        code: (key 0) a wire code; a number that is not known here is kept as it is.
    """

    code: WireCode | int

    @classmethod
    def from_bytes(cls, data: bytes, limits: Limits) -> RefusedMessage:
        """Decode the payload. Raises DecodeError, and ProtocolError for an unknown critical key."""
        code = Fields(data, _STRUCTURE, limits).one(0, "code", int)
        return cls(_KNOWN.get(code, code))

    def to_bytes(self) -> bytes:
        """Encode the payload."""
        return encode_message({0: int(self.code)})

    def __str__(self) -> str:
        name = self.code.name.lower() if isinstance(self.code, WireCode) else "unknown to this version"
        return f"code {int(self.code)} ({name})"


_KNOWN: dict[int, WireCode] = {code.value: code for code in WireCode}
