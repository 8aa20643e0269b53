"""The rules of trust (docs/rules-of-trust.md), each by a test that fails when the rule is taken out.

Rules that other files hold whole: 4 and 5 (`tests/vectors`, `tests/unit/formats`, `tests/unit/core/test_refusals.py`),
9 and 10 (`tests/attacks/test_channel.py`, `tests/contract/test_tls_wrappers.py`), 11 (`tests/e2e/test_blocking.py`).
"""

from __future__ import annotations

import importlib.util
import logging
import pkgutil
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import click
import pytest

import rats_tls
from rats_tls import registry
from rats_tls.appraisal import Appraiser
from rats_tls.cli.app import cli
from rats_tls.core.anchors import AnchorKind, TrustAnchor
from rats_tls.core.binding import Binding
from rats_tls.core.checks import Stage
from rats_tls.core.claims import TcbStatus
from rats_tls.core.endorsements import EndorsementKind, Endorsements, Origin
from rats_tls.core.errors import (
    AppraisalError,
    AuthenticityError,
    BindingError,
    CertificateChainError,
    ConfigurationError,
    EndorsementMissingError,
    ExpiredError,
    FreshnessError,
    InternalError,
    RatsTlsError,
    SignatureError,
    UnsupportedError,
)
from rats_tls.core.evidence import Evidence, TeeType
from rats_tls.core.interfaces import CryptoWrapper
from rats_tls.core.limits import Limits
from rats_tls.core.refusals import Refusal, WireCode
from rats_tls.core.results import AttestationResult
from rats_tls.core.verification import DecodedEvidence, Verification
from rats_tls.crypto_wrappers.null import NullCryptoWrapper
from rats_tls.crypto_wrappers.openssl import OpensslCryptoWrapper
from rats_tls.policy import ANY, Policy, SgxEntry
from rats_tls.simulation.vendor_state import SignedItem
from rats_tls.verifiers.sgx_ecdsa import SgxEcdsaVerifier
from rats_tls.verifiers.vendor_roots import VENDOR_ROOTS
from support.appraisals import claims_of
from support.judged import REPORT_DATA, appraise, appraiser, collected
from support.policies import default_policy, pinning_entry
from support.ratls_variants import make, variants
from support.sides import SGX, SNP, TDX, attester, context, policy_for
from support.simulated import NOW, world


class FailingVerifier:
    """A Verifier of a third party that fails in its own way."""

    name = "sgx_ecdsa"
    tee_type = TeeType.SGX_ECDSA

    def __init__(self, *, decodes: bool) -> None:
        self._decodes = decodes

    def decode(self, evidence: Evidence) -> DecodedEvidence:
        if not self._decodes:
            raise KeyError("header")
        return SgxEcdsaVerifier().decode(evidence)

    def verify(
        self,
        decoded: DecodedEvidence,
        endorsements: Endorsements,
        *,
        anchors: Sequence[TrustAnchor],
        crypto: CryptoWrapper,
        now: datetime,
    ) -> Verification:
        raise ZeroDivisionError("in a plug-in")


class TestRule1FailClosed:
    def test_a_result_is_made_by_appraisal_only(self) -> None:
        result = appraise(*collected())
        with pytest.raises(TypeError, match="appraisal"):
            replace(result, seal=object())
        made_elsewhere = [
            module.name
            for module in pkgutil.walk_packages(rats_tls.__path__, "rats_tls.")
            if module.name not in ("rats_tls.appraisal", "rats_tls.core.results", "rats_tls.__main__")
            and "_APPRAISAL_SEAL" in _source(module.name)
        ]
        assert made_elsewhere == []

    @pytest.mark.parametrize("decodes", [False, True])
    def test_an_exception_in_a_plug_in_is_a_refusal(self, decodes: bool) -> None:
        evidence, endorsements = collected()
        verifiers = {TeeType.SGX_ECDSA: FailingVerifier(decodes=decodes)}
        with pytest.raises(InternalError) as caught:
            appraise(evidence, endorsements, verifiers=verifiers)
        assert caught.value.refusal is Refusal.VERIFIER_FAILED

    def test_unknown_evidence(self) -> None:
        with pytest.raises(UnsupportedError):
            appraise(Evidence("application/unknown", b"x"), None)

    @pytest.mark.parametrize(
        "kind",
        [
            EndorsementKind.INTEL_TCB_INFO,
            EndorsementKind.INTEL_QE_IDENTITY,
            EndorsementKind.INTEL_PCK_CRL,
            EndorsementKind.INTEL_ROOT_CRL,
        ],
    )
    def test_each_missing_endorsement(self, kind: EndorsementKind) -> None:
        evidence, endorsements = collected()
        fewer = Endorsements(tuple(item for item in endorsements if item.kind is not kind))
        with pytest.raises(EndorsementMissingError) as caught:
            appraise(evidence, fewer)
        assert [item.kind for item in caught.value.missing] == [kind]

    def test_expired_endorsements(self) -> None:
        evidence, endorsements = collected()
        result = appraise(evidence, endorsements)
        assert result.valid_until is not None
        with pytest.raises(ExpiredError) as caught:
            appraise(evidence, endorsements, now=result.valid_until + timedelta(seconds=1))
        assert caught.value.refusal is Refusal.ENDORSEMENTS_EXPIRED


class TestRule2Policy:
    def test_it_is_a_required_argument(self) -> None:
        with pytest.raises(TypeError, match="policy"):
            Appraiser(verifiers={}, anchors=(), crypto=OpensslCryptoWrapper())  # type: ignore[call-arg]

    def test_no_mixing_of_entries(self) -> None:
        """Old firmware of one entry and the new kernel of another are no third entry."""
        evidence, endorsements = collected(TDX)
        claims: Any = claims_of(evidence.data)
        one = pinning_entry(claims, name="one", rtmr1=bytes(48))
        two = pinning_entry(claims, name="two", rtmr2=b"\1" * 48)
        with pytest.raises(AppraisalError) as caught:
            appraise(evidence, endorsements, Policy.of(one, two))
        assert {(m.entry, m.field) for m in caught.value.mismatches} == {("one", "rtmr1"), ("two", "rtmr2")}
        whole = pinning_entry(claims, name="whole")
        assert appraise(evidence, endorsements, Policy.of(one, whole, two)).policy_entry == "whole"

    def test_what_has_no_default_must_be_written(self) -> None:
        text = policy_for(SGX).to_toml()
        for field in ("mr_enclave", "mr_signer", "isv_prod_id", "min_isv_svn", "min_tcb", "bindings", "identity"):
            without = "\n".join(line for line in text.splitlines() if not line.startswith(f"{field} ="))
            with pytest.raises(ConfigurationError, match=field):
                Policy.from_toml(without)

    def test_revoked_can_never_be_accepted(self) -> None:
        with pytest.raises(ConfigurationError, match="revoked"):
            policy_for(SGX, tcb_statuses=("UpToDate", "Revoked"))
        evidence, endorsements = collected(tcb_status=TcbStatus.REVOKED)
        entry = pinning_entry(claims_of(evidence.data), advisories=("INTEL-SA-00837", "INTEL-SA-01036"))
        object.__setattr__(entry, "tcb_statuses", tuple(TcbStatus))  # past the check of the field
        with pytest.raises(RatsTlsError):
            appraise(evidence, endorsements, Policy.of(entry))

    @pytest.mark.parametrize("name", [SGX, TDX, SNP])
    def test_debug_is_refused_independently_of_the_measurement(self, name: str) -> None:
        evidence, endorsements = collected(name, debug=True)
        with pytest.raises(AppraisalError) as caught:
            appraise(evidence, endorsements, policy_for(name))
        assert {mismatch.field for mismatch in caught.value.mismatches} == {"allow_debug"}

    @pytest.mark.parametrize(
        ("name", "state", "field"),
        [
            (SGX, {"config_id": b"\1" * 64}, "config_id"),
            (SGX, {"isv_family_id": b"\1" * 16}, "isv_family_id"),
            (TDX, {"mr_config_id": b"\1" * 48}, "mr_config_id"),
            (TDX, {"mr_owner": b"\1" * 48}, "mr_owner"),
            (TDX, {"mr_owner_config": b"\1" * 48}, "mr_owner_config"),
            (
                TDX,
                {"quote_version": 5, "body_version": "1.5", "mr_service_td": b"\1" * 48},
                "mr_service_td",
            ),
            (TDX, {"td_attributes": 0}, "require_sept_ve_disable"),
            (TDX, {"td_attributes": 1 << 28 | 1 << 29}, "allow_migratable"),
            (TDX, {"td_attributes": 1 << 28 | 1 << 63}, "allowed_td_attributes"),
            (SNP, {"vmpl": 1}, "vmpl"),
            (SNP, {"policy": 0x30000 | 1 << 18}, "allow_migration_agent"),
            (SNP, {"policy": 0x30000 | 1 << 40}, "allowed_policy_bits"),
            (SNP, {"committed_version": (1, 55, 39)}, "allow_provisional_firmware"),
        ],
    )
    def test_strict_defaults(self, name: str, state: dict[str, Any], field: str) -> None:
        evidence, endorsements = collected(name, **state)
        with pytest.raises(AppraisalError) as caught:
            appraise(evidence, endorsements, policy_for(name))
        assert field in {mismatch.field for mismatch in caught.value.mismatches}

    def test_vlek_needs_its_provider_written(self) -> None:
        evidence, endorsements = collected(SNP, key_type="VLEK")
        with pytest.raises(AppraisalError) as caught:
            appraise(evidence, endorsements, policy_for(SNP))
        assert {mismatch.field for mismatch in caught.value.mismatches} == {"csp_ids"}
        assert appraise(evidence, endorsements, policy_for(SNP, csp_ids="rats-tls-simulation")).verdict == "accepted"


class TestRule3OneCallInOrder:
    def test_order_of_failures(self) -> None:
        """One piece of evidence with everything wrong; each repair lets the next failure show."""
        evidence, endorsements = collected(debug=True)
        late = NOW + timedelta(days=4000)
        broken = Evidence(evidence.media_type, evidence.data[:500] + b"\xff" + evidence.data[501:])
        with pytest.raises(SignatureError):
            appraise(broken, None, now=late, report_data=bytes(64), anchors=VENDOR_ROOTS)
        with pytest.raises(BindingError):
            appraise(evidence, None, now=late, report_data=bytes(64), anchors=VENDOR_ROOTS)
        with pytest.raises(CertificateChainError):
            appraise(evidence, None, now=NOW, anchors=VENDOR_ROOTS)
        with pytest.raises(AppraisalError) as caught:
            appraise(evidence, None, now=NOW)
        assert not caught.value.authenticated
        assert len(caught.value.missing) == 4
        assert "tcb_statuses" in caught.value.not_done
        with pytest.raises(EndorsementMissingError) as missing:
            appraise(evidence, None, policy_for(SGX, allow_debug=True), now=NOW)
        stages = {check.stage for check in missing.value.checks if check.verdict.value == "passed"}
        assert {Stage.DECODE, Stage.EVIDENCE_SIGNATURE, Stage.KEY_BINDING, Stage.VENDOR_CHAIN} <= stages
        assert appraise(evidence, endorsements, policy_for(SGX, allow_debug=True)).verdict == "accepted"

    def test_freshness_before_policy(self) -> None:
        certificate = make(variants()["good"])
        policy = policy_for(TDX, mr_td=bytes(48))
        with pytest.raises(FreshnessError):
            appraiser(world().attester(TDX).endorsements, policy).appraise_certificate(
                certificate, now=NOW, possession_proved=True
            )

    @pytest.mark.parametrize("size", [0, 32, 63, 65, 128])
    def test_expected_report_data_is_64_bytes(self, size: int) -> None:
        with pytest.raises(ConfigurationError, match="64"):
            appraise(*collected(), report_data=bytes(size))

    @pytest.mark.parametrize("name", [SGX, TDX, SNP])
    @pytest.mark.parametrize("bit", [0, 255, 256, 511])
    def test_every_bit_of_report_data_counts(self, name: str, bit: int) -> None:
        evidence, endorsements = collected(name)
        wrong = bytearray(REPORT_DATA)
        wrong[bit // 8] ^= 1 << bit % 8
        with pytest.raises(BindingError):
            appraise(evidence, endorsements, policy_for(name), report_data=bytes(wrong))

    def test_unbound_evidence_only_where_the_policy_lists_it(self) -> None:
        evidence, endorsements = collected()
        with pytest.raises(AppraisalError) as caught:
            appraise(evidence, endorsements, policy_for(SGX, bindings="certificate"), report_data=None)
        assert {mismatch.field for mismatch in caught.value.mismatches} == {"bindings"}
        result = appraise(evidence, endorsements, policy_for(SGX, bindings="none"), report_data=None)
        assert result.binding is Binding.NONE
        assert result.binding_note == "key binding: not checked"


class TestRule6AllMismatches:
    def test_all_at_once_with_field_got_and_expected(self) -> None:
        evidence, endorsements = collected(debug=True, isv_svn=1)
        policy = policy_for(SGX, mr_enclave=bytes(32), mr_signer=b"\2" * 32, min_isv_svn=9, isv_prod_id=77)
        with pytest.raises(AppraisalError) as caught:
            appraise(evidence, endorsements, policy)
        found = {mismatch.field: mismatch for mismatch in caught.value.mismatches}
        assert set(found) == {"mr_enclave", "mr_signer", "isv_prod_id", "min_isv_svn", "allow_debug"}
        assert found["min_isv_svn"].got == "1"
        assert "9" in found["min_isv_svn"].expected
        for field in found:
            assert field in caught.value.message

    def test_appraisal_refusals_share_one_wire_code(self) -> None:
        own = {
            Refusal.MALFORMED_EVIDENCE,
            Refusal.UNSUPPORTED_EVIDENCE,
            Refusal.NO_EVIDENCE,
            Refusal.EVIDENCE_SIGNATURE,
            Refusal.KEY_BINDING,
            Refusal.CERTIFICATE_CHAIN,
            Refusal.REVOKED,
            Refusal.FRESHNESS,
            Refusal.ENDORSEMENTS_MISSING,
            Refusal.ENDORSEMENTS_EXPIRED,
            Refusal.CERTIFICATE_NOT_IN_DATE,
            Refusal.TCB_NO_LEVEL,
            Refusal.POLICY,
            Refusal.ENDORSEMENTS_ROLLED_BACK,
            Refusal.CLOCK_BEHIND,
            Refusal.EVENT_LOG,
            Refusal.VERIFIER_FAILED,
            Refusal.NOT_CONFIRMED,
        }
        assert {refusal for refusal in Refusal if refusal.wire_code is WireCode.APPRAISAL} == own


class TestRule7Anchors:
    @pytest.mark.parametrize("name", [SGX, TDX, SNP])
    def test_a_simulated_chain_needs_its_anchor_by_argument(self, name: str) -> None:
        evidence, endorsements = collected(name)
        with pytest.raises((CertificateChainError, AuthenticityError)):
            appraise(evidence, endorsements, policy_for(name), anchors=VENDOR_ROOTS)
        result = appraise(evidence, endorsements, policy_for(name))
        assert result.anchor is not None
        assert result.anchor.kind is AnchorKind.SIMULATED

    @pytest.mark.parametrize("name", [SGX, TDX, SNP])
    def test_subject_and_key_must_both_match(self, name: str) -> None:
        evidence, endorsements = collected(name)
        other_key = tuple(replace(anchor, spki=VENDOR_ROOTS[0].spki) for anchor in world().trust_anchors)
        other_name = tuple(replace(anchor, subject=VENDOR_ROOTS[0].subject) for anchor in world().trust_anchors)
        for anchors in (other_key, other_name, ()):
            with pytest.raises(AuthenticityError):
                appraise(evidence, endorsements, policy_for(name), anchors=anchors)


class TestRule8Visible:
    def test_importing_the_package_does_not_import_the_simulation(self) -> None:
        code = (
            "import sys, rats_tls.context, rats_tls.appraisal, rats_tls.registry\n"
            "rats_tls.registry.verifiers()\n"
            "print(any(name.startswith('rats_tls.simulation') for name in sys.modules))"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
        assert done.stdout.strip() == "False"

    def test_a_simulated_attester_warns(self, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.WARNING):
            attester(SGX)
        assert "simulated" in caplog.text

    def test_null_crypto_verifies_nothing(self) -> None:
        with pytest.raises(UnsupportedError):
            appraise(*collected(), crypto=NullCryptoWrapper())

    def test_no_environment_variable_turns_trust_on(self) -> None:
        readers = [
            module.name
            for module in pkgutil.walk_packages(rats_tls.__path__, "rats_tls.")
            if re.search(r"\b(environb?|getenvb?|envvar|auto_envvar_prefix)\b", _source(module.name))
        ]
        assert readers == [
            "rats_tls.cli.app",  # a shell's question for completion; no command is run for it
            "rats_tls.cli.demo",  # hands colours and width to the processes that it starts
            "rats_tls.cli.options",  # the log level
        ]

    def test_of_all_options_the_environment_sets_the_log_level_alone(self) -> None:
        def set_by_environment(command: click.Command) -> set[str]:
            found = {str(parameter.name) for parameter in command.params if parameter.envvar}
            if isinstance(command, click.Group):
                context = click.Context(command)
                inner = [command.get_command(context, name) for name in command.list_commands(context)]
                found.update(*(set_by_environment(each) for each in inner if each is not None))
            return found

        assert set_by_environment(cli) == {"log_level"}
        assert "auto_envvar_prefix" not in cli.context_settings


class TestRule12WhatIsRemembered:
    def test_simulated_anchors_never_warm_a_production_context(self) -> None:
        """The same Verifier object, asked under simulated anchors first, refuses under the vendors'."""
        evidence, endorsements = collected()
        shared = registry.verifiers([TeeType.SGX_ECDSA])
        assert appraise(evidence, endorsements, verifiers=shared).verdict == "accepted"
        with pytest.raises(CertificateChainError):
            appraise(evidence, endorsements, verifiers=shared, anchors=VENDOR_ROOTS)

    def test_simulated_amd_anchors_never_warm_a_production_context(self) -> None:
        evidence, endorsements = collected(SNP)
        shared = registry.verifiers([TeeType.SEV_SNP])
        assert appraise(evidence, endorsements, policy_for(SNP), verifiers=shared).verdict == "accepted"
        with pytest.raises(AuthenticityError):
            appraise(evidence, endorsements, policy_for(SNP), verifiers=shared, anchors=VENDOR_ROOTS)

    def test_a_changed_policy_ends_a_remembered_appraisal(self) -> None:
        certificate, endorsements = self.certificate()
        shared = registry.verifiers([TeeType.TDX_ECDSA])
        lenient = appraiser(endorsements, policy_for(TDX, max_evidence_age=ANY), verifiers=shared)
        strict = appraiser(endorsements, policy_for(TDX, max_evidence_age=ANY, mr_td=bytes(48)), verifiers=shared)
        strict._memory = lenient._memory
        assert self.judge(lenient, certificate).verdict == "accepted"
        assert len(lenient._memory._remembered) == 1
        with pytest.raises(AppraisalError):
            self.judge(strict, certificate)

    def test_a_changed_revocation_list_ends_a_remembered_appraisal(self) -> None:
        certificate, endorsements = self.certificate()
        revoking = Endorsements(
            tuple(
                replace(item, origin=Origin.LOCAL)
                for item in world().attester(TDX, revoked={SignedItem.INTEL_PCK}).endorsements
                if item.kind is EndorsementKind.INTEL_PCK_CRL
            )
        )
        shared = registry.verifiers([TeeType.TDX_ECDSA])
        before = appraiser(endorsements, policy_for(TDX, max_evidence_age=ANY), verifiers=shared)
        others = Endorsements(tuple(i for i in endorsements if i.kind is not EndorsementKind.INTEL_PCK_CRL))
        after = appraiser(others.with_items(revoking), policy_for(TDX, max_evidence_age=ANY), verifiers=shared)
        after._memory = before._memory
        assert self.judge(before, certificate).verdict == "accepted"
        with pytest.raises(AuthenticityError) as caught:
            self.judge(after, certificate)
        assert caught.value.refusal is Refusal.REVOKED

    def test_time_is_compared_on_every_use(self) -> None:
        certificate, endorsements = self.certificate()
        judging = appraiser(endorsements, policy_for(TDX, max_evidence_age=ANY))
        result = self.judge(judging, certificate)
        assert result.valid_until is not None
        with pytest.raises(ExpiredError):
            self.judge(judging, certificate, now=result.valid_until + timedelta(seconds=1))

    def test_age_is_compared_on_every_use(self) -> None:
        evidence_time = NOW
        credentials = context(SGX)._credentials.current()
        if credentials.certificate is None:
            raise AssertionError("no certificate")
        judging = appraiser(world().attester(SGX).endorsements)
        accepted = judging.appraise_certificate(credentials.certificate, now=evidence_time, possession_proved=True)
        assert accepted.verdict == "accepted"
        with pytest.raises(FreshnessError):
            judging.appraise_certificate(
                credentials.certificate, now=evidence_time + timedelta(seconds=3601), possession_proved=True
            )

    def test_possession_is_not_remembered(self) -> None:
        certificate, endorsements = self.certificate()
        judging = appraiser(endorsements, policy_for(TDX, max_evidence_age=ANY, bindings="certificate"))
        assert self.judge(judging, certificate).binding is Binding.CERTIFICATE
        with pytest.raises(AppraisalError):
            judging.appraise_certificate(certificate, now=NOW, possession_proved=False)

    def test_memory_is_bounded(self) -> None:
        _, endorsements = self.certificate()
        limits = replace(Limits(), cached_appraisals=2)
        judging = appraiser(endorsements, policy_for(TDX, max_evidence_age=ANY), limits=limits)
        for name in ("good", "no_ski_aki", "ca_true", "unknown_noncritical_ext"):
            self.judge(judging, make(variants()[name]))
        assert len(judging._memory._remembered) == 2

    def test_a_remembered_result_is_of_this_moment_and_connection(self) -> None:
        certificate, endorsements = self.certificate()
        judging = appraiser(endorsements, policy_for(TDX, max_evidence_age=ANY))
        first = self.judge(judging, certificate)
        second = self.judge(judging, certificate, now=NOW + timedelta(seconds=5))
        assert (first.judged_at, second.judged_at) == (NOW, NOW + timedelta(seconds=5))
        assert (first.remembered_from, second.remembered_from) == (None, NOW)
        assert replace(first, judged_at=second.judged_at, remembered_from=NOW) == second

    @staticmethod
    def certificate() -> tuple[bytes, Endorsements]:
        return make(variants()["good"]), world().attester(TDX).endorsements

    @staticmethod
    def judge(judging: Appraiser, certificate: bytes, now: datetime = NOW) -> AttestationResult:
        return judging.appraise_certificate(certificate, now=now, possession_proved=True, preamble=True)


class TestRule13NoSigningOracle:
    def test_report_data_of_a_certificate_binds_a_pubkey_hash(self) -> None:
        """Caller's claims never stand at the place of the key's hash, whatever they are called."""
        with pytest.raises(ConfigurationError, match="reserved"):
            context(SGX, custom_claims={"pubkey-hash": b"\x82\x01\x58\x20" + bytes(32)})._credentials.current()


def test_entries_are_of_one_tee() -> None:
    assert SgxEntry.tee is TeeType.SGX_ECDSA
    with pytest.raises(ConfigurationError, match="tee"):
        Policy.from_toml(policy_for(SGX).to_toml().replace('tee = "sgx_ecdsa"', 'tee = "sgx"'))


def test_the_default_policy_of_a_tee_is_not_anothers() -> None:
    evidence, endorsements = collected(SNP)
    with pytest.raises(AppraisalError) as caught:
        appraise(evidence, endorsements, policy_for(SGX))
    assert [(m.field, m.got) for m in caught.value.mismatches] == [("tee", "sev_snp")]
    assert default_policy(claims_of(evidence.data)).tee_types == {TeeType.SEV_SNP}


def _source(module: str) -> str:
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise AssertionError(f"{module} has no source")
    return Path(spec.origin).read_text(encoding="utf-8")
