"""A simulated world: one set of vendors and machines, in memory or shared by processes through a directory."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, rsa

from rats_tls.core.anchors import TrustAnchor
from rats_tls.core.endorsements import Endorsements
from rats_tls.core.errors import ConfigurationError
from rats_tls.formats.amd.pem import join_pem
from rats_tls.simulation import pki
from rats_tls.simulation.amd_chip import SimulatedAmdChip
from rats_tls.simulation.amd_vendor import AmdKeyName, SimulatedAmdVendor, generate_rsa_key
from rats_tls.simulation.attesters import (
    Clock,
    SimulatedAttester,
    SimulatedSevSnpAttester,
    SimulatedSgxEcdsaAttester,
    SimulatedSgxLocalAttester,
    SimulatedTdxEcdsaAttester,
    utc_now,
)
from rats_tls.simulation.csv_attester import SimulatedCsvAttester
from rats_tls.simulation.csv_chip import SimulatedHygon, SimulatedHygonChip
from rats_tls.simulation.csv_states import CsvState
from rats_tls.simulation.intel_platform import SimulatedIntelPlatform
from rats_tls.simulation.intel_vendor import IntelKeys, SimulatedIntelVendor
from rats_tls.simulation.key_store import KeyStore
from rats_tls.simulation.local_attestation import SimulatedProcessor, SimulatedTargetEnclave
from rats_tls.simulation.settings import settings_from_texts, split_settings
from rats_tls.simulation.sev_attester import SimulatedSevAttester
from rats_tls.simulation.sev_chip import SimulatedSevChip
from rats_tls.simulation.sev_states import SEV_PRODUCTS, SevProduct, SevState
from rats_tls.simulation.sev_vendor import SevKeyName, SimulatedSevVendor, generate_sev_key
from rats_tls.simulation.states import (
    PRODUCTS,
    Product,
    SgxLocalState,
    SgxState,
    SnpState,
    TargetEnclaveState,
    TdxState,
)
from rats_tls.simulation.vendor_state import (
    AmdVendorState,
    HygonVendorState,
    IntelVendorState,
    NoVendorState,
    SevVendorState,
)
from rats_tls.verifiers.explicit_anchors import HYGON_ROOT, amd_sev_label

ANCHORS_FILE = "trust-anchors.pem"
_KEY_FILE = "simulated-{name}.key.pem"
_LONGEST_NUMBER = 9
_SECRET_FILE = "simulated-machine.secret"  # noqa: S105  # the name of a file
_HYGON_FILE = "simulated-hygon.secret"
_INTEL_KEYS = ("root", "processor", "platform", "tcb_signing")
_WARNING = (
    "These roots belong to simulated TEEs. Their private keys lie beside this file:\n"
    "whoever trusts them trusts everybody who can read it.\n\n"
)
ATTESTERS: dict[str, tuple[type[Any], type[Any]]] = {
    "simulated_sgx_ecdsa": (SgxState, IntelVendorState),
    "simulated_tdx_ecdsa": (TdxState, IntelVendorState),
    "simulated_sgx_la": (SgxLocalState, NoVendorState),
    "simulated_sev_snp": (SnpState, AmdVendorState),
    "simulated_sev": (SevState, SevVendorState),
    "simulated_csv": (CsvState, HygonVendorState),
}
"""The attesters by name, each with the two dataclasses whose fields are its settings."""


class SimulatedWorld:
    """Simulated vendors, and as many Intel platforms and AMD chips of each product as are asked for, by number.

    AMD's keys are made when a product is first used, Hygon's when a CSV guest is; every other thing is there from the
    start.

    Args:
        directory: where keys and `trust-anchors.pem` lie; None keeps them in memory. See `create` and `load`.
        clock: gives the time to the attesters; the present time when left out.
    """

    def __init__(self, directory: str | Path | None = None, *, clock: Clock = utc_now) -> None:
        self._store = KeyStore(Path(directory) if directory is not None else None)
        self._clock = clock
        self._amd: dict[Product, SimulatedAmdVendor] = {}
        self._sev: dict[SevProduct, SimulatedSevVendor] = {}
        self._hygon: SimulatedHygon | None = None
        self._lock = threading.RLock()
        self._secret = self._store.get(_SECRET_FILE, lambda: os.urandom(32))
        if len(self._secret) != 32:
            raise ConfigurationError(f"{_SECRET_FILE}: got {len(self._secret)} bytes, expected 32")
        self.intel = SimulatedIntelVendor(IntelKeys(**{name: self._p256_key(name) for name in _INTEL_KEYS}))
        self.intel_platform = self.intel_machine(0)

    @classmethod
    def create(
        cls, directory: str | Path, *, products: Sequence[Product] = ("Milan",), clock: Clock = utc_now
    ) -> SimulatedWorld:
        """Make a world in `directory`: private keys (mode 0600) and `trust-anchors.pem`.

        Args:
            directory: made when it is not there.
            products: AMD products whose root shall be in `trust-anchors.pem` from the start.
            clock: gives the time to the attesters.

        Raises:
            ConfigurationError: there is a world already, or the directory cannot be written.
        """
        directory = Path(directory)
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigurationError(f"simulated world {directory}: {error}") from error
        if (directory / _SECRET_FILE).exists():
            raise ConfigurationError(f"simulated world {directory}: there is one already")
        world = cls(directory, clock=clock)
        for product in products:
            world.amd(product)
        world._write_anchors()
        return world

    @classmethod
    def load(cls, directory: str | Path, *, clock: Clock = utc_now) -> SimulatedWorld:
        """Load the world that `create` made in `directory`.

        Raises:
            ConfigurationError: there is none, or it cannot be read.
        """
        directory = Path(directory)
        if not (directory / _SECRET_FILE).exists():
            raise ConfigurationError(f"simulated world {directory}: there is none")
        world = cls(directory, clock=clock)
        for product in PRODUCTS:
            if world._store.contains(_amd_key_file(product, "ark")):
                world.amd(product)
        world._find_sev_vendors()
        if world._store.contains(_HYGON_FILE):
            world.hygon()
        return world

    def amd(self, product: Product) -> SimulatedAmdVendor:
        """Give the simulated AMD for `product`; its root joins the trust anchors on first use.

        Raises:
            ConfigurationError: no such product.
        """
        if product not in PRODUCTS:
            raise ConfigurationError(f"product: got {product!r}, expected one of {', '.join(PRODUCTS)}")
        with self._lock:
            return self._amd_vendor(product)

    def _amd_vendor(self, product: Product) -> SimulatedAmdVendor:
        if product not in self._amd:
            is_new = not self._store.contains(_amd_key_file(product, "ark"))

            def key_for(name: AmdKeyName) -> rsa.RSAPrivateKey:
                return self._rsa_key(_amd_key_file(product, name), lambda: generate_rsa_key(name))

            self._amd[product] = SimulatedAmdVendor(product, key_for)
            if is_new:
                self._write_anchors()
        return self._amd[product]

    def amd_chip(self, product: Product, machine: int = 0) -> SimulatedAmdChip:
        """Give chip number `machine` of `product`.

        Raises:
            ConfigurationError: no such number or product.
        """
        return SimulatedAmdChip(self.amd(product), self._derive(_of_machine(f"amd chip {product}", machine)))

    def sev(self, product: SevProduct) -> SimulatedSevVendor:
        """Give the simulated AMD for `product` before SEV-SNP; its root joins the trust anchors on first use.

        Raises:
            ConfigurationError: no such product.
        """
        if product not in SEV_PRODUCTS:
            raise ConfigurationError(f"product: got {product!r}, expected one of {', '.join(SEV_PRODUCTS)}")
        with self._lock:
            if product not in self._sev:
                is_new = not self._store.contains(_sev_key_file(product, "ark"))

                def key_for(name: SevKeyName) -> rsa.RSAPrivateKey:
                    return self._rsa_key(_sev_key_file(product, name), lambda: generate_sev_key(product))

                self._sev[product] = SimulatedSevVendor(product, key_for)
                if is_new:
                    self._write_anchors()
            return self._sev[product]

    def sev_chip(self, product: SevProduct, machine: int = 0) -> SimulatedSevChip:
        """Give chip number `machine` of `product`, for guests before SEV-SNP.

        Raises:
            ConfigurationError: no such number or product.
        """
        return SimulatedSevChip(self.sev(product), self._derive(_of_machine(f"sev chip {product}", machine)))

    def hygon(self) -> SimulatedHygon:
        """Give the simulated Hygon; its root joins the trust anchors on first use.

        Raises:
            UnsupportedError: no library that is at hand does SM2.
        """
        with self._lock:
            if self._hygon is None:
                is_new = not self._store.contains(_HYGON_FILE)
                self._hygon = SimulatedHygon(self._store.get(_HYGON_FILE, lambda: os.urandom(32)))
                if is_new:
                    self._write_anchors()
            return self._hygon

    def hygon_chip(self, machine: int = 0) -> SimulatedHygonChip:
        """Give Hygon chip number `machine`.

        Raises:
            ConfigurationError: no such number.
            UnsupportedError: no library that is at hand does SM2.
        """
        return SimulatedHygonChip(self.hygon(), self._derive(_of_machine("hygon chip", machine)))

    def intel_machine(self, machine: int) -> SimulatedIntelPlatform:
        """Give Intel platform number `machine`; number 0 is `intel_platform`.

        Raises:
            ConfigurationError: no such number.
        """
        return SimulatedIntelPlatform(self.intel, self._derive(_of_machine("intel platform", machine)))

    def target_enclave(self, *, machine: int = 0, **settings: object) -> SimulatedTargetEnclave:
        """Give an enclave that checks local reports which were made for it, on the same simulated machine.

        It is for `rats_tls.verifiers.sgx_la.SgxLocalVerifier`. What that accepts proves nothing, and its results say
        that their anchor is simulated.

        Args:
            machine: number of the platform that it runs on.
            settings: fields of its state (`TargetEnclaveState`).

        Raises:
            ConfigurationError: no such machine or setting, or a value that does not fit its format.
        """
        own, _ = split_settings("simulated target enclave", settings, TargetEnclaveState, NoVendorState)
        state: TargetEnclaveState = TargetEnclaveState(**own)  # type: ignore[arg-type]  # names were checked
        return SimulatedTargetEnclave(SimulatedProcessor(self.intel_machine(machine)), machine, state)

    def now(self) -> datetime:
        """Give the time by the world's clock."""
        return self._clock()

    @property
    def products(self) -> tuple[Product, ...]:
        """The AMD products whose root there is."""
        return tuple(self._amd)

    @property
    def sev_products(self) -> tuple[SevProduct, ...]:
        """The AMD products before SEV-SNP whose root there is."""
        return tuple(self._sev)

    def attester(self, name: str, *, machine: int = 0, **settings: object) -> SimulatedAttester:
        """Make an attester.

        Args:
            name: one of `ATTESTERS`.
            machine: number of the platform or chip that it runs on.
            settings: fields of its state (`SgxState`, `TdxState`, `SnpState`, `SevState`, `CsvState`) and of what its
                vendor publishes (`IntelVendorState`, `AmdVendorState`, `SevVendorState`, `HygonVendorState`).

        Raises:
            ConfigurationError: no such attester, machine or setting, or a value that does not fit its format.
            UnsupportedError: of a CSV guest: no library that is at hand does SM2.
        """
        state_class, vendor_state_class = _classes_of(name)
        own, published = split_settings(name, settings, state_class, vendor_state_class)
        state, vendor_state = state_class(**own), vendor_state_class(**published)
        if isinstance(state, SgxState):
            return SimulatedSgxEcdsaAttester(self.intel_machine(machine), state, vendor_state, clock=self._clock)
        if isinstance(state, TdxState):
            return SimulatedTdxEcdsaAttester(self.intel_machine(machine), state, vendor_state, clock=self._clock)
        if isinstance(state, SgxLocalState):
            return SimulatedSgxLocalAttester(SimulatedProcessor(self.intel_machine(machine)), state, clock=self._clock)
        if isinstance(state, SevState):
            return SimulatedSevAttester(self.sev_chip(state.product, machine), state, vendor_state, clock=self._clock)
        if isinstance(state, CsvState):
            return SimulatedCsvAttester(self.hygon_chip(machine), state, vendor_state, clock=self._clock)
        return SimulatedSevSnpAttester(self.amd_chip(state.product, machine), state, vendor_state, clock=self._clock)

    def attester_from_texts(self, name: str, settings: Mapping[str, object]) -> SimulatedAttester:
        """Make an attester from settings as a command line gives them: texts, and names of whole states.

        Args:
            name: one of `ATTESTERS`.
            settings: as for `attester`, values also as text (see `rats_tls.simulation.settings`), or the name of a
                state with True: `out_of_date`, `revoked`, `wrong_module`, ...; also `machine`.

        Raises:
            ConfigurationError: as `attester`; also a text that is no value of its setting.
        """
        others = {key: value for key, value in settings.items() if key != "machine"}
        machine = _machine_number(settings.get("machine", 0))
        return self.attester(name, machine=machine, **settings_from_texts(name, _classes_of(name), others))

    def endorsements(self, name: str, *, machine: int = 0, **settings: object) -> Endorsements:
        """Give the Endorsements that judge the Evidence of `attester(name, machine=machine, **settings)`."""
        return self.attester(name, machine=machine, **settings).endorsements

    @property
    def trust_anchors(self) -> tuple[TrustAnchor, ...]:
        """The anchors to give explicitly to whoever shall accept this world's Evidence: Intel, the others as used."""
        amd = (vendor.trust_anchor for vendor in self._amd.values())
        sev = (vendor.trust_anchor for vendor in self._sev.values())
        return (self.intel.trust_anchor, *amd, *sev, *((self._hygon.trust_anchor,) if self._hygon else ()))

    @property
    def trust_anchors_pem(self) -> bytes:
        """The root certificates of `trust_anchors`, as PEM behind a warning; each vendor's in its own form."""
        roots = (self.intel.root_certificate, *(vendor.root_certificate for vendor in self._amd.values()))
        sev = (join_pem([each.root_certificate], label=amd_sev_label(each.product)) for each in self._sev.values())
        hygon = join_pem([self._hygon.root_certificate], label=HYGON_ROOT) if self._hygon is not None else ""
        return _WARNING.encode() + pki.to_pem(roots) + ("".join(sev) + hygon).encode()

    @property
    def trust_anchors_file(self) -> Path:
        """The file with `trust_anchors_pem`.

        Raises:
            ConfigurationError: the world has no directory.
        """
        if self._store.directory is None:
            raise ConfigurationError("simulated world: it has no directory, so no file of trust anchors")
        return self._store.directory / ANCHORS_FILE

    def _derive(self, what: bytes) -> bytes:
        return hashlib.sha256(self._secret + what).digest()

    def _p256_key(self, name: str) -> ec.EllipticCurvePrivateKey:
        file = _KEY_FILE.format(name=f"intel-{name}")
        pem = self._store.get(file, lambda: pki.key_to_pem(ec.generate_private_key(ec.SECP256R1())))
        key = pki.key_from_pem(pem, file)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise ConfigurationError(f"{file}: got an RSA key, expected P-256")
        return key

    def _rsa_key(self, file: str, make: Callable[[], rsa.RSAPrivateKey]) -> rsa.RSAPrivateKey:
        key = pki.key_from_pem(self._store.get(file, lambda: pki.key_to_pem(make())), file)
        if not isinstance(key, rsa.RSAPrivateKey):
            raise ConfigurationError(f"{file}: got an EC key, expected RSA")
        return key

    def _find_sev_vendors(self) -> None:
        for product in SEV_PRODUCTS:
            if self._store.contains(_sev_key_file(product, "ark")):
                self.sev(product)

    def _write_anchors(self) -> None:
        for product in PRODUCTS:
            # Another process may have made a product of its own; its root stays in the file.
            if self._store.contains(_amd_key_file(product, "ark")):
                self.amd(product)
        self._find_sev_vendors()
        if self._store.contains(_HYGON_FILE):
            self.hygon()
        self._store.replace(ANCHORS_FILE, self.trust_anchors_pem)


def _of_machine(what: str, machine: int) -> bytes:
    if machine < 0:
        raise ConfigurationError(f"machine: got {machine}, expected the number of a platform or chip, from 0")
    # Number 0 has no number, so that worlds keep the machine that they were made with.
    return (f"{what} {machine}" if machine else what).encode()


def _machine_number(value: object) -> int:
    text = str(value)
    if isinstance(value, bool) or not (text.isascii() and text.isdigit() and len(text) <= _LONGEST_NUMBER):
        raise ConfigurationError(f"machine: got {value!r}, expected the number of a platform or chip, from 0")
    return int(text)


def _amd_key_file(product: Product, name: AmdKeyName) -> str:
    return _KEY_FILE.format(name=f"amd-{product.lower()}-{name}")


def _sev_key_file(product: SevProduct, name: SevKeyName) -> str:
    return _KEY_FILE.format(name=f"amd-sev-{product.lower()}-{name}")


def _classes_of(name: str) -> tuple[type[Any], type[Any]]:
    try:
        return ATTESTERS[name]
    except KeyError as error:
        raise ConfigurationError(f"attester: got {name!r}, expected one of {', '.join(ATTESTERS)}") from error
