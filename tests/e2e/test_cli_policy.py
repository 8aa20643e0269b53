"""`rats-tls policy` in processes of its own."""

from __future__ import annotations

import json
import tomllib
from datetime import timedelta

import jsonschema
import pytest

from rats_tls.core.binding import Binding
from rats_tls.core.evidence import TeeType
from rats_tls.policy import Policy, policy_schema
from support.command_files import REPORT_DATA, CommandFiles
from support.commands import run, run_in_terminal


# --- from-evidence ------------------------------------------------------------------------------------------------
def test_what_evidence_shows_is_pinned(files: CommandFiles) -> None:
    """The policy accepts that Evidence, and says that nothing was verified."""
    evidence, endorsements = files.evidence()
    ended = run("policy", "from-evidence", evidence)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "# The Evidence was NOT VERIFIED: whoever made it may have written anything." in ended.stdout.splitlines()
    assert all(line == line.rstrip() for line in ended.stdout.splitlines())
    (entry,) = Policy.from_toml(ended.stdout).entries
    assert (entry.name, entry.tee, entry.bindings) == ("good", TeeType.SGX_ECDSA, (Binding.CERTIFICATE,))
    jsonschema.validate(tomllib.loads(ended.stdout), policy_schema())
    written = files.write("written.toml", ended.stdout)
    judged = run(
        *("verify", evidence, "--policy", written, "--endorsements-file", endorsements),
        *("--trust-anchors", files.anchors, "--report-data", REPORT_DATA.hex()),
    )
    assert judged.returncode == 0


def test_several_files_make_several_entries(files: CommandFiles) -> None:
    """Names are unique; a certificate's Evidence is pinned too."""
    evidence, _ = files.evidence()
    arguments = ("--name", "server", "--binding", "certificate", "--binding", "none")
    ended = run("policy", "from-evidence", evidence, files.certificate("pinned.der"), *arguments)
    assert ended.returncode == 0
    policy = Policy.from_toml(ended.stdout)
    assert [entry.name for entry in policy.entries] == ["server 1", "server 2"]
    assert {entry.bindings for entry in policy.entries} == {(Binding.CERTIFICATE, Binding.NONE)}


def test_a_policy_for_verified_evidence(files: CommandFiles) -> None:
    evidence, endorsements = files.evidence()
    old = files.certificate("verified.der", age=timedelta(hours=2))
    judging = ("--verify", "--endorsements-file", endorsements, "--trust-anchors", files.anchors)
    ended = run("policy", "from-evidence", evidence, old, *judging)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "NOT VERIFIED" not in ended.stdout
    assert len([line for line in ended.stdout.splitlines() if line.startswith("#   verified ")]) == 2
    assert "(simulated)" in ended.stdout
    for entry in Policy.from_toml(ended.stdout).entries:
        # What made the judgement possible is not in the policy.
        assert entry.bindings == (Binding.CERTIFICATE,)
        assert entry.max_evidence_age == 3600


@pytest.mark.parametrize(
    ("state", "code", "label"),
    [({"revoked": True}, 3, "revoked"), ({"debug": True}, 5, "policy"), ({"tcb_status": "OutOfDate"}, 5, "policy")],
)
def test_no_policy_for_evidence_that_is_refused(
    files: CommandFiles, state: dict[str, object], code: int, label: str
) -> None:
    evidence, endorsements = files.evidence("refused", **state)
    judging = ("--verify", "--endorsements-file", endorsements, "--trust-anchors", files.anchors)
    ended = run("policy", "from-evidence", evidence, *judging)
    assert (ended.returncode, ended.stdout) == (code, "")
    assert ended.stderr.splitlines()[0] == f" refused  refused.bin  {label}"


def test_a_debug_tee_is_named(files: CommandFiles) -> None:
    evidence, _ = files.evidence("debugged", debug=True)
    ended = run("policy", "from-evidence", evidence)
    assert (
        "#   a DEBUG TEE\n#   this policy refuses it, unless the field is written:\n#     allow_debug: " in ended.stdout
    )
    assert "allow_debug" not in tomllib.loads(ended.stdout)["entry"][0]


def test_names_of_files_stay_in_comments(files: CommandFiles) -> None:
    evidence = files.write('x\n[[entry]]\ny"\x1b[2J.bin', files.evidence()[0].read_bytes())
    ended = run("policy", "from-evidence", evidence)
    assert all(character.isprintable() or character == "\n" for character in ended.stdout)
    (entry,) = Policy.from_toml(ended.stdout).entries
    assert entry.name == r'x\n[[entry]]\ny"\x1b[2J'


def test_a_policy_is_not_folded_in_a_terminal(files: CommandFiles) -> None:
    code, output = run_in_terminal("policy", "from-evidence", files.evidence()[0], columns=40)
    assert code == 0
    assert "\x1b" not in output
    assert Policy.from_toml(output).entries[0].tee is TeeType.SGX_ECDSA


@pytest.mark.parametrize(
    ("content", "more", "code", "says"),
    [
        (b"hello", [], 6, "unsupported_evidence"),
        (b"", [], 2, "the file is empty"),
        (b"x", ["--trust-anchors"], 1, "go with --verify"),
        (b"x", ["--endorsements-file"], 1, "go with --verify"),
    ],
)
def test_nothing_to_pin(files: CommandFiles, content: bytes, more: list[str], code: int, says: str) -> None:
    path = files.write("nothing", content)
    ended = run("policy", "from-evidence", path, *(more and [*more, path]))
    assert (ended.returncode, ended.stdout) == (code, "")
    assert says in ended.stderr


def test_a_certificate_without_evidence(files: CommandFiles) -> None:
    ended = run("policy", "from-evidence", files.certificate("bare.der", attests=False))
    assert (ended.returncode, ended.stdout) == (3, "")
    assert ended.stderr.startswith("error: no_evidence: ")


# --- validate-file ------------------------------------------------------------------------------------------------
BROKEN = """version = 2
extra = 1

[[entry]]
name = "one"
tee = "sgx_ecdsa"
mr_enclav = "00"
bindings = ["certificate"]
identity = "measurement-only"
mr_enclave = "any"
mr_signer = "zz"
isv_prod_id = "any"
min_isv_svn = "any"

[[entry]]
name = "two"
tee = "sgx"

[[entry]]
name = "three"
tee = "null"
bindings = ["none"]
identity = { hardware_ids = ["00"] }
"""


def test_a_good_file(files: CommandFiles) -> None:
    path = files.policy("valid.toml")
    policy = Policy.from_file(path)
    ended = run("policy", "validate-file", path)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert [line.split() for line in ended.stdout.splitlines()] == [
        ["valid", "valid.toml"],
        ["digest", policy.digest.hex()],
        ["mode", "enforce"],
        ["entry", "'pinned'", "sgx_ecdsa"],
    ]
    document = json.loads(run("policy", "validate-file", path, "--json").stdout)
    assert (document["valid"], document["digest"]) == (True, policy.digest.hex())
    assert document["policy"] == json.loads(policy.canonical())


def test_all_problems_of_a_file(files: CommandFiles) -> None:
    """One a line, each with its place."""
    path = files.write("broken.toml", BROKEN)
    ended = run("policy", "validate-file", path)
    assert (ended.returncode, ended.stderr) == (1, "")
    assert [line.partition(": ")[0] for line in ended.stdout.splitlines()] == [
        "extra",
        "version",
        "entry 'one'.mr_enclav",
        "entry 'one'.min_tcb",
        "entry 'one'.mr_signer",
        "entry 'two'.tee",
        "entry 'three'.identity",
    ]
    document = json.loads(run("policy", "validate-file", path, "--json").stdout)
    assert document["valid"] is False
    assert document["problems"][2] == {
        "entry": "entry 'one'",
        "field": "mr_enclav",
        "problem": "unknown key, did you mean 'mr_enclave'?",
    }
    assert {"entry": "", "field": "version", "problem": "got 2, expected 1"} in document["problems"]


def test_what_is_not_toml(files: CommandFiles) -> None:
    ended = run("policy", "validate-file", files.write("not.toml", "hello\x1b[2J"))
    assert ended.returncode == 1
    (line,) = ended.stdout.splitlines()
    assert line.startswith("not TOML: ")
    empty = run("policy", "validate-file", files.write("empty.toml", ""))
    assert (empty.returncode, empty.stdout) == (1, "")
    assert "the file is empty" in empty.stderr


# --- schema -------------------------------------------------------------------------------------------------------
def test_the_schema(files: CommandFiles) -> None:
    ended = run("policy", "schema")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert json.loads(ended.stdout) == policy_schema()


def test_help_without_a_command() -> None:
    ended = run("policy")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert all(name in ended.stdout for name in ("from-evidence", "validate-file", "schema"))
