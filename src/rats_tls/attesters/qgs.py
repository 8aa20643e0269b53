"""Quotes of TDREPORTs, by Intel's quote generation service (QGS) on the host."""

from __future__ import annotations

from rats_tls.attesters.dialing import Address
from rats_tls.attesters.host_stream import HostStream
from rats_tls.core.errors import CollectionError, DecodeError
from rats_tls.formats.devices.qgs import LENGTH_SIZE, GetQuoteRequest, GetQuoteResponse, read_length, with_length

GET_QUOTE = "QGS GET_QUOTE"
"""What is asked of the service, in errors."""


def get_quote(address: Address, td_report: bytes, *, seconds: float) -> bytes:
    """Have a quote made, by one request.

    Args:
        address: of the service.
        td_report: TDREPORT (1024 bytes).
        seconds: how long it may take.

    Returns:
        The quote, of at most 64 KiB; what it says is not looked at.

    Raises:
        CollectionError: the service cannot be reached, failed, took too long, or answered something else.
    """
    with HostStream(address, seconds) as stream:
        stream.send(with_length(GetQuoteRequest(report=td_report).to_bytes()), GET_QUOTE)
        try:
            message = stream.receive(read_length(stream.receive(LENGTH_SIZE, GET_QUOTE)), GET_QUOTE)
            response = GetQuoteResponse.from_bytes(message)
        except DecodeError as error:
            raise CollectionError(f"{address}: {GET_QUOTE}: malformed answer: {error.message}") from error
    if response.error_code:
        raise CollectionError(f"{address}: {GET_QUOTE}: the service gives no quote: error {response.error}")
    return response.quote
