"""The extension that carries an event log: its bytes, its bounds, and what is refused."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from rats_tls.certificates.binding import verify_peer_certificate
from rats_tls.certificates.interoperable import EVENT_LOG_OID
from rats_tls.certificates.making import MadeCertificate, make_certificate, make_claims_buffer
from rats_tls.certificates.registry import read_attested_certificate
from rats_tls.core.algorithms import KeyAlgorithm
from rats_tls.core.errors import CertificateChainError, ConfigurationError, DecodeError
from rats_tls.core.evidence import Evidence, TeeType
from rats_tls.core.interfaces import CertificateRequest
from rats_tls.core.limits import Limits
from rats_tls.formats.x509 import Certificate
from support.channels import CRYPTO, key
from support.event_logs import Logged, dstack_event, dstack_log, log
from support.ratls_variants import quote

NOW = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
KEY = key(KeyAlgorithm.EC_P256)
LOG = log(Logged(), Logged(index=3, data=b"x"))


def made(event_log: bytes) -> MadeCertificate:
    evidence = Evidence.of(TeeType.TDX_ECDSA, quote(bytes(64)), event_log)
    buffer = make_claims_buffer(KEY.public_key.spki, CRYPTO)
    return make_certificate(KEY, evidence, buffer, CRYPTO, now=NOW, lifetime_seconds=3600.0)


def with_extensions(*extensions: tuple[str, bytes]) -> bytes:
    request = CertificateRequest(
        organization="x", common_name="x", serial=1, not_before=NOW, not_after=NOW, extensions=extensions
    )
    return CRYPTO.self_signed_certificate(KEY, request)


def test_the_oid_is_of_the_arc_of_uuids() -> None:
    assert f"2.25.{uuid.UUID('cbda5d64-869c-4041-aaa6-57fb53a2c01f').int}" == EVENT_LOG_OID


@pytest.mark.parametrize("data", [LOG, dstack_log(dstack_event())])
def test_the_log_is_carried_as_it_is(data: bytes) -> None:
    der = made(data).der
    (found,) = (e for e in x509.load_der_x509_certificate(der).extensions if e.oid.dotted_string == EVENT_LOG_OID)
    assert not found.critical
    assert found.value.public_bytes() == data
    attested = read_attested_certificate(der)
    assert attested.evidence is not None
    assert attested.evidence.event_log == data


def test_without_a_log_there_is_no_extension() -> None:
    der = made(b"").der
    assert EVENT_LOG_OID not in {e.oid.dotted_string for e in x509.load_der_x509_certificate(der).extensions}
    attested = read_attested_certificate(der)
    assert attested.evidence is not None
    assert attested.evidence.event_log == b""


def test_padding_is_left_behind() -> None:
    attested = read_attested_certificate(made(LOG + b"\xff" * 250_000).der)
    assert attested.evidence is not None
    assert attested.evidence.event_log == LOG


def test_a_log_that_does_not_fit_is_refused_with_all_sizes() -> None:
    large = log(Logged(data=bytes(60_000)))
    with pytest.raises(ConfigurationError) as raised:
        made(large)
    message = raised.value.message
    assert f"event log {len(large)}" in message
    assert "Evidence " in message
    assert "at most 61440 are made" in message


def test_a_log_that_is_none_is_not_carried() -> None:
    with pytest.raises(ConfigurationError, match="event log beside the Evidence"):
        made(b"hello")


def test_what_is_read_is_bounded() -> None:
    der = made(LOG).der
    read_attested_certificate(der, limits=Limits(event_log=len(LOG)))
    with pytest.raises(DecodeError, match=f"EventLogExtension: got {len(LOG)} bytes, expected 1 to {len(LOG) - 1}"):
        read_attested_certificate(der, limits=Limits(event_log=len(LOG) - 1))


def test_an_empty_log_is_refused() -> None:
    evidence = x509.load_der_x509_certificate(made(LOG).der).extensions
    (value,) = (e.value.public_bytes() for e in evidence if e.oid.dotted_string == "2.23.133.5.4.9")
    with pytest.raises(DecodeError, match="EventLogExtension: got 0 bytes"):
        read_attested_certificate(with_extensions(("2.23.133.5.4.9", value), (EVENT_LOG_OID, b"")))


def test_a_log_without_evidence_is_refused() -> None:
    with pytest.raises(DecodeError, match="event log extension without Evidence"):
        read_attested_certificate(with_extensions((EVENT_LOG_OID, LOG)))


def test_two_logs_are_refused() -> None:
    evidence = ("2.23.133.5.4.9", b"\xf6")
    der = with_extensions(evidence, (EVENT_LOG_OID, LOG), (EVENT_LOG_OID[:-1] + "6", LOG))
    ids = [_encoded(EVENT_LOG_OID[:-1] + "6"), _encoded(EVENT_LOG_OID)]
    assert der.count(ids[0]) == 1
    with pytest.raises(DecodeError, match=r"uplicate|twice"):
        read_attested_certificate(der.replace(*ids))


def _encoded(oid: str) -> bytes:
    """Give an object identifier in DER (X.690, 8.19)."""
    first, second, number = map(int, oid.split("."))
    digits = [number & 0x7F]
    while number := number >> 7:
        digits.append(number & 0x7F | 0x80)
    return bytes([6, len(digits) + 1, 40 * first + second, *reversed(digits)])


@pytest.mark.parametrize(("oid", "known"), [(EVENT_LOG_OID, True), (EVENT_LOG_OID[:-1] + "6", False)])
def test_a_log_marked_critical_is_no_unknown_extension(oid: str, known: bool) -> None:
    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "x")])
    extension = x509.UnrecognizedExtension(x509.ObjectIdentifier(oid), LOG)
    builder = x509.CertificateBuilder(name, name, private.public_key(), 1, NOW, NOW + timedelta(days=1))
    made = builder.add_extension(extension, critical=True).sign(private, hashes.SHA256())
    certificate = Certificate.from_der(made.public_bytes(Encoding.DER))
    if known:
        assert verify_peer_certificate(certificate, CRYPTO, now=NOW, clock_skew_seconds=0)
        return
    with pytest.raises(CertificateChainError, match="critical"):
        verify_peer_certificate(certificate, CRYPTO, now=NOW, clock_skew_seconds=0)
