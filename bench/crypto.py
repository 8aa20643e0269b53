"""Signature verification by every crypto wrapper, beside bare `cryptography`; SEV-SNP by `awslc` beside bare `awscrt`.

Keys are loaded beforehand; the data is as long as what a SEV-SNP report signs.
"""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import load_der_public_key

from bench.measure import Candidate, Figure, interleaved
from bench.verification import VECTORS, SnpCase
from rats_tls import registry
from rats_tls.core.algorithms import KeyAlgorithm, SignatureAlgorithm
from rats_tls.core.errors import NoInstanceError
from rats_tls.core.interfaces import CryptoWrapper
from rats_tls.crypto_wrappers.openssl import OpensslCryptoWrapper
from rats_tls.verifiers.sev_snp import SevSnpVerifier

_DATA = bytes(672)
_TIMES = 50
_SCHEMES = {
    KeyAlgorithm.EC_P256: (SignatureAlgorithm.ECDSA_SHA256, ec.ECDSA(hashes.SHA256())),
    KeyAlgorithm.EC_P384: (SignatureAlgorithm.ECDSA_SHA384, ec.ECDSA(hashes.SHA384())),
}


def figures(rounds: int) -> list[Figure]:
    """Measure each wrapper that can be made here, by curve, and SEV-SNP where its vectors are at hand."""
    wrappers = _wrappers()
    found = [figure for algorithm in _SCHEMES for figure in _of(algorithm, wrappers, rounds)]
    if "awslc" in wrappers and VECTORS.is_dir():
        found += _snp(wrappers["awslc"], rounds)
    return found


def _wrappers() -> dict[str, CryptoWrapper]:
    made: dict[str, CryptoWrapper] = {}
    for name in registry.BUILT_IN["crypto_wrappers"]:
        try:
            made[name] = registry.crypto_wrapper(name)
        except NoInstanceError:
            continue
    return made


def _of(algorithm: KeyAlgorithm, wrappers: dict[str, CryptoWrapper], rounds: int) -> list[Figure]:
    scheme, hashing = _SCHEMES[algorithm]
    signing = OpensslCryptoWrapper().generate_key(algorithm)
    signature, spki = signing.sign(scheme, _DATA), signing.public_key.spki
    bare: Any = load_der_public_key(spki)

    candidates = [_candidate(f"{algorithm.value}: bare cryptography", partial(bare.verify, signature, _DATA, hashing))]
    for name, crypto in wrappers.items():
        if algorithm in crypto.capabilities.verifies:
            run = partial(crypto.load_public_key(spki).verify, scheme, signature, _DATA)
            candidates.append(_candidate(f"{algorithm.value}: {name}", run))
    found = interleaved(*candidates, rounds=rounds)
    fastest = max(found[1:], key=lambda figure: figure.ratio or 0)
    return [replace(figure, name=f"{figure.name} (fastest)") if figure is fastest else figure for figure in found]


def _snp(crypto: CryptoWrapper, rounds: int) -> list[Figure]:
    case, known = SnpCase(), SevSnpVerifier()
    key: Any = importlib.import_module("awscrt.crypto").EC.new_key_from_der_data(case.spki)
    digest = hashlib.sha384(case.report.signed).digest()
    signature = encode_dss_signature(case.report.r, case.report.s)
    return interleaved(
        _candidate("sev_snp: the report's signature alone, bare awscrt", partial(key.verify, digest, signature)),
        _candidate("sev_snp: rats-tls by awslc, warm", lambda: case.verify(known, crypto), ">= 0.67"),
        _candidate("sev_snp: rats-tls by awslc, cold", lambda: case.verify(SevSnpVerifier(), crypto)),
        rounds=rounds,
    )


def _candidate(name: str, run: Callable[[], object], wanted: str = "") -> Candidate:
    def repeat() -> None:
        for _ in range(_TIMES):
            run()

    return Candidate(name, repeat, _TIMES, "verifications/s", wanted)
