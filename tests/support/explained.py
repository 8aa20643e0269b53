"""Judgements to explain: of every simulated TEE, accepted and refused for each kind of reason, at the tests' time."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from rats_tls.core.algorithms import HashAlgorithm
from rats_tls.core.anchors import AnchorKind
from rats_tls.core.endorsements import EndorsementKind, Endorsements
from rats_tls.core.errors import RatsTlsError
from rats_tls.core.evidence import Evidence
from rats_tls.core.results import AttestationResult, ConnectionFacts
from rats_tls.core.tls import TlsFacts
from rats_tls.explanation import Explanation, explain_refusal, explain_result
from rats_tls.policy import Mode, Policy
from support.judged import REPORT_DATA, appraise, appraiser, collected, judge, presented
from support.policies import null_policy
from support.sides import CSV, LOCAL, SEV, SGX, SNP, TDX, policy_for
from support.simulated import NOW, world

TEES = {SGX: "sgx_ecdsa", TDX: "tdx_ecdsa", SNP: "sev_snp", LOCAL: "sgx_la", CSV: "csv"}


@dataclass(frozen=True)
class Judged:
    """A judgement and the policy that made it."""

    outcome: AttestationResult | RatsTlsError
    policy: Policy

    @property
    def result(self) -> AttestationResult:
        assert isinstance(self.outcome, AttestationResult), self.outcome
        return self.outcome

    @property
    def error(self) -> RatsTlsError:
        assert isinstance(self.outcome, RatsTlsError), self.outcome
        return self.outcome

    def explained(self, subject: str = "quote.bin") -> Explanation:
        if isinstance(self.outcome, AttestationResult):
            return explain_result(self.outcome, subject=subject, policy=self.policy)
        return explain_refusal(self.outcome, subject=subject, judged_at=NOW, policy=self.policy)


def judged(policy: Policy, judgement: Callable[[], AttestationResult]) -> Judged:
    try:
        return Judged(judgement(), policy)
    except RatsTlsError as error:
        return Judged(error, policy)


@functools.cache
def _good(name: str) -> tuple[Evidence, Endorsements]:
    return collected(name)


def judge_state(name: str = SGX, state: dict[str, str | bool] | None = None, **policy: Any) -> Judged:
    """Judge bare Evidence of a TEE, in a state as the command line names them, by a policy for the healthy one."""
    evidence, endorsements = _good(name)
    if state:
        made = world().attester_from_texts(name, state).collect(REPORT_DATA)
        assert made is not None
        evidence, endorsements = made.evidence, Endorsements(made.endorsements)
    judging = policy_for(name, **policy)
    expected = None if name == SEV else REPORT_DATA
    return judged(judging, lambda: appraise(evidence, endorsements, judging, report_data=expected))


def judge_changed(name: str = SGX) -> Judged:
    """Judge Evidence of which one bit was changed."""
    evidence, endorsements = _good(name)
    data = bytearray(evidence.data)
    data[0x91 if name == SNP else 60] ^= 1
    judging = policy_for(name)
    return judged(judging, lambda: appraise(replace(evidence, data=bytes(data)), endorsements, judging))


def judge_without(*kinds: EndorsementKind, **policy: Any) -> Judged:
    """Judge an SGX quote while Endorsements are missing."""
    evidence, endorsements = _good(SGX)
    left = Endorsements(tuple(item for item in endorsements if item.kind not in kinds))
    judging = policy_for(SGX, **policy)
    return judged(judging, lambda: appraise(evidence, left, judging))


def _cut() -> Judged:
    evidence, endorsements = _good(SGX)
    judging = policy_for(SGX)
    return judged(judging, lambda: appraise(replace(evidence, data=evidence.data[:300]), endorsements, judging))


def _bound_to_another() -> Judged:
    evidence, endorsements = _good(SGX)
    judging = policy_for(SGX)
    return judged(judging, lambda: appraise(evidence, endorsements, judging, report_data=bytes(64)))


def _unknown_root() -> Judged:
    evidence, endorsements = _good(SGX)
    judging = policy_for(SGX)
    return judged(judging, lambda: appraise(evidence, endorsements, judging, anchors=()))


def _of_certificate(age: timedelta = timedelta(0)) -> Judged:
    certificate, endorsements = presented(SGX, custom_claims={"role": b"<b>\x1b[2J"})
    judging = policy_for(SGX)
    return judged(judging, lambda: judge(appraiser(endorsements, judging), certificate, now=NOW + age))


def _in_channel() -> Judged:
    judged_ = _of_certificate()
    tls = TlsFacts(version="TLSv1.3", cipher="TLS_AES_128_GCM_SHA256", group="X25519", hash=HashAlgorithm.SHA256)
    connection = ConnectionFacts(tls=tls, tls_wrapper="openssl (OpenSSL 3)", peer_accepted=True)
    return Judged(replace(judged_.result, connection=connection, profile="rats-tls/1"), judged_.policy)


def _report_only() -> Judged:
    evidence, endorsements = _good(SGX)
    judging = Policy.of(*policy_for(SGX, mr_enclave=bytes(32)).entries, mode=Mode.REPORT_ONLY)
    return judged(judging, lambda: appraise(evidence, endorsements, judging))


def _null() -> Judged:
    certificate, endorsements = presented("null")
    judging = null_policy()
    return judged(judging, lambda: judge(appraiser(endorsements, judging), certificate))


CASES: dict[str, Callable[[], Judged]] = {
    **{f"good {tee}": functools.partial(judge_state, name) for name, tee in TEES.items()},
    "good sev": functools.partial(judge_state, SEV),
    "plain registers": lambda: judge_state(SEV, {"es": False}),
    "good certificate": _of_certificate,
    "good connection": _in_channel,
    "null": _null,
    "out of date": lambda: judge_state(SGX, {"tcb_status": "OutOfDate"}),
    "out of date accepted": lambda: judge_state(
        SGX,
        {"tcb_status": "OutOfDate"},
        tcb_statuses=("UpToDate", "OutOfDate"),
        advisories=("INTEL-SA-00837", "INTEL-SA-01036"),
    ),
    "tdx out of date": lambda: judge_state(TDX, {"tcb_status": "OutOfDate", "module_status": "OutOfDate"}),
    "qe out of date": lambda: judge_state(SGX, {"qe_status": "OutOfDate"}),
    "snp out of date": lambda: judge_state(
        SNP, {"out_of_date": True}, min_tcb={"bootloader": 4, "tee": 0, "snp": 24, "microcode": 219}
    ),
    "revoked level": lambda: judge_state(SGX, {"tcb_status": "Revoked"}),
    "no level": lambda: judge_state(SGX, {"no_tcb_level": True}),
    "tdx no level": lambda: judge_state(TDX, {"no_tcb_level": True}),
    "revoked": lambda: judge_state(SGX, {"revoked": True}),
    "expired list": lambda: judge_state(SGX, {"expired_crl": True}),
    "debug sgx": lambda: judge_state(SGX, {"debug": True}),
    "debug tdx": lambda: judge_state(TDX, {"debug": True}),
    "debug snp": lambda: judge_state(SNP, {"debug": True}),
    "debug accepted": lambda: judge_state(SGX, {"debug": True}, allow_debug=True),
    "other sgx": lambda: judge_state(SGX, {"mr_enclave": "00" * 32}),
    "other tdx": lambda: judge_state(TDX, {"mr_td": "00" * 48}),
    "other snp": lambda: judge_state(SNP, {"measurement": "00" * 48}),
    "debug csv": lambda: judge_state(CSV, {"debug": True}),
    "other csv": lambda: judge_state(CSV, {"measurement": "00" * 32}),
    "changed csv": lambda: judge_changed(CSV),
    "changed sgx": lambda: judge_changed(SGX),
    "changed tdx": lambda: judge_changed(TDX),
    "changed snp": lambda: judge_changed(SNP),
    "cut": _cut,
    "bound to another": _bound_to_another,
    "unknown root": _unknown_root,
    "old": lambda: _of_certificate(timedelta(hours=2)),
    "missing": lambda: judge_without(EndorsementKind.INTEL_TCB_INFO),
    "missing and other": lambda: judge_without(EndorsementKind.INTEL_TCB_INFO, mr_enclave=bytes(32)),
    "report-only": _report_only,
    "in its grace": lambda: judge_state(SGX, {"expired_tcb_info": True}, endorsement_grace=30 * 86_400),
    "other and list waived": lambda: judge_without(
        EndorsementKind.INTEL_PCK_CRL, revocation="not-checked", mr_enclave=bytes(32)
    ),
    "list waived": lambda: judge_without(EndorsementKind.INTEL_PCK_CRL, revocation="not-checked"),
}
"""By name."""


@functools.cache
def case(name: str) -> Judged:
    """Judge a case, once a process."""
    return CASES[name]()


def under_vendor_root(judged_: Judged) -> Judged:
    """Give an accepted judgement as if the vendor's own root had been reached."""
    anchor = judged_.result.anchor
    assert anchor is not None
    return Judged(replace(judged_.result, anchor=replace(anchor, kind=AnchorKind.VENDOR)), judged_.policy)
