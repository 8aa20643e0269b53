"""Simulated AMD reports and certificates, read by `cryptography` and by offsets of the ABI specification."""

from __future__ import annotations

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from rats_tls.core.claims import SnpTcb
from rats_tls.core.endorsements import EndorsementKind as Kind
from rats_tls.core.endorsements import Endorsements
from rats_tls.simulation.attesters import SimulatedAttester
from rats_tls.simulation.vendor_state import SignedItem
from rats_tls.verifiers.chain import SIMULATED_ORGANIZATION
from support.simulated import REPORT_DATA, world

OID = "1.3.6.1.4.1.3704.1"


def collect(**settings: object) -> tuple[bytes, Endorsements]:
    attester: SimulatedAttester = world().attester("simulated_sev_snp", **settings)
    collected = attester.collect(REPORT_DATA)
    return collected.evidence.data, Endorsements(collected.endorsements)


def certificate(endorsements: Endorsements, kind: Kind) -> x509.Certificate:
    (item,) = endorsements.of_kind(kind)
    return x509.load_der_x509_certificate(item.data)


def verify_report(report: bytes, vek: x509.Certificate) -> None:
    r, s = (int.from_bytes(report[at : at + 72], "little") for at in (0x2A0, 0x2E8))
    key = vek.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    key.verify(encode_dss_signature(r, s), report[:0x2A0], ec.ECDSA(hashes.SHA384()))


def extension(vek: x509.Certificate, suffix: str) -> bytes:
    value = vek.extensions.get_extension_for_oid(x509.ObjectIdentifier(f"{OID}.{suffix}")).value
    assert isinstance(value, x509.UnrecognizedExtension)
    return value.value


@pytest.mark.parametrize("product", ["Milan", "Genoa", "Turin"])
@pytest.mark.parametrize("key_type", ["VCEK", "VLEK"])
def test_chain_leads_to_the_products_root(product: str, key_type: str) -> None:
    report, endorsements = collect(product=product, key_type=key_type)
    vek, signer, root = (certificate(endorsements, kind) for kind in (Kind.AMD_VEK, Kind.AMD_SIGNER, Kind.AMD_ROOT))
    (crl_item,) = endorsements.of_kind(Kind.AMD_CRL)
    crl = x509.load_der_x509_crl(crl_item.data)
    verify_report(report, vek)
    for child, issuer in ((vek, signer), (signer, root), (root, root)):
        assert child.issuer == issuer.subject
        key = issuer.public_key()
        assert isinstance(key, rsa.RSAPublicKey)
        assert key.key_size == 4096
        pss = padding.PSS(mgf=padding.MGF1(hashes.SHA384()), salt_length=48)
        assert child.signature_hash_algorithm is not None
        key.verify(child.signature, child.tbs_certificate_bytes, pss, child.signature_hash_algorithm)
        (organization,) = child.subject.get_attributes_for_oid(x509.NameOID.ORGANIZATION_NAME)
        assert organization.value == SIMULATED_ORGANIZATION
    root_key = root.public_key()
    assert isinstance(root_key, rsa.RSAPublicKey)
    root_key.verify(
        crl.signature, crl.tbs_certlist_bytes, padding.PSS(padding.MGF1(hashes.SHA384()), 48), hashes.SHA384()
    )
    assert len(crl) == 0
    names = [c.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0].value for c in (vek, signer, root)]
    signer_name = f"SEV-{product}" if key_type == "VCEK" else f"SEV-VLEK-{product}"
    assert names == [f"SEV-{key_type}", signer_name, f"ARK-{product}"]


def test_report_fields_stand_where_the_abi_has_them() -> None:
    report, _ = collect(
        report_version=5,
        guest_svn=0x01020304,
        policy=0x3_0137,
        debug=True,
        family_id=b"f" * 16,
        image_id=b"i" * 16,
        vmpl=2,
        platform_info=0x2B,
        author_key_enabled=True,
        key_type="VLEK",
        measurement=b"m" * 48,
        host_data=b"h" * 32,
        id_key_digest=b"k" * 48,
        author_key_digest=b"a" * 48,
        report_id=b"r" * 32,
        report_id_ma=b"R" * 32,
        chip_id=b"c" * 64,
        current_tcb=SnpTcb(fmc=None, bootloader=4, tee=3, snp=2, microcode=1),
        reported_tcb=SnpTcb(fmc=None, bootloader=3, tee=2, snp=1, microcode=0),
        committed_tcb=SnpTcb(fmc=None, bootloader=1, tee=1, snp=1, microcode=1),
        launch_tcb=SnpTcb(fmc=None, bootloader=2, tee=2, snp=2, microcode=2),
        current_version=(1, 55, 40),
        committed_version=(1, 54, 39),
        launch_mit_vector=0x11,
        current_mit_vector=0x22,
    )
    assert len(report) == 0x4A0
    fields = {
        0x000: "05000000 04030201 37010b0000000000",
        0x010: (b"f" * 16 + b"i" * 16).hex(),
        0x030: "02000000 01000000 0403000000000201 2b00000000000000 05000000 00000000",
        0x050: REPORT_DATA.hex(),
        0x090: (b"m" * 48 + b"h" * 32 + b"k" * 48 + b"a" * 48 + b"r" * 32 + b"R" * 32).hex(),
        0x180: "0302000000000100 190101" + "00" * 21,
        0x1A0: (b"c" * 64).hex(),
        0x1E0: "0101000000000101 28370100 27360100 0202000000000202 1100000000000000 2200000000000000" + "00" * 152,
    }
    for offset, expected in fields.items():
        wanted = bytes.fromhex(expected)
        assert report[offset : offset + len(wanted)] == wanted, hex(offset)
    assert report[0x330:] == bytes(0x170)


def test_turin_has_its_own_tcb_layout_and_short_hwid() -> None:
    tcb = SnpTcb(fmc=1, bootloader=2, tee=3, snp=4, microcode=5)
    report, endorsements = collect(product="Turin", current_tcb=tcb)
    vek = certificate(endorsements, Kind.AMD_VEK)
    assert report[0x38:0x40] == bytes((1, 2, 3, 4, 0, 0, 0, 5))
    assert report[0x188:0x18B] == bytes((0x1A, 0x02, 0x01))
    assert report[0x1A0 + 8 : 0x1E0] == bytes(56)
    assert extension(vek, "4") == report[0x1A0 : 0x1A0 + 8]
    spls = [extension(vek, f"3.{n}") for n in (9, 1, 2, 3, 8)]
    assert spls == [b"\x02\x01" + bytes((n,)) for n in (1, 2, 3, 4, 5)]


def test_version_2_has_no_cpuid() -> None:
    assert collect(report_version=2)[0][0x188:0x1A0] == bytes(24)


def test_mitigation_vectors_are_there_from_version_5_on() -> None:
    vectors: dict[str, object] = {"launch_mit_vector": 1, "current_mit_vector": 2}
    assert collect(report_version=4, **vectors)[0][0x1F8:0x2A0] == bytes(168)
    assert collect(report_version=5, **vectors)[0][0x1F8:0x208] == b"\1" + bytes(7) + b"\2" + bytes(7)


def test_vcek_names_the_chip_and_vlek_the_provider() -> None:
    report, endorsements = collect()
    vek = certificate(endorsements, Kind.AMD_VEK)
    assert extension(vek, "4") == report[0x1A0:0x1E0]
    assert [extension(vek, f"3.{n}")[2:] for n in (1, 2, 3)] == [bytes((n,)) for n in (4, 0, 24)]
    assert extension(vek, "3.8") == bytes.fromhex("020200db")
    with pytest.raises(x509.ExtensionNotFound):
        extension(vek, "5")
    vlek = certificate(collect(key_type="VLEK", csp_id="provider")[1], Kind.AMD_VEK)
    assert extension(vlek, "5") == b"\x16\x08provider"
    with pytest.raises(x509.ExtensionNotFound):
        extension(vlek, "4")


def test_hwid_inside_an_octet_string() -> None:
    report, endorsements = collect(hwid_is_der=True)
    assert extension(certificate(endorsements, Kind.AMD_VEK), "4") == b"\x04\x40" + report[0x1A0:0x1E0]


def test_each_tcb_has_a_vcek_of_its_own() -> None:
    report, _ = collect()
    _, older = collect(out_of_date=True)
    with pytest.raises(InvalidSignature):
        verify_report(report, certificate(older, Kind.AMD_VEK))


def test_masked_chip() -> None:
    report, _ = collect(mask_chip_id=True, mask_chip_key=True)
    assert report[0x1A0:0x1E0] == bytes(64)
    assert report[0x48] == 7 << 2 | 2
    assert report[0x2A0:] == bytes(512)


@pytest.mark.parametrize("key_type", ["VCEK", "VLEK"])
def test_revoked_signer_is_on_the_list(key_type: str) -> None:
    _, endorsements = collect(key_type=key_type, revoked={SignedItem.AMD_SIGNER})
    (item,) = endorsements.of_kind(Kind.AMD_CRL)
    crl = x509.load_der_x509_crl(item.data)
    serial = certificate(endorsements, Kind.AMD_SIGNER).serial_number
    assert [entry.serial_number for entry in crl] == [serial]
