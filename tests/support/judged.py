"""Evidence of simulated TEEs, and one call that judges it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from rats_tls.appraisal import Appraiser
from rats_tls.core.endorsements import Endorsements
from rats_tls.core.evidence import Evidence
from rats_tls.core.interfaces import Attester
from rats_tls.core.results import AttestationResult
from rats_tls.policy import Policy
from support.appraisals import make_appraiser
from support.sides import SGX, attester, context, policy_for
from support.simulated import NOW, world

REPORT_DATA = bytes(range(64))


def collected(name: str = SGX, **state: Any) -> tuple[Evidence, Endorsements]:
    """Collect Evidence that carries `REPORT_DATA`, with its Endorsements."""
    made = attester(name, **state).collect(REPORT_DATA)
    if made is None:
        raise AssertionError("no evidence")
    return made.evidence, Endorsements(made.endorsements)


def appraiser(endorsements: Endorsements | None, policy: Policy | None = None, **changes: Any) -> Appraiser:
    """Make an appraiser that trusts the simulated vendors; by default for a healthy simulated enclave."""
    return make_appraiser(policy or policy_for(SGX), endorsements, **{"anchors": world().trust_anchors, **changes})


def appraise(
    evidence: Evidence,
    endorsements: Endorsements | None,
    policy: Policy | None = None,
    *,
    now: datetime = NOW,
    report_data: bytes | None = REPORT_DATA,
    **changes: Any,
) -> AttestationResult:
    """Judge bare Evidence with an appraiser of its own."""
    return appraiser(endorsements, policy, **changes).appraise_evidence(
        evidence, now=now, expected_report_data=report_data
    )


def presented(name: str | Attester = SGX, **settings: Any) -> tuple[bytes, Endorsements]:
    """Give a certificate as one of our own attesters presents it at `NOW`, with the Endorsements for it."""
    credentials = context(name, **settings)._credentials.current()
    if credentials.certificate is None:
        raise AssertionError("no certificate")
    return credentials.certificate, Endorsements(credentials.endorsements)


def judge(judging: Appraiser, certificate: bytes, *, now: datetime = NOW, proved: bool = True) -> AttestationResult:
    """Judge a certificate of a peer that speaks the preamble."""
    return judging.appraise_certificate(certificate, now=now, possession_proved=proved, preamble=True)
