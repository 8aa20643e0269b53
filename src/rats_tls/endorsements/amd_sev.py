"""AMD's files of ASK and ARK certificates before SEV-SNP.

Source: AMD, https://developer.amd.com/sev: one file for each product.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from rats_tls.core.endorsements import Endorsement, EndorsementKind, MissingEndorsement
from rats_tls.core.errors import DecodeError
from rats_tls.endorsements.http import HttpsClient, host_of, require_base_url
from rats_tls.endorsements.http_source import HttpSource, SourceRequest
from rats_tls.endorsements.url_parts import parts_of
from rats_tls.formats.amd.sev_bundle import endorsements_from_signers
from rats_tls.formats.amd.sev_signer import PRODUCTS
from rats_tls.formats.endorsement_keys import keys_of

SIGNERS_URL = "https://developer.amd.com"


class AmdSevSigners(HttpSource):
    """AMD's ASKs before SEV-SNP. Blocks; thread-safe.

    Served, by kind and parts of the key: ASK by `product`: Naples, Rome or Milan. It is the same for ever.

    Args:
        base_url: where the files are; for a mirror.
        ca: PEM certificates to verify the server by instead of the system's: a path, or the bytes.
        client: the HTTP client, which must allow the host; made when left out.

    Raises:
        UnsupportedError: the extra `fetch` is not installed.
        ConfigurationError: a URL or `ca` of another form, or a client that does not allow the host.
    """

    def __init__(
        self,
        *,
        base_url: str = SIGNERS_URL,
        ca: str | Path | bytes | None = None,
        client: HttpsClient | None = None,
    ) -> None:
        self._base = require_base_url(base_url)
        super().__init__("amd-sev-signers", client or HttpsClient((host_of(self._base),), ca=ca), self._base)

    def _request(self, item: MissingEndorsement) -> SourceRequest | None:
        product = parts_of(item).get("product", "")
        if item.kind is not EndorsementKind.AMD_SEV_SIGNER or product not in PRODUCTS:
            return None
        return SourceRequest(
            what=f"ASK of {product}",
            url=f"{self._base}/wp-content/resources/ask_ark_{product.lower()}.cert",
            accept="*/*",
            most_bytes=self._limits.certificate,
            read=partial(_read, item=item),
        )


def _read(body: bytes, _headers: Mapping[str, str], *, item: MissingEndorsement) -> tuple[Endorsement, ...]:
    found = endorsements_from_signers(body)
    if not any(item in keys_of(each) for each in found):
        raise DecodeError("SevSignerCertificate", "certifying_id", None, f"not the {item} that was asked for")
    return found
