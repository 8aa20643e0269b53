"""What an application may ask of the TLS exporter: no label from which the protocol derives its own values."""

from __future__ import annotations

from rats_tls.core.algorithms import HashAlgorithm
from rats_tls.core.errors import ConfigurationError

_RESERVED = frozenset(
    {
        "Attestation",  # draft-fossati-seat-expat, binder
        "Attestation Binding",  # the same draft's other name for it
        "client finished",  # RFC 5705 4: labels that collide with TLS's own
        "server finished",
        "master secret",
        "extended master secret",
        "key expansion",
    }
)
_RESERVED_PREFIXES = (
    "EXPORTER-client authenticator ",  # RFC 9261 5.1
    "EXPORTER-server authenticator ",
    "rats-tls",
)
_LONGEST_LABEL = 249  # RFC 8446 7.1: "tls13 " and the label share 255 bytes
_LONGEST_CONTEXT = 65_535  # RFC 5705 4
_MOST_DIGESTS = 255  # RFC 5869 2.3


def require_public_export(label: str, context: bytes, length: int, digest: HashAlgorithm) -> None:
    """Require that an application may ask for this value.

    Args:
        label: exporter label.
        context: exporter context.
        length: bytes wanted.
        digest: the cipher suite's hash.

    Raises:
        ConfigurationError: a reserved label, or a size out of range.
    """
    if not label or not label.isascii() or len(label) > _LONGEST_LABEL:
        raise ConfigurationError(f"exporter label: got {label[:64]!r}, expected 1 to {_LONGEST_LABEL} ASCII characters")
    if label in _RESERVED or label.startswith(_RESERVED_PREFIXES):
        raise ConfigurationError(f"exporter label {label!r} is used by the protocol")
    if len(context) > _LONGEST_CONTEXT:
        raise ConfigurationError(f"exporter context: got {len(context)} bytes, expected at most {_LONGEST_CONTEXT}")
    longest = _MOST_DIGESTS * digest.size
    if not 1 <= length <= longest:
        raise ConfigurationError(f"exporter length: got {length}, expected 1 to {longest}")
