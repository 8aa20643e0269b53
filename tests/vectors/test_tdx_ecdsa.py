"""Real TDX evidence, at the level of the Verifier: what the manifest's `test` lines say of it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from rats_tls.core.claims import TcbStatus, TdxClaims
from rats_tls.core.endorsements import EndorsementKind
from rats_tls.core.errors import CertificateChainError, DecodeError, RatsTlsError, UnsupportedError
from rats_tls.core.evidence import Evidence, TeeType
from rats_tls.core.verification import Verification
from rats_tls.endorsements.files import endorsements_from_file
from rats_tls.formats.detect import detect_evidence
from rats_tls.formats.intel.pck import PckChain
from rats_tls.formats.intel.qe_identity import QeIdentity
from rats_tls.formats.intel.quote import Quote
from rats_tls.formats.intel.tcb_info import TcbInfo
from rats_tls.formats.json_document import split_response
from rats_tls.formats.x509 import Certificate, RevocationList, certificates_from_pem
from rats_tls.verifiers.tdx_ecdsa import TdxEcdsaVerifier
from support.intel import OUTDATED, PHALA_TDX, QUOTES, SPR_E4, labels, load, manifest, passed, verify
from support.paths import VECTORS

SAMPLE = VECTORS / "tdx_ecdsa/intel-qvl-sample-testroot"
WITHOUT_COLLATERAL = ("tdx_ecdsa/go-tdx-guest-cos113-ccel", "tdx_ecdsa/dstack-ra-tls-quote")


def claims_of(verification: Verification) -> TdxClaims:
    assert isinstance(verification.claims, TdxClaims)
    return verification.claims


def tcb_of(verification: Verification) -> tuple[TcbStatus, tuple[str, ...]]:
    assert verification.problems == ()
    tcb = claims_of(verification).tcb
    assert tcb is not None
    return tcb.status, tcb.advisories


@pytest.mark.parametrize(
    "vector_id", [key for key in QUOTES if key.startswith("tdx") and "measurements" in manifest()[key]]
)
def test_measurements(vector_id: str) -> None:
    claims = claims_of(verify(load(vector_id)))
    expected = manifest()[vector_id]["measurements"]
    found = {
        "mrtd": claims.mr_td,
        "mrseam": claims.mr_seam,
        "rtmr0": claims.rtmr0,
        "rtmr1": claims.rtmr1,
        "rtmr2": claims.rtmr2,
        "rtmr3": claims.rtmr3,
        "mrconfigid": claims.mr_config_id,
        "tee_tcb_svn": claims.tee_tcb_svn,
        "td_attributes": claims.td_attributes.to_bytes(8, "little"),
        "report_data": claims.report_data,
    }
    assert {name: value.hex() for name, value in found.items()} == {name: expected[name] for name in found}


def test_phala_tdx_v4_up_to_date() -> None:
    vector = load(PHALA_TDX)
    assert tcb_of(verify(vector)) == (TcbStatus.UP_TO_DATE, ())
    assert TdxEcdsaVerifier().decode(vector.evidence).not_covered == 70


def test_phala_tdx_v4_one_second_after_the_window() -> None:
    vector = load(PHALA_TDX)
    verification = verify(vector.at("2025-07-19T10:00:36Z"))
    assert labels(verification) == {"endorsements_expired"}
    (problem,) = verification.problems
    assert problem.waived_by_revocation  # it is the PCK revocation list that expired first
    # Without regard to revocation the verification went on to its end.
    assert claims_of(verification).tcb is not None


@pytest.mark.parametrize(
    "vector_id",
    [
        OUTDATED,
        "tdx_ecdsa/phala-tappd-v4",
        "tdx_ecdsa/phala-tdx-hex-v4",
        SPR_E4,
        "tdx_ecdsa/dstack-ra-tls-quote",
    ],
)
def test_no_tcb_level(vector_id: str) -> None:
    """The SGX components of the PCK certificate are below every level; signatures and chain hold."""
    verification = verify(load(vector_id))
    assert labels(verification) == {"tcb_no_level"}
    assert {"tdx.quote_signature", "intel.pck_chain", "intel.pck_not_revoked", "tdx.module"} <= passed(verification)
    assert "SGX components" in verification.problems[0].error.message
    assert claims_of(verification).tcb is None


def test_outdated_fails_on_one_sgx_component() -> None:
    vector = load(OUTDATED)
    platform = claims_of(verify(vector)).platform
    assert platform is not None
    levels = TcbInfo.from_json(vector.item(EndorsementKind.INTEL_TCB_INFO).data).tcb_levels
    assert {level.sgx_components[7] for level in levels} == {5}
    assert platform.sgx_tcb_components[7] == 3


def test_padding_behind_the_quote() -> None:
    vector = load(SPR_E4)
    decoded = TdxEcdsaVerifier().decode(vector.evidence)
    assert decoded.not_covered == 39
    assert any(vector.evidence.data[-39:])
    changed = vector.evidence.data[:-39] + bytes(39)
    assert TdxEcdsaVerifier().decode(Evidence.of(TeeType.TDX_ECDSA, changed)).claims == decoded.claims
    for vector_id, size in (("tdx_ecdsa/go-tdx-guest-cos113-ccel", 3065), ("tdx_ecdsa/openenclave-v4", 0)):
        assert TdxEcdsaVerifier().decode(load(vector_id).evidence).not_covered == size


MUTATIONS = {
    "version": ("malformed_evidence", "QuoteHeader.tee_type at 0x4: got 0x81"),  # version 3 exists, and is SGX's
    "signed data size": ("malformed_evidence", "QuoteSignatureData.certification_data.data"),
    "cert chain PEM": ("malformed_evidence", "CertificationData.certificates: 3 PEM blocks, 2 of them whole"),
    "root certificate": ("certificate_chain", "root Intel SGX Root CA signature"),
    "intermediate certificate": ("certificate_chain", "PCK CA certificate signature"),
    "PCK certificate": ("certificate_chain", "PCK certificate signature"),
    "header": ("evidence_signature", "quote: ecdsa-sha256 signature does not verify"),
    "TD quote body": ("evidence_signature", "quote: ecdsa-sha256 signature does not verify"),
}
"""Refusal and what its message begins with, by the manifest's name."""


def test_every_upstream_mutation_has_its_outcome() -> None:
    assert [mutation["name"] for mutation in manifest()[SPR_E4]["mutations"]] == list(MUTATIONS)


@pytest.mark.parametrize("mutation", manifest()[SPR_E4]["mutations"], ids=lambda mutation: mutation["name"])
def test_upstream_mutations(mutation: dict[str, object]) -> None:
    vector = load(SPR_E4)
    data = bytearray(vector.evidence.data)
    data[int(str(mutation["offset"]))] = int(str(mutation["set_byte"]))
    label, message = MUTATIONS[str(mutation["name"])]
    try:
        (problem,) = verify(vector.with_data(bytes(data))).problems
        error = problem.error
    except DecodeError as malformed:
        error = malformed
    assert error.refusal.label == label
    assert error.message.startswith(message)


@pytest.mark.parametrize("vector_id", WITHOUT_COLLATERAL)
def test_without_collateral(vector_id: str) -> None:
    verification = verify(load(vector_id, collateral=None))
    assert labels(verification) == {"endorsements_missing"}
    assert {
        "intel.quote",
        "tdx.quote_signature",
        "intel.qe_binding",
        "intel.qe_report_signature",
        "intel.pck_chain",
        "intel.pck_dates",
    } == passed(verification)
    assert len(verification.problems) == 4


def test_relaunch_advised() -> None:
    status = tcb_of(verify(load("tdx_ecdsa/openenclave-v5-td-relaunch")))
    assert status == (TcbStatus.TD_RELAUNCH_ADVISED, ("INTEL-SA-01036", "INTEL-SA-01099"))


def test_open_enclave_v4() -> None:
    verification = verify(load("tdx_ecdsa/openenclave-v4"))
    assert tcb_of(verification) == (TcbStatus.UP_TO_DATE, ())
    claims = claims_of(verification)
    assert claims.tee_tcb_svn[1] == 0
    assert claims.tcb is not None
    assert claims.tcb.module_status is None
    assert claims.td_attributes == 0  # SEPT_VE_DISABLE is off, which is for the policy to judge


def test_trustee_debug() -> None:
    verification = verify(load("tdx_ecdsa/trustee-v4-debug-ccel"))
    assert tcb_of(verification) == (TcbStatus.UP_TO_DATE, ())
    claims = claims_of(verification)
    assert claims.debug
    folder = VECTORS / "tdx_ecdsa/trustee-v4-debug-ccel"
    expected = json.loads((folder / "parse_tdx_claims_expected.json").read_text())["quote"]["body"]
    found = {
        "tcb_svn": claims.tee_tcb_svn,
        "mr_seam": claims.mr_seam,
        "mrsigner_seam": claims.mr_signer_seam,
        "seam_attributes": claims.seam_attributes.to_bytes(8, "little"),
        "td_attributes": claims.td_attributes.to_bytes(8, "little"),
        "xfam": claims.xfam.to_bytes(8, "little"),
        "mr_td": claims.mr_td,
        "mr_config_id": claims.mr_config_id,
        "mr_owner": claims.mr_owner,
        "mr_owner_config": claims.mr_owner_config,
        "rtmr_0": claims.rtmr0,
        "rtmr_1": claims.rtmr1,
        "rtmr_2": claims.rtmr2,
        "rtmr_3": claims.rtmr3,
        "report_data": claims.report_data,
    }
    assert {name: value.hex() for name, value in found.items()} == {name: expected[name] for name in found}


def test_dstack_quote_report() -> None:
    assert tcb_of(verify(load("tdx_ecdsa/dstack-quote-report"))) == (TcbStatus.UP_TO_DATE, ())


def test_dstack_tdx_lite_is_not_yet_valid() -> None:
    verification = verify(load("tdx_ecdsa/dstack-tdx-lite"))
    assert labels(verification) == {"certificate_not_in_date"}
    assert "PCK certificate is not yet valid" in verification.problems[0].error.message


def test_tdreport_is_local() -> None:
    report = (VECTORS / "tdx_ecdsa/tdreport-raw/report.dat").read_bytes()
    with pytest.raises(UnsupportedError, match="TDREPORT: local evidence"):
        TdxEcdsaVerifier().decode(Evidence.of(TeeType.TDX_ECDSA, report))


def test_sample_with_svns_beyond_a_byte() -> None:
    inner, _ = split_response((SAMPLE / "tcbInfo.json").read_bytes(), "tcbInfo", "TcbInfo")
    with pytest.raises(DecodeError) as caught:
        TcbInfo.from_json(inner)
    assert (caught.value.structure, caught.value.field) == ("TcbInfo.tcbLevels[0].tcb.sgxtcbcomponents[1]", "svn")
    # As an Endorsement beside a good quote it is the same error, and names the same field.
    vector = load(PHALA_TDX)
    item = vector.item(EndorsementKind.INTEL_TCB_INFO)
    bad = vector.with_items(replace(entry, data=inner) if entry is item else entry for entry in vector.endorsements)
    (problem,) = verify(bad).problems
    assert isinstance(problem.error, CertificateChainError)
    assert "sgxtcbcomponents[1].svn" in problem.error.message
    # Its quote carries certificates that are not PEM.
    with pytest.raises(DecodeError, match=r"CertificationData\.certificates: not a PEM certificate bundle"):
        verify(load("tdx_ecdsa/intel-qvl-sample-testroot"))


@pytest.mark.parametrize("name", sorted(path.name for path in SAMPLE.iterdir()))
def test_no_file_of_the_sample_raises_anything_foreign(name: str) -> None:
    """Its files follow early drafts and hold random numbers: whatever reads them gives a value or an error of ours."""
    data = (SAMPLE / name).read_bytes()
    readers: tuple[Callable[[bytes], object], ...] = (
        Quote.from_bytes,
        TcbInfo.from_json,
        QeIdentity.from_json,
        Certificate.from_der,
        RevocationList.from_der,
        certificates_from_pem,
        lambda data: split_response(data, "tcbInfo", "TcbInfo"),
        lambda data: QeIdentity.from_json(split_response(data, "enclaveIdentity", "QeIdentity")[0]),
        lambda data: endorsements_from_file(data, where=name),
        lambda data: PckChain.from_ders(certificates_from_pem(data)),
        detect_evidence,
    )
    for read in readers:
        with contextlib.suppress(RatsTlsError):
            read(data)
