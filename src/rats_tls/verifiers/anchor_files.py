"""Explicit trust anchors: root certificates in PEM, each vendor's in its own form.

X.509 roots are blocks of CERTIFICATE. Roots in a form of their vendor's own are blocks of a label of their own, which
names the form; what is in them is that form, byte by byte.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from rats_tls.core.anchors import TrustAnchor
from rats_tls.core.errors import DecodeError
from rats_tls.core.interfaces import CryptoWrapper
from rats_tls.formats.amd.pem import take_blocks
from rats_tls.formats.hygon.certificates import RootCertificate
from rats_tls.verifiers.chain import anchors_from_pem
from rats_tls.verifiers.hygon_chain import anchor_of_root

_STRUCTURE = "TrustAnchors"
_LIMIT = 64

HYGON_ROOT = "HYGON ROOT CERTIFICATE"
"""Label of an HRK certificate (832 bytes)."""


def _hygon_root(data: bytes, crypto: CryptoWrapper) -> TrustAnchor:
    return anchor_of_root(RootCertificate.from_bytes(data, "TrustAnchor"), crypto)


OWN_FORMS: dict[str, Callable[[bytes, CryptoWrapper], TrustAnchor]] = {HYGON_ROOT: _hygon_root}
"""Labels of vendors' own forms, each with what reads and verifies a root of it."""


def anchors_from_file(data: bytes, *, crypto: CryptoWrapper, now: datetime) -> tuple[TrustAnchor, ...]:
    """Read explicit trust anchors, X.509 ones first.

    Args:
        data: the file's bytes.
        crypto: verifies the roots' own signatures.
        now: time at which those that have dates must be in date.

    Raises:
        DecodeError: malformed, none, or too many.
        ConfigurationError: as `anchors_from_pem`; a root of another form whose own signature does not verify.
    """
    blocks, rest = take_blocks(data, OWN_FORMS, _STRUCTURE)
    if len(blocks) > _LIMIT:
        raise DecodeError(_STRUCTURE, "", None, f"{len(blocks)} roots, at most {_LIMIT} are read")
    x509 = anchors_from_pem(rest, crypto=crypto, now=now) if not blocks or b"-----BEGIN" in rest else ()
    return (*x509, *(OWN_FORMS[block.label](block.der, crypto) for block in blocks))
