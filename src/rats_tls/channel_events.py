"""What a channel asks of its shell and tells it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from rats_tls.core.binding import Binding
from rats_tls.core.endorsements import Endorsement
from rats_tls.core.errors import InternalError
from rats_tls.core.evidence import BINDS_NOTHING
from rats_tls.core.results import AttestationResult
from rats_tls.core.tls import TlsFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceNeeded:
    """Answer with `Channel.supply_evidence`.

    Attributes:
        binding: what the Evidence is to be bound to. `certificate` and `none`: to the key of the certificate.
    """

    binding: Binding


@dataclass(frozen=True, slots=True, kw_only=True)
class AppraisalNeeded:
    """Answer with `Channel.supply_result` or `Channel.refuse`.

    Attributes:
        certificate: DER as received; where `binding` is `certificate` the peer has proved to hold its key.
        binding: what ties the Evidence to the peer; of a TEE in `BINDS_NOTHING` nothing does.
        endorsements: Endorsements that the peer provided, untrusted.
        preamble: whether the peer speaks the preamble.
        facts: the TLS connection.
    """

    certificate: bytes
    binding: Binding
    endorsements: tuple[Endorsement, ...]
    preamble: bool
    facts: TlsFacts

    def require_answer(self, result: AttestationResult) -> None:
        """Require that `result` judged what is asked here.

        Raises:
            InternalError: no AttestationResult, or one of another certificate or binding.
        """
        if not isinstance(result, AttestationResult):
            raise InternalError(f"channel: got {type(result).__name__}, expected an AttestationResult")
        if result.certificate_sha256 != hashlib.sha256(self.certificate).digest():
            raise InternalError("channel: the result is of another certificate")
        expected = Binding.NONE if result.tee_type in BINDS_NOTHING else self.binding
        if result.binding is not expected:
            raise InternalError(f"channel: the result's binding is {result.binding}, expected {expected}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """Application data may flow from now on.

    Attributes:
        peer_accepted: whether the peer said that it accepted this side; None when it does not speak the preamble.
        application_protocol: the application's protocol, or None.
    """

    peer_accepted: bool | None
    application_protocol: str | None


Event = EvidenceNeeded | AppraisalNeeded | Accepted
