"""Intel's Provisioning Certification Service (PCS), version 4, and caches of it (PCCS).

Source: Intel SGX and TDX Provisioning Certification Service API v4.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from functools import partial
from pathlib import Path

from rats_tls.core.endorsements import Endorsement, EndorsementKind, MissingEndorsement
from rats_tls.core.errors import ConfigurationError
from rats_tls.endorsements import intel_answers
from rats_tls.endorsements.http import HttpsClient, host_of, require_base_url
from rats_tls.endorsements.http_source import HttpSource, SourceRequest
from rats_tls.endorsements.url_parts import hexadecimal, parts_of

PCS_URL = "https://api.trustedservices.intel.com"
ROOT_CRL_URL = "https://certificates.trustedservices.intel.com/IntelSGXRootCA.der"
"""Where the root certificate says that its revocation list is; PCS itself does not give it."""

_PATH = "certification/v4"
_ROOT_NAME = "SGX Root CA"
_PCK_CA_NAMES = {"platform": "PCK Platform CA", "processor": "PCK Processor CA"}
_TEES = {"SGX": "sgx", "TDX": "tdx"}
_QE_IDENTITIES = {"QE": "sgx", "TD_QE": "tdx"}
_JSON, _CRL, _PEM = "application/json", "application/pkix-crl", "application/x-pem-file"
_PCK_KEY = {"encrypted_ppid": 384, "cpusvn": 16, "pcesvn": 2, "pceid": 2}  # name: bytes
_QE_ID_SIZE = 16


class UpdateChannel(str, Enum):
    """From when on a TCB recovery counts: `early` at its disclosure, `standard` later (PCS API v4, `update`)."""

    STANDARD = "standard"
    EARLY = "early"


_Read = Callable[[bytes, Mapping[str, str]], Endorsement]


def _one(read: _Read) -> Callable[[bytes, Mapping[str, str]], tuple[Endorsement, ...]]:
    return lambda body, headers: (read(body, headers),)


class _IntelService(HttpSource):
    """What PCS and PCCS share. All documents of one service are of one update channel: they are not to be mixed.

    Served, by kind and parts of the key: TCB info by `id` and `fmspc`, QE identity by `id`, PCK revocation list by
    `ca`, root revocation list by `issuer`, PCK certificate by `encrypted_ppid`, `cpusvn`, `pcesvn`, `pceid`, and for
    PCCS `qeid`.
    """

    def __init__(
        self, name: str, base_url: str, root_crl_url: str, client: HttpsClient, channel: UpdateChannel | str
    ) -> None:
        super().__init__(name, client, base_url, root_crl_url)
        self._base = base_url
        self._root_crl_url = root_crl_url
        try:
            self._channel = UpdateChannel(channel)
        except ValueError as error:
            known = " or ".join(member.value for member in UpdateChannel)
            raise ConfigurationError(f"update channel of {name}: got {channel!r}, expected {known}") from error

    @property
    def channel(self) -> str:
        """Update channel of its documents."""
        return self._channel.value

    def _request(self, item: MissingEndorsement) -> SourceRequest | None:
        parts = parts_of(item)
        match item.kind:
            case EndorsementKind.INTEL_TCB_INFO:
                return self._tcb_info(parts)
            case EndorsementKind.INTEL_QE_IDENTITY:
                return self._qe_identity(parts)
            case EndorsementKind.INTEL_PCK_CRL:
                return self._pck_crl(parts)
            case EndorsementKind.INTEL_ROOT_CRL:
                return self._root_crl() if _ROOT_NAME in parts.get("issuer", "") else None
            case EndorsementKind.INTEL_PCK_CHAIN:
                return self._pck_certificate(parts)
            case _:
                return None

    def _tcb_info(self, parts: Mapping[str, str]) -> SourceRequest | None:
        tee, fmspc = parts.get("id", ""), hexadecimal(parts, "fmspc", 6)
        if tee not in _TEES or fmspc is None:
            return None
        return SourceRequest(
            what=f"TCB info of {tee}, FMSPC {fmspc}",
            url=f"{self._base}/{_TEES[tee]}/{_PATH}/tcb?fmspc={fmspc}&update={self._channel.value}",
            accept=_JSON,
            most_bytes=self._limits.json_document,
            read=_one(partial(intel_answers.tcb_info, tee=tee, fmspc=fmspc)),
        )

    def _qe_identity(self, parts: Mapping[str, str]) -> SourceRequest | None:
        identity = parts.get("id", "")
        if identity not in _QE_IDENTITIES:
            return None
        return SourceRequest(
            what=f"identity of {identity}",
            url=f"{self._base}/{_QE_IDENTITIES[identity]}/{_PATH}/qe/identity?update={self._channel.value}",
            accept=_JSON,
            most_bytes=self._limits.json_document,
            read=_one(partial(intel_answers.qe_identity, identity=identity)),
        )

    def _pck_crl(self, parts: Mapping[str, str]) -> SourceRequest | None:
        ca = parts.get("ca", "")
        if ca not in _PCK_CA_NAMES:
            return None
        return SourceRequest(
            what=f"revocation list of the PCK {ca} CA",
            url=f"{self._base}/sgx/{_PATH}/pckcrl?ca={ca}&encoding=der",
            accept=_CRL,
            most_bytes=self._limits.revocation_list,
            read=_one(partial(intel_answers.pck_crl, issuer=_PCK_CA_NAMES[ca])),
        )

    def _root_crl(self) -> SourceRequest:
        return SourceRequest(
            what="revocation list of the root CA",
            url=self._root_crl_url,
            accept=f"{_CRL}, */*",
            most_bytes=self._limits.revocation_list,
            read=_one(lambda body, _headers: intel_answers.root_crl(body, issuer=_ROOT_NAME)),
        )

    def _pck_query(self, parts: Mapping[str, str]) -> dict[str, str] | None:
        query = {name: hexadecimal(parts, name, size) for name, size in _PCK_KEY.items()}
        found = {name: value for name, value in query.items() if value is not None}
        return found if len(found) == len(query) else None

    def _pck_certificate(self, parts: Mapping[str, str]) -> SourceRequest | None:
        query = self._pck_query(parts)
        if query is None:
            return None
        return SourceRequest(
            what="PCK certificate",
            url=f"{self._base}/sgx/{_PATH}/pckcert?{'&'.join(f'{name}={value}' for name, value in query.items())}",
            accept=_PEM,
            most_bytes=self._limits.certificate,
            read=_one(intel_answers.pck_certificate),
        )


class IntelPcs(_IntelService):
    """Intel PCS, and Intel's certificate host for the revocation list of the root CA. Blocks; thread-safe.

    Args:
        channel: update channel of TCB info and QE identities.
        base_url: where the service is; for a mirror.
        root_crl_url: where the revocation list of the root CA is.
        ca: PEM certificates to verify servers by instead of the system's: a path, or the bytes.
        client: the HTTP client, which must allow both hosts; made when left out.

    Raises:
        UnsupportedError: the extra `fetch` is not installed.
        ConfigurationError: a URL, channel or `ca` of another form, or a client that does not allow a host.
    """

    def __init__(
        self,
        *,
        channel: UpdateChannel | str = UpdateChannel.STANDARD,
        base_url: str = PCS_URL,
        root_crl_url: str = ROOT_CRL_URL,
        ca: str | Path | bytes | None = None,
        client: HttpsClient | None = None,
    ) -> None:
        base, root_crl = _service_url(base_url), require_base_url(root_crl_url)
        client = client or HttpsClient((host_of(base), host_of(root_crl)), ca=ca)
        super().__init__("intel-pcs", base, root_crl, client, channel)


class Pccs(_IntelService):
    """A Provisioning Certificate Caching Service. Blocks; thread-safe.

    Every document is signed by Intel, so that TLS guards only against old ones and denial.

    Args:
        base_url: where the service is, with or without `/sgx/certification/v4`.
        ca: PEM certificates to verify the server by, its own if it is self-signed; the system's when left out.
        channel: update channel of TCB info and QE identities, if the cache knows of it.
        client: the HTTP client, which must allow the host; made when left out.

    Raises:
        UnsupportedError: the extra `fetch` is not installed.
        ConfigurationError: a URL, channel or `ca` of another form, or a client that does not allow a host.
    """

    def __init__(
        self,
        base_url: str,
        *,
        ca: str | Path | bytes | None = None,
        channel: UpdateChannel | str = UpdateChannel.STANDARD,
        client: HttpsClient | None = None,
    ) -> None:
        base = _service_url(base_url)
        host = host_of(base)
        client = client or HttpsClient((host,), ca=ca)
        super().__init__(f"pccs {host}", base, f"{base}/sgx/{_PATH}/rootcacrl", client, channel)

    def _pck_query(self, parts: Mapping[str, str]) -> dict[str, str] | None:
        query = super()._pck_query(parts)
        qe_id = hexadecimal(parts, "qeid", _QE_ID_SIZE)
        return None if query is None or qe_id is None else {"qeid": qe_id, **query}


def _service_url(url: str) -> str:
    """Give the part of a service's URL that SGX and TDX share."""
    return require_base_url(url).removesuffix(f"/sgx/{_PATH}")
