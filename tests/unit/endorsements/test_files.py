"""Files of Endorsements that users name, told apart by what is in them."""

from __future__ import annotations

import functools
import itertools

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from rats_tls.core.endorsements import Endorsement, EndorsementKind, Origin
from rats_tls.core.errors import DecodeError
from rats_tls.core.limits import Limits
from rats_tls.endorsements.files import endorsements_from_file
from rats_tls.formats.amd.certificate_table import endorsements_to_table
from rats_tls.formats.intel.collateral import endorsements_to_json
from rats_tls.simulation.pki import to_pem
from support.intel_pki import certificate, revocation_list
from support.simulated import world

K = EndorsementKind


@functools.cache
def intel() -> tuple[Endorsement, ...]:
    return tuple(world().attester("simulated_sgx_ecdsa", certification_data_type=1).endorsements)


def one(kind: EndorsementKind) -> Endorsement:
    return next(item for item in intel() if item.kind is kind)


def chain() -> tuple[bytes, ...]:
    """PCK certificate, its CA, the root."""
    item = one(K.INTEL_PCK_CHAIN)
    return (item.data, *item.issuer_chain)


def crl_pem(data: bytes) -> bytes:
    return x509.load_der_x509_crl(data).public_bytes(Encoding.PEM)


def read(data: bytes, **settings: Limits) -> tuple[Endorsement, ...]:
    return endorsements_from_file(data, where="file.bin", **settings)


# --- Intel ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("before", [b"", b" \r\n\t"])
def test_a_json_bundle(before: bytes) -> None:
    found = read(before + endorsements_to_json(intel()))
    assert {item.kind for item in found} == {
        K.INTEL_PCK_CHAIN, K.INTEL_ROOT_CRL, K.INTEL_PCK_CRL, K.INTEL_TCB_INFO, K.INTEL_QE_IDENTITY,
    }  # fmt: skip
    assert {item.data for item in found} == {item.data for item in intel()}
    assert {item.origin for item in found} == {Origin.LOCAL}


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_a_pck_chain_in_any_order(order: tuple[int, ...]) -> None:
    leaf, authority, root = chain()
    found = read(to_pem(chain()[index] for index in order))
    assert found == (Endorsement(kind=K.INTEL_PCK_CHAIN, data=leaf, issuer_chain=(authority, root)),)


def test_a_pck_certificate_with_some_of_its_issuers() -> None:
    leaf, authority, root = chain()
    assert read(to_pem([leaf])) == (Endorsement(kind=K.INTEL_PCK_CHAIN, data=leaf),)
    assert read(to_pem([leaf, authority]))[0].issuer_chain == (authority,)
    # The root issued the CA and not the leaf: without the CA there is no way to it.
    assert read(to_pem([leaf, root]))[0].issuer_chain == ()
    stranger = certificate("SGX of another", "SGX of another", ca=True)
    assert read(to_pem([stranger, leaf, authority, root]))[0].issuer_chain == (authority, root)


def test_issuers_that_go_in_a_circle_come_to_an_end() -> None:
    leaf = certificate("SGX PCK Certificate", "SGX A")
    ring = (certificate("SGX A", "SGX B", ca=True), certificate("SGX B", "SGX A", ca=True))
    (found,) = read(to_pem([leaf, *ring]))
    assert set(found.issuer_chain) == set(ring)
    assert len(found.issuer_chain) <= 3  # no more than there are certificates


def test_certificates_of_intel_without_a_pck_certificate_are_named() -> None:
    with pytest.raises(DecodeError, match=r"file\.bin: .*no SGX PCK Certificate among .*SGX PCK Platform CA"):
        read(to_pem(chain()[1:]))


@pytest.mark.parametrize(
    ("issuer", "kind"),
    [
        ("Intel SGX Root CA", K.INTEL_ROOT_CRL),
        ("Intel SGX PCK Processor CA", K.INTEL_PCK_CRL),
        ("Intel SGX PCK Platform CA", K.INTEL_PCK_CRL),
        ("ARK-Milan", K.AMD_CRL),
    ],
)
def test_lists_are_told_by_their_issuers(issuer: str, kind: EndorsementKind) -> None:
    data = revocation_list(issuer)
    assert read(data) == read(crl_pem(data)) == (Endorsement(kind=kind, data=data),)


def test_lists_and_a_chain_in_one_file() -> None:
    lists = [one(K.INTEL_ROOT_CRL).data, one(K.INTEL_PCK_CRL).data]
    found = read(b"".join(map(crl_pem, lists)) + to_pem(chain()))
    assert [item.kind for item in found] == [K.INTEL_ROOT_CRL, K.INTEL_PCK_CRL, K.INTEL_PCK_CHAIN]
    assert [item.data for item in found] == [*lists, chain()[0]]


# --- AMD --------------------------------------------------------------------------------------------------------------
def test_certificates_of_amd_in_every_form() -> None:
    names = {"SEV-VCEK": K.AMD_VEK, "SEV-Milan": K.AMD_SIGNER, "ARK-Milan": K.AMD_ROOT}
    ders = {name: certificate(name, name) for name in names}
    items = tuple(Endorsement(kind=kind, data=ders[name]) for name, kind in names.items())
    assert tuple(item for der in ders.values() for item in read(der)) == items
    assert read(to_pem(ders.values())) == items
    assert read(endorsements_to_table(items)) == items
    assert read(to_pem([ders["ARK-Milan"]]) + crl_pem(revocation_list("ARK-Milan")))[1].kind is K.AMD_CRL


# --- neither ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x30\x00",
        b"{",
        b"{}",
        b'{"tcb_info": 7}',
        b"a policy\n",
        bytes(24),
        to_pem([certificate("anyone", "anyone")]),
        to_pem([certificate("SGX PCK Certificate", "SGX PCK CA")])[:-4],
        crl_pem(revocation_list("anyone")),
        certificate("anyone", "anyone"),
        revocation_list("anyone"),
        b"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n",
        b"-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n",
    ],
)
def test_other_files_are_refused_by_their_name(data: bytes) -> None:
    with pytest.raises(DecodeError, match=r"^file\.bin: ") as caught:
        read(data)
    assert caught.value.structure == "file.bin"


def test_documents_are_bounded() -> None:
    size = len(one(K.INTEL_PCK_CRL).data)
    data = one(K.INTEL_PCK_CRL).data
    for form in (data, crl_pem(data)):
        assert read(form, limits=Limits(endorsement_document=size))
        with pytest.raises(DecodeError, match=f"got {size} bytes, at most {size - 1} are read"):
            read(form, limits=Limits(endorsement_document=size - 1))
