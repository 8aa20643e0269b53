"""The blocking API over real sockets, between simulated TEEs."""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import threading
import time
from datetime import timedelta
from itertools import permutations

import pytest

from rats_tls.context import Context
from rats_tls.core.algorithms import KeyAlgorithm
from rats_tls.core.claims import TcbStatus
from rats_tls.core.errors import (
    AppraisalError,
    CertificateChainError,
    CollectionError,
    ConfigurationError,
    ConnectionFailedError,
    HandshakeTimeoutError,
    NoEvidenceError,
    PeerRefusedError,
    RatsTlsError,
)
from rats_tls.core.limits import Limits
from rats_tls.core.refusals import WireCode
from rats_tls.policy import Policy
from support.policies import null_policy
from support.sides import (
    ALL_SIMULATED,
    SGX,
    SNP,
    TDX,
    Clock,
    attester,
    connected_pair,
    context,
    echo,
    policy_for,
    served,
)
from support.simulated import NOW, world


@pytest.mark.parametrize(("server_tee", "client_tee"), list(permutations(ALL_SIMULATED, 2)))
def test_two_different_tees_attest_to_each_other(server_tee: str, client_tee: str) -> None:
    server = context(server_tee, client_tee, mutual=True, custom_claims={"role": b"server"})
    client = context(client_tee, server_tee, mutual=True, custom_claims={"role": b"client"})
    with served(server, echo) as (address, outcome), client.connect(address, timeout=20) as connection:
        connection.sendall(b"hello")
        assert connection.recv() == b"hello"
        assert connection.peer is not None
        assert outcome.connection is not None
        assert outcome.connection.peer is not None
        assert f"simulated_{connection.peer.tee_type}" == server_tee
        assert f"simulated_{outcome.connection.peer.tee_type}" == client_tee
        assert connection.peer.custom_claims == {"role": b"server"}
        assert outcome.connection.peer.custom_claims == {"role": b"client"}
        assert connection.peer.anchor is not None
        assert connection.peer.anchor.kind.value == "simulated"
        assert connection.version() == "TLSv1.3"
    assert outcome.error is None


@pytest.mark.parametrize("algorithm", [KeyAlgorithm.EC_P256, KeyAlgorithm.EC_P384, KeyAlgorithm.RSA_3072])
def test_every_key_algorithm(algorithm: KeyAlgorithm) -> None:
    server = context(SGX, key_algorithm=algorithm)
    client = context(None, SGX)
    with served(server, echo) as (address, outcome), client.connect(address, timeout=20) as connection:
        connection.sendall(b"x")
        assert connection.recv() == b"x"
        assert outcome.connection is not None
        assert outcome.connection.peer is None
    assert outcome.error is None


def test_null_tls_is_bound_to_nothing_and_says_so() -> None:
    server = context(SGX, SNP, tls="null")
    client = context(SNP, SGX, tls="null")
    with served(server, echo) as (address, outcome), client.connect(address, timeout=20) as connection:
        connection.sendall(b"x")
        assert connection.recv() == b"x"
        assert connection.peer is not None
        assert connection.peer.binding.value == "none"
        assert "not checked" in connection.peer.binding_note
    assert outcome.error is None
    only_certificate = policy_for(SGX, bindings="certificate")
    with pytest.raises(ConfigurationError, match="bindings"):
        context(SNP, only_certificate, tls="null").connect(("127.0.0.1", 1))


class TestRefusals:
    def refuse(self, server: Context, client: Context) -> tuple[BaseException | None, BaseException | None]:
        """Give the error of the client and of the server."""
        client_error: BaseException | None = None
        with served(server, echo) as (address, outcome):
            try:
                client.connect(address, timeout=20).close()
            except RatsTlsError as error:
                client_error = error
        return client_error, outcome.error

    def test_wrong_measurement(self) -> None:
        client_error, server_error = self.refuse(context(SGX, SNP), context(SNP, policy_for(SGX, mr_enclave=bytes(32))))
        assert isinstance(client_error, AppraisalError)
        assert [mismatch.field for mismatch in client_error.mismatches] == ["mr_enclave"]
        assert isinstance(server_error, PeerRefusedError)
        assert server_error.wire_code is WireCode.APPRAISAL
        assert "mr_enclave" not in str(server_error)

    @pytest.mark.parametrize("tee", ALL_SIMULATED)
    def test_debug_client(self, tee: str) -> None:
        client_error, server_error = self.refuse(context(SGX, tee), context(attester(tee, debug=True), SGX))
        assert isinstance(server_error, AppraisalError)
        assert [mismatch.field for mismatch in server_error.mismatches] == ["allow_debug"]
        assert isinstance(client_error, PeerRefusedError)
        assert client_error.wire_code is WireCode.APPRAISAL

    def test_out_of_date_server(self) -> None:
        server = context(attester(TDX, tcb_status=TcbStatus.OUT_OF_DATE))
        client_error, server_error = self.refuse(server, context(None, TDX))
        assert isinstance(client_error, AppraisalError)
        assert "tcb_statuses" in {mismatch.field for mismatch in client_error.mismatches}
        assert isinstance(server_error, PeerRefusedError)

    def test_client_without_evidence(self) -> None:
        client_error, server_error = self.refuse(context(SGX, SNP), context("null", SGX))
        assert isinstance(server_error, NoEvidenceError)
        assert isinstance(client_error, PeerRefusedError)

    def test_client_without_a_certificate(self) -> None:
        client_error, server_error = self.refuse(context(SGX, SNP), context(None, SGX))
        assert isinstance(server_error, RatsTlsError)
        assert isinstance(client_error, PeerRefusedError | ConnectionFailedError)

    def test_server_without_evidence(self) -> None:
        client_error, _ = self.refuse(context("null"), context(None, SGX))
        assert isinstance(client_error, NoEvidenceError)

    def test_another_tee(self) -> None:
        client_error, _ = self.refuse(context(SNP), context(None, SGX))
        assert isinstance(client_error, AppraisalError)
        assert [mismatch.field for mismatch in client_error.mismatches] == ["tee"]

    def test_simulated_roots_are_not_trusted_by_default(self) -> None:
        client_error, _ = self.refuse(context(SGX), context(None, SGX, trust_anchors=()))
        assert isinstance(client_error, CertificateChainError)

    def test_peer_that_sends_no_endorsements(self) -> None:
        client_error, _ = self.refuse(context(SGX, provide_endorsements=False), context(None, SGX))
        assert client_error is not None
        assert "Endorsements missing" in str(client_error)

    def test_local_endorsements_serve_as_well(self) -> None:
        local = world().attester(SGX).endorsements
        client_error, server_error = self.refuse(
            context(SGX, provide_endorsements=False), context(None, SGX, endorsements=local)
        )
        assert (client_error, server_error) == (None, None)

    def test_nobody_is_judged_by_a_null_entry_unless_it_is_written(self) -> None:
        client_error, server_error = self.refuse(context("null"), context(None, null_policy()))
        assert (client_error, server_error) == (None, None)


class TestConfiguration:
    def test_a_client_has_a_policy(self) -> None:
        with pytest.raises(ConfigurationError, match="policy"):
            context(SGX).connect(("127.0.0.1", 1))

    def test_a_server_names_its_attester(self) -> None:
        with pytest.raises(ConfigurationError, match="attester"):
            context(None, SGX).listen(("127.0.0.1", 0))

    @pytest.mark.parametrize(("attests", "judges"), [(SGX, None), (None, SGX)])
    def test_mutual_needs_both(self, attests: str | None, judges: str | None) -> None:
        with pytest.raises(ConfigurationError, match="mutual"):
            context(attests, judges, mutual=True)

    def test_a_one_way_server_takes_no_policy(self) -> None:
        with pytest.raises(ConfigurationError, match="policy"):
            context(SGX, SNP, mutual=False).listen(("127.0.0.1", 0))

    def test_an_empty_policy_is_an_error(self) -> None:
        with pytest.raises(ConfigurationError, match="empty"):
            Policy(())

    @pytest.mark.parametrize("name", ["pubkey-hash", "nonce", "issued-at"])
    def test_reserved_claim_names(self, name: str) -> None:
        with pytest.raises(ConfigurationError, match=name):
            context(SGX, custom_claims={name: b"x"}).listen(("127.0.0.1", 0))

    def test_nobody_listens(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        with pytest.raises(ConnectionFailedError, match=str(port)):
            context(None, SGX).connect(("127.0.0.1", port), timeout=5)


class TestLikeSsl:
    """Connections behave as users of `ssl` expect."""

    def test_recv_into_makefile_and_clean_end(self) -> None:
        server, client = connected_pair(context(SGX, SNP), context(SNP, SGX))
        with server, client:
            client.sendall(b"first line\nsecond")
            buffer = bytearray(6)
            assert server.recv_into(buffer) == 6
            assert bytes(buffer) == b"first "
            with server.makefile("rwb") as file:
                assert file.readline() == b"line\n"
                assert file.read(6) == b"second"
                file.write(b"answer\n")
                file.flush()
            with client.makefile("r") as text:
                assert text.readline() == "answer\n"
            client.sendall(b"last")
            client.close()
            assert server.recv() == b"last"
            assert server.recv() == b""
            assert server.recv() == b""

    def test_large_data_both_ways_at_once(self) -> None:
        server, client = connected_pair(context(SGX), context(None, SGX))
        data = os.urandom(3_000_000)
        received: dict[str, bytes] = {}

        def send(name: str) -> None:
            {"server": server, "client": client}[name].sendall(data)

        def receive(name: str) -> None:
            end = {"server": server, "client": client}[name]
            parts = bytearray()
            while len(parts) < len(data):
                parts += end.recv(300_000)
            received[name] = bytes(parts)

        threads = [threading.Thread(target=f, args=(n,)) for f in (send, receive) for n in ("server", "client")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert received == {"server": data, "client": data}
        server.close()
        client.close()

    def test_timeout_loses_nothing(self) -> None:
        server, client = connected_pair(context(SGX), context(None, SGX))
        with server, client:
            client.settimeout(0.05)
            with pytest.raises(TimeoutError):
                client.recv()
            server.sendall(b"late")
            client.settimeout(5)
            assert client.recv() == b"late"
            with pytest.raises(ValueError, match="timeout"):
                client.settimeout(0)

    def test_cut_off_is_an_error_not_an_end(self) -> None:
        left, right = socket.socketpair()
        server = context(SGX).wrap_socket(left, server_side=True)
        client = context(None, SGX).wrap_socket(right)
        thread = threading.Thread(target=server.handshake)
        thread.start()
        client.handshake()
        thread.join(20)
        left.shutdown(socket.SHUT_RDWR)
        with pytest.raises(RatsTlsError):
            client.recv()
        server.close()
        client.close()

    def test_unwrap_waits_for_the_peers_end(self) -> None:
        server, client = connected_pair(context(SGX), context(None, SGX))
        thread = threading.Thread(target=lambda: (server.recv(), server.close()))
        thread.start()
        client.unwrap()
        thread.join(20)
        client.close()

    def test_closed_connections_say_so(self) -> None:
        server, client = connected_pair(context(SGX), context(None, SGX))
        client.close()
        client.close()
        for call in (client.recv, lambda: client.sendall(b"x")):
            with pytest.raises(ConnectionFailedError, match="closed"):
                call()
        server.close()

    def test_application_protocol(self) -> None:
        server, client = connected_pair(
            context(SGX, application_protocols=["b", "c"]), context(None, SGX, application_protocols=["a", "c"])
        )
        with server, client:
            assert client.selected_alpn_protocol() == server.selected_alpn_protocol() == "c"

    def test_exporter_is_the_connections_own_and_keeps_reserved_labels(self) -> None:
        server, client = connected_pair(context(SGX), context(None, SGX))
        with server, client:
            key = client.export_keying_material("EXPORTER-test", b"context", 32)
            assert key == server.export_keying_material("EXPORTER-test", b"context", 32)
            assert key != client.export_keying_material("EXPORTER-test", b"other", 32)
            with pytest.raises(ConfigurationError, match="Attestation"):
                client.export_keying_material("Attestation", b"", 32)

    def test_peer_before_the_handshake(self) -> None:
        left, right = socket.socketpair()
        connection = context(None, SGX).wrap_socket(left)
        with pytest.raises(ConnectionFailedError, match="handshake"):
            _ = connection.peer
        connection.close()
        right.close()


class TestTime:
    def test_a_silent_peer_is_given_up(self) -> None:
        left, right = socket.socketpair()
        client = context(None, SGX, limits=Limits(handshake_seconds=0.2)).wrap_socket(left)
        begun = time.monotonic()
        with pytest.raises(HandshakeTimeoutError):
            client.handshake()
        assert time.monotonic() - begun < 5
        right.close()

    def test_a_trickling_peer_is_given_up(self) -> None:
        """A peer that sends a byte now and then does not extend the time."""
        left, right = socket.socketpair()
        server = context(SGX, limits=Limits(handshake_seconds=0.5)).wrap_socket(left, server_side=True)
        stop = threading.Event()

        def trickle() -> None:
            hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500)
            for byte in hello:
                if stop.wait(0.02):
                    return
                try:
                    right.send(bytes([byte]))
                except OSError:
                    return

        thread = threading.Thread(target=trickle)
        thread.start()
        with pytest.raises(HandshakeTimeoutError):
            server.handshake()
        stop.set()
        thread.join(5)
        right.close()

    def test_key_and_evidence_rotate_together_and_live_connections_stay(self) -> None:
        clock = Clock()
        server = context(SGX, clock=clock, max_evidence_age=1000.0)
        client = context(None, SGX)
        first_server, first = connected_pair(server, client)
        same_server, same = connected_pair(server, client)
        clock.now = NOW + timedelta(seconds=760)
        later = context(None, SGX, clock=clock)
        next_server, renewed = connected_pair(server, later)
        assert first.peer is not None
        assert same.peer is not None
        assert renewed.peer is not None
        assert first.peer.spki_sha256 == same.peer.spki_sha256 != renewed.peer.spki_sha256
        assert renewed.peer.issued_at == clock.now
        first.sendall(b"still here")
        assert first_server.recv() == b"still here"
        for end in (first_server, first, same_server, same, next_server, renewed):
            end.close()

    def test_evidence_in_date_is_used_while_the_attester_fails(self) -> None:
        clock = Clock()
        failing = attester(SGX)
        works = failing.collect
        server = context(failing, clock=clock, max_evidence_age=1000.0)
        client = context(None, policy_for(SGX), clock=clock)
        for end in connected_pair(server, client):
            end.close()

        def fail(report_data: bytes) -> None:
            raise CollectionError("device is gone")

        failing.collect = fail  # type: ignore[method-assign,assignment]
        clock.now = NOW + timedelta(seconds=900)
        for end in connected_pair(server, client):
            end.close()
        clock.now = NOW + timedelta(seconds=1001)
        with pytest.raises(CollectionError):
            server.listen(("127.0.0.1", 0))
        failing.collect = works  # type: ignore[method-assign]
        for end in connected_pair(server, client):
            end.close()

    def test_evidence_too_old_is_refused(self) -> None:
        server = context(SGX, max_evidence_age=100_000.0)
        clock = Clock()
        for end in connected_pair(server, context(None, SGX, clock=clock)):
            end.close()
        clock.now = NOW + timedelta(seconds=3601)
        with served(server, echo) as (address, _), pytest.raises(RatsTlsError) as caught:
            context(None, SGX, clock=clock).connect(address, timeout=20)
        assert caught.value.refusal.label == "freshness"


def test_a_forked_child_makes_a_key_of_its_own() -> None:
    server = context(SGX)
    client = context(None, SGX)
    server_end, client_end = connected_pair(server, client)
    assert client_end.peer is not None
    parents_key = client_end.peer.spki_sha256
    server_end.close()
    client_end.close()
    left, right = socket.socketpair()
    child = os.fork()
    if child == 0:
        right.close()
        try:
            connection = server.wrap_socket(left, server_side=True)
            connection.settimeout(20)
            connection.handshake()
            connection.close()
        finally:
            os._exit(0)
    left.close()
    connection = client.wrap_socket(right)
    connection.settimeout(20)
    connection.handshake()
    assert connection.peer is not None
    childs_key = connection.peer.spki_sha256
    connection.close()
    os.waitpid(child, 0)
    assert childs_key != parents_key


def test_a_tls_client_that_is_no_rats_tls_is_refused_before_data() -> None:
    """A plain TLS client gets no application data from a server that requires the preamble."""
    with served(context(SGX), echo) as (address, outcome):
        plain = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        plain.check_hostname = False
        plain.verify_mode = ssl.CERT_NONE
        with socket.create_connection(address, 10) as raw, plain.wrap_socket(raw) as sock:
            sock.sendall(b"give me data")
            received = b""
            with contextlib.suppress(OSError):
                while data := sock.recv(100):
                    received += data
            assert received == b""
    assert isinstance(outcome.error, RatsTlsError)
    assert outcome.error.refusal.label == "preamble_required"
