"""Whatever the peer sends inside TLS, and in whatever order the shell calls: errors of ours only, no early data."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from rats_tls.channel import Accepted, AppraisalNeeded, Channel
from rats_tls.core.errors import RatsTlsError
from rats_tls.core.limits import DEFAULT_LIMITS
from rats_tls.preamble.accepted import AcceptedMessage, transcript_digest
from rats_tls.preamble.evidence import CertificateEvidence
from rats_tls.preamble.frames import Frame, FrameReader, FrameType
from rats_tls.preamble.hello import Hello
from rats_tls.tls_wrappers.null import NullTlsWrapper
from rats_tls.tls_wrappers.openssl import OpensslTlsWrapper
from support.channels import credentials, pair, result_for, run
from support.channels import settings as channel_settings
from support.scripted import ScriptedPeer

NULL = NullTlsWrapper()
OPENSSL = OpensslTlsWrapper()
SERVER = channel_settings("server", NULL)
CREDENTIALS = credentials()
ROLES = st.sampled_from(["client", "server"])

HELLO = Frame(FrameType.HELLO, Hello(bindings=("none",), attests=True, demands=True).to_bytes()).to_bytes()
EVIDENCE = Frame(FrameType.EVIDENCE, CertificateEvidence(certificate=b"a certificate").to_bytes()).to_bytes()
frames = st.builds(Frame, st.sampled_from(FrameType), st.binary(max_size=30)).map(Frame.to_bytes)


def pieces(data: bytes, cuts: list[int]):
    start = 0
    for end in sorted({cut % (len(data) + 1) for cut in cuts} | {len(data)}):
        yield data[start:end]
        start = end


@given(
    st.lists(st.sampled_from([HELLO, EVIDENCE]) | frames | st.binary(max_size=20), max_size=5).map(b"".join),
    st.lists(st.integers(0, 10_000), max_size=5),
)
@settings(max_examples=150, deadline=None)
def test_any_preamble_bytes_are_survived(data: bytes, cuts: list[int]) -> None:
    channel = Channel(SERVER, CREDENTIALS)
    try:
        for piece in pieces(data, cuts):
            channel.receive_from_wire(piece)
    except RatsTlsError as error:
        assert channel.error is error  # noqa: PT017  # any error of ours will do
    assert not channel.accepted


@given(st.integers(0, len(HELLO + EVIDENCE) - 1), st.integers(1, 255))
@settings(max_examples=150, deadline=None)
def test_a_preamble_changed_on_the_way_is_never_accepted(position: int, flip: int) -> None:
    """Over `null` TLS anyone may change bytes: then the transcripts differ, if nothing else does."""
    client, server = pair(NULL)
    client.turn()
    client.turn()
    wire = bytearray(client.channel.data_to_send())
    wire[position % len(wire)] ^= flip
    server.turn()
    server.feed(bytes(wire))
    run(client, server)
    for side in (client, server):
        assert side.accepted is None
        assert not side.channel.accepted


@given(role=ROLES, data=st.binary(min_size=1, max_size=40))
@settings(max_examples=40, deadline=None)
def test_any_bytes_inside_tls_are_survived(role: str, data: bytes) -> None:
    peer = ScriptedPeer(OPENSSL, role)
    peer.raw(data)
    assert peer.channel.error is peer.error
    assert not peer.channel.accepted


# --- the shell's calls in any order ------------------------------------------------------------------------------
ACTIONS = ["hello", "evidence", "accepted", "data", "eof", "result", "refuse", "close", "time out", "send", "receive"]


@given(st.lists(st.sampled_from(ACTIONS), max_size=12))
@settings(max_examples=300, deadline=None)
def test_calls_in_any_order(actions: list[str]) -> None:
    channel = Channel(SERVER, CREDENTIALS)
    said: list[bytes] = []
    seen: list[bytes] = []
    reader = FrameReader(DEFAULT_LIMITS)
    asked: AppraisalNeeded | None = None
    judged = peer_accepted = own_accepted = False

    def say(frame: bytes) -> None:
        said.append(frame)
        channel.receive_from_wire(frame)

    for action in actions:
        try:
            if action == "hello":
                say(HELLO)
            elif action == "evidence":
                say(EVIDENCE)
            elif action == "accepted":
                message = AcceptedMessage(transcript_digest(said, seen)).to_bytes()
                channel.receive_from_wire(Frame(FrameType.ACCEPTED, message).to_bytes())
                peer_accepted = True
            elif action == "data":
                channel.receive_from_wire(b"data")
            elif action == "eof":
                channel.receive_eof()
            elif action == "result" and asked is not None:
                channel.supply_result(result_for(asked))
                judged = True
            elif action == "refuse":
                channel.refuse(RatsTlsError("no"))
            elif action == "close":
                channel.close()
            elif action == "time out":
                channel.time_out()
            elif action == "send":
                channel.send(b"own data")
                assert judged
                assert peer_accepted
            elif action == "receive" and channel.receive(10) is not None:
                assert judged
                assert peer_accepted
        except RatsTlsError:
            pass
        while (event := channel.next_event()) is not None:
            if isinstance(event, AppraisalNeeded):
                asked = event
            if isinstance(event, Accepted):
                assert judged
                assert peer_accepted
        pending = channel.data_to_send()
        while pending and not own_accepted:
            size = reader.wanted
            reader.feed(pending[:size])
            pending = pending[size:]
            frame = reader.next()
            if frame is not None and frame.type is FrameType.ACCEPTED:
                own_accepted = True
            elif frame is not None:
                seen.append(frame.to_bytes())
        assert judged or not own_accepted
        assert pending in (b"", b"own data")
        assert channel.accepted or not pending or channel.error is not None
