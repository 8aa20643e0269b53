"""ASKs before SEV-SNP as AMD publishes them: `ask_ark_<product>.cert` holds an ASK and behind it its ARK."""

from __future__ import annotations

from rats_tls.core.endorsements import Endorsement, EndorsementKind, Origin
from rats_tls.core.errors import DecodeError
from rats_tls.core.limits import DEFAULT_LIMITS, Limits
from rats_tls.formats.amd.sev_keys import ASK
from rats_tls.formats.amd.sev_signer import split_signers


def endorsements_from_signers(
    data: bytes, *, origin: Origin = Origin.LOCAL, limits: Limits = DEFAULT_LIMITS
) -> tuple[Endorsement, ...]:
    """Give the ASKs in such a file. ARKs are left out: whoever judges has them pinned.

    Raises:
        DecodeError: malformed, no ASK in it, or more certificates than a peer may send.
    """
    signers = split_signers(data, limit=limits.peer_endorsements)
    found = tuple(
        Endorsement(kind=EndorsementKind.AMD_SEV_SIGNER, data=signer.data, origin=origin)
        for signer in signers
        if signer.usage == ASK
    )
    if not found:
        raise DecodeError("SevSignerCertificate", "key_usage", None, "no certificate of an ASK, but that of an ARK")
    return found
