"""An RSA key that everybody knows, for trials of TLS wrappers: making one takes longer than all the rest of a trial."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric import rsa

from rats_tls.core.algorithms import KeyAlgorithm
from rats_tls.crypto_wrappers.openssl import OpensslPrivateKey

_P = int(
    "dbb773a9ac6a7fabb014afd2f69048eb3db66b9acf0464f4d2405d2dfeaaee222f496d2e7fbefc5b5b8b1862dc4057af5290d466aac5ae"
    "4e443265fb21547c2fb0c6f47e2bf261369e132ac7f8f3f2a1e174b3ff4e17ef871877f4be5ff9dc7069cb90c524bd09353389486d18ce"
    "9b57a3d2635d0ccb62427dae711d471952fc3d67d07da915a86fc768656b1d2e3c70dc83ac13379048a95d4b94cb1d199260716d7144d3"
    "ac0a6946c5bd9d101b402507d903c25ad1822ab8e63c4dc1bb5727",
    16,
)
_Q = int(
    "db2bb2444bc00be6cc47a10e37bb9802e7e6e30bd7a544edabf0a4ecaaebdcb8edd5c43f2b16bd5a092eeab56149ab69921b6360d60777"
    "f72753464b6c46e8cb09e6616a52feca5f8878764c2448a03ee63423ee7fe3f4471c1ccffa8470e4816949847eca8bdd36320954093a5d"
    "94f27aa3360bff6990fb1b06d8c2b329ba59c43d554cad7117063013be77ddeb1d01275267ac87b108f917c31981dc1a0d82607d485602"
    "364bbb6bfd3e14ed4529d3b95addc4c152ca5e0a9427b72030d5b1",
    16,
)
_E = 65537


def rsa_trial_key() -> OpensslPrivateKey:
    """Give the key, of 3072 bits. It protects nothing."""
    d = pow(_E, -1, (_P - 1) * (_Q - 1))
    numbers = rsa.RSAPrivateNumbers(
        p=_P,
        q=_Q,
        d=d,
        dmp1=rsa.rsa_crt_dmp1(d, _P),
        dmq1=rsa.rsa_crt_dmq1(d, _Q),
        iqmp=rsa.rsa_crt_iqmp(_P, _Q),
        public_numbers=rsa.RSAPublicNumbers(_E, _P * _Q),
    )
    # Its primes are not tested again: that takes a quarter of a second.
    key = numbers.private_key(unsafe_skip_rsa_key_validation=True)
    return OpensslPrivateKey(key, KeyAlgorithm.RSA_3072)
