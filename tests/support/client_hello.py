"""What a ClientHello offers, by its bytes (RFC 8446 4.1.2)."""

from __future__ import annotations

SUPPORTED_VERSIONS = 43


def suites_and_extensions(record: bytes | bytearray) -> tuple[bytes, dict[int, bytes]]:
    """Give the cipher suites, and the extensions by their numbers, of a ClientHello in one record."""
    body = bytes(record)[5 + 4 + 2 + 32 :]
    body = body[1 + body[0] :]  # legacy_session_id
    size = int.from_bytes(body[:2], "big")
    suites, body = body[2 : 2 + size], body[2 + size :]
    body, found = body[1 + body[0] + 2 :], {}
    while body:
        end = 4 + int.from_bytes(body[2:4], "big")
        found[int.from_bytes(body[:2], "big")] = body[4:end]
        body = body[end:]
    assert SUPPORTED_VERSIONS in found  # what comes behind wrong offsets would have none
    return suites, found


def extensions(record: bytes | bytearray) -> set[int]:
    """Give the numbers of its extensions."""
    return set(suites_and_extensions(record)[1])
