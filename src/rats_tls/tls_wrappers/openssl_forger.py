"""A peer that presents certificates whose keys it does not hold, by which other TLS wrappers are tried."""

from __future__ import annotations

import tempfile
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
)
from OpenSSL import SSL, crypto

from rats_tls.core.errors import ConfigurationError
from rats_tls.core.tls import TlsConfig
from rats_tls.tls_wrappers.memory_files import memory_file
from rats_tls.tls_wrappers.openssl import OpensslTlsWrapper
from rats_tls.tls_wrappers.own_certificate import require_pair


class ForgingTlsWrapper(OpensslTlsWrapper):
    """The default wrapper, but for the key: it signs with one that no certificate is of. For trials alone."""

    name = "forging"

    def _load_certificate(self, context: SSL.Context, config: TlsConfig) -> None:
        pair = require_pair(self.name, self.capabilities, config)
        if pair is not None:
            certificate, pkcs8 = pair
            context.use_certificate(x509.load_der_x509_certificate(certificate))
            _use_key(context, _forged(pkcs8))


def _use_key(context: SSL.Context, der: bytes) -> None:
    """Load a key by OpenSSL itself: `cryptography` sees that it does not fit together. It is no secret."""
    with memory_file(der) as path:
        if path is not None:
            context.use_privatekey_file(path, crypto.FILETYPE_ASN1)
            return
    with tempfile.TemporaryDirectory(prefix="rats-tls-") as directory:
        file = Path(directory, "forged.der")
        file.write_bytes(der)
        context.use_privatekey_file(str(file), crypto.FILETYPE_ASN1)


def _forged(pkcs8: bytes) -> bytes:
    """Give another private key that claims the public key of `pkcs8` for its own: all that OpenSSL compares."""
    victim = load_der_private_key(pkcs8, None)
    if not isinstance(victim, ec.EllipticCurvePrivateKey):
        raise ConfigurationError(f"TLS wrapper forging: got a {type(victim).__name__}, expected a key of a curve")
    own = ec.generate_private_key(victim.curve)
    claimed, true = (
        key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint) for key in (victim, own)
    )
    return own.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()).replace(true, claimed)
