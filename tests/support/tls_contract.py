"""What the contract of TLS wrappers is asked of: every wrapper in every role that it declares."""

from __future__ import annotations

import pytest

from rats_tls.core.tls import TlsSession, TlsWrapper
from support.instances import TLS_WRAPPERS
from support.tls import connected, roles

ENCRYPTING = tuple(tls for tls in TLS_WRAPPERS if tls.capabilities.encrypts)
CLIENTS = tuple(tls for tls in ENCRYPTING if tls.capabilities.clients)
ROLES = tuple((tls, role) for tls in ENCRYPTING for role in roles(tls))
MUTUAL = tuple(tls for tls in ENCRYPTING if tls.capabilities.mutual_server)


def over(wrappers: tuple[TlsWrapper, ...]) -> pytest.MarkDecorator:
    """Ask a test of each of `wrappers`."""
    return pytest.mark.parametrize("tls", wrappers, ids=lambda tls: tls.name)


def in_roles(pairs: tuple[tuple[TlsWrapper, str], ...]) -> pytest.MarkDecorator:
    """Ask a test of each wrapper in each of its roles in `pairs`."""
    return pytest.mark.parametrize(("tls", "role"), pairs, ids=[f"{tls.name}-{role}" for tls, role in pairs])


def ours_and_peer(tls: TlsWrapper, role: str) -> tuple[TlsSession, TlsSession]:
    """Connect both ends by `tls`; the one in that role comes first."""
    client, server = connected(tls)
    return (client, server) if role == "client" else (server, client)
