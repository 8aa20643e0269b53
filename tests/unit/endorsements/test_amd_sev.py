"""AMD's files of signers before SEV-SNP: what is asked, and what comes of each answer."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from rats_tls.core.endorsements import EndorsementKind, MissingEndorsement
from rats_tls.core.errors import ConfigurationError
from rats_tls.endorsements.amd_sev import AmdSevSigners
from rats_tls.endorsements.source import FetchError, FetchProblem
from support.pcs import missing
from support.simulated import world
from support.vendor_server import Reply, VendorServer, server_identity, vendor_server

PATH = "/wp-content/resources/ask_ark_naples.cert"


def file_of(product: str) -> bytes:
    items = world().attester("simulated_sev", product=product).endorsements
    return b"".join(part for item in items for part in (item.data, *item.issuer_chain))


def ask(product: str) -> MissingEndorsement:
    return missing(EndorsementKind.AMD_SEV_SIGNER, product=product)


@pytest.fixture
def server() -> Iterator[VendorServer]:
    with vendor_server() as made:
        yield made


def source(server: VendorServer) -> AmdSevSigners:
    return AmdSevSigners(base_url=server.url, ca=server_identity()[0])


def test_the_signer_of_a_product(server: VendorServer) -> None:
    server.replies[PATH] = Reply(body=file_of("Naples"))
    got = source(server).fetch(ask("Naples"))
    assert got == tuple(world().attester("simulated_sev", product="Naples").endorsements)


@pytest.mark.parametrize("product", ["", "naples", "Genoa", "../Naples", "Naples/..", "Naples?x"])
def test_products_that_there_are_none_of_are_not_asked_for(server: VendorServer, product: str) -> None:
    asking = source(server)
    assert not asking.serves(ask(product))
    with pytest.raises(FetchError) as caught:
        asking.fetch(ask(product))
    assert caught.value.problem is FetchProblem.NOT_FOUND
    assert server.asked == []


def test_what_it_does_not_serve(server: VendorServer) -> None:
    for kind in EndorsementKind:
        assert source(server).serves(missing(kind, product="Rome")) == (kind is EndorsementKind.AMD_SEV_SIGNER)


@pytest.mark.parametrize("what", ["nothing", "another product", "cut off", "more", "a page"])
def test_answers_of_another_form(server: VendorServer, what: str) -> None:
    whole = file_of("Naples")
    body = {
        "nothing": b"",
        "another product": file_of("Milan"),
        "cut off": whole[:-1],
        "more": whole + b"\0",
        "a page": b"<html/>",
    }[what]
    server.replies[PATH] = Reply(body=body)
    with pytest.raises(FetchError) as caught:
        source(server).fetch(ask("Naples"))
    assert caught.value.problem is FetchProblem.MALFORMED


def test_an_answer_that_is_too_long(server: VendorServer) -> None:
    server.replies[PATH] = Reply(body=file_of("Naples") + bytes(1 << 20))
    with pytest.raises(FetchError) as caught:
        source(server).fetch(ask("Naples"))
    assert caught.value.problem is FetchProblem.MALFORMED


def test_addresses_of_another_form() -> None:
    for url in ("http://developer.amd.com", "developer.amd.com", "https://"):
        with pytest.raises(ConfigurationError):
            AmdSevSigners(base_url=url)
