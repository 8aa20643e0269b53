"""Attacks on certificates and parsers. Numbers are those of docs/attacks.md.

More of 2.11 and 2.12, where Endorsements are looked up, is in test_2_fetching.
"""

from __future__ import annotations

import functools
import pkgutil
import socket
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cbor2
import pytest
from asn1crypto import core as asn1
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given
from hypothesis import strategies as st

import rats_tls
from rats_tls.certificates import tolerant
from rats_tls.certificates.binding import verify_peer_certificate
from rats_tls.core.binding import equal_report_data
from rats_tls.core.errors import (
    BindingError,
    CertificateChainError,
    ConfigurationError,
    DecodeError,
    FreshnessError,
    NoEvidenceError,
    RatsTlsError,
    SignatureError,
    UnsupportedError,
)
from rats_tls.core.evidence import Evidence
from rats_tls.core.limits import DEFAULT_LIMITS, Limits
from rats_tls.core.reader import Reader
from rats_tls.crypto_wrappers.openssl import OpensslCryptoWrapper, OpensslPublicKey
from rats_tls.formats.intel import report
from rats_tls.formats.intel.tcb_info import TcbInfo
from rats_tls.formats.json_document import split_response
from rats_tls.formats.x509 import Certificate
from rats_tls.policy import ANY
from support import ratls_variants
from support.judged import REPORT_DATA, appraise, appraiser, collected, judge, presented
from support.ratls_variants import EVIDENCE_OID, GOOD, Variant, make, name, variants
from support.sides import ALL_SIMULATED, SGX, SNP, TDX, policy_for
from support.simulated import NOW, world

CRYPTO = OpensslCryptoWrapper()
SKEW = timedelta(seconds=DEFAULT_LIMITS.clock_skew_seconds)
SECOND = timedelta(seconds=1)


def outcome(certificate: bytes, *, limits: Limits = DEFAULT_LIMITS) -> Any:
    """Judge a certificate with simulated TDX Evidence of any age."""
    judging = appraiser(world().attester(TDX).endorsements, policy_for(TDX, max_evidence_age=ANY), limits=limits)
    return judge(judging, certificate)


def refused(certificate: bytes, error: type[RatsTlsError], message: str, **settings: Any) -> None:
    with pytest.raises(error, match=message):
        outcome(certificate, **settings)


# --- 2.1, 2.2 the claims-buffer --------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("variant", "message"),
    [
        ("claims_no_pubkey_hash", "pubkey-hash: absent"),
        ("claims_duplicate_pubkey_hash_last_bad", "'pubkey-hash' twice"),
        ("claims_duplicate_pubkey_hash_last_good", "'pubkey-hash' twice"),
    ],
)
def test_2_1_pubkey_hash_is_there_once(variant: str, message: str) -> None:
    refused(make(variants()[variant]), DecodeError, message)


@pytest.mark.parametrize("size", [0, 31, 33])
def test_2_1_pubkey_hash_has_the_size_of_its_hash(size: int) -> None:
    entry = cbor2.dumps([1, bytes(size)])
    refused(make(replace(GOOD, hash_entry=lambda _: entry)), DecodeError, f"got {size} bytes, expected 32")


def test_2_1_pubkey_hash_is_of_the_key_that_the_certificate_holds() -> None:
    refused(make(variants()["pubkey_hash_wrong"]), BindingError, "pubkey-hash")


@pytest.mark.parametrize("byte", [0, 31, 32, 63])
def test_2_2_all_64_bytes_of_report_data_are_compared(byte: int) -> None:
    def changed(right: bytes) -> bytes:
        return right[:byte] + bytes([right[byte] ^ 0x80]) + right[byte + 1 :]

    refused(make(replace(GOOD, report_data=changed)), BindingError, "report_data")


def test_2_8_values_of_other_lengths_are_never_equal() -> None:
    assert equal_report_data(bytes(64), bytes(64))
    for size in (0, 32, 63, 65, 80):
        assert not equal_report_data(bytes(size), bytes(size))
        assert not equal_report_data(bytes(size), bytes(64))
        assert not equal_report_data(bytes(64), bytes(size))
    evidence, endorsements = collected(SNP)
    for size in (0, 32, 63, 65, 80):
        with pytest.raises(ConfigurationError, match=f"got {size} bytes, expected 64"):
            appraise(evidence, endorsements, policy_for(SNP), report_data=(REPORT_DATA + bytes(16))[:size])


# --- 2.3, 2.4 where the Evidence is ----------------------------------------------------------------------------------
def test_2_3_a_certificate_without_evidence_is_refused_unless_null_is_named() -> None:
    refused(make(variants()["no_evidence"]), NoEvidenceError, "no Evidence")


def test_2_4_a_leaf_that_another_issued_is_refused_whatever_its_issuer_carries() -> None:
    refused(make(variants()["leaf_signed_by_ca_in_chain"]), CertificateChainError, "issuer")


# --- 2.5 the certificate itself --------------------------------------------------------------------------------------
def test_2_5_validity_with_bounded_skew() -> None:
    for begin, end in ((NOW + SKEW, NOW + 2 * SKEW), (NOW - 2 * SKEW, NOW - SKEW)):
        assert outcome(make(replace(GOOD, begin=begin, end=end))).verdict == "accepted"
    refused(make(replace(GOOD, begin=NOW + SKEW + SECOND)), FreshnessError, "validity")
    refused(make(replace(GOOD, end=NOW - SKEW - SECOND)), FreshnessError, "validity")


def test_2_5_dates_at_the_end_of_the_calendar_are_dates() -> None:
    """RFC 5280 4.1.2.5: 99991231235959Z stands for no end; no skew can be added to it."""
    endless = make(replace(GOOD, end=datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)))
    assert outcome(endless).verdict == "accepted"


def test_2_5_the_self_signature_is_verified_by_the_own_key() -> None:
    refused(make(variants()["bad_self_signature"]), CertificateChainError, "self-signature")
    refused(make(variants()["signed_by_other_key_same_names"]), CertificateChainError, "self-signature")


def test_2_5_critical_and_unknown_is_refused() -> None:
    refused(make(variants()["unknown_critical_ext"]), CertificateChainError, "critical and unknown")


def with_key(monkeypatch: pytest.MonkeyPatch, made: rsa.RSAPrivateKey, **changes: Any) -> bytes:
    """Make a good certificate for another key."""
    monkeypatch.setattr(ratls_variants, "key", lambda _: made)
    return make(replace(GOOD, **changes))


@functools.cache
def weak_key() -> rsa.RSAPrivateKey:
    """A modulus of 1024 bits with an exponent as long, so that the key takes as many bytes as a longer one."""
    short = rsa.generate_private_key(65537, 1024).private_numbers()
    order = (short.p - 1) * (short.q - 1)
    d = 65537
    return rsa.RSAPrivateNumbers(
        p=short.p,
        q=short.q,
        d=d,
        dmp1=d % (short.p - 1),
        dmq1=d % (short.q - 1),
        iqmp=short.iqmp,
        public_numbers=rsa.RSAPublicNumbers(pow(d, -1, order), short.public_numbers.n),
    ).private_key()


def test_2_5_a_short_rsa_key_is_refused_by_its_modulus(monkeypatch: pytest.MonkeyPatch) -> None:
    spki = weak_key().public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert len(spki) > 270  # a key of 2048 bits with the usual exponent has 294
    with monkeypatch.context() as patch:
        refused(with_key(patch, weak_key()), UnsupportedError, "RSA key: got 1024 bits, expected 2048")
    plain = rsa.generate_private_key(65537, 1024)
    with monkeypatch.context() as patch:
        refused(with_key(patch, plain), UnsupportedError, "RSA key: got 1024 bits")


def test_2_5_a_short_rsa_key_is_refused_whatever_a_crypto_wrapper_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    class Lax(OpensslCryptoWrapper):
        def load_public_key(self, spki: bytes) -> OpensslPublicKey:
            return OpensslPublicKey(load_der_public_key(spki))  # type: ignore[arg-type]  # an RSA key

    for made in (weak_key(), rsa.generate_private_key(65537, 1024)):
        with monkeypatch.context() as patch:
            certificate = Certificate.from_der(with_key(patch, made))
        with pytest.raises(UnsupportedError, match="got 1024 RSA bits, expected at least 2048"):
            verify_peer_certificate(certificate, Lax(), now=NOW, clock_skew_seconds=0)


def test_2_5_only_version_3() -> None:
    """Version 1 has no extensions, so only a reader that is lenient about that would get as far."""
    older = replace(Certificate.from_der(make(GOOD)), version=1)
    with pytest.raises(CertificateChainError, match="version: got 1"):
        verify_peer_certificate(older, CRYPTO, now=NOW, clock_skew_seconds=0)


# --- 2.6 object identifiers ------------------------------------------------------------------------------------------
def test_2_6_a_purpose_is_compared_whole() -> None:
    """An identifier whose content holds the bytes of serverAuth is not serverAuth."""
    for purpose in (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE):
        assert outcome(make(replace(GOOD, purposes=(purpose,)))).verdict == "accepted"
    for dotted in ("1.3.6.1.5.5.7.3.3", "1.2.3.6.8.43.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.1.1"):
        purposes = (x509.ObjectIdentifier(dotted),)
        refused(make(replace(GOOD, purposes=purposes)), CertificateChainError, "extKeyUsage")


@pytest.mark.parametrize("dotted", ["2.23.133.5.4.9.1", "2.23.133.5.4", "2.23.133.5.4.90", "1.2.23.133.5.4.9"])
def test_2_6_evidence_is_found_by_its_exact_identifier(dotted: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ratls_variants, "EVIDENCE_OID", x509.ObjectIdentifier(dotted))
    refused(make(GOOD), NoEvidenceError, "no Evidence")


def test_2_6_evidence_bytes_in_another_place_are_no_evidence() -> None:
    hidden = replace(variants()["no_evidence"], subject=name("2.23.133.5.4.9 \u0006\u0007gp"))
    refused(make(hidden), NoEvidenceError, "no Evidence")


def rebuilt(change: Callable[[Any], None], variant: Variant = GOOD) -> bytes:
    """Change a certificate as asn1crypto holds it; the signature no longer fits."""
    certificate = asn1_x509.Certificate.load(make(variant))
    change(certificate)
    der: bytes = certificate.dump(force=True)
    return der


def doubled(certificate: Any) -> None:
    extensions = certificate["tbs_certificate"]["extensions"]
    extensions.append(next(item for item in extensions if item["extn_id"].dotted == EVIDENCE_OID.dotted_string))


def test_2_6_an_extension_twice_is_refused() -> None:
    twice = rebuilt(doubled)
    refused(twice, DecodeError, EVIDENCE_OID.dotted_string)
    # The tolerant reader is asked what the other one refuses, and holds the same.
    with pytest.raises(DecodeError, match="twice"):
        tolerant.read_tolerantly(twice, DecodeError("Certificate", "", None, "refused"))


def test_2_6_the_tolerant_reader_reads_der_alone() -> None:
    refusal = DecodeError("Certificate", "", None, "refused")
    good = make(GOOD)
    read = tolerant.read_tolerantly(good, refusal)
    # Both readers write names for people in their own ways.
    assert replace(Certificate.from_der(good), subject=read.subject, issuer=read.issuer) == read

    def other_algorithm(certificate: Any) -> None:
        certificate["signature_algorithm"]["algorithm"] = "sha384_ecdsa"

    with pytest.raises(DecodeError, match="as inside"):
        tolerant.read_tolerantly(rebuilt(other_algorithm), refusal)
    # BER: the outermost length in more bytes than it needs.
    assert good[:2] == b"\x30\x82"
    with pytest.raises(DecodeError, match="not in DER"):
        tolerant.read_tolerantly(b"\x30\x83\x00" + good[2:], refusal)
    for broken in (b"", b"\x30", good[:-1], good + b"\0", asn1.Integer(5).dump()):
        with pytest.raises(DecodeError):
            tolerant.read_tolerantly(broken, refusal)


def test_2_6_formats_that_are_known_and_not_read_are_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    for dotted, what in (("1.2.840.113741.1337.6", "rats-tls"), ("1.3.6.1.4.1.311.105.1", "Open Enclave")):
        with monkeypatch.context() as patch:
            patch.setattr(ratls_variants, "EVIDENCE_OID", x509.ObjectIdentifier(dotted))
            refused(make(GOOD), UnsupportedError, what)


@pytest.mark.parametrize(
    ("variant", "message"),
    [
        ("hash_alg_id_0", "got 0, expected one of"),
        ("hash_alg_id_10_sha3", "got 10, expected one of"),
        ("array_indefinite", "indefinite"),
        ("claims_map_indefinite", "indefinite"),
    ],
)
def test_2_6_one_form_of_each_item_is_read(variant: str, message: str) -> None:
    refused(make(variants()[variant]), DecodeError, message)


def test_2_6_of_two_formats_the_one_that_is_read_counts() -> None:
    """The binding is verified for that one; what another extension says is nothing to it."""
    beside = replace(GOOD, unknown=False, unknown_oid="1.3.6.1.5.5.7.1.35")
    assert outcome(make(beside)).verdict == "accepted"
    refused(make(replace(beside, report_data=lambda right: bytes(len(right)))), BindingError, "report_data")
    refused(make(replace(beside, evidence=False)), UnsupportedError, "conceptual message wrapper")


# --- 2.7 any bytes ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("tee", ALL_SIMULATED)
@given(data=st.data())
def test_2_7_any_bytes_of_evidence_raise_our_errors_only(tee: str, data: st.DataObject) -> None:
    evidence, endorsements = collected(tee)
    kind = data.draw(st.sampled_from(["cut", "changed", "random"]))
    if kind == "cut":
        sent = evidence.data[: data.draw(st.integers(0, len(evidence.data) - 1))]
    elif kind == "changed":
        at = data.draw(st.integers(0, len(evidence.data) - 1))
        sent = evidence.data[:at] + data.draw(st.binary(min_size=1, max_size=9)) + evidence.data[at + 1 :]
    else:
        sent = data.draw(st.binary(max_size=200))
    try:
        result = appraise(Evidence(evidence.media_type, sent), endorsements, policy_for(tee))
    except RatsTlsError:
        return
    # Nothing covers the armour of a PEM chain and what is behind it; whatever is covered is as it was.
    same = appraise(evidence, endorsements, policy_for(tee))
    assert (result.claims, result.anchor) == (same.claims, same.anchor)
    at = next((i for i, pair in enumerate(zip(sent, evidence.data, strict=False)) if pair[0] != pair[1]), len(sent))
    armour = evidence.data.find(b"-----BEGIN CERTIFICATE-----")
    assert at >= (armour if armour >= 0 else len(evidence.data))


@given(data=st.data())
def test_2_7_any_item_in_the_evidence_extension_raises_our_errors_only(data: st.DataObject) -> None:
    scalars = st.one_of(st.integers(-(2**64), 2**64 - 1), st.binary(max_size=9), st.text(max_size=9), st.booleans())
    items = st.recursive(
        scalars | st.none() | st.floats(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(scalars, inner, max_size=3),
        max_leaves=12,
    )
    item = cbor2.dumps(cbor2.CBORTag(data.draw(st.sampled_from([60000, 0x1A7504, 5])), data.draw(items)))
    with pytest.raises(RatsTlsError):
        outcome(make(replace(GOOD, item=lambda *_: item)))


# --- 2.9, 2.10 the bytes received ------------------------------------------------------------------------------------
RESERVED = {
    SGX: (48 + 20, 48 + 96, 48 + 160, 48 + 262, 48 + 303),  # of the report body, behind the header
    SNP: (0x4C, 0x18B, 0x1EB, 0x208, 0x29F),
}


@pytest.mark.parametrize(("tee", "offset"), [(tee, offset) for tee, offsets in RESERVED.items() for offset in offsets])
def test_2_9_reserved_bytes_are_zero_and_covered(tee: str, offset: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are refused, and if nobody looked at them the signature would fail: it is over the bytes received."""
    evidence, endorsements = collected(tee)
    data = evidence.data[:offset] + bytes([evidence.data[offset] ^ 1]) + evidence.data[offset + 1 :]
    changed = Evidence(evidence.media_type, data)
    with pytest.raises(DecodeError, match="must be zero"):
        appraise(changed, endorsements, policy_for(tee))
    monkeypatch.setattr(Reader, "zeros", lambda self, field, size: self.take(field, size) and None)
    monkeypatch.setattr(report, "_SGX_RESERVED", ())
    assert appraise(evidence, endorsements, policy_for(tee)).verdict == "accepted"
    with pytest.raises(SignatureError):
        appraise(changed, endorsements, policy_for(tee))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"tcbInfo":{"a":1,"a":1},"signature":"SIG"}', "twice"),
        (b'{"tcbInfo":{},"tcbInfo":{},"signature":"SIG"}', "twice"),
        (b'{"tcbInfo":{},"signature":"SIG"} x', "behind the object"),
        (b'{"tcbInfo":{},"signature":"SIG","more":1}', "members are"),
        (b'{"tcbInfo":{"a":1.5},"signature":"SIG"}', "not an integer"),
        (b'{"tcbInfo":{"a":NaN},"signature":"SIG"}', "not an integer"),
        (b'{"tcbInfo":' + b"[" * 100_000 + b"]" * 100_000 + b',"signature":"SIG"}', "not strict JSON"),
        (b'{"tcbInfo":{"a":' + b"9" * 100_000 + b'},"signature":"SIG"}', "not strict JSON"),
    ],
    ids=["member", "outer", "behind", "more", "fraction", "nan", "depth", "digits"],
)
def test_2_10_documents_are_read_strictly(body: bytes, message: str) -> None:
    with pytest.raises(DecodeError, match=message):
        split_response(body.replace(b"SIG", b"00" * 64), "tcbInfo", "TcbInfo")


def test_2_10_the_signed_bytes_are_those_received() -> None:
    inner = b'{ "id" : "TDX",\n "n":1 }'
    body = b' {"tcbInfo" : ' + inner + b' ,"signature":"' + b"0f" * 64 + b'"} '
    assert split_response(body, "tcbInfo", "TcbInfo") == (inner, b"\x0f" * 64)
    with pytest.raises(DecodeError):
        TcbInfo.from_json(inner + b" x")


# --- 2.11, 2.12 no connection, no program ---------------------------------------------------------------------------
@pytest.mark.parametrize("tee", ALL_SIMULATED)
def test_2_11_a_judgement_opens_no_connection(tee: str, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate, endorsements = presented(tee)
    judging = appraiser(endorsements, policy_for(tee))

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a judgement opened a socket")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    assert judge(judging, certificate).verdict == "accepted"


def test_2_12_no_program_is_run() -> None:
    """But by the demonstration, which starts this package's own commands."""
    runners = []
    for module in pkgutil.walk_packages(rats_tls.__path__, "rats_tls."):
        spec = find_spec(module.name)
        assert spec is not None
        assert spec.origin is not None
        source = Path(spec.origin).read_text(encoding="utf-8")
        if any(
            word in source for word in ("subprocess", "os.system", "os.popen", "os.exec", "os.spawn", "posix_spawn")
        ):
            runners.append(module.name)
    assert runners == ["rats_tls.cli.demo"]
