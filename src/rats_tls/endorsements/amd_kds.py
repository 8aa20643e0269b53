"""AMD's Key Distribution Service (KDS).

Source: AMD, Versioned Chip Endorsement Key (VCEK) Certificate and KDS Interface Specification (57230), 4.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from rats_tls.core.endorsements import Endorsement, EndorsementKind, MissingEndorsement
from rats_tls.core.errors import DecodeError
from rats_tls.endorsements.http import HttpsClient, host_of, require_base_url
from rats_tls.endorsements.http_source import HttpSource, SourceRequest
from rats_tls.endorsements.url_parts import hexadecimal, one_byte, parts_of
from rats_tls.formats.amd.pem import CERTIFICATE, split_pem
from rats_tls.formats.amd.tcb import has_fmc
from rats_tls.formats.amd.vek import VCEK_NAME, VekCertificate
from rats_tls.formats.x509 import Certificate, RevocationList

KDS_URL = "https://kdsintf.amd.com"

_PRODUCTS = ("Milan", "Genoa", "Turin")
_SIGNERS = {"vcek": "SEV-", "vlek": "SEV-VLEK-"}  # prefix of the common name of ASK and ASVK
_SPLS = ("blSPL", "teeSPL", "snpSPL", "ucodeSPL")
_CHIP_ID_SIZE, _SHORT_CHIP_ID_SIZE = 64, 8
_DER, _PEM, _CRL = "application/pkix-cert, */*", "application/x-pem-file, */*", "application/pkix-crl, */*"


class AmdKds(HttpSource):
    """AMD KDS: VCEK certificates, chains of VCEK and VLEK, revocation lists. Blocks; thread-safe.

    It gives no VLEK certificate (providers alone may ask for those) and none of a chip whose id is masked. AMD
    throttles after a few requests in ten minutes, so what was got is to be kept: the VCEK of a chip and a TCB is the
    same for ever.

    Served, by kind and parts of the key: VEK by `type` VCEK, `product`, `hwid` (64 bytes; of Turin 8) and the SPLs of
    the reported TCB; ASK or ASVK, with which its ARK comes, by `product` and `name`; revocation list by `product` and
    `type`.

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
        base_url: str = KDS_URL,
        ca: str | Path | bytes | None = None,
        client: HttpsClient | None = None,
    ) -> None:
        self._base = require_base_url(base_url)
        super().__init__("amd-kds", client or HttpsClient((host_of(self._base),), ca=ca), self._base)

    def _request(self, item: MissingEndorsement) -> SourceRequest | None:
        parts = parts_of(item)
        product = parts.get("product", "")
        if product not in _PRODUCTS:
            return None
        match item.kind:
            case EndorsementKind.AMD_VEK:
                return self._vcek(product, parts)
            case EndorsementKind.AMD_SIGNER:
                return self._chain(product, parts)
            case EndorsementKind.AMD_CRL:
                return self._crl(product, parts)
            case _:
                return None

    def _vcek(self, product: str, parts: Mapping[str, str]) -> SourceRequest | None:
        size = _SHORT_CHIP_ID_SIZE if has_fmc(product) else _CHIP_ID_SIZE
        hwid = hexadecimal(parts, "hwid", size)
        if parts.get("type") != "VCEK" or hwid is None or not hwid.strip("0"):
            return None
        spls = [(name, one_byte(parts, name)) for name in (("fmcSPL", *_SPLS) if has_fmc(product) else _SPLS)]
        if any(value is None for _, value in spls):
            return None
        query = "&".join(f"{name}={value:02d}" for name, value in spls)
        return SourceRequest(
            what=f"VCEK of {product} chip {hwid[:16]}, {query}",
            url=f"{self._base}/vcek/v1/{product}/{hwid}?{query}",
            accept=_DER,
            most_bytes=self._limits.certificate,
            read=partial(_read_vcek, hwid=hwid),
        )

    def _chain(self, product: str, parts: Mapping[str, str]) -> SourceRequest | None:
        for kind, prefix in _SIGNERS.items():
            if parts.get("name") == prefix + product:
                return SourceRequest(
                    what=f"chain of {prefix}{product}",
                    url=f"{self._base}/{kind}/v1/{product}/cert_chain",
                    accept=_PEM,
                    most_bytes=self._limits.certificate,
                    read=partial(_read_chain, signer=prefix + product, root=f"ARK-{product}"),
                )
        return None

    def _crl(self, product: str, parts: Mapping[str, str]) -> SourceRequest | None:
        kind = parts.get("type", "").lower()
        if kind not in _SIGNERS:
            return None
        return SourceRequest(
            what=f"revocation list of {product}, {kind}",
            url=f"{self._base}/{kind}/v1/{product}/crl",
            accept=_CRL,
            most_bytes=self._limits.revocation_list,
            read=partial(_read_crl, root=f"ARK-{product}"),
        )


def _read_vcek(body: bytes, _headers: Mapping[str, str], *, hwid: str) -> tuple[Endorsement, ...]:
    vek = VekCertificate.from_der(body)
    _require_name("VekCertificate", vek.certificate.subject.common_name, VCEK_NAME)
    got = vek.extensions.hwid.hex() if vek.extensions.hwid is not None else "none"
    # Turin's hwID is 8 bytes, alone or with zeros behind them.
    if not got.startswith(hwid):
        raise DecodeError("VekCertificate", "hwID", None, f"got {got[:16]}, asked for {hwid[:16]}")
    return (Endorsement(kind=EndorsementKind.AMD_VEK, data=body),)


def _read_chain(body: bytes, _headers: Mapping[str, str], *, signer: str, root: str) -> tuple[Endorsement, ...]:
    blocks = split_pem(body, "CertChain", limit=2)
    if [block.label for block in blocks] != [CERTIFICATE] * 2:
        raise DecodeError("CertChain", "", None, f"got {len(blocks)} blocks, expected two certificates")
    wanted = ((EndorsementKind.AMD_SIGNER, signer), (EndorsementKind.AMD_ROOT, root))
    for block, (_, name) in zip(blocks, wanted, strict=True):
        _require_name("CertChain", Certificate.from_der(block.der, "CertChain").subject.common_name, name)
    return tuple(Endorsement(kind=kind, data=block.der) for block, (kind, _) in zip(blocks, wanted, strict=True))


def _read_crl(body: bytes, _headers: Mapping[str, str], *, root: str) -> tuple[Endorsement, ...]:
    _require_name("RevocationList", RevocationList.from_der(body).issuer.common_name, root)
    return (Endorsement(kind=EndorsementKind.AMD_CRL, data=body),)


def _require_name(structure: str, got: str, expected: str) -> None:
    if got != expected:
        raise DecodeError(structure, "name", None, f"got {got!r}, asked for {expected!r}")
