"""The six calls of the C rats-tls API, for programs written against it. `docs/capi.md` lists what differs and why.

handle = init(Configuration(flags=Flags.MUTUAL, attester_type=...), policy=policy)
set_verification_callback(handle, lambda evidence: evidence.custom_claims.get("role") == b"server")
negotiate(handle, sock.fileno())
transmit(handle, b"hello")
reply = receive(handle, 256)
cleanup(handle)
"""

from __future__ import annotations

from rats_tls.capi.calls import cleanup, init, negotiate, receive, set_verification_callback, transmit
from rats_tls.capi.configuration import (
    API_VERSION_DEFAULT,
    API_VERSION_MAX,
    CertAlgorithm,
    Configuration,
    Flags,
    LogLevel,
    QuoteSgxEcdsa,
    QuoteSgxEpid,
)
from rats_tls.capi.errors import (
    CallError,
    CallTimeoutError,
    CoreCode,
    CoreError,
    CryptoWrapperCode,
    CryptoWrapperError,
    EnclaveAttesterCode,
    EnclaveAttesterError,
    EnclaveVerifierCode,
    EnclaveVerifierError,
    ErrorCode,
    TlsWrapperCode,
    TlsWrapperError,
)
from rats_tls.capi.evidence import CsvEvidence, Ehd, EvidenceType, PeerEvidence, SgxEvidence, TdxEvidence
from rats_tls.capi.handle import Handle, VerificationCallback

__all__ = [
    "API_VERSION_DEFAULT",
    "API_VERSION_MAX",
    "CallError",
    "CallTimeoutError",
    "CertAlgorithm",
    "Configuration",
    "CoreCode",
    "CoreError",
    "CryptoWrapperCode",
    "CryptoWrapperError",
    "CsvEvidence",
    "Ehd",
    "EnclaveAttesterCode",
    "EnclaveAttesterError",
    "EnclaveVerifierCode",
    "EnclaveVerifierError",
    "ErrorCode",
    "EvidenceType",
    "Flags",
    "Handle",
    "LogLevel",
    "PeerEvidence",
    "QuoteSgxEcdsa",
    "QuoteSgxEpid",
    "SgxEvidence",
    "TdxEvidence",
    "TlsWrapperCode",
    "TlsWrapperError",
    "VerificationCallback",
    "cleanup",
    "init",
    "negotiate",
    "receive",
    "set_verification_callback",
    "transmit",
]
