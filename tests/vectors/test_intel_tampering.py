"""Every byte of real SGX and TDX evidence and of its Endorsements, changed in turn, and cut at every length.

What nothing covers is listed with its reason; everything else is refused, with an error of ours. A Verifier that has
judged the genuine bytes judges the changed ones, so that nothing it remembers may stand in for them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest

from rats_tls.core.endorsements import Endorsement
from rats_tls.core.errors import DecodeError
from rats_tls.endorsements.files import endorsements_from_file
from support.intel import BUNDLES, PHALA_SGX, PHALA_TDX, IntelVector, load, verifier_of, verify, with_certification
from support.paths import VECTORS
from support.tampering import EVERY_BIT, Part, flipped, frame, outcome, pem, surviving_cuts, survivors

# Warnings are errors in this suite; those of `cryptography` would refuse for us what production has to refuse.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

QUOTE = "quote"
ROLES = ("PCK certificate", "PCK CA certificate", "root certificate")


@dataclass(frozen=True)
class Stated:
    """What is stated of one part: its size, and how many of its bytes nothing covers, by the reason."""

    size: int
    uncovered: dict[str, int] = field(default_factory=dict)


ARMOUR = "line ends in the PEM chain and the NUL behind it: what they separate is signed"
PADDING = "padding of the vendor's buffer behind the signature data, which the result reports as not covered"
UNUSED = "the list is verified with the CA out of the PCK chain; the chain that comes with the list is not used"

PARTS: dict[str, dict[str, Stated]] = {
    PHALA_SGX: {
        QUOTE: Stated(4600, {ARMOUR: 60}),
        "PCK certificate": Stated(1169),
        "PCK CA certificate": Stated(668),
        "root certificate": Stated(659),
        "intel-tcb-info": Stated(4520),
        "intel-tcb-info signature": Stated(64),
        "intel-tcb-info issuer 0": Stated(657),
        "intel-tcb-info issuer 1": Stated(659),
        "intel-qe-identity": Stated(1217),
        "intel-qe-identity signature": Stated(64),
        "intel-qe-identity issuer 0": Stated(657),
        "intel-qe-identity issuer 1": Stated(659),
        "intel-root-crl": Stated(292),
        "intel-pck-crl": Stated(302),
        "intel-pck-crl issuer 0": Stated(668, {UNUSED: 668}),
        "intel-pck-crl issuer 1": Stated(659, {UNUSED: 659}),
    },
    PHALA_TDX: {
        QUOTE: Stated(5006, {ARMOUR: 62, PADDING: 70}),
        "PCK certificate": Stated(1269),
        "PCK CA certificate": Stated(666),
        "root certificate": Stated(659),
        "intel-tcb-info": Stated(2934),
        "intel-tcb-info signature": Stated(64),
        "intel-tcb-info issuer 0": Stated(657),
        "intel-tcb-info issuer 1": Stated(659),
        "intel-qe-identity": Stated(461),
        "intel-qe-identity signature": Stated(64),
        "intel-qe-identity issuer 0": Stated(657),
        "intel-qe-identity issuer 1": Stated(659),
        "intel-root-crl": Stated(292),
        "intel-pck-crl": Stated(2663),
        "intel-pck-crl issuer 0": Stated(666, {UNUSED: 666}),
        "intel-pck-crl issuer 1": Stated(659, {UNUSED: 659}),
    },
}
"""Every byte of each vector, in parts. The certificates of the quote are changed a second time as DER."""

BOTH = pytest.mark.parametrize("vector_id", PARTS)
EACH = pytest.mark.parametrize(("vector_id", "name"), [(key, name) for key, stated in PARTS.items() for name in stated])
SIGNED_DER = pytest.mark.parametrize(
    ("vector_id", "name"),
    [
        (key, name)
        for key, stated in PARTS.items()
        for name in stated
        if name in ROLES or name.endswith("-crl") or (" issuer " in name and not stated[name].uncovered)
    ],
)


def replaced(vector: IntelVector, old: Endorsement, new: Endorsement) -> IntelVector:
    return vector.with_items(new if item is old else item for item in vector.endorsements)


@functools.cache
def parts(vector_id: str) -> dict[str, Part]:
    """Take a vector apart: the quote as it is, the DER in its PEM chain, every byte of every Endorsement."""
    vector = load(vector_id)
    warm = verifier_of(vector)

    def part(data: bytes, change: Callable[[bytes], IntelVector]) -> Part:
        return Part(
            data=data,
            judge=lambda changed: outcome(lambda: verify(change(changed), verifier=warm).problems),
            cold=lambda changed: outcome(lambda: verify(change(changed)).problems),
        )

    found = {QUOTE: part(vector.evidence.data, vector.with_data)}
    certification = warm.decode(vector.evidence).structure.quote.signature_data.certification
    ders = certification.certificates()

    def with_certificate(index: int, changed: bytes) -> IntelVector:
        return with_certification(vector, pem([*ders[:index], changed, *ders[index + 1 :]]))

    for index, der in enumerate(ders):
        found[ROLES[index]] = part(der, functools.partial(with_certificate, index))

    def with_issuer(item: Endorsement, index: int, changed: bytes) -> IntelVector:
        chain = (*item.issuer_chain[:index], changed, *item.issuer_chain[index + 1 :])
        return replaced(vector, item, replace(item, issuer_chain=chain))

    for item in vector.endorsements:
        name = item.kind.value
        found[name] = part(item.data, lambda changed, item=item: replaced(vector, item, replace(item, data=changed)))
        if item.signature:
            found[f"{name} signature"] = part(
                item.signature, lambda changed, item=item: replaced(vector, item, replace(item, signature=changed))
            )
        for index, der in enumerate(item.issuer_chain):
            found[f"{name} issuer {index}"] = part(der, functools.partial(with_issuer, item, index))
    return found


def uncovered_offsets(vector_id: str, name: str) -> dict[str, list[int]]:
    """Give the offsets that each reason of the table is about."""
    data, reasons = parts(vector_id)[name].data, PARTS[vector_id][name].uncovered
    if name != QUOTE:
        return {reason: list(range(len(data))) for reason in reasons}
    vector = load(vector_id)
    decoded = verifier_of(vector).decode(vector.evidence)
    chain = decoded.structure.quote.signature_data.certification.data
    start, end = data.index(chain), len(data) - decoded.not_covered
    assert end == start + len(chain)
    found = {
        ARMOUR: [at for at in range(start, end) if data[at : at + 1] in b"\n\0"],
        PADDING: list(range(end, len(data))),
    }
    return {reason: offsets for reason, offsets in found.items() if offsets}


@BOTH
def test_the_table_has_every_byte(vector_id: str) -> None:
    found = parts(vector_id)
    assert {name: len(part.data) for name, part in found.items()} == {
        name: stated.size for name, stated in PARTS[vector_id].items()
    }
    vector = load(vector_id)
    inside = sum(
        len(item.data) + len(item.signature) + sum(map(len, item.issuer_chain)) for item in vector.endorsements
    )
    total = len(vector.evidence.data) + inside
    assert total == sum(stated.size for name, stated in PARTS[vector_id].items() if name not in ROLES)
    assert total == {PHALA_SGX: 15_018, PHALA_TDX: 15_441}[vector_id]


@EACH
def test_every_changed_byte(vector_id: str, name: str) -> None:
    expected = uncovered_offsets(vector_id, name)
    assert {reason: len(offsets) for reason, offsets in expected.items()} == PARTS[vector_id][name].uncovered
    assert survivors(parts(vector_id)[name]) == sorted(offset for offsets in expected.values() for offset in offsets)


@SIGNED_DER
def test_every_bit_around_what_is_signed(vector_id: str, name: str) -> None:
    """Tags, lengths and algorithms beside the signed bytes, of which a single changed bit might mean the same."""
    part = parts(vector_id)[name]
    offsets = list(frame(part.data))
    assert 16 < len(offsets) < 32
    assert survivors(part, offsets=offsets, masks=EVERY_BIT) == []


@BOTH
def test_every_bit_of_the_quote_before_its_certificates(vector_id: str) -> None:
    part = parts(vector_id)[QUOTE]
    before = part.data.index(b"-----BEGIN")
    assert before == {PHALA_SGX: 1052, PHALA_TDX: 1258}[vector_id]
    assert survivors(part, offsets=range(before), masks=EVERY_BIT) == []


@EACH
def test_a_verifier_without_memory_says_the_same(vector_id: str, name: str) -> None:
    part = parts(vector_id)[name]
    for offset in range(0, len(part.data), 41):
        changed = flipped(part.data, offset, 1)
        assert part.cold(changed) == part.judge(changed)


@EACH
def test_every_truncation(vector_id: str, name: str) -> None:
    stated = PARTS[vector_id][name]
    behind = stated.uncovered.get(PADDING, 0) + stated.uncovered.get(UNUSED, 0)
    assert surviving_cuts(parts(vector_id)[name]) == list(range(stated.size - behind, stated.size))


@BOTH
def test_every_truncation_of_the_pem_chain(vector_id: str) -> None:
    """The lengths around the chain fit, so that the certificates themselves are cut short, or fewer of them."""
    vector = load(vector_id)
    verifier = verifier_of(vector)
    chain = verifier.decode(vector.evidence).structure.quote.signature_data.certification.data
    part = Part(
        data=chain,
        judge=lambda changed: outcome(lambda: verify(with_certification(vector, changed), verifier=verifier).problems),
        cold=lambda changed: outcome(lambda: verify(with_certification(vector, changed)).problems),
    )
    whole = len(chain.rstrip(b"\n\0"))
    assert surviving_cuts(part) == list(range(whole, len(chain)))


@BOTH
def test_every_truncation_of_the_json_bundle(vector_id: str) -> None:
    data = (VECTORS / vector_id / BUNDLES[vector_id]).read_bytes()
    assert len(endorsements_from_file(data, where="bundle")) == 4
    for end in range(len(data.rstrip())):
        with pytest.raises(DecodeError):
            endorsements_from_file(data[:end], where="bundle")
