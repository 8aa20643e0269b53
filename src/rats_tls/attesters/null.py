"""The `null` attester: no TEE, no Evidence. A peer accepts it only where its policy names `null`."""

from __future__ import annotations

from rats_tls.core.evidence import TeeType


class NullAttester:
    """Collects nothing."""

    name = "null"
    tee_type = TeeType.NULL

    def collect(self, report_data: bytes) -> None:
        """Collect no Evidence, whatever `report_data` is."""
        del report_data
