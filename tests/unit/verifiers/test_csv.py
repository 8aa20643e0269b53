"""The Verifier of CSV: what it reads, what it remembers, what it does when SM2 is not to be had."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rats_tls.core.endorsements import Endorsements
from rats_tls.core.errors import DecodeError, UnsupportedError
from rats_tls.core.evidence import Evidence, TeeType
from rats_tls.core.interfaces import Sm2Key
from rats_tls.core.verification import Verification
from rats_tls.crypto_wrappers.null import NullCryptoWrapper
from rats_tls.crypto_wrappers.openssl import OpensslCryptoWrapper
from rats_tls.simulation.world import SimulatedWorld
from rats_tls.verifiers.csv import CsvVerifier
from rats_tls.verifiers.sev_snp import SevSnpVerifier
from support.judged import REPORT_DATA, collected
from support.simulated import NOW, world

CSV = "simulated_csv"


class Counting(OpensslCryptoWrapper):
    """Counts the SM2 keys that are loaded and the signatures that are verified."""

    def __init__(self) -> None:
        self.loaded = 0

    def load_sm2_point(self, point: bytes, user_id: bytes) -> Sm2Key:
        self.loaded += 1
        return super().load_sm2_point(point, user_id)


def verify(verifier: CsvVerifier, evidence: Evidence, pool: Endorsements, **changes: object) -> Verification:
    settings = {"anchors": world().trust_anchors, "crypto": OpensslCryptoWrapper(), "now": NOW, **changes}
    return verifier.verify(verifier.decode(evidence), pool, **settings)  # type: ignore[arg-type]  # by name


def test_other_evidence_is_refused() -> None:
    evidence, _ = collected(CSV)
    with pytest.raises(UnsupportedError, match="expected application/vnd"):
        CsvVerifier().decode(Evidence.of(TeeType.SEV, evidence.data))
    with pytest.raises(DecodeError, match="at most"):
        CsvVerifier().decode(Evidence.of(TeeType.CSV, evidence.data + bytes(1 << 20)))
    snp, pool = collected("simulated_sev_snp")
    decoded = SevSnpVerifier().decode(snp)
    with pytest.raises(TypeError, match="not a decoded report"):
        CsvVerifier().verify(decoded, pool, anchors=(), crypto=OpensslCryptoWrapper(), now=NOW)


def test_the_chain_is_verified_once_and_the_report_each_time() -> None:
    verifier, crypto = CsvVerifier(), Counting()
    attester = world().attester(CSV)
    first, second = (attester.collect(REPORT_DATA).evidence for _ in range(2))
    pool = Endorsements()
    assert first.data != second.data
    assert verify(verifier, first, pool, crypto=crypto).problems == ()
    loaded = crypto.loaded
    assert loaded >= 4, "HRK, HSK, CEK, PEK"
    assert verify(verifier, second, pool, crypto=crypto).problems == ()
    assert crypto.loaded == loaded
    forged = Evidence.of(TeeType.CSV, first.data[:0x80] + bytes((first.data[0x80] ^ 1,)) + first.data[0x81:])
    (problem,) = verify(verifier, forged, pool, crypto=crypto).problems
    assert "report" in problem.error.message


def test_what_is_remembered_is_of_one_root_and_one_crypto_wrapper() -> None:
    verifier = CsvVerifier()
    evidence, pool = collected(CSV)
    assert verify(verifier, evidence, pool).problems == ()
    other = SimulatedWorld()
    other.hygon()
    assert verify(verifier, evidence, pool, anchors=other.trust_anchors).problems
    assert verify(verifier, evidence, pool, anchors=()).problems
    (problem,) = verify(verifier, evidence, pool, crypto=NullCryptoWrapper()).problems
    assert isinstance(problem.error, UnsupportedError)
    assert verify(verifier, evidence, pool).problems == ()


def test_an_hsk_that_did_not_sign_the_cek_is_not_answered_from_memory() -> None:
    verifier = CsvVerifier()
    evidence, _ = collected(CSV, certificates="beside")
    own = world().hygon_chip().chain()
    assert verify(verifier, evidence, Endorsements((own,))).problems == ()
    stranger = SimulatedWorld().hygon_chip().chain()
    mixed = replace(own, issuer_chain=stranger.issuer_chain)
    assert verify(verifier, evidence, Endorsements((mixed,))).problems


@pytest.mark.parametrize("serial", ["", "../../etc", "a b", "a/b", ".x", "x" * 64 + "y"[:0], "\udcff"])
def test_a_serial_number_that_is_none_is_not_looked_up(serial: str) -> None:
    evidence, pool = collected(CSV, certificates="beside", serial=serial)
    (problem,) = verify(CsvVerifier(), evidence, Endorsements()).problems
    if len(serial) == 64:
        assert problem.missing is not None
        return
    assert problem.missing is None
    assert "chip_id" in problem.error.message
    assert verify(CsvVerifier(), evidence, pool).problems == (), "it is needed to look the certificates up alone"
