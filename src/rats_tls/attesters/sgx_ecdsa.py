"""The `sgx_ecdsa` attester: quotes of the enclave that this process runs in, under Gramine or Occlum."""

from __future__ import annotations

from rats_tls.attesters.deadline import Deadline
from rats_tls.attesters.device_attester import SECONDS, DeviceAttester
from rats_tls.attesters.gramine import Gramine
from rats_tls.attesters.occlum import Occlum
from rats_tls.attesters.presence import ABSENT
from rats_tls.core.errors import CollectionError, DecodeError, RatsTlsError
from rats_tls.core.evidence import Evidence, TeeType
from rats_tls.core.interfaces import Collected
from rats_tls.formats.intel.quote import Quote
from rats_tls.formats.intel.report import SgxReportBody


class SgxEcdsaAttester(DeviceAttester):
    """Collects quotes.

    Args:
        gramine: Gramine's files.
        occlum: Occlum's device, asked where there are none.
        seconds: how long `collect` may take.
    """

    name = TeeType.SGX_ECDSA.value
    tee_type = TeeType.SGX_ECDSA

    def __init__(
        self, *, gramine: Gramine | None = None, occlum: Occlum | None = None, seconds: float = SECONDS
    ) -> None:
        super().__init__(seconds=seconds)
        self._gramine = gramine or Gramine()
        self._occlum = occlum or Occlum()

    @property
    def device(self) -> str:
        """Gramine's directory, or Occlum's device."""
        return self._gramine.root if self._gramine.is_there() else self._occlum.path

    def _probe(self) -> str:
        return enclave(self._gramine, self._occlum, quotes=True)

    def _collect(self, report_data: bytes, deadline: Deadline) -> Collected:  # noqa: ARG002  # its files do not wait
        if self._gramine.is_there():
            self._gramine.require_dcap()
            quote = self._gramine.quote(report_data)
        else:
            require_device(self._gramine, self._occlum)
            quote = self._occlum.quote(report_data)
        return Collected(evidence=Evidence.of(self.tee_type, without_zeros(quote)))

    def _report_data(self, evidence: bytes) -> bytes:
        quote = Quote.from_bytes(evidence)
        if quote.trailing:
            raise DecodeError("Quote", "end", None, f"{quote.trailing} bytes behind the quote")
        if not isinstance(quote.body, SgxReportBody):
            raise DecodeError("Quote", "tee_type", 4, f"got {quote.header.tee_type:#x}, expected 0 (SGX)")
        return quote.body.report_data


def without_zeros(quote: bytes) -> bytes:
    """Give a quote without the zeros of the buffer that it was made in; anything else behind it stays."""
    try:
        trailing = Quote.from_bytes(quote).trailing
    except RatsTlsError:
        return quote  # what is wrong with it is said where Evidence is checked
    return quote[: len(quote) - trailing] if trailing and not any(quote[-trailing:]) else quote


def require_device(gramine: Gramine, occlum: Occlum) -> None:
    """Require that there is a device to ask at all.

    Raises:
        CollectionError: neither Gramine's files nor a device where Occlum has its.
    """
    if not occlum.is_there():
        raise CollectionError(
            f"{gramine.root} {gramine.absence()}, and {occlum.path} {occlum.obstacle() or ABSENT}: this process runs "
            "under neither Gramine nor Occlum"
        )


def enclave(gramine: Gramine, occlum: Occlum, *, quotes: bool) -> str:
    """Say in what enclave this process runs, and, with `quotes`, require that it gets quotes there.

    Raises:
        CollectionError: in none, or it gets no quotes.
    """
    if gramine.is_there():
        if quotes:
            gramine.require_dcap()
        return f"Gramine, {gramine.root}"
    require_device(gramine, occlum)
    occlum.own_target_info()
    return f"Occlum, {occlum.path}"
