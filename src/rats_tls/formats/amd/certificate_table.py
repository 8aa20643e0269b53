"""The certificate table that a host gives its guests (GHCB specification, SNP Extended Guest Request; `auxblob`).

Entries of 24 bytes {GUID, u32 offset, u32 length}, little-endian, ended by an all-zero entry; offsets count from the
start of the table. The host is not trusted: whatever stands in it is verified like any other Endorsement.
"""

from __future__ import annotations

from collections.abc import Iterable

from rats_tls.core.endorsements import Endorsement, EndorsementKind, Origin
from rats_tls.core.errors import ConfigurationError, DecodeError
from rats_tls.core.limits import DEFAULT_LIMITS, Limits
from rats_tls.core.reader import Reader
from rats_tls.formats.amd.pem import CERTIFICATE, CRL, is_pem, split_pem
from rats_tls.formats.amd.vek import VLEK_NAME
from rats_tls.formats.x509 import Certificate

MAX_CERTIFICATE = 16_384
"""Largest certificate in a table; a genuine one has about 1600 bytes, as PEM about 2300."""

_STRUCTURE = "CertificateTable"
_ENTRY_SIZE = 24
_MAX_ENTRIES = 16


def _guid(text: str) -> bytes:
    """Give a GUID's 16 bytes in the order in which it is written."""
    return bytes.fromhex(text.replace("-", ""))


_VCEK = _guid("63da758d-e664-4564-adc5-f4b93be8accd")
_VLEK = _guid("a8074bc2-a25a-483e-aae6-39c045a0b8a1")
_SIGNER = _guid("4ab7b379-bbac-4fe4-a02f-05aef327c782")  # ASK and ASVK
_ROOT = _guid("c0b406a4-a803-4952-9743-3fb6014cd0ae")
_CRL = _guid("92f81bc3-5811-4d3d-97ff-d19f88dc67ea")
_KINDS = {
    _VCEK: EndorsementKind.AMD_VEK,
    _VLEK: EndorsementKind.AMD_VEK,
    _SIGNER: EndorsementKind.AMD_SIGNER,
    _ROOT: EndorsementKind.AMD_ROOT,
    _CRL: EndorsementKind.AMD_CRL,
}


def endorsements_from_table(
    data: bytes, *, origin: Origin = Origin.LOCAL, limits: Limits = DEFAULT_LIMITS
) -> tuple[Endorsement, ...]:
    """Read a certificate table.

    Entries of other GUIDs (platform information) are left out. Certificates may be DER or PEM: hosts write both.

    Args:
        data: the table, with padding behind it or without.
        origin: where it came from.
        limits: `endorsement_document` bounds a revocation list.

    Returns:
        The Endorsements in the order of the table, as DER; none of an empty table.

    Raises:
        DecodeError: no terminating entry, too many entries, an entry outside the table or inside its header, one that
            is too large, or PEM that is not one certificate or list.
    """
    reader = Reader(data, _STRUCTURE)
    entries: list[tuple[bytes, int, int]] = []
    while True:
        entry = (reader.take("guid", 16), reader.u32("offset"), reader.u32("length"))
        if entry == (bytes(16), 0, 0):
            break
        if len(entries) == _MAX_ENTRIES:
            raise reader.error("guid", f"more than {_MAX_ENTRIES} entries")
        entries.append(entry)
    header_size = reader.offset
    items: list[Endorsement] = []
    for index, (guid, offset, length) in enumerate(entries):
        at = index * _ENTRY_SIZE
        if offset < header_size or offset + length > len(data):
            problem = f"{offset:#x} with length {length}: outside {header_size:#x} to {len(data):#x}"
            raise DecodeError(_STRUCTURE, "offset", at + 16, problem)
        kind = _KINDS.get(guid)
        if kind is None:
            continue
        limit = limits.endorsement_document if kind is EndorsementKind.AMD_CRL else MAX_CERTIFICATE
        if not 0 < length <= limit:
            raise DecodeError(_STRUCTURE, "length", at + 20, f"got {length}, expected 1 to {limit} for {kind.value}")
        items.append(Endorsement(kind=kind, data=_der(data[offset : offset + length], kind, offset), origin=origin))
    return tuple(items)


def endorsements_to_table(items: Iterable[Endorsement]) -> bytes:
    """Write the AMD items among `items` as a certificate table with DER; others are left out.

    Raises:
        ConfigurationError: more items than a table is read with.
        DecodeError: a VEK that is not a certificate: its GUID depends on its name.
    """
    amd = set(_KINDS.values())
    entries = [(_guid_of(item), item.data) for item in items if item.kind in amd]
    if len(entries) > _MAX_ENTRIES:
        raise ConfigurationError(f"{_STRUCTURE}: got {len(entries)} items, expected at most {_MAX_ENTRIES}")
    header, body = b"", b""
    start = _ENTRY_SIZE * (len(entries) + 1)
    for guid, data in entries:
        header += guid + (start + len(body)).to_bytes(4, "little") + len(data).to_bytes(4, "little")
        body += data
    return header + bytes(_ENTRY_SIZE) + body


def _der(data: bytes, kind: EndorsementKind, offset: int) -> bytes:
    if not is_pem(data):
        return data
    wanted = CRL if kind is EndorsementKind.AMD_CRL else CERTIFICATE
    blocks = split_pem(data, _STRUCTURE)
    if len(blocks) != 1 or blocks[0].label != wanted:
        raise DecodeError(_STRUCTURE, kind.value, offset, f"expected one PEM block, a {wanted}")
    return blocks[0].der


def _guid_of(item: Endorsement) -> bytes:
    if item.kind is EndorsementKind.AMD_VEK:
        name = Certificate.from_der(item.data, "VekCertificate").subject.common_name
        return _VLEK if name == VLEK_NAME else _VCEK
    return next(guid for guid, kind in _KINDS.items() if kind is item.kind)
