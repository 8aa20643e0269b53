"""What sources over HTTPS share: a request made of a fixed template, and an answer that is read or is malformed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from rats_tls.core.endorsements import Endorsement, MissingEndorsement
from rats_tls.core.errors import RatsTlsError
from rats_tls.endorsements.http import HttpsClient
from rats_tls.endorsements.source import FetchError, FetchProblem


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceRequest:
    """How one item is asked for.

    Attributes:
        what: the item, for messages.
        url: whole URL, of an allowed host.
        accept: value of the Accept header.
        most_bytes: largest answer.
        read: gives the Endorsements in body and headers (by lower-case name); raises RatsTlsError.
    """

    what: str
    url: str
    accept: str
    most_bytes: int
    read: Callable[[bytes, Mapping[str, str]], tuple[Endorsement, ...]]


class HttpSource(ABC):
    """A source of Endorsements over HTTPS. Blocks; thread-safe.

    Args:
        name: for logs, budgets and errors.
        client: the HTTP client.
        urls: whose hosts it must allow.

    Raises:
        ConfigurationError: the client does not allow a host.
    """

    def __init__(self, name: str, client: HttpsClient, *urls: str) -> None:
        client.require_allowed(*urls)
        self._name = name
        self._client = client
        self._limits = client.limits

    @property
    def name(self) -> str:
        """What it is called in logs, budgets and errors."""
        return self._name

    @property
    def channel(self) -> str | None:
        """Update channel of its Intel documents; None where it has none."""
        return None

    def serves(self, item: MissingEndorsement) -> bool:
        """Whether it knows how to ask for `item`: its kind, with each part of the key in its fixed form."""
        return self._request(item) is not None

    def fetch(self, item: MissingEndorsement) -> tuple[Endorsement, ...]:
        """Get `item`, and what comes with it in the same answer.

        Raises:
            FetchError: it was not got; NOT_FOUND too if it is not served.
        """
        request = self._request(item)
        if request is None:
            raise FetchError(f"{self.name}: does not serve {item}", problem=FetchProblem.NOT_FOUND)
        what = f"{self.name}: {request.what}"
        answer = self._client.get(request.url, what=what, accept=request.accept, most_bytes=request.most_bytes)
        try:
            return request.read(answer.body, answer.headers)
        except RatsTlsError as error:
            raise FetchError(f"{what}: {error.message}", problem=FetchProblem.MALFORMED) from error

    @abstractmethod
    def _request(self, item: MissingEndorsement) -> SourceRequest | None:
        """Make the request from a fixed template and parts of fixed form; None if `item` is not served."""
