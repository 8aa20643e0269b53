"""Which TEE this process runs in, and what collects its Evidence.

What is looked at has no effect but a directory in configfs that is made and removed. No environment variable has a say.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rats_tls.attesters import sev_snp
from rats_tls.attesters.csv import CsvAttester
from rats_tls.attesters.device_attester import Availability, DeviceAttester, probed
from rats_tls.attesters.gramine import Gramine
from rats_tls.attesters.occlum import Occlum
from rats_tls.attesters.sev_snp import SevSnpAttester
from rats_tls.attesters.sgx_ecdsa import SgxEcdsaAttester, enclave
from rats_tls.attesters.tdx_ecdsa import TdxEcdsaAttester
from rats_tls.attesters.tsm import Tsm
from rats_tls.core.errors import NoInstanceError

_NEEDS: dict[str, str] = {
    "sgx_la": "needs target_info, the TARGETINFO of the enclave that shall check its reports",
    "sev": "needs broker and guest_handle, which only the host tells",
}
"""Attesters that are never picked, since they cannot be used without settings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Detection:
    """What was found of one Attester.

    Attributes:
        attester: its name.
        availability: whether it can be used here, by what, or why not.
    """

    attester: str
    availability: Availability


def detect() -> tuple[Detection, ...]:
    """Look for every TEE that can be found, in the order in which one is picked.

    Blocks: mostly for milliseconds, for seconds where a device hangs.
    """
    return tuple(Detection(attester=made.name, availability=made.availability()) for made in _candidates())


def pick() -> DeviceAttester:
    """Give the Attester of the first TEE that can be used here. Blocks as `detect` does.

    Raises:
        NoInstanceError: none can; the message says why of each.
    """
    reasons: list[str] = []
    for made in _candidates():
        availability = made.availability()
        if availability.usable:
            return made
        reasons.append(f"{made.name}: {availability.told}")
    raise NoInstanceError(f"attester auto: no TEE that can be used was found here ({'; '.join(reasons)})")


def availability_of(attester: str) -> Availability:
    """Say whether an Attester of hardware can be used here, as far as it can be told without its settings."""
    if attester == "sgx_la":
        found = probed("the enclave", lambda: enclave(Gramine(), Occlum(), quotes=False))
        if found.usable:
            return Availability(
                usable=False, told=f"there is an enclave ({found.told}); this attester {_NEEDS[attester]}"
            )
        return Availability(usable=False, told=f"{_NEEDS[attester]}; {found.told}")
    if attester in _NEEDS:
        return Availability(usable=False, told=_NEEDS[attester])
    return _MAKERS[attester]().availability()


def _candidates() -> tuple[DeviceAttester, ...]:
    """Give the Attesters in order: Gramine; whose provider configfs-tsm has; the guest devices; Occlum."""
    guests: tuple[DeviceAttester, ...] = (TdxEcdsaAttester(), SevSnpAttester(), CsvAttester())
    if _provider() == sev_snp.PROVIDER:
        guests = tuple(sorted(guests, key=lambda made: made.name != SevSnpAttester.name))
    enclave_attester = SgxEcdsaAttester()
    return (enclave_attester, *guests) if Gramine().is_there() else (*guests, enclave_attester)


def _provider() -> str | None:
    """Give the provider of configfs-tsm; None where none can be told, of which the Attesters say why."""
    tsm = Tsm()
    found = probed(tsm.root, tsm.provider) if tsm.is_there() else None
    return found.told if found is not None and found.usable else None


_MAKERS: dict[str, Callable[[], DeviceAttester]] = {
    "sgx_ecdsa": SgxEcdsaAttester,
    "tdx_ecdsa": TdxEcdsaAttester,
    "sev_snp": SevSnpAttester,
    "csv": CsvAttester,
}
