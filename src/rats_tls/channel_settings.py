"""What a channel is made with: one side's settings, and the credentials that it presents."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

from rats_tls.certificates.endorsement_documents import endorsements_to_documents
from rats_tls.core.binding import Binding
from rats_tls.core.endorsements import Endorsement
from rats_tls.core.errors import ConfigurationError, InternalError, TlsError
from rats_tls.core.evidence import NAMES_BY_TEE, Evidence, TeeType
from rats_tls.core.limits import DEFAULT_LIMITS, Limits
from rats_tls.core.results import ACCEPTED, AttestationResult
from rats_tls.core.tls import Role, TlsConfig, TlsContext, TlsSession, TlsWrapper
from rats_tls.preamble.evidence import CertificateEvidence
from rats_tls.preamble.exchange import Offer
from rats_tls.preamble.hello import PROFILE, Hello

ALPN = PROFILE
"""The ALPN protocol that stands for the preamble, `rats-tls/1`."""

_LONGEST_PROTOCOL = 255  # RFC 7301 3.1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, weakref_slot=True)
class Credentials:
    """What one side presents. Compared by identity: a TLS context is made once for each.

    Attributes:
        certificate: own leaf certificate (DER), or None where nothing is presented.
        private_key: PKCS #8 DER of its key.
        evidence: the Evidence in the certificate, or None when it holds none.
        endorsements: Endorsements for that Evidence, to be provided to the peer.
    """

    certificate: bytes | None
    private_key: bytes | None = field(repr=False)
    evidence: Evidence | None = None
    endorsements: tuple[Endorsement, ...] = ()


NO_CREDENTIALS = Credentials(certificate=None, private_key=None)


@dataclass(frozen=True, slots=True)
class _Prepared:
    """What is made once for each credentials."""

    context: TlsContext
    offer: Offer


class _Preparations:
    """TLS contexts and offers by credentials, as long as those are in use. Thread-safe.

    Nobody waits for it: who finds it in use makes his own. So does for ever a child that was forked while
    a thread of its parent used it.
    """

    def __init__(self) -> None:
        self._made: WeakKeyDictionary[Credentials, _Prepared] = WeakKeyDictionary()
        self._lock = threading.Lock()

    def get(self, settings: ChannelSettings, credentials: Credentials) -> _Prepared:
        if not self._lock.acquire(blocking=False):
            return self._make(settings, credentials)
        try:
            prepared = self._made.get(credentials)
            if prepared is None:
                prepared = self._make(settings, credentials)
                self._made[credentials] = prepared
            return prepared
        finally:
            self._lock.release()

    @staticmethod
    def _make(settings: ChannelSettings, credentials: Credentials) -> _Prepared:
        return _Prepared(settings.tls.context(settings.tls_config(credentials)), settings.make_offer(credentials))


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelSettings:
    """One side's settings, shared by its channels.

    Attributes:
        role: client or server.
        tls: the TLS wrapper.
        attests: this side presents Evidence.
        demands_evidence: this side judges the peer's Evidence.
        bindings: bindings that this side accepts; those that its TLS wrapper cannot give are left out.
        preamble_required: refuse a peer that does not speak the preamble.
        accepted_tee_types: TEE types that the policy names, told to the peer.
        application_protocols: the application's protocols, best first.
        presents_certificate: a client presents a certificate though it does not attest, to a peer whose policy names
            `null`.
        provide_endorsements: send the Endorsements of the credentials to a peer that judges them.
        allow_tls12: also accept TLS 1.2 with extended master secret.
        insecure_report_only: also take results of a report-only policy that refuse the peer.
        limits: bounds on what the peer may send.

    Raises:
        ConfigurationError: settings that do not go together.
    """

    role: Role
    tls: TlsWrapper
    attests: bool
    demands_evidence: bool
    bindings: frozenset[Binding]
    preamble_required: bool = True
    accepted_tee_types: tuple[TeeType, ...] = ()
    application_protocols: tuple[str, ...] = ()
    presents_certificate: bool = False
    provide_endorsements: bool = False
    allow_tls12: bool = False
    insecure_report_only: bool = False
    limits: Limits = DEFAULT_LIMITS
    _prepared: _Preparations = field(default_factory=_Preparations, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        capabilities = self.tls.capabilities
        name = self.tls.name
        if not self.usable_bindings:
            possible = "certificate" if capabilities.encrypts else "none"
            listed = ", ".join(sorted(binding.value for binding in self.bindings)) or "none listed"
            raise ConfigurationError(f"bindings: got {listed}; TLS wrapper {name} gives {possible}")
        if self.role == "server" and self.demands_evidence and not capabilities.mutual_server:
            raise ConfigurationError(f"TLS wrapper {name} cannot demand a client's certificate")
        if capabilities.encrypts and not capabilities.alpn and self.preamble_required:
            raise ConfigurationError(f"TLS wrapper {name} has no ALPN, without which there is no preamble")
        for protocol in self.application_protocols:
            if protocol == ALPN or not protocol.isascii() or not 0 < len(protocol) <= _LONGEST_PROTOCOL:
                raise ConfigurationError(f"application protocol: got {protocol!r}, expected 1 to 255 ASCII characters")

    @property
    def usable_bindings(self) -> tuple[Binding, ...]:
        """The bindings among `bindings` that a channel over this TLS wrapper can give."""
        possible = Binding.CERTIFICATE if self.tls.capabilities.encrypts else Binding.NONE
        return (possible,) if possible in self.bindings else ()

    def require_verdict(self, result: AttestationResult) -> None:
        """Require that `result` accepts the peer, or that these settings open the channel to a refused one.

        Raises:
            InternalError: it does not; whoever supplied it should have refused.
        """
        if result.verdict != ACCEPTED and not self.insecure_report_only:
            raise InternalError(f"channel: the result is {result.verdict}, expected an accepted one")

    def require_credentials(self, credentials: Credentials) -> None:
        """Require that `credentials` hold what this side presents. Raises ConfigurationError."""
        if self.attests and credentials.evidence is None:
            raise ConfigurationError("channel: this side attests, and the credentials hold no Evidence")
        if self.needs_credentials and credentials.certificate is None:
            raise ConfigurationError("channel: this side presents a certificate, and the credentials hold none")

    def require_sockets(self) -> None:
        """Require that the TLS wrapper can do a connection right over a socket. Raises ConfigurationError."""
        if not self.tls.capabilities.sockets:
            raise ConfigurationError(f"TLS wrapper {self.tls.name} takes no socket")

    @property
    def needs_credentials(self) -> bool:
        """Whether a certificate is presented: by every server, and by a client that attests or says so."""
        return self.attests or self.presents_certificate or self.role == "server"

    def tls_config(self, credentials: Credentials) -> TlsConfig:
        """Give the TLS settings that go with `credentials`."""
        # A server chooses the first of its list that is offered: the preamble wherever the client knows it.
        more = () if self.preamble_required else self.application_protocols
        return TlsConfig(
            role=self.role,
            certificate=credentials.certificate,
            private_key=credentials.private_key,
            request_peer_certificate=self.role == "server" and self.demands_evidence,
            alpn=(ALPN, *more) if self.tls.capabilities.alpn else (),
            allow_tls12=self.allow_tls12,
        )

    def tls_context(self, credentials: Credentials) -> TlsContext:
        """Give the TLS context for `credentials`, made once. Raises ConfigurationError."""
        return self._prepared.get(self, credentials).context

    def require_session(self, session: TlsSession) -> None:
        """Require of a complete handshake what holds whatever the TLS wrapper let through.

        Raises:
            TlsError: a resumed session, which carries no certificate and so no Evidence; or another TLS version than
                1.3, and 1.2 where it is allowed.
        """
        if session.resumed:
            raise TlsError("TLS: the session was resumed, its Evidence would not be judged")
        expected = ("TLSv1.3", "TLSv1.2") if self.allow_tls12 else ("TLSv1.3",)
        if not self.tls.capabilities.encrypts:
            expected = ("none",)
        version = session.facts().version
        if version not in expected:
            raise TlsError(f"TLS version: got {version}, expected {' or '.join(expected)}")

    def too_large(self, error: TlsError) -> TlsError:
        """Give `error`, of a peer's certificate that the TLS wrapper does not take, with what it takes, and advice."""
        able = self.tls.capabilities
        advice = f"; for larger ones {able.larger_certificates}" if able.larger_certificates else ""
        most = f"TLS wrapper {self.tls.name} takes certificates of at most {able.largest_certificate} bytes here"
        return TlsError(f"{error.message}: {most}{advice}", too_large=True)

    def offer(self, credentials: Credentials) -> Offer:
        """Give what this side says in its preamble, made once. Raises as `make_offer`."""
        return self._prepared.get(self, credentials).offer

    def make_offer(self, credentials: Credentials) -> Offer:
        """Make what this side says in its preamble. Raises ConfigurationError, DecodeError for own Endorsements."""
        evidence = credentials.evidence
        accepted = self.accepted_tee_types if self.demands_evidence else ()
        documents = endorsements_to_documents(credentials.endorsements if self.provide_endorsements else ())
        return Offer(
            hello=Hello(
                bindings=tuple(binding.value for binding in self.usable_bindings),
                attests=self.attests,
                demands=self.demands_evidence,
                evidence_media_types=(evidence.media_type,) if evidence is not None else (),
                accepted_tee_types=tuple(tee.value for tee in accepted),
                accepted_media_types=tuple(NAMES_BY_TEE[tee].media_type for tee in accepted if tee in NAMES_BY_TEE),
                application_protocols=self.application_protocols,
            ),
            evidence=None
            if self.tls.capabilities.encrypts
            else CertificateEvidence(certificate=credentials.certificate),
            documents={kind.value: data for kind, data in documents.items()},
        )
