"""Real certificates that carry evidence."""

from __future__ import annotations

import base64
from pathlib import Path

from support.paths import VECTORS

FOLDER = VECTORS / "ra_tls_cert"
CAPTURED = FOLDER / "c-rats-tls-0.6.4"
RATS_TLS = FOLDER / "interop-rats-tls/rats-tls-cert.pem"
GRAMINE = FOLDER / "interop-gramine/gramine-cert.pem"


def der_of(path: Path) -> bytes:
    """Give the DER of the first certificate in a file, PEM or DER, without reading it."""
    data = path.read_bytes()
    if not data.lstrip().startswith(b"-----BEGIN"):
        return data
    body = data.split(b"-----BEGIN CERTIFICATE-----")[1].split(b"-----END")[0]
    return base64.b64decode(body)
