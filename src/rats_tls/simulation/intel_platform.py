"""A simulated Intel platform: its identity, its PCK certificate, its quoting enclaves."""

from __future__ import annotations

import hashlib
import os
from datetime import datetime

from cryptography.hazmat.primitives.asymmetric import ec

from rats_tls.core.endorsements import Endorsement, EndorsementKind, Endorsements
from rats_tls.simulation import intel_quote, pki
from rats_tls.simulation.bytefields import sized, word
from rats_tls.simulation.intel_documents import QE_ISV_PROD_ID, QE_MR_SIGNER, Tee
from rats_tls.simulation.intel_levels import QE_LEVELS, isv_svn_for
from rats_tls.simulation.intel_pck import cpu_svn, sgx_components, sgx_extension
from rats_tls.simulation.intel_vendor import PckSubject, SimulatedIntelVendor
from rats_tls.simulation.quoting_enclave import QuotingEnclave
from rats_tls.simulation.states import IntelPlatformState, TdxState, simulated_measurement
from rats_tls.simulation.vendor_state import INTEL_HEALTHY, IntelVendorState

_QE_XFRM = 0xE7
_PPID_DATA, _ENCRYPTED_PPID_DATA, _PCK_CHAIN = 1, 3, 5  # types of certification data


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
        self.report_root_key = self._derive(b"report root key")
        # Stands for RSA-3072-OAEP to a key of the vendor's; the vendor knows its platforms by it.
        self.encrypted_ppid = hashlib.shake_256(self._secret + b"encrypted ppid").digest(384)

    def quoting_enclave(
        self, state: IntelPlatformState, now: datetime, vendor_state: IntelVendorState = INTEL_HEALTHY
    ) -> QuotingEnclave:
        """Start the quoting enclave of an SGX or TDX platform in `state` and certify its attestation key."""
        tee = _tee(state)
        isv_svn = state.qe_isv_svn
        if isv_svn is None:
            isv_svn = isv_svn_for(QE_LEVELS, state.qe_status, "qe_status")
        attestation_key = pki.derive_ec_key(ec.SECP256R1(), self._secret, b"attestation key", tee.encode())
        key_digest = hashlib.sha256(pki.public_point(attestation_key) + state.qe_auth).digest()
        report = intel_quote.report_body(
            cpu_svn=cpu_svn(state),
            miscselect=state.qe_miscselect,
            attributes=state.qe_attributes,
            xfrm=_QE_XFRM,
            mr_enclave=simulated_measurement(f"{tee} QE mr_enclave", 32),
            mr_signer=QE_MR_SIGNER if state.qe_mr_signer is None else state.qe_mr_signer,
            isv_prod_id=QE_ISV_PROD_ID[tee] if state.qe_isv_prod_id is None else state.qe_isv_prod_id,
            isv_svn=isv_svn,
            report_data=key_digest + bytes(32),
        )
        return QuotingEnclave(
            attestation_key=attestation_key,
            report=report,
            report_signature=pki.sign_raw(self._pck_key(state), report),
            auth=state.qe_auth,
            certification=self._certification(state, now, vendor_state),
            isv_svn=isv_svn,
            pce_svn=state.pce_svn,
            id=self._derive(b"qe id"),
        )

    def endorsements(
        self, state: IntelPlatformState, now: datetime, vendor_state: IntelVendorState = INTEL_HEALTHY
    ) -> Endorsements:
        """Have the vendor issue all Endorsements that judge Evidence of this platform in `state`.

        The PCK chain is among them only where quotes do not carry it.
        """
        subject = self.pck_subject(state)
        endorsements = self._vendor.endorsements(_tee(state), subject, now, vendor_state)
        missing = EndorsementKind.INTEL_PCK_CHAIN in vendor_state.missing
        if state.certification_data_type == _PCK_CHAIN or missing:
            return endorsements
        leaf, *issuers = self._vendor.pck_chain(subject, now, vendor_state)
        chain = Endorsement(kind=EndorsementKind.INTEL_PCK_CHAIN, data=leaf, issuer_chain=tuple(issuers))
        return endorsements.with_items((chain,))

    def _certification(self, state: IntelPlatformState, now: datetime, vendor_state: IntelVendorState) -> bytes:
        if state.certification_data_type == _PCK_CHAIN:
            chain = self._vendor.pck_chain(self.pck_subject(state), now, vendor_state)
            return intel_quote.certification_data(_PCK_CHAIN, pki.to_pem(chain))
        encrypted = state.certification_data_type == _ENCRYPTED_PPID_DATA
        ppid_data = (
            (self.encrypted_ppid if encrypted else self.ppid) + cpu_svn(state) + word(state.pce_svn, 2) + state.pce_id
        )
        return intel_quote.certification_data(_ENCRYPTED_PPID_DATA if encrypted else _PPID_DATA, ppid_data)

    def pck_subject(self, state: IntelPlatformState) -> PckSubject:
        """Give what the vendor certifies of this platform in `state`.

        Raises:
            ValueError: a field of `state` does not fit its format.
        """
        return PckSubject(
            public_key=self._pck_key(state).public_key(),
            authority=state.certificate_authority,
            fmspc=sized("fmspc", state.fmspc, 6),
            pce_id=sized("pce_id", state.pce_id, 2),
            extension=sgx_extension(state, ppid=self.ppid, platform_instance_id=self.platform_instance_id),
        )

    def _pck_key(self, state: IntelPlatformState) -> ec.EllipticCurvePrivateKey:
        tcb = bytes(sgx_components(state)) + word(state.pce_svn, 2)
        return pki.derive_ec_key(ec.SECP256R1(), self._secret, b"pck", tcb, state.fmspc, state.pce_id)

    def _derive(self, what: bytes) -> bytes:
        return hashlib.sha256(self._secret + what).digest()[:16]


def _tee(state: IntelPlatformState) -> Tee:
    return "TDX" if isinstance(state, TdxState) else "SGX"
