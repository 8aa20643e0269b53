"""Two channels back to back in memory, and what they need: credentials, settings, results without an appraisal."""

from __future__ import annotations

import functools
import hashlib
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from rats_tls.channel import Accepted, AppraisalNeeded, Channel, ChannelSettings, Credentials, Event, EvidenceNeeded
from rats_tls.core.algorithms import KeyAlgorithm
from rats_tls.core.binding import Binding
from rats_tls.core.claims import NullClaims
from rats_tls.core.errors import RatsTlsError
from rats_tls.core.evidence import Evidence, TeeType
from rats_tls.core.interfaces import CertificateRequest, PrivateKey
from rats_tls.core.results import _APPRAISAL_SEAL, AttestationResult
from rats_tls.core.tls import TlsWrapper
from rats_tls.crypto_wrappers.openssl import OpensslCryptoWrapper

CRYPTO = OpensslCryptoWrapper()
NOW = datetime(2026, 1, 1, tzinfo=UTC)
PADDING_OID = "1.3.6.1.4.1.99999.1"


@functools.cache
def key(algorithm: KeyAlgorithm) -> PrivateKey:
    return CRYPTO.generate_key(algorithm)


def certificate(algorithm: KeyAlgorithm = KeyAlgorithm.EC_P256, size: int = 5000, serial: int = 1) -> bytes:
    """A self-signed certificate of exactly `size` bytes of DER, or up to two less for ECDSA's varying signatures."""
    return _certificate(algorithm, size, serial)


@functools.cache
def _certificate(algorithm: KeyAlgorithm, size: int, serial: int) -> bytes:
    def make(padding: int) -> bytes:
        request = CertificateRequest(
            organization="Test",
            common_name="peer",
            serial=serial,
            not_before=NOW - timedelta(days=1),
            not_after=NOW + timedelta(days=1),
            extensions=((PADDING_OID, b"\x5a" * padding),),
        )
        return CRYPTO.self_signed_certificate(key(algorithm), request)

    padding = size - len(make(size)) + size
    while len(der := make(padding)) > size:
        padding -= 1
    return der


def credentials(serial: int = 1, *, attested: bool = True, **more: object) -> Credentials:
    return Credentials(
        certificate=certificate(serial=serial),
        private_key=key(KeyAlgorithm.EC_P256).pkcs8(),
        evidence=Evidence.of(TeeType.SGX_ECDSA, b"evidence") if attested else None,
        **more,
    )


def settings(role: str, tls: TlsWrapper, **more: object) -> ChannelSettings:
    """Mutual attestation with the preamble, unless `more` says otherwise."""
    values: dict[str, object] = {"attests": True, "demands_evidence": True, "bindings": frozenset(Binding), **more}
    return ChannelSettings(role=role, tls=tls, **values)


def result_for(needed: AppraisalNeeded, **changes: object) -> AttestationResult:
    """A positive result for what was asked, as an appraisal would make it."""
    values: dict[str, object] = {
        "submodules": {"null": NullClaims()},
        "binding": needed.binding,
        "binding_note": "",
        "custom_claims": {},
        "issued_at": None,
        "judged_at": NOW,
        "certificate_sha256": hashlib.sha256(needed.certificate).digest(),
        "spki_sha256": None,
        "endorsements": (),
        "valid_from": None,
        "valid_until": None,
        "anchor": None,
        "policy_digest": bytes(32),
        "policy_entry": "test",
        "crypto": "test",
        "checks": (),
        "seal": _APPRAISAL_SEAL,
        **changes,
    }
    return AttestationResult(**values)


Cut = Callable[[bytes], Iterator[bytes]]
"""How bytes are fed to the other side."""


def whole(data: bytes) -> Iterator[bytes]:
    yield data


def bytewise(data: bytes) -> Iterator[bytes]:
    for i in range(len(data)):
        yield data[i : i + 1]


def at_random(seed: int) -> Cut:
    generator = random.Random(seed)

    def cut(data: bytes) -> Iterator[bytes]:
        start = 0
        while start < len(data):
            size = generator.choice((1, 2, 3, 7, 50, 400, 5000))
            yield data[start : start + size]
            start += size

    return cut


@dataclass
class Side:
    """A channel with the answers that it gets."""

    channel: Channel
    credentials: Credentials
    refusal: RatsTlsError | None = None
    late: int = 0  # rounds of wire traffic that pass before an event is answered
    events: list[Event] = field(default_factory=list)
    error: RatsTlsError | None = None
    asked: AppraisalNeeded | None = None
    accepted: Accepted | None = None
    _waiting: list[list[object]] = field(default_factory=list)

    def feed(self, data: bytes) -> None:
        self._guard(lambda: self.channel.receive_from_wire(data))

    def eof(self) -> None:
        self._guard(self.channel.receive_eof)

    def turn(self) -> bool:
        """Take events and answer those whose time has come. Tells whether anything happened or is still due."""
        while (event := self.channel.next_event()) is not None:
            self.events.append(event)
            if isinstance(event, Accepted):
                self.accepted = event
            else:
                self._waiting.append([self.late, event])
        busy = bool(self._waiting)
        for waiting in tuple(self._waiting):
            if waiting[0] > 0:
                waiting[0] -= 1
                continue
            self._waiting.remove(waiting)
            self._guard(lambda event=waiting[1]: self._answer(event))
        return busy

    def _answer(self, event: Event) -> None:
        if isinstance(event, EvidenceNeeded):
            self.channel.supply_evidence(self.credentials)
        elif isinstance(event, AppraisalNeeded):
            self.asked = event
            if self.refusal is not None:
                self.channel.refuse(self.refusal)
                self.error = self.channel.error
            else:
                self.channel.supply_result(result_for(event))

    def _guard(self, call: Callable[[], None]) -> None:
        if self.error is not None:
            return
        try:
            call()
        except RatsTlsError as error:
            self.error = error


def run(client: Side, server: Side, cut: Cut = whole, rounds: int = 60) -> None:
    """Pass bytes to and fro until nothing moves."""
    for _ in range(rounds):
        moved = client.turn() | server.turn()
        for source, target in ((client, server), (server, client)):
            data = source.channel.data_to_send()
            if data:
                moved = True
                for piece in cut(data):
                    target.feed(piece)
        if not moved:
            return
    raise AssertionError("the two channels never come to rest")


def pair(
    tls: TlsWrapper,
    *,
    client: dict[str, object] | None = None,
    server: dict[str, object] | None = None,
    late: int = 0,
    client_credentials: Credentials | None = None,
    server_credentials: Credentials | None = None,
) -> tuple[Side, Side]:
    """Client and server over `tls`; each side's settings may be changed."""
    return (
        Side(Channel(settings("client", tls, **client or {})), client_credentials or credentials(1), late=late),
        Side(Channel(settings("server", tls, **server or {})), server_credentials or credentials(2), late=late),
    )


def read_all(channel: Channel, size: int = 65_536) -> bytes:
    """Everything that can be received now."""
    out = bytearray()
    while data := channel.receive(size):
        out += data
    return bytes(out)
