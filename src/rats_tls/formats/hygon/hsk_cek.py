"""The two certificates of a Hygon chip as its vendor hands them out: HSK and CEK in one piece of 2916 bytes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from rats_tls.core.endorsements import Endorsement, EndorsementKind
from rats_tls.core.errors import DecodeError
from rats_tls.formats.hygon.certificates import USAGE_CEK, USAGE_HSK, is_key_form, is_root_form

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


def endorsement_from_certificate(data: bytes, structure: str = "HskCek") -> Endorsement | None:
    """Read HSK ‖ CEK, or one of the two alone, told by its size, curve and usage; None of anything else.

    One alone is half of an Endorsement, and none until `joined` finds its other half.
    """
    if len(data) == HSK_CEK_SIZE and is_root_form(data[:HSK_SIZE], USAGE_HSK):
        return endorsement_from_hsk_cek(data, structure)
    if is_root_form(data, USAGE_HSK):
        return Endorsement(kind=EndorsementKind.HYGON_CEK_CHAIN, data=b"", issuer_chain=(data,))
    if is_key_form(data, USAGE_CEK):
        return Endorsement(kind=EndorsementKind.HYGON_CEK_CHAIN, data=data)
    return None


def is_half(item: Endorsement) -> bool:
    """Whether it is an HSK or a CEK certificate alone."""
    return item.kind is EndorsementKind.HYGON_CEK_CHAIN and not (item.data and item.issuer_chain)


def joined(items: Iterable[Endorsement]) -> tuple[Endorsement, ...]:
    """Give `items` with each CEK that came alone under each HSK that did: a wrong pair is one that does not verify.

    Raises:
        DecodeError: one of them alone.
    """
    items = tuple(items)
    halves = [item for item in items if is_half(item)]
    hsks, ceks = [item for item in halves if not item.data], [item for item in halves if item.data]
    if bool(hsks) is not bool(ceks):
        got, other = ("an HSK", "CEK") if hsks else ("a CEK", "HSK")
        raise DecodeError("HskCek", "", None, f"got {got} certificate alone, expected the {other}'s beside it")
    pairs = [replace(cek, issuer_chain=hsk.issuer_chain) for cek in ceks for hsk in hsks]
    return (*(item for item in items if item not in halves), *pairs)


def endorsement_to_hsk_cek(item: Endorsement) -> bytes:
    """Write HSK ‖ CEK."""
    return b"".join((*item.issuer_chain, item.data))
