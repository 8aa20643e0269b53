"""Real event logs: what other parsers say of them, and the registers of the quotes that they belong to."""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import re
import uuid
from dataclasses import replace
from typing import Any

import pytest

from rats_tls.core.algorithms import HashAlgorithm
from rats_tls.core.checks import Verdict
from rats_tls.core.claims import MeasuredEvent, TdxClaims
from rats_tls.core.endorsements import Endorsements
from rats_tls.core.errors import EventLogError
from rats_tls.core.evidence import Evidence
from rats_tls.core.verification import Verification
from rats_tls.formats.event_log.device_path import read_device_path
from rats_tls.formats.event_log.event_data import EfiVariable, TaggedEvent
from rats_tls.formats.event_log.reading import LoggedEvent, read_event_log, without_padding
from rats_tls.formats.event_log.tcg import TcgEvent, TcgEventLog
from rats_tls.verifiers.tdx_ecdsa import TdxEcdsaVerifier
from support.appraisals import make_appraiser
from support.intel import IntelVector, labels, load, passed, verify
from support.paths import VECTORS
from support.policies import default_policy

NEEDS_VECTORS = True

PARSED = VECTORS / "tdx_ecdsa/trustee-ccel-event-logs"
COS = "tdx_ecdsa/go-tdx-guest-cos113-ccel"
DEBUG = "tdx_ecdsa/trustee-v4-debug-ccel"
DSTACK = {
    "tdx_ecdsa/dstack-quote-report": "quote-report.json",
    "tdx_ecdsa/dstack-tdx-lite": "tdx-lite-getquote.json",
}
HASHES = {0x000C: "SHA-384", 0x0012: "SM3"}
LOGS = ("CCEL_AAEL_alibabacloud", "CCEL_data_ovmf", "CCEL_data_grub_gke", "CCEL_data_csv")


def with_log(vector_id: str, log: bytes) -> IntelVector:
    vector = load(vector_id)
    return replace(vector, evidence=Evidence(vector.evidence.media_type, vector.evidence.data, log))


def dstack_log(vector_id: str) -> bytes:
    answer = json.loads((VECTORS / vector_id / DSTACK[vector_id]).read_bytes())
    return str(answer["event_log"]).encode()


@functools.cache
def cos_log() -> bytes:
    return (VECTORS / COS / "ccel_data.dat").read_bytes()


# --- the parser against another one's answers ----------------------------------------------------------------------
def _guid(text: str) -> str:
    """Give a GUID that the other parser wrote with its bytes in order as this one has it."""
    return str(uuid.UUID(bytes_le=uuid.UUID(text).bytes))


def _path_node(text: str) -> str:
    """Give a node of a device path as the other parser writes it."""
    if match := re.fullmatch(r"Acpi\((\w+),(\w+)\)", text):
        return f"ACPI({match[1]},{int(match[2], 0)})"
    if match := re.fullmatch(r"Pci\((\w+),(\w+)\)", text):
        return f"Pci({int(match[2], 0)},{int(match[1], 0)})"
    if match := re.fullmatch(r"VenMedia\(([\w-]+)\)", text):
        return f"VenMedia({match[1]},)"
    return text if re.match(r"(Path|HD)\(", text) else f"File({text})"


def details(event: TcgEvent) -> dict[str, Any]:
    """Say of an event what the other parser does, in its words."""
    content = event.content
    match event.type_name:
        case "EV_EFI_VARIABLE_DRIVER_CONFIG" | "EV_EFI_VARIABLE_BOOT" | "EV_EFI_VARIABLE_AUTHORITY":
            found = EfiVariable.from_bytes(event.data)
            return {
                "unicode_name": found.name,
                "unicode_name_length": len(found.name),
                "variable_data": base64.b64encode(found.data).decode(),
                "variable_data_length": len(found.data),
                "variable_name": found.guid,
            }
        case "EV_EFI_BOOT_SERVICES_APPLICATION":
            nodes = read_device_path(event.data[32:])
            return {"device_paths": [_path_node(node.text) for node in nodes]}
        case "EV_EVENT_TAG" if content.name == "AAEL":
            domain, operation, rest = content.text.split(" ", 2)
            data = {"domain": domain, "operation": operation, "content": rest}
            if rest.startswith("{"):
                data["content"] = json.loads(rest)
            assert TaggedEvent.from_bytes(event.data).data.decode() == content.text
            return {"unicode_name": "AAEL", "string": content.text, "data": data}
        case "EV_IPL":
            text = event.data.split(b"\0")[0].decode() if content.text else content.name.removeprefix(".")
            return {"string": text}
        case "EV_NO_ACTION" | "EV_SEPARATOR" | "EV_EFI_GPT_EVENT":
            return {}
        case _:
            return {"string": content.name}


def expected_details(document: dict[str, Any]) -> dict[str, Any]:
    if "variable_name" in document:
        return {**document, "variable_name": _guid(document["variable_name"])}
    return document


@pytest.mark.parametrize("name", LOGS)
def test_every_event_is_what_another_parser_says(name: str) -> None:
    log = TcgEventLog.from_bytes((PARSED / name).read_bytes())
    expected = json.loads((PARSED / f"{name}_out.json").read_bytes())["uefi_event_logs"]
    assert len(log.events) == len(expected)
    for event, said in zip(log.events, expected, strict=True):
        assert event.mr_index == said["index"]
        assert event.type_name == said["type_name"]
        assert [{"alg": HASHES[number], "digest": digest.hex()} for number, digest in event.digests] == said["digests"]
        assert event.data == base64.b64decode(said["event"])
        assert details(event) == expected_details(said["details"])
        if event.digest(HashAlgorithm.SHA384) is not None:
            whole = hashlib.sha384(event.data).digest() == event.digest(HashAlgorithm.SHA384)
            assert whole is said["digest_matches_event"]


def test_the_log_of_a_debug_trust_domain_is_what_another_parser_says() -> None:
    log = read_event_log((VECTORS / DEBUG / "CCEL_data").read_bytes())
    expected = json.loads((VECTORS / DEBUG / "parse_tdx_claims_expected.json").read_bytes())["uefi_event_logs"]
    found: tuple[LoggedEvent, ...] = log.events
    assert [(event.mr_index, event.type_name, base64.b64encode(event.data).decode()) for event in found] == [
        (said["index"], said["type_name"], said["event"]) for said in expected
    ]
    assert [event.digest(HashAlgorithm.SHA384) for event in found] == [
        bytes.fromhex(said["digests"][0]["digest"]) for said in expected
    ]


def test_the_log_beside_a_csv_report() -> None:
    """A guest whose firmware leaves no log began it: two hashes, no event yet."""
    evidence = json.loads((VECTORS / "csv/trustee-csv-evidence-v2/csv_evidence.json").read_bytes())
    log = read_event_log(base64.b64decode(evidence["cc_eventlog"]))
    assert isinstance(log, TcgEventLog)
    assert log.algorithms == ((0x000C, 48), (0x0012, 32))
    assert log.events == ()


# --- replay ---------------------------------------------------------------------------------------------------------
def registers(verification: Verification) -> dict[str, str | None]:
    prefix = "event_log.rtmr"
    return {
        check.id.removeprefix("event_log."): check.got if check.verdict is Verdict.PASSED else check.verdict.value
        for check in verification.checks
        if check.id.startswith(prefix)
    }


def events_of(verification: Verification) -> tuple[MeasuredEvent, ...]:
    assert isinstance(verification.claims, TdxClaims)
    assert verification.claims.events is not None
    return verification.claims.events


def test_ccel_replays_to_the_registers_of_its_quote() -> None:
    verification = verify(with_log(COS, cos_log()))
    assert labels(verification) == {"endorsements_missing"}
    found = registers(verification)
    counts = {name: (got or "").partition(", ")[2] for name, got in found.items()}
    assert counts == {"rtmr0": "16 events", "rtmr1": "7 events", "rtmr2": "20 events", "rtmr3": "0 events"}
    events = events_of(verification)
    assert len(events) == 43
    command = next(event for event in events if event.name == "kernel_cmdline")
    assert command.register == "rtmr2"
    assert command.data is not None
    assert hashlib.sha384(command.data).digest() == command.digest
    assert command.data.startswith(b"/syslinux/vmlinuz.A init=")
    assert [event.data for event in events if event.type == "EV_EFI_BOOT_SERVICES_APPLICATION"] == [None, None]


@pytest.mark.parametrize("vector_id", DSTACK)
def test_dstack_replays_to_every_register(vector_id: str) -> None:
    verification = verify(with_log(vector_id, dstack_log(vector_id)))
    assert {f"event_log.rtmr{number}" for number in range(4)} <= passed(verification)
    of_guest = [event for event in events_of(verification) if event.register == "rtmr3"]
    assert [event.name for event in of_guest[:4]] == ["system-preparing", "app-id", "compose-hash", "instance-id"]
    assert all(event.data is not None for event in of_guest)
    compose = of_guest[2].data
    assert compose is not None
    assert compose[:20] == of_guest[1].data


def test_dstack_with_its_collateral_is_accepted() -> None:
    vector = with_log("tdx_ecdsa/dstack-quote-report", dstack_log("tdx_ecdsa/dstack-quote-report"))
    assert labels(verify(vector)) == set()
    claims = TdxEcdsaVerifier().decode(vector.evidence).claims
    compose = "3763bc34552cf3a27ff71ad5f7a90471562a1a2df552dfc1998cba2d60da27e7"
    required = {"register": "rtmr3", "type": "0x08000001", "name": "compose-hash", "data": compose}
    policy = default_policy(claims, required_events=[required])
    result = make_appraiser(policy, vector.endorsements).appraise_evidence(
        vector.evidence, now=vector.now, expected_report_data=claims.report_data
    )
    assert result.policy_entry
    lite = with_log("tdx_ecdsa/dstack-tdx-lite", dstack_log("tdx_ecdsa/dstack-tdx-lite"))
    assert labels(verify(lite)) == {"certificate_not_in_date"}


def test_a_log_of_the_guest_alone_covers_rtmr3_alone() -> None:
    events = json.loads(dstack_log("tdx_ecdsa/dstack-quote-report"))
    of_guest = json.dumps([event for event in events if event["imr"] == 3]).encode()
    verification = verify(with_log("tdx_ecdsa/dstack-quote-report", of_guest))
    found = registers(verification)
    assert found["rtmr3"] is not None
    assert found["rtmr3"].endswith("8 events")
    assert {found[f"rtmr{number}"] for number in range(3)} == {"not checked"}


@pytest.mark.parametrize("name", ["CCEL_data", "CCEL_data_ovmf"])
def test_a_log_of_another_boot_is_refused(name: str) -> None:
    """Neither log that is stored beside this quote is of its boot."""
    verification = verify(with_log(DEBUG, (VECTORS / DEBUG / name).read_bytes()))
    assert labels(verification) == {"event_log"}
    (problem,) = verification.problems
    assert isinstance(problem.error, EventLogError)
    assert isinstance(verification.claims, TdxClaims)
    assert verification.claims.events is None


def test_every_flip_of_a_digest_breaks_the_replay() -> None:
    whole = without_padding(cos_log())
    vector = replace(load(COS), endorsements=Endorsements())
    log = TcgEventLog.from_bytes(whole)
    at = 0
    for event in log.events:
        at = whole.index(event.digest(HashAlgorithm.SHA384) or b"", at)
        for offset in (at, at + 47):
            flipped = bytearray(whole)
            flipped[offset] ^= 1
            evidence = Evidence(vector.evidence.media_type, vector.evidence.data, bytes(flipped))
            assert labels(verify(replace(vector, evidence=evidence))) == {"event_log"}
