"""A peer that speaks TLS properly and the preamble as a test tells it to."""

from __future__ import annotations

from rats_tls.channel import ALPN, AppraisalNeeded, Channel, Credentials, EvidenceNeeded
from rats_tls.core.errors import RatsTlsError
from rats_tls.core.limits import DEFAULT_LIMITS
from rats_tls.core.tls import TlsSession, TlsWrapper
from rats_tls.preamble.accepted import AcceptedMessage, transcript_digest
from rats_tls.preamble.evidence import CertificateEvidence
from rats_tls.preamble.frames import Frame, FrameReader, FrameType
from rats_tls.preamble.hello import Hello
from rats_tls.preamble.refused import RefusedMessage
from support.channels import certificate, credentials, result_for, settings
from support.tls import config


class ScriptedPeer:
    """Talks to one `Channel`, whose events it answers unless told not to.

    Args:
        tls: wrapper on both ends.
        role: this peer's role; the channel has the other.
        answer: supply results to the channel as soon as it asks.
        given: the channel's credentials.
        alpn: what it offers or takes.
        channel: changes of the channel's settings.
    """

    def __init__(
        self,
        tls: TlsWrapper,
        role: str,
        *,
        answer: bool = True,
        alpn: tuple[str, ...] = (ALPN,),
        present: bool = True,
        given: Credentials | None = None,
        **channel: object,
    ) -> None:
        self.role = role
        other = "server" if role == "client" else "client"
        self.channel = Channel(settings(other, tls, **channel))
        self.session: TlsSession = tls.context(config(role, serial=7, alpn=alpn, present=present)).session()
        self.encrypts = tls.capabilities.encrypts
        self.answer = answer
        self._given = given or credentials(8)
        self.asked: AppraisalNeeded | None = None
        self.error: RatsTlsError | None = None
        self.own: list[bytes] = []
        self.seen: list[Frame] = []
        self._reader = FrameReader(DEFAULT_LIMITS)
        self.rest()

    def rest(self) -> None:
        """Pass bytes until nothing moves; keep the frames that the channel sent."""
        for _ in range(20):
            self._answer()
            out = self.channel.data_to_send()
            if out:
                self.session.receive_from_wire(out)
            if self.session.handshake():
                self._collect()
            data = self.session.data_to_send()
            if data and self.error is None:
                self._guard(lambda data=data: self.channel.receive_from_wire(data))
            if not out and not data:
                return

    def _answer(self) -> None:
        while (event := self.channel.next_event()) is not None:
            if isinstance(event, EvidenceNeeded):
                self._guard(lambda: self.channel.supply_evidence(self._given))
            elif isinstance(event, AppraisalNeeded):
                self.asked = event
                if self.answer:
                    self.judge()

    def judge(self) -> None:
        asked, self.asked = self.asked, None
        self._guard(lambda: self.channel.supply_result(result_for(asked)))

    def _guard(self, call) -> None:
        try:
            call()
        except RatsTlsError as error:
            self.error = error

    def _collect(self) -> None:
        """Read frames up to *accepted*; what is behind it is application data."""
        while not self.seen or self.seen[-1].type is not FrameType.ACCEPTED:
            data = self.session.read(self._reader.wanted)
            if not data:
                return
            self._reader.feed(data)
            if (frame := self._reader.next()) is not None:
                self.seen.append(frame)

    @property
    def refused_with(self) -> int | None:
        """The code with which the channel refused this peer."""
        if not self.seen or self.seen[-1].type is not FrameType.REFUSED:
            return None
        return int(RefusedMessage.from_bytes(self.seen[-1].payload, DEFAULT_LIMITS).code)

    # --- what it says --------------------------------------------------------------------------------------------
    def raw(self, data: bytes) -> None:
        self.session.write(data)
        self.rest()

    def frame(self, frame_type: FrameType, payload: bytes) -> None:
        data = Frame(frame_type, payload).to_bytes()
        self.own.append(data)
        self.raw(data)

    def hello(self, *, present: bool = True, **changes: object) -> None:
        binding = "certificate" if self.encrypts else "none"
        values: dict[str, object] = {"bindings": (binding,), "attests": True, "demands": True, **changes}
        self.frame(FrameType.HELLO, Hello(**values).to_bytes())
        if not self.encrypts:
            der = certificate(serial=7) if present else None
            self.frame(FrameType.EVIDENCE, CertificateEvidence(certificate=der).to_bytes())

    @property
    def transcript(self) -> bytes:
        said = [frame.to_bytes() for frame in self.seen if frame.type is not FrameType.ACCEPTED]
        return transcript_digest(*((self.own, said) if self.role == "client" else (said, self.own)))

    def accepted(self, transcript: bytes | None = None, behind: bytes = b"") -> None:
        message = AcceptedMessage(self.transcript if transcript is None else transcript)
        self.raw(Frame(FrameType.ACCEPTED, message.to_bytes()).to_bytes() + behind)

    def refuse(self, code: int) -> None:
        self.raw(Frame(FrameType.REFUSED, RefusedMessage(code).to_bytes()).to_bytes())
