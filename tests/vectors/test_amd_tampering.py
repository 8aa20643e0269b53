"""Every byte of real SEV-SNP reports and of their certificates, changed in turn, and cut at every length.

What nothing covers is listed with its reason; everything else is refused, with an error of ours. A Verifier that has
judged the genuine bytes judges the changed ones, so that nothing it remembers may stand in for them. No vector has a
revocation list; simulated ones are changed in `tests/property/`.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from dataclasses import replace

import pytest

from rats_tls.core.checks import Verdict
from rats_tls.core.errors import DecodeError
from rats_tls.endorsements.files import endorsements_from_file
from rats_tls.verifiers import amd_endorsements
from rats_tls.verifiers.sev_snp import SevSnpVerifier
from support.amd import GO_MILAN, TRUSTEE_GENOA, SnpVector, auxblob, load, problems, verify
from support.paths import VECTORS
from support.tampering import ACCEPTED, EVERY_BIT, Part, flipped, frame, outcome, surviving_cuts, survivors

# Warnings are errors in this suite; those of `cryptography` would refuse for us what production has to refuse.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

REPORT = "report"
PARTS = {
    TRUSTEE_GENOA: {REPORT: 1184, "amd-vek": 1347, "amd-signer": 1677, "amd-root": 1639},
    GO_MILAN: {REPORT: 1184, "amd-vek": 1360, "amd-signer": 1677, "amd-root": 1639},
}
"""Every byte of each vector: a report of version 3 that names its product, and one of version 2 that does not."""

BOTH = pytest.mark.parametrize("vector_id", PARTS)
EACH = pytest.mark.parametrize(("vector_id", "name"), [(key, name) for key, sizes in PARTS.items() for name in sizes])
CERTIFICATES = pytest.mark.parametrize(
    ("vector_id", "name"), [(key, name) for key, sizes in PARTS.items() for name in sizes if name != REPORT]
)


@functools.cache
def parts(vector_id: str) -> dict[str, Part]:
    vector, warm = load(vector_id), SevSnpVerifier()

    def part(data: bytes, change: Callable[[bytes], SnpVector]) -> Part:
        return Part(
            data=data,
            judge=lambda changed: outcome(lambda: problems(verify(change(changed), verifier=warm))),
            cold=lambda changed: outcome(lambda: problems(verify(change(changed)))),
        )

    found = {REPORT: part(vector.evidence.data, vector.with_data)}
    for item in vector.endorsements:
        found[item.kind.value] = part(
            item.data,
            lambda changed, item=item: vector.with_items(
                replace(item, data=changed) if other is item else other for other in vector.endorsements
            ),
        )
    return found


@BOTH
def test_the_table_has_every_byte(vector_id: str) -> None:
    assert {name: len(part.data) for name, part in parts(vector_id).items()} == PARTS[vector_id]
    assert sum(PARTS[vector_id].values()) == {TRUSTEE_GENOA: 5847, GO_MILAN: 5860}[vector_id]


@EACH
def test_every_changed_byte(vector_id: str, name: str) -> None:
    """Nothing is left uncovered: what the signatures leave out is reserved and must be zero, or the same inside."""
    assert survivors(parts(vector_id)[name]) == []


@BOTH
def test_every_bit_of_the_report(vector_id: str) -> None:
    assert survivors(parts(vector_id)[REPORT], masks=EVERY_BIT) == []


@CERTIFICATES
def test_every_bit_around_what_is_signed(vector_id: str, name: str) -> None:
    """Tags, lengths and algorithms beside the signed bytes, of which a single changed bit might mean the same."""
    part = parts(vector_id)[name]
    offsets = list(frame(part.data))
    assert 60 < len(offsets) < 90
    assert survivors(part, offsets=offsets, masks=EVERY_BIT) == []


@EACH
def test_a_verifier_without_memory_says_the_same(vector_id: str, name: str) -> None:
    part = parts(vector_id)[name]
    for offset in range(0, len(part.data), 41):
        changed = flipped(part.data, offset, 1)
        assert part.cold(changed) == part.judge(changed)


@EACH
def test_every_truncation(vector_id: str, name: str) -> None:
    assert surviving_cuts(parts(vector_id)[name]) == []


REPORTED_TCB, CHIP_ID = range(0x180, 0x188), range(0x1A0, 0x1E0)
COMPONENTS = {0: "bootloader", 1: "tee", 6: "snp", 7: "microcode"}


@BOTH
@pytest.mark.parametrize("mask", EVERY_BIT)
def test_a_vek_of_another_tcb_or_chip(vector_id: str, mask: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The signature covers both fields; it is taken out here, so that nothing but their own checks can refuse."""
    monkeypatch.setattr(amd_endorsements, "verify_report_signature", lambda *_: None)
    vector = load(vector_id)
    assert problems(verify(vector)) == ()
    for offset in (*REPORTED_TCB, *CHIP_ID):
        component = COMPONENTS.get(offset - REPORTED_TCB.start)
        changed = vector.with_data(flipped(vector.evidence.data, offset, mask))
        if offset in REPORTED_TCB and component is None:  # reserved
            assert outcome(lambda changed=changed: problems(verify(changed))) != ACCEPTED
            continue
        verification = verify(changed)
        (problem,) = problems(verification)
        assert problem.error.refusal.label == "certificate_chain"
        (check,) = (check.id for check in verification.checks if check.verdict is Verdict.FAILED)
        assert check == ("snp.vek_tcb" if offset in REPORTED_TCB else "snp.vek_identity")
        if component is not None:
            message = problem.error.message
            got, expected = (int(value) for value in re.findall(rf"{component} (\d+)", message))
            assert got ^ expected == mask


def test_every_truncation_of_a_pem_file() -> None:
    """Cut behind its first block it is a whole file with less in it; the root, which is pinned, is not needed."""
    data = (VECTORS / "trust/amd/ask_ark_genoa.pem").read_bytes()
    end = b"-----END CERTIFICATE-----"
    first = data.index(end) + len(end)
    second = data.index(b"-----BEGIN", first) + len(b"-----BEGIN ")
    accepted = []
    for size in range(len(data.rstrip())):
        try:
            endorsements_from_file(data[:size], where="chain")
        except DecodeError:
            continue
        accepted.append(size)
    assert accepted == list(range(first, second))


def test_every_truncation_of_a_certificate_table() -> None:
    data = auxblob()
    assert len(endorsements_from_file(data, where="auxblob")) == 3
    for size in range(len(data)):
        with pytest.raises(DecodeError):
            endorsements_from_file(data[:size], where="auxblob")
