"""Messages of the attestation evidence broker, which runs on the host of SEV and SEV-ES guests.

Their firmware reports to the host alone. The sizes in these messages are those of the structure that C code makes of
the Evidence (6460 bytes and more), as the first answer tells it and all others repeat it; the Evidence itself comes as
JSON, which is longer. Sources: C rats-tls, `aeb.proto` (package `aeb`, service `AEB`); attestation-evidence-broker.
"""

from __future__ import annotations

from dataclasses import dataclass

from rats_tls.core.errors import DecodeError
from rats_tls.formats.devices.protobuf import Message, integer_field, octets_field

SERVICE = "aeb.AEB"
RETRIEVE_SIZE = "RetrieveAttestationEvidenceSize"
RETRIEVE = "RetrieveAttestationEvidence"
MOST_EVIDENCE = 262_144
"""Most bytes of JSON that are taken: 6464 bytes of Evidence, each a number on a line of its own, and room to spare."""
U32 = 0xFFFF_FFFF


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceSizeRequest:
    """Asks for the size of a guest's Evidence.

    Attributes:
        guest_handle: which guest, by the number that the firmware has for it.
    """

    guest_handle: int

    def to_bytes(self) -> bytes:
        """Encode."""
        return integer_field(1, self.guest_handle)

    @classmethod
    def from_bytes(cls, data: bytes) -> EvidenceSizeRequest:
        """Decode. Raises DecodeError: malformed."""
        return cls(guest_handle=Message(data, cls.__name__).integer(1, "guest_handle", maximum=U32))


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceSizeResponse:
    """The answer.

    Attributes:
        error_code: 0, or why there is no Evidence; the numbers are the broker's own.
        evidence_size: of the structure, 1 to `MOST_EVIDENCE`; 0 where there is an error.
    """

    error_code: int
    evidence_size: int

    def to_bytes(self) -> bytes:
        """Encode."""
        return integer_field(1, self.error_code) + integer_field(2, self.evidence_size)

    @classmethod
    def from_bytes(cls, data: bytes) -> EvidenceSizeResponse:
        """Decode. Raises DecodeError: malformed, or a size that no Evidence has."""
        message = Message(data, cls.__name__)
        error_code = message.integer(1, "error_code", maximum=U32)
        if error_code:
            return cls(error_code=error_code, evidence_size=0)
        size = message.integer(2, "evidence_size", maximum=MOST_EVIDENCE)
        if not size:
            raise DecodeError(cls.__name__, "evidence_size", None, f"got 0, expected 1 to {MOST_EVIDENCE}")
        return cls(error_code=0, evidence_size=size)


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceRequest:
    """Asks for the Evidence of a guest.

    Attributes:
        guest_handle: which guest.
        evidence_size: as the answer before told it.
    """

    guest_handle: int
    evidence_size: int

    def to_bytes(self) -> bytes:
        """Encode."""
        return integer_field(1, self.guest_handle) + integer_field(2, self.evidence_size)

    @classmethod
    def from_bytes(cls, data: bytes) -> EvidenceRequest:
        """Decode. Raises DecodeError: malformed."""
        message = Message(data, cls.__name__)
        return cls(
            guest_handle=message.integer(1, "guest_handle", maximum=U32),
            evidence_size=message.integer(2, "evidence_size", maximum=U32),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceResponse:
    """The answer.

    Attributes:
        error_code: 0, or why there is no Evidence.
        evidence: JSON; empty where there is an error.
    """

    error_code: int
    evidence: bytes

    def to_bytes(self) -> bytes:
        """Encode."""
        return integer_field(1, self.error_code) + octets_field(3, self.evidence)

    @classmethod
    def from_bytes(cls, data: bytes) -> EvidenceResponse:
        """Decode. Raises DecodeError: malformed, no Evidence, or too much of it."""
        message = Message(data, cls.__name__)
        error_code = message.integer(1, "error_code", maximum=U32)
        if error_code:
            return cls(error_code=error_code, evidence=b"")
        message.integer(2, "evidence_size", maximum=U32)  # what was asked, again
        evidence = message.octets(3, "evidence")
        if not 0 < len(evidence) <= MOST_EVIDENCE:
            raise DecodeError(
                cls.__name__, "evidence", None, f"got {len(evidence)} bytes, expected 1 to {MOST_EVIDENCE}"
            )
        return cls(error_code=0, evidence=evidence)
