"""Verification of a quote, second half: what Intel's documents and lists say of the platform.

Source of the steps: Intel SGX/TDX DCAP Quote Verification Library (QVL), by the step numbers of its comments.
Where this is stricter, the step says so.
"""

from __future__ import annotations

from rats_tls.core.checks import Check, Stage
from rats_tls.core.claims import IntelTcb
from rats_tls.core.endorsements import EndorsementKind, MissingEndorsement
from rats_tls.core.errors import CertificateChainError, RatsTlsError, RevokedError
from rats_tls.formats.intel.qe_identity import QeIdentity
from rats_tls.formats.intel.tcb_info import EnclaveTcbLevel, TcbInfo
from rats_tls.formats.x509 import RevocationList
from rats_tls.verifiers.intel_chain import VerifiedPck
from rats_tls.verifiers.intel_collateral import Collateral, Copies, Copy, Selector, T
from rats_tls.verifiers.intel_log import CheckLog, Stop
from rats_tls.verifiers.intel_run import Run
from rats_tls.verifiers.intel_tcb import TcbOutcome, match_qe_identity


def verify_platform(run: Run, pck: VerifiedPck) -> None:
    """Verify documents, quoting enclave, revocation and TCB. Raises Stop."""
    tee, platform = run.tee, pck.chain.platform
    selector = Selector(pck=pck, crypto=run.crypto, trust=run.trust, memory=run.memory.documents)
    collateral = run.memory.verified.get(
        ("collateral", run.trust, pck.chain.ders, run.pool.digest),
        lambda: selector.select(run.pool, tcb_info_id=tee.tcb_info_id, qe_identity_id=tee.qe_identity_id),
    )

    # (7) TCB info and QE identity: signing chain, and signature over the exact bytes. QVL 4.1.2.2; made for this TEE,
    # FMSPC and PCE id: 4.1.2.4.9, 4.1.2.4.10, 4.1.2.4.14.
    tcb_info, tcb_info_stale = _document(
        run,
        "tcb_info",
        collateral.tcb_info,
        MissingEndorsement(
            kind=EndorsementKind.INTEL_TCB_INFO,
            key=(("id", tee.tcb_info_id), ("fmspc", platform.fmspc.hex()), ("pceid", platform.pce_id.hex())),
        ),
    )
    identity, identity_stale = _document(
        run,
        "qe_identity",
        collateral.qe_identity,
        MissingEndorsement(kind=EndorsementKind.INTEL_QE_IDENTITY, key=(("id", tee.qe_identity_id),)),
    )

    # (8) The quoting enclave is the one of the identity. QVL 4.1.2.4.15.
    qe_level = None if identity is None else _match_qe(run, identity)

    # (9) Revocation. QVL 4.1.2.3, 4.1.2.4.6, 4.1.2.4.7.
    _verify_revocation(run, pck, collateral)

    # (10) Dates of the documents. QVL 4.1.2.2.5 looks at nextUpdate only; here issueDate counts too.
    if tcb_info is not None:
        _require_in_date(run, "tcb_info", tcb_info, tcb_info_stale)
    if identity is not None:
        _require_in_date(run, "qe_identity", identity, identity_stale)

    # (11) TCB level. QVL 4.1.2.4.17.
    if tcb_info is None or identity is None or qe_level is None:
        run.log.not_checked(
            "intel.tcb_level", Stage.TCB, "Intel QVL 4.1.2.4.17", "TCB info or QE identity is not at hand"
        )
        return
    _evaluate_tcb(run, pck, tcb_info, identity, qe_level)


def _document(
    run: Run, name: str, copies: Copies[T], item: MissingEndorsement
) -> tuple[Copy[T] | None, RatsTlsError | None]:
    """Choose a document; give it with what is wrong with its dates."""
    check_id, source = f"intel.{name}_signature", "Intel QVL 4.1.2.2"
    copy, error = copies.choose(run.now, item.kind.value)
    if copy is not None:
        run.log.passed(check_id, Stage.VENDOR_CHAIN, source, got=copy.use.description)
        run.copies.append(copy)
        return copy, error
    if error is not None:
        stage = Stage.REVOCATION if isinstance(error, RevokedError) else Stage.VENDOR_CHAIN
        raise run.log.failed(check_id, stage, source, error)
    run.log.missing(check_id, Stage.TCB, source, item, why=copies.why_none(run.now, item.kind.value))
    return None, None


def _match_qe(run: Run, identity: Copy[QeIdentity]) -> EnclaveTcbLevel:
    report = run.evidence.qe_report
    key = ("qe", run.trust, identity.item.data, run.evidence.quote.signature_data.qe_report)
    step = ("intel.qe_identity", Stage.VENDOR_CHAIN, "Intel QVL 4.1.2.4.15")
    try:
        level = run.memory.verified.get(key, lambda: match_qe_identity(report, identity.value))
    except CertificateChainError as error:
        raise run.log.failed(*step, error) from error
    except RatsTlsError as error:
        raise run.log.failed("intel.qe_tcb_level", Stage.TCB, "Intel QVL 4.1.2.9.9", error) from error
    run.log.passed(*step, got=f"isvsvn {report.isv_svn}, {level.status.value}")
    return level


def _verify_revocation(run: Run, pck: VerifiedPck, collateral: Collateral) -> None:
    wanted = (
        (
            "intel.root_crl",
            collateral.root_crl,
            MissingEndorsement(kind=EndorsementKind.INTEL_ROOT_CRL, key=(("issuer", pck.root.subject.common_name),)),
        ),
        (
            "intel.pck_crl",
            collateral.pck_crl,
            MissingEndorsement(kind=EndorsementKind.INTEL_PCK_CRL, key=(("ca", pck.ca),)),
        ),
    )
    for check_id, copies, item in wanted:
        _verify_list(run, check_id, copies, item)
    # A serial on any authentic list counts, also on one that is out of date: once revoked, always refused.
    for check_id, copies, revoked, certificate, role in (
        (
            "intel.pck_ca_not_revoked",
            collateral.root_crl,
            collateral.revoked_by_root,
            pck.intermediate,
            "PCK CA certificate",
        ),
        ("intel.pck_not_revoked", collateral.pck_crl, collateral.revoked_by_ca, pck.chain.leaf, "PCK certificate"),
    ):
        if not copies.good:
            continue
        step = (check_id, Stage.REVOCATION, "Intel QVL 4.1.2.4.7")
        if certificate.serial in revoked:
            error = RevokedError(
                f"{role} {certificate.serial:x} is on the revocation list of {certificate.issuer.common_name}"
            )
            raise run.log.failed(*step, error)
        run.log.passed(*step, got=f"serial {certificate.serial:x}")


def _verify_list(run: Run, check_id: str, copies: Copies[RevocationList], item: MissingEndorsement) -> None:
    step = (check_id, Stage.REVOCATION, "Intel QVL 4.1.2.3")
    copy, error = copies.choose(run.now, item.kind.value)
    if copy is None and error is not None:
        raise run.log.failed(*step, error)
    if copy is None:
        why = copies.why_none(run.now, item.kind.value)
        run.log.missing(*step, item, why=why, waived_by_revocation=True)
    elif error is not None:
        run.log.failed(*step, error, waived_by_revocation=True)
    else:
        run.log.passed(*step, expected=copy.validity, got=run.now_text)
        run.copies.append(copy)


def _require_in_date(run: Run, name: str, copy: Copy[T], stale: RatsTlsError | None) -> None:
    step = (f"intel.{name}_dates", Stage.TCB, "Intel QVL 4.1.2.2.5")
    if stale is not None:
        raise run.log.failed(*step, stale)
    run.log.passed(*step, expected=copy.validity, got=run.now_text)


def _evaluate_tcb(
    run: Run, pck: VerifiedPck, tcb_info: Copy[TcbInfo], identity: Copy[QeIdentity], qe_level: EnclaveTcbLevel
) -> None:
    quote, log = run.evidence.quote, CheckLog()

    def evaluate() -> tuple[IntelTcb, tuple[Check, ...]]:
        outcome = run.tee.evaluate(log, pck, quote, tcb_info.value, qe_level)
        return _claim(outcome, tcb_info.value, identity.value), tuple(log.checks)

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


def _claim(outcome: TcbOutcome, tcb_info: TcbInfo, identity: QeIdentity) -> IntelTcb:
    return IntelTcb(
        status=outcome.status,
        advisories=outcome.advisories,
        platform_status=outcome.level.status,
        qe_status=outcome.qe_level.status,
        module_status=outcome.module_level.status if outcome.module_level is not None else None,
        tcb_date=outcome.level.tcb_date,
        tcb_evaluation_data_number=min(tcb_info.tcb_evaluation_data_number, identity.tcb_evaluation_data_number),
        issue_date=min(tcb_info.issue_date, identity.issue_date),
    )
