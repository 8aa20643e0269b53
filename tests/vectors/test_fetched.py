"""Real documents of Intel and AMD, served as their services serve them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from rats_tls.core.endorsements import EndorsementKind
from rats_tls.endorsements.amd_kds import AmdKds
from rats_tls.endorsements.intel_pcs import ROOT_CRL_URL, IntelPcs, Pccs
from rats_tls.formats.amd.pem import split_pem
from rats_tls.formats.amd.vek import VekCertificate
from rats_tls.formats.intel.collateral import endorsements_from_json
from support.paths import VECTORS
from support.pcs import GO_TDX, encoded, missing, real_bundle
from support.vendor_server import Reply, VendorServer, server_identity, vendor_server

K = EndorsementKind
FMSPC = "50806f000000"


@pytest.fixture
def server() -> Iterator[VendorServer]:
    with vendor_server() as made:
        yield made


def serve_intel(server: VendorServer) -> None:
    bundle = real_bundle()
    tcb_chain, qe_chain, crl_chain = (
        encoded(bundle[name]) for name in ("tcb_info_issuer_chain", "qe_identity_issuer_chain", "pck_crl_issuer_chain")
    )
    server.replies = {
        f"/tdx/certification/v4/tcb?fmspc={FMSPC}&update=standard": Reply(
            headers=(("TCB-Info-Issuer-Chain", tcb_chain),), body=(GO_TDX / "sample_tcbInfo_response").read_bytes()
        ),
        "/tdx/certification/v4/qe/identity?update=standard": Reply(
            headers=(("SGX-Enclave-Identity-Issuer-Chain", qe_chain),),
            body=(GO_TDX / "sample_qeIdentity_response").read_bytes(),
        ),
        "/sgx/certification/v4/pckcrl?ca=platform&encoding=der": Reply(
            headers=(("SGX-PCK-CRL-Issuer-Chain", crl_chain),), body=(GO_TDX / "pckcrl").read_bytes()
        ),
        "/IntelSGXRootCA.der": Reply(body=(GO_TDX / "rootcrl.der").read_bytes()),
        "/sgx/certification/v4/rootcacrl": Reply(body=(GO_TDX / "rootcrl.der").read_bytes().hex().encode()),
    }


def test_intel(server: VendorServer) -> None:
    serve_intel(server)
    ca = server_identity()[0]
    expected = set(endorsements_from_json((GO_TDX / "collateral.json").read_bytes()))
    items = (
        missing(K.INTEL_TCB_INFO, id="TDX", fmspc=FMSPC, pceid="0000"),
        missing(K.INTEL_QE_IDENTITY, id="TD_QE"),
        missing(K.INTEL_PCK_CRL, ca="platform"),
        missing(K.INTEL_ROOT_CRL, issuer="Intel SGX Root CA"),
    )
    pcs = IntelPcs(base_url=server.url, root_crl_url=f"{server.url}/IntelSGXRootCA.der", ca=ca)
    for source in (pcs, Pccs(server.url, ca=ca)):
        assert {found for item in items for found in source.fetch(item)} == expected


def test_the_root_certificate_says_where_its_list_is() -> None:
    root = (VECTORS / "trust" / "intel" / "Intel_SGX_Root_CA.der").read_bytes()
    assert ROOT_CRL_URL.encode() in root


@pytest.mark.parametrize(
    ("product", "path"),
    [
        ("Milan", "sev_snp/trustee-milan-vcek/test-vcek.der"),
        ("Genoa", "sev_snp/trustee-genoa-e2e-json/vcek.der"),
        ("Turin", "sev_snp/virtee-turin-vcek-only/vcek_turin.der"),
    ],
)
def test_amd_vcek(server: VendorServer, product: str, path: str) -> None:
    data = (VECTORS / path).read_bytes()
    extensions = VekCertificate.from_der(data).extensions
    assert extensions.hwid is not None
    hwid = extensions.hwid[: 8 if product == "Turin" else 64].hex()
    tcb = extensions.tcb
    spls = {"blSPL": tcb.bootloader, "teeSPL": tcb.tee, "snpSPL": tcb.snp, "ucodeSPL": tcb.microcode}
    if product == "Turin":
        assert tcb.fmc is not None
        spls = {"fmcSPL": tcb.fmc, **spls}
    query = "&".join(f"{name}={value:02d}" for name, value in spls.items())
    server.replies[f"/vcek/v1/{product}/{hwid}?{query}"] = Reply(body=data)
    key = {"product": product, "type": "VCEK", "hwid": hwid} | {name: str(value) for name, value in spls.items()}
    (found,) = AmdKds(base_url=server.url, ca=server_identity()[0]).fetch(missing(K.AMD_VEK, **key))
    assert (found.kind, found.data) == (K.AMD_VEK, data)


@pytest.mark.parametrize(
    ("product", "kind", "file"),
    [
        ("Milan", "vcek", "ask_ark_milan.pem"),
        ("Milan", "vlek", "ask_ark_milan_vlek.pem"),
        ("Genoa", "vcek", "ask_ark_genoa.pem"),
        ("Genoa", "vlek", "ask_ark_genoa_vlek.pem"),
        ("Turin", "vcek", "ask_ark_turin_vcek.pem"),
        ("Turin", "vlek", "ask_ark_turin_vlek.pem"),
    ],
)
def test_amd_chains(server: VendorServer, product: str, kind: str, file: str) -> None:
    data = (VECTORS / "trust" / "amd" / file).read_bytes()
    server.replies[f"/{kind}/v1/{product}/cert_chain"] = Reply(body=data)
    name = f"SEV-{'VLEK-' if kind == 'vlek' else ''}{product}"
    source = AmdKds(base_url=server.url, ca=server_identity()[0])
    found = source.fetch(missing(K.AMD_SIGNER, product=product, name=name))
    assert [item.kind for item in found] == [K.AMD_SIGNER, K.AMD_ROOT]
    assert [item.data for item in found] == [block.der for block in split_pem(data, "chain")]
