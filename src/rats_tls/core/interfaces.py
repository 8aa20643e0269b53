"""The Protocols of the four kinds of instance. Third parties implement them; nothing here does anything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol, runtime_checkable

from rats_tls.core.algorithms import HashAlgorithm, KeyAlgorithm, SignatureAlgorithm
from rats_tls.core.anchors import TrustAnchor
from rats_tls.core.endorsements import Endorsement, Endorsements
from rats_tls.core.evidence import Evidence, TeeType
from rats_tls.core.verification import DecodedEvidence, Verification

Role = Literal["client", "server"]


# --- crypto wrappers -------------------------------------------------------------------------------------------------
class PublicKey(Protocol):
    """A public key, ready for many verifications."""

    @property
    def algorithm(self) -> KeyAlgorithm:
        """The key's algorithm."""
        ...

    @property
    def spki(self) -> bytes:
        """DER SubjectPublicKeyInfo."""
        ...

    def verify(self, algorithm: SignatureAlgorithm, signature: bytes, data: bytes) -> None:
        """Verify a signature in X.509 form (ECDSA: DER of r and s).

        Raises:
            SignatureError: the signature is not this key's over `data`, is malformed, or the algorithm does not fit
                the key. RSA-PSS: MGF1 with the same hash; salt as long as the hash.
        """
        ...

    def verify_ecdsa(self, algorithm: SignatureAlgorithm, r: int, s: int, data: bytes) -> None:
        """Verify an ECDSA signature given as two integers.

        Raises:
            SignatureError: as `verify`; also when r or s is zero or not below the group order.
        """
        ...


class PrivateKey(Protocol):
    """A private key made in this process."""

    @property
    def algorithm(self) -> KeyAlgorithm:
        """The key's algorithm."""
        ...

    @property
    def public_key(self) -> PublicKey:
        """Its public half."""
        ...

    def sign(self, algorithm: SignatureAlgorithm, data: bytes) -> bytes:
        """Sign `data`; ECDSA signatures are DER of r and s."""
        ...

    def pkcs8(self) -> bytes:
        """Unencrypted PKCS #8 DER, to hand the key to a TLS library in this process. Never written out here."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateRequest:
    """A self-signed certificate to make.

    Attributes:
        organization: O of subject and issuer.
        common_name: CN of subject and issuer.
        serial: serial number, positive.
        not_before: first moment of validity.
        not_after: last moment of validity.
        extensions: (dotted OID, extnValue bytes), all non-critical, in this order behind basicConstraints (CA:FALSE),
            subjectKeyIdentifier and authorityKeyIdentifier.
    """

    organization: str
    common_name: str
    serial: int
    not_before: datetime
    not_after: datetime
    extensions: tuple[tuple[str, bytes], ...] = ()


@runtime_checkable
class CryptoWrapper(Protocol):
    """Keys, certificates, hashes, signatures and verification over one crypto library."""

    @property
    def name(self) -> str:
        """Instance name."""
        ...

    @property
    def version(self) -> str:
        """Version of the library underneath, for results."""
        ...

    def digest(self, algorithm: HashAlgorithm, data: bytes) -> bytes:
        """Hash `data`."""
        ...

    def generate_key(self, algorithm: KeyAlgorithm) -> PrivateKey:
        """Make a key. Raises UnsupportedError for an algorithm it cannot make."""
        ...

    def load_public_key(self, spki: bytes) -> PublicKey:
        """Load a DER SubjectPublicKeyInfo.

        Raises:
            DecodeError: not a SubjectPublicKeyInfo, or a point that is not on its curve.
            UnsupportedError: an algorithm or curve it does not know.
        """
        ...

    def load_ec_point(self, algorithm: KeyAlgorithm, point: bytes) -> PublicKey:
        """Load an EC key from x‖y (64 bytes for P-256, 96 for P-384).

        Raises:
            DecodeError: wrong length, or not a point of the curve.
        """
        ...

    def self_signed_certificate(self, key: PrivateKey, request: CertificateRequest) -> bytes:
        """Make a self-signed certificate with the key's usual hash (P-384: SHA-384, else SHA-256). Returns DER."""
        ...


# --- TLS wrappers ----------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True, kw_only=True)
class TlsCapabilities:
    """What a TLS wrapper can do; a combination that cannot work is refused when a Context is made.

    Attributes:
        encrypts: False only for `null`.
        mutual_server: can demand and hand over a client's self-signed certificate.
        exporter_with_context: RFC 8446 7.5 exporter with a context value.
        alpn: can negotiate ALPN.
        tls12: can do TLS 1.2 with extended master secret.
        largest_certificate: bytes of DER that go through a handshake.
        key_algorithms: keys it can present.
    """

    encrypts: bool
    mutual_server: bool
    exporter_with_context: bool
    alpn: bool
    tls12: bool
    largest_certificate: int
    key_algorithms: frozenset[KeyAlgorithm]


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsConfig:
    """One side's TLS settings, shared by its connections.

    Attributes:
        role: client or server.
        certificate: own leaf certificate (DER), or None (a client that does not attest).
        private_key: PKCS #8 DER of its key, or None.
        request_peer_certificate: server: demand a client certificate.
        alpn: protocols to offer or to choose from, best first.
        allow_tls12: also accept TLS 1.2 with extended master secret; 1.3 only by default.
    """

    role: Role
    certificate: bytes | None
    private_key: bytes | None
    request_peer_certificate: bool
    alpn: tuple[str, ...] = ()
    allow_tls12: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsFacts:
    """What is known of a connection after its handshake, for results.

    Attributes:
        version: "TLSv1.3", "TLSv1.2" or "none".
        cipher: cipher suite name.
        group: key exchange group, or "" where the library does not tell.
        hash: the cipher suite's hash.
    """

    version: str
    cipher: str
    group: str
    hash: HashAlgorithm


class TlsSession(Protocol):
    """One TLS connection in memory: wire bytes in and out, plain bytes in and out. No I/O."""

    def handshake(self) -> bool:
        """Go on with the handshake as far as the bytes fed allow.

        Accepts any peer certificate whose key the peer proves to hold: the judgement comes later, outside.

        Returns:
            Whether it is complete.

        Raises:
            TlsError: it failed; `data_to_send` may hold the alert for the peer.
        """
        ...

    def receive_from_wire(self, data: bytes) -> None:
        """Take bytes from the peer. Bounded only by the caller."""
        ...

    def receive_eof(self) -> None:
        """Take note that the transport is closed; a read then raises TlsError unless close_notify came before."""
        ...

    def data_to_send(self) -> bytes | bytearray:
        """Give and forget the bytes due to the peer."""
        ...

    def read(self, size: int) -> bytes | None:
        """Read up to `size` plain bytes: None when none are there yet, b"" after the peer's close_notify.

        Raises:
            TlsError: a fatal alert or a broken record.
        """
        ...

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Encrypt all of `data`; the records are due in `data_to_send`."""
        ...

    def close(self) -> None:
        """Send close_notify; later writes raise TlsError."""
        ...

    @property
    def peer_certificate(self) -> bytes | None:
        """DER of the peer's leaf certificate, or None."""
        ...

    @property
    def alpn(self) -> str | None:
        """The protocol that ALPN chose."""
        ...

    @property
    def resumed(self) -> bool:
        """Whether the session was resumed; the channel refuses it."""
        ...

    def facts(self) -> TlsFacts:
        """Version, cipher, group and hash, once the handshake is complete."""
        ...

    def exporter(self, label: str, context: bytes, length: int) -> bytes:
        """Keying material of this connection (RFC 8446 7.5). Raises UnsupportedError without the capability."""
        ...


class TlsContext(Protocol):
    """A side's settings, loaded once into the TLS library."""

    def session(self, server_hostname: str | None = None) -> TlsSession:
        """Start a connection in memory; `server_hostname` is sent as SNI by a client."""
        ...


@runtime_checkable
class TlsWrapper(Protocol):
    """One TLS library."""

    @property
    def name(self) -> str:
        """Instance name."""
        ...

    @property
    def version(self) -> str:
        """Version of the library underneath."""
        ...

    @property
    def capabilities(self) -> TlsCapabilities:
        """What it can do."""
        ...

    def context(self, config: TlsConfig) -> TlsContext:
        """Load `config`. Raises ConfigurationError when the library refuses key or certificate."""
        ...


# --- attesters -------------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """Evidence from an Attester, with the Endorsements that came with it."""

    evidence: Evidence
    endorsements: tuple[Endorsement, ...] = ()


@runtime_checkable
class Attester(Protocol):
    """Obtains Evidence from one TEE. May block: shells call it off the event loop."""

    @property
    def name(self) -> str:
        """Instance name."""
        ...

    @property
    def tee_type(self) -> TeeType:
        """The TEE type whose Evidence it collects; `null` collects none."""
        ...

    def collect(self, report_data: bytes) -> Collected | None:
        """Collect Evidence that carries exactly `report_data` (64 bytes); None only from `null`.

        Raises:
            CollectionError: the device failed, or gave Evidence with other report_data.
        """
        ...


# --- verifiers -------------------------------------------------------------------------------------------------------
@runtime_checkable
class Verifier(Protocol):
    """Verifies one TEE type's Evidence against Endorsements and anchors. No policy, no I/O, no clock."""

    @property
    def name(self) -> str:
        """Instance name; for built-in ones the TEE type."""
        ...

    @property
    def tee_type(self) -> TeeType:
        """The TEE type."""
        ...

    def decode(self, evidence: Evidence) -> DecodedEvidence:
        """Decode Evidence.

        Raises:
            DecodeError: malformed.
            UnsupportedError: a version or form that this Verifier does not judge.
        """
        ...

    def verify(
        self,
        decoded: DecodedEvidence,
        endorsements: Endorsements,
        *,
        anchors: Sequence[TrustAnchor],
        crypto: CryptoWrapper,
        now: datetime,
    ) -> Verification:
        """Verify decoded Evidence: signatures, vendor chain, revocation, TCB. Problems are returned, not raised.

        A cache, if any, belongs to this instance; its keys hold everything that the verdict depended on.
        """
        ...
