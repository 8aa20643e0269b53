"""What Intel's services answer <-> Endorsements.

Source: Intel SGX and TDX Provisioning Certification Service API v4. Nothing here is verified; that an answer is about
what was asked for is checked, so that a document in the wrong place is told from one that is missing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import unquote_to_bytes

from rats_tls.core.endorsements import Endorsement, EndorsementKind
from rats_tls.core.errors import DecodeError
from rats_tls.formats.intel.qe_identity import QeIdentity
from rats_tls.formats.intel.tcb_info import TcbInfo
from rats_tls.formats.json_document import split_response
from rats_tls.formats.x509 import Certificate, RevocationList, certificates_from_pem

TCB_INFO_CHAIN = "TCB-Info-Issuer-Chain"
QE_IDENTITY_CHAIN = "SGX-Enclave-Identity-Issuer-Chain"
PCK_CRL_CHAIN = "SGX-PCK-CRL-Issuer-Chain"
PCK_CHAIN = "SGX-PCK-Certificate-Issuer-Chain"

_ENCODED = re.compile(r"(?:[!-$&-+\--~]|%[0-9A-Fa-f]{2})+")  # visible ASCII; no comma, which joins repeated headers
_HEX = re.compile(rb"(?:[0-9A-Fa-f]{2})+")
_CHAIN_LENGTH = 2
_PCK_NAME = "SGX PCK Certificate"


def tcb_info(body: bytes, headers: Mapping[str, str], *, tee: str, fmspc: str) -> Endorsement:
    """Read a TCB info response.

    Args:
        body: the response.
        headers: by lower-case name.
        tee: "SGX" or "TDX", as asked for.
        fmspc: 12 hexadecimal digits, as asked for.

    Raises:
        DecodeError: another form, or about something else.
    """
    data, signature = split_response(body, "tcbInfo", "TcbInfoResponse")
    document = TcbInfo.from_json(data)
    _require_same("TcbInfo", "id", document.id, tee)
    _require_same("TcbInfo", "fmspc", document.fmspc.hex(), fmspc)
    chain = issuer_chain(headers, TCB_INFO_CHAIN)
    return Endorsement(kind=EndorsementKind.INTEL_TCB_INFO, data=data, signature=signature, issuer_chain=chain)


def qe_identity(body: bytes, headers: Mapping[str, str], *, identity: str) -> Endorsement:
    """Read an enclave identity response; `identity` is "QE" or "TD_QE", as asked for.

    Raises:
        DecodeError: another form, or about something else.
    """
    data, signature = split_response(body, "enclaveIdentity", "QeIdentityResponse")
    _require_same("QeIdentity", "id", QeIdentity.from_json(data).id, identity)
    chain = issuer_chain(headers, QE_IDENTITY_CHAIN)
    return Endorsement(kind=EndorsementKind.INTEL_QE_IDENTITY, data=data, signature=signature, issuer_chain=chain)


def pck_crl(body: bytes, headers: Mapping[str, str], *, issuer: str) -> Endorsement:
    """Read the revocation list of a PCK CA; `issuer` is what its common name must hold.

    Raises:
        DecodeError: another form, or of another CA.
    """
    data = _revocation_list(body, "PckCrl", issuer)
    chain = issuer_chain(headers, PCK_CRL_CHAIN)
    return Endorsement(kind=EndorsementKind.INTEL_PCK_CRL, data=data, issuer_chain=chain)


def root_crl(body: bytes, *, issuer: str) -> Endorsement:
    """Read the revocation list of the root CA; `issuer` is what its common name must hold.

    Raises:
        DecodeError: another form, or of another CA.
    """
    return Endorsement(kind=EndorsementKind.INTEL_ROOT_CRL, data=_revocation_list(body, "RootCaCrl", issuer))


def pck_certificate(body: bytes, headers: Mapping[str, str]) -> Endorsement:
    """Read a PCK certificate (PEM) with its chain.

    Raises:
        DecodeError: another form.
    """
    leaf = certificates_from_pem(body, "PckCertificate", limit=1)[0]
    name = Certificate.from_der(leaf, "PckCertificate").subject.common_name
    if _PCK_NAME not in name:
        raise DecodeError("PckCertificate", "subject", None, f"got common name {name!r}, expected ...{_PCK_NAME}")
    chain = issuer_chain(headers, PCK_CHAIN)
    return Endorsement(kind=EndorsementKind.INTEL_PCK_CHAIN, data=leaf, issuer_chain=chain)


def issuer_chain(headers: Mapping[str, str], name: str) -> tuple[bytes, ...]:
    """Read an issuer chain: percent-encoded PEM, issuer first, root second. A plus sign stands for itself.

    Args:
        headers: by lower-case name.
        name: the header.

    Returns:
        Two certificates, DER.

    Raises:
        DecodeError: absent, or another form.
    """
    text = headers.get(name.lower())
    if text is None:
        raise DecodeError(name, "", None, "the header is absent")
    if not _ENCODED.fullmatch(text):
        raise DecodeError(name, "", None, "not percent-encoded")
    chain = certificates_from_pem(unquote_to_bytes(text), name, limit=_CHAIN_LENGTH)
    if len(chain) != _CHAIN_LENGTH:
        raise DecodeError(name, "", None, f"got {len(chain)} certificates, expected {_CHAIN_LENGTH}")
    for der in chain:
        Certificate.from_der(der, name)
    return chain


def _revocation_list(body: bytes, structure: str, issuer: str) -> bytes:
    """Give the DER of a list that is DER or, as PCCS gives it, hexadecimal of DER."""
    text = body.strip()
    der = bytes.fromhex(text.decode()) if _HEX.fullmatch(text) else body
    name = RevocationList.from_der(der, structure).issuer.common_name
    if issuer not in name:
        raise DecodeError(structure, "issuer", None, f"got common name {name!r}, expected ...{issuer}")
    return der


def _require_same(structure: str, field: str, got: str, expected: str) -> None:
    if got != expected:
        raise DecodeError(structure, field, None, f"got {got}, asked for {expected}")
