"""Messages of the quote generation service: exact bytes, and any bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rats_tls.core.errors import DecodeError
from rats_tls.formats.devices.qgs import GetQuoteRequest, GetQuoteResponse, read_length, with_length

REPORT = bytes(range(256)) * 4
HEADER = bytes.fromhex("01000000 00000000 18040000 00000000 00040000 00000000")


def test_a_request_is_what_the_service_expects() -> None:
    message = GetQuoteRequest(report=REPORT).to_bytes()
    assert message == HEADER + REPORT
    assert with_length(message)[:4] == bytes.fromhex("00000418")
    assert GetQuoteRequest.from_bytes(message) == GetQuoteRequest(report=REPORT)


@pytest.mark.parametrize("offset", [0, 4, 8, 12, 16, 20])
def test_each_field_of_a_request_counts(offset: int) -> None:
    message = bytearray(HEADER + REPORT)
    message[offset] ^= 2
    with pytest.raises(DecodeError, match="GetQuoteRequest"):
        GetQuoteRequest.from_bytes(bytes(message))


def test_an_answer_that_was_written_is_read() -> None:
    for response in (GetQuoteResponse(error_code=0, quote=b"q" * 65_536), GetQuoteResponse(error_code=5, quote=b"")):
        message = response.to_bytes()
        assert GetQuoteResponse.from_bytes(message) == response
        assert read_length(with_length(message)[:4]) == len(message)


@given(st.binary(max_size=200), st.booleans())
def test_any_bytes_give_a_value_or_our_error(data: bytes, headed: bool) -> None:
    message = HEADER[:4] + b"\x01\0\0\0" + len(data).to_bytes(4, "little") + data[12:] if headed else data
    for decode in (GetQuoteResponse.from_bytes, GetQuoteRequest.from_bytes, read_length):
        try:
            decode(message)
        except DecodeError:
            continue


@given(st.binary(min_size=1, max_size=100), st.data())
def test_every_truncation_is_refused(quote: bytes, data: st.DataObject) -> None:
    message = GetQuoteResponse(error_code=0, quote=quote).to_bytes()
    cut = data.draw(st.integers(0, len(message) - 1))
    with pytest.raises(DecodeError):
        GetQuoteResponse.from_bytes(message[:cut])
    with pytest.raises(DecodeError):
        GetQuoteResponse.from_bytes(message + b"\0")
