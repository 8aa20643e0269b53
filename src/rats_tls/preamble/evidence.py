"""The *evidence* message: Evidence that does not travel in a TLS certificate."""

from __future__ import annotations

from dataclasses import dataclass

from rats_tls.core.binding import Binding
from rats_tls.core.errors import DecodeError
from rats_tls.core.limits import Limits
from rats_tls.preamble.cbor import encode_message
from rats_tls.preamble.fields import Fields

_STRUCTURE = "evidence"


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateEvidence:
    """Over `null` TLS: the certificate that carries the Evidence. Keys in parentheses.

    Attributes:
        certificate: (1) DER; None, and no key, where a side would present no certificate in TLS either. Key (0) holds
            the binding's name, `none`.
    """

    certificate: bytes | None

    @classmethod
    def from_bytes(cls, data: bytes, limits: Limits) -> CertificateEvidence:
        """Decode the payload.

        Raises:
            DecodeError: malformed, or of another binding.
            ProtocolError: an unknown critical key.
        """
        fields = Fields(data, _STRUCTURE, limits)
        binding = fields.one(0, "binding", str)
        if binding != Binding.NONE.value:
            raise DecodeError(_STRUCTURE, "binding", None, f"got {binding[:64]!r}, expected {Binding.NONE.value!r}")
        return cls(certificate=fields.perhaps(1, "certificate", bytes))

    def to_bytes(self) -> bytes:
        """Encode the payload."""
        items: dict[int, object] = {0: Binding.NONE.value}
        if self.certificate is not None:
            items[1] = self.certificate
        return encode_message(items)
