"""What the manifest asserts of real SEV-SNP evidence, through the whole appraisal."""

from __future__ import annotations

import base64
import json
from datetime import datetime
from typing import Any

import pytest

from rats_tls.core.claims import SnpClaims
from rats_tls.core.endorsements import EndorsementKind, Endorsements
from rats_tls.core.errors import (
    AppraisalError,
    AuthenticityError,
    CertificateChainError,
    EndorsementMissingError,
    ExpiredError,
    SignatureError,
)
from rats_tls.core.evidence import Evidence, TeeType
from rats_tls.core.refusals import ExitCode, Refusal
from rats_tls.core.results import AttestationResult
from rats_tls.endorsements.files import endorsements_from_file
from rats_tls.formats.amd.certificate_table import endorsements_from_table
from support.appraisals import claims_of, make_appraiser
from support.paths import VECTORS
from support.policies import default_policy

GO_MILAN = "sev_snp/go-sev-guest-milan-vcek"
TRUSTEE_MILAN = "sev_snp/trustee-milan-vcek"
TRUSTEE_GENOA = "sev_snp/trustee-genoa-e2e-json"
VERAISON_GENOA = "sev_snp/veraison-genoa-tsm"

REPORTS = {
    GO_MILAN: (f"{GO_MILAN}/attestation.bin", (f"{GO_MILAN}/vcek.testcer", f"{GO_MILAN}/milan.testcer")),
    TRUSTEE_MILAN: (
        f"{TRUSTEE_MILAN}/test-report.bin",
        (f"{TRUSTEE_MILAN}/test-vcek.der", "trust/amd/ask_ark_milan.pem"),
    ),
    TRUSTEE_GENOA: (f"{TRUSTEE_GENOA}/report.bin", (f"{TRUSTEE_GENOA}/vcek.der", "trust/amd/ask_ark_genoa.pem")),
    VERAISON_GENOA: (f"{VERAISON_GENOA}/report.bin", (f"{VERAISON_GENOA}/vcek.der", "trust/amd/ask_ark_genoa.pem")),
}
TIMES = {
    GO_MILAN: "2022-09-24T01:00:00+00:00",
    TRUSTEE_MILAN: "2024-06-01T00:00:00+00:00",
    TRUSTEE_GENOA: "2025-09-01T00:00:00+00:00",
    VERAISON_GENOA: "2025-09-01T00:00:00+00:00",
}
# The manifest's conditions for the version 2 reports. What else those two reports show is no healthy production
# guest's, so their policies say so by name: the first allows debugging (policy 0xb0000 has bit 19), the second ran on
# firmware not yet committed (current microcode 0xce, committed 0x73).
VERSION_2: dict[str, Any] = {"products": "Milan", "min_report_version": 2, "revocation": "not-checked"}
UNHEALTHY = {GO_MILAN: {"allow_debug": True}, TRUSTEE_MILAN: {"allow_provisional_firmware": True}}


def files(*names: str) -> Endorsements:
    items = [item for name in names for item in endorsements_from_file((VECTORS / name).read_bytes(), where=name)]
    return Endorsements(tuple(items))


def appraise(
    vector: str,
    *,
    data: bytes | None = None,
    endorsements: Endorsements | None = None,
    at: str | None = None,
    **policy: Any,
) -> AttestationResult:
    report, names = REPORTS[vector]
    original = (VECTORS / report).read_bytes()
    appraiser = make_appraiser(
        default_policy(claims_of(original), **policy), endorsements if endorsements is not None else files(*names)
    )
    return appraiser.appraise_evidence(
        Evidence.of(TeeType.SEV_SNP, data or original), now=datetime.fromisoformat(at or TIMES[vector])
    )


@pytest.mark.parametrize("vector", [GO_MILAN, TRUSTEE_MILAN])
class TestVersion2:
    def test_accepted_where_product_version_and_revocation_are_named(self, vector: str) -> None:
        result = appraise(vector, **VERSION_2, **UNHEALTHY[vector])
        claims = result.claims
        assert isinstance(claims, SnpClaims)
        assert (claims.report_version, claims.product) == (2, "Milan")
        assert result.anchor is not None
        assert result.anchor.name == "ARK-Milan"
        assert any("crl" in check.id or "revo" in check.id for check in result.not_checked)

    def test_refused_by_the_default_policy_with_each_reason(self, vector: str) -> None:
        with pytest.raises(AppraisalError) as caught:
            appraise(vector, **UNHEALTHY[vector])
        assert {mismatch.field for mismatch in caught.value.mismatches} == {"min_report_version", "products"}
        assert [item.kind for item in caught.value.missing] == [EndorsementKind.AMD_CRL]

    @pytest.mark.parametrize("left_out", sorted(VERSION_2))
    def test_each_of_the_three_is_needed(self, vector: str, left_out: str) -> None:
        policy = {name: value for name, value in VERSION_2.items() if name != left_out}
        with pytest.raises((AppraisalError, EndorsementMissingError)) as caught:
            appraise(vector, **policy, **UNHEALTHY[vector])
        if left_out == "revocation":
            assert caught.value.refusal is Refusal.ENDORSEMENTS_MISSING
        else:
            assert isinstance(caught.value, AppraisalError)
            assert {mismatch.field for mismatch in caught.value.mismatches} == {left_out}

    def test_what_is_unhealthy_is_refused_by_name(self, vector: str) -> None:
        with pytest.raises(AppraisalError) as caught:
            appraise(vector, **VERSION_2)
        assert {mismatch.field for mismatch in caught.value.mismatches} == set(UNHEALTHY[vector])


def test_before_the_vcek_begins() -> None:
    with pytest.raises(ExpiredError, match="not yet valid") as caught:
        appraise(GO_MILAN, at="2022-09-24T00:55:27+00:00", **VERSION_2, **UNHEALTHY[GO_MILAN])
    assert caught.value.refusal is Refusal.CERTIFICATE_NOT_IN_DATE
    assert caught.value.refusal.exit_code is ExitCode.ENDORSEMENTS


@pytest.mark.parametrize("name", ["test-vcek-invalid-legacy.der", "test-vcek-invalid-new.der"])
def test_invalid_vceks(name: str) -> None:
    endorsements = files(f"{TRUSTEE_MILAN}/{name}", "trust/amd/ask_ark_milan.pem")
    with pytest.raises(CertificateChainError) as caught:
        appraise(TRUSTEE_MILAN, endorsements=endorsements, **VERSION_2, **UNHEALTHY[TRUSTEE_MILAN])
    assert caught.value.refusal.exit_code is ExitCode.NOT_AUTHENTIC


def test_listed_mutations() -> None:
    report, (vcek, _) = REPORTS[TRUSTEE_MILAN]
    changed = bytearray((VECTORS / report).read_bytes())
    changed[42] += 1
    with pytest.raises(SignatureError):
        appraise(TRUSTEE_MILAN, data=bytes(changed), **VERSION_2, **UNHEALTHY[TRUSTEE_MILAN])
    certificate = bytearray((VECTORS / vcek).read_bytes())
    certificate[42] += 1
    chain = files("trust/amd/ask_ark_milan.pem").items
    vek = files(vcek).items[0]
    broken = Endorsements((type(vek)(kind=vek.kind, data=bytes(certificate)), *chain))
    with pytest.raises(AuthenticityError):
        appraise(TRUSTEE_MILAN, endorsements=broken, **VERSION_2, **UNHEALTHY[TRUSTEE_MILAN])


@pytest.mark.parametrize("vector", [TRUSTEE_GENOA, VERAISON_GENOA])
def test_genoa_is_accepted_without_a_list(vector: str) -> None:
    result = appraise(vector, revocation="not-checked")
    assert isinstance(result.claims, SnpClaims)
    assert (result.claims.report_version, result.claims.product) == (3, "Genoa")
    with pytest.raises(EndorsementMissingError):
        appraise(vector)


def test_auxblob_of_configfs_tsm() -> None:
    document = json.loads((VECTORS / VERAISON_GENOA / "sevsnp-tsm-report.json").read_text())
    table = base64.b64decode(document["auxblob"] + "==", altchars=b"-_" if "-" in document["auxblob"] else None)
    items = endorsements_from_table(table)
    assert {item.kind for item in items} == {
        EndorsementKind.AMD_VEK,
        EndorsementKind.AMD_SIGNER,
        EndorsementKind.AMD_ROOT,
    }
    result = appraise(VERAISON_GENOA, endorsements=Endorsements(tuple(items)), revocation="not-checked")
    assert result.anchor is not None
    assert result.anchor.kind.value == "vendor"


@pytest.mark.parametrize("wrong", ["trust/amd/ask_ark_genoa.pem", "trust/amd/ask_ark_milan_vlek.pem"])
def test_the_chain_of_another_product_or_key_type(wrong: str) -> None:
    endorsements = files(REPORTS[TRUSTEE_MILAN][1][0], wrong)
    with pytest.raises((CertificateChainError, EndorsementMissingError)):
        appraise(TRUSTEE_MILAN, endorsements=endorsements, **VERSION_2, **UNHEALTHY[TRUSTEE_MILAN])
