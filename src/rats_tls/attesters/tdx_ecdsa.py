"""The Attester of Intel TDX: quotes by configfs-tsm, or by the guest device and a quote generation service (QGS).

Sources: Linux, Documentation/ABI/testing/configfs-tsm-report; Intel SGX DCAP, libtdx_attest; ACPI 6.5, 5.2.34 (CCEL).
"""

from __future__ import annotations

import hashlib
import logging
import re
from dataclasses import fields

from rats_tls.attesters.by_tsm import made_by_tsm
from rats_tls.attesters.deadline import Deadline
from rats_tls.attesters.device import Device, OsFiles, failure, require_opened
from rats_tls.attesters.device_attester import SECONDS, DeviceAttester
from rats_tls.attesters.dialing import HOST_CID, Address, VsockAddress, parse_address
from rats_tls.attesters.host_stream import SHARE_OF_TIME
from rats_tls.attesters.qgs import GET_QUOTE, get_quote
from rats_tls.attesters.tdx_guest import TdxGuest
from rats_tls.attesters.tsm import Tsm
from rats_tls.core.algorithms import HashAlgorithm
from rats_tls.core.errors import CollectionError, ConfigurationError, DecodeError, RatsTlsError
from rats_tls.core.evidence import Evidence, TeeType
from rats_tls.core.interfaces import Collected
from rats_tls.core.limits import DEFAULT_LIMITS
from rats_tls.formats.devices.tdx_guest import TdReport
from rats_tls.formats.event_log.reading import read_event_log
from rats_tls.formats.event_log.replay import TDX_REGISTERS, replay
from rats_tls.formats.intel.quote import Quote
from rats_tls.formats.intel.report import TdReportBody

PROVIDER = "tdx_guest"
EVENT_LOG = "/sys/firmware/acpi/tables/data/CCEL"
CONFIGURATION = "/etc/tdx-attest.conf"
"""Intel's own: `port = N` says that there is a QGS on the host."""

_MOST_CONFIGURATION = 65_536
_PORT = re.compile(r"\s*port\s*=\s*(.*?)\s*")
_DECIMAL = re.compile("[0-9]{1,10}")
_MOST_PORT = 0xFFFF_FFFF
_log = logging.getLogger(__name__)


class TdxEcdsaAttester(DeviceAttester):
    """`tdx_ecdsa`: the trust domain that this process runs in.

    configfs-tsm makes quotes where its provider is `tdx_guest`. Elsewhere the guest device makes a TDREPORT, and a QGS
    makes the quote; it is dialed only where `qgs` names it, or Intel's configuration file does.

    Args:
        qgs: address of the QGS, `unix:PATH` or `vsock:CID:PORT`.
        tsm: configfs-tsm.
        device: `/dev/tdx_guest`.
        event_log: file with the event log of the firmware and what it started (CCEL).
        configuration: Intel's configuration file.
        seconds: how long `collect` may take.

    Raises:
        ConfigurationError: `qgs` is no address, or another setting is of another kind.
    """

    name = "tdx_ecdsa"
    tee_type = TeeType.TDX_ECDSA

    def __init__(
        self,
        *,
        qgs: str | None = None,
        tsm: Tsm | None = None,
        device: Device | None = None,
        event_log: str = EVENT_LOG,
        configuration: str = CONFIGURATION,
        seconds: float = SECONDS,
    ) -> None:
        super().__init__(seconds=seconds)
        for name, path in (("event_log", event_log), ("configuration", configuration)):
            if not isinstance(path, str):
                raise ConfigurationError(f"attester tdx_ecdsa: {name}: got {path!r}, expected a file's name")
        self._qgs = parse_address(qgs, "attester tdx_ecdsa: qgs") if qgs is not None else None
        self._tsm = tsm if tsm is not None else Tsm()
        self._guest = TdxGuest(device)
        self._event_log_path = event_log
        self._configuration = configuration
        self._files = OsFiles()

    @property
    def device(self) -> str:
        """What is asked."""
        return self._tsm.root if self._tsm.is_there() else self._guest.path

    def _probe(self) -> str:
        """Say by what quotes are got. No QGS is dialed."""
        if made_by_tsm(self._tsm, PROVIDER, self._guest, tee="TDX"):
            return f"{self._tsm.root}: provider {PROVIDER}"
        require_opened(self._guest)
        return f"{self._guest.path} and a QGS at {self._address()}"

    def _collect(self, report_data: bytes, deadline: Deadline) -> Collected:
        quote = self._quote(report_data, deadline)
        # The log comes behind the quote: whatever the quote's registers hold is in it.
        return Collected(evidence=Evidence.of(self.tee_type, quote, self._event_log(quote)))

    def _report_data(self, evidence: bytes) -> bytes:
        return _td_body(evidence).report_data

    def _quote(self, report_data: bytes, deadline: Deadline) -> bytes:
        if made_by_tsm(self._tsm, PROVIDER, self._guest, tee="TDX", deadline=deadline):
            return self._tsm.report(report_data, provider=PROVIDER, deadline=deadline).outblob
        address = self._address()
        report = self._guest.report(report_data)
        quote = get_quote(address, report.data, seconds=deadline.left * SHARE_OF_TIME)
        _require_quote_of(report, quote, f"{address}: {GET_QUOTE}")
        return quote

    def _address(self) -> Address:
        """Give the address of the QGS."""
        if self._qgs is not None:
            return self._qgs
        port = self._configured_port()
        if port is None:
            raise CollectionError(
                f"{self._guest.path}: gives no quotes by itself, and no quote generation service is configured: "
                f"set qgs=vsock:CID:PORT or qgs=unix:PATH, or write `port = N` into {self._configuration}"
            )
        return VsockAddress(HOST_CID, port)

    def _configured_port(self) -> int | None:
        """Read Intel's configuration file: the first line that sets the port counts, as for libtdx_attest."""
        try:
            text = self._files.read(self._configuration, _MOST_CONFIGURATION)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise failure(self._configuration, "read", error) from error
        for line in text.decode(errors="replace").splitlines():
            if (setting := _PORT.fullmatch(line)) is not None:
                port = setting[1]
                if not _DECIMAL.fullmatch(port) or not 0 < int(port) <= _MOST_PORT:
                    raise CollectionError(
                        f"{self._configuration}: port: got {port[:32]!r}, expected a number from 1 to {_MOST_PORT}"
                    )
                return int(port)
        return None

    def _event_log(self, quote: bytes) -> bytes:
        """Give the event log, if there is one that replays to the registers of the quote: peers refuse any other."""
        try:
            area = self._files.read(self._event_log_path, DEFAULT_LIMITS.event_log)
        except FileNotFoundError:
            _log.debug("%s: no event log: there is none", self._event_log_path)
            return b""
        except OSError as error:
            _log.warning("%s: no event log goes along: %s", self._event_log_path, error)
            return b""
        try:
            body = _td_body(quote)
        except RatsTlsError:
            return b""  # such a quote is refused as a whole
        try:
            log = read_event_log(area)
            registers = {name: getattr(body, name) for name in TDX_REGISTERS.names.values()}
            replayed = replay(log, registers, TDX_REGISTERS, _digest)
            for name, value in registers.items():
                if (contradiction := replayed.contradiction(name, value)) is not None:
                    raise contradiction
        except RatsTlsError as error:
            _log.warning("%s: the event log is left out, as peers would refuse it: %s", self._event_log_path, error)
            return b""
        return area[: log.size]


def _td_body(quote: bytes) -> TdReportBody:
    """Give the body of a quote. Raises RatsTlsError: malformed, or that of an enclave."""
    body = Quote.from_bytes(quote).body
    if not isinstance(body, TdReportBody):
        raise DecodeError("Quote", "tee_type", 4, "got the quote of an SGX enclave, expected that of a trust domain")
    return body


def _require_quote_of(report: TdReport, quote: bytes, where: str) -> None:
    """Require that a quote is of the trust domain of this TDREPORT, of which it was to be made.

    The host has seen the report_data in the TDREPORT, and could have another trust domain, of its own, quote it too.

    Raises:
        CollectionError: it is of another one.
    """
    try:
        body = _td_body(quote)
    except RatsTlsError:
        return  # such a quote is refused as a whole
    for field in fields(report.info):
        got, expected = getattr(body, field.name), getattr(report.info, field.name)
        if got != expected:
            raise CollectionError(
                f"{where}: gave the quote of another trust domain: {field.name}: got {_hex(got)}, "
                f"expected {_hex(expected)} as in the TDREPORT"
            )


def _hex(value: int | bytes) -> str:
    return value.hex() if isinstance(value, bytes) else f"{value:#x}"


def _digest(algorithm: HashAlgorithm, data: bytes) -> bytes:
    return hashlib.new(algorithm.value, data).digest()
