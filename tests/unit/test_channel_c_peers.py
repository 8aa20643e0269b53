"""Peers without the preamble, played by the standard library's `ssl`: no ALPN, no close_notify, late alerts."""

from __future__ import annotations

import ssl

import pytest

from rats_tls.channel import Accepted, AppraisalNeeded, Channel
from rats_tls.core.algorithms import HashAlgorithm
from rats_tls.core.binding import Binding
from rats_tls.core.errors import (
    AppraisalError,
    HandshakeTimeoutError,
    InternalError,
    PeerRefusedError,
    ProtocolError,
    RatsTlsError,
    SignatureError,
    TlsError,
)
from rats_tls.core.limits import Limits
from rats_tls.core.refusals import Refusal
from rats_tls.core.tls import TlsFacts, TlsWrapper
from rats_tls.tls_wrappers.openssl import OpensslTlsWrapper
from rats_tls.tls_wrappers.openssl_session import OpensslTlsSession
from support.channels import certificate, credentials, pair, read_all, result_for, run, settings
from support.instances import TLS_WRAPPERS
from support.tls import StdlibPeer

OPENSSL = OpensslTlsWrapper()
WITH_ALERTS = tuple(tls for tls in TLS_WRAPPERS if tls.capabilities.chosen_alerts)
ROLES = pytest.mark.parametrize("role", ["client", "server"])


class Pair:
    """A channel of `role` and a stdlib peer of the other."""

    def __init__(
        self, role: str, peer: StdlibPeer | None = None, *, tls: TlsWrapper = OPENSSL, **changes: object
    ) -> None:
        values = {"preamble_required": False, **changes}
        made = settings(role, tls, **values)
        self.channel = Channel(made, credentials(1) if made.needs_credentials else None)
        self.peer = peer or StdlibPeer(server_side=role == "client")
        self.events: list[object] = []
        self.error: RatsTlsError | None = None
        self.peer_error: ssl.SSLError | None = None
        self.rest()

    def rest(self) -> None:
        for _ in range(5):
            out = self.channel.data_to_send()
            self.peer.feed(out)
            try:
                self.peer.advance()
            except ssl.SSLError as error:
                self.peer_error = error
            data = self.peer.output()
            if data and self.channel.error is None:
                try:
                    self.channel.receive_from_wire(data)
                except RatsTlsError as error:
                    self.error = error
            while (event := self.channel.next_event()) is not None:
                self.events.append(event)

    def accept(self) -> None:
        (asked,) = (event for event in self.events if isinstance(event, AppraisalNeeded))
        self.channel.supply_result(result_for(asked))
        self.rest()

    def peer_sends(self, data: bytes) -> None:
        self.peer.tls.write(data)
        self.rest()


@ROLES
def test_a_peer_without_preamble_is_refused_by_default(role: str) -> None:
    both = Pair(role, preamble_required=True)
    assert isinstance(both.error, ProtocolError)
    assert both.error.refusal is Refusal.PREAMBLE_REQUIRED
    assert both.events == []
    assert both.peer.read() == b""  # close_notify and nothing else


@ROLES
def test_a_peer_without_preamble_is_served_where_the_policy_says_so(role: str) -> None:
    both = Pair(role)
    (asked,) = both.events
    assert isinstance(asked, AppraisalNeeded)
    assert asked.certificate == certificate(serial=9)
    assert asked.binding is Binding.CERTIFICATE
    assert not asked.preamble
    assert asked.endorsements == ()
    both.accept()
    assert both.events[1:] == [Accepted(peer_accepted=None, application_protocol=None)]
    both.channel.send(b"hello")
    both.rest()
    assert both.peer.read() == b"hello"
    both.peer_sends(b"echo")
    assert read_all(both.channel) == b"echo"


@ROLES
def test_nothing_is_sent_or_delivered_before_the_own_appraisal(role: str) -> None:
    both = Pair(role)
    both.peer_sends(b"first words")
    assert both.channel.receive(100) is None
    with pytest.raises(RatsTlsError):
        both.channel.send(b"secret")
    assert both.peer.read() is None
    both.accept()
    assert read_all(both.channel) == b"first words"


@ROLES
def test_what_comes_before_the_own_appraisal_is_bounded(role: str) -> None:
    both = Pair(role, limits=Limits(undelivered=10_000))
    assert both.channel.wants_data
    both.peer_sends(bytes(20_000))
    assert not both.channel.wants_data
    both.accept()
    assert len(read_all(both.channel)) == 20_000
    assert both.channel.wants_data


@ROLES
def test_a_refused_peer_gets_no_data(role: str) -> None:
    both = Pair(role)
    both.channel.refuse(AppraisalError("not in the policy", mismatches=()))
    both.rest()
    assert both.peer.read() == b""
    assert isinstance(both.channel.error, AppraisalError)


@ROLES
@pytest.mark.parametrize("tls", WITH_ALERTS, ids=lambda tls: tls.name)
@pytest.mark.parametrize(
    ("error", "alert"),
    [
        (AppraisalError("not in the policy", mismatches=()), "access denied"),
        (SignatureError("not authentic"), "access denied"),
        (HandshakeTimeoutError("too late"), "internal error"),
    ],
    ids=["policy", "signature", "time"],
)
def test_a_refused_peer_is_told_by_an_alert_of_choice(
    role: str, tls: TlsWrapper, error: RatsTlsError, alert: str
) -> None:
    """One alert for all judgements: a peer learns nothing of the policy."""
    both = Pair(role, tls=tls)
    assert isinstance(both.events[0], AppraisalNeeded)
    both.channel.refuse(error)
    out = both.channel.data_to_send()
    both.peer.feed(out)
    with pytest.raises(ssl.SSLError, match=f"(?i)alert {alert}"):
        both.peer.read()
    assert both.channel.data_to_send() == b""


@ROLES
@pytest.mark.parametrize("tls", WITH_ALERTS, ids=lambda tls: tls.name)
def test_no_alert_of_choice_once_data_may_flow(role: str, tls: TlsWrapper) -> None:
    both = Pair(role, tls=tls)
    both.accept()
    both.channel.close()
    both.rest()
    assert both.peer.read() == b""


@ROLES
def test_end_of_stream_without_close_notify_is_the_end(role: str) -> None:
    both = Pair(role)
    both.accept()
    both.peer_sends(b"echo")
    both.channel.receive_eof()
    assert [both.channel.receive(100), both.channel.receive(100), both.channel.receive(100)] == [b"echo", b"", b""]
    assert both.channel.error is None


@ROLES
def test_end_of_stream_while_the_appraisal_is_under_way(role: str) -> None:
    both = Pair(role)
    both.peer_sends(b"echo")
    both.channel.receive_eof()
    both.accept()
    assert [both.channel.receive(100), both.channel.receive(100)] == [b"echo", b""]


def test_alert_116_after_an_apparent_success_is_a_refusal() -> None:
    server = StdlibPeer(server_side=True)
    server.context.verify_mode = ssl.CERT_REQUIRED
    server = StdlibPeer(server_side=True, context=server.context)
    both = Pair("client", server, attests=False)
    assert both.peer_error is not None
    assert both.error is None  # the client's handshake was complete before
    both.accept()
    with pytest.raises(PeerRefusedError, match="certificate_required") as caught:
        both.channel.receive(100)
    assert caught.value.wire_code is None
    assert both.channel.error is caught.value


def test_a_client_that_refuses_our_certificate_within_the_handshake() -> None:
    client = StdlibPeer(server_side=False)
    client.context.verify_mode = ssl.CERT_REQUIRED  # no trusted root: as a C peer whose verifier says no
    both = Pair("server", StdlibPeer(server_side=False, context=client.context))
    assert both.peer_error is not None
    assert isinstance(both.error, PeerRefusedError)
    assert "unknown_ca" in str(both.error)


def test_a_server_that_refuses_our_certificate_after_our_handshake() -> None:
    server = StdlibPeer(server_side=True)
    server.context.verify_mode = ssl.CERT_REQUIRED
    both = Pair("client", StdlibPeer(server_side=True, context=server.context))
    both.accept()
    with pytest.raises(PeerRefusedError, match="unknown_ca"):
        both.channel.receive(100)


def test_a_late_alert_from_a_peer_with_the_preamble_is_a_refusal_too() -> None:
    client, server = pair(OPENSSL, client={"attests": False, "accepted_tee_types": ()})
    run(client, server)
    assert isinstance(server.error, TlsError)  # it demands a certificate
    assert isinstance(client.error, PeerRefusedError)
    assert "certificate_required" in str(client.error)


def test_other_alerts_within_the_handshake_are_failures() -> None:
    channel = Channel(settings("client", OPENSSL), credentials())
    with pytest.raises(TlsError) as caught:
        channel.receive_from_wire(b"\x15\x03\x03\x00\x02\x02\x28")
    assert caught.value.peer_alert == "handshake_failure"


@ROLES
def test_an_alert_after_data_is_a_failure(role: str) -> None:
    both = Pair(role)
    both.accept()
    both.peer_sends(b"echo")
    assert both.channel.receive(100) == b"echo"
    both.channel.send(b"x" * 50)
    record = bytearray(both.channel.data_to_send())
    record[-1] ^= 1
    both.peer.feed(bytes(record))
    with pytest.raises(ssl.SSLError):
        both.peer.read()
    both.channel.receive_from_wire(both.peer.output())
    with pytest.raises(TlsError) as caught:
        both.channel.receive(100)
    assert caught.value.peer_alert == "bad_record_mac"


def test_a_server_that_judges_nobody_is_open_at_once() -> None:
    both = Pair("server", StdlibPeer(server_side=False, serial=None), demands_evidence=False)
    assert both.events == [Accepted(peer_accepted=None, application_protocol=None)]
    assert both.channel.accepted


def test_a_client_without_certificate_is_refused_by_a_server_that_judges() -> None:
    both = Pair("server", StdlibPeer(server_side=False, serial=None))
    assert isinstance(both.error, TlsError)
    with pytest.raises(ssl.SSLError, match=r"(?i)certificate.required"):
        both.peer.read()


@ROLES
def test_alpn_gives_the_application_protocol(role: str) -> None:
    peer = StdlibPeer(server_side=role == "client", alpn=("http/1.1", "h2"))
    both = Pair(role, peer, application_protocols=("h2", "http/1.1"))
    both.accept()
    assert both.peer.tls.selected_alpn_protocol() == both.channel.selected_alpn_protocol() is not None


def test_the_preamble_is_spoken_wherever_both_know_it() -> None:
    both = {"preamble_required": False, "application_protocols": ("h2",)}
    client, server = pair(OPENSSL, client=both, server=both)
    run(client, server)
    for side in (client, server):
        assert side.accepted == Accepted(peer_accepted=True, application_protocol="h2")


@ROLES
def test_no_application_protocol_is_offered_where_the_preamble_is_required(role: str) -> None:
    peer = StdlibPeer(server_side=role == "client", alpn=("h2",))
    both = Pair(role, peer, application_protocols=("h2",), preamble_required=True)
    assert both.error.refusal is Refusal.PREAMBLE_REQUIRED
    assert both.peer.tls.selected_alpn_protocol() is None


# --- sessions that must not be accepted --------------------------------------------------------------------------
class _Resumed(OpensslTlsSession):
    __slots__ = ()
    resumed = True


class _Tls12(OpensslTlsSession):
    __slots__ = ()

    def facts(self) -> TlsFacts:
        return TlsFacts(version="TLSv1.2", cipher="ECDHE", group="", hash=HashAlgorithm.SHA256)


class _Broken(OpensslTlsSession):
    __slots__ = ()

    def handshake(self) -> bool:
        raise ValueError("a defect of the plug-in")


class _Wrapper(OpensslTlsWrapper):
    def __init__(self, session: type[OpensslTlsSession]) -> None:
        super().__init__()
        self._session = session

    def context(self, config):
        made = super().context(config)
        kind = self._session

        class Context:
            def session(self, server_hostname=None):
                session = made.session(server_hostname)
                return kind(session._connection, session._calls)

        return Context()


@pytest.mark.parametrize(("session", "problem"), [(_Resumed, "resumed"), (_Tls12, "TLSv1.2")])
def test_resumed_sessions_and_old_versions_are_refused(session: type[OpensslTlsSession], problem: str) -> None:
    client, server = pair(_Wrapper(session))
    run(client, server)
    for side in (client, server):
        assert side.asked is None
        assert side.accepted is None
    assert isinstance(client.error, TlsError)
    assert problem in str(client.error)


def test_a_wrapper_that_breaks_ends_the_connection() -> None:
    channel = Channel(settings("server", _Wrapper(_Broken)))
    with pytest.raises(InternalError, match=r"openssl failed: ValueError: a defect") as caught:
        channel.supply_evidence(credentials())
    assert isinstance(caught.value.__cause__, ValueError)
    assert channel.error is caught.value
