"""Real certificates that carry evidence, their bytes changed in turn, and cut at every length.

None of them has Endorsements at hand: as they are, they end in Endorsements missing with everything else proved, so
that is what a changed one must never reach.
"""

from __future__ import annotations

import functools
from datetime import UTC, datetime
from pathlib import Path

import pytest

from rats_tls.certificates.registry import read_attested_certificate
from rats_tls.core.errors import RatsTlsError
from rats_tls.core.refusals import Refusal
from support.appraisals import claims_of, make_appraiser
from support.policies import default_policy
from support.ratls_real import CAPTURED, GRAMINE, RATS_TLS, der_of
from support.tampering import ACCEPTED, EVERY_BIT, Part, frame, surviving_cuts, survivors

# Warnings are errors in this suite; those of `cryptography` would refuse for us what production has to refuse.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

NOW = datetime(2023, 6, 1, tzinfo=UTC)
SIZES = {RATS_TLS: 5264, GRAMINE: 10_068}
STEPS = {RATS_TLS: 1, GRAMINE: 29}
"""Gramine's is one that `cryptography` refuses; reading it tolerantly is slow, so every 29th byte is changed."""


@functools.cache
def part(path: Path) -> Part:
    der = der_of(path)
    attested = read_attested_certificate(der)
    assert attested.evidence is not None
    policy = default_policy(
        claims_of(attested.evidence.data), allow_debug=True, max_evidence_age="any", preamble="optional"
    )
    appraiser = make_appraiser(policy)

    def judge(changed: bytes) -> str:
        try:
            appraiser.appraise_certificate(changed, now=NOW, possession_proved=True, preamble=False)
        except RatsTlsError as error:
            return ACCEPTED if error.refusal is Refusal.ENDORSEMENTS_MISSING else error.refusal.label
        return ACCEPTED

    return Part(data=der, judge=judge, cold=judge)


@pytest.mark.parametrize("path", SIZES, ids=lambda path: path.stem)
def test_changed_bytes(path: Path) -> None:
    assert len(part(path).data) == SIZES[path]
    assert survivors(part(path), offsets=range(0, SIZES[path], STEPS[path])) == []


@pytest.mark.parametrize("path", SIZES, ids=lambda path: path.stem)
def test_every_bit_around_what_is_signed(path: Path) -> None:
    assert survivors(part(path), offsets=frame(part(path).data), masks=EVERY_BIT) == []


@pytest.mark.parametrize("path", SIZES, ids=lambda path: path.stem)
def test_every_truncation(path: Path) -> None:
    assert surviving_cuts(part(path)) == []


@pytest.mark.parametrize("path", sorted(CAPTURED.glob("*.der")), ids=lambda path: path.stem)
def test_every_truncation_of_what_c_sends(path: Path) -> None:
    der = path.read_bytes()
    read_attested_certificate(der)
    for size in range(len(der)):
        with pytest.raises(RatsTlsError):
            read_attested_certificate(der[:size])
