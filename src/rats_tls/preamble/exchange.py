"""The preamble's state machine: frames of the peer in, frames for the peer out. `docs/protocol.md`, "Preamble"."""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from rats_tls.core.binding import Binding
from rats_tls.core.endorsements import Endorsement
from rats_tls.core.errors import (
    ConfigurationError,
    DecodeError,
    InternalError,
    NoEvidenceError,
    PeerRefusedError,
    ProtocolError,
)
from rats_tls.core.evidence import TeeType
from rats_tls.core.limits import Limits
from rats_tls.core.refusals import Refusal, WireCode
from rats_tls.core.tls import Role
from rats_tls.preamble.accepted import AcceptedMessage, transcript_digest
from rats_tls.preamble.agreement import Agreement, agree
from rats_tls.preamble.endorsements import EndorsementsMessage
from rats_tls.preamble.evidence import CertificateEvidence
from rats_tls.preamble.frames import Frame, FrameReader, FrameType
from rats_tls.preamble.hello import Hello
from rats_tls.preamble.refused import RefusedMessage

_MOST_READ = 16_384


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What this side says in its preamble.

    Attributes:
        hello: its hello; `endorsements` in it is filled in by the exchange.
        evidence: the evidence message; None where TLS carries the certificate.
        documents: documents with Endorsements that it provides where the peer judges it, by kind.
    """

    hello: Hello
    evidence: CertificateEvidence | None
    documents: Mapping[str, bytes]
    _openings: dict[bool, tuple[Hello, tuple[tuple[FrameType, bytes], ...]]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def opening(self, *, provide: bool) -> tuple[Hello, tuple[tuple[FrameType, bytes], ...]]:
        """Give the hello as it is sent, and the messages that open the preamble: type and payload. Made once.

        Args:
            provide: with the documents.
        """
        if provide not in self._openings:
            documents = self.documents if provide else {}
            hello = replace(self.hello, endorsements=tuple(documents))
            messages = [(FrameType.HELLO, hello.to_bytes())]
            if self.evidence is not None:
                messages.append((FrameType.EVIDENCE, self.evidence.to_bytes()))
            if documents:
                messages.append((FrameType.ENDORSEMENTS, EndorsementsMessage(documents).to_bytes()))
            self._openings[provide] = hello, tuple(messages)
        return self._openings[provide]


def early_data() -> ProtocolError:
    """Give the refusal of a peer that sends application data before it can know that this side accepted."""
    return ProtocolError("application data before this side accepted", refusal=Refusal.EARLY_DATA)


class Exchange:
    """The preamble of one connection.

    Args:
        role: this side's TLS role.
        offer: what this side says.
        limits: bounds on the peer's messages.
    """

    def __init__(self, role: Role, offer: Offer, limits: Limits) -> None:
        self._role: Role = role
        self._offer = offer
        self._hello = offer.hello
        self._limits = limits
        self._frames = FrameReader(limits)
        self._out: list[bytes] = []
        self._own_frames: list[bytes] = []
        self._peer_frames: list[bytes] = []
        self._peer_hello: Hello | None = None
        self._expected = [FrameType.HELLO]
        self.agreement: Agreement | None = None
        self.peer_certificate: bytes | None = None
        self.peer_endorsements: tuple[Endorsement, ...] = ()
        self.own_accepted = False
        self.peer_accepted = False

    def start(self) -> None:
        """Begin: the client speaks first."""
        if self._role == "client":
            self._send_opening(provide=True)

    @property
    def due(self) -> bool:
        """Whether `data_to_send` has anything to give."""
        return bool(self._out)

    def data_to_send(self) -> bytes:
        """Give and forget the bytes for the peer."""
        out, self._out = self._out, []
        return b"".join(out)

    @property
    def peer_complete(self) -> bool:
        """Whether all that the peer has to say before *accepted* is here."""
        return self._expected in ([FrameType.ACCEPTED], [])

    @property
    def readable(self) -> int:
        """Most bytes to read next: once this side has accepted, application data is behind the peer's *accepted*."""
        return self._frames.wanted if self.own_accepted else _MOST_READ

    def take(self, data: bytes) -> None:
        """Take bytes from the peer, at most `readable`.

        Raises:
            ProtocolError: malformed, out of order, no agreement, or bytes behind *accepted*: application data before
                this side accepted, which the peer cannot have been told.
            NoEvidenceError: the peer does not attest, and this side demands Evidence.
            PeerRefusedError: the peer refused this side.
        """
        self._frames.feed(data)
        while not self.peer_accepted and (frame := self._frames.next()) is not None:
            self._receive(frame)
        if self.peer_accepted and self._frames.rest:
            raise early_data()

    def _receive(self, frame: Frame) -> None:
        try:
            if frame.type is FrameType.REFUSED:
                refused = RefusedMessage.from_bytes(frame.payload, self._limits)
                raise PeerRefusedError(f"the peer refused this side: {refused}", wire_code=refused.code)
            # (1) Order: each message that is due, once.
            if not self._expected or frame.type is not self._expected[0]:
                due = self._expected[0].name.lower() if self._expected else "nothing"
                raise ProtocolError(f"preamble: got {frame.type.name.lower()}, expected {due}")
            del self._expected[0]
            if frame.type is not FrameType.ACCEPTED:
                self._peer_frames.append(frame.to_bytes())
            self._receive_due(frame)
        except DecodeError as error:
            raise ProtocolError(f"preamble: {error}") from error

    def _receive_due(self, frame: Frame) -> None:
        match frame.type:
            case FrameType.HELLO:
                self._receive_hello(Hello.from_bytes(frame.payload, self._limits))
            case FrameType.EVIDENCE:
                self.peer_certificate = CertificateEvidence.from_bytes(frame.payload, self._limits).certificate
            case FrameType.ENDORSEMENTS:
                self._receive_endorsements(frame.payload)
            case FrameType.ACCEPTED:
                self._receive_accepted(frame.payload)

    def _receive_hello(self, hello: Hello) -> None:
        # (2) Agreement on version, profile and binding; disagreement is refused, never made up for.
        self._peer_hello = hello
        self.agreement = agree(self._hello, hello, self._role)
        # (3) Evidence where it is demanded; a policy that names `null` judges its absence itself.
        if self._hello.demands and not hello.attests and TeeType.NULL.value not in self._hello.accepted_tee_types:
            raise NoEvidenceError("hello: the peer does not attest, and this side demands Evidence")
        # (4) What follows. Without TLS the certificate does.
        if self.agreement.binding is Binding.NONE:
            self._expected.append(FrameType.EVIDENCE)
        if hello.endorsements:
            self._expected.append(FrameType.ENDORSEMENTS)
        self._expected.append(FrameType.ACCEPTED)
        if self._role == "server":
            self._send_opening(provide=hello.demands)

    def _receive_endorsements(self, payload: bytes) -> None:
        announced = frozenset(self._peer_hello.endorsements if self._peer_hello else ())
        message = EndorsementsMessage.from_bytes(payload, self._limits)
        for kind in message.documents:
            if kind not in announced:
                raise ProtocolError(f"preamble: endorsements hold {kind[:64]!r}, which hello did not announce")
        self.peer_endorsements = message.items(self._limits)

    def _receive_accepted(self, payload: bytes) -> None:
        # (5) Both sides saw the same preamble. Own messages still unsent make the digests differ, as they must.
        expected = AcceptedMessage(self._transcript())
        if not hmac.compare_digest(payload, expected.to_bytes()):  # else it may hold keys that are unknown here
            message = AcceptedMessage.from_bytes(payload, self._limits)
            if not hmac.compare_digest(message.transcript, expected.transcript):
                raise ProtocolError("preamble: accepted carries another transcript than this side saw")
        self.peer_accepted = True

    def accept(self) -> None:
        """Send *accepted*: this side has nothing against the peer.

        Raises:
            InternalError: the peer has not said all that it announced, or *accepted* was sent before.
        """
        if self.own_accepted or self._peer_hello is None or self._expected not in ([FrameType.ACCEPTED], []):
            raise InternalError("preamble: accepted is not due")
        self.own_accepted = True
        self._out.append(Frame(FrameType.ACCEPTED, AcceptedMessage(self._transcript()).to_bytes()).to_bytes())

    def forget(self) -> None:
        """Drop what was said: both sides have accepted, and a connection may be open for long."""
        self._own_frames.clear()
        self._peer_frames.clear()
        self.peer_certificate, self.peer_endorsements = None, ()

    def refuse(self, code: WireCode) -> None:
        """Send *refused*; nothing may follow. Not after *accepted*: the peer could take it for application data."""
        if not self.own_accepted:
            self._out.append(Frame(FrameType.REFUSED, RefusedMessage(code).to_bytes()).to_bytes())

    def _send_opening(self, *, provide: bool) -> None:
        self._hello, messages = self._offer.opening(provide=provide)
        for frame_type, payload in messages:
            self._send(frame_type, payload)

    def _send(self, frame_type: FrameType, payload: bytes) -> None:
        largest = self._limits.preamble_message
        if len(payload) > largest:
            raise ConfigurationError(
                f"preamble: own {frame_type.name.lower()} has {len(payload)} bytes, at most {largest} can be sent"
            )
        frame = Frame(frame_type, payload).to_bytes()
        self._own_frames.append(frame)
        self._out.append(frame)

    def _transcript(self) -> bytes:
        pair: tuple[Sequence[bytes], Sequence[bytes]] = (self._own_frames, self._peer_frames)
        client, server = pair if self._role == "client" else pair[::-1]
        return transcript_digest(client, server)
