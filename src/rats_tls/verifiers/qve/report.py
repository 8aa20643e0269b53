"""The report by which Intel's enclave (QvE) vouches for an answer: a local report, for one enclave alone.

Source: Intel SGX DCAP, trusted verification library: sgx_dcap_tvl.cpp, sgx_tvl_verify_qve_report_and_identity, and
sgx_dcap_constant_val.h for the identity of QvE.
"""

from __future__ import annotations

import hashlib
import hmac

from rats_tls.core.checks import shorten
from rats_tls.core.errors import CertificateChainError, SignatureError
from rats_tls.core.interfaces import TargetEnclave
from rats_tls.formats.intel.local_report import LocalReport
from rats_tls.verifiers.qve.library import Answer

QVE_MR_SIGNER = bytes.fromhex("8c4f5775d796503e96137f77c68a829a0056ac8ded70140b081b094490c57bff")
QVE_ISV_PROD_ID = 2
QVE_MIN_ISV_SVN = 7

_MODE64 = 0x4  # the one attribute flag that is not compared; INIT must be set, and no other
_INIT = 0x1


def report_data_of(nonce: bytes, quote: bytes, date: int, answer: Answer) -> bytes:
    """Give the report_data of QvE's report (64 bytes): what it was asked, and what it answered."""
    bound = (
        nonce,
        quote,
        date.to_bytes(8, "little", signed=True),
        answer.expiration_status.to_bytes(4, "little"),
        answer.result.to_bytes(4, "little"),
        answer.supplemental,
    )
    return hashlib.sha256(b"".join(bound)).digest().ljust(64, b"\0")


def verify_qve_report(
    target: TargetEnclave, answer: Answer, *, nonce: bytes, quote: bytes, date: int, min_isv_svn: int
) -> LocalReport:
    """Verify that Intel's QvE gave this answer to this question.

    Raises:
        SignatureError: the target enclave does not take the report, or it is about something else.
        CertificateChainError: of another enclave, or of a version of it that is too old.
        DecodeError: no local report.
        UnsupportedError: the target enclave cannot be asked.
    """
    # (1) The MAC, by the enclave that the report was made for.
    target.check(answer.report)
    report = LocalReport.from_bytes(answer.report)

    # (2) What it is about.
    expected = report_data_of(nonce, quote, date, answer)
    got = report.body.report_data
    if not hmac.compare_digest(expected, got):
        raise SignatureError(
            f"QvE report report_data: got {shorten(got, 128)}, expected {shorten(expected, 128)}, the digest of nonce, "
            "quote, date and answer"
        )

    # (3) Who made it.
    body = report.body
    for name, found, wanted in (
        ("mrsigner", body.mr_signer.hex(), QVE_MR_SIGNER.hex()),
        ("isvprodid", body.isv_prod_id, QVE_ISV_PROD_ID),
        ("miscselect", f"{body.miscselect:#x}", "0x0"),
        ("attributes", f"{body.attributes & ~_MODE64:#x}", f"{_INIT:#x}"),
    ):
        if found != wanted:
            raise CertificateChainError(f"QvE report {name}: got {found}, expected {wanted}")
    if body.isv_svn < min_isv_svn:
        raise CertificateChainError(f"QvE report isvsvn: got {body.isv_svn}, expected at least {min_isv_svn}")
    return report
