"""Locks and requests of a process that a forked child must not wait for."""

from __future__ import annotations

import os
import weakref
from typing import Protocol


class ForkAware(Protocol):
    """What holds locks."""

    def renew_in_child(self) -> None:
        """Make new locks, and forget what other threads of the parent had begun. Called in a forked child."""
        ...


def renew_in_children(owner: ForkAware) -> None:
    """Have `owner` renewed in every child that is forked while it lives."""
    _owners.add(owner)


def _renew() -> None:
    for owner in tuple(_owners):
        owner.renew_in_child()


# One hook for all owners: hooks cannot be taken back, owners come and go.
_owners: weakref.WeakSet[ForkAware] = weakref.WeakSet()
os.register_at_fork(after_in_child=_renew)
