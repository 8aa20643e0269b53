"""What dstack's guest agent answers when it is asked for a quote: JSON with the quote and the event log."""

from __future__ import annotations

from rats_tls.core.errors import DecodeError
from rats_tls.core.evidence import Evidence
from rats_tls.formats.detect import detect_evidence
from rats_tls.formats.json_document import JsonObject

_STRUCTURE = "DstackQuote"


def read_dstack_quote(data: bytes) -> Evidence | None:
    """Read such an answer; None of other data.

    Raises:
        DecodeError: malformed.
        UnsupportedError: its quote is none that is known.
    """
    if data.lstrip()[:1] != b"{":
        return None
    try:
        answer = JsonObject.from_bytes(data, _STRUCTURE)
    except DecodeError:
        return None
    if "quote" not in answer or "event_log" not in answer:
        return None
    evidence = detect_evidence(answer.octets("quote"))
    return Evidence(evidence.media_type, evidence.data, answer.text("event_log").encode())
