"""Intel's quote verification library, called through its C interface.

Source: Intel SGX DCAP, sgx_dcap_quoteverify.h.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Any

from rats_tls.core.errors import InternalError, NoInstanceError
from rats_tls.core.refusals import Refusal
from rats_tls.verifiers.qve.codes import SUCCESS, error_of
from rats_tls.verifiers.qve.structures import MAX_SUPPLEMENTAL_SIZE, Collateral, ReportInfo

LIBRARY = "libsgx_dcap_quoteverify.so.1"
_SIZE_CALL = "sgx_qv_get_quote_supplemental_data_size"
_VERIFY_CALL = "sgx_qv_verify_quote"
_PROTOTYPES: dict[str, list[Any]] = {
    _SIZE_CALL: [ctypes.POINTER(ctypes.c_uint32)],
    _VERIFY_CALL: [
        ctypes.c_char_p,
        ctypes.c_uint32,
        ctypes.POINTER(Collateral),
        ctypes.c_int64,  # time_t
        ctypes.POINTER(ctypes.c_uint32),
        ctypes.POINTER(ctypes.c_uint32),
        ctypes.POINTER(ReportInfo),
        ctypes.c_uint32,
        ctypes.c_void_p,
    ],
}


@dataclass(frozen=True, slots=True, kw_only=True)
class CollateralParts:
    """What a quote is judged by: PEM and JSON as text, lists as DER."""

    issuer_chain: bytes
    root_ca_crl: bytes
    pck_crl: bytes
    tcb_info_issuer_chain: bytes
    tcb_info: bytes
    qe_identity_issuer_chain: bytes
    qe_identity: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the library says of a quote.

    Attributes:
        expiration_status: 0 when nothing had expired on the date that it was asked for.
        result: sgx_ql_qv_result_t.
        supplemental: supplemental data.
        report: QvE's report (432 bytes); zeros where the enclave was not asked.
    """

    expiration_status: int
    result: int
    supplemental: bytes
    report: bytes


class QuoteVerificationLibrary:
    """The library, loaded once.

    Args:
        path: its name, as the loader finds it, or its path.

    Raises:
        NoInstanceError: it is not there, or lacks a function; the message names what.
    """

    def __init__(self, path: str = LIBRARY) -> None:
        self.path = path
        try:
            self._library = ctypes.CDLL(path)
        except OSError as error:
            raise NoInstanceError(f"{path}: cannot be loaded: {error}; it comes with Intel SGX DCAP") from error
        for name, arguments in _PROTOTYPES.items():
            function = getattr(self._library, name, None)
            if function is None:
                raise NoInstanceError(f"{path}: it has no {name}: it is no quote verification library of Intel's")
            function.argtypes, function.restype = arguments, ctypes.c_uint32

    def verify(
        self, quote: bytes, parts: CollateralParts, date: int, *, nonce: bytes = b"", target_info: bytes = b""
    ) -> Answer:
        """Have a quote verified, in the library's enclave (QvE) where a nonce is given, else in this process.

        Args:
            quote: the quote alone, without bytes behind it.
            parts: what it is judged by.
            date: time for which it is judged, in Unix seconds.
            nonce: 16 bytes for QvE's report.
            target_info: whom QvE's report is made for (512 bytes).

        Raises:
            RatsTlsError: the library gives an error.
        """
        size = ctypes.c_uint32()
        self._call(_SIZE_CALL, ctypes.byref(size))
        if size.value > MAX_SUPPLEMENTAL_SIZE:
            raise InternalError(
                f"{_SIZE_CALL}: got {size.value} bytes, at most {MAX_SUPPLEMENTAL_SIZE} are read",
                refusal=Refusal.VERIFIER_FAILED,
            )
        supplemental = ctypes.create_string_buffer(max(size.value, 1))
        collateral, kept = _collateral(parts)
        report = ReportInfo()
        if nonce:
            report.nonce[:] = nonce
            report.app_enclave_target_info[:] = target_info
        # A value that is no result, so that one that the library leaves alone is not taken for success.
        expiration, result = ctypes.c_uint32(0xFFFFFFFF), ctypes.c_uint32(0xFFFFFFFF)
        self._call(
            _VERIFY_CALL,
            quote,
            len(quote),
            ctypes.byref(collateral),
            date,
            ctypes.byref(expiration),
            ctypes.byref(result),
            ctypes.byref(report) if nonce else None,
            size.value,
            ctypes.addressof(supplemental) if size.value else None,
        )
        del kept
        return Answer(
            expiration_status=expiration.value,
            result=result.value,
            supplemental=supplemental.raw[: size.value],
            report=bytes(report.qe_report),
        )

    def _call(self, name: str, *arguments: object) -> None:
        code: int = getattr(self._library, name)(*arguments)
        if code != SUCCESS:
            raise error_of(name, code)


def _collateral(parts: CollateralParts) -> tuple[Collateral, list[object]]:
    """Give the structure, and the buffers that it points into, which must outlive it."""
    made = Collateral(major_version=3, minor_version=1, tee_type=0)
    kept: list[object] = []
    for name, data in (
        ("pck_crl_issuer_chain", parts.issuer_chain + b"\0"),
        ("root_ca_crl", parts.root_ca_crl),
        ("pck_crl", parts.pck_crl),
        ("tcb_info_issuer_chain", parts.tcb_info_issuer_chain + b"\0"),
        ("tcb_info", parts.tcb_info + b"\0"),
        ("qe_identity_issuer_chain", parts.qe_identity_issuer_chain + b"\0"),
        ("qe_identity", parts.qe_identity + b"\0"),
    ):
        buffer = (ctypes.c_char * len(data)).from_buffer_copy(data)
        kept.append(buffer)
        setattr(made, name, ctypes.addressof(buffer))
        setattr(made, f"{name}_size", len(data))
    return made, kept
