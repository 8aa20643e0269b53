"""A simulated trust domain as its devices show it: TDREPORTs, and quotes of those alone."""

from __future__ import annotations

import hashlib
import hmac
import os

from rats_tls.core.endorsements import Endorsements
from rats_tls.formats.intel.quote import Quote
from rats_tls.formats.intel.report import TdReportBody
from rats_tls.simulation.attesters import SimulatedTdxEcdsaAttester

_REPORTDATA = slice(128, 192)
_MAC = slice(224, 256)


class SimulatedTrustDomain:
    """What `/dev/tdx_guest`, configfs-tsm and a QGS answer of one trust domain. Thread-safe.

    Args:
        attester: makes the quotes; `world.attester("simulated_tdx_ecdsa", ...)`.
    """

    def __init__(self, attester: SimulatedTdxEcdsaAttester) -> None:
        self._attester = attester
        self._key = os.urandom(32)

    @property
    def endorsements(self) -> Endorsements:
        """The Endorsements that judge its quotes."""
        return self._attester.endorsements

    @property
    def event_log(self) -> bytes:
        """The area of CCEL; empty where its state has no event log."""
        return self._attester.collect(bytes(64)).evidence.event_log

    def td_report(self, reportdata: bytes) -> bytes:
        """Make a TDREPORT (1024 bytes) that carries `reportdata` (64 bytes).

        Source: Intel TDX Module ABI, TDREPORT_STRUCT: REPORTMACSTRUCT, TEE_TCB_INFO, reserved, TDINFO.
        """
        body = self._body(reportdata)
        svn2 = body.tee_tcb_svn2 if body.tee_tcb_svn2 is not None else body.tee_tcb_svn
        tcb_info = (0x301FF).to_bytes(8, "little") + body.tee_tcb_svn + body.mr_seam + body.mr_signer_seam
        tcb_info += body.seam_attributes.to_bytes(8, "little") + svn2 + bytes(95)
        info = body.td_attributes.to_bytes(8, "little") + body.xfam.to_bytes(8, "little")
        info += body.mr_td + body.mr_config_id + body.mr_owner + body.mr_owner_config
        info += body.rtmr0 + body.rtmr1 + body.rtmr2 + body.rtmr3 + (body.mr_service_td or bytes(48))
        info = info.ljust(512, b"\0")
        head = bytes((0x81, 0, 0, 0)) + bytes(12) + hashlib.sha256(self._key).digest()[:16]
        head += hashlib.sha384(tcb_info).digest() + hashlib.sha384(info).digest() + reportdata + bytes(32)
        return head + self._mac(head) + tcb_info + bytes(17) + info

    def quote(self, td_report: bytes) -> bytes | None:
        """Make the quote of a TDREPORT; None of one that was not made for this trust domain, or was changed."""
        if len(td_report) != 1024 or not hmac.compare_digest(td_report[_MAC], self._mac(td_report[: _MAC.start])):
            return None
        reportdata = td_report[_REPORTDATA]
        if td_report != self.td_report(reportdata):
            return None
        return self._attester.collect(reportdata).evidence.data

    def _body(self, reportdata: bytes) -> TdReportBody:
        body = Quote.from_bytes(self._attester.collect(reportdata).evidence.data).body
        if not isinstance(body, TdReportBody):
            raise TypeError("the quote of a trust domain has the body of an enclave")
        return body

    def _mac(self, data: bytes) -> bytes:
        return hmac.new(self._key, data, hashlib.sha256).digest()
