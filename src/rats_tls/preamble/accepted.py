"""The *accepted* message: this side has nothing against the peer, and saw the same preamble."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from rats_tls.core.errors import DecodeError
from rats_tls.core.limits import Limits
from rats_tls.preamble.cbor import encode_message
from rats_tls.preamble.fields import Fields

_STRUCTURE = "accepted"
_DIGEST_SIZE = 32


def transcript_digest(client: Sequence[bytes], server: Sequence[bytes]) -> bytes:
    """SHA-256 over all frames of the client in order of sending, then all of the server, *accepted* excepted."""
    digest = hashlib.sha256()
    for frame in (*client, *server):
        digest.update(frame)
    return digest.digest()


@dataclass(frozen=True, slots=True)
class AcceptedMessage:
    """Acceptance of the peer.

    Attributes:
        transcript: (key 0) `transcript_digest` of the preamble, 32 bytes.
    """

    transcript: bytes

    @classmethod
    def from_bytes(cls, data: bytes, limits: Limits) -> AcceptedMessage:
        """Decode the payload. Raises DecodeError, and ProtocolError for an unknown critical key."""
        transcript = Fields(data, _STRUCTURE, limits).one(0, "transcript", bytes)
        if len(transcript) != _DIGEST_SIZE:
            raise DecodeError(_STRUCTURE, "transcript", None, f"got {len(transcript)} bytes, expected {_DIGEST_SIZE}")
        return cls(transcript)

    def to_bytes(self) -> bytes:
        """Encode the payload."""
        return encode_message({0: self.transcript})
