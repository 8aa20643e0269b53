"""TCB info and QE identity: every member has to be there, of its type and in its range."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from rats_tls.core.claims import TcbStatus
from rats_tls.core.endorsements import EndorsementKind
from rats_tls.core.errors import DecodeError
from rats_tls.formats.intel.qe_identity import QeIdentity
from rats_tls.formats.intel.tcb_info import TcbInfo
from rats_tls.formats.json_document import JsonObject, split_response
from support.intel import OUTDATED, PHALA_SGX, PHALA_TDX, load

SGX_V2 = "sgx_ecdsa/openenclave-evidence-endorsements"
TCB_INFO, QE_IDENTITY = EndorsementKind.INTEL_TCB_INFO, EndorsementKind.INTEL_QE_IDENTITY
Read = Callable[[bytes], TcbInfo | QeIdentity]
DOCUMENTS: dict[str, tuple[str, EndorsementKind, Read]] = {
    "TCB info 2": (SGX_V2, TCB_INFO, TcbInfo.from_json),
    "TCB info 3 SGX": (PHALA_SGX, TCB_INFO, TcbInfo.from_json),
    "TCB info 3 TDX": (OUTDATED, TCB_INFO, TcbInfo.from_json),
    "QE": (PHALA_SGX, QE_IDENTITY, QeIdentity.from_json),
    "TD_QE": (PHALA_TDX, QE_IDENTITY, QeIdentity.from_json),
}
ALL = pytest.mark.parametrize("name", DOCUMENTS)
OPTIONAL = {"advisoryIDs", "category", "type", "tdxModuleIdentities"}
Path = tuple[str | int, ...]


def raw(name: str) -> bytes:
    vector_id, kind, _ = DOCUMENTS[name]
    return load(vector_id).item(kind).data


def read(name: str, document: Any) -> TcbInfo | QeIdentity:
    data = document if isinstance(document, bytes) else json.dumps(document).encode()
    return DOCUMENTS[name][2](data)


def members(value: Any, path: Path = ()) -> Iterator[Path]:
    """Give the path of every member, of the first two of each list."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield (*path, key)
            yield from members(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value[:2]):
            yield from members(inner, (*path, index))


def with_member(document: Any, path: Path, value: Any) -> Any:
    changed = copy.deepcopy(document)
    target = changed
    for part in path[:-1]:
        target = target[part]
    if value is ...:
        del target[path[-1]]
    else:
        target[path[-1]] = value
    return changed


CASES = [(name, path) for name in DOCUMENTS for path in members(json.loads(raw(name)))]


@pytest.mark.parametrize(("name", "path"), CASES, ids=lambda value: value if isinstance(value, str) else repr(value))
def test_every_member_is_read_strictly(name: str, path: Path) -> None:
    document = json.loads(raw(name))
    member = path[-1]
    if member in {"category", "type"}:  # for people, left alone
        return
    if member not in OPTIONAL:
        with pytest.raises(DecodeError, match="missing") as caught:
            read(name, with_member(document, path, ...))
        assert caught.value.field == member
    value = document
    for part in path:
        value = value[part]
    wrong: list[Any] = [None, True, [], {}, 7 if isinstance(value, str) else "7", -1]
    if isinstance(value, int):
        wrong += [1 << 32, 1 << 70]
        if member not in {"version", "tcbEvaluationDataNumber", "tcbType"}:
            wrong += [256 if member == "svn" or str(member).startswith("sgxtcbcomp") else 65536]
    if isinstance(value, str):
        wrong += ["", value + "0", value[:-1], value[:-1] + "g", value[:-1] + "é"]
    if isinstance(value, list) and len(value) == 16:
        wrong += [value[:15], [*value, value[0]]]
    if member == "advisoryIDs":
        wrong = [None, True, {}, 7, "7", [7], [None]]
    if member == "id" and len(path) > 1:
        wrong = [None, True, [], {}, 7]
    for other in wrong:
        with pytest.raises(DecodeError) as caught:
            read(name, with_member(document, path, other))
        assert str(member) in f"{caught.value.structure}.{caught.value.field}"


@ALL
def test_exact_bytes_decode(name: str) -> None:
    assert read(name, json.loads(raw(name))) == DOCUMENTS[name][2](raw(name))


@ALL
@pytest.mark.parametrize(
    "change",
    [
        lambda data: data + b"x",
        lambda data: data + data,
        lambda data: data[:-1],
        lambda data: data[:-1] + b',"version":3}',
        lambda data: data.replace(b'"tcbDate"', b'"tcbStatus"', 1),
        lambda data: data[:-1] + b',"more":1.0}',
        lambda data: data[:-1] + b',"more":1e3}',
        lambda data: data[:-1] + b',"more":NaN}',
        lambda data: data[:-1] + b',"more":Infinity}',
        lambda data: data[:-1] + b',"more":"\xff"}',
        lambda data: data[:-1] + b',"more":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        lambda data: data[:-1] + b',"more":' + b"1" * 10_000 + b"}",
        lambda data: data[:-1] + b',"more":"\n"}',
        lambda data: b"\xef\xbb\xbf" + data,
        lambda data: data.decode().encode("utf-16"),
        lambda data: b"[" + data + b"]",
        lambda _: b"",
        lambda _: b"null",
    ],
)
def test_not_strict_json(name: str, change: Callable[[bytes], bytes]) -> None:
    with pytest.raises(DecodeError):
        read(name, change(raw(name)))


@ALL
def test_unknown_members_are_left_alone(name: str) -> None:
    document = json.loads(raw(name)) | {"somethingNew": [1, {"a": None}]}
    assert read(name, document) == read(name, raw(name))


@ALL
def test_levels_are_sorted_whatever_their_order(name: str) -> None:
    document = json.loads(raw(name))
    reverse = copy.deepcopy(document)
    reverse["tcbLevels"].reverse()
    for identity in reverse.get("tdxModuleIdentities", []):
        identity["tcbLevels"].reverse()
    assert read(name, reverse) == read(name, document)


@pytest.mark.parametrize("name", ["TCB info 3 SGX", "TCB info 3 TDX"])
@pytest.mark.parametrize("version", [0, 1, 2, 4])
def test_versions_of_tcb_info(name: str, version: int) -> None:
    with pytest.raises(DecodeError) as caught:
        read(name, json.loads(raw(name)) | {"version": version})
    # Version 2 is known, but it has its components elsewhere.
    assert caught.value.field == ("sgxtcbcomp01svn" if version == 2 else "version")


@pytest.mark.parametrize(
    ("name", "version", "known"),
    [("QE", 1, False), ("QE", 3, False), ("QE", 2, True), ("TD_QE", 2, True), ("TD_QE", 3, True), ("TD_QE", 4, False)],
)
def test_versions_of_identities(name: str, version: int, known: bool) -> None:
    document = json.loads(raw(name)) | {"version": version}
    if known:
        assert read(name, document).version == version
        return
    with pytest.raises(DecodeError, match=f"unsupported version {version}"):
        read(name, document)


@pytest.mark.parametrize("identifier", ["QVE", "QAE", "qe", ""])
def test_other_enclaves(identifier: str) -> None:
    with pytest.raises(DecodeError, match="id"):
        read("QE", json.loads(raw("QE")) | {"id": identifier})


@pytest.mark.parametrize("status", ["TDRelaunchAdvised", "uptodate", "SWHardening"])
def test_statuses_that_intel_does_not_publish(status: str) -> None:
    document = json.loads(raw("TCB info 3 SGX"))
    with pytest.raises(DecodeError, match="tcbStatus"):
        read("TCB info 3 SGX", with_member(document, ("tcbLevels", 0, "tcbStatus"), status))


@pytest.mark.parametrize(
    "status", [status.value for status in TcbStatus if "Date" not in status.value or "N" in status.value]
)
def test_statuses_that_enclaves_do_not_have(status: str) -> None:
    document = json.loads(raw("QE"))
    changed = with_member(document, ("tcbLevels", 0, "tcbStatus"), status)
    if status == "Revoked":
        read("QE", changed)
        return
    with pytest.raises(DecodeError, match="tcbStatus"):
        read("QE", changed)


def test_module_identities() -> None:
    name = "TCB info 3 TDX"
    document = json.loads(raw(name))
    tcb_info = read(name, document)
    assert isinstance(tcb_info, TcbInfo)
    first = tcb_info.module_identity(1)
    assert first is not None
    assert first.id == "TDX_01"
    assert tcb_info.module_identity(2) is None
    lower = with_member(document, ("tdxModuleIdentities", 0, "id"), document["tdxModuleIdentities"][0]["id"].lower())
    found = read(name, lower)
    assert isinstance(found, TcbInfo)
    version = int(document["tdxModuleIdentities"][0]["id"][4:], 16)
    assert found.module_identity(version) is not None
    twice = copy.deepcopy(document)
    twice["tdxModuleIdentities"].append(twice["tdxModuleIdentities"][0])
    with pytest.raises(DecodeError, match="occurs twice"):
        read(name, twice)


def test_words_are_in_the_order_of_a_report() -> None:
    document = json.loads(raw("QE")) | {"attributes": "11" + "00" * 7 + "E7" + "00" * 7, "miscselect": "01000000"}
    identity = read("QE", document)
    assert isinstance(identity, QeIdentity)
    assert identity.attributes == 0x11 | 0xE7 << 64
    assert identity.miscselect == 1


# --- the value that is signed ----------------------------------------------------------------------------------------
INNER = b'{ "b":1,\n "a" : [2] , "\xc3\xa9":"\\u00e9" }'
SIGNATURE = b"ab" * 64


def response(inner: bytes = INNER, signature: bytes = SIGNATURE) -> bytes:
    return b'{"tcbInfo":' + inner + b',"signature":"' + signature + b'"}'


@pytest.mark.parametrize(
    "body",
    [
        response(),
        b' {\n "tcbInfo" :\t' + INNER + b' , "signature" : "' + SIGNATURE + b'" } \n',
        b'{"signature":"' + SIGNATURE.upper() + b'","tcbInfo":' + INNER + b"}",
        b'{"tcb\\u0049nfo":' + INNER + b',"signature":"' + SIGNATURE + b'"}',
    ],
)
def test_exact_bytes_of_the_inner_value(body: bytes) -> None:
    assert split_response(body, "tcbInfo", "TcbInfo") == (INNER, bytes.fromhex(SIGNATURE.decode()))


@pytest.mark.parametrize(
    "body",
    [
        response()[:-1],
        response() + b"x",
        response() + response(),
        response()[:-1] + b',"more":1}',
        response()[:-1] + b',"tcbInfo":' + INNER + b"}",
        response()[:-1] + b',"signature":"' + SIGNATURE + b'"}',
        response()[:-1] + b",}",
        response(signature=SIGNATURE[:-1]),
        response(signature=SIGNATURE[:-2]),
        response(signature=SIGNATURE + b"00"),
        response(signature=b"zz" * 64),
        response(inner=b"[]"),
        response(inner=b'{"a":1,"a":2}'),
        response(inner=b'{"a":1.5}'),
        response(inner=b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
        b'{"tcbInfo":' + INNER + b"}",
        b'{"signature":"' + SIGNATURE + b'"}',
        b'{"tcbInfo":' + INNER + b',"signature":7}',
        b'{"enclaveIdentity":' + INNER + b',"signature":"' + SIGNATURE + b'"}',
        b"{}",
        b"[]",
        b"",
        b'{"tcbInfo"',
        b'{"tcbInfo":',
        b'{"tcbInfo',
        b"{tcbInfo:1}",
        b"\xff",
    ],
)
def test_not_a_response(body: bytes) -> None:
    with pytest.raises(DecodeError):
        split_response(body, "tcbInfo", "TcbInfo")


def test_lists_are_bounded() -> None:
    data = json.dumps({"list": ["a"] * 1025}).encode()
    with pytest.raises(DecodeError, match="1025 members"):
        JsonObject.from_bytes(data, "Structure").texts("list")


@pytest.mark.parametrize(
    "time",
    [
        "2025-06-19T10:56:11",
        "2025-06-19 10:56:11Z",
        "2025-06-19T10:56:11+00:00",
        "2025-02-30T10:56:11Z",
        "2025-06-19T24:00:00Z",
        "0000-06-19T10:56:11Z",
        "2025-06-19T10:56:11Z ",
        "\uff12025-06-19T10:56:11Z",
    ],
)
def test_other_times(time: str) -> None:
    with pytest.raises(DecodeError, match="when"):
        JsonObject.from_bytes(json.dumps({"when": time}).encode(), "Structure").time("when")
