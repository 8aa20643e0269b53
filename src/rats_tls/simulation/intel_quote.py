"""Encoders of SGX and TDX quotes (Intel SGX ECDSA QuoteLibrary API reference A.4; TDX DCAP QuoteLibrary API A.3).

Written apart from the decoders in `rats_tls.formats.intel`, so that each is a check on the other.
"""

from __future__ import annotations

from rats_tls.simulation.bytefields import sized, word
from rats_tls.simulation.states import TdxState

QE_VENDOR_ID = bytes.fromhex("939A7233F79C4CA9940A0DB3957F0607")
ECDSA_P256 = 2
TEE_SGX, TEE_TDX = 0x00000000, 0x00000081
BODY_SGX, BODY_TD_1_0, BODY_TD_1_5 = 1, 2, 3
QE_REPORT_CERTIFICATION_DATA = 6


def report_body(
    *,
    cpu_svn: bytes,
    miscselect: int,
    attributes: int,
    xfrm: int,
    mr_enclave: bytes,
    mr_signer: bytes,
    isv_prod_id: int,
    isv_svn: int,
    report_data: bytes,
    isv_ext_prod_id: bytes = bytes(16),
    config_id: bytes = bytes(64),
    config_svn: int = 0,
    isv_family_id: bytes = bytes(16),
) -> bytes:
    """Encode an SGX report body (384 bytes)."""
    return b"".join(
        (
            sized("cpu_svn", cpu_svn, 16),
            word(miscselect, 4),
            bytes(12),
            sized("isv_ext_prod_id", isv_ext_prod_id, 16),
            word(attributes, 8),
            word(xfrm, 8),
            sized("mr_enclave", mr_enclave, 32),
            bytes(32),
            sized("mr_signer", mr_signer, 32),
            bytes(32),
            sized("config_id", config_id, 64),
            word(isv_prod_id, 2),
            word(isv_svn, 2),
            word(config_svn, 2),
            bytes(42),
            sized("isv_family_id", isv_family_id, 16),
            sized("report_data", report_data, 64),
        )
    )


def td_report_body(state: TdxState, tee_tcb_svn: bytes, tee_tcb_svn2: bytes | None, report_data: bytes) -> bytes:
    """Encode a TD report body: 584 bytes, or 648 with `tee_tcb_svn2` (body 1.5)."""
    body = b"".join(
        (
            sized("tee_tcb_svn", tee_tcb_svn, 16),
            sized("mr_seam", state.mr_seam, 48),
            sized("mr_signer_seam", state.mr_signer_seam, 48),
            word(state.seam_attributes, 8),
            word(state.td_attributes | int(state.debug), 8),
            word(state.xfam, 8),
            sized("mr_td", state.mr_td, 48),
            sized("mr_config_id", state.mr_config_id, 48),
            sized("mr_owner", state.mr_owner, 48),
            sized("mr_owner_config", state.mr_owner_config, 48),
            sized("rtmr0", state.rtmr0, 48),
            sized("rtmr1", state.rtmr1, 48),
            sized("rtmr2", state.rtmr2, 48),
            sized("rtmr3", state.rtmr3, 48),
            sized("report_data", report_data, 64),
        )
    )
    if tee_tcb_svn2 is None:
        return body
    return body + sized("tee_tcb_svn2", tee_tcb_svn2, 16) + sized("mr_service_td", state.mr_service_td, 48)


def signed_part(
    *, version: int, tee_type: int, body_type: int, body: bytes, qe_svn: int, pce_svn: int, qe_id: bytes
) -> bytes:
    """Encode what the attestation key signs: header, for version 5 the body descriptor, and body.

    Args:
        version: 3 (SGX only), 4 or 5.
        tee_type: `TEE_SGX` or `TEE_TDX`.
        body_type: `BODY_SGX`, `BODY_TD_1_0` or `BODY_TD_1_5`; written in version 5 only.
        body: the report body.
        qe_svn: ISVSVN of the quoting enclave; written in version 3 only.
        pce_svn: PCESVN; written in version 3 only.
        qe_id: id of the quoting enclave (16 bytes), the first part of the user data.
    """
    svns = word(qe_svn, 2) + word(pce_svn, 2) if version == 3 else bytes(4)
    header = b"".join(
        (
            word(version, 2),
            word(ECDSA_P256, 2),
            word(tee_type, 4),
            svns,
            QE_VENDOR_ID,
            sized("qe_id", qe_id, 16) + bytes(4),
        )
    )
    descriptor = word(body_type, 2) + word(len(body), 4) if version == 5 else b""
    return header + descriptor + body


def certification_data(data_type: int, data: bytes) -> bytes:
    """Encode certification data: type, size, data."""
    return word(data_type, 2) + word(len(data), 4) + data


def signature_data(
    *,
    version: int,
    signature: bytes,
    attestation_key: bytes,
    qe_report: bytes,
    qe_report_signature: bytes,
    qe_auth: bytes,
    certification: bytes,
) -> bytes:
    """Encode the quote's signature data behind its length: flat in version 3, nested (type 6) in 4 and 5.

    Args:
        version: quote version.
        signature: by the attestation key, r‖s (64 bytes).
        attestation_key: x‖y (64 bytes).
        qe_report: report body of the quoting enclave (384 bytes).
        qe_report_signature: by the PCK key, r‖s (64 bytes).
        qe_auth: QE authentication data.
        certification: encoded certification data.
    """
    qe = qe_report + qe_report_signature + word(len(qe_auth), 2) + qe_auth + certification
    if version > 3:
        qe = certification_data(QE_REPORT_CERTIFICATION_DATA, qe)
    data = signature + attestation_key + qe
    return word(len(data), 4) + data
