"""TCB_VERSION in the layout of each product (AMD SEV-SNP ABI specification, TCB_VERSION)."""

from __future__ import annotations

import pytest

from rats_tls.core.claims import SnpTcb
from rats_tls.core.errors import DecodeError
from rats_tls.formats.amd.tcb import decode_tcb_version, has_fmc, tcb_text

BEFORE_TURIN = pytest.mark.parametrize("product", ["Milan", "Genoa"])
FROM_TURIN = pytest.mark.parametrize("product", ["Turin", "Venice"])


@BEFORE_TURIN
def test_layout_before_turin(product: str) -> None:
    found = decode_tcb_version(bytes((1, 2, 0, 0, 0, 0, 7, 8)), product, "current_tcb")
    assert found == SnpTcb(fmc=None, bootloader=1, tee=2, snp=7, microcode=8)
    assert not has_fmc(product)


@FROM_TURIN
def test_layout_from_turin_on(product: str) -> None:
    found = decode_tcb_version(bytes((1, 2, 3, 4, 0, 0, 0, 8)), product, "current_tcb")
    assert found == SnpTcb(fmc=1, bootloader=2, tee=3, snp=4, microcode=8)
    assert has_fmc(product)


@pytest.mark.parametrize(
    ("product", "reserved"),
    [("Milan", (2, 3, 4, 5)), ("Genoa", (2, 3, 4, 5)), ("Turin", (4, 5, 6)), ("Venice", (4, 5, 6))],
)
def test_reserved_bytes_are_those_of_the_layout(product: str, reserved: tuple[int, ...]) -> None:
    """A TCB of one layout, read in the other, is refused rather than read as another TCB."""
    for index in range(8):
        data = bytes(8 if at == index else 0 for at in range(8))
        if index not in reserved:
            assert decode_tcb_version(data, product, "current_tcb")
            continue
        with pytest.raises(DecodeError, match=f"must be zero in the layout of {product}") as caught:
            decode_tcb_version(data, product, "launch_tcb", offset=0x1F0)
        assert (caught.value.structure, caught.value.field) == ("TcbVersion", "launch_tcb")
        assert caught.value.offset == 0x1F0 + index


@pytest.mark.parametrize("size", [0, 7, 9])
def test_it_has_eight_bytes(size: int) -> None:
    with pytest.raises(DecodeError, match=f"got {size} bytes, expected 8"):
        decode_tcb_version(bytes(size), "Milan", "current_tcb")


def test_text_names_fmc_only_where_there_is_one() -> None:
    assert (
        tcb_text(SnpTcb(fmc=None, bootloader=1, tee=2, snp=3, microcode=4)) == "bootloader 1, tee 2, snp 3, microcode 4"
    )
    assert tcb_text(SnpTcb(fmc=0, bootloader=1, tee=2, snp=3, microcode=4)).startswith("fmc 0, bootloader 1")
