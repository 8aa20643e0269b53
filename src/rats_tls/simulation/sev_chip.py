"""A simulated AMD chip before SEV-SNP: CEK, PEK and an owner, and the firmware's reports of guests."""

from __future__ import annotations

import os

from cryptography.hazmat.primitives.asymmetric import ec

from rats_tls.simulation import pki, sev_structure
from rats_tls.simulation.bytefields import sized, word
from rats_tls.simulation.sev_states import ES, NODBG, SevProduct, SevState
from rats_tls.simulation.sev_structure import CEK, OCA, PEK
from rats_tls.simulation.sev_vendor import SimulatedSevVendor
from rats_tls.verifiers.bounded_cache import BoundedCache

_DEVICE_TYPES: dict[SevProduct, int] = {"Rome": 0, "Naples": 1, "Milan": 2}
_REMEMBERED = 16


class SimulatedSevChip:
    """A chip of one product with one identity.

    Args:
        vendor: who certifies it.
        secret: stands for the fuses: keys derive from it; a new chip when left out.
    """

    def __init__(self, vendor: SimulatedSevVendor, secret: bytes | None = None) -> None:
        self.vendor = vendor
        self.product = vendor.product
        self._secret = os.urandom(32) if secret is None else secret
        self._certified = BoundedCache(_REMEMBERED)

    def evidence(self, state: SevState) -> bytes:
        """Make the Evidence of a guest in `state` (6461 or 6464 bytes).

        Raises:
            ValueError: `state` is of another product, or a field has another size.
        """
        if state.product != self.product:
            raise ValueError(f"product: got {state.product}, the chip is {self.product}")
        device_type = _DEVICE_TYPES[state.product] if state.device_type is None else state.device_type
        return b"".join(
            (
                self._report(state),
                self._certified.get(("cek", state.cek_usage, state.algorithm), lambda: self._cek(state)),
                self._pek(state),
                self._oca(state) if state.owner else bytes(2084),
                word(device_type, state.device_type_size),
            )
        )

    def _report(self, state: SevState) -> bytes:
        policy = state.policy & ~(NODBG if state.debug else 0) | (ES if state.es else 0)
        digest = sized("launch_digest", state.launch_digest, 32)
        signed = sized("mnonce", state.mnonce, 16) + digest + word(policy, 4)
        named = state.algorithm if state.report_algorithm is None else state.report_algorithm
        signature = sev_structure.ecdsa_fields(self._key(PEK), state.algorithm, signed)
        return signed + word(state.report_usage, 4) + word(named, 4) + bytes(4) + signature

    def _cek(self, state: SevState) -> bytes:
        body = sev_structure.certificate_body(state.cek_usage, state.algorithm, self._key(CEK).public_key())
        return body + self.vendor.certified(body)

    def _pek(self, state: SevState) -> bytes:
        body = sev_structure.certificate_body(state.pek_usage, state.algorithm, self._key(PEK).public_key())
        slots = [
            sev_structure.NO_SIGNATURE,
            sev_structure.ecdsa_slot(self._key(CEK), state.pek_signed_by, state.algorithm, body),
        ]
        if state.owner:
            slots[0] = sev_structure.ecdsa_slot(self._key(OCA), OCA, state.algorithm, body)
        if state.forged_owner:
            slots[0] = sev_structure.forged(slots[0])
        return body + b"".join(reversed(slots) if state.cek_first else slots)

    def _oca(self, state: SevState) -> bytes:
        body = sev_structure.certificate_body(state.oca_usage, state.algorithm, self._key(OCA).public_key())
        return body + sev_structure.ecdsa_slot(self._key(OCA), OCA, state.algorithm, body) + sev_structure.NO_SIGNATURE

    def _key(self, usage: int) -> ec.EllipticCurvePrivateKey:
        return pki.derive_ec_key(ec.SECP384R1(), self._secret, b"sev", self.product.encode(), word(usage, 4))
