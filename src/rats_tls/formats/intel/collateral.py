"""Intel's bundles of collateral <-> Endorsements.

Two forms: the JSON bundle `QuoteCollateralV3` and the fields of the Interoperable RA-TLS endorsements extension.
Nothing here is verified: documents and lists keep their exact bytes for the Verifier.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterable, Sequence
from contextlib import suppress

from rats_tls.core.endorsements import Endorsement, EndorsementKind, Origin
from rats_tls.core.errors import ConfigurationError, DecodeError
from rats_tls.core.limits import DEFAULT_LIMITS, Limits
from rats_tls.formats.amd.pem import CRL, join_pem
from rats_tls.formats.json_document import JsonObject, join_response, split_response
from rats_tls.formats.x509 import certificates_from_pem

_CRL_PEM = re.compile(rb"-----BEGIN X509 CRL-----([A-Za-z0-9+/=\s]*)-----END X509 CRL-----\s*")
_DOCUMENTS = {
    # prefix of the bundle's members: kind, member of a full PCS response
    "tcb_info": (EndorsementKind.INTEL_TCB_INFO, "tcbInfo"),
    "qe_identity": (EndorsementKind.INTEL_QE_IDENTITY, "enclaveIdentity"),
}


def endorsements_from_json(
    data: bytes, *, origin: Origin = Origin.LOCAL, limits: Limits = DEFAULT_LIMITS
) -> tuple[Endorsement, ...]:
    """Read a JSON bundle `QuoteCollateralV3`.

    Members: `tcb_info`, `qe_identity` (the inner JSON value as text, with `..._signature` in hexadecimal; or a full
    PCS response, whose own signature counts), each with `..._issuer_chain` (PEM); `root_ca_crl`, `pck_crl`
    (hexadecimal or base64 of DER, or PEM), `pck_crl_issuer_chain` (PEM), `pck_certificate_chain` (PEM). Each part
    may be missing, but not all; other members are left alone.

    Raises:
        DecodeError: not strict JSON, a member of another form, a document without its signature or issuer chain, or
            nothing in it.
    """
    bundle = JsonObject.from_bytes(data, "QuoteCollateral")
    items: list[Endorsement] = []
    chains: dict[str, tuple[bytes, ...]] = {}

    def chain_in(member: str) -> tuple[bytes, ...]:
        # One TCB signer signs both documents, so that one text mostly comes twice.
        text = bundle.text(member)
        if text not in chains:
            chains[text] = _certificates(_member(bundle, member), member, limits)
        return chains[text]

    for name, (kind, member) in _DOCUMENTS.items():
        if name not in bundle:
            continue
        signature: bytes | None = None
        if f"{name}_signature" in bundle:
            signature = bundle.hexadecimal(f"{name}_signature", size=64)
        chain = chain_in(f"{name}_issuer_chain")
        document, signature = _document(_member(bundle, name), signature, name, member, limits)
        items.append(Endorsement(kind=kind, data=document, signature=signature, issuer_chain=chain, origin=origin))
    if "root_ca_crl" in bundle:
        crl = _revocation_list(_member(bundle, "root_ca_crl"), "root_ca_crl", limits)
        items.append(Endorsement(kind=EndorsementKind.INTEL_ROOT_CRL, data=crl, origin=origin))
    if "pck_crl" in bundle:
        crl = _revocation_list(_member(bundle, "pck_crl"), "pck_crl", limits)
        chain = ()
        if "pck_crl_issuer_chain" in bundle:
            chain = chain_in("pck_crl_issuer_chain")
        items.append(Endorsement(kind=EndorsementKind.INTEL_PCK_CRL, data=crl, issuer_chain=chain, origin=origin))
    if "pck_certificate_chain" in bundle:
        chain = chain_in("pck_certificate_chain")
        items.append(
            Endorsement(kind=EndorsementKind.INTEL_PCK_CHAIN, data=chain[0], issuer_chain=chain[1:], origin=origin)
        )
    if not items:
        raise DecodeError("QuoteCollateral", "", None, "no Endorsement in it")
    return tuple(items)


def endorsements_to_json(items: Iterable[Endorsement]) -> bytes:
    """Write a JSON bundle `QuoteCollateralV3` with the Intel items among `items`; others are left out.

    Raises:
        ConfigurationError: two items of one kind, which a bundle has no room for, or no Intel item.
    """
    bundle: dict[str, str] = {}
    for kind, item in _by_kind(items).items():
        if kind is EndorsementKind.INTEL_ROOT_CRL:
            bundle["root_ca_crl"] = item.data.hex()
        elif kind is EndorsementKind.INTEL_PCK_CRL:
            bundle["pck_crl"] = item.data.hex()
            if item.issuer_chain:
                bundle["pck_crl_issuer_chain"] = join_pem(item.issuer_chain)
        elif kind is EndorsementKind.INTEL_PCK_CHAIN:
            bundle["pck_certificate_chain"] = join_pem((item.data, *item.issuer_chain))
        else:
            name = next(name for name, (known, _) in _DOCUMENTS.items() if known is kind)
            try:
                bundle[name] = item.data.decode()
            except UnicodeDecodeError as error:
                raise DecodeError("QuoteCollateral", name, error.start, "not UTF-8") from error
            bundle[f"{name}_signature"] = item.signature.hex()
            bundle[f"{name}_issuer_chain"] = join_pem(item.issuer_chain)
    if not bundle:
        raise ConfigurationError("QuoteCollateral: no Intel Endorsement to write")
    return json.dumps(bundle, ensure_ascii=False).encode()


def endorsements_from_fields(
    fields: Sequence[bytes], *, origin: Origin = Origin.PEER, limits: Limits = DEFAULT_LIMITS
) -> tuple[Endorsement, ...]:
    """Read the fields behind the version in the Interoperable RA-TLS endorsements of an Intel TEE.

    Order of Open Enclave's `oe_sgx_endorsements_fields_t`: TCB info response, its issuer chain, PCK CRL, root CA
    CRL, issuer chain of the PCK CRL, quoting enclave identity response, its issuer chain, and perhaps a creation
    time, which nothing covers and which is ignored. Writers in C leave a terminating NUL behind each.

    Raises:
        DecodeError: another number of fields, or a field of another form.
    """
    structure = "IntelEndorsements"
    if len(fields) not in {7, 8}:
        raise DecodeError(structure, "", None, f"{len(fields)} fields behind the version, expected 7 or 8")
    tcb_info, tcb_chain, pck_crl, root_crl, crl_chain, identity, identity_chain = (
        field.rstrip(b"\0") for field in fields[:7]
    )
    items: list[Endorsement] = []
    for name, body, chain in (("tcb_info", tcb_info, tcb_chain), ("qe_identity", identity, identity_chain)):
        kind, member = _DOCUMENTS[name]
        document, signature = _document(body, None, name, member, limits)
        items.append(
            Endorsement(
                kind=kind,
                data=document,
                signature=signature,
                issuer_chain=_certificates(chain, f"{name}_issuer_chain", limits),
                origin=origin,
            )
        )
    # DER ends in a byte that may be zero, so a list keeps what looks like padding and is cut by its own length.
    items.append(
        Endorsement(
            kind=EndorsementKind.INTEL_PCK_CRL,
            data=_revocation_list(fields[2] if fields[2][:1] == b"\x30" else pck_crl, "crl_pck_cert", limits),
            issuer_chain=_certificates(crl_chain, "crl_issuer_chain_pck_cert", limits),
            origin=origin,
        )
    )
    items.append(
        Endorsement(
            kind=EndorsementKind.INTEL_ROOT_CRL,
            data=_revocation_list(fields[3] if fields[3][:1] == b"\x30" else root_crl, "crl_pck_proc_ca", limits),
            origin=origin,
        )
    )
    return tuple(items)


def endorsements_to_fields(items: Iterable[Endorsement]) -> tuple[bytes, ...]:
    """Write the seven fields behind the version; the lists as PEM, as C rats-tls has them.

    Raises:
        ConfigurationError: two items of one kind, or TCB info, identity or one of the lists is not there.
    """
    found = _by_kind(items)
    wanted = (
        EndorsementKind.INTEL_TCB_INFO,
        EndorsementKind.INTEL_PCK_CRL,
        EndorsementKind.INTEL_ROOT_CRL,
        EndorsementKind.INTEL_QE_IDENTITY,
    )
    for kind in wanted:
        if kind not in found:
            raise ConfigurationError(f"IntelEndorsements: {kind.value} is missing, the extension has no room for less")
    tcb_info, pck_crl, root_crl, identity = (found[kind] for kind in wanted)
    return (
        join_response(tcb_info.data, "tcbInfo", tcb_info.signature),
        join_pem(tcb_info.issuer_chain).encode(),
        join_pem((pck_crl.data,), label=CRL).encode(),
        join_pem((root_crl.data,), label=CRL).encode(),
        join_pem(pck_crl.issuer_chain).encode(),
        join_response(identity.data, "enclaveIdentity", identity.signature),
        join_pem(identity.issuer_chain).encode(),
    )


def _by_kind(items: Iterable[Endorsement]) -> dict[EndorsementKind, Endorsement]:
    intel = {
        EndorsementKind.INTEL_PCK_CHAIN,
        EndorsementKind.INTEL_ROOT_CRL,
        EndorsementKind.INTEL_PCK_CRL,
        EndorsementKind.INTEL_TCB_INFO,
        EndorsementKind.INTEL_QE_IDENTITY,
    }
    found: dict[EndorsementKind, Endorsement] = {}
    for item in items:
        if item.kind not in intel:
            continue
        if item.kind in found:
            raise ConfigurationError(f"two items of kind {item.kind.value}: a bundle holds one of each")
        found[item.kind] = item
    return found


def _member(bundle: JsonObject, name: str) -> bytes:
    # A lone surrogate, which JSON can escape, becomes bytes that are no UTF-8 and fail where the text is read.
    return bundle.text(name).encode("utf-8", "surrogatepass")


def _document(body: bytes, signature: bytes | None, name: str, member: str, limits: Limits) -> tuple[bytes, bytes]:
    """Give the exact inner bytes and the signature of an inner value or of a full response."""
    if len(body) > limits.endorsement_document:
        raise DecodeError("QuoteCollateral", name, None, f"{len(body)} bytes, at most {limits.endorsement_document}")
    if member in JsonObject.from_bytes(body, name):
        return split_response(body, member, name)
    if signature is None:
        raise DecodeError("QuoteCollateral", f"{name}_signature", None, "missing")
    return body, signature


def _certificates(pem: bytes, name: str, limits: Limits) -> tuple[bytes, ...]:
    return certificates_from_pem(pem.rstrip(b"\0"), f"QuoteCollateral.{name}", limit=limits.certificate_chain)


def _revocation_list(text: bytes, name: str, limits: Limits) -> bytes:
    """Give the DER of a list that is DER, PEM, or hexadecimal or base64 of DER."""
    if len(text) > 2 * limits.endorsement_document:
        raise DecodeError("QuoteCollateral", name, None, f"{len(text)} bytes are too many for a revocation list")
    if text[:1] == b"\x30" and text[1:2] > b"\x7f":
        return _without_padding(text, name)
    stripped = text.rstrip(b"\0").strip()
    match = _CRL_PEM.fullmatch(stripped)
    if match is not None:
        stripped = b"".join(match.group(1).split())
    elif stripped:
        with suppress(binascii.Error):
            return binascii.unhexlify(stripped)
    try:
        der = base64.b64decode(b"".join(stripped.split()), validate=True)
    except binascii.Error as error:
        raise DecodeError("QuoteCollateral", name, None, "none of hexadecimal, base64, PEM, DER") from error
    if not der:
        raise DecodeError("QuoteCollateral", name, None, "empty")
    return der


def _without_padding(der: bytes, name: str) -> bytes:
    """Cut NULs behind the outermost DER element; anything else behind it is an error."""
    size = der[1] & 0x7F
    end = 2 + size + int.from_bytes(der[2 : 2 + size], "big")
    if der[end:].strip(b"\0"):
        raise DecodeError("QuoteCollateral", name, end, f"{len(der) - end} bytes behind the revocation list")
    return der[:end]
