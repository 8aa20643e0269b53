"""CSV Evidence as Trustee's attesters write it: a JSON object of numbers.

Source: Trustee, CSV Evidence. `attestation_report` has the page with a label beside it (`magic`, `flags`) that says
how to read it, and that nothing signs: it must agree with the page. PEK and chip_id may stand in the page without the
mask of version 1; they are put back under it, as the firmware gave them. `cert_chain` has the PEK once more, and may
have HSK and CEK; `cc_eventlog` may have the guest's event log in base64.
"""

from __future__ import annotations

import base64
import binascii

from rats_tls.core.errors import DecodeError
from rats_tls.core.evidence import Evidence, TeeType
from rats_tls.formats.hygon.certificates import CERTIFICATE_SIZE
from rats_tls.formats.hygon.hsk_cek import HSK_CEK_SIZE
from rats_tls.formats.hygon.report import PAGE_SIZE, AttestationReport, masked
from rats_tls.formats.json_document import JsonObject

_STRUCTURE = "CsvEvidenceJson"
_REPORT, _CHAIN = "attestation_report", "cert_chain"
_NO_MAGIC, _MAGIC = bytes(16), b"ATTESTATION_EXT\0"
_VERSIONS: dict[tuple[bytes, int], frozenset[int]] = {
    (_NO_MAGIC, 0): frozenset({1}),
    (_MAGIC, 0): frozenset({1}),
    (_MAGIC, 1): frozenset({2}),
    (_MAGIC, 3): frozenset({2, 3}),  # host_data of zeros makes a report of version 3 one of version 2
}
"""Which versions of a report go with which label."""
_ANONCE = slice(0xBC, 0xC0)
_PEK_V1 = slice(0x150, 0x150 + CERTIFICATE_SIZE)
_CHIP_ID_V1 = slice(_PEK_V1.stop, _PEK_V1.stop + 64)

_POINT = (("g", 4), ("x", 72), ("y", 72))
_SIGNATURE = (("r", 72), ("s", 72))


def is_trustee_evidence(document: JsonObject) -> bool:
    """Whether a JSON object is Evidence of this form."""
    return document.holds(_REPORT) and document.holds(_CHAIN)


def evidence_from_trustee(document: JsonObject) -> Evidence:
    """Read Evidence: the page, with HSK and CEK behind it where they are there, and the event log.

    Raises:
        DecodeError: malformed, a label of another version than the page's, or a PEK or chip_id that are not the page's.
    """
    report, chain = document.member(_REPORT), document.member(_CHAIN)
    page = report.octet_array("data", size=PAGE_SIZE)
    pek = _key_certificate(chain.member("pek"))
    serial = document.octet_array("serial_number", size=64)
    label = (report.octet_array("magic", size=16), report.integer("flags", maximum=0xFFFF_FFFF))
    versions = _VERSIONS.get(label)
    if versions is None:
        raise report.error("flags", f"got {label[1]} with magic {label[0]!r}, expected a label that is known")
    if versions == {1} and page[_PEK_V1] == pek and page[_CHIP_ID_V1] == serial:
        page = page[: _PEK_V1.start] + masked(pek + serial, page[_ANONCE]) + page[_CHIP_ID_V1.stop :]
    decoded = AttestationReport.from_bytes(page)
    if decoded.version not in versions:
        raise report.error("flags", f"the label is of version {min(versions)}, the page of version {decoded.version}")
    if decoded.pek.data != pek:
        raise chain.error("pek", "it is not the certificate in the page")
    if decoded.chip_id != serial:
        raise document.error("serial_number", "it is not the chip_id in the page")
    return Evidence.of(TeeType.CSV, page + _hsk_cek(chain), _event_log(document))


def _hsk_cek(chain: JsonObject) -> bytes:
    if not chain.holds("hsk_cek"):
        return b""
    both = chain.member("hsk_cek")
    certificates = _root_certificate(both.member("hsk")) + _key_certificate(both.member("cek"))
    return certificates + HSK_CEK_SIZE.to_bytes(4, "little")


def _event_log(document: JsonObject) -> bytes:
    if not document.holds("cc_eventlog"):
        return b""
    try:
        return base64.b64decode(document.text("cc_eventlog"), validate=True)
    except (ValueError, binascii.Error) as error:
        raise DecodeError(_STRUCTURE, "cc_eventlog", None, f"not base64: {error}") from error


def _root_certificate(written: JsonObject) -> bytes:
    body, signature = written.member("body"), written.member("signature")
    preamble = body.member("preamble")
    data, key = preamble.member("data"), body.member("pubkey")
    return b"".join(
        (
            _word(preamble, "ver", 4),
            data.octet_array("kid", size=16),
            data.octet_array("sid", size=16),
            _word(data, "usage", 4),
            data.octet_array("reserved", size=24),
            _parts(key, _POINT),
            _word(body, "uid_size", 2),
            body.octet_array("user_id", size=254),
            body.octet_array("reserved", size=108),
            _parts(signature, _SIGNATURE),
            written.octet_array("_reserved", size=112),
        )
    )


def _key_certificate(written: JsonObject) -> bytes:
    body = written.member("body")
    data = body.member("data")
    firmware, key = data.member("firmware"), data.member("pubkey")
    signatures = (
        _word(item, "usage", 4)
        + _word(item, "algo", 4)
        + _parts(item.member("signature"), _SIGNATURE)
        + item.octet_array("_reserved", size=368)
        for item in written.objects("sigs", count=2)
    )
    return b"".join(
        (
            _word(body, "ver", 4),
            _word(firmware, "major", 1),
            _word(firmware, "minor", 1),
            _word(data, "reserved1", 2),
            _word(key, "usage", 4),
            _word(key, "algo", 4),
            _parts(key.member("key"), _POINT),
            _word(data, "uid_size", 2),
            data.octet_array("user_id", size=254),
            data.octet_array("sid", size=16),
            data.octet_array("reserved2", size=608),
            *signatures,
        )
    )


def _word(written: JsonObject, name: str, size: int) -> bytes:
    return written.integer(name, maximum=256**size - 1).to_bytes(size, "little")


def _parts(written: JsonObject, parts: tuple[tuple[str, int], ...]) -> bytes:
    return b"".join(
        _word(written, name, size) if size == 4 else written.octet_array(name, size=size) for name, size in parts
    )
