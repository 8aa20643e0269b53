"""The declarations for libgnutls against the header that is installed, and what loading it can meet."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from rats_tls import registry
from rats_tls.core.errors import NoInstanceError
from rats_tls.tls_wrappers import gnutls_library as gnutls
from rats_tls.tls_wrappers.gnutls import GnutlsTlsWrapper
from support.c_layout import measured
from support.instances import tls_wrapper_of_a_module

TLS = tls_wrapper_of_a_module("gnutls")

HEADER = {"headers": ["gnutls/gnutls.h"], "install": "libgnutls28-dev"}
NUMBERS = {
    name: value for name, value in vars(gnutls).items() if name.isupper() and isinstance(value, int) and name != "SPACE"
}


def test_numbers_are_those_of_the_header(tmp_path: Path) -> None:
    assert len(NUMBERS) > 20
    found = measured(tmp_path, {name: f"GNUTLS_{name}" for name in NUMBERS}, **HEADER)
    assert found == {name: value % 2**64 for name, value in NUMBERS.items()}


def test_functions_are_those_of_the_header(tmp_path: Path) -> None:
    """A declaration that differs from the header's is one that the compiler refuses."""
    measured(tmp_path, {"done": "1"}, declarations=gnutls.FUNCTIONS, **HEADER)
    wrong = re.sub(r"int gnutls_bye\((\w+) session", r"int gnutls_bye(\1 *session", gnutls.FUNCTIONS)
    with pytest.raises(AssertionError, match="conflicting types"):
        measured(tmp_path, {"done": "1"}, declarations=wrong, **HEADER)


def test_types_are_those_of_the_header(tmp_path: Path) -> None:
    functions = re.findall(r"typedef (?:ssize_t|int) \(\*\w+\)\(.*\);", gnutls.TYPES)
    handles = re.findall(r"typedef (?:struct \w+|void) \*\w+;", gnutls.TYPES)
    assert (len(functions), len(handles)) == (3, 4)
    again = "\n".join([*handles, *functions])
    found = measured(
        tmp_path,
        {
            "size": "sizeof(gnutls_datum_t)",
            "data": "offsetof(gnutls_datum_t, data)",
            "count": "offsetof(gnutls_datum_t, size)",
            "count_size": "sizeof(((gnutls_datum_t *)0)->size)",
        },
        declarations=again,
        **HEADER,
    )
    ffi = TLS._library.ffi
    fields = dict(ffi.typeof("gnutls_datum_t").fields)
    assert found == {
        "size": ffi.sizeof("gnutls_datum_t"),
        "data": fields["data"].offset,
        "count": fields["size"].offset,
        "count_size": ffi.sizeof(fields["size"].type),
    }


def test_all_functions_are_there() -> None:
    names = re.findall(r"\b(gnutls_\w+)\(", gnutls.FUNCTIONS)
    assert len(names) > 30
    for name in names:
        assert getattr(TLS._library.lib, name)


def test_a_missing_library_is_no_instance_and_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gnutls, "SONAMES", ("libgnutls-none.so.0", "libgnutls-none.dylib"))
    with pytest.raises(NoInstanceError, match=r"libgnutls is not here .*libgnutls-none\.so\.0.*install libgnutls30"):
        registry.tls_wrapper("gnutls")


def test_an_older_library_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gnutls, "FIRST_VERSION", "99.0.0")
    with pytest.raises(NoInstanceError, match=r"is GnuTLS 3\.\d+\.\d+, expected 99\.0\.0 or later"):
        gnutls.load.__wrapped__(gnutls.SONAMES)


def test_it_is_loaded_once() -> None:
    library = gnutls.load(gnutls.SONAMES)
    assert GnutlsTlsWrapper()._library is GnutlsTlsWrapper()._library is library
    assert registry.tls_wrapper("gnutls").version == f"GnuTLS {library.version}"


def test_reasons_go_into_sentences() -> None:
    library = TLS._library
    assert library.reason(gnutls.E_AGAIN).startswith("resource temporarily")
    assert not library.reason(gnutls.E_AGAIN).endswith(".")
    assert library.text(library.ffi.NULL) == ""
