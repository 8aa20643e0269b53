"""Every ordered pair of simulated TEEs over a real connection, and the page that tells what came of each."""

from __future__ import annotations

from dataclasses import dataclass

from rats_tls.connection import Connection
from rats_tls.core.binding import Binding
from rats_tls.core.checks import Verdict
from rats_tls.core.evidence import NAMES_BY_TEE, TeeType
from rats_tls.core.results import AttestationResult
from rats_tls.policy import Policy
from rats_tls.simulation.policies import policy_for
from rats_tls.simulation.world import ATTESTERS
from support.sides import attester, context, served
from support.simulated import world

TEES = tuple(TeeType(name.removeprefix("simulated_")) for name in ATTESTERS)
PAIRS_MARK = "<!-- Below here: made from connections between simulated TEEs by `make docs`. -->"
_GREETING = b"are you what you say?"
_SIGNS = {Binding.CERTIFICATE: "key", Binding.NONE: "nothing"}


@dataclass(frozen=True)
class Pair:
    """What each side learned of the other.

    Attributes:
        client: what the server learned of the client.
        server: what the client learned of the server.
    """

    client: AttestationResult
    server: AttestationResult


def connect(client: TeeType, server: TeeType) -> Pair:
    """Open a mutual connection between two simulated TEEs, each judged by its healthy policy, and use it."""
    learned: list[AttestationResult] = []

    def converse(connection: Connection) -> None:
        assert connection.peer is not None
        learned.append(connection.peer)
        connection.sendall(connection.recv(len(_GREETING))[::-1])

    ours, theirs = f"simulated_{client}", f"simulated_{server}"
    serving = context(attester(theirs), strict_policy(client), mutual=True)
    connecting = context(attester(ours), strict_policy(server))
    with served(serving, converse) as (address, outcome), connecting.connect(address, timeout=20) as connection:
        connection.sendall(_GREETING)
        answer = connection.recv(len(_GREETING))
        of_server = connection.peer
    assert outcome.error is None, outcome.error
    assert answer == _GREETING[::-1]
    assert of_server is not None
    return Pair(client=learned[0], server=of_server)


def strict_policy(tee: TeeType) -> Policy:
    """Give the policy that pins a healthy simulated TEE and accepts the strongest binding that its Evidence has."""
    return policy_for(world(), f"simulated_{tee}")


def render_pairs(pairs: dict[tuple[TeeType, TeeType], Pair]) -> str:
    """Give everything from the mark to the end of `docs/pairs.md`."""
    head = ["| client \\ server |", *(f" `{server}` |" for server in TEES)]
    rows = ["".join(head), "|---|" + "---|" * len(TEES)]
    for client in TEES:
        cells = (_cell(pairs[client, server]) for server in TEES)
        rows.append(f"| `{client}` | " + " | ".join(cells) + " |")
    facts = ["| TEE | anchor of the result | not checked in this result |", "|---|---|---|"]
    for tee in TEES:
        result = pairs[tee, tee].server
        anchor = f"{result.anchor.name} ({result.anchor.kind.value})" if result.anchor is not None else "none"
        open_checks = [f"`{check.id}`" for check in result.checks if check.verdict is Verdict.NOT_CHECKED]
        facts.append(f"| `{tee}` {NAMES_BY_TEE[tee].title} | {anchor} | {', '.join(open_checks) or 'nothing'} |")
    return "\n".join([PAIRS_MARK, "", *rows, "", *facts]) + "\n"


def all_pairs() -> dict[tuple[TeeType, TeeType], Pair]:
    """Connect every ordered pair."""
    return {(client, server): connect(client, server) for client in TEES for server in TEES}


def _cell(pair: Pair) -> str:
    return f"{_SIGNS[pair.client.binding]} · {_SIGNS[pair.server.binding]}"
