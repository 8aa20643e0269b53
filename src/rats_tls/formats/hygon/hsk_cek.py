"""The two certificates of a Hygon chip as its vendor hands them out: HSK and CEK in one piece of 2916 bytes."""

from __future__ import annotations

from rats_tls.core.endorsements import Endorsement, EndorsementKind
from rats_tls.core.errors import DecodeError

HSK_SIZE, CEK_SIZE = 832, 2084
HSK_CEK_SIZE = HSK_SIZE + CEK_SIZE


def endorsement_from_hsk_cek(data: bytes, structure: str = "HskCek") -> Endorsement:
    """Read HSK ‖ CEK (2916 bytes). Nothing in them is looked at.

    Raises:
        DecodeError: another size.
    """
    if len(data) != HSK_CEK_SIZE:
        raise DecodeError(structure, "", None, f"got {len(data)} bytes, expected {HSK_CEK_SIZE}: HSK and CEK")
    return Endorsement(kind=EndorsementKind.HYGON_CEK_CHAIN, data=data[HSK_SIZE:], issuer_chain=(data[:HSK_SIZE],))


def endorsement_to_hsk_cek(item: Endorsement) -> bytes:
    """Write HSK ‖ CEK."""
    return b"".join((*item.issuer_chain, item.data))
