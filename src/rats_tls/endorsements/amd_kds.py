"""AMD's Key Distribution Service (KDS).

Source: AMD, Versioned Chip Endorsement Key (VCEK) Certificate and KDS Interface Specification (57230), 4.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rats_tls.core.endorsements import Endorsement, EndorsementKind, MissingEndorsement
from rats_tls.core.errors import DecodeError, RatsTlsError
from rats_tls.endorsements.http import HttpsClient, host_of, require_base_url
from rats_tls.endorsements.lookup_key import hexadecimal, one_byte, parts_of
from rats_tls.endorsements.source import FetchError, FetchProblem
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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Request:
    what: str
    path: str
    accept: str
    most_bytes: int
    read: Callable[[bytes], tuple[Endorsement, ...]]


class AmdKds:
    """AMD KDS: VCEK certificates, chains of VCEK and VLEK, revocation lists. Blocks; thread-safe.

    It gives no VLEK certificate (providers alone may ask for those) and none of a chip whose id is masked. AMD
    throttles after a few requests in ten minutes, so what was got is to be kept: the VCEK of a chip and a TCB is the
    same for ever.

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
        self._client = client or HttpsClient((host_of(self._base),), ca=ca)
        self._client.require_allowed(self._base)
        self._limits = self._client.limits

    @property
    def name(self) -> str:
        """What it is called in logs, budgets and errors."""
        return "amd-kds"

    def serves(self, item: MissingEndorsement) -> bool:
        """Whether it knows how to ask for `item`.

        By kind, with the parts of the key in their fixed forms: VEK by `type` VCEK, `product`, `hwid` (64 bytes; of
        Turin 8) and the SPLs of the reported TCB; ASK or ASVK by `product` and `name`; revocation list by `product`
        and `type`.
        """
        return self._request(item) is not None

    def fetch(self, item: MissingEndorsement) -> tuple[Endorsement, ...]:
        """Get `item`; with an ASK or ASVK comes its ARK.

        Raises:
            FetchError: it was not got; NOT_FOUND too if it is not served.
        """
        request = self._request(item)
        if request is None:
            raise FetchError(f"{self.name}: does not serve {item}", problem=FetchProblem.NOT_FOUND)
        what = f"{self.name}: {request.what}"
        url = self._base + request.path
        answer = self._client.get(url, what=what, accept=request.accept, most_bytes=request.most_bytes)
        try:
            return request.read(answer.body)
        except RatsTlsError as error:
            raise FetchError(f"{what}: {error.message}", problem=FetchProblem.MALFORMED) from error

    def _request(self, item: MissingEndorsement) -> _Request | None:
        """Make the request from a fixed template and parts of fixed form; None if `item` is not served."""
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

    def _vcek(self, product: str, parts: Mapping[str, str]) -> _Request | None:
        size = _SHORT_CHIP_ID_SIZE if has_fmc(product) else _CHIP_ID_SIZE
        hwid = hexadecimal(parts, "hwid", size)
        if parts.get("type") != "VCEK" or hwid is None or not hwid.strip("0"):
            return None
        spls = [(name, one_byte(parts, name)) for name in (("fmcSPL", *_SPLS) if has_fmc(product) else _SPLS)]
        if any(value is None for _, value in spls):
            return None
        query = "&".join(f"{name}={value:02d}" for name, value in spls)
        return _Request(
            what=f"VCEK of {product} chip {hwid[:16]}, {query}",
            path=f"/vcek/v1/{product}/{hwid}?{query}",
            accept=_DER,
            most_bytes=self._limits.certificate,
            read=partial(_read_vcek, hwid=hwid),
        )

    def _chain(self, product: str, parts: Mapping[str, str]) -> _Request | None:
        for kind, prefix in _SIGNERS.items():
            if parts.get("name") == prefix + product:
                return _Request(
                    what=f"chain of {prefix}{product}",
                    path=f"/{kind}/v1/{product}/cert_chain",
                    accept=_PEM,
                    most_bytes=self._limits.certificate,
                    read=partial(_read_chain, signer=prefix + product, root=f"ARK-{product}"),
                )
        return None

    def _crl(self, product: str, parts: Mapping[str, str]) -> _Request | None:
        kind = parts.get("type", "").lower()
        if kind not in _SIGNERS:
            return None
        return _Request(
            what=f"revocation list of {product}, {kind}",
            path=f"/{kind}/v1/{product}/crl",
            accept=_CRL,
            most_bytes=self._limits.revocation_list,
            read=partial(_read_crl, root=f"ARK-{product}"),
        )


def _read_vcek(body: bytes, *, hwid: str) -> tuple[Endorsement, ...]:
    vek = VekCertificate.from_der(body)
    _require_name("VekCertificate", vek.certificate.subject.common_name, VCEK_NAME)
    got = vek.extensions.hwid.hex() if vek.extensions.hwid is not None else "none"
    # Turin's hwID is 8 bytes, alone or with zeros behind them.
    if not got.startswith(hwid):
        raise DecodeError("VekCertificate", "hwID", None, f"got {got[:16]}, asked for {hwid[:16]}")
    return (Endorsement(kind=EndorsementKind.AMD_VEK, data=body),)


def _read_chain(body: bytes, *, signer: str, root: str) -> tuple[Endorsement, ...]:
    blocks = split_pem(body, "CertChain", limit=2)
    if [block.label for block in blocks] != [CERTIFICATE] * 2:
        raise DecodeError("CertChain", "", None, f"got {len(blocks)} blocks, expected two certificates")
    wanted = ((EndorsementKind.AMD_SIGNER, signer), (EndorsementKind.AMD_ROOT, root))
    for block, (_, name) in zip(blocks, wanted, strict=True):
        _require_name("CertChain", Certificate.from_der(block.der, "CertChain").subject.common_name, name)
    return tuple(Endorsement(kind=kind, data=block.der) for block, (kind, _) in zip(blocks, wanted, strict=True))


def _read_crl(body: bytes, *, root: str) -> tuple[Endorsement, ...]:
    _require_name("RevocationList", RevocationList.from_der(body).issuer.common_name, root)
    return (Endorsement(kind=EndorsementKind.AMD_CRL, data=body),)


def _require_name(structure: str, got: str, expected: str) -> None:
    if got != expected:
        raise DecodeError(structure, "name", None, f"got {got!r}, asked for {expected!r}")
