"""`--fetch` and `--store` of the commands that judge, against the simulated vendors' services."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from rats_tls.endorsements.store import EndorsementStore
from rats_tls.simulation.policies import policy_for
from rats_tls.simulation.services.faults import Faults
from rats_tls.simulation.services.vendors import SimulatedServices
from rats_tls.simulation.world import SimulatedWorld
from support.commands import port_of, run, started

TEES = ("simulated_tdx_ecdsa", "simulated_sev_snp")


@dataclass(frozen=True)
class Site:
    """A simulated world with its vendors' services, and the options by which they are asked."""

    directory: Path
    world: SimulatedWorld
    vendors: SimulatedServices

    @property
    def asking(self) -> tuple[str, ...]:
        ca = self.directory / "ca.pem"
        ca.write_bytes(self.vendors.certificate_authority)
        urls = ("--pccs", self.vendors.intel_pccs.url, "--kds", self.vendors.amd_kds.url)
        return ("--fetch", *urls, "--services-ca", str(ca))

    def judging(self, tee: str) -> tuple[str, ...]:
        policy = self.directory / f"{tee}-policy.toml"
        text = policy_for(self.world, tee).to_toml()
        assert '"certificate"' in text
        policy.write_text(text.replace('"certificate"', '"none"', 1))
        return ("--policy", str(policy), "--trust-anchors", str(self.world.trust_anchors_file))

    def evidence(self, tee: str) -> Path:
        path = self.directory / f"{tee}.bin"
        path.write_bytes(self.world.attester(tee).collect(bytes(64)).evidence.data)
        return path

    @property
    def asked(self) -> int:
        return sum(sum(web.requests.values()) for web in self.vendors.all)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    world = SimulatedWorld.create(tmp_path / "world")
    with SimulatedServices(world, products=("Milan",)) as vendors:
        yield Site(tmp_path, world, vendors)


@pytest.mark.parametrize("tee", TEES)
def test_verify_fetches_what_is_missing_and_a_store_keeps_it(site: Site, tee: str, tmp_path: Path) -> None:
    evidence, store = site.evidence(tee), tmp_path / "store"
    refused = run("verify", evidence, *site.judging(tee))
    assert refused.returncode == 4
    assert "--fetch" in refused.stdout
    assert run("verify", evidence, *site.judging(tee), *site.asking, "--store", store).returncode == 0
    asked = site.asked
    assert asked > 0
    for web in site.vendors.all:
        web.faults = Faults(down=True)
    again = run("verify", evidence, *site.judging(tee), "--store", store, "--json")
    assert again.returncode == 0
    assert json.loads(again.stdout)["verdict"] == "accepted"
    assert site.asked == asked


def test_a_source_that_is_down_is_named(site: Site) -> None:
    for web in site.vendors.all:
        web.faults = Faults(down=True)
    refused = run("verify", site.evidence(TEES[0]), *site.judging(TEES[0]), *site.asking)
    assert refused.returncode == 4
    assert "pccs 127.0.0.1" in refused.stdout


def test_another_time_keeps_nothing(site: Site, tmp_path: Path) -> None:
    at = (datetime.now(UTC) + timedelta(minutes=1)).isoformat()
    accepted = run(
        *("verify", site.evidence(TEES[0]), *site.judging(TEES[0]), *site.asking),
        *("--store", tmp_path / "store", "--at", at),
    )
    assert accepted.returncode == 0
    store = EndorsementStore(tmp_path / "store")
    assert store.entries() == ()
    assert store.floors() == {}


def test_options_of_sources_go_with_fetch(site: Site) -> None:
    result = run("verify", site.evidence(TEES[0]), *site.judging(TEES[0]), "--kds", "https://127.0.0.1:1")
    assert result.returncode == 1
    assert "--fetch" in result.stderr


@pytest.mark.parametrize("tee", TEES)
def test_a_client_fetches_for_the_server_that_it_judges(site: Site, tee: str, tmp_path: Path) -> None:
    policy = site.directory / "policy.toml"
    policy.write_text(policy_for(site.world, tee).to_toml())
    judging = ("--policy", policy, "--trust-anchors", site.world.trust_anchors_file)
    with started(
        "server", "-p", "0", "-a", tee, "--simulation", site.world.trust_anchors_file.parent, "--count", "2"
    ) as end:
        port = port_of(end)
        first = run("client", "-p", str(port), *judging, *site.asking, "--store", tmp_path / "s", "--message", "hello")
        assert first.returncode == 0, first.stdout
        assert "hello" in first.stdout
        asked = site.asked
        second = run("client", "-p", str(port), *judging, "--store", tmp_path / "s", "--message", "hello")
        assert second.returncode == 0, second.stdout
        assert site.asked == asked
