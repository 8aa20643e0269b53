"""The simulated vendors' services of one world, run together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import datetime
from typing import Generic, Self, TypeVar

from rats_tls.core.errors import ConfigurationError, UnsupportedError
from rats_tls.simulation.csv_chip import SimulatedHygonChip
from rats_tls.simulation.services import hygon, kds, pcs
from rats_tls.simulation.services.certificate import ServiceCertificate
from rats_tls.simulation.services.faults import Faults
from rats_tls.simulation.services.messages import Request, Response
from rats_tls.simulation.services.publication import AmdPublication, HygonPublication, IntelPublication
from rats_tls.simulation.services.server import WebService
from rats_tls.simulation.states import FMSPCS, Product
from rats_tls.simulation.world import SimulatedWorld

INTEL_PCS, INTEL_PCCS, AMD_KDS, HYGON_CERTS = "intel-pcs", "intel-pccs", "amd-kds", "hygon-certs"
SERVICES = (INTEL_PCS, INTEL_PCCS, AMD_KDS, HYGON_CERTS)
"""Names of the services of a world."""
MACHINES = 4
"""How many platforms, and chips of each product, the services know unless another number is asked for."""


_Publication = TypeVar("_Publication", IntelPublication, AmdPublication, HygonPublication)


class VendorService(WebService, Generic[_Publication]):
    """A vendor's service.

    Args:
        name: what it is called.
        publication: what it gives out.
        answer: answers a request out of a publication at a time.
        clock: gives that time.
        certificate: for HTTPS; None is plain HTTP.
        port: 0 is any free one.

    Attributes:
        publication: what it gives out, before its faults; may be set at any time.

    Raises:
        ConfigurationError: the port cannot be had.
    """

    def __init__(
        self,
        name: str,
        publication: _Publication,
        answer: Callable[[Request, _Publication, datetime], Response],
        clock: Callable[[], datetime],
        *,
        certificate: ServiceCertificate | None,
        port: int = 0,
    ) -> None:
        super().__init__(name, certificate=certificate, port=port)
        self.publication: _Publication = publication
        self._answer: Callable[[Request, _Publication, datetime], Response] = answer
        self._clock = clock

    def respond(self, request: Request, faults: Faults) -> Response:
        """Answer one request out of what the faults leave of the publication."""
        now = self._clock()
        return self._answer(request, faults.on(self.publication, now), now)


def _hygon_chips(world: SimulatedWorld, machines: int) -> tuple[SimulatedHygonChip, ...]:
    """Give the chips of Hygon; none where no library does SM2, without which nobody can judge them either."""
    try:
        return tuple(world.hygon_chip(number) for number in range(machines))
    except UnsupportedError:
        return ()


class SimulatedServices:
    """PCS, PCCS, KDS and Hygon's service of one world, each on a port of its own. A context manager: they run in it.

    Args:
        world: whose roots sign, and whose clock says when.
        products: AMD products that KDS knows; when left out those that the world has, or Milan if it has none. Their
            signers' keys are made at once. Those before SEV-SNP that the world has are served there too.
        machines: how many platforms, and chips of each product, they know: numbers 0 to `machines` - 1.
        fmspcs: FMSPCs (6 bytes each) that there is TCB info for.
        tls: HTTPS, with a certificate that is made here; else plain HTTP.
        port: of PCS; the others have the next three. 0 is any free ones.

    Attributes:
        intel_pcs: Intel's service.
        intel_pccs: a cache of it.
        amd_kds: AMD's service.
        hygon_certs: Hygon's service.

    Raises:
        ConfigurationError: no such product, fewer than one machine, or a port that cannot be had.
    """

    def __init__(
        self,
        world: SimulatedWorld,
        *,
        products: Sequence[Product] | None = None,
        machines: int = MACHINES,
        fmspcs: Sequence[bytes] = FMSPCS,
        tls: bool = True,
        port: int = 0,
    ) -> None:
        if machines < 1:
            raise ConfigurationError(f"machines: got {machines}, expected 1 or more")
        self._certificate = ServiceCertificate() if tls else None
        numbers = range(machines)
        platforms = tuple(world.intel_machine(number) for number in numbers)
        amd: dict[Product, kds.AmdProduct] = {}
        for product in (world.products or ("Milan",)) if products is None else products:
            vendor = world.amd(product)
            vendor.signer("VCEK", world.now())
            chips = tuple(world.amd_chip(product, number) for number in numbers)
            amd[product] = kds.AmdProduct(vendor=vendor, chips=chips)

        sev = {product: world.sev(product) for product in world.sev_products}

        def intel(name: str, port: int) -> VendorService[IntelPublication]:
            catalogue = pcs.IntelCatalogue(
                vendor=world.intel, platforms=platforms, fmspcs=tuple(fmspcs), is_cache=name == INTEL_PCCS
            )
            return VendorService(
                name,
                IntelPublication(),
                lambda request, publication, now: pcs.respond(request, catalogue, publication, now),
                world.now,
                certificate=self._certificate,
                port=port,
            )

        hygon_chips = _hygon_chips(world, machines)
        ports = tuple(port + number if port else 0 for number in range(len(SERVICES)))
        with ExitStack() as made:
            self.intel_pcs = intel(INTEL_PCS, ports[0])
            made.callback(self.intel_pcs.close)
            self.intel_pccs = intel(INTEL_PCCS, ports[1])
            made.callback(self.intel_pccs.close)
            self.amd_kds = VendorService(
                AMD_KDS,
                AmdPublication(),
                lambda request, publication, now: kds.respond(request, amd, publication, now, sev=sev),
                world.now,
                certificate=self._certificate,
                port=ports[2],
            )
            made.callback(self.amd_kds.close)
            self.hygon_certs = VendorService(
                HYGON_CERTS,
                HygonPublication(),
                lambda request, publication, _now: hygon.respond(request, hygon_chips, publication),
                world.now,
                certificate=self._certificate,
                port=ports[3],
            )
            made.callback(self.hygon_certs.close)
            self._closing = made.pop_all()

    @property
    def all(self) -> tuple[WebService, ...]:
        """The services, in the order of `SERVICES`."""
        return (self.intel_pcs, self.intel_pccs, self.amd_kds, self.hygon_certs)

    @property
    def certificate_authority(self) -> bytes:
        """The CA certificate (PEM) that clients have to trust for HTTPS; empty for plain HTTP."""
        return b"" if self._certificate is None else self._certificate.authority_pem

    def start(self) -> None:
        """Listen."""
        for service in self.all:
            service.start()

    def close(self) -> None:
        """End every connection and give the ports back. Twice is as good as once."""
        self._closing.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
