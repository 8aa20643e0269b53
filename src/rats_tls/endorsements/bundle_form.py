"""The forms in which a bundle holds Endorsements, which are those of their vendors, and what its manifest says."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from rats_tls.core.checks import time_text
from rats_tls.core.documents import Json
from rats_tls.core.endorsements import Endorsement, EndorsementKind, MissingEndorsement, Origin
from rats_tls.core.errors import ConfigurationError, DecodeError
from rats_tls.core.limits import DEFAULT_LIMITS, BundleLimits
from rats_tls.formats.amd.pem import CERTIFICATE, join_pem, split_pem
from rats_tls.formats.hygon.hsk_cek import endorsement_from_hsk_cek, endorsement_to_hsk_cek
from rats_tls.formats.json_document import JsonObject, join_response, split_response

_RESPONSES = {EndorsementKind.INTEL_TCB_INFO: "tcbInfo", EndorsementKind.INTEL_QE_IDENTITY: "enclaveIdentity"}
"""Documents, as Intel's service answers: an object with the document under this name and its signature."""
_DIGEST_SIZE = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleItem:
    """One Endorsement in a bundle, with what the manifest says of it, which proves nothing.

    Attributes:
        endorsement: the item.
        keys: what it was looked up by.
        issued: thisUpdate, issueDate or notBefore; whole seconds.
        expires: nextUpdate or notAfter; likewise.
        anchor: name of the trust anchor under which it was verified, for people.
    """

    endorsement: Endorsement
    keys: tuple[MissingEndorsement, ...]
    issued: datetime
    expires: datetime
    anchor: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Members:
    """The files of one item.

    Attributes:
        name: of the first file, in the archive.
        data: what is in it.
        chain_name: of the file with the issuers' certificates; "" where there is none.
        chain: what is in it.
    """

    name: str
    data: bytes
    chain_name: str = ""
    chain: bytes = b""


def members_of(item: Endorsement, number: int) -> Members:
    """Write an item as files.

    Raises:
        ConfigurationError: it cannot be written so that it would be read as it is.
    """
    kind = item.kind
    stem = f"{kind.value}/{number}"
    member = _RESPONSES.get(kind)
    if kind is EndorsementKind.HYGON_CEK_CHAIN:
        return _as_read(item, Members(name=f"{stem}.cert", data=endorsement_to_hsk_cek(item)))
    if member is not None:
        name, data = f"{stem}.json", join_response(item.data, member, item.signature)
    else:
        name, data = f"{stem}.{'crl' if kind.is_revocation_list else 'der'}", item.data
    chain = join_pem(item.issuer_chain).encode() if item.issuer_chain else b""
    return _as_read(item, Members(name=name, data=data, chain_name=f"{stem}.pem" if chain else "", chain=chain))


def _as_read(item: Endorsement, written: Members) -> Members:
    """Require that the item would be read as it is out of its files."""
    try:
        again = endorsement_of(item.kind, written)
    except DecodeError as error:
        raise ConfigurationError(f"{item.kind.value}: has no form in a bundle: {error.message}") from error
    if again != replace(item, origin=Origin.LOCAL):
        raise ConfigurationError(f"{item.kind.value}: has no form in a bundle that keeps all of its bytes")
    return written


def endorsement_of(kind: EndorsementKind, members: Members) -> Endorsement:
    """Read an item out of its files.

    Raises:
        DecodeError: they have another form, or are larger than documents and chains are.
    """
    member, signature, data = _RESPONSES.get(kind), b"", members.data
    if member is not None:
        data, signature = split_response(data, member, members.name)
    if len(data) > DEFAULT_LIMITS.endorsement_document:
        problem = f"got {len(data)} bytes, at most {DEFAULT_LIMITS.endorsement_document} are read"
        raise DecodeError(members.name, "", None, problem)
    if kind is EndorsementKind.HYGON_CEK_CHAIN:
        return endorsement_from_hsk_cek(data, members.name)
    chain: tuple[bytes, ...] = ()
    if members.chain_name:
        blocks = split_pem(members.chain, members.chain_name, limit=DEFAULT_LIMITS.certificate_chain)
        if any(block.label != CERTIFICATE for block in blocks):
            raise DecodeError(members.chain_name, "", None, "not certificates alone")
        chain = tuple(block.der for block in blocks)
    return Endorsement(kind=kind, data=data, signature=signature, issuer_chain=chain)


def manifest_entry(item: BundleItem, members: Members) -> dict[str, Json]:
    """Give what the manifest says of an item."""
    entry: dict[str, Json] = {
        "kind": item.endorsement.kind.value,
        "keys": [dict(key.key) for key in item.keys],
        "issued": time_text(item.issued),
        "expires": time_text(item.expires),
        "anchor": item.anchor,
        "file": members.name,
        "sha256": hashlib.sha256(members.data).hexdigest(),
    }
    if members.chain_name:
        entry["chain"] = members.chain_name
        entry["chain_sha256"] = hashlib.sha256(members.chain).hexdigest()
    return entry


def names_in(entry: JsonObject) -> tuple[str, ...]:
    """Give the names of the files of an item in the manifest.

    Raises:
        DecodeError: malformed.
    """
    return (entry.text("file"), *([entry.text("chain")] if "chain" in entry else []))


def item_of(entry: JsonObject, files: Mapping[str, bytes], limits: BundleLimits) -> BundleItem:
    """Read an item by what the manifest says of it.

    Args:
        entry: of the manifest.
        files: contents by name, those of the item among them.
        limits: sizes and counts.

    Raises:
        DecodeError: malformed, or files that are not those that the manifest was written for.
    """
    kind = EndorsementKind(entry.one_of("kind", tuple(kind.value for kind in EndorsementKind)))
    name, *chain = names_in(entry)
    _require_digest(entry, "sha256", name, files[name])
    if chain:
        _require_digest(entry, "chain_sha256", chain[0], files[chain[0]])
    members = Members(
        name=name,
        data=files[name],
        chain_name=chain[0] if chain else "",
        chain=files[chain[0]] if chain else b"",
    )
    return BundleItem(
        endorsement=endorsement_of(kind, members),
        keys=tuple(
            MissingEndorsement(kind=kind, key=key.pairs()) for key in entry.objects("keys", least=0, most=limits.keys)
        ),
        issued=entry.time("issued"),
        expires=entry.time("expires"),
        anchor=entry.text("anchor"),
    )


def _require_digest(entry: JsonObject, field: str, name: str, data: bytes) -> None:
    expected, got = entry.hexadecimal(field, size=_DIGEST_SIZE), hashlib.sha256(data).digest()
    if got != expected:
        raise entry.error(field, f"{name}: got {got.hex()}, expected {expected.hex()}")
