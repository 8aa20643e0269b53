"""Simulated reports and VEK certificates, read by the package's own decoders."""

from __future__ import annotations

import pytest

from rats_tls.core.endorsements import EndorsementKind as Kind
from rats_tls.formats.amd.report import AttestationReport
from rats_tls.formats.amd.tcb import decode_tcb_version
from rats_tls.formats.amd.vek import VekCertificate
from rats_tls.simulation.amd_report import EARLY_TCB, TCB
from rats_tls.simulation.states import PRODUCTS, Product
from support.simulated import REPORT_DATA, world


@pytest.mark.parametrize("product", PRODUCTS)
@pytest.mark.parametrize("version", [2, 3, 4, 5])
@pytest.mark.parametrize("out_of_date", [False, True])
def test_report_and_vcek_agree(product: Product, version: int, out_of_date: bool) -> None:
    attester = world().attester(
        "simulated_sev_snp", product=product, report_version=version, out_of_date=out_of_date, trailing=bytes(7)
    )
    report = AttestationReport.from_bytes(attester.collect(REPORT_DATA).evidence.data)
    (item,) = attester.endorsements.of_kind(Kind.AMD_VEK)
    vek = VekCertificate.from_der(item.data)
    tcb = (EARLY_TCB if out_of_date else TCB)[product]
    assert (report.version, report.trailing, report.report_data) == (version, 7, REPORT_DATA)
    assert report.product == (product if version >= 3 else None)
    assert (report.signing_key, report.mask_chip_key, report.policy >> 17 & 1) == (0, False, 1)
    assert decode_tcb_version(report.reported_tcb, product, "reported_tcb") == tcb == vek.extensions.tcb
    assert vek.extensions.reserved_spls == (0, 0, 0, 0)
    assert vek.extensions.product_name == (product if product == "Turin" else f"{product}-B0")
    hwid = vek.extensions.hwid
    assert hwid is not None
    assert hwid.ljust(64, b"\0") == report.chip_id


@pytest.mark.parametrize("product", PRODUCTS)
def test_vlek_names_the_provider(product: Product) -> None:
    attester = world().attester("simulated_sev_snp", product=product, key_type="VLEK")
    report = AttestationReport.from_bytes(attester.collect(REPORT_DATA).evidence.data)
    (item,) = attester.endorsements.of_kind(Kind.AMD_VEK)
    extensions = VekCertificate.from_der(item.data).extensions
    assert report.signing_key == 1
    assert (extensions.csp_id, extensions.hwid) == ("rats-tls-simulation", None)
