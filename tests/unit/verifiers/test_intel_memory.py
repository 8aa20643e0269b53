"""What a Verifier of quotes remembers, and what it never lets that decide."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from rats_tls.core.anchors import AnchorKind
from rats_tls.core.endorsements import EndorsementKind
from rats_tls.core.errors import SignatureError
from rats_tls.core.limits import Limits
from rats_tls.crypto_wrappers.openssl import OpensslCryptoWrapper, OpensslPublicKey
from rats_tls.verifiers.sgx_ecdsa import SgxEcdsaVerifier
from rats_tls.verifiers.tdx_ecdsa import TdxEcdsaVerifier
from support.intel import CRYPTO, PHALA_SGX, PHALA_TDX, IntelVector, labels, load, passed, verifier_of, verify

BOTH = pytest.mark.parametrize("vector_id", [PHALA_SGX, PHALA_TDX])
SECOND = timedelta(seconds=1)


@contextmanager
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bytes]]:
    """Count signature verifications; gives the data of each."""
    seen: list[bytes] = []
    original = OpensslPublicKey.verify

    def verify_and_count(self: Any, algorithm: Any, signature: bytes, data: bytes) -> None:
        seen.append(data)
        original(self, algorithm, signature, data)

    with monkeypatch.context() as patch:
        patch.setattr(OpensslPublicKey, "verify", verify_and_count)
        yield seen


@BOTH
def test_warm_verification_verifies_the_quote_alone(vector_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    vector = load(vector_id)
    verifier = verifier_of(vector)
    with counted(monkeypatch) as cold:
        first = verify(vector, verifier=verifier)
    # Quote, QE report, three of the PCK chain, two lists, two documents, their signer: each once.
    assert len(cold) == len(set(cold)) == 10
    with counted(monkeypatch) as warm:
        assert verify(vector, verifier=verifier) == first
    assert warm == [verifier.decode(vector.evidence).structure.quote.signed]
    # What is remembered belongs to the instance.
    with counted(monkeypatch) as other:
        verify(vector, verifier=verifier_of(vector))
    assert sorted(other) == sorted(cold)


@BOTH
def test_dates_are_compared_every_time(vector_id: str) -> None:
    vector = load(vector_id)
    verifier = verifier_of(vector)
    first = verify(vector, verifier=verifier)
    assert first.problems == ()
    assert first.valid_from is not None
    assert first.valid_until is not None
    for now in (first.valid_until, first.valid_until + SECOND, first.valid_from - SECOND):
        assert labels(verify(vector.at(now), verifier=verifier)) == {"endorsements_expired"}
    far = verify(vector.at(first.valid_until.replace(year=2050)), verifier=verifier)
    assert labels(far) == {"certificate_not_in_date"}
    early = verify(vector.at(first.valid_from.replace(year=2017)), verifier=verifier)
    assert labels(early) == {"certificate_not_in_date"}
    assert verify(vector, verifier=verifier) == first


@BOTH
def test_other_anchors(vector_id: str) -> None:
    vector = load(vector_id)
    verifier = verifier_of(vector)
    assert verify(vector, verifier=verifier).problems == ()
    assert labels(verify(vector, verifier=verifier, anchors=())) == {"certificate_chain"}
    as_user = tuple(replace(anchor, kind=AnchorKind.USER) for anchor in vector.anchors)
    verification = verify(vector, verifier=verifier, anchors=as_user)
    assert verification.anchor is not None
    assert verification.anchor.kind is AnchorKind.USER


class OtherCrypto(OpensslCryptoWrapper):
    """Another crypto wrapper, whose verdict is its own."""

    def __init__(self, name: str, version: str) -> None:
        self.name = name
        self._version = version

    @property
    def version(self) -> str:
        return self._version

    def load_public_key(self, spki: bytes) -> OpensslPublicKey:
        raise SignatureError(f"this library does not verify with {spki.hex()}")


@BOTH
@pytest.mark.parametrize(("name", "version"), [("other", CRYPTO.version), ("openssl", "another version")])
def test_verdicts_of_another_crypto_wrapper_are_not_taken(vector_id: str, name: str, version: str) -> None:
    vector = load(vector_id)
    verifier = verifier_of(vector)
    assert verify(vector, verifier=verifier).problems == ()
    verification = verifier.verify(
        verifier.decode(vector.evidence),
        vector.endorsements,
        anchors=vector.anchors,
        crypto=OtherCrypto(name, version),
        now=vector.now,
    )
    assert "intel.qe_report_signature" not in passed(verification)
    assert verification.problems


def rebuilt(vector: IntelVector, **changes: bytes) -> IntelVector:
    quote = verifier_of(vector).decode(vector.evidence).structure.quote
    certification = quote.signature_data.certification
    if "certificates" in changes:
        certification = replace(certification, data=changes.pop("certificates"))
    data = replace(quote.signature_data, certification=certification, **changes).to_bytes(version=quote.header.version)
    return vector.with_data(quote.signed + len(data).to_bytes(4, "little") + data)


TDX_PAIRS = [
    ("tdx_ecdsa/openenclave-v4", "tdx_ecdsa/trustee-v4-debug-ccel"),
    (PHALA_TDX, "tdx_ecdsa/dstack-ra-tls-quote"),
]


@pytest.mark.parametrize(("platform_a", "platform_b"), TDX_PAIRS)
def test_a_qe_report_lends_no_standing_to_another_platforms_pck(platform_a: str, platform_b: str) -> None:
    """A QE report verified for platform A beside the PCK chain of platform B, whatever was verified before."""
    a, b = load(platform_a), load(platform_b)
    assert a.now == b.now
    chain_b = verifier_of(b).decode(b.evidence).structure.quote.signature_data.certification.data
    mixed = rebuilt(a, certificates=chain_b)
    verifier = TdxEcdsaVerifier()
    for vector in (a, b):
        assert "intel.pck_chain" in passed(verify(vector, verifier=verifier))
    verification = verify(mixed, verifier=verifier)
    assert labels(verification) == {"evidence_signature"}
    assert verification.checks[-1].id == "intel.qe_report_signature"


@BOTH
@pytest.mark.parametrize("field", ["attestation_key", "qe_report", "qe_report_signature", "qe_auth_data", "signature"])
def test_each_part_of_the_signature_data_counts_when_warm(vector_id: str, field: str) -> None:
    vector = load(vector_id)
    verifier = verifier_of(vector)
    assert verify(vector, verifier=verifier).problems == ()
    value: bytes = getattr(verifier.decode(vector.evidence).structure.quote.signature_data, field)
    # Byte 63 of the QE report is in a measurement, not in reserved bytes.
    position = 63
    changed = (
        value[:position] + bytes((value[position] ^ 1,)) + value[position + 1 :] if len(value) > 63 else value + b"x"
    )
    verification = verify(rebuilt(vector, **{field: changed}), verifier=verifier)
    assert labels(verification) == {"evidence_signature"}


def test_a_quoting_enclave_of_sgx_does_not_serve_tdx() -> None:
    """Both Verifiers with the other TEE's documents at hand: neither identity nor TCB info of the other counts."""
    sgx, tdx = load(PHALA_SGX), load(PHALA_TDX)
    pool = (*sgx.endorsements, *tdx.endorsements)
    assert sgx.now != tdx.now
    assert verify(tdx.with_items(pool)).problems == ()
    assert verify(sgx.with_items(pool).at(tdx.now)).problems == ()


@BOTH
@pytest.mark.parametrize(
    "kind",
    [
        EndorsementKind.INTEL_TCB_INFO,
        EndorsementKind.INTEL_QE_IDENTITY,
        EndorsementKind.INTEL_ROOT_CRL,
        EndorsementKind.INTEL_PCK_CRL,
    ],
)
def test_changed_endorsements_when_warm(vector_id: str, kind: EndorsementKind) -> None:
    vector = load(vector_id)
    verifier = verifier_of(vector)
    assert verify(vector, verifier=verifier).problems == ()
    item = vector.item(kind)
    changed = replace(item, data=item.data[:-1] + bytes((item.data[-1] ^ 1,)))
    kept = [changed if entry is item else entry for entry in vector.endorsements]
    assert labels(verify(vector.with_items(kept), verifier=verifier)) == {"certificate_chain"}
    without = [entry for entry in vector.endorsements if entry is not item]
    assert labels(verify(vector.with_items(without), verifier=verifier)) == {"endorsements_missing"}
    if item.signature:
        unsigned = replace(item, signature=bytes(64))
        kept = [unsigned if entry is item else entry for entry in vector.endorsements]
        assert labels(verify(vector.with_items(kept), verifier=verifier)) == {"certificate_chain"}
    assert verify(vector, verifier=verifier).problems == ()


def test_memory_is_bounded() -> None:
    vector = load(PHALA_SGX)
    verifier = SgxEcdsaVerifier(Limits(cached_vendor_items=4))
    for time in range(20):
        kept = [replace(item, data=item.data + b" " * time) for item in vector.endorsements]
        verify(vector.with_items((*vector.endorsements, *kept)), verifier=verifier)
        verify(rebuilt(vector, qe_auth_data=bytes(time)), verifier=verifier)
    memory = verifier._memory
    for cache in (memory.decoded, memory.documents, memory.keys, memory.verified):
        assert len(cache) <= 4
    assert verify(vector, verifier=verifier).problems == ()


@BOTH
def test_size_of_evidence_is_bounded(vector_id: str) -> None:
    vector = load(vector_id)
    padded = vector.evidence.data.ljust(65_536, b"\0")
    assert verify(vector.with_data(padded)).problems == ()
    with pytest.raises(Exception, match="at most 65536 are read"):
        verify(vector.with_data(padded + b"\0"))
