"""SGX and TDX evidence with the Endorsements that go with it: real where it is at hand, else simulated.

Tests that are about what a real vector holds say `NEEDS_VECTORS = True`; all others run on either.
"""

from __future__ import annotations

import functools
import struct
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from rats_tls.core.anchors import TrustAnchor
from rats_tls.core.checks import Verdict
from rats_tls.core.endorsements import Endorsement, EndorsementKind, Endorsements
from rats_tls.core.evidence import Evidence, TeeType
from rats_tls.core.verification import DecodedEvidence, Verification
from rats_tls.crypto_wrappers.openssl import OpensslCryptoWrapper
from rats_tls.formats.intel.collateral import endorsements_from_json
from rats_tls.formats.intel.quote import Quote
from rats_tls.formats.intel.report import SgxReportBody
from rats_tls.formats.json_document import split_response
from rats_tls.formats.x509 import certificates_from_pem
from rats_tls.verifiers.sgx_ecdsa import SgxEcdsaVerifier
from rats_tls.verifiers.tdx_ecdsa import TdxEcdsaVerifier
from rats_tls.verifiers.vendor_roots import VENDOR_ROOTS
from support.intel_stand_ins import stand_in, stand_in_bundle
from support.paths import VECTORS, vectors_available
from support.simulated import world

PHALA_SGX = "sgx_ecdsa/phala-sgx-v3"
PHALA_TDX = "tdx_ecdsa/phala-tdx-v4-uptodate"
SPR_E4 = "tdx_ecdsa/go-tdx-guest-v4-spr-e4"
OUTDATED = "tdx_ecdsa/phala-tdx-v5-outdated"
SGX_TEST_ROOT = "sgx_ecdsa/intel-qvl-sample-testroot"

QUOTES = {
    PHALA_SGX: "sgx_quote",
    "sgx_ecdsa/trustee-occlum-v3": "occlum_quote.dat",
    "sgx_ecdsa/openenclave-evidence-endorsements": "quote.bin",
    SGX_TEST_ROOT: "quote.dat",
    "tdx_ecdsa/intel-qvl-sample-testroot": "quote.dat",
    PHALA_TDX: "tdx_quote",
    OUTDATED: "tdx_quote_outdated",
    "tdx_ecdsa/phala-tappd-v4": "quote.bin",
    "tdx_ecdsa/phala-tdx-hex-v4": "quote.bin",
    SPR_E4: "tdx_prod_quote_SPR_E4.dat",
    "tdx_ecdsa/go-tdx-guest-cos113-ccel": "cos-113-tdx-quote.dat",
    "tdx_ecdsa/openenclave-v5-td-relaunch": "tdx_quote-moduleupdate-seamldr5.dat",
    "tdx_ecdsa/openenclave-v4": "tdx_quote.bin",
    "tdx_ecdsa/trustee-v4-debug-ccel": "tdx_quote_4.dat",
    "tdx_ecdsa/dstack-ra-tls-quote": "tdx_quote",
    "tdx_ecdsa/dstack-quote-report": "quote.bin",
    "tdx_ecdsa/dstack-tdx-lite": "quote.bin",
}
"""File of the quote, by vector."""

BUNDLES = {
    PHALA_SGX: "sgx_quote_collateral.json",
    "sgx_ecdsa/openenclave-evidence-endorsements": "collateral.json",
    PHALA_TDX: "tdx_quote_collateral.json",
    OUTDATED: "tdx_quote_outdated_collateral.json",
    SPR_E4: "collateral.json",
    "tdx_ecdsa/openenclave-v5-td-relaunch": "collateral.json",
}
"""File of the JSON bundle, by vector that has one of its own."""

LENT = {
    "tdx_ecdsa/phala-tappd-v4": PHALA_TDX,
    "tdx_ecdsa/phala-tdx-hex-v4": PHALA_TDX,
    "tdx_ecdsa/dstack-ra-tls-quote": PHALA_TDX,
    "tdx_ecdsa/openenclave-v4": SPR_E4,
    "tdx_ecdsa/trustee-v4-debug-ccel": SPR_E4,
    "tdx_ecdsa/dstack-quote-report": OUTDATED,
    "tdx_ecdsa/dstack-tdx-lite": OUTDATED,
}
"""Vectors judged with the bundle of another one."""

CRYPTO = OpensslCryptoWrapper()


@functools.cache
def manifest() -> dict[str, dict[str, Any]]:
    """Give the entries of the manifest by id."""
    with (VECTORS / "MANIFEST.toml").open("rb") as file:
        return {entry["id"]: entry for entry in tomllib.load(file)["vector"]}


@dataclass(frozen=True, slots=True, kw_only=True)
class IntelVector:
    """One quote, the Endorsements that go with it, and the time and roots by which they are to be judged."""

    id: str
    evidence: Evidence
    endorsements: Endorsements
    now: datetime
    anchors: tuple[TrustAnchor, ...] = VENDOR_ROOTS

    @property
    def tee_type(self) -> TeeType:
        """The TEE type."""
        return TeeType(self.id.partition("/")[0])

    def with_data(self, data: bytes) -> IntelVector:
        """Give the same with other quote bytes."""
        return replace(self, evidence=Evidence.of(self.tee_type, data))

    def with_items(self, items: Iterable[Endorsement]) -> IntelVector:
        """Give the same with other Endorsements."""
        return replace(self, endorsements=Endorsements(tuple(items)))

    def at(self, time: str | datetime) -> IntelVector:
        """Give the same at another time."""
        return replace(self, now=datetime.fromisoformat(time) if isinstance(time, str) else time)

    def item(self, kind: EndorsementKind) -> Endorsement:
        """Give its only Endorsement of `kind`."""
        (item,) = self.endorsements.of_kind(kind)
        return item


def load(vector_id: str, *, collateral: str | None = "own") -> IntelVector:
    """Load a vector, or its stand-in where real evidence is absent.

    Args:
        vector_id: its id in the manifest.
        collateral: "own" for its own bundle or the one it is judged with, another vector's id, or None for nothing.
    """
    if not vectors_available():
        simulated = stand_in(vector_id)
        return IntelVector(
            id=vector_id,
            evidence=simulated.evidence,
            endorsements=simulated.endorsements if collateral == "own" else Endorsements(),
            now=simulated.now,
            anchors=world().trust_anchors,
        )
    source = LENT.get(vector_id, vector_id) if collateral == "own" else collateral
    items: tuple[Endorsement, ...] = ()
    if vector_id == SGX_TEST_ROOT and collateral == "own":
        items = _test_root_items(vector_id)
    elif source in BUNDLES:
        items = endorsements_from_json(bundle_bytes(source))
    return IntelVector(
        id=vector_id,
        evidence=Evidence.of(
            TeeType(vector_id.partition("/")[0]), (VECTORS / vector_id / QUOTES[vector_id]).read_bytes()
        ),
        endorsements=Endorsements(items),
        now=datetime.fromisoformat(manifest()[vector_id]["verify_at"]),
    )


def bundle_bytes(vector_id: str) -> bytes:
    """Give the JSON bundle of a vector that has one of its own, or its stand-in's."""
    if not vectors_available():
        return stand_in_bundle(vector_id)
    return (VECTORS / vector_id / BUNDLES[vector_id]).read_bytes()


def _test_root_items(vector_id: str) -> tuple[Endorsement, ...]:
    folder = VECTORS / vector_id
    signing = certificates_from_pem((folder / "tcbSignChain.pem").read_bytes())
    chain = certificates_from_pem((folder / "pckSignChain.pem").read_bytes())
    (leaf,) = certificates_from_pem((folder / "pckCert.pem").read_bytes())
    info, info_signature = split_response((folder / "tcbInfo.json").read_bytes(), "tcbInfo", "TcbInfo")
    identity, identity_signature = split_response(
        (folder / "qeIdentity.json").read_bytes(), "enclaveIdentity", "QeIdentity"
    )
    return (
        Endorsement(kind=EndorsementKind.INTEL_PCK_CHAIN, data=leaf, issuer_chain=chain),
        Endorsement(kind=EndorsementKind.INTEL_ROOT_CRL, data=(folder / "rootCaCrl.der").read_bytes()),
        Endorsement(kind=EndorsementKind.INTEL_PCK_CRL, data=(folder / "intermediateCaCrl.der").read_bytes()),
        Endorsement(kind=EndorsementKind.INTEL_TCB_INFO, data=info, signature=info_signature, issuer_chain=signing),
        Endorsement(
            kind=EndorsementKind.INTEL_QE_IDENTITY,
            data=identity,
            signature=identity_signature,
            issuer_chain=signing,
        ),
    )


IntelVerifier = SgxEcdsaVerifier | TdxEcdsaVerifier


def verifier_of(vector: IntelVector) -> IntelVerifier:
    """Make the Verifier of the vector's TEE."""
    return SgxEcdsaVerifier() if vector.tee_type is TeeType.SGX_ECDSA else TdxEcdsaVerifier()


def verify(
    vector: IntelVector,
    *,
    anchors: Sequence[TrustAnchor] | None = None,
    verifier: IntelVerifier | None = None,
    decoded: DecodedEvidence | None = None,
) -> Verification:
    """Decode and verify; with `verifier`, its memory is used. Anchors are the vector's own unless given."""
    anchors = vector.anchors if anchors is None else anchors
    verifier = verifier or verifier_of(vector)
    decoded = decoded or verifier.decode(vector.evidence)
    return verifier.verify(decoded, vector.endorsements, anchors=anchors, crypto=CRYPTO, now=vector.now)


def written_again(quote: Quote) -> bytes:
    """Encode a quote from its decoded parts alone, without the bytes behind it."""
    version = quote.header.version
    body = quote.body.to_bytes()
    # Version 5 says what body follows: type (SGX, TD 1.0, TD 1.5) and size.
    body_type = {384: 1, 584: 2, 648: 3}[len(body)]
    descriptor = struct.pack("<HI", body_type, len(body)) if version == 5 else b""
    # The QE's report is decoded by itself.
    qe_report = SgxReportBody.from_bytes(quote.signature_data.qe_report).to_bytes()
    signature_data = replace(quote.signature_data, qe_report=qe_report).to_bytes(version=version)
    return quote.header.to_bytes() + descriptor + body + struct.pack("<I", len(signature_data)) + signature_data


def passed(verification: Verification) -> set[str]:
    """Give the ids of the checks that held."""
    return {check.id for check in verification.checks if check.verdict is Verdict.PASSED}


def labels(verification: Verification) -> set[str]:
    """Give the labels of the refusals of all problems."""
    return {problem.error.refusal.label for problem in verification.problems}


def with_certification(vector: IntelVector, data: bytes) -> IntelVector:
    """Give the vector with other certification data in its quote; the lengths around it fit. Padding is left out."""
    quote = verifier_of(vector).decode(vector.evidence).structure.quote
    signature_data = replace(
        quote.signature_data, certification=replace(quote.signature_data.certification, data=data)
    ).to_bytes(version=quote.header.version)
    return vector.with_data(quote.signed + len(signature_data).to_bytes(4, "little") + signature_data)
