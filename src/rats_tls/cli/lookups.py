"""Options by which a command asks for Endorsements and keeps them, and the sources and stores that they name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from rats_tls.cli.screen import Screen, Styled
from rats_tls.core.endorsements import Endorsements
from rats_tls.core.errors import ConfigurationError
from rats_tls.endorsements.budget import FetchBudget, Rate
from rats_tls.endorsements.fetcher import Fetcher
from rats_tls.endorsements.service import EndorsementService
from rats_tls.endorsements.source import EndorsementSource
from rats_tls.endorsements.store import EndorsementStore, is_store

_F = TypeVar("_F", bound=Callable[..., object])
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_NO_BOUND = Rate(burst=1_000_000, seconds_each=0.001)
_FOR_FILES: dict[str, Any] = {
    "total": _NO_BOUND, "per_source": {}, "other_sources": _NO_BOUND, "shared_per_source": {}, "known_per_source": {},
    "per_platform": _NO_BOUND,
}  # fmt: skip
_ROOT_CRL_PATH = "/IntelSGXRootCA.der"


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceOptions:
    """Which services are asked, as given."""

    pcs: str | None
    pccs: str | None
    kds: str | None
    hygon: str | None
    services_ca: Path | None

    @property
    def is_given(self) -> bool:
        """Whether any of them is."""
        return any((self.pcs, self.pccs, self.kds, self.hygon, self.services_ca))

    def sources(self, channel: str) -> tuple[EndorsementSource, ...]:
        """Make the sources that they name, the vendors' own where they name none.

        Args:
            channel: update channel of Intel's documents.

        Raises:
            UnsupportedError: the extra `fetch` is not installed.
            ConfigurationError: a URL or certificate file of another form.
            click.UsageError: options that do not go together.
        """
        from rats_tls.endorsements.amd_kds import AmdKds  # noqa: PLC0415  # loaded only where asked for
        from rats_tls.endorsements.amd_sev import AmdSevSigners  # noqa: PLC0415  # likewise
        from rats_tls.endorsements.hygon_certs import HygonCerts  # noqa: PLC0415  # likewise
        from rats_tls.endorsements.intel_pcs import IntelPcs, Pccs  # noqa: PLC0415  # likewise

        if self.pcs and self.pccs:
            raise click.UsageError("--pcs and --pccs: choose one")
        if self.services_ca and not (self.pcs or self.pccs or self.kds or self.hygon):
            raise click.UsageError("--services-ca goes with --pcs, --pccs, --kds, --hygon: the vendors' own need none")
        intel: EndorsementSource = IntelPcs(channel=channel)
        if self.pcs is not None:
            root_crl = self.pcs.rstrip("/") + _ROOT_CRL_PATH
            intel = IntelPcs(channel=channel, base_url=self.pcs, root_crl_url=root_crl, ca=self.services_ca)
        elif self.pccs is not None:
            intel = Pccs(self.pccs, ca=self.services_ca, channel=channel)
        hygon = HygonCerts(base_url=self.hygon, ca=self.services_ca) if self.hygon is not None else HygonCerts()
        if self.kds is None:
            return intel, AmdKds(), AmdSevSigners(), hygon
        mirror, ca = self.kds, self.services_ca
        return intel, AmdKds(base_url=mirror, ca=ca), AmdSevSigners(base_url=mirror, ca=ca), hygon


@dataclass(frozen=True, slots=True, kw_only=True)
class LookupOptions:
    """The options of a look-up, as given."""

    fetch: bool
    services: SourceOptions
    channel: str | None
    store: Path | None

    @classmethod
    def taken_from(cls, parameters: dict[str, Any]) -> LookupOptions:
        """Take them out of a command's parameters, which hold others too."""
        services = SourceOptions(**{name: parameters.pop(name) for name in SourceOptions.__slots__})
        own = {name: parameters.pop(name) for name in cls.__slots__ if name != "services"}
        return cls(services=services, **own)

    @property
    def is_given(self) -> bool:
        """Whether any of them is."""
        return self.fetch or self.services.is_given or self.channel is not None or self.store is not None

    def endorsements(self, local: Endorsements, *, of_peers: bool = True) -> Endorsements | EndorsementService:
        """Give what appraisals are to use: `local` as it is, or a service that also looks up.

        Args:
            local: Endorsements that the user hands over.
            of_peers: whether they are for peers, whoever these are, as long as the process lives; else for files, which
                the user has chosen: their look-ups spend no budget for strangers, and nothing is refreshed.

        Raises:
            RatsTlsError: as `SourceOptions.sources`; the store cannot be used, or is not there and nothing would fill
                it.
            click.UsageError: options that do not go together.
        """
        if not self.fetch and self.services.is_given:
            raise click.UsageError("--pcs, --pccs, --kds, --hygon and --services-ca go with --fetch")
        if not self.fetch and self.channel is not None and self.store is None:
            raise click.UsageError("--channel goes with --fetch or --store")
        sources = self.services.sources(self.channel or "standard") if self.fetch else ()
        if not sources and self.store is None:
            return local
        store = None
        if self.store is not None:
            if not self.fetch and not is_store(self.store):
                raise ConfigurationError(f"store {self.store}: there is none; with --fetch one is made")
            store = open_or_make_store(self.store)
        budget = FetchBudget() if of_peers else FetchBudget(**_FOR_FILES)
        fetcher = Fetcher(sources, budget=budget)
        return EndorsementService(fetcher=fetcher, store=store, local=local, channel=self.channel, refresh=of_peers)


def open_or_make_store(directory: Path) -> EndorsementStore:
    """Open a store, or make it and say so on standard error: a mistyped name would go unseen.

    Raises:
        ConfigurationError: it cannot be used.
    """
    is_new = not is_store(directory)
    store = EndorsementStore(directory)
    if is_new:
        Screen(stderr=True).line(Styled("note", "yellow"), f": store {directory}: there was none, a new one is made")
    return store


def sources_options(command: _F) -> _F:
    """Add the options that say which services are asked."""
    for option in reversed(
        (
            click.option("--pcs", metavar="URL", help="Ask this mirror of Intel's PCS."),
            click.option("--pccs", metavar="URL", help="Ask this PCCS in place of Intel's PCS."),
            click.option("--kds", metavar="URL", help="Ask this mirror of AMD's KDS."),
            click.option("--hygon", metavar="URL", help="Ask this mirror of Hygon's certificate service."),
            click.option(
                "--services-ca",
                type=_FILE,
                metavar="FILE",
                help="Certificates (PEM) that verify the servers of the options above in place of the system's.",
            ),
        )
    ):
        command = option(command)
    return command


def lookup_options(command: _F) -> _F:
    """Add the options of a command that may look up Endorsements."""
    for option in reversed(
        (
            click.option(
                "--fetch",
                is_flag=True,
                help="Fetch what is missing from the services of Intel, AMD and Hygon, or from those named below.",
            ),
            sources_options,
            click.option(
                "--channel",
                type=click.Choice(("standard", "early")),
                help="Update channel of Intel's documents: from when on a TCB recovery counts.  [default: standard]",
            ),
            click.option(
                "--store",
                type=click.Path(file_okay=False, path_type=Path),
                metavar="DIRECTORY",
                help="Take Endorsements from here first; with --fetch keep them here, in a new store if there is none.",
            ),
        )
    ):
        command = option(command)
    return command
