"""The *hello* message: what a side can, has and wants."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from rats_tls.core.limits import Limits
from rats_tls.preamble.cbor import encode_message
from rats_tls.preamble.fields import Fields

VERSION = 1
PROFILE = "rats-tls/1"
NO_FRAMING = 0
_STRUCTURE = "hello"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello:
    """What one side says of itself. Keys in parentheses.

    It is never a reason to require less: what a side demands stands in its own settings.

    Attributes:
        versions: (0) versions of the preamble that it speaks.
        profiles: (1) profiles that it speaks.
        bindings: (2) names of the bindings that it is ready for.
        attests: (3) whether it presents Evidence.
        demands: (4) whether it judges the peer's Evidence.
        evidence_media_types: (5) media types of the Evidence that it presents.
        accepted_tee_types: (6) TEE types that it can accept; empty when it does not tell.
        accepted_media_types: (7) media types that it can accept; empty when it does not tell.
        application_protocols: (8) the application's protocols, best first.
        endorsements: (9) kinds of document in the endorsements message that follows; empty when none follows.
        attester_input: (10) per TEE type, input for the peer's Attester.
        batch: (11) most sessions that may share one piece of Evidence.
        framing: (12) framing of application data; 0 is none.
    """

    versions: tuple[int, ...] = (VERSION,)
    profiles: tuple[str, ...] = (PROFILE,)
    bindings: tuple[str, ...] = ()
    attests: bool
    demands: bool
    evidence_media_types: tuple[str, ...] = ()
    accepted_tee_types: tuple[str, ...] = ()
    accepted_media_types: tuple[str, ...] = ()
    application_protocols: tuple[str, ...] = ()
    endorsements: tuple[str, ...] = ()
    attester_input: Mapping[str, bytes] = field(default_factory=dict, hash=False)
    batch: int = 1
    framing: int = NO_FRAMING

    @classmethod
    def from_bytes(cls, data: bytes, limits: Limits) -> Hello:
        """Decode the payload of a hello.

        Raises:
            DecodeError: malformed.
            ProtocolError: an unknown critical key.
        """
        return _decode(data, limits)

    @classmethod
    def decode(cls, data: bytes, limits: Limits) -> Hello:
        """Decode the payload of a hello anew. Raises as `from_bytes`."""
        fields = Fields(data, _STRUCTURE, limits)
        return cls(
            versions=fields.many(0, "versions", int),
            profiles=fields.many(1, "profiles", str),
            bindings=fields.many(2, "bindings", str),
            attests=fields.one(3, "attests", bool),
            demands=fields.one(4, "demands", bool),
            evidence_media_types=fields.many(5, "evidence_media_types", str),
            accepted_tee_types=fields.many(6, "accepted_tee_types", str),
            accepted_media_types=fields.many(7, "accepted_media_types", str),
            application_protocols=fields.many(8, "application_protocols", str),
            endorsements=fields.many(9, "endorsements", str),
            attester_input=fields.octets_by_name(10, "attester_input"),
            batch=fields.one(11, "batch", int),
            framing=fields.one(12, "framing", int),
        )

    def to_bytes(self) -> bytes:
        """Encode the payload."""
        return encode_message(
            {
                0: list(self.versions),
                1: list(self.profiles),
                2: list(self.bindings),
                3: self.attests,
                4: self.demands,
                5: list(self.evidence_media_types),
                6: list(self.accepted_tee_types),
                7: list(self.accepted_media_types),
                8: list(self.application_protocols),
                9: list(self.endorsements),
                10: dict(self.attester_input),
                11: self.batch,
                12: self.framing,
            }
        )


@lru_cache(maxsize=64)
def _decode(data: bytes, limits: Limits) -> Hello:
    """Decode; a peer says the same on each of its connections. At most 64 of 16 KiB each are kept, errors never."""
    return Hello.decode(data, limits)
