"""Evidence and certificates before SEV-SNP: sizes, reserved bytes, round trips, and the broker's JSON."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from rats_tls.core.endorsements import EndorsementKind
from rats_tls.core.errors import DecodeError, RatsTlsError, UnsupportedError
from rats_tls.core.evidence import TeeType
from rats_tls.files import evidence_from_json as evidence_from_document
from rats_tls.formats.amd.sev_bundle import endorsements_from_signers
from rats_tls.formats.amd.sev_certificate import CERTIFICATE_SIZE, SevCertificate, is_sev_certificate
from rats_tls.formats.amd.sev_keys import SevRsaKey
from rats_tls.formats.amd.sev_report import DEVICE_TYPES, EVIDENCE_SIZES, SevEvidence, SevReport, evidence_from_json
from rats_tls.formats.amd.sev_signer import (
    SevSignerCertificate,
    is_signer_file,
    products_of_root,
    simulated_key_id,
    split_signers,
)
from rats_tls.formats.detect import detect_evidence
from support.sev import CEK_AT, DEVICE_TYPE, OCA_AT, PEK_AT
from support.simulated import REPORT_DATA, world

NAMES = {CEK_AT: "cek", PEK_AT: "pek", OCA_AT: "oca"}
SIGNER_AT, KEY_AT, FIRST_AT, SECOND_AT = 40, 16, 1044, 1564
"""Of a signer's certificate the reserved bytes; of others the key and both signatures."""


@functools.cache
def evidence(**state: Any) -> bytes:
    return world().attester("simulated_sev", **state).collect(REPORT_DATA).evidence.data


@functools.cache
def signers() -> tuple[bytes, bytes]:
    return world().sev("Naples").signer(), world().sev("Naples").root_certificate


def cek() -> bytes:
    return evidence()[CEK_AT:PEK_AT]


def changed(data: bytes, at: int, value: bytes) -> bytes:
    return data[:at] + value + data[at + len(value) :]


FORMS: dict[str, tuple[Callable[[bytes], Any], Callable[[], bytes]]] = {
    "report": (SevReport.from_bytes, lambda: evidence()[:208]),
    "CEK": (SevCertificate.from_bytes, cek),
    "PEK": (SevCertificate.from_bytes, lambda: evidence()[PEK_AT:OCA_AT]),
    "PEK with the CEK first": (SevCertificate.from_bytes, lambda: evidence(cek_first=True)[PEK_AT:OCA_AT]),
    "PEK with SHA-384": (SevCertificate.from_bytes, lambda: evidence(algorithm=258)[PEK_AT:OCA_AT]),
    "OCA": (SevCertificate.from_bytes, lambda: evidence()[OCA_AT:DEVICE_TYPE]),
    "ASK": (SevSignerCertificate.from_bytes, lambda: signers()[0]),
    "ARK": (SevSignerCertificate.from_bytes, lambda: signers()[1]),
}
forms = pytest.mark.parametrize("form", FORMS)


@forms
def test_round_trip(form: str) -> None:
    decode, original = FORMS[form]
    assert decode(original()).to_bytes() == original()


@forms
def test_every_truncation_and_one_byte_more(form: str) -> None:
    decode, original = FORMS[form]
    for end in range(len(original())):
        with pytest.raises(DecodeError):
            decode(original()[:end])
    with pytest.raises(DecodeError):
        decode(original() + b"\0")


# --- Evidence ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("size", [1, 4])
@pytest.mark.parametrize("owner", [False, True])
def test_evidence_with_the_device_type_in_one_byte_and_in_four(size: int, owner: bool) -> None:
    data = evidence(device_type_size=size, owner=owner)
    assert len(data) == DEVICE_TYPE + size
    assert len(data) in EVIDENCE_SIZES
    decoded = SevEvidence.from_bytes(data)
    assert (decoded.device_type, decoded.product_hint, decoded.oca is not None) == (1, "Naples", owner)
    assert decoded.to_bytes() == data[:DEVICE_TYPE] + b"\1\0\0\0"


def test_evidence_of_any_other_size() -> None:
    data = evidence()
    for end in {*range(0, len(data), 97), 6460, 6462, 6463} - set(EVIDENCE_SIZES):
        with pytest.raises(DecodeError, match="expected 6461 or 6464"):
            SevEvidence.from_bytes(data[:end])
    with pytest.raises(DecodeError):
        SevEvidence.from_bytes(data + b"\0")


@pytest.mark.parametrize("number", [0, 1, 2, 3, 4, 255])
def test_what_the_device_type_names(number: int) -> None:
    hint = SevEvidence.from_bytes(evidence(device_type=number)).product_hint
    assert hint == (DEVICE_TYPES[number] if number < 4 else None)


def test_what_is_wrong_is_said_with_its_place_in_the_evidence() -> None:
    for at, name in NAMES.items():
        with pytest.raises(DecodeError, match=rf"SevEvidence.{name}.reserved at {at + 6:#x}"):
            SevEvidence.from_bytes(changed(evidence(), at + 6, b"\1"))


# --- reserved bytes ---------------------------------------------------------------------------------------------------
# Form, where, how many bytes.
RESERVED = [
    ("report", 60, 4),
    ("report", 64 + 48, 24),
    ("report", 64 + 72 + 48, 24),
    ("CEK", 6, 2),
    ("CEK", KEY_AT + 4 + 48, 24),
    ("CEK", KEY_AT + 4 + 72 + 48, 24),
    ("CEK", KEY_AT + 148, 880),
    ("CEK", SECOND_AT + 8, 512),
    ("PEK", FIRST_AT + 8 + 48, 24),
    ("PEK", FIRST_AT + 8 + 72 + 48, 24),
    ("PEK", FIRST_AT + 8 + 144, 368),
    ("PEK", SECOND_AT + 8 + 144, 368),
    ("ASK", SIGNER_AT, 16),
]


@pytest.mark.parametrize(("form", "at", "size"), RESERVED)
def test_every_reserved_byte_is_zero(form: str, at: int, size: int) -> None:
    decode, original = FORMS[form]
    assert not any(original()[at : at + size])
    for offset in range(at, at + size):
        with pytest.raises(DecodeError, match="must be zero"):
            decode(changed(original(), offset, b"\x80"))


@pytest.mark.parametrize(
    ("form", "at", "value", "error", "says"),
    [
        ("CEK", 0, 2, DecodeError, "version.*got 2, expected 1"),
        ("CEK", 8, 0x1005, DecodeError, "pubkey_usage.*got 0x1005"),
        ("CEK", 12, 4, UnsupportedError, "pubkey_algo: got 0x4"),
        ("CEK", 12, 0, DecodeError, "pubkey_algo.*got 0"),
        ("CEK", KEY_AT, 1, UnsupportedError, "curve: got 1, expected 2"),
        ("CEK", FIRST_AT, 0x14, DecodeError, "sig1_usage.*got 0x14"),
        ("CEK", FIRST_AT + 4, 0x201, UnsupportedError, "sig1_algo: got 0x201"),
        ("PEK", SECOND_AT, 0x1001, DecodeError, "two signatures by a key of usage 0x1001"),
        ("ASK", 0, 2, DecodeError, "version.*got 2"),
        ("ASK", 36, 1, DecodeError, "key_usage.*got 0x1"),
        ("ASK", 56, 1024, DecodeError, "pubexp_size.*got 1024"),
        ("ASK", 60, 3072, DecodeError, "modulus_size.*got 3072"),
    ],
)
def test_values_that_are_not_known(form: str, at: int, value: int, error: type[RatsTlsError], says: str) -> None:
    decode, original = FORMS[form]
    with pytest.raises(error, match=says):
        decode(changed(original(), at, value.to_bytes(4, "little")))


def test_an_rsa_key_in_a_certificate_of_a_platform() -> None:
    key = SevRsaKey(bits=2048, exponent=65537, modulus=SevSignerCertificate.from_bytes(signers()[0]).key.modulus)
    made = replace(SevCertificate.from_bytes(cek()), key=key, algorithm=1).to_bytes()
    assert len(made) == CERTIFICATE_SIZE
    assert SevCertificate.from_bytes(made).key == key
    assert key.spki == SevSignerCertificate.from_bytes(signers()[0]).key.spki
    for at in (KEY_AT + 4 + 256, KEY_AT + 4 + 512 + 256):
        with pytest.raises(DecodeError, match="must be zero"):
            SevCertificate.from_bytes(changed(made, at, b"\1"))
    with pytest.raises(UnsupportedError, match="modulus_size: got 1024"):
        SevCertificate.from_bytes(changed(made, KEY_AT, (1024).to_bytes(4, "little")))
    with pytest.raises(DecodeError, match="no RSA key"):
        _ = replace(key, modulus=1).spki


# --- files of signers -------------------------------------------------------------------------------------------------
def test_asks_are_taken_from_files_and_arks_left_out() -> None:
    ask, ark = signers()
    for data in (ask, ask + ark, ark + ask):
        (found,) = endorsements_from_signers(data)
        assert (found.kind, found.data) == (EndorsementKind.AMD_SEV_SIGNER, ask)
    with pytest.raises(DecodeError, match="no certificate of an ASK"):
        endorsements_from_signers(ark)
    with pytest.raises(DecodeError, match="more than 16"):
        split_signers(ask * 17)
    assert len(split_signers(ask * 16)) == 16
    for data in (b"", ask + ark[:-1], ask + b"\0"):
        with pytest.raises(DecodeError):
            split_signers(data)


def test_forms_are_told_by_their_first_fields() -> None:
    assert is_signer_file(signers()[0])
    assert is_sev_certificate(cek())
    assert not is_signer_file(cek())
    assert not is_sev_certificate(signers()[0])
    assert not is_sev_certificate(cek() + b"\0")
    for at, value in ((0, b"\2"), (36, b"\1"), (40, b"\1"), (60, b"\1")):
        assert not is_signer_file(changed(signers()[0], at, value))
    for at, value in ((0, b"\2"), (8, b"\0"), (12, b"\0")):
        assert not is_sev_certificate(changed(cek(), at, value))


def test_products_by_key_id_and_else_by_the_size_of_the_key() -> None:
    for product in ("Naples", "Rome", "Milan"):
        assert products_of_root(simulated_key_id(product), 4096) == (product,)
    assert products_of_root(bytes(16), 2048) == ("Naples",)
    assert products_of_root(bytes(16), 4096) == ("Rome", "Milan")


# --- the broker's JSON ------------------------------------------------------------------------------------------------
def document(nonce: str = "monce") -> dict[str, Any]:
    data = evidence()
    words = (int.from_bytes(data[at : at + 4], "little") for at in (48, 52, 56, 60))
    report = dict(zip(("policy", "sig_usage", "sig_algo", "reserved"), words, strict=True))
    arrays = {nonce: list(data[:16]), "launch_digest": list(data[16:48]), "sig1": list(data[64:208])}
    certificates = {name: list(data[at : at + CERTIFICATE_SIZE]) for at, name in NAMES.items()}
    return {"report": {**report, **arrays}, **certificates, "device_type": "AmdNaples"}


@pytest.mark.parametrize("nonce", ["monce", "mnonce"])
def test_the_brokers_json_gives_the_same_bytes(nonce: str) -> None:
    text = json.dumps(document(nonce)).encode()
    assert evidence_from_json(text) == evidence()
    found = evidence_from_document(text)
    assert found is not None
    assert (found.data, found.media_type) == (evidence(), "application/vnd.rats-tls.sev")
    assert detect_evidence(evidence()).media_type == f"application/vnd.rats-tls.{TeeType.SEV.value}"


@pytest.mark.parametrize(("name", "number"), [("AmdRome", 0), ("AmdNaples", 1), ("AmdMilan", 2), ("Unknown", 3)])
def test_device_types_in_json(name: str, number: int) -> None:
    data = evidence_from_json(json.dumps({**document(), "device_type": name}).encode())
    assert data[DEVICE_TYPE:] == number.to_bytes(4, "little")


def wrong() -> list[dict[str, Any]]:
    good = document()
    report = good["report"]
    found = [{name: value for name, value in good.items() if name != left_out} for left_out in good]
    for name in report:
        found.append({**good, "report": {key: value for key, value in report.items() if key != name}})
        found.append({**good, "report": {**report, name: "text"}})
    found += [{**good, "report": {**report, "policy": value}} for value in (-1, 1 << 32, 1.5, True)]
    found += [
        {**good, "cek": value} for value in (good["cek"][:-1], [*good["cek"][:-1], 256], [-1] * 2084, "00" * 2084)
    ]
    found += [{**good, "device_type": value} for value in ("AmdGenoa", 1, None)]
    return [*found, {**good, "report": []}]


def test_json_of_another_form_is_our_error() -> None:
    for made in wrong():
        with pytest.raises(DecodeError):
            evidence_from_json(json.dumps(made).encode())
    for text in (b"", b"[]", b"{", json.dumps(document()).encode()[:-1]):
        with pytest.raises(DecodeError):
            evidence_from_json(text)
