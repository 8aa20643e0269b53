"""TEE types and Evidence, and the one table of the names under which they travel."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class TeeType(str, Enum):
    """TEE types, by the names that rats-tls uses."""

    SGX_ECDSA = "sgx_ecdsa"
    SGX_LA = "sgx_la"
    TDX_ECDSA = "tdx_ecdsa"
    SEV_SNP = "sev_snp"
    SEV = "sev"
    CSV = "csv"
    NULL = "null"

    def __str__(self) -> str:
        return self.value


BINDS_NOTHING = frozenset({TeeType.SEV})
"""TEEs whose Evidence carries nothing of the guest's: no key is ever bound to it."""

WITHOUT_ENDORSEMENTS = frozenset({TeeType.SGX_LA})
"""TEEs whose Evidence no Endorsement judges: another enclave of the same machine does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceNames:
    """Names of one TEE type's Evidence.

    Attributes:
        tee_type: the TEE type.
        media_type: vendor-tree media type; no raw vendor format has a registered one.
        cbor_tag: tag in the Interoperable RA-TLS certificate extension.
        content_format: CoAP content-format; none is registered.
        title: what people call it.
    """

    tee_type: TeeType
    media_type: str
    cbor_tag: int | None
    content_format: int | None
    title: str


# SGX and TDX quotes share a tag; the quote's header tells them apart (interoperable-ra-tls, tag table).
EVIDENCE_NAMES: tuple[EvidenceNames, ...] = (
    EvidenceNames(
        tee_type=TeeType.SGX_ECDSA,
        media_type="application/vnd.rats-tls.sgx-ecdsa",
        cbor_tag=60000,
        content_format=None,
        title="Intel SGX",
    ),
    EvidenceNames(
        tee_type=TeeType.TDX_ECDSA,
        media_type="application/vnd.rats-tls.tdx-ecdsa",
        cbor_tag=60000,
        content_format=None,
        title="Intel TDX",
    ),
    EvidenceNames(
        tee_type=TeeType.SGX_LA,
        media_type="application/vnd.rats-tls.sgx-la",
        cbor_tag=60002,
        content_format=None,
        title="Intel SGX (local report)",
    ),
    EvidenceNames(
        tee_type=TeeType.SEV_SNP,
        media_type="application/vnd.rats-tls.sev-snp",
        cbor_tag=0x1A7504,
        content_format=None,
        title="AMD SEV-SNP",
    ),
    EvidenceNames(
        tee_type=TeeType.SEV,
        media_type="application/vnd.rats-tls.sev",
        cbor_tag=0x1A7505,
        content_format=None,
        title="AMD SEV",
    ),
    EvidenceNames(
        tee_type=TeeType.CSV,
        media_type="application/vnd.rats-tls.csv",
        cbor_tag=0x1A7506,
        content_format=None,
        title="Hygon CSV",
    ),
)
NAMES_BY_TEE: dict[TeeType, EvidenceNames] = {names.tee_type: names for names in EVIDENCE_NAMES}
NAMES_BY_MEDIA_TYPE: dict[str, EvidenceNames] = {names.media_type: names for names in EVIDENCE_NAMES}

EVENT_LOG_TEE_TYPES = frozenset({TeeType.TDX_ECDSA, TeeType.CSV})
"""TEE types with registers that event logs replay to."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """Evidence as it travels: a media type and the vendor's bytes.

    Attributes:
        media_type: names the format of `data`.
        data: what the hardware signed, with its signature.
        event_log: what was measured into the registers of `data`, by the log of the system that extended them; empty
            where there is none. No signature covers it: it counts as far as it replays to the registers.
    """

    media_type: str
    data: bytes
    event_log: bytes = b""

    @classmethod
    def of(cls, tee_type: TeeType, data: bytes, event_log: bytes = b"") -> Evidence:
        """Make Evidence of `tee_type` with that type's media type."""
        return cls(NAMES_BY_TEE[tee_type].media_type, data, event_log)
