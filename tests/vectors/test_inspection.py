"""Real evidence, certificates and Endorsements, field by field."""

from __future__ import annotations

from pathlib import Path

import pytest

from rats_tls.core.errors import RatsTlsError
from rats_tls.inspection.files import inspect_file
from rats_tls.inspection.tree import Node
from rats_tls.verifiers.vendor_roots import VENDOR_ROOTS
from support.paths import VECTORS


def find(nodes: tuple[Node, ...], *path: str) -> Node:
    node = next(node for node in nodes if node.name == path[0])
    return find(node.fields, *path[1:]) if path[1:] else node


@pytest.mark.parametrize(
    ("file", "kind", "path", "meaning"),
    [
        ("sgx_ecdsa/openenclave-evidence-endorsements/quote.bin", "Intel SGX", ("body", "attributes"), "DEBUG"),
        ("sgx_ecdsa/intel-qvl-sample-testroot/quote.dat", "Intel SGX", ("header", "tee_type"), "SGX"),
        ("sev_snp/trustee-genoa-e2e-json/report.bin", "AMD SEV-SNP", ("cpuid",), "Genoa"),
        ("sev_snp/trustee-milan-vcek/test-vcek.der", "certificate", ("extensions", "1.3.6.1.4.1.3704.1.4"), "hwID"),
        ("sev_snp/virtee-turin-vcek-only/vcek_turin.der", "certificate", ("amd_extensions", "struct_version"), ""),
        ("trust/amd/ask_ark_genoa.pem", "PEM chain", ("certificate 2", "issuer"), "the subject"),
        (
            "ra_tls_cert/c-rats-tls-0.6.4/cert-sgx_ecdsa.der",
            "certificate",
            ("evidence", "Evidence of Intel SGX", "body", "attributes"),
            "INIT, MODE64",
        ),
        ("ra_tls_cert/rats-tls-old-openssl/rats-tls-cert-openssl-sample.pem", "certificate", ("evidence",), "not read"),
        (
            "tdx_ecdsa/phala-tdx-v4-uptodate/tdx_quote_collateral.json",
            "Endorsements (JSON)",
            ("intel-tcb-info", "tcb_levels 1"),
            "",
        ),
        ("sgx_ecdsa/intel-qvl-sample-testroot/rootCaCrl.der", "revocation list", ("revoked",), "certificates"),
    ],
)
def test_fields(file: str, kind: str, path: tuple[str, ...], meaning: str) -> None:
    found = inspect_file(VECTORS / file)
    assert kind in found.kind
    assert meaning in find(found.fields, *path).meaning


@pytest.mark.parametrize("file", ["trust/intel/Intel_SGX_Root_CA.der", "trust/amd/ask_ark_genoa.pem"])
def test_a_vendors_root_has_the_fingerprint_of_the_pinned_one(file: str) -> None:
    fields = inspect_file(VECTORS / file).fields
    shown = find(find(fields, "certificate 2").fields if file.endswith(".pem") else fields, "fingerprint")
    assert shown.meaning == "as a trust anchor, of kind vendor"
    assert shown.value in {anchor.shown_fingerprint for anchor in VENDOR_ROOTS}


def test_any_file_gives_fields_or_our_error() -> None:
    """Those of TEEs that are not read here too."""
    shown = 0
    for path in sorted(Path(VECTORS).rglob("*")):
        if not path.is_file() or path.stat().st_size > 1_000_000:
            continue
        try:
            assert inspect_file(path).fields, path
            shown += 1
        except RatsTlsError as error:
            assert str(path) in error.message  # noqa: PT017  # fields would do as well
    assert shown > 60
