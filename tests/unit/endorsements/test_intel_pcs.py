"""Intel PCS and PCCS: what is asked, and what comes of each answer, with made documents."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from rats_tls.core.endorsements import Endorsement, EndorsementKind, MissingEndorsement
from rats_tls.core.errors import ConfigurationError
from rats_tls.core.limits import DEFAULT_FETCH_LIMITS
from rats_tls.endorsements.http import HttpsClient
from rats_tls.endorsements.intel_pcs import IntelPcs, Pccs, UpdateChannel
from rats_tls.endorsements.source import EndorsementSource, FetchError, FetchProblem
from rats_tls.simulation.pki import to_pem
from support.intel_pki import certificate, revocation_list
from support.pcs import encoded, json_reply, missing, one, response, simulated
from support.vendor_server import Reply, VendorServer, server_identity, vendor_server

K = EndorsementKind
P = FetchProblem
SGX, TDX = "simulated_sgx_ecdsa", "simulated_tdx_ecdsa"
TCB_HEADER, QE_HEADER = "TCB-Info-Issuer-Chain", "SGX-Enclave-Identity-Issuer-Chain"
CRL_HEADER, PCK_HEADER = "SGX-PCK-CRL-Issuer-Chain", "SGX-PCK-Certificate-Issuer-Chain"
PCK_KEY = {"encrypted_ppid": "ab" * 384, "cpusvn": "01" * 16, "pcesvn": "0d00", "pceid": "0000"}
ROOT = "/IntelSGXRootCA.der"


@pytest.fixture
def server() -> Iterator[VendorServer]:
    with vendor_server() as made:
        yield made


def pcs(server: VendorServer, channel: str = "standard") -> IntelPcs:
    return IntelPcs(base_url=server.url, root_crl_url=server.url + ROOT, ca=server_identity()[0], channel=channel)


def pccs(server: VendorServer, path: str = "") -> Pccs:
    return Pccs(server.url + path, ca=server_identity()[0])


def fmspc(name: str) -> str:
    return str(json.loads(one(name, K.INTEL_TCB_INFO).data)["fmspc"]).lower()


def tcb_item(name: str = SGX) -> MissingEndorsement:
    return missing(K.INTEL_TCB_INFO, id="TDX" if name == TDX else "SGX", fmspc=fmspc(name), pceid="0000")


def tcb_path(name: str = SGX, channel: str = "standard") -> str:
    return f"/{'tdx' if name == TDX else 'sgx'}/certification/v4/tcb?fmspc={fmspc(name)}&update={channel}"


def refused(source: EndorsementSource, item: MissingEndorsement) -> FetchError:
    with pytest.raises(FetchError) as caught:
        source.fetch(item)
    assert caught.value.message.startswith(f"{source.name}: ")
    return caught.value


# --- what is got --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("channel", ["standard", "early"])
@pytest.mark.parametrize(("name", "tee", "identity"), [(SGX, "sgx", "QE"), (TDX, "tdx", "TD_QE")])
def test_documents_of_one_update_channel(
    server: VendorServer, name: str, tee: str, identity: str, channel: str
) -> None:
    tcb, qe = one(name, K.INTEL_TCB_INFO), one(name, K.INTEL_QE_IDENTITY)
    qe_path = f"/{tee}/certification/v4/qe/identity?update={channel}"
    server.replies[tcb_path(name, channel)] = json_reply(tcb, "tcbInfo", TCB_HEADER)
    server.replies[qe_path] = json_reply(qe, "enclaveIdentity", QE_HEADER)
    source = pcs(server, channel)
    assert source.fetch(tcb_item(name)) == (tcb,)
    assert source.fetch(missing(K.INTEL_QE_IDENTITY, id=identity)) == (qe,)
    assert server.asked == [tcb_path(name, channel), qe_path]


@pytest.mark.parametrize("ca", ["platform", "processor"])
def test_the_list_of_a_pck_ca(server: VendorServer, ca: str) -> None:
    data = revocation_list(f"Intel SGX PCK {ca.title()} CA")
    chain = (certificate("a CA", "a root", ca=True), certificate("a root", "a root", ca=True))
    path = f"/sgx/certification/v4/pckcrl?ca={ca}&encoding=der"
    server.replies[path] = Reply(headers=((CRL_HEADER, encoded(chain)),), body=data)
    expected = Endorsement(kind=K.INTEL_PCK_CRL, data=data, issuer_chain=chain)
    assert pcs(server).fetch(missing(K.INTEL_PCK_CRL, ca=ca)) == (expected,)
    assert pccs(server).fetch(missing(K.INTEL_PCK_CRL, ca=ca)) == (expected,)


def test_the_list_of_the_root_ca(server: VendorServer) -> None:
    item = missing(K.INTEL_ROOT_CRL, issuer="Intel SGX Root CA")
    data = one(SGX, K.INTEL_ROOT_CRL).data
    server.replies[ROOT] = Reply(body=data)
    server.replies["/sgx/certification/v4/rootcacrl"] = Reply(body=data.hex().encode())
    expected = (Endorsement(kind=K.INTEL_ROOT_CRL, data=data),)
    assert pcs(server).fetch(item) == pccs(server).fetch(item) == expected
    server.replies["/sgx/certification/v4/rootcacrl"] = Reply(body=data.hex().upper().encode() + b"\n")
    assert pccs(server).fetch(item) == expected


def test_a_pck_certificate(server: VendorServer) -> None:
    pck = one(SGX, K.INTEL_PCK_CHAIN)
    path = "/sgx/certification/v4/pckcert?"
    query = "&".join(f"{name}={value}" for name, value in PCK_KEY.items())
    reply = Reply(headers=((PCK_HEADER, encoded(pck.issuer_chain)),), body=to_pem([pck.data]))
    server.replies[path + query] = reply
    server.replies[f"{path}qeid={'0c' * 16}&{query}"] = reply
    item = missing(K.INTEL_PCK_CHAIN, **PCK_KEY)
    assert pcs(server).fetch(item) == (pck,)
    # PCCS keeps certificates by the id of the quoting enclave too.
    assert not pccs(server).serves(item)
    assert pccs(server).fetch(missing(K.INTEL_PCK_CHAIN, **PCK_KEY, qeid="0c" * 16)) == (pck,)


def test_a_plus_sign_in_a_chain_stands_for_itself(server: VendorServer) -> None:
    chain = next(
        chain
        for number in range(1, 200)
        if b"+" in to_pem(chain := (certificate("a", "b", serial=number, ca=True), certificate("b", "b", ca=True)))
    )
    assert "+" in encoded(chain)
    data = revocation_list("Intel SGX PCK Platform CA")
    server.default = Reply(headers=((CRL_HEADER.upper(), encoded(chain)),), body=data)
    assert pcs(server).fetch(missing(K.INTEL_PCK_CRL, ca="platform"))[0].issuer_chain == chain


@pytest.mark.parametrize("path", ["", "/", "/sgx/certification/v4", "/sgx/certification/v4/", "/mirror"])
def test_base_urls_of_caches(server: VendorServer, path: str) -> None:
    prefix = path if path == "/mirror" else ""
    tcb = one(SGX, K.INTEL_TCB_INFO)
    server.replies[prefix + tcb_path()] = json_reply(tcb, "tcbInfo", TCB_HEADER)
    source = pccs(server, path)
    assert source.fetch(tcb_item()) == (tcb,)
    assert source.name == f"pccs {server.host}"


def test_the_exact_bytes_are_kept(server: VendorServer) -> None:
    tcb = one(SGX, K.INTEL_TCB_INFO)
    spaced = tcb.data.replace(b",", b" ,\n ", 3)
    body = b' { "tcbInfo" : ' + spaced + b' ,"signature":"' + tcb.signature.hex().upper().encode() + b'"}\n'
    server.default = Reply(headers=((TCB_HEADER, encoded(tcb.issuer_chain)),), body=body)
    (found,) = pcs(server).fetch(tcb_item())
    assert (found.data, found.signature) == (spaced, tcb.signature)


# --- what is not --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("status", "problem"), [(404, P.NOT_FOUND), (461, P.NOT_FOUND), (429, P.THROTTLED), (302, P.MALFORMED)]
)
def test_statuses(server: VendorServer, status: int, problem: FetchProblem) -> None:
    server.default = Reply(status=status)
    for source in (pcs(server), pccs(server)):
        error = refused(source, tcb_item())
        assert error.problem is problem
        assert f"TCB info of SGX, FMSPC {fmspc(SGX)}" in error.message


def test_answers_about_something_else(server: VendorServer) -> None:
    source = pcs(server)
    server.default = json_reply(one(TDX, K.INTEL_TCB_INFO), "tcbInfo", TCB_HEADER)
    assert "TcbInfo.id: got TDX, asked for SGX" in refused(source, tcb_item()).message
    server.default = json_reply(one(SGX, K.INTEL_TCB_INFO), "tcbInfo", TCB_HEADER)
    error = refused(source, missing(K.INTEL_TCB_INFO, id="SGX", fmspc="00" * 6))
    assert error.problem is P.MALFORMED
    assert f"fmspc: got {fmspc(SGX)}, asked for 000000000000" in error.message
    server.default = json_reply(one(TDX, K.INTEL_QE_IDENTITY), "enclaveIdentity", QE_HEADER)
    assert "got TD_QE, asked for QE" in refused(source, missing(K.INTEL_QE_IDENTITY, id="QE")).message
    chain = encoded((certificate("a", "b"), certificate("b", "b")))
    server.default = Reply(headers=((CRL_HEADER, chain),), body=revocation_list("Intel SGX PCK Processor CA"))
    assert "Processor" in refused(source, missing(K.INTEL_PCK_CRL, ca="platform")).message
    assert "Processor" in refused(source, missing(K.INTEL_ROOT_CRL, issuer="Intel SGX Root CA")).message
    server.default = Reply(headers=((PCK_HEADER, chain),), body=to_pem([certificate("a", "b")]))
    assert "common name" in refused(source, missing(K.INTEL_PCK_CHAIN, **PCK_KEY)).message


def bodies() -> dict[str, bytes]:
    tcb = one(SGX, K.INTEL_TCB_INFO)
    good = response("tcbInfo", tcb.data, tcb.signature)
    return {
        "empty": b"",
        "a page": b"<html>captive portal</html>",
        "cut": good[:-10],
        "behind": good + b"{}",
        "another member": response("enclaveIdentity", tcb.data, tcb.signature),
        "short signature": response("tcbInfo", tcb.data, tcb.signature[:-1]),
        "no document": b'{"tcbInfo":{},"signature":"' + b"0" * 128 + b'"}',
        "not UTF-8": good.replace(b"SGX", b"\xff\xfe\xfd"),
        "twice": good[:-1] + b',"signature":"00"}',
        "a certificate": to_pem([certificate("a", "b")]),
    }


@pytest.mark.parametrize("name", list(bodies()))
def test_documents_of_another_form(server: VendorServer, name: str) -> None:
    chain = encoded(one(SGX, K.INTEL_TCB_INFO).issuer_chain)
    server.default = Reply(headers=((TCB_HEADER, chain),), body=bodies()[name])
    assert refused(pcs(server), tcb_item()).problem is P.MALFORMED


def chains() -> dict[str, str | None]:
    chain = one(SGX, K.INTEL_TCB_INFO).issuer_chain
    text = encoded(chain)
    return {
        "absent": None,
        "empty": "",
        "one": encoded(chain[:1]),
        "three": encoded((*chain, chain[1])),
        "plus for space": text.replace("%20", "+"),
        "half an escape": text + "%2",
        "no escape": text.replace("%0A", " "),
        "cut": text[: len(text) // 2],
        "another label": text.replace("CERTIFICATE", "X509%20CRL"),
        "no certificate": encoded("-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"),
    }


@pytest.mark.parametrize("name", list(chains()))
def test_chains_of_another_form(server: VendorServer, name: str) -> None:
    tcb = one(SGX, K.INTEL_TCB_INFO)
    text = chains()[name]
    headers = () if text is None else ((TCB_HEADER, text),)
    server.default = Reply(headers=headers, body=response("tcbInfo", tcb.data, tcb.signature))
    error = refused(pcs(server), tcb_item())
    assert error.problem is P.MALFORMED
    assert TCB_HEADER in error.message


def test_a_chain_in_two_headers(server: VendorServer) -> None:
    tcb = one(SGX, K.INTEL_TCB_INFO)
    headers = tuple((TCB_HEADER, encoded([der])) for der in tcb.issuer_chain)
    server.default = Reply(headers=headers, body=response("tcbInfo", tcb.data, tcb.signature))
    assert "not percent-encoded" in refused(pcs(server), tcb_item()).message


@pytest.mark.parametrize("data", [b"", b"\x30\x00", b"30", b"3g", b"00" * 40, certificate("Intel SGX Root CA", "a")])
def test_lists_of_another_form(server: VendorServer, data: bytes) -> None:
    server.default = Reply(body=data)
    item = missing(K.INTEL_ROOT_CRL, issuer="Intel SGX Root CA")
    for source in (pcs(server), pccs(server)):
        assert refused(source, item).problem is P.MALFORMED


def test_documents_are_bounded_by_their_kind(server: VendorServer) -> None:
    server.default = Reply(body=b" " * (DEFAULT_FETCH_LIMITS.json_document + 1))
    source = pcs(server)
    assert "more than 262144 bytes" in refused(source, tcb_item()).message
    assert "more than 262144 bytes" in refused(source, missing(K.INTEL_QE_IDENTITY, id="QE")).message
    assert "more than 65536 bytes" in refused(source, missing(K.INTEL_PCK_CHAIN, **PCK_KEY)).message
    server.default = Reply(body=b" " * (DEFAULT_FETCH_LIMITS.revocation_list + 1))
    assert "more than 1048576 bytes" in refused(source, missing(K.INTEL_PCK_CRL, ca="platform")).message


# --- keys ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "item",
    [
        missing(K.INTEL_TCB_INFO),
        missing(K.INTEL_TCB_INFO, id="SGX"),
        missing(K.INTEL_TCB_INFO, id="QE", fmspc="00" * 6),
        missing(K.INTEL_TCB_INFO, id="SGX", fmspc="00" * 5),
        missing(K.INTEL_TCB_INFO, id="SGX", fmspc="00" * 7),
        missing(K.INTEL_TCB_INFO, id="SGX", fmspc="AB" * 6),
        missing(K.INTEL_TCB_INFO, id="SGX", fmspc="0000000000/."),
        missing(K.INTEL_TCB_INFO, id="SGX", fmspc="00000000000\n"),
        missing(K.INTEL_TCB_INFO, id="SGX", fmspc="\u0660" * 12),
        MissingEndorsement(kind=K.INTEL_TCB_INFO, key=(("id", "SGX"), ("fmspc", "00" * 6), ("fmspc", "11" * 6))),
        missing(K.INTEL_QE_IDENTITY, id="SGX"),
        missing(K.INTEL_PCK_CRL, ca="root"),
        missing(K.INTEL_PCK_CRL, ca="platform&encoding=pem"),
        missing(K.INTEL_ROOT_CRL),
        missing(K.INTEL_ROOT_CRL, issuer="Another"),
        missing(K.INTEL_PCK_CHAIN),
        missing(K.INTEL_PCK_CHAIN, leaf_sha256="00" * 32, issuer="Intel SGX PCK Platform CA"),
        missing(K.INTEL_PCK_CHAIN, **(PCK_KEY | {"pceid": ""})),
        missing(K.INTEL_PCK_CHAIN, **(PCK_KEY | {"encrypted_ppid": "ab" * 16})),
        missing(K.AMD_VEK, product="Milan"),
        missing(K.AMD_CRL, product="Milan", type="VCEK"),
    ],
)
def test_other_items_are_never_asked_for(server: VendorServer, item: MissingEndorsement) -> None:
    for source in (pcs(server), pccs(server)):
        assert not source.serves(item)
        assert refused(source, item).problem is P.NOT_FOUND
    assert server.asked == []


def test_items_that_verifiers_miss_are_served(server: VendorServer) -> None:
    source = pcs(server)
    assert all(
        source.serves(item)
        for item in (
            tcb_item(SGX),
            tcb_item(TDX),
            missing(K.INTEL_QE_IDENTITY, id="TD_QE"),
            missing(K.INTEL_ROOT_CRL, issuer="Intel SGX Root CA"),
            missing(K.INTEL_PCK_CRL, ca="processor"),
        )
    )
    assert len(simulated(SGX)) == 5


# --- settings -----------------------------------------------------------------------------------------------------
def test_settings_of_another_form() -> None:
    with pytest.raises(ConfigurationError, match="update channel of intel-pcs: got 'late', expected standard or early"):
        IntelPcs(channel="late")
    with pytest.raises(ConfigurationError, match="https"):
        Pccs("http://localhost:8081")
    with pytest.raises(ConfigurationError, match="https"):
        IntelPcs(root_crl_url="ftp://localhost/list")


def test_defaults() -> None:
    source = IntelPcs()
    assert source.name == "intel-pcs"
    assert source.serves(missing(K.INTEL_QE_IDENTITY, id="QE"))
    assert UpdateChannel("early") is UpdateChannel.EARLY


def test_a_client_that_does_not_allow_the_hosts() -> None:
    for hosts in (("another",), ("api.trustedservices.intel.com",)):
        with pytest.raises(ConfigurationError, match="not an https URL of a host that may be asked"):
            IntelPcs(client=HttpsClient(hosts))
    with pytest.raises(ConfigurationError, match=r"URL https://localhost:8081: .*asked: localhost$"):
        Pccs("https://localhost:8081", client=HttpsClient(("localhost",)))
