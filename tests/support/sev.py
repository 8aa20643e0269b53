"""Evidence before SEV-SNP that is made by hand: parts exchanged, certificates by keys of anybody."""

from __future__ import annotations

from dataclasses import replace

from cryptography.hazmat.primitives.asymmetric import ec

from rats_tls.core.endorsements import Endorsement, EndorsementKind
from rats_tls.core.evidence import Evidence
from rats_tls.simulation import sev_structure
from rats_tls.simulation.sev_structure import OCA
from rats_tls.simulation.sev_vendor import SimulatedSevVendor
from rats_tls.simulation.world import SimulatedWorld
from support.simulated import NOW

REPORT, CEK_AT, PEK_AT, OCA_AT, DEVICE_TYPE = 0, 208, 2292, 4376, 6460
FIRST_SIGNATURE, SECOND_SIGNATURE = 1044, 1564
"""Within a certificate."""


def put(evidence: Evidence, at: int, part: bytes) -> Evidence:
    """Write other bytes into Evidence."""
    data = evidence.data
    return replace(evidence, data=data[:at] + part + data[at + len(part) :])


def part(evidence: Evidence, at: int) -> bytes:
    """Give the report, or the certificate that begins at `at`."""
    return evidence.data[at : at + (2084 if at else 208)]


def owner_of(pek: bytes) -> tuple[bytes, bytes]:
    """Own a platform, as anybody can: the PEK certificate with a new owner's signature, and the OCA certificate."""
    key = ec.generate_private_key(ec.SECP384R1())
    slot = sev_structure.ecdsa_slot(key, OCA, 2, pek[:FIRST_SIGNATURE])
    body = sev_structure.certificate_body(OCA, 2, key.public_key())
    oca = body + sev_structure.ecdsa_slot(key, OCA, 2, body) + sev_structure.NO_SIGNATURE
    return pek[:FIRST_SIGNATURE] + slot + pek[SECOND_SIGNATURE:], oca


def other_world() -> SimulatedWorld:
    """Make a world whose simulated AMD has other keys under the same key ids."""
    return SimulatedWorld(clock=lambda: NOW)


def ask_of(vendor: SimulatedSevVendor) -> Endorsement:
    """Give the ASK of a simulated AMD."""
    return Endorsement(kind=EndorsementKind.AMD_SEV_SIGNER, data=vendor.signer())
