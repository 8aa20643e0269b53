"""Makes this side's certificate in the Interoperable RA-TLS format: exact CBOR, nothing behind it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import cbor2

from rats_tls.certificates.attested import ISSUED_AT, NONCE, PUBKEY_HASH, RESERVED_CLAIMS
from rats_tls.certificates.interoperable import (
    ENDORSEMENTS_OID,
    EVENT_LOG_OID,
    EVIDENCE_OID,
    HASH_IDS,
    INTEL_QUOTE_TAG,
)
from rats_tls.core.algorithms import HashAlgorithm
from rats_tls.core.endorsements import Endorsement
from rats_tls.core.errors import ConfigurationError, DecodeError
from rats_tls.core.evidence import NAMES_BY_MEDIA_TYPE, Evidence
from rats_tls.core.interfaces import CertificateRequest, CryptoWrapper, PrivateKey
from rats_tls.core.limits import DEFAULT_LIMITS, Limits
from rats_tls.formats.event_log.reading import without_padding
from rats_tls.formats.intel.collateral import endorsements_to_fields

NAME = "rats-tls"
C_READER_EVIDENCE = 8208
"""Largest Evidence, in bytes, that C rats-tls reads (its buffer's size)."""

_PARTS = {EVIDENCE_OID: "Evidence", EVENT_LOG_OID: "event log", ENDORSEMENTS_OID: "Endorsements"}
_NOT_BEFORE = timedelta(hours=1)
_ENDORSEMENTS_VERSION = bytes.fromhex("1a00000003")
"""CBOR of the version 3 in its four-byte form: C readers refuse the shortest one."""


@dataclass(frozen=True, slots=True)
class MadeCertificate:
    """A certificate, and what its maker should know about it."""

    der: bytes
    warnings: tuple[str, ...]


def make_claims_buffer(
    spki: bytes,
    crypto: CryptoWrapper,
    *,
    hash_algorithm: HashAlgorithm = HashAlgorithm.SHA256,
    custom_claims: Mapping[str, bytes] | None = None,
    issued_at: datetime | None = None,
    nonce: bytes | None = None,
) -> bytes:
    """Make the claims-buffer: pubkey-hash, issued-at, nonce, then the custom claims in the caller's order.

    Args:
        spki: DER SubjectPublicKeyInfo of the key.
        crypto: hashes it.
        hash_algorithm: of the pubkey-hash.
        custom_claims: names and values; reserved names are refused.
        issued_at: when the Evidence is made, aware; whole seconds are kept.
        nonce: the `nonce` claim.

    Raises:
        ConfigurationError: a reserved name or one that is not UTF-8, a value that is not bytes, or too many claims.
    """
    claims = dict(custom_claims or {})
    reserved = sorted(RESERVED_CLAIMS & claims.keys())
    if reserved:
        raise ConfigurationError(f"custom claims: {', '.join(reserved)}: reserved name")
    if len(claims) > DEFAULT_LIMITS.custom_claims:
        raise ConfigurationError(f"custom claims: got {len(claims)}, at most {DEFAULT_LIMITS.custom_claims}")
    for name, value in claims.items():
        if any(0xD800 <= ord(character) <= 0xDFFF for character in name):  # lone surrogates
            raise ConfigurationError(f"custom claims: {name!a}: not UTF-8")
        if not isinstance(value, bytes):
            raise ConfigurationError(f"custom claims: {name}: got {type(value).__name__}, expected bytes")
    hash_id = next(number for number, name in HASH_IDS.items() if name is hash_algorithm)
    buffer: dict[str, bytes] = {PUBKEY_HASH: cbor2.dumps([hash_id, crypto.digest(hash_algorithm, spki)])}
    if issued_at is not None:
        buffer[ISSUED_AT] = int(issued_at.timestamp()).to_bytes(8, "big")
    if nonce is not None:
        buffer[NONCE] = nonce
    return cbor2.dumps({**buffer, **claims})


def make_certificate(
    key: PrivateKey,
    evidence: Evidence | None,
    claims_buffer: bytes,
    crypto: CryptoWrapper,
    *,
    now: datetime,
    lifetime_seconds: float,
    endorsements: Iterable[Endorsement] = (),
    limits: Limits = DEFAULT_LIMITS,
) -> MadeCertificate:
    """Make a self-signed certificate that carries `evidence`.

    Args:
        key: the TLS key, made by `crypto`.
        evidence: Evidence whose report_data is that of `claims_buffer`, with its event log; None makes a certificate
            without.
        claims_buffer: as `make_claims_buffer` gives it.
        crypto: signs.
        now: time of making; notBefore is an hour earlier, for clocks that are behind.
        lifetime_seconds: from `now` to notAfter.
        endorsements: also carried, in their extension; Intel only.
        limits: size of the certificate.

    Raises:
        ConfigurationError: Endorsements for Evidence that has no form for them, an event log that is none, or a
            certificate over the limit.
    """
    warnings: list[str] = []
    extensions: list[tuple[str, bytes]] = []
    carried = tuple(endorsements)
    if evidence is not None:
        names = NAMES_BY_MEDIA_TYPE.get(evidence.media_type)
        tag = names.cbor_tag if names is not None else None
        if tag is None:
            raise ConfigurationError(f"Evidence {evidence.media_type}: has no tag in the certificate format")
        extensions.append((EVIDENCE_OID, cbor2.dumps(cbor2.CBORTag(tag, [evidence.data, claims_buffer]))))
        if evidence.event_log:
            extensions.append((EVENT_LOG_OID, _event_log(evidence.event_log, limits)))
        if len(evidence.data) > C_READER_EVIDENCE:
            warnings.append(
                f"Evidence has {len(evidence.data)} bytes: readers in C take at most {C_READER_EVIDENCE} and refuse it"
            )
        if carried:
            if tag != INTEL_QUOTE_TAG:
                raise ConfigurationError("Endorsements in the certificate: the format has them for Intel only")
            extensions.append((ENDORSEMENTS_OID, _endorsements_extension(tag, carried)))
            warnings.append("certificate carries Endorsements: readers in C (rats-tls, librats) abort on them")
    elif carried:
        raise ConfigurationError("Endorsements in the certificate: there is no Evidence that they belong to")
    der = crypto.self_signed_certificate(
        key,
        CertificateRequest(
            organization=NAME,
            common_name=NAME,
            serial=_serial(claims_buffer, crypto),
            not_before=now - _NOT_BEFORE,
            not_after=now + timedelta(seconds=lifetime_seconds),
            extensions=tuple(extensions),
        ),
    )
    if len(der) > limits.certificate_made:
        parts = ", ".join(f"{_PARTS[oid]} {len(value)}" for oid, value in extensions)
        raise ConfigurationError(
            f"certificate: got {len(der)} bytes ({parts}), at most {limits.certificate_made} are made"
        )
    return MadeCertificate(der, tuple(warnings))


def _serial(claims_buffer: bytes, crypto: CryptoWrapper) -> int:
    """Give a positive serial number of 63 bits; the claims-buffer holds the hash of a key made for it."""
    return 1 << 62 | int.from_bytes(crypto.digest(HashAlgorithm.SHA256, claims_buffer)[:8], "big") >> 2


def _event_log(event_log: bytes, limits: Limits) -> bytes:
    """Give a log as it is carried: without the rest of the area that firmware left it in."""
    try:
        return without_padding(event_log, limits=limits)
    except DecodeError as error:
        raise ConfigurationError(f"event log beside the Evidence: {error.message}") from error


def _endorsements_extension(tag: int, endorsements: tuple[Endorsement, ...]) -> bytes:
    fields = endorsements_to_fields(endorsements)
    # Written by parts: an encoder would give the version its shortest form.
    head = cbor2.dumps(cbor2.CBORTag(tag, []))[:-1]
    return head + bytes([0x80 | (1 + len(fields))]) + _ENDORSEMENTS_VERSION + b"".join(map(cbor2.dumps, fields))
