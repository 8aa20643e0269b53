"""A TLS wrapper declares what it has shown, and one that fails where none may cannot be used."""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Callable
from dataclasses import replace

import pytest

from rats_tls import registry, tls_self_test
from rats_tls.core.algorithms import KeyAlgorithm
from rats_tls.core.errors import ConfigurationError, NoInstanceError, TlsError
from rats_tls.core.tls import TlsCapabilities, TlsConfig, TlsContext, TlsSession
from rats_tls.tls_self_test import TriedTlsWrapper, tried
from rats_tls.tls_wrappers import openssl_forger
from rats_tls.tls_wrappers.null import NullTlsWrapper
from rats_tls.tls_wrappers.openssl import OpensslTlsWrapper
from rats_tls.tls_wrappers.openssl_forger import ForgingTlsWrapper
from support.channels import certificate
from support.instances import UNAVAILABLE
from support.machine import lacking
from support.tls import config


class Session:
    """A session of the default wrapper; what a test sets takes the place of what it has."""

    def __init__(self, session: TlsSession, **changes: object) -> None:
        self._session = session
        self._changes = changes

    def __getattr__(self, name: str) -> object:
        return self._changes.get(name, getattr(self._session, name))


class Wrapper:
    """The default wrapper with a defect.

    Args:
        session: makes a session of one of the default wrapper and the configuration.
        load: looks at what is to be loaded.
        declared: other capabilities.
    """

    name = "defective"
    version = "1"

    def __init__(
        self,
        session: Callable[[TlsSession, TlsConfig], object] | None = None,
        load: Callable[[TlsConfig], TlsConfig] | None = None,
        **declared: object,
    ) -> None:
        self._tls = OpensslTlsWrapper()
        self.capabilities: TlsCapabilities = replace(self._tls.capabilities, **declared)
        self._session = session
        self._load = load
        self.loaded = 0

    def context(self, settings: TlsConfig) -> TlsContext:
        self.loaded += 1
        context = self._tls.context(self._load(settings) if self._load is not None else settings)
        make, wrapper = self._session, context
        if make is None:
            return context

        class Context:
            def session(self, server_hostname: str | None = None) -> object:
                return make(wrapper.session(server_hostname), settings)

        return Context()  # type: ignore[return-value]


@pytest.fixture(autouse=True)
def _nothing_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tls_self_test, "_shown", {})


def of_server(**changes: object) -> Callable[[TlsSession, TlsConfig], object]:
    return lambda session, settings: Session(session, **changes) if settings.role == "server" else session


def test_what_is_declared_is_kept_where_it_is_shown() -> None:
    tls = OpensslTlsWrapper()
    shown = tried(tls)
    assert isinstance(shown, TriedTlsWrapper)
    assert (shown.name, shown.version, shown.capabilities) == (tls.name, tls.version, tls.capabilities)
    assert tried(shown) is shown


def test_a_wrapper_is_tried_once_in_a_process() -> None:
    tls, again = Wrapper(), Wrapper()
    tried(tls)
    assert tls.loaded > 0
    assert tried(again).capabilities == tls.capabilities
    assert again.loaded == 0


def test_without_encryption_there_is_nothing_to_try() -> None:
    null = NullTlsWrapper()
    assert tried(null) is null


def test_a_failure_is_remembered() -> None:
    def fail(_: TlsConfig) -> TlsConfig:
        raise ConfigurationError("no such key")

    for _ in range(2):
        with pytest.raises(NoInstanceError, match=r"defective \(1\) fails its self-test: it cannot load a certificate"):
            tried(Wrapper(load=fail))


def test_no_kind_of_key() -> None:
    with pytest.raises(NoInstanceError, match="it presents no kind of key"):
        tried(Wrapper(key_algorithms=frozenset({KeyAlgorithm.SM2})))


def test_a_server_that_takes_clients_without_certificate() -> None:
    def demand_nothing(settings: TlsConfig) -> TlsConfig:
        return replace(settings, request_peer_certificate=False)

    with pytest.raises(NoInstanceError, match="its server took a client without certificate"):
        tried(Wrapper(load=demand_nothing))


def test_a_resumed_session() -> None:
    with pytest.raises(NoInstanceError, match="its second connection resumed the session of the first"):
        tried(Wrapper(of_server(resumed=True)))


@pytest.mark.parametrize("role", ["client", "server"])
def test_a_changed_handshake_that_is_taken(role: str) -> None:
    """A session that mends what was changed, as if nothing had been checked."""

    class Blind(Session):
        def receive_from_wire(self, data: bytes) -> None:
            mended = data[:-1] + bytes([data[-1] ^ 1]) if data and seen.get(bytes(data[:-1])) is not None else data
            self._session.receive_from_wire(mended if data and seen.get(bytes(data[:-1])) != data[-1] else data)

    seen: dict[bytes, int] = {}

    class Telling(Session):
        def data_to_send(self) -> bytes:
            data = bytes(self._session.data_to_send())
            if data:
                seen[data[:-1]] = data[-1]
            return data

    def make(session: TlsSession, settings: TlsConfig) -> object:
        return Blind(session) if settings.role == role else Telling(session)

    with pytest.raises(NoInstanceError, match=f"its {role} took a changed handshake"):
        tried(Wrapper(make))


def test_an_exception_of_its_own() -> None:
    def broken() -> bool:
        raise ZeroDivisionError("oops")

    with pytest.raises(NoInstanceError, match="it cannot shake hands: oops"):
        tried(Wrapper(of_server(handshake=broken)))


def test_a_handshake_without_end() -> None:
    with pytest.raises(NoInstanceError, match="it cannot shake hands: the handshake is not complete after"):
        tried(Wrapper(of_server(handshake=lambda: False)))


def test_data_that_does_not_come_through() -> None:
    with pytest.raises(NoInstanceError, match="what one end wrote is not what the other read"):
        tried(Wrapper(of_server(read=lambda _: b"x")))


def test_what_is_not_shown_is_not_declared() -> None:
    assert not tried(Wrapper(of_server(alpn=None))).capabilities.alpn
    assert OpensslTlsWrapper().capabilities.alpn


@pytest.mark.parametrize(
    "exporter",
    [
        lambda _label, _context, length: bytes(length),  # the other end has something else
        lambda _label, _context, _length: (_ for _ in ()).throw(TlsError("none")),
    ],
)
def test_an_exporter_that_is_none(exporter: object) -> None:
    assert not tried(Wrapper(of_server(exporter=exporter))).capabilities.exporter_with_context


def test_an_exporter_that_heeds_no_context() -> None:
    def make(session: TlsSession, _: TlsConfig) -> object:
        return Session(session, exporter=lambda label, _context, length: session.exporter(label, b"", length))

    assert not tried(Wrapper(make)).capabilities.exporter_with_context


@pytest.mark.parametrize("role", ["client", "server"])
def test_another_certificate_than_the_peers(role: str) -> None:
    def make(session: TlsSession, settings: TlsConfig) -> object:
        return Session(session, peer_certificate=b"somebody else's") if settings.role == role else session

    with pytest.raises(NoInstanceError, match=f"its {role} gives another certificate than"):
        tried(Wrapper(make))


@pytest.mark.parametrize("role", ["client", "server"])
def test_a_certificate_whose_key_the_peer_does_not_hold(role: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if CertificateVerify had not been looked at: the forger is one that holds the key after all."""

    class Honest(OpensslTlsWrapper):
        def context(self, config: TlsConfig) -> TlsContext:
            if config.role == role:
                raise ConfigurationError("asked for the side that is tried")
            return super().context(config)

    monkeypatch.setattr(openssl_forger, "ForgingTlsWrapper", Honest)
    with pytest.raises(NoInstanceError, match=f"its {role} took a certificate whose key the peer does not hold"):
        tried(Wrapper(**({"mutual_server": False} if role == "client" else {"clients": False})))


def test_a_forger_is_refused_for_its_signature() -> None:
    client = OpensslTlsWrapper().context(config("client", present=False)).session()
    server = ForgingTlsWrapper().context(config("server", mutual=False)).session()
    client.handshake()
    server.receive_from_wire(client.data_to_send())
    assert not server.handshake()
    client.receive_from_wire(server.data_to_send())
    with pytest.raises(TlsError, match="bad signature"):
        client.handshake()


def test_keys_that_it_cannot_present() -> None:
    def refuse(settings: TlsConfig) -> TlsConfig:
        if settings.certificate and b"\x2b\x65\x70" in settings.certificate:  # id-Ed25519
            raise ConfigurationError("no such key")
        return settings

    declared = OpensslTlsWrapper().capabilities.key_algorithms
    assert tried(Wrapper(load=refuse)).capabilities.key_algorithms == declared - {KeyAlgorithm.ED25519}


def test_what_is_declared_beyond_the_library() -> None:
    shown = tried(Wrapper(tls12=True, chosen_alerts=True)).capabilities
    assert (shown.tls12, shown.chosen_alerts) == (False, False)


@pytest.mark.parametrize("name", ["gnutls", "tongsuo"])
def test_tls12_and_alerts_are_shown(name: str) -> None:
    if ("tls_wrappers", name) in UNAVAILABLE:
        lacking(UNAVAILABLE["tls_wrappers", name], install="what .ci/run installs")
    shown = tried(registry.tls_wrapper(name)).capabilities
    assert (shown.tls12, shown.chosen_alerts) == (True, name == "gnutls")


def test_other_versions_and_declarations_are_tried_anew() -> None:
    tried(Wrapper())
    newer, lesser = Wrapper(), Wrapper(alpn=False)
    newer.version = "2"
    for other in (newer, lesser):
        tried(other)
        assert other.loaded > 0


def test_an_error_of_its_own_above_some_size() -> None:
    def fail(settings: TlsConfig) -> TlsConfig:
        if len(settings.certificate or b"") > 30_000:
            raise ValueError("much too large")
        return settings

    assert 29_700 < tried(Wrapper(load=fail)).capabilities.largest_certificate <= 30_000


def test_a_fork_while_another_thread_tries() -> None:
    """The child has a lock of its own: whoever held the parent's is not there."""
    held, done = threading.Event(), threading.Event()

    def wait(settings: TlsConfig) -> TlsConfig:
        held.set()
        done.wait(20)
        return settings

    thread = threading.Thread(target=lambda: tried(Wrapper(load=wait)), daemon=True)
    thread.start()
    assert held.wait(20)
    child = multiprocessing.get_context("fork").Process(target=tried, args=(OpensslTlsWrapper(),))
    child.start()
    child.join(20)
    ended = child.exitcode
    child.kill()
    done.set()
    thread.join(20)
    assert ended == 0


@pytest.mark.parametrize("most", [18_122, 5_100, 61_000])
def test_the_largest_certificate_is_found(most: int) -> None:
    def make(session: TlsSession, settings: TlsConfig) -> object:
        def handshake() -> bool:
            if len(settings.certificate or b"") > most:
                raise TlsError("too large")
            return session.handshake()

        return Session(session, handshake=handshake)

    tls = tried(Wrapper(make, larger_certificates="build it with larger buffers"))
    largest = tls.capabilities.largest_certificate
    assert most - 256 <= largest <= most
    tls.context(config("server", size=largest))
    with pytest.raises(ConfigurationError, match=f"expected at most {largest}, .* build it with larger buffers"):
        tls.context(replace(config("server"), certificate=certificate(size=largest + 10)))
