from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rats_tls.core.errors import ProtocolError
from rats_tls.core.limits import DEFAULT_LIMITS, Limits
from rats_tls.preamble.frames import Frame, FrameReader, FrameType

frames = st.builds(Frame, st.sampled_from(FrameType), st.binary(max_size=256))


def read(reader: FrameReader, data: bytes, pieces: list[int]) -> list[Frame]:
    """Feed `data` in pieces, the last one as large as it comes."""
    found = []
    while data:
        size = pieces.pop() if pieces else len(data)
        reader.feed(data[:size])
        data = data[size:]
        while (frame := reader.next()) is not None:
            found.append(frame)
    return found


@given(st.lists(frames, max_size=5))
def test_who_reads_no_more_than_wanted_never_reads_behind_a_frame(sent: list[Frame]) -> None:
    data, reader, found = b"".join(frame.to_bytes() for frame in sent), FrameReader(DEFAULT_LIMITS), []
    while data:
        size = reader.wanted
        reader.feed(data[:size])
        data = data[size:]
        if (frame := reader.next()) is not None:
            assert reader.rest == 0
            found.append(frame)
    assert found == sent


@given(st.lists(frames, max_size=5), st.lists(st.integers(1, 20)))
def test_frames_survive_any_cut(sent: list[Frame], pieces: list[int]) -> None:
    data = b"".join(frame.to_bytes() for frame in sent)
    assert read(FrameReader(DEFAULT_LIMITS), data, pieces) == sent


def test_layout() -> None:
    assert Frame(FrameType.ENDORSEMENTS, b"x" * 0x10203).to_bytes()[:5] == b"\x03\x01\x02\x03x"


def test_numbers_do_not_drift() -> None:
    assert [(t.name, t.value) for t in FrameType] == [
        ("HELLO", 1),
        ("EVIDENCE", 2),
        ("ENDORSEMENTS", 3),
        ("ACCEPTED", 4),
        ("REFUSED", 5),
    ]


@given(st.binary(min_size=1, max_size=300), st.lists(st.integers(1, 20)))
def test_any_bytes_give_frames_or_our_error(data: bytes, pieces: list[int]) -> None:
    reader = FrameReader(Limits(preamble_message=100, preamble_total=200))
    try:
        found = read(reader, data, pieces)
    except ProtocolError:
        return
    assert data.startswith(b"".join(frame.to_bytes() for frame in found))
    assert all(len(frame.payload) <= 100 for frame in found)


@pytest.mark.parametrize(
    ("limits", "data"),
    [
        (Limits(preamble_message=9), b"\x01\x00\x00\x0a"),
        (Limits(preamble_total=12), b"\x01\x00\x00\x09"),
        (Limits(preamble_total=12), b"\x01\x00\x00\x00\x02\x00\x00\x05"),
        (DEFAULT_LIMITS, b"\x01\x00\x40\x01"),
        (DEFAULT_LIMITS, b"\x02\x04\x00\x01"),
        (DEFAULT_LIMITS, b"\x04\x00\x01\x01"),
        (DEFAULT_LIMITS, b"\x05\x00\x01\x01"),
        (DEFAULT_LIMITS, b"\x00\x00\x00\x00"),
        (DEFAULT_LIMITS, b"\x06\x00\x00\x00"),
    ],
)
def test_what_is_refused_at_its_header(limits: Limits, data: bytes) -> None:
    with pytest.raises(ProtocolError):
        read(FrameReader(limits), data, [])


def test_what_is_just_allowed() -> None:
    data = b"\x01\x00\x00\x04abcd\x02\x00\x00\x00"
    assert len(read(FrameReader(Limits(preamble_message=4, preamble_total=12)), data, [])) == 2
