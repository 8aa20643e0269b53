"""What the verification callback is given about a peer that the policy accepted.

Fields: inclavare rats-tls, `rats-tls/api.h`, `rtls_evidence_t` and the structures in it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from types import MappingProxyType

from rats_tls.certificates.endorsement_documents import DocumentKind, endorsements_to_documents
from rats_tls.certificates.registry import read_attested_certificate
from rats_tls.channel import AppraisalNeeded
from rats_tls.core.claims import CsvClaims, SgxReportClaims, TdxClaims, TeeClaims
from rats_tls.core.endorsements import Endorsement
from rats_tls.core.evidence import TeeType
from rats_tls.core.limits import Limits
from rats_tls.core.results import AttestationResult


class EvidenceType(IntEnum):
    """The types of Evidence that the C API numbers."""

    SGX_ECDSA = 1
    TDX_ECDSA = 2
    CSV = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Ehd:
    """What is bound to the Evidence by its report_data.

    Attributes:
        public_key: the peer's TLS key, DER SubjectPublicKeyInfo.
        user_data: the claims-buffer as received, of which report_data is the hash; empty without Evidence.
        unhashed: always empty: nothing travels beside it.
    """

    public_key: bytes
    user_data: bytes = b""
    unhashed: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class SgxEvidence:
    """An SGX enclave.

    Attributes:
        mr_enclave: 32 bytes.
        mr_signer: 32 bytes.
        product_id: ISVPRODID.
        security_version: ISVSVN.
        attributes: 16 bytes as in the report: flags and XFRM, each little-endian.
        collateral: the Endorsements that the verdict rests on, a JSON bundle; empty when they are not at hand.
    """

    mr_enclave: bytes
    mr_signer: bytes
    product_id: int
    security_version: int
    attributes: bytes
    collateral: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class TdxEvidence:
    """A trust domain.

    Attributes:
        mr_seam: 48 bytes.
        mr_signer_seam: 48 bytes.
        tcb_svns: TEE_TCB_SVN, 16 bytes.
        cpu_svn: CPUSVN of the PCK certificate, 16 bytes.
        mr_td: 48 bytes.
        rtmr0: 48 bytes, like the others.
        rtmr1: see `rtmr0`.
        rtmr2: see `rtmr0`.
        rtmr3: see `rtmr0`.
        tdel_info: ACPI table of the event log; empty: no event log is read.
        tdel_data: the event log; empty likewise.
    """

    mr_seam: bytes
    mr_signer_seam: bytes
    tcb_svns: bytes
    cpu_svn: bytes
    mr_td: bytes
    rtmr0: bytes
    rtmr1: bytes
    rtmr2: bytes
    rtmr3: bytes
    tdel_info: bytes = b""
    tdel_data: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class CsvEvidence:
    """A Hygon CSV guest: vm_id, vm_version (16 bytes each), measure (32), policy (4, little-endian)."""

    vm_id: bytes
    vm_version: bytes
    measure: bytes
    policy: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerEvidence:
    """What was proved about a peer.

    Attributes:
        type: the C API's number of the type, or None where it has none (SEV-SNP, `null`).
        tee_type: the TEE type.
        custom_claims: the peer's custom claims, read-only.
        ehd: what the Evidence binds.
        quote: the Evidence, whole and as received; empty without Evidence.
        sgx: of an SGX enclave, else None.
        tdx: of a trust domain, else None.
        csv: of a Hygon CSV guest, else None.
        result: the whole outcome of the appraisal, which the C API does not have: TCB, SEV-SNP claims, policy entry.
    """

    type: EvidenceType | None
    tee_type: TeeType
    custom_claims: Mapping[str, bytes]
    ehd: Ehd
    quote: bytes
    sgx: SgxEvidence | None = None
    tdx: TdxEvidence | None = None
    csv: CsvEvidence | None = None
    result: AttestationResult

    @property
    def quote_size(self) -> int:
        """Bytes of `quote`."""
        return len(self.quote)


_TYPES = {
    TeeType.SGX_ECDSA: EvidenceType.SGX_ECDSA,
    TeeType.TDX_ECDSA: EvidenceType.TDX_ECDSA,
    TeeType.CSV: EvidenceType.CSV,
}


def peer_evidence(
    result: AttestationResult, needed: AppraisalNeeded, endorsements: Iterable[Endorsement], limits: Limits
) -> PeerEvidence:
    """Give what the callback is told.

    Args:
        result: of the appraisal that accepted.
        needed: what was judged.
        endorsements: local Endorsements.
        limits: those that the appraisal read the certificate with.
    """
    attested = read_attested_certificate(needed.certificate, limits=limits)
    known = (*attested.endorsements, *needed.endorsements, *endorsements)
    claims = result.claims
    return PeerEvidence(
        type=_TYPES.get(result.tee_type),
        tee_type=result.tee_type,
        custom_claims=MappingProxyType(dict(result.custom_claims)),
        ehd=Ehd(public_key=attested.certificate.spki, user_data=attested.claims_buffer),
        quote=attested.evidence.data if attested.evidence is not None else b"",
        sgx=_sgx(claims, _collateral(result, known)),
        tdx=_tdx(claims, attested.evidence.event_log if attested.evidence is not None else b""),
        csv=_csv(claims),
        result=result,
    )


def _sgx(claims: TeeClaims, collateral: bytes) -> SgxEvidence | None:
    if not isinstance(claims, SgxReportClaims):
        return None
    return SgxEvidence(
        mr_enclave=claims.mr_enclave,
        mr_signer=claims.mr_signer,
        product_id=claims.isv_prod_id,
        security_version=claims.isv_svn,
        attributes=claims.attributes.to_bytes(8, "little") + claims.xfrm.to_bytes(8, "little"),
        collateral=collateral,
    )


def _tdx(claims: TeeClaims, event_log: bytes) -> TdxEvidence | None:
    if not isinstance(claims, TdxClaims):
        return None
    return TdxEvidence(
        mr_seam=claims.mr_seam,
        mr_signer_seam=claims.mr_signer_seam,
        tcb_svns=claims.tee_tcb_svn,
        cpu_svn=claims.platform.cpu_svn if claims.platform is not None else b"",
        mr_td=claims.mr_td,
        rtmr0=claims.rtmr0,
        rtmr1=claims.rtmr1,
        rtmr2=claims.rtmr2,
        rtmr3=claims.rtmr3,
        tdel_data=event_log,
    )


def _csv(claims: TeeClaims) -> CsvEvidence | None:
    if not isinstance(claims, CsvClaims):
        return None
    return CsvEvidence(
        vm_id=claims.vm_id,
        vm_version=claims.vm_version,
        measure=claims.measurement,
        policy=claims.policy.to_bytes(4, "little"),
    )


def _collateral(result: AttestationResult, known: Iterable[Endorsement]) -> bytes:
    """Write the Endorsements that the verdict rests on, each kind once; of equal ones the last in `known`."""
    used = {(use.kind, use.sha256) for use in result.endorsements}
    found = {item.kind: item for item in known if (item.kind, hashlib.sha256(item.data).digest()) in used}
    return endorsements_to_documents(found.values()).get(DocumentKind.INTEL_JSON, b"")
