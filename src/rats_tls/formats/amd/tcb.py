"""Products and the TCB_VERSION layout of each (AMD SEV-SNP ABI specification, TCB_VERSION)."""

from __future__ import annotations

from functools import lru_cache

from rats_tls.core.claims import SnpTcb
from rats_tls.core.errors import DecodeError

TCB_VERSION_SIZE = 8

# CPUID family: (first model, last model, product). Bergamo and Siena are Genoa's siblings under Genoa's root.
_MODELS: dict[int, tuple[tuple[int, int, str], ...]] = {
    0x19: ((0x00, 0x0F, "Milan"), (0x10, 0x1F, "Genoa"), (0xA0, 0xAF, "Genoa")),
    0x1A: (
        (0x00, 0x11, "Turin"),
        (0x50, 0x57, "Venice"),
        (0x90, 0x9F, "Venice"),
        (0xA0, 0xAF, "Venice"),
        (0xC0, 0xC7, "Venice"),
    ),
}
_ZEN5_PRODUCTS = frozenset({"Turin", "Venice"})


def product_of_cpuid(family: int, model: int) -> str | None:
    """Give the product of a CPUID family and model (extended forms, as reports have them); None when not known."""
    for first, last, product in _MODELS.get(family, ()):
        if first <= model <= last:
            return product
    return None


def has_fmc(product: str) -> bool:
    """Tell whether the TCB_VERSION of `product` begins with an FMC version: Turin and later."""
    return product in _ZEN5_PRODUCTS


@lru_cache(maxsize=256)  # a report has four, mostly equal, and the next report the same
def decode_tcb_version(data: bytes, product: str, field: str, *, offset: int = 0) -> SnpTcb:
    """Decode TCB_VERSION in the layout of `product`.

    Args:
        data: 8 bytes.
        product: its name.
        field: what the report calls this value, for errors.
        offset: where it stands in the report, for errors.

    Raises:
        DecodeError: wrong length, or a reserved byte that is not zero.
    """
    if len(data) != TCB_VERSION_SIZE:
        raise DecodeError("TcbVersion", field, offset, f"got {len(data)} bytes, expected {TCB_VERSION_SIZE}")
    # Turin: fmc, bootloader, tee, snp, 3 reserved, microcode. Before: bootloader, tee, 4 reserved, snp, microcode.
    reserved = range(4, 7) if has_fmc(product) else range(2, 6)
    for index in reserved:
        if data[index]:
            problem = f"reserved byte is {data[index]:#04x}, must be zero in the layout of {product}"
            raise DecodeError("TcbVersion", field, offset + index, problem)
    if has_fmc(product):
        return SnpTcb(fmc=data[0], bootloader=data[1], tee=data[2], snp=data[3], microcode=data[7])
    return SnpTcb(fmc=None, bootloader=data[0], tee=data[1], snp=data[6], microcode=data[7])


def tcb_text(tcb: SnpTcb) -> str:
    """Give the components for people, those of `products` with FMC first."""
    fmc = "" if tcb.fmc is None else f"fmc {tcb.fmc}, "
    return f"{fmc}bootloader {tcb.bootloader}, tee {tcb.tee}, snp {tcb.snp}, microcode {tcb.microcode}"
