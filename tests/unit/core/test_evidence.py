"""The one table of names under which Evidence travels."""

from __future__ import annotations

from rats_tls.core.evidence import EVIDENCE_NAMES, NAMES_BY_MEDIA_TYPE, NAMES_BY_TEE, Evidence, TeeType


def test_names() -> None:
    assert {str(names.tee_type): (names.media_type, names.cbor_tag) for names in EVIDENCE_NAMES} == {
        "sgx_ecdsa": ("application/vnd.rats-tls.sgx-ecdsa", 60000),
        "tdx_ecdsa": ("application/vnd.rats-tls.tdx-ecdsa", 60000),
        "sgx_la": ("application/vnd.rats-tls.sgx-la", 60002),
        "sev_snp": ("application/vnd.rats-tls.sev-snp", 1733892),
        "sev": ("application/vnd.rats-tls.sev", 1733893),
        "csv": ("application/vnd.rats-tls.csv", 1733894),
    }


def test_each_type_and_media_type_has_one_row() -> None:
    assert len(NAMES_BY_TEE) == len(NAMES_BY_MEDIA_TYPE) == len(EVIDENCE_NAMES)
    assert set(NAMES_BY_TEE) == set(TeeType) - {TeeType.NULL}


def test_evidence_of_a_type() -> None:
    evidence = Evidence.of(TeeType.SEV_SNP, b"report")
    assert (evidence.media_type, evidence.data) == ("application/vnd.rats-tls.sev-snp", b"report")
