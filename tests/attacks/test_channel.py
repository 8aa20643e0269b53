"""Attacks on the channel: relay, resumption, early data, one side going ahead. Numbers are those of the attack list."""

from __future__ import annotations

import contextlib
import socket
import ssl
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from rats_tls.channel import Accepted, AppraisalNeeded
from rats_tls.core.claims import NullClaims
from rats_tls.core.endorsements import Endorsements
from rats_tls.core.errors import AppraisalError, InternalError, NoEvidenceError, PeerRefusedError, RatsTlsError
from rats_tls.core.limits import Limits
from rats_tls.core.refusals import Refusal, WireCode
from rats_tls.simulation.pki import to_pem
from rats_tls.tls_wrappers.null import NullTlsWrapper
from rats_tls.tls_wrappers.openssl import OpensslTlsWrapper
from support.channels import certificate, pair, read_all, run
from support.policies import null_policy
from support.ratls_variants import GOOD, Variant, endorsements, key, make
from support.scripted import ScriptedPeer
from support.sides import TDX, context, policy_for

OPENSSL = OpensslTlsWrapper()
BOTH = pytest.mark.parametrize("tls", [OPENSSL, NullTlsWrapper()], ids=lambda tls: tls.name)
ROLES = pytest.mark.parametrize("role", ["client", "server"])
SECRET = b"SECRET-" * 10


def test_1_4_an_attested_connection_is_tls13() -> None:
    client, server = pair(OPENSSL)
    run(client, server)
    assert {client.channel.facts.version, server.channel.facts.version} == {"TLSv1.3"}
    assert client.channel.facts.hash.size >= 32


def test_1_7_every_connection_of_a_pair_judges_the_evidence_again() -> None:
    """No second connection reports a resumed session or does without an appraisal."""
    client, server = pair(OPENSSL)
    run(client, server)
    for _ in range(2):
        again_client, again_server = pair(OPENSSL)
        run(again_client, again_server)
        for side in (again_client, again_server):
            assert [type(event) for event in side.events][1:] == [AppraisalNeeded, Accepted]
            assert not side.channel._tls.resumed


@BOTH
@ROLES
def test_1_8_bytes_written_before_the_appraisal_never_reach_the_wire(tls, role: str) -> None:
    peer = ScriptedPeer(tls, role, answer=False)
    peer.hello()
    with pytest.raises(InternalError):
        peer.channel.send(SECRET)
    peer.rest()
    assert peer.session.read(1000) is None
    peer.channel.refuse(AppraisalError("no", mismatches=()))
    with pytest.raises(AppraisalError):
        peer.channel.send(SECRET)
    peer.rest()
    assert peer.refused_with == WireCode.APPRAISAL
    assert peer.session.read(1000) in (b"", None)


@BOTH
@ROLES
def test_1_8_bytes_received_before_the_appraisal_are_not_delivered(tls, role: str) -> None:
    peer = ScriptedPeer(tls, role, answer=False)
    peer.hello()
    peer.accepted(behind=SECRET)
    assert peer.error.refusal is Refusal.EARLY_DATA
    with pytest.raises(RatsTlsError):
        peer.channel.receive(1000)


@BOTH
@ROLES
def test_1_9_no_side_goes_ahead_before_both_have_said_accepted(tls, role: str) -> None:
    peer = ScriptedPeer(tls, role)
    peer.hello()
    # The channel has accepted the peer, the peer has not yet accepted the channel.
    with pytest.raises(InternalError):
        peer.channel.send(SECRET)
    assert not peer.channel.accepted
    peer.accepted()
    peer.channel.send(SECRET)
    peer.rest()
    assert peer.session.read(1000) == SECRET


@ROLES
def test_1_9_a_late_refusal_reaches_the_side_that_would_have_gone_ahead(role: str) -> None:
    client, server = pair(OPENSSL)
    refuser, other = (client, server) if role == "client" else (server, client)
    refuser.refusal = AppraisalError("measurement", mismatches=())
    refuser.late = 4
    run(client, server)
    assert other.asked is not None  # it had judged, and would have accepted
    assert isinstance(other.error, PeerRefusedError)
    with pytest.raises(PeerRefusedError):
        other.channel.send(SECRET)
    assert read_all_or_nothing(refuser) == b""


def read_all_or_nothing(side) -> bytes:
    try:
        return read_all(side.channel)
    except RatsTlsError:
        return b""


def test_1_9_accepted_of_one_connection_is_worth_nothing_on_another() -> None:
    first = ScriptedPeer(OPENSSL, "client")
    first.hello()
    second = ScriptedPeer(OPENSSL, "client")
    second.hello(application_protocols=("other",))
    second.accepted(first.transcript)
    assert second.error is not None
    assert not second.channel.accepted


@contextlib.contextmanager
def presenting(leaf: Variant, *behind: Variant) -> Iterator[tuple[str, int]]:
    """Serve one TLS connection with a chain of certificates, by the standard library, without the preamble."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    own = key(leaf.key).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with tempfile.NamedTemporaryFile(suffix=".pem") as file:
        file.write(own + to_pem(make(variant) for variant in (leaf, *behind)))
        file.flush()
        tls.load_cert_chain(file.name)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(20)

        def serve() -> None:
            with (
                contextlib.suppress(OSError),
                listener.accept()[0] as raw,
                tls.wrap_socket(raw, server_side=True) as end,
            ):
                end.settimeout(20)
                end.recv(1)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()
        thread.join(20)


def test_2_3_and_2_4_evidence_counts_in_the_leaf_alone() -> None:
    """TLS accepts any chain here, and nothing is accepted by that."""
    written = {"preamble": "optional", "max_evidence_age": "any"}
    client = context(None, policy_for(TDX, **written), endorsements=Endorsements(endorsements()))
    bare = replace(GOOD, evidence=False)
    with presenting(GOOD, replace(bare, key="other")) as address, client.connect(address, timeout=20) as connection:
        assert connection.peer is not None
        assert connection.peer.verdict == "accepted"
    for behind in (GOOD, replace(GOOD, key="other"), replace(GOOD, ca=True)):
        with presenting(bare, behind) as address, pytest.raises(NoEvidenceError):
            client.connect(address, timeout=20)
    # Without Evidence only where a policy names it.
    nobody = context(None, null_policy(bindings="certificate", preamble="optional"))
    with presenting(bare) as address, nobody.connect(address, timeout=20) as connection:
        assert connection.peer is not None
        assert connection.peer.claims == NullClaims()


def test_4_5_the_certificate_is_bounded_before_it_is_judged() -> None:
    peer = ScriptedPeer(OPENSSL, "client", limits=Limits(certificate_read=len(certificate(serial=7)) - 1))
    peer.hello()
    assert peer.asked is None
    assert peer.refused_with == WireCode.APPRAISAL


class BreakingSession:
    """A session of a third party's TLS wrapper whose method `what` fails in a way of its own, once it is told to."""

    def __init__(self, inner, what: str) -> None:
        self._inner, self._what = inner, what
        self.broken = False

    def __getattr__(self, name: str):
        if self.broken and name == self._what:
            raise ZeroDivisionError(name)
        return getattr(self._inner, name)


CALLS = {
    "receive_from_wire": lambda channel: channel.receive_from_wire(b"\x17"),
    "receive_eof": lambda channel: channel.receive_eof(),
    "read": lambda channel: channel.receive(9),
    "write": lambda channel: channel.send(SECRET),
}


@pytest.mark.parametrize("what", CALLS)
def test_4_5_a_tls_wrapper_that_fails_in_its_own_way_ends_the_connection_by_our_error(what: str) -> None:
    peer = ScriptedPeer(OPENSSL, "client")
    channel = peer.channel
    channel._tls = session = BreakingSession(channel._tls, what)
    peer.hello()
    peer.accepted()
    assert channel.accepted
    session.broken = True
    with pytest.raises(InternalError, match="TLS wrapper openssl failed: ZeroDivisionError"):
        CALLS[what](channel)
    assert not channel.accepted
    with pytest.raises(InternalError):
        channel.receive(9)
    channel.close()


@BOTH
@ROLES
def test_4_8_the_reason_of_a_refusal_stays_local(tls, role: str) -> None:
    told = set()
    for refusal in (Refusal.POLICY, Refusal.REVOKED, Refusal.EVIDENCE_SIGNATURE, Refusal.FRESHNESS):
        peer = ScriptedPeer(tls, role, answer=False)
        peer.hello()
        peer.channel.refuse(RatsTlsError("mr_enclave aabbcc is not accepted", refusal=refusal))
        peer.rest()
        told.add(peer.seen[-1].to_bytes())
    assert told == {b"\x05\x00\x00\x03\xa1\x00\x01"}
