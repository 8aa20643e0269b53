"""What users have in files: policies, trust anchors, Endorsements, Evidence and certificates that carry it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from rats_tls import registry
from rats_tls.certificates.registry import read_attested_certificate, read_certificate
from rats_tls.core.anchors import TrustAnchor
from rats_tls.core.claims import TeeClaims
from rats_tls.core.endorsements import Endorsement, Endorsements
from rats_tls.core.errors import ConfigurationError, DecodeError, RatsTlsError, UnsupportedError
from rats_tls.core.evidence import NAMES_BY_MEDIA_TYPE, Evidence, TeeType
from rats_tls.core.verification import DecodedEvidence
from rats_tls.endorsements.bundle import bundle_from_bytes, is_bundle
from rats_tls.endorsements.files import endorsements_from_file
from rats_tls.endorsements.local_files import read_regular_file, remove_regular_file, replace_files
from rats_tls.formats.amd.pem import split_pem
from rats_tls.formats.amd.sev_report import evidence_from_json as evidence_of_broker
from rats_tls.formats.amd.sev_report import is_broker_evidence
from rats_tls.formats.detect import detect_evidence
from rats_tls.formats.event_log.dstack_quote import read_dstack_quote
from rats_tls.formats.hygon.hsk_cek import joined
from rats_tls.formats.hygon.trustee import evidence_from_trustee, is_trustee_evidence
from rats_tls.formats.json_document import JsonObject
from rats_tls.formats.x509 import Certificate
from rats_tls.policy import Policy
from rats_tls.verifiers.chain import anchor_of, vendor_of
from rats_tls.verifiers.explicit_anchors import anchor_of_block, anchors_from_pem, root_labels

MAX_FILE = 4 * 1024 * 1024
_SHORTEST_HEX = 64
_HEX = re.compile(rb"(?:0[xX])?[0-9A-Fa-f]+")
_BEGIN_CERTIFICATE = b"-----BEGIN CERTIFICATE-----"


def read_file(path: Path | str, *, limit: int = MAX_FILE) -> bytes:
    """Read a regular file of at most `limit` bytes.

    Raises:
        ConfigurationError: it cannot be read, is a pipe or device, or is larger; the message names it.
    """
    return read_regular_file(path, limit=limit)


def write_file(path: Path | str, data: bytes) -> None:
    """Write a file whole or not at all, in place of one that is there.

    Raises:
        ConfigurationError: it cannot be written, or is a pipe or device; the message names it.
    """
    write_files({path: data})


def write_files(files: Mapping[Path | str, bytes]) -> None:
    """Write files that belong together: none is replaced before all have been written.

    Raises:
        ConfigurationError: as `write_file`.
    """
    replace_files(files)


def remove_file(path: Path | str) -> bool:
    """Remove a file, if there is one; say whether there was.

    Raises:
        ConfigurationError: it cannot be removed, or is a pipe or device; the message names it.
    """
    return remove_regular_file(path)


def load_policy(path: Path | str) -> Policy:
    """Read a policy file (TOML).

    Raises:
        ConfigurationError: it cannot be read, or is no policy; the message names it.
    """
    data = read_file(path)
    if not data:
        raise ConfigurationError(f"{path}: the file is empty; expected a policy (TOML)")
    return Policy.from_toml(data, where=str(path))


def load_trust_anchors(*paths: Path | str, now: datetime | None = None) -> tuple[TrustAnchor, ...]:
    """Read root certificates (PEM) to trust beside the vendors' own, such as those of simulated TEEs.

    X.509 certificates, and roots in their vendor's own form under a label of its own (Hygon).

    Args:
        paths: files.
        now: time at which the roots must be in date; the present time when left out.

    Raises:
        ConfigurationError: a file without roots, or with one that is not self-signed, not in date, or of no known
            vendor; the message names the file.
    """
    anchors: list[TrustAnchor] = []
    for path in paths:
        data = read_file(path)
        if not data:
            raise ConfigurationError(f"{path}: the file is empty; expected root certificates (PEM)")
        try:
            crypto = registry.crypto_wrapper("openssl")
            anchors.extend(anchors_from_pem(data, crypto=crypto, now=now or datetime.now(UTC)))
        except RatsTlsError as error:
            raise ConfigurationError(f"{path}: {error.message}") from error
    return tuple(anchors)


def load_endorsements(*paths: Path | str) -> Endorsements:
    """Read Endorsements of any known form: a bundle, Intel's JSON, vendors' certificates, revocation lists, ...

    Raises:
        DecodeError: a file of no known form; the message names it. Also a certificate of Hygon's HSK or CEK alone.
        ConfigurationError: a file that cannot be read.
    """
    items: list[Endorsement] = []
    for path in paths:
        data = read_file(path)
        if not data:
            raise DecodeError(str(path), "", None, "the file is empty; expected Endorsements")
        if is_bundle(data):
            items.extend(item.endorsement for item in bundle_from_bytes(data, where=str(path)).items)
        else:
            try:
                items.extend(endorsements_from_file(data, where=str(path)))
            except DecodeError as error:
                raise named_as_evidence(error, path) from error
    return Endorsements(joined(items))


def named_as_evidence(error: DecodeError, path: Path | str) -> DecodeError:
    """Give what is wrong with a file that holds no Endorsements: it may hold Evidence, which its user took for them."""
    try:
        presented = _presented(read_file(path))
        is_certificate = presented.evidence is None
        evidence = _evidence(presented)
    except RatsTlsError:
        return error
    names = NAMES_BY_MEDIA_TYPE.get(evidence.media_type) if evidence is not None else None
    if names is None:
        return error
    what = f"a certificate that carries Evidence of {names.title}" if is_certificate else f"Evidence of {names.title}"
    return DecodeError(str(path), "", None, f"got {what}, expected Endorsements")


@dataclass(frozen=True, slots=True, kw_only=True)
class Presented:
    """What a file holds: bare Evidence, or a certificate that may carry some. One of the two is None."""

    evidence: Evidence | None = None
    certificate: bytes | None = None


def load_evidence(path: Path | str, *, event_log: Path | str | None = None) -> Presented:
    """Read a quote, a report, or a certificate (PEM, DER) that carries one; or dstack's JSON with quote and event log.

    Args:
        path: the file.
        event_log: a file with the event log of bare Evidence, as firmware or guest give it.

    Raises:
        UnsupportedError: no known Evidence; the message names the file.
        DecodeError: an empty file, PEM or JSON that is malformed, or Endorsements; likewise.
        ConfigurationError: a file cannot be read, or an event log for what carries its own.
    """
    return evidence_from_bytes(read_file(path), where=path, event_log=event_log)


def evidence_from_bytes(data: bytes, *, where: Path | str, event_log: Path | str | None = None) -> Presented:
    """Read what `load_evidence` reads, of a file whose bytes are at hand.

    Args:
        data: the bytes.
        where: what to call them.
        event_log: as for `load_evidence`.

    Raises:
        RatsTlsError: as `load_evidence`.
    """
    presented = _evidence_from_bytes(data, where)
    if event_log is None:
        return presented
    evidence = presented.evidence
    if evidence is None or evidence.event_log:
        raise ConfigurationError(f"{event_log}: an event log is for bare Evidence; {where} carries its own or none")
    log = read_file(event_log)
    if not log:
        raise DecodeError(str(event_log), "", None, "the file is empty; expected an event log")
    return Presented(evidence=replace(evidence, event_log=log))


def _evidence_from_bytes(data: bytes, path: Path | str) -> Presented:
    if not data:
        raise DecodeError(str(path), "", None, "the file is empty; expected Evidence or a certificate")
    try:
        presented = _presented(data)
    except DecodeError as error:
        _require_no_endorsements(data, path)
        raise DecodeError(str(path), "", None, error.message) from error
    except UnsupportedError as error:
        _require_no_endorsements(data, path)
        raise UnsupportedError(f"{path}: {error.message}") from error
    if presented.certificate is not None and not _carries_evidence(presented.certificate):
        _require_no_endorsements(data, path)
    return presented


def _presented(data: bytes) -> Presented:
    """Tell what `data` holds. Raises UnsupportedError, DecodeError."""
    certificate = _certificate(data)
    if certificate is not None:
        return Presented(certificate=certificate)
    evidence = evidence_from_json(data)
    return Presented(evidence=evidence if evidence is not None else detect_evidence(require_binary(data)))


def _carries_evidence(certificate: bytes) -> bool:
    try:
        return read_attested_certificate(certificate).evidence is not None
    except RatsTlsError:
        return False


def _require_no_endorsements(data: bytes, path: Path | str) -> None:
    """Require of a file without Evidence that no Endorsements are in it. Raises DecodeError: the user mistook them."""
    what = "a bundle of Endorsements"
    if not is_bundle(data):
        try:
            items = endorsements_from_file(data, where=str(path))
        except RatsTlsError:
            return
        what = f"Endorsements ({', '.join(dict.fromkeys(item.kind.value for item in items))})"
    raise DecodeError(str(path), "", None, f"got {what}, expected Evidence, or a certificate that carries it")


def evidence_from_json(data: bytes) -> Evidence | None:
    """Read Evidence that another project wrote as JSON; None of other data.

    Of dstack's guest agent, of Trustee's attester of CSV, of the attestation evidence broker of AMD SEV.

    Raises:
        DecodeError: malformed.
        UnsupportedError: what is in it is none that is known.
    """
    if data.lstrip()[:1] != b"{":
        return None
    of_dstack = read_dstack_quote(data)
    if of_dstack is not None:
        return of_dstack
    document = JsonObject.from_bytes(data, "EvidenceJson")
    if is_trustee_evidence(document):
        return evidence_from_trustee(document)
    return Evidence.of(TeeType.SEV, evidence_of_broker(data)) if is_broker_evidence(document) else None


def require_binary(data: bytes) -> bytes:
    """Give `data` where it is not the text of hexadecimal digits. Raises UnsupportedError, which says what to do."""
    text = data.strip()
    if len(text) >= _SHORTEST_HEX and len(text) % 2 == 0 and _HEX.fullmatch(text):
        raise UnsupportedError("the file holds hexadecimal digits: turn them into bytes first (xxd -r -p)")
    return data


def anchor_of_root(certificate: Certificate) -> TrustAnchor | None:
    """Give the trust anchor that a root certificate would be; None of any other certificate. Nothing is verified."""
    vendor = vendor_of(certificate) if certificate.self_issued and certificate.is_ca else None
    return anchor_of(certificate, vendor) if vendor is not None else None


VENDOR_FORM_LABELS = root_labels()
"""PEM labels of roots that are no X.509."""


def anchor_of_vendor_form(label: str, data: bytes) -> TrustAnchor:
    """Give the trust anchor that a root in a form of its vendor's is, by the label of its PEM block.

    Raises:
        DecodeError: malformed.
        ConfigurationError: its own signature does not verify.
    """
    return anchor_of_block(label, data, registry.crypto_wrapper("openssl"))


def evidence_claims(presented: Presented) -> TeeClaims | None:
    """Give what Evidence says. Nothing about it is verified; None of a certificate without Evidence.

    What needs an Endorsement, such as a TCB status, is None.

    Raises:
        DecodeError: malformed.
        UnsupportedError: of a type or format that is not read.
    """
    evidence = _evidence(presented)
    return _decode(evidence).claims if evidence is not None else None


def _evidence(presented: Presented) -> Evidence | None:
    """Give the Evidence, bare or carried. Raises RatsTlsError: the certificate is malformed, or not read."""
    if presented.evidence is not None or presented.certificate is None:
        return presented.evidence
    return read_attested_certificate(presented.certificate).evidence


def _decode(evidence: Evidence) -> DecodedEvidence:
    names = NAMES_BY_MEDIA_TYPE.get(evidence.media_type)
    if names is None:
        raise UnsupportedError(f"Evidence of media type {evidence.media_type}: not read")
    return registry.verifier(names.tee_type.value).decode(evidence)


def evidence_report_data(evidence: Evidence) -> bytes | None:
    """Give the 64 bytes that bare Evidence says it is bound to, or None. Nothing about them is verified.

    Raises:
        DecodeError: malformed.
        UnsupportedError: of a type that is not read.
    """
    return _decode(evidence).report_data


def decoded_claims(presented: Presented) -> TeeClaims | None:
    """Give the same, to be shown beside a refusal: None when the Evidence cannot be read either."""
    try:
        return evidence_claims(presented)
    except RatsTlsError:
        return None


def _certificate(data: bytes) -> bytes | None:
    """Give the leaf's DER when `data` is a certificate: a DER sequence, or PEM with nothing but text before it.

    Quotes hold a PEM chain too, behind binary.
    """
    if data[:2] in (b"\x30\x82", b"\x30\x83"):
        return data
    before, found, _ = data.partition(_BEGIN_CERTIFICATE)
    if found and before.isascii() and "".join(before.decode().split()).isprintable():
        der = split_pem(data, "certificate file")[0].der
        read_certificate(der)
        return der
    return None
