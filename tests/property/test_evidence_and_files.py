"""Files that users name: any bytes give Evidence or Endorsements, or our error that names the file."""

from __future__ import annotations

import contextlib
import functools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rats_tls.core.endorsements import Endorsement, EndorsementKind
from rats_tls.core.errors import DecodeError, RatsTlsError, UnsupportedError
from rats_tls.core.evidence import NAMES_BY_MEDIA_TYPE, TeeType
from rats_tls.core.limits import Limits
from rats_tls.endorsements.files import endorsements_from_file
from rats_tls.formats.amd.certificate_table import endorsements_to_table
from rats_tls.formats.detect import INTEL_QE_VENDOR_ID, detect_evidence
from rats_tls.formats.hygon.hsk_cek import endorsement_to_hsk_cek
from rats_tls.formats.intel.collateral import endorsements_to_json
from rats_tls.simulation import pki
from rats_tls.simulation.world import ATTESTERS
from support.appraisals import user_anchors
from support.mutations import mutated
from support.simulated import REPORT_DATA, world

SIMULATED = tuple(ATTESTERS)
_SIZES = {TeeType.SGX_LA: (432,), TeeType.SEV: (6461, 6464), TeeType.CSV: (2548, 4096, 7016)}
"""Of Evidence that is told by its size too."""


@functools.cache
def evidence() -> tuple[bytes, ...]:
    return tuple(world().attester(name).collect(REPORT_DATA).evidence.data for name in SIMULATED)


@functools.cache
def items(name: str, **state: object) -> tuple[Endorsement, ...]:
    return tuple(world().attester(name, **state).endorsements)


@functools.cache
def files() -> tuple[bytes, ...]:
    """One file of every form, and every document by itself."""
    intel, amd = items("simulated_sgx_ecdsa", certification_data_type=1), items("simulated_sev_snp")
    chain = next(item for item in intel if item.kind is EndorsementKind.INTEL_PCK_CHAIN)
    certificates = [item.data for item in amd if item.kind is not EndorsementKind.AMD_CRL]
    lists = [item.data for item in (*intel, *amd) if item.kind.value.endswith("crl")]
    return (
        endorsements_to_json(intel),
        endorsements_to_table(amd),
        pki.to_pem((chain.data, *chain.issuer_chain)),
        pki.to_pem(certificates),
        items("simulated_sev")[0].data,
        endorsement_to_hsk_cek(items("simulated_csv", certificates="beside")[0]),
        *certificates,
        *lists,
    )


def test_there_is_a_file_of_every_form() -> None:
    assert len(files()) == 12
    kinds = {item.kind for data in files() for item in endorsements_from_file(data, where="file")}
    assert kinds == set(EndorsementKind)


@given(mutated(files) | st.binary(max_size=300) | st.text(max_size=100).map(str.encode))
@settings(max_examples=300)
def test_any_file_of_endorsements(data: bytes) -> None:
    try:
        found = endorsements_from_file(data, where="a file")
    except DecodeError as error:
        assert str(error).startswith("a file")  # noqa: PT017  # Endorsements would do as well
        return
    assert found
    assert all(len(item.data) <= Limits().endorsement_document for item in found)


@pytest.mark.parametrize("index", range(12))
@given(size=st.integers(1, 3000))
@settings(max_examples=40)
def test_sizes_of_documents_are_bounded_in_every_form(index: int, size: int) -> None:
    data = files()[index]
    whole = endorsements_from_file(data, where="a file")
    fits = all(len(item.data) <= size for item in whole)
    try:
        found = endorsements_from_file(data, where="a file", limits=Limits(endorsement_document=size))
    except DecodeError as error:
        # Containers have a bound of their own, of a few such documents.
        assert not fits or "too many" in error.message or "at most" in error.message  # noqa: PT017  # see above
        return
    assert fits
    assert found == whole


@given(mutated(lambda: (world().trust_anchors_pem,)) | st.binary(max_size=200))
def test_any_file_of_trust_anchors(data: bytes) -> None:
    with contextlib.suppress(RatsTlsError):
        assert user_anchors(data)


# --- Evidence ---------------------------------------------------------------------------------------------------------
headers = st.tuples(st.integers(0, 7), st.integers(0, 3), st.sampled_from((0, 0x81, 0x82)), st.booleans()).map(
    lambda parts: b"".join(
        (
            parts[0].to_bytes(2, "little"),
            parts[1].to_bytes(2, "little"),
            parts[2].to_bytes(4, "little"),
            bytes(4),
            INTEL_QE_VENDOR_ID if parts[3] else bytes(16),
            bytes(20),
        )
    )
)


@given(mutated(evidence) | st.binary(max_size=1300) | headers | st.sampled_from((432, 1024, 1184, 4000)).map(bytes))
@settings(max_examples=300)
def test_any_bytes_are_evidence_of_one_type_or_none(data: bytes) -> None:
    try:
        found = detect_evidence(data)
    except UnsupportedError as error:
        assert len(error.message) < 220  # noqa: PT017  # Evidence would do as well
        return
    assert found.data == data
    intel = data[12:28] == INTEL_QE_VENDOR_ID
    tee_type = NAMES_BY_MEDIA_TYPE[found.media_type].tee_type
    if intel:
        assert tee_type in {TeeType.SGX_ECDSA, TeeType.TDX_ECDSA}
    else:
        assert len(data) in _SIZES.get(tee_type, (len(data),))


@pytest.mark.parametrize("name", ["simulated_sgx_ecdsa", "simulated_tdx_ecdsa", "simulated_sev_snp"])
@given(behind=st.binary(max_size=64))
def test_bytes_behind_evidence_do_not_change_its_type(name: str, behind: bytes) -> None:
    expected = TeeType(name.removeprefix("simulated_"))
    found = detect_evidence(evidence()[SIMULATED.index(name)] + behind)
    assert NAMES_BY_MEDIA_TYPE[found.media_type].tee_type is expected
