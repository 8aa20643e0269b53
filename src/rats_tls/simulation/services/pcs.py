"""Intel's Provisioning Certification Service, version 4, and the cache (PCCS) that speaks like it.

Intel PCS API version 4: paths, parameters, headers and status codes. Of it are left out: platform manifests (POST),
and registration. PCK certificates are issued to the machines of the world in their default state, at any TCB.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from urllib.parse import quote

from rats_tls.core.endorsements import Endorsement
from rats_tls.simulation import pki
from rats_tls.simulation.intel_documents import Tee
from rats_tls.simulation.intel_levels import NO_LEVEL_SVN, TCB_LEVELS, sgx_components
from rats_tls.simulation.intel_platform import SimulatedIntelPlatform
from rats_tls.simulation.intel_vendor import Authority, PckSubject, SimulatedIntelVendor
from rats_tls.simulation.services.messages import (
    CRL_TYPE,
    JSON_TYPE,
    PEM_TYPE,
    RefusedRequestError,
    Request,
    Response,
    chain_header,
    parameters,
)
from rats_tls.simulation.services.publication import IntelPublication, state_of_number
from rats_tls.simulation.states import FMSPC, SgxState
from rats_tls.simulation.vendor_state import IntelVendorState

ROOT_CRL_PATH = "/IntelSGXRootCA.der"
"""Where the root's revocation list lies on Intel's host for certificates; PCS itself has no path for it."""
KEPT_NUMBERS = 2
"""How many TCB evaluation data numbers before the one of the standard channel are still served."""
_PCE_ID = bytes(2)
_HEX = "[0-9A-Fa-f]"
_PLATFORM = {"encrypted_ppid": f"{_HEX}{{768}}", "pceid": f"{_HEX}{{4}}"}
_TCB = {"cpusvn": f"{_HEX}{{32}}", "pcesvn": f"{_HEX}{{4}}"}
_QE_ID = {"qeid": f"{_HEX}{{1,260}}"}
_CHANNEL = {"update": "early|standard", "tcbEvaluationDataNumber": "[0-9]{1,6}"}


@dataclass(frozen=True, slots=True, kw_only=True)
class IntelCatalogue:
    """What the service knows, whatever it gives out of it.

    Attributes:
        vendor: who signs.
        platforms: that have PCK certificates.
        fmspcs: that have TCB info (6 bytes each).
        is_cache: it speaks as a PCCS.
    """

    vendor: SimulatedIntelVendor
    platforms: tuple[SimulatedIntelPlatform, ...]
    fmspcs: tuple[bytes, ...]
    is_cache: bool = False


@dataclass(frozen=True, slots=True)
class _Call:
    request: Request
    catalogue: IntelCatalogue
    publication: IntelPublication
    now: datetime


def respond(request: Request, catalogue: IntelCatalogue, publication: IntelPublication, now: datetime) -> Response:
    """Answer one request at the time `now`."""
    handle = _ROUTES.get(request.path, _no_such_path)
    try:
        response = handle(_Call(request, catalogue, publication, now))
    except RefusedRequestError as error:
        headers = {"Error-Code": _ERROR_CODES[error.status], "Error-Message": error.reason}
        response = Response(status=error.status, headers=headers)
    request_id = hashlib.sha256(f"{now} {request.target}".encode()).hexdigest()[:32]
    return replace(response, headers={"Request-ID": request_id, **response.headers})


def _no_such_path(_call: _Call) -> Response:
    raise RefusedRequestError(404, "no such path")


_ERROR_CODES = {400: "InvalidRequestParameter", 404: "NoCacheData", 410: "Gone"}


def _tcb_info(tee: Tee) -> Callable[[_Call], Response]:
    def handle(call: _Call) -> Response:
        given = parameters(call.request, {"fmspc": f"{_HEX}{{12}}"}, _CHANNEL)
        fmspc = bytes.fromhex(given["fmspc"])
        if fmspc not in call.catalogue.fmspcs:
            raise RefusedRequestError(404, f"fmspc {given['fmspc']}: no TCB info")
        if call.publication.for_another:
            fmspc = fmspc[:5] + bytes((fmspc[5] ^ 0xFF,))
        item = call.catalogue.vendor.tcb_info(tee, fmspc, _PCE_ID, call.now, _published(call, given))
        return _document(item, "tcbInfo", "TCB-Info-Issuer-Chain")

    return handle


def _identity(tee: Tee, identity: str) -> Callable[[_Call], Response]:
    def handle(call: _Call) -> Response:
        state = _published(call, parameters(call.request, {}, _CHANNEL))
        wanted: Tee = tee
        if identity in {"QVE", "QAE"}:
            state = replace(state, qe_identity_id=identity)
        elif call.publication.for_another:
            wanted = "TDX" if tee == "SGX" else "SGX"
        item = call.catalogue.vendor.qe_identity(wanted, call.now, state)
        return _document(item, "enclaveIdentity", "SGX-Enclave-Identity-Issuer-Chain")

    return handle


def _numbers(tee: Tee) -> Callable[[_Call], Response]:
    def handle(call: _Call) -> Response:
        parameters(call.request, {}, {})
        newest = call.publication.channels["early"].tcb_evaluation_data_number
        numbers = range(newest, _oldest_number(call.publication) - 1, -1)
        data, signature, chain = call.catalogue.vendor.tcb_evaluation_data_numbers(
            tee, numbers, call.now, call.publication.standard
        )
        return _signed(data, signature, chain, "tcbEvaluationDataNumbers", "TCB-Evaluation-Data-Numbers-Issuer-Chain")

    return handle


def _published(call: _Call, given: dict[str, str]) -> IntelVendorState:
    """Choose what is given out by `update` or `tcbEvaluationDataNumber`."""
    if "tcbEvaluationDataNumber" not in given:
        return call.publication.channels[given.get("update", "standard")]
    if "update" in given:
        raise RefusedRequestError(400, "update and tcbEvaluationDataNumber exclude each other")
    number = int(given["tcbEvaluationDataNumber"])
    if number < _oldest_number(call.publication):
        raise RefusedRequestError(410, f"tcbEvaluationDataNumber {number} is retired")
    state = state_of_number(call.publication, number)
    if state is None:
        raise RefusedRequestError(404, f"tcbEvaluationDataNumber {number}: none yet")
    return state


def _oldest_number(publication: IntelPublication) -> int:
    return publication.standard.tcb_evaluation_data_number - KEPT_NUMBERS


def _document(item: Endorsement, member: str, header: str) -> Response:
    return _signed(item.data, item.signature, item.issuer_chain, member, header)


def _signed(data: bytes, signature: bytes, chain: tuple[bytes, ...], member: str, header: str) -> Response:
    # Joined by hand: the signature is over these very bytes.
    body = b'{"%s":%s,"signature":"%s"}' % (member.encode(), data, signature.hex().encode())
    return Response(body=body, content_type=JSON_TYPE, headers={header: chain_header(chain)})


def _pck_crl(call: _Call) -> Response:
    given = parameters(call.request, {"ca": "processor|platform"}, {"encoding": "pem|der"})
    authority: Authority = "processor" if (given["ca"] == "processor") != call.publication.for_another else "platform"
    item = call.catalogue.vendor.pck_crl(
        authority, _known_subjects(call.catalogue), call.now, call.publication.standard
    )
    headers = {"SGX-PCK-CRL-Issuer-Chain": chain_header(item.issuer_chain)}
    if given.get("encoding", "pem") == "der":
        return Response(body=item.data, content_type=CRL_TYPE, headers=headers)
    return Response(body=pki.crl_to_pem(item.data), content_type=PEM_TYPE, headers=headers)


def _known_subjects(catalogue: IntelCatalogue) -> Iterator[PckSubject]:
    """Give what PCK certificates there can be: of every platform at every level of the usual TCB info."""
    rungs = (*(level.sgx_components for level in TCB_LEVELS), sgx_components(NO_LEVEL_SVN))
    for platform in catalogue.platforms:
        for fmspc in catalogue.fmspcs:
            for components in rungs:
                yield platform.pck_subject(SgxState(sgx_components=components, fmspc=fmspc))


def _root_crl(call: _Call) -> Response:
    parameters(call.request, {}, {})
    return Response(body=_root_crl_der(call), content_type=CRL_TYPE)


def _root_crl_of_cache(call: _Call) -> Response:
    if not call.catalogue.is_cache:
        return _no_such_path(call)
    parameters(call.request, {}, {})
    return Response(body=_root_crl_der(call).hex().encode(), content_type="text/plain")


def _root_crl_der(call: _Call) -> bytes:
    return call.catalogue.vendor.root_crl(call.now, call.publication.standard).data


def _pck_certificate(call: _Call) -> Response:
    required = {**_PLATFORM, **_TCB, **(_QE_ID if call.catalogue.is_cache else {})}
    given = parameters(call.request, required, {} if call.catalogue.is_cache else _QE_ID)
    leaf, chain = _issue(call, given, bytes.fromhex(given["cpusvn"]), bytes.fromhex(given["pcesvn"]))
    headers = {
        "SGX-PCK-Certificate-Issuer-Chain": chain_header(chain),
        "SGX-TCBm": given["cpusvn"].lower() + given["pcesvn"].lower(),
        "SGX-FMSPC": FMSPC.hex(),
        "SGX-PCK-Certificate-CA-Type": "platform",
    }
    return Response(body=pki.to_pem((leaf,)), content_type=PEM_TYPE, headers=headers)


def _pck_certificates(with_tcb: bool) -> Callable[[_Call], Response]:
    def handle(call: _Call) -> Response:
        given = parameters(call.request, {**_PLATFORM, **({"cpusvn": _TCB["cpusvn"]} if with_tcb else {})}, {})
        listed = []
        chain: tuple[bytes, ...] = ()
        for level in call.publication.standard.tcb_levels:
            pce_svn = level.pce_svn.to_bytes(2, "little")
            leaf, chain = _issue(call, given, bytes(level.sgx_components), pce_svn)
            tcb = {f"sgxtcbcomp{index:02}svn": svn for index, svn in enumerate(level.sgx_components, 1)}
            listed.append(
                {
                    "tcb": {**tcb, "pcesvn": level.pce_svn},
                    "tcbm": (bytes(level.sgx_components) + pce_svn).hex(),
                    "cert": quote(pki.to_pem((leaf,)).decode(), safe=""),
                }
            )
        headers = {
            "SGX-PCK-Certificate-Issuer-Chain": chain_header(chain),
            "SGX-FMSPC": FMSPC.hex(),
            "SGX-PCK-Certificate-CA-Type": "platform",
        }
        return Response(body=json.dumps(listed).encode(), content_type=JSON_TYPE, headers=headers)

    return handle


def _issue(call: _Call, given: dict[str, str], cpu_svn: bytes, pce_svn: bytes) -> tuple[bytes, tuple[bytes, ...]]:
    """Give the PCK certificate of the platform that is asked for, and its issuers."""
    platforms = call.catalogue.platforms
    wanted = bytes.fromhex(given["encrypted_ppid"])
    index = next((i for i, platform in enumerate(platforms) if platform.encrypted_ppid == wanted), None)
    if index is None or bytes.fromhex(given["pceid"]) != _PCE_ID:
        raise RefusedRequestError(404, "no such platform")
    if call.publication.for_another:
        index = (index + 1) % len(platforms)
    # Here CPUSVN is the sixteen component SVNs themselves.
    state = SgxState(sgx_components=tuple(cpu_svn), pce_svn=int.from_bytes(pce_svn, "little"))
    subject = platforms[index].pck_subject(state)
    leaf, *issuers = call.catalogue.vendor.pck_chain(subject, call.now, call.publication.standard)
    return leaf, tuple(issuers)


def _fmspcs(call: _Call) -> Response:
    given = parameters(call.request, {}, {"platform": "all|client|E3|E5"})
    # All are servers of one kind.
    fmspcs = call.catalogue.fmspcs if given.get("platform", "all") in {"all", "E5"} else ()
    listed = [{"fmspc": fmspc.hex().upper(), "platform": "E5"} for fmspc in fmspcs]
    return Response(body=json.dumps(listed).encode(), content_type=JSON_TYPE)


_SGX, _TDX = "/sgx/certification/v4", "/tdx/certification/v4"
_ROUTES: dict[str, Callable[[_Call], Response]] = {
    ROOT_CRL_PATH: _root_crl,
    f"{_SGX}/rootcacrl": _root_crl_of_cache,
    f"{_SGX}/pckcrl": _pck_crl,
    f"{_SGX}/pckcert": _pck_certificate,
    f"{_SGX}/pckcerts": _pck_certificates(with_tcb=False),
    f"{_SGX}/pckcerts/config": _pck_certificates(with_tcb=True),
    f"{_SGX}/tcb": _tcb_info("SGX"),
    f"{_TDX}/tcb": _tcb_info("TDX"),
    f"{_SGX}/qe/identity": _identity("SGX", "QE"),
    f"{_TDX}/qe/identity": _identity("TDX", "TD_QE"),
    f"{_SGX}/qve/identity": _identity("SGX", "QVE"),
    f"{_SGX}/qae/identity": _identity("SGX", "QAE"),
    f"{_SGX}/tcbevaluationdatanumbers": _numbers("SGX"),
    f"{_TDX}/tcbevaluationdatanumbers": _numbers("TDX"),
    f"{_SGX}/fmspcs": _fmspcs,
}
