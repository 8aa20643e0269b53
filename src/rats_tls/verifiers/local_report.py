"""Parts of the verification of local reports, whatever they tell."""

from __future__ import annotations

from rats_tls.core.anchors import TrustAnchor, Vendor
from rats_tls.core.interfaces import TargetEnclave

MAC_SOURCE = "Intel SDM 3D, EREPORT and EGETKEY"
NO_TARGET_ENCLAVE = (
    "this process runs in no enclave that can check the MAC of a local report: its key exists in the processor alone, "
    "for the target enclave; Occlum lets its processes ask, Gramine has no such file, and an ordinary process cannot"
)


def target_anchor(target: TargetEnclave) -> TrustAnchor:
    """Give the anchor of a report that `target` has checked: there is no certificate, only whose word it is."""
    return TrustAnchor(
        vendor=Vendor.INTEL, subject=b"", spki=b"", kind=target.kind, name=target.name, source=MAC_SOURCE
    )
