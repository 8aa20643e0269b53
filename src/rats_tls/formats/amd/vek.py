"""VEK certificates: VCEK (of a chip) and VLEK (on loan to a cloud provider).

Source: AMD, Versioned Chip Endorsement Key (VCEK) Certificate and KDS Interface Specification, table of object
identifiers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rats_tls.core.claims import SnpTcb
from rats_tls.core.errors import DecodeError
from rats_tls.formats.der import OCTET_STRING, Element, read_elements, read_unsigned, require_tag
from rats_tls.formats.x509 import Certificate, Extension

VCEK_NAME = "SEV-VCEK"
VLEK_NAME = "SEV-VLEK"
SHORT_HWID = 8
"""Bytes by which a chip is named from Turin on; the report has zeros behind them, the certificate may."""

_ARC = "1.3.6.1.4.1.3704.1"
_STRUCTURE = "VekCertificate"
_IA5_STRING = 0x16
_HWID_SIZES = (SHORT_HWID, 64)
_TEXT_LIMIT = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class VekExtensions:
    """What a VEK certificate says of the key.

    Attributes:
        struct_version: version of the extensions.
        product_name: for example `Milan-B0`; known to be wrong on some chips.
        tcb: TCB for which the key was derived; fmc is None where the certificate has no fmcSPL.
        reserved_spls: spl4 to spl7; 0 where one is absent.
        hwid: hwID (8 or 64 bytes), or None.
        csp_id: CSP_ID, or None.
    """

    struct_version: int
    product_name: str
    tcb: SnpTcb
    reserved_spls: tuple[int, int, int, int]
    hwid: bytes | None
    csp_id: str | None

    @classmethod
    def from_extensions(cls, extensions: Mapping[str, Extension]) -> VekExtensions:
        """Decode AMD's extensions of a certificate.

        Raises:
            DecodeError: one that is missing or malformed.
        """

        def unsigned(arc: str, name: str, *, default: int | None = None) -> int:
            extension = extensions.get(f"{_ARC}.{arc}")
            if extension is None:
                if default is None:
                    raise DecodeError(_STRUCTURE, name, None, "missing")
                return default
            return read_unsigned(_only(extension.value, name), f"{_STRUCTURE}.{name}", maximum=0xFF)

        fmc = unsigned("3.9", "fmcSPL") if f"{_ARC}.3.9" in extensions else None
        hwid = extensions.get(f"{_ARC}.4")
        csp_id = extensions.get(f"{_ARC}.5")
        product_name = extensions.get(f"{_ARC}.2")
        if product_name is None:
            raise DecodeError(_STRUCTURE, "productName", None, "missing")
        return cls(
            struct_version=unsigned("1", "structVersion"),
            product_name=_text(product_name.value, "productName"),
            tcb=SnpTcb(
                fmc=fmc,
                bootloader=unsigned("3.1", "blSPL"),
                tee=unsigned("3.2", "teeSPL"),
                snp=unsigned("3.3", "snpSPL"),
                microcode=unsigned("3.8", "ucodeSPL"),
            ),
            # Turin's certificates have no spl4.
            reserved_spls=(
                unsigned("3.4", "spl4", default=0),
                unsigned("3.5", "spl5", default=0),
                unsigned("3.6", "spl6", default=0),
                unsigned("3.7", "spl7", default=0),
            ),
            hwid=_hwid(hwid.value) if hwid is not None else None,
            csp_id=_text(csp_id.value, "CSP_ID") if csp_id is not None else None,
        )


@dataclass(frozen=True, slots=True)
class VekCertificate:
    """A VEK certificate with its extensions decoded. Untrusted until a Verifier has verified it."""

    certificate: Certificate
    extensions: VekExtensions

    @classmethod
    def from_der(cls, der: bytes) -> VekCertificate:
        """Decode a VEK certificate.

        Raises:
            DecodeError: not a certificate, or AMD's extensions are missing or malformed.
        """
        certificate = Certificate.from_der(der, _STRUCTURE)
        return cls(certificate, VekExtensions.from_extensions(certificate.extensions))


def _only(value: bytes, name: str) -> Element:
    elements = read_elements(value, f"{_STRUCTURE}.{name}", limit=2)
    if len(elements) != 1:
        raise DecodeError(_STRUCTURE, name, 0, f"{len(elements)} elements, expected one")
    return elements[0]


def _text(value: bytes, name: str) -> str:
    element = _only(value, name)
    require_tag(element, _IA5_STRING, f"{_STRUCTURE}.{name}")
    if not 0 < len(element.content) <= _TEXT_LIMIT:
        raise DecodeError(_STRUCTURE, name, 0, f"text of {len(element.content)} bytes, expected 1 to {_TEXT_LIMIT}")
    try:
        return element.content.decode("ascii")
    except UnicodeDecodeError as error:
        raise DecodeError(_STRUCTURE, name, error.start, "not ASCII") from error


def _hwid(value: bytes) -> bytes:
    """Read hwID: both its bare bytes and an OCTET STRING around them are in use, told apart by length."""
    if len(value) in _HWID_SIZES:
        return value
    element = _only(value, "hwID")
    require_tag(element, OCTET_STRING, f"{_STRUCTURE}.hwID")
    if len(element.content) not in _HWID_SIZES:
        raise DecodeError(_STRUCTURE, "hwID", 0, f"got {len(element.content)} bytes, expected 8 or 64")
    return element.content
