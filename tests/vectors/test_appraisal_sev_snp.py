"""What the manifest asserts of real SEV-SNP evidence, through the whole appraisal."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from rats_tls.core.algorithms import KeyAlgorithm
from rats_tls.core.checks import Verdict
from rats_tls.core.claims import SnpClaims, SnpTcb
from rats_tls.core.endorsements import EndorsementKind
from rats_tls.core.errors import (
    AppraisalError,
    CertificateChainError,
    EndorsementMissingError,
    ExpiredError,
    RatsTlsError,
    SignatureError,
)
from rats_tls.core.refusals import ExitCode, Refusal
from rats_tls.core.results import AttestationResult
from rats_tls.formats.amd.certificate_table import endorsements_from_table
from rats_tls.formats.amd.vek import VekCertificate
from rats_tls.formats.x509 import Certificate
from rats_tls.verifiers.amd_chain import anchors_of_product, load_p384, verify_root, verify_signer, verify_vek
from rats_tls.verifiers.chain import require_in_date
from rats_tls.verifiers.vendor_roots import VENDOR_ROOTS
from support.amd import (
    GO_MILAN,
    REPORTS,
    TRUSTEE_GENOA,
    TRUSTEE_MILAN,
    TURIN,
    VERAISON_GENOA,
    SnpVector,
    auxblob,
    files,
    load,
    problems,
    verify,
)
from support.appraisals import claims_of, make_appraiser
from support.intel import CRYPTO, manifest
from support.paths import VECTORS
from support.policies import default_policy

AMD_ARC = "1.3.6.1.4.1.3704.1"
# The manifest's conditions for the version 2 reports. What else those two reports show is no healthy production
# guest's, so their policies say so by name: the first allows debugging (policy 0xb0000 has bit 19), the second ran on
# firmware not yet committed (current microcode 0xce, committed 0x73).
VERSION_2: dict[str, Any] = {"products": "Milan", "min_report_version": 2, "revocation": "not-checked"}
UNHEALTHY = {GO_MILAN: {"allow_debug": True}, TRUSTEE_MILAN: {"allow_provisional_firmware": True}}


def appraise(vector: SnpVector, **policy: Any) -> AttestationResult:
    """Appraise with a policy that pins what the vector's genuine report says."""
    pinned = default_policy(claims_of(load(vector.id).evidence.data), **policy)
    return make_appraiser(pinned, vector.endorsements).appraise_evidence(vector.evidence, now=vector.now)


def failed(error: RatsTlsError) -> list[str]:
    return [check.id for check in error.checks if check.verdict is Verdict.FAILED]


@pytest.mark.parametrize("vector_id", REPORTS)
def test_measurements(vector_id: str) -> None:
    verification = verify(load(vector_id))
    assert problems(verification) == ()
    claims = verification.claims
    assert isinstance(claims, SnpClaims)
    expected = manifest()[vector_id]["measurements"]
    found = {
        "report_data": claims.report_data.hex(),
        "measurement": claims.measurement.hex(),
        "host_data": claims.host_data.hex(),
        "chip_id": claims.chip_id.hex(),
        "reported_tcb": claims.reported_tcb_raw.hex(),
        "policy": hex(claims.policy),
        "vmpl": claims.vmpl,
        "signing_key": claims.signing_key,
        "guest_svn": claims.guest_svn,
    }
    assert found == expected
    assert (claims.product or "").lower() == manifest()[vector_id]["product"]


@pytest.mark.parametrize("vector_id", [GO_MILAN, TRUSTEE_MILAN])
class TestVersion2:
    def test_accepted_where_product_version_and_revocation_are_named(self, vector_id: str) -> None:
        result = appraise(load(vector_id), **VERSION_2, **UNHEALTHY[vector_id])
        assert result.verdict == "accepted"
        claims = result.claims
        assert isinstance(claims, SnpClaims)
        assert (claims.report_version, claims.cpuid_family, claims.product) == (2, None, "Milan")
        assert result.anchor is not None
        assert result.anchor.name == "ARK-Milan"
        assert {check.id for check in result.not_checked} >= {"amd.crl", "amd.not_revoked"}

    def test_refused_by_the_default_policy_with_each_reason(self, vector_id: str) -> None:
        with pytest.raises(AppraisalError) as caught:
            appraise(load(vector_id), **UNHEALTHY[vector_id])
        error = caught.value
        assert {mismatch.field: mismatch.got for mismatch in error.mismatches} == {
            "min_report_version": "2",
            "products": "none: report version 2 names no product",
        }
        assert [item.kind for item in error.missing] == [EndorsementKind.AMD_CRL]
        assert str(error.missing[0]) in error.message
        assert error.refusal is Refusal.POLICY
        assert error.refusal.exit_code is ExitCode.POLICY

    @pytest.mark.parametrize("left_out", sorted(VERSION_2))
    def test_each_of_the_three_is_needed(self, vector_id: str, left_out: str) -> None:
        policy = {name: value for name, value in VERSION_2.items() if name != left_out}
        with pytest.raises((AppraisalError, EndorsementMissingError)) as caught:
            appraise(load(vector_id), **policy, **UNHEALTHY[vector_id])
        if left_out == "revocation":
            assert isinstance(caught.value, EndorsementMissingError)
            assert [item.kind for item in caught.value.missing] == [EndorsementKind.AMD_CRL]
        else:
            assert isinstance(caught.value, AppraisalError)
            assert {mismatch.field for mismatch in caught.value.mismatches} == {left_out}

    def test_what_is_unhealthy_is_refused_by_name(self, vector_id: str) -> None:
        with pytest.raises(AppraisalError) as caught:
            appraise(load(vector_id), **VERSION_2)
        assert {mismatch.field for mismatch in caught.value.mismatches} == set(UNHEALTHY[vector_id])

    def test_before_the_vcek_begins(self, vector_id: str) -> None:
        vector = load(vector_id)
        begin = VekCertificate.from_der(vector.item(EndorsementKind.AMD_VEK).data).certificate.not_before
        if vector_id == GO_MILAN:
            assert begin == datetime(2022, 9, 24, 0, 55, 28, tzinfo=UTC)
        with pytest.raises(ExpiredError, match="VEK certificate is not yet valid") as caught:
            appraise(vector.at(begin - timedelta(seconds=1)), **VERSION_2, **UNHEALTHY[vector_id])
        assert caught.value.refusal is Refusal.CERTIFICATE_NOT_IN_DATE
        assert caught.value.refusal.exit_code is ExitCode.ENDORSEMENTS
        assert failed(caught.value) == ["amd.dates"]
        assert appraise(vector.at(begin), **VERSION_2, **UNHEALTHY[vector_id]).verdict == "accepted"


def with_vek(vector: SnpVector, der: bytes) -> SnpVector:
    vek = vector.item(EndorsementKind.AMD_VEK)
    return vector.with_items(replace(item, data=der) if item is vek else item for item in vector.endorsements)


@pytest.mark.parametrize(
    ("name", "microcode"), [("test-vcek-invalid-legacy.der", 169), ("test-vcek-invalid-new.der", 30)]
)
def test_invalid_vceks(name: str, microcode: int) -> None:
    """Their extensions decode, in either form that is in use; AMD did not sign them."""
    der = (VECTORS / TRUSTEE_MILAN / name).read_bytes()
    extensions = VekCertificate.from_der(der).extensions
    assert (extensions.product_name, extensions.tcb.microcode) == ("Milan-B0", microcode)
    assert extensions.hwid == bytes(range(64))
    with pytest.raises(CertificateChainError, match="VEK certificate signature by SEV-Milan") as caught:
        appraise(with_vek(load(TRUSTEE_MILAN), der), **VERSION_2, **UNHEALTHY[TRUSTEE_MILAN])
    assert failed(caught.value) == ["amd.vek_chain"]
    assert caught.value.refusal is Refusal.CERTIFICATE_CHAIN
    assert caught.value.refusal.exit_code is ExitCode.NOT_AUTHENTIC


def test_listed_mutations() -> None:
    vector = load(TRUSTEE_MILAN)
    listed = {mutation["file"]: mutation["offset"] for mutation in manifest()[TRUSTEE_MILAN]["mutations"]}
    assert listed == {"test-vcek.der": 42, "test-report.bin": 42}

    def plus_one(data: bytes) -> bytes:
        return data[:42] + bytes((data[42] + 1,)) + data[43:]

    with pytest.raises(SignatureError, match="report: ") as report:
        appraise(vector.with_data(plus_one(vector.evidence.data)), **VERSION_2, **UNHEALTHY[TRUSTEE_MILAN])
    assert report.value.refusal is Refusal.EVIDENCE_SIGNATURE
    assert failed(report.value) == ["snp.report_signature"]
    broken = with_vek(vector, plus_one(vector.item(EndorsementKind.AMD_VEK).data))
    with pytest.raises(CertificateChainError) as chain:
        appraise(broken, **VERSION_2, **UNHEALTHY[TRUSTEE_MILAN])
    assert chain.value.refusal is Refusal.CERTIFICATE_CHAIN
    assert failed(chain.value) == ["amd.vek_chain"]


@pytest.mark.parametrize("vector_id", [TRUSTEE_GENOA, VERAISON_GENOA])
def test_genoa_is_accepted_without_a_list(vector_id: str) -> None:
    result = appraise(load(vector_id), revocation="not-checked")
    assert result.verdict == "accepted"
    assert isinstance(result.claims, SnpClaims)
    assert (result.claims.report_version, result.claims.product) == (3, "Genoa")
    assert result.claims.cpuid_family == 0x19
    (product,) = (check.got for check in result.checks if check.id == "snp.product")
    assert product == "Genoa, by the report's CPUID"
    with pytest.raises(EndorsementMissingError) as caught:
        appraise(load(vector_id))
    assert [item.kind for item in caught.value.missing] == [EndorsementKind.AMD_CRL]


def test_a_sibling_of_genoa_has_its_root() -> None:
    claims = claims_of(load(TRUSTEE_GENOA).evidence.data)
    assert isinstance(claims, SnpClaims)
    assert (claims.cpuid_family, claims.cpuid_model, claims.cpuid_stepping) == (0x19, 0xA0, 2)


def test_auxblob_of_configfs_tsm() -> None:
    items = endorsements_from_table(auxblob())
    vek, signer, root = (
        next(item.data for item in items if item.kind is kind)
        for kind in (EndorsementKind.AMD_VEK, EndorsementKind.AMD_SIGNER, EndorsementKind.AMD_ROOT)
    )
    stored = load(VERAISON_GENOA)
    assert len(items) == 3
    assert [vek] == [item.data for item in files(f"{VERAISON_GENOA}/vcek.der")]
    assert [signer, root] == [item.data for item in files("trust/amd/ask_ark_genoa.pem")]
    result = appraise(stored.with_items(items), revocation="not-checked")
    assert result.verdict == "accepted"
    assert result.anchor is not None
    assert (result.anchor.kind.value, result.anchor.name) == ("vendor", "ARK-Genoa")


class TestTurin:
    """A VCEK and its chain; no report of a Turin is stored."""

    NOW = datetime.fromisoformat("2025-06-01T00:00:00+00:00")

    def certificates(self) -> tuple[VekCertificate, Certificate, Certificate]:
        vek, signer, root = files(f"{TURIN}/vcek_turin.der", f"{TURIN}/cert_chain_turin").items
        assert (vek.kind, signer.kind, root.kind) == (
            EndorsementKind.AMD_VEK,
            EndorsementKind.AMD_SIGNER,
            EndorsementKind.AMD_ROOT,
        )
        return VekCertificate.from_der(vek.data), Certificate.from_der(signer.data), Certificate.from_der(root.data)

    def test_extensions_with_an_fmc_spl(self) -> None:
        vek, _, _ = self.certificates()
        extensions = vek.extensions
        assert f"{AMD_ARC}.3.9" in vek.certificate.extensions
        assert f"{AMD_ARC}.3.4" not in vek.certificate.extensions
        assert extensions.tcb == SnpTcb(fmc=0, bootloader=0, tee=0, snp=0, microcode=9)
        assert (extensions.struct_version, extensions.product_name) == (1, "Turin")
        assert extensions.hwid == vek.certificate.extensions[f"{AMD_ARC}.4"].value
        assert len(extensions.hwid) == 8
        assert (extensions.csp_id, extensions.reserved_spls) == (None, (0, 0, 0, 0))

    def test_chain(self) -> None:
        vek, signer, root = self.certificates()
        anchors = anchors_of_product(VENDOR_ROOTS, "Turin")
        anchor = verify_root(root, anchors, CRYPTO)
        assert anchor.name == "ARK-Turin"
        assert verify_signer(signer, anchors, "SEV-Turin", CRYPTO) == anchor
        verify_vek(vek, signer, CRYPTO)
        assert load_p384(vek, CRYPTO).algorithm is KeyAlgorithm.EC_P384
        for certificate in (vek.certificate, signer, root):
            require_in_date(certificate, self.NOW, role=certificate.subject.common_name)

    @pytest.mark.parametrize("product", ["milan", "genoa"])
    def test_chain_of_another_product(self, product: str) -> None:
        vek, signer, root = self.certificates()
        with pytest.raises(CertificateChainError):
            verify_root(root, anchors_of_product(VENDOR_ROOTS, product.title()), CRYPTO)
        with pytest.raises(CertificateChainError):
            verify_signer(signer, anchors_of_product(VENDOR_ROOTS, product.title()), "SEV-Turin", CRYPTO)
        other = files(f"trust/amd/ask_ark_{product}.pem").items[0]
        with pytest.raises(CertificateChainError):
            verify_vek(vek, Certificate.from_der(other.data), CRYPTO)


@pytest.mark.parametrize("wrong", ["trust/amd/ask_ark_genoa.pem", "trust/amd/ask_ark_milan_vlek.pem"])
def test_the_chain_of_another_product_or_key_type(wrong: str) -> None:
    vector = load(TRUSTEE_MILAN)
    other = vector.with_items((vector.item(EndorsementKind.AMD_VEK), *files(wrong)))
    with pytest.raises(EndorsementMissingError) as caught:
        appraise(other, **VERSION_2, **UNHEALTHY[TRUSTEE_MILAN])
    assert [item.kind for item in caught.value.missing] == [EndorsementKind.AMD_SIGNER]
