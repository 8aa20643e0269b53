"""The table of refusals: numbers, labels and codes that logs, metrics, peers and scripts rely on."""

from __future__ import annotations

import ast

import pytest

from rats_tls.core import errors
from rats_tls.core.errors import RatsTlsError
from rats_tls.core.refusals import ExitCode, Refusal, WireCode
from support.generated_pages import REFUSALS_MARK, render_refusals
from support.paths import REPOSITORY

# Append-only. A line here never changes; a new refusal gets the next number at the end.
GOLDEN = """
 1 configuration            ConfigurationError       9  1
 2 malformed_evidence       DecodeError              1  2
 3 unsupported_evidence     UnsupportedError         1  6
 4 no_evidence              NoEvidenceError          1  3
 5 evidence_signature       SignatureError           1  3
 6 key_binding              BindingError             1  3
 7 certificate_chain        CertificateChainError    1  3
 8 revoked                  RevokedError             1  3
 9 freshness                FreshnessError           1  3
10 endorsements_missing     EndorsementMissingError  1  4
11 endorsements_expired     ExpiredError             1  4
12 certificate_not_in_date  ExpiredError             1  4
13 tcb_no_level             TcbLevelError            1  5
14 policy                   AppraisalError           1  5
15 verifier_failed          InternalError            1 70
16 no_instance              NoInstanceError          9  6
17 collection               CollectionError          9  6
18 tls                      TlsError                 9  7
19 connection               ConnectionFailedError    9  7
20 timeout                  HandshakeTimeoutError    7  7
21 protocol_version         ProtocolError            2  7
22 protocol_profile         ProtocolError            3  7
23 protocol_binding         ProtocolError            4  7
24 protocol_attests_first   ProtocolError            5  7
25 protocol_malformed       ProtocolError            6  7
26 preamble_required        ProtocolError            2  7
27 early_data               ProtocolError            6  7
28 closed_before_accepted   PeerRefusedError         9  8
29 refused_by_peer          PeerRefusedError         9  8
30 busy                     ProtocolError            8  7
31 internal                 InternalError            9 70
32 not_confirmed            NotConfirmedError        1  5
33 endorsements_rolled_back RolledBackError          1  4
34 clock_behind             ClockError               1  4
35 event_log                EventLogError            1  3
"""
ROWS = [tuple(line.split()) for line in GOLDEN.strip().splitlines()]


def test_the_table_is_append_only() -> None:
    table = [
        (str(row.value.number), row.label, row.value.error, str(int(row.wire_code)), str(int(row.exit_code)))
        for row in sorted(Refusal, key=lambda refusal: refusal.value.number)
    ]
    assert table[: len(ROWS)] == ROWS
    assert len(table) == len(ROWS), "a new refusal: add its line at the end of GOLDEN"


def test_numbers_and_labels_are_unique() -> None:
    assert len({refusal.value.number for refusal in Refusal}) == len(Refusal)
    assert len({refusal.label for refusal in Refusal}) == len(Refusal)
    assert [refusal.value.number for refusal in Refusal] == list(range(1, len(Refusal) + 1))
    assert [refusal.label for refusal in Refusal] == [refusal.name.lower() for refusal in Refusal]


def test_codes_of_the_wire_and_of_the_command_line() -> None:
    assert {code.name: int(code) for code in WireCode} == {
        "APPRAISAL": 1,
        "VERSION": 2,
        "PROFILE": 3,
        "BINDING": 4,
        "ATTESTS_FIRST": 5,
        "MALFORMED": 6,
        "TIMEOUT": 7,
        "BUSY": 8,
        "INTERNAL": 9,
    }
    assert {code.name: int(code) for code in ExitCode} == {
        "OK": 0,
        "USAGE": 1,
        "MALFORMED": 2,
        "NOT_AUTHENTIC": 3,
        "ENDORSEMENTS": 4,
        "POLICY": 5,
        "NO_INSTANCE": 6,
        "CONNECTION": 7,
        "REFUSED_BY_PEER": 8,
        "INTERNAL": 70,
    }


def test_a_peer_cannot_tell_why_its_evidence_was_refused() -> None:
    """Everything that a judgement can end with has one wire code (attacks 4.8)."""
    judgements = {
        *(Refusal.MALFORMED_EVIDENCE, Refusal.UNSUPPORTED_EVIDENCE, Refusal.NO_EVIDENCE, Refusal.EVIDENCE_SIGNATURE),
        *(Refusal.KEY_BINDING, Refusal.CERTIFICATE_CHAIN, Refusal.REVOKED, Refusal.FRESHNESS),
        *(Refusal.ENDORSEMENTS_MISSING, Refusal.ENDORSEMENTS_EXPIRED, Refusal.CERTIFICATE_NOT_IN_DATE),
        *(Refusal.TCB_NO_LEVEL, Refusal.POLICY, Refusal.VERIFIER_FAILED, Refusal.NOT_CONFIRMED),
        *(Refusal.ENDORSEMENTS_ROLLED_BACK, Refusal.CLOCK_BEHIND, Refusal.EVENT_LOG),
    }
    assert {refusal for refusal in Refusal if refusal.wire_code is WireCode.APPRAISAL} == judgements


def test_no_refusal_exits_as_success() -> None:
    assert all(refusal.exit_code is not ExitCode.OK for refusal in Refusal)


CLASSES = sorted(
    (
        item
        for item in vars(errors).values()
        if isinstance(item, type) and issubclass(item, RatsTlsError) and item is not RatsTlsError
    ),
    key=lambda item: item.__name__,
)


def test_every_refusal_is_raised_as_its_class() -> None:
    """The class that the table names, by default or where a refusal is given explicitly."""
    names = {error.__name__: error for error in CLASSES}
    assert {refusal.value.error for refusal in Refusal} <= set(names)
    for error in CLASSES:
        assert issubclass(names[error.default_refusal.value.error], error), error
    given = [
        (path.name, ast.unparse(call.func), keyword.value.attr)
        for path in sorted((REPOSITORY / "src").rglob("*.py"))
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(call, ast.Call)
        for keyword in call.keywords
        if keyword.arg == "refusal" and isinstance(keyword.value, ast.Attribute) and keyword.value.attr.isupper()
    ]
    assert len(given) > 10
    assert [row for row in given if Refusal[row[2]].value.error != row[1]] == []


def test_the_page_lists_the_table() -> None:
    page = (REPOSITORY / "docs" / "refusals.md").read_text(encoding="utf-8")
    head, mark, table = page.partition(REFUSALS_MARK)
    assert head
    assert mark + table == render_refusals(), "docs/refusals.md: run `make docs`"


@pytest.mark.parametrize("error", CLASSES)
def test_every_error_has_a_row(error: type[RatsTlsError]) -> None:
    assert isinstance(error.default_refusal, Refusal)
    assert error.__doc__


def test_exit_codes_by_error_class() -> None:
    """What a script sees for each class, where the class is raised without another refusal."""
    assert {error.__name__: int(error.default_refusal.exit_code) for error in CLASSES} == {
        "AppraisalError": 5,
        "AuthenticityError": 3,
        "BindingError": 3,
        "CertificateChainError": 3,
        "ClockError": 4,
        "CollectionError": 6,
        "ConfigurationError": 1,
        "ConnectionFailedError": 7,
        "DecodeError": 2,
        "EndorsementMissingError": 4,
        "EventLogError": 3,
        "ExpiredError": 4,
        "FreshnessError": 3,
        "HandshakeTimeoutError": 7,
        "InternalError": 70,
        "NoEvidenceError": 3,
        "NoInstanceError": 6,
        "NotConfirmedError": 5,
        "PeerRefusedError": 8,
        "ProtocolError": 7,
        "RevokedError": 3,
        "RolledBackError": 4,
        "SignatureError": 3,
        "TcbLevelError": 5,
        "TlsError": 7,
        "UnsupportedError": 6,
    }
