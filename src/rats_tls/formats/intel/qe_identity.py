"""Identity of a quoting enclave, version 2 (Intel PCS API v4, "Get Quoting Enclave Identity")."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from rats_tls.core.errors import DecodeError
from rats_tls.formats.intel.tcb_info import EnclaveTcbLevel, enclave_levels
from rats_tls.formats.json_document import JsonObject


@dataclass(frozen=True, slots=True, kw_only=True)
class QeIdentity:
    """What a quoting enclave must be.

    Attributes:
        id: "QE" for SGX, "TD_QE" for TDX.
        version: 2; 3 exists for TD_QE.
        issue_date: when it was issued.
        next_update: until when it is to be used.
        tcb_evaluation_data_number: counts Intel's TCB recoveries.
        miscselect: value expected under `miscselect_mask`, 32 bits.
        miscselect_mask: bits that are compared.
        attributes: flags and XFRM expected under `attributes_mask`, 128 bits, little-endian as in a report.
        attributes_mask: bits that are compared.
        mr_signer: 32 bytes.
        isv_prod_id: product id.
        tcb_levels: highest SVN first, whatever the order in the document.
    """

    id: str
    version: int
    issue_date: datetime
    next_update: datetime
    tcb_evaluation_data_number: int
    miscselect: int
    miscselect_mask: int
    attributes: int
    attributes_mask: int
    mr_signer: bytes
    isv_prod_id: int
    tcb_levels: tuple[EnclaveTcbLevel, ...]

    @classmethod
    def from_json(cls, data: bytes) -> QeIdentity:
        """Decode the exact bytes of the `enclaveIdentity` value.

        Raises:
            DecodeError: not strict JSON; a member missing, of the wrong type or out of range; an enclave other than
                a quoting enclave; another version than 2, or 3 for TD_QE.
        """
        document = JsonObject.from_bytes(data, "QeIdentity")
        version = document.integer("version", maximum=0xFFFF_FFFF)
        identifier = document.one_of("id", ("QE", "TD_QE"))
        if version != 2 and not (version == 3 and identifier == "TD_QE"):
            raise DecodeError(
                "QeIdentity", "version", None, f"unsupported version {version} for {identifier}, expected 2"
            )

        def word(name: str, size: int) -> int:
            return int.from_bytes(document.hexadecimal(name, size=size), "little")

        return cls(
            id=identifier,
            version=version,
            issue_date=document.time("issueDate"),
            next_update=document.time("nextUpdate"),
            tcb_evaluation_data_number=document.integer("tcbEvaluationDataNumber", maximum=0xFFFF_FFFF),
            miscselect=word("miscselect", 4),
            miscselect_mask=word("miscselectMask", 4),
            attributes=word("attributes", 16),
            attributes_mask=word("attributesMask", 16),
            mr_signer=document.hexadecimal("mrsigner", size=32),
            isv_prod_id=document.integer("isvprodid", maximum=0xFFFF),
            tcb_levels=enclave_levels(document),
        )

    @property
    def title(self) -> str:
        """What it is, for people."""
        return f"identity {self.id}"
