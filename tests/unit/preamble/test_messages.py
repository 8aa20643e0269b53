"""The payloads: exact bytes, and what is refused."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rats_tls.certificates.endorsement_documents import endorsements_to_documents
from rats_tls.core.endorsements import Endorsement, EndorsementKind, Origin
from rats_tls.core.errors import DecodeError, ProtocolError
from rats_tls.core.limits import DEFAULT_LIMITS, Limits
from rats_tls.core.refusals import Refusal, WireCode
from rats_tls.preamble.accepted import AcceptedMessage, transcript_digest
from rats_tls.preamble.cbor import encode_message
from rats_tls.preamble.endorsements import EndorsementsMessage
from rats_tls.preamble.evidence import CertificateEvidence
from rats_tls.preamble.hello import Hello
from rats_tls.preamble.refused import RefusedMessage

HELLO = Hello(
    bindings=("certificate",),
    attests=True,
    demands=False,
    evidence_media_types=("a/b",),
    accepted_tee_types=("sev_snp",),
    accepted_media_types=("c/d",),
    application_protocols=("h2",),
    endorsements=("intel-json",),
    attester_input={"tdx_ecdsa": b"\x01"},
    batch=1,
)
HELLO_BYTES = (
    "ad"
    "00 81 01"
    "01 81 6a 726174732d746c732f31"
    "02 81 6b 6365727469666963617465"
    "03 f5"
    "04 f4"
    "05 81 63 612f62"
    "06 81 67 7365765f736e70"
    "07 81 63 632f64"
    "08 81 62 6832"
    "09 81 6a 696e74656c2d6a736f6e"
    "0a a1 69 7464785f6563647361 41 01"
    "0b 01"
    "0c 00"
)
DECODERS = [
    lambda data: Hello.from_bytes(data, DEFAULT_LIMITS),
    lambda data: CertificateEvidence.from_bytes(data, DEFAULT_LIMITS),
    lambda data: EndorsementsMessage.from_bytes(data, DEFAULT_LIMITS).items(DEFAULT_LIMITS),
    lambda data: AcceptedMessage.from_bytes(data, DEFAULT_LIMITS),
    lambda data: RefusedMessage.from_bytes(data, DEFAULT_LIMITS),
]


def test_hello_has_these_bytes() -> None:
    assert HELLO.to_bytes() == bytes.fromhex(HELLO_BYTES)
    assert Hello.from_bytes(bytes.fromhex(HELLO_BYTES), DEFAULT_LIMITS) == HELLO


def test_hello_may_leave_out_what_is_empty() -> None:
    short = encode_message({3: False, 4: True, 11: 1, 12: 0})
    assert Hello.from_bytes(short, DEFAULT_LIMITS) == Hello(versions=(), profiles=(), attests=False, demands=True)


@pytest.mark.parametrize("missing", [3, 4, 11, 12])
def test_hello_must_hold(missing: int) -> None:
    items = {3: False, 4: True, 11: 1, 12: 0}
    del items[missing]
    with pytest.raises(DecodeError, match=f"key {missing} is missing"):
        Hello.from_bytes(encode_message(items), DEFAULT_LIMITS)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (0, 1),
        (0, ["1"]),
        (0, [True]),
        (1, ["a", 1]),
        (3, 1),
        (4, None),
        (10, []),
        (10, {1: b""}),
        (10, {"a": 1}),
        (0, [-1]),
        (11, "1"),
        (11, True),
        (11, -1),
        (12, b"\0"),
        (12, -1),
    ],
)
def test_hello_refuses_fields_of_another_type(key: int, value: object) -> None:
    items = {3: False, 4: True, 11: 1, 12: 0, key: value}
    with pytest.raises(DecodeError, match="hello"):
        Hello.from_bytes(encode_message(items), DEFAULT_LIMITS)


@pytest.mark.parametrize("decode", DECODERS)
def test_an_unknown_critical_key_is_refused_in_every_message(decode) -> None:
    with pytest.raises(ProtocolError, match="critical key -2") as caught:
        decode(encode_message({-2: None, -3: 1}))
    assert caught.value.refusal is Refusal.PROTOCOL_PROFILE


@pytest.mark.parametrize("decode", DECODERS)
@given(data=st.binary(max_size=100))
def test_any_bytes_give_a_message_or_our_error(decode, data: bytes) -> None:
    try:
        decode(data)
    except (DecodeError, ProtocolError):
        return


def test_evidence_over_null_tls() -> None:
    message = CertificateEvidence(certificate=b"der")
    assert message.to_bytes() == bytes.fromhex("a2 00 64 6e6f6e65 01 43 646572")
    assert CertificateEvidence.from_bytes(message.to_bytes(), DEFAULT_LIMITS) == message
    none = CertificateEvidence(certificate=None)
    assert none.to_bytes() == bytes.fromhex("a1 00 64 6e6f6e65")
    assert CertificateEvidence.from_bytes(none.to_bytes(), DEFAULT_LIMITS) == none
    with pytest.raises(DecodeError, match="expected bytes"):
        CertificateEvidence.from_bytes(encode_message({0: "none", 1: None}), DEFAULT_LIMITS)
    with pytest.raises(DecodeError, match="expected 'none'"):
        CertificateEvidence.from_bytes(encode_message({0: "certificate", 1: b"der"}), DEFAULT_LIMITS)


def test_accepted() -> None:
    message = AcceptedMessage(bytes(range(32)))
    assert message.to_bytes() == bytes.fromhex("a1 00 58 20") + bytes(range(32))
    assert AcceptedMessage.from_bytes(message.to_bytes() + b"", DEFAULT_LIMITS) == message
    for size in (0, 31, 33):
        with pytest.raises(DecodeError, match="expected 32"):
            AcceptedMessage.from_bytes(encode_message({0: bytes(size)}), DEFAULT_LIMITS)


def test_transcript_is_the_clients_messages_then_the_servers() -> None:
    assert transcript_digest([b"a", b"b"], [b"c"]) == hashlib.sha256(b"abc").digest()
    assert transcript_digest([], []) == hashlib.sha256(b"").digest()


def test_refused() -> None:
    message = RefusedMessage(WireCode.BINDING)
    assert message.to_bytes() == b"\xa1\x00\x04"
    assert RefusedMessage.from_bytes(b"\xa1\x00\x04", DEFAULT_LIMITS).code is WireCode.BINDING
    assert str(message) == "code 4 (binding)"
    unknown = RefusedMessage.from_bytes(b"\xa1\x00\x18\xff", DEFAULT_LIMITS)
    assert unknown.code == 255
    assert "unknown" in str(unknown)


def test_endorsements_have_these_bytes() -> None:
    message = EndorsementsMessage({"intel-json": b"{}"})
    assert message.to_bytes() == bytes.fromhex("a1 00 a1 6a 696e74656c2d6a736f6e 42 7b7d")
    assert EndorsementsMessage.from_bytes(message.to_bytes(), DEFAULT_LIMITS) == message


def test_endorsements_are_counted_over_all_documents() -> None:
    crls = tuple(Endorsement(kind=EndorsementKind.AMD_CRL, data=bytes([n])) for n in range(3))
    root = Endorsement(kind=EndorsementKind.INTEL_ROOT_CRL, data=b"\x30\x01\x00")
    documents = {kind.value: data for kind, data in endorsements_to_documents((*crls, root)).items()}
    message = EndorsementsMessage.from_bytes(EndorsementsMessage(documents).to_bytes(), DEFAULT_LIMITS)
    found = message.items(Limits(peer_endorsements=4))
    assert {item.data for item in found} == {b"\x00", b"\x01", b"\x02", b"\x30\x01\x00"}
    assert {item.origin for item in found} == {Origin.PEER}
    with pytest.raises(DecodeError, match="got 4 items, expected at most 3"):
        message.items(Limits(peer_endorsements=3))
