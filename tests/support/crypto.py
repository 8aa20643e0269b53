"""What the contract of crypto wrappers is asked of: every wrapper with every key that it declares."""

from __future__ import annotations

import importlib
from datetime import UTC, datetime
from types import ModuleType
from typing import Literal

import pytest

from rats_tls.core.algorithms import SM2_DEFAULT_USER_ID, KeyAlgorithm, SignatureAlgorithm
from rats_tls.core.interfaces import CertificateRequest, CryptoWrapper, PrivateKey, PublicKey
from support.instances import CRYPTO_WRAPPERS

DATA = b"signed data"
BEGIN, END = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)
REQUEST = CertificateRequest(
    organization="O",
    common_name="CN",
    serial=7,
    not_before=BEGIN,
    not_after=END,
    extensions=(("2.23.133.5.4.9", b"evidence"), ("1.2.3.4", b"")),
)

_ECDSA = (SignatureAlgorithm.ECDSA_SHA256, SignatureAlgorithm.ECDSA_SHA384, SignatureAlgorithm.ECDSA_SHA512)
_RSA = tuple(scheme for scheme in SignatureAlgorithm if scheme.value.startswith("rsa-"))
SCHEMES: dict[KeyAlgorithm, tuple[SignatureAlgorithm, ...]] = {
    KeyAlgorithm.EC_P256: _ECDSA,
    KeyAlgorithm.EC_P384: _ECDSA,
    KeyAlgorithm.RSA_3072: _RSA,
    KeyAlgorithm.ED25519: (SignatureAlgorithm.ED25519,),
    KeyAlgorithm.SM2: (SignatureAlgorithm.SM2_SM3,),
}
"""What each key that can be made signs with."""

_MADE: dict[tuple[str, KeyAlgorithm], PrivateKey] = {}


def key_of(crypto: CryptoWrapper, algorithm: KeyAlgorithm) -> PrivateKey:
    """Give a key of this wrapper; the same one each time."""
    if (crypto.name, algorithm) not in _MADE:
        _MADE[crypto.name, algorithm] = crypto.generate_key(algorithm)
    return _MADE[crypto.name, algorithm]


def load(crypto: CryptoWrapper, algorithm: KeyAlgorithm, spki: bytes) -> PublicKey:
    """Load a public key as Verifiers do: SM2 with its owner's user id."""
    if algorithm is KeyAlgorithm.SM2:
        return crypto.load_sm2_point(spki[-64:], SM2_DEFAULT_USER_ID)
    return crypto.load_public_key(spki)


def verifies(crypto: CryptoWrapper, algorithm: KeyAlgorithm) -> bool:
    """Whether it verifies by such a key. SM2 depends on what is installed, and is here for all or none."""
    return algorithm in crypto.capabilities.verifies or (
        algorithm is KeyAlgorithm.SM2 and bool(crypto.capabilities.verifies)
    )


def with_keys(
    what: Literal["generates", "verifies", "certificates"], *algorithms: KeyAlgorithm
) -> pytest.MarkDecorator:
    """Ask a test of every wrapper with every key that it declares, or those of `algorithms`."""
    pairs = [
        (crypto, algorithm)
        for crypto in CRYPTO_WRAPPERS
        for algorithm in KeyAlgorithm
        if algorithm in getattr(crypto.capabilities, what) and (not algorithms or algorithm in algorithms)
    ]
    return pytest.mark.parametrize(
        ("crypto", "algorithm"), pairs, ids=[f"{crypto.name}-{algorithm.value}" for crypto, algorithm in pairs]
    )


def without(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    """Let late imports of a package fail, as where it is not installed."""
    load = importlib.import_module

    def missing(name: str, anchor: str | None = None) -> ModuleType:
        if name.partition(".")[0] == package:
            raise ModuleNotFoundError(f"No module named {package!r}", name=package)
        return load(name, anchor)

    monkeypatch.setattr(importlib, "import_module", missing)


wrappers = pytest.mark.parametrize("crypto", CRYPTO_WRAPPERS, ids=lambda wrapper: wrapper.name)
