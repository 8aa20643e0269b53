"""Hygon's certificate service: what is asked, and what comes of each answer."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from rats_tls.core import lookup_keys
from rats_tls.core.endorsements import Endorsement, EndorsementKind
from rats_tls.core.errors import ConfigurationError
from rats_tls.endorsements.http import HttpsClient
from rats_tls.endorsements.hygon_certs import HygonCerts
from rats_tls.endorsements.source import FetchError, FetchProblem
from support.pcs import missing
from support.simulated import world
from support.vendor_server import Reply, VendorServer, server_identity, vendor_server

CHAIN = world().hygon_chip().chain()
(HSK,), CEK = CHAIN.issuer_chain, CHAIN.data


@pytest.fixture
def server() -> Iterator[VendorServer]:
    with vendor_server() as made:
        yield made


def service(server: VendorServer) -> HygonCerts:
    return HygonCerts(base_url=server.url, ca=server_identity()[0])


def test_the_certificates_of_a_chip(server: VendorServer) -> None:
    server.replies["/hsk_cek?snumber=NZA9T14052605"] = Reply(body=HSK + CEK)
    got = service(server).fetch(lookup_keys.hygon_cek_chain("NZA9T14052605"))
    assert got == (Endorsement(kind=EndorsementKind.HYGON_CEK_CHAIN, data=CEK, issuer_chain=(HSK,)),)


@pytest.mark.parametrize(
    "serial",
    ["", ".", "..", "../../x", ".hidden", "a/b", "a?b", "a&snumber=b", "a b", "a\n", "a\0", "%41", "\u00e9", "x" * 65],
)
def test_serial_numbers_of_another_form_are_not_asked_for(server: VendorServer, serial: str) -> None:
    source = service(server)
    assert not source.serves(lookup_keys.hygon_cek_chain(serial))
    with pytest.raises(FetchError) as caught:
        source.fetch(lookup_keys.hygon_cek_chain(serial))
    assert caught.value.problem is FetchProblem.NOT_FOUND
    assert server.asked == []


def test_what_it_does_not_serve(server: VendorServer) -> None:
    source = service(server)
    for kind in EndorsementKind:
        assert source.serves(missing(kind, chip="A1")) == (kind is EndorsementKind.HYGON_CEK_CHAIN)
    assert not source.serves(missing(EndorsementKind.HYGON_CEK_CHAIN, serial="A1"))


@pytest.mark.parametrize(
    "body", [b"", HSK, CEK, (HSK + CEK)[:-1], HSK + CEK + b"\0", b"<html/>", CEK + HSK, bytes([0xFF]) * 2916]
)
def test_answers_of_another_form(server: VendorServer, body: bytes) -> None:
    server.default = Reply(body=body)
    with pytest.raises(FetchError, match=r"^hygon-certs: ") as caught:
        service(server).fetch(lookup_keys.hygon_cek_chain("A1"))
    assert caught.value.problem is FetchProblem.MALFORMED


def test_a_chip_that_it_does_not_know(server: VendorServer) -> None:
    with pytest.raises(FetchError) as caught:
        service(server).fetch(lookup_keys.hygon_cek_chain("A1"))
    assert caught.value.problem is FetchProblem.NOT_FOUND


def test_its_host_must_be_allowed() -> None:
    with pytest.raises(ConfigurationError, match=r"cert\.hygon\.cn"):
        HygonCerts(client=HttpsClient(("kdsintf.amd.com",)))
