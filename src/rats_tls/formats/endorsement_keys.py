"""What an Endorsement is about, by its content: the keys that it answers, and when it is valid."""

from __future__ import annotations

from datetime import datetime

from rats_tls.core import lookup_keys
from rats_tls.core.endorsements import NO_EXPIRY, NO_ISSUE_DATE, Endorsement, EndorsementKind, MissingEndorsement
from rats_tls.formats.amd.sev_signer import SevSignerCertificate, products_of_root
from rats_tls.formats.amd.tcb import has_fmc
from rats_tls.formats.amd.vek import SHORT_HWID, VekCertificate
from rats_tls.formats.intel.qe_identity import QeIdentity
from rats_tls.formats.intel.tcb_info import TcbInfo
from rats_tls.formats.x509 import Certificate, RevocationList

_K = EndorsementKind
_PCK_CAS = {"Platform CA": "platform", "Processor CA": "processor"}


def keys_of(item: Endorsement) -> tuple[MissingEndorsement, ...]:
    """Give the keys that `item` answers, whether it is authentic or not.

    Several where its content leaves it open: AMD's revocation lists do not say for which type of VEK they were got, nor
    ASKs before SEV-SNP of which product they are.
    None for a root certificate, which nothing asks for, for what is of nobody known here, and for the certificates of a
    Hygon chip, which do not say of which chip they are: their key is what they were asked for by.

    Raises:
        DecodeError: malformed.
    """
    match item.kind:
        case _K.INTEL_TCB_INFO:
            info = TcbInfo.from_json(item.data)
            return (lookup_keys.tcb_info(info.id, info.fmspc, info.pce_id),)
        case _K.INTEL_QE_IDENTITY:
            return (lookup_keys.qe_identity(QeIdentity.from_json(item.data).id),)
        case _K.INTEL_ROOT_CRL:
            return (lookup_keys.root_crl(RevocationList.from_der(item.data).issuer.common_name),)
        case _K.INTEL_PCK_CRL:
            name = RevocationList.from_der(item.data).issuer.common_name
            return tuple(lookup_keys.pck_crl(ca) for phrase, ca in _PCK_CAS.items() if phrase in name)
        case _K.INTEL_PCK_CHAIN:
            leaf = Certificate.from_der(item.data, "PckCertificate")
            return (lookup_keys.pck_issuers(leaf.sha256, leaf.issuer.common_name),)
        case _K.AMD_VEK:
            return _keys_of_vek(VekCertificate.from_der(item.data))
        case _K.AMD_SIGNER:
            name = Certificate.from_der(item.data, "AmdSignerCertificate").subject.common_name
            return (lookup_keys.amd_signer(name.rpartition("-")[2], name),)
        case _K.AMD_CRL:
            name = RevocationList.from_der(item.data, "AmdRevocationList").issuer.common_name
            product = name.removeprefix("ARK-")
            return tuple(lookup_keys.amd_crl(product, vek_type) for vek_type in ("VCEK", "VLEK"))
        case _K.AMD_SEV_SIGNER:
            signer = SevSignerCertificate.from_bytes(item.data)
            products = products_of_root(signer.certifying_id, signer.key.bits)
            return tuple(lookup_keys.amd_sev_signer(product) for product in products)
        case _:
            return ()


def validity_of(item: Endorsement) -> tuple[datetime, datetime]:
    """Give from when and until when `item` says that it is valid, whether it is authentic or not.

    Of a PCK chain it is the time in which all of its certificates are; of others the issuer's certificates are not
    looked at.

    Raises:
        DecodeError: malformed.
    """
    match item.kind:
        case _K.INTEL_TCB_INFO | _K.INTEL_QE_IDENTITY:
            document = (TcbInfo if item.kind is _K.INTEL_TCB_INFO else QeIdentity).from_json(item.data)
            return document.issue_date, document.next_update
        case kind if kind.is_revocation_list:
            crl = RevocationList.from_der(item.data)
            return crl.this_update, crl.next_update
        case _K.AMD_SEV_SIGNER | _K.HYGON_CEK_CHAIN:
            return NO_ISSUE_DATE, NO_EXPIRY
        case _:
            chain = item.issuer_chain if item.kind is _K.INTEL_PCK_CHAIN else ()
            certificates = [Certificate.from_der(der, item.kind.value) for der in (item.data, *chain)]
            return max(each.not_before for each in certificates), min(each.not_after for each in certificates)


def number_of(item: Endorsement) -> int:
    """Give the tcbEvaluationDataNumber or cRLNumber of `item`, 0 where it has none.

    Raises:
        DecodeError: malformed.
    """
    match item.kind:
        case _K.INTEL_TCB_INFO | _K.INTEL_QE_IDENTITY:
            document = (TcbInfo if item.kind is _K.INTEL_TCB_INFO else QeIdentity).from_json(item.data)
            return document.tcb_evaluation_data_number
        case kind if kind.is_revocation_list:
            return RevocationList.from_der(item.data).number or 0
        case _:
            return 0


def _keys_of_vek(vek: VekCertificate) -> tuple[MissingEndorsement, ...]:
    vek_type = vek.certificate.subject.common_name.removeprefix("SEV-")
    product = vek.certificate.issuer.common_name.rpartition("-")[2]
    hwid, tcb = vek.extensions.hwid, vek.extensions.tcb
    if hwid is not None and has_fmc(product):
        hwid = hwid[:SHORT_HWID]
    found = lookup_keys.vek(product, vek_type, hwid, tcb)
    if tcb.fmc is not None:
        return (found,)
    # A report of version 2 names no product.
    reported = bytes((tcb.bootloader, tcb.tee, 0, 0, 0, 0, tcb.snp, tcb.microcode))
    return found, lookup_keys.vek_without_product(vek_type, hwid, reported)
