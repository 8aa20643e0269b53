"""`rats-tls verify` in processes of its own: every exit code and label that it can end with, and what it prints."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from rats_tls.core.binding import Binding
from rats_tls.core.endorsements import EndorsementKind
from support.command_files import REPORT_DATA, SGX, TDX, CommandFiles
from support.commands import run, run_in_terminal

Arguments = list[str | Path]
WRONG = bytes(64)


def judged(
    files: CommandFiles,
    evidence: Path,
    endorsements: Path | None,
    *,
    policy: Path | None = None,
    anchored: bool = True,
    report_data: bytes | None = REPORT_DATA,
) -> Arguments:
    """Arguments that judge Evidence; the good ones where nothing else is said."""
    arguments: Arguments = ["verify", evidence, "--policy", policy or files.policy()]
    if endorsements is not None:
        arguments += ["--endorsements-file", endorsements]
    if anchored:
        arguments += ["--trust-anchors", files.anchors]
    if report_data is not None:
        arguments += ["--report-data", report_data.hex()]
    return arguments


def good(files: CommandFiles) -> Arguments:
    return judged(files, *files.evidence())


def unbound(files: CommandFiles) -> Path:
    return files.policy("unbound.toml", bindings=(Binding.NONE, Binding.CERTIFICATE))


def of_certificate(files: CommandFiles, certificate: Path) -> Arguments:
    _, endorsements = files.evidence()
    return judged(files, certificate, endorsements, policy=unbound(files), report_data=None)


def changed(files: CommandFiles) -> Arguments:
    evidence, endorsements = files.evidence("changed")
    data = bytearray(evidence.read_bytes())
    data[48] ^= 1
    evidence.write_bytes(data)
    return judged(files, evidence, endorsements)


def cut(files: CommandFiles) -> Arguments:
    evidence, endorsements = files.evidence("cut")
    evidence.write_bytes(evidence.read_bytes()[:300])
    return judged(files, evidence, endorsements)


def missing(files: CommandFiles) -> Arguments:
    evidence, _ = files.evidence()
    return judged(files, evidence, files.endorsements_without("missing.json", EndorsementKind.INTEL_TCB_INFO))


def other_code(files: CommandFiles) -> Arguments:
    return judged(files, *files.evidence(), policy=files.policy("other.toml", mr_enclave=b"\xaa" * 32))


ENDS: list[tuple[str, Callable[[CommandFiles], Arguments], int, str]] = [
    ("accepted", good, 0, ""),
    ("accepted certificate", lambda f: of_certificate(f, f.certificate("good.der")), 0, ""),
    ("empty", lambda f: judged(f, f.write("empty.bin", b""), None), 2, "malformed_evidence"),
    ("cut", cut, 2, "malformed_evidence"),
    ("changed", changed, 3, "evidence_signature"),
    ("bound to another", lambda f: judged(f, *f.evidence(), report_data=WRONG), 3, "key_binding"),
    ("unknown root", lambda f: judged(f, *f.evidence(), anchored=False), 3, "certificate_chain"),
    ("revoked", lambda f: judged(f, *f.evidence("revoked", revoked=True)), 3, "revoked"),
    ("old", lambda f: of_certificate(f, f.certificate("old.der", age=timedelta(hours=2))), 3, "freshness"),
    ("no Evidence", lambda f: of_certificate(f, f.certificate("plain.der", attests=False)), 3, "no_evidence"),
    ("missing", missing, 4, "endorsements_missing"),
    ("expired", lambda f: judged(f, *f.evidence("expired", expired_crl=True)), 4, "endorsements_expired"),
    (
        "certificate expired",
        lambda f: judged(f, *f.evidence("pck", expired="intel-pck")),
        4,
        "certificate_not_in_date",
    ),
    ("no level", lambda f: judged(f, *f.evidence("level", no_tcb_level=True)), 5, "tcb_no_level"),
    ("other code", other_code, 5, "policy"),
    ("garbage", lambda f: judged(f, f.write("garbage.bin", b"hello"), None), 6, "unsupported_evidence"),
]


@pytest.mark.parametrize(("arguments", "code", "label"), [row[1:] for row in ENDS], ids=[row[0] for row in ENDS])
def test_verdicts(files: CommandFiles, arguments: Callable[[CommandFiles], Arguments], code: int, label: str) -> None:
    """A verdict is one JSON document on standard output and the exit code; nothing is on standard error."""
    ended = run(*arguments(files), "--json")
    assert (ended.returncode, ended.stderr) == (code, "")
    (line,) = ended.stdout.splitlines()
    document = json.loads(line)
    assert document["schema"] == "rats-tls/result/1"
    assert document["verdict"] == ("refused" if code else "accepted")
    assert document.get("reason", "") == label
    assert document.get("exit_code", 0) == code
    assert isinstance(document["checks"], list)


def test_refusals_for_people(files: CommandFiles) -> None:
    """In a pipe every value is on one line, and nothing is padded."""
    ended = run(*other_code(files))
    assert (ended.returncode, ended.stderr) == (5, "")
    lines = ended.stdout.splitlines()
    assert lines[0] == " refused  good.bin  policy"
    at = lines.index("  pinned: mr_enclave")
    assert lines[at + 1].startswith("    got       ")
    assert lines[at + 2] == f"    expected  {'aa' * 32}"
    assert all(line == line.rstrip() for line in lines)


def test_values_stay_whole_in_a_pipe(files: CommandFiles) -> None:
    """Even where the environment says how wide some terminal is."""
    ended = run(*good(files), "--claims", env={"COLUMNS": "40"})
    assert REPORT_DATA.hex() in ended.stdout
    assert all(line == line.rstrip() for line in ended.stdout.splitlines())


def test_a_terminal_folds(files: CommandFiles) -> None:
    code, output = run_in_terminal(*other_code(files))
    lines = [strip_styles(line) for line in output.splitlines()]
    assert code == 5
    assert "\x1b[" in output
    assert max(len(line) for line in lines) <= 80
    assert f"    expected  {'aa' * 32}" in [line.rstrip() for line in lines]
    code, output = run_in_terminal(*good(files), "--claims")
    lines = [strip_styles(line) for line in output.splitlines()]
    assert code == 0
    assert max(len(line) for line in lines) <= 80
    assert REPORT_DATA.hex() in "".join(line.strip() for line in lines)


def strip_styles(text: str) -> str:
    parts = text.split("\x1b[")
    return parts[0] + "".join(part.partition("m")[2] for part in parts[1:])


def test_all_claims_of_accepted_evidence(files: CommandFiles) -> None:
    """Those that only Endorsements tell too."""
    ended = run(*good(files), "--claims")
    shown = dict(line.split(maxsplit=1) for line in ended.stdout.splitlines() if line.startswith("  "))
    assert ended.returncode == 0
    assert "  claims (verified)" in ended.stdout.splitlines()
    assert {"attributes", "xfrm", "config_id", "isv_svn", "report_data"} <= shown.keys()
    assert {"platform.fmspc", "platform.ppid", "platform.sgx_tcb_components", "tcb.status"} <= shown.keys()
    assert shown["platform.fmspc"] == "53494d000000"
    assert shown["attributes"] == "0x5"


@pytest.mark.parametrize(
    ("arguments", "note"),
    [(other_code, "authentic, refused"), (changed, "not authenticated")],
    ids=["other", "changed"],
)
def test_claims_of_refused_evidence(
    files: CommandFiles, arguments: Callable[[CommandFiles], Arguments], note: str
) -> None:
    """With a note of what they are worth; without --claims there are none."""
    ended = run(*arguments(files), "--claims")
    (heading,) = [line for line in ended.stdout.splitlines() if line.startswith("  claims (")]
    assert note in heading
    assert REPORT_DATA.hex() in ended.stdout


def test_claims_of_refused_evidence_as_json(files: CommandFiles) -> None:
    assert json.loads(run(*changed(files), "--claims", "--json").stdout)["claims"]["isv_prod_id"] == 1
    assert "claims" not in json.loads(run(*changed(files), "--json").stdout)


def test_what_is_not_checked_is_said_once(files: CommandFiles) -> None:
    evidence, endorsements = files.evidence()
    ended = run(*judged(files, evidence, endorsements, policy=unbound(files), report_data=None))
    assert ended.returncode == 0
    (line,) = [line for line in ended.stdout.splitlines() if "binding.key" in line]
    assert line.split(maxsplit=2)[2] == "binding.key: no expected report_data was given"


def test_checks(files: CommandFiles) -> None:
    ended = run(*changed(files), "--checks")
    assert ended.returncode == 3
    assert any(line.split()[1:2] == ["failed"] for line in ended.stdout.splitlines())


@pytest.mark.parametrize("place", ["before", "after"])
def test_debug_shows_why(files: CommandFiles, place: str) -> None:
    """On standard error, line by line behind a margin; the verdict stays."""
    arguments = changed(files)
    ended = run(*(["--debug", *arguments] if place == "before" else [*arguments, "--debug"]))
    assert ended.returncode == 3
    assert ended.stdout == run(*arguments).stdout
    assert "| Traceback (most recent call last):" in ended.stderr.splitlines()
    assert all(line.startswith("|") for line in ended.stderr.splitlines())


# --- what a peer or a file says -----------------------------------------------------------------------------------
HOSTILE = "\x1b[2J\n accepted  client \u202e\x85\x07"
SHOWN = r"\x1b[2J\n accepted  client \u202e\x85\x07"


def hostile_claim(files: CommandFiles) -> Arguments:
    return of_certificate(files, files.certificate("hostile.der", {HOSTILE: HOSTILE.encode()}))


def hostile_name(files: CommandFiles) -> Arguments:
    return judged(files, files.write(HOSTILE + ".bin", b"hello"), None)


def hostile_root(files: CommandFiles) -> Arguments:
    return [*good(files), "--trust-anchors", files.root("hostile.pem", HOSTILE)]


@pytest.mark.parametrize("arguments", [hostile_claim, hostile_name, hostile_root])
def test_nobody_writes_to_the_terminal_but_this_program(
    files: CommandFiles, arguments: Callable[[CommandFiles], Arguments]
) -> None:
    ended = run(*arguments(files), "--debug", "--claims", "--checks")
    output = ended.stdout + ended.stderr
    assert SHOWN in output
    assert all(character.isprintable() or character == "\n" for character in output)
    assert not [line for line in output.splitlines() if line.startswith(" accepted  client")]


# --- what is written to -------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("arguments", "code", "form"),
    [(good, 0, []), (good, 0, ["--json"]), (changed, 3, ["--json"]), (other_code, 5, ["--claims", "--checks"])],
    ids=["accepted", "accepted json", "refused json", "refused long"],
)
def test_a_reader_that_has_gone_changes_no_verdict(
    files: CommandFiles, arguments: Callable[[CommandFiles], Arguments], code: int, form: list[str]
) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        ended = run(*arguments(files), *form, stdout=writing)
    finally:
        os.close(writing)
    assert (ended.returncode, ended.stderr) == (code, "")


def test_a_closed_standard_output_changes_no_verdict(files: CommandFiles) -> None:
    ended = run(*other_code(files), stdout=subprocess.PIPE, preexec_fn=lambda: os.close(1))
    assert (ended.returncode, ended.stdout, ended.stderr) == (5, "", "")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_encodings_that_lack_characters(files: CommandFiles, encoding: str) -> None:
    policy = files.policy("named.toml", name="größe …", mr_enclave=b"\xaa" * 32)
    ended = run(*judged(files, *files.evidence(), policy=policy), env={"PYTHONIOENCODING": encoding}, encoding=encoding)
    assert (ended.returncode, ended.stderr) == (5, "")
    assert r"\u2026" in ended.stdout


def test_evidence_of_another_tee(files: CommandFiles) -> None:
    ended = run(*judged(files, *files.evidence(), policy=files.policy("tdx.toml", tee=TDX)))
    assert ended.returncode == 5
    assert f"    got       {SGX.removeprefix('simulated_')}" in ended.stdout.splitlines()


def test_report_only_is_a_refusal(files: CommandFiles) -> None:
    """Exit code 5, and all that was found: a person sees the mismatches, a program the whole result."""
    evidence, endorsements = files.evidence()
    text = files.policy("enforcing.toml", mr_enclave=bytes(32)).read_text()
    path = files.write("report-only.toml", text.replace("version = 1", 'version = 1\nmode = "report-only"'))
    ended = run(*judged(files, evidence, endorsements, policy=path))
    assert (ended.returncode, ended.stderr) == (5, "")
    lines = ended.stdout.splitlines()
    assert lines[0] == " refused (report-only)  good.bin  policy"
    assert "all else that entry 'pinned' demands holds" in ended.stdout
    document = json.loads(run(*judged(files, evidence, endorsements, policy=path), "--json").stdout)
    assert (document["verdict"], document["exit_code"]) == ("refused (report-only)", 5)
    assert document["result"]["mismatches"][0]["field"] == "mr_enclave"
    debugged, _ = files.evidence("debugged-report", debug=True)
    ended = run(*judged(files, debugged, endorsements, policy=path))
    assert (ended.returncode, ended.stdout.splitlines()[0]) == (5, " refused  debugged-report.bin  policy")
