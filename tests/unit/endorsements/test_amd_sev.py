"""AMD's files of ASKs before SEV-SNP: what is asked, and what comes of each answer."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from rats_tls.core.endorsements import Endorsement, EndorsementKind, MissingEndorsement
from rats_tls.core.errors import ConfigurationError
from rats_tls.endorsements.amd_sev import SIGNERS_URL, AmdSevSigners
from rats_tls.endorsements.http import HttpsClient
from rats_tls.endorsements.source import FetchError, FetchProblem
from support.pcs import missing
from support.simulated import world
from support.vendor_server import Reply, VendorServer, server_identity, vendor_server

K = EndorsementKind
P = FetchProblem
NAPLES = missing(K.AMD_SEV_SIGNER, product="Naples")
PATH = "/wp-content/resources/ask_ark_naples.cert"


@pytest.fixture
def server() -> Iterator[VendorServer]:
    with vendor_server() as made:
        yield made


def source(server: VendorServer) -> AmdSevSigners:
    return AmdSevSigners(base_url=server.url, ca=server_identity()[0])


def ask() -> bytes:
    return world().sev("Naples").signer()


def ark() -> bytes:
    return world().sev("Naples").root_certificate


def refused(source: AmdSevSigners, item: MissingEndorsement = NAPLES) -> FetchError:
    with pytest.raises(FetchError) as caught:
        source.fetch(item)
    assert caught.value.message.startswith("amd-sev-signers: ")
    return caught.value


def test_of_a_file_the_ask_is_taken(server: VendorServer) -> None:
    server.replies[PATH] = Reply(body=ask() + ark())
    assert source(server).fetch(NAPLES) == (Endorsement(kind=K.AMD_SEV_SIGNER, data=ask()),)
    assert server.asked == [PATH]


@pytest.mark.parametrize("product", ["Naples", "Rome", "Milan"])
def test_what_is_asked(server: VendorServer, product: str) -> None:
    item = missing(K.AMD_SEV_SIGNER, product=product)
    made = source(server)
    assert made.serves(item)
    assert refused(made, item).problem is P.NOT_FOUND
    assert server.asked == [f"/wp-content/resources/ask_ark_{product.lower()}.cert"]


@pytest.mark.parametrize(
    "item",
    [
        missing(K.AMD_SEV_SIGNER, product="Genoa"),
        missing(K.AMD_SEV_SIGNER, product="naples"),
        missing(K.AMD_SEV_SIGNER, product="../x"),
        missing(K.AMD_SEV_SIGNER),
        missing(K.AMD_SIGNER, product="Milan", name="SEV-Milan"),
    ],
    ids=str,
)
def test_what_is_not_served(server: VendorServer, item: MissingEndorsement) -> None:
    assert not source(server).serves(item)
    assert server.asked == []


def test_the_file_of_another_product_is_refused(server: VendorServer) -> None:
    server.default = Reply(body=ask() + ark())
    error = refused(source(server), missing(K.AMD_SEV_SIGNER, product="Milan"))
    assert error.problem is P.MALFORMED
    assert "certifying_id" in error.message


@pytest.mark.parametrize("case", ["empty", "text", "ARK alone", "cut short", "more behind", "many"])
def test_answers_of_another_form(server: VendorServer, case: str) -> None:
    bodies = {
        "empty": b"",
        "text": b"<html></html>",
        "ARK alone": ark(),
        "cut short": (ask() + ark())[:-1],
        "more behind": ask() + ark() + b"\n",
        "many": ask() * 17,
    }
    server.default = Reply(body=bodies[case])
    assert refused(source(server)).problem is P.MALFORMED


def test_where_it_is_asked() -> None:
    assert SIGNERS_URL == "https://developer.amd.com"
    with pytest.raises(ConfigurationError):
        AmdSevSigners(base_url="http://developer.amd.com")
    with pytest.raises(ConfigurationError):
        AmdSevSigners(client=HttpsClient(("other.example",)))
