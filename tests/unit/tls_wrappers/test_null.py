from __future__ import annotations

from rats_tls.core.tls import TlsWrapper
from rats_tls.tls_wrappers.null import NullTlsWrapper
from support.tls import config


def test_it_says_that_it_protects_nothing() -> None:
    tls = NullTlsWrapper()
    assert isinstance(tls, TlsWrapper)
    assert tls.version == "none"
    assert not tls.capabilities.encrypts
    assert not tls.capabilities.exporter_with_context


def test_bytes_pass_as_they_are() -> None:
    session = NullTlsWrapper().context(config("client")).session("server.example")
    assert session.handshake()
    session.write(bytearray(b"plain"))
    session.write(memoryview(b" text"))
    assert session.data_to_send() == b"plain text"
    assert session.data_to_send() == b""


def test_what_was_written_is_not_changed_by_the_caller_afterwards() -> None:
    session = NullTlsWrapper().context(config("client")).session()
    data = bytearray(b"plain")
    session.write(data)
    data[:] = b"other"
    assert session.data_to_send() == b"plain"
