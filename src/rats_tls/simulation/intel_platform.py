"""A simulated Intel platform: it has a PCK certificate and a quoting enclave, and makes quotes."""

from __future__ import annotations

import hashlib
import os
from datetime import datetime

from cryptography.hazmat.primitives.asymmetric import ec

from rats_tls.core.claims import TcbStatus
from rats_tls.core.endorsements import Endorsement, EndorsementKind
from rats_tls.simulation import der, pki
from rats_tls.simulation import intel_quote as quote
from rats_tls.simulation.intel_documents import QE_ISV_PROD_ID, QE_MR_SIGNER, Tee
from rats_tls.simulation.intel_levels import (
    MODULE_LEVELS,
    QE_LEVELS,
    components_for,
    isv_svn_for,
    tdx_microcode_svn_for,
)
from rats_tls.simulation.intel_state import HEALTHY, IntelVendorState
from rats_tls.simulation.intel_vendor import SGX_EXTENSION_OID, PckSubject, SimulatedIntelVendor
from rats_tls.simulation.states import IntelPlatformState, SgxState, TdxState, simulated_measurement

_BODY_TYPES = {"1.0": quote.BODY_TD_1_0, "1.5": quote.BODY_TD_1_5}


class SimulatedIntelPlatform:
    """A platform with one identity, in any state.

    Args:
        vendor: who certifies it.
        secret: stands for the fuses: keys, PPID and instance id derive from it; a new platform when left out.
    """

    def __init__(self, vendor: SimulatedIntelVendor, secret: bytes | None = None) -> None:
        self._vendor = vendor
        self._secret = os.urandom(32) if secret is None else secret
        self.ppid = self._derive(b"ppid")
        self.platform_instance_id = self._derive(b"platform instance id")
        self._qe_id = self._derive(b"qe id")

    def _derive(self, what: bytes) -> bytes:
        return hashlib.sha256(self._secret + what).digest()[:16]

    def _pck_key(self, state: IntelPlatformState) -> ec.EllipticCurvePrivateKey:
        tcb = bytes((*sgx_components(state), *state.pce_svn.to_bytes(2, "little")))
        return pki.derive_ec_key(ec.SECP256R1(), self._secret, b"pck", tcb, state.fmspc, state.pce_id)

    def pck_subject(self, state: IntelPlatformState) -> PckSubject:
        """Give what the PCK certificate is issued for in `state`."""
        return PckSubject(
            public_key=self._pck_key(state).public_key(),
            authority=state.certificate_authority,
            fmspc=quote.sized("fmspc", state.fmspc, 6),
            pce_id=quote.sized("pce_id", state.pce_id, 2),
            extension=self._sgx_extension(state),
        )

    def sgx_quote(
        self, state: SgxState, report_data: bytes, now: datetime, vendor_state: IntelVendorState = HEALTHY
    ) -> bytes:
        """Make the quote of an enclave in `state` that carries `report_data` (64 bytes)."""
        body = quote.report_body(
            cpu_svn=cpu_svn(state) if state.cpu_svn is None else state.cpu_svn,
            miscselect=state.miscselect,
            attributes=state.attributes | int(state.debug) << 1,
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
        return self._sign(
            "SGX",
            state,
            version=state.quote_version,
            body_type=quote.BODY_SGX,
            body=body,
            now=now,
            vendor_state=vendor_state,
        )

    def tdx_quote(
        self, state: TdxState, report_data: bytes, now: datetime, vendor_state: IntelVendorState = HEALTHY
    ) -> bytes:
        """Make the quote of a trust domain in `state` that carries `report_data` (64 bytes).

        Raises:
            ValueError: body 1.5 in quote version 4.
        """
        version, body_version = (5, "1.5") if state.relaunch_advised else (state.quote_version, state.body_version)
        if version == 4 and body_version != "1.0":
            raise ValueError(f"body_version: got {body_version}, quote version 4 carries 1.0 only")
        started, loaded = _module_svns(state)
        body = quote.td_report_body(state, started, loaded if body_version == "1.5" else None, report_data)
        return self._sign(
            "TDX",
            state,
            version=version,
            body_type=_BODY_TYPES[body_version],
            body=body,
            now=now,
            vendor_state=vendor_state,
        )

    def pck_chain_endorsement(
        self, state: IntelPlatformState, now: datetime, vendor_state: IntelVendorState = HEALTHY
    ) -> Endorsement:
        """Give the PCK chain as an Endorsement, for quotes that do not carry it."""
        leaf, *issuers = self._vendor.pck_chain(self.pck_subject(state), now, vendor_state)
        return Endorsement(kind=EndorsementKind.INTEL_PCK_CHAIN, data=leaf, issuer_chain=tuple(issuers))

    def _sign(
        self,
        tee: Tee,
        state: IntelPlatformState,
        *,
        version: int,
        body_type: int,
        body: bytes,
        now: datetime,
        vendor_state: IntelVendorState,
    ) -> bytes:
        isv_svn = state.qe_isv_svn
        if isv_svn is None:
            isv_svn = isv_svn_for(QE_LEVELS, state.qe_status, "qe_status")
        attestation_key = pki.derive_ec_key(ec.SECP256R1(), self._secret, b"attestation key", tee.encode())
        signed = quote.signed_part(
            version=version,
            tee_type=quote.TEE_SGX if tee == "SGX" else quote.TEE_TDX,
            body_type=body_type,
            body=body,
            qe_svn=isv_svn,
            pce_svn=state.pce_svn,
            qe_id=self._qe_id,
        )
        point = pki.public_point(attestation_key)
        qe_report = quote.report_body(
            cpu_svn=cpu_svn(state),
            miscselect=state.qe_miscselect,
            attributes=state.qe_attributes,
            xfrm=0xE7,
            mr_enclave=simulated_measurement(f"{tee} QE mr_enclave", 32),
            mr_signer=QE_MR_SIGNER if state.qe_mr_signer is None else state.qe_mr_signer,
            isv_prod_id=QE_ISV_PROD_ID[tee] if state.qe_isv_prod_id is None else state.qe_isv_prod_id,
            isv_svn=isv_svn,
            report_data=hashlib.sha256(point + state.qe_auth).digest() + bytes(32),
        )
        if state.certification_data_type == 5:
            chain = self._vendor.pck_chain(self.pck_subject(state), now, vendor_state)
            certification = quote.certification_data(5, pki.to_pem(chain))
        else:
            identity = self.ppid + cpu_svn(state) + quote.word(state.pce_svn, 2) + state.pce_id
            certification = quote.certification_data(1, identity)
        return (
            signed
            + quote.signature_data(
                version=version,
                signature=pki.sign_raw(attestation_key, signed),
                attestation_key=point,
                qe_report=qe_report,
                qe_report_signature=pki.sign_raw(self._pck_key(state), qe_report),
                qe_auth=state.qe_auth,
                certification=certification,
            )
            + state.trailing
        )

    def _sgx_extension(self, state: IntelPlatformState) -> bytes:
        """Encode extnValue of the SGX extension (Intel SGX PCK Certificate specification 1.3.5)."""

        def entry(suffix: str, value: bytes) -> bytes:
            return der.sequence(der.object_identifier(f"{SGX_EXTENSION_OID}.{suffix}"), value)

        components = [entry(f"2.{index}", der.integer(svn)) for index, svn in enumerate(sgx_components(state), 1)]
        tcb = der.sequence(
            *components, entry("2.17", der.integer(state.pce_svn)), entry("2.18", der.octet_string(cpu_svn(state)))
        )
        entries = [
            entry("1", der.octet_string(self.ppid)),
            entry("2", tcb),
            entry("3", der.octet_string(state.pce_id)),
            entry("4", der.octet_string(state.fmspc)),
            entry("5", der.enumerated(state.sgx_type)),
        ]
        if state.certificate_authority == "platform":
            configuration = der.sequence(
                entry("7.1", der.boolean(state.dynamic_platform)),
                entry("7.2", der.boolean(state.cached_keys)),
                entry("7.3", der.boolean(state.smt_enabled)),
            )
            entries += [entry("6", der.octet_string(self.platform_instance_id)), entry("7", configuration)]
        return der.sequence(*entries)


def sgx_components(state: IntelPlatformState) -> tuple[int, ...]:
    """Give the 16 SGX component SVNs of a platform in `state`."""
    components = components_for(state.tcb_status) if state.sgx_components is None else state.sgx_components
    if len(components) != 16:
        raise ValueError(f"sgx_components: got {len(components)}, expected 16")
    return components


def cpu_svn(state: IntelPlatformState) -> bytes:
    """Give the CPUSVN (16 bytes) of a platform in `state`; here it is the component SVNs."""
    return bytes(sgx_components(state))


def _module_svns(state: TdxState) -> tuple[bytes, bytes]:
    """Give tee_tcb_svn and tee_tcb_svn2: what the TD started under, and what is loaded now."""
    microcode = tdx_microcode_svn_for(state.tcb_status)

    def svns(status: TcbStatus | None) -> bytes:
        module_svn = isv_svn_for(MODULE_LEVELS, status, "module_status")
        return bytes((module_svn, state.module_version, microcode, *(0,) * 13))

    started = svns(TcbStatus.OUT_OF_DATE if state.relaunch_advised else state.module_status)
    loaded = svns(TcbStatus.UP_TO_DATE) if state.relaunch_advised else started
    if state.tee_tcb_svn is not None:
        started = state.tee_tcb_svn
        loaded = loaded if state.relaunch_advised else started
    return started, state.tee_tcb_svn2 or loaded
