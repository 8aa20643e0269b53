"""Simulated worlds: shared through a directory, trusted only by explicit anchors."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from rats_tls.core.anchors import AnchorKind, Vendor
from rats_tls.core.errors import ConfigurationError
from rats_tls.formats.x509 import Certificate, certificates_from_pem
from rats_tls.simulation import amd_vendor
from rats_tls.simulation.world import SimulatedWorld
from rats_tls.verifiers.chain import SIMULATED_ORGANIZATION
from rats_tls.verifiers.vendor_roots import VENDOR_ROOTS
from support.appraisals import user_anchors
from support.simulated import NOW, REPORT_DATA


@pytest.fixture(autouse=True)
def _small_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make small RSA keys, which are fast to make; nothing here is judged by a Verifier."""
    monkeypatch.setattr(
        "rats_tls.simulation.world.generate_rsa_key", lambda _name: rsa.generate_private_key(65537, 2048)
    )


def create(directory: Path, **settings: object) -> SimulatedWorld:
    return SimulatedWorld.create(directory, clock=lambda: NOW, **settings)  # type: ignore[arg-type]  # as given


def anchors_of(world: SimulatedWorld) -> set[tuple[Vendor, bytes, bytes]]:
    return {(anchor.vendor, anchor.subject, anchor.spki) for anchor in world.trust_anchors}


def test_processes_share_vendors_and_machines(tmp_path: Path) -> None:
    made = create(tmp_path)
    loaded = SimulatedWorld.load(tmp_path, clock=lambda: NOW)
    assert anchors_of(loaded) == anchors_of(made)
    assert loaded.intel_platform.ppid == made.intel_platform.ppid
    assert loaded.amd_chip("Milan").chip_id == made.amd_chip("Milan").chip_id
    mine = made.attester("simulated_sev_snp").collect(REPORT_DATA)
    theirs = loaded.attester("simulated_sev_snp").collect(REPORT_DATA)
    assert [_key(item.data) for item in mine.endorsements[:3]] == [_key(item.data) for item in theirs.endorsements[:3]]


def _key(certificate: bytes) -> tuple[int, bytes]:
    decoded = Certificate.from_der(certificate)
    return decoded.serial, decoded.spki


def test_anchors_file_names_simulated_roots(tmp_path: Path) -> None:
    world = create(tmp_path, products=("Milan", "Turin"))
    assert world.trust_anchors_file == tmp_path / "trust-anchors.pem"
    pem = world.trust_anchors_file.read_bytes()
    anchors = user_anchors(pem)
    assert {(anchor.vendor, anchor.subject, anchor.spki) for anchor in anchors} == anchors_of(world)
    assert {anchor.kind for anchor in (*anchors, *world.trust_anchors)} == {AnchorKind.SIMULATED}
    assert [anchor.name for anchor in anchors] == ["Simulated Intel SGX Root CA", "ARK-Milan", "ARK-Turin"]
    assert [anchor.name for anchor in world.trust_anchors] == [anchor.name for anchor in anchors]
    assert b"trusts everybody who can read it" in pem


def test_no_simulated_root_is_a_vendor_root() -> None:
    world = SimulatedWorld()
    world.amd("Milan")
    pinned = {anchor.subject for anchor in VENDOR_ROOTS} | {anchor.spki for anchor in VENDOR_ROOTS}
    for anchor in world.trust_anchors:
        assert anchor.subject not in pinned
        assert anchor.spki not in pinned


def test_every_certificate_names_the_simulation() -> None:
    world = SimulatedWorld(clock=lambda: NOW)
    certificates = list(certificates_from_pem(world.trust_anchors_pem))
    for name in ("simulated_sgx_ecdsa", "simulated_tdx_ecdsa", "simulated_sev_snp"):
        collected = world.attester(name, **({} if "snp" in name else {"certification_data_type": 1})).collect(
            REPORT_DATA
        )
        for item in collected.endorsements:
            certificates += item.issuer_chain
            if item.kind.value in {"intel-pck-chain", "amd-vek", "amd-signer", "amd-root"}:
                certificates.append(item.data)
    assert len(set(certificates)) == 7
    for der in certificates:
        certificate = Certificate.from_der(der)
        assert certificate.subject.organization == SIMULATED_ORGANIZATION
        assert certificate.issuer.organization == SIMULATED_ORGANIZATION


def test_keys_are_private_and_named_simulated(tmp_path: Path) -> None:
    directory = tmp_path / "world"
    create(directory)
    secrets = [file for file in directory.iterdir() if file.name != "trust-anchors.pem"]
    assert {file.name for file in secrets} == {
        "simulated-machine.secret",
        "simulated-intel-root.key.pem",
        "simulated-intel-processor.key.pem",
        "simulated-intel-platform.key.pem",
        "simulated-intel-tcb_signing.key.pem",
        "simulated-amd-milan-ark.key.pem",
    }
    assert {stat.S_IMODE(file.stat().st_mode) for file in secrets} == {0o600}
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert stat.S_IMODE((directory / "trust-anchors.pem").stat().st_mode) == 0o644


def test_product_made_later_joins_the_anchors_of_all(tmp_path: Path) -> None:
    first = create(tmp_path, products=())
    second = SimulatedWorld.load(str(tmp_path))
    second.amd("Genoa")
    first.amd("Turin")
    names = {anchor.name for anchor in user_anchors(first.trust_anchors_file.read_bytes())}
    assert names == {"Simulated Intel SGX Root CA", "ARK-Genoa", "ARK-Turin"}
    assert {anchor.name for anchor in SimulatedWorld.load(tmp_path).trust_anchors} == names


def test_a_key_is_made_once_whoever_is_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = create(tmp_path, products=())
    other = SimulatedWorld.load(tmp_path)
    made: list[rsa.RSAPrivateKey] = []

    def make_after_the_other(_name: str) -> rsa.RSAPrivateKey:
        made.append(rsa.generate_private_key(65537, 2048))
        if len(made) == 1:
            other.amd("Milan")  # the other process gets its key in between
        return made[0]

    monkeypatch.setattr("rats_tls.simulation.world.generate_rsa_key", make_after_the_other)
    assert world.amd("Milan").trust_anchor == other.amd("Milan").trust_anchor
    assert len(made) == 2
    assert not list(tmp_path.glob(".new-*"))


def test_second_world_in_a_directory_is_refused(tmp_path: Path) -> None:
    create(tmp_path, products=())
    before = (tmp_path / "trust-anchors.pem").read_bytes()
    with pytest.raises(ConfigurationError, match="there is one already"):
        create(tmp_path, products=())
    assert (tmp_path / "trust-anchors.pem").read_bytes() == before


def test_directory_without_a_world_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="there is none"):
        SimulatedWorld.load(tmp_path)
    with pytest.raises(ConfigurationError, match="there is none"):
        SimulatedWorld.load(tmp_path / "absent")


@pytest.mark.parametrize("file", ["simulated-intel-root.key.pem", "simulated-amd-milan-ark.key.pem"])
def test_broken_or_wrong_key_is_refused(tmp_path: Path, file: str) -> None:
    create(tmp_path)
    other = "simulated-amd-milan-ark.key.pem" if "intel" in file else "simulated-intel-root.key.pem"
    good = (tmp_path / file).read_bytes()
    (tmp_path / file).write_bytes((tmp_path / other).read_bytes())
    with pytest.raises(ConfigurationError, match=f"{file}: got an "):
        SimulatedWorld.load(tmp_path)
    (tmp_path / file).write_bytes(good[:100])
    with pytest.raises(ConfigurationError, match=f"{file}: not a PEM private key"):
        SimulatedWorld.load(tmp_path)
    (tmp_path / file).unlink()
    (tmp_path / file).mkdir()
    with pytest.raises(ConfigurationError, match=file):
        SimulatedWorld.load(tmp_path)


def test_broken_machine_secret_is_refused(tmp_path: Path) -> None:
    create(tmp_path, products=())
    (tmp_path / "simulated-machine.secret").write_bytes(b"short")
    with pytest.raises(ConfigurationError, match=r"simulated-machine\.secret: got 5 bytes"):
        SimulatedWorld.load(tmp_path)


def test_world_in_memory_has_no_file() -> None:
    with pytest.raises(ConfigurationError, match="no directory"):
        SimulatedWorld().trust_anchors_file  # noqa: B018  # the property is what is called


def test_unknown_names_are_refused() -> None:
    world = SimulatedWorld()
    with pytest.raises(ConfigurationError, match="attester: got 'sgx_ecdsa', expected one of simulated_sgx_ecdsa"):
        world.attester("sgx_ecdsa")
    with pytest.raises(ConfigurationError, match="unknown setting 'colour'"):
        world.attester("simulated_sgx_ecdsa", colour="red")
    with pytest.raises(ConfigurationError, match="unknown setting 'vmpl'"):
        world.attester("simulated_tdx_ecdsa", vmpl=0)
    with pytest.raises(ConfigurationError, match="product: got 'Naples'"):
        world.amd("Naples")  # type: ignore[arg-type]  # what a user may pass


def test_signers_are_made_only_for_the_key_type_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def key_for(name: str) -> rsa.RSAPrivateKey:
        asked.append(name)
        return rsa.generate_private_key(65537, 2048)

    vendor = amd_vendor.SimulatedAmdVendor("Milan", key_for)
    assert asked == ["ark"]
    world = SimulatedWorld(clock=lambda: NOW)
    world._amd["Milan"] = vendor
    world.attester("simulated_sev_snp").collect(REPORT_DATA)
    assert asked == ["ark", "ask"]
    world.attester("simulated_sev_snp", key_type="VLEK").collect(REPORT_DATA)
    assert asked == ["ark", "ask", "asvk"]


def test_machines_have_numbers(tmp_path: Path) -> None:
    made = create(tmp_path)
    loaded = SimulatedWorld.load(tmp_path, clock=lambda: NOW)
    assert made.intel_machine(0).ppid == made.intel_platform.ppid
    assert made.amd_chip("Milan", 0).chip_id == made.amd_chip("Milan").chip_id
    for number in (0, 1, 2):
        assert loaded.intel_machine(number).encrypted_ppid == made.intel_machine(number).encrypted_ppid
        assert loaded.amd_chip("Milan", number).chip_id == made.amd_chip("Milan", number).chip_id
    assert len({made.intel_machine(number).ppid for number in range(3)}) == 3
    assert len({made.amd_chip("Milan", number).chip_id for number in range(3)}) == 3


def test_attesters_run_on_the_machine_that_is_named() -> None:
    world = SimulatedWorld(clock=lambda: NOW)
    report = world.attester("simulated_sev_snp", machine=1).collect(REPORT_DATA).evidence.data
    assert report[0x1A0:0x1E0] == world.amd_chip("Milan", 1).chip_id
    for named in (1, "1"):
        attester = world.attester_from_texts("simulated_sgx_ecdsa", {"machine": named, "certification_data_type": "3"})
        assert world.intel_machine(1).encrypted_ppid in attester.collect(REPORT_DATA).evidence.data
    for number in (-1, -2):
        with pytest.raises(ConfigurationError, match="machine: got -"):
            world.attester("simulated_sgx_ecdsa", machine=number)
    for wrong in ("-1", "one", True, "9" * 5000):
        with pytest.raises(ConfigurationError, match="machine: got"):
            world.attester_from_texts("simulated_sgx_ecdsa", {"machine": wrong})
