"""Evidence of SEV and SEV-ES guests: the firmware's report, and the certificates that come with it.

Sources: AMD SEV API, ATTESTATION; C rats-tls `sev_evidence` and the attestation evidence broker, which put report,
CEK, PEK, OCA and the type of the processor together.
"""

from __future__ import annotations

from dataclasses import dataclass

from rats_tls.core.errors import DecodeError
from rats_tls.core.reader import Reader
from rats_tls.formats.amd.sev_certificate import CERTIFICATE_SIZE, SevCertificate
from rats_tls.formats.amd.sev_keys import ecdsa_to_bytes, read_ecdsa
from rats_tls.formats.json_document import JsonObject

REPORT_SIZE = 208
SIGNED_SIZE = 52
"""Bytes from the start that the signature covers; usage and algorithm of the signature are not among them."""
EVIDENCE_SIZES = (6461, 6464)
"""With the device type in one byte, and in four."""

DEVICE_TYPES = ("Rome", "Naples", "Milan", None)
"""Products by device type, as the broker numbers them; the last one is its "unknown"."""
_JSON_DEVICE_TYPES = {"AmdRome": 0, "AmdNaples": 1, "AmdMilan": 2, "Unknown": 3}
_CERTIFICATES = ("cek", "pek", "oca")
_STRUCTURE = "SevEvidence"
_REPORT_WORDS = ("policy", "sig_usage", "sig_algo", "reserved")
_NONCES = ("monce", "mnonce")
"""Names of the nonce in JSON; the broker writes the first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SevReport:
    """ATTESTATION of 208 bytes.

    Attributes:
        signed: the 52 bytes that the signature covers, as received: mnonce, launch_digest, policy.
        mnonce: chosen by the host (16 bytes).
        launch_digest: 32 bytes.
        policy: guest policy.
        sig_usage: usage of the key that signed.
        sig_algo: how.
        r: signature, with `s`.
    """

    signed: bytes
    mnonce: bytes
    launch_digest: bytes
    policy: int
    sig_usage: int
    sig_algo: int
    r: int
    s: int

    @classmethod
    def from_bytes(cls, data: bytes) -> SevReport:
        """Decode a report.

        Raises:
            DecodeError: not 208 bytes, or a byte that must be zero is not.
        """
        if len(data) != REPORT_SIZE:
            raise DecodeError(cls.__name__, "", 0, f"got {len(data)} bytes, expected {REPORT_SIZE}")
        reader = Reader(data, cls.__name__)
        mnonce = reader.take("mnonce", 16)
        launch_digest = reader.take("launch_digest", 32)
        policy = reader.u32("policy")
        sig_usage, sig_algo = reader.u32("sig_usage"), reader.u32("sig_algo")
        reader.zeros("reserved", 4)
        r, s = read_ecdsa(reader, "sig1")
        reader.end()
        return cls(
            signed=data[:SIGNED_SIZE],
            mnonce=mnonce,
            launch_digest=launch_digest,
            policy=policy,
            sig_usage=sig_usage,
            sig_algo=sig_algo,
            r=r,
            s=s,
        )

    def to_bytes(self) -> bytes:
        """Encode from the fields, not from `signed`."""
        words = b"".join(word.to_bytes(4, "little") for word in (self.policy, self.sig_usage, self.sig_algo, 0))
        return self.mnonce + self.launch_digest + words + ecdsa_to_bytes(self.r, self.s)


@dataclass(frozen=True, slots=True, kw_only=True)
class SevEvidence:
    """Report and certificates.

    Attributes:
        report: what the firmware signed.
        cek: certificate of the chip's endorsement key.
        pek: of the platform's endorsement key, which signs reports.
        oca: of the platform's owner; None where its place holds zeros.
        device_type: what the broker took the processor for; nothing covers it.
    """

    report: SevReport
    cek: SevCertificate
    pek: SevCertificate
    oca: SevCertificate | None
    device_type: int

    @classmethod
    def from_bytes(cls, data: bytes) -> SevEvidence:
        """Decode Evidence of either size.

        Raises:
            DecodeError: another size, or a part that is malformed.
            UnsupportedError: an algorithm, curve or key size that is not known.
        """
        if len(data) not in EVIDENCE_SIZES:
            sizes = " or ".join(map(str, EVIDENCE_SIZES))
            raise DecodeError(_STRUCTURE, "", 0, f"got {len(data)} bytes, expected {sizes}")
        oca = _slice(data, 2)
        return cls(
            report=SevReport.from_bytes(data[:REPORT_SIZE]),
            cek=SevCertificate.from_bytes(_slice(data, 0), f"{_STRUCTURE}.cek", base=_start(0)),
            pek=SevCertificate.from_bytes(_slice(data, 1), f"{_STRUCTURE}.pek", base=_start(1)),
            oca=SevCertificate.from_bytes(oca, f"{_STRUCTURE}.oca", base=_start(2)) if any(oca) else None,
            device_type=int.from_bytes(data[_start(3) :], "little"),
        )

    def to_bytes(self) -> bytes:
        """Encode with the device type in four bytes, as C rats-tls does."""
        oca = self.oca.to_bytes() if self.oca is not None else bytes(CERTIFICATE_SIZE)
        parts = (self.report.to_bytes(), self.cek.to_bytes(), self.pek.to_bytes(), oca)
        return b"".join(parts) + self.device_type.to_bytes(4, "little")

    @property
    def product_hint(self) -> str | None:
        """The product that the device type names; anybody may have written it."""
        return DEVICE_TYPES[self.device_type] if self.device_type < len(DEVICE_TYPES) else None


def is_broker_evidence(document: JsonObject) -> bool:
    """Whether a JSON object is Evidence as the attestation evidence broker writes it."""
    return all(document.holds(name) for name in ("report", *_CERTIFICATES, "device_type"))


def evidence_from_json(data: bytes) -> bytes:
    """Give the bytes of Evidence (6464) that the attestation evidence broker wrote as JSON, bytes as arrays of numbers.

    Nothing but the form is looked at.

    Raises:
        DecodeError: not of that form.
    """
    document = JsonObject.from_bytes(data, _STRUCTURE)
    report = document.member("report")
    words = [report.integer(name, maximum=0xFFFFFFFF).to_bytes(4, "little") for name in _REPORT_WORDS]
    nonce = next((name for name in _NONCES if name in report), _NONCES[0])
    head = (report.octet_array(nonce, size=16), report.octet_array("launch_digest", size=32), *words)
    certificates = (document.octet_array(name, size=CERTIFICATE_SIZE) for name in _CERTIFICATES)
    device_type = _JSON_DEVICE_TYPES[document.one_of("device_type", _JSON_DEVICE_TYPES.keys())]
    return b"".join((*head, report.octet_array("sig1", size=144), *certificates)) + device_type.to_bytes(4, "little")


def _start(number: int) -> int:
    return REPORT_SIZE + number * CERTIFICATE_SIZE


def _slice(data: bytes, number: int) -> bytes:
    return data[_start(number) : _start(number + 1)]
