"""Endorsements from files that a user names, told apart by what is in them."""

from __future__ import annotations

from rats_tls.core.endorsements import Endorsement, EndorsementKind
from rats_tls.core.errors import DecodeError, RatsTlsError
from rats_tls.core.limits import DEFAULT_LIMITS, Limits
from rats_tls.formats.amd.bundle import endorsements_from_file as amd_endorsements
from rats_tls.formats.amd.pem import CERTIFICATE, is_pem, split_pem
from rats_tls.formats.amd.sev_bundle import endorsements_from_signers
from rats_tls.formats.amd.sev_signer import is_signer_file
from rats_tls.formats.hygon.hsk_cek import endorsement_from_certificate
from rats_tls.formats.intel.collateral import endorsements_from_json
from rats_tls.formats.vendor_files import vendor_file
from rats_tls.formats.x509 import Certificate, RevocationList

_STRUCTURE = "EndorsementsFile"
_INTEL_ROOT = "SGX Root CA"
_INTEL = "SGX"
_PCK = "SGX PCK Certificate"


def endorsements_from_file(data: bytes, *, where: str, limits: Limits = DEFAULT_LIMITS) -> tuple[Endorsement, ...]:
    """Read Endorsements of any known form.

    Known are: Intel's JSON bundle of TCB info, QE identity and revocation lists; a PCK chain (PEM); revocation lists
    of Intel or AMD (PEM, DER); AMD's VCEK or VLEK, ASK, ARK (PEM, DER); AMD's certificate table; ASK and ARK before
    SEV-SNP in AMD's own form; Hygon's HSK and CEK in one, or one of the two, which is half an Endorsement
    (`rats_tls.formats.hygon.hsk_cek.joined`).

    Args:
        data: the file's bytes.
        where: what to call it in errors.
        limits: sizes and counts.

    Raises:
        DecodeError: none of these, or larger than the limits; the message names the file.
    """
    try:
        items = _read(data, limits)
    except RatsTlsError as error:
        raise DecodeError(where, "", None, error.message) from error
    for item in items:
        if len(item.data) > limits.endorsement_document:
            problem = f"got {len(item.data)} bytes, at most {limits.endorsement_document} are read"
            raise DecodeError(where, item.kind.value, None, problem)
    return items


def _read(data: bytes, limits: Limits) -> tuple[Endorsement, ...]:
    if data.lstrip()[:1] == b"{":
        return endorsements_from_json(data, limits=limits)
    if is_signer_file(data):
        return endorsements_from_signers(data, limits=limits)
    of_hygon = endorsement_from_certificate(data)
    if of_hygon is not None:
        return (of_hygon,)
    what = vendor_file(data)
    if what is not None:
        raise DecodeError("no known form of Endorsements", "", None, f"got {what}")
    if not is_pem(data):
        issuer = _issuer_of_list(data)
        if issuer is not None and _INTEL in issuer:
            return (_intel_list(data, issuer),)
        try:
            return amd_endorsements(data, limits=limits)
        except RatsTlsError as error:
            raise DecodeError("no known form of Endorsements", "", None, error.message) from error
    blocks = split_pem(data, _STRUCTURE)
    certificates = [Certificate.from_der(block.der, _STRUCTURE) for block in blocks if block.label == CERTIFICATE]
    lists = [block.der for block in blocks if block.label != CERTIFICATE]
    if not any(_INTEL in certificate.subject.common_name for certificate in certificates) and not any(
        _INTEL in (_issuer_of_list(der) or "") for der in lists
    ):
        return amd_endorsements(data, limits=limits)
    items = [_intel_list(der, _issuer_of_list(der) or "") for der in lists]
    if certificates:
        items.append(_pck_chain(certificates))
    return tuple(items)


def _issuer_of_list(der: bytes) -> str | None:
    try:
        return RevocationList.from_der(der, _STRUCTURE).issuer.common_name
    except DecodeError:
        return None


def _intel_list(der: bytes, issuer: str) -> Endorsement:
    kind = EndorsementKind.INTEL_ROOT_CRL if _INTEL_ROOT in issuer else EndorsementKind.INTEL_PCK_CRL
    return Endorsement(kind=kind, data=der)


def _pck_chain(certificates: list[Certificate]) -> Endorsement:
    """Order a PCK chain by its issuers, whatever the order in the file."""
    by_subject = {certificate.subject.der: certificate for certificate in certificates}
    leaf = next((item for item in certificates if _PCK in item.subject.common_name), None)
    if leaf is None:
        names = ", ".join(certificate.subject.common_name for certificate in certificates)
        raise DecodeError(_STRUCTURE, "", None, f"no {_PCK} among the certificates: {names}")
    chain: list[bytes] = []
    link = by_subject.get(leaf.issuer.der)
    while link is not None and len(chain) < len(certificates):
        chain.append(link.der)
        link = None if link.self_issued else by_subject.get(link.issuer.der)
    return Endorsement(kind=EndorsementKind.INTEL_PCK_CHAIN, data=leaf.der, issuer_chain=tuple(chain))
