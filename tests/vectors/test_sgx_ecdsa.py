"""Real SGX evidence, at the level of the Verifier: what the manifest's `test` lines say of it."""

from __future__ import annotations

import pytest

from rats_tls.core.anchors import AnchorKind
from rats_tls.core.claims import SgxClaims, TcbStatus
from rats_tls.core.endorsements import EndorsementKind
from rats_tls.core.errors import DecodeError
from rats_tls.core.verification import Verification
from rats_tls.formats.intel.tcb_info import TcbInfo
from rats_tls.formats.json_document import split_response
from rats_tls.verifiers.vendor_roots import VENDOR_ROOTS
from support.appraisals import user_anchors
from support.intel import PHALA_SGX, QUOTES, SGX_TEST_ROOT, labels, load, manifest, passed, verify
from support.paths import VECTORS

TCB_INFO_FILES = VECTORS / "sgx_ecdsa/openenclave-tcbinfo-json"


def claims_of(verification: Verification) -> SgxClaims:
    assert isinstance(verification.claims, SgxClaims)
    return verification.claims


@pytest.mark.parametrize(
    "vector_id", [key for key in QUOTES if key.startswith("sgx") and "measurements" in manifest()[key]]
)
def test_measurements(vector_id: str) -> None:
    claims = claims_of(verify(load(vector_id)))
    expected = manifest()[vector_id]["measurements"]
    assert claims.mr_enclave.hex() == expected["mrenclave"]
    assert claims.mr_signer.hex() == expected["mrsigner"]
    assert (claims.isv_prod_id, claims.isv_svn) == (expected["isv_prod_id"], expected["isv_svn"])
    assert claims.debug is expected["debug"]
    assert claims.report_data.hex() == expected["report_data"]


def test_phala_sgx_v3() -> None:
    verification = verify(load(PHALA_SGX))
    assert verification.problems == ()
    tcb = claims_of(verification).tcb
    assert tcb is not None
    assert tcb.status is TcbStatus.CONFIGURATION_AND_SW_HARDENING_NEEDED
    assert tcb.advisories == ("INTEL-SA-00289", "INTEL-SA-00615")
    platform = claims_of(verification).platform
    assert platform is not None
    assert platform.fmspc.hex() == "00a067110000"
    assert verification.anchor is not None
    assert verification.anchor.kind is AnchorKind.VENDOR
    used = {use.kind for use in verification.endorsements_used}
    assert used == {kind for kind in EndorsementKind if kind.value.startswith("intel-")}
    start, end = manifest()[PHALA_SGX]["window"]
    assert verification.valid_from is not None
    assert verification.valid_until is not None
    assert f"{verification.valid_from:%Y-%m-%dT%H:%M:%SZ}" == start
    assert f"{verification.valid_until:%Y-%m-%dT%H:%M:%SZ}" == end


def test_phala_sgx_v3_one_second_after_the_window() -> None:
    vector = load(PHALA_SGX)
    assert labels(verify(vector.at("2025-07-19T10:01:19Z"))) == {"endorsements_expired"}
    # nextUpdate itself is already too late, and the second before it is not.
    assert labels(verify(vector.at("2025-07-19T10:01:18Z"))) == {"endorsements_expired"}
    assert verify(vector.at("2025-07-19T10:01:17Z")).problems == ()


def test_phala_sgx_v3_before_the_window() -> None:
    vector = load(PHALA_SGX)
    assert labels(verify(vector.at("2025-06-19T10:56:10Z"))) == {"endorsements_expired"}
    assert verify(vector.at("2025-06-19T10:56:11Z")).problems == ()


def test_occlum_without_collateral() -> None:
    verification = verify(load("sgx_ecdsa/trustee-occlum-v3"))
    assert labels(verification) == {"endorsements_missing"}
    assert {
        "intel.quote",
        "sgx.quote_signature",
        "intel.qe_binding",
        "intel.qe_report_signature",
        "intel.pck_chain",
    } <= passed(verification)
    assert claims_of(verification).debug
    missing = {str(problem.missing) for problem in verification.problems}
    assert missing == {
        "intel-tcb-info (id SGX, fmspc 00606a000000, pceid 0000)",
        "intel-qe-identity (id QE)",
        "intel-root-crl (issuer Intel SGX Root CA)",
        "intel-pck-crl (ca platform)",
    }
    waived = {
        problem.missing.kind for problem in verification.problems if problem.missing and problem.waived_by_revocation
    }
    assert waived == {EndorsementKind.INTEL_ROOT_CRL, EndorsementKind.INTEL_PCK_CRL}


def test_open_enclave_with_tcb_info_v2() -> None:
    vector = load("sgx_ecdsa/openenclave-evidence-endorsements")
    assert TcbInfo.from_json(vector.item(EndorsementKind.INTEL_TCB_INFO).data).version == 2
    verification = verify(vector)
    assert verification.problems == ()
    tcb = claims_of(verification).tcb
    assert tcb is not None
    assert tcb.status is TcbStatus.SW_HARDENING_NEEDED
    assert tcb.qe_status is TcbStatus.UP_TO_DATE


def test_sample_test_root_is_not_intel() -> None:
    """With Intel's anchors the test root's set is not authentic, at every time."""
    vector = load(SGX_TEST_ROOT)
    for time in (vector.now, "2026-01-01T00:00:00Z"):
        verification = verify(vector.at(time), anchors=VENDOR_ROOTS)
        assert labels(verification) == {"certificate_chain"}
        assert "intel.qe_report_signature" in passed(verification)
        assert verification.anchor is None


def test_sample_test_root_as_explicit_anchor() -> None:
    """With its root given explicitly, the outcome depends on the time and on the quoting enclave.

    At the manifest's time the PCK certificate (until 2026-09-05) has expired. In its validity the chain, both
    documents and both lists are authentic and the sample's quoting enclave is the one of its identity.
    """
    vector = load(SGX_TEST_ROOT)
    anchors = user_anchors((VECTORS / SGX_TEST_ROOT / "trustedRootCaCert.pem").read_bytes())
    late = verify(vector, anchors=anchors)
    assert labels(late) == {"certificate_not_in_date"}
    assert late.problems[0].error.message.startswith("PCK certificate has expired")
    verification = verify(vector.at("2026-01-01T00:00:00Z"), anchors=anchors)
    assert verification.problems == ()
    assert verification.anchor is not None
    assert verification.anchor.kind is AnchorKind.USER
    tcb = claims_of(verification).tcb
    assert tcb is not None
    assert tcb.status is TcbStatus.UP_TO_DATE


def test_sample_test_root_without_the_pck_chain() -> None:
    """Certification data of type 1 names the platform only: the PCK chain is missing, and what to ask for is said."""
    vector = load(SGX_TEST_ROOT)
    items = [item for item in vector.endorsements if item.kind is not EndorsementKind.INTEL_PCK_CHAIN]
    verification = verify(vector.with_items(items))
    assert labels(verification) == {"endorsements_missing"}
    (problem,) = verification.problems
    assert problem.missing is not None
    assert problem.missing.kind is EndorsementKind.INTEL_PCK_CHAIN
    assert dict(problem.missing.key)["ppid"] == "8461863bb7ece31f64c8e9b77fd31cad"
    assert {"sgx.quote_signature", "intel.qe_binding"} <= passed(verification)


def decode_response(name: str) -> TcbInfo:
    inner, _ = split_response((TCB_INFO_FILES / name).read_bytes(), "tcbInfo", "TcbInfo")
    return TcbInfo.from_json(inner)


DECODED = [
    ("data_v2-tcbInfo_with_pceid.json", 2, "SGX"),
    ("data_v3-tcbinfo_sgx.json", 3, "SGX"),
    ("data_v3-tcbinfo_tdx.json", 3, "TDX"),
]


@pytest.mark.parametrize(("name", "version", "identifier"), DECODED)
def test_tcb_info_decodes(name: str, version: int, identifier: str) -> None:
    tcb_info = decode_response(name)
    assert (tcb_info.version, tcb_info.id) == (version, identifier)
    assert tcb_info.fmspc.hex() == "00906ea10000"
    assert tcb_info.tcb_levels
    assert (tcb_info.tdx_module is not None) == (identifier == "TDX")


# Field and problem by file name, without `data...tcbInfo` and `.json`. Files of version 1 end at their version unless
# something is wrong before it is looked at.
VERSION_1 = ("version", "unsupported version 1")
VERSION_2 = ("pceId", "missing")
AT_ONCE = {
    "NegativeFloat": ("", "234 is not an integer"),
    "NegativeIntegerOverflow": ("version", "integer outside 0 to"),
    "NegativeIntegerWithSign": ("version", "integer outside 0 to"),
    "NegativePropertyMissingLevel0": ("", "members are 'tcbInfo', 'SIGNATURE'"),
    "NegativePropertyMissingLevel1": ("version", "missing"),
    "NegativePropertyWrongTypeLevel0": ("signature", "got an integer, expected a string"),
    "NegativeSignature": ("signature", "got 123 characters, expected 128"),
}
REFUSED = {
    "data": {
        "": VERSION_1,
        "_with_pceid": VERSION_1,
        "NegativeCompSvn": VERSION_1,
        "NegativeInvalidIssueDate": VERSION_1,
        "NegativeInvalidNextUpdate": VERSION_1,
        "NegativeMissingNextUpdate": VERSION_1,
        "NegativePceSvn": VERSION_1,
        "NegativePropertyMissingLevel2": VERSION_1,
        "NegativePropertyMissingLevel3": VERSION_1,
        "NegativePropertyWrongTypeLevel1": VERSION_1,
        "NegativePropertyWrongTypeLevel2": VERSION_1,
        "NegativePropertyWrongTypeLevel3": VERSION_1,
        "NegativeStringEscape": VERSION_1,
        **AT_ONCE,
    },
    # The negative files lack pceId too; the field that each is about has to be the one that is named.
    "data_v2": {
        "": VERSION_2,
        "AdvisoryIds": VERSION_2,
        "NegativeCompSvn": ("sgxtcbcomp01svn", "integer outside 0 to 255"),
        "NegativeInvalidIssueDate": ("issueDate", "which is no time"),
        "NegativeInvalidNextUpdate": ("nextUpdate", "which is no time"),
        "NegativeMissingNextUpdate": ("nextUpdate", "missing"),
        "NegativePceSvn": ("pcesvn", "integer outside 0 to 65535"),
        "NegativePropertyMissingLevel2": ("tcbDate", "missing"),
        "NegativePropertyMissingLevel3": ("pcesvn", "missing"),
        "NegativePropertyWrongTypeLevel1": ("fmspc", "got an integer, expected a string"),
        "NegativePropertyWrongTypeLevel2": ("tcbStatus", "got an integer, expected a string"),
        "NegativePropertyWrongTypeLevel3": ("sgxtcbcomp06svn", "got a string, expected an integer"),
        "NegativeStringEscape": ("issueDate", "expected YYYY-MM-DDThh:mm:ssZ"),
        "NegativeTcbType": ("tcbType", "got 1, expected 0"),
        **AT_ONCE,
    },
}


def test_every_tcb_info_file_has_its_outcome() -> None:
    refused = {f"{prefix}-tcbInfo{case}.json" for prefix, cases in REFUSED.items() for case in cases}
    listed = {file["file"].rpartition("/")[2] for file in manifest()["sgx_ecdsa/openenclave-tcbinfo-json"]["files"]}
    assert refused | {name for name, _, _ in DECODED} == listed
    assert len(listed) == 44


@pytest.mark.parametrize(
    ("prefix", "case"), [(prefix, case) for prefix, cases in REFUSED.items() for case in sorted(cases)]
)
def test_tcb_info_is_refused_for_what_is_wrong_with_it(prefix: str, case: str) -> None:
    with pytest.raises(DecodeError) as caught:
        decode_response(f"{prefix}-tcbInfo{case}.json")
    field, problem = REFUSED[prefix][case]
    assert caught.value.field == field
    assert problem in caught.value.problem
