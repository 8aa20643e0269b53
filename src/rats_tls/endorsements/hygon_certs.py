"""Hygon's certificate service: the certificates of a CSV chip.

Source: Hygon CSV attestation, certificate download by the chip's serial number.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from rats_tls.core.endorsements import Endorsement, EndorsementKind, MissingEndorsement
from rats_tls.endorsements.http import HttpsClient, host_of, require_base_url
from rats_tls.endorsements.http_source import HttpSource, SourceRequest
from rats_tls.endorsements.url_parts import parts_of, serial_number
from rats_tls.formats.hygon.certificates import KeyCertificate, RootCertificate
from rats_tls.formats.hygon.hsk_cek import endorsement_from_hsk_cek

HYGON_URL = "https://cert.hygon.cn"


class HygonCerts(HttpSource):
    """Hygon's service: HSK and CEK of a chip, which are the same for ever. Blocks; thread-safe.

    Served: the CEK chain by `chip`, the serial number that a report has as its chip_id.

    Args:
        base_url: where the service is; for a mirror.
        ca: PEM certificates to verify the server by instead of the system's: a path, or the bytes.
        client: the HTTP client, which must allow the host; made when left out.

    Raises:
        UnsupportedError: the extra `fetch` is not installed.
        ConfigurationError: a URL or `ca` of another form, or a client that does not allow the host.
    """

    def __init__(
        self,
        *,
        base_url: str = HYGON_URL,
        ca: str | Path | bytes | None = None,
        client: HttpsClient | None = None,
    ) -> None:
        self._base = require_base_url(base_url)
        super().__init__("hygon-certs", client or HttpsClient((host_of(self._base),), ca=ca), self._base)

    def _request(self, item: MissingEndorsement) -> SourceRequest | None:
        serial = serial_number(parts_of(item), "chip")
        if item.kind is not EndorsementKind.HYGON_CEK_CHAIN or serial is None:
            return None
        return SourceRequest(
            what=f"HSK and CEK of chip {serial}",
            url=f"{self._base}/hsk_cek?snumber={serial}",
            accept="application/octet-stream, */*",
            most_bytes=self._limits.certificate,
            read=_read_chain,
        )


def _read_chain(body: bytes, _headers: Mapping[str, str]) -> tuple[Endorsement, ...]:
    chain = endorsement_from_hsk_cek(body)
    RootCertificate.from_bytes(chain.issuer_chain[0], "HskCertificate")
    KeyCertificate.from_bytes(chain.data, "CekCertificate")
    return (chain,)
