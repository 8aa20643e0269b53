"""The PCK certificate's SGX extension, and the DER reader underneath."""

from __future__ import annotations

import pytest

from rats_tls.core.errors import DecodeError
from rats_tls.formats.der import read_elements, read_unsigned
from rats_tls.formats.intel.pck import SGX_EXTENSION_OID, PckChain, platform_from_extension
from rats_tls.simulation import der
from support.intel import PHALA_SGX, PHALA_TDX, load, verifier_of


def pair(suffix: str, value: bytes) -> bytes:
    return der.sequence(der.object_identifier(f"{SGX_EXTENSION_OID}.{suffix}"), value)


def tcb_members() -> list[bytes]:
    members = [pair(f"2.{arc}", der.integer(arc + 200 if arc < 9 else arc)) for arc in range(1, 17)]
    return [*members, pair("2.17", der.integer(13)), pair("2.18", der.octet_string(bytes(range(16))))]


def configuration(*members: bytes) -> bytes:
    return pair("7", der.sequence(*members))


def members() -> dict[str, bytes]:
    return {
        "1": pair("1", der.octet_string(b"P" * 16)),
        "2": pair("2", der.sequence(*tcb_members())),
        "3": pair("3", der.octet_string(b"\0\1")),
        "4": pair("4", der.octet_string(b"FMSPC!")),
        "5": pair("5", der.enumerated(1)),
        "6": pair("6", der.octet_string(b"I" * 16)),
        "7": configuration(
            pair("7.1", der.boolean(True)), pair("7.2", der.boolean(False)), pair("7.3", der.boolean(True))
        ),
    }


def encode(parts: dict[str, bytes]) -> bytes:
    return der.sequence(*parts.values())


def test_every_member() -> None:
    platform = platform_from_extension(encode(members()))
    assert platform.ppid == b"P" * 16
    assert platform.sgx_tcb_components == tuple(arc + 200 if arc < 9 else arc for arc in range(1, 17))
    assert (platform.pce_svn, platform.cpu_svn) == (13, bytes(range(16)))
    assert (platform.pce_id, platform.fmspc, platform.sgx_type) == (b"\0\1", b"FMSPC!", 1)
    assert platform.platform_instance_id == b"I" * 16
    assert (platform.dynamic_platform, platform.cached_keys, platform.smt_enabled) == (True, False, True)


def test_processor_ca_form() -> None:
    parts = members()
    del parts["6"], parts["7"]
    platform = platform_from_extension(encode(parts))
    assert platform.platform_instance_id is None
    assert (platform.dynamic_platform, platform.cached_keys, platform.smt_enabled) == (None, None, None)


@pytest.mark.parametrize("arc", list("1234567"))
def test_missing_member(arc: str) -> None:
    parts = members()
    del parts[arc]
    with pytest.raises(DecodeError, match="missing"):
        platform_from_extension(encode(parts))


@pytest.mark.parametrize("arc", list("1234567"))
def test_repeated_member(arc: str) -> None:
    parts = members()
    with pytest.raises(DecodeError, match="occurs twice"):
        platform_from_extension(der.sequence(*parts.values(), parts[arc]))


@pytest.mark.parametrize("index", range(18))
def test_tcb_members_missing_and_repeated(index: int) -> None:
    parts, tcb = members(), tcb_members()
    parts["2"] = pair("2", der.sequence(*tcb[:index], *tcb[index + 1 :]))
    with pytest.raises(DecodeError, match="missing"):
        platform_from_extension(encode(parts))
    parts["2"] = pair("2", der.sequence(*tcb, tcb[index]))
    with pytest.raises(DecodeError, match="occurs twice"):
        platform_from_extension(encode(parts))


@pytest.mark.parametrize(
    ("arc", "value"),
    [
        ("1", pair("1", der.octet_string(b"P" * 15))),
        ("1", pair("1", der.integer(1))),
        ("3", pair("3", der.octet_string(b"\0\1\2"))),
        ("4", pair("4", der.octet_string(b"FMSPC"))),
        ("5", pair("5", der.integer(1))),
        ("5", pair("5", der.enumerated(256))),
        ("6", pair("6", der.octet_string(b""))),
        ("7", configuration(pair("7.1", der.integer(1)))),
        ("7", configuration(pair("7.1", der.element(0x01, b"\x01")))),
        ("7", configuration(pair("7.4", der.boolean(True)))),
        ("7", configuration(pair("7.1", der.boolean(True)), pair("7.1", der.boolean(True)))),
        ("7", pair("8", der.sequence())),
        ("7", pair("7.1", der.sequence())),
        ("7", der.sequence(der.object_identifier("1.2.840.113741.1.14.1.7"), der.sequence())),
        ("2", pair("2", der.sequence(*tcb_members()[:16], pair("2.17", der.integer(65536)), tcb_members()[17]))),
        ("2", pair("2", der.sequence(pair("2.1", der.integer(256)), *tcb_members()[1:]))),
        ("2", pair("2", der.sequence(pair("2.1", der.element(0x02, b"\xff")), *tcb_members()[1:]))),
        ("2", pair("2", der.sequence(pair("2.1", der.element(0x02, b"\0\1")), *tcb_members()[1:]))),
        ("2", pair("2", der.sequence(pair("2.1", der.element(0x02, b"")), *tcb_members()[1:]))),
        ("2", pair("2", der.sequence(*tcb_members(), pair("2.19", der.integer(1))))),
        ("5", der.sequence(der.object_identifier(f"{SGX_EXTENSION_OID}.5"))),
        ("5", der.sequence(der.object_identifier(f"{SGX_EXTENSION_OID}.5"), der.enumerated(1), der.enumerated(1))),
        ("5", der.sequence(der.octet_string(b"\5"), der.enumerated(1))),
    ],
)
def test_wrong_member(arc: str, value: bytes) -> None:
    parts = members() | {arc: value}
    with pytest.raises(DecodeError):
        platform_from_extension(encode(parts))


def test_configuration_flags_may_be_absent() -> None:
    parts = members() | {"7": configuration(pair("7.2", der.boolean(True)))}
    platform = platform_from_extension(encode(parts))
    assert (platform.dynamic_platform, platform.cached_keys, platform.smt_enabled) == (None, True, None)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x30",
        b"\x30\x80",  # indefinite length
        b"\x30\x81\x05\x02\x03\x01\x02\x03",  # length not minimal
        b"\x30\x82\x00\x80" + bytes(128),  # length not minimal
        b"\x30\x84\x00\x00\x00\x01\x00",
        b"\x30\x05\x02\x01",
        b"\x1f\x81\x01\x00",  # multi-byte tag
        encode(members()) + b"\0\0",
        encode(members()) * 2,
    ],
    ids=lambda data: data[:8].hex(),
)
def test_not_der(data: bytes) -> None:
    with pytest.raises(DecodeError):
        platform_from_extension(data)


def test_number_of_elements_is_bounded() -> None:
    with pytest.raises(DecodeError, match="more than 64"):
        read_elements(der.integer(1) * 65, "Structure")
    assert len(read_elements(der.integer(1) * 64, "Structure")) == 64


def test_large_integer() -> None:
    (element,) = read_elements(b"\x02\x0a" + b"\x01" * 10, "Structure")
    with pytest.raises(DecodeError, match="integer of 10 bytes"):
        read_unsigned(element, "Structure", maximum=1 << 80)


def test_errors_say_where() -> None:
    data = encode(members() | {"4": pair("4", der.octet_string(b"FMSPC"))})
    with pytest.raises(DecodeError) as caught:
        platform_from_extension(data)
    assert caught.value.structure == "SgxExtension.fmspc"
    assert caught.value.offset == data.index(b"FMSPC")


@pytest.mark.parametrize(("vector_id", "ca"), [(PHALA_SGX, "Processor"), (PHALA_TDX, "Platform")])
def test_chain_of_a_quote(vector_id: str, ca: str) -> None:
    vector = load(vector_id)
    chain = verifier_of(vector).decode(vector.evidence).structure.chain
    assert isinstance(chain, PckChain)
    assert ca in chain.issuers[0].subject.common_name
    assert (chain.platform.platform_instance_id is not None) == (ca == "Platform")
    assert PckChain.from_ders(chain.ders) == chain


def test_leaf_without_extension_is_no_pck_certificate() -> None:
    vector = load(PHALA_SGX)
    chain = verifier_of(vector).decode(vector.evidence).structure.chain
    with pytest.raises(DecodeError, match="SGX extension is missing"):
        PckChain.from_ders(chain.ders[1:])
    with pytest.raises(DecodeError, match="leaf: missing"):
        PckChain.from_ders(())
