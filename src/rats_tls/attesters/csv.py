"""The `csv` attester: reports of the Hygon CSV guest that this process runs in."""

from __future__ import annotations

from pathlib import Path

from rats_tls.attesters.csv_guest import CsvGuest
from rats_tls.attesters.deadline import Deadline
from rats_tls.attesters.device import require_opened
from rats_tls.attesters.device_attester import SECONDS, DeviceAttester
from rats_tls.attesters.presence import ABSENT
from rats_tls.attesters.setting_files import read_setting_file
from rats_tls.core.errors import CollectionError, ConfigurationError
from rats_tls.core.evidence import Evidence, TeeType
from rats_tls.core.interfaces import Collected
from rats_tls.formats.hygon.certificates import USAGE_CEK, USAGE_HSK, is_key_form, is_root_form
from rats_tls.formats.hygon.evidence import CsvEvidence
from rats_tls.formats.hygon.hsk_cek import HSK_CEK_SIZE, HSK_SIZE

REPORT_VERSIONS = (1, 2, 3)


class CsvAttester(DeviceAttester):
    """Collects reports.

    Args:
        report_version: 1, which is all that C peers read, and whose guest policy is not proved by itself; 2, with
            registers; 3, with host_data. Where left out, 2, or 1 of a guest that is given no later one.
        certificates: a file with HSK and CEK of this chip (2916 bytes), which then are in the Evidence; without it
            whoever judges looks them up by the chip's serial number.
        device: the device.
        seconds: how long `collect` may take.

    Raises:
        ConfigurationError: another version, or a file that does not hold HSK and CEK.
    """

    name = TeeType.CSV.value
    tee_type = TeeType.CSV

    def __init__(
        self,
        *,
        report_version: int | None = None,
        certificates: str | Path | None = None,
        device: CsvGuest | None = None,
        seconds: float = SECONDS,
    ) -> None:
        super().__init__(seconds=seconds)
        if report_version is not None and (type(report_version) is not int or report_version not in REPORT_VERSIONS):
            raise ConfigurationError(f"attester csv: report_version: got {report_version!r}, expected 1, 2 or 3")
        self._version = report_version
        self._certificates = _hsk_cek(certificates) if certificates is not None else b""
        self._guest = device or CsvGuest()

    @property
    def device(self) -> str:
        """The guest device."""
        return self._guest.path

    def _probe(self) -> str:
        self._require_there()
        require_opened(self._guest)
        return self.device

    def _require_there(self) -> None:
        if self._guest.is_there():
            return
        absent = self._guest.obstacle() or ABSENT
        may_be = (
            ": this is no CSV guest, or its kernel has no driver, or this container was not given the device"
            if absent == ABSENT
            else ""
        )
        raise CollectionError(f"{self.device} {absent}{may_be}")

    def _collect(self, report_data: bytes, deadline: Deadline) -> Collected:  # noqa: ARG002  # one call
        self._require_there()
        evidence = self._guest.report(report_data, version=self._version)
        if self._certificates:
            evidence += self._certificates + HSK_CEK_SIZE.to_bytes(4, "little")
        return Collected(evidence=Evidence.of(self.tee_type, evidence))

    def _report_data(self, evidence: bytes) -> bytes:
        return CsvEvidence.from_bytes(evidence).report.user_data


def _hsk_cek(path: str | Path) -> bytes:
    setting = "attester csv: certificates"
    where = f"{setting} {path}"
    data = read_setting_file(setting, path, HSK_CEK_SIZE)
    if len(data) != HSK_CEK_SIZE:
        size = "more" if len(data) > HSK_CEK_SIZE else f"{len(data)} bytes"
        raise ConfigurationError(f"{where}: got {size}, expected {HSK_CEK_SIZE} bytes: HSK and CEK")
    if not (is_root_form(data[:HSK_SIZE], USAGE_HSK) and is_key_form(data[HSK_SIZE:], USAGE_CEK)):
        raise ConfigurationError(f"{where}: got something else, expected HSK and CEK")
    return data
