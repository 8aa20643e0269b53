"""SM2 with SM3 by every library that is here, beside one P-256 verification by the crypto wrapper.

The chain is of Hygon's length: three certificates and a report, each by a key that is loaded for it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from bench.measure import Candidate, Figure, interleaved
from rats_tls.core.algorithms import KeyAlgorithm, SignatureAlgorithm
from rats_tls.core.errors import UnsupportedError
from rats_tls.crypto_wrappers.openssl import OpensslCryptoWrapper
from rats_tls.crypto_wrappers.sm2 import choosing
from rats_tls.crypto_wrappers.sm2.back_end import BackEnd
from rats_tls.crypto_wrappers.sm2.keys import load_key
from rats_tls.crypto_wrappers.sm2.signing import generate_private_key

_DATA = bytes(1044)
_USER_ID = b"HYGON-SSD-CEK"
_CHAIN = 4
_TIMES = {"gmalg": 4}
_USUAL_TIMES = 200


def figures(rounds: int) -> list[Figure]:
    """Measure each back end that can be used here."""
    signing = OpensslCryptoWrapper().generate_key(KeyAlgorithm.EC_P256)
    signature = signing.sign(SignatureAlgorithm.ECDSA_SHA256, _DATA)
    bare = partial(signing.public_key.verify, SignatureAlgorithm.ECDSA_SHA256, signature, _DATA)
    candidates = [_candidate("P-256 with SHA-256, key loaded", bare, _USUAL_TIMES)]
    for name in choosing.BACK_ENDS:
        try:
            candidates += _of(choosing.probe(name))
        except UnsupportedError:
            continue
    return interleaved(*candidates, rounds=rounds)


def _of(back_end: BackEnd) -> list[Candidate]:
    keys = [generate_private_key() for _ in range(_CHAIN)]
    links = [(back_end.public_point(key), back_end.sign(key, _USER_ID, _DATA)) for key in keys]
    point, (r, s) = links[0]
    known = load_key(point, _USER_ID, back_end)

    def chain() -> None:
        for point, (r, s) in links:
            load_key(point, _USER_ID, back_end).verify_ecdsa(SignatureAlgorithm.SM2_SM3, r, s, _DATA)

    times = _TIMES.get(back_end.name, _USUAL_TIMES)
    one = partial(known.verify_ecdsa, SignatureAlgorithm.SM2_SM3, r, s, _DATA)
    return [
        _candidate(f"{back_end.name}: SM2, key loaded", one, times),
        _candidate(f"{back_end.name}: a chain of {_CHAIN}", chain, max(1, times // _CHAIN)),
    ]


def _candidate(name: str, run: Callable[[], object], times: int) -> Candidate:
    def repeat() -> None:
        for _ in range(times):
            run()

    return Candidate(name, repeat, times, "/s")
