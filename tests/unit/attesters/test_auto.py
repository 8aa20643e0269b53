"""Which TEE is found: in what order, what is said of the others, and that looking has no effect."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from rats_tls import registry, survey
from rats_tls.attesters import auto
from rats_tls.attesters.device_attester import Availability
from rats_tls.attesters.sgx_ecdsa import SgxEcdsaAttester
from rats_tls.core.errors import NoInstanceError

ORDER = ("tdx_ecdsa", "sev_snp", "csv", "sgx_ecdsa")


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """A machine on which the named Attesters can be used."""

    def has(*usable: str, gramine: bool = False) -> None:
        for made in auto._candidates():
            kind = type(made)

            def availability(self: Any) -> Availability:
                return Availability(usable=self.name in usable, told=f"told of {self.name}")

            monkeypatch.setattr(kind, "availability", availability)
        monkeypatch.setattr(auto.Gramine, "is_there", lambda _: gramine)

    return has


@pytest.mark.parametrize("usable", ORDER)
def test_each_is_picked_where_it_is_the_only_one(machine: Callable[..., None], usable: str) -> None:
    machine(usable)
    assert registry.attester("auto").name == usable
    assert survey.picked_attester() == usable
    assert survey.why_no_tee() is None


def test_the_order(machine: Callable[..., None]) -> None:
    for number in range(len(ORDER)):
        machine(*ORDER[number:])
        assert auto.pick().name == ORDER[number]
    machine(*ORDER, gramine=True)
    assert isinstance(auto.pick(), SgxEcdsaAttester)


def test_where_there_is_none_it_is_said_why_of_each(machine: Callable[..., None]) -> None:
    machine()
    with pytest.raises(NoInstanceError) as caught:
        registry.attester("auto")
    for name in ORDER:
        assert f"{name}: told of {name}" in caught.value.message
    assert survey.picked_attester() is None
    assert survey.why_no_tee() == "; ".join(f"{name}: told of {name}" for name in ORDER)


def test_those_that_need_settings_are_never_picked(machine: Callable[..., None]) -> None:
    machine("sgx_la", "sev")
    with pytest.raises(NoInstanceError):
        auto.pick()
    for name, said in (("sgx_la", "needs target_info"), ("sev", "needs broker and guest_handle")):
        found = auto.availability_of(name)
        assert not found.usable
        assert found.told.startswith(said)


def test_an_enclave_whose_reports_nobody_is_to_check_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was found is not told as if it were what is wrong."""
    monkeypatch.setattr(auto, "enclave", lambda *_, **__: "Gramine, /dev/attestation")
    assert auto.availability_of("sgx_la").told == (
        "there is an enclave (Gramine, /dev/attestation); this attester needs target_info, the TARGETINFO of the "
        "enclave that shall check its reports"
    )


def test_this_machine_has_none() -> None:
    """What the tests run on is no TEE; otherwise they would tell less than they say."""
    reasons = {each.attester: each.availability.told for each in auto.detect()}
    assert set(reasons) == set(ORDER)
    assert "/dev/tdx_guest" in reasons["tdx_ecdsa"]
    assert "/dev/sev-guest" in reasons["sev_snp"]
    assert "/dev/csv-guest" in reasons["csv"]
    assert "Gramine" in reasons["sgx_ecdsa"]
    assert "Occlum" in reasons["sgx_ecdsa"]
