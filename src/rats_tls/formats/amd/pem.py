"""PEM blocks of certificates and revocation lists (RFC 7468), in the order in which they stand."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from rats_tls.core.errors import DecodeError

CERTIFICATE = "CERTIFICATE"
CRL = "X509 CRL"

_BEGIN = b"-----BEGIN "
_BLOCK = re.compile(
    rb"-----BEGIN (?P<label>[A-Z0-9 ]{1,40})-----(?P<body>[^-]*)-----END (?P=label)-----", re.ASCII | re.DOTALL
)


@dataclass(frozen=True, slots=True)
class PemBlock:
    """One block: its label and its content."""

    label: str
    der: bytes


def is_pem(data: bytes) -> bool:
    """Tell PEM from DER, which begins with a SEQUENCE, and from a certificate table with PEM in it.

    What stands before the first block of PEM is text; a table has the zeros there that end its entries.
    """
    before, begin, _ = data.partition(_BEGIN)
    return bool(begin) and data[:1] != b"\x30" and b"\0" not in before


def split_pem(
    data: bytes, structure: str, *, limit: int = 64, labels: Collection[str] = (CERTIFICATE, CRL)
) -> tuple[PemBlock, ...]:
    """Split PEM into its blocks. Text between blocks is ignored.

    Raises:
        DecodeError: no whole block, one that is cut short or no base64, a label that is not among `labels`, or more
            than `limit` blocks.
    """
    blocks: list[PemBlock] = []
    for match in _BLOCK.finditer(data):
        label = match["label"].decode("ascii")
        if label not in labels:
            expected = " or ".join(labels)
            raise DecodeError(structure, "PEM", match.start(), f"label is {label!r}, expected {expected}")
        if len(blocks) == limit:
            raise DecodeError(structure, "PEM", match.start(), f"more than {limit} blocks")
        blocks.append(PemBlock(label, _content(match, structure)))
    if len(blocks) != data.count(_BEGIN) or not blocks:
        raise DecodeError(structure, "PEM", None, "a block is cut short, or there is none")
    return tuple(blocks)


def _content(match: re.Match[bytes], structure: str) -> bytes:
    try:
        return base64.b64decode(b"".join(match["body"].split()), validate=True)
    except binascii.Error as error:
        raise DecodeError(structure, "PEM", match.start(), f"not base64: {error}") from error


def join_pem(ders: Iterable[bytes], *, label: str = CERTIFICATE) -> str:
    """Write blocks of one label."""
    blocks = []
    for der in ders:
        text = base64.b64encode(der).decode()
        lines = "\n".join(text[start : start + 64] for start in range(0, len(text), 64))
        blocks.append(f"-----BEGIN {label}-----\n{lines}\n-----END {label}-----\n")
    return "".join(blocks)
