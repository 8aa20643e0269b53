"""Simulated evidence and Endorsements, changed and cut: every change is refused with an error of ours.

Real ones are in `tests/vectors/`, byte by byte. Here are, besides, what no real ones are stored of: VLEKs, reports of
version 5, and AMD's revocation lists, which are done byte by byte too.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace

import pytest

from rats_tls import registry
from rats_tls.core.endorsements import Endorsements
from rats_tls.core.evidence import Evidence
from rats_tls.core.interfaces import Verifier
from rats_tls.core.verification import Problem
from rats_tls.verifiers.sgx_la import SgxLocalVerifier
from support.intel import CRYPTO
from support.sev import DEVICE_TYPE
from support.simulated import NOW, REPORT_DATA, world
from support.tampering import EVERY_BIT, Part, frame, outcome, surviving_cuts, survivors

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

SNP = "simulated_sev_snp"
SETTINGS: dict[str, tuple[str, dict[str, object]]] = {
    "sgx": ("simulated_sgx_ecdsa", {}),
    "tdx": ("simulated_tdx_ecdsa", {}),
    "snp-vcek": (SNP, {"product": "Turin", "report_version": 5}),
    "local": ("simulated_sgx_la", {}),
    "sev": ("simulated_sev", {}),
    "snp-vlek": (SNP, {"product": "Genoa", "report_version": 5, "key_type": "VLEK"}),
}
EACH = pytest.mark.parametrize("name", SETTINGS)
STEPS = {"evidence": 5, "amd-crl": 1, "amd-vek": 7}
STEP = 31
"""Every how many bytes and lengths a kind is changed and cut; STEP where it is not named."""


def _verifier(name: str) -> Verifier:
    return SgxLocalVerifier(world().target_enclave()) if name == "sgx_la" else registry.verifier(name)


@functools.cache
def parts(name: str) -> dict[str, Part]:
    attester, settings = SETTINGS[name]
    collected = world().attester(attester, **settings).collect(REPORT_DATA)
    verifier = _verifier(attester.removeprefix("simulated_"))
    endorsements = Endorsements(collected.endorsements)

    def verify(data: bytes, items: Endorsements) -> tuple[Problem, ...]:
        decoded = verifier.decode(Evidence(collected.evidence.media_type, data))
        problems = verifier.verify(decoded, items, anchors=world().trust_anchors, crypto=CRYPTO, now=NOW).problems
        # There is no revocation list before SEV-SNP: that is always said.
        return tuple(problem for problem in problems if name != "sev" or not problem.waived_by_revocation)

    def part(data: bytes, judge: Callable[[bytes], tuple[Problem, ...]]) -> Part:
        return Part(data=data, judge=lambda changed: outcome(lambda: judge(changed)), cold=lambda _: "")

    evidence = collected.evidence.data
    found = {"evidence": part(evidence, lambda changed: verify(changed, endorsements))}
    for item in endorsements:
        found[item.kind.value] = part(
            item.data,
            lambda changed, item=item: verify(
                evidence,
                Endorsements(tuple(replace(item, data=changed) if other is item else other for other in endorsements)),
            ),
        )
    return found


@EACH
def test_every_change_is_refused(name: str) -> None:
    for kind, part in parts(name).items():
        found = survivors(part, offsets=range(0, len(part.data), STEPS.get(kind, STEP)))
        if (name, kind) == ("sev", "evidence"):
            assert found == [DEVICE_TYPE], "what nothing covers, and nobody believes"
            continue
        # Line ends of the PEM chain in a quote are armour.
        assert {part.data[at : at + 1] for at in found} <= ({b"\n"} if kind == "evidence" else set()), kind


@EACH
def test_every_truncation_is_refused(name: str) -> None:
    for kind, part in parts(name).items():
        whole = len(part.data.rstrip(b"\n\0")) if name in {"sgx", "tdx"} and kind == "evidence" else len(part.data)
        assert [end for end in surviving_cuts(part, step=STEPS.get(kind, STEP)) if end < whole] == [], kind


def test_every_bit_of_a_local_report() -> None:
    part = parts("local")["evidence"]
    assert survivors(part, masks=EVERY_BIT) == []
    assert surviving_cuts(part) == []


@pytest.mark.parametrize("name", ["snp-vcek", "snp-vlek"])
def test_every_bit_around_amds_revocation_list(name: str) -> None:
    part = parts(name)["amd-crl"]
    assert survivors(part, offsets=frame(part.data), masks=EVERY_BIT) == []
