"""Quotes: what decodes, to what, and what does not."""

from __future__ import annotations

import struct

import pytest

from rats_tls.core.errors import DecodeError, UnsupportedError
from rats_tls.formats.intel.quote import CertificationData, Quote, QuoteHeader, QuoteSignatureData
from rats_tls.formats.intel.report import SgxReportBody, TdReportBody
from support.intel import OUTDATED, PHALA_SGX, PHALA_TDX, load, written_again
from support.simulated import REPORT_DATA, world


def quote_bytes(vector_id: str) -> bytes:
    return load(vector_id).evidence.data


def changed(data: bytes, offset: int, value: bytes) -> bytes:
    return data[:offset] + value + data[offset + len(value) :]


def simulated(name: str, **settings: object) -> bytes:
    return world().attester(name, **settings).collect(REPORT_DATA).evidence.data


FORMS = {
    "sgx v3": lambda: simulated("simulated_sgx_ecdsa", quote_version=3),
    "sgx v4": lambda: simulated("simulated_sgx_ecdsa", quote_version=4),
    "sgx v5": lambda: simulated("simulated_sgx_ecdsa", quote_version=5),
    "tdx v4": lambda: simulated("simulated_tdx_ecdsa", quote_version=4),
    "tdx v5 1.0": lambda: simulated("simulated_tdx_ecdsa", quote_version=5),
    "tdx v5 1.5": lambda: simulated("simulated_tdx_ecdsa", quote_version=5, body_version="1.5"),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_byte_of_a_quote_is_accounted_for(form: str) -> None:
    data = FORMS[form]()
    assert written_again(Quote.from_bytes(data)) == data
    quote = Quote.from_bytes(data + bytes(7))
    assert (quote.trailing, written_again(quote)) == (7, data)


@pytest.mark.parametrize("form", FORMS)
def test_every_form(form: str) -> None:
    data = FORMS[form]()
    quote = Quote.from_bytes(data)
    tee, version = form.split()[:2]
    assert f"v{quote.header.version}" == version
    assert isinstance(quote.body, SgxReportBody if tee == "sgx" else TdReportBody)
    assert quote.body.report_data == REPORT_DATA
    assert quote.trailing == 0
    # What is signed: version 5 adds the six bytes that describe the body.
    size = len(quote.body.to_bytes())
    assert quote.signed == data[: 48 + size + (6 if version == "v5" else 0)]
    if isinstance(quote.body, TdReportBody):
        assert quote.body.version == ("1.5" if form.endswith("1.5") else "1.0")


@pytest.mark.parametrize(
    ("vector_id", "offset", "value", "field"),
    [
        (PHALA_SGX, 4, b"\x81", "tee_type"),
        (PHALA_TDX, 4, b"\x82", "tee_type"),
        (PHALA_TDX, 12, b"\0", "qe_vendor_id"),
        (PHALA_TDX, 764, b"\5", "certification_data.type"),
        (PHALA_TDX, 764, b"\7", "certification_data.type"),
        (PHALA_TDX, 1252, b"\6", "certification_data.type"),
        (PHALA_TDX, 1252, b"\0", "certification_data.type"),
        (PHALA_SGX, 1046, b"\6", "certification_data.type"),
        (PHALA_TDX, 632, b"\xff\xff\xff\xff", "signature_data"),
        (PHALA_TDX, 766, b"\0\0\0\0", "end"),
        (PHALA_TDX, 1218, b"\xff\xff", "qe_auth_data"),
        (OUTDATED, 48, b"\1", "body_type"),
        (OUTDATED, 48, b"\4", "body_type"),
        (OUTDATED, 48, b"\2", "body_size"),
        (OUTDATED, 50, b"\x89", "body_size"),
    ],
)
def test_malformed(vector_id: str, offset: int, value: bytes, field: str) -> None:
    with pytest.raises(DecodeError) as caught:
        Quote.from_bytes(changed(quote_bytes(vector_id), offset, value))
    assert caught.value.field == field


def test_offset_of_errors_is_that_in_the_quote() -> None:
    with pytest.raises(DecodeError) as caught:
        Quote.from_bytes(changed(quote_bytes(PHALA_TDX), 1252, b"\6"))
    assert caught.value.offset == 1252
    with pytest.raises(DecodeError) as caught:
        Quote.from_bytes(changed(quote_bytes(PHALA_TDX), 764, b"\5"))
    assert caught.value.offset == 764


@pytest.mark.parametrize(
    ("offset", "value", "text"),
    [
        (0, b"\2\0", "version: got 2"),
        (0, b"\6\0", "version: got 6"),
        (2, b"\3\0", "attestation_key_type: got 3"),
        (2, b"\0\0", "attestation_key_type: got 0"),
    ],
)
def test_unsupported(offset: int, value: bytes, text: str) -> None:
    with pytest.raises(UnsupportedError, match=text):
        Quote.from_bytes(changed(quote_bytes(PHALA_SGX), offset, value))


def test_version_5_body_type_must_fit_the_tee() -> None:
    data = FORMS["sgx v5"]()
    for body_type in (2, 3):
        with pytest.raises(DecodeError, match="body_type"):
            Quote.from_bytes(changed(data, 48, struct.pack("<H", body_type)))


@pytest.mark.parametrize(("offset", "size"), [(20, 12), (96, 32), (160, 32), (262, 42)])
def test_reserved_bytes_of_an_sgx_report(offset: int, size: int) -> None:
    body = Quote.from_bytes(quote_bytes(PHALA_SGX)).body.to_bytes()
    for position in (offset, offset + size - 1):
        with pytest.raises(DecodeError, match="must be zero"):
            SgxReportBody.from_bytes(changed(body, position, b"\1"))


@pytest.mark.parametrize("size", [0, 383, 385])
def test_size_of_an_sgx_report(size: int) -> None:
    with pytest.raises(DecodeError, match="expected 384"):
        SgxReportBody.from_bytes(bytes(size))


@pytest.mark.parametrize("size", [0, 583, 585, 647, 649])
def test_size_of_a_td_report(size: int) -> None:
    with pytest.raises(DecodeError, match="expected 584"):
        TdReportBody.from_bytes(bytes(size))


@pytest.mark.parametrize("size", [47, 49])
def test_size_of_a_header(size: int) -> None:
    with pytest.raises(DecodeError, match="expected 48"):
        QuoteHeader.from_bytes(bytes(size))


def test_nothing_stands_behind_signature_data() -> None:
    data = Quote.from_bytes(quote_bytes(PHALA_SGX)).signature_data.to_bytes(version=3)
    with pytest.raises(DecodeError, match="1 bytes behind"):
        QuoteSignatureData.from_bytes(data + b"\0", version=3)


@pytest.mark.parametrize(
    ("kind", "ppid_size", "encrypted", "with_pce_id"),
    [(1, 16, False, True), (1, 16, False, False), (2, 256, True, True), (3, 384, True, True)],
)
def test_platform_reference(kind: int, ppid_size: int, encrypted: bool, with_pce_id: bool) -> None:
    ppid, cpu_svn = bytes([7]) * ppid_size, bytes(range(16))
    data = ppid + cpu_svn + b"\x0d\0" + (b"\1\2" if with_pce_id else b"")
    platform = CertificationData(type=kind, data=data).platform()
    assert platform is not None
    assert (platform.ppid, platform.encrypted, platform.cpu_svn) == (ppid, encrypted, cpu_svn)
    assert (platform.pce_svn, platform.pce_id) == (13, b"\1\2" if with_pce_id else None)
    for wrong in (data[:-1], data + b"\0"):
        with pytest.raises(DecodeError):
            CertificationData(type=kind, data=wrong).platform()
    assert CertificationData(type=kind, data=data).certificates() == ()


def test_certificates() -> None:
    chain = Quote.from_bytes(quote_bytes(PHALA_SGX)).signature_data.certification
    ders = chain.certificates()
    assert len(ders) == 3
    assert chain.platform() is None
    leaf = chain.data[: chain.data.index(b"-----END CERTIFICATE-----") + 26]
    assert CertificationData(type=4, data=leaf).certificates() == ders[:1]
    with pytest.raises(DecodeError, match="3 in type 4"):
        CertificationData(type=4, data=chain.data).certificates()
    with pytest.raises(DecodeError, match="not a PEM"):
        CertificationData(type=5, data=b"").certificates()


def test_a_broken_pem_block_is_not_passed_over() -> None:
    chain = Quote.from_bytes(quote_bytes(PHALA_SGX)).signature_data.certification.data
    broken = chain + b"-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE--2--\n"
    with pytest.raises(DecodeError, match="4 PEM blocks, 3 of them whole"):
        CertificationData(type=5, data=broken).certificates()
