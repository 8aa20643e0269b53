"""What two hellos agree on. A side requires what its own settings say; the peer's hello never lowers it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from rats_tls.core.binding import Binding
from rats_tls.core.errors import ProtocolError
from rats_tls.core.refusals import Refusal
from rats_tls.core.tls import Role
from rats_tls.preamble.hello import Hello

_BINDINGS_BY_STRENGTH = (Binding.SESSION, Binding.CERTIFICATE, Binding.NONE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """What both sides speak.

    Attributes:
        version: highest common version.
        profile: first of the client's profiles that the server speaks.
        binding: strongest common binding.
        application_protocol: first of the server's protocols that the client offers, or None.
    """

    version: int
    profile: str
    binding: Binding
    application_protocol: str | None


@lru_cache(maxsize=64)
def agree(own: Hello, peer: Hello, role: Role) -> Agreement:
    """Find what both sides speak; both compute the same from the same two hellos, which seldom change.

    Args:
        own: this side's hello.
        peer: the peer's hello.
        role: this side's role.

    Raises:
        ProtocolError: nothing in common; `refusal` says in what.
    """
    client, server = (own, peer) if role == "client" else (peer, own)
    # (1) Version.
    versions = set(own.versions) & set(peer.versions)
    if not versions:
        raise ProtocolError(
            f"hello: peer speaks versions {_list(peer.versions)}, this side {_list(own.versions)}",
            refusal=Refusal.PROTOCOL_VERSION,
        )
    # (2) Profile, and the framing of application data, of which version 1 has only one.
    profile = next((profile for profile in client.profiles if profile in server.profiles), None)
    if profile is None:
        raise ProtocolError(
            f"hello: peer speaks profiles {_list(peer.profiles)}, this side {_list(own.profiles)}",
            refusal=Refusal.PROTOCOL_PROFILE,
        )
    if peer.framing != own.framing:
        raise ProtocolError(
            f"hello: peer frames application data by {peer.framing}, this side by {own.framing}",
            refusal=Refusal.PROTOCOL_PROFILE,
        )
    # (3) Binding: among those that both are ready for; what this side's policy does not list is not in its hello.
    binding = next((b for b in _BINDINGS_BY_STRENGTH if b.value in own.bindings and b.value in peer.bindings), None)
    if binding is None:
        raise ProtocolError(
            f"hello: peer is ready for bindings {_list(peer.bindings)}, this side for {_list(own.bindings)}",
            refusal=Refusal.PROTOCOL_BINDING,
        )
    offered = client.application_protocols
    return Agreement(
        version=max(versions),
        profile=profile,
        binding=binding,
        application_protocol=next((p for p in server.application_protocols if p in offered), None),
    )


def _list(items: tuple[object, ...]) -> str:
    return ", ".join(str(item) for item in items[:8]) or "none"
