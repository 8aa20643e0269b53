"""Settings of simulated attesters as texts and names."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from rats_tls import registry
from rats_tls.core.claims import SnpTcb, TcbStatus
from rats_tls.core.endorsements import EndorsementKind
from rats_tls.core.errors import ConfigurationError
from rats_tls.simulation.settings import NAMED_STATES, settings_from_texts
from rats_tls.simulation.vendor_state import SignedItem
from rats_tls.simulation.world import ATTESTERS
from support.simulated import REPORT_DATA, world

SGX, TDX, LOCAL, SNP, SEV, CSV = ATTESTERS


def parse(name: str, **texts: object) -> dict[str, object]:
    return settings_from_texts(name, ATTESTERS[name], texts)


@pytest.mark.parametrize(
    ("name", "key", "text", "value"),
    [
        (SGX, "debug", "true", True),
        (SGX, "debug", "false", False),
        (SGX, "isv_svn", "0x10", 16),
        (SGX, "quote_version", "5", 5),
        (SGX, "mr_enclave", "ab" * 32, b"\xab" * 32),
        (SGX, "cpu_svn", "none", None),
        (SGX, "tcb_status", "OutOfDate", TcbStatus.OUT_OF_DATE),
        (SGX, "tcb_status", "none", None),
        (SGX, "sgx_components", "1.2.3", (1, 2, 3)),
        (SGX, "certificate_authority", "processor", "processor"),
        (SGX, "issue_date", "2026-01-01T00:00:00Z", datetime(2026, 1, 1, tzinfo=UTC)),
        (SGX, "revoked", "intel-pck,intel-tcb-signing", {SignedItem.INTEL_PCK, SignedItem.INTEL_TCB_SIGNING}),
        (SGX, "missing", "intel-tcb-info", {EndorsementKind.INTEL_TCB_INFO}),
        (TDX, "body_version", "1.5", "1.5"),
        (SNP, "product", "Turin", "Turin"),
        (SNP, "csp_id", "a provider", "a provider"),
        (SNP, "current_version", "1.55.40", (1, 55, 40)),
        (SNP, "reported_tcb", "4.0.24.219", SnpTcb(fmc=None, bootloader=4, tee=0, snp=24, microcode=219)),
        (SNP, "reported_tcb", "1.4.0.24.219", SnpTcb(fmc=1, bootloader=4, tee=0, snp=24, microcode=219)),
    ],
)
def test_texts_become_values(name: str, key: str, text: str, value: object) -> None:
    assert parse(name, **{key: text}) == {key: value}


@pytest.mark.parametrize(
    ("name", "key", "text"),
    [
        (SGX, "debug", "maybe"),
        (SGX, "isv_svn", "many"),
        (SGX, "isv_svn", "none"),
        (SGX, "quote_version", "6"),
        (SGX, "mr_enclave", "xyz"),
        (SGX, "tcb_status", "UpToDateish"),
        (SGX, "revoked", "everything"),
        (SGX, "issue_date", "yesterday"),
        (SGX, "tcb_levels", "1"),
        (SNP, "reported_tcb", "4.0.24"),
        (SNP, "reported_tcb", "a.b.c.d"),
    ],
)
def test_other_texts_are_refused(name: str, key: str, text: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{key}: got '{text}'"):
        parse(name, **{key: text})


@pytest.mark.parametrize(
    ("key", "listed"), [("tcb_status", "UpToDate, SWHardeningNeeded"), ("revoked", "intel-intermediate, intel-pck")]
)
def test_the_values_of_an_enumeration_are_listed(key: str, listed: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{key}: got 'Nope': expected one of .*{listed}"):
        parse(SGX, **{key: "Nope"})


def test_name_alone_is_for_flags() -> None:
    assert parse(SGX, debug=True) == {"debug": True}
    with pytest.raises(ConfigurationError, match="mr_enclave: it is no flag"):
        parse(SGX, mr_enclave=True)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        (SGX, {"revoked": {SignedItem.INTEL_TCB_INFO}}),
        (SGX, {"revoked": {SignedItem.AMD_SIGNER}}),
        (SGX, {"expired": {SignedItem.AMD_CRL}}),
        (SGX, {"missing": {EndorsementKind.AMD_CRL}}),
        (SNP, {"revoked": {SignedItem.AMD_VEK}}),
        (SNP, {"forged": {SignedItem.INTEL_PCK}}),
        (SNP, {"not_yet_valid": {SignedItem.INTEL_PCK}}),
    ],
)
def test_settings_without_effect_are_refused(name: str, settings: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError, match="which the simulated vendor cannot do"):
        world().attester(name, **settings)


def test_values_that_are_no_texts_stay() -> None:
    assert parse(SGX, debug=True, isv_svn=7) == {"debug": True, "isv_svn": 7}
    assert parse(SGX, unknown="x") == {"unknown": "x"}


def test_names_stand_for_whole_states() -> None:
    assert parse(SGX, out_of_date=True) == {"tcb_status": TcbStatus.OUT_OF_DATE}
    assert parse(TDX, wrong_module=True) == {"mr_signer_seam": b"\xff" * 48}
    assert parse(SGX, revoked=True) == {"revoked": frozenset({SignedItem.INTEL_PCK})}
    assert parse(SNP, out_of_date=True) == {"out_of_date": True}
    assert parse(CSV, masked=True) == {"report_version": 1}


@pytest.mark.parametrize(
    ("name", "state"), [(name, state) for name, states in NAMED_STATES.items() for state in states]
)
def test_every_named_state_makes_evidence(name: str, state: str) -> None:
    attester = world().attester_from_texts(name, {state: True})
    decoded = registry.verifier(name.removeprefix("simulated_")).decode(attester.collect(REPORT_DATA).evidence)
    assert decoded.report_data == (None if name == SEV else REPORT_DATA)


def test_attester_from_texts_refuses_what_is_unknown() -> None:
    with pytest.raises(ConfigurationError, match="unknown setting 'relaunch_advised'"):
        world().attester_from_texts(SGX, {"relaunch_advised": True})
    with pytest.raises(ConfigurationError, match="expected one of simulated_sgx_ecdsa"):
        world().attester_from_texts("null", {})
