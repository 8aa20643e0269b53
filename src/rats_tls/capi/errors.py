"""The error codes of the C API, one exception class for each of its five classes, and how our errors map to them.

Names and numbers: inclavare rats-tls, `rats-tls/err.h`. A class is in bits 30-28 of a code, the reason in bits 22-0;
the C calls return codes negated.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum

from rats_tls.core.errors import RatsTlsError
from rats_tls.core.refusals import Refusal


class CoreCode(IntEnum):
    """Class 0, `rats_tls_err_t`."""

    NONE = 0
    UNKNOWN = 1
    INVALID = 2
    NO_MEM = 3
    NOT_REGISTERED = 4
    LOAD_CRYPTO_WRAPPERS = 5
    LOAD_TLS_WRAPPERS = 6
    LOAD_ENCLAVE_ATTESTERS = 7
    LOAD_ENCLAVE_VERIFIERS = 8
    DLOPEN = 9
    INIT = 10
    UNSUPPORTED_CERT_ALGO = 11
    NO_NAME = 12


class TlsWrapperCode(IntEnum):
    """Class 1, `tls_wrapper_err_t`."""

    NONE = 0x1000_0000
    NO_MEM = 0x1000_0001
    NOT_FOUND = 0x1000_0002
    INVALID = 0x1000_0003
    TRANSMIT = 0x1000_0004
    RECEIVE = 0x1000_0005
    UNSUPPORTED_QUOTE = 0x1000_0006
    PRIV_KEY = 0x1000_0007
    CERT = 0x1000_0008
    UNKNOWN = 0x1000_0009


class EnclaveAttesterCode(IntEnum):
    """Class 2, `enclave_attester_err_t`."""

    NONE = 0x2000_0000
    UNKNOWN = 0x2000_0001
    NO_MEM = 0x2000_0002
    INVALID = 0x2000_0003
    CPU_UNSUPPORTED = 0x2000_0004
    NO_TOOL = 0x2000_0005


class EnclaveVerifierCode(IntEnum):
    """Class 3, `enclave_verifier_err_t`."""

    NONE = 0x3000_0000
    UNKNOWN = 0x3000_0001
    NO_MEM = 0x3000_0002
    INVALID = 0x3000_0003
    NO_TOOL = 0x3000_0004


class CryptoWrapperCode(IntEnum):
    """Class 4, `crypto_wrapper_err_t`."""

    NONE = 0x4000_0000
    NO_MEM = 0x4000_0001
    INVALID = 0x4000_0002
    CERT = 0x4000_0003
    PRIV_KEY_LEN = 0x4000_0004
    ECC_KEY_LEN = 0x4000_0005
    RSA_KEY_LEN = 0x4000_0006
    PUB_KEY_LEN = 0x4000_0007
    UNSUPPORTED_ALGO = 0x4000_0008
    PUB_KEY_DECODE = 0x4000_0009


ErrorCode = CoreCode | TlsWrapperCode | EnclaveAttesterCode | EnclaveVerifierCode | CryptoWrapperCode


class CallError(RatsTlsError):
    """A call failed. The error underneath, where there is one, is the `__cause__`, with its mismatches and checks.

    Attributes:
        code: the C API's code.
        number: what the C call would return, below zero.
    """

    def __init__(self, message: str, *, code: ErrorCode, refusal: Refusal | None = None) -> None:
        super().__init__(message, refusal=refusal)
        self.code = code

    @property
    def number(self) -> int:
        """What the C call would return, below zero."""
        return -int(self.code)


class CoreError(CallError):
    """Class 0: arguments, configuration, instances."""

    default_refusal = Refusal.CONFIGURATION


class TlsWrapperError(CallError):
    """Class 1: the connection."""

    default_refusal = Refusal.CONNECTION


class CallTimeoutError(TlsWrapperError, TimeoutError):
    """A read or write took longer than the timeout of the socket that was negotiated over, or the handshake too long.

    After a read nothing is lost; after a write the connection is over.
    """

    default_refusal = Refusal.TIMEOUT


class EnclaveAttesterError(CallError):
    """Class 2: this side's Evidence."""

    default_refusal = Refusal.COLLECTION


class EnclaveVerifierError(CallError):
    """Class 3: the peer was refused."""

    default_refusal = Refusal.VERIFIER_FAILED


class CryptoWrapperError(CallError):
    """Class 4: keys and certificates."""


CLASSES: dict[type[IntEnum], type[CallError]] = {
    CoreCode: CoreError,
    TlsWrapperCode: TlsWrapperError,
    EnclaveAttesterCode: EnclaveAttesterError,
    EnclaveVerifierCode: EnclaveVerifierError,
    CryptoWrapperCode: CryptoWrapperError,
}

CODES: dict[Refusal, ErrorCode] = {
    Refusal.CONFIGURATION: CoreCode.INVALID,
    Refusal.MALFORMED_EVIDENCE: EnclaveVerifierCode.INVALID,
    Refusal.UNSUPPORTED_EVIDENCE: TlsWrapperCode.UNSUPPORTED_QUOTE,
    Refusal.NO_EVIDENCE: EnclaveVerifierCode.INVALID,
    Refusal.EVIDENCE_SIGNATURE: EnclaveVerifierCode.INVALID,
    Refusal.KEY_BINDING: EnclaveVerifierCode.INVALID,
    Refusal.CERTIFICATE_CHAIN: EnclaveVerifierCode.INVALID,
    Refusal.REVOKED: EnclaveVerifierCode.INVALID,
    Refusal.FRESHNESS: EnclaveVerifierCode.INVALID,
    Refusal.ENDORSEMENTS_MISSING: EnclaveVerifierCode.INVALID,
    Refusal.ENDORSEMENTS_EXPIRED: EnclaveVerifierCode.INVALID,
    Refusal.CERTIFICATE_NOT_IN_DATE: TlsWrapperCode.CERT,
    Refusal.TCB_NO_LEVEL: EnclaveVerifierCode.INVALID,
    Refusal.POLICY: EnclaveVerifierCode.INVALID,
    Refusal.VERIFIER_FAILED: EnclaveVerifierCode.UNKNOWN,
    Refusal.NO_INSTANCE: CoreCode.NOT_REGISTERED,
    Refusal.COLLECTION: EnclaveAttesterCode.INVALID,
    Refusal.TLS: TlsWrapperCode.INVALID,
    Refusal.CONNECTION: TlsWrapperCode.INVALID,
    Refusal.TIMEOUT: TlsWrapperCode.INVALID,
    Refusal.PROTOCOL_VERSION: TlsWrapperCode.INVALID,
    Refusal.PROTOCOL_PROFILE: TlsWrapperCode.INVALID,
    Refusal.PROTOCOL_BINDING: TlsWrapperCode.INVALID,
    Refusal.PROTOCOL_ATTESTS_FIRST: TlsWrapperCode.INVALID,
    Refusal.PROTOCOL_MALFORMED: TlsWrapperCode.INVALID,
    Refusal.PREAMBLE_REQUIRED: TlsWrapperCode.INVALID,
    Refusal.EARLY_DATA: TlsWrapperCode.INVALID,
    Refusal.CLOSED_BEFORE_ACCEPTED: TlsWrapperCode.INVALID,
    Refusal.REFUSED_BY_PEER: TlsWrapperCode.INVALID,
    Refusal.BUSY: TlsWrapperCode.INVALID,
    Refusal.INTERNAL: CoreCode.UNKNOWN,
    Refusal.NOT_CONFIRMED: EnclaveVerifierCode.INVALID,
    Refusal.ENDORSEMENTS_ROLLED_BACK: EnclaveVerifierCode.INVALID,
    Refusal.CLOCK_BEHIND: EnclaveVerifierCode.INVALID,
    Refusal.EVENT_LOG: EnclaveVerifierCode.INVALID,
}
"""The code of every refusal. Data that cannot be moved has `TRANSMIT` or `RECEIVE` instead."""


def invalid(message: str) -> CoreError:
    """Give the error of an argument or setting that cannot be."""
    return CoreError(message, code=CoreCode.INVALID)


def call_error(error: RatsTlsError, code: ErrorCode | None = None) -> CallError:
    """Give the error of the C API for `error`, with its refusal and checks.

    Args:
        error: ours.
        code: overrides the code of its refusal.
    """
    if isinstance(error, CallError):
        return error
    code = code if code is not None else CODES[error.refusal]
    kind = CallTimeoutError if error.refusal is Refusal.TIMEOUT else CLASSES[type(code)]
    made = kind(error.message, code=code, refusal=error.refusal)
    made.checks = error.checks
    return made


@contextmanager
def as_call_errors(kind: type[RatsTlsError] | None = None, code: ErrorCode | None = None) -> Iterator[None]:
    """Raise errors of the block as the C API's.

    Args:
        kind: errors that have a code of their own here.
        code: that code.
    """
    try:
        yield
    except RatsTlsError as error:
        made = call_error(error, code if kind is not None and isinstance(error, kind) else None)
        if made is error:
            raise
        raise made from error
    except TimeoutError as error:
        raise CallTimeoutError(
            "the socket's timeout ran out", code=code if code is not None else CODES[Refusal.TIMEOUT]
        ) from error
