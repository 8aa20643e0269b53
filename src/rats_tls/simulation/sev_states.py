"""Settings of simulated SEV and SEV-ES guests. Every default is that of a healthy production system."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from rats_tls.simulation.states import simulated_measurement

SevProduct = Literal["Naples", "Rome", "Milan"]
SEV_PRODUCTS: tuple[SevProduct, ...] = ("Naples", "Rome", "Milan")

NODBG, ES = 1 << 0, 1 << 2
_ALL_FORBIDDEN = 0b111011
"""NODBG, NOKS, NOSEND, DOMAIN, SEV."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SevState:
    """A SEV or SEV-ES guest, its chip and its firmware.

    Attributes:
        product: name of the processor family; the keys of Naples are short, and made fast.
        debug: clears NODBG.
        es: sets ES: the guest's registers are encrypted too.
        policy: guest policy besides NODBG and ES; the upper half is the lowest API version of the firmware.
        cek_first: whether the CEK's signature stands before the owner's in the PEK certificate; genuine ones of Naples
            have it behind.
        owner: whether the platform has an owner, whose certificate (OCA) is signed by itself and signs the PEK.
        forged_owner: the OCA's signature over the PEK certificate is wrong.
        algorithm: of CEK, PEK and the owner: 2 (ECDSA with SHA-256) or 258 (with SHA-384).
        cek_usage: usage in the CEK certificate, as `pek_usage` and `oca_usage` in the others.
        pek_signed_by: usage of the key that the CEK's signature in the PEK certificate names.
        report_usage: usage of the key that the report names.
        report_algorithm: algorithm that the report names, in place of the PEK's.
        device_type: in place of the product's.
        device_type_size: bytes of the device type.
    """

    product: SevProduct = "Naples"
    debug: bool = False
    es: bool = True
    policy: int = 0x1000_0000 | _ALL_FORBIDDEN
    launch_digest: bytes = simulated_measurement("launch_digest", 32)
    mnonce: bytes = simulated_measurement("mnonce", 16)
    cek_first: bool = False
    owner: bool = True
    forged_owner: bool = False
    algorithm: Literal[2, 258] = 2
    cek_usage: int = 0x1004
    pek_usage: int = 0x1002
    oca_usage: int = 0x1001
    pek_signed_by: int = 0x1004
    report_usage: int = 0x1002
    report_algorithm: int | None = None
    device_type: int | None = None
    device_type_size: Literal[1, 4] = 4
