"""A simulated AMD chip: it has a VCEK for every TCB, a VLEK on loan, and makes attestation reports."""

from __future__ import annotations

import hashlib
import os
from datetime import datetime

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from rats_tls.core.claims import SnpTcb
from rats_tls.core.endorsements import Endorsements
from rats_tls.simulation import amd_report, der, pki
from rats_tls.simulation.amd_vendor import SimulatedAmdVendor, VekSubject
from rats_tls.simulation.states import SnpState
from rats_tls.simulation.vendor_state import AMD_HEALTHY, AmdVendorState


class SimulatedAmdChip:
    """A chip of one product with one identity, in any state.

    Args:
        vendor: who certifies it.
        secret: stands for the fuses: chip id and keys derive from it; a new chip when left out.
    """

    def __init__(self, vendor: SimulatedAmdVendor, secret: bytes | None = None) -> None:
        self._vendor = vendor
        self._secret = os.urandom(32) if secret is None else secret
        identity = hashlib.sha512(self._secret + b"chip id " + vendor.product.encode()).digest()
        self.hwid = identity[:8] if vendor.product == "Turin" else identity
        self.product = vendor.product
        self.chip_id = self.hwid.ljust(64, b"\0")

    def report(self, state: SnpState, report_data: bytes) -> bytes:
        """Make the report of a guest in `state` that carries `report_data` (64 bytes).

        Raises:
            ValueError: `state` is of another product.
        """
        self._require_product(state)
        chip_id = self.chip_id if state.chip_id is None else state.chip_id
        body = amd_report.report_body(
            state, chip_id=bytes(64) if state.mask_chip_id else chip_id, report_data=report_data
        )
        if state.mask_chip_key:
            return body + amd_report.signature_field(0, 0) + state.trailing
        r, s = decode_dss_signature(self._vek(state).sign(body, ec.ECDSA(hashes.SHA384())))
        return body + amd_report.signature_field(r, s) + state.trailing

    def endorsements(self, state: SnpState, now: datetime, vendor_state: AmdVendorState = AMD_HEALTHY) -> Endorsements:
        """Have the vendor issue all Endorsements that judge a report of a guest in `state`."""
        return self._vendor.endorsements(self.vek_subject(state), now, vendor_state)

    def vek_subject(self, state: SnpState) -> VekSubject:
        """Give what the vendor certifies of this chip for a guest in `state`.

        Raises:
            ValueError: `state` is of another product.
        """
        self._require_product(state)
        hwid = self.hwid if state.vek_hwid is None else state.vek_hwid
        return VekSubject(
            key_type=state.key_type,
            public_key=self._vek(state).public_key(),
            tcb=self._vek_tcb(state),
            hwid=der.octet_string(hwid) if state.hwid_is_der else hwid,
            csp_id=state.csp_id,
        )

    def _require_product(self, state: SnpState) -> None:
        if state.product != self._vendor.product:
            raise ValueError(f"product: got {state.product}, the chip is {self._vendor.product}")

    def _vek_tcb(self, state: SnpState) -> SnpTcb:
        return state.vek_tcb or amd_report.reported_tcb(state)

    def _vek(self, state: SnpState) -> ec.EllipticCurvePrivateKey:
        tcb = amd_report.tcb_version(state.product, self._vek_tcb(state))
        return pki.derive_ec_key(ec.SECP384R1(), self._secret, state.key_type.encode(), state.product.encode(), tcb)
