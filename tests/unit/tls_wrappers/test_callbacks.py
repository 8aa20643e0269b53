"""Signals that come while a library waits for a callback: what they raise goes on as it is, and nobody is accepted."""

from __future__ import annotations

import signal

import pytest

from rats_tls.core.errors import TlsError
from rats_tls.core.tls import TlsSession, TlsWrapper
from rats_tls.tls_wrappers.callbacks import Raised, callback_error
from rats_tls.tls_wrappers.openssl_calls import PublicCalls
from support.instances import TLS_WRAPPERS, UNAVAILABLE
from support.interrupting import INTERRUPTS, Alarm, interrupted
from support.machine import lacking
from support.tls import config, connected, handshake

WRAPPERS = {tls.name: tls for tls in TLS_WRAPPERS if not isinstance(getattr(tls, "_calls", None), PublicCalls)}

IN_HANDSHAKES = [
    ("gnutls", "gnutls_library.py", "_pull", "client"),
    ("gnutls", "gnutls_library.py", "_pull", "server"),
    ("gnutls", "gnutls_library.py", "_push", "client"),
    ("gnutls", "gnutls_library.py", "_push", "server"),
    ("wolfssl", "wolfssl_library.py", "_receive", "client"),
    ("wolfssl", "wolfssl_library.py", "_send", "server"),
    ("wolfssl", "wolfssl_library.py", "_accept", "client"),
    ("wolfssl", "wolfssl_library.py", "_accept", "server"),
    ("wolfssl", "wolfssl_library.py", "_select", "server"),
    ("tongsuo", "tongsuo_library.py", "<lambda>", "client"),
    ("tongsuo", "tongsuo_library.py", "<lambda>", "server"),
    ("tongsuo", "tongsuo.py", "select", "server"),
    ("openssl", "openssl_binding.py", "<lambda>", "client"),
    ("openssl", "openssl_binding.py", "<lambda>", "server"),
    ("openssl", "openssl_binding.py", "select", "server"),
]
IN_DATA = [
    ("gnutls", "gnutls_library.py", "_push", "write"),
    ("gnutls", "gnutls_library.py", "_push", "close"),
    ("gnutls", "gnutls_library.py", "_pull", "read"),
    ("wolfssl", "wolfssl_library.py", "_send", "write"),
    ("wolfssl", "wolfssl_library.py", "_send", "close"),
    ("wolfssl", "wolfssl_library.py", "_receive", "read"),
]
by_signal = pytest.mark.parametrize("number", INTERRUPTS, ids=lambda number: number.name)


def here(name: str) -> TlsWrapper:
    if name not in WRAPPERS:
        lacking(UNAVAILABLE["tls_wrappers", name], install="what .ci/run installs")
    return WRAPPERS[name]


def other_end(tls: TlsWrapper, role: str) -> TlsSession:
    """The other end of a handshake, by another library, so that one end alone has the callback."""
    another = next(each for each in WRAPPERS.values() if each.name in ("openssl", "wolfssl") and each is not tls)
    return another.context(config(role, alpn=("h2",), serial=2)).session()


@by_signal
@pytest.mark.parametrize(("name", "file", "function", "role"), IN_HANDSHAKES)
def test_an_interrupt_in_a_handshake_goes_on(
    name: str, file: str, function: str, role: str, number: signal.Signals, capfd: pytest.CaptureFixture[str]
) -> None:
    tls = here(name)
    ours = tls.context(config(role, alpn=("h2",))).session()
    theirs = other_end(tls, "server" if role == "client" else "client")
    pair = (ours, theirs) if role == "client" else (theirs, ours)
    with interrupted(number, file, function), pytest.raises(INTERRUPTS[number]):
        handshake(*pair)
    assert ours.peer_certificate is None
    for _ in range(2):
        with pytest.raises(TlsError, match=f"interrupted by {INTERRUPTS[number].__name__}"):
            ours.handshake()
    with pytest.raises(TlsError):
        ours.write(b"data")
    assert capfd.readouterr() == ("", "")
    handshake(*(each.context(config(r, serial=3)).session() for each, r in ((tls, "client"), (tls, "server"))))


@by_signal
@pytest.mark.parametrize(("name", "file", "function", "call"), IN_DATA)
def test_an_interrupt_in_data_goes_on(
    name: str, file: str, function: str, call: str, number: signal.Signals, capfd: pytest.CaptureFixture[str]
) -> None:
    client, server = connected(here(name))
    server.write(b"from the server")
    client.receive_from_wire(server.data_to_send())
    calls = {"write": lambda: client.write(bytes(100_000)), "close": client.close, "read": lambda: client.read(100)}
    with interrupted(number, file, function), pytest.raises(INTERRUPTS[number]):
        calls[call]()
    client.data_to_send()
    for again in (calls["write"], calls["read"]):
        with pytest.raises(TlsError, match=f"interrupted by {INTERRUPTS[number].__name__}"):
            again()
    client.close()
    assert client.data_to_send() == b""
    assert capfd.readouterr() == ("", "")


def test_an_interrupt_is_kept_before_a_defect() -> None:
    raised = Raised()
    raised.keep(None, ValueError("a defect"), None)
    raised.keep(None, KeyboardInterrupt(), None)
    raised.keep(None, ValueError("what came of it"), None)
    assert isinstance(raised.take(), KeyboardInterrupt)
    assert raised.take() is None


def test_a_defect_of_a_callback_is_told_with_its_cause() -> None:
    defect = Alarm("raised by no handler")
    error = callback_error("read", defect)
    assert error.message == f"TLS read: a callback failed: {defect!r}"
    assert error.__cause__ is defect
