"""Every pair of TLS wrappers over real connections between two simulated TEEs, and the page that tells what came of it.

Run it to try all of it: it tells how far it is, compares with the page, and ends with 1 where they differ.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from rats_tls import registry
from rats_tls.connection import Connection
from rats_tls.context import Context
from rats_tls.core.algorithms import KeyAlgorithm
from rats_tls.core.errors import NoInstanceError
from rats_tls.core.tls import TlsWrapper
from rats_tls.tls_self_test import tried
from support.paths import REPOSITORY
from support.sides import SNP, TDX, context, served

MATRIX_MARK = "<!-- Below here: made from connections between TLS wrappers by `python -m support.tls_matrix`. -->"
PAGE = REPOSITORY / "docs" / "tls-matrix.md"
ORDINARY, LARGE = 5_000, 30_000
MEGABYTE = bytes(range(256)) * 4096
_SLOW_PART = 65_536
_KEYS = {
    KeyAlgorithm.EC_P256: "P-256",
    KeyAlgorithm.EC_P384: "P-384",
    KeyAlgorithm.RSA_3072: "RSA",
    KeyAlgorithm.ED25519: "Ed25519",
    KeyAlgorithm.SM2: "SM2",
}
APART = {
    ("wolfssl", "rustls"): "wolfSSL 5.5.4 takes nonces of tickets of 8 bytes, rustls sends 32, and rtls sends tickets",
}
"""Pairs, client first, that cannot speak with each other, and why."""
_TEES = ((TDX, SNP), (SNP, TDX))


@dataclass(frozen=True)
class Case:
    """One connection.

    Attributes:
        client: name of the client's TLS wrapper.
        server: name of the server's.
        key: algorithm of both sides' keys.
        size: bytes of both sides' certificates, about.
        tees: the simulated TEEs of client and server.
    """

    client: str
    server: str
    key: KeyAlgorithm
    size: int
    tees: tuple[str, str]

    def __str__(self) -> str:
        return f"{self.client}-{self.server}-{self.key.value}-{self.size}-{self.tees[0].removeprefix('simulated_')}"


@cache
def wrappers() -> dict[str, TlsWrapper]:
    """Give the TLS wrappers that are here, tried, by name."""
    found = {}
    for name in registry.BUILT_IN["tls_wrappers"]:
        try:
            wrapper = tried(registry.tls_wrapper(name))
        except NoInstanceError:
            continue
        if wrapper.capabilities.encrypts:
            found[name] = wrapper
    return found


def cases() -> Iterator[Case]:
    """Give every case that the wrappers declare."""
    for client, client_wrapper in wrappers().items():
        if not client_wrapper.capabilities.clients:
            continue
        for server, server_wrapper in wrappers().items():
            if (client, server) in APART:
                continue
            able = client_wrapper.capabilities, server_wrapper.capabilities
            for key in _KEYS:
                for size in (ORDINARY, LARGE):
                    if all(key in each.key_algorithms and size <= each.largest_certificate for each in able):
                        yield from (Case(client, server, key, size, tees) for tees in _TEES)


def is_mutual(case: Case) -> bool:
    """Whether the server demands that its client attests; else the server alone attests."""
    return wrappers()[case.server].capabilities.mutual_server


def connect(case: Case) -> None:
    """Open the connection and send much data each way. Raises AssertionError, RatsTlsError."""
    slow = any(wrappers()[name].capabilities.slow for name in (case.client, case.server))
    data = MEGABYTE[: _SLOW_PART if slow else None]
    mutual = is_mutual(case)
    received: list[bytes] = []
    peers = []

    def converse(connection: Connection) -> None:
        peers.append(connection.peer)
        received.append(_all_of(connection, len(data)))
        connection.sendall(data)

    client_tee, server_tee = case.tees
    serving = _context(case.server, case.key, case.size, server_tee, client_tee if mutual else None)
    connecting = _context(case.client, case.key, case.size, client_tee if mutual else None, server_tee)
    with served(serving, converse) as (address, outcome), connecting.connect(address, timeout=60) as connection:
        connection.sendall(data)
        answer = _all_of(connection, len(data))
        peer = connection.peer
    assert outcome.error is None, outcome.error
    assert received == [data]
    assert answer == data
    assert peer is not None
    assert str(peer.claims.tee_type) == server_tee.removeprefix("simulated_")
    assert [str(each.claims.tee_type) if each is not None else None for each in peers] == [
        client_tee.removeprefix("simulated_") if mutual else None
    ]


def _all_of(connection: Connection, size: int) -> bytes:
    data = bytearray()
    while len(data) < size and (piece := connection.recv(65_536)):
        data += piece
    return bytes(data)


@cache
def _context(tls: str, key: KeyAlgorithm, size: int, attests: str | None, judges: str | None) -> Context:
    """Make the context of one side; a custom claim brings its certificate to about `size` bytes."""

    def make(padding: int) -> Context:
        return context(
            attests,
            judges,
            tls=wrappers()[tls],
            crypto="gm" if key is KeyAlgorithm.SM2 else "openssl",
            key_algorithm=key,
            custom_claims={"padding": bytes(padding)} if padding else None,
        )

    plain = make(0)
    if attests is None:
        return plain
    certificate = plain.collect_credentials().certificate
    assert certificate is not None
    return make(size - len(certificate)) if size > len(certificate) + 100 else plain


def render(passed: set[Case]) -> str:
    """Give everything from the mark to the end of the page."""
    names = list(wrappers())
    rows = ["| client \\ server |" + "".join(f" `{name}` |" for name in names), "|---|" + "---|" * len(names)]
    for client in (name for name in names if wrappers()[name].capabilities.clients):
        cells = (_cell([case for case in passed if (case.client, case.server) == (client, server)]) for server in names)
        rows.append(f"| `{client}` | " + " | ".join(cells) + " |")
    apart = [f"- `{client}` with a server by `{server}`: {why}." for (client, server), why in APART.items()]
    return "\n".join([MATRIX_MARK, "", *rows, "", "Not together:", "", *apart]) + "\n"


def _cell(passed: list[Case]) -> str:
    if not passed:
        return "-"
    keys = " ".join(short for key, short in _KEYS.items() if any(case.key is key for case in passed))
    largest = max(case.size for case in passed) // 1000
    return f"{'both' if is_mutual(passed[0]) else 'server'} · {keys} · {largest} KB"


def main() -> int:
    """Try all of it; give the exit code."""
    logging.disable(logging.WARNING)  # that simulated TEEs prove nothing, again and again
    page = PAGE.read_text(encoding="utf-8")
    passed: set[Case] = set()
    failed = []
    every = list(cases())
    for number, case in enumerate(every, 1):
        if number % 20 == 1 or number == len(every):
            print(f"{number} of {len(every)}: {case}", file=sys.stderr, flush=True)  # noqa: T201
        try:
            connect(case)
        except Exception as error:  # noqa: BLE001  # told, with every other one
            failed.append(f"{case}: {type(error).__name__}: {error}")
        else:
            passed.add(case)
    for line in failed:
        print(line, file=sys.stderr)  # noqa: T201
    rendered = page.partition(MATRIX_MARK)[0] + render(passed)
    if "--write" in sys.argv[1:]:
        PAGE.write_text(rendered, encoding="utf-8")
    elif rendered != page:
        print(f"{PAGE.name} says something else: --write writes it anew", file=sys.stderr)  # noqa: T201
        return 1
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
