"""What a certificate that carries Evidence says, whatever its format."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from rats_tls.core.algorithms import HashAlgorithm
from rats_tls.core.endorsements import Endorsement
from rats_tls.core.evidence import Evidence
from rats_tls.formats.x509 import Certificate

PUBKEY_HASH = "pubkey-hash"
NONCE = "nonce"
ISSUED_AT = "issued-at"
RESERVED_CLAIMS = frozenset({PUBKEY_HASH, NONCE, ISSUED_AT})
"""Names in a claims-buffer that are no custom claims."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttestedCertificate:
    """A certificate with what it carries. Its form is right; nothing is proved.

    Attributes:
        certificate: the certificate.
        format: name of the format, or "none" without Evidence.
        evidence: the Evidence, or None.
        claims_buffer: bytes that report_data is a hash of, exactly as carried.
        pubkey_hash: hash algorithm and digest over the certificate's SubjectPublicKeyInfo.
        custom_claims: by name, without the reserved names.
        nonce: the `nonce` claim, or None.
        issued_at: the `issued-at` claim, or None.
        endorsements: Endorsements that the certificate carries, of origin peer.
        trailing_bytes: bytes behind the Evidence extension's item, the claims map and the pubkey-hash item, where
            C writers leave their allocation's rest.
    """

    certificate: Certificate
    format: str = "none"
    evidence: Evidence | None = None
    claims_buffer: bytes = b""
    pubkey_hash: tuple[HashAlgorithm, bytes] | None = None
    custom_claims: Mapping[str, bytes] = field(default_factory=dict)
    nonce: bytes | None = None
    issued_at: datetime | None = None
    endorsements: tuple[Endorsement, ...] = ()
    trailing_bytes: tuple[int, int, int] = (0, 0, 0)
