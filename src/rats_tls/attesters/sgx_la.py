"""The `sgx_la` attester: local reports of the enclave that this process runs in, for one other enclave."""

from __future__ import annotations

from pathlib import Path

from rats_tls.attesters.deadline import Deadline
from rats_tls.attesters.device_attester import SECONDS, DeviceAttester
from rats_tls.attesters.gramine import Gramine
from rats_tls.attesters.occlum import Occlum
from rats_tls.attesters.setting_files import read_setting_file
from rats_tls.attesters.sgx_ecdsa import enclave, require_device
from rats_tls.core.errors import ConfigurationError, DecodeError
from rats_tls.core.evidence import Evidence, TeeType
from rats_tls.core.interfaces import Collected
from rats_tls.formats.intel.local_report import TARGET_INFO_SIZE, LocalReport, TargetInfo


class SgxLocalAttester(DeviceAttester):
    """Collects local reports.

    Args:
        target_info: TARGETINFO (512 bytes) of the enclave that shall check them, or a file with it; required.
        gramine: Gramine's files.
        occlum: Occlum's device, asked where there are none.
        seconds: how long `collect` may take.

    Raises:
        ConfigurationError: `target_info` is missing, cannot be read, or is no TARGETINFO.
    """

    name = TeeType.SGX_LA.value
    tee_type = TeeType.SGX_LA

    def __init__(
        self,
        *,
        target_info: bytes | str | Path | None = None,
        gramine: Gramine | None = None,
        occlum: Occlum | None = None,
        seconds: float = SECONDS,
    ) -> None:
        super().__init__(seconds=seconds)
        self._target_info = _target_info(target_info)
        self._gramine = gramine or Gramine()
        self._occlum = occlum or Occlum()

    @property
    def device(self) -> str:
        """Gramine's directory, or Occlum's device."""
        return self._gramine.root if self._gramine.is_there() else self._occlum.path

    def _probe(self) -> str:
        return enclave(self._gramine, self._occlum, quotes=False)

    def _collect(self, report_data: bytes, deadline: Deadline) -> Collected:  # noqa: ARG002  # its files do not wait
        if self._gramine.is_there():
            report = self._gramine.local_report(self._target_info, report_data)
        else:
            require_device(self._gramine, self._occlum)
            report = self._occlum.local_report(self._target_info, report_data)
        return Collected(evidence=Evidence.of(self.tee_type, report))

    def _report_data(self, evidence: bytes) -> bytes:
        return LocalReport.from_bytes(evidence).body.report_data


def _target_info(given: bytes | str | Path | None) -> bytes:
    where = "attester sgx_la: target_info"
    if given is None:
        raise ConfigurationError(f"{where}: missing: the TARGETINFO of the enclave that shall check the reports")
    if not isinstance(given, bytes):
        where, given = f"{where} {given}", read_setting_file(where, given, TARGET_INFO_SIZE)
    try:
        target = TargetInfo.from_bytes(given)
    except DecodeError as error:
        raise ConfigurationError(f"{where}: {error.message}") from error
    if not any(target.mr_enclave):
        raise ConfigurationError(f"{where}: got an MRENCLAVE of zeros: it is of no enclave")
    return given
