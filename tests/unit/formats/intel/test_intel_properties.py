"""Any bytes give a value or this package's error."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rats_tls.core.errors import RatsTlsError
from rats_tls.core.evidence import Evidence, TeeType
from rats_tls.formats.intel.collateral import endorsements_from_fields, endorsements_from_json
from rats_tls.formats.intel.pck import PckChain, platform_from_extension
from rats_tls.formats.intel.qe_identity import QeIdentity
from rats_tls.formats.intel.quote import CertificationData, Quote
from rats_tls.formats.intel.tcb_info import TcbInfo
from rats_tls.formats.json_document import split_response
from rats_tls.verifiers.sgx_ecdsa import SgxEcdsaVerifier
from rats_tls.verifiers.tdx_ecdsa import TdxEcdsaVerifier
from support.intel import OUTDATED, PHALA_SGX, PHALA_TDX, load, verifier_of

DECODERS: dict[str, Callable[[bytes], object]] = {
    "quote": Quote.from_bytes,
    "sgx": lambda data: SgxEcdsaVerifier().decode(Evidence.of(TeeType.SGX_ECDSA, data)),
    "tdx": lambda data: TdxEcdsaVerifier().decode(Evidence.of(TeeType.TDX_ECDSA, data)),
    "extension": platform_from_extension,
    "TCB info": TcbInfo.from_json,
    "identity": QeIdentity.from_json,
    "response": lambda data: split_response(data, "tcbInfo", "TcbInfo"),
    "bundle": endorsements_from_json,
    "fields": lambda data: endorsements_from_fields([data] * 7),
    "chain": lambda data: PckChain.from_ders((data,)),
    "certification 4": lambda data: CertificationData(type=4, data=data).certificates(),
    "certification 5": lambda data: CertificationData(type=5, data=data).certificates(),
    "platform": lambda data: CertificationData(type=2, data=data).platform(),
}
QUOTES = [load(name).evidence.data for name in (PHALA_SGX, PHALA_TDX, OUTDATED)]


def value_or_our_error(name: str, data: bytes) -> None:
    with contextlib.suppress(RatsTlsError):
        DECODERS[name](data)


@pytest.mark.parametrize("name", DECODERS)
@given(data=st.binary(max_size=1200))
@settings(max_examples=60, deadline=None)
def test_any_bytes(name: str, data: bytes) -> None:
    value_or_our_error(name, data)


@pytest.mark.parametrize("name", ["quote", "sgx", "tdx"])
@given(
    quote=st.sampled_from(QUOTES), changes=st.lists(st.tuples(st.integers(0, 9000), st.binary(max_size=8)), max_size=4)
)
@settings(max_examples=150, deadline=None)
def test_changed_quotes(name: str, quote: bytes, changes: list[tuple[int, bytes]]) -> None:
    data = bytearray(quote)
    for offset, value in changes:
        data[offset : offset + len(value)] = value
    value_or_our_error(name, bytes(data))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
MEMBERS = st.sampled_from(
    [
        "id", "version", "issueDate", "nextUpdate", "fmspc", "pceId", "tcbType", "tcbEvaluationDataNumber", "tdxModule",
        "tdxModuleIdentities", "tcbLevels", "tcb", "tcbInfo", "signature", "tcb_info", "tcb_info_signature", "pck_crl",
        "tcb_info_issuer_chain", "root_ca_crl", "miscselect", "attributes", "mrsigner", "isvprodid",
    ]
)  # fmt: skip


@pytest.mark.parametrize("name", ["TCB info", "identity", "response", "bundle"])
@given(document=st.dictionaries(MEMBERS, JSON, max_size=12))
@settings(max_examples=100, deadline=None)
def test_any_json(name: str, document: dict[str, Any]) -> None:
    value_or_our_error(name, json.dumps(document).encode())


def extension() -> bytes:
    vector = load(PHALA_TDX)
    leaf = verifier_of(vector).decode(vector.evidence).structure.chain.leaf
    value: bytes = leaf.extensions["1.2.840.113741.1.13.1"].value
    return value


def test_every_change_and_truncation_of_an_extension() -> None:
    data = extension()
    original = platform_from_extension(data)
    for offset in range(len(data)):
        for mask in (0x01, 0x80, 0xFF):
            changed = data[:offset] + bytes((data[offset] ^ mask,)) + data[offset + 1 :]
            try:
                assert platform_from_extension(changed) != original
            except RatsTlsError:
                continue
        with pytest.raises(RatsTlsError):
            platform_from_extension(data[:offset])
