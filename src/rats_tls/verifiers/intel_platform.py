"""Verification of a quote, second half: what Intel's documents and lists say of the platform.

Source of the steps: Intel SGX/TDX DCAP Quote Verification Library (QVL), by the step numbers of its comments.
Where this is stricter, the step says so.
"""

from __future__ import annotations

from rats_tls.core import lookup_keys
from rats_tls.core.checks import Check, Stage
from rats_tls.core.claims import IntelTcb, TcbStanding
from rats_tls.core.endorsements import MissingEndorsement
from rats_tls.core.errors import CertificateChainError, RatsTlsError, RevokedError, RolledBackError
from rats_tls.formats.intel.qe_identity import QeIdentity
from rats_tls.formats.intel.report import TdReportBody
from rats_tls.formats.intel.tcb_info import EnclaveTcbLevel, TcbInfo
from rats_tls.formats.x509 import RevocationList
from rats_tls.verifiers.check_log import CheckLog, Step, Stop
from rats_tls.verifiers.intel_chain import VerifiedPck
from rats_tls.verifiers.intel_collateral import Collateral, Copies, Copy, D, Selector, T
from rats_tls.verifiers.intel_run import TCB_LEVEL, Run
from rats_tls.verifiers.intel_standing import enclave_standing, platform_standing
from rats_tls.verifiers.intel_tcb import TcbOutcome, match_qe_identity

_SIGNED = "signed by a TCB signer under the anchor, over the exact bytes, for this platform"
_TCB_INFO = Step("intel.tcb_info_signature", Stage.VENDOR_CHAIN, "Intel QVL 4.1.2.2", f"TCB info {_SIGNED}")
_QE_IDENTITY = Step("intel.qe_identity_signature", Stage.VENDOR_CHAIN, "Intel QVL 4.1.2.2", f"QE identity {_SIGNED}")
_TCB_INFO_DATES = Step("intel.tcb_info_dates", Stage.TCB, "Intel QVL 4.1.2.2.5", "TCB info in date")
_QE_IDENTITY_DATES = Step("intel.qe_identity_dates", Stage.TCB, "Intel QVL 4.1.2.2.5", "QE identity in date")
_QE = Step("intel.qe_identity", Stage.VENDOR_CHAIN, "Intel QVL 4.1.2.4.15", "the quoting enclave of the QE identity")
_QE_LEVEL = Step("intel.qe_tcb_level", Stage.TCB, "Intel QVL 4.1.2.9.9", "a TCB level that the quoting enclave reaches")
_LIST = "issued by the certificate's issuer, and in date"
_ROOT_CRL = Step("intel.root_crl", Stage.REVOCATION, "Intel QVL 4.1.2.3", f"revocation list of the root CA, {_LIST}")
_PCK_CRL = Step("intel.pck_crl", Stage.REVOCATION, "Intel QVL 4.1.2.3", f"revocation list of the PCK CA, {_LIST}")
_CA_NOT_REVOKED = Step(
    "intel.pck_ca_not_revoked", Stage.REVOCATION, "Intel QVL 4.1.2.4.7", "PCK CA certificate on no list of the root CA"
)
_PCK_NOT_REVOKED = Step(
    "intel.pck_not_revoked", Stage.REVOCATION, "Intel QVL 4.1.2.4.7", "PCK certificate on no list of the PCK CA"
)


def verify_platform(run: Run, pck: VerifiedPck) -> None:
    """Verify documents, quoting enclave, revocation and TCB. Raises Stop."""
    tee, platform = run.tee, pck.chain.platform
    selector = Selector(pck=pck, keys=run.keys, trust=run.trust, memory=run.memory.documents)
    collateral = run.memory.verified.get(
        ("collateral", run.trust, pck.chain.ders, run.pool.digest),
        lambda: selector.select(run.pool, tcb_info_id=tee.tcb_info_id, qe_identity_id=tee.qe_identity_id),
    )

    # (7) TCB info and QE identity: signing chain, and signature over the exact bytes. QVL 4.1.2.2; made for this TEE,
    # FMSPC and PCE id: 4.1.2.4.9, 4.1.2.4.10, 4.1.2.4.14.
    tcb_info, tcb_info_stale = _document(
        run,
        _TCB_INFO,
        collateral.tcb_info,
        lookup_keys.tcb_info(tee.tcb_info_id, platform.fmspc, platform.pce_id),
    )
    identity, identity_stale = _document(
        run,
        _QE_IDENTITY,
        collateral.qe_identity,
        lookup_keys.qe_identity(tee.qe_identity_id),
    )

    # (8) The quoting enclave is the one of the identity. QVL 4.1.2.4.15.
    qe_level, below = (None, None) if identity is None else _match_qe(run, identity)
    if below is not None and identity_stale is None:
        run.log.failed(_QE_LEVEL, below)  # a revoked certificate is reported before it

    # (9) Revocation. QVL 4.1.2.3, 4.1.2.4.6, 4.1.2.4.7. What failed at a later stage was noted, and ends here.
    _verify_revocation(run, pck, collateral)
    if run.log.failed_for_good:
        raise Stop

    # (10) Dates of the documents. QVL 4.1.2.2.5 looks at nextUpdate only; here issueDate counts too.
    if tcb_info is not None:
        _require_in_date(run, _TCB_INFO_DATES, tcb_info, tcb_info_stale)
    if identity is not None:
        _require_in_date(run, _QE_IDENTITY_DATES, identity, identity_stale)
    if below is not None:
        raise run.log.failed(_QE_LEVEL, below)  # that of an identity out of date, if that is let pass

    # (11) TCB level. QVL 4.1.2.4.17.
    if tcb_info is None or identity is None or qe_level is None:
        run.log.not_checked(TCB_LEVEL, "TCB info or QE identity is not at hand")
        return
    _evaluate_tcb(run, pck, tcb_info, identity, qe_level)


def _document(
    run: Run, step: Step, copies: Copies[T], item: MissingEndorsement
) -> tuple[Copy[T] | None, RatsTlsError | None]:
    """Choose a document; give it with what is wrong with its dates."""
    copy, error = copies.choose(run.now, item.kind.value)
    if copy is not None:
        run.log.passed(step, copy.use.description)
        if error is None:
            run.copies.append(copy)
        return copy, error
    if isinstance(error, RevokedError):
        run.log.failed(step, error, stage=Stage.REVOCATION)  # what fails before revocation is reported before it
    elif error is not None:
        raise run.log.failed(step, error)
    else:
        run.log.missing(step, item, why=copies.why_none(run.now, item.kind.value))
    return None, None


def _match_qe(run: Run, identity: Copy[QeIdentity]) -> tuple[EnclaveTcbLevel | None, RatsTlsError | None]:
    """Give the level of the quoting enclave, or that it is below every level. Raises Stop: it is another enclave."""
    report = run.evidence.qe_report
    key = ("qe", run.trust, identity.item.data, run.evidence.quote.signature_data.qe_report)
    try:
        level = run.memory.verified.get(key, lambda: match_qe_identity(report, identity.value))
    except CertificateChainError as error:
        raise run.log.failed(_QE, error) from error
    except RatsTlsError as error:
        return None, error
    run.log.passed(_QE, f"isvsvn {report.isv_svn}, {level.status.value}")
    return level, None


def _verify_revocation(run: Run, pck: VerifiedPck, collateral: Collateral) -> None:
    wanted = (
        (
            _ROOT_CRL,
            collateral.root_crl,
            lookup_keys.root_crl(pck.root.subject.common_name),
        ),
        (
            _PCK_CRL,
            collateral.pck_crl,
            lookup_keys.pck_crl(pck.ca),
        ),
    )
    current = [_verify_list(run, step, copies, item) for step, copies, item in wanted]
    # A serial on any authentic list counts, also on one that is out of date: once revoked, always refused.
    for step, unlisted, revoked, certificate, role in (
        (
            _CA_NOT_REVOKED,
            current[0],
            collateral.revoked_by_root,
            pck.intermediate,
            "PCK CA certificate",
        ),
        (_PCK_NOT_REVOKED, current[1], collateral.revoked_by_ca, pck.chain.leaf, "PCK certificate"),
    ):
        if certificate.serial in revoked:
            error = RevokedError(
                f"{role} {certificate.serial:x} is on the revocation list of {certificate.issuer.common_name}"
            )
            raise run.log.failed(step, error)
        if unlisted is None:
            run.log.passed(step, f"serial {certificate.serial:x}")
        else:
            run.log.not_checked(step, f"{unlisted} of {certificate.issuer.common_name} that is in date")


def _verify_list(run: Run, step: Step, copies: Copies[RevocationList], item: MissingEndorsement) -> str | None:
    """Note whether a list is at hand and in date; give why not, for people, or None."""
    copy, error = copies.choose(run.now, item.kind.value)
    if copy is None and error is not None:
        rolled_back = isinstance(error, RolledBackError)
        stop = run.log.failed(step, error, waived_by_revocation=rolled_back)
        if not rolled_back:
            raise stop
    elif copy is None:
        why = copies.why_none(run.now, item.kind.value)
        run.log.missing(step, item, why=why, waived_by_revocation=True)
    elif error is not None:
        run.log.failed(step, error, waived_by_revocation=True, expired=copy.expired(run.now))
        return "on no list at hand; no revocation list"
    else:
        run.log.passed(step, run.now_text, expected=f"{step.expected}: {copy.validity}")
        run.copies.append(copy)
        return None
    return "no revocation list"


def _require_in_date(run: Run, step: Step, copy: Copy[D], stale: RatsTlsError | None) -> None:
    """Note whether a document is in date. Raises Stop where it is not, and no grace can help."""
    if stale is None:
        run.log.passed(step, run.now_text, expected=copy.validity)
        return
    expired = copy.expired(run.now)
    stop = run.log.failed(step, stale, expired=expired)
    if expired is None:
        raise stop
    run.expired.append(copy)


def _evaluate_tcb(
    run: Run, pck: VerifiedPck, tcb_info: Copy[TcbInfo], identity: Copy[QeIdentity], qe_level: EnclaveTcbLevel
) -> None:
    quote, log = run.evidence.quote, CheckLog()

    def evaluate() -> tuple[IntelTcb, tuple[Check, ...]]:
        outcome = run.tee.evaluate(log, pck, quote, tcb_info.value, qe_level)
        standings = _standings(run, pck, outcome, tcb_info.value, identity.value)
        return _claim(outcome, standings, tcb_info.value, identity.value), tuple(log.checks)

    key = (
        "tcb",
        run.trust,
        pck.chain.ders,
        tcb_info.item.data,
        identity.item.data,
        quote.signature_data.qe_report,
        run.tee.tcb_inputs(quote),
    )
    try:
        run.tcb, checks = run.memory.verified.get(key, evaluate)
    except Stop:
        run.log.checks.extend(log.checks)
        run.log.problems.extend(log.problems)
        raise
    run.log.checks.extend(checks)


def _standings(
    run: Run, pck: VerifiedPck, outcome: TcbOutcome, tcb_info: TcbInfo, identity: QeIdentity
) -> tuple[TcbStanding, ...]:
    body = run.evidence.quote.body
    svn = body.tee_tcb_svn if isinstance(body, TdReportBody) else None
    found = [platform_standing(pck.chain.platform, tcb_info, outcome.level, svn)]
    module = tcb_info.module_identity(svn[1]) if svn is not None and outcome.module_level is not None else None
    if svn is not None and module is not None and outcome.module_level is not None:
        found.append(enclave_standing(f"TDX module {module.id}", svn[0], outcome.module_level, module.tcb_levels))
    qe_svn = run.evidence.qe_report.isv_svn
    found.append(enclave_standing(f"quoting enclave {identity.id}", qe_svn, outcome.qe_level, identity.tcb_levels))
    return tuple(found)


def _claim(
    outcome: TcbOutcome, standings: tuple[TcbStanding, ...], tcb_info: TcbInfo, identity: QeIdentity
) -> IntelTcb:
    return IntelTcb(
        status=outcome.status,
        advisories=outcome.advisories,
        platform_status=outcome.level.status,
        qe_status=outcome.qe_level.status,
        module_status=outcome.module_level.status if outcome.module_level is not None else None,
        tcb_date=outcome.level.tcb_date,
        tcb_evaluation_data_number=min(tcb_info.tcb_evaluation_data_number, identity.tcb_evaluation_data_number),
        issue_date=min(tcb_info.issue_date, identity.issue_date),
        standings=standings,
    )
