"""What Evidence is bound to, and how that becomes the 64 bytes of report_data. The only place that computes it."""

from __future__ import annotations

import hashlib
import hmac
from enum import Enum

REPORT_DATA_SIZE = 64


class Binding(str, Enum):
    """What ties Evidence to the connection."""

    CERTIFICATE = "certificate"  # the TLS key, through the certificate
    SESSION = "session"  # the TLS connection itself, through an exporter
    REPORT_DATA = "report-data"  # what the caller of an appraisal outside a channel expected; no policy lists it
    NONE = "none"  # nothing: only where a policy lists it

    def __str__(self) -> str:
        return self.value


def certificate_report_data(claims_buffer: bytes) -> bytes:
    """Compute report_data of the `certificate` binding.

    SHA-256 over the claims-buffer exactly as carried, then 32 zero bytes; always SHA-256, whatever hash the
    pubkey-hash inside uses (interoperable-ra-tls, "report data").
    """
    return hashlib.sha256(claims_buffer).digest().ljust(REPORT_DATA_SIZE, b"\0")


_COLLECT = b"rats-tls collect/1"


def collect_report_data(data: bytes) -> bytes:
    """Compute report_data of Evidence that is collected outside a channel: SHA-512("rats-tls collect/1" ‖ data)."""
    return hashlib.sha512(_COLLECT + data).digest()


def equal_report_data(expected: bytes, got: bytes) -> bool:
    """Compare all 64 bytes; False when either has another length."""
    return len(expected) == REPORT_DATA_SIZE == len(got) and hmac.compare_digest(expected, got)
