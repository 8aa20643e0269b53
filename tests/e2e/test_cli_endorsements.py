"""`rats-tls endorsements` in processes of its own: fetched from simulated services, carried, imported, judged with."""

from __future__ import annotations

import json
import logging
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from rats_tls.context import Context
from rats_tls.core.endorsements import EndorsementKind
from rats_tls.core.errors import EndorsementMissingError
from rats_tls.endorsements.bundle import Bundle, read_bundle, write_bundle
from rats_tls.endorsements.bundle_form import BundleItem
from rats_tls.endorsements.bundle_source import BundleSource, described
from rats_tls.endorsements.service import EndorsementService
from rats_tls.endorsements.store import FILE_NAME, EndorsementStore
from rats_tls.files import load_endorsements
from rats_tls.formats.endorsement_keys import keys_of
from rats_tls.formats.intel.tcb_info import TcbInfo
from rats_tls.simulation.services.faults import NO_FAULTS, Faults, Throttle
from rats_tls.simulation.services.vendors import SimulatedServices
from rats_tls.simulation.world import SimulatedWorld
from support.appraisals import claims_of
from support.bundles import SGX, SNP, TDX
from support.commands import run, run_in_terminal
from support.policies import default_policy
from support.sides import connected_pair, served

K = EndorsementKind


@dataclass(frozen=True)
class Site:
    """A simulated world, its services, and a folder for files."""

    folder: Path
    world: SimulatedWorld
    services: SimulatedServices

    @property
    def anchors(self) -> tuple[object, ...]:
        return ("--trust-anchors", self.world.trust_anchors_file)

    @property
    def vendors(self) -> tuple[object, ...]:
        ca = self.folder / "ca.pem"
        ca.write_bytes(self.services.certificate_authority)
        return ("--pcs", self.services.intel_pcs.url, "--kds", self.services.amd_kds.url, "--services-ca", ca)

    def evidence(self, name: str) -> Path:
        path = self.folder / f"{name}.bin"
        path.write_bytes(self.world.attester(name).collect(bytes(64)).evidence.data)
        return path

    def items(self, name: str, *, age: timedelta = timedelta(0)) -> tuple[BundleItem, ...]:
        now = datetime.now(UTC) - age
        world = SimulatedWorld.load(self.world.trust_anchors_file.parent, clock=lambda: now)
        return tuple(described(item) for item in world.endorsements(name))

    def bundle(self, path: Path, *names: str, channel: str = "standard", age: timedelta = timedelta(0)) -> Path:
        items = {item.endorsement: item for name in names for item in self.items(name, age=age)}
        write_bundle(path, Bundle(made=datetime.now(UTC), channel=channel, items=tuple(items.values())))
        return path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    logging.getLogger("rats_tls.simulation").setLevel(logging.ERROR)
    folder = tmp_path_factory.mktemp("endorsements")
    world = SimulatedWorld.create(folder / "world")
    with SimulatedServices(world) as services:
        yield Site(folder, world, services)


@pytest.fixture
def site(made: Site) -> Iterator[Site]:
    yield made
    for service in made.services.all:
        service.faults = NO_FAULTS


def asked(site: Site) -> Counter[str]:
    """How often each path of the services was asked for."""
    return sum((Counter(service.requests) for service in site.services.all), Counter())


def documents(output: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.splitlines()]


def kept(store: Path) -> set[str]:
    return {entry.endorsement.kind.value for entry in EndorsementStore(store).entries()}


def made_store(store: Path) -> str:
    """What a command says that makes a store."""
    return f"note: store {store}: there was none, a new one is made\n"


def wrote_nothing(store: Path) -> bool:
    return not (store / FILE_NAME).exists() or EndorsementStore(store).entries() == ()


# --- judging without a network ------------------------------------------------------------------------------------
@contextmanager
def without_network(site: Site) -> Iterator[None]:
    for service in site.services.all:
        service.faults = Faults(down=True)
    before = asked(site)
    yield
    assert asked(site) == before


def judge(site: Site, name: str, endorsements: EndorsementService) -> None:
    """Let a peer connect whose Evidence comes alone."""
    attester = site.world.attester(name)
    policy = default_policy(claims_of(attester.collect(bytes(64)).evidence.data))
    anchors = site.world.trust_anchors
    serving = Context(attester=attester, trust_anchors=anchors, provide_endorsements=False)
    judging = Context(policy=policy, trust_anchors=anchors, endorsements=endorsements)
    try:
        for end in connected_pair(serving, judging):
            end.close()
    finally:
        endorsements.close()


@pytest.mark.parametrize("name", [SNP, TDX])
def test_fetched_carried_imported_and_judged_with(site: Site, tmp_path: Path, name: str) -> None:
    """From services into a store, out of it into a bundle, and at the other site into a fresh store."""
    first, second = tmp_path / "first", tmp_path / "second"
    bundle = tmp_path / "bundle.zip"
    evidence = site.evidence(name)
    ended = run("endorsements", "fetch", evidence, "--store", first, *site.vendors, *site.anchors)
    assert (ended.returncode, ended.stderr) == (0, made_store(first))
    assert " written " in ended.stdout
    assert run("endorsements", "export", "--store", first, "--output", bundle).returncode == 0
    ended = run("endorsements", "import", bundle, "--store", second, *site.anchors)
    assert (ended.returncode, ended.stderr) == (0, made_store(second))
    assert kept(first) == kept(second)
    with without_network(site):
        judge(site, name, EndorsementService((BundleSource(bundle),), refresh=False))
        judge(site, name, EndorsementService(store=EndorsementStore(second), refresh=False))
        judge(site, name, EndorsementService((BundleSource(tmp_path),), refresh=False))
        with pytest.raises(EndorsementMissingError):
            refused(site, name)


def refused(site: Site, name: str) -> None:
    """The same peer, with nothing at hand: what was carried is what made the difference."""
    attester = site.world.attester(name)
    policy = default_policy(claims_of(attester.collect(bytes(64)).evidence.data))
    anchors = site.world.trust_anchors
    serving = Context(attester=attester, trust_anchors=anchors, provide_endorsements=False)
    with served(serving, lambda _: None) as (address, _):
        Context(policy=policy, trust_anchors=anchors, endorsements=EndorsementService()).connect(address, timeout=30)


# --- fetch --------------------------------------------------------------------------------------------------------
def test_fetch_writes_a_bundle_of_what_evidence_families_and_chips_need(site: Site, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle.zip"
    hwid = site.world.amd_chip("Milan", 2).hwid.hex()
    ended = run(
        *("endorsements", "fetch", site.evidence(SGX), "--fmspc", "53494D000001", "--tee", "tdx"),
        *("--chip", f"Milan:{hwid}:4,0,24,219", "--output", bundle, *site.vendors, *site.anchors, "--json"),
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    *items, summary = documents(ended.stdout)
    assert {item["verdict"] for item in items} == {"good"}
    assert {item["anchor_kind"] for item in items} == {"simulated"}
    assert summary == {
        "schema": "rats-tls/endorsements-summary/1",
        "command": "fetch",
        "exit_code": 0,
        "output": str(bundle),
        "store": None,
        "good": len(items),
        "kept": 0,
        "wanting": 0,
    }
    carried = read_bundle(bundle)
    assert len(carried.items) == len(items)
    assert sorted(item.endorsement.kind.value for item in carried.items) == [
        *("amd-crl", "amd-root", "amd-signer", "amd-vek"),
        *("intel-pck-crl", "intel-pck-crl", "intel-qe-identity", "intel-qe-identity", "intel-root-crl"),
        *("intel-tcb-info", "intel-tcb-info"),
    ]
    assert {item.anchor for item in carried.items} == {"ARK-Milan", "Simulated Intel SGX Root CA"}
    (vek,) = (item for item in carried.items if item.endorsement.kind is K.AMD_VEK)
    assert dict(vek.keys[0].key)["hwid"] == hwid


def test_fetch_from_a_cache(site: Site, tmp_path: Path) -> None:
    """Of the update channel that was asked for, which is one number ahead there."""
    cache = site.services.intel_pccs
    published = cache.publication
    before = Counter(site.services.intel_pcs.requests)
    numbers = {}
    cache.publication = published.after_tcb_recovery()
    try:
        for channel in ("standard", "early"):
            bundle = tmp_path / f"{channel}.zip"
            ended = run(
                *("endorsements", "fetch", "--fmspc", "53494d000000", "--channel", channel, "--output", bundle),
                *("--pccs", cache.url, *site.vendors[-2:], *site.anchors),
            )
            assert ended.returncode == 0
            assert read_bundle(bundle).channel == channel
            (tdx, _) = (item for item in read_bundle(bundle).items if item.endorsement.kind is K.INTEL_TCB_INFO)
            numbers[channel] = TcbInfo.from_json(tdx.endorsement.data).tcb_evaluation_data_number
    finally:
        cache.publication = published
    assert numbers["early"] == numbers["standard"] + 1
    assert Counter(site.services.intel_pcs.requests) == before


def test_what_is_wanting_is_told_and_nothing_is_written(site: Site, tmp_path: Path) -> None:
    bundle, store = tmp_path / "bundle.zip", tmp_path / "store"
    site.services.intel_pcs.faults = Faults(status=404, only="/tcb?")
    asked = ("endorsements", "fetch", site.evidence(TDX), *site.vendors, *site.anchors)
    ended = run(*asked, "--output", bundle, "--store", store)
    assert (ended.returncode, ended.stderr) == (4, made_store(store))
    assert "wanting  intel-tcb-info (id TDX, fmspc 53494d000000, pceid 0000)" in ended.stdout
    assert re.search(r"why  endorsements_missing: intel-pcs: TCB info of TDX.* got HTTP status 404", ended.stdout)
    assert not bundle.exists()
    assert wrote_nothing(store)
    ended = run(*asked, "--output", bundle, "--partial", "--json")
    assert ended.returncode == 4
    (wanting,) = (item for item in documents(ended.stdout)[:-1] if item["verdict"] == "refused")
    assert (wanting["kind"], wanting["reason"]) == ("intel-tcb-info", "endorsements_missing")
    assert wanting["keys"] == [{"id": "TDX", "fmspc": "53494d000000", "pceid": "0000"}]
    assert K.INTEL_TCB_INFO not in {item.endorsement.kind for item in read_bundle(bundle).items}
    assert len(read_bundle(bundle).items) == 3


@pytest.mark.parametrize("fault", ["expired", "anchors"])
def test_what_is_not_good_is_not_written(site: Site, tmp_path: Path, fault: str) -> None:
    bundle = tmp_path / "bundle.zip"
    if fault == "expired":
        site.services.intel_pcs.faults = Faults(expired=True)
    trusted = site.anchors if fault != "anchors" else ()
    ended = run(
        *("endorsements", "fetch", "--fmspc", "53494d000000", "--output", bundle, "--partial", *site.vendors),
        *trusted,
    )
    assert ended.returncode == 4
    assert ("endorsements_expired" if fault == "expired" else "not a trust anchor") in ended.stdout
    assert " not written " in ended.stdout
    assert not bundle.exists()


def test_evidence_that_is_not_authentic(site: Site, tmp_path: Path) -> None:
    data = bytearray(site.evidence(TDX).read_bytes())
    data[60] ^= 1
    changed = tmp_path / "changed.bin"
    changed.write_bytes(data)
    ended = run("endorsements", "fetch", changed, "--output", tmp_path / "b.zip", *site.vendors, *site.anchors)
    assert ended.returncode == 3
    assert f"wanting  {changed}" in ended.stdout


def test_certificates_in_the_store_are_not_fetched_again(site: Site, tmp_path: Path) -> None:
    arguments = ("endorsements", "fetch", site.evidence(SNP), "--store", tmp_path, *site.vendors, *site.anchors)
    for expected in (["cert_chain", "crl", "hwid"], ["crl"]):
        before = asked(site)
        assert run(*arguments).returncode == 0
        names = [path.rpartition("/")[2] for path in (asked(site) - before).elements()]
        assert sorted("hwid" if len(name) == 128 else name for name in names) == expected


def test_it_waits_for_a_service_that_throttles(site: Site, tmp_path: Path) -> None:
    site.services.amd_kds.faults = Faults(throttle=Throttle(requests=1, seconds=1.0))
    arguments = ("endorsements", "fetch", site.evidence(SNP), *site.vendors, *site.anchors, "--output")
    assert run(*arguments, tmp_path / "waited.zip", "--wait", 60).returncode == 0
    site.services.amd_kds.faults = Faults(throttle=Throttle(requests=1, seconds=30.0))
    ended = run(*arguments, tmp_path / "hasty.zip")
    assert ended.returncode == 4
    assert "429" in ended.stdout


def test_progress_is_for_people(site: Site, tmp_path: Path) -> None:
    arguments = ("endorsements", "fetch", site.evidence(TDX), *site.vendors, *site.anchors, "--output")
    for web in site.services.all:
        web.faults = Faults(stall=0.3)  # long enough to be seen
    try:
        code, output = run_in_terminal(*arguments, tmp_path / "a.zip")
    finally:
        for web in site.services.all:
            web.faults = NO_FAULTS
    assert code == 0
    assert " of 4: intel-" in output
    code, output = run_in_terminal(*arguments, tmp_path / "b.zip", "--json")
    assert code == 0
    assert " of 4" not in output


# --- import -------------------------------------------------------------------------------------------------------
def test_a_tampered_item_is_left_out_and_told(site: Site, tmp_path: Path) -> None:
    items = [*site.items(SNP), *site.items(TDX)]
    at = next(number for number, item in enumerate(items) if item.endorsement.kind is K.AMD_VEK)
    data = items[at].endorsement.data
    forged = replace(items[at].endorsement, data=data[:-1] + bytes([data[-1] ^ 1]))
    items[at] = replace(items[at], endorsement=forged)
    bundle = tmp_path / "bundle.zip"
    write_bundle(bundle, Bundle(made=datetime.now(UTC), channel="standard", items=tuple(items)))
    ended = run("endorsements", "import", bundle, "--store", tmp_path / "store", *site.anchors)
    assert (ended.returncode, ended.stderr) == (3, made_store(tmp_path / "store"))
    (told,) = (line for line in ended.stdout.splitlines() if line.startswith("  left out  amd-"))
    assert re.search(r"amd-vek +product Milan.*; certificate_chain: .*signature does not verify", told)
    assert "amd-vek" not in kept(tmp_path / "store")
    assert {"amd-signer", "amd-crl", "intel-tcb-info"} <= kept(tmp_path / "store")


def test_a_bundle_under_anchors_that_nobody_trusts(site: Site, tmp_path: Path) -> None:
    bundle = site.bundle(tmp_path / "bundle.zip", SNP, TDX)
    ended = run("endorsements", "import", bundle, "--store", tmp_path / "store", "--json")
    assert (ended.returncode, ended.stderr) == (3, made_store(tmp_path / "store"))
    *items, summary = documents(ended.stdout)
    assert {item["verdict"] for item in items} == {"refused"}
    assert {item["reason"] for item in items} == {"certificate_chain"}
    assert {item["file"] for item in items} == {str(bundle)}
    assert (summary["kept"], summary["refused"], summary["exit_code"]) == (0, len(items), 3)
    assert wrote_nothing(tmp_path / "store")


def test_what_has_expired_is_left_out(site: Site, tmp_path: Path) -> None:
    bundle = site.bundle(tmp_path / "bundle.zip", TDX, age=timedelta(days=60))
    ended = run("endorsements", "import", bundle, "--store", tmp_path / "store", *site.anchors)
    assert (ended.returncode, ended.stderr) == (4, made_store(tmp_path / "store"))
    assert "endorsements_expired" in ended.stdout
    assert wrote_nothing(tmp_path / "store")


def test_a_file_that_cannot_be_read_lets_nothing_in(site: Site, tmp_path: Path) -> None:
    bundle = site.bundle(tmp_path / "bundle.zip", TDX)
    cut = tmp_path / "cut.zip"
    cut.write_bytes(bundle.read_bytes()[:-40])
    ended = run("endorsements", "import", bundle, cut, "--store", tmp_path / "store", *site.anchors)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith(f"error: malformed_evidence: {cut}: Bundle")
    assert len(ended.stderr.splitlines()) == 1
    assert not (tmp_path / "store").exists()


def test_a_bundle_of_another_update_channel(site: Site, tmp_path: Path) -> None:
    bundle = site.bundle(tmp_path / "bundle.zip", TDX, channel="early")
    arguments = ("endorsements", "import", bundle, "--store", tmp_path / "store", *site.anchors)
    ended = run(*arguments)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert f"{bundle}: update channel: got early, expected standard" in ended.stderr
    assert run(*arguments, "--channel", "early").returncode == 0
    channels = {entry.channel for entry in EndorsementStore(tmp_path / "store").entries()}
    assert channels == {"early", ""}


def test_simulated_roots_raise_no_floors(site: Site, tmp_path: Path) -> None:
    bundle = site.bundle(tmp_path / "bundle.zip", TDX)
    assert run("endorsements", "import", bundle, "--store", tmp_path / "store", *site.anchors).returncode == 0
    assert EndorsementStore(tmp_path / "store").floors() == {}


def test_files_help_each_other_and_the_store_helps_them(site: Site, tmp_path: Path) -> None:
    """A VCEK is verified by the certificate of its signer, wherever that is."""
    by_kind = {item.endorsement.kind: item.endorsement.data for item in site.items(SNP)}
    vcek, signer = tmp_path / "vcek.der", tmp_path / "ask.der"
    vcek.write_bytes(by_kind[K.AMD_VEK])
    signer.write_bytes(by_kind[K.AMD_SIGNER])
    together, apart = tmp_path / "together", tmp_path / "apart"
    assert run("endorsements", "import", vcek, signer, "--store", together, *site.anchors).returncode == 0
    assert run("endorsements", "import", vcek, "--store", apart, *site.anchors).returncode == 3
    assert run("endorsements", "import", signer, "--store", apart, *site.anchors).returncode == 0
    assert run("endorsements", "import", vcek, "--store", apart, *site.anchors).returncode == 0
    assert kept(together) == kept(apart) == {"amd-vek", "amd-signer"}


# --- list, verify, export, prune ----------------------------------------------------------------------------------
@pytest.fixture
def store(site: Site, tmp_path: Path) -> Path:
    """A store with what is good, what ends soon and what has expired."""
    directory = tmp_path / "store"
    bundle = site.bundle(tmp_path / "for-store.zip", SNP, TDX)
    assert run("endorsements", "import", bundle, "--store", directory, *site.anchors).returncode == 0
    filled = EndorsementStore(directory)
    now = datetime.now(UTC)
    entries = [entry for entry in filled.entries() if entry.endorsement.kind is K.INTEL_QE_IDENTITY]
    filled.keep([replace(entry, expires=now - timedelta(days=2, hours=1)) for entry in entries])
    entries = [entry for entry in filled.entries() if entry.endorsement.kind is K.INTEL_PCK_CRL]
    filled.keep([replace(entry, expires=now + timedelta(seconds=90)) for entry in entries])
    bundle.unlink()
    return directory


def test_list_of_a_store(site: Site, store: Path) -> None:
    ended = run("endorsements", "list", store, *site.anchors)
    assert (ended.returncode, ended.stderr) == (0, "")
    *lines, last = ended.stdout.splitlines()
    assert last == f"{len(lines)} items, 1 expired"
    assert re.search(r"expired 2 days ago +intel-qe-identity +simulated +id TD_QE, standard; issued 2", lines[0])
    assert re.search(r"1 minute left +intel-pck-crl +simulated +ca platform; issued 2", lines[1])
    expiries = [line.strip()[:16] for line in lines]
    assert expiries == sorted(expiries)
    assert "unknown root" in run("endorsements", "list", store).stdout


def test_list_in_a_terminal(site: Site, store: Path) -> None:
    code, output = run_in_terminal("endorsements", "list", store, *site.anchors)
    assert code == 0
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", output)
    assert max(map(len, plain.splitlines())) <= 80
    assert "\x1b[31mexpired 2 days ago" in output
    assert re.search(r"\x1b\[33m(1 minute|[0-9]+ seconds) left", output)
    assert re.search(r"\x1b\[32m[0-9]+ days left", output)


def test_list_as_json(site: Site, store: Path) -> None:
    first, *others, summary = documents(run("endorsements", "list", store, *site.anchors, "--json").stdout)
    assert first["kind"] == "intel-qe-identity"
    assert first["keys"] == [{"id": "TD_QE"}]
    assert (first["channel"], first["anchor"], first["anchor_kind"]) == (
        "standard",
        "Simulated Intel SGX Root CA",
        "simulated",
    )
    assert -2 * 86_400 - 4000 < first["seconds_left"] < -2 * 86_400
    assert all(other["seconds_left"] > 0 for other in others)
    assert summary == {
        "schema": "rats-tls/endorsements-summary/1",
        "command": "list",
        "exit_code": 0,
        "path": str(store),
        "items": len(others) + 1,
        "expired": 1,
    }


def test_list_at_another_time(site: Site, store: Path) -> None:
    ended = run("endorsements", "list", store, *site.anchors, "--at", "2099-01-01T00:00:00Z")
    assert ended.returncode == 0
    *lines, last = ended.stdout.splitlines()
    assert all("ago" in line for line in lines)
    assert last == f"{len(lines)} items, {len(lines)} expired"


def test_list_of_a_bundle_and_of_a_file(site: Site, tmp_path: Path) -> None:
    bundle = site.bundle(tmp_path / "bundle.zip", TDX)
    ended = run("endorsements", "list", bundle, *site.anchors)
    assert ended.returncode == 0
    *lines, last = ended.stdout.splitlines()
    assert all("not verified" in line for line in lines)
    assert last == f"{len(lines)} items, 0 expired"
    crl = tmp_path / "list.crl"
    crl.write_bytes(next(item.endorsement.data for item in site.items(SNP) if item.endorsement.kind is K.AMD_CRL))
    told, last = run("endorsements", "list", crl).stdout.splitlines()
    assert "amd-crl" in told
    assert "product Milan, type VCEK; or product Milan, type VLEK; issued" in told
    assert last == "1 item, 0 expired"
    assert run("endorsements", "list", tmp_path, "--json").stdout.count("amd-crl") == 1


def test_metrics(site: Site, store: Path) -> None:
    ended = run("endorsements", "list", store, *site.anchors, "--metrics")
    assert ended.returncode == 0
    assert ended.stdout.endswith("# EOF\n")
    labels = (
        'kind="intel-pck-crl",key="ca platform",channel="",anchor="Simulated Intel SGX Root CA",anchor_kind="simulated"'
    )
    assert f"rats_tls_endorsement_expiry_timestamp_seconds{{{labels}}} " in ended.stdout


def test_verify(site: Site, tmp_path: Path) -> None:
    bundle = site.bundle(tmp_path / "bundle.zip", SNP, TDX)
    ended = run("endorsements", "verify", bundle, *site.anchors)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.splitlines()[-1].startswith(" good  bundle.zip  8 items: 8 good, 0 refused")
    assert run("endorsements", "verify", bundle).returncode == 3
    ended = run("endorsements", "verify", bundle, *site.anchors, "--at", "2045-01-01T00:00:00Z", "--json")
    assert ended.returncode == 4
    assert {item["reason"] for item in documents(ended.stdout)[:-1] if item["verdict"] == "refused"} == {
        "endorsements_expired"
    }
    directory = tmp_path / "store"
    assert run("endorsements", "import", bundle, "--store", directory, *site.anchors).returncode == 0
    assert run("endorsements", "verify", directory, *site.anchors).returncode == 0


def test_export_leaves_out_what_has_expired(site: Site, store: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.zip"
    ended = run("endorsements", "export", "--store", store, "--output", output, *site.anchors, "--json")
    assert ended.returncode == 0
    (summary,) = documents(ended.stdout)
    assert summary["expired"] == 1
    carried = read_bundle(output)
    assert len(carried.items) == summary["items"]
    assert K.INTEL_QE_IDENTITY not in {item.endorsement.kind for item in carried.items}
    (crl,) = (item for item in carried.items if item.endorsement.kind is K.AMD_CRL)
    assert set(crl.keys) == set(keys_of(crl.endorsement))
    assert crl.anchor == "ARK-Milan"


def test_export_of_some_kinds(store: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.zip"
    arguments = ("endorsements", "export", "--store", store, "--output", output)
    assert run(*arguments, "--kind", "amd-vek", "--kind", "amd-signer").returncode == 0
    assert {item.endorsement.kind for item in read_bundle(output).items} == {K.AMD_VEK, K.AMD_SIGNER}
    ended = run(*arguments, "--kind", "intel-qe-identity")
    assert ended.returncode == 1
    assert "there is nothing to export (1 expired)" in ended.stderr


def test_prune(store: Path) -> None:
    ended = run("endorsements", "prune", "--store", store, "--json")
    (summary,) = documents(ended.stdout)
    assert (summary["deleted"], summary["exit_code"]) == (1, 0)
    assert "intel-qe-identity" not in kept(store)
    assert run("endorsements", "prune", "--store", store).stdout.splitlines()[0].split() == ["deleted", "0", "items"]


def test_all_commands_count_the_same_items(site: Site, tmp_path: Path) -> None:
    """An item may have several keys, and certificates in its chain; a root is one that no store keeps."""
    directory, evidence = tmp_path / "store", (site.evidence(SNP), site.evidence(TDX))
    fetched, exported = tmp_path / "fetched.zip", tmp_path / "exported.zip"
    command = ("endorsements", "fetch", *evidence, "--output", fetched, "--store", directory)
    told = run(*command, *site.vendors, *site.anchors)
    assert "  8 items, 0 wanting" in told.stdout
    assert re.search(r"kept +7 items\n +not kept +1 item: roots, which no judgement looks up", told.stdout)

    def summary(*arguments: object) -> dict[str, Any]:
        return documents(run("endorsements", *arguments, "--json").stdout)[-1]

    carried = summary("verify", fetched, *site.anchors)
    assert (carried["items"], carried["good"]) == (8, 8)
    assert summary("list", fetched)["items"] == 8
    imported = summary("import", fetched, "--store", tmp_path / "other", *site.anchors)
    assert [imported[name] for name in ("items", "kept", "not_kept", "refused")] == [8, 7, 1, 0]
    assert summary("verify", directory, *site.anchors)["items"] == 7
    assert summary("list", directory)["items"] == 7
    assert summary("export", "--store", directory, "--output", exported)["items"] == 7
    assert summary("list", exported)["items"] == 7
    assert summary("prune", "--store", directory)["left"] == 7
    filled = EndorsementStore(directory)
    past = datetime.now(UTC) - timedelta(days=1)
    filled.keep([replace(entry, expires=past) for entry in filled.entries() if entry.endorsement.kind is K.AMD_CRL])
    listed = summary("list", directory)
    assert (listed["items"], listed["expired"]) == (7, 1)
    assert summary("export", "--store", directory, "--output", exported)["expired"] == 1
    pruned = summary("prune", "--store", directory)
    assert (pruned["deleted"], pruned["left"]) == (1, 6)


def test_what_an_export_leaves_out_of_another_update_channel_is_told(site: Site, tmp_path: Path) -> None:
    bundle = site.bundle(tmp_path / "early.zip", TDX, channel="early")
    given = ("endorsements", "import", bundle, "--store", tmp_path / "store", "--channel", "early", *site.anchors)
    assert run(*given).returncode == 0
    ended = run("endorsements", "export", "--store", tmp_path / "store", "--output", tmp_path / "out.zip")
    assert re.search(r"left out +0 expired, 2 of another update channel", ended.stdout)


def test_a_bundle_is_inspected(site: Site, tmp_path: Path) -> None:
    bundle = site.bundle(tmp_path / "bundle.zip", TDX)
    ended = run("inspect", bundle, "--json")
    assert (ended.returncode, ended.stderr) == (0, "")
    document = json.loads(ended.stdout)
    assert document["kind"] == "bundle of Endorsements"
    _, channel, *items = document["fields"]
    assert channel["value"] == "standard"
    assert [item["name"] for item in items] == [item.endorsement.kind.value for item in read_bundle(bundle).items]


def test_a_root_has_one_fingerprint_everywhere(site: Site, tmp_path: Path) -> None:
    """That of the anchor: certificates of one root have several."""
    bundle = site.bundle(tmp_path / "bundle.zip", SNP, TDX)
    store, exported = tmp_path / "store", tmp_path / "exported.zip"
    assert run("endorsements", "import", bundle, "--store", store, *site.anchors).returncode == 0
    every = {anchor.name: anchor.fingerprint.hex()[:16] for anchor in site.world.trust_anchors}
    inspected = run("inspect", site.world.trust_anchors_file).stdout
    assert re.findall(r"fingerprint +(\w+)  as a trust anchor, of kind simulated", inspected) == list(every.values())
    shown = {name: fingerprint for name, fingerprint in every.items() if "HRK" not in name}
    assert len(shown) == len(every) - 1
    listed = run("endorsements", "list", store).stdout
    assert set(re.findall(r"unknown root (\w+)", listed)) == set(shown.values())
    told = documents(run("endorsements", "list", store, "--json").stdout)[:-1]
    assert {item["anchor"] for item in told} == set(shown.values())
    refused = run("endorsements", "verify", bundle).stdout
    named = set(re.findall(r"root (\S.*?) \(fingerprint (\w+)\): not a trust anchor", refused))
    assert named == set(shown.items())
    assert run("endorsements", "export", "--store", store, "--output", exported).returncode == 0
    assert {item.anchor for item in read_bundle(exported).items} == set(shown.values())


# --- mistakes -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("fetch",), 1, "give EVIDENCE, --fmspc or --chip"),
        (("fetch", "--fmspc", "00" * 6), 1, "give --output BUNDLE or --store DIR"),
        (("fetch", "--fmspc", "12", "--output", "b.zip"), 1, "got '12', expected 12 hexadecimal digits"),
        (("fetch", "--chip", "Naples:00:1", "--output", "b.zip"), 1, "product 'Naples', expected Milan or Genoa"),
        (("fetch", "--chip", "Milan:00:1", "--output", "b.zip"), 1, "chip id of 2 characters, expected 128"),
        (("fetch", "--chip", f"Milan:{'00' * 64}:1,2,3", "--output", "b.zip"), 1, "expected bl,tee,snp,ucode"),
        (("fetch", "--chip", f"Milan:{'00' * 64}:1,2,3,256", "--output", "b.zip"), 1, "each 0 to 255"),
        (("fetch", "--chip", f"Turin:{'00' * 8}:1,2,3,4", "--output", "b.zip"), 1, "expected fmc,bl,tee,snp,ucode"),
        (("fetch", "--fmspc", "00" * 6, "--output", "no/such/b.zip"), 1, "there is no such directory"),
        (("fetch", "--fmspc", "00" * 6, "--output", "b.zip", "--pcs", "http://x"), 1, "URL http://x"),
        (("fetch", "garbage", "--output", "b.zip"), 6, "garbage: Evidence: got 12 bytes"),
        (("list", "garbage"), 2, "garbage: no known form of Endorsements"),
        (("list", "missing"), 1, "'missing' does not exist"),
        (("list", "garbage", "--json", "--metrics"), 1, "choose one"),
        (("list", "empty"), 1, "empty: got 0 files, expected a store, or 1 to 1024 files"),
        (("list", "null"), 2, "null: the file is empty"),
        (("verify", "garbage"), 2, "garbage: no known form"),
        (("verify", "garbage", "--at", "noon"), 1, "--at"),
        (("import", "garbage", "--store", "s"), 2, "garbage: no known form"),
        (("import", "--store", "s"), 1, "FILE"),
        (("import", "garbage"), 1, "--store"),
        (("import", "/dev/null", "--store", "s"), 1, "/dev/null: not a regular file"),
        (("export", "--store", "empty", "--output", "b.zip"), 1, "store empty: there is none"),
        (("prune", "--store", "missing"), 1, "store missing: there is none"),
        (("prune", "--store", "broken"), 1, "store broken"),
    ],
)
def test_mistakes(tmp_path: Path, arguments: tuple[str, ...], code: int, message: str) -> None:
    (tmp_path / "garbage").write_bytes(b"hello, world")
    (tmp_path / "null").touch()
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / FILE_NAME).write_bytes(b"no database at all, whatever its name says" * 100)
    ended = run("endorsements", *arguments, cwd=tmp_path)
    assert (ended.returncode, ended.stdout) == (code, "")
    assert message in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
    assert "Traceback" not in ended.stderr
    assert not (tmp_path / "s").exists()


def test_what_is_older_than_what_is_kept_is_told_and_left_out(site: Site, tmp_path: Path) -> None:
    """Also where no floor is, as under simulated roots."""
    old, store = tmp_path / "old.zip", tmp_path / "store"
    fetch = ("endorsements", "fetch", "--fmspc", "53494d000000", "--tee", "tdx", *site.vendors, *site.anchors)
    for web in site.services.all:
        web.faults = Faults(rolled_back=True)
    try:
        assert run(*fetch, "--output", old).returncode == 0
    finally:
        for web in site.services.all:
            web.faults = NO_FAULTS
    assert run(*fetch, "--store", store).returncode == 0
    before = run("endorsements", "list", store, *site.anchors).stdout
    ended = run("endorsements", "import", old, "--store", store, *site.anchors)
    assert ended.returncode == 4
    assert ended.stdout.count("a newer one is kept already") == 5
    assert "nothing imported" in ended.stdout
    assert run("endorsements", "list", store, *site.anchors).stdout == before


def test_what_sources_have_that_is_older_than_what_is_kept_is_not_fetched(site: Site, tmp_path: Path) -> None:
    store = tmp_path / "store"
    fetch = ("endorsements", "fetch", "--fmspc", "53494d000000", "--tee", "tdx", *site.vendors, *site.anchors)
    assert run(*fetch, "--store", store).returncode == 0
    before = run("endorsements", "list", store, *site.anchors).stdout
    for web in site.services.all:
        web.faults = Faults(rolled_back=True)
    try:
        for options in ((), ("--partial",)):
            ended = run(*fetch, "--store", store, *options)
            assert ended.returncode == 4
            assert "newer" in ended.stdout
            assert "Traceback" not in ended.stderr
    finally:
        for web in site.services.all:
            web.faults = NO_FAULTS
    assert run("endorsements", "list", store, *site.anchors).stdout == before


def test_a_part_is_not_kept_where_the_rest_is_older(site: Site, tmp_path: Path) -> None:
    store, bundle = tmp_path / "store", tmp_path / "bundle.zip"
    fetch = ("endorsements", "fetch", "--fmspc", "53494d000000", *site.vendors, *site.anchors, "--store", store)
    assert run(*fetch, "--tee", "sgx").returncode == 0
    before = run("endorsements", "list", store, *site.anchors).stdout
    site.services.intel_pccs.faults = site.services.intel_pcs.faults = Faults(rolled_back=True)
    try:
        ended = run(*fetch, "--tee", "both", "--output", bundle)
        assert ended.returncode == 4
        assert "not written" in ended.stdout
        assert "--partial writes the rest" in ended.stdout
        assert run("endorsements", "list", store, *site.anchors).stdout == before
        assert not bundle.exists()
        assert run(*fetch, "--tee", "both", "--output", bundle, "--partial").returncode == 4
        assert run("endorsements", "list", store, *site.anchors).stdout != before
        assert bundle.exists()
    finally:
        for web in site.services.all:
            web.faults = NO_FAULTS


def test_a_malformed_item_is_called_so(site: Site, tmp_path: Path) -> None:
    (crl,) = (item for item in site.items(SNP) if item.endorsement.kind is K.AMD_CRL)
    junk = replace(crl, endorsement=replace(crl.endorsement, data=b"\x30\x03\x02\x01\x01"))
    bundle = tmp_path / "bundle.zip"
    write_bundle(bundle, Bundle(made=datetime.now(UTC), channel="standard", items=(junk,)))
    for command in (("verify", bundle), ("import", bundle, "--store", tmp_path / "store")):
        ended = run("endorsements", *command, *site.anchors)
        assert ended.returncode == 2
        assert "not a revocation list" in ended.stdout


def test_bundles_are_files_with_endorsements(site: Site, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle.zip"
    items = tuple(site.items(TDX))
    write_bundle(bundle, Bundle(made=datetime.now(UTC), channel="standard", items=items))
    assert {item.digest for item in load_endorsements(bundle)} == {item.endorsement.digest for item in items}
