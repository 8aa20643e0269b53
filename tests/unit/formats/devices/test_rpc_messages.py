"""Protocol Buffers, ttrpc and the broker's messages: exact bytes, round trips, and any bytes."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rats_tls.core.errors import DecodeError
from rats_tls.formats.devices import evidence_broker, ttrpc
from rats_tls.formats.devices.protobuf import Message, integer_field, octets_field

DECODERS: list[Callable[[bytes], object]] = [
    lambda data: Message(data, "Any"),
    ttrpc.FrameHeader.from_bytes,
    ttrpc.Request.from_bytes,
    ttrpc.Response.from_bytes,
    evidence_broker.EvidenceSizeRequest.from_bytes,
    evidence_broker.EvidenceSizeResponse.from_bytes,
    evidence_broker.EvidenceRequest.from_bytes,
    evidence_broker.EvidenceResponse.from_bytes,
]
U32 = st.integers(0, 0xFFFF_FFFF)
TEXT = st.text(max_size=50)


# --- Protocol Buffers -------------------------------------------------------------------------------------------------
def test_fields_are_written_as_the_encoding_says() -> None:
    """The example of its documentation: field 1 with 150, field 2 with `testing`."""
    assert integer_field(1, 150) == bytes.fromhex("089601")
    assert octets_field(2, b"testing") == bytes.fromhex("120774657374696e67")
    assert integer_field(1, 0) + octets_field(2, b"") == b""


def test_unknown_fields_are_skipped() -> None:
    unknown = (
        integer_field(99, 7) + octets_field(100, b"x") + bytes.fromhex("51") + bytes(8) + bytes.fromhex("5d") + bytes(4)
    )
    message = Message(unknown + integer_field(1, 150), "Any")
    assert message.integer(1, "one", maximum=150) == 150
    assert (message.integer(2, "two", maximum=0), message.octets(3, "three")) == (0, b"")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("08", "need 1 bytes"),
        ("0896", "need 1 bytes"),
        ("1207", "need 7 bytes"),
        ("12ffffffffffffffffff01", "need 18446744073709551615 bytes"),
        ("08" + "ff" * 10 + "01", "an integer of more than 10 bytes"),
        ("08" + "ff" * 9 + "7f", "an integer of more than 64 bits"),
        ("00", "got field 0"),
        ("8080808010" + "00", "got field 536870912"),
        ("0b", "got wire type 3 of field 1"),
        ("0f", "got wire type 7 of field 1"),
        ("09" + "00" * 7, "need 8 bytes"),
        ("08010802", "field 1 twice"),
        ("08010a00", "field 1 twice"),
        ("0a", "need 1 bytes"),
    ],
)
def test_what_is_malformed_is_refused(data: str, said: str) -> None:
    with pytest.raises(DecodeError, match=said):
        Message(bytes.fromhex(data), "Any")


def test_fields_are_bounded_in_number_kind_and_value() -> None:
    with pytest.raises(DecodeError, match="more than 64 fields"):
        Message(b"".join(integer_field(number, 1) for number in range(1, 66)), "Any")
    Message(b"".join(integer_field(number, 1) for number in range(1, 65)), "Any")
    message = Message(integer_field(1, 5) + octets_field(2, b"\xff"), "Any")
    with pytest.raises(DecodeError, match=r"Any\.one: got 5, at most 4 is read"):
        message.integer(1, "one", maximum=4)
    with pytest.raises(DecodeError, match="got an integer, expected bytes"):
        message.octets(1, "one")
    with pytest.raises(DecodeError, match="got bytes, expected an integer"):
        message.integer(2, "two", maximum=4)
    with pytest.raises(DecodeError, match="not UTF-8"):
        message.text(2, "two")


# --- ttrpc ------------------------------------------------------------------------------------------------------------
def test_a_call_is_what_servers_expect() -> None:
    request = ttrpc.Request(service="aeb.AEB", method="M", payload=b"\x08\x07", timeout_nano=1)
    data = bytes.fromhex("0a07") + b"aeb.AEB" + bytes.fromhex("12014d1a0208072001")
    assert ttrpc.request_frame(3, request) == bytes.fromhex("00000012 00000003 01 00") + data
    assert ttrpc.Request.from_bytes(data) == request


def test_a_frame_of_more_than_the_protocols_4_mib_is_refused() -> None:
    most = (4_194_304).to_bytes(4, "big") + bytes((0, 0, 0, 1, 2, 0))
    assert ttrpc.FrameHeader.from_bytes(most).length == 4_194_304
    with pytest.raises(DecodeError, match="got 4194305, at most 4194304"):
        ttrpc.FrameHeader.from_bytes((4_194_305).to_bytes(4, "big") + most[4:])


@given(st.integers(0, 16), TEXT, st.binary(max_size=100))
def test_answers_that_were_written_are_read(code: int, message: str, payload: bytes) -> None:
    response = ttrpc.Response(code=code, message=message, payload=payload)
    assert ttrpc.Response.from_bytes(response.to_bytes()) == response


def test_an_answer_without_a_status_is_a_success() -> None:
    assert ttrpc.Response.from_bytes(bytes.fromhex("12020807")) == ttrpc.Response(
        code=0, message="", payload=b"\x08\x07"
    )


# --- the broker's -----------------------------------------------------------------------------------------------------
@given(U32, U32)
def test_requests_that_were_written_are_read(handle: int, size: int) -> None:
    first = evidence_broker.EvidenceSizeRequest(guest_handle=handle)
    assert evidence_broker.EvidenceSizeRequest.from_bytes(first.to_bytes()) == first
    second = evidence_broker.EvidenceRequest(guest_handle=handle, evidence_size=size)
    assert evidence_broker.EvidenceRequest.from_bytes(second.to_bytes()) == second


def test_requests_are_what_the_broker_expects() -> None:
    assert evidence_broker.EvidenceSizeRequest(guest_handle=300).to_bytes() == bytes.fromhex("08ac02")
    assert evidence_broker.EvidenceRequest(guest_handle=7, evidence_size=300).to_bytes() == bytes.fromhex("080710ac02")


@given(st.binary(min_size=1, max_size=100))
def test_evidence_has_another_size_than_the_structure_that_is_stated(evidence: bytes) -> None:
    response = evidence_broker.EvidenceResponse(error_code=0, evidence=evidence)
    assert evidence_broker.EvidenceResponse.from_bytes(response.to_bytes()) == response
    stated = integer_field(2, 6464) + octets_field(3, evidence)
    assert evidence_broker.EvidenceResponse.from_bytes(stated) == response


@pytest.mark.parametrize("size", [0, 262_145])
def test_evidence_is_bounded(size: int) -> None:
    with pytest.raises(DecodeError, match=f"got {size} bytes, expected 1 to 262144"):
        evidence_broker.EvidenceResponse.from_bytes(octets_field(3, bytes(size)))


def test_an_error_comes_without_evidence() -> None:
    answered = evidence_broker.EvidenceSizeResponse(error_code=3, evidence_size=0)
    assert evidence_broker.EvidenceSizeResponse.from_bytes(answered.to_bytes()) == answered
    given_ = evidence_broker.EvidenceResponse.from_bytes(integer_field(1, 3) + octets_field(3, b"x"))
    assert given_ == evidence_broker.EvidenceResponse(error_code=3, evidence=b"")


# --- any bytes --------------------------------------------------------------------------------------------------------
FIELDS = st.lists(
    st.one_of(
        st.builds(integer_field, st.integers(1, 6), st.integers(0, (1 << 64) - 1)),
        st.builds(octets_field, st.integers(1, 6), st.binary(max_size=20)),
    ),
    max_size=6,
).map(b"".join)


@given(st.one_of(st.binary(max_size=100), FIELDS, st.tuples(FIELDS, st.binary(max_size=4)).map(b"".join)))
def test_any_bytes_give_a_value_or_our_error(data: bytes) -> None:
    for decode in DECODERS:
        try:
            decode(data)
        except DecodeError:
            continue
