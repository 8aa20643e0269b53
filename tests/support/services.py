"""A client of the simulated vendors' services, and Endorsements made of their answers."""

from __future__ import annotations

import functools
import http.client
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.message import Message
from urllib.parse import unquote

from rats_tls.core.claims import SnpTcb
from rats_tls.core.endorsements import Endorsement, Endorsements
from rats_tls.core.endorsements import EndorsementKind as Kind
from rats_tls.core.evidence import NAMES_BY_MEDIA_TYPE, Evidence
from rats_tls.core.refusals import Refusal
from rats_tls.core.verification import Verification
from rats_tls.crypto_wrappers.openssl import OpensslCryptoWrapper
from rats_tls.formats.amd.pem import split_pem
from rats_tls.formats.json_document import split_response
from rats_tls.formats.x509 import certificates_from_pem
from rats_tls.registry import verifier
from rats_tls.simulation.services.server import WebService
from rats_tls.simulation.services.vendors import SimulatedServices
from support.simulated import NOW, world

SECONDS = 20.0
FMSPC = "53494d000000"
MILAN_TCB = SnpTcb(fmc=None, bootloader=4, tee=0, snp=24, microcode=219)
TURIN_TCB = SnpTcb(fmc=1, bootloader=2, tee=1, snp=4, microcode=80)


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str] | Message
    body: bytes

    def chain(self, header: str) -> tuple[bytes, ...]:
        """Certificates of one of Intel's headers."""
        return certificates_from_pem(unquote(self.headers[header]).encode())


Get = Callable[[str], Answer]


def client_of(services: SimulatedServices, service: WebService) -> Get:
    """Give a function that asks the service for a target over HTTPS, on a new connection each time."""
    context = ssl.create_default_context(cadata=services.certificate_authority.decode())
    context.verify_flags |= ssl.VERIFY_X509_STRICT

    def get(target: str) -> Answer:
        connection = http.client.HTTPSConnection("127.0.0.1", service.port, context=context, timeout=SECONDS)
        response = None
        try:
            connection.request("GET", target)
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())
        finally:
            if response is not None:
                response.close()
            connection.close()

    return get


def document(answer: Answer, member: str, header: str, kind: Kind) -> Endorsement:
    data, signature = split_response(answer.body, member, "answer")
    return Endorsement(kind=kind, data=data, signature=signature, issuer_chain=answer.chain(header))


def from_pcs(get: Get, tee: str, *, update: str = "standard", fmspc: str = FMSPC, ca: str = "platform") -> Endorsements:
    """Ask PCS for all that judges a quote of `tee` (sgx, tdx)."""
    crl = get(f"/sgx/certification/v4/pckcrl?ca={ca}&encoding=der")
    return Endorsements(
        (
            document(
                get(f"/{tee}/certification/v4/tcb?fmspc={fmspc}&update={update}"),
                "tcbInfo",
                "TCB-Info-Issuer-Chain",
                Kind.INTEL_TCB_INFO,
            ),
            document(
                get(f"/{tee}/certification/v4/qe/identity?update={update}"),
                "enclaveIdentity",
                "SGX-Enclave-Identity-Issuer-Chain",
                Kind.INTEL_QE_IDENTITY,
            ),
            Endorsement(kind=Kind.INTEL_PCK_CRL, data=crl.body, issuer_chain=crl.chain("SGX-PCK-CRL-Issuer-Chain")),
            Endorsement(kind=Kind.INTEL_ROOT_CRL, data=get("/IntelSGXRootCA.der").body),
        )
    )


def vcek_target(product: str, hwid: bytes, tcb: SnpTcb) -> str:
    fmc = "" if tcb.fmc is None else f"fmcSPL={tcb.fmc:02}&"
    spls = f"blSPL={tcb.bootloader:02}&teeSPL={tcb.tee:02}&snpSPL={tcb.snp:02}&ucodeSPL={tcb.microcode:02}"
    return f"/vcek/v1/{product}/{hwid.hex()}?{fmc}{spls}"


def from_kds(get: Get, product: str, hwid: bytes, tcb: SnpTcb) -> Endorsements:
    """Ask KDS for all that judges a report signed by a VCEK."""
    signer, root = (block.der for block in split_pem(get(f"/vcek/v1/{product}/cert_chain").body, "cert_chain"))
    return Endorsements(
        (
            Endorsement(kind=Kind.AMD_VEK, data=get(vcek_target(product, hwid, tcb)).body),
            Endorsement(kind=Kind.AMD_SIGNER, data=signer),
            Endorsement(kind=Kind.AMD_ROOT, data=root),
            Endorsement(kind=Kind.AMD_CRL, data=get(f"/vcek/v1/{product}/crl").body),
        )
    )


def judge(evidence: Evidence, endorsements: Endorsements) -> Verification:
    """Judge simulated Evidence of the tests' world."""
    chosen = verifier(NAMES_BY_MEDIA_TYPE[evidence.media_type].tee_type.value)
    return chosen.verify(
        chosen.decode(evidence), endorsements, anchors=world().trust_anchors, crypto=_crypto(), now=NOW
    )


def refusals(evidence: Evidence, endorsements: Endorsements) -> set[Refusal]:
    return {problem.error.refusal for problem in judge(evidence, endorsements).problems}


@functools.cache
def _crypto() -> OpensslCryptoWrapper:
    return OpensslCryptoWrapper()
