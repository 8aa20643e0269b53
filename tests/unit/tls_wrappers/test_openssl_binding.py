"""The two ways of moving bytes, and which is taken."""

from __future__ import annotations

from typing import Any

import OpenSSL
import pytest
from OpenSSL import SSL

from rats_tls.tls_wrappers import openssl_calls
from rats_tls.tls_wrappers.openssl_binding import BindingCalls, best_calls, require_client_hello
from rats_tls.tls_wrappers.openssl_calls import PublicCalls


@pytest.fixture(autouse=True)
def _decided_anew() -> Any:
    best_calls.cache_clear()
    yield
    best_calls.cache_clear()


def test_here_the_binding_is_used() -> None:
    assert isinstance(best_calls(), BindingCalls)


@pytest.mark.parametrize("version", ["24.3.0", "99.0", "unknown"])
def test_a_version_that_was_not_tried_gets_the_promised_calls(monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    monkeypatch.setattr(OpenSSL, "__version__", version)
    assert isinstance(best_calls(), PublicCalls)


@pytest.mark.parametrize("gone", ["_lib", "_ffi"])
def test_an_inner_name_that_is_gone_gets_the_promised_calls(monkeypatch: pytest.MonkeyPatch, gone: str) -> None:
    monkeypatch.delattr(SSL, gone)
    made = best_calls()
    monkeypatch.undo()
    assert isinstance(made, PublicCalls)


def test_an_inner_name_that_means_something_else_gets_the_promised_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BindingCalls, "drain", lambda *_: None)
    assert isinstance(best_calls(), PublicCalls)


@pytest.mark.parametrize("calls", [PublicCalls(), BindingCalls()], ids=["public", "binding"])
def test_a_client_hello_comes_through(calls: openssl_calls.Calls) -> None:
    require_client_hello(calls)
