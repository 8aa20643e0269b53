"""The `pycryptodome` crypto wrapper: a code base of its own, Python around C (an extra; its package is `Crypto`)."""

from __future__ import annotations

import hashlib
import importlib
from dataclasses import dataclass
from typing import Any

from rats_tls.core.algorithms import KeyAlgorithm, SignatureAlgorithm
from rats_tls.core.errors import ConfigurationError, DecodeError, NoInstanceError, SignatureError, UnsupportedError
from rats_tls.core.extras import pip_install
from rats_tls.core.interfaces import CryptoCapabilities
from rats_tls.crypto_wrappers.byte_strings import as_bytes
from rats_tls.crypto_wrappers.certificate_building import why_none_are_built
from rats_tls.crypto_wrappers.ecdsa_signatures import check_range, decode_signature, encode_signature
from rats_tls.crypto_wrappers.openssl import OpensslCryptoWrapper
from rats_tls.crypto_wrappers.partial import PartialCryptoWrapper
from rats_tls.crypto_wrappers.public_keys import ec_spki, split_ec, split_ed25519
from rats_tls.crypto_wrappers.sm2.keys import Sm2PublicKey

_INSTALL = pip_install("crypto_wrappers", "pycryptodome")
_CURVES = {KeyAlgorithm.EC_P256: "P-256", KeyAlgorithm.EC_P384: "P-384"}
_MADE = frozenset({*_CURVES, KeyAlgorithm.RSA_3072, KeyAlgorithm.ED25519})
_RSA_FAMILIES = ("rsa-pkcs1", "rsa-pss")
_COORDINATE_BYTES = {KeyAlgorithm.EC_P256: 32, KeyAlgorithm.EC_P384: 48}
_ED25519_ORDER = 2**252 + 27742317777372353535851937790883648493
_ED25519_BASE_POINT = b"\x58" + 31 * b"\x66"
"""RFC 8032 5.1: y is 4/5."""

_PURE_PYTHON = "IntegerNative"
"""The class of `Crypto.Math` that computes where its C module does not load."""
_NOT_CONSTANT_TIME = "computes in Python here, in a time that depends on the key"


@dataclass(frozen=True, slots=True)
class _Library:
    """Modules of `Crypto`, which has no types for what is used here."""

    ecc: Any
    rsa: Any
    dss: Any
    eddsa: Any
    pkcs1: Any
    pss: Any
    hashes: dict[str, Any]


class PycryptodomePublicKey:
    """A public key of `Crypto`."""

    __slots__ = ("_algorithm", "_key", "_library", "_spki")

    def __init__(self, library: _Library, key: Any, algorithm: KeyAlgorithm, spki: bytes) -> None:  # noqa: ANN401  # no types
        self._library = library
        self._key = key
        self._algorithm = algorithm
        self._spki = spki

    @property
    def algorithm(self) -> KeyAlgorithm:
        """The key's algorithm."""
        return self._algorithm

    @property
    def spki(self) -> bytes:
        """DER SubjectPublicKeyInfo."""
        return self._spki

    def verify(self, algorithm: SignatureAlgorithm, signature: bytes, data: bytes) -> None:
        """Verify a signature in X.509 form. Raises SignatureError."""
        if not _fits(algorithm, self._algorithm):
            raise SignatureError(_misfit(algorithm, self._algorithm))
        signature, data = as_bytes(signature), as_bytes(data)
        if self._algorithm in _CURVES:
            self.verify_ecdsa(algorithm, *decode_signature(self._algorithm, signature), data)
            return
        try:
            if self._algorithm is KeyAlgorithm.ED25519:
                self._verify_ed25519(signature, data)
            else:
                self._verify_rsa(algorithm, signature, data)
        except ValueError as error:
            raise SignatureError(f"{algorithm.value} signature does not verify: {error}") from error

    def verify_ecdsa(self, algorithm: SignatureAlgorithm, r: int, s: int, data: bytes) -> None:
        """Verify an ECDSA signature given as two integers. Raises SignatureError."""
        if self._algorithm not in _CURVES or not _fits(algorithm, self._algorithm):
            raise SignatureError(_misfit(algorithm, self._algorithm))
        check_range(self._algorithm, r, s)
        size = _COORDINATE_BYTES[self._algorithm]
        try:
            self._library.dss.new(self._key, "fips-186-3").verify(
                _hashed(self._library, algorithm, as_bytes(data)), r.to_bytes(size, "big") + s.to_bytes(size, "big")
            )
        except ValueError as error:
            raise SignatureError(f"{algorithm.value} signature does not verify: {error}") from error

    def _verify_ed25519(self, signature: bytes, data: bytes) -> None:
        """Verify by the equation without the cofactor, as other libraries do. Raises ValueError.

        The library multiplies both sides by 8 (RFC 8032 5.1.7 permits both), which takes signatures that only its
        like takes.
        """
        eddsa, ed25519 = self._library.eddsa, self._key
        eddsa.new(ed25519, "rfc8032").verify(data, signature)
        hashed = hashlib.sha512(signature[:32] + ed25519.export_key(format="raw") + data).digest()
        k = int.from_bytes(hashed, "little") % _ED25519_ORDER
        s = int.from_bytes(signature[32:], "little")
        base = eddsa.import_public_key(_ED25519_BASE_POINT).pointQ
        if base * s != eddsa.import_public_key(signature[:32]).pointQ + ed25519.pointQ * k:
            raise ValueError("a component of small order")

    def _verify_rsa(self, algorithm: SignatureAlgorithm, signature: bytes, data: bytes) -> None:
        """Verify an RSA signature. Raises ValueError."""
        hashed = _hashed(self._library, algorithm, data)
        if algorithm.value.startswith("rsa-pss"):
            self._library.pss.new(self._key).verify(hashed, signature)  # salt as long as the hash, MGF1 with it
            return
        self._library.pkcs1.new(self._key).verify(hashed, signature)
        # The library also takes a DigestInfo without the NULL that RFC 8017 A.2.4 has.
        value = hashed.digest()
        encoded = pow(int.from_bytes(signature, "big"), int(self._key.e), int(self._key.n))
        tail = b"\x05\x00\x04" + bytes([len(value)]) + value
        if not encoded.to_bytes(len(signature), "big").endswith(tail):
            raise ValueError("no parameters in DigestInfo")


class PycryptodomePrivateKey:
    """A private key of `Crypto`, made here."""

    __slots__ = ("_algorithm", "_key", "_library", "_public_key")

    def __init__(self, library: _Library, algorithm: KeyAlgorithm) -> None:
        self._library = library
        self._algorithm = algorithm
        if algorithm is KeyAlgorithm.RSA_3072:
            self._key = library.rsa.generate(3072)
        else:
            self._key = library.ecc.generate(curve=_CURVES.get(algorithm, "Ed25519"))
        public = self._key.public_key()
        self._public_key = PycryptodomePublicKey(library, public, algorithm, public.export_key(format="DER"))

    @property
    def algorithm(self) -> KeyAlgorithm:
        """The key's algorithm."""
        return self._algorithm

    @property
    def public_key(self) -> PycryptodomePublicKey:
        """Its public half."""
        return self._public_key

    def sign(self, algorithm: SignatureAlgorithm, data: bytes) -> bytes:
        """Sign `data`. Raises ConfigurationError when the algorithm does not fit the key."""
        library, data = self._library, as_bytes(data)
        if not _fits(algorithm, self._algorithm):
            raise ConfigurationError(_misfit(algorithm, self._algorithm))
        if self._algorithm is KeyAlgorithm.ED25519:
            return bytes(library.eddsa.new(self._key, "rfc8032").sign(data))
        hashed = _hashed(library, algorithm, data)
        if self._algorithm in _CURVES:
            raw = library.dss.new(self._key, "fips-186-3").sign(hashed)
            half = len(raw) // 2
            return encode_signature(
                self._algorithm, *(int.from_bytes(part, "big") for part in (raw[:half], raw[half:]))
            )
        scheme = library.pss if algorithm.value.startswith("rsa-pss") else library.pkcs1
        return bytes(scheme.new(self._key).sign(hashed))

    def pkcs8(self) -> bytes:
        """Unencrypted PKCS #8 DER, to hand the key to a TLS library in this process."""
        how = {"pkcs": 8} if self._algorithm is KeyAlgorithm.RSA_3072 else {"use_pkcs8": True}
        return bytes(self._key.export_key(format="DER", **how))


class PycryptodomeCryptoWrapper(PartialCryptoWrapper):
    """Keys P-256, P-384, RSA-3072, Ed25519; verifies those, other RSA sizes and SM2.

    Raises:
        NoInstanceError: `pycryptodome` is not installed.
    """

    name = "pycryptodome"
    own_keys = (PycryptodomePrivateKey,)

    def __init__(self) -> None:
        try:
            self._library = _load()
            self._version = f"pycryptodome {importlib.import_module('Crypto').__version__}"
            arithmetic = importlib.import_module("Crypto.Math.Numbers").Integer.__name__
        except ImportError as error:
            raise NoInstanceError(f"crypto wrapper pycryptodome: Crypto does not load: {error}; {_INSTALL}") from error
        self._forms = OpensslCryptoWrapper()
        advice = why_none_are_built(self.name)
        self._capabilities = CryptoCapabilities(
            generates=_MADE,
            verifies=_MADE | {KeyAlgorithm.RSA},
            certificates=frozenset() if advice else _MADE,
            more_certificates=advice,
            caution=_NOT_CONSTANT_TIME if arithmetic == _PURE_PYTHON else "",
        )

    @property
    def version(self) -> str:
        """Version of `pycryptodome`."""
        return self._version

    @property
    def capabilities(self) -> CryptoCapabilities:
        """What it can do."""
        return self._capabilities

    def generate_key(self, algorithm: KeyAlgorithm) -> PycryptodomePrivateKey:
        """Make a key. Raises UnsupportedError for an algorithm it cannot make."""
        if algorithm not in _MADE:
            raise UnsupportedError(f"crypto wrapper pycryptodome makes no {algorithm.value} keys")
        return PycryptodomePrivateKey(self._library, algorithm)

    def load_public_key(self, spki: bytes) -> PycryptodomePublicKey | Sm2PublicKey:
        """Load a DER SubjectPublicKeyInfo; one of SM2 as `load_sm2_point` does, with the default user id.

        Raises DecodeError, UnsupportedError.
        """
        spki = as_bytes(spki)
        found = split_ec(spki)
        if found is not None:
            return self._load_ec(found[0], spki)
        raw = split_ed25519(spki)
        if raw is not None:
            key = self._library.eddsa.import_public_key(raw)
            return PycryptodomePublicKey(self._library, key, KeyAlgorithm.ED25519, spki)
        # The library reads a key from many forms: what is none of the usual one's, `cryptography` says.
        other = self._forms.load_public_key(spki)
        if isinstance(other, Sm2PublicKey):
            return other
        try:
            key = self._library.rsa.import_key(spki)
        except ValueError as error:
            raise DecodeError("SubjectPublicKeyInfo", "", None, f"not an RSA key: {error}") from error
        return PycryptodomePublicKey(self._library, key, other.algorithm, spki)

    def load_ec_point(self, algorithm: KeyAlgorithm, point: bytes) -> PycryptodomePublicKey:
        """Load an EC key from x‖y. Raises DecodeError, UnsupportedError."""
        return self._load_ec(algorithm, ec_spki(algorithm, point))

    def _load_ec(self, algorithm: KeyAlgorithm, spki: bytes) -> PycryptodomePublicKey:
        try:
            key = self._library.ecc.import_key(spki)
        except ValueError as error:
            raise DecodeError("EcPoint", "", None, f"not a point of {algorithm.value}") from error
        if key.pointQ.is_point_at_infinity():  # the library takes 0‖0 for it; for such a key anybody can sign
            raise DecodeError("EcPoint", "", None, f"not a point of {algorithm.value}")
        return PycryptodomePublicKey(self._library, key, algorithm, spki)


def _load() -> _Library:
    def module(name: str) -> Any:  # noqa: ANN401  # the library has no types for what is used here
        return importlib.import_module(f"Crypto.{name}")

    return _Library(
        ecc=module("PublicKey.ECC"),
        rsa=module("PublicKey.RSA"),
        dss=module("Signature.DSS"),
        eddsa=module("Signature.eddsa"),
        pkcs1=module("Signature.pkcs1_15"),
        pss=module("Signature.pss"),
        hashes={name: module(f"Hash.{name.upper()}") for name in ("sha256", "sha384", "sha512")},
    )


def _hashed(library: _Library, algorithm: SignatureAlgorithm, data: bytes) -> Any:  # noqa: ANN401  # no types
    return library.hashes[algorithm.value.rpartition("-")[2]].new(data)


def _fits(algorithm: SignatureAlgorithm, key: KeyAlgorithm) -> bool:
    if key is KeyAlgorithm.ED25519:
        return algorithm is SignatureAlgorithm.ED25519
    family = algorithm.value.rpartition("-")[0]
    return family == "ecdsa" if key in _CURVES else family in _RSA_FAMILIES


def _misfit(algorithm: SignatureAlgorithm, key: KeyAlgorithm) -> str:
    return f"signature algorithm {algorithm.value} does not fit a {key.value} key"
