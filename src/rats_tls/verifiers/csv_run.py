"""Verification of one CSV report, step by step.

Sources of the steps: Hygon CSV attestation, its sections on the report and on certificates; GB/T 32918.2. What the bits
of the policy word allow is the policy's to judge.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field, replace

from rats_tls.core import lookup_keys
from rats_tls.core.algorithms import SignatureAlgorithm
from rats_tls.core.anchors import TrustAnchor
from rats_tls.core.checks import Stage, shorten
from rats_tls.core.claims import CsvClaims
from rats_tls.core.endorsements import Endorsements
from rats_tls.core.errors import CertificateChainError, EventLogError, RatsTlsError, SignatureError, UnsupportedError
from rats_tls.core.verification import EndorsementUse, Verification
from rats_tls.formats.event_log.reading import EventLog
from rats_tls.formats.event_log.replay import CSV_REGISTERS
from rats_tls.formats.hygon.certificates import USAGE_PEK
from rats_tls.formats.hygon.evidence import CsvEvidence
from rats_tls.formats.hygon.sm2 import ALGORITHM_SM2
from rats_tls.verifiers.check_log import VERIFIES, CheckLog, Step
from rats_tls.verifiers.event_log import replay_event_log
from rats_tls.verifiers.hygon_chain import load_key, require_anchors, require_pek_usage
from rats_tls.verifiers.hygon_endorsements import Judge, cek_chain_use, choose_chain

_REPORT_SOURCE = "Hygon CSV attestation, attestation report"
_CERTIFICATES = "Hygon CSV attestation, certificates"
_REPORT = Step("csv.report", Stage.DECODE, _REPORT_SOURCE, "a report of version 1 to 3, reserved bytes zero")
_SIGNER = Step(
    "csv.signer",
    Stage.EVIDENCE_SIGNATURE,
    _REPORT_SOURCE,
    f"sig_usage {USAGE_PEK:#x} (PEK), sig_algo {ALGORITHM_SM2} (SM2 with SM3)",
)
_SIGNATURE = Step(
    "csv.report_signature",
    Stage.EVIDENCE_SIGNATURE,
    f"{_REPORT_SOURCE}; GB/T 32918.2 7.1",
    "signature by the PEK, with its user id, over the first 0xB4 bytes (version 1) or 0x400 bytes as received",
)
_EVENT_LOG = Step("event_log.registers", Stage.EVIDENCE_SIGNATURE, _REPORT_SOURCE, "a report that has registers")
_UNSIGNED = Step(
    "csv.unsigned_fields", Stage.EVIDENCE_SIGNATURE, _REPORT_SOURCE, "nothing in the report that no signature covers"
)
_PEK = Step("hygon.pek", Stage.VENDOR_CHAIN, _CERTIFICATES, f"the certificate of a PEK: usage {USAGE_PEK:#x}")
_CHAIN = Step(
    "hygon.chain",
    Stage.VENDOR_CHAIN,
    f"{_CERTIFICATES}; GB/T 32918.2 7.1",
    "the pinned HRK signed the HSK, which signed the CEK, which signed the PEK, each with its usage and user id",
)
_REVOCATION = Step("hygon.not_revoked", Stage.REVOCATION, "RFC 5280 6.3.3", "no certificate of the chain on any list")

_SERIAL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(slots=True, kw_only=True)
class CsvRun:
    """One verification.

    Attributes:
        evidence: the decoded Evidence.
        claims: its claims, completed on the way.
        event_log: what was measured into its registers, or None.
        judge: anchors, crypto wrapper, memory.
        endorsements: those at hand, of any platforms.
        log: checks and problems so far.
        anchor: the anchor to which the chain led.
        used: Endorsements on which the verdict rests.
    """

    evidence: CsvEvidence
    claims: CsvClaims
    event_log: EventLog | None
    judge: Judge
    endorsements: Endorsements
    log: CheckLog = field(default_factory=CheckLog)
    anchor: TrustAnchor | None = None
    used: list[EndorsementUse] = field(default_factory=list)

    def verify(self) -> None:
        """Take the steps. Raises Stop at the first problem that is not a missing Endorsement."""
        # (1) Length, reserved bytes, where the PEK stands and with it the version: done when the report was decoded.
        self.log.passed(_REPORT, f"version {self.evidence.report.version}")
        self._verify_signer()
        self._verify_signature()
        self.log.not_checked(
            _UNSIGNED, "chip_id, reserved1, hmac: anybody may have written them; nothing rests on them"
        )
        self._replay_event_log()
        self._verify_pek()
        self._verify_chain()
        self._note_revocation()

    def verification(self) -> Verification:
        """Give what was found. Hygon's certificates have no dates, so the verdict has none either."""
        return Verification(
            claims=self.claims,
            checks=tuple(self.log.checks),
            problems=tuple(self.log.problems),
            anchor=self.anchor,
            endorsements_used=tuple(self.used),
        )

    def _verify_signer(self) -> None:
        # (2) A PEK signed, with SM2 and SM3. In version 1 neither word is signed: they stand under the mask.
        report = self.evidence.report
        got = f"sig_usage {report.sig_usage:#x}, sig_algo {report.sig_algo}"
        if report.sig_usage != USAGE_PEK or report.sig_algo != ALGORITHM_SM2:
            raise self.log.failed(_SIGNER, SignatureError(f"report: got {got}, expected {_SIGNER.expected}"))
        self.log.passed(_SIGNER, got)

    def _verify_signature(self) -> None:
        # (3) SM2 with SM3 over the bytes as received, in version 1 with the mask on. Never remembered.
        report, judge = self.evidence.report, self.judge
        try:
            key = judge.memory.keys.get(
                (judge.crypto.name, judge.crypto.version, report.pek.key.data),
                lambda: load_key(report.pek.key, "PEK", judge.crypto),
            )
            key.verify_ecdsa(SignatureAlgorithm.SM2_SM3, report.r, report.s, report.signed)
        except UnsupportedError as error:
            raise self.log.failed(_SIGNATURE, error) from error
        except RatsTlsError as error:
            raise self.log.failed(_SIGNATURE, SignatureError(f"report: {error.message}")) from error
        self.log.passed(_SIGNATURE, f"{VERIFIES} ({key.library})")

    def _replay_event_log(self) -> None:
        # (4) A log beside the report replays to its registers. Reports of version 1 have none: a log beside one, as
        # firmware without measurements leaves it, must not say that anything was measured.
        rtmrs = self.evidence.report.rtmrs
        if self.event_log is None:
            return
        if rtmrs is None and not any(event.is_extended for event in self.event_log.events):
            self.log.not_checked(_EVENT_LOG, "the log has no events, and a report of version 1 no registers")
            return
        if rtmrs is None:
            error = EventLogError("event log: a report of version 1 has no registers that it could replay to")
            raise self.log.failed(_EVENT_LOG, error)
        registers = {f"rtmr{number}": value for number, value in enumerate(rtmrs)}
        events = replay_event_log(self.log, self.event_log, registers, CSV_REGISTERS, self.judge.crypto)
        self.claims = replace(self.claims, events=events)

    def _verify_pek(self) -> None:
        # (5) The key that signed is a PEK, and is under a root of Hygon's that is trusted at all.
        pek = self.evidence.report.pek
        try:
            require_pek_usage(pek)
            require_anchors(self.judge.anchors)
        except RatsTlsError as error:
            raise self.log.failed(_PEK, error) from error
        self.log.passed(_PEK, f"usage {pek.usage:#x}, API {'.'.join(map(str, pek.api_version))}")

    def _verify_chain(self) -> None:
        # (6) The root is the pinned one; nothing that came with the Evidence has a say in it. HSK: usage 0x13, signed
        # by the HRK. CEK: usage 0x1004, first signature by an HSK, no second one. PEK: a signature by a CEK.
        try:
            chosen = choose_chain(self.judge, self.endorsements, self.evidence.cek_chain, self.evidence.report.pek)
        except RatsTlsError as error:
            raise self.log.failed(_CHAIN, error) from error
        if chosen.error is not None:
            raise self.log.failed(_CHAIN, chosen.error)
        if chosen.chain is None or chosen.anchor is None:
            self.log.missing(_CHAIN, lookup_keys.hygon_cek_chain(self._serial()), why=chosen.why)
            return
        self.log.passed(_CHAIN, f"anchor {chosen.anchor.name} ({chosen.anchor.kind.value}), from {chosen.chain.origin}")
        self.anchor = chosen.anchor
        # (7) The machine is told by its CEK, and never by chip_id, which nothing signs.
        cek = chosen.chain.cek
        self.claims = replace(self.claims, cek_sha256=hashlib.sha256(cek.key.data).digest())
        self.used.append(cek_chain_use(chosen.chain.item, chosen.chain.origin, chosen.chain.hsk))

    def _serial(self) -> str:
        """Give the serial number that HSK and CEK are looked up by: it goes into names of files and requests."""
        text = self.evidence.report.chip_id.rstrip(b"\0").decode("ascii", "replace")
        if not _SERIAL.fullmatch(text):
            error = CertificateChainError(
                f"chip_id: got {shorten(self.evidence.report.chip_id, 128)}, expected a serial number of letters, "
                "digits, '.', '_' and '-', to look up HSK and CEK by"
            )
            raise self.log.failed(_CHAIN, error)
        return text

    def _note_revocation(self) -> None:
        # (8) Nobody can say whether a chip was revoked.
        self.log.not_checked(_REVOCATION, "Hygon publishes no revocation list")
