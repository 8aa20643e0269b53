"""Simulated attesters: what they collect, when they renew, what they refuse."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta

import pytest

from rats_tls.core.endorsements import EndorsementKind as Kind
from rats_tls.core.errors import CollectionError, ConfigurationError
from rats_tls.core.evidence import TeeType
from rats_tls.core.interfaces import Attester
from rats_tls.simulation.vendor_state import SignedItem
from rats_tls.simulation.world import ATTESTERS, SimulatedWorld
from support.simulated import NOW, REPORT_DATA, world

NAMES = list(ATTESTERS)
TEE_TYPES = {
    "simulated_sgx_ecdsa": TeeType.SGX_ECDSA,
    "simulated_tdx_ecdsa": TeeType.TDX_ECDSA,
    "simulated_sgx_la": TeeType.SGX_LA,
    "simulated_sev_snp": TeeType.SEV_SNP,
    "simulated_sev": TeeType.SEV,
    "simulated_csv": TeeType.CSV,
}
DATED = [name for name in NAMES if name not in {"simulated_sgx_la", "simulated_sev", "simulated_csv"}]


@pytest.mark.parametrize("name", NAMES)
def test_is_an_attester_under_its_name(name: str) -> None:
    attester = world().attester(name)
    assert isinstance(attester, Attester)
    assert attester.name == name
    assert attester.tee_type is TEE_TYPES[name]
    collected = attester.collect(REPORT_DATA)
    assert collected.evidence.media_type == f"application/vnd.rats-tls.{name[10:].replace('_', '-')}"
    assert (REPORT_DATA in collected.evidence.data) is (name != "simulated_sev")
    assert collected.endorsements == attester.endorsements.items


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [0, 32, 63, 65])
def test_refuses_report_data_of_another_size(name: str, size: int) -> None:
    with pytest.raises(CollectionError, match=f"report_data: got {size} bytes, expected 64"):
        world().attester(name).collect(bytes(size))


@pytest.mark.parametrize("name", NAMES)
def test_says_once_that_it_is_simulated(name: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="rats_tls.simulation"):
        attester = world().attester(name)
        attester.collect(REPORT_DATA)
        attester.collect(REPORT_DATA)
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert name in record.getMessage()
    assert "simulated" in record.getMessage()


def test_local_reports_of_the_same_are_the_same_and_have_no_endorsements() -> None:
    attester = world().attester("simulated_sgx_la")
    assert attester.collect(REPORT_DATA) == attester.collect(REPORT_DATA)
    assert attester.endorsements.items == ()


@pytest.mark.parametrize(("name", "kinds"), [("simulated_sev", [Kind.AMD_SEV_SIGNER]), ("simulated_csv", [])])
def test_certificates_without_dates_are_not_issued_anew(name: str, kinds: list[Kind]) -> None:
    time = NOW
    attester = SimulatedWorld(clock=lambda: time).attester(name)
    first = attester.collect(REPORT_DATA)
    assert [item.kind for item in first.endorsements] == kinds
    time = NOW + timedelta(days=400)
    second = attester.collect(REPORT_DATA)
    assert (second.evidence != first.evidence, second.endorsements) == (True, first.endorsements)


@pytest.mark.parametrize("name", DATED)
def test_evidence_is_new_each_time_and_endorsements_last_a_day(name: str) -> None:
    time = NOW
    attester = SimulatedWorld(clock=lambda: time).attester(name)
    first = attester.collect(REPORT_DATA)
    time = NOW + timedelta(hours=23)
    second = attester.collect(REPORT_DATA)
    assert second.evidence != first.evidence
    assert second.endorsements == first.endorsements
    time = NOW + timedelta(hours=24)
    next_day = attester.collect(REPORT_DATA).endorsements
    assert next_day != first.endorsements
    time = NOW - timedelta(hours=3)
    back = attester.collect(REPORT_DATA).endorsements
    assert back != next_day, "what was issued in the future is no use to a clock that was set back"
    time = NOW
    assert attester.endorsements.items == back


@pytest.mark.parametrize(
    ("name", "settings", "problem"),
    [
        ("simulated_sgx_ecdsa", {"mr_enclave": b"short"}, "mr_enclave: got 5 bytes, expected 32"),
        ("simulated_sgx_ecdsa", {"isv_svn": 1 << 16}, "int too big"),
        ("simulated_sgx_ecdsa", {"sgx_components": (1, 2)}, "sgx_components: got 2, expected 16"),
        ("simulated_sgx_ecdsa", {"fmspc": b""}, "fmspc: got 0 bytes, expected 6"),
        ("simulated_tdx_ecdsa", {"body_version": "1.5"}, "quote version 4 carries 1.0 only"),
        ("simulated_tdx_ecdsa", {"rtmr3": b""}, "rtmr3: got 0 bytes, expected 48"),
        ("simulated_sgx_la", {"target_info": bytes(511)}, "target_info: got 511 bytes, expected 512"),
        ("simulated_sgx_la", {"key_id": b""}, "key_id: got 0 bytes, expected 32"),
        ("simulated_sev_snp", {"measurement": b"short"}, "measurement: got 5 bytes, expected 48"),
        ("simulated_sev_snp", {"product": "Rome"}, "product: got 'Rome'"),
        ("simulated_sev", {"product": "Genoa"}, "product: got 'Genoa'"),
        ("simulated_sev", {"expired": {SignedItem.AMD_SEV_SIGNER}}, "have no dates"),
        ("simulated_csv", {"measurement": b""}, "measurement: got 0 bytes, expected 32"),
        ("simulated_csv", {"report_version": 1, "anonce": b""}, "anonce: got 0 bytes, expected 4"),
        ("simulated_csv", {"serial": "x" * 65}, "serial: got 65 bytes, expected 64"),
        ("simulated_csv", {"expired": {SignedItem.HYGON_CEK}}, "have no dates"),
    ],
)
def test_state_that_cannot_be_written_is_refused_at_once(name: str, settings: dict[str, object], problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        world().attester(name, **settings)


def test_endorsements_are_those_of_the_kind_of_tee() -> None:
    intel = [Kind.INTEL_ROOT_CRL, Kind.INTEL_PCK_CRL, Kind.INTEL_TCB_INFO, Kind.INTEL_QE_IDENTITY]
    amd = [Kind.AMD_VEK, Kind.AMD_SIGNER, Kind.AMD_ROOT, Kind.AMD_CRL]
    assert [item.kind for item in world().endorsements("simulated_tdx_ecdsa")] == intel
    assert [item.kind for item in world().endorsements("simulated_sev_snp")] == amd
    with_chain = world().endorsements("simulated_sgx_ecdsa", certification_data_type=1)
    assert [item.kind for item in with_chain] == [*intel, Kind.INTEL_PCK_CHAIN]
    without = world().endorsements("simulated_sev_snp", missing={Kind.AMD_CRL, Kind.AMD_VEK})
    assert [item.kind for item in without] == [Kind.AMD_SIGNER, Kind.AMD_ROOT]


def test_the_clock_is_the_present_by_default() -> None:
    before = datetime.now(UTC)
    attester = SimulatedWorld().attester("simulated_sgx_ecdsa")
    (info,) = attester.endorsements.of_kind(Kind.INTEL_TCB_INFO)
    issued = (before - timedelta(hours=1)).strftime("%Y-%m-%dT%H:00:00Z")
    later = (datetime.now(UTC) - timedelta(hours=1)).strftime("%Y-%m-%dT%H:00:00Z")
    assert any(f'"issueDate":"{time}"'.encode() in info.data for time in (issued, later))
