"""A simulated quoting enclave: signs report bodies with an attestation key that the platform's PCK key certified."""

from __future__ import annotations

from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric import ec

from rats_tls.core.claims import TcbStatus
from rats_tls.simulation import intel_quote, pki
from rats_tls.simulation.intel_levels import MODULE_LEVELS, isv_svn_for, tdx_microcode_svn_for
from rats_tls.simulation.intel_pck import cpu_svn
from rats_tls.simulation.states import SgxState, TdxState

_SGX_DEBUG = 1 << 1


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotingEnclave:
    """A quoting enclave whose attestation key is certified.

    Attributes:
        attestation_key: P-256.
        report: its own report body (384 bytes), which binds the attestation key.
        report_signature: r‖s over it by the PCK key (64 bytes).
        auth: QE authentication data.
        certification: encoded certification data, which leads to the PCK key.
        isv_svn: its ISVSVN.
        pce_svn: PCESVN of the platform.
        id: its id (16 bytes).
    """

    attestation_key: ec.EllipticCurvePrivateKey
    report: bytes
    report_signature: bytes
    auth: bytes
    certification: bytes
    isv_svn: int
    pce_svn: int
    id: bytes

    def sgx_quote(self, state: SgxState, report_data: bytes) -> bytes:
        """Make the quote of an enclave in `state` that carries `report_data` (64 bytes)."""
        body = intel_quote.report_body(
            cpu_svn=cpu_svn(state) if state.cpu_svn is None else state.cpu_svn,
            miscselect=state.miscselect,
            attributes=state.attributes | (_SGX_DEBUG if state.debug else 0),
            xfrm=state.xfrm,
            mr_enclave=state.mr_enclave,
            mr_signer=state.mr_signer,
            isv_prod_id=state.isv_prod_id,
            isv_svn=state.isv_svn,
            report_data=report_data,
            isv_ext_prod_id=state.isv_ext_prod_id,
            config_id=state.config_id,
            config_svn=state.config_svn,
            isv_family_id=state.isv_family_id,
        )
        form = (state.quote_version, intel_quote.TEE_SGX, intel_quote.BODY_SGX)
        return self._sign(form, body) + state.trailing

    def tdx_quote(self, state: TdxState, report_data: bytes) -> bytes:
        """Make the quote of a trust domain in `state` that carries `report_data` (64 bytes).

        Raises:
            ValueError: body 1.5 in quote version 4.
        """
        version, body_version = (5, "1.5") if state.relaunch_advised else (state.quote_version, state.body_version)
        if version == 4 and body_version != "1.0":
            raise ValueError(f"body_version: got {body_version}, quote version 4 carries 1.0 only")
        with_module_now = body_version == "1.5"
        started, now = module_svns(state)
        body = intel_quote.td_report_body(state, started, now if with_module_now else None, report_data)
        body_type = intel_quote.BODY_TD_1_5 if with_module_now else intel_quote.BODY_TD_1_0
        return self._sign((version, intel_quote.TEE_TDX, body_type), body) + state.trailing

    def _sign(self, form: tuple[int, int, int], body: bytes) -> bytes:
        """Sign `body` in a quote of `form`: quote version, TEE type, body type."""
        version, tee_type, body_type = form
        signed = intel_quote.signed_part(
            version=version,
            tee_type=tee_type,
            body_type=body_type,
            body=body,
            qe_svn=self.isv_svn,
            pce_svn=self.pce_svn,
            qe_id=self.id,
        )
        return signed + intel_quote.signature_data(
            version=version,
            signature=pki.sign_raw(self.attestation_key, signed),
            attestation_key=pki.public_point(self.attestation_key),
            qe_report=self.report,
            qe_report_signature=self.report_signature,
            qe_auth=self.auth,
            certification=self.certification,
        )


def module_svns(state: TdxState) -> tuple[bytes, bytes]:
    """Give tee_tcb_svn and tee_tcb_svn2: the module that the TD started under and the one loaded now."""
    microcode = tdx_microcode_svn_for(state.tcb_status)

    def svns(status: TcbStatus | None) -> bytes:
        isv_svn = isv_svn_for(MODULE_LEVELS, status, "module_status")
        return bytes((isv_svn, state.module_version, microcode, *(0,) * 13))

    started = state.tee_tcb_svn
    if started is None:
        started = svns(TcbStatus.OUT_OF_DATE if state.relaunch_advised else state.module_status)
    now = state.tee_tcb_svn2
    if now is None:
        now = svns(TcbStatus.UP_TO_DATE) if state.relaunch_advised else started
    return started, now
