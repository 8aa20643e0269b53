"""Codes of the C API, and how our errors become its errors."""

from __future__ import annotations

import pytest

from rats_tls.capi import (
    CallError,
    CallTimeoutError,
    CoreCode,
    CoreError,
    CryptoWrapperCode,
    EnclaveAttesterCode,
    EnclaveVerifierCode,
    EnclaveVerifierError,
    TlsWrapperCode,
    TlsWrapperError,
)
from rats_tls.capi.errors import CLASSES, CODES, as_call_errors, call_error
from rats_tls.core.checks import Check, Stage, Verdict
from rats_tls.core.errors import (
    AppraisalError,
    ConnectionFailedError,
    HandshakeTimeoutError,
    NotConfirmedError,
    PeerRefusedError,
    RatsTlsError,
)
from rats_tls.core.refusals import Refusal, WireCode

CLASS_NUMBERS = (CoreCode, TlsWrapperCode, EnclaveAttesterCode, EnclaveVerifierCode, CryptoWrapperCode)


def test_the_class_is_in_the_bits_of_the_code() -> None:
    for number, codes in enumerate(CLASS_NUMBERS):
        assert [int(code) for code in codes] == [number << 28 | reason for reason in range(len(codes))]
    assert [len(codes) for codes in CLASS_NUMBERS] == [13, 10, 6, 5, 10]
    assert set(CLASSES) == set(CLASS_NUMBERS)


@pytest.mark.parametrize("refusal", list(Refusal))
def test_every_refusal_has_a_code_that_is_an_error(refusal: Refusal) -> None:
    code = CODES[refusal]
    assert code.name != "NONE"
    error = call_error(RatsTlsError("x", refusal=refusal))
    assert error.refusal is refusal
    assert error.code is code
    assert error.number == -int(code) < 0
    assert isinstance(error, CLASSES[type(code)])
    # What judges a peer is told apart from what merely failed.
    if refusal.wire_code is WireCode.APPRAISAL:
        assert isinstance(error, EnclaveVerifierError | TlsWrapperError)


@pytest.mark.parametrize(
    ("error", "kind", "code"),
    [
        (AppraisalError("x", mismatches=()), EnclaveVerifierError, EnclaveVerifierCode.INVALID),
        (NotConfirmedError("x"), EnclaveVerifierError, EnclaveVerifierCode.INVALID),
        (PeerRefusedError("x"), TlsWrapperError, TlsWrapperCode.INVALID),
        (HandshakeTimeoutError("x"), CallTimeoutError, TlsWrapperCode.INVALID),
        (TimeoutError(), CallTimeoutError, TlsWrapperCode.INVALID),
    ],
)
def test_errors_are_raised_as_the_c_apis(error: Exception, kind: type[CallError], code: object) -> None:
    error_checks = (Check(id="a", stage=Stage.POLICY, verdict=Verdict.FAILED, expected="b", got="c", source="d"),)
    if isinstance(error, RatsTlsError):
        error.checks = error_checks
    with pytest.raises(kind) as caught, as_call_errors():
        raise error
    assert caught.value.code is code
    assert caught.value.__cause__ is error
    if isinstance(error, RatsTlsError):
        assert caught.value.checks == error_checks
    assert isinstance(caught.value, TimeoutError) is (kind is CallTimeoutError)


def test_a_call_can_have_a_code_of_its_own_for_failed_connections() -> None:
    with pytest.raises(TlsWrapperError) as caught, as_call_errors(ConnectionFailedError, TlsWrapperCode.TRANSMIT):
        raise ConnectionFailedError("x")
    assert caught.value.code is TlsWrapperCode.TRANSMIT
    with pytest.raises(CallError) as other, as_call_errors(ConnectionFailedError, TlsWrapperCode.TRANSMIT):
        raise AppraisalError("x", mismatches=())
    assert other.value.code is EnclaveVerifierCode.INVALID


def test_errors_of_the_c_api_and_others_pass() -> None:
    error = CoreError("x", code=CoreCode.DLOPEN)
    with pytest.raises(CoreError) as caught, as_call_errors():
        raise error
    assert caught.value is error
    with pytest.raises(ZeroDivisionError), as_call_errors():
        raise ZeroDivisionError
