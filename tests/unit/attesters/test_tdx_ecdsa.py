"""The Attester of Intel TDX: how it chooses, what it dials, the event log, and what peers say of its Evidence."""

from __future__ import annotations

import errno
import logging
import os
import re
import socket
import struct
import threading
from pathlib import Path
from typing import Any

import pytest

from rats_tls.attesters.deadline import Deadline
from rats_tls.attesters.device import OsFiles
from rats_tls.attesters.device_attester import Availability
from rats_tls.attesters.dialing import Address, VsockAddress
from rats_tls.attesters.tdx_ecdsa import TdxEcdsaAttester
from rats_tls.attesters.tsm import NoProviderError, TsmReport
from rats_tls.core.claims import TdxClaims
from rats_tls.core.errors import CollectionError, ConfigurationError
from rats_tls.core.evidence import Evidence, TeeType
from rats_tls.core.interfaces import Attester
from rats_tls.formats.intel.quote import Quote
from rats_tls.simulation.devices.qgs import SimulatedQgs
from rats_tls.simulation.devices.tdx_guest import SimulatedTdxGuest
from rats_tls.simulation.devices.unix_service import StreamFaults
from rats_tls.simulation.trust_domain import SimulatedTrustDomain
from support.appraisals import claims_of
from support.host_services import by_100_callers, refusal, trust_domain
from support.judged import appraise
from support.policies import default_policy
from support.simulated import REPORT_DATA, world

LOGGER = "rats_tls.attesters.tdx_ecdsa"


class StandInTsm:
    """Gives quotes as configfs-tsm does, under the name of any provider."""

    root = "/sys/kernel/config/tsm/report"

    def __init__(self, domain: SimulatedTrustDomain, provider: str = "tdx_guest", *, fails: int = 0) -> None:
        self._domain = domain
        self._provider = provider
        self._fails = fails
        self.log: Path | None = None
        self.asked: list[bytes] = []

    def is_there(self) -> bool:
        return True

    def provider(self, *, deadline: Deadline | None = None) -> str:
        if self._fails == errno.ENXIO:
            raise NoProviderError("no entry")
        if self._fails:
            raise CollectionError("no entry") from OSError(self._fails, os.strerror(self._fails))
        return self._provider

    def report(
        self, inblob: bytes, *, provider: str, privilege_level: int | None = None, deadline: Deadline | None = None
    ) -> TsmReport:
        assert (provider, privilege_level) == (self._provider, None)
        self.asked.append(inblob)
        if self.log is not None:
            self.log.write_bytes(self._domain.event_log)
        quote = self._domain.quote(self._domain.td_report(inblob))
        assert quote is not None
        return TsmReport(provider=provider, outblob=quote, auxblob=b"")


class NoTsm(StandInTsm):
    def is_there(self) -> bool:
        return False

    def absence(self) -> str:
        return "is not there"

    def provider(self, *, deadline: Deadline | None = None) -> str:
        raise AssertionError("asked")


class NoDevice(SimulatedTdxGuest):
    def is_there(self) -> bool:
        return False

    def obstacle(self) -> str:
        return "is not there"


def made(tmp_path: Path, **settings: Any) -> TdxEcdsaAttester:
    """Make an attester that finds nothing of this machine's but what it is given."""
    domain = trust_domain()
    defaults: dict[str, Any] = {
        "tsm": NoTsm(domain),
        "device": SimulatedTdxGuest(domain),
        "event_log": str(tmp_path / "CCEL"),
        "configuration": str(tmp_path / "tdx-attest.conf"),
        "seconds": 20,
    }
    return TdxEcdsaAttester(**{**defaults, **settings})


def report_data(evidence: bytes) -> bytes:
    return Quote.from_bytes(evidence).body.report_data


def collect(attester: Attester) -> Evidence:
    collected = attester.collect(REPORT_DATA)
    assert collected is not None
    return collected.evidence


# --- whole ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("body_version", ["1.0", "1.5"])
@pytest.mark.parametrize("provider", ["configfs-tsm", "QGS"])
def test_peers_accept_what_it_collects(provider: str, body_version: str, tmp_path: Path) -> None:
    domain = trust_domain(event_log=True, quote_version=4 if body_version == "1.0" else 5, body_version=body_version)
    (tmp_path / "CCEL").write_bytes(domain.event_log)
    settings: dict[str, Any] = {"device": SimulatedTdxGuest(domain)}
    if provider == "configfs-tsm":
        settings = {"tsm": StandInTsm(domain), "device": NoDevice(domain)}
    with SimulatedQgs(tmp_path / "q", domain) as qgs:
        attester = made(tmp_path, qgs=qgs.address, **settings)
        assert isinstance(attester, Attester)
        evidence = collect(attester)
    assert evidence.event_log == domain.event_log.rstrip(b"\xff")
    result = appraise(evidence, domain.endorsements, default_policy(claims_of(evidence.data)))
    assert result.verdict == "accepted"
    claims = result.submodules["tdx_ecdsa"]
    assert isinstance(claims, TdxClaims)
    assert {event.register for event in claims.events} == {"rtmr0", "rtmr1", "rtmr2", "rtmr3"}


def test_100_callers_get_their_own_evidence_one_after_the_other(tmp_path: Path) -> None:
    device = SimulatedTdxGuest(trust_domain())
    with SimulatedQgs(tmp_path / "q", trust_domain()) as qgs:
        assert by_100_callers(made(tmp_path, qgs=qgs.address, device=device), report_data) == set(range(100))
    assert (device.calls, device.most_inside, qgs.connections) == (100, 1, 100)


# --- how it chooses ---------------------------------------------------------------------------------------------------
def test_configfs_tsm_comes_first_and_nothing_is_dialed(tmp_path: Path) -> None:
    device, tsm = SimulatedTdxGuest(trust_domain()), StandInTsm(trust_domain())
    with SimulatedQgs(tmp_path / "q", trust_domain()) as qgs:
        attester = made(tmp_path, qgs=qgs.address, device=device, tsm=tsm)
        assert report_data(collect(attester).data) == REPORT_DATA
        assert attester.availability() == Availability(usable=True, told=f"{tsm.root}: provider tdx_guest")
    assert (device.calls, qgs.connections, tsm.asked) == (0, 0, [REPORT_DATA])
    assert attester.device == tsm.root


def test_what_is_there_and_fails_is_not_replaced_by_what_comes_next(tmp_path: Path) -> None:
    device = SimulatedTdxGuest(trust_domain())
    with SimulatedQgs(tmp_path / "q", trust_domain()) as qgs:
        attester = made(tmp_path, qgs=qgs.address, device=device, tsm=StandInTsm(trust_domain(), fails=errno.EACCES))
        assert refusal(attester) == "attester tdx_ecdsa: no entry"
        assert attester.availability() == Availability(usable=False, told="no entry")
    assert (device.calls, qgs.connections) == (0, 0)


def test_another_provider_of_configfs_tsm_is_none_of_tdx(tmp_path: Path) -> None:
    tsm = StandInTsm(trust_domain(), "sev_guest")
    with SimulatedQgs(tmp_path / "q", trust_domain()) as qgs:
        assert report_data(collect(made(tmp_path, qgs=qgs.address, tsm=tsm)).data) == REPORT_DATA
    without = made(tmp_path, tsm=tsm, device=NoDevice(trust_domain()))
    said = "provider: got 'sev_guest', expected 'tdx_guest', and /dev/tdx_guest is not there"
    assert refusal(without) == f"attester tdx_ecdsa: {tsm.root}: {said}"
    assert tsm.asked == []


def test_configfs_tsm_without_a_provider_makes_no_quotes(tmp_path: Path) -> None:
    tsm = StandInTsm(trust_domain(), fails=errno.ENXIO)
    with SimulatedQgs(tmp_path / "q", trust_domain()) as qgs:
        assert report_data(collect(made(tmp_path, qgs=qgs.address, tsm=tsm)).data) == REPORT_DATA
    without = made(tmp_path, tsm=tsm, device=NoDevice(trust_domain()))
    assert refusal(without) == "attester tdx_ecdsa: no entry, and /dev/tdx_guest is not there"


def test_a_machine_with_neither(tmp_path: Path) -> None:
    attester = made(tmp_path, qgs="vsock:2:4050", device=NoDevice(trust_domain()))
    said = (
        "/sys/kernel/config/tsm/report is not there, and /dev/tdx_guest is not there: this is no TDX guest, or "
        "configfs is not mounted, the module tdx_guest is not loaded, or this container was given neither"
    )
    assert refusal(attester) == f"attester tdx_ecdsa: {said}"
    assert attester.availability() == Availability(usable=False, told=said)


# --- what it dials ----------------------------------------------------------------------------------------------------
@pytest.fixture
def no_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a socket was made")

    monkeypatch.setattr(socket, "socket", refuse)


@pytest.mark.usefixtures("no_sockets")
@pytest.mark.parametrize("configuration", [None, "", "# port = 4050\n", "ports = 4050\nquote = 1\n", "porto\n"])
def test_nothing_is_dialed_unless_it_is_configured(configuration: str | None, tmp_path: Path) -> None:
    if configuration is not None:
        (tmp_path / "tdx-attest.conf").write_text(configuration)
    device = SimulatedTdxGuest(trust_domain())
    attester = made(tmp_path, device=device)
    said = refusal(attester)
    assert said.startswith("attester tdx_ecdsa: /dev/tdx_guest: gives no quotes by itself")
    assert "set qgs=vsock:CID:PORT or qgs=unix:PATH, or write `port = N` into" in said
    assert not attester.availability().usable
    assert device.calls == 0


@pytest.fixture
def dialed(monkeypatch: pytest.MonkeyPatch) -> list[Address]:
    """The addresses that are dialed; none answers."""
    addresses: list[Address] = []

    def refuse(address: Address, seconds: float) -> None:
        addresses.append(address)
        raise CollectionError(f"{address}: nobody")

    monkeypatch.setattr("rats_tls.attesters.host_stream.dial", refuse)
    return addresses


@pytest.mark.parametrize(
    ("configuration", "port"),
    [
        ("port = 4050\n", 4050),
        ("  port=1  ", 1),
        ("# a comment\n\nother = 7\n\tport\t=\t4294967295\r\nport = 5\n", 4294967295),
    ],
)
def test_intels_configuration_names_a_port_of_the_host(
    configuration: str, port: int, dialed: list[Address], tmp_path: Path
) -> None:
    (tmp_path / "tdx-attest.conf").write_text(configuration)
    attester = made(tmp_path)
    assert attester.availability() == Availability(usable=True, told=f"/dev/tdx_guest and a QGS at vsock:2:{port}")
    assert dialed == []
    assert refusal(attester) == f"attester tdx_ecdsa: vsock:2:{port}: nobody"
    assert dialed == [VsockAddress(2, port)]


def test_an_address_that_is_given_comes_before_the_configuration(dialed: list[Address], tmp_path: Path) -> None:
    (tmp_path / "tdx-attest.conf").write_text("port = 1\n")
    refusal(made(tmp_path, qgs="vsock:9:4050"))
    assert dialed == [VsockAddress(9, 4050)]


@pytest.mark.usefixtures("no_sockets")
@pytest.mark.parametrize("port", ["0", "4294967296", "-1", "x", "", "4050 # comment", "99999999999", "4050 4051"])
def test_a_port_that_is_none_is_told(port: str, tmp_path: Path) -> None:
    (tmp_path / "tdx-attest.conf").write_text(f"port = {port}\n")
    said = f"tdx-attest.conf: port: got {port!r}, expected a number from 1 to 4294967295"
    attester = made(tmp_path)
    assert said in refusal(attester)
    assert said in attester.availability().told


@pytest.mark.usefixtures("no_sockets")
def test_a_configuration_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "tdx-attest.conf").mkdir()
    assert "tdx-attest.conf: read: EISDIR" in refusal(made(tmp_path))
    (tmp_path / "large").write_bytes(bytes(65_537))
    assert "large: read: EFBIG" in refusal(made(tmp_path, configuration=str(tmp_path / "large")))


def test_an_address_that_is_none_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="got '4050', expected unix:PATH"):
        made(tmp_path, qgs="4050")


# --- what goes wrong --------------------------------------------------------------------------------------------------
def test_a_device_that_fails_is_named(tmp_path: Path) -> None:
    with SimulatedQgs(tmp_path / "q", trust_domain()) as qgs:
        attester = made(tmp_path, qgs=qgs.address, device=SimulatedTdxGuest(trust_domain(), fails=errno.EIO))
        assert refusal(attester).startswith("attester tdx_ecdsa: /dev/tdx_guest: TDX_CMD_GET_REPORT0: EIO (")
    assert qgs.connections == 0


def test_a_service_that_stalls_is_named(tmp_path: Path) -> None:
    with SimulatedQgs(tmp_path / "q", trust_domain(), faults=StreamFaults(stalls=True)) as qgs:
        attester = made(tmp_path, qgs=qgs.address, seconds=0.5)
        said = refusal(attester)
    found = re.fullmatch(f"attester tdx_ecdsa: {qgs.address}: QGS GET_QUOTE: no answer within ([0-9.]+) seconds", said)
    assert found is not None
    assert 0.3 < float(found[1]) <= 0.4  # of what is left


def test_a_quote_with_other_report_data_is_not_given_to_anybody(tmp_path: Path) -> None:
    other = trust_domain().quote(trust_domain().td_report(bytes(64)))
    assert other is not None
    replaced = lambda message: message[:24] + other  # noqa: E731  # of the same size
    with SimulatedQgs(tmp_path / "q", trust_domain(), changes=replaced) as qgs:
        said = refusal(made(tmp_path, qgs=qgs.address))
    assert "/dev/tdx_guest gave Evidence with other report_data: got 0000" in said


@pytest.mark.parametrize("offset", [*range(512, 912, 8), 911])
def test_the_quote_of_another_trust_domain_is_not_given_to_anybody(offset: int, tmp_path: Path) -> None:
    """The host knows the report_data from the TDREPORT: a quote that carries it may be of a domain of its own."""

    def another(report: bytes) -> bytes:
        return report[:offset] + bytes((report[offset] ^ 1,)) + report[offset + 1 :]

    quote = trust_domain().quote(trust_domain().td_report(REPORT_DATA))
    assert quote is not None
    replaced = lambda _: struct.pack("<HHIIIII", 1, 1, 1, 24 + len(quote), 0, 0, len(quote)) + quote  # noqa: E731
    with SimulatedQgs(tmp_path / "q", trust_domain(), changes=replaced) as qgs:
        device = SimulatedTdxGuest(trust_domain(), changes=another)
        said = refusal(made(tmp_path, qgs=qgs.address, device=device))
        assert report_data(collect(made(tmp_path, qgs=qgs.address)).data) == REPORT_DATA
    fields = ("td_attributes", "xfam", *("mr_td", "mr_config_id", "mr_owner", "mr_owner_config"))
    fields = (*fields, *(f"rtmr{number}" for number in range(4)))
    field = fields[(offset - 512) // 8 if offset < 528 else 2 + (offset - 528) // 48]
    assert f"{qgs.address}: QGS GET_QUOTE: gave the quote of another trust domain: {field}: got " in said


@pytest.mark.parametrize(
    ("evidence", "said"),
    [
        (bytes(632), "gave malformed Evidence: QuoteHeader.version"),
        (world().attester("simulated_sgx_ecdsa").collect(REPORT_DATA).evidence.data, "the quote of an SGX enclave"),
    ],
    ids=["zeros", "an enclave's"],
)
def test_what_is_no_quote_of_a_trust_domain_is_refused(
    evidence: bytes, said: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "CCEL").write_bytes(trust_domain(event_log=True).event_log)

    def replaced(message: bytes) -> bytes:
        size = (24 + len(evidence)).to_bytes(4, "little")
        return message[:8] + size + message[12:20] + len(evidence).to_bytes(4, "little") + evidence

    with caplog.at_level(logging.WARNING, LOGGER), SimulatedQgs(tmp_path / "q", trust_domain(), changes=replaced) as q:
        assert said in refusal(made(tmp_path, qgs=q.address))
    assert [record for record in caplog.records if record.name == LOGGER] == []


# --- the event log ----------------------------------------------------------------------------------------------------
def test_the_log_is_read_after_the_quote(tmp_path: Path) -> None:
    tsm = StandInTsm(trust_domain(event_log=True))
    tsm.log = tmp_path / "CCEL"
    assert collect(made(tmp_path, tsm=tsm)).event_log


def test_a_machine_without_a_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, LOGGER):
        assert collect(made(tmp_path, tsm=StandInTsm(trust_domain()))).event_log == b""
    ((level, text),) = [(record.levelname, record.getMessage()) for record in caplog.records if record.name == LOGGER]
    assert level == "DEBUG"
    assert "CCEL: no event log: " in text


def test_a_log_that_is_too_large_is_none(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    log = trust_domain(event_log=True).event_log.rstrip(b"\xff")
    attester = made(tmp_path, tsm=StandInTsm(trust_domain(event_log=True)))
    (tmp_path / "CCEL").write_bytes(log.ljust(1_048_576, b"\xff"))
    assert collect(attester).event_log == log
    (tmp_path / "CCEL").write_bytes(log.ljust(1_048_577, b"\xff"))
    with caplog.at_level(logging.WARNING, LOGGER):
        assert collect(attester).event_log == b""
    assert "CCEL: no event log goes along: [Errno 27] more than 1048576 bytes" in caplog.text


def test_a_log_that_this_user_may_not_read_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    attester = made(tmp_path, tsm=StandInTsm(trust_domain(event_log=True)))

    def refuse(_: OsFiles, path: str, most: int) -> bytes:
        raise PermissionError(errno.EACCES, f"Permission denied to read {most} bytes", path)

    monkeypatch.setattr(OsFiles, "read", refuse)
    assert collect(attester).event_log == b""
    assert [record.levelname for record in caplog.records if record.name == LOGGER] == ["WARNING"]
    assert "CCEL: no event log goes along: [Errno 13] Permission denied" in caplog.text


@pytest.mark.parametrize(
    ("log", "said"),
    [
        (trust_domain(event_log=True, command_line="other").event_log, "events of rtmr2 replay to"),
        (b"\xff" * 100, "EventLog: got 100 bytes"),
        (b"", "EventLog: got 0 bytes"),
        (trust_domain(event_log=True).event_log[:500], "EventLog.digest"),
    ],
    ids=["another", "padding", "empty", "cut off"],
)
def test_a_log_that_peers_would_refuse_is_left_out(
    log: bytes, said: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    domain = trust_domain(event_log=True)
    (tmp_path / "CCEL").write_bytes(log)
    with caplog.at_level(logging.WARNING, LOGGER):
        evidence = collect(made(tmp_path, tsm=StandInTsm(domain)))
    assert evidence == Evidence.of(TeeType.TDX_ECDSA, evidence.data)
    (text,) = [record.getMessage() for record in caplog.records if record.name == LOGGER]
    assert "the event log is left out, as peers would refuse it" in text
    assert said in text
    result = appraise(evidence, domain.endorsements, default_policy(claims_of(evidence.data)))
    assert result.verdict == "accepted"


def test_threads_end(tmp_path: Path) -> None:
    before = threading.active_count()
    with SimulatedQgs(tmp_path / "q", trust_domain()) as qgs:
        collect(made(tmp_path, qgs=qgs.address))
    assert threading.active_count() == before
