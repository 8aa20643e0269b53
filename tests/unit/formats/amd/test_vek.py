"""AMD's extensions of VEK certificates (AMD VCEK Certificate and KDS Interface specification), and PEM around them."""

from __future__ import annotations

import pytest
from cryptography import x509

from rats_tls.core.claims import SnpTcb
from rats_tls.core.errors import DecodeError
from rats_tls.formats.amd.vek import VekCertificate, VekExtensions
from rats_tls.formats.x509 import Extension
from rats_tls.simulation import der
from support.odd_certificates import plain

ARC = "1.3.6.1.4.1.3704.1"
CHIP = bytes(range(1, 65))
SPLS = {"3.1": 4, "3.2": 0, "3.3": 24, "3.4": 0, "3.5": 0, "3.6": 0, "3.7": 0, "3.8": 219}


def good(**changes: bytes | None) -> dict[str, bytes]:
    """Values of a VCEK of Milan by arc; None leaves one out."""
    values: dict[str, bytes | None] = {
        "1": der.integer(0),
        "2": der.ia5_string("Milan-B0"),
        **{arc: der.integer(number) for arc, number in SPLS.items()},
        "4": CHIP,
        **{name.removeprefix("arc").replace("_", "."): value for name, value in changes.items()},
    }
    return {arc: value for arc, value in values.items() if value is not None}


def decode(values: dict[str, bytes]) -> VekExtensions:
    return VekExtensions.from_extensions({f"{ARC}.{arc}": Extension(False, value) for arc, value in values.items()})


def test_a_vcek_before_turin() -> None:
    found = decode(good())
    assert found == VekExtensions(
        struct_version=0,
        product_name="Milan-B0",
        tcb=SnpTcb(fmc=None, bootloader=4, tee=0, snp=24, microcode=219),
        reserved_spls=(0, 0, 0, 0),
        hwid=CHIP,
        csp_id=None,
    )


def test_a_vcek_of_turin_has_fmc_and_no_spl4() -> None:
    found = decode(good(arc2=der.ia5_string("Turin"), arc3_4=None, arc3_9=der.integer(1), arc4=CHIP[:8]))
    assert found.tcb == SnpTcb(fmc=1, bootloader=4, tee=0, snp=24, microcode=219)
    assert (found.reserved_spls, found.hwid) == ((0, 0, 0, 0), CHIP[:8])


def test_a_vlek_names_its_provider_and_no_chip() -> None:
    found = decode(good(arc4=None, arc5=der.ia5_string("provider")))
    assert (found.hwid, found.csp_id) == (None, "provider")


@pytest.mark.parametrize("size", [8, 64])
def test_hwid_is_bare_or_in_an_octet_string(size: int) -> None:
    chip = CHIP[:size]
    assert decode(good(arc4=chip)).hwid == chip
    assert decode(good(arc4=der.octet_string(chip))).hwid == chip


@pytest.mark.parametrize(
    "value",
    [
        b"",
        CHIP[:7],
        CHIP[:63],
        CHIP + b"\0",
        der.octet_string(CHIP[:63]),
        der.octet_string(CHIP[:9]),
        der.octet_string(CHIP) + b"\0\0",
        der.octet_string(CHIP)[:-1],
        b"\x03\x41\x00" + CHIP,  # a BIT STRING
        der.octet_string(der.octet_string(CHIP)),
    ],
)
def test_other_hwids_are_refused(value: bytes) -> None:
    with pytest.raises(DecodeError):
        decode(good(arc4=value))


@pytest.mark.parametrize("arc", ["1", "2", "3.1", "3.2", "3.3", "3.8"])
def test_what_a_verdict_needs_must_be_there(arc: str) -> None:
    values = good()
    del values[arc]
    with pytest.raises(DecodeError, match="missing") as caught:
        decode(values)
    assert caught.value.field in ("structVersion", "productName", "blSPL", "teeSPL", "snpSPL", "ucodeSPL")


@pytest.mark.parametrize("arc", [*SPLS, "3.9"])
@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"\x02\x00",
        b"\x02\x01\xff",  # -1
        b"\x02\x02\x00\x07",  # not minimal
        b"\x02\x02\x01\x00",  # 256
        b"\x04\x01\x07",
        b"\x02\x01\x07\x00",
        b"\x02\x01\x07" * 2,
        b"\x02\x81\x01\x07",
        b"\x07",
    ],
)
def test_security_versions_are_bytes_in_der(arc: str, value: bytes) -> None:
    with pytest.raises(DecodeError):
        decode(good(**{f"arc{arc.replace('.', '_')}": value}))


@pytest.mark.parametrize("arc", ["2", "5"])
@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"Milan",
        der.ia5_string(""),
        der.ia5_string("x" * 257),
        b"\x16\x01\xe9",
        b"\x0c\x01x",
        der.ia5_string("x") * 2,
    ],
)
def test_texts_are_ia5_strings(arc: str, value: bytes) -> None:
    with pytest.raises(DecodeError):
        decode(good(**{f"arc{arc}": value}))


def test_spls_that_are_reserved_are_kept() -> None:
    assert decode(good(arc3_5=der.integer(9), arc3_7=der.integer(255))).reserved_spls == (0, 9, 0, 255)


def test_a_certificate_with_them() -> None:
    certificate = plain(
        *(
            (x509.UnrecognizedExtension(x509.ObjectIdentifier(f"{ARC}.{arc}"), value), False)
            for arc, value in good().items()
        )
    )
    found = VekCertificate.from_der(certificate)
    assert (found.certificate.der, found.extensions) == (certificate, decode(good()))
    with pytest.raises(DecodeError, match="productName: missing"):
        VekCertificate.from_der(plain())
