"""SEV and SEV-ES on the command line: files, policies, results, and a connection of two processes."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from rats_tls.simulation.sev_states import SevState
from support.command_files import REPORT_DATA, CommandFiles
from support.commands import port_of, run, started

SEV = "simulated_sev"


def evidence(files: CommandFiles, name: str = "report", **state: object) -> tuple[Path, Path]:
    """Evidence, and AMD's file with the ASK and behind it the ARK."""
    collected = files.world.attester(SEV, **state).collect(REPORT_DATA)
    vendor = files.world.sev("Naples")
    return (
        files.write(f"{name}.bin", collected.evidence.data),
        files.write("ask_ark_naples.cert", vendor.signer() + vendor.root_certificate),
    )


def policy(files: CommandFiles, name: str = "sev.toml", **written: object) -> Path:
    return files.policy(name, tee=SEV, bindings="none", **written)


def test_files_are_inspected_pinned_linted_and_verified(files: CommandFiles) -> None:
    report, signers = evidence(files)
    shown = run("inspect", report)
    assert shown.returncode == 0, shown.stderr
    for text in ("launch_digest", SevState().launch_digest.hex()[:32], "NODBG", "PEK", "CEK", "OCA"):
        assert text in shown.stdout, text
    assert "the ARK of Naples" in run("inspect", signers).stdout
    pinned = run("policy", "from-evidence", report)
    assert pinned.returncode == 0, pinned.stderr
    for line in ('tee = "sev"', '"none"', 'revocation = "not-checked"', 'max_evidence_age = "any"', "launch_digest"):
        assert line in pinned.stdout
    path = files.write("pinned.toml", pinned.stdout)
    linted = run("policy", "lint", path)
    assert linted.returncode == 0, linted.stdout
    assert "whoever has seen it can show it, of any age" in linted.stdout
    given = ["--policy", path, "--trust-anchors", files.anchors, "--endorsements-file", signers]
    verified = run("verify", report, *given, "--explain", "--html", files.folder / "sev.html")
    assert verified.returncode == 0, verified.stdout + verified.stderr
    for text in ("sev.report_signature", "sev.owner", "key binding: not checked", "SEV ARK-Naples"):
        assert text in verified.stdout, text
    page = (files.folder / "sev.html").read_text()
    assert "key binding: not checked" in page
    assert "SEV ARK-Naples" in page
    tried = run("policy", "test", path, report, *given[2:])
    assert tried.returncode == 0, tried.stdout + tried.stderr


def test_a_result_as_a_document_and_as_an_ear(files: CommandFiles) -> None:
    report, signers = evidence(files)
    given = ["--policy", policy(files), "--trust-anchors", files.anchors, "--endorsements-file", signers]
    document = json.loads(run("verify", report, *given, "--json").stdout)
    assert (document["verdict"], document["tee_type"], document["binding"]) == ("accepted", "sev", "none")
    claims = document["submodules"]["sev"]
    assert claims["product"] == "Naples"
    assert claims["launch_digest"] == SevState().launch_digest.hex()
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    ended = run("verify", report, *given, "--ear", files.write("ear-key.pem", pem))
    payload = ended.stdout.split(".")[1]
    ear = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    # Contraindicated, as whatever a simulated root stands behind.
    assert {name: appraisal["ear_status"] for name, appraisal in ear["submods"].items()} == {"sev": "contraindicated"}
    assert ear["rats_tls_result"]["binding"] == "none"


@pytest.mark.parametrize(
    ("state", "reason", "code"),
    [
        ({"debug": True}, "policy", 5),
        ({"es": False}, "policy", 5),
        ({"report_usage": 0x1004}, "evidence_signature", 3),
        ({"forged_owner": True}, "certificate_chain", 3),
    ],
    ids=["debug", "no ES", "usage", "owner"],
)
def test_what_is_refused(state: dict[str, object], reason: str, code: int, files: CommandFiles) -> None:
    report, signers = evidence(files, "changed", **state)
    given = ["--policy", policy(files), "--trust-anchors", files.anchors, "--endorsements-file", signers]
    ended = run("verify", report, *given, "--json")
    found = json.loads(ended.stdout)
    assert (ended.returncode, found["verdict"]) == (code, "refused"), ended.stdout
    assert run("policy", "test", given[1], report, *given[2:], "--expect", "refuse").returncode == 0
    assert found["reason"] == reason


def test_without_the_ask_it_is_named(files: CommandFiles) -> None:
    report, _ = evidence(files)
    ended = run("verify", report, "--policy", policy(files), "--trust-anchors", files.anchors)
    assert ended.returncode != 0
    assert "Naples" in ended.stdout + ended.stderr
    assert "amd-sev-signer" in ended.stdout + ended.stderr


def test_expected_report_data_is_never_met(files: CommandFiles) -> None:
    report, signers = evidence(files)
    given = ["--policy", policy(files), "--trust-anchors", files.anchors, "--endorsements-file", signers]
    ended = run("verify", report, *given, "--report-data", REPORT_DATA.hex())
    assert ended.returncode != 0
    assert "report_data: got none" in ended.stdout + ended.stderr


def test_a_guest_serves_a_client_that_accepts_the_binding_none(files: CommandFiles) -> None:
    _, signers = evidence(files)
    side = ["--attester", SEV, "--simulation", files.directory]
    with started("server", "--port", "0", *side, "--count", "1") as process:
        judging = ["--policy", policy(files), "--trust-anchors", files.anchors, "--endorsements-file", signers]
        ended = run("client", "--port", str(port_of(process)), *judging, "--message", "hello")
        process.communicate(timeout=60)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "key binding: not checked" in ended.stdout
    assert "sent 5 bytes, got 5 back: hello" in ended.stdout
