"""Remembered appraisals: under what they are found again, and when they end."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from rats_tls.appraisal_memory import AppraisalMemory
from rats_tls.core.algorithms import HashAlgorithm
from rats_tls.core.endorsements import Endorsement, EndorsementKind
from rats_tls.core.errors import FreshnessError
from rats_tls.core.results import _APPRAISAL_SEAL, AttestationResult, ConnectionFacts
from rats_tls.core.tls import TlsFacts
from support.claims import SGX
from support.policies import default_policy
from support.scripted_verifier import ScriptedVerifier, appraiser, certificate
from support.simulated import NOW

SECOND, DAY = timedelta(seconds=1), timedelta(days=1)
KEY = (b"certificate",)


def result(**changes: Any) -> AttestationResult:
    """A result of Evidence issued at `NOW` and judged then, with Endorsements for ten days."""
    der, report_data = certificate()
    judging = appraiser(ScriptedVerifier(report_data=report_data), default_policy(SGX, max_evidence_age="any"))
    made = judging.appraise_certificate(der, now=NOW, possession_proved=True)
    return replace(made, seal=_APPRAISAL_SEAL, **changes)


def kept(**changes: Any) -> AppraisalMemory:
    memory = AppraisalMemory(4)
    memory.keep(KEY, result(**changes))
    return memory


def found(memory: AppraisalMemory, now: datetime = NOW, key: tuple[object, ...] = KEY) -> bool:
    return memory.recall(key, now) is not None


def test_it_is_found_under_its_key_alone() -> None:
    memory = kept()
    assert found(memory)
    for key in ((), (b"another",), (*KEY, True)):
        assert not found(memory, key=key)


def test_it_ends_with_the_earliest_of_what_it_rests_on() -> None:
    end = NOW + 10 * DAY
    assert found(kept(), end - SECOND)
    assert not found(kept(), end)


@pytest.mark.parametrize("back", [SECOND, 400 * DAY])
def test_it_is_not_given_before_it_was_judged(back: timedelta) -> None:
    """What was not yet in date then is not asked again, so a clock put back begins anew."""
    memory = kept()
    assert not found(memory, NOW - back)
    assert not found(memory), "it is forgotten"


@pytest.mark.parametrize("changes", [{"valid_until": None}, {"endorsements": ()}])
def test_what_has_no_end_is_not_kept(changes: dict[str, Any]) -> None:
    assert not found(kept(**changes))


def test_what_has_ended_is_forgotten() -> None:
    memory = kept()
    assert not found(memory, NOW + 10 * DAY)
    assert not found(memory)


def test_it_is_of_no_connection() -> None:
    facts = ConnectionFacts(
        tls=TlsFacts(version="TLSv1.3", cipher="c", group="g", hash=HashAlgorithm.SHA256), tls_wrapper="w"
    )
    recalled = kept(connection=facts).recall(KEY, NOW)
    assert recalled is not None
    assert recalled.connection is None


def test_the_least_recently_used_goes_first() -> None:
    memory = AppraisalMemory(2)
    memory.keep((1,), result())
    memory.keep((2,), result())
    assert found(memory, key=(1,))
    memory.keep((3,), result())
    assert [found(memory, key=(number,)) for number in (1, 2, 3)] == [True, False, True]


def test_a_newer_result_takes_the_place_of_an_older_one() -> None:
    memory = kept(valid_until=NOW + SECOND)
    memory.keep(KEY, result())
    assert found(memory, NOW + DAY)


# --- as an appraisal uses it ------------------------------------------------------------------------------------------
CRL = Endorsement(kind=EndorsementKind.INTEL_PCK_CRL, data=b"a list")


@pytest.mark.parametrize(
    "change",
    [
        {"preamble": False},
        {"preamble": None},
        {"possession_proved": False},
        {"peer_endorsements": (CRL,)},
        {"certificate": "another"},
    ],
    ids=str,
)
def test_whatever_a_verdict_depends_on_is_judged_again(change: dict[str, Any]) -> None:
    """Policy, own Endorsements, anchors and crypto wrapper belong to the Appraiser, and so does its memory."""
    der, report_data = certificate()
    verifier = ScriptedVerifier(report_data=report_data)
    judging = appraiser(verifier, default_policy(SGX, preamble="optional"))
    asked: dict[str, Any] = {"certificate": der, "now": NOW, "possession_proved": True, "preamble": True}
    for _ in range(3):
        judging.appraise_certificate(**asked)
    assert verifier.calls == ["decode", "verify"]
    if change.get("certificate") == "another":
        other, verifier.report_data = certificate(custom={"role": b"other"})
        change = {"certificate": other}
    judging.appraise_certificate(**{**asked, **change})
    assert verifier.calls == ["decode", "verify"] * 2


@pytest.mark.parametrize("issued_at", [NOW, NOW - timedelta(minutes=59)])
def test_a_verdict_is_given_again_for_as_long_as_the_evidence_is_young(issued_at: datetime) -> None:
    der, report_data = certificate(issued_at=issued_at)
    verifier = ScriptedVerifier(report_data=report_data)
    judging = appraiser(verifier)
    judging.appraise_certificate(der, now=NOW, possession_proved=True)
    last = issued_at + timedelta(seconds=3600)
    assert judging.appraise_certificate(der, now=last - SECOND, possession_proved=True).judged_at == last - SECOND
    assert verifier.calls == ["decode", "verify"]
    with pytest.raises(FreshnessError):
        judging.appraise_certificate(der, now=last + SECOND, possession_proved=True)


def test_refusals_are_not_remembered() -> None:
    der, report_data = certificate()
    verifier = ScriptedVerifier(report_data=report_data)
    judging = appraiser(verifier, default_policy(SGX, mr_enclave=bytes(32)))
    for number in (1, 2):
        with pytest.raises(Exception, match="mr_enclave"):
            judging.appraise_certificate(der, now=NOW, possession_proved=True)
        assert verifier.calls == ["decode", "verify"] * number
