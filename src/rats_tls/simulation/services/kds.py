"""AMD's Key Distribution Service (AMD VCEK certificate and KDS interface specification, and the VLEK one)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType

from rats_tls.core.claims import SnpTcb
from rats_tls.simulation import pki
from rats_tls.simulation.amd_chip import SimulatedAmdChip
from rats_tls.simulation.amd_vendor import KeyType, SimulatedAmdVendor
from rats_tls.simulation.services.messages import (
    CRL_TYPE,
    DER_TYPE,
    PEM_TYPE,
    RefusedRequestError,
    Request,
    Response,
    parameters,
)
from rats_tls.simulation.services.publication import AmdPublication
from rats_tls.simulation.sev_states import SevProduct
from rats_tls.simulation.sev_vendor import SimulatedSevVendor
from rats_tls.simulation.states import Product, SnpState

# Decimal, with a zero in front of a single digit.
_SPL = "[0-9]{2}|1[0-9]{2}|2[0-4][0-9]|25[0-5]"
_SPLS = ("blSPL", "teeSPL", "snpSPL", "ucodeSPL")
_SEV_PATH = re.compile(r"/wp-content/resources/ask_ark_([a-z]+)\.cert")
_PATH = re.compile(r"/(vcek|vlek)/v1/([A-Za-z]+)/([0-9A-Za-z_]+)")
_KEY_TYPES: dict[str, KeyType] = {"vcek": "VCEK", "vlek": "VLEK"}
# What AMD's service tells caches, although its certificates never change.
_HEADERS = {"Cache-Control": "no-cache"}


@dataclass(frozen=True, slots=True, kw_only=True)
class AmdProduct:
    """What the service knows of one product.

    Attributes:
        vendor: who signs.
        chips: that have VCEK certificates, one for every TCB.
    """

    vendor: SimulatedAmdVendor
    chips: tuple[SimulatedAmdChip, ...]


AmdCatalogue = Mapping[Product, AmdProduct]


def respond(
    request: Request,
    catalogue: AmdCatalogue,
    publication: AmdPublication,
    now: datetime,
    *,
    sev: Mapping[SevProduct, SimulatedSevVendor] = MappingProxyType({}),
) -> Response:
    """Answer one request at the time `now`; `sev` are the vendors whose files AMD has elsewhere (developer.amd.com)."""
    match = _SEV_PATH.fullmatch(request.path)
    vendor = next((each for name, each in sev.items() if match is not None and name.lower() == match[1]), None)
    if vendor is not None:
        return Response(
            body=vendor.signer() + vendor.root_certificate, content_type="application/octet-stream", headers=_HEADERS
        )
    try:
        return _answer(request, catalogue, publication, now)
    except RefusedRequestError as error:
        body = f"{error.reason}\n".encode()
        return Response(status=error.status, body=body, content_type="text/plain", headers=_HEADERS)


def _answer(request: Request, catalogue: AmdCatalogue, publication: AmdPublication, now: datetime) -> Response:
    match = _PATH.fullmatch(request.path)
    products: dict[str, AmdProduct] = dict(catalogue.items())
    if match is None or match[2] not in products:
        raise RefusedRequestError(404, "no such path or product")
    key_type, product = _KEY_TYPES[match[1]], products[match[2]]
    if match[3] == "cert_chain":
        return _chain(request, product, key_type, publication, now)
    if match[3] == "crl":
        parameters(request, {}, {})
        crl = product.vendor.crl(key_type, now, publication.state)
        return Response(body=crl, content_type=CRL_TYPE, headers=_HEADERS)
    if key_type == "VLEK":
        # Cloud providers alone are given these, and have to say who they are.
        raise RefusedRequestError(401, "VLEK certificates are given to cloud providers")
    return _vcek(request, product, match[3], publication, now)


def _chain(
    request: Request, product: AmdProduct, key_type: KeyType, publication: AmdPublication, now: datetime
) -> Response:
    parameters(request, {}, {})
    if publication.for_another:
        key_type = "VLEK" if key_type == "VCEK" else "VCEK"
    signer = product.vendor.signer(key_type, now, publication.state)
    body = pki.to_pem((signer, product.vendor.root_certificate))
    return Response(body=body, content_type=PEM_TYPE, headers=_HEADERS)


def _vcek(request: Request, product: AmdProduct, hwid: str, publication: AmdPublication, now: datetime) -> Response:
    has_fmc = product.vendor.product == "Turin"
    if not re.fullmatch("[0-9a-f]{16}" if has_fmc else "[0-9a-f]{128}", hwid):
        raise RefusedRequestError(400, f"hwID: expected {16 if has_fmc else 128} lower-case hexadecimal digits")
    names = ("fmcSPL", *_SPLS) if has_fmc else _SPLS
    given = {name: int(value) for name, value in parameters(request, dict.fromkeys(names, _SPL), {}).items()}
    index = next((i for i, chip in enumerate(product.chips) if chip.hwid.hex() == hwid), None)
    if index is None:
        raise RefusedRequestError(404, "no such chip")
    if publication.for_another:
        index = (index + 1) % len(product.chips)
    tcb = SnpTcb(
        fmc=given.get("fmcSPL"),
        bootloader=given["blSPL"],
        tee=given["teeSPL"],
        snp=given["snpSPL"],
        microcode=given["ucodeSPL"],
    )
    subject = product.chips[index].vek_subject(SnpState(product=product.vendor.product, reported_tcb=tcb))
    vcek = product.vendor.vek(subject, now, publication.state)
    return Response(body=vcek, content_type=DER_TYPE, headers=_HEADERS)
