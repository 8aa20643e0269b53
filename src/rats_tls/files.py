"""Reads what users have in files: trust anchors, Endorsements, Evidence and certificates that carry it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from rats_tls import registry
from rats_tls.core.anchors import TrustAnchor
from rats_tls.core.endorsements import Endorsement, Endorsements
from rats_tls.core.errors import ConfigurationError, DecodeError
from rats_tls.core.evidence import Evidence
from rats_tls.endorsements.files import endorsements_from_file
from rats_tls.formats.detect import detect_evidence
from rats_tls.formats.x509 import certificates_from_pem
from rats_tls.verifiers.chain import anchors_from_pem

MAX_FILE = 4 * 1024 * 1024
_BEGIN_CERTIFICATE = b"-----BEGIN CERTIFICATE-----"


def read_file(path: Path | str, *, limit: int = MAX_FILE) -> bytes:
    """Read a file of at most `limit` bytes.

    Raises:
        ConfigurationError: it cannot be read, or is larger; the message names it.
    """
    try:
        with Path(path).open("rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror or error}") from error
    if len(data) > limit:
        raise ConfigurationError(f"{path}: larger than {limit} bytes")
    return data


def load_trust_anchors(*paths: Path | str, now: datetime | None = None) -> tuple[TrustAnchor, ...]:
    """Read root certificates (PEM) to trust beside the vendors' own, such as those of simulated TEEs.

    Args:
        paths: files.
        now: time at which the roots must be in date; the present time when left out.

    Raises:
        ConfigurationError: a file without roots, or with one that is not self-signed, not in date, or of no known
            vendor; the message names the file.
    """
    anchors: list[TrustAnchor] = []
    for path in paths:
        try:
            crypto = registry.crypto_wrapper("openssl")
            anchors.extend(anchors_from_pem(read_file(path), crypto=crypto, now=now or datetime.now(UTC)))
        except DecodeError as error:
            raise ConfigurationError(f"{path}: {error.message}") from error
    return tuple(anchors)


def load_endorsements(*paths: Path | str) -> Endorsements:
    """Read Endorsements of any known form: Intel's JSON bundle, AMD or PCK certificates, revocation lists, ...

    Raises:
        DecodeError: a file of no known form; the message names it.
        ConfigurationError: a file that cannot be read.
    """
    items: list[Endorsement] = []
    for path in paths:
        items.extend(endorsements_from_file(read_file(path), where=str(path)))
    return Endorsements(tuple(items))


@dataclass(frozen=True, slots=True, kw_only=True)
class Presented:
    """What a file holds: bare Evidence, or a certificate that may carry some. One of the two is None."""

    evidence: Evidence | None = None
    certificate: bytes | None = None


def load_evidence(path: Path | str) -> Presented:
    """Read a quote, a report, or a certificate (PEM, DER) that carries one.

    Raises:
        UnsupportedError: no known Evidence.
        DecodeError: PEM that is malformed.
        ConfigurationError: the file cannot be read.
    """
    data = read_file(path)
    certificate = _certificate(data)
    if certificate is not None:
        return Presented(certificate=certificate)
    return Presented(evidence=detect_evidence(data))


def _certificate(data: bytes) -> bytes | None:
    """Give the leaf's DER when `data` is a certificate: a DER sequence, or PEM with nothing but text before it.

    Quotes hold a PEM chain too, behind binary.
    """
    if data[:2] in (b"\x30\x82", b"\x30\x83"):
        return data
    before, found, _ = data.partition(_BEGIN_CERTIFICATE)
    if found and before.isascii() and "".join(before.decode().split()).isprintable():
        return certificates_from_pem(data, "certificate file")[0]
    return None
