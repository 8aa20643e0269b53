"""Event logs on the command line, and over a connection: given, carried, required, refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rats_tls.core.binding import Binding
from rats_tls.core.claims import TdxClaims
from rats_tls.core.errors import AppraisalError, ConnectionFailedError
from rats_tls.core.refusals import Refusal
from rats_tls.formats.event_log.reading import without_padding
from rats_tls.formats.intel.collateral import endorsements_to_json
from rats_tls.policy import Policy
from support.appraisals import claims_of
from support.command_files import REPORT_DATA, TDX, CommandFiles
from support.commands import port_of, run, started
from support.event_logs import Logged, dstack_log, log
from support.policies import default_policy, pinning_entry
from support.sides import attester, connected_pair, context, echo, served
from support.simulated import world

LINE = "root=LABEL=root ro console=ttyS0"
COMMAND = {"register": "rtmr2", "type": "EV_IPL", "name": "kernel_cmdline", "data": {"text": LINE}}
OTHER = {**COMMAND, "data": {"text": "root=LABEL=other"}}
REGISTERS = dict.fromkeys(("rtmr0", "rtmr1", "rtmr2", "rtmr3"), "any")


class Case:
    """A simulated trust domain's quote, log and Endorsements in files."""

    def __init__(self, files: CommandFiles) -> None:
        collected = files.world.attester(TDX, event_log=True).collect(REPORT_DATA)
        self.files, self.evidence = files, collected.evidence
        self.quote = files.write("logged.bin", collected.evidence.data)
        self.log = files.write("ccel.dat", collected.evidence.event_log)
        self.endorsements = files.write("logged.json", endorsements_to_json(collected.endorsements))

    def policy(self, name: str, *required: dict[str, Any]) -> Path:
        bindings = (Binding.CERTIFICATE, Binding.NONE)
        changes = {**REGISTERS, "bindings": bindings, "required_events": list(required)}
        entry = pinning_entry(claims_of(self.evidence.data), name="logged", **changes)
        return self.files.write(name, Policy.of(entry).to_toml())

    def judged(self, policy: Path, *more: str | Path, evidence: Path | None = None) -> list[str | Path]:
        shared: list[str | Path] = ["--endorsements-file", self.endorsements, "--trust-anchors", self.files.anchors]
        return ["verify", evidence or self.quote, "--policy", policy, *shared, *more]


@pytest.fixture(scope="module")
def case(files: CommandFiles) -> Case:
    return Case(files)


def test_a_log_beside_a_quote(case: Case) -> None:
    required = case.policy("required.toml", COMMAND)
    ended = run(*case.judged(required, "--event-log", case.log, "--claims"))
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "event log" in ended.stdout
    assert f"kernel_cmdline, data {LINE}" in ended.stdout
    document = json.loads(run(*case.judged(required, "--event-log", case.log, "--json")).stdout)
    events = document["submodules"]["tdx_ecdsa"]["events"]
    assert {"register": "rtmr2", "type": "EV_IPL", "name": "kernel_cmdline"}.items() <= events[7].items()
    assert bytes.fromhex(events[7]["data"]).decode() == LINE
    assert [check["id"] for check in document["checks"] if check["id"].startswith("event_log.")] == [
        f"event_log.rtmr{number}" for number in range(4)
    ]


@pytest.mark.parametrize(
    ("required", "event_log", "refusal", "says"),
    [
        (OTHER, None, Refusal.POLICY, f"of data '{LINE}'"),
        (COMMAND, "", Refusal.POLICY, "no event log"),
        (COMMAND, log(Logged()), Refusal.EVENT_LOG, "1 event of rtmr1 replay to"),
        (COMMAND, b"hello", Refusal.MALFORMED_EVIDENCE, "expected a log in the TCG's crypto-agile form"),
        (COMMAND, dstack_log({"imr": 9}), Refusal.MALFORMED_EVIDENCE, "DstackEventLog"),
    ],
    ids=["other", "none", "false", "malformed", "dstack"],
)
def test_what_is_refused(
    case: Case, required: dict[str, Any], event_log: bytes | str | None, refusal: Refusal, says: str
) -> None:
    path = case.log if event_log is None else case.files.write("false.log", event_log) if event_log else None
    given: list[str | Path] = ["--event-log", path] if path is not None else []
    ended = run(*case.judged(case.policy("refused.toml", required), *given))
    assert ended.returncode == int(refusal.exit_code)
    assert refusal.label in ended.stdout
    assert says in ended.stdout


def test_an_event_log_is_for_bare_evidence(case: Case) -> None:
    certificate = case.files.certificate("with-log.der")
    policy = case.policy("certificate.toml")
    ended = run(*case.judged(policy, "--event-log", case.log, evidence=certificate))
    assert ended.returncode == 1
    assert "an event log is for bare Evidence" in ended.stderr
    empty = run(*case.judged(policy, "--event-log", case.files.write("empty.log", b"")))
    assert (empty.returncode, "the file is empty" in empty.stdout) == (2, True)


def test_dstacks_answer_is_quote_and_log(case: Case) -> None:
    events = [
        {"imr": 3, "event_type": 6, "digest": digest, "event": "", "event_payload": ""}
        for digest in (_digest_of_rtmr3(case),)
    ]
    answer = {"quote": case.evidence.data.hex(), "event_log": dstack_log(*events).decode(), "vm_config": "{}"}
    path = case.files.write("answer.json", json.dumps(answer))
    required = case.policy(
        "dstack.toml", {"register": "rtmr3", "type": "EV_EVENT_TAG", "digest": _digest_of_rtmr3(case)}
    )
    ended = run(*case.judged(required, "--checks", evidence=path))
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "the log has no event of it, and it is not zero" in ended.stdout
    twice = run(*case.judged(required, "--event-log", case.log, evidence=path))
    assert twice.returncode == 1
    assert "carries its own or none" in twice.stderr
    shown = run("inspect", path)
    assert shown.returncode == 0
    assert "Evidence of Intel TDX with its event log (JSON)" in shown.stdout
    assert "1 rtmr3 EV_EVENT_TAG" in shown.stdout


def _digest_of_rtmr3(case: Case) -> str:
    document = json.loads(run("inspect", case.log, "--json").stdout)
    events = document["fields"][0]["fields"]
    (value,) = (str(event["value"]) for event in events if " rtmr3 " in event["name"])
    return value


def test_a_log_by_itself_is_shown_as_a_list(case: Case) -> None:
    ended = run("inspect", case.log)
    assert (ended.returncode, ended.stderr) == (0, "")
    lines = ended.stdout.splitlines()
    assert lines[0] == " not verified  ccel.dat  event log (TCG crypto-agile), 65536 bytes"
    assert any(
        "8 rtmr2 EV_IPL" in line and f"recomputed from its data: kernel_cmdline {LINE}" in line for line in lines
    )
    assert any(
        "6 rtmr1 EV_EFI_BOOT_SERVICES_APPLICATION" in line and "not of its data: \\vmlinuz" in line for line in lines
    )
    replayed = {line.split()[0]: line.split()[1] for line in lines if line.startswith("    rtmr")}
    assert replayed == {name: getattr(claims_of(case.evidence.data), name).hex() for name in REGISTERS}


def test_policies_are_tried_and_written_with_a_log(case: Case) -> None:
    shared = ["--endorsements-file", case.endorsements, "--trust-anchors", case.files.anchors]
    written = run(
        *("policy", "from-evidence", "--verify", case.quote, "--event-log", case.log, *shared),
        *("--require-events", "EV_IPL", "--require-events", "EV_EVENT_TAG"),
    )
    assert (written.returncode, written.stderr) == (0, "")
    policy = case.files.write("written.toml", written.stdout)
    (entry,) = Policy.from_file(policy).entries
    assert [(event.type, event.name) for event in entry.required_events] == [  # type: ignore[attr-defined]  # of TDX
        *(("EV_IPL", "kernel_cmdline"), ("EV_IPL", "/initrd"), ("EV_EVENT_TAG", "AAEL")),
    ]
    test = ["policy", "test", policy, case.quote, *shared]
    assert run(*test, "--event-log", case.log).returncode == 0
    assert run(*test, "--expect", "refuse", "--reason", "policy").returncode == 0
    unknown = run(
        *("policy", "from-evidence", "--verify", case.quote, "--event-log", case.log, *shared),
        *("--require-events", "EV_NOTHING"),
    )
    assert unknown.returncode == 1
    assert "none of type EV_NOTHING" in unknown.stderr
    assert run("policy", "from-evidence", case.quote, "--require-events", "EV_IPL").returncode == 1


# --- connections ----------------------------------------------------------------------------------------------------
def _policy(*required: dict[str, Any]) -> Policy:
    evidence = world().attester(TDX, event_log=True).collect(REPORT_DATA).evidence
    return default_policy(claims_of(evidence.data), **REGISTERS, required_events=list(required))


def test_a_log_goes_with_the_certificate_of_a_connection() -> None:
    server = context(attester(TDX, event_log=True), _policy(COMMAND))
    client = context(attester(TDX, event_log=True), _policy(COMMAND))
    ends = connected_pair(server, client)
    for end in ends:
        assert end.peer is not None
        assert isinstance(end.peer.claims, TdxClaims)
        assert end.peer.claims.events is not None
        assert len(end.peer.claims.events) == 10
        end.close()


def test_a_connection_whose_log_lacks_the_event_is_refused() -> None:
    server = context(attester(TDX, event_log=True, command_line="root=LABEL=other"))
    client = context(None, _policy(COMMAND))
    with served(server, echo) as (address, outcome), pytest.raises(AppraisalError, match="required_events"):
        client.connect(address, timeout=20)
    assert isinstance(outcome.error, ConnectionFailedError)


@pytest.mark.parametrize(("state", "label"), [("wrong-event-log", "event_log"), ("event-log", "")])
def test_server_and_client_as_processes(files: CommandFiles, case: Case, state: str, label: str) -> None:
    side: list[str | Path] = ["--attester", TDX, "--simulation", files.directory, "--endorsements", "--simulate", state]
    with started("server", "--port", "0", *side, "--trust-anchors", files.anchors, "--count", "1") as process:
        port = str(port_of(process))
        ended = run(
            *("client", "--port", port, "--policy", case.policy("connected.toml", COMMAND)),
            *("--trust-anchors", files.anchors, "--message", "one"),
        )
        process.communicate(timeout=60)
    assert ended.returncode == (3 if label else 0), ended.stderr
    assert label in ended.stdout + ended.stderr


def test_padding_of_firmware_stays_at_home(case: Case) -> None:
    assert len(without_padding(case.evidence.event_log)) < 2000 < len(case.evidence.event_log)
