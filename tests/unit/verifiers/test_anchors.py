"""Trust anchors that a user gives explicitly."""

from __future__ import annotations

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from rats_tls.core.anchors import AnchorKind, Vendor
from rats_tls.core.errors import ConfigurationError, RatsTlsError
from support.appraisals import user_anchors
from support.intel_pki import ROOT, certificate
from support.simulated import world


def pem(*ders: bytes) -> bytes:
    return b"".join(x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM) for der in ders)


def test_vendor_and_kind_are_told_by_the_name() -> None:
    root = certificate(ROOT, ROOT, ca=True)
    amd = certificate("ARK-Milan", "ARK-Milan", ca=True)
    found = user_anchors(pem(root, amd))
    assert [(anchor.vendor, anchor.kind) for anchor in found] == [
        (Vendor.INTEL, AnchorKind.USER),
        (Vendor.AMD, AnchorKind.USER),
    ]
    assert {anchor.kind for anchor in user_anchors(world().trust_anchors_pem)} == {AnchorKind.SIMULATED}


@pytest.mark.parametrize(
    "der",
    [
        certificate(ROOT, ROOT),  # no CA
        certificate(ROOT, "Another CA", ca=True),  # issued by another
        certificate("Another CA", "Another CA", ca=True),  # of no vendor
    ],
    ids=["no CA", "intermediate", "no vendor"],
)
def test_what_is_no_root_of_a_vendor_is_refused(der: bytes) -> None:
    with pytest.raises(ConfigurationError):
        user_anchors(pem(der))


@pytest.mark.parametrize("data", [b"", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", b"\0" * 99])
def test_what_is_no_certificate_is_our_error(data: bytes) -> None:
    with pytest.raises(RatsTlsError):
        user_anchors(data)
