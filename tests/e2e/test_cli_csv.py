"""Hygon CSV on the command line: files that are inspected, pinned, tried and verified, and two sides that attest."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from rats_tls.formats.hygon.hsk_cek import endorsement_to_hsk_cek
from support.command_files import REPORT_DATA, CommandFiles
from support.commands import port_of, run, started
from support.event_logs import SM3, Logged, log, specification
from support.trustee_csv import document, to_json

CSV = "simulated_csv"
GIVEN = ["--report-data", REPORT_DATA.hex()]


class Case:
    """A simulated guest's Evidence, its certificates beside it, and the policy that pins it."""

    def __init__(self, files: CommandFiles) -> None:
        self.files = files
        self.evidence = self.report("csv.bin")
        self.beside = self.report("csv-beside.bin", certificates="beside")
        (self.chain,) = files.world.endorsements(CSV, certificates="beside")
        self.hsk_cek = files.write("hsk_cek.cert", endorsement_to_hsk_cek(self.chain))
        pinned = run("policy", "from-evidence", self.evidence)
        assert pinned.returncode == 0, pinned.stderr
        self.policy = files.write("csv-policy.toml", pinned.stdout)

    def report(self, name: str, **state: object) -> Path:
        return self.files.write(name, self.files.world.attester(CSV, **state).collect(REPORT_DATA).evidence.data)

    def verify(self, evidence: Path, *more: str | Path) -> list[str | Path]:
        return ["verify", evidence, "--policy", self.policy, "--trust-anchors", self.files.anchors, *GIVEN, *more]


@pytest.fixture(scope="module")
def case(files: CommandFiles) -> Case:
    return Case(files)


def test_what_files_say(case: Case) -> None:
    shown = run("inspect", case.evidence)
    assert (shown.returncode, shown.stderr) == (0, "")
    for said in ("Hygon CSV", "version 3", "serial number SIM", "user_data", "NODBG", "HSK", "CEK", "PEK", "rtmr4"):
        assert said in shown.stdout, said
    first = run("inspect", case.report("v1.bin", report_version=1))
    assert "mask of all words of this version" in first.stdout
    certificates = run("inspect", case.hsk_cek)
    assert certificates.returncode == 0
    assert "certificates of Hygon (HSK, CEK)" in certificates.stdout
    machine = json.loads(run("inspect", case.evidence, "--json").stdout)
    assert REPORT_DATA.hex() in json.dumps(machine)


def test_the_policy_of_evidence(case: Case) -> None:
    text = case.policy.read_text()
    assert 'tee = "csv"' in text
    assert 'revocation = "not-checked"' in text
    linted = run("policy", "lint", case.policy)
    assert "danger" not in linted.stdout.lower()
    tried = run("policy", "test", case.policy, case.evidence, "--trust-anchors", case.files.anchors)
    assert tried.returncode == 0, tried.stdout
    other = case.report("other.bin", measurement=bytes([1] * 32))
    refused = run(
        *("policy", "test", case.policy, other, "--trust-anchors", case.files.anchors),
        *("--expect", "refuse", "--reason", "policy"),
    )
    assert refused.returncode == 0, refused.stdout


def test_accepted_with_a_page_and_an_ear(case: Case) -> None:
    page = case.files.folder / "csv.html"
    ended = run(*case.verify(case.evidence, "--explain", "--claims", "--html", page))
    assert ended.returncode == 0, ended.stdout + ended.stderr
    for said in ("csv.report_signature", "hygon.chain", "Hygon publishes no revocation list", "from evidence"):
        assert said in ended.stdout, said
    html = page.read_text()
    assert "csv.report_signature" in html
    assert "rats-tls simulation HRK" in html
    result = json.loads(run(*case.verify(case.evidence, "--json")).stdout)
    assert (result["tee_type"], result["anchor"]["kind"]) == ("csv", "simulated")
    assert result["submodules"]["csv"]["report_version"] == 3
    key = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    token = run(*case.verify(case.evidence, "--ear", case.files.write("csv-ear.pem", key))).stdout
    payload = token.split(".")[1]
    ear = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    assert ear["submods"]["csv"]["ear_trustworthiness_vector"]["hardware"] == 97  # simulated
    assert ear["rats_tls_result"]["verdict"] == "accepted"


def test_certificates_beside_the_report(case: Case) -> None:
    missing = run(*case.verify(case.beside))
    assert missing.returncode == 4
    assert "hygon-cek-chain (chip SIM" in missing.stdout
    assert run(*case.verify(case.beside, "--endorsements-file", case.hsk_cek)).returncode == 0
    hsk, cek = (
        case.files.write(name, data)
        for name, data in (("hsk.cert", case.chain.issuer_chain[0]), ("cek.cert", case.chain.data))
    )
    both = ["--endorsements-file", hsk, "--endorsements-file", cek]
    assert run(*case.verify(case.beside, *both)).returncode == 0


def test_trustees_form(case: Case) -> None:
    page, both = case.beside.read_bytes(), endorsement_to_hsk_cek(case.chain)
    whole = case.files.write("trustee.json", to_json(document(page, hsk_cek=both)))
    assert run(*case.verify(whole)).returncode == 0
    event_log = log(Logged(index=1, digests=((SM3, bytes(32)),)), head=specification(((SM3, 32),)))
    logged = document(page, hsk_cek=both, event_log=event_log)
    refused = run(*case.verify(case.files.write("logged.json", to_json(logged)), "--json"))
    assert (refused.returncode, json.loads(refused.stdout)["reason"]) == (3, "event_log")
    mislabelled = document(page, hsk_cek=both, label=(bytes(16), 0))
    assert run(*case.verify(case.files.write("label.json", to_json(mislabelled)))).returncode == 2


@pytest.mark.parametrize(
    ("state", "code", "reason"),
    [
        ({"debug": True}, 5, "policy"),
        ({"another_pek": True}, 3, "evidence_signature"),
        ({"sig_algo": 5}, 3, "evidence_signature"),
        ({"hsk_usage": 0}, 3, "certificate_chain"),
        ({"report_version": 1, "anonce": bytes(4)}, 5, "policy"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_is_refused(case: Case, state: dict[str, object], code: int, reason: str) -> None:
    ended = run(*case.verify(case.report("refused.bin", **state), "--json"))
    assert (ended.returncode, json.loads(ended.stdout)["reason"]) == (code, reason)


def test_a_mask_that_is_not_proved(case: Case) -> None:
    first = case.report("masked.bin", report_version=1)
    policy = case.files.write("masked.toml", run("policy", "from-evidence", first).stdout)
    shared = ["verify", first, "--policy", policy, "--trust-anchors", case.files.anchors]
    assert run(*shared, *GIVEN).returncode == 0
    ended = run(*shared)
    assert ended.returncode == 5
    assert "allow_unproved_mask" in ended.stdout


def test_both_sides_attest(files: CommandFiles) -> None:
    policy = files.policy("csv-sides.toml", tee=CSV)
    side = ["--attester", CSV, "--simulation", files.directory, "--policy", policy, "--trust-anchors", files.anchors]
    with started("server", "--port", "0", "-m", *side, "--count", "1", "--json") as process:
        assert process.stdout is not None
        port = json.loads(process.stdout.readline())["address"].rpartition(":")[2]
        ended = run("client", "--port", port, "-m", *side, "--message", "hello")
        said, _ = process.communicate(timeout=60)
    assert (ended.returncode, process.returncode) == (0, 0), ended.stdout + ended.stderr
    assert "sent 5 bytes, got 5 back: hello" in ended.stdout
    accepted = json.loads(said.splitlines()[0])
    assert (accepted["peer"]["tee_type"], accepted["peer"]["anchor"]["kind"]) == ("csv", "simulated")


def test_a_server_of_another_guest_is_refused(files: CommandFiles) -> None:
    policy = files.policy("csv-sides.toml", tee=CSV)
    own = ["--attester", CSV, "--simulation", files.directory, "--simulate", "debug=true"]
    with started("server", "--port", "0", *own, "--count", "1") as process:
        shared = ["--policy", policy, "--trust-anchors", files.anchors]
        ended = run("client", "--port", str(port_of(process)), *shared, "--message", "hello")
        process.communicate(timeout=60)
    assert ended.returncode == 5
    assert "allow_debug" in ended.stdout
