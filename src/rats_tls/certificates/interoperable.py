"""The Interoperable RA-TLS certificate of the CCC, as rats-tls, librats and Gramine send it.

Extension 2.23.133.5.4.9 holds `tag([evidence, claims-buffer])` as CBOR, without an inner OCTET STRING. C writers leave
uninitialised bytes behind the CBOR item at three levels: the first item counts there, and hashes cover the bytes as
received.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from rats_tls.certificates.attested import ISSUED_AT, NONCE, PUBKEY_HASH, RESERVED_CLAIMS, AttestedCertificate
from rats_tls.core.algorithms import HashAlgorithm
from rats_tls.core.cbor import Tagged, decode_exact, decode_first
from rats_tls.core.endorsements import Endorsement
from rats_tls.core.errors import DecodeError, UnsupportedError
from rats_tls.core.evidence import EVIDENCE_NAMES, Evidence, TeeType
from rats_tls.core.limits import Limits
from rats_tls.formats.detect import INTEL_QE_VENDOR_ID, detect_evidence
from rats_tls.formats.intel.collateral import endorsements_from_fields
from rats_tls.formats.x509 import Certificate

EVIDENCE_OID = "2.23.133.5.4.9"
ENDORSEMENTS_OID = "2.23.133.5.4.2"
EVENT_LOG_OID = "2.25.270967098088067792840985670263767220255"
"""Of this project: the arc of UUIDs (X.667, 8) with the random UUID cbda5d64-869c-4041-aaa6-57fb53a2c01f (RFC 4122)."""
FORMAT = "interoperable-ra-tls"

INTEL_QUOTE_TAG = 60000
TEE_REPORT_TAG = 60001
HASH_IDS = {1: HashAlgorithm.SHA256, 7: HashAlgorithm.SHA384, 8: HashAlgorithm.SHA512}
"""IANA named-information hash ids (RFC 6920 9.4) that a pubkey-hash may use."""

_TEES_BY_TAG = {names.cbor_tag: names.tee_type for names in EVIDENCE_NAMES if names.cbor_tag != INTEL_QUOTE_TAG}
_EXTENSION = "EvidenceExtension"
_CLAIMS = "ClaimsBuffer"


def read_interoperable(certificate: Certificate, *, limits: Limits) -> AttestedCertificate:
    """Read the Evidence that `certificate` carries in this format.

    Raises:
        DecodeError: extension or claims-buffer malformed; an event log that is empty or too large.
        UnsupportedError: a tag, hash or quote version that nothing here judges.
    """
    extension = certificate.extensions[EVIDENCE_OID].value
    # (1) The extension: tag([bstr evidence, bstr claims-buffer]), its first item.
    item, end = decode_first(extension, _EXTENSION, max_depth=limits.cbor_depth)
    if not isinstance(item, Tagged):
        raise DecodeError(_EXTENSION, "tag", 0, f"got {_name(item)}, expected a tagged array")
    tag, pair = item.tag, item.value
    if not isinstance(pair, list) or len(pair) != 2:
        got = f"an array of {len(pair)}" if isinstance(pair, list) else _name(pair)
        raise DecodeError(_EXTENSION, "array", None, f"got {got}, expected an array of 2")
    data, claims_buffer = pair
    if not isinstance(data, bytes) or not isinstance(claims_buffer, bytes):
        raise DecodeError(
            _EXTENSION, "array", None, f"got {_name(data)} and {_name(claims_buffer)}, expected two byte strings"
        )
    if len(data) > limits.evidence:
        raise DecodeError(_EXTENSION, "evidence", None, f"got {len(data)} bytes, at most {limits.evidence} are read")
    evidence = _evidence(tag, data)
    # (2) The claims-buffer: a map of texts to byte strings, its first item.
    claims, claims_end = _claims(claims_buffer, limits)
    # (3) pubkey-hash: [hash id, digest], its first item. Required, and the map has no key twice.
    pubkey_hash, hash_end = _pubkey_hash(claims, limits)
    return AttestedCertificate(
        certificate=certificate,
        format=FORMAT,
        evidence=replace(evidence, event_log=_event_log(certificate, limits)),
        claims_buffer=claims_buffer,
        pubkey_hash=pubkey_hash,
        custom_claims={name: value for name, value in claims.items() if name not in RESERVED_CLAIMS},
        nonce=claims.get(NONCE),
        issued_at=_issued_at(claims.get(ISSUED_AT)),
        endorsements=_endorsements(certificate, tag, limits),
        trailing_bytes=(
            len(extension) - end,
            len(claims_buffer) - claims_end,
            len(claims[PUBKEY_HASH]) - hash_end,
        ),
    )


def _name(item: object) -> str:
    return {bytes: "a byte string", str: "a text", list: "an array", dict: "a map", int: "an integer"}.get(
        type(item), type(item).__name__.lower()
    )


def _evidence(tag: int, data: bytes) -> Evidence:
    """Tell the TEE type by an exact list of tags; SGX and TDX share one and are told by the quote's header."""
    if tag == TEE_REPORT_TAG:
        raise UnsupportedError("Evidence tag 60001 (TEE report): local, it cannot be verified remotely")
    if tag != INTEL_QUOTE_TAG:
        tee_type = _TEES_BY_TAG.get(tag)
        if tee_type is None:
            raise UnsupportedError(f"Evidence tag {tag}: not assigned to a TEE type")
        return Evidence.of(tee_type, data)
    version, key_type = int.from_bytes(data[0:2], "little"), int.from_bytes(data[2:4], "little")
    if version in {1, 2} or (version == 3 and key_type in {0, 1}):
        raise UnsupportedError(f"Intel quote version {version} with attestation key type {key_type}: EPID")
    evidence = detect_evidence(data) if data[12:28] == INTEL_QE_VENDOR_ID else None
    if evidence is None:
        # Not a genuine header: the SGX decoder says what is wrong with it.
        tee = TeeType.TDX_ECDSA if data[4:8] == b"\x81\0\0\0" else TeeType.SGX_ECDSA
        return Evidence.of(tee, data)
    return evidence


def _claims(claims_buffer: bytes, limits: Limits) -> tuple[dict[str, bytes], int]:
    value, end = decode_first(claims_buffer, _CLAIMS, max_depth=limits.cbor_depth)
    if not isinstance(value, dict):
        raise DecodeError(_CLAIMS, "map", 0, f"got {_name(value)}, expected a map")
    if len(value) > limits.custom_claims + len(RESERVED_CLAIMS):
        raise DecodeError(_CLAIMS, "map", 0, f"got {len(value)} claims, at most {limits.custom_claims} custom ones")
    claims: dict[str, bytes] = {}
    for name, claim in value.items():
        if not isinstance(name, str):
            raise DecodeError(_CLAIMS, "key", None, f"got {_name(name)} {name!r}, expected a text")
        if not isinstance(claim, bytes):
            raise DecodeError(_CLAIMS, name, None, f"got {_name(claim)}, expected a byte string")
        claims[name] = claim
    return claims, end


def _pubkey_hash(claims: dict[str, bytes], limits: Limits) -> tuple[tuple[HashAlgorithm, bytes], int]:
    if PUBKEY_HASH not in claims:
        raise DecodeError(_CLAIMS, PUBKEY_HASH, None, "absent")
    value, end = decode_first(claims[PUBKEY_HASH], "PubkeyHash", max_depth=limits.cbor_depth)
    if not isinstance(value, list) or len(value) != 2:
        got = f"an array of {len(value)}" if isinstance(value, list) else _name(value)
        raise DecodeError("PubkeyHash", "array", 0, f"got {got}, expected an array of 2")
    hash_id, digest = value
    if isinstance(hash_id, bool) or not isinstance(hash_id, int) or not isinstance(digest, bytes):
        raise DecodeError(
            "PubkeyHash", "array", 0, f"got {_name(hash_id)} and {_name(digest)}, expected an integer and a byte string"
        )
    algorithm = HASH_IDS.get(hash_id)
    if algorithm is None:
        listed = ", ".join(f"{number} ({name.value})" for number, name in HASH_IDS.items())
        raise DecodeError("PubkeyHash", "hash id", None, f"got {hash_id}, expected one of {listed}")
    if len(digest) != algorithm.size:
        raise DecodeError(
            "PubkeyHash", "digest", None, f"got {len(digest)} bytes, expected {algorithm.size} for {algorithm.value}"
        )
    return (algorithm, digest), end


def _issued_at(value: bytes | None) -> datetime | None:
    if value is None:
        return None
    if len(value) != 8:
        raise DecodeError(_CLAIMS, ISSUED_AT, None, f"got {len(value)} bytes, expected 8")
    try:
        return datetime.fromtimestamp(int.from_bytes(value, "big"), UTC)
    except (OverflowError, ValueError, OSError) as error:
        raise DecodeError(_CLAIMS, ISSUED_AT, None, f"got {value.hex()}, not a time") from error


def _event_log(certificate: Certificate, limits: Limits) -> bytes:
    """Give the event log beside the Evidence: the bytes of its extension, which the Verifier reads."""
    extension = certificate.extensions.get(EVENT_LOG_OID)
    if extension is None:
        return b""
    if not 0 < len(extension.value) <= limits.event_log:
        problem = f"got {len(extension.value)} bytes, expected 1 to {limits.event_log}"
        raise DecodeError("EventLogExtension", "", None, problem)
    return extension.value


def _endorsements(certificate: Certificate, evidence_tag: int, limits: Limits) -> tuple[Endorsement, ...]:
    """Read Intel's Endorsements from their extension: tag([version, 7 byte strings, (creation time)])."""
    extension = certificate.extensions.get(ENDORSEMENTS_OID)
    if extension is None:
        return ()
    structure = "EndorsementsExtension"
    if len(extension.value) > limits.endorsement_document:
        raise DecodeError(
            structure, "", None, f"got {len(extension.value)} bytes, at most {limits.endorsement_document} are read"
        )
    item = decode_exact(extension.value, structure, max_depth=limits.cbor_depth)
    if not isinstance(item, Tagged) or item.tag != evidence_tag:
        got = f"tag {item.tag}" if isinstance(item, Tagged) else _name(item)
        raise DecodeError(structure, "tag", 0, f"got {got}, expected the tag of the Evidence, {evidence_tag}")
    if evidence_tag != INTEL_QUOTE_TAG:
        raise UnsupportedError(f"endorsements extension beside Evidence of tag {evidence_tag}")
    fields = item.value
    if not isinstance(fields, list) or not fields or isinstance(fields[0], bool) or not isinstance(fields[0], int):
        raise DecodeError(structure, "version", None, "got no array that begins with an integer")
    texts = [field for field in fields[1:] if isinstance(field, bytes)]
    if len(texts) != len(fields) - 1:
        raise DecodeError(structure, "array", None, "got an item that is not a byte string")
    return endorsements_from_fields(texts, limits=limits)
