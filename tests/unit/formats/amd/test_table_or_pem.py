"""Certificate tables as files: read by their entries, whatever stands in these."""

from __future__ import annotations

import pytest

from rats_tls.core.endorsements import EndorsementKind
from rats_tls.core.errors import DecodeError
from rats_tls.endorsements.files import endorsements_from_file
from rats_tls.formats.amd.certificate_table import endorsements_to_table
from rats_tls.simulation.pki import to_pem
from support.simulated import world

ENTRY = 24


def table(*, pem: bool) -> bytes:
    """Give the table of a simulated guest: VCEK, ASK, ARK, and perhaps each as PEM, as hosts write it too."""
    wanted = (EndorsementKind.AMD_VEK, EndorsementKind.AMD_SIGNER, EndorsementKind.AMD_ROOT)
    items = [item for item in world().attester("simulated_sev_snp").endorsements if item.kind in wanted]
    data = endorsements_to_table(items)
    if not pem:
        return data
    header, body = b"", b""
    start = ENTRY * (len(items) + 1)
    for index, item in enumerate(items):
        text = to_pem([item.data])
        guid = data[ENTRY * index : ENTRY * index + 16]
        header += guid + (start + len(body)).to_bytes(4, "little") + len(text).to_bytes(4, "little")
        body += text
    return header + bytes(ENTRY) + body


def test_der_and_pem_in_a_table_are_the_same_certificates() -> None:
    der, pem = (endorsements_from_file(table(pem=pem), where="table") for pem in (False, True))
    assert len(der) == 3
    assert der == pem


@pytest.mark.parametrize("pem", [False, True])
def test_only_what_an_entry_names_is_read(pem: bool) -> None:
    data = table(pem=pem)
    unknown = b"\xff" * 16 + data[16:]
    found = endorsements_from_file(unknown, where="table")
    assert found == endorsements_from_file(data, where="table")[1:]


@pytest.mark.parametrize("pem", [False, True])
def test_a_table_that_is_cut_short(pem: bool) -> None:
    data = table(pem=pem)
    for size in (*range(0, len(data), 37), len(data) - 1):
        with pytest.raises(DecodeError):
            endorsements_from_file(data[:size], where="table")


def test_text_before_a_pem_block_is_left_alone() -> None:
    (item,) = (item for item in world().attester("simulated_sev_snp").endorsements if item.kind.value == "amd-vek")
    text = b"Bag Attributes: \xc3\xa9\n" + to_pem([item.data])
    assert [found.data for found in endorsements_from_file(text, where="file")] == [item.data]
