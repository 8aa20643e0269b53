"""Attested TLS between sides whose keys, certificates and judgements are of different crypto libraries."""

from __future__ import annotations

import pytest

from rats_tls.core.algorithms import KeyAlgorithm
from rats_tls.core.interfaces import CryptoWrapper
from rats_tls.core.results import ACCEPTED
from support.crypto import with_keys
from support.instances import CRYPTO_WRAPPERS
from support.sides import ALL_SIMULATED, SGX, connected_pair, context

EC = (KeyAlgorithm.EC_P256, KeyAlgorithm.EC_P384)
JUDGING = [crypto.name for crypto in CRYPTO_WRAPPERS if set(EC) <= crypto.capabilities.verifies]


@with_keys("certificates", *EC, KeyAlgorithm.RSA_3072, KeyAlgorithm.ED25519)
def test_its_keys_and_certificates_are_taken_by_a_client_of_another(
    crypto: CryptoWrapper, algorithm: KeyAlgorithm
) -> None:
    server = context(SGX, crypto=crypto.name, key_algorithm=algorithm)
    for name in JUDGING:
        ends = connected_pair(server, context(None, SGX, crypto=name))
        peer = ends[1].peer
        assert peer is not None
        assert peer.verdict == ACCEPTED
        assert peer.crypto.startswith(f"{name} (")
        for end in ends:
            end.close()


@pytest.mark.parametrize("evidence", ALL_SIMULATED)
@pytest.mark.parametrize("name", JUDGING)
def test_it_judges_the_evidence_of_each_tee(name: str, evidence: str) -> None:
    ends = connected_pair(context(evidence), context(None, evidence, crypto=name))
    peer = ends[1].peer
    assert peer is not None
    assert peer.verdict == ACCEPTED
    assert peer.crypto.startswith(f"{name} (")
    for end in ends:
        end.close()
