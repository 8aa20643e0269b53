"""Sources: whatever a service answers and whatever a key holds, there is a value or a FetchError."""

from __future__ import annotations

import contextlib
import functools
import socket
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rats_tls.core.endorsements import Endorsement, EndorsementKind, MissingEndorsement
from rats_tls.core.limits import DEFAULT_FETCH_LIMITS
from rats_tls.endorsements.amd_kds import AmdKds
from rats_tls.endorsements.http import HttpsClient
from rats_tls.endorsements.https_connection import HttpAnswer
from rats_tls.endorsements.intel_pcs import IntelPcs, Pccs
from rats_tls.endorsements.source import EndorsementSource, FetchError
from rats_tls.formats.amd.vek import VekCertificate
from rats_tls.simulation.pki import to_pem
from support.intel_pki import certificate, revocation_list
from support.mutations import mutated
from support.pcs import encoded, missing, one, response
from support.vendor_server import Reply, VendorServer, server_identity, vendor_server

K = EndorsementKind
SGX, SNP = "simulated_sgx_ecdsa", "simulated_sev_snp"


class AnsweringClient(HttpsClient):
    """Gives one answer to every request, and keeps the URL."""

    def __init__(self, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.limits = DEFAULT_FETCH_LIMITS
        self.answer = HttpAnswer(status=200, headers=headers or {}, body=body)
        self.urls: list[str] = []

    def require_allowed(self, *urls: str) -> None:
        pass

    def get(self, url: str, *, what: str, accept: str, most_bytes: int) -> HttpAnswer:
        self.urls.append(url)
        return self.answer


def sources(client: HttpsClient) -> tuple[EndorsementSource, ...]:
    return (IntelPcs(client=client), Pccs("https://localhost:8081", client=client), AmdKds(client=client))


@functools.cache
def items() -> tuple[MissingEndorsement, ...]:
    hwid = VekCertificate.from_der(one(SNP, K.AMD_VEK).data).extensions.hwid
    assert hwid is not None
    spls = {"blSPL": "1", "teeSPL": "1", "snpSPL": "1", "ucodeSPL": "1"}
    pck = {"encrypted_ppid": "ab" * 384, "cpusvn": "01" * 16, "pcesvn": "0d00", "pceid": "0000", "qeid": "00" * 16}
    return (
        missing(K.INTEL_TCB_INFO, id="SGX", fmspc="00" * 6),
        missing(K.INTEL_QE_IDENTITY, id="QE"),
        missing(K.INTEL_PCK_CRL, ca="platform"),
        missing(K.INTEL_ROOT_CRL, issuer="Intel SGX Root CA"),
        missing(K.INTEL_PCK_CHAIN, **pck),
        missing(K.AMD_VEK, product="Milan", type="VCEK", hwid=hwid.hex(), **spls),
        missing(K.AMD_SIGNER, product="Milan", name="SEV-Milan"),
        missing(K.AMD_CRL, product="Milan", type="VCEK"),
    )


@functools.cache
def bodies() -> tuple[bytes, ...]:
    tcb, qe = one(SGX, K.INTEL_TCB_INFO), one(SGX, K.INTEL_QE_IDENTITY)
    ark = certificate("ARK-Milan", "ARK-Milan", ca=True)
    return (
        response("tcbInfo", tcb.data, tcb.signature),
        response("enclaveIdentity", qe.data, qe.signature),
        revocation_list("Intel SGX PCK Platform CA"),
        revocation_list("Intel SGX Root CA").hex().encode(),
        revocation_list("ARK-Milan"),
        to_pem([one(SGX, K.INTEL_PCK_CHAIN).data]),
        one(SNP, K.AMD_VEK).data,
        to_pem([certificate("SEV-Milan", "ARK-Milan", ca=True), ark]),
    )


@functools.cache
def chains() -> tuple[bytes, ...]:
    return (encoded(one(SGX, K.INTEL_TCB_INFO).issuer_chain).encode(),)


HEADERS = (
    "tcb-info-issuer-chain",
    "sgx-enclave-identity-issuer-chain",
    "sgx-pck-crl-issuer-chain",
    "sgx-pck-certificate-issuer-chain",
)


@given(
    body=mutated(bodies, most=2) | st.sampled_from(range(8)).map(lambda at: bodies()[at]) | st.binary(max_size=200),
    chain=mutated(chains, most=1).map(lambda data: data.decode("latin-1")) | st.text(max_size=50),
)
@settings(max_examples=200)
def test_any_body_and_any_header(body: bytes, chain: str) -> None:
    client = AnsweringClient(body, dict.fromkeys(HEADERS, chain))
    for source in sources(client):
        for item in items():
            if source.serves(item):
                with contextlib.suppress(FetchError):
                    found = source.fetch(item)
                    assert found
                    assert all(isinstance(each, Endorsement) for each in found)


KEY_NAMES = ("id", "fmspc", "pceid", "ca", "issuer", "encrypted_ppid", "cpusvn", "pcesvn", "qeid", "product", "type")
AMD_NAMES = ("hwid", "name", "fmcSPL", "blSPL", "teeSPL", "snpSPL", "ucodeSPL")
VALUES = (
    st.text(max_size=20)
    | st.sampled_from(["SGX", "QE", "platform", "Intel SGX Root CA", "Milan", "VCEK", "SEV-Milan", "7", "../..", "a&b"])
    | st.sampled_from([2, 6, 8, 16, 64, 384]).map(lambda size: "ab" * size)
)


@given(
    kind=st.sampled_from(list(K)),
    key=st.lists(st.tuples(st.sampled_from((*KEY_NAMES, *AMD_NAMES)) | st.text(max_size=5), VALUES), max_size=12),
)
@settings(max_examples=300)
def test_any_key(kind: EndorsementKind, key: list[tuple[str, str]]) -> None:
    item = MissingEndorsement(kind=kind, key=tuple(key))
    client = AnsweringClient()
    for source in sources(client):
        served = source.serves(item)
        with pytest.raises(FetchError):
            source.fetch(item)
        assert bool(client.urls) == served
        for url in client.urls:
            assert url.isascii()
            assert not set(url) & set(" \\\"'<>#@\n\r\t")
            assert ".." not in url
        client.urls.clear()


@functools.cache
def answers() -> tuple[bytes, ...]:
    return (
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nX-Chain: a%20b\r\n\r\nbody",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n",
        b"HTTP/1.1 429 Too Many\r\nRetry-After: 100\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 302 Found\r\nLocation: /\r\n\r\n",
    )


@pytest.fixture(scope="module")
def server() -> Iterator[VendorServer]:
    with vendor_server() as made:
        yield made


@given(data=mutated(answers, most=3) | st.binary(max_size=200))
@settings(max_examples=60)
def test_any_bytes_from_a_server(server: VendorServer, data: bytes) -> None:
    def send(sock: socket.socket) -> None:
        sock.sendall(data)

    server.default = Reply(raw=send)
    client = HttpsClient((server.host,), ca=server_identity()[0], wait=lambda _: None)
    with contextlib.suppress(FetchError):
        answer = client.get(f"{server.url}/", what="it", accept="*/*", most_bytes=100)
        assert answer.status == 200
        assert len(answer.body) <= 100
