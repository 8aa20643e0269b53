"""Quotes of versions 3, 4 and 5: header, body, signature data, certification data.

Sources: Intel SGX ECDSA QuoteLibrary API reference, A.4 (version 3); Intel TDX DCAP QuoteLibrary API reference,
A.3 and A.4 (versions 4 and 5). All integers are little-endian; signatures are r‖s, keys x‖y, big-endian.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from rats_tls.core.errors import DecodeError, UnsupportedError
from rats_tls.core.reader import Reader
from rats_tls.formats.intel.report import (
    SGX_REPORT_BODY_SIZE,
    TD_REPORT_10_SIZE,
    TD_REPORT_15_SIZE,
    SgxReportBody,
    TdReportBody,
)
from rats_tls.formats.x509 import certificates_from_pem

HEADER_SIZE = 48
INTEL_QE_VENDOR_ID = bytes.fromhex("939a7233f79c4ca9940a0db3957f0607")
_VERSIONS = frozenset({3, 4, 5})
TEE_SGX = 0x00000000
TEE_TDX = 0x00000081
ECDSA_P256 = 2
TDREPORT_SIZE = 1024
"""A TDREPORT is verifiable on its own platform only."""

BODY_SGX, BODY_TD_10, BODY_TD_15 = 1, 2, 3
_BODY_SIZES = {BODY_SGX: SGX_REPORT_BODY_SIZE, BODY_TD_10: TD_REPORT_10_SIZE, BODY_TD_15: TD_REPORT_15_SIZE}

PCK_CHAIN = 5
PCK_LEAF = 4
QE_REPORT_DATA = 6
_ENCRYPTED_PPID_SIZES = {2: 256, 3: 384}

_HEADER = struct.Struct("<HHIHH16s20s")


@dataclass(frozen=True, slots=True, kw_only=True)
class QuoteHeader:
    """Header of a quote (48 bytes).

    Attributes:
        version: 3, 4 or 5.
        attestation_key_type: always 2, ECDSA with P-256 and SHA-256; no other is supported.
        tee_type: 0 for SGX, 0x81 for TDX.
        qe_svn: SVN of the quoting enclave as its writer states it.
        pce_svn: SVN of the provisioning certification enclave as its writer states it.
        qe_vendor_id: 16 bytes, always Intel's.
        user_data: 20 bytes; the first 16 are the quoting enclave's id.
    """

    version: int
    attestation_key_type: int
    tee_type: int
    qe_svn: int
    pce_svn: int
    qe_vendor_id: bytes
    user_data: bytes

    @classmethod
    def from_bytes(cls, data: bytes) -> QuoteHeader:
        """Decode 48 bytes.

        Raises:
            DecodeError: another size or vendor, a TEE type that is unknown or that version 3 does not have.
            UnsupportedError: a version or attestation key type that nothing here verifies.
        """
        if len(data) != HEADER_SIZE:
            raise DecodeError("QuoteHeader", "", 0, f"got {len(data)} bytes, expected {HEADER_SIZE}")
        version, key_type, tee_type, qe_svn, pce_svn, vendor_id, user_data = _HEADER.unpack(data)
        if version not in _VERSIONS:
            raise UnsupportedError(f"QuoteHeader.version: got {version}, expected 3, 4 or 5")
        if key_type != ECDSA_P256:
            raise UnsupportedError(
                f"QuoteHeader.attestation_key_type: got {key_type}, expected {ECDSA_P256} (ECDSA P-256)"
            )
        if tee_type not in ({TEE_SGX} if version == 3 else {TEE_SGX, TEE_TDX}):
            expected = "0" if version == 3 else "0 (SGX) or 0x81 (TDX)"
            raise DecodeError("QuoteHeader", "tee_type", 4, f"got {tee_type:#x}, expected {expected}")
        if vendor_id != INTEL_QE_VENDOR_ID:
            raise DecodeError(
                "QuoteHeader", "qe_vendor_id", 12, f"got {vendor_id.hex()}, expected {INTEL_QE_VENDOR_ID.hex()}"
            )
        return cls(
            version=version,
            attestation_key_type=key_type,
            tee_type=tee_type,
            qe_svn=qe_svn,
            pce_svn=pce_svn,
            qe_vendor_id=vendor_id,
            user_data=user_data,
        )

    def to_bytes(self) -> bytes:
        """Encode to 48 bytes."""
        return _HEADER.pack(
            self.version,
            self.attestation_key_type,
            self.tee_type,
            self.qe_svn,
            self.pce_svn,
            self.qe_vendor_id,
            self.user_data,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformReference:
    """How certification data of types 1 to 3 names the platform: the PCK certificate has to come from elsewhere.

    Attributes:
        ppid: 16 bytes in plain (type 1), or encrypted: 256 bytes (type 2) or 384 bytes (type 3).
        encrypted: whether `ppid` is encrypted.
        cpu_svn: 16 bytes.
        pce_svn: SVN of the provisioning certification enclave.
        pce_id: 2 bytes, or None where the writer left it out (type 1 exists with and without it).
    """

    ppid: bytes
    encrypted: bool
    cpu_svn: bytes
    pce_svn: int
    pce_id: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificationData:
    """What certifies the key that signed the QE report.

    Attributes:
        type: 1 plain PPID, 2 and 3 encrypted PPID, 4 PCK certificate, 5 PCK certificate chain (both PEM).
        data: its bytes as received.
    """

    type: int
    data: bytes

    def certificates(self) -> tuple[bytes, ...]:
        """Give the DER certificates of types 4 and 5, leaf first; () for the others.

        Raises:
            DecodeError: not PEM certificates, or another number than one for type 4.
        """
        if self.type not in {PCK_LEAF, PCK_CHAIN}:
            return ()
        # Writers in C leave a terminating NUL behind the PEM text.
        ders = certificates_from_pem(self.data.rstrip(b"\0"), "CertificationData.certificates")
        if self.type == PCK_LEAF and len(ders) != 1:
            raise DecodeError("CertificationData", "certificates", None, f"{len(ders)} in type 4, expected one")
        return ders

    def platform(self) -> PlatformReference | None:
        """Give the platform that types 1 to 3 name; None for the others.

        Raises:
            DecodeError: another size than the type has.
        """
        if self.type not in {1, 2, 3}:
            return None
        reader = Reader(self.data, "CertificationData")
        ppid_size = _ENCRYPTED_PPID_SIZES.get(self.type, 16)
        ppid = reader.take("ppid", ppid_size)
        cpu_svn = reader.take("cpu_svn", 16)
        pce_svn = reader.u16("pce_svn")
        pce_id = reader.take("pce_id", 2) if reader.remaining or self.type != 1 else None
        reader.end()
        return PlatformReference(ppid=ppid, encrypted=self.type != 1, cpu_svn=cpu_svn, pce_svn=pce_svn, pce_id=pce_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class QuoteSignatureData:
    """Signature data of a quote, with the bytes that its signatures and hashes cover as received.

    Attributes:
        signature: 64 bytes over header and body, by the attestation key.
        attestation_key: x‖y, 64 bytes.
        qe_report: report body of the quoting enclave, 384 bytes.
        qe_report_signature: 64 bytes over `qe_report`, by the PCK.
        qe_auth_data: hashed into the QE report together with the attestation key.
        certification: certification data of types 1 to 5; in versions 4 and 5 it stands inside type 6.
    """

    signature: bytes
    attestation_key: bytes
    qe_report: bytes
    qe_report_signature: bytes
    qe_auth_data: bytes
    certification: CertificationData

    @classmethod
    def from_bytes(cls, data: bytes, *, version: int, base: int = 0) -> QuoteSignatureData:
        """Decode the signature data of a quote of `version`; nothing may stand behind it.

        Raises:
            DecodeError: too short, too long, or a certification data type that does not belong there.
        """
        reader = Reader(data, "QuoteSignatureData", base=base)
        signature = reader.take("signature", 64)
        attestation_key = reader.take("attestation_key", 64)
        if version >= 4:
            start = reader.offset
            outer = reader.u16("certification_data.type")
            if outer != QE_REPORT_DATA:
                raise DecodeError(
                    "QuoteSignatureData", "certification_data.type", start, f"got {outer}, expected {QE_REPORT_DATA}"
                )
            content = reader.take("certification_data.data", reader.u32("certification_data.size"))
            reader.end()
            reader = Reader(content, "QeReportCertificationData", base=base + 134)
        qe_report = reader.take("qe_report", SGX_REPORT_BODY_SIZE)
        qe_report_signature = reader.take("qe_report_signature", 64)
        qe_auth_data = reader.take("qe_auth_data", reader.u16("qe_auth_data_size"))
        start = reader.offset
        kind = reader.u16("certification_data.type")
        if not 1 <= kind <= PCK_CHAIN:
            raise DecodeError(
                "QuoteSignatureData", "certification_data.type", start, f"got {kind}, expected 1 to {PCK_CHAIN}"
            )
        certification = CertificationData(
            type=kind, data=reader.take("certification_data.data", reader.u32("certification_data.size"))
        )
        reader.end()
        return cls(
            signature=signature,
            attestation_key=attestation_key,
            qe_report=qe_report,
            qe_report_signature=qe_report_signature,
            qe_auth_data=qe_auth_data,
            certification=certification,
        )

    def to_bytes(self, *, version: int) -> bytes:
        """Encode for a quote of `version`."""
        certification = self.certification
        inner = b"".join(
            (
                self.qe_report,
                self.qe_report_signature,
                len(self.qe_auth_data).to_bytes(2, "little"),
                self.qe_auth_data,
                certification.type.to_bytes(2, "little"),
                len(certification.data).to_bytes(4, "little"),
                certification.data,
            )
        )
        if version >= 4:
            inner = QE_REPORT_DATA.to_bytes(2, "little") + len(inner).to_bytes(4, "little") + inner
        return self.signature + self.attestation_key + inner


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """A quote.

    Attributes:
        header: its header.
        body: report body of the enclave or trust domain.
        signed: the exact bytes that the quote's signature covers: header, body descriptor (version 5), body.
        signature_data: its signature data.
        trailing: number of bytes behind the signature data. Nothing covers them; vendor buffers are padded.
    """

    header: QuoteHeader
    body: SgxReportBody | TdReportBody
    signed: bytes
    signature_data: QuoteSignatureData
    trailing: int

    @classmethod
    def from_bytes(cls, data: bytes) -> Quote:
        """Decode a quote.

        Raises:
            DecodeError: malformed.
            UnsupportedError: a version or attestation key type that nothing here verifies, or a TDREPORT, which only
                its own platform can verify.
        """
        if len(data) == TDREPORT_SIZE and int.from_bytes(data[:2], "little") not in _VERSIONS:
            raise UnsupportedError(
                "Quote: got 1024 bytes without a quote's version, which is a TDREPORT: local evidence, whose MAC "
                "only its own platform can verify; a quote is needed"
            )
        reader = Reader(data, "Quote")
        header = QuoteHeader.from_bytes(reader.take("header", HEADER_SIZE))
        body = _read_body(reader, header)
        signed_size = reader.offset
        size = reader.u32("signature_data_size")
        start = reader.offset
        signature_data = QuoteSignatureData.from_bytes(
            reader.take("signature_data", size), version=header.version, base=start
        )
        return cls(
            header=header,
            body=body,
            signed=data[:signed_size],
            signature_data=signature_data,
            trailing=reader.remaining,
        )


def _read_body(reader: Reader, header: QuoteHeader) -> SgxReportBody | TdReportBody:
    sgx = header.tee_type == TEE_SGX
    if header.version < 5:
        size = SGX_REPORT_BODY_SIZE if sgx else TD_REPORT_10_SIZE
    else:
        start = reader.offset
        body_type = reader.u16("body_type")
        if body_type not in _BODY_SIZES or (body_type == BODY_SGX) != sgx:
            raise DecodeError(
                "Quote", "body_type", start, f"got {body_type}, which TEE type {header.tee_type:#x} does not have"
            )
        size = reader.u32("body_size")
        if size != _BODY_SIZES[body_type]:
            raise DecodeError(
                "Quote", "body_size", start + 2, f"got {size}, expected {_BODY_SIZES[body_type]} for type {body_type}"
            )
    body = reader.take("body", size)
    return SgxReportBody.from_bytes(body) if sgx else TdReportBody.from_bytes(body)
