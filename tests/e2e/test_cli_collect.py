"""`rats-tls collect`: what is written, what `verify` makes of it, and how it ends without a TEE."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
from pathlib import Path

import pytest

from rats_tls.simulation.world import SimulatedWorld
from support.commands import run
from support.paths import REPOSITORY
from support.sites import Site

TDX, SNP, CSV = "simulated_tdx_ecdsa", "simulated_sev_snp", "simulated_csv"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    folder = tmp_path_factory.mktemp("collect")
    return Site(folder, SimulatedWorld.create(folder / "world"))


@pytest.mark.parametrize("tee", [TDX, SNP, CSV])
def test_what_is_collected_is_for_its_data(site: Site, tee: str, tmp_path: Path) -> None:
    evidence, bundle = tmp_path / "evidence.bin", tmp_path / "bundle.zip"
    where = ("--output", evidence, "--endorsements-output", bundle)
    policy = site.policy(tee)
    ended = run("collect", *site.collecting(tee), *where, "--data", "a nonce")
    assert ended.returncode == 0, ended.stderr
    assert hashlib.sha512(b"rats-tls collect/1a nonce").hexdigest() in ended.stdout
    given = ("--endorsements-file", bundle) if bundle.exists() else ()
    assert bundle.exists() == (tee != CSV)  # whose certificates are in its Evidence
    judging = ("verify", evidence, "--policy", policy, "--trust-anchors", site.anchors, *given)
    assert "  7 bytes of data: verify it with the same --data" in ended.stdout
    (tmp_path / "nonce").write_bytes(b"a nonce")
    for same in (("--data", "a nonce"), ("--data-file", tmp_path / "nonce")):
        assert run(*judging, *same).returncode == 0
    refused = run(*judging, "--data", "another")
    assert refused.returncode == 3
    assert "help  the Evidence was collected for other data than --data or --data-file give" in refused.stdout
    unbound = run(*judging)
    assert unbound.returncode == 5
    assert "bound by --data or --data-file, what `collect` was given, or by --report-data HEX" in unbound.stdout


def test_as_json_with_an_event_log(site: Site, tmp_path: Path) -> None:
    log = tmp_path / "log.bin"
    where = ("--output", tmp_path / "quote.bin", "--event-log-output", log)
    ended = run("collect", *site.collecting(TDX), "--simulate", "event_log", *where, "--json")
    assert ended.returncode == 0, ended.stderr
    told = json.loads(ended.stdout)
    assert told["schema"] == "rats-tls/collected/1"
    assert told["tee"] == "tdx_ecdsa"
    assert told["report_data"] == hashlib.sha512(b"rats-tls collect/1").hexdigest()
    assert told["written"] == {"evidence": str(tmp_path / "quote.bin"), "event_log": str(log)}
    assert told["event_log_size"] == log.stat().st_size > 0
    assert told["size"] == (tmp_path / "quote.bin").stat().st_size


def test_raw_report_data_only_by_its_name(site: Site, tmp_path: Path) -> None:
    evidence = tmp_path / "report.bin"
    raw = ("--insecure-raw-report-data", "ab" * 64)
    ended = run("collect", *site.collecting(SNP), "--output", evidence, *raw)
    assert ended.returncode == 0, ended.stderr
    assert bytes.fromhex("ab" * 64) in evidence.read_bytes()
    assert f"WARNING: INSECURE: attester {SNP} is given raw report_data" in ended.stderr
    assert "INSECURE" not in run("collect", *site.collecting(SNP), "--output", evidence).stderr
    for options, said in (
        ((*raw, "--data", "x"), "--insecure-raw-report-data is instead of --data and --data-file"),
        (("--insecure-raw-report-data", "ab"), "got 1 bytes, expected 64"),
        (("--insecure-raw-report-data", "xy"), "expected hex digits"),
    ):
        ended = run("collect", *site.collecting(SNP), "--output", tmp_path / "not.bin", *options)
        assert ended.returncode == 1
        assert said in ended.stderr
    assert not (tmp_path / "not.bin").exists()


@pytest.mark.parametrize("named", [(), ("--attester", "auto")])
def test_without_a_tee_it_says_so(named: tuple[str, ...], tmp_path: Path) -> None:
    ended = run("collect", *named, "--output", tmp_path / "quote.bin")
    assert ended.returncode == 6
    assert ended.stderr.startswith("error: no_instance: attester auto: no TEE that can be used was found here (")
    for device in ("/dev/sev-guest", "/dev/tdx_guest", "/dev/csv-guest", "Gramine", "Occlum"):
        assert device in ended.stderr
    assert not (tmp_path / "quote.bin").exists()


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (("--attester", "sev_snp"), 6, "/dev/sev-guest"),
        (("--attester", "tdx_ecdsa"), 6, "/dev/tdx_guest"),
        (("--attester", "csv"), 6, "/dev/csv-guest"),
        (("--attester", "sgx_ecdsa"), 6, "neither Gramine nor Occlum"),
        (("--attester", "sev"), 1, "--attester sev needs --attester-option broker=ADDRESS of the attestation"),
        (
            ("--attester", "sev", "--attester-option", "broker=vsock:2:1"),
            1,
            "--attester sev needs --attester-option guest_handle=NUMBER",
        ),
        (("--attester", "sgx_la"), 1, "--attester sgx_la needs --attester-option target_info=FILE, the TARGETINFO"),
        (("--attester", "sgx_la", "--attester-option", "target_info="), 1, "target_info is empty"),
        (("--attester", ""), 1, "--attester: the name is empty"),
        (("--event-log-output", ""), 1, "the name is empty"),
        (("--event-log-output", "-"), 1, "standard output is for the Evidence alone"),
        (("--endorsements-output", "-"), 1, "standard output is for the Evidence alone"),
        (("--data", ""), 1, "--data is empty"),
        (("--data-file", "/dev/null"), 1, "not a regular file"),
        (("--data-file", "-"), 1, "--data-file: standard input is empty"),
        (("--attester", "null"), 6, "collects no Evidence"),
        (("--attester", "sev_snp", "--attester-option", "privilege-level=9"), 1, "from 0 to 3"),
        (("--attester", "sev_snp", "--attester-option", "x=1"), 1, "not known; there are: seconds, privilege_level"),
        (("--attester", "sev_snp", "--attester-option", "x"), 1, "expected NAME=VALUE"),
        (("--attester", "csv", *("--attester-option", "report-version=1") * 2), 1, "report-version is given twice"),
        (
            ("--attester", "csv", "--attester-option", "a-b=1", "--attester-option", "a_b=1"),
            1,
            "a_b is given twice",
        ),
        (("--attester-option", "seconds=1"), 1, "--attester-option goes with --attester NAME"),
        (("--fetch",), 1, "--fetch goes with --endorsements-output"),
        (("--pccs", "https://127.0.0.1"), 1, "go with --fetch"),
        (("--data", "a", "--data-file", str(REPOSITORY / "README.md")), 1, "choose one"),
    ],
)
def test_what_cannot_be(options: tuple[str, ...], code: int, said: str, tmp_path: Path) -> None:
    ended = run("collect", "--output", tmp_path / "x.bin", *options)
    assert ended.returncode == code, ended.stderr
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr
    assert ended.stdout == ""
    assert not (tmp_path / "x.bin").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--endorsements-output", "x.bin"), "--output and --endorsements-output"),
        (("--event-log-output", "x.bin"), "--output and --event-log-output"),
        (("--event-log-output", "link"), "--output and --event-log-output"),
        (("--event-log-output", "a", "--endorsements-output", "./a"), "--event-log-output and --endorsements-output"),
        (("--data-file", "x.bin"), "--data-file and --output"),
        (("--trust-anchors", "x.bin"), "--trust-anchors and --output"),
        (("--attester", "csv", "--attester-option", "certificates=x.bin"), "--attester-option and --output"),
    ],
)
def test_no_file_is_written_over_another(options: tuple[str, ...], said: str, tmp_path: Path) -> None:
    (tmp_path / "x.bin").write_bytes(b"data")
    (tmp_path / "link").symlink_to("x.bin")
    ended = run("collect", "--output", "x.bin", *options, cwd=tmp_path)
    assert ended.returncode == 1
    assert f"{said} name the same file" in ended.stderr
    assert (tmp_path / "x.bin").read_bytes() == b"data"


def test_what_is_written_is_whole_or_not_there(site: Site, tmp_path: Path) -> None:
    evidence, pipe = tmp_path / "quote.bin", tmp_path / "pipe"
    os.mkfifo(pipe)
    evidence.write_bytes(b"before")
    collecting = ("collect", *site.collecting(TDX), "--simulate", "event_log")
    log = ("--event-log-output", tmp_path / "log.bin")
    for where in (
        ("--output", pipe, *log),
        ("--output", evidence, *log, "--endorsements-output", pipe),
        ("--output", evidence, *log, "--endorsements-output", tmp_path / "no" / "bundle.zip"),
        ("--output", evidence, "--event-log-output", pipe),
    ):
        ended = run(*collecting, *where)
        assert (ended.returncode, ended.stdout) == (1, "")
        assert "not a regular file" in ended.stderr or "No such file or directory" in ended.stderr
        assert evidence.read_bytes() == b"before"
        assert sorted(path.name for path in tmp_path.iterdir()) == ["pipe", "quote.bin"]


def test_nothing_of_other_evidence_stays_beside_it(site: Site, tmp_path: Path) -> None:
    evidence, log, bundle = (tmp_path / name for name in ("report.bin", "log.bin", "bundle.zip"))
    where = ("--output", evidence, "--event-log-output", log, "--endorsements-output", bundle)
    for path in (log, bundle):
        path.write_bytes(b"of another day")
    ended = run("collect", *site.collecting(CSV), *where)
    assert ended.returncode == 0, ended.stderr
    assert "event log     not written: none came with it; the file of other Evidence is removed" in ended.stdout
    why = "HSK and CEK are in the Evidence"
    assert f"Endorsements  not written: {why}; the file of other Evidence is removed" in ended.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["report.bin"]
    told = json.loads(run("collect", *site.collecting(CSV), *where, "--json").stdout)
    assert told["not_written"] == {"event_log": "none came with it", "endorsements": why}
    log.write_bytes(b"of another day")
    told = json.loads(run("collect", *site.collecting(SNP), *where, "--json").stdout)
    assert (told["removed"], sorted(told["written"])) == (["event_log"], ["endorsements", "evidence"])


@pytest.mark.parametrize(("attester", "setting"), [("sgx_la", "target-info"), ("csv", "certificates")])
def test_a_setting_that_names_a_pipe(attester: str, setting: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    options = ("--attester", attester, "--attester-option", f"{setting}={tmp_path / 'pipe'}")
    ended = run("collect", *options, "--output", tmp_path / "x.bin")
    assert ended.returncode == 1
    assert f"{setting.replace('-', '_')} {tmp_path / 'pipe'}: not a regular file" in ended.stderr


def test_data_are_bytes_in_whatever_encoding(site: Site, tmp_path: Path) -> None:
    evidence, data = tmp_path / "report.bin", "\udcff\udcfe"
    ended = run("collect", *site.collecting(SNP), "--output", evidence, "--data", data)
    assert ended.returncode == 0, ended.stderr
    assert hashlib.sha512(b"rats-tls collect/1\xff\xfe").hexdigest() in ended.stdout
    judging = ("verify", evidence, "--policy", site.policy(SNP), "--trust-anchors", site.anchors, "--data", data)
    assert run(*judging).returncode == 4  # bound as asked for; no Endorsements are given


def test_evidence_that_carries_no_report_data(site: Site, tmp_path: Path) -> None:
    evidence = tmp_path / "evidence.bin"
    collecting = ("collect", *site.collecting("simulated_sev"), "--output", evidence)
    for options in (("--data", "x"), ("--insecure-raw-report-data", "ab" * 64)):
        ended = run(*collecting, *options)
        assert ended.returncode == 1
        assert "Evidence of AMD SEV carries no report_data" in ended.stderr
        assert not evidence.exists()
    ended = run(*collecting)
    assert ended.returncode == 0, ended.stderr
    assert "not carried: bound to nothing" in ended.stdout
    assert json.loads(run(*collecting, "--json").stdout)["report_data"] is None


def test_a_place_that_cannot_be_written(site: Site, tmp_path: Path) -> None:
    ended = run("collect", *site.collecting(SNP), "--output", tmp_path / "no" / "report.bin")
    assert ended.returncode == 1
    assert "No such file or directory" in ended.stderr


def test_evidence_for_nothing_says_so(site: Site, tmp_path: Path) -> None:
    collecting = ("collect", *site.collecting(SNP), "--output", tmp_path / "report.bin")
    said = "nothing: whoever has it can show it again as new"
    assert said in run(*collecting).stdout
    for bound in (("--data", "x"), ("--insecure-raw-report-data", "ab" * 64)):
        assert said not in run(*collecting, *bound).stdout
    sizes = [json.loads(run(*collecting, *data, "--json").stdout)["data_size"] for data in ((), ("--data", "xyz"))]
    assert sizes == [None, 3]


@pytest.mark.parametrize("data", [("--data", ""), ("--data-file", "empty")])
def test_data_without_bytes_is_no_data(site: Site, data: tuple[str, str], tmp_path: Path) -> None:
    """It is mostly a variable of a shell's that is not set: Evidence would be for nothing, and nobody would know."""
    (tmp_path / "empty").touch()
    (tmp_path / "report.bin").write_bytes(b"x")
    for command in (
        ("collect", *site.collecting(SNP), "--output", "other.bin"),
        ("verify", "report.bin", "--policy", str(site.policy(SNP))),
    ):
        ended = run(*command, *data, cwd=tmp_path)
        assert (ended.returncode, ended.stdout) == (1, "")
        assert "is empty: leave it out where Evidence is for nothing" in ended.stderr
        assert not (tmp_path / "other.bin").exists()


@pytest.mark.parametrize("tee", [TDX, SNP, CSV, "simulated_sev"])
def test_a_root_that_is_not_trusted_names_the_option(site: Site, tee: str, tmp_path: Path) -> None:
    where = ("--output", tmp_path / "evidence.bin", "--endorsements-output", tmp_path / "bundle.zip")
    ended = run("collect", *site.collecting(tee)[:-2], *where)
    assert ended.returncode == 4
    said = "help  only vendors' own roots are trusted without --trust-anchors FILE"
    assert said in ended.stdout
    ended = run("collect", *site.collecting(tee), *where)
    assert (ended.returncode, said in ended.stdout) == (0, False)
    given = ("--endorsements-file", tmp_path / "bundle.zip") if tee != CSV else ()
    judged = run("verify", tmp_path / "evidence.bin", "--policy", site.policy(tee), *given)
    assert judged.returncode == 3
    assert said in judged.stdout


def test_the_page_shows_how_it_is_done_with_simulated_tees(tmp_path: Path) -> None:
    """From a world to a verdict, as docs/attesters.md has it."""
    page = (REPOSITORY / "docs" / "attesters.md").read_text(encoding="utf-8")
    block = page.partition("## Without a TEE")[2].partition("```console\n")[2].partition("```")[0]
    commands = [shlex.split(line)[2:] for line in block.replace("\\\n", " ").splitlines()]
    assert [words[0] for words in commands] == ["simulate", "collect", "verify"]
    for words in commands:
        ended = run(*words, cwd=tmp_path)
        assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stdout.startswith(" accepted  report.bin\n")


def test_no_endorsements_exist_for_local_reports(site: Site, tmp_path: Path) -> None:
    evidence = tmp_path / "report.bin"
    collecting = ("collect", *site.collecting("simulated_sgx_la"), "--output", evidence)
    ended = run(*collecting, "--endorsements-output", tmp_path / "bundle.zip")
    assert (ended.returncode, evidence.exists()) == (1, False)
    assert "no Endorsements exist for Intel SGX (local report)" in ended.stderr
    assert run(*collecting).returncode == 0


def test_a_failure_is_a_document_too(tmp_path: Path) -> None:
    for options, reason in (((), "no_instance"), (("--attester", "sev_snp"), "collection")):
        ended = run("collect", "--output", tmp_path / "x.bin", *options, "--json")
        document = json.loads(ended.stdout)
        assert (ended.returncode, document["exit_code"]) == (6, 6)
        assert (document["schema"], document["verdict"]) == ("rats-tls/collected/1", "failed")
        assert document["reason"] == reason
        assert "/dev/sev-guest" in document["message"]
        assert ended.stderr.startswith("error: ")


def test_what_is_wanting_is_named(site: Site, tmp_path: Path) -> None:
    """Without --fetch only what came along is there; of a revoked list nothing comes."""
    evidence, bundle = tmp_path / "report.bin", tmp_path / "bundle.zip"
    where = ("--output", evidence, "--endorsements-output", bundle)
    ended = run("collect", *site.collecting(SNP), "--simulate", "missing=amd-crl", *where)
    assert ended.returncode == 4
    assert "wanting  amd-crl" in ended.stdout
    assert evidence.exists()
    assert bundle.exists()
