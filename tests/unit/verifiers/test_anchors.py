"""Trust anchors that a user gives explicitly."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from rats_tls.core.anchors import AnchorKind, TrustAnchor, Vendor
from rats_tls.core.errors import ConfigurationError, RatsTlsError
from rats_tls.verifiers.explicit_anchors import anchors_from_pem
from support.intel import CRYPTO
from support.intel_pki import END, ROOT, START, certificate, key
from support.simulated import NOW, world


def anchors(data: bytes, now: datetime = NOW) -> tuple[TrustAnchor, ...]:
    return anchors_from_pem(data, crypto=CRYPTO, now=now)


def pem(*ders: bytes) -> bytes:
    return b"".join(x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM) for der in ders)


def test_vendor_and_kind_are_told_by_the_name() -> None:
    root = certificate(ROOT, ROOT, ca=True)
    amd = certificate("ARK-Milan", "ARK-Milan", ca=True)
    found = anchors(pem(root, amd))
    assert [(anchor.vendor, anchor.kind) for anchor in found] == [
        (Vendor.INTEL, AnchorKind.USER),
        (Vendor.AMD, AnchorKind.USER),
    ]
    assert {anchor.kind for anchor in anchors(world().trust_anchors_pem)} == {AnchorKind.SIMULATED}


@pytest.mark.parametrize(
    "der",
    [
        certificate(ROOT, ROOT),  # no CA
        certificate(ROOT, "Another CA", ca=True),  # issued by another
        certificate("Another CA", "Another CA", ca=True),  # of no vendor
        certificate(ROOT, ROOT, ca=True, issuer_key=key("another")),
    ],
    ids=["no CA", "intermediate", "no vendor", "signed by another key"],
)
def test_what_is_no_root_of_a_vendor_is_refused(der: bytes) -> None:
    with pytest.raises(ConfigurationError):
        anchors(pem(der))


def test_a_root_is_in_date() -> None:
    root = pem(certificate(ROOT, ROOT, ca=True))
    for now in (START - timedelta(seconds=1), END + timedelta(seconds=1)):
        with pytest.raises(ConfigurationError, match=r"valid|expired"):
            anchors(root, now)


@pytest.mark.parametrize("data", [b"", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", b"\0" * 99])
def test_what_is_no_certificate_is_our_error(data: bytes) -> None:
    with pytest.raises(RatsTlsError):
        anchors(data)
