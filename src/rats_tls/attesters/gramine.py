"""Gramine's pseudo files, by which an enclave gets quotes and local reports.

Source: Gramine documentation, "Attestation and Secret Provisioning", `/dev/attestation`. The files belong to the
process as a whole: what one thread writes another one reads, so all take turns on one name.
"""

from __future__ import annotations

from rats_tls.attesters.device import Files, OsFiles, failure
from rats_tls.attesters.presence import ABSENT, unseen
from rats_tls.core.errors import CollectionError
from rats_tls.formats.intel.local_report import LOCAL_REPORT_SIZE

ROOT = "/dev/attestation"
DCAP = "dcap"
_MOST_TYPE = 64
_MOST_QUOTE = 64 * 1024


class Gramine:
    """The files.

    Args:
        root: where they are.
        files: reads and writes them.
    """

    def __init__(self, root: str = ROOT, *, files: Files | None = None) -> None:
        self.root = root
        self._files = files if files is not None else OsFiles()

    def is_there(self) -> bool:
        """Whether this process runs in an enclave under Gramine; asking has no effect."""
        return self._files.is_there(self._path("attestation_type"))

    def absence(self) -> str:
        """Say why there is no Gramine, as what follows its root."""
        try:
            self._files.read(self._path("attestation_type"), _MOST_TYPE)
        except OSError as error:
            return unseen(error)
        return ABSENT

    def attestation_type(self) -> str:
        """Give the kind of remote attestation that the manifest asks for: "none", "epid" or "dcap".

        Raises:
            CollectionError: it cannot be read.
        """
        return self._read("attestation_type", _MOST_TYPE).decode("ascii", "replace").strip()

    def quote(self, report_data: bytes) -> bytes:
        """Get a quote that carries `report_data` (64 bytes).

        Raises:
            CollectionError: a file cannot be written or read.
        """
        self._write("user_report_data", report_data)
        return self._read("quote", _MOST_QUOTE)

    def local_report(self, target_info: bytes, report_data: bytes) -> bytes:
        """Get a local report (432 bytes) for another enclave.

        Args:
            target_info: its TARGETINFO (512 bytes).
            report_data: 64 bytes.

        Raises:
            CollectionError: a file cannot be written or read.
        """
        self._write("target_info", target_info)
        self._write("user_report_data", report_data)
        return self._read("report", LOCAL_REPORT_SIZE)

    def require_dcap(self) -> None:
        """Require that quotes are made.

        Raises:
            CollectionError: the manifest asks for another kind of attestation, or none.
        """
        got = self.attestation_type()
        if got != DCAP:
            raise CollectionError(
                f"{self._path('attestation_type')}: got {got!r}, expected {DCAP!r}: "
                'set sgx.remote_attestation = "dcap" in the manifest'
            )

    def _path(self, name: str) -> str:
        return f"{self.root}/{name}"

    def _read(self, name: str, most: int) -> bytes:
        try:
            return self._files.read(self._path(name), most)
        except OSError as error:
            raise failure(self._path(name), "read", error) from error

    def _write(self, name: str, data: bytes) -> None:
        try:
            self._files.write(self._path(name), data)
        except OSError as error:
            raise failure(self._path(name), f"write of {len(data)} bytes", error) from error
