"""Options by which a command looks up Endorsements that are missing, and the service that they make."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from rats_tls.core.endorsements import Endorsements
from rats_tls.endorsements.service import EndorsementService
from rats_tls.endorsements.source import EndorsementSource
from rats_tls.endorsements.store import EndorsementStore

_F = TypeVar("_F", bound=Callable[..., object])
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@dataclass(frozen=True, slots=True, kw_only=True)
class LookupOptions:
    """The options as given; `parameters` of a command holds them and others."""

    fetch: bool
    pccs: str | None
    kds: str | None
    services_ca: Path | None
    channel: str | None
    store: Path | None

    @classmethod
    def taken_from(cls, parameters: dict[str, Any]) -> LookupOptions:
        """Take them out of a command's parameters."""
        return cls(**{name: parameters.pop(name) for name in cls.__slots__})

    def sources(self) -> tuple[EndorsementSource, ...]:
        """Make the sources that they name.

        Raises:
            UnsupportedError: the extra `fetch` is not installed.
            ConfigurationError: a URL or certificate file of another form.
            click.UsageError: options of sources where none is asked.
        """
        if not self.fetch:
            if self.pccs or self.kds or self.services_ca:
                raise click.UsageError("--pccs, --kds and --services-ca go with --fetch")
            return ()
        from rats_tls.endorsements.amd_kds import AmdKds  # noqa: PLC0415  # loaded only where asked for
        from rats_tls.endorsements.amd_sev import AmdSevSigners  # noqa: PLC0415  # likewise
        from rats_tls.endorsements.intel_pcs import IntelPcs, Pccs  # noqa: PLC0415  # likewise

        channel = self.channel or "standard"
        intel: EndorsementSource = IntelPcs(channel=channel)
        if self.pccs is not None:
            intel = Pccs(self.pccs, ca=self.services_ca, channel=channel)
        if self.kds is None:
            return intel, AmdKds(), AmdSevSigners()
        mirror, ca = self.kds, self.services_ca
        return intel, AmdKds(base_url=mirror, ca=ca), AmdSevSigners(base_url=mirror, ca=ca)

    def endorsements(self, local: Endorsements, *, refresh: bool = True) -> Endorsements | EndorsementService:
        """Give what appraisals are to use: `local` as it is, or a service that also looks up.

        Args:
            local: Endorsements that the user hands over.
            refresh: whether the process lives long enough to keep them fresh.

        Raises:
            RatsTlsError: as `sources`; the store cannot be used.
        """
        sources = self.sources()
        if not sources and self.store is None:
            return local
        store = EndorsementStore(self.store) if self.store is not None else None
        return EndorsementService(sources, store=store, local=local, channel=self.channel, refresh=refresh)


def lookup_options(command: _F) -> _F:
    """Add the options of a command that may look up Endorsements."""
    for option in reversed(
        (
            click.option(
                "--fetch",
                is_flag=True,
                help="Fetch Endorsements that are missing: from Intel's PCS and AMD's KDS, or --pccs and --kds.",
            ),
            click.option("--pccs", metavar="URL", help="Ask this PCCS in place of Intel's PCS."),
            click.option("--kds", metavar="URL", help="Ask this mirror in place of AMD's KDS."),
            click.option(
                "--services-ca",
                type=_FILE,
                metavar="FILE",
                help="Certificates (PEM) that verify the servers of --pccs and --kds in place of the system's.",
            ),
            click.option(
                "--channel",
                type=click.Choice(("standard", "early")),
                help="Update channel of Intel's documents: from when on a TCB recovery counts.  [default: standard]",
            ),
            click.option(
                "--store",
                type=click.Path(file_okay=False, path_type=Path),
                metavar="DIRECTORY",
                help="Keep Endorsements here, and take them from here first.",
            ),
        )
    ):
        command = option(command)
    return command
