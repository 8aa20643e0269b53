"""SEV Evidence, its certificates and AMD's signers: what is read, what is not, and that every byte comes back."""

from __future__ import annotations

import functools
import json
from typing import Any

import pytest

from rats_tls.core.errors import DecodeError, RatsTlsError, UnsupportedError
from rats_tls.formats.amd.sev_certificate import CERTIFICATE_SIZE, SevCertificate
from rats_tls.formats.amd.sev_report import REPORT_SIZE, SevEvidence, evidence_from_json
from rats_tls.formats.amd.sev_signer import SevSignerCertificate, is_signer_file, split_signers
from rats_tls.simulation.sev_states import SEV_PRODUCTS, SevState
from support.simulated import world

CEK, PEK, OCA = (slice(REPORT_SIZE + n * CERTIFICATE_SIZE, REPORT_SIZE + (n + 1) * CERTIFICATE_SIZE) for n in range(3))


@functools.cache
def evidence(**state: Any) -> bytes:
    data: bytes = world().attester("simulated_sev", **state).collect(bytes(64)).evidence.data
    return data


@functools.cache
def signers(product: str = "Naples") -> bytes:
    """The file of a product: ASK, then ARK."""
    collected = world().attester("simulated_sev", product=product).endorsements
    return b"".join(part for item in collected for part in (item.data, *item.issuer_chain))


def changed(data: bytes, at: int, bits: int = 1) -> bytes:
    return data[:at] + bytes((data[at] ^ bits,)) + data[at + 1 :]


# --- Evidence -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("size", "length"), [(1, 6461), (4, 6464)])
@pytest.mark.parametrize("product", SEV_PRODUCTS)
def test_evidence_of_either_size(product: str, size: int, length: int) -> None:
    data = evidence(product=product, device_type_size=size)
    assert len(data) == length
    read = SevEvidence.from_bytes(data)
    assert read.product_hint == product
    assert read.report.to_bytes() == data[:REPORT_SIZE]
    assert read.report.signed == data[:52]
    assert (read.cek.to_bytes(), read.pek.to_bytes()) == (data[CEK], data[PEK])
    assert read.oca is not None
    assert read.oca.to_bytes() == data[OCA]
    assert read.to_bytes()[:6461] == data[:6461]
    assert len(read.to_bytes()) == 6464


def test_every_other_size_is_refused() -> None:
    data = evidence() + bytes(64)
    for size in [*range(0, len(data), 97), 6460, 6462, 6463, 6465]:
        if size not in {6461, 6464}:
            with pytest.raises(DecodeError, match=f"got {size} bytes, expected 6461 or 6464"):
                SevEvidence.from_bytes(data[:size])


def test_an_owner_that_is_zeros_is_none() -> None:
    data = evidence(owner=False)
    read = SevEvidence.from_bytes(data)
    assert read.oca is None
    assert read.to_bytes() == data


def test_a_device_type_that_nobody_numbers_says_nothing() -> None:
    for number in (3, 4, 255):
        assert SevEvidence.from_bytes(evidence(device_type=number, device_type_size=1)).product_hint is None


def test_what_is_reserved_in_a_report_is_zero() -> None:
    for at in (60, 63, 64 + 48, 64 + 71, 64 + 72 + 48, 207):
        with pytest.raises(DecodeError, match="must be zero"):
            SevEvidence.from_bytes(changed(evidence(), at))


# --- certificates -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("part", [CEK, PEK, OCA], ids=["cek", "pek", "oca"])
def test_errors_tell_the_place_in_the_whole(part: slice) -> None:
    name = {CEK.start: "cek", PEK.start: "pek", OCA.start: "oca"}[part.start]
    for at in (6, 7):
        with pytest.raises(
            DecodeError, match=rf"SevEvidence\.{name}\.reserved at {part.start + at:#x}: .* must be zero"
        ):
            SevEvidence.from_bytes(changed(evidence(), part.start + at))
    with pytest.raises(DecodeError, match=rf"SevEvidence\.{name}.*version"):
        SevEvidence.from_bytes(changed(evidence(), part.start, 2))


def test_certificates_of_other_lengths_are_refused() -> None:
    data = evidence()[PEK]
    for size in (*range(0, CERTIFICATE_SIZE, 61), CERTIFICATE_SIZE - 1, CERTIFICATE_SIZE + 1):
        with pytest.raises(DecodeError, match=f"got {size} bytes, expected 2084"):
            SevCertificate.from_bytes((data + b"\0")[:size])


@pytest.mark.parametrize(
    ("at", "value", "error", "said"),
    [
        (8, 0x1234, DecodeError, "pubkey_usage"),
        (12, 0, DecodeError, "pubkey_algo"),
        (12, 99, UnsupportedError, "pubkey_algo"),
        (16, 99, UnsupportedError, "curve"),
        (1044, 0x1234, DecodeError, "sig1_usage"),
        (1048, 99, UnsupportedError, "sig1_algo"),
        (1564, 0x1234, DecodeError, "sig2_usage"),
    ],
)
def test_words_that_nobody_knows(at: int, value: int, error: type[RatsTlsError], said: str) -> None:
    data = evidence()[PEK]
    with pytest.raises(error, match=said):
        SevCertificate.from_bytes(data[:at] + value.to_bytes(4, "little") + data[at + 4 :])


def test_two_signatures_by_one_kind_of_key_are_refused() -> None:
    data = evidence()[PEK]
    with pytest.raises(DecodeError, match="two signatures by a key of usage 0x1001"):
        SevCertificate.from_bytes(data[:1564] + data[1044:1564])


# --- signers ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("product", SEV_PRODUCTS)
def test_a_file_of_signers(product: str) -> None:
    data = signers(product)
    assert is_signer_file(data)
    ask, *_ = found = split_signers(data)
    assert b"".join(each.to_bytes() for each in found) == data
    assert ask.usage == 0x13
    assert ask.key.bits == (2048 if product == "Naples" else 4096)
    with pytest.raises(DecodeError, match="behind the certificate"):
        SevSignerCertificate.from_bytes(ask.data + b"\0")


def test_a_file_of_signers_that_is_cut_short() -> None:
    data = signers()
    whole = {sum(len(each.data) for each in split_signers(data)[:count]) for count in (1, 2)}
    for size in range(0, len(data), 53):
        if size not in whole:
            with pytest.raises(DecodeError):
                split_signers(data[:size])


def test_more_signers_than_anybody_sends_are_not_read() -> None:
    ask = split_signers(signers())[0].data
    assert len(split_signers(ask * 16)) == 16
    with pytest.raises(DecodeError, match="more than 16"):
        split_signers(ask * 17)


# --- the broker's JSON --------------------------------------------------------------------------------------------
def document(**changes: Any) -> dict[str, Any]:
    data = evidence()
    words = {
        name: int.from_bytes(data[48 + 4 * n : 52 + 4 * n], "little")
        for n, name in enumerate(("policy", "sig_usage", "sig_algo", "reserved"))
    }
    octets = {"monce": data[:16], "launch_digest": data[16:48], "sig1": data[64:REPORT_SIZE]}
    report: dict[str, Any] = {**words, **{name: list(value) for name, value in octets.items()}}
    certificates = {name: list(data[part]) for name, part in (("cek", CEK), ("pek", PEK), ("oca", OCA))}
    return {"report": report, **certificates, "device_type": "AmdNaples", **changes}


def test_evidence_in_json() -> None:
    assert evidence_from_json(json.dumps(document()).encode()) == evidence()
    named = document()
    named["report"]["mnonce"] = named["report"].pop("monce")
    assert evidence_from_json(json.dumps(named).encode()) == evidence()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"device_type": "AmdGenoa"}, "device_type"),
        ({"cek": [0] * 2083}, "cek"),
        ({"cek": [256] * 2084}, "cek"),
        ({"pek": [-1] * 2084}, "pek"),
        ({"oca": "AA=="}, "oca"),
        ({"report": {}}, "report"),
        ({"report": []}, "report"),
    ],
)
def test_json_of_another_form(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(DecodeError, match=said):
        evidence_from_json(json.dumps(document(**changes)).encode())


def test_states_are_of_their_product() -> None:
    with pytest.raises(ValueError, match="product"):
        world().sev_chip("Naples").evidence(SevState(product="Rome"))
