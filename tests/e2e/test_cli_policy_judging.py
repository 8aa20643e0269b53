"""`rats-tls policy lint`, `diff` and `test` in processes of their own."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from rats_tls.core.binding import Binding
from rats_tls.policy import Policy
from support.command_files import TDX, CommandFiles
from support.commands import run, run_in_terminal


# --- lint -------------------------------------------------------------------------------------------------------------
def test_what_a_policy_accepts_too_much(files: CommandFiles) -> None:
    path = files.policy("lax.toml", mr_enclave="any", mr_signer="any", allow_debug=True, tcb_statuses=["OutOfDate"])
    ended = run("policy", "lint", path)
    assert (ended.returncode, ended.stderr) == (0, "")
    lines = ended.stdout.splitlines()
    at = lines.index(" danger  pinned.allow_debug")
    assert [line.split(maxsplit=1)[0] for line in lines[at + 1 : at + 3]] == ["why", "write"]
    assert lines[-1] == "lax.toml: 2 dangers, 1 warning, 2 notes"
    assert run("policy", "lint", "--strict", path).returncode == 5


def test_findings_as_a_document(files: CommandFiles) -> None:
    ended = run("policy", "lint", "--json", files.policy("linted.toml", preamble="optional"))
    document = json.loads(ended.stdout)
    assert (ended.returncode, document["schema"]) == (0, "rats-tls/policy-lint/1")
    assert document["counts"] == {"danger": 0, "warning": 3, "note": 2}
    (finding,) = [each for each in document["findings"] if each["field"] == "preamble"]
    assert (finding["level"], finding["entry"]) == ("warning", "pinned")
    assert finding["why"]
    assert finding["write"] == "leave it out: required"


def test_notes_alone_are_strict_enough(files: CommandFiles) -> None:
    path = files.policy("noted.toml", mr_enclave=bytes([1] * 32), mr_signer=bytes([2] * 32))
    ended = run("policy", "lint", "--strict", path)
    assert (ended.returncode, ended.stdout.splitlines()[-1]) == (0, "noted.toml: 2 notes")


# --- diff -------------------------------------------------------------------------------------------------------------
def test_what_one_policy_accepts_that_another_does_not(files: CommandFiles) -> None:
    old = files.policy("old.toml", tcb_statuses=["UpToDate", "OutOfDate"], allow_debug=False)
    new = files.policy("new.toml", tcb_statuses=["UpToDate", "SWHardeningNeeded"], max_evidence_age="any")
    ended = run("policy", "diff", old, new)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.splitlines() == [
        " changed  pinned  sgx_ecdsa",
        "    accepts other peers",
        "  max_evidence_age  accepts more",
        "    was  3600",
        "    is   any",
        "  tcb_statuses  accepts other peers",
        "    +  SWHardeningNeeded",
        "    -  OutOfDate",
        "new.toml accepts other peers than old.toml",
    ]
    document = json.loads(run("policy", "diff", "--json", old, new).stdout)
    assert (document["schema"], document["accepts"]) == ("rats-tls/policy-diff/1", "other")
    assert document["a"] == {"file": str(old), "digest": Policy.from_file(old).digest.hex()}
    (entry,) = document["entries"]
    assert [field["field"] for field in entry["fields"]] == ["max_evidence_age", "tcb_statuses"]
    assert (entry["fields"][1]["added"], entry["fields"][1]["removed"]) == (["SWHardeningNeeded"], ["OutOfDate"])


def test_the_same_policy_written_otherwise(files: CommandFiles) -> None:
    path = files.policy("plain.toml")
    written = files.write("written-out.toml", path.read_text() + "preamble = 'required'\n")
    ended = run("policy", "diff", path, written)
    assert (ended.returncode, ended.stdout) == (0, "written-out.toml accepts the same as plain.toml\n")
    assert json.loads(run("policy", "diff", "--json", path, written).stdout)["entries"] == []


# --- test -------------------------------------------------------------------------------------------------------------
def judging(files: CommandFiles) -> tuple[object, ...]:
    return ("--trust-anchors", files.anchors, "--endorsements-file", files.evidence()[1])


def test_verdicts_with_their_reasons(files: CommandFiles) -> None:
    """The policy of a peer, in `certificate` binding, judges Evidence out of files as it would judge that peer's."""
    good, _ = files.evidence()
    debugged, _ = files.evidence("debugged-too", debug=True)
    ended = run("policy", "test", files.policy(), good, debugged, files.certificate("peer.der"), *judging(files))
    assert (ended.returncode, ended.stderr) == (5, "")
    assert [line.split() for line in ended.stdout.splitlines()] == [
        ["accepted", "good.bin", "entry", "'pinned'"],
        ["refused", "!", "debugged-too.bin", "policy"],
        [*["pinned.allow_debug:", "got", "DEBUG", "set,", "expected", "DEBUG", "clear"]],
        ["accepted", "peer.der", "entry", "'pinned'"],
        [*["failed", "2", "of", "3", "as", "expected:", "accept;", "!", "marks", "the", "others"]],
    ]


@pytest.mark.parametrize(
    ("file", "expected", "code"),
    [
        ("good", [], 0),
        ("good", ["--expect", "accept"], 0),
        ("good", ["--expect", "refuse"], 5),
        ("debugged-too", [], 5),
        ("debugged-too", ["--expect", "refuse"], 0),
        ("debugged-too", ["--expect", "refuse", "--reason", "policy"], 0),
        ("debugged-too", ["--expect", "refuse", "--reason", "revoked"], 5),
        ("malformed", ["--expect", "refuse"], 0),
        ("malformed", ["--expect", "refuse", "--reason", "policy"], 5),
    ],
)
def test_what_is_expected(files: CommandFiles, file: str, expected: list[str], code: int) -> None:
    made = {
        "good": lambda: files.evidence()[0],
        "debugged-too": lambda: files.evidence("debugged-too", debug=True)[0],
        "malformed": lambda: files.write("malformed.bin", files.evidence()[0].read_bytes()[:700]),
    }
    ended = run("policy", "test", files.policy(), made[file](), *judging(files), *expected)
    assert (ended.returncode, ended.stderr) == (code, "")
    document = json.loads(
        run("policy", "test", files.policy(), made[file](), *judging(files), *expected, "--json").stdout
    )
    assert (document["passed"], document["judged"][0]["as_expected"]) == (code == 0, code == 0)


def test_verdicts_as_a_document(files: CommandFiles) -> None:
    good, _ = files.evidence()
    other = files.policy("other-tee.toml", tee=TDX)
    document = json.loads(run("policy", "test", other, good, *judging(files), "--expect", "refuse", "--json").stdout)
    assert (document["schema"], document["expect"], document["reason"]) == ("rats-tls/policy-test/1", "refuse", None)
    assert document["policy"] == {"file": str(other), "digest": Policy.from_file(other).digest.hex()}
    (judged,) = document["judged"]
    assert (judged["file"], judged["verdict"], judged["reason"]) == (str(good), "refused", "policy")
    assert judged["mismatches"][0]["field"] == "tee"


def test_the_time_and_the_endorsements_are_given(files: CommandFiles) -> None:
    good, _ = files.evidence()
    anchors = ("--trust-anchors", files.anchors)
    missing = run("policy", "test", files.policy(), good, *anchors)
    assert missing.returncode == 5
    assert "endorsements_missing: " in missing.stdout
    later = (datetime.now(UTC) + timedelta(days=400)).isoformat()
    expired = run("policy", "test", files.policy(), good, *judging(files), "--at", later, "--json")
    assert json.loads(expired.stdout)["judged"][0]["reason"] == "endorsements_expired"


def test_report_only_is_told(files: CommandFiles) -> None:
    evidence, endorsements = files.evidence()
    text = files.policy("test-enforcing.toml", mr_enclave=bytes(32)).read_text()
    path = files.write("test-report-only.toml", text.replace("version = 1", 'version = 1\nmode = "report-only"'))
    options = ("--expect", "refuse", "--reason", "policy", "--endorsements-file", endorsements)
    ended = run("policy", "test", path, evidence, *options, "--trust-anchors", files.anchors)
    assert ended.returncode == 0
    assert re.match(r"  refused \(report-only\) +good\.bin +policy\n", ended.stdout)
    forged, _ = files.evidence("debugged-test", debug=True)
    ended = run("policy", "test", path, forged, *options, "--trust-anchors", files.anchors)
    assert re.match(r"  refused +debugged-test\.bin +policy\n", ended.stdout)


def test_unbound_judges_as_verify_does(files: CommandFiles) -> None:
    good, _ = files.evidence()
    certificate = files.certificate("unbound.der")
    ended = run("policy", "test", files.policy(), good, certificate, *judging(files), "--unbound")
    assert ended.returncode == 5
    assert ended.stdout.count("pinned.bindings: got none, expected certificate") == 2
    lax = files.policy("for-files.toml", bindings=(Binding.NONE,))
    assert run("policy", "test", lax, good, certificate, *judging(files), "--unbound").returncode == 0


# --- what they share --------------------------------------------------------------------------------------------------
def calls(files: CommandFiles) -> dict[str, tuple[Any, ...]]:
    lax = files.policy("shared.toml", allow_debug=True, tcb_statuses=["OutOfDate"])
    good, _ = files.evidence()
    return {
        "lint": ("policy", "lint", lax),
        "diff": ("policy", "diff", files.policy(), lax),
        "test": ("policy", "test", files.policy(), good, files.write("junk.bin", "hello"), *judging(files)),
    }


@pytest.mark.parametrize("command", ["lint", "diff", "test"])
def test_looks(files: CommandFiles, command: str) -> None:
    """Within 80 columns of a terminal; without colour where it is not wanted, and in a pipe."""
    arguments = calls(files)[command]
    _, shown = run_in_terminal(*arguments)
    plain = re.sub(r"\x1b\[[0-9;]*m", "", shown).splitlines()
    assert max(map(len, plain)) <= 80
    assert "\x1b[" in shown
    piped = run(*arguments)
    assert "\x1b" not in piped.stdout
    assert "\x1b" not in run(*arguments, env={"NO_COLOR": "1"}).stdout


@pytest.mark.parametrize("command", ["lint", "diff", "test"])
@pytest.mark.parametrize(
    ("content", "says"),
    [(b"\0\xff", "not TOML"), (b"", "the file is empty"), (b"version = 1\n", "at least one [[entry]]")],
)
def test_what_is_no_policy_is_one_error(files: CommandFiles, command: str, content: bytes, says: str) -> None:
    bad: Path = files.write("bad.toml", content)
    more = {"lint": (), "diff": (files.policy(),), "test": (files.evidence()[0],)}[command]
    ended = run("policy", command, bad, *more)
    assert (ended.returncode, ended.stdout) == (1, "")
    (line,) = ended.stderr.splitlines()
    assert line.startswith("error: configuration: ")
    assert says in line


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["lint"], "Missing argument 'FILE'"),
        (["diff", "{policy}"], "Missing argument 'B'"),
        (["test", "{policy}"], "Missing argument 'EVIDENCE...'"),
        (["test", "{policy}", "{policy}", "--reason", "policy"], "--reason goes with --expect refuse"),
        (["test", "{policy}", "{policy}", "--at", "yesterday"], "expected a time"),
        (["test", "{policy}", "{policy}", "--expect", "both"], "'both' is not one of 'accept', 'refuse'"),
        (["lint", "/nowhere"], "does not exist"),
    ],
)
def test_wrong_use_is_one_error(files: CommandFiles, arguments: list[str], says: str) -> None:
    given = [argument.format(policy=files.policy()) for argument in arguments]
    ended = run("policy", *given)
    assert (ended.returncode, ended.stdout) == (1, "")
    (line,) = ended.stderr.splitlines()
    assert line.startswith("error: usage: ")
    assert says in line
