"""`--fetch` and `--store` of the commands that judge, against the simulated vendors' services."""

from __future__ import annotations

import json
import re
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
    fetched = run("verify", evidence, *site.judging(tee), *site.asking, "--store", store)
    assert (fetched.returncode, fetched.stderr) == (0, f"note: store {store}: there was none, a new one is made\n")
    asked = site.asked
    assert asked > 0
    for web in site.vendors.all:
        web.faults = Faults(down=True)
    again = run("verify", evidence, *site.judging(tee), "--store", store, "--json")
    assert (again.returncode, again.stderr) == (0, "")
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


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--kds", "https://127.0.0.1:1"), "go with --fetch"),
        (("--pcs", "https://127.0.0.1:1"), "go with --fetch"),
        (("--fetch", "--pcs", "https://127.0.0.1:1", "--pccs", "https://127.0.0.1:2"), "choose one"),
        (("--fetch", "--services-ca", "CA"), "goes with --pcs, --pccs, --kds, --hygon"),
        (("--channel", "early"), "--channel goes with --fetch or --store"),
    ],
)
def test_options_that_do_not_go_together(site: Site, options: tuple[str, ...], message: str) -> None:
    given = [str(site.world.trust_anchors_file) if option == "CA" else option for option in options]
    result = run("verify", site.evidence(TEES[0]), *site.judging(TEES[0]), *given)
    assert (result.returncode, result.stdout) == (1, "")
    assert message in result.stderr
    if "--fetch" not in message:
        result = run("endorsements", "fetch", "--fmspc", "00" * 6, "--output", "b.zip", *given[1:])
        assert (result.returncode, result.stdout) == (1, "")
        assert message in result.stderr


def test_a_mirror_of_pcs(site: Site) -> None:
    """It is asked for everything of Intel's, the root's list included."""
    ca = site.asking[-1]
    asked = ("--fetch", "--pcs", site.vendors.intel_pcs.url, "--services-ca", ca)
    accepted = run("verify", site.evidence(TEES[0]), *site.judging(TEES[0]), *asked)
    assert accepted.returncode == 0, accepted.stdout
    assert "/IntelSGXRootCA.der" in site.vendors.intel_pcs.requests


@pytest.mark.parametrize("command", ["verify", "policy test", "policy from-evidence", "client", "server"])
def test_a_store_that_is_not_there_is_not_made_without_fetch(site: Site, command: str, tmp_path: Path) -> None:
    policy = site.judging(TEES[0])[1]
    arguments: dict[str, tuple[object, ...]] = {
        "verify": ("verify", site.evidence(TEES[0]), "--policy", policy),
        "policy test": ("policy", "test", policy, site.evidence(TEES[0])),
        "policy from-evidence": ("policy", "from-evidence", "--verify", site.evidence(TEES[0])),
        "client": ("client", "--policy", policy),
        "server": ("server", "-p", "0", "-a", "null", "--policy", policy),
    }
    mistyped = tmp_path / "mistyped"
    ended = run(*arguments[command], "--store", mistyped)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert f"store {mistyped}: there is none; with --fetch one is made" in ended.stderr
    assert not mistyped.exists()


@pytest.mark.parametrize("tee", TEES)
def test_policies_are_tried_and_made_with_what_is_looked_up(site: Site, tee: str, tmp_path: Path) -> None:
    evidence, store = site.evidence(tee), tmp_path / "store"
    _, policy, *anchors = site.judging(tee)
    arguments = ("policy", "test", policy, evidence, *anchors, "--unbound")
    missing = run(*arguments, "--expect", "refuse", "--reason", "endorsements_missing")
    assert missing.returncode == 0, missing.stdout
    fetched = run(*arguments, *site.asking, "--store", store)
    assert (fetched.returncode, fetched.stderr) == (0, f"note: store {store}: there was none, a new one is made\n")
    asked = site.asked
    assert asked > 0
    kept = run(*arguments, "--store", store)
    assert kept.returncode == 0, kept.stdout
    made = run("policy", "from-evidence", "--verify", evidence, *anchors, "--store", store)
    assert made.returncode == 0, made.stdout
    assert "verified as of" in made.stdout
    assert site.asked == asked


def test_of_files_that_the_user_has_chosen_all_are_looked_up(tmp_path: Path) -> None:
    """More than the service would be asked for on behalf of strangers."""
    world = SimulatedWorld.create(tmp_path / "world")
    with SimulatedServices(world, products=("Milan",), machines=6) as vendors:
        site = Site(tmp_path, world, vendors)
        files = [tmp_path / f"{machine}.bin" for machine in range(6)]
        for machine, path in enumerate(files):
            path.write_bytes(world.attester("simulated_sev_snp", machine=machine).collect(bytes(64)).evidence.data)
        judging = site.judging("simulated_sev_snp")
        result = run("policy", "test", judging[1], *files, *judging[2:], *site.asking)
        assert (result.returncode, result.stdout.count("accepted")) == (0, 6)


def test_policies_tried_at_another_time_keep_nothing(site: Site, tmp_path: Path) -> None:
    at = (datetime.now(UTC) + timedelta(minutes=1)).isoformat()
    _, policy, *anchors = site.judging(TEES[0])
    evidence = site.evidence(TEES[0])
    asked = (*site.asking, "--store", tmp_path / "store", "--at", at)
    assert run("policy", "test", policy, evidence, *anchors, "--unbound", *asked).returncode == 0
    assert EndorsementStore(tmp_path / "store").entries() == ()


def test_look_up_without_verification_is_a_mistake(site: Site) -> None:
    ended = run("policy", "from-evidence", site.evidence(TEES[0]), "--fetch")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "go with --verify" in ended.stderr


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


def test_the_log_tells_what_was_asked_and_what_was_at_hand(site: Site, tmp_path: Path) -> None:
    tee, item = TEES[0], "intel-qe-identity (id TD_QE)"
    policy = site.directory / "policy.toml"
    policy.write_text(policy_for(site.world, tee).to_toml())
    simulation = site.world.trust_anchors_file.parent
    judging = ("--policy", policy, "--trust-anchors", site.world.trust_anchors_file, "-l", "debug", "--message", "hi")
    with started("server", "-p", "0", "-a", tee, "--simulation", simulation, "--count", "3") as end:
        command = ("client", "-p", str(port_of(end)), *judging, "--store", tmp_path / "store")
        first = run(*command, *site.asking)
        second = run(*command)
        for web in site.vendors.all:
            web.faults = Faults(status=404)
        refused = run(*command[:-2], *site.asking)
    assert first.returncode == second.returncode == 0
    pccs = f"pccs 127.0.0.1:{site.vendors.intel_pccs.port}"
    assert f"DEBUG: {item}: not at hand" in first.stderr
    assert re.search(rf"DEBUG: {re.escape(f'{pccs} gave {item}')} after \d+ ms", first.stderr)
    assert f"DEBUG: kept {item}, which expires at " in first.stderr
    assert re.search(r"DEBUG: peer accepted after \d+ ms: entry 'simulated_tdx_ecdsa'", first.stderr)
    assert f"DEBUG: {item}: at hand" in second.stderr
    assert " gave " not in second.stderr
    assert re.search(rf"{re.escape(f'{pccs} did not give {item}')} after \d+ ms: not found", refused.stderr)
    assert re.search(r"DEBUG: peer refused after \d+ ms: endorsements_missing", refused.stderr)
