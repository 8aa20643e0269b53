"""Every field of Evidence, certificates and Endorsements is shown, with what its bits mean."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rats_tls.core.errors import ConfigurationError, DecodeError, RatsTlsError, UnsupportedError
from rats_tls.core.evidence import Evidence, TeeType
from rats_tls.formats.amd.report import AttestationReport
from rats_tls.formats.intel.collateral import endorsements_to_json
from rats_tls.formats.intel.qe_identity import QeIdentity
from rats_tls.formats.intel.report import SgxReportBody, TdReportBody
from rats_tls.formats.intel.tcb_info import TcbInfo, TcbLevel
from rats_tls.formats.x509 import Certificate
from rats_tls.inspection.evidence import evidence_nodes
from rats_tls.inspection.files import inspect_file
from rats_tls.inspection.tree import LARGEST_VALUE, Node, octets
from rats_tls.inspection.words import flags, word
from support.odd_certificates import WITHOUT_PARAMETERS, rebuilt, with_null_parameters
from support.simulated import REPORT_DATA, world


def collected(tee: str, **state: object) -> Evidence:
    made = world().attester(f"simulated_{tee}", **state).collect(REPORT_DATA)
    assert made is not None
    return made.evidence


def names(nodes: Sequence[Node]) -> Iterator[str]:
    for node in nodes:
        yield node.name
        yield from names(node.fields)


def find(nodes: Sequence[Node], *path: str) -> Node:
    node = next(node for node in nodes if node.name == path[0])
    return find(node.fields, *path[1:]) if path[1:] else node


def declared(structure: type) -> set[str]:
    return {field.name for field in fields(structure)}


# --- Evidence ------------------------------------------------------------------------------------------------------
def test_every_field_of_a_quote_of_an_enclave() -> None:
    nodes = evidence_nodes(collected("sgx_ecdsa"))
    assert declared(SgxReportBody) <= set(names(find(nodes, "body").fields))
    assert declared(SgxReportBody) <= set(names(find(nodes, "signature_data", "qe_report").fields))
    assert find(nodes, "body", "report_data").value == REPORT_DATA
    assert find(nodes, "body", "attributes").meaning == "INIT, MODE64"
    assert find(nodes, "header", "tee_type").meaning == "SGX"
    certification = find(nodes, "signature_data", "certification")
    assert [node.name for node in certification.fields] == ["type", "certificate 1", "certificate 2", "certificate 3"]
    assert find(certification.fields, "certificate 1", "sgx_extension", "fmspc").value == b"SIM\0\0\0"


@pytest.mark.parametrize("body", ["1.0", "1.5"])
def test_every_field_of_a_quote_of_a_domain(body: str) -> None:
    nodes = evidence_nodes(collected("tdx_ecdsa", quote_version=5, body_version=body))
    only_15 = {"tee_tcb_svn2", "mr_service_td"}
    wanted = declared(TdReportBody) - (only_15 if body == "1.0" else set())
    shown = {node.name for node in find(nodes, "body").fields}
    assert shown == wanted
    assert find(nodes, "body").meaning == f"TD report {body}"
    assert "SEPT_VE_DISABLE" in find(nodes, "body", "td_attributes").meaning


@pytest.mark.parametrize("version", [2, 3, 5])
def test_every_field_of_a_report(version: int) -> None:
    nodes = evidence_nodes(collected("sev_snp", report_version=version))
    assert declared(AttestationReport) - {"signed", "r", "s"} <= {node.name for node in nodes}
    assert "must-be-one" in find(nodes, "policy").meaning
    meaning = find(nodes, "reported_tcb").meaning
    assert ("does not name" in meaning) if version == 2 else meaning.startswith("bootloader ")


def test_debug_is_spelled_out() -> None:
    assert "DEBUG" in find(evidence_nodes(collected("sgx_ecdsa", debug=True)), "body", "attributes").meaning
    assert "DEBUG allowed" in find(evidence_nodes(collected("sev_snp", debug=True)), "policy").meaning


@given(st.sampled_from(["sgx_ecdsa", "tdx_ecdsa", "sev_snp"]), st.data())
def test_any_bytes_give_fields_or_our_error(tee: str, data: st.DataObject) -> None:
    """Whatever is changed or cut."""
    good = collected(tee).data
    at = data.draw(st.integers(0, len(good) - 1))
    end = data.draw(st.one_of(st.just(len(good)), st.integers(0, len(good))))
    changed = (good[:at] + data.draw(st.binary(min_size=1, max_size=8)) + good[at + 1 :])[:end]
    try:
        assert evidence_nodes(Evidence.of(TeeType(tee), changed))
    except RatsTlsError as error:
        assert isinstance(error, DecodeError | UnsupportedError)  # noqa: PT017  # fields would do as well


# --- words ---------------------------------------------------------------------------------------------------------
@given(st.integers(0, 2**64 - 1))
def test_every_set_bit_is_named_once(value: int) -> None:
    named = flags(value, {0: "ZERO", 63: "LAST"})
    assert named == "no bit set" if value == 0 else len(named.split(", ")) == value.bit_count()


@pytest.mark.parametrize(
    ("name", "value", "meaning"),
    [
        ("attributes", 0x1000_0000_0000_0007, "INIT, DEBUG, MODE64, unknown bit 60"),
        ("policy", 0xB_0133, "ABI 1.51, SMT allowed, must-be-one, DEBUG allowed"),
        ("key_info", 0b0_0101, "AUTHOR_KEY_EN, signing key VLEK"),
        ("key_info", 0b0_1000, "signing key unknown (2)"),
        ("platform_info", 0x20, "ALIAS_CHECK_COMPLETE"),
        ("seam_attributes", 0, "no bit set"),
        ("xfam", 0x3, "x87, SSE"),
        ("launch_mit_vector", 0b101, "mitigation 0, mitigation 2"),
    ],
)
def test_words(name: str, value: int, meaning: str) -> None:
    node = word(name, value)
    assert node is not None
    assert (node.value, node.meaning) == (f"{value:#x}", meaning)


def test_a_number_is_no_word() -> None:
    assert word("isv_svn", 3) is None


def test_large_values_are_shown_by_their_digest() -> None:
    assert octets("x", bytes(LARGEST_VALUE)).value == bytes(LARGEST_VALUE)
    large = octets("x", bytes(LARGEST_VALUE + 1))
    assert (large.value, large.size) == (None, LARGEST_VALUE + 1)
    assert large.meaning.startswith("SHA-256 ")


# --- files ---------------------------------------------------------------------------------------------------------
def test_every_field_of_endorsements(tmp_path: Path) -> None:
    path = tmp_path / "bundle.json"
    path.write_bytes(endorsements_to_json(world().endorsements("simulated_tdx_ecdsa")))
    found = inspect_file(path)
    assert found.kind == "Endorsements (JSON)"
    info, identity = find(found.fields, "intel-tcb-info"), find(found.fields, "intel-qe-identity")
    singular = {"tcb_levels", "tdx_module_identities"}
    assert declared(TcbInfo) - singular <= {node.name for node in info.fields}
    assert declared(TcbLevel) == {node.name for node in find(info.fields, "tcb_levels 1").fields}
    assert declared(QeIdentity) - singular <= {node.name for node in identity.fields}
    assert len(find(info.fields, "signature").value) == 64  # type: ignore[arg-type]  # bytes
    assert find(info.fields, "issuer 1", "subject")
    assert find(found.fields, "intel-pck-crl", "next_update")


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", DecodeError),
        (b"hello", UnsupportedError),
        (b"{}", DecodeError),
        (b"\x30\x82\x00\x01\x00", DecodeError),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", DecodeError),
        (b"version = 1\n", ConfigurationError),
    ],
)
def test_files_that_are_none(tmp_path: Path, data: bytes, error: type[RatsTlsError]) -> None:
    path = tmp_path / "file"
    path.write_bytes(data)
    with pytest.raises(error, match="file"):
        inspect_file(path)


@given(st.binary(max_size=300))
def test_any_file_gives_fields_or_our_error(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any"
    path.write_bytes(data)
    with pytest.raises(RatsTlsError):
        inspect_file(path)


def test_a_certificate_that_only_the_tolerant_reader_takes_is_shown_whole(tmp_path: Path) -> None:
    odd = with_null_parameters()
    with pytest.raises(DecodeError):
        Certificate.from_der(odd)
    path = tmp_path / "odd.der"
    path.write_bytes(odd)
    shown = inspect_file(path)
    assert shown.kind == "certificate"
    usual = tmp_path / "usual.der"
    usual.write_bytes(rebuilt(odd, algorithm=WITHOUT_PARAMETERS))
    names = [node.name for node in shown.fields]
    assert names == [node.name for node in inspect_file(usual).fields]
    assert "serial" in names
