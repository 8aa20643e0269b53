"""Event logs shown field by field: what is listed, what is said of digests, and bounds."""

from __future__ import annotations

from pathlib import Path

import pytest

from rats_tls.certificates.making import make_certificate, make_claims_buffer
from rats_tls.core.algorithms import KeyAlgorithm
from rats_tls.core.binding import certificate_report_data
from rats_tls.core.errors import DecodeError
from rats_tls.inspection.event_log import MOST_EVENTS, event_log_group, event_log_nodes
from rats_tls.inspection.files import inspect_file
from rats_tls.inspection.tree import Node
from support.channels import CRYPTO, key
from support.event_logs import NO_ACTION, SHA256, SM3, Logged, dstack_event, dstack_log, log, replay, specification
from support.simulated import NOW, world


def node(nodes: tuple[Node, ...], name: str) -> Node:
    return next(node for node in nodes if node.name == name)


def test_each_event_says_whether_its_digest_is_of_its_data() -> None:
    events = (Logged(), Logged(measured=b"other"), Logged(type=NO_ACTION), Logged(index=9))
    nodes = event_log_nodes(log(*events, padding=b"\xff" * 7))
    about = "Calling EFI Application from Boot Option"
    assert [(event.name, event.value, event.meaning) for event in node(nodes, "events").fields] == [
        ("1 rtmr1 EV_EFI_ACTION", events[0].digest, f"recomputed from its data: {about}"),
        ("2 rtmr1 EV_EFI_ACTION", events[1].digest, f"not of its data: {about}"),
        ("3 rtmr1 EV_NO_ACTION", None, "not extended"),
        ("4 register 9 EV_EFI_ACTION", events[3].digest, f"recomputed from its data: {about}"),
    ]
    replayed = {found.name: found.value for found in node(nodes, "replayed").fields}
    assert replayed == {"rtmr1": replay(events, 2), "register 9": replay(events, 9)}
    assert node(nodes, "padding").value == 7


@pytest.mark.parametrize(("number", "size", "algorithm"), [(SM3, 32, "sm3"), (SHA256, 32, "sha256")])
def test_logs_of_other_hashes(number: int, size: int, algorithm: str) -> None:
    nodes = event_log_nodes(
        log(Logged(index=3, digests=((number, b"\1" * size),)), head=specification(((number, size),)))
    )
    (event,) = node(nodes, "events").fields
    assert node(nodes, "events").meaning == f"1, digests of {algorithm}"
    assert event.value == b"\1" * size
    assert event.name.split()[1] == ("rtmr3" if algorithm == "sm3" else "rtmr2")


def test_what_is_listed_is_bounded() -> None:
    nodes = event_log_nodes(log(*[Logged(data=b"x" * 1000)] * (MOST_EVENTS + 3)))
    listed = node(nodes, "events").fields
    assert len(listed) == MOST_EVENTS
    assert max(len(event.meaning) for event in listed) < 200
    assert node(nodes, "more events").value == 3


def test_files(tmp_path: Path) -> None:
    path = tmp_path / "log"
    for data, kind in ((log(Logged()), "TCG crypto-agile"), (dstack_log(dstack_event()), "dstack")):
        path.write_bytes(data)
        assert inspect_file(path).kind == f"event log ({kind})"
    path.write_bytes(log(Logged())[:-1])
    with pytest.raises(DecodeError, match="log: EventLog"):
        inspect_file(path)


def test_a_certificate_shows_its_log_and_one_that_is_none(tmp_path: Path) -> None:
    private = key(KeyAlgorithm.EC_P256)
    buffer = make_claims_buffer(private.public_key.spki, CRYPTO)
    collected = world().attester("simulated_tdx_ecdsa", event_log=True).collect(certificate_report_data(buffer))
    made = make_certificate(private, collected.evidence, buffer, CRYPTO, now=NOW, lifetime_seconds=60)
    path = tmp_path / "certificate.der"
    path.write_bytes(made.der)
    evidence = node(inspect_file(path).fields, "evidence")
    assert len(node(node(evidence.fields, "event_log").fields, "events").fields) == 10
    assert event_log_group(b"hello").meaning.startswith("EventLog: got 5 bytes")
