"""What is fetched for Evidence that nobody has authenticated."""

from __future__ import annotations

import contextlib

import pytest

from rats_tls.core.endorsements import EndorsementKind, MissingEndorsement
from rats_tls.core.errors import ConfigurationError
from rats_tls.endorsements.budget import SHARED_RATES, SOURCE_RATES, FetchBudget, Rate, about_platform, platform_of
from rats_tls.endorsements.source import FetchError, FetchProblem
from support.fetching import SetClock, vek
from support.pcs import missing

K = EndorsementKind


def refused(budget: FetchBudget, source: str = "a", item: MissingEndorsement | None = None) -> FetchError:
    with pytest.raises(FetchError) as caught:
        budget.spend(source, item or vek())
    assert caught.value.problem is FetchProblem.BUDGET
    assert caught.value.message.startswith(f"{source}: not asked for amd-vek")
    return caught.value


def test_a_burst_and_then_one_at_a_time() -> None:
    clock = SetClock()
    budget = FetchBudget(per_source={"a": Rate(burst=2, seconds_each=10)}, clock=clock)
    budget.spend("a", vek(1))
    budget.spend("a", vek(2))
    assert refused(budget).retry_after == 10
    clock.seconds += 4
    assert refused(budget).retry_after == pytest.approx(6)
    clock.seconds += 6
    budget.spend("a", vek(3))
    refused(budget)
    clock.seconds += 1_000_000
    budget.spend("a", vek(4))
    budget.spend("a", vek(5))
    refused(budget)


def test_sources_have_each_their_own_and_all_share_one() -> None:
    clock = SetClock()
    rate = Rate(burst=2, seconds_each=10)
    budget = FetchBudget(total=Rate(burst=3, seconds_each=100), per_source={}, other_sources=rate, clock=clock)
    budget.spend("a", vek())
    budget.spend("a", vek())
    refused(budget, "a")
    budget.spend("b", vek())
    assert refused(budget, "b").retry_after == 100  # a token of b is left, none of all
    clock.seconds += 100
    budget.spend("b", vek())
    refused(budget, "a")


STRANGERS = {"a": Rate(burst=2, seconds_each=1000)}
KNOWN = {"a": Rate(burst=2, seconds_each=500)}


def of_known() -> tuple[FetchBudget, SetClock]:
    """Give a budget whose part for strangers is spent, and its clock."""
    clock = SetClock()
    budget = FetchBudget(
        per_source=STRANGERS, known_per_source=KNOWN, per_platform=Rate(burst=1, seconds_each=300), clock=clock
    )
    for number in (91, 92):
        budget.spend("a", vek(number))
    assert refused(budget, "a", vek(93)).retry_after == 1000
    return budget, clock


def test_strangers_do_not_spend_what_is_there_for_a_platform_that_was_proved() -> None:
    budget, _ = of_known()
    budget.learn(vek(1))
    budget.spend("a", vek(1))
    budget.spend("a", vek(2), proved=True)
    refused(budget, "a", vek(93))


def test_who_shows_the_id_of_a_known_platform_spends_that_platforms_part_alone() -> None:
    budget, clock = of_known()
    budget.spend("a", vek(1), proved=True)
    with pytest.raises(FetchError, match="more in 300 seconds"):
        budget.spend("a", vek(1), proved=True)
    budget.spend("a", vek(2), proved=True)
    with pytest.raises(FetchError, match="more in 500 seconds"):  # all known platforms together
        budget.spend("a", vek(3), proved=True)
    clock.seconds += 500
    budget.spend("a", vek(3), proved=True)


def test_a_known_platform_whose_part_is_spent_takes_from_that_for_all() -> None:
    budget, clock = of_known()
    budget.spend("a", vek(1), proved=True)
    clock.seconds += 299  # too short for one more of its own
    assert refused(budget, "a", vek(93)).retry_after == pytest.approx(701)
    clock.seconds += 701
    budget.spend("a", vek(1), proved=True)
    budget.spend("a", vek(1), proved=True)
    refused(budget, "a", vek(93))


def test_how_many_platforms_are_counted_is_bounded() -> None:
    budget = FetchBudget(learned_limit=2)
    for number in range(50):
        with contextlib.suppress(FetchError):
            budget.spend("a", vek(number), proved=True)
    assert len(budget._platforms) == 2


def test_two_sources_of_one_name_have_each_their_own() -> None:
    budget = FetchBudget(per_source={"a": Rate(burst=1, seconds_each=1000)})
    budget.spend("a", vek(1))
    refused(budget, "a", vek(2))
    budget.spend("a", vek(2), number=1)
    with pytest.raises(FetchError):
        budget.spend("a", vek(3), number=1)


def test_how_all_items_about_a_platform_begin() -> None:
    hwid = f"{5:0128x}"
    assert about_platform(vek(5)) == f"amd-vek (product Milan, hwid {hwid}"
    item = missing(K.INTEL_TCB_INFO, id="TDX", fmspc="aa", pceid="00")
    assert about_platform(item) == "intel-tcb-info (id TDX, fmspc aa"
    assert about_platform(missing(K.AMD_SIGNER, product="Milan", name="SEV-Milan")) is None
    assert about_platform(missing(K.INTEL_PCK_CHAIN, encrypted_ppid="", pceid="00")) is None


def test_a_refusal_costs_nothing() -> None:
    clock = SetClock()
    budget = FetchBudget(
        total=Rate(burst=2, seconds_each=1000), per_source={"a": Rate(burst=1, seconds_each=1000)}, clock=clock
    )
    budget.spend("a", vek())
    for _ in range(10):
        refused(budget, "a")
    budget.spend("b", vek())


def test_a_clock_that_goes_back_gives_nothing() -> None:
    clock = SetClock()
    budget = FetchBudget(per_source={"a": Rate(burst=1, seconds_each=10)}, clock=clock)
    budget.spend("a", vek())
    clock.seconds -= 500
    assert refused(budget).retry_after == 10


def test_kds_is_asked_less_often_than_it_throttles() -> None:
    rates = (SOURCE_RATES["amd-kds"], SHARED_RATES["amd-kds"])
    assert sum(rate.burst for rate in rates) < 5
    assert sum(600 / rate.seconds_each for rate in rates) < 5


def test_what_is_about_no_platform_has_its_own_part_and_then_that_for_strangers() -> None:
    signers = [missing(K.AMD_SIGNER, product=product, name="") for product in ("Milan", "Genoa", "Turin", "Siena")]
    shared = {"a": Rate(burst=1, seconds_each=700)}
    budget = FetchBudget(per_source=STRANGERS, shared_per_source=shared, clock=SetClock())
    budget.spend("a", signers[0])
    for number in (1, 2):  # all that there is for strangers is left
        budget.spend("a", vek(number))
    assert refused(budget, "a", vek(3)).retry_after == 1000
    with pytest.raises(FetchError, match="budget") as caught:
        budget.spend("a", signers[1])
    assert caught.value.retry_after == 700

    budget = FetchBudget(per_source=STRANGERS, shared_per_source=shared, clock=SetClock())
    for signer in signers[:3]:
        budget.spend("a", signer)
    with pytest.raises(FetchError, match="budget"):
        budget.spend("a", signers[3])
    refused(budget, "a", vek(1))


def test_known_chips_alone() -> None:
    turin = missing(K.AMD_VEK, product="Turin", hwid="ab" * 8)
    budget = FetchBudget(known_chips_only=True, known_chips=("AB" * 64, f"{7:0128x}", "50806F000000"))
    budget.spend("a", vek(7))
    budget.spend("a", turin)
    budget.spend("a", missing(K.INTEL_TCB_INFO, id="TDX", fmspc="50806f000000"))
    error = refused(budget, "a", vek(8))
    assert error.retry_after is None
    assert "which is not a known one" in error.message
    with pytest.raises(FetchError, match="platform 00a06f000000"):
        budget.spend("a", missing(K.INTEL_TCB_INFO, id="TDX", fmspc="00a06f000000"))
    # Of these there are few, whatever Evidence says.
    for item in (
        missing(K.INTEL_QE_IDENTITY, id="QE"),
        missing(K.INTEL_PCK_CRL, ca="platform"),
        missing(K.AMD_SIGNER, product="Milan", name="SEV-Milan"),
    ):
        budget.spend("a", item)


def test_chips_are_learned_and_the_memory_is_bounded() -> None:
    budget = FetchBudget(known_chips_only=True, learned_limit=2)
    for number in (1, 2, 1, 3):
        budget.learn(vek(number))
    budget.learn(missing(K.AMD_CRL, product="Milan"))
    budget.spend("a", vek(1))
    budget.spend("a", vek(3))
    refused(budget, "a", vek(2))


def test_platforms() -> None:
    assert platform_of(vek(5)) == f"{5:0128x}"
    assert platform_of(missing(K.INTEL_TCB_INFO, id="SGX", fmspc="aa", pceid="00")) == "aa"
    assert platform_of(missing(K.INTEL_PCK_CHAIN, encrypted_ppid="bb", pceid="00")) == "bb"
    assert platform_of(missing(K.INTEL_PCK_CHAIN, ppid="", pceid="00")) is None
    assert platform_of(missing(K.INTEL_QE_IDENTITY, id="QE")) is None


def test_settings_of_another_form() -> None:
    for burst, seconds in ((0, 1.0), (1, 0.0), (1, -1.0), (1, float("nan"))):
        with pytest.raises(ConfigurationError, match="rate"):
            Rate(burst=burst, seconds_each=seconds)
    for chip in ("", "xyz", "abc"):
        with pytest.raises(ConfigurationError, match="known chip"):
            FetchBudget(known_chips=(chip,))
    with pytest.raises(ConfigurationError, match="known chip: got bytes, expected its id in hexadecimal digits"):
        FetchBudget(known_chips=(bytes(64),))  # type: ignore[arg-type]  # what a user may give
