"""Intel's quote verification library through ctypes: layouts as a compiler has them, what it gets, what is missing."""

from __future__ import annotations

import ctypes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rats_tls import registry
from rats_tls.core.errors import InternalError, NoInstanceError, RatsTlsError, UnsupportedError
from rats_tls.verifiers.qve.codes import error_of
from rats_tls.verifiers.qve.library import CollateralParts, QuoteVerificationLibrary
from rats_tls.verifiers.qve.structures import Collateral, ReportInfo, Supplement, SupplementalData
from support.quoteverify import Stub, compiled, supplemental

PARTS = CollateralParts(
    issuer_chain=b"issuers",
    root_ca_crl=b"\x30root\0",
    pck_crl=b"\x30pck",
    tcb_info_issuer_chain=b"tcb issuers",
    tcb_info=b"{tcb}",
    qe_identity_issuer_chain=b"qe issuers",
    qe_identity=b"{qe}",
)
STRUCTURES = {"collateral_t": Collateral, "report_info_t": ReportInfo, "supplemental_t": SupplementalData}


@pytest.fixture
def stub() -> Stub:
    made = Stub()
    made.answers(supplemental(bytes(16), bytes(16)))
    return made


def test_structures_lie_in_memory_as_a_c_compiler_lays_them_out(stub: Stub) -> None:
    layout = stub.layout
    ours = {
        f"{name}.{field[0]}": getattr(structure, field[0]).offset
        for name, structure in STRUCTURES.items()
        for field in structure._fields_
    }
    assert {name: value for name, value in layout.items() if "." in name} == ours
    assert layout["collateral_t"] == ctypes.sizeof(Collateral)
    assert layout["report_info_t"] == ctypes.sizeof(ReportInfo) == 960
    assert (layout["time_t"], layout["result_t"]) == (8, 4)


def test_what_the_library_gets(stub: Stub) -> None:
    QuoteVerificationLibrary(stub.path).verify(b"quote\0with zeros\0", PARTS, 1_772_368_200)
    assert stub.part("quote") == b"quote\0with zeros\0"
    assert stub.part("issuer_chain") == b"issuers\0"
    assert (stub.part("root_crl"), stub.part("pck_crl")) == (b"\x30root\0", b"\x30pck")
    assert (stub.part("tcb_chain"), stub.part("tcb_info")) == (b"tcb issuers\0", b"{tcb}\0")
    assert (stub.part("qe_chain"), stub.part("qe_identity")) == (b"qe issuers\0", b"{qe}\0")
    assert (stub.got("version"), stub.got("tee_type")) == (0x0001_0003, 0)
    assert (stub.date, stub.got("with_report"), stub.got("supplemental_size")) == (1_772_368_200, 0, 536)


def test_its_enclave_is_asked_only_with_a_nonce(stub: Stub) -> None:
    library = QuoteVerificationLibrary(stub.path)
    assert library.verify(b"quote", PARTS, 0).report == bytes(432)
    answer = library.verify(b"quote", PARTS, 0, nonce=bytes(range(16)), target_info=bytes(512))
    assert stub.got("with_report") == 1
    assert any(answer.report)


def test_what_the_library_leaves_alone_is_no_success(stub: Stub) -> None:
    stub.set("writes_nothing", 1)
    answer = QuoteVerificationLibrary(stub.path).verify(b"quote", PARTS, 0)
    assert (answer.result, answer.expiration_status) == (0xFFFFFFFF, 0xFFFFFFFF)


@pytest.mark.parametrize("call", ["size_code", "code"])
def test_an_error_names_the_call_and_what_is_missing(call: str, stub: Stub) -> None:
    stub.set(call, 0xE016)
    name = "sgx_qv_get_quote_supplemental_data_size" if call == "size_code" else "sgx_qv_verify_quote"
    with pytest.raises(UnsupportedError, match=rf"{name}: got SGX_QL_ENCLAVE_LOAD_ERROR \(0xe016\): .*QvE"):
        QuoteVerificationLibrary(stub.path).verify(b"quote", PARTS, 0)


def test_sizes_of_supplemental_data(stub: Stub) -> None:
    library = QuoteVerificationLibrary(stub.path)
    stub.set("size", 0)
    assert library.verify(b"quote", PARTS, 0).supplemental == b""
    stub.set("size", 65_537)
    with pytest.raises(InternalError, match="got 65537 bytes, at most 65536"):
        library.verify(b"quote", PARTS, 0)
    assert stub.got("calls") == 1


@pytest.mark.parametrize(
    ("code", "label", "said"),
    [
        (0xE00E, "unsupported_evidence", "SGX_QL_PLATFORM_LIB_UNAVAILABLE (0xe00e): a library of the platform"),
        (0xE03B, "unsupported_evidence", "SGX_QL_ERROR_QVL_QVE_MISMATCH (0xe03b): library and enclave"),
        (0xE052, "unsupported_evidence", "SGX_QL_PSW_NOT_AVAILABLE (0xe052): SGX PSW"),
        (0xE01F, "evidence_signature", "SGX_QL_QE_REPORT_INVALID_SIGNATURE"),
        (0xE022, "certificate_chain", "SGX_QL_PCK_CERT_CHAIN_ERROR"),
        (0xE031, "revoked", "SGX_QL_PCK_REVOKED"),
        (0xE02C, "endorsements_expired", "SGX_QL_SGX_TCB_INFO_EXPIRED"),
        (0xE066, "tcb_no_level", "SGX_QL_TCB_NOT_SUPPORTED"),
        (0xE002, "verifier_failed", "SGX_QL_ERROR_INVALID_PARAMETER (0xe002)"),
        (0xE0FE, "verifier_failed", "an unknown error (0xe0fe)"),
        (0xFFFFFFFF, "verifier_failed", "an unknown error (0xffffffff)"),
    ],
)
def test_errors_by_their_names(code: int, label: str, said: str) -> None:
    error = error_of("call", code)
    assert (error.refusal.label, error.message.startswith("call: got ")) == (label, True)
    assert said in error.message


def test_no_error_is_a_success() -> None:
    assert all(isinstance(error_of("call", code), RatsTlsError) for code in range(0xE000, 0xE100))


@pytest.mark.parametrize("name", ["libsgx_dcap_quoteverify.so.1", "/nowhere/libsgx_dcap_quoteverify.so.1"])
def test_a_library_that_is_not_there_is_named(name: str) -> None:
    with pytest.raises(NoInstanceError, match=rf"{name}: cannot be loaded: .*Intel SGX DCAP"):
        QuoteVerificationLibrary(name)


def test_a_function_that_is_not_there_is_named() -> None:
    with pytest.raises(NoInstanceError, match="it has no sgx_qv_verify_quote"):
        QuoteVerificationLibrary(compiled("WITHOUT_VERIFY"))


def test_instances_without_what_they_need_say_what() -> None:
    with pytest.raises(NoInstanceError, match=r"qve.*runs in no enclave that can check the MAC.*qvl-host"):
        registry.verifier("sgx_ecdsa_qve")
    with pytest.raises(NoInstanceError, match=r"libsgx_dcap_quoteverify\.so\.1: cannot be loaded"):
        registry.verifier("qvl-host")


# --- supplemental data ------------------------------------------------------------------------------------------------
def test_supplemental_data() -> None:
    data = supplemental(bytes([1] * 16), bytes([2] * 16), advisories=b"INTEL-SA-00289, INTEL-SA-00615", number=17)
    read = Supplement.from_bytes(data)
    assert read.advisories == ("INTEL-SA-00289", "INTEL-SA-00615")
    assert (read.tcb_evaluation_data_number, read.ppid, read.cpu_svn) == (17, bytes([1] * 16), bytes([2] * 16))


def test_more_behind_it_is_a_later_minor_version() -> None:
    data = supplemental(bytes(16), bytes(16), minor=9) + bytes(100)
    assert Supplement.from_bytes(data).advisories == ()


@pytest.mark.parametrize(("major", "minor"), [(3, 0), (2, 1), (4, 1), (0, 0), (0xFFFF, 0xFFFF)])
def test_versions_without_advisories_are_refused(major: int, minor: int) -> None:
    with pytest.raises(UnsupportedError, match=rf"got version {major}\.{minor}, expected 3\.1"):
        Supplement.from_bytes(supplemental(bytes(16), bytes(16), major=major, minor=minor))


def test_every_truncation_is_refused() -> None:
    data = supplemental(bytes(16), bytes(16))
    for size in range(492):
        with pytest.raises(RatsTlsError):
            Supplement.from_bytes(data[:size])
    assert Supplement.from_bytes(data[:492]).advisories == ()


@pytest.mark.parametrize(
    "advisories", [b"\xff\xfe", b"INTEL-SA-00289,", b",", b"a b", b"INTEL-SA-00289;INTEL-SA-00615", b"A" * 320]
)
def test_advisories_that_are_none_are_refused(advisories: bytes) -> None:
    with pytest.raises(InternalError, match="sa_list"):
        Supplement.from_bytes(supplemental(bytes(16), bytes(16), advisories=advisories))


def test_supplemental_data_of_another_tee_is_refused() -> None:
    with pytest.raises(InternalError, match="tee_type: got 0x81"):
        Supplement.from_bytes(supplemental(bytes(16), bytes(16), tee=0x81))


@given(st.binary(max_size=600) | st.binary(max_size=600).map(lambda data: b"\3\0\3\0" + data))
def test_any_bytes_are_supplemental_data_or_an_error(data: bytes) -> None:
    try:
        read = Supplement.from_bytes(data)
    except RatsTlsError:
        return
    assert (len(read.ppid), len(read.cpu_svn)) == (16, 16)
