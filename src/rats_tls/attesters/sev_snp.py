"""The Attester of AMD SEV-SNP: reports by configfs-tsm, or by the guest device, with the host's certificates.

Sources: Linux, Documentation/ABI/testing/configfs-tsm-report and Documentation/virt/coco/sev-guest.rst.
"""

from __future__ import annotations

import logging

from rats_tls.attesters.by_tsm import made_by_tsm
from rats_tls.attesters.deadline import Deadline
from rats_tls.attesters.device import Device, require_opened
from rats_tls.attesters.device_attester import SECONDS, DeviceAttester
from rats_tls.attesters.sev_guest import SevGuest
from rats_tls.attesters.tsm import Tsm
from rats_tls.core.endorsements import Endorsement, EndorsementKind
from rats_tls.core.errors import ConfigurationError, RatsTlsError
from rats_tls.core.evidence import Evidence, TeeType
from rats_tls.core.interfaces import Collected
from rats_tls.formats.amd.certificate_table import endorsements_from_table
from rats_tls.formats.amd.report import AttestationReport
from rats_tls.formats.x509 import Certificate, RevocationList

PROVIDER = "sev_guest"

_log = logging.getLogger(__name__)


class SevSnpAttester(DeviceAttester):
    """`sev_snp`: the SEV-SNP guest that this process runs in.

    configfs-tsm makes reports where its provider is `sev_guest`, elsewhere the guest device does. Certificates that the
    host has for them come along as Endorsements; a table that is malformed is logged and left out.

    Args:
        privilege_level: VMPL for which reports are made, 0 to 3, not below the guest's own; 0 where left out.
        tsm: configfs-tsm.
        device: `/dev/sev-guest`.
        seconds: how long `collect` may take.

    Raises:
        ConfigurationError: no such privilege level.
    """

    name = "sev_snp"
    tee_type = TeeType.SEV_SNP

    def __init__(
        self,
        *,
        privilege_level: int | None = None,
        tsm: Tsm | None = None,
        device: Device | None = None,
        seconds: float = SECONDS,
    ) -> None:
        super().__init__(seconds=seconds)
        if privilege_level is not None and (type(privilege_level) is not int or privilege_level not in range(4)):
            raise ConfigurationError(f"attester sev_snp: privilege_level: got {privilege_level!r}, expected 0 to 3")
        self._privilege_level = privilege_level
        self._tsm = tsm if tsm is not None else Tsm()
        self._guest = SevGuest(device)

    @property
    def device(self) -> str:
        """What is asked."""
        return self._tsm.root if self._tsm.is_there() else self._guest.path

    def _probe(self) -> str:
        if made_by_tsm(self._tsm, PROVIDER, self._guest, tee="SEV-SNP"):
            return f"{self._tsm.root}: provider {PROVIDER}"
        require_opened(self._guest)
        return self._guest.path

    def _collect(self, report_data: bytes, deadline: Deadline) -> Collected:
        if made_by_tsm(self._tsm, PROVIDER, self._guest, tee="SEV-SNP", deadline=deadline):
            given = self._tsm.report(
                report_data, provider=PROVIDER, privilege_level=self._privilege_level, deadline=deadline
            )
            return self._collected(given.outblob, given.auxblob, f"{self._tsm.root}: auxblob")
        extended = self._guest.extended_report(report_data, vmpl=self._privilege_level or 0, deadline=deadline)
        return self._collected(extended.report, extended.certificates, self._guest.path)

    def _report_data(self, evidence: bytes) -> bytes:
        return AttestationReport.from_bytes(evidence).report_data

    def _collected(self, report: bytes, table: bytes, where: str) -> Collected:
        return Collected(evidence=Evidence.of(self.tee_type, report), endorsements=_certificates(table, where))


def _certificates(table: bytes, where: str) -> tuple[Endorsement, ...]:
    """Read a certificate table. It is the host's, and must not stop the Evidence, here or where it is handed on."""
    try:
        items = endorsements_from_table(table) if table else ()
        for item in items:
            decode = RevocationList.from_der if item.kind is EndorsementKind.AMD_CRL else Certificate.from_der
            decode(item.data, item.kind.value)
    except RatsTlsError as error:
        _log.warning("%s: the host's certificates are left out: %s", where, error)
        return ()
    return items
