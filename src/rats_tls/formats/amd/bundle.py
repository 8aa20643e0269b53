"""AMD Endorsements out of loose files, told apart by what is in them.

As AMD's Key Distribution Service gives them: a VCEK (DER), a chain (PEM: ASK or ASVK, then ARK), a revocation list
(DER). PEM and DER are read for each; so is the certificate table that a host gives its guests.
"""

from __future__ import annotations

from rats_tls.core.endorsements import Endorsement, EndorsementKind, Origin
from rats_tls.core.errors import DecodeError
from rats_tls.core.limits import DEFAULT_LIMITS, Limits
from rats_tls.formats.amd.certificate_table import endorsements_from_table
from rats_tls.formats.amd.pem import CERTIFICATE, is_pem, split_pem
from rats_tls.formats.amd.vek import VCEK_NAME, VLEK_NAME
from rats_tls.formats.x509 import Certificate, RevocationList

ROOT_PREFIX = "ARK-"
SIGNER_PREFIX = "SEV-"

_STRUCTURE = "AmdEndorsements"
_SEQUENCE = b"\x30"


def endorsements_from_file(
    data: bytes, *, origin: Origin = Origin.LOCAL, limits: Limits = DEFAULT_LIMITS
) -> tuple[Endorsement, ...]:
    """Read one file: certificates or revocation lists of AMD as PEM or DER, or a certificate table.

    Raises:
        DecodeError: none of these, or a certificate or list that is not AMD's by its name.
    """
    if is_pem(data):
        blocks = split_pem(data, _STRUCTURE)
        return tuple(
            (_certificate if block.label == CERTIFICATE else _revocation_list)(block.der, origin) for block in blocks
        )
    if data[:1] != _SEQUENCE:
        items = endorsements_from_table(data, origin=origin, limits=limits)
        if not items:
            raise DecodeError(_STRUCTURE, "", None, "no Endorsement in the certificate table")
        return items
    try:
        return (_certificate(data, origin),)
    except DecodeError as not_a_certificate:
        try:
            return (_revocation_list(data, origin),)
        except DecodeError as not_a_list:
            problem = f"{not_a_certificate.problem}; {not_a_list.problem}"
            raise DecodeError(_STRUCTURE, "", None, problem) from not_a_list


def _certificate(der: bytes, origin: Origin) -> Endorsement:
    name = Certificate.from_der(der, _STRUCTURE).subject.common_name
    if name in {VCEK_NAME, VLEK_NAME}:
        kind = EndorsementKind.AMD_VEK
    elif name.startswith(ROOT_PREFIX):
        kind = EndorsementKind.AMD_ROOT
    elif name.startswith(SIGNER_PREFIX):
        kind = EndorsementKind.AMD_SIGNER
    else:
        expected = f"{VCEK_NAME}, {VLEK_NAME}, {SIGNER_PREFIX}... or {ROOT_PREFIX}..."
        raise DecodeError(_STRUCTURE, "subject", None, f"common name is {name!r}, expected {expected}")
    return Endorsement(kind=kind, data=der, origin=origin)


def _revocation_list(der: bytes, origin: Origin) -> Endorsement:
    name = RevocationList.from_der(der, _STRUCTURE).issuer.common_name
    if not name.startswith(ROOT_PREFIX):
        raise DecodeError(_STRUCTURE, "issuer", None, f"common name is {name!r}, expected {ROOT_PREFIX}...")
    return Endorsement(kind=EndorsementKind.AMD_CRL, data=der, origin=origin)
