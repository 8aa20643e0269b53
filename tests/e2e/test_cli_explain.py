"""`rats-tls verify` in the forms that explain its verdict: in the terminal, as a page, as an EAR, as JSON."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from jsonschema import Draft202012Validator

from rats_tls.core.binding import Binding
from support.command_files import REPORT_DATA, CommandFiles
from support.commands import run, run_in_terminal
from support.pages import CHROMIUM, Page, render
from support.paths import vectors_required

Arguments = list[str | Path]
HOSTILE = '\x1b[2J"><script>document.title="taken"</script><h1>accepted</h1>\u202e'


def judged(files: CommandFiles, evidence: Path, endorsements: Path, policy: Path) -> Arguments:
    return [
        *("verify", evidence, "--policy", policy, "--endorsements-file", endorsements),
        *("--trust-anchors", files.anchors, "--report-data", REPORT_DATA.hex()),
    ]


def good(files: CommandFiles) -> Arguments:
    return judged(files, *files.evidence(), files.policy())


def behind(files: CommandFiles) -> Arguments:
    return judged(files, *files.evidence("behind", tcb_status="OutOfDate", qe_status="OutOfDate"), files.policy())


def changed(files: CommandFiles) -> Arguments:
    evidence, endorsements = files.evidence("bent")
    data = bytearray(evidence.read_bytes())
    data[48] ^= 1
    evidence.write_bytes(data)
    return judged(files, evidence, endorsements, files.policy())


def garbage(files: CommandFiles) -> Arguments:
    _, endorsements = files.evidence()
    return judged(files, files.write("noise.bin", b"hello"), endorsements, files.policy())


def hostile(files: CommandFiles) -> Arguments:
    """A certificate whose peer says what would be markup or move a cursor, refused by a policy that wants another."""
    _, endorsements = files.evidence()
    policy = files.policy(
        "wants.toml",
        name="<i>&",
        bindings=(Binding.NONE,),
        custom_claims={"role": {"text": "server"}},
        mr_enclave=b"\xaa" * 32,
    )
    certificate = files.certificate("hostile <b>.der", {"role": HOSTILE.encode(), HOSTILE: b"x"})
    arguments = judged(files, certificate, endorsements, policy)
    return arguments[: arguments.index("--report-data")]


CASES = [good, behind, changed, garbage, hostile]
CODES = {good: 0, behind: 5, changed: 3, garbage: 6, hostile: 5}


# --- the terminal -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("arguments", CASES)
def test_every_check_with_its_stage_and_source(
    files: CommandFiles, arguments: Callable[[CommandFiles], Arguments]
) -> None:
    asked = arguments(files)
    ended = run(*asked, "--explain")
    assert (ended.returncode, ended.stderr) == (CODES[arguments], "")
    document = json.loads(run(*asked, "--json").stdout)
    lines = ended.stdout.splitlines()
    for check in document["checks"]:
        assert any(line.split()[-1:] == [check["id"]] and check["verdict"] in line for line in lines)
        assert any(line.split(maxsplit=1) == ["source", check["source"]] for line in lines)
    for stage in ("decode", "evidence signature", "key binding", "vendor chain", "revocation", "TCB", "freshness"):
        assert any(line.strip().startswith(stage) for line in lines)
    assert all(line == line.rstrip() for line in lines)
    assert all(character.isprintable() or character == "\n" for character in ended.stdout)


def test_how_far_the_tcb_is_behind(files: CommandFiles) -> None:
    lines = [line.split() for line in run(*behind(files), "--explain").stdout.splitlines()]
    assert ["newest", "level", "2024-11-13,", "462", "days", "later"] in lines
    assert ["SGX", "component", "1", "4", "8"] in lines
    assert ["ISV", "SVN", "6", "8"] in lines
    assert ["TCB", "quoting", "enclave", "QE"] in lines


def test_what_was_not_reached(files: CommandFiles) -> None:
    output = run(*changed(files), "--explain").stdout
    assert re.search(r"^ +TCB  not reached: the judgement had ended before it$", output, re.MULTILINE)


@pytest.mark.parametrize("arguments", [good, behind, hostile])
def test_a_terminal_of_80_columns(files: CommandFiles, arguments: Callable[[CommandFiles], Arguments]) -> None:
    code, output = run_in_terminal(*arguments(files), "--explain")
    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in output.splitlines()]
    assert code == CODES[arguments]
    assert "\x1b[" in output
    assert max(map(len, lines)) <= 80


def test_no_color(files: CommandFiles) -> None:
    ended = run(*behind(files), "--explain", env={"NO_COLOR": "1", "FORCE_COLOR": "1"})
    assert "\x1b" not in ended.stdout.replace("\x1b[1m", "").replace("\x1b[2m", "").replace("\x1b[0m", "")
    assert "\x1b" not in run(*behind(files), "--explain").stdout


# --- JSON ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("arguments", CASES)
def test_documents_are_as_the_published_schema_says(
    files: CommandFiles, arguments: Callable[[CommandFiles], Arguments]
) -> None:
    schema = run("verify", "--json-schema")
    assert (schema.returncode, schema.stderr) == (0, "")
    validator = Draft202012Validator(json.loads(schema.stdout))
    validator.validate(json.loads(run(*arguments(files), "--json").stdout))
    validator.validate(
        json.loads(run(*arguments(files), "--json", "--claims").stdout)
    ) if arguments is not good else None


# --- pages --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("arguments", CASES)
def test_a_page_besides_the_verdict(
    files: CommandFiles, tmp_path: Path, arguments: Callable[[CommandFiles], Arguments]
) -> None:
    asked, page = arguments(files), tmp_path / "page.html"
    ended = run(*asked, "--html", page, "--json")
    assert (ended.returncode, ended.stderr) == (CODES[arguments], "")
    parsed = Page(page.read_text(encoding="utf-8"))
    assert "script" not in parsed.tags
    assert {check["id"] for check in json.loads(ended.stdout)["checks"]} <= set(parsed.text("td").split("\n"))
    assert page.stat().st_size < 300_000


@pytest.mark.parametrize("arguments", [behind, hostile])
def test_a_page_in_chromium_or_where_there_is_none_its_source(
    files: CommandFiles, tmp_path: Path, arguments: Callable[[CommandFiles], Arguments]
) -> None:
    """At a phone's and a desk's width, light and dark. Continuous integration has Chromium, and fails without."""
    page = tmp_path / "page.html"
    run(*arguments(files), "--html", page)
    source = Page(page.read_text(encoding="utf-8"))
    assert source.tags.isdisjoint({"script", "link", "img", "iframe", "object"})
    if CHROMIUM is None:
        assert not vectors_required(), "no Chromium: install it (.ci/run does)"
        return
    pictures = set()
    for width, dark in ((360, False), (360, True), (1280, False), (1280, True)):
        rendered = render(page, tmp_path, width=width, dark=dark)
        shown = Page(re.sub(r"<!doctype html>", "", rendered.dom, flags=re.IGNORECASE).strip())
        assert [tag for tag, _ in shown.elements] == [tag for tag, _ in source.elements]
        assert "taken" not in shown.text("title")
        pictures.add(rendered.screenshot)
    assert len(pictures) == 4


def test_a_page_that_cannot_be_written(files: CommandFiles, tmp_path: Path) -> None:
    for target in (tmp_path / "none" / "page.html", tmp_path):
        ended = run(*good(files), "--html", target)
        assert (ended.returncode, ended.stdout) == (1, "")
        assert ended.stderr.startswith("error: ")
        assert len(ended.stderr.splitlines()) == 1


# --- EARs ---------------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> tuple[ec.EllipticCurvePrivateKey, Path]:
    made = ec.generate_private_key(ec.SECP256R1())
    path = tmp_path_factory.mktemp("key") / "key.pem"
    path.write_bytes(made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return made, path


def decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


STATUSES: dict[Callable[[CommandFiles], Arguments], tuple[str, str]] = {
    # Simulated hardware is none that anybody else recognizes.
    good: ("sgx_ecdsa", "contraindicated"),
    behind: ("sgx_ecdsa", "contraindicated"),
    changed: ("sgx_ecdsa", "contraindicated"),
    garbage: ("unknown", "none"),
    hostile: ("sgx_ecdsa", "contraindicated"),
}


@pytest.mark.parametrize("arguments", CASES)
def test_an_ear_alone_on_one_line(
    files: CommandFiles,
    key: tuple[ec.EllipticCurvePrivateKey, Path],
    arguments: Callable[[CommandFiles], Arguments],
) -> None:
    ended = run(*arguments(files), "--ear", key[1])
    assert (ended.returncode, ended.stderr) == (CODES[arguments], "")
    (token,) = ended.stdout.splitlines()
    header, payload, signature = token.split(".")
    raw = decoded(signature)
    der = encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
    key[0].public_key().verify(der, f"{header}.{payload}".encode(), ec.ECDSA(SHA256()))
    claims: dict[str, Any] = json.loads(decoded(payload))
    ((label, appraisal),) = claims["submods"].items()
    assert (label, appraisal["ear_status"]) == STATUSES[arguments]
    assert claims["rats_tls_result"]["verdict"] == ("refused" if ended.returncode else "accepted")


@pytest.mark.parametrize("option", ["--json", "--explain", "--checks", "--claims"])
def test_an_ear_goes_with_no_other_form(
    files: CommandFiles, key: tuple[ec.EllipticCurvePrivateKey, Path], option: str
) -> None:
    ended = run(*good(files), "--ear", key[1], option)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith("error: usage: --ear prints the EAR alone")


@pytest.mark.parametrize("data", [b"", b"hello", b"\xff" * 100], ids=["empty", "text", "binary"])
def test_a_key_that_is_none(files: CommandFiles, data: bytes) -> None:
    ended = run(*good(files), "--ear", files.write("none.pem", data))
    assert (ended.returncode, ended.stdout) == (1, "")
    (line,) = ended.stderr.splitlines()
    assert line.startswith("error: configuration: ")
    assert "none.pem: no private key (PEM) that can be read" in line
