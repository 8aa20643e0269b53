"""What attestation costs over each TLS wrapper: against the same library's own mutual TLS, by the same driver.

Both ends are in memory, in one thread: what is compared is work, not waiting. Plain TLS presents the very certificates
that carry the Evidence, and judges nothing. A wrapper whose servers demand no certificate is measured one way.
"""

from __future__ import annotations

from collections.abc import Callable

from bench.measure import Candidate, Figure, interleaved
from bench.sides import SGX, TDX, Pair, attested
from rats_tls import registry
from rats_tls.channel import AppraisalNeeded, Channel, EvidenceNeeded
from rats_tls.context import Context
from rats_tls.core.errors import NoInstanceError
from rats_tls.core.tls import TlsConfig, TlsSession, TlsWrapper
from rats_tls.simulation.world import SimulatedWorld
from rats_tls.tls_self_test import tried

_HANDSHAKES, _SLOW_HANDSHAKES = 20, 1
_BLOCK = bytes(range(256)) * 256
_BLOCKS, _SLOW_BLOCKS = 64, 1
_ROUNDS = 60


def figures(world: SimulatedWorld, rounds: int) -> list[Figure]:
    """Measure every TLS wrapper that is here; one that does no clients serves those of the default one."""
    found: list[Figure] = []
    for name in registry.BUILT_IN["tls_wrappers"]:
        try:
            tls = tried(registry.tls_wrapper(name))
        except NoInstanceError:
            continue
        if tls.capabilities.encrypts:
            found += _figures_of(tls, world, rounds)
    return found


def _figures_of(tls: TlsWrapper, world: SimulatedWorld, rounds: int) -> list[Figure]:
    able = tls.capabilities
    mutual = able.mutual_server
    rounds = min(rounds, 3) if able.slow else rounds
    handshakes, blocks = (_SLOW_HANDSHAKES, _SLOW_BLOCKS) if able.slow else (_HANDSHAKES, _BLOCKS)
    clients = tls if able.clients else tried(registry.tls_wrapper("openssl"))
    known, anew = (
        attested(world, SGX, TDX, remember=remember, tls=tls, client_tls=clients, mutual=mutual)
        for remember in (True, False)
    )
    plain = _Plain(tls, clients, known, mutual=mutual)
    way = "mutual" if mutual else "one way"
    title = f"{tls.name} ({way})"
    lines = interleaved(
        Candidate(f"{title}: plain TLS", _times(handshakes, plain.connected), handshakes, "handshakes/s"),
        Candidate(f"{title}: peer unchanged", _times(handshakes, lambda: _opened(known)), handshakes, "handshakes/s"),
        Candidate(f"{title}: full verification", _times(handshakes, lambda: _opened(anew)), handshakes, "handshakes/s"),
        rounds=rounds,
    )
    megabytes = blocks * len(_BLOCK) / 1_000_000
    sessions, channels = plain.connected(), _opened(known)
    return lines + interleaved(
        Candidate(f"{title}: plain TLS", lambda: _bulk_plain(sessions, blocks), megabytes, "MB/s"),
        Candidate(f"{title}: attested", lambda: _bulk_attested(channels, blocks), megabytes, "MB/s"),
        rounds=rounds,
    )


def _times(count: int, run: Callable[[], object]) -> Callable[[], None]:
    def several() -> None:
        for _ in range(count):
            run()

    return several


class _Plain:
    """Both ends of plain TLS with the certificates of a pair."""

    def __init__(self, tls: TlsWrapper, clients: TlsWrapper, pair: Pair, *, mutual: bool) -> None:
        server = pair.server.collect_credentials()
        client = pair.client.collect_credentials() if mutual else None
        self._server = tls.context(
            TlsConfig(
                role="server",
                certificate=server.certificate,
                private_key=server.private_key,
                request_peer_certificate=mutual,
                alpn=("rats-tls/1",),
            )
        )
        self._client = clients.context(
            TlsConfig(
                role="client",
                certificate=client.certificate if client is not None else None,
                private_key=client.private_key if client is not None else None,
                request_peer_certificate=False,
                alpn=("rats-tls/1",),
            )
        )

    def connected(self) -> tuple[TlsSession, TlsSession]:
        """Shake hands, and exchange five bytes each way as an attested connection exchanges its preamble."""
        client, server = self._client.session(), self._server.session()
        for _ in range(_ROUNDS):
            done = client.handshake()
            server.receive_from_wire(client.data_to_send())
            done &= server.handshake()
            client.receive_from_wire(server.data_to_send())
            if done:
                break
        else:
            raise RuntimeError("the handshake is not complete")
        client.write(b"hello")
        server.receive_from_wire(client.data_to_send())
        server.read(5)
        server.write(b"hello")
        client.receive_from_wire(server.data_to_send())
        client.read(5)
        return client, server


def _opened(pair: Pair) -> tuple[Channel, Channel]:
    """Open an attested channel in memory, answering what both ends ask."""
    client, server = pair.client.channel(), pair.server.channel(server_side=True)
    for _ in range(_ROUNDS):
        _answer(client, pair.client)
        server.receive_from_wire(client.data_to_send())
        _answer(server, pair.server)
        client.receive_from_wire(server.data_to_send())
        if client.accepted and server.accepted:
            return client, server
    raise RuntimeError("the channel does not open")


def _answer(channel: Channel, context: Context) -> None:
    while (event := channel.next_event()) is not None:
        if isinstance(event, EvidenceNeeded):
            channel.supply_evidence(context.present_credentials() or context.collect_credentials())
        elif isinstance(event, AppraisalNeeded):
            channel.supply_result(context.recall(event) or context.appraise(event))


def _bulk_plain(ends: tuple[TlsSession, TlsSession], blocks: int) -> None:
    client, server = ends
    for _ in range(blocks):
        client.write(_BLOCK)
        server.receive_from_wire(client.data_to_send())
        left = len(_BLOCK)
        while left:
            left -= len(server.read(len(_BLOCK)) or b"")


def _bulk_attested(ends: tuple[Channel, Channel], blocks: int) -> None:
    client, server = ends
    for _ in range(blocks):
        client.send(_BLOCK)
        server.receive_from_wire(client.data_to_send())
        left = len(_BLOCK)
        while left:
            left -= len(server.receive(len(_BLOCK)) or b"")
