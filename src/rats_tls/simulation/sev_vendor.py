"""The simulated AMD for one product before SEV-SNP: ARK and ASK in AMD's own form."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Literal

from cryptography.hazmat.primitives.asymmetric import rsa

from rats_tls.core.anchors import AnchorKind, TrustAnchor, Vendor
from rats_tls.core.endorsements import Endorsement, EndorsementKind, Endorsements
from rats_tls.formats.amd.sev_signer import simulated_key_id
from rats_tls.simulation import pki, sev_structure
from rats_tls.simulation.sev_states import SevProduct
from rats_tls.simulation.vendor_state import SEV_HEALTHY, SevVendorState, SignedItem
from rats_tls.verifiers.amd_sev_chain import ANCHOR_PREFIX

SevKeyName = Literal["ark", "ask"]
_BITS: dict[SevProduct, int] = {"Naples": 2048, "Rome": 4096, "Milan": 4096}


def generate_sev_key(product: SevProduct) -> rsa.RSAPrivateKey:
    """Make a key of the size that the product's have."""
    return rsa.generate_private_key(65537, _BITS[product])


class SimulatedSevVendor:
    """The simulated AMD for one product. Its keys are made on first use.

    Args:
        product: "Naples", "Rome" or "Milan".
        key_for: gives the key named "ark" or "ask"; called at most once each. New keys when left out.
    """

    def __init__(self, product: SevProduct, key_for: Callable[[SevKeyName], rsa.RSAPrivateKey] | None = None) -> None:
        self.product: SevProduct = product
        self._key_for = key_for or (lambda _name: generate_sev_key(product))
        self._keys: dict[SevKeyName, rsa.RSAPrivateKey] = {}
        self._signed: dict[SevKeyName, bytes] = {}
        self._lock = threading.Lock()
        self.key_id = simulated_key_id(product)
        self.root_certificate = self._certificate("ark")

    def _key(self, name: SevKeyName) -> rsa.RSAPrivateKey:
        with self._lock:
            if name not in self._keys:
                self._keys[name] = self._key_for(name)
            return self._keys[name]

    def _certificate(self, name: SevKeyName) -> bytes:
        key, root = self._key(name), self._key("ark")
        key_id = self.key_id if name == "ark" else self.key_id[:-1] + b"K"
        usage = sev_structure.ARK if name == "ark" else sev_structure.ASK
        with self._lock:
            # A signature has a random salt: asked twice for the same, it gives the same bytes again.
            if name not in self._signed:
                body = sev_structure.signer_body(key_id, self.key_id, usage, key.public_key())
                self._signed[name] = body + sev_structure.rsa_signature(root, body)
            return self._signed[name]

    @property
    def trust_anchor(self) -> TrustAnchor:
        """The anchor to give explicitly to whoever shall accept this vendor's Evidence."""
        return TrustAnchor(
            vendor=Vendor.AMD,
            subject=self.key_id,
            spki=pki.spki_of(self._key("ark")),
            kind=AnchorKind.SIMULATED,
            name=f"{ANCHOR_PREFIX}{self.product}",
            source="rats_tls.simulation",
        )

    def signer(self, state: SevVendorState = SEV_HEALTHY) -> bytes:
        """Give the certificate of the ASK."""
        return state.signed(SignedItem.AMD_SEV_SIGNER, self._certificate("ask"))

    def endorsements(self, state: SevVendorState = SEV_HEALTHY) -> Endorsements:
        """Give what judges Evidence of the product's chips: the ASK."""
        if EndorsementKind.AMD_SEV_SIGNER in state.missing:
            return Endorsements()
        return Endorsements((Endorsement(kind=EndorsementKind.AMD_SEV_SIGNER, data=self.signer(state)),))

    def certified(self, body: bytes) -> bytes:
        """Sign the body of a CEK certificate as the ASK; its two signatures (1040 bytes)."""
        return sev_structure.rsa_slot(self._key("ask"), body) + sev_structure.NO_SIGNATURE
