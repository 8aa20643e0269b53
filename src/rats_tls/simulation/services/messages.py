"""What a simulated service is asked, and what it answers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, quote, urlsplit

from rats_tls.simulation import pki

PEM_TYPE = "application/x-pem-file"
CRL_TYPE = "application/pkix-crl"
DER_TYPE = "application/octet-stream"
JSON_TYPE = "application/json"
_LONGEST_REASON = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One GET request.

    Attributes:
        target: path and query, as sent.
        path: the path, as sent.
        query: parameters in order, decoded.
    """

    target: str
    path: str
    query: tuple[tuple[str, str], ...] = ()

    @classmethod
    def from_target(cls, target: str) -> Request:
        """Read the target of a request line.

        Raises:
            ValueError: it is none.
        """
        parts = urlsplit(target)
        return cls(target=target, path=parts.path, query=tuple(parse_qsl(parts.query, keep_blank_values=True)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """One answer.

    Attributes:
        status: HTTP status.
        body: empty for an error.
        content_type: of `body`.
        headers: others than Content-Type and Content-Length.
    """

    status: int = 200
    body: bytes = b""
    content_type: str = DER_TYPE
    headers: Mapping[str, str] = field(default_factory=dict)


class RefusedRequestError(Exception):
    """A request that is answered by an error.

    Attributes:
        status: HTTP status.
        reason: what is wrong with it; ASCII in one line, so that a header can carry it.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason[:_LONGEST_REASON]


def parameters(request: Request, required: Mapping[str, str], optional: Mapping[str, str]) -> dict[str, str]:
    """Give the parameters of a request.

    Args:
        request: what was asked.
        required: by name, the form (regular expression) of each that must be there.
        optional: likewise, of each that may be there.

    Raises:
        RefusedRequestError: 400: one is missing, unknown, there twice, or of another form.
    """
    forms = {**required, **optional}
    given: dict[str, str] = {}
    for name, value in request.query:
        if name not in forms or name in given:
            raise RefusedRequestError(400, f"{name!a}: {'given twice' if name in given else 'no such parameter'}")
        if not re.fullmatch(forms[name], value):
            raise RefusedRequestError(400, f"{name}: got {value!a}, expected {forms[name]}")
        given[name] = value
    for name in required:
        if name not in given:
            raise RefusedRequestError(400, f"{name}: missing")
    return given


def chain_header(chain: tuple[bytes, ...]) -> str:
    """Write certificates as Intel's headers have them: PEM, percent-encoded, issuer first."""
    return quote(pki.to_pem(chain).decode(), safe="")
