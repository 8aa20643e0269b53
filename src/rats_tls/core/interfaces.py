"""The Protocols of crypto wrappers, attesters and verifiers; those of TLS wrappers are in `core.tls`.

Third parties implement them; nothing here does anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, runtime_checkable

from rats_tls.core.algorithms import HashAlgorithm, KeyAlgorithm, SignatureAlgorithm
from rats_tls.core.anchors import AnchorKind, TrustAnchor
from rats_tls.core.endorsements import Endorsement, Endorsements
from rats_tls.core.evidence import Evidence, TeeType
from rats_tls.core.verification import DecodedEvidence, Verification


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


class Sm2Key(PublicKey, Protocol):
    """A public key of SM2, for which a wrapper may turn to another library than its own.

    It verifies `SignatureAlgorithm.SM2_SM3` and nothing else, and is used by several threads at once.
    """

    @property
    def library(self) -> str:
        """Name and version of the library that verifies: what a check of its signatures says in `got`.

        A wrapper of one name and version keeps to one library for the life of the process: keys of caches that hold
        these two need not hold it.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class CryptoCapabilities:
    """What a crypto wrapper can do; a combination that cannot work is refused when a Context is made.

    Attributes:
        generates: keys it makes, and signs with.
        verifies: keys whose signatures it verifies; with RSA other sizes than 3072 are `KeyAlgorithm.RSA`.
        certificates: keys it makes self-signed certificates for.
        caution: what whoever names it must know, as a clause, or "".
        more_certificates: what to do to have certificates made for more of its keys, or "".
    """

    generates: frozenset[KeyAlgorithm]
    verifies: frozenset[KeyAlgorithm]
    certificates: frozenset[KeyAlgorithm]
    caution: str = ""
    more_certificates: str = ""


@runtime_checkable
class CryptoWrapper(Protocol):
    """Keys, certificates, hashes, signatures and verification over one crypto library.

    What it and its keys take as bytes may also be a bytearray or a memoryview; what is loaded does not change with it.
    """

    @property
    def name(self) -> str:
        """Instance name."""
        ...

    @property
    def version(self) -> str:
        """Version of the library underneath, for results; libraries that it leaves a part to are named too."""
        ...

    @property
    def capabilities(self) -> CryptoCapabilities:
        """What it can do. SM2 verification, which depends on what is installed, is asked of `load_sm2_point`."""
        ...

    def digest(self, algorithm: HashAlgorithm, data: bytes) -> bytes:
        """Hash `data`. Raises UnsupportedError for a hash that the library underneath was built without."""
        ...

    def generate_key(self, algorithm: KeyAlgorithm) -> PrivateKey:
        """Make a key. Raises UnsupportedError for an algorithm it cannot make."""
        ...

    def load_public_key(self, spki: bytes) -> PublicKey:
        """Load a DER SubjectPublicKeyInfo; the owner of one of SM2 has the default user id.

        Raises:
            DecodeError: not a SubjectPublicKeyInfo, or a point that is not on its curve.
            UnsupportedError: an algorithm or curve it does not know; SM2 where no library that is at hand verifies it.
        """
        ...

    def load_ec_point(self, algorithm: KeyAlgorithm, point: bytes) -> PublicKey:
        """Load an EC key from x‖y (64 bytes for P-256, 96 for P-384).

        Raises:
            DecodeError: wrong length, or not a point of the curve.
        """
        ...

    def load_sm2_point(self, point: bytes, user_id: bytes) -> Sm2Key:
        """Load an SM2 key from x‖y (64 bytes) together with its owner's user id, on which its signatures depend.

        The key verifies `SignatureAlgorithm.SM2_SM3` (GB/T 32918.2: Z_A is made of the user id, the curve and the key).

        Raises:
            DecodeError: wrong length, or not a point of the curve; a user id that is empty or has more than 8190 bytes.
            UnsupportedError: no library that is at hand verifies SM2; the message names what to install.
        """
        ...

    def self_signed_certificate(self, key: PrivateKey, request: CertificateRequest) -> bytes:
        """Make a self-signed certificate with the key's usual hash (P-384: SHA-384; RSA, P-256: SHA-256; SM2: SM3).

        Returns:
            Its DER.

        Raises:
            ConfigurationError: the key was made by another wrapper.
            UnsupportedError: it makes no certificates for such keys.
        """
        ...


# --- attesters -------------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """Evidence from an Attester, with the Endorsements that came with it.

    An event log in `evidence` must have been read after the last event that its registers hold: one that does not
    replay is refused. It may have the padding of the area that firmware left it in.
    """

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


@runtime_checkable
class TargetEnclave(Protocol):
    """The enclave that local reports are made for, and that alone can check them (Intel SDM 3D, EREPORT, EGETKEY)."""

    @property
    def name(self) -> str:
        """Whose word a checked report rests on, for results: `this machine's processor`, ..."""
        ...

    @property
    def kind(self) -> AnchorKind:
        """Vendor where it is hardware, simulated where it is not."""
        ...

    def target_info(self) -> bytes:
        """Give the TARGETINFO (512 bytes) by which reports are made for it.

        Raises:
            UnsupportedError: it cannot be asked; the message says why.
        """
        ...

    def check(self, report: bytes) -> None:
        """Check the MAC of a local report (432 bytes) by the key that the processor derives for this enclave.

        Raises:
            SignatureError: made for another enclave, on another machine, or changed.
            UnsupportedError: it cannot be asked; the message says why.
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
