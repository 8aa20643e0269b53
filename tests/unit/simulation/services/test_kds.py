"""Simulated KDS: paths, parameters, encodings, and status codes of AMD's service."""

from __future__ import annotations

from datetime import timedelta

import pytest

from rats_tls.core.claims import SnpTcb
from rats_tls.core.endorsements import EndorsementKind as Kind
from rats_tls.core.evidence import Evidence
from rats_tls.core.refusals import Refusal
from rats_tls.formats.amd.pem import split_pem
from rats_tls.formats.amd.sev_bundle import endorsements_from_signers
from rats_tls.formats.x509 import Certificate, RevocationList
from rats_tls.simulation.services import kds
from rats_tls.simulation.services.faults import Faults
from rats_tls.simulation.services.messages import Request
from rats_tls.simulation.services.publication import AmdPublication
from rats_tls.simulation.states import PRODUCTS, Product
from rats_tls.simulation.vendor_state import AmdVendorState, SignedItem
from support.services import MILAN_TCB, TURIN_TCB, Answer, Get, from_kds, judge, refusals, vcek_target
from support.simulated import NOW, REPORT_DATA, world

MACHINES = 3
GENOA_TCB = SnpTcb(fmc=None, bootloader=10, tee=0, snp=23, microcode=84)
TCBS: dict[Product, SnpTcb] = {"Milan": MILAN_TCB, "Genoa": GENOA_TCB, "Turin": TURIN_TCB}
EARLIER = SnpTcb(fmc=None, bootloader=3, tee=0, snp=8, microcode=115)


def asker(faults: Faults | None = None, publication: AmdPublication | None = None) -> Get:
    catalogue = {
        product: kds.AmdProduct(
            vendor=world().amd(product),
            chips=tuple(world().amd_chip(product, number) for number in range(MACHINES)),
        )
        for product in PRODUCTS
    }
    published = (faults or Faults()).on(publication or AmdPublication(), NOW)

    def get(target: str) -> Answer:
        response = kds.respond(Request.from_target(target), catalogue, published, NOW)
        return Answer(response.status, {**response.headers, "Content-Type": response.content_type}, response.body)

    return get


def report(machine: int = 0, product: Product = "Milan", **settings: object) -> Evidence:
    attester = world().attester("simulated_sev_snp", machine=machine, product=product, **settings)
    return attester.collect(REPORT_DATA).evidence


def hwid(product: Product, machine: int = 0) -> bytes:
    return world().amd_chip(product, machine).hwid


@pytest.mark.parametrize("product", PRODUCTS)
@pytest.mark.parametrize("machine", range(MACHINES))
def test_answers_judge_a_report(product: Product, machine: int) -> None:
    chip = hwid(product, machine)
    assert len(chip.hex()) == (16 if product == "Turin" else 128)
    verification = judge(report(machine, product), from_kds(asker(), product, chip, TCBS[product]))
    assert verification.problems == ()
    assert verification.claims.chip_id == chip.ljust(64, b"\0")


def test_a_certificate_for_every_tcb() -> None:
    evidence = report(reported_tcb=EARLIER)
    assert judge(evidence, from_kds(asker(), "Milan", hwid("Milan"), EARLIER)).problems == ()
    assert refusals(evidence, from_kds(asker(), "Milan", hwid("Milan"), MILAN_TCB)) != set()


@pytest.mark.parametrize(("key_type", "signer"), [("vcek", "SEV-Milan"), ("vlek", "SEV-VLEK-Milan")])
def test_chain_and_list(key_type: str, signer: str) -> None:
    chain = asker()(f"/{key_type}/v1/Milan/cert_chain")
    names = [Certificate.from_der(block.der).subject.common_name for block in split_pem(chain.body, "chain")]
    assert names == [signer, "ARK-Milan"]
    crl = asker()(f"/{key_type}/v1/Milan/crl")
    assert RevocationList.from_der(crl.body).issuer.common_name == "ARK-Milan"
    assert chain.headers["Cache-Control"] == crl.headers["Cache-Control"] == "no-cache"
    assert asker()(f"/{key_type}/v1/Milan/cert_chain").body == chain.body


# Ids are random, and the names of tests are not: CHIP stands for an id.
MILAN = "/vcek/v1/Milan/CHIP?blSPL=04&teeSPL=00&snpSPL=24&ucodeSPL=219"
TURIN = "/vcek/v1/Turin/CHIP?fmcSPL=01&blSPL=02&teeSPL=01&snpSPL=04&ucodeSPL=80"


@pytest.mark.parametrize(
    ("target", "status"),
    [
        (MILAN, 200),
        (TURIN, 200),
        ("/", 404),
        (MILAN.replace("vcek", "vkek"), 404),
        (MILAN.replace("Milan", "Bergamo"), 404),
        (MILAN.replace("Milan", "Genoa"), 404),
        (MILAN.replace("blSPL=04", "blSPL=4"), 400),
        (MILAN.replace("ucodeSPL=219", "ucodeSPL=256"), 400),
        (MILAN.replace("blSPL=04&", ""), 400),
        (f"{MILAN}&fmcSPL=01", 400),
        (f"{MILAN}&blSPL=04", 400),
        (MILAN.replace("CHIP", "AB" * 64), 400),
        (MILAN.replace("CHIP", "ab" * 8), 400),
        (MILAN.replace("CHIP", "ab" * 64), 404),
        (TURIN.replace("fmcSPL=01&", ""), 400),
        (TURIN.replace("CHIP", "ab" * 64), 400),
        (TURIN.replace("CHIP", "ab" * 8), 404),
        ("/vcek/v1/Milan/cert_chain?x=1", 400),
        ("/vcek/v1/Milan/crl?x=1", 400),
        ("/vlek/v1/Milan/cert", 401),
    ],
)
def test_status(target: str, status: int) -> None:
    chip = hwid("Turin" if "Turin" in target else "Milan").hex()
    assert asker()(target.replace("CHIP", chip)).status == status


def test_targets_are_those_of_the_example() -> None:
    assert MILAN.replace("CHIP", hwid("Milan").hex()) == vcek_target("Milan", hwid("Milan"), MILAN_TCB)
    assert TURIN.replace("CHIP", hwid("Turin").hex()) == vcek_target("Turin", hwid("Turin"), TURIN_TCB)


@pytest.mark.parametrize(
    ("faults", "expected"),
    [
        (Faults(expired=True), {Refusal.ENDORSEMENTS_EXPIRED}),
        (Faults(revoked=True), {Refusal.REVOKED}),
        (Faults(revoked=True, rolled_back=True), set()),
        (Faults(rolled_back=True, tcb_recovery=True), set()),
    ],
    ids=repr,
)
def test_faults_of_documents(faults: Faults, expected: set[Refusal]) -> None:
    assert refusals(report(), from_kds(asker(faults), "Milan", hwid("Milan"), MILAN_TCB)) == expected


def test_rolled_back_lists_are_older() -> None:
    new, old = (
        RevocationList.from_der(asker(faults)("/vcek/v1/Milan/crl").body)
        for faults in (Faults(), Faults(rolled_back=True))
    )
    assert new.this_update - old.this_update > timedelta(days=9)
    assert old.next_update > NOW
    assert (old.number or 0) < (new.number or 0)


def test_answers_for_another() -> None:
    get = asker(Faults(for_another=True))
    wrong, right = (ask(vcek_target("Milan", hwid("Milan"), MILAN_TCB)).body for ask in (get, asker()))
    assert Certificate.from_der(wrong).spki != Certificate.from_der(right).spki
    other = asker()(vcek_target("Milan", hwid("Milan", 1), MILAN_TCB)).body
    assert Certificate.from_der(wrong).spki == Certificate.from_der(other).spki
    assert get("/vcek/v1/Milan/cert_chain").body == asker()("/vlek/v1/Milan/cert_chain").body
    assert refusals(report(), from_kds(get, "Milan", hwid("Milan"), MILAN_TCB)) != set()


def test_a_state_of_ones_own() -> None:
    publication = AmdPublication(state=AmdVendorState(forged={SignedItem.AMD_VEK}))
    found = from_kds(asker(publication=publication), "Milan", hwid("Milan"), MILAN_TCB)
    assert refusals(report(), found) == {Refusal.CERTIFICATE_CHAIN}
    assert len(found.of_kind(Kind.AMD_ROOT)) == 1


# --- ASKs before SEV-SNP, which AMD has elsewhere ---------------------------------------------------------------------
def signers_of(target: str) -> Answer:
    published = Faults().on(AmdPublication(), NOW)
    response = kds.respond(Request.from_target(target), {}, published, NOW, sev={"Naples": world().sev("Naples")})
    return Answer(response.status, response.headers, response.body)


def test_a_file_of_ask_and_ark() -> None:
    answer = signers_of("/wp-content/resources/ask_ark_naples.cert")
    vendor = world().sev("Naples")
    assert (answer.status, answer.body) == (200, vendor.signer() + vendor.root_certificate)
    collected = world().attester("simulated_sev").collect(REPORT_DATA)
    assert endorsements_from_signers(answer.body) == tuple(collected.endorsements)


@pytest.mark.parametrize("name", ["rome", "Naples", "genoa", "naples.cert/..", ""])
def test_files_that_are_not_there(name: str) -> None:
    assert signers_of(f"/wp-content/resources/ask_ark_{name}.cert").status == 404
