"""X.509 certificates and revocation lists as frozen dataclasses, read with `cryptography` (RFC 5280)."""

from __future__ import annotations

import hashlib
import re
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509.oid import ExtensionOID, NameOID, SignatureAlgorithmOID

from rats_tls.core.algorithms import SignatureAlgorithm
from rats_tls.core.errors import DecodeError, UnsupportedError
from rats_tls.formats.x509_parts import CertificateParts, ListParts, serial_number_is_positive

_SIGNATURES: dict[x509.ObjectIdentifier, SignatureAlgorithm] = {
    SignatureAlgorithmOID.ECDSA_WITH_SHA256: SignatureAlgorithm.ECDSA_SHA256,
    SignatureAlgorithmOID.ECDSA_WITH_SHA384: SignatureAlgorithm.ECDSA_SHA384,
    SignatureAlgorithmOID.ECDSA_WITH_SHA512: SignatureAlgorithm.ECDSA_SHA512,
    SignatureAlgorithmOID.RSA_WITH_SHA256: SignatureAlgorithm.RSA_PKCS1_SHA256,
    SignatureAlgorithmOID.RSA_WITH_SHA384: SignatureAlgorithm.RSA_PKCS1_SHA384,
    SignatureAlgorithmOID.RSA_WITH_SHA512: SignatureAlgorithm.RSA_PKCS1_SHA512,
    SignatureAlgorithmOID.ED25519: SignatureAlgorithm.ED25519,
    x509.ObjectIdentifier("1.2.156.10197.1.501"): SignatureAlgorithm.SM2_SM3,  # GM/T 0006; RFC 8998 3.2.1 names it
}
_PSS = {
    "sha256": SignatureAlgorithm.RSA_PSS_SHA256,
    "sha384": SignatureAlgorithm.RSA_PSS_SHA384,
    "sha512": SignatureAlgorithm.RSA_PSS_SHA512,
}


_REFUSALS = (
    ValueError,
    TypeError,
    OverflowError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
    Warning,  # of `cryptography` about malformed names, where the process has made warnings errors
)
"""What `cryptography` raises for certificates and lists that it does not read."""


_LONGEST_NAME = 512
"""Characters of a name that are kept for people; messages show them, and a peer's names may be as long as its bytes."""


def _reason(error: Exception) -> str:
    """Say in a few words what `cryptography` does not like; its own words are for programmers.

    They may also repeat what it was given, so they are cut.
    """
    text = str(error)[:_LONGEST_NAME]
    if "ParseError" in text or isinstance(error, IndexError):
        where = re.findall(r'"(\w+::\w+)"', text)
        return f"malformed DER at {where[-1]}" if where else "malformed DER"
    if "PEM" in text:
        return "no whole PEM block of a certificate"
    return text.partition(". ")[0]


@dataclass(frozen=True, slots=True)
class Name:
    """A distinguished name: exact DER for comparison, text for people, cut at 512 characters."""

    der: bytes
    common_name: str
    organization: str
    text: str

    @classmethod
    def of(cls, der: bytes, read: Callable[[], x509.Name]) -> Name:
        """Give the name of `der`, which `read` decodes. Few names come again and again, so the last ones are kept."""
        known = _names.get(der)
        if known is None:
            known = cls._taken_over(der, read())
            if len(der) <= _LONGEST_NAME:
                while len(_names) >= _NAMES:
                    _names.pop(next(iter(list(_names)), b""), None)
                _names[der] = known
        return known

    @classmethod
    def _taken_over(cls, der: bytes, name: x509.Name) -> Name:
        def first(oid: x509.ObjectIdentifier) -> str:
            found = name.get_attributes_for_oid(oid)
            return str(found[0].value) if found else ""

        common_name, organization = first(NameOID.COMMON_NAME), first(NameOID.ORGANIZATION_NAME)
        return cls.cut(der, common_name, organization, name.rfc4514_string())

    @classmethod
    def cut(cls, der: bytes, common_name: str, organization: str, text: str) -> Name:
        """Make a name of texts of any length."""
        return cls(der, common_name[:_LONGEST_NAME], organization[:_LONGEST_NAME], text[:_LONGEST_NAME])

    def __str__(self) -> str:
        return self.text


_NAMES = 256
_names: dict[bytes, Name] = {}
"""Names by their DER, the first one first. Each step is atomic by itself; what threads do at once costs a reading."""


@dataclass(frozen=True, slots=True)
class Extension:
    """One extension: its criticality and the bytes of extnValue."""

    critical: bool
    value: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """A certificate, with the exact bytes that hashes and signatures cover.

    Attributes:
        der: all of it.
        tbs: the signed bytes.
        spki: DER SubjectPublicKeyInfo exactly as it stands inside.
        signature: signature value.
        signature_algorithm: None when it is one that this package does not verify.
        extensions: by dotted OID.
        is_ca: basicConstraints CA flag; False without the extension.
        path_length: basicConstraints path length, or None.
    """

    der: bytes
    tbs: bytes
    version: int
    serial: int
    subject: Name
    issuer: Name
    not_before: datetime
    not_after: datetime
    spki: bytes
    signature: bytes
    signature_algorithm: SignatureAlgorithm | None
    extensions: Mapping[str, Extension]
    is_ca: bool
    path_length: int | None

    @classmethod
    def from_der(cls, der: bytes, structure: str = "Certificate") -> Certificate:
        """Decode a certificate.

        Args:
            der: its DER; nothing may stand behind it.
            structure: what to call it in errors.

        Raises:
            DecodeError: not a certificate, or one that `cryptography` refuses.
        """
        try:
            if serial_number_is_positive(der):
                return cls._read(der)
            with _any_serial_number():
                return cls._read(der)
        except (*_REFUSALS, IndexError) as error:
            raise DecodeError(structure, "", None, f"not an X.509 certificate: {_reason(error)}") from error

    @classmethod
    def _read(cls, der: bytes) -> Certificate:
        certificate = x509.load_der_x509_certificate(der)
        parts = CertificateParts.of(der)
        constraints: x509.BasicConstraints | None = None
        extensions: dict[str, Extension] = {}
        for extension in certificate.extensions:
            value = extension.value
            if type(value) is x509.BasicConstraints:
                constraints = value
            extensions[extension.oid.dotted_string] = Extension(extension.critical, value.public_bytes())
        return cls(
            der=der,
            tbs=parts.tbs,
            version=certificate.version.value + 1,
            serial=certificate.serial_number,
            subject=Name.of(parts.subject, lambda: certificate.subject),
            issuer=Name.of(parts.issuer, lambda: certificate.issuer),
            not_before=certificate.not_valid_before_utc,
            not_after=certificate.not_valid_after_utc,
            spki=parts.spki,
            signature=certificate.signature,
            signature_algorithm=_signature_algorithm(certificate),
            extensions=extensions,
            is_ca=constraints is not None and constraints.ca,
            path_length=constraints.path_length if constraints is not None else None,
        )

    @property
    def self_issued(self) -> bool:
        """Whether subject and issuer are the same name."""
        return self.subject.der == self.issuer.der

    @property
    def sha256(self) -> bytes:
        """SHA-256 over all of it (32 bytes)."""
        return hashlib.sha256(self.der).digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class RevocationList:
    """A certificate revocation list.

    Attributes:
        number: cRLNumber, or None.
        authority_key_id: whether the authorityKeyIdentifier extension is there.
        revoked: serial numbers of the revoked certificates.
        unknown_critical: dotted OIDs of critical extensions other than cRLNumber and authorityKeyIdentifier.
    """

    der: bytes
    tbs: bytes
    issuer: Name
    this_update: datetime
    next_update: datetime
    signature: bytes
    signature_algorithm: SignatureAlgorithm | None
    number: int | None
    authority_key_id: bool
    revoked: frozenset[int]
    unknown_critical: tuple[str, ...]

    @classmethod
    def from_der(cls, der: bytes, structure: str = "RevocationList") -> RevocationList:
        """Decode a list.

        Raises:
            DecodeError: not a revocation list, or one without nextUpdate.
        """
        try:
            crl = x509.load_der_x509_crl(der)
            parts = ListParts.of(der)
            next_update = crl.next_update_utc
            if next_update is None:
                raise DecodeError(structure, "nextUpdate", None, "absent")
            number: int | None = None
            authority_key_id = False
            unknown: list[str] = []
            for extension in crl.extensions:
                if type(extension.value) is x509.CRLNumber:
                    number = extension.value.crl_number
                elif extension.oid == ExtensionOID.AUTHORITY_KEY_IDENTIFIER:
                    authority_key_id = True
                elif extension.critical:
                    unknown.append(extension.oid.dotted_string)
            return cls(
                der=der,
                tbs=parts.tbs,
                issuer=Name.of(parts.issuer, lambda: crl.issuer),
                this_update=crl.last_update_utc,
                next_update=next_update,
                signature=crl.signature,
                signature_algorithm=_signature_algorithm(crl),
                number=number,
                authority_key_id=authority_key_id,
                revoked=frozenset(entry.serial_number for entry in crl),
                unknown_critical=tuple(unknown),
            )
        except (*_REFUSALS, IndexError) as error:
            raise DecodeError(structure, "", None, f"not a revocation list: {_reason(error)}") from error


def certificates_from_pem(pem: bytes, structure: str = "CertificateChain", *, limit: int = 8) -> tuple[bytes, ...]:
    """Split a PEM bundle into the DER of its certificates, in order. Text between blocks is ignored.

    Raises:
        DecodeError: no certificate in it, a block that is not one, or more than `limit`.
    """
    try:
        found = x509.load_pem_x509_certificates(pem)
    except _REFUSALS as error:
        raise DecodeError(structure, "", None, f"not a PEM certificate bundle: {_reason(error)}") from error
    if len(found) > limit:
        raise DecodeError(structure, "", None, f"{len(found)} certificates, at most {limit} are read")
    # A block with a broken frame or another label would else be passed over as text between blocks.
    blocks = pem.count(b"-----BEGIN")
    if blocks != len(found):
        raise DecodeError(structure, "", None, f"{blocks} PEM blocks, {len(found)} of them whole certificates")
    return tuple(certificate.public_bytes(Encoding.DER) for certificate in found)


def _signature_algorithm(signed: x509.Certificate | x509.CertificateRevocationList) -> SignatureAlgorithm | None:
    oid = signed.signature_algorithm_oid
    if oid != SignatureAlgorithmOID.RSASSA_PSS:
        return _SIGNATURES.get(oid)
    # RFC 4055 3.1: MGF1 with the same hash and a salt as long as the hash, else it is not one that wrappers verify.
    parameters = signed.signature_algorithm_parameters
    if not isinstance(parameters, padding.PSS) or not isinstance(parameters._mgf, padding.MGF1):  # noqa: SLF001  # no public name
        return None
    algorithm: hashes.HashAlgorithm | None = signed.signature_hash_algorithm
    mgf_hash = parameters._mgf._algorithm  # noqa: SLF001  # no public name
    if algorithm is None or mgf_hash.name != algorithm.name or parameters._salt_length != algorithm.digest_size:  # noqa: SLF001  # no public name
        return None
    return _PSS.get(algorithm.name)


_warnings_lock = threading.Lock()
_MOST_SECONDS_TO_WAIT = 0.25
"""Many times what reading a certificate takes: a child that was forked while a thread held the lock never gets it."""


@contextmanager
def _any_serial_number() -> Iterator[None]:
    """Read a certificate whose serial number is not positive without a warning: AMD's VCEK certificates all have 0.

    RFC 5280 4.1.2.2 wants a positive one, but demands that such certificates are handled. The warning filters belong
    to the whole process, so they are touched for such certificates only, and by one thread at a time. Without the lock
    the certificate is read all the same, with the warning.
    """
    if not _warnings_lock.acquire(timeout=_MOST_SECONDS_TO_WAIT):
        yield
        return
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Parsed a serial number", CryptographyDeprecationWarning)
            yield
    finally:
        _warnings_lock.release()


def require_signature_algorithm(certificate: Certificate | RevocationList) -> SignatureAlgorithm:
    """Give its signature algorithm.

    Raises:
        UnsupportedError: it is none that this package verifies.
    """
    if certificate.signature_algorithm is None:
        raise UnsupportedError("signature algorithm of a certificate or revocation list is not supported")
    return certificate.signature_algorithm
