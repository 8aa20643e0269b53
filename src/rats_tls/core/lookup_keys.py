"""What Endorsements are looked up by, one function for each kind: the parameters of their vendors' services."""

from __future__ import annotations

from functools import lru_cache

from rats_tls.core.claims import SnpTcb
from rats_tls.core.endorsements import EndorsementKind, MissingEndorsement

Part = tuple[str, str]
_KNOWN = 256
"""How many keys of a kind are kept: the same platforms are judged again and again."""


@lru_cache(maxsize=_KNOWN)
def tcb_info(tee: str, fmspc: bytes, pce_id: bytes) -> MissingEndorsement:
    """TCB info of a family of platforms; `tee` is "SGX" or "TDX"."""
    return _item(EndorsementKind.INTEL_TCB_INFO, ("id", tee), ("fmspc", fmspc.hex()), ("pceid", pce_id.hex()))


@lru_cache(maxsize=_KNOWN)
def qe_identity(identity: str) -> MissingEndorsement:
    """Identity of a quoting enclave: "QE" or "TD_QE"."""
    return _item(EndorsementKind.INTEL_QE_IDENTITY, ("id", identity))


@lru_cache(maxsize=_KNOWN)
def root_crl(issuer: str) -> MissingEndorsement:
    """Revocation list of Intel's root CA, by its common name."""
    return _item(EndorsementKind.INTEL_ROOT_CRL, ("issuer", issuer))


@lru_cache(maxsize=_KNOWN)
def pck_crl(ca: str) -> MissingEndorsement:
    """Revocation list of a PCK CA: "platform" or "processor"."""
    return _item(EndorsementKind.INTEL_PCK_CRL, ("ca", ca))


def pck_issuers(leaf_sha256: bytes, issuer: str) -> MissingEndorsement:
    """Chain of the PCK certificate that a quote carries alone."""
    return _item(EndorsementKind.INTEL_PCK_CHAIN, ("leaf_sha256", leaf_sha256.hex()), ("issuer", issuer))


def amd_signer(product: str, name: str) -> MissingEndorsement:
    """ASK or ASVK certificate, by product and common name."""
    return _item(EndorsementKind.AMD_SIGNER, ("product", product), ("name", name))


def signer_of(item: MissingEndorsement) -> MissingEndorsement | None:
    """ASK or ASVK certificate that signs a VEK certificate, by what that is looked up by; None without a product."""
    parts = dict(item.key)
    product = parts.get("product")
    if item.kind is not EndorsementKind.AMD_VEK or not product:
        return None
    return amd_signer(product, f"SEV-VLEK-{product}" if parts.get("type") == "VLEK" else f"SEV-{product}")


def amd_crl(product: str, vek_type: str) -> MissingEndorsement:
    """Revocation list of a product's ARK; `vek_type` is "VCEK" or "VLEK"."""
    return _item(EndorsementKind.AMD_CRL, ("product", product), ("type", vek_type))


def vek(product: str, vek_type: str, hwid: bytes | None, tcb: SnpTcb) -> MissingEndorsement:
    """VEK certificate of a TCB: of the chip `hwid` (64 bytes, of Turin 8), or None for a VLEK."""
    parts: list[Part] = [("product", product), ("type", vek_type)]
    if hwid is not None:
        parts.append(("hwid", hwid.hex()))
    if tcb.fmc is not None:
        parts.append(("fmcSPL", str(tcb.fmc)))
    spls = (("blSPL", tcb.bootloader), ("teeSPL", tcb.tee), ("snpSPL", tcb.snp), ("ucodeSPL", tcb.microcode))
    return _item(EndorsementKind.AMD_VEK, *parts, *((name, str(value)) for name, value in spls))


def vek_without_product(vek_type: str, hwid: bytes | None, reported_tcb: bytes) -> MissingEndorsement:
    """VEK certificate of a report of version 2, which names no product: no service can be asked for it."""
    parts: list[Part] = [("type", vek_type)]
    if hwid is not None:
        parts.append(("hwid", hwid.hex()))
    return _item(EndorsementKind.AMD_VEK, *parts, ("reported_tcb", reported_tcb.hex()))


@lru_cache(maxsize=_KNOWN)
def amd_sev_signer(product: str) -> MissingEndorsement:
    """ASK before SEV-SNP, by product: "Naples", "Rome" or "Milan"."""
    return _item(EndorsementKind.AMD_SEV_SIGNER, ("product", product))


def hygon_cek_chain(serial: str) -> MissingEndorsement:
    """CEK certificate of a Hygon chip and its HSK, by the chip's serial number."""
    return _item(EndorsementKind.HYGON_CEK_CHAIN, ("chip", serial))


def _item(kind: EndorsementKind, *parts: Part) -> MissingEndorsement:
    return MissingEndorsement(kind=kind, key=parts)
