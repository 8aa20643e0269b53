"""The Verifier of SGX quotes (versions 3, 4 and 5)."""

from __future__ import annotations

from rats_tls.core.claims import SgxClaims
from rats_tls.core.errors import TcbLevelError
from rats_tls.core.evidence import TeeType
from rats_tls.formats.intel.quote import Quote
from rats_tls.formats.intel.report import SgxReportBody
from rats_tls.formats.intel.tcb_info import EnclaveTcbLevel, TcbInfo
from rats_tls.verifiers.check_log import CheckLog
from rats_tls.verifiers.intel_chain import VerifiedPck
from rats_tls.verifiers.intel_quote import IntelQuoteVerifier
from rats_tls.verifiers.intel_run import TCB_LEVEL, TeeProfile, quote_signature
from rats_tls.verifiers.intel_standing import distance
from rats_tls.verifiers.intel_tcb import TcbOutcome, evaluate_sgx


def _claims(quote: Quote) -> SgxClaims:
    body = quote.body
    if not isinstance(body, SgxReportBody):
        raise TypeError("not an SGX quote")
    return SgxClaims(
        quote_version=quote.header.version,
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


def _evaluate(
    log: CheckLog, pck: VerifiedPck, _quote: Quote, tcb_info: TcbInfo, qe_level: EnclaveTcbLevel
) -> TcbOutcome:
    # An enclave's own report has no part in it: the platform's TCB is in the PCK certificate.
    note = distance(pck.chain.platform, tcb_info)
    try:
        outcome = evaluate_sgx(pck.chain.platform, tcb_info, qe_level)
    except TcbLevelError as error:
        raise log.failed(TCB_LEVEL, error, note=note) from error
    log.passed(TCB_LEVEL, outcome.summary, note=note)
    return outcome


class SgxEcdsaVerifier(IntelQuoteVerifier):
    """Verifies SGX quotes with ECDSA attestation keys."""

    profile = TeeProfile(
        tee_type=TeeType.SGX_ECDSA,
        quote_signature=quote_signature("sgx"),
        tcb_info_id="SGX",
        qe_identity_id="QE",
        claims=_claims,
        tcb_inputs=lambda _quote: (),
        evaluate=_evaluate,
    )
