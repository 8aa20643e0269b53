from __future__ import annotations

import gc

import pytest

from rats_tls.channel import ALPN, Accepted, AppraisalNeeded, Channel, Credentials, EvidenceNeeded
from rats_tls.core.binding import Binding
from rats_tls.core.checks import Mismatch
from rats_tls.core.endorsements import Endorsement, EndorsementKind, Origin
from rats_tls.core.errors import (
    AppraisalError,
    ConfigurationError,
    ConnectionFailedError,
    DecodeError,
    HandshakeTimeoutError,
    InternalError,
    NoEvidenceError,
    PeerRefusedError,
    ProtocolError,
    TlsError,
    UnsupportedError,
)
from rats_tls.core.evidence import TeeType
from rats_tls.core.limits import Limits
from rats_tls.core.refusals import Refusal, WireCode
from rats_tls.formats.amd.certificate_table import endorsements_to_table
from rats_tls.formats.intel.collateral import endorsements_to_json
from rats_tls.preamble.accepted import AcceptedMessage
from rats_tls.preamble.endorsements import EndorsementsMessage
from rats_tls.preamble.frames import Frame, FrameType
from rats_tls.preamble.hello import Hello
from rats_tls.tls_wrappers.null import NullTlsWrapper
from rats_tls.tls_wrappers.openssl import OpensslTlsWrapper
from support.channels import (
    Side,
    at_random,
    bytewise,
    certificate,
    credentials,
    pair,
    read_all,
    result_for,
    run,
    settings,
    whole,
)
from support.scripted import ScriptedPeer

OPENSSL = OpensslTlsWrapper()
NULL = NullTlsWrapper()
BOTH = pytest.mark.parametrize("tls", [OPENSSL, NULL], ids=lambda tls: tls.name)
ROLES = pytest.mark.parametrize("role", ["client", "server"])
REFUSED_BY_POLICY = AppraisalError("measurement is not in the policy", mismatches=())
TCB_INFO = Endorsement(
    kind=EndorsementKind.INTEL_TCB_INFO,
    data=b'{"id":  "TDX"}',
    signature=b"s" * 64,
    issuer_chain=(certificate(size=400, serial=31), certificate(size=400, serial=32)),
)
AMD_CRL = Endorsement(kind=EndorsementKind.AMD_CRL, data=b"crl")
INTEL_MESSAGE = EndorsementsMessage({"intel-json": endorsements_to_json((TCB_INFO,))}).to_bytes()
AMD_MESSAGE = EndorsementsMessage({"amd-certificate-table": endorsements_to_table((AMD_CRL,))}).to_bytes()


def established(tls, **more: object) -> tuple[Side, Side]:
    client, server = pair(tls, **more)
    run(client, server)
    assert client.accepted is not None
    assert server.accepted is not None
    return client, server


# --- both sides accept -------------------------------------------------------------------------------------------
@BOTH
@pytest.mark.parametrize("cut", [whole, bytewise, at_random(1), at_random(2)])
@pytest.mark.parametrize("late", [0, 1, 5])
def test_mutual_attestation_with_answers_at_any_time(tls, cut, late: int) -> None:
    client, server = pair(tls, late=late)
    run(client, server, cut)
    for side, peer in ((client, 2), (server, 1)):
        assert side.error is None
        assert [type(event) for event in side.events] == [EvidenceNeeded, AppraisalNeeded, Accepted]
        assert side.asked.certificate == certificate(serial=peer)
        assert side.asked.binding is (Binding.CERTIFICATE if tls is OPENSSL else Binding.NONE)
        assert side.asked.preamble
        assert side.asked.facts == side.channel.facts
        assert side.accepted == Accepted(peer_accepted=True, application_protocol=None)
        assert side.channel.accepted
    client.channel.send(b"question" * 5000)
    server.feed(client.channel.data_to_send())
    assert read_all(server.channel) == b"question" * 5000
    server.channel.send(b"answer")
    client.feed(server.channel.data_to_send())
    assert read_all(client.channel) == b"answer"


@BOTH
def test_evidence_is_needed_before_the_first_tls_byte(tls) -> None:
    channel = Channel(settings("client", tls))
    assert channel.next_event() == EvidenceNeeded(binding=Binding.CERTIFICATE if tls is OPENSSL else Binding.NONE)
    assert channel.next_event() is None
    assert channel.data_to_send() == b""
    channel.supply_evidence(credentials())
    assert channel.data_to_send()


@BOTH
def test_credentials_given_to_begin_with_are_not_asked_for(tls) -> None:
    channel = Channel(settings("client", tls), credentials())
    assert channel.next_event() is None
    assert channel.data_to_send()


@BOTH
def test_bytes_before_the_credentials_are_kept(tls) -> None:
    client, server = pair(tls)
    client.turn()
    server.feed(client.channel.data_to_send())
    run(client, server)
    assert server.accepted


@BOTH
def test_only_the_server_attests(tls) -> None:
    client, server = established(
        tls,
        client={"attests": False},
        server={"demands_evidence": False},
    )
    assert [type(event) for event in client.events] == [AppraisalNeeded, Accepted]
    assert [type(event) for event in server.events] == [EvidenceNeeded, Accepted]
    assert client.accepted.peer_accepted is True


def test_a_tls_context_is_made_once_for_settings_and_credentials() -> None:
    shared, given = settings("client", OPENSSL), credentials()
    assert shared.tls_context(given) is shared.tls_context(given)
    assert shared.tls_context(given) is not shared.tls_context(credentials())


def test_a_tls_context_goes_with_its_credentials() -> None:
    shared, given = settings("client", OPENSSL), credentials()
    shared.tls_context(given)
    assert len(shared._prepared._made) == 1
    del given
    gc.collect()
    assert len(shared._prepared._made) == 0


@BOTH
def test_application_protocol_is_the_servers_choice(tls) -> None:
    client, server = established(
        tls,
        client={"application_protocols": ("h2", "kms/1", "http/1.1")},
        server={"application_protocols": ("kms/2", "http/1.1", "h2")},
    )
    for side in (client, server):
        assert side.accepted.application_protocol == "http/1.1"
        assert side.channel.selected_alpn_protocol() == "http/1.1"


@BOTH
def test_no_application_protocol_in_common_is_none(tls) -> None:
    client, _ = established(tls, client={"application_protocols": ("h2",)})
    assert client.channel.selected_alpn_protocol() is None


def test_application_protocol_is_none_before_acceptance() -> None:
    client, _ = pair(OPENSSL, client={"application_protocols": ("h2",)}, server={"application_protocols": ("h2",)})
    assert client.channel.selected_alpn_protocol() is None


def test_endorsements_of_an_unknown_kind_are_left_out() -> None:
    peer = ScriptedPeer(OPENSSL, "client", answer=False)
    peer.hello(endorsements=("future-kind",))
    peer.frame(FrameType.ENDORSEMENTS, EndorsementsMessage({"future-kind": b"x"}).to_bytes())
    assert peer.asked.endorsements == ()


@ROLES
@pytest.mark.parametrize(
    ("kind", "document"),
    [
        ("intel-json", b"not json"),
        ("intel-json", b"{}"),
        ("intel-json", b"[" * 10_000),
        ("intel-json", b'{"root_ca_crl": 1}'),
        ("amd-certificate-table", b""),
        ("amd-certificate-table", b"\x01" * 24),
    ],
)
def test_malformed_endorsements_are_told_as_a_malformed_message(role: str, kind: str, document: bytes) -> None:
    peer = ScriptedPeer(OPENSSL, role, answer=False)
    peer.hello(endorsements=(kind,))
    peer.frame(FrameType.ENDORSEMENTS, EndorsementsMessage({kind: document}).to_bytes())
    assert isinstance(peer.error, ProtocolError)
    assert peer.refused_with == WireCode.MALFORMED
    assert peer.asked is None


@BOTH
def test_endorsements_come_with_the_appraisal(tls) -> None:
    client, server = established(
        tls,
        client={"provide_endorsements": True},
        server={"provide_endorsements": True},
        client_credentials=credentials(1, endorsements=(TCB_INFO, AMD_CRL)),
        server_credentials=credentials(2, endorsements=(AMD_CRL,)),
    )
    assert [(e.kind, e.data, e.signature, e.issuer_chain, e.origin) for e in server.asked.endorsements] == [
        (TCB_INFO.kind, TCB_INFO.data, TCB_INFO.signature, TCB_INFO.issuer_chain, Origin.PEER),
        (AMD_CRL.kind, AMD_CRL.data, b"", (), Origin.PEER),
    ]
    assert [e.kind for e in client.asked.endorsements] == [EndorsementKind.AMD_CRL]


def test_endorsements_are_not_provided_unasked() -> None:
    given = credentials(2, endorsements=(AMD_CRL,))
    client, _ = established(OPENSSL, server_credentials=given)
    assert client.asked.endorsements == ()
    for demands in (False, True):
        peer = ScriptedPeer(OPENSSL, "client", given=given, provide_endorsements=True)
        peer.hello(demands=demands)
        assert (FrameType.ENDORSEMENTS in [frame.type for frame in peer.seen]) is demands


def test_endorsements_too_large_to_send_are_the_local_users_mistake() -> None:
    large = Endorsement(kind=EndorsementKind.AMD_CRL, data=bytes(300_000))
    client, server = pair(
        OPENSSL, client={"provide_endorsements": True}, client_credentials=credentials(1, endorsements=(large,))
    )
    run(client, server)
    assert isinstance(client.error, ConfigurationError)


# --- no data before acceptance -----------------------------------------------------------------------------------
@BOTH
def test_nothing_is_sent_or_delivered_before_both_accepted(tls) -> None:
    client, server = pair(tls)
    server.late = 10**6  # the server's answers never come
    client.turn()
    with pytest.raises(InternalError, match="before acceptance"):
        client.channel.send(b"secret")
    server.channel.supply_evidence(server.credentials)
    for _ in range(6):
        client.turn()
        server.feed(client.channel.data_to_send())
        client.feed(server.channel.data_to_send())
    # The client has accepted the server; the server has not judged the client.
    assert client.asked is not None
    for side in (client, server):
        assert not side.channel.accepted
        assert side.channel.receive(100) is None
        with pytest.raises(InternalError, match="before acceptance"):
            side.channel.send(b"secret")
        with pytest.raises(InternalError, match="before acceptance"):
            side.channel.exporter("a label", b"", 32)
    assert client.error is server.error is None


@BOTH
@ROLES
def test_bytes_behind_accepted_before_own_acceptance_are_fatal(tls, role: str) -> None:
    peer = ScriptedPeer(tls, role, answer=False)
    peer.hello()
    assert peer.asked is not None
    peer.accepted()
    assert peer.error is None
    peer.raw(b"early")
    assert isinstance(peer.error, ProtocolError)
    assert peer.error.refusal is Refusal.EARLY_DATA
    assert peer.refused_with == WireCode.MALFORMED
    with pytest.raises(ProtocolError):
        peer.channel.supply_result(result_for(peer.asked))
    with pytest.raises(ProtocolError):
        peer.channel.receive(10)


@BOTH
def test_application_data_in_one_record_with_the_whole_preamble_is_fatal(tls) -> None:
    """A server that judges nobody accepts at once; its hello can be guessed, so that *accepted* may come unasked."""
    usual = ScriptedPeer(tls, "client", demands_evidence=False)
    usual.hello()
    accepted = Frame(FrameType.ACCEPTED, AcceptedMessage(usual.transcript).to_bytes()).to_bytes()
    usual.raw(accepted)
    assert usual.channel.accepted
    peer = ScriptedPeer(tls, "client", demands_evidence=False)
    peer.raw(b"".join(usual.own) + accepted + b"early")
    assert isinstance(peer.error, ProtocolError)
    assert peer.error.refusal is Refusal.EARLY_DATA
    assert not peer.channel.accepted


@BOTH
@ROLES
def test_application_data_in_one_record_with_accepted_is_not_lost(tls, role: str) -> None:
    peer = ScriptedPeer(tls, role)
    peer.hello()
    assert peer.seen[-1].type is FrameType.ACCEPTED
    peer.accepted(behind=b"first words")
    assert peer.error is None
    assert read_all(peer.channel) == b"first words"


# --- refusal -----------------------------------------------------------------------------------------------------
@BOTH
@ROLES
def test_a_refused_peer_learns_the_wire_code_only(tls, role: str) -> None:
    client, server = pair(tls)
    refuser, refused = (client, server) if role == "client" else (server, client)
    refuser.refusal = REFUSED_BY_POLICY
    run(client, server)
    assert refuser.channel.error is REFUSED_BY_POLICY
    assert isinstance(refused.error, PeerRefusedError)
    assert refused.error.wire_code is WireCode.APPRAISAL
    assert "measurement" not in str(refused.error)
    for side in (client, server):
        assert not side.channel.accepted
        assert side.accepted is None
        assert not side.channel.wants_data
        for call in (
            lambda side=side: side.channel.send(b"x"),
            lambda side=side: side.channel.receive(1),
            lambda side=side: side.channel.receive_from_wire(b"x"),
            lambda side=side: side.channel.receive_eof(),
            lambda side=side: side.channel.supply_result(None),
            lambda side=side: side.channel.supply_evidence(credentials()),
            lambda side=side: side.channel.exporter("l", b"", 1),
        ):
            with pytest.raises(type(side.channel.error)) as caught:
                call()
            assert caught.value is side.channel.error


@ROLES
@pytest.mark.parametrize("code", [1, 2, 6, 8, 9, 77])
def test_refused_gives_its_code(role: str, code: int) -> None:
    peer = ScriptedPeer(OPENSSL, role, answer=False)
    peer.hello()
    peer.refuse(code)
    assert isinstance(peer.error, PeerRefusedError)
    assert peer.error.wire_code == code
    assert peer.error.refusal is Refusal.REFUSED_BY_PEER
    assert peer.refused_with is None  # one refusal is enough
    assert peer.session.read(1) == b""  # close_notify


@ROLES
def test_refused_may_be_the_first_word(role: str) -> None:
    peer = ScriptedPeer(OPENSSL, role)
    peer.refuse(WireCode.BUSY)
    assert isinstance(peer.error, PeerRefusedError)
    assert peer.error.wire_code is WireCode.BUSY


@BOTH
@ROLES
@pytest.mark.parametrize("notify", [False, True])
@pytest.mark.parametrize("when", ["before hello", "before accepted", "after own accepted", "after its accepted"])
def test_end_of_stream_before_acceptance_is_a_refusal(tls, role: str, notify: bool, when: str) -> None:
    peer = ScriptedPeer(tls, role, answer=when == "after own accepted")
    if when != "before hello":
        peer.hello()
    if when == "after its accepted":
        peer.accepted()
    assert peer.error is None
    if notify:
        peer.session.close()
        peer.rest()
    if not notify or tls is NULL:
        with pytest.raises(PeerRefusedError):
            peer.channel.receive_eof()
    assert isinstance(peer.channel.error, PeerRefusedError)
    assert peer.channel.error.refusal is Refusal.CLOSED_BEFORE_ACCEPTED
    assert peer.channel.error.wire_code is None


@BOTH
@ROLES
def test_time_out_tells_the_peer(tls, role: str) -> None:
    peer = ScriptedPeer(tls, role, answer=False)
    peer.hello()
    peer.channel.time_out()
    peer.rest()
    assert isinstance(peer.channel.error, HandshakeTimeoutError)
    assert isinstance(peer.channel.error, TimeoutError)
    assert "appraisal" in str(peer.channel.error)
    assert peer.refused_with == WireCode.TIMEOUT
    with pytest.raises(HandshakeTimeoutError):
        peer.channel.supply_result(result_for(peer.asked))


def test_time_out_before_anything_was_said() -> None:
    waiting = Channel(settings("server", OPENSSL))
    waiting.time_out()
    assert "credentials" in str(waiting.error)
    assert waiting.data_to_send() == b""
    assert waiting.next_event() is None
    shaking = Channel(settings("client", OPENSSL), credentials())
    shaking.time_out()
    assert isinstance(shaking.error, HandshakeTimeoutError)
    assert "handshake" in str(shaking.error)


@BOTH
def test_after_own_accepted_no_refusal_is_sent_that_could_be_read_as_data(tls) -> None:
    peer = ScriptedPeer(tls, "client")
    peer.hello()
    assert peer.seen[-1].type is FrameType.ACCEPTED
    peer.channel.time_out()
    out = peer.channel.data_to_send()
    peer.session.receive_from_wire(out)
    peer.session.receive_eof()
    assert peer.session.read(100) == b""


@BOTH
def test_time_out_does_nothing_once_data_may_flow(tls) -> None:
    client, _ = established(tls)
    client.channel.time_out()
    assert client.channel.error is None
    client.channel.send(b"still open")


def test_an_earlier_error_stays() -> None:
    client, server = pair(OPENSSL)
    server.refusal = REFUSED_BY_POLICY
    client.late = 3
    run(client, server)
    first = client.channel.error
    assert isinstance(first, PeerRefusedError)
    client.channel.refuse(REFUSED_BY_POLICY)
    client.channel.time_out()
    client.channel.close()
    assert client.channel.error is first


@BOTH
def test_closing_before_acceptance_gives_up_and_says_so(tls) -> None:
    peer = ScriptedPeer(tls, "client", answer=False)
    peer.hello()
    peer.channel.close()
    peer.rest()
    assert isinstance(peer.channel.error, ConnectionFailedError)
    assert peer.refused_with == WireCode.INTERNAL


# --- disagreement ------------------------------------------------------------------------------------------------
@ROLES
@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"versions": (2, 3)}, Refusal.PROTOCOL_VERSION),
        ({"versions": ()}, Refusal.PROTOCOL_VERSION),
        ({"profiles": ("another/1",)}, Refusal.PROTOCOL_PROFILE),
        ({"framing": 1}, Refusal.PROTOCOL_PROFILE),
        ({"bindings": ("session",)}, Refusal.PROTOCOL_BINDING),
        ({"bindings": ("none",)}, Refusal.PROTOCOL_BINDING),
        ({"bindings": ()}, Refusal.PROTOCOL_BINDING),
    ],
)
def test_disagreement_is_refused_with_its_code(role: str, changes: dict[str, object], refusal: Refusal) -> None:
    peer = ScriptedPeer(OPENSSL, role)
    peer.hello(**changes)
    assert isinstance(peer.error, ProtocolError)
    assert peer.error.refusal is refusal
    assert peer.refused_with == refusal.wire_code
    assert peer.asked is None


@BOTH
@ROLES
def test_a_peer_that_does_not_attest_is_refused_where_evidence_is_demanded(tls, role: str) -> None:
    peer = ScriptedPeer(tls, role)
    peer.hello(attests=False)
    assert isinstance(peer.error, NoEvidenceError)
    assert peer.refused_with == WireCode.APPRAISAL
    assert peer.asked is None


@ROLES
def test_a_policy_that_names_null_judges_missing_evidence_itself(role: str) -> None:
    peer = ScriptedPeer(OPENSSL, role, answer=False, accepted_tee_types=(TeeType.NULL,))
    peer.hello(attests=False)
    assert peer.error is None
    assert peer.asked.certificate == certificate(serial=7)


@ROLES
def test_a_certificate_that_is_too_large_is_not_handed_on(role: str) -> None:
    peer = ScriptedPeer(OPENSSL, role, answer=False, limits=Limits(certificate_read=4000))
    peer.hello()
    assert isinstance(peer.error, DecodeError)
    assert peer.refused_with == WireCode.APPRAISAL
    assert peer.asked is None


@ROLES
def test_without_tls_no_certificate_is_no_evidence(role: str) -> None:
    peer = ScriptedPeer(NULL, role, accepted_tee_types=(TeeType.NULL,))
    peer.hello(present=False, attests=False)
    assert isinstance(peer.error, NoEvidenceError)


@BOTH
def test_a_client_may_present_a_certificate_without_evidence(tls) -> None:
    client, server = established(
        tls,
        client={"attests": False, "presents_certificate": True},
        server={"accepted_tee_types": (TeeType.NULL,)},
        client_credentials=credentials(1, attested=False),
    )
    assert server.asked.certificate == certificate(serial=1)
    assert [type(event) for event in client.events] == [EvidenceNeeded, AppraisalNeeded, Accepted]


# --- order, transcript, limits -----------------------------------------------------------------------------------
@ROLES
@pytest.mark.parametrize("frame_type", [FrameType.EVIDENCE, FrameType.ENDORSEMENTS, FrameType.ACCEPTED])
def test_hello_comes_first(role: str, frame_type: FrameType) -> None:
    peer = ScriptedPeer(OPENSSL, role)
    peer.frame(frame_type, b"\xa0")
    assert isinstance(peer.error, ProtocolError)
    assert "expected hello" in str(peer.error)
    assert peer.refused_with == WireCode.MALFORMED


@ROLES
def test_hello_comes_once(role: str) -> None:
    peer = ScriptedPeer(OPENSSL, role, answer=False)
    peer.hello()
    peer.hello()
    assert isinstance(peer.error, ProtocolError)
    assert "got hello, expected accepted" in str(peer.error)


@ROLES
@pytest.mark.parametrize("frame_type", [FrameType.EVIDENCE, FrameType.ENDORSEMENTS])
def test_what_was_not_announced_is_refused(role: str, frame_type: FrameType) -> None:
    peer = ScriptedPeer(OPENSSL, role, answer=False)
    peer.hello()
    peer.frame(frame_type, EndorsementsMessage({}).to_bytes())
    assert isinstance(peer.error, ProtocolError)


@ROLES
def test_what_was_announced_is_waited_for(role: str) -> None:
    peer = ScriptedPeer(OPENSSL, role, answer=False)
    peer.hello(endorsements=("amd-certificate-table",))
    assert peer.asked is None
    peer.frame(FrameType.ENDORSEMENTS, AMD_MESSAGE)
    assert peer.asked.endorsements[0].data == b"crl"
    peer.frame(FrameType.ENDORSEMENTS, AMD_MESSAGE)
    assert isinstance(peer.error, ProtocolError)


@ROLES
def test_accepted_does_not_replace_what_was_announced(role: str) -> None:
    peer = ScriptedPeer(OPENSSL, role, answer=False)
    peer.hello(endorsements=("amd-certificate-table",))
    peer.accepted()
    assert isinstance(peer.error, ProtocolError)
    assert "expected endorsements" in str(peer.error)


@ROLES
def test_endorsements_hold_only_what_was_announced(role: str) -> None:
    peer = ScriptedPeer(OPENSSL, role, answer=False)
    peer.hello(endorsements=("amd-certificate-table",))
    peer.frame(FrameType.ENDORSEMENTS, INTEL_MESSAGE)
    assert isinstance(peer.error, ProtocolError)
    assert "did not announce" in str(peer.error)


@BOTH
@ROLES
@pytest.mark.parametrize("judged", [False, True])
def test_another_transcript_is_refused(tls, role: str, judged: bool) -> None:
    peer = ScriptedPeer(tls, role, answer=judged)
    peer.hello()
    digest = bytearray(peer.transcript)
    digest[31] ^= 1
    peer.accepted(bytes(digest))
    assert isinstance(peer.error, ProtocolError)
    assert "transcript" in str(peer.error)
    assert not peer.channel.accepted


@ROLES
def test_own_accepted_carries_the_transcript(role: str) -> None:
    peer = ScriptedPeer(OPENSSL, role)
    peer.hello()
    assert peer.seen[-1].type is FrameType.ACCEPTED
    assert peer.seen[-1].payload.endswith(b"\x58\x20" + peer.transcript)


@ROLES
@pytest.mark.parametrize("header", [b"\x00\x00\x00\x01", b"\x06\x00\x00\x00", b"\xff\x00\x00\x00", b"GET "])
def test_unknown_frame_types_are_fatal(role: str, header: bytes) -> None:
    peer = ScriptedPeer(OPENSSL, role)
    peer.raw(header)
    assert isinstance(peer.error, ProtocolError)
    assert peer.refused_with == WireCode.MALFORMED


@ROLES
def test_a_message_above_the_limit_is_refused_at_its_header(role: str) -> None:
    peer = ScriptedPeer(OPENSSL, role, limits=Limits(preamble_message=1000))
    peer.raw(b"\x01" + (1001).to_bytes(3, "big"))
    assert isinstance(peer.error, ProtocolError)
    assert "1001" in str(peer.error)


@ROLES
def test_messages_above_the_total_limit_are_refused(role: str) -> None:
    peer = ScriptedPeer(OPENSSL, role, answer=False, limits=Limits(preamble_message=900, preamble_total=950))
    peer.hello(endorsements=("amd-certificate-table",))
    assert peer.error is None
    peer.raw(b"\x03" + (900).to_bytes(3, "big"))
    assert isinstance(peer.error, ProtocolError)
    assert "together" in str(peer.error)


@ROLES
def test_an_unknown_critical_key_is_refused_and_an_unknown_one_ignored(role: str) -> None:
    plain = Hello(bindings=("certificate",), attests=True, demands=True).to_bytes()
    assert plain[0] == 0xA0 + 13
    peer = ScriptedPeer(OPENSSL, role, answer=False)
    peer.frame(FrameType.HELLO, bytes([0xA0 + 14]) + plain[1:] + b"\x17\xf5")
    assert peer.asked is not None
    peer = ScriptedPeer(OPENSSL, role, answer=False)
    peer.frame(FrameType.HELLO, bytes([0xA0 + 14]) + plain[1:] + b"\x20\xf5")
    assert isinstance(peer.error, ProtocolError)
    assert peer.refused_with == WireCode.PROFILE


@ROLES
@pytest.mark.parametrize("frame_type", [FrameType.HELLO, FrameType.ENDORSEMENTS, FrameType.ACCEPTED, FrameType.REFUSED])
def test_a_malformed_message_is_told_as_such(role: str, frame_type: FrameType) -> None:
    peer = ScriptedPeer(OPENSSL, role, answer=False)
    if frame_type is not FrameType.HELLO:
        peer.hello(endorsements=("amd-certificate-table",) if frame_type is FrameType.ENDORSEMENTS else ())
    peer.frame(frame_type, b"\xa1\x00\xff")
    assert isinstance(peer.error, ProtocolError)
    assert peer.error.refusal is Refusal.PROTOCOL_MALFORMED
    assert peer.refused_with == WireCode.MALFORMED


@ROLES
def test_a_tampered_record_within_the_preamble_is_a_failure_and_no_refusal(role: str) -> None:
    peer = ScriptedPeer(OPENSSL, role, answer=False)
    peer.session.write(b"\x01\x00\x00\x01")
    record = bytearray(peer.session.data_to_send())
    record[-1] ^= 1
    with pytest.raises(TlsError) as caught:
        peer.channel.receive_from_wire(bytes(record))
    assert peer.channel.error is caught.value


# --- answers that do not fit -------------------------------------------------------------------------------------
@BOTH
@pytest.mark.parametrize(
    "changes", [{"certificate_sha256": bytes(32)}, {"certificate_sha256": None}, {"binding": Binding.SESSION}]
)
def test_a_result_of_something_else_refuses_the_peer(tls, changes: dict[str, object]) -> None:
    peer = ScriptedPeer(tls, "client", answer=False)
    peer.hello()
    with pytest.raises(InternalError):
        peer.channel.supply_result(result_for(peer.asked, **changes))
    peer.rest()
    assert peer.refused_with == WireCode.INTERNAL
    assert not peer.channel.accepted
    with pytest.raises(InternalError):
        peer.channel.supply_result(result_for(peer.asked))


@BOTH
def test_a_result_that_refuses_accepts_nobody(tls) -> None:
    """Whatever its shell does with report-only: the channel has a switch of its own."""
    refused = (Mismatch(entry="e", field="mr_enclave", got="a", expected="b"),)
    peer = ScriptedPeer(tls, "client", answer=False)
    peer.hello()
    with pytest.raises(InternalError, match=r"refused \(report-only\)"):
        peer.channel.supply_result(result_for(peer.asked, mismatches=refused))
    peer.rest()
    assert peer.refused_with == WireCode.INTERNAL
    assert not peer.channel.accepted


@pytest.mark.parametrize("no_result", [None, True, object()])
def test_only_an_attestation_result_accepts(no_result: object) -> None:
    peer = ScriptedPeer(OPENSSL, "client", answer=False)
    peer.hello()
    with pytest.raises(InternalError, match="AttestationResult"):
        peer.channel.supply_result(no_result)
    assert not peer.channel.accepted


def test_answers_that_were_not_asked_for_change_nothing() -> None:
    client, server = established(OPENSSL)
    with pytest.raises(InternalError):
        client.channel.supply_evidence(credentials())
    with pytest.raises(InternalError):
        client.channel.supply_result(result_for(client.asked))
    assert client.channel.error is None
    client.channel.send(b"x")
    server.feed(client.channel.data_to_send())
    assert read_all(server.channel) == b"x"


def test_a_side_that_attests_needs_evidence() -> None:
    channel = Channel(settings("client", OPENSSL))
    with pytest.raises(ConfigurationError, match="no Evidence"):
        channel.supply_evidence(credentials(attested=False))
    assert channel.data_to_send() == b""
    with pytest.raises(ConfigurationError, match="no Evidence"):
        Channel(settings("client", OPENSSL), credentials(attested=False))


@BOTH
def test_a_server_needs_a_certificate(tls) -> None:
    with pytest.raises(ConfigurationError, match="certificate"):
        Channel(settings("server", tls, attests=False), Credentials(certificate=None, private_key=None))


# --- settings ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("tls", "changes"),
    [
        (OPENSSL, {"bindings": frozenset({Binding.SESSION})}),
        (OPENSSL, {"bindings": frozenset({Binding.NONE})}),
        (OPENSSL, {"bindings": frozenset()}),
        (NULL, {"bindings": frozenset({Binding.CERTIFICATE})}),
        (OPENSSL, {"application_protocols": (ALPN,)}),
        (OPENSSL, {"application_protocols": ("",)}),
        (OPENSSL, {"application_protocols": ("x" * 256,)}),
        (OPENSSL, {"application_protocols": ("é",)}),
    ],
)
def test_settings_that_do_not_go_together(tls, changes: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError):
        settings("server", tls, **changes)


class _Limited:
    """A TLS wrapper with other capabilities."""

    def __init__(self, **changes: bool) -> None:
        from dataclasses import replace

        self.name = "limited"
        self.version = "1"
        self.capabilities = replace(OPENSSL.capabilities, **changes)


def test_a_wrapper_that_cannot_is_refused_when_settings_are_made() -> None:
    with pytest.raises(ConfigurationError, match="client's certificate"):
        settings("server", _Limited(mutual_server=False))
    with pytest.raises(ConfigurationError, match="ALPN"):
        settings("client", _Limited(alpn=False))
    assert settings("client", _Limited(alpn=False), preamble_required=False)


# --- application data --------------------------------------------------------------------------------------------
def test_a_missing_close_notify_is_truncation() -> None:
    client, server = established(OPENSSL)
    client.channel.send(b"half a")
    server.feed(client.channel.data_to_send())
    server.channel.receive_eof()
    assert server.channel.receive(100) == b"half a"
    with pytest.raises(TlsError) as caught:
        server.channel.receive(100)
    assert caught.value.truncated
    assert server.channel.error is caught.value


@BOTH
def test_the_end_is_clean_after_close(tls) -> None:
    client, server = established(tls)
    client.channel.send(b"all")
    client.channel.close()
    client.channel.close()
    server.feed(client.channel.data_to_send())
    server.eof()
    assert [server.channel.receive(100), server.channel.receive(100), server.channel.receive(100)] == [b"all", b"", b""]
    assert server.channel.error is None
    with pytest.raises(TlsError):
        client.channel.send(b"more")


def test_the_other_direction_stays_open_after_close() -> None:
    client, server = established(OPENSSL)
    client.channel.close()
    server.feed(client.channel.data_to_send())
    assert server.channel.receive(1) == b""
    server.channel.send(b"answer")
    client.feed(server.channel.data_to_send())
    assert client.channel.receive(100) == b"answer"


def test_a_tampered_record_ends_the_connection() -> None:
    client, server = established(OPENSSL)
    client.channel.send(b"x" * 50)
    record = bytearray(client.channel.data_to_send())
    record[-1] ^= 1
    server.feed(bytes(record))
    with pytest.raises(TlsError) as caught:
        server.channel.receive(100)
    assert not caught.value.truncated
    assert server.channel.error is caught.value
    # The alert reaches the client, as an error and not as a refusal: both had accepted.
    client.feed(server.channel.data_to_send())
    with pytest.raises(TlsError) as caught:
        client.channel.receive(100)
    assert caught.value.peer_alert == "bad_record_mac"


def test_garbage_instead_of_tls_is_an_error_of_ours() -> None:
    channel = Channel(settings("server", OPENSSL), credentials())
    with pytest.raises(TlsError):
        channel.receive_from_wire(b"GET / HTTP/1.1\r\n\r\n")
    assert isinstance(channel.error, TlsError)


@BOTH
def test_end_of_stream_before_the_handshake(tls) -> None:
    channel = Channel(settings("server", tls))
    with pytest.raises(ConnectionFailedError):
        channel.receive_eof()
    channel = Channel(settings("server", tls), credentials())
    with pytest.raises(ConnectionFailedError):
        channel.receive_eof()


@BOTH
def test_large_data_goes_through_and_reading_is_asked_for_with_measure(tls) -> None:
    client, server = established(tls, server={"limits": Limits(undelivered=50_000)})
    data = bytes(range(256)) * 16_384
    client.channel.send(data)
    wire = client.channel.data_to_send()
    received = bytearray()
    position = 0
    most = 0
    while position < len(wire) or len(received) < len(data):
        while server.channel.wants_data and position < len(wire):
            server.feed(wire[position : position + 10_000])
            position += 10_000
            most = max(most, position - len(received))
        received += read_all(server.channel)
    assert received == data
    assert most < 100_000


def test_wire_bytes_are_not_wanted_without_end_while_answers_are_late() -> None:
    limits = Limits(undelivered=1000)
    server = Channel(settings("server", OPENSSL, limits=limits))
    server.receive_from_wire(bytes(999))
    assert server.wants_data
    server.receive_from_wire(bytes(1))
    assert not server.wants_data


@BOTH
def test_receive_needs_a_size(tls) -> None:
    client, _ = established(tls)
    with pytest.raises(InternalError):
        client.channel.receive(0)


# --- exporter ----------------------------------------------------------------------------------------------------
def test_exporter_is_the_same_on_both_ends() -> None:
    client, server = established(OPENSSL)
    value = client.channel.exporter("EXPORTER-my-application", b"context", 48)
    assert value == server.channel.exporter("EXPORTER-my-application", b"context", 48)
    assert len(value) == 48
    assert value != client.channel.exporter("EXPORTER-my-application", b"other", 48)


@pytest.mark.parametrize(
    "label",
    [
        "Attestation",
        "Attestation Binding",
        "EXPORTER-client authenticator handshake context",
        "EXPORTER-server authenticator handshake context",
        "EXPORTER-client authenticator finished key",
        "EXPORTER-server authenticator finished key",
        "rats-tls anything",
        "master secret",
        "",
        "é",
        "x" * 250,
    ],
)
def test_exporter_refuses_labels_that_the_protocol_uses(label: str) -> None:
    client, _ = established(OPENSSL)
    with pytest.raises(ConfigurationError, match="label"):
        client.channel.exporter(label, b"", 32)


@pytest.mark.parametrize(("context", "length"), [(bytes(65_536), 32), (b"", 0), (b"", -1), (b"", 255 * 48 + 1)])
def test_exporter_bounds_its_sizes(context: bytes, length: int) -> None:
    client, _ = established(OPENSSL)
    with pytest.raises(ConfigurationError):
        client.channel.exporter("a label", context, length)


def test_no_exporter_without_tls() -> None:
    client, _ = established(NULL)
    with pytest.raises(UnsupportedError):
        client.channel.exporter("a label", b"", 32)
