"""Hygon's certificate service (Hygon CSV attestation, certificate download)."""

from __future__ import annotations

from rats_tls.core.endorsements import EndorsementKind
from rats_tls.formats.hygon.hsk_cek import endorsement_to_hsk_cek
from rats_tls.simulation.csv_chip import SimulatedHygonChip
from rats_tls.simulation.services.messages import DER_TYPE, RefusedRequestError, Request, Response, parameters
from rats_tls.simulation.services.publication import HygonPublication

_PATH = "/hsk_cek"
_SERIAL = "[A-Za-z0-9._-]{1,64}"


def respond(request: Request, chips: tuple[SimulatedHygonChip, ...], publication: HygonPublication) -> Response:
    """Answer one request."""
    try:
        return _answer(request, chips, publication)
    except RefusedRequestError as error:
        return Response(status=error.status, body=f"{error.reason}\n".encode(), content_type="text/plain")


def _answer(request: Request, chips: tuple[SimulatedHygonChip, ...], publication: HygonPublication) -> Response:
    if request.path != _PATH:
        raise RefusedRequestError(404, "no such path")
    serial = parameters(request, {"snumber": _SERIAL}, {})["snumber"]
    index = next((number for number, chip in enumerate(chips) if chip.serial == serial), None)
    if index is None or EndorsementKind.HYGON_CEK_CHAIN in publication.state.missing:
        raise RefusedRequestError(404, "no such chip")
    if publication.for_another:
        index = (index + 1) % len(chips)
    chain = chips[index].chain(vendor_state=publication.state)
    return Response(body=endorsement_to_hsk_cek(chain), content_type=DER_TYPE)
