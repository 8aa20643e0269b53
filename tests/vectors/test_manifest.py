"""No vector is forgotten: every entry of the manifest that can be tested by now names the tests that reach it."""

from __future__ import annotations

import ast
import functools

import pytest

from rats_tls import registry
from support.intel import manifest
from support.paths import TESTS

# By id: tests that assert what the entry's `test` says, as file of `tests/vectors/` without `test_` and `.py`, and
# function, class or method.
TESTS_BY_ID: dict[str, tuple[str, ...]] = {
    "sgx_ecdsa/phala-sgx-v3": (
        "appraisal_intel::TestPhalaSgx",
        "sgx_ecdsa::test_phala_sgx_v3",
        "sgx_ecdsa::test_phala_sgx_v3_one_second_after_the_window",
    ),
    "sgx_ecdsa/trustee-occlum-v3": ("appraisal_intel::TestOcclum", "sgx_ecdsa::test_occlum_without_collateral"),
    "sgx_ecdsa/openenclave-evidence-endorsements": (
        "appraisal_intel::TestOpenEnclave",
        "sgx_ecdsa::test_open_enclave_with_tcb_info_v2",
    ),
    "sgx_ecdsa/intel-qvl-sample-testroot": (
        "appraisal_intel::TestQvlSample",
        "sgx_ecdsa::test_sample_test_root_is_not_intel",
        "sgx_ecdsa::test_sample_test_root_as_explicit_anchor",
        "sgx_ecdsa::test_sample_test_root_without_the_pck_chain",
    ),
    "sgx_ecdsa/openenclave-tcbinfo-json": (
        "sgx_ecdsa::test_tcb_info_decodes",
        "sgx_ecdsa::test_every_tcb_info_file_has_its_outcome",
        "sgx_ecdsa::test_tcb_info_is_refused_for_what_is_wrong_with_it",
    ),
    "tdx_ecdsa/intel-qvl-sample-testroot": (
        "tdx_ecdsa::test_sample_with_svns_beyond_a_byte",
        "tdx_ecdsa::test_no_file_of_the_sample_raises_anything_foreign",
    ),
    "tdx_ecdsa/phala-tdx-v4-uptodate": (
        "appraisal_intel::TestPhalaTdx",
        "tdx_ecdsa::test_phala_tdx_v4_up_to_date",
        "tdx_ecdsa::test_phala_tdx_v4_one_second_after_the_window",
    ),
    "tdx_ecdsa/phala-tdx-v5-outdated": (
        "appraisal_intel::test_no_tcb_level_matches",
        "tdx_ecdsa::test_outdated_fails_on_one_sgx_component",
    ),
    "tdx_ecdsa/phala-tappd-v4": ("appraisal_intel::test_no_tcb_level_matches", "tdx_ecdsa::test_no_tcb_level"),
    "tdx_ecdsa/phala-tdx-hex-v4": ("appraisal_intel::test_no_tcb_level_matches", "tdx_ecdsa::test_no_tcb_level"),
    "tdx_ecdsa/go-tdx-guest-v4-spr-e4": (
        "appraisal_intel::test_no_tcb_level_matches",
        "appraisal_intel::test_padding_that_is_not_zero_is_reported_as_not_covered",
        "tdx_ecdsa::test_padding_behind_the_quote",
        "tdx_ecdsa::test_upstream_mutations",
    ),
    "tdx_ecdsa/go-tdx-guest-cos113-ccel": (
        "appraisal_intel::test_missing_endorsements_after_all_that_needs_none",
        "event_logs::test_ccel_replays_to_the_registers_of_its_quote",
        "event_logs::test_every_flip_of_a_digest_breaks_the_replay",
        "tdx_ecdsa::test_without_collateral",
    ),
    "tdx_ecdsa/openenclave-v5-td-relaunch": ("appraisal_intel::TestRelaunch", "tdx_ecdsa::test_relaunch_advised"),
    "tdx_ecdsa/openenclave-v4": (
        "appraisal_intel::test_sept_ve_disable_off_is_refused_unless_allowed",
        "tdx_ecdsa::test_open_enclave_v4",
    ),
    "tdx_ecdsa/trustee-v4-debug-ccel": (
        "appraisal_intel::test_debug_trust_domain_is_refused_unless_allowed_and_shows_the_expected_claims",
        "event_logs::test_a_log_of_another_boot_is_refused",
        "event_logs::test_the_log_of_a_debug_trust_domain_is_what_another_parser_says",
        "tdx_ecdsa::test_trustee_debug",
    ),
    "tdx_ecdsa/dstack-ra-tls-quote": (
        "appraisal_intel::test_no_tcb_level_matches",
        "appraisal_intel::test_missing_endorsements_after_all_that_needs_none",
    ),
    "tdx_ecdsa/dstack-quote-report": (
        "appraisal_intel::test_dstack_quote_report_is_up_to_date",
        "event_logs::test_dstack_replays_to_every_register",
        "event_logs::test_dstack_with_its_collateral_is_accepted",
    ),
    "tdx_ecdsa/dstack-tdx-lite": (
        "appraisal_intel::test_dstack_lite_has_a_pck_certificate_from_the_future",
        "event_logs::test_dstack_replays_to_every_register",
    ),
    "tdx_ecdsa/trustee-ccel-event-logs": ("event_logs::test_every_event_is_what_another_parser_says",),
    "tdx_ecdsa/tdreport-raw": ("appraisal_intel::test_a_tdreport_is_refused_by_name",),
    "sev_snp/go-sev-guest-milan-vcek": ("appraisal_sev_snp::TestVersion2",),
    "sev_snp/trustee-milan-vcek": (
        "appraisal_sev_snp::TestVersion2",
        "appraisal_sev_snp::test_invalid_vceks",
        "appraisal_sev_snp::test_listed_mutations",
    ),
    "sev_snp/trustee-genoa-e2e-json": (
        "appraisal_sev_snp::test_genoa_is_accepted_without_a_list",
        "appraisal_sev_snp::test_a_sibling_of_genoa_has_its_root",
    ),
    "sev_snp/virtee-turin-vcek-only": ("appraisal_sev_snp::TestTurin",),
    "sev_snp/veraison-genoa-tsm": (
        "appraisal_sev_snp::test_genoa_is_accepted_without_a_list",
        "appraisal_sev_snp::test_auxblob_of_configfs_tsm",
    ),
    "csv/csv-rs-complete": (
        "csv::TestCsvRs",
        "csv::test_every_changed_byte",
        "csv_signatures::test_from_the_root_to_the_report",
    ),
    "csv/trustee-csv-evidence-v2": ("csv::TestTrustee", "event_logs::test_the_log_beside_a_csv_report"),
    "sev/naples-cert-chain": (
        "sev::test_every_link_verifies",
        "sev::test_every_flip_of_a_signed_byte_is_refused",
        "sev::test_every_flip_of_a_signature_is_refused",
        "sev::test_a_naples_cek_is_refused_under_the_ask_of_another_product",
        "sev::test_the_bad_ark_is_refused",
    ),
    "ra_tls_cert/interop-gramine": ("appraisal_certificates::test_interop_gramine",),
    "ra_tls_cert/interop-rats-tls": ("appraisal_certificates::test_interop_rats_tls",),
    "ra_tls_cert/rats-tls-old-openssl": ("appraisal_certificates::test_other_formats_are_unsupported_by_name",),
    "ra_tls_cert/rats-tls-old-wolfcrypt": ("appraisal_certificates::test_other_formats_are_unsupported_by_name",),
    "ra_tls_cert/openenclave-ec-bad": ("appraisal_certificates::test_other_formats_are_unsupported_by_name",),
    "ra_tls_cert/openenclave-rsa-bad": ("appraisal_certificates::test_other_formats_are_unsupported_by_name",),
    "ra_tls_cert/evervault-nitro-in-san": (
        "appraisal_certificates::test_nitro_in_a_subject_alternative_name_is_no_evidence_extension",
    ),
    "ra_tls_cert/c-rats-tls-0.6.4/cert-tdx_ecdsa": ("appraisal_certificates::TestCapturedFromC",),
    "ra_tls_cert/c-rats-tls-0.6.4/cert-sgx_ecdsa": ("appraisal_certificates::TestCapturedFromC",),
    "ra_tls_cert/c-rats-tls-0.6.4/cert-csv": ("csv::test_captured_from_c_is_refused_for_its_signature",),
    "ra_tls_cert/c-rats-tls-0.6.4/cert-tdx_ecdsa-libcbor010": ("appraisal_certificates::TestCapturedFromC",),
    "ra_tls_cert/c-rats-tls-0.6.4/null-server-cert": (
        "appraisal_certificates::test_captured_null_certificate_only_where_null_is_named",
    ),
}


@functools.cache
def names_in(file: str) -> frozenset[str]:
    """Give the test functions and classes of a file of `tests/vectors/`; its code is not run."""
    tree = ast.parse((TESTS / "vectors" / f"test_{file}.py").read_text(encoding="utf-8"))
    names = (node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef))
    return frozenset(name for name in names if name.startswith(("test_", "Test")))


def test_every_entry_is_listed() -> None:
    """Of every kind that there is a Verifier for, what has a `test`; of certificates, all."""
    built = set(registry.BUILT_IN["verifiers"])
    wanted = {
        entry["id"]
        for entry in manifest().values()
        if entry["kind"] == "ra_tls_cert" or (entry["kind"] in built and "test" in entry)
    }
    assert wanted == set(TESTS_BY_ID)


def test_what_says_event_logs_is_asserted_of_event_logs() -> None:
    said = {
        key for key in TESTS_BY_ID if any(word in manifest()[key].get("test", "") for word in ("event log", "replay"))
    }
    asserted = {key for key, tests in TESTS_BY_ID.items() if any(test.startswith("event_logs::") for test in tests)}
    assert said
    assert said <= asserted


@pytest.mark.parametrize("vector_id", TESTS_BY_ID)
def test_the_tests_named_are_there(vector_id: str) -> None:
    named = TESTS_BY_ID[vector_id]
    assert named
    for test in named:
        file, _, name = test.partition("::")
        assert name in names_in(file), test
