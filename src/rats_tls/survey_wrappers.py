"""What TLS wrappers and crypto wrappers can do on this machine: tried, not only declared."""

from __future__ import annotations

import statistics
import time

from rats_tls.core.algorithms import KeyAlgorithm, SignatureAlgorithm
from rats_tls.core.documents import Json
from rats_tls.core.errors import RatsTlsError
from rats_tls.core.interfaces import CryptoWrapper
from rats_tls.core.tls import TlsWrapper
from rats_tls.crypto_wrappers.sm2 import choosing
from rats_tls.tls_self_test import tried

SPEED = "P-384 verifications/s"
"""The measure by which crypto wrappers are compared: a report of SEV-SNP is one such verification."""

KEYS = {
    KeyAlgorithm.EC_P256: SignatureAlgorithm.ECDSA_SHA256,
    KeyAlgorithm.EC_P384: SignatureAlgorithm.ECDSA_SHA384,
    KeyAlgorithm.RSA_3072: SignatureAlgorithm.RSA_PKCS1_SHA256,
    KeyAlgorithm.ED25519: SignatureAlgorithm.ED25519,
    KeyAlgorithm.SM2: SignatureAlgorithm.SM2_SM3,
}
"""Keys that wrappers are asked for, each with a signature to try it by."""

_TIMED = 7


def tls_capabilities(tls: TlsWrapper) -> dict[str, Json]:
    """Give by name what `tls` declares and has shown.

    Raises:
        NoInstanceError: it fails its self-test.
    """
    able = tried(tls).capabilities
    return {
        "encrypts": able.encrypts,
        "client": able.clients,
        "mutual server": able.mutual_server,
        "exporter": able.exporter_with_context,
        "ALPN": able.alpn,
        "TLS 1.2": able.tls12,
        "chosen alerts": able.chosen_alerts,
        "in memory": able.memory,
        "largest certificate": able.largest_certificate,
        **{f"{key.value} keys": key in able.key_algorithms for key in KEYS},
    }


def crypto_capabilities(crypto: CryptoWrapper) -> dict[str, Json]:
    """Give by name what `crypto` does here, and how fast it verifies."""
    capabilities: dict[str, Json] = {f"{key.value} keys": _makes_and_verifies(crypto, key) for key in KEYS}
    capabilities["certificates"] = bool(crypto.capabilities.certificates)
    capabilities["SM2 signatures"] = _verifies_sm2(crypto)
    capabilities[SPEED] = _verifications_per_second(crypto)
    return capabilities


def _makes_and_verifies(crypto: CryptoWrapper, algorithm: KeyAlgorithm) -> bool:
    if algorithm is KeyAlgorithm.RSA_3072:
        return algorithm in crypto.capabilities.generates  # making one takes seconds with some libraries
    signature = KEYS[algorithm]
    try:
        key = crypto.generate_key(algorithm)
        crypto.load_public_key(key.public_key.spki).verify(signature, key.sign(signature, b"survey"), b"survey")
    except RatsTlsError:
        return False
    return True


def _verifies_sm2(crypto: CryptoWrapper) -> bool:
    try:
        crypto.load_sm2_point(choosing.KNOWN_POINT, choosing.KNOWN_USER_ID)
    except RatsTlsError:
        return False
    return True


def _verifications_per_second(crypto: CryptoWrapper) -> int:
    """Time a few verifications; 0 where it verifies no such keys."""
    algorithm = SignatureAlgorithm.ECDSA_SHA384
    try:
        key = crypto.generate_key(KeyAlgorithm.EC_P384)
        public, signature = crypto.load_public_key(key.public_key.spki), key.sign(algorithm, b"survey")
    except RatsTlsError:
        return 0
    seconds = []
    for _ in range(_TIMED):
        begun = time.perf_counter()
        public.verify(algorithm, signature, b"survey")
        seconds.append(time.perf_counter() - begun)
    return round(1 / statistics.median(seconds))
