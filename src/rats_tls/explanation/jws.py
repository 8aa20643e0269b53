"""Compact JSON Web Signatures (RFC 7515) with ES256 and ES384 (RFC 7518 3.4) over EARs."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, HashAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from rats_tls.core.documents import Json
from rats_tls.core.errors import ConfigurationError

_ALGORITHMS: dict[str, tuple[str, str, type[HashAlgorithm], int]] = {
    "secp256r1": ("ES256", "P-256", SHA256, 32),
    "secp384r1": ("ES384", "P-384", SHA384, 48),
}
"""By curve: `alg`, `crv`, hash, and bytes of r, s and each coordinate."""


class SigningKey:
    """A private key that signs EARs.

    Attributes:
        algorithm: `ES256` or `ES384`.
        key_id: the public key's JWK thumbprint with SHA-256 (RFC 7638), base64url.
    """

    def __init__(self, key: ec.EllipticCurvePrivateKey) -> None:
        self._key = key
        self.algorithm, curve, self._hash, self._size = _ALGORITHMS[key.curve.name]
        numbers = key.public_key().public_numbers()
        jwk = {"crv": curve, "kty": "EC", "x": self._integer(numbers.x), "y": self._integer(numbers.y)}
        self.key_id = _encoded(hashlib.sha256(_json(jwk)).digest())

    @classmethod
    def from_pem(cls, data: bytes, *, where: str) -> SigningKey:
        """Read an unencrypted private key (PEM, PKCS #8 or SEC 1).

        Raises:
            ConfigurationError: no such key, encrypted, or of another kind or curve; the message begins with `where`.
        """
        try:
            key = load_pem_private_key(data, password=None)
        except TypeError as error:
            raise ConfigurationError(f"{where}: the private key is encrypted: decrypt it first") from error
        except (ValueError, UnsupportedAlgorithm) as error:
            raise ConfigurationError(f"{where}: no private key (PEM) that can be read") from error
        if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name not in _ALGORITHMS:
            got = key.curve.name if isinstance(key, ec.EllipticCurvePrivateKey) else type(key).__name__
            raise ConfigurationError(f"{where}: got a key {got.lstrip('_')}, expected one on P-256 or P-384")
        return cls(key)

    def sign(self, data: bytes) -> bytes:
        """Sign `data`: r and s, big-endian, of the curve's length each (RFC 7518 3.4)."""
        r, s = decode_dss_signature(self._key.sign(data, ec.ECDSA(self._hash())))
        return r.to_bytes(self._size, "big") + s.to_bytes(self._size, "big")

    def _integer(self, value: int) -> str:
        return _encoded(value.to_bytes(self._size, "big"))


def sign_ear(claims: Mapping[str, Json], key: SigningKey) -> str:
    """Give an EAR as a signed JWT in compact form; `typ` is that of EATs (RFC 9782), `kid` the key's thumbprint."""
    header = {"alg": key.algorithm, "typ": "eat+jwt", "kid": key.key_id}
    signed = f"{_encoded(_json(header))}.{_encoded(_json(claims))}"
    return f"{signed}.{_encoded(key.sign(signed.encode('ascii')))}"


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":"), sort_keys=True).encode()


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")
