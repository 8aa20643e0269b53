"""Bundles of Intel collateral: read, written, read again."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from rats_tls.core.endorsements import Endorsement, EndorsementKind, Origin
from rats_tls.core.errors import ConfigurationError, DecodeError
from rats_tls.core.limits import Limits
from rats_tls.formats.intel.collateral import (
    endorsements_from_fields,
    endorsements_from_json,
    endorsements_to_fields,
    endorsements_to_json,
)
from support.intel import BUNDLES, PHALA_SGX, PHALA_TDX, SPR_E4, bundle_bytes, load, verifier_of, verify

KIND = EndorsementKind


def bundle(vector_id: str = PHALA_TDX) -> dict[str, str]:
    loaded: dict[str, str] = json.loads(bundle_bytes(vector_id))
    return loaded


def encoded(document: Any) -> bytes:
    return json.dumps(document).encode()


def items() -> tuple[Endorsement, ...]:
    return endorsements_from_json(encoded(bundle()))


@pytest.mark.parametrize("vector_id", BUNDLES)
def test_round_trip(vector_id: str) -> None:
    found = endorsements_from_json(encoded(bundle(vector_id)))
    assert {item.kind for item in found} == {
        KIND.INTEL_TCB_INFO,
        KIND.INTEL_QE_IDENTITY,
        KIND.INTEL_ROOT_CRL,
        KIND.INTEL_PCK_CRL,
    }
    assert endorsements_from_json(endorsements_to_json(found)) == found
    written = json.loads(endorsements_to_json(found))
    assert written == {name: value for name, value in bundle(vector_id).items() if name in written} | {
        name: value for name, value in written.items() if name.endswith("chain")
    }


def test_values_are_the_exact_bytes() -> None:
    source = bundle()
    found = {item.kind: item for item in items()}
    assert found[KIND.INTEL_TCB_INFO].data == source["tcb_info"].encode()
    assert found[KIND.INTEL_TCB_INFO].signature.hex() == source["tcb_info_signature"]
    assert found[KIND.INTEL_QE_IDENTITY].data == source["qe_identity"].encode()
    assert found[KIND.INTEL_ROOT_CRL].data.hex() == source["root_ca_crl"]
    assert found[KIND.INTEL_PCK_CRL].data.hex() == source["pck_crl"]
    assert len(found[KIND.INTEL_PCK_CRL].issuer_chain) == 2
    assert {item.origin for item in found.values()} == {Origin.LOCAL}
    assert {item.origin for item in endorsements_from_json(encoded(source), origin=Origin.PEER)} == {Origin.PEER}


def test_full_responses() -> None:
    """Bundles that hold Intel's whole response, signature inside, in place of the value that is signed."""
    source = bundle()
    for name, member in (("tcb_info", "tcbInfo"), ("qe_identity", "enclaveIdentity")):
        signature = source.pop(f"{name}_signature")
        source[name] = f'{{"{member}":{source[name]},"signature":"{signature}"}}'
    assert endorsements_from_json(encoded(source)) == items()


def pem_of(der: bytes) -> str:
    text = base64.encodebytes(der).decode()
    return f"-----BEGIN X509 CRL-----\n{text}-----END X509 CRL-----\n"


@pytest.mark.parametrize(
    "form",
    [
        bytes.hex,
        lambda der: der.hex().upper(),
        lambda der: base64.b64encode(der).decode(),
        lambda der: base64.encodebytes(der).decode(),
        pem_of,
        lambda der: pem_of(der) + "\0",
    ],
)
def test_forms_of_revocation_lists(form: Any) -> None:
    expected = items()
    source = bundle()
    for name in ("root_ca_crl", "pck_crl"):
        source[name] = form(bytes.fromhex(source[name]))
    assert endorsements_from_json(encoded(source)) == expected


def test_pck_chain_travels() -> None:
    vector = load(PHALA_TDX)
    ders = verifier_of(vector).decode(vector.evidence).structure.chain.ders
    chain = Endorsement(kind=KIND.INTEL_PCK_CHAIN, data=ders[0], issuer_chain=ders[1:])
    found = endorsements_from_json(endorsements_to_json((*items(), chain)))
    assert chain in found
    assert not verify(vector.with_items(found)).problems


@pytest.mark.parametrize("kind", [KIND.INTEL_TCB_INFO, KIND.INTEL_QE_IDENTITY, KIND.INTEL_ROOT_CRL, KIND.INTEL_PCK_CRL])
def test_each_part_may_be_missing(kind: EndorsementKind) -> None:
    kept = tuple(item for item in items() if item.kind is not kind)
    assert endorsements_from_json(endorsements_to_json(kept)) == kept


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"tcb_info_signature": None}, "tcb_info_signature"),
        ({"tcb_info_signature": "ab"}, "tcb_info_signature"),
        ({"tcb_info_signature": ...}, "tcb_info_signature"),
        ({"qe_identity_signature": ...}, "qe_identity_signature"),
        ({"tcb_info_issuer_chain": ...}, "tcb_info_issuer_chain"),
        ({"qe_identity_issuer_chain": ""}, ""),
        ({"tcb_info_issuer_chain": "\ud800"}, ""),
        ({"tcb_info": 7}, "tcb_info"),
        ({"tcb_info": "[]"}, ""),
        ({"tcb_info": '"\ud800"'}, ""),
        ({"root_ca_crl": "zz"}, "root_ca_crl"),
        ({"root_ca_crl": ""}, "root_ca_crl"),
        ({"root_ca_crl": "\ud800"}, "root_ca_crl"),
        ({"root_ca_crl": "-----BEGIN X509 CRL-----"}, "root_ca_crl"),
        ({"pck_crl": None}, "pck_crl"),
        ({"pck_crl_issuer_chain": "x"}, ""),
        ({"pck_certificate_chain": "x"}, ""),
    ],
)
def test_malformed_bundles(change: dict[str, Any], field: str) -> None:
    source = {name: value for name, value in (bundle() | change).items() if value is not ...}
    with pytest.raises(DecodeError) as caught:
        endorsements_from_json(encoded(source))
    assert caught.value.field == field


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"\xff", b'{"other":"x"}'])
def test_no_bundle(data: bytes) -> None:
    with pytest.raises(DecodeError):
        endorsements_from_json(data)


def test_sizes_are_bounded() -> None:
    with pytest.raises(DecodeError, match="at most 100"):
        endorsements_from_json(encoded(bundle()), limits=Limits(endorsement_document=100))
    lists_only = {"root_ca_crl": bundle()["root_ca_crl"]}
    with pytest.raises(DecodeError, match="too many"):
        endorsements_from_json(encoded(lists_only), limits=Limits(endorsement_document=100))
    with pytest.raises(DecodeError, match="at most 1"):
        endorsements_from_json(encoded(bundle()), limits=Limits(certificate_chain=1))


def test_a_bundle_has_room_for_one_of_each() -> None:
    other = endorsements_from_json(encoded(bundle(SPR_E4)))
    with pytest.raises(ConfigurationError, match="two items"):
        endorsements_to_json((*items(), *other))
    with pytest.raises(ConfigurationError, match="no Intel Endorsement"):
        endorsements_to_json(())
    amd = Endorsement(kind=KIND.AMD_CRL, data=b"")
    assert endorsements_to_json((*items(), amd)) == endorsements_to_json(items())
    broken = Endorsement(kind=KIND.INTEL_TCB_INFO, data=b"\xff", signature=bytes(64))
    with pytest.raises(DecodeError, match="UTF-8"):
        endorsements_to_json((broken,))


# --- the certificate extension's fields ------------------------------------------------------------------------------
def test_fields_round_trip() -> None:
    fields = endorsements_to_fields(items())
    assert len(fields) == 7
    assert fields[0].startswith(b'{"tcbInfo":{"id":"TDX"')
    found = endorsements_from_fields(fields, origin=Origin.LOCAL)
    assert set(found) == set(items())
    assert not verify(load(PHALA_TDX).with_items(found)).problems
    assert {item.origin for item in endorsements_from_fields(fields)} == {Origin.PEER}


def test_fields_as_c_peers_write_them() -> None:
    expected = set(items())
    fields = tuple(field + b"\0" for field in endorsements_to_fields(items()))
    assert set(endorsements_from_fields(fields, origin=Origin.LOCAL)) == expected
    with_time = (*fields, b"2025-07-19T10:00:34Z\0")
    assert set(endorsements_from_fields(with_time, origin=Origin.LOCAL)) == expected


def test_fields_with_lists_in_der() -> None:
    lists = {item.kind: item.data for item in items()}
    fields = list(endorsements_to_fields(items()))
    for padding in (b"", b"\0\0"):
        fields[2] = lists[KIND.INTEL_PCK_CRL] + padding
        fields[3] = lists[KIND.INTEL_ROOT_CRL] + padding
        assert set(endorsements_from_fields(fields, origin=Origin.LOCAL)) == set(items())
    fields[2] = lists[KIND.INTEL_PCK_CRL] + b"\0x"
    with pytest.raises(DecodeError, match="behind the revocation list"):
        endorsements_from_fields(fields)


@pytest.mark.parametrize("count", [0, 6, 9])
def test_number_of_fields(count: int) -> None:
    with pytest.raises(DecodeError, match="expected 7 or 8"):
        endorsements_from_fields([b""] * count)


@pytest.mark.parametrize("index", range(7))
def test_broken_field(index: int) -> None:
    fields = list(endorsements_to_fields(items()))
    for broken in (b"", b"\xff", fields[index][: len(fields[index]) // 3]):
        with pytest.raises(DecodeError):
            endorsements_from_fields([*fields[:index], broken, *fields[index + 1 :]])


@pytest.mark.parametrize("kind", [KIND.INTEL_TCB_INFO, KIND.INTEL_QE_IDENTITY, KIND.INTEL_ROOT_CRL, KIND.INTEL_PCK_CRL])
def test_fields_need_every_part(kind: EndorsementKind) -> None:
    with pytest.raises(ConfigurationError, match=kind.value):
        endorsements_to_fields(item for item in items() if item.kind is not kind)


def test_sgx_fields_too() -> None:
    vector = load(PHALA_SGX)
    fields = endorsements_to_fields(vector.endorsements)
    assert not verify(vector.with_items(endorsements_from_fields(fields))).problems
