"""Evidence where Endorsements are expected, and the reverse: the error says what the file is."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from rats_tls.certificates.making import make_certificate, make_claims_buffer
from rats_tls.core.algorithms import HashAlgorithm, KeyAlgorithm
from rats_tls.core.binding import certificate_report_data
from rats_tls.core.endorsements import EndorsementKind
from rats_tls.crypto_wrappers.openssl import OpensslCryptoWrapper
from rats_tls.endorsements.bundle import Bundle, write_bundle
from rats_tls.endorsements.bundle_source import described
from rats_tls.formats.intel.collateral import endorsements_to_json
from rats_tls.simulation.world import SimulatedWorld
from support.bundles import SGX, SNP, TDX
from support.commands import run

K = EndorsementKind
TITLES = {SGX: "Intel SGX", TDX: "Intel TDX", SNP: "AMD SEV-SNP"}


@pytest.fixture(scope="module")
def world() -> SimulatedWorld:
    return SimulatedWorld()


def evidence(world: SimulatedWorld, name: str, path: Path) -> Path:
    path.write_bytes(world.attester(name).collect(bytes(64)).evidence.data)
    return path


def certificate(world: SimulatedWorld, name: str, path: Path) -> Path:
    crypto = OpensslCryptoWrapper()
    now = datetime.now(UTC)
    key = crypto.generate_key(KeyAlgorithm.EC_P256)
    buffer = make_claims_buffer(key.public_key.spki, crypto, hash_algorithm=HashAlgorithm.SHA256, issued_at=now)
    collected = world.attester(name).collect(certificate_report_data(buffer))
    path.write_bytes(make_certificate(key, collected.evidence, buffer, crypto, now=now, lifetime_seconds=3600).der)
    return path


@pytest.fixture
def policy(world: SimulatedWorld, tmp_path: Path) -> Path:
    path = tmp_path / "policy.toml"
    path.write_text(run("policy", "from-evidence", evidence(world, TDX, tmp_path / "good.bin")).stdout)
    return path


@pytest.mark.parametrize("name", TITLES)
@pytest.mark.parametrize("is_certificate", [False, True], ids=["bare", "certificate"])
def test_evidence_in_place_of_endorsements(
    world: SimulatedWorld, policy: Path, tmp_path: Path, name: str, is_certificate: bool
) -> None:
    given = (certificate if is_certificate else evidence)(world, name, tmp_path / "given")
    what = f"Evidence of {TITLES[name]}"
    what = f"a certificate that carries {what}" if is_certificate else what
    for command in (
        ("endorsements", "list", given),
        ("endorsements", "verify", given),
        ("endorsements", "import", given, "--store", tmp_path / "store"),
        ("verify", tmp_path / "good.bin", "--policy", policy, "--endorsements-file", given),
    ):
        ended = run(*command)
        assert (ended.returncode, ended.stdout) == (2, "")
        assert ended.stderr == f"error: malformed_evidence: {given}: got {what}, expected Endorsements\n"


def test_endorsements_in_place_of_evidence(world: SimulatedWorld, policy: Path, tmp_path: Path) -> None:
    intel = world.endorsements(TDX)
    items = {item.kind: item.data for item in (*intel, *world.endorsements(SNP))}
    bundle, collateral = tmp_path / "bundle.zip", tmp_path / "collateral.json"
    write_bundle(bundle, Bundle(made=datetime.now(UTC), channel="standard", items=tuple(map(described, intel))))
    collateral.write_bytes(endorsements_to_json(intel))  # it holds PEM, as certificates do
    kinds = "intel-tcb-info, intel-qe-identity, intel-root-crl, intel-pck-crl"
    files = {bundle: "a bundle of Endorsements", collateral: f"Endorsements ({kinds})"}
    for kind in (K.AMD_VEK, K.AMD_SIGNER, K.AMD_CRL, K.INTEL_PCK_CRL, K.INTEL_ROOT_CRL):
        path = tmp_path / f"{kind.value}.der"
        path.write_bytes(items[kind])
        files[path] = f"Endorsements ({kind.value})"
    for path, what in files.items():
        got = f"{path}: got {what}, expected Evidence, or a certificate that carries it"
        ended = run("verify", path, "--policy", policy, "--json")
        assert ended.returncode == 2
        assert json.loads(ended.stdout)["message"] == got
        ended = run("policy", "from-evidence", path)
        assert (ended.returncode, ended.stderr) == (2, f"error: malformed_evidence: {got}\n")


def test_a_file_of_neither_kind_is_called_as_before(policy: Path, tmp_path: Path) -> None:
    (tmp_path / "garbage").write_bytes(b"hello, world" * 100)
    ended = run("verify", tmp_path / "garbage", "--policy", policy)
    assert (ended.returncode, "expected a quote or report of SGX" in ended.stdout) == (6, True)
    ended = run("endorsements", "list", tmp_path / "garbage")
    assert (ended.returncode, "no known form of Endorsements" in ended.stderr) == (2, True)
