"""What a report and a VEK certificate have to agree in (AMD SEV-SNP ABI, ATTESTATION_REPORT; VCEK specification)."""

from __future__ import annotations

from dataclasses import replace

from rats_tls.core.checks import shorten
from rats_tls.core.claims import SnpClaims, SnpTcb
from rats_tls.core.errors import CertificateChainError, RatsTlsError
from rats_tls.formats.amd.report import SIGNING_KEY_VCEK, SIGNING_KEY_VLEK, AttestationReport
from rats_tls.formats.amd.tcb import decode_tcb_version, has_fmc, tcb_text
from rats_tls.formats.amd.vek import SHORT_HWID, VCEK_NAME, VLEK_NAME, VekCertificate
from rats_tls.verifiers.amd_chain import signer_name

_TCB_OFFSETS = {"current_tcb": 0x38, "reported_tcb": 0x180, "committed_tcb": 0x1E0, "launch_tcb": 0x1F0}
VEK_NAMES = {SIGNING_KEY_VCEK: VCEK_NAME, SIGNING_KEY_VLEK: VLEK_NAME}
"""Common name of the VEK certificate by signing_key."""


def claims_of(report: AttestationReport) -> SnpClaims:
    """Give what a report says.

    Raises:
        DecodeError: a TCB value that does not have the layout of the product that the report names.
    """
    product = report.product
    return SnpClaims(
        report_version=report.version,
        guest_svn=report.guest_svn,
        policy=report.policy,
        family_id=report.family_id,
        image_id=report.image_id,
        vmpl=report.vmpl,
        platform_info=report.platform_info,
        key_info=report.key_info,
        author_key_enabled=report.author_key_enabled,
        mask_chip_key=report.mask_chip_key,
        signing_key=report.signing_key,
        report_data=report.report_data,
        measurement=report.measurement,
        host_data=report.host_data,
        id_key_digest=report.id_key_digest,
        author_key_digest=report.author_key_digest,
        report_id=report.report_id,
        report_id_ma=report.report_id_ma,
        chip_id=report.chip_id,
        current_tcb_raw=report.current_tcb,
        reported_tcb_raw=report.reported_tcb,
        committed_tcb_raw=report.committed_tcb,
        launch_tcb_raw=report.launch_tcb,
        current_version=report.current_version,
        committed_version=report.committed_version,
        launch_mit_vector=report.launch_mit_vector,
        current_mit_vector=report.current_mit_vector,
        cpuid_family=report.cpuid[0] if report.cpuid is not None else None,
        cpuid_model=report.cpuid[1] if report.cpuid is not None else None,
        cpuid_stepping=report.cpuid[2] if report.cpuid is not None else None,
        product=product,
        current_tcb=_tcb("current_tcb", report.current_tcb, product),
        reported_tcb=_tcb("reported_tcb", report.reported_tcb, product),
        committed_tcb=_tcb("committed_tcb", report.committed_tcb, product),
        launch_tcb=_tcb("launch_tcb", report.launch_tcb, product),
    )


def with_product(claims: SnpClaims, report: AttestationReport, product: str) -> SnpClaims:
    """Give the claims with the product and the TCB values, whose layout depends on it.

    Raises:
        DecodeError: a TCB value that does not have that layout.
    """
    return replace(
        claims,
        product=product,
        current_tcb=_tcb("current_tcb", report.current_tcb, product),
        reported_tcb=_tcb("reported_tcb", report.reported_tcb, product),
        committed_tcb=_tcb("committed_tcb", report.committed_tcb, product),
        launch_tcb=_tcb("launch_tcb", report.launch_tcb, product),
    )


def _tcb(field: str, data: bytes, product: str | None) -> SnpTcb | None:
    return None if product is None else decode_tcb_version(data, product, field, offset=_TCB_OFFSETS[field])


def require_name(report: AttestationReport, vek: VekCertificate, product: str) -> str:
    """Require that a VEK certificate is of the type that signed the report, from a signer of the product.

    Returns:
        Its common name.

    Raises:
        CertificateChainError: another type, or another product's signer.
    """
    name, expected = vek.certificate.subject.common_name, VEK_NAMES.get(report.signing_key)
    if expected is None or name != expected:
        raise CertificateChainError(
            f"VEK certificate common name: got {name!r}, expected {expected!r} for signing_key {report.signing_key}"
        )
    issuer = vek.certificate.issuer.common_name
    if issuer != signer_name(expected, product):
        raise CertificateChainError(
            f"VEK certificate issuer: got {issuer!r}, expected {signer_name(expected, product)!r}"
        )
    return name


def require_identity(report: AttestationReport, vek: VekCertificate, product: str) -> str:
    """Require that a VEK certificate is of the report's chip, or a VLEK.

    Returns:
        Who it is of, for people.

    Raises:
        CertificateChainError: hwID and CSP_ID are not as its type demands, or hwID is not the report's chip_id.
    """
    extensions = vek.extensions
    if vek.certificate.subject.common_name == VLEK_NAME:
        if extensions.csp_id is None or extensions.hwid is not None:
            raise CertificateChainError("VLEK certificate: expected CSP_ID and no hwID")
        return f"CSP_ID {extensions.csp_id}"
    if extensions.hwid is None or extensions.csp_id is not None:
        raise CertificateChainError("VCEK certificate: expected hwID and no CSP_ID")
    hwid = extensions.hwid
    if has_fmc(product) and len(hwid) == SHORT_HWID:
        # From Turin on a chip is named by 8 bytes; the report has zeros behind them, the certificate may.
        hwid = hwid.ljust(len(report.chip_id), b"\0")
    if has_fmc(product) and any(hwid[SHORT_HWID:]):
        raise CertificateChainError(f"VCEK hwID: got {hwid.hex()}, expected 8 bytes and zeros for {product}")
    if hwid != report.chip_id:
        raise CertificateChainError(
            f"VCEK hwID: got {shorten(hwid, 128)}, expected the report's chip_id {shorten(report.chip_id, 128)}"
        )
    return f"hwID {shorten(report.chip_id)}"


def require_tcb(report: AttestationReport, vek: VekCertificate, product: str) -> str:
    """Require that a VEK was derived for the reported TCB, component by component.

    Returns:
        The TCB, for people.

    Raises:
        CertificateChainError: another TCB.
        DecodeError: reported_tcb does not have the layout of `product`.
    """
    reported = decode_tcb_version(report.reported_tcb, product, "reported_tcb", offset=_TCB_OFFSETS["reported_tcb"])
    if vek.extensions.tcb != reported:
        raise CertificateChainError(
            f"VEK TCB: got {tcb_text(vek.extensions.tcb)}, expected the report's reported_tcb {tcb_text(reported)}"
        )
    if any(vek.extensions.reserved_spls):
        raise CertificateChainError(f"VEK spl4 to spl7: got {vek.extensions.reserved_spls}, expected zeros")
    return tcb_text(reported)


def mismatch(report: AttestationReport, vek: VekCertificate, product: str) -> tuple[RatsTlsError, ...]:
    """Say in what a VEK certificate does not fit a report; nothing when it fits."""
    errors: list[RatsTlsError] = []
    for require in (require_name, require_identity, require_tcb):
        try:
            require(report, vek, product)
        except RatsTlsError as error:
            errors.append(error)
    return tuple(errors)
