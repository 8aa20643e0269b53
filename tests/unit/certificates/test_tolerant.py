"""Certificates that `cryptography` refuses: which are read all the same, and which stay refused."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from cryptography import x509

from rats_tls.certificates.registry import read_attested_certificate
from rats_tls.certificates.tolerant import read_tolerantly
from rats_tls.core.algorithms import SignatureAlgorithm
from rats_tls.core.errors import CertificateChainError, DecodeError
from rats_tls.formats.x509 import Certificate
from rats_tls.simulation import der
from support.appraisals import claims_of, make_appraiser
from support.channels import CRYPTO
from support.odd_certificates import (
    ECDSA_SHA256,
    NULL,
    WITH_NULL,
    WITHOUT_PARAMETERS,
    content,
    elements,
    parts,
    plain,
    rebuilt,
    with_null_parameters,
)
from support.policies import default_policy
from support.ratls_variants import key, make, quote, variants
from support.simulated import NOW, world

REFUSAL = DecodeError("Certificate", "", None, "refused first")
OTHER_PARAMETERS = der.sequence(ECDSA_SHA256, der.octet_string(b"x"))


def read(certificate: bytes) -> Certificate:
    return read_attested_certificate(certificate).certificate


def judge(certificate: bytes) -> object:
    policy = default_policy(claims_of(quote(bytes(64))), max_evidence_age="any")
    appraiser = make_appraiser(
        policy, world().attester("simulated_tdx_ecdsa").endorsements, anchors=world().trust_anchors
    )
    return appraiser.appraise_certificate(certificate, now=NOW, possession_proved=True, preamble=True)


# --- what is read -----------------------------------------------------------------------------------------------------
def test_parameters_of_ecdsa_are_passed_over() -> None:
    odd = with_null_parameters()
    good = rebuilt(odd, algorithm=WITHOUT_PARAMETERS)
    with pytest.raises(DecodeError):
        Certificate.from_der(odd)
    found, expected = read(odd), Certificate.from_der(good)
    assert found.signature_algorithm is SignatureAlgorithm.ECDSA_SHA256
    same = ("version", "serial", "not_before", "not_after", "spki", "extensions", "is_ca", "path_length")
    assert {name: getattr(found, name) for name in same} == {name: getattr(expected, name) for name in same}
    for side in ("subject", "issuer"):
        name = getattr(found, side)
        assert replace(name, text="") == replace(getattr(expected, side), text="")
        assert (name.common_name, name.organization) == ("RATS-TLS", "Inclavare Containers")
    assert read_attested_certificate(odd).evidence == read_attested_certificate(good).evidence


def test_signatures_cover_the_bytes_received() -> None:
    odd = with_null_parameters()
    found = read(odd)
    tbs, _, signature = elements(content(odd))
    assert (found.der, found.tbs, b"\0" + found.signature) == (odd, tbs, content(signature))
    assert WITH_NULL in found.tbs
    CRYPTO.load_public_key(found.spki).verify(SignatureAlgorithm.ECDSA_SHA256, found.signature, found.tbs)


def test_they_are_judged_like_others() -> None:
    assert judge(with_null_parameters())
    other = key("other")
    with pytest.raises(CertificateChainError, match="self-signature"):
        judge(rebuilt(make(variants()["good"]), algorithm=WITH_NULL, signer=other))  # type: ignore[arg-type]  # an EC key


def test_constraints_and_criticality_are_read() -> None:
    unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\0")
    odd = rebuilt(
        plain((x509.BasicConstraints(ca=True, path_length=3), True), (unknown, True), (unknown_of("1.2.3.5"), False)),
        algorithm=WITH_NULL,
    )
    found = read(odd)
    assert (found.is_ca, found.path_length) == (True, 3)
    assert {oid: item.critical for oid, item in found.extensions.items()} == {
        "2.5.29.19": True,
        "1.2.3.4": True,
        "1.2.3.5": False,
    }
    assert found.extensions["1.2.3.4"].value == b"\x05\0"


def unknown_of(oid: str) -> x509.UnrecognizedExtension:
    return x509.UnrecognizedExtension(x509.ObjectIdentifier(oid), b"value")


def test_a_certificate_without_extensions_is_read() -> None:
    found = read(rebuilt(plain(), algorithm=WITH_NULL))
    assert (found.extensions, found.is_ca, found.path_length) == ({}, False, None)


# --- what stays refused -----------------------------------------------------------------------------------------------
def test_the_two_algorithm_identifiers_are_equal_byte_for_byte() -> None:
    good = make(variants()["good"])
    for inner, outer in ((WITH_NULL, OTHER_PARAMETERS), (WITH_NULL, der.sequence(ECDSA_SHA256))):
        for one, two in ((inner, outer), (outer, inner)):
            with pytest.raises(DecodeError, match="as inside"):
                read(rebuilt(good, algorithm=one, outer=two))


def test_an_extension_twice_is_refused() -> None:
    odd = plain((unknown_of("1.2.3.4"), False), (unknown_of("1.2.3.5"), False))
    twice = rebuilt(
        odd,
        algorithm=WITH_NULL,
        change=lambda tbs: [*tbs[:-1], tbs[-1].replace(_oid("1.2.3.5"), _oid("1.2.3.4"))],
    )
    with pytest.raises(DecodeError, match=r"extension 1\.2\.3\.4 twice"):
        read(twice)


def _oid(dotted: str) -> bytes:
    return der.object_identifier(dotted)


def long_form(element: bytes) -> bytes:
    """The same element with its length in one byte more than DER has."""
    size = len(content(element))
    return element[:1] + b"\x84" + size.to_bytes(4, "big") + content(element)


def indefinite(element: bytes) -> bytes:
    return element[:1] + b"\x80" + content(element) + b"\0\0"


def with_tbs(change: Callable[[list[bytes]], list[bytes]]) -> bytes:
    return rebuilt(plain((unknown_of("1.2.3.4"), True)), algorithm=WITH_NULL, change=change)


def with_outer(change: Callable[[list[bytes]], list[bytes]]) -> bytes:
    return der.sequence(*change(elements(content(with_null_parameters()))))


NOT_DER: dict[str, Callable[[], bytes]] = {
    "length of the whole": lambda: long_form(with_null_parameters()),
    "indefinite length of the whole": lambda: indefinite(with_null_parameters()),
    "length of the signed part": lambda: with_outer(lambda three: [long_form(three[0]), *three[1:]]),
    "length of the signature": lambda: with_outer(lambda three: [*three[:2], long_form(three[2])]),
    "length of the serial number": lambda: with_tbs(lambda tbs: [tbs[0], long_form(tbs[1]), *tbs[2:]]),
    "zero before the serial number": lambda: with_tbs(lambda tbs: [tbs[0], b"\x02\x02\0\x07", *tbs[2:]]),
    "length of the name": lambda: with_tbs(lambda tbs: [*tbs[:3], long_form(tbs[3]), *tbs[4:]]),
    "indefinite length of the name": lambda: with_tbs(lambda tbs: [*tbs[:3], indefinite(tbs[3]), *tbs[4:]]),
    "length of the key": lambda: with_tbs(lambda tbs: [*tbs[:6], long_form(tbs[6]), *tbs[7:]]),
    "TRUE that is not 0xff": lambda: with_tbs(
        lambda tbs: [*tbs[:-1], tbs[-1].replace(b"\x01\x01\xff\x04", b"\x01\x01\x01\x04")]
    ),
    "the default written out": lambda: with_tbs(
        lambda tbs: [*tbs[:-1], tbs[-1].replace(b"\x01\x01\xff\x04", b"\x01\x01\x00\x04")]
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", NOT_DER)
def test_what_is_not_der_is_refused(case: str) -> None:
    certificate = NOT_DER[case]()
    assert certificate != with_null_parameters()
    with pytest.raises(DecodeError):
        read(certificate)


def test_unused_bits_of_the_signature_are_refused() -> None:
    """Nothing covers their number: the same certificate would have other bytes."""
    tbs, algorithm, signature = elements(content(with_null_parameters()))
    for unused in (1, 7):
        changed = der.element(0x03, bytes([unused]) + content(signature)[1:-1] + b"\x80")
        with pytest.raises(DecodeError):
            read(der.sequence(tbs, algorithm, changed))


@pytest.mark.parametrize("behind", [b"\0", NULL, b"x" * 100])
def test_nothing_stands_behind_a_certificate(behind: bytes) -> None:
    with pytest.raises(DecodeError):
        read(with_null_parameters() + behind)


def test_every_truncation_is_refused() -> None:
    odd = rebuilt(plain(), algorithm=WITH_NULL)
    for size in range(len(odd)):
        with pytest.raises(DecodeError):
            read(odd[:size])


def test_another_signature_algorithm_is_read_and_named_none() -> None:
    """A judgement then refuses it; it is not taken for one that is known."""
    unknown = der.sequence(_oid("1.2.840.10045.4.3.1"), NULL)  # ecdsa-with-SHA224
    assert read_tolerantly(rebuilt(plain(), algorithm=unknown), REFUSAL).signature_algorithm is None


# --- the extra --------------------------------------------------------------------------------------------------------
def test_without_the_extra_the_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "asn1crypto.x509", None)
    with pytest.raises(DecodeError, match=r"rats-tls\[asn1crypto\]") as caught:
        read(with_null_parameters())
    assert "not an X.509 certificate" in caught.value.message
    assert read(make(variants()["good"]))


def test_errors_keep_the_first_reason() -> None:
    with pytest.raises(DecodeError, match="refused first") as caught:
        read_tolerantly(b"\x30\x03\x02\x01\x01", REFUSAL)
    assert caught.value.structure == "Certificate"
    with pytest.raises(DecodeError, match=r"refused first; got .* as inside"):
        read_tolerantly(rebuilt(plain(), algorithm=WITH_NULL, outer=OTHER_PARAMETERS), REFUSAL)


def test_whatever_the_parser_raises_is_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    import asn1crypto.x509

    def fail(*_: Any, **__: Any) -> None:
        raise RecursionError

    monkeypatch.setattr(asn1crypto.x509.Certificate, "load", fail)
    with pytest.raises(DecodeError, match="refused first"):
        read_tolerantly(with_null_parameters(), REFUSAL)


def test_good_certificates_do_not_import_the_extra() -> None:
    """Installing an extra changes nothing for what is read without it."""
    script = (
        "import sys, rats_tls.certificates.registry as r;"
        "r.read_attested_certificate(bytes.fromhex(sys.stdin.read()));"
        "print(any(name.startswith('asn1crypto') for name in sys.modules))"
    )
    run = subprocess.run(
        [sys.executable, "-c", script],
        input=make(variants()["good"]).hex(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.strip() == "False"


def test_parts_are_split_and_put_together() -> None:
    """What these tests make differs from the good certificate in nothing but what they change."""
    good = plain((unknown_of("1.2.3.4"), True))
    tbs, algorithm, signature = parts(good)
    assert der.sequence(der.sequence(*tbs), algorithm, signature) == good
