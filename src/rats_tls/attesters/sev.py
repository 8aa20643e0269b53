"""The Attester of AMD SEV and SEV-ES: such guests have no report of their own, and ask a broker on their host."""

from __future__ import annotations

import stat

from rats_tls.attesters.deadline import Deadline
from rats_tls.attesters.device_attester import SECONDS, DeviceAttester
from rats_tls.attesters.dialing import UnixAddress, parse_address
from rats_tls.attesters.evidence_broker import retrieve_evidence
from rats_tls.attesters.host_stream import SHARE_OF_TIME
from rats_tls.attesters.presence import absence
from rats_tls.core.errors import CollectionError, ConfigurationError, DecodeError
from rats_tls.core.evidence import Evidence, TeeType
from rats_tls.core.interfaces import Collected
from rats_tls.formats.amd.sev_report import SevEvidence, evidence_from_json
from rats_tls.formats.devices.evidence_broker import U32


class SevAttester(DeviceAttester):
    """`sev`: the SEV or SEV-ES guest that this process runs in.

    Its Evidence carries no report_data: the host asked for it, and nothing in it is the guest's word.

    Args:
        broker: address of the attestation evidence broker, `unix:PATH` or `vsock:CID:PORT`; required.
        guest_handle: the number that the firmware has for this guest, 1 to 2**32 - 1; required, as only the host (QMP
            `query-sev`) and a call to the hypervisor tell it.
        seconds: how long `collect` may take.

    Raises:
        ConfigurationError: one is missing or malformed.
    """

    name = "sev"
    tee_type = TeeType.SEV

    def __init__(self, *, broker: str | None = None, guest_handle: int | None = None, seconds: float = SECONDS) -> None:
        super().__init__(seconds=seconds)
        if broker is None:
            raise ConfigurationError(
                "attester sev: broker: missing: the address of the attestation evidence broker on the host, "
                "unix:PATH or vsock:CID:PORT"
            )
        if guest_handle is None:
            raise ConfigurationError(
                "attester sev: guest_handle: missing: the number that the host's firmware has for this guest"
            )
        if type(guest_handle) is not int or not 0 < guest_handle <= U32:
            raise ConfigurationError(f"attester sev: guest_handle: got {guest_handle!r}, expected 1 to {U32}")
        self._broker = parse_address(broker, "attester sev: broker")
        self._guest_handle = guest_handle

    @property
    def device(self) -> str:
        """The broker's address."""
        return str(self._broker)

    def _probe(self) -> str:
        """Say which broker there is; it is not dialed."""
        if isinstance(self._broker, UnixAddress) and (why := absence(self._broker.path, stat.S_ISSOCK, "socket")):
            raise CollectionError(f"{self._broker} {why}")
        return f"broker at {self._broker}, guest {self._guest_handle}"

    def _collect(
        self,
        report_data: bytes,  # noqa: ARG002  # nothing in a report is the guest's
        deadline: Deadline,
    ) -> Collected:
        document = retrieve_evidence(self._broker, self._guest_handle, seconds=deadline.left * SHARE_OF_TIME)
        try:
            evidence = evidence_from_json(document)
        except DecodeError as error:
            raise CollectionError(f"{self._broker} gave malformed Evidence: {error.message}") from error
        return Collected(evidence=Evidence.of(self.tee_type, evidence))

    def _report_data(self, evidence: bytes) -> None:
        SevEvidence.from_bytes(evidence)
