"""Certificate tables that hosts give their guests (GHCB specification), and loose files of AMD."""

from __future__ import annotations

import functools
import struct
import uuid
from collections.abc import Sequence

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from rats_tls.core.endorsements import Endorsement, EndorsementKind, Origin
from rats_tls.core.errors import ConfigurationError, DecodeError
from rats_tls.core.limits import Limits
from rats_tls.formats.amd.bundle import endorsements_from_file
from rats_tls.formats.amd.certificate_table import MAX_CERTIFICATE, endorsements_from_table, endorsements_to_table
from rats_tls.formats.amd.pem import split_pem
from support.intel_pki import certificate, revocation_list

K = EndorsementKind
VCEK = "63da758d-e664-4564-adc5-f4b93be8accd"
VLEK = "a8074bc2-a25a-483e-aae6-39c045a0b8a1"
SIGNER = "4ab7b379-bbac-4fe4-a02f-05aef327c782"
ROOT = "c0b406a4-a803-4952-9743-3fb6014cd0ae"
CRL = "92f81bc3-5811-4d3d-97ff-d19f88dc67ea"
PLATFORM = "ecae0c0f-9502-43b1-afa2-0ae2e0d565b6"
Entry = tuple[str, bytes]


@functools.cache
def named(common_name: str) -> bytes:
    return certificate(common_name, common_name)


def table(entries: Sequence[Entry], *, end: bytes = bytes(24), behind: bytes = b"") -> bytes:
    """Write a table by hand: GUIDs in the order in which they are written, integers little-endian."""
    start = 24 * len(entries) + len(end)
    header, body = b"", b""
    for guid, data in entries:
        header += uuid.UUID(guid).bytes + struct.pack("<II", start + len(body), len(data))
        body += data
    return header + end + body + behind


def pem(der: bytes) -> bytes:
    return x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM)


def crl_pem(der: bytes) -> bytes:
    return x509.load_der_x509_crl(der).public_bytes(Encoding.PEM)


# --- reading ----------------------------------------------------------------------------------------------------------
def test_kinds_by_guid() -> None:
    entries = [(VCEK, b"vcek"), (VLEK, b"vlek"), (SIGNER, b"ask"), (ROOT, b"ark"), (CRL, b"crl")]
    found = endorsements_from_table(table(entries))
    kinds = [K.AMD_VEK, K.AMD_VEK, K.AMD_SIGNER, K.AMD_ROOT, K.AMD_CRL]
    assert [(item.kind, item.data) for item in found] == list(zip(kinds, (data for _, data in entries), strict=True))
    assert {item.origin for item in found} == {Origin.LOCAL}
    assert {item.origin for item in endorsements_from_table(table(entries), origin=Origin.PEER)} == {Origin.PEER}


def test_other_entries_are_left_out_whatever_is_in_them() -> None:
    entries = [(PLATFORM, b""), (ROOT, b"ark"), (PLATFORM, bytes(50_000))]
    assert [item.kind for item in endorsements_from_table(table(entries))] == [K.AMD_ROOT]


def test_padding_behind_a_table_is_no_part_of_it() -> None:
    entries = [(ROOT, b"ark")]
    assert endorsements_from_table(table(entries, behind=bytes(4000))) == endorsements_from_table(table(entries))
    assert endorsements_from_table(bytes(24)) == endorsements_from_table(bytes(4096)) == ()


def test_pem_in_a_table_is_read_as_its_der() -> None:
    ark, crl = named("ARK-Milan"), revocation_list("ARK-Milan")
    found = endorsements_from_table(table([(ROOT, pem(ark)), (CRL, crl_pem(crl))]))
    assert [item.data for item in found] == [ark, crl]


@pytest.mark.parametrize(
    ("entry", "kind"),
    [
        ((ROOT, pem(named("ARK-Milan")) * 2), "amd-root"),
        ((ROOT, crl_pem(revocation_list())), "amd-root"),
        ((CRL, pem(named("ARK-Milan"))), "amd-crl"),
    ],
)
def test_one_entry_holds_one_document_of_its_kind(entry: Entry, kind: str) -> None:
    with pytest.raises(DecodeError, match="expected one PEM block") as caught:
        endorsements_from_table(table([entry]))
    assert caught.value.field == kind


@pytest.mark.parametrize(
    ("offset", "length"),
    [(0, 3), (47, 3), (48, 4), (51, 1), (0xFFFFFFFF, 1), (48, 0xFFFFFFFF), (0xFFFFFFFF, 0xFFFFFFFF)],
)
@pytest.mark.parametrize("guid", [ROOT, PLATFORM])
def test_entries_lie_behind_the_header_and_within_the_table(guid: str, offset: int, length: int) -> None:
    data = uuid.UUID(guid).bytes + struct.pack("<II", offset, length) + bytes(24) + b"ark"
    with pytest.raises(DecodeError, match="outside") as caught:
        endorsements_from_table(data)
    assert (caught.value.field, caught.value.offset) == ("offset", 16)


def test_a_table_ends_in_an_entry_of_zeros() -> None:
    whole = table([(ROOT, b"ark"), (SIGNER, b"ask")])
    for size in range(24 * 3):
        with pytest.raises(DecodeError):
            endorsements_from_table(whole[:size])
    for position in range(24):
        # Not quite zeros: an entry of an unknown GUID or one that lies nowhere, and then no end.
        end = bytes(1 if at == position else 0 for at in range(24))
        with pytest.raises(DecodeError):
            endorsements_from_table(table([(ROOT, b"ark")], end=end))


def test_number_and_sizes_of_entries_are_bounded() -> None:
    assert len(endorsements_from_table(table([(ROOT, b"ark")] * 16))) == 16
    with pytest.raises(DecodeError, match="more than 16 entries"):
        endorsements_from_table(table([(ROOT, b"ark")] * 17))
    assert endorsements_from_table(table([(ROOT, bytes(MAX_CERTIFICATE))]))
    with pytest.raises(DecodeError, match=f"got {MAX_CERTIFICATE + 1}, expected 1 to {MAX_CERTIFICATE} for amd-root"):
        endorsements_from_table(table([(ROOT, bytes(MAX_CERTIFICATE + 1))]))
    limits = Limits(endorsement_document=100)
    assert endorsements_from_table(table([(CRL, bytes(100))]), limits=limits)
    with pytest.raises(DecodeError, match="expected 1 to 100 for amd-crl"):
        endorsements_from_table(table([(CRL, bytes(101))]), limits=limits)
    with pytest.raises(DecodeError, match="got 0, expected 1"):
        endorsements_from_table(table([(ROOT, b"")]))


# --- writing ----------------------------------------------------------------------------------------------------------
def test_a_table_is_written_as_by_hand() -> None:
    vcek, vlek = named("SEV-VCEK"), named("SEV-VLEK")
    items = [
        Endorsement(kind=K.AMD_VEK, data=vcek),
        Endorsement(kind=K.INTEL_PCK_CRL, data=b"left out"),
        Endorsement(kind=K.AMD_VEK, data=vlek),
        Endorsement(kind=K.AMD_SIGNER, data=b"ask"),
        Endorsement(kind=K.AMD_ROOT, data=b"ark"),
        Endorsement(kind=K.AMD_CRL, data=b"crl"),
    ]
    by_hand = table([(VCEK, vcek), (VLEK, vlek), (SIGNER, b"ask"), (ROOT, b"ark"), (CRL, b"crl")])
    assert endorsements_to_table(items) == by_hand
    assert endorsements_to_table(()) == bytes(24)


def test_what_cannot_be_written() -> None:
    with pytest.raises(ConfigurationError, match="got 17 items"):
        endorsements_to_table([Endorsement(kind=K.AMD_CRL, data=b"x")] * 17)
    with pytest.raises(DecodeError):
        endorsements_to_table([Endorsement(kind=K.AMD_VEK, data=b"no certificate")])


# --- loose files ------------------------------------------------------------------------------------------------------
NAMES = {
    "SEV-VCEK": K.AMD_VEK,
    "SEV-VLEK": K.AMD_VEK,
    "SEV-Milan": K.AMD_SIGNER,
    "SEV-VLEK-Genoa": K.AMD_SIGNER,
    "ARK-Turin": K.AMD_ROOT,
}


@pytest.mark.parametrize("name", NAMES)
def test_certificates_are_told_by_their_names(name: str) -> None:
    expected = Endorsement(kind=NAMES[name], data=named(name))
    assert endorsements_from_file(named(name)) == endorsements_from_file(pem(named(name))) == (expected,)


def test_lists_are_told_by_their_issuers() -> None:
    crl = revocation_list("ARK-Milan")
    expected = Endorsement(kind=K.AMD_CRL, data=crl, origin=Origin.PEER)
    for data in (crl, crl_pem(crl)):
        assert endorsements_from_file(data, origin=Origin.PEER) == (expected,)


def test_a_chain_in_pem_and_a_table() -> None:
    chain = pem(named("SEV-Milan")) + b"text\n" + pem(named("ARK-Milan")) + crl_pem(revocation_list("ARK-Milan"))
    assert [item.kind for item in endorsements_from_file(chain)] == [K.AMD_SIGNER, K.AMD_ROOT, K.AMD_CRL]
    assert [item.kind for item in endorsements_from_file(table([(ROOT, named("ARK-Milan"))]))] == [K.AMD_ROOT]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x30",
        b"text",
        bytes(24),  # an empty table
        named("SEV"),
        named("Intel SGX Root CA"),
        named("XARK-Milan"),
        revocation_list("SEV-Milan"),
        pem(named("ARK-Milan")) + pem(named("anyone")),
        pem(named("ARK-Milan"))[:-5],
        pem(named("ARK-Milan")) + b"-----BEGIN RSA PRIVATE KEY-----\nMII=\n-----END RSA PRIVATE KEY-----\n",
    ],
)
def test_other_files_are_refused(data: bytes) -> None:
    with pytest.raises(DecodeError):
        endorsements_from_file(data)


# --- PEM --------------------------------------------------------------------------------------------------------------
BLOCK = b"-----BEGIN CERTIFICATE-----\nTUlJ\n-----END CERTIFICATE-----\n"


def test_blocks_in_order() -> None:
    lists = BLOCK.replace(b"CERTIFICATE", b"X509 CRL").replace(b"TUlJ", b"Q1\r\nJM")
    found = split_pem(b"text" + BLOCK + b"more" + lists, "Pem")
    assert [(block.label, block.der) for block in found] == [("CERTIFICATE", b"MII"), ("X509 CRL", b"CRL")]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"text",
        BLOCK[:-8],
        BLOCK + BLOCK[:-8],
        BLOCK.replace(b"END CERTIFICATE", b"END X509 CRL"),
        BLOCK.replace(b"TUlJ", b"TUl"),
        BLOCK.replace(b"TUlJ", b"TU*J"),
        BLOCK.replace(b"TUlJ", b"TU-J"),
        BLOCK.replace(b"CERTIFICATE", b"PRIVATE KEY"),
        BLOCK.replace(b"CERTIFICATE", b"CERTIFICATE REQUEST"),
        BLOCK + b"-----BEGIN ",
    ],
)
def test_no_block_is_passed_over(data: bytes) -> None:
    with pytest.raises(DecodeError) as caught:
        split_pem(data, "Pem")
    assert (caught.value.structure, caught.value.field) == ("Pem", "PEM")


def test_number_of_blocks_is_bounded() -> None:
    assert len(split_pem(BLOCK * 3, "Pem", limit=3)) == 3
    with pytest.raises(DecodeError, match="more than 3 blocks"):
        split_pem(BLOCK * 4, "Pem", limit=3)
