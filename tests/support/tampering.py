"""Changing and cutting the bytes of what was signed, and which changes go unnoticed."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import product

from rats_tls.core.errors import RatsTlsError
from rats_tls.core.verification import Problem

ACCEPTED = "accepted"
LOWEST_BIT = (0x01,)
EVERY_BIT = tuple(1 << bit for bit in range(8))
_REMEMBERED = 64
"""Changes after which the genuine bytes are judged again, so that the Verifier has them in its memory throughout."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A part of evidence or of an Endorsement.

    Attributes:
        data: its bytes.
        judge: gives the outcome for other bytes in their place: ACCEPTED or the label of the refusal. The Verifier
            behind it has judged the genuine bytes before and remembers them.
        cold: the same with a Verifier that has judged nothing.
    """

    data: bytes
    judge: Callable[[bytes], str]
    cold: Callable[[bytes], str]


def outcome(verify: Callable[[], Iterable[Problem]]) -> str:
    """Give the label of the first problem, or of the error raised, or ACCEPTED. Errors not ours pass through."""
    try:
        found = next(iter(verify()), None)
    except RatsTlsError as error:
        return error.refusal.label
    return ACCEPTED if found is None else found.error.refusal.label


def flipped(data: bytes, offset: int, mask: int) -> bytes:
    """Give `data` with the bits of `mask` changed in the byte at `offset`."""
    return data[:offset] + bytes((data[offset] ^ mask,)) + data[offset + 1 :]


def survivors(part: Part, *, offsets: Iterable[int] | None = None, masks: Iterable[int] = LOWEST_BIT) -> list[int]:
    """Give the offsets at which a change is accepted; unchanged bytes must be."""
    found: set[int] = set()
    wanted = range(len(part.data)) if offsets is None else offsets
    for count, (offset, mask) in enumerate(product(wanted, masks)):
        if count % _REMEMBERED == 0:
            assert part.judge(part.data) == ACCEPTED
        if part.judge(flipped(part.data, offset, mask)) == ACCEPTED:
            found.add(offset)
    assert part.judge(part.data) == ACCEPTED
    return sorted(found)


def surviving_cuts(part: Part, *, step: int = 1) -> list[int]:
    """Give the lengths below its own, or every `step`th of them, at which `part` is accepted."""
    assert part.judge(part.data) == ACCEPTED
    return [end for end in range(0, len(part.data), step) if part.judge(part.data[:end]) == ACCEPTED]


def frame(der: bytes) -> Iterator[int]:
    """Give the offsets that the signature of a certificate or revocation list does not cover: what is around it.

    They are the outermost tag and length, signatureAlgorithm, and tag, length and unused bits of signatureValue.
    """

    def content(offset: int) -> tuple[int, int]:
        length, start = der[offset + 1], offset + 2
        if length & 0x80:
            size = length & 0x7F
            length, start = int.from_bytes(der[start : start + size], "big"), start + size
        return start, start + length

    signed, _ = content(0)
    _, algorithm = content(signed)
    _, value = content(algorithm)
    bits, _ = content(value)
    yield from range(signed)
    yield from range(algorithm, bits + 1)


def pem(ders: Iterable[bytes]) -> bytes:
    """Armour certificates, whatever is in them."""
    blocks = []
    for der in ders:
        text = base64.b64encode(der).decode()
        lines = "\n".join(text[start : start + 64] for start in range(0, len(text), 64))
        blocks.append(f"-----BEGIN CERTIFICATE-----\n{lines}\n-----END CERTIFICATE-----\n")
    return "".join(blocks).encode()
