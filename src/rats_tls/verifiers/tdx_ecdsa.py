"""The Verifier of TDX quotes (version 4; version 5 with TD report bodies 1.0 and 1.5)."""

from __future__ import annotations

from rats_tls.core.checks import Stage
from rats_tls.core.claims import TdxClaims
from rats_tls.core.errors import RatsTlsError, TcbLevelError
from rats_tls.core.evidence import TeeType
from rats_tls.formats.intel.quote import Quote
from rats_tls.formats.intel.report import TdReportBody
from rats_tls.formats.intel.tcb_info import EnclaveTcbLevel, TcbInfo
from rats_tls.verifiers.check_log import CheckLog, Step
from rats_tls.verifiers.intel_chain import VerifiedPck
from rats_tls.verifiers.intel_quote import IntelQuoteVerifier
from rats_tls.verifiers.intel_run import TCB_LEVEL, TeeProfile, quote_signature
from rats_tls.verifiers.intel_standing import distance
from rats_tls.verifiers.intel_tcb import TcbOutcome, evaluate_tdx, match_module

_MODULE = Step("tdx.module", Stage.TCB, "Intel QVL 4.1.2.4.11", "a TDX module signed by Intel, without attributes")


def _td_report(quote: Quote) -> TdReportBody:
    if not isinstance(quote.body, TdReportBody):
        raise TypeError("not a TDX quote")
    return quote.body


def _claims(quote: Quote) -> TdxClaims:
    body = _td_report(quote)
    return TdxClaims(
        quote_version=quote.header.version,
        body_version=body.version,
        tee_tcb_svn=body.tee_tcb_svn,
        mr_seam=body.mr_seam,
        mr_signer_seam=body.mr_signer_seam,
        seam_attributes=body.seam_attributes,
        td_attributes=body.td_attributes,
        xfam=body.xfam,
        mr_td=body.mr_td,
        mr_config_id=body.mr_config_id,
        mr_owner=body.mr_owner,
        mr_owner_config=body.mr_owner_config,
        rtmr0=body.rtmr0,
        rtmr1=body.rtmr1,
        rtmr2=body.rtmr2,
        rtmr3=body.rtmr3,
        report_data=body.report_data,
        tee_tcb_svn2=body.tee_tcb_svn2,
        mr_service_td=body.mr_service_td,
    )


def _registers(quote: Quote) -> dict[str, bytes]:
    body = _td_report(quote)
    return {"rtmr0": body.rtmr0, "rtmr1": body.rtmr1, "rtmr2": body.rtmr2, "rtmr3": body.rtmr3}


def _tcb_inputs(quote: Quote) -> tuple[object, ...]:
    body = _td_report(quote)
    return body.tee_tcb_svn, body.tee_tcb_svn2, body.mr_signer_seam, body.seam_attributes


def _evaluate(
    log: CheckLog, pck: VerifiedPck, quote: Quote, tcb_info: TcbInfo, qe_level: EnclaveTcbLevel
) -> TcbOutcome:
    body = _td_report(quote)

    # The TDX module is Intel's. QVL 4.1.2.4.11.
    try:
        module = match_module(body, tcb_info)
    except RatsTlsError as error:
        raise log.failed(_MODULE, error) from error
    log.passed(_MODULE, module.id if module is not None else "major version 0")

    note = distance(pck.chain.platform, tcb_info, body.tee_tcb_svn)
    try:
        outcome = evaluate_tdx(pck.chain.platform, body, tcb_info, module, qe_level)
    except TcbLevelError as error:
        raise log.failed(TCB_LEVEL, error, note=note) from error
    log.passed(TCB_LEVEL, outcome.summary, note=note)
    return outcome


class TdxEcdsaVerifier(IntelQuoteVerifier):
    """Verifies TDX quotes with ECDSA attestation keys."""

    profile = TeeProfile(
        tee_type=TeeType.TDX_ECDSA,
        quote_signature=quote_signature("tdx"),
        tcb_info_id="TDX",
        qe_identity_id="TD_QE",
        claims=_claims,
        tcb_inputs=_tcb_inputs,
        evaluate=_evaluate,
        registers=_registers,
    )
