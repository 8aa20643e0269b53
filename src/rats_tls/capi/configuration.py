"""The configuration of the C API as a value.

Fields and numbers: inclavare rats-tls, `rats-tls/api.h`, `rats_tls_conf_t`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, IntFlag

from rats_tls.capi.errors import CoreCode, CoreError, call_error, invalid
from rats_tls.core.algorithms import KeyAlgorithm
from rats_tls.core.errors import NoInstanceError
from rats_tls.registry import ALIASES

API_VERSION_DEFAULT = 1
API_VERSION_MAX = 1

_ALIASES = {alias: name for names in ALIASES.values() for alias, name in names.items()}

SPID_SIZE = 16
PCK_CHAIN = 5
"""Certification data of a quote that holds the PCK certificate chain (Intel SGX ECDSA QuoteLibrary API reference)."""

_ALGORITHMS_TEXT = "RSA_3072, ECC_256 or DEFAULT"


class Flags(IntFlag):
    """What a side does. The last two are the C API's internal flags."""

    MUTUAL = 1 << 0
    """Both sides attest. A server without it judges nobody."""
    SERVER = 1 << 1
    """This side is the TLS server."""
    PROVIDE_ENDORSEMENTS = 1 << 2
    """Send the peer the Endorsements of this side's Evidence."""
    ATTESTER_ENFORCED = 1 << 32
    """`attester_type` must be named."""
    VERIFIER_ENFORCED = 1 << 33
    """`verifier_type` must be named, and peers of no other type are accepted."""


NO_FLAGS = Flags(0)


class LogLevel(IntEnum):
    """Levels of the logger `rats_tls`."""

    DEBUG = 0
    INFO = 1
    WARN = 2
    ERROR = 3
    FATAL = 4
    NONE = 5


class CertAlgorithm(IntEnum):
    """Key and signature of this side's certificate."""

    RSA_3072 = 0
    ECC_256 = 1
    DEFAULT = 3


KEY_ALGORITHMS = {
    CertAlgorithm.RSA_3072: KeyAlgorithm.RSA_3072,
    CertAlgorithm.ECC_256: KeyAlgorithm.EC_P256,
    CertAlgorithm.DEFAULT: KeyAlgorithm.EC_P256,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class QuoteSgxEpid:
    """Parameters of EPID quotes. They can be written down, and are refused: EPID has reached its end of life."""

    valid: bool = False
    spid: bytes = bytes(SPID_SIZE)
    linkable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class QuoteSgxEcdsa:
    """Parameters of ECDSA quotes.

    Attributes:
        valid: whether the field below is set.
        cert_type: certification data of the quote; 5, the PCK certificate chain, is what there is.
    """

    valid: bool = False
    cert_type: int = PCK_CHAIN


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """Settings of one handle. An empty name stands for the default.

    Attributes:
        api_version: 1.
        flags: what this side does.
        log_level: level of the logger `rats_tls`, for the whole process; None leaves it alone.
        tls_type: TLS wrapper, `openssl` by default.
        attester_type: attester; by default the TEE that the process runs in, never `null`. Not used by a client
            without `MUTUAL`.
        verifier_type: Verifier whose TEE type the policy must name. By default the policy's entries alone decide.
        crypto_type: crypto wrapper, `openssl` by default.
        cert_algo: key of the certificate, a P-256 key by default.
        custom_claims: names and values that the Evidence binds.
        quote_sgx_epid: refused when valid.
        quote_sgx_ecdsa: SGX quotes.
    """

    api_version: int = API_VERSION_DEFAULT
    flags: Flags = NO_FLAGS
    log_level: LogLevel | None = None
    tls_type: str = ""
    attester_type: str = ""
    verifier_type: str = ""
    crypto_type: str = ""
    cert_algo: CertAlgorithm = CertAlgorithm.DEFAULT
    custom_claims: Mapping[str, bytes] = field(default_factory=dict)
    quote_sgx_epid: QuoteSgxEpid = QuoteSgxEpid()
    quote_sgx_ecdsa: QuoteSgxEcdsa = QuoteSgxEcdsa()

    @property
    def server(self) -> bool:
        """Whether this side is the TLS server."""
        return bool(self.flags & Flags.SERVER)

    @property
    def mutual(self) -> bool:
        """Whether both sides attest."""
        return bool(self.flags & Flags.MUTUAL)

    @property
    def attests(self) -> bool:
        """Whether this side presents a certificate: every server, and a client that is mutual."""
        return self.server or self.mutual

    @property
    def judges(self) -> bool:
        """Whether this side judges its peer: every client, and a server that is mutual."""
        return not self.server or self.mutual

    def require_valid(self) -> None:
        """Require values that there are, and that go together.

        Raises:
            CoreError: with code INVALID, UNSUPPORTED_CERT_ALGO, or NOT_REGISTERED for EPID.
        """
        if not 0 <= self.api_version <= API_VERSION_MAX:
            raise invalid(f"api_version: got {self.api_version}, expected at most {API_VERSION_MAX}")
        unknown = int(self.flags) & ~sum(Flags)
        if unknown:
            raise invalid(f"flags: got unknown bits {unknown:#x}")
        if self.log_level is not None and self.log_level not in list(LogLevel):
            raise invalid(f"log_level: got {self.log_level!r}, expected a LogLevel or None")
        if self.cert_algo not in list(CertAlgorithm):
            message = f"cert_algo: got {self.cert_algo!r}, expected {_ALGORITHMS_TEXT}"
            raise CoreError(message, code=CoreCode.UNSUPPORTED_CERT_ALGO)
        self._require_quotes()
        if self.flags & Flags.ATTESTER_ENFORCED and not self.attester_type:
            raise invalid("flags: ATTESTER_ENFORCED, and no attester_type is named")
        if self.flags & Flags.VERIFIER_ENFORCED and not self.verifier_type:
            raise invalid("flags: VERIFIER_ENFORCED, and no verifier_type is named")

    def _require_quotes(self) -> None:
        epid = [name for name in (self.attester_type, self.verifier_type) if "epid" in name.lower()]
        if self.quote_sgx_epid.valid or epid:
            named = epid[0] if epid else "quote_sgx_epid"
            message = f"{named}: SGX EPID attestation has reached its end of life and is not done here; use sgx_ecdsa"
            raise call_error(NoInstanceError(message))
        if self.quote_sgx_ecdsa.valid and self.quote_sgx_ecdsa.cert_type != PCK_CHAIN:
            got = self.quote_sgx_ecdsa.cert_type
            raise invalid(f"quote_sgx_ecdsa.cert_type: got {got}, expected {PCK_CHAIN} (PCK certificate chain)")


def instance_name(name: str, default: str) -> str:
    """Give the instance that a name of the C API stands for; an empty one stands for `default`."""
    return _ALIASES.get(name, name) or default
