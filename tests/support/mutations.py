"""Good bytes made bad: what Hypothesis changes in them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from hypothesis import strategies as st

KINDS = ("flip", "set", "insert", "cut", "cut off", "repeat")


@st.composite
def mutated(draw: st.DrawFn, originals: Callable[[], Sequence[bytes]], *, most: int = 4) -> bytes:
    """One of `originals` after up to `most` changes: bytes flipped, set, inserted, cut out, repeated, cut off.

    Args:
        draw: given by Hypothesis.
        originals: makes them; called when the first example is drawn, because some take long to make.
        most: how many changes at most; there may be none.
    """
    data = bytearray(draw(st.sampled_from(range(len(originals()))).map(lambda index: originals()[index])))
    for _ in range(draw(st.integers(0, most))):
        position, kind = draw(st.integers(0, len(data))), draw(st.sampled_from(KINDS))
        if kind == "flip" and position < len(data):
            data[position] ^= draw(st.integers(1, 255))
        elif kind == "set":
            value = draw(st.binary(min_size=1, max_size=8))
            data[position : position + len(value)] = value
        elif kind == "insert":
            data[position:position] = draw(st.binary(min_size=1, max_size=8))
        elif kind == "cut":
            del data[position : position + draw(st.integers(1, 32))]
        elif kind == "cut off":
            del data[position:]
        elif kind == "repeat":
            data[position:position] = data[position : position + draw(st.integers(1, 32))]
    return bytes(data)
