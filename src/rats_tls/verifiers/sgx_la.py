"""The Verifier of SGX local reports. Only the enclave that a report was made for can check it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from rats_tls.core.anchors import TrustAnchor
from rats_tls.core.checks import Stage
from rats_tls.core.claims import SgxLocalClaims
from rats_tls.core.endorsements import Endorsements
from rats_tls.core.errors import RatsTlsError, UnsupportedError
from rats_tls.core.evidence import NAMES_BY_TEE, Evidence, TeeType
from rats_tls.core.interfaces import CryptoWrapper, TargetEnclave
from rats_tls.core.verification import DecodedEvidence, Verification
from rats_tls.formats.intel.local_report import LocalReport
from rats_tls.verifiers.check_log import CheckLog, Step
from rats_tls.verifiers.local_report import MAC_SOURCE, NO_TARGET_ENCLAVE, target_anchor
from rats_tls.verifiers.occlum import own_target_enclave

_REPORT = Step("sgx_la.report", Stage.DECODE, "Intel SDM 3D, REPORT", "a local report in Intel's form")
_MAC = Step(
    "sgx_la.report_mac",
    Stage.EVIDENCE_SIGNATURE,
    MAC_SOURCE,
    "MAC over the report body by this machine's processor, for the target enclave",
)
_NO_TARGET = f"local report: {NO_TARGET_ENCLAVE}"
_TCB = Step("sgx_la.tcb", Stage.TCB, "rats-tls: docs/tees.md", "a processor that its vendor calls up to date")


class SgxLocalVerifier:
    """Verifies SGX local reports (432 bytes). The MAC is checked each time; nothing is remembered.

    Args:
        target_enclave: checks the MAC; the enclave that this process runs in when left out, where there is one.
    """

    name = "sgx_la"
    tee_type = TeeType.SGX_LA

    def __init__(self, target_enclave: TargetEnclave | None = None) -> None:
        self._target = target_enclave or own_target_enclave()

    @property
    def why_unusable(self) -> str | None:
        """Why nothing can be verified here, though it can be decoded; None where it can."""
        return None if self._target is not None else _NO_TARGET

    def decode(self, evidence: Evidence) -> DecodedEvidence:
        """Decode a local report.

        Raises:
            DecodeError: malformed.
            UnsupportedError: other Evidence.
        """
        expected = NAMES_BY_TEE[self.tee_type].media_type
        if evidence.media_type != expected:
            raise UnsupportedError(f"verifier {self.name}: got {evidence.media_type}, expected {expected}")
        report = LocalReport.from_bytes(evidence.data)
        body = report.body
        claims = SgxLocalClaims(
            cpu_svn=body.cpu_svn,
            miscselect=body.miscselect,
            isv_ext_prod_id=body.isv_ext_prod_id,
            attributes=body.attributes,
            xfrm=body.xfrm,
            mr_enclave=body.mr_enclave,
            mr_signer=body.mr_signer,
            config_id=body.config_id,
            isv_prod_id=body.isv_prod_id,
            isv_svn=body.isv_svn,
            config_svn=body.config_svn,
            isv_family_id=body.isv_family_id,
            report_data=body.report_data,
        )
        return DecodedEvidence(claims=claims, report_data=body.report_data, structure=evidence.data)

    def verify(
        self,
        decoded: DecodedEvidence,
        endorsements: Endorsements,  # noqa: ARG002  # the Protocol's argument
        *,
        anchors: Sequence[TrustAnchor],  # noqa: ARG002  # the Protocol's argument
        crypto: CryptoWrapper,  # noqa: ARG002  # the Protocol's argument
        now: datetime,  # noqa: ARG002  # the Protocol's argument
    ) -> Verification:
        """Have the target enclave check the MAC. Problems are returned, not raised.

        Raises:
            TypeError: `decoded` is not of a local report.
        """
        report = decoded.structure
        if not isinstance(decoded.claims, SgxLocalClaims) or not isinstance(report, bytes):
            raise TypeError(f"verifier {self.name}: not a decoded local report")
        log = CheckLog()
        # (1) Form: done when the report was decoded.
        log.passed(_REPORT, f"{len(report)} bytes")

        # (2) The MAC over the body as received, under the key of the target enclave.
        try:
            if self._target is None:
                raise UnsupportedError(_NO_TARGET)
            self._target.check(report)
        except RatsTlsError as error:
            log.failed(_MAC, error)
            return Verification(claims=decoded.claims, checks=tuple(log.checks), problems=tuple(log.problems))
        log.passed(_MAC, f"{self._target.name} ({self._target.kind.value})")

        # (3) There is no certificate, no list and no TCB info: the processor vouches for itself.
        log.not_checked(_TCB, "a local report comes with no vendor's word; the CPUSVN is the policy's to judge")
        return Verification(
            claims=decoded.claims,
            checks=tuple(log.checks),
            problems=tuple(log.problems),
            anchor=target_anchor(self._target),
        )
