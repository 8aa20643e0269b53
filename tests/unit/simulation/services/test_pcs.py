"""Simulated PCS and PCCS: paths, parameters, headers, encodings, and status codes of Intel's API version 4."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from urllib.parse import unquote

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from rats_tls.core.claims import TcbStatus
from rats_tls.core.endorsements import Endorsement
from rats_tls.core.endorsements import EndorsementKind as Kind
from rats_tls.core.evidence import Evidence
from rats_tls.core.refusals import Refusal
from rats_tls.formats.json_document import split_response
from rats_tls.formats.x509 import Certificate, RevocationList, certificates_from_pem
from rats_tls.simulation.intel_levels import sgx_components
from rats_tls.simulation.services import pcs
from rats_tls.simulation.services.faults import Faults
from rats_tls.simulation.services.messages import Request
from rats_tls.simulation.services.publication import IntelPublication
from rats_tls.simulation.states import FMSPCS
from rats_tls.simulation.vendor_state import IntelVendorState, SignedItem
from support.services import FMSPC, Answer, Get, from_pcs, judge, refusals
from support.simulated import NOW, REPORT_DATA, world

SGX, TDX = "/sgx/certification/v4", "/tdx/certification/v4"
HEALTHY = IntelPublication()
CPU_SVN = bytes(sgx_components(8)).hex()
MACHINES = 3


def asker(publication: IntelPublication = HEALTHY, faults: Faults | None = None, *, is_cache: bool = False) -> Get:
    catalogue = pcs.IntelCatalogue(
        vendor=world().intel,
        platforms=tuple(world().intel_machine(number) for number in range(MACHINES)),
        fmspcs=FMSPCS,
        is_cache=is_cache,
    )
    published = (faults or Faults()).on(publication, NOW)

    def get(target: str) -> Answer:
        response = pcs.respond(Request.from_target(target), catalogue, published, NOW)
        return Answer(response.status, {**response.headers, "Content-Type": response.content_type}, response.body)

    return get


def collected(tee: str, machine: int = 0, **settings: object) -> Evidence:
    return world().attester(f"simulated_{tee}_ecdsa", machine=machine, **settings).collect(REPORT_DATA).evidence


def number_of(answer: Answer) -> int:
    assert answer.status == 200
    (document,) = (value for value in json.loads(answer.body).values() if isinstance(value, dict))
    number: int = document["tcbEvaluationDataNumber"]
    return number


def pckcert(machine: int = 0, **changes: str) -> str:
    query = {
        "encrypted_ppid": world().intel_machine(machine).encrypted_ppid.hex(),
        "cpusvn": CPU_SVN,
        "pcesvn": "0d00",
        "pceid": "0000",
        **changes,
    }
    return f"{SGX}/pckcert?" + "&".join(f"{name}={value}" for name, value in query.items())


# --- what there is --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("tee", ["sgx", "tdx"])
@pytest.mark.parametrize("machine", [0, 1, 2])
@pytest.mark.parametrize("fmspc", [FMSPCS[0], FMSPCS[3]])
@pytest.mark.parametrize("ca", ["platform", "processor"])
def test_answers_judge_a_quote(tee: str, machine: int, fmspc: bytes, ca: str) -> None:
    evidence = collected(tee, machine, fmspc=fmspc, certificate_authority=ca)
    verification = judge(evidence, from_pcs(asker(), tee, fmspc=fmspc.hex(), ca=ca))
    assert verification.problems == ()
    assert verification.claims.tcb.status is TcbStatus.UP_TO_DATE
    assert verification.claims.platform.ppid == world().intel_machine(machine).ppid


@pytest.mark.parametrize(
    ("target", "member", "name", "header"),
    [
        (f"{SGX}/tcb?fmspc={FMSPC}", "tcbInfo", "SGX", "TCB-Info-Issuer-Chain"),
        (f"{TDX}/tcb?fmspc={FMSPC}", "tcbInfo", "TDX", "TCB-Info-Issuer-Chain"),
        (f"{SGX}/qe/identity", "enclaveIdentity", "QE", "SGX-Enclave-Identity-Issuer-Chain"),
        (f"{TDX}/qe/identity", "enclaveIdentity", "TD_QE", "SGX-Enclave-Identity-Issuer-Chain"),
        (f"{SGX}/qve/identity", "enclaveIdentity", "QVE", "SGX-Enclave-Identity-Issuer-Chain"),
        (f"{SGX}/qae/identity", "enclaveIdentity", "QAE", "SGX-Enclave-Identity-Issuer-Chain"),
        (
            f"{SGX}/tcbevaluationdatanumbers",
            "tcbEvaluationDataNumbers",
            "SGX",
            "TCB-Evaluation-Data-Numbers-Issuer-Chain",
        ),
        (
            f"{TDX}/tcbevaluationdatanumbers",
            "tcbEvaluationDataNumbers",
            "TDX",
            "TCB-Evaluation-Data-Numbers-Issuer-Chain",
        ),
    ],
)
def test_documents_are_signed_as_served(target: str, member: str, name: str, header: str) -> None:
    answer = asker()(target)
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/json")
    assert len(answer.headers["Request-ID"]) == 32
    data, signature = split_response(answer.body, member, "answer")
    assert json.loads(data)["id"] == name
    assert "%0A" in answer.headers[header]
    assert not set(answer.headers[header]) & set(" \n+")
    signing, root = answer.chain(header)
    assert root == world().intel.root_certificate
    verify(signing, signature, data)
    assert asker()(target).body == answer.body  # the same signature too


def verify(signing: bytes, signature: bytes, data: bytes) -> None:
    key = x509.load_der_x509_certificate(signing).public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    key.verify(encode_dss_signature(r, s), data, ec.ECDSA(hashes.SHA256()))


@pytest.mark.parametrize("ca", ["processor", "platform"])
def test_revocation_lists_as_pem_and_der(ca: str) -> None:
    der, pem = (asker()(f"{SGX}/pckcrl?ca={ca}&encoding={encoding}") for encoding in ("der", "pem"))
    assert der.headers["Content-Type"] == "application/pkix-crl"
    assert pem.headers["Content-Type"] == "application/x-pem-file"
    assert asker()(f"{SGX}/pckcrl?ca={ca}").body == pem.body
    assert pem.body.startswith(b"-----BEGIN X509 CRL-----")
    assert x509.load_pem_x509_crl(pem.body) == x509.load_der_x509_crl(der.body)
    issuer, root = der.chain("SGX-PCK-CRL-Issuer-Chain")
    assert RevocationList.from_der(der.body).issuer.der == Certificate.from_der(issuer).subject.der
    assert ca.title() in Certificate.from_der(issuer).subject.common_name
    assert root == world().intel.root_certificate


def test_the_cache_gives_the_roots_list_in_hexadecimal() -> None:
    answer = asker(is_cache=True)(f"{SGX}/rootcacrl")
    assert bytes.fromhex(answer.body.decode()) == asker()("/IntelSGXRootCA.der").body
    assert asker()(f"{SGX}/rootcacrl").status == 404


def test_pck_certificate_of_an_encrypted_ppid() -> None:
    evidence = collected("sgx", 1, certification_data_type=3)
    answer = asker()(pckcert(1))
    assert answer.headers["Content-Type"] == "application/x-pem-file"
    assert answer.headers["SGX-TCBm"] == f"{CPU_SVN}0d00"
    assert answer.headers["SGX-FMSPC"] == FMSPC
    assert answer.headers["SGX-PCK-Certificate-CA-Type"] == "platform"
    (leaf,) = certificates_from_pem(answer.body)
    chain = answer.chain("SGX-PCK-Certificate-Issuer-Chain")
    item = Endorsement(kind=Kind.INTEL_PCK_CHAIN, data=leaf, issuer_chain=chain)
    documents = from_pcs(asker(), "sgx")
    assert refusals(evidence, documents) == {Refusal.ENDORSEMENTS_MISSING}
    verification = judge(evidence, documents.with_items((item,)))
    assert verification.problems == ()
    assert verification.claims.platform.ppid == world().intel_machine(1).ppid


def test_all_pck_certificates_of_a_platform() -> None:
    ppid = world().intel_machine(2).encrypted_ppid.hex()
    listed = json.loads(asker()(f"{SGX}/pckcerts?encrypted_ppid={ppid}&pceid=0000").body)
    assert len(listed) == 7
    assert listed[0]["tcbm"] == f"{CPU_SVN}0d00"
    (leaf,) = certificates_from_pem(unquote(listed[0]["cert"]).encode())
    (alone,) = certificates_from_pem(asker()(pckcert(2)).body)
    assert Certificate.from_der(leaf).spki == Certificate.from_der(alone).spki
    configured = asker()(f"{SGX}/pckcerts/config?encrypted_ppid={ppid}&pceid=0000&cpusvn={CPU_SVN}")
    assert json.loads(configured.body)[0]["tcb"]["pcesvn"] == 13


def test_fmspcs() -> None:
    listed = json.loads(asker()(f"{SGX}/fmspcs").body)
    assert [bytes.fromhex(each["fmspc"]) for each in listed] == list(FMSPCS)
    assert json.loads(asker()(f"{SGX}/fmspcs?platform=E5").body) == listed
    assert json.loads(asker()(f"{SGX}/fmspcs?platform=client").body) == []


# --- channels and numbers -------------------------------------------------------------------------------------------
def test_channels() -> None:
    early = IntelVendorState(tcb_evaluation_data_number=20)
    get = asker(IntelPublication(early=early))
    for path in (f"{SGX}/tcb?fmspc={FMSPC}&", f"{TDX}/tcb?fmspc={FMSPC}&", f"{SGX}/qe/identity?"):
        numbers = [number_of(get(path + query)) for query in ("", "update=standard", "update=early")]
        assert numbers == [18, 18, 20]
        for number in (16, 17, 18, 19, 20):
            assert number_of(get(f"{path}tcbEvaluationDataNumber={number}")) == number
        assert get(f"{path}tcbEvaluationDataNumber=15").status == 410
        assert get(f"{path}tcbEvaluationDataNumber=21").status == 404
        assert get(f"{path}update=early&tcbEvaluationDataNumber=18").status == 400
        assert get(f"{path}update=late").status == 400
    listed = json.loads(get(f"{SGX}/tcbevaluationdatanumbers").body)["tcbEvaluationDataNumbers"]["tcbNumbers"]
    assert [each["tcbEvaluationDataNumber"] for each in listed] == [20, 19, 18, 17, 16]


@pytest.mark.parametrize("tee", ["sgx", "tdx"])
def test_a_tcb_recovery_shows_in_the_early_channel_first(tee: str) -> None:
    get = asker(faults=Faults(tcb_recovery=True))
    verification = {
        update: judge(collected(tee), from_pcs(get, tee, update=update)) for update in ("standard", "early")
    }
    assert [each.problems for each in verification.values()] == [(), ()]
    assert verification["standard"].claims.tcb.status is TcbStatus.UP_TO_DATE
    assert verification["early"].claims.tcb.status is TcbStatus.OUT_OF_DATE
    numbers = [each.claims.tcb.tcb_evaluation_data_number for each in verification.values()]
    assert numbers == [18, 19]
    updated = collected(tee, sgx_components=sgx_components(9))
    assert judge(updated, from_pcs(get, tee, update="early")).claims.tcb.status is TcbStatus.UP_TO_DATE


# --- what is refused ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("/", 404),
        ("/sgx/certification/v3/tcb?fmspc=53494d000000", 404),
        (f"{SGX}/tcb", 400),
        (f"{SGX}/tcb?fmspc=53494D000000", 200),
        (f"{SGX}/tcb?fmspc=53494d00000", 400),
        (f"{SGX}/tcb?fmspc=00906ea10000", 404),
        (f"{SGX}/tcb?fmspc={FMSPC}&fmspc={FMSPC}", 400),
        (f"{SGX}/tcb?fmspc={FMSPC}&colour=red", 400),
        (f"{SGX}/pckcrl", 400),
        (f"{SGX}/pckcrl?ca=root", 400),
        (f"{SGX}/pckcrl?ca=platform&encoding=hex", 400),
        (f"{TDX}/pckcrl?ca=platform", 404),
        (f"{SGX}/pckcert?cpusvn={CPU_SVN}", 400),
        (f"{SGX}/fmspcs?platform=E7", 400),
    ],
)
def test_status(target: str, status: int) -> None:
    answer = asker()(target)
    assert answer.status == status
    if status != 200:
        assert answer.body == b""
        assert answer.headers["Error-Code"]
        assert answer.headers["Error-Message"]


def test_status_of_platforms() -> None:
    assert asker()(pckcert(encrypted_ppid="00" * 384)).status == 404
    assert asker()(pckcert(pceid="0001")).status == 404
    assert asker()(pckcert(pcesvn="13")).status == 400
    assert asker()(pckcert(qeid="00")).status == 200


def test_the_cache_needs_the_id_of_the_quoting_enclave() -> None:
    assert asker(is_cache=True)(pckcert()).status == 400
    assert asker(is_cache=True)(pckcert(qeid="ab" * 16)).status == 200


def test_what_a_client_sent_cannot_become_a_header() -> None:
    answer = asker()(f"{SGX}/tcb?a%0d%0aSet-Cookie%3a%20b=%E2%82%AC{'x' * 300}")
    assert answer.status == 400
    assert answer.headers["Error-Message"].isascii()
    assert answer.headers["Error-Message"].isprintable()
    assert len(answer.headers["Error-Message"]) <= 200


# --- faults ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("tee", ["sgx", "tdx"])
@pytest.mark.parametrize(
    ("faults", "expected"),
    [
        (Faults(expired=True), {Refusal.ENDORSEMENTS_EXPIRED}),
        (Faults(revoked=True), {Refusal.REVOKED}),
        (Faults(for_another=True), {Refusal.ENDORSEMENTS_MISSING}),
        (Faults(rolled_back=True), set()),
        (Faults(revoked=True, rolled_back=True), set()),
    ],
    ids=repr,
)
def test_faults_of_documents(tee: str, faults: Faults, expected: set[Refusal]) -> None:
    assert refusals(collected(tee), from_pcs(asker(faults=faults), tee)) == expected


@pytest.mark.parametrize("machine", range(MACHINES))
@pytest.mark.parametrize("status", [TcbStatus.OUT_OF_DATE, None])
def test_every_machine_is_revoked_at_every_tcb(machine: int, status: TcbStatus | None) -> None:
    evidence = collected("sgx", machine, tcb_status=status)
    assert Refusal.REVOKED in refusals(evidence, from_pcs(asker(faults=Faults(revoked=True)), "sgx"))


def test_rolled_back_documents_are_older() -> None:
    now, before = (from_pcs(asker(faults=faults), "sgx") for faults in (Faults(), Faults(rolled_back=True)))
    for kind, number in ((Kind.INTEL_TCB_INFO, "issueDate"), (Kind.INTEL_QE_IDENTITY, "issueDate")):
        new, old = (json.loads(each.of_kind(kind)[0].data) for each in (now, before))
        assert old[number] < new[number]
        assert old["tcbEvaluationDataNumber"] == new["tcbEvaluationDataNumber"] - 1
    for kind in (Kind.INTEL_ROOT_CRL, Kind.INTEL_PCK_CRL):
        new_list, old_list = (RevocationList.from_der(each.of_kind(kind)[0].data) for each in (now, before))
        assert new_list.this_update - old_list.this_update > timedelta(days=9)
        assert old_list.next_update > NOW
        assert (old_list.number or 0) < (new_list.number or 0)


def test_a_rollback_concerns_both_channels() -> None:
    get = asker(IntelPublication(early=IntelVendorState(tcb_evaluation_data_number=20)), Faults(rolled_back=True))
    assert [number_of(get(f"{SGX}/qe/identity?update={update}")) for update in ("standard", "early")] == [17, 19]


def test_answers_for_another() -> None:
    get = asker(faults=Faults(for_another=True))
    assert json.loads(get(f"{SGX}/tcb?fmspc={FMSPC}").body)["tcbInfo"]["fmspc"] != FMSPC
    assert json.loads(get(f"{SGX}/qe/identity").body)["enclaveIdentity"]["id"] == "TD_QE"
    issuer = RevocationList.from_der(get(f"{SGX}/pckcrl?ca=platform&encoding=der").body).issuer
    assert "Processor" in issuer.common_name
    (other,) = certificates_from_pem(get(pckcert(0)).body)
    (right,) = certificates_from_pem(asker()(pckcert(1)).body)
    assert Certificate.from_der(other).spki == Certificate.from_der(right).spki


def test_a_state_of_ones_own() -> None:
    state = replace(HEALTHY.standard, expired={SignedItem.INTEL_TCB_INFO})
    (problem,) = judge(collected("sgx"), from_pcs(asker(IntelPublication(standard=state)), "sgx")).problems
    assert problem.error.refusal is Refusal.ENDORSEMENTS_EXPIRED
