"""Every ordered pair of TEEs opens a mutual connection under a policy that allows it, and under no other."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rats_tls.core.anchors import AnchorKind
from rats_tls.core.binding import Binding
from rats_tls.core.errors import RatsTlsError
from rats_tls.core.evidence import EVIDENCE_NAMES, TeeType
from rats_tls.core.results import ACCEPTED
from rats_tls.policy import EntryError
from support.pairs import PAIRS_MARK, TEES, Pair, all_pairs, render_pairs, strict_policy
from support.paths import REPOSITORY
from support.sides import attester, context, served


@pytest.fixture(scope="module")
def pairs() -> dict[tuple[TeeType, TeeType], Pair]:
    return all_pairs()


def test_every_kind_of_evidence_is_paired() -> None:
    assert set(TEES) == {names.tee_type for names in EVIDENCE_NAMES}


@pytest.mark.parametrize("server", TEES)
@pytest.mark.parametrize("client", TEES)
def test_a_pair(pairs: dict[tuple[TeeType, TeeType], Pair], client: TeeType, server: TeeType) -> None:
    pair = pairs[client, server]
    for result, tee in ((pair.client, client), (pair.server, server)):
        assert result.verdict == ACCEPTED
        assert result.claims.tee_type is tee
        assert result.policy_entry == f"simulated_{tee}"
        assert result.anchor is not None
        assert result.anchor.kind is AnchorKind.SIMULATED
        assert result.binding is (Binding.NONE if tee is TeeType.SEV else Binding.CERTIFICATE)


@pytest.mark.parametrize("expected", TEES)
@pytest.mark.parametrize("actual", TEES)
def test_no_tee_passes_for_another(actual: TeeType, expected: TeeType) -> None:
    """The server judges a client of the one kind by the policy for the other."""
    if actual is expected:
        return
    judging = context(attester("simulated_sgx_ecdsa"), strict_policy(expected), mutual=True)
    with served(judging, lambda _connection: None) as (address, outcome):
        client = context(attester(f"simulated_{actual}"), "simulated_sgx_ecdsa")
        with pytest.raises(RatsTlsError), client.connect(address, timeout=20) as connection:
            connection.recv(1)
    assert outcome.error is not None
    assert f"got {actual}, expected {expected}" in str(outcome.error)


@pytest.mark.parametrize("tee", TEES)
def test_the_binding_that_its_policy_lists(tee: TeeType) -> None:
    """SEV alone needs a policy that lists the binding none; no other TEE's default policy does."""
    (entry,) = strict_policy(tee).entries
    assert entry.bindings == ((Binding.NONE,) if tee is TeeType.SEV else (Binding.CERTIFICATE,))
    if tee is TeeType.SEV:
        with pytest.raises(EntryError, match="bindings"):
            replace(entry, bindings=(Binding.CERTIFICATE,))


def test_the_page_tells_what_came_of_them(pairs: dict[tuple[TeeType, TeeType], Pair]) -> None:
    page = (REPOSITORY / "docs" / "pairs.md").read_text(encoding="utf-8")
    assert PAIRS_MARK in page
    assert PAIRS_MARK + page.partition(PAIRS_MARK)[2] == render_pairs(pairs)
