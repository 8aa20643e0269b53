"""Whether configfs-tsm makes reports here, or else a guest device: by what is there, never by what fails."""

from __future__ import annotations

from typing import Protocol

from rats_tls.attesters.deadline import Deadline
from rats_tls.attesters.presence import ABSENT
from rats_tls.attesters.tsm import NoProviderError, Tsm
from rats_tls.core.errors import CollectionError


class Guest(Protocol):
    """A guest device."""

    @property
    def path(self) -> str:
        """Where it is."""
        ...

    def is_there(self) -> bool:
        """Whether there is such a device."""
        ...

    def obstacle(self) -> str:
        """Say why this process cannot open it, as what follows its path; "" where it can."""
        ...


def made_by_tsm(tsm: Tsm, provider: str, guest: Guest, *, tee: str, deadline: Deadline | None = None) -> bool:
    """Say whether configfs-tsm makes them, else the device.

    Args:
        tsm: configfs-tsm.
        provider: which of its providers would.
        guest: the device.
        tee: what the guest would be one of, for people.
        deadline: until then a busy configfs-tsm is asked again; it is asked once where left out.

    Raises:
        CollectionError: neither does, or configfs-tsm is there and fails.
    """
    why = ""
    if tsm.is_there():
        try:
            found = tsm.provider(deadline=deadline)
        except NoProviderError as error:
            why = error.message
        else:
            if found == provider:
                return True
            why = f"{tsm.root}: provider: got {found[:64]!r}, expected {provider!r}"
    if guest.is_there():
        return False
    absent = guest.obstacle() or ABSENT
    may_be = f": {_what_may_be(tee, provider)}" if not why and absent == ABSENT else ""
    raise CollectionError(f"{why or f'{tsm.root} {tsm.absence()}'}, and {guest.path} {absent}{may_be}")


def _what_may_be(tee: str, module: str) -> str:
    """Say why neither configfs-tsm nor a device may be there."""
    return (
        f"this is no {tee} guest, or configfs is not mounted, the module {module} is not loaded, or this container was "
        "given neither"
    )
