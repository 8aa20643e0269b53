"""CSV Evidence: a report, with the HSK and CEK certificates of its chip or without.

Two orders are in use, of one size and under one tag: rats-tls writes report, certificates, their size; librats writes
report, size, certificates. A size of 0 with nothing but zeros behind the report is a report alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from rats_tls.core.endorsements import Endorsement
from rats_tls.core.errors import DecodeError
from rats_tls.formats.hygon.hsk_cek import HSK_CEK_SIZE, endorsement_from_hsk_cek
from rats_tls.formats.hygon.report import PAGE_SIZE, AttestationReport

EVIDENCE_SIZE = PAGE_SIZE + HSK_CEK_SIZE + 4


class Order(str, Enum):
    """In which order report and certificates stand."""

    REPORT = "report alone"
    RATS_TLS = "report, certificates, size"
    LIBRATS = "report, size, certificates"


@dataclass(frozen=True, slots=True, kw_only=True)
class CsvEvidence:
    """Evidence as it travels.

    Attributes:
        report: the report.
        order: how the rest stands.
        hsk_cek: HSK ‖ CEK (2916 bytes), or b"" for a report alone.
        trailing: number of zeros where certificates could stand.
    """

    report: AttestationReport
    order: Order
    hsk_cek: bytes = b""
    trailing: int = 0

    @classmethod
    def from_bytes(cls, data: bytes) -> CsvEvidence:
        """Decode Evidence: a report alone (2548 or 4096 bytes), or with certificates (7016 bytes).

        Raises:
            DecodeError: another size, or neither order.
        """
        if len(data) != EVIDENCE_SIZE:
            return cls(report=AttestationReport.from_bytes(data), order=Order.REPORT)
        report, rest = AttestationReport.from_bytes(data[:PAGE_SIZE]), data[PAGE_SIZE:]
        # The certificates begin with a version and end with reserved zeros, so at most one of both is their size.
        if int.from_bytes(rest[-4:], "little") == HSK_CEK_SIZE:
            return cls(report=report, order=Order.RATS_TLS, hsk_cek=rest[:-4])
        if int.from_bytes(rest[:4], "little") == HSK_CEK_SIZE:
            return cls(report=report, order=Order.LIBRATS, hsk_cek=rest[4:])
        if not any(rest):
            return cls(report=report, order=Order.REPORT, trailing=len(rest))
        at_end, at_front = (int.from_bytes(part, "little") for part in (rest[-4:], rest[:4]))
        problem = f"got {at_front} at {PAGE_SIZE:#x} and {at_end} at {EVIDENCE_SIZE - 4:#x}, expected {HSK_CEK_SIZE}"
        raise DecodeError(cls.__name__, "hsk_cek_len", PAGE_SIZE, problem)

    def to_bytes(self) -> bytes:
        """Give the Evidence as it was read."""
        size = HSK_CEK_SIZE.to_bytes(4, "little")
        match self.order:
            case Order.RATS_TLS:
                return self.report.data + self.hsk_cek + size
            case Order.LIBRATS:
                return self.report.data + size + self.hsk_cek
            case Order.REPORT:
                return self.report.data + bytes(self.trailing)

    @property
    def cek_chain(self) -> Endorsement | None:
        """The certificates as an Endorsement that the peer sent; None for a report alone."""
        return endorsement_from_hsk_cek(self.hsk_cek) if self.hsk_cek else None
