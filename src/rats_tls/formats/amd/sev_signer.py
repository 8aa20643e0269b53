"""Certificates of AMD's signers before SEV-SNP: ASK and ARK (AMD SEV API, appendix B.1).

AMD publishes one file for each product, with the ASK and behind it the ARK.
"""

from __future__ import annotations

from dataclasses import dataclass

from rats_tls.core.errors import DecodeError
from rats_tls.core.reader import Reader
from rats_tls.formats.amd.sev_keys import ARK, ASK, RSA_BITS, SevRsaKey

KEY_ID_SIZE = 16
PRODUCTS = ("Naples", "Rome", "Milan")
"""Those whose SEV and SEV-ES Evidence is known here; the first one has keys of 2048 bits, the others of 4096."""
SIMULATED_KEY_ID = b"rats-tls sim"
"""How the key ids of simulated ARKs and ASKs begin: an anchor with it is shown as simulated."""

_VERSION = 1
_HEADER_SIZE = 64
_ARK_KEY_IDS = {
    "Naples": bytes.fromhex("1bb987c359494606b174945601c9ea5b"),
    "Rome": bytes.fromhex("e6002122fb58419399d15fee7b131351"),
    "Milan": bytes.fromhex("94c38e4177d0479292a7ae671d083fb6"),
}
_STRUCTURE = "SevSignerCertificate"


@dataclass(frozen=True, slots=True, kw_only=True)
class SevSignerCertificate:
    """An ASK or ARK certificate, of 832 (RSA-2048) or 1600 bytes (RSA-4096).

    Attributes:
        data: the certificate as received.
        key_id: of this key (16 bytes).
        certifying_id: of the key that signed; of an ARK its own.
        usage: 0 for an ARK, 0x13 for an ASK.
        exponent_bits: size of the exponent's field.
        key: the key.
        signature: RSASSA-PSS, big-endian; as long as this certificate's own modulus.
    """

    data: bytes
    version: int
    key_id: bytes
    certifying_id: bytes
    usage: int
    exponent_bits: int
    key: SevRsaKey
    signature: bytes

    @classmethod
    def from_bytes(cls, data: bytes) -> SevSignerCertificate:
        """Decode one certificate.

        Raises:
            DecodeError: cut short, bytes behind it, another version, usage or size of key, or a reserved byte that is
                not zero.
        """
        certificate, end = cls._read(data, 0)
        if end != len(data):
            raise DecodeError(_STRUCTURE, "end", end, f"{len(data) - end} bytes behind the certificate")
        return certificate

    @classmethod
    def _read(cls, data: bytes, start: int) -> tuple[SevSignerCertificate, int]:
        reader = Reader(data[start:], _STRUCTURE, base=start)
        version = reader.u32("version")
        if version != _VERSION:
            raise DecodeError(_STRUCTURE, "version", start, f"got {version}, expected {_VERSION}")
        key_id = reader.take("key_id", KEY_ID_SIZE)
        certifying_id = reader.take("certifying_id", KEY_ID_SIZE)
        usage = reader.u32("key_usage")
        if usage not in {ARK, ASK}:
            raise reader.error("key_usage", f"got {usage:#x}, expected {ARK:#x} (ARK) or {ASK:#x} (ASK)")
        reader.zeros("reserved", 16)
        exponent_bits, bits = reader.u32("pubexp_size"), reader.u32("modulus_size")
        for name, value in (("pubexp_size", exponent_bits), ("modulus_size", bits)):
            if value not in RSA_BITS:
                raise reader.error(name, f"got {value}, expected 2048 or 4096")
        exponent = int.from_bytes(reader.take("pubexp", exponent_bits // 8), "little")
        modulus = int.from_bytes(reader.take("modulus", bits // 8), "little")
        signature = reader.take("signature", bits // 8)[::-1]
        certificate = cls(
            data=data[start : reader.offset],
            version=version,
            key_id=key_id,
            certifying_id=certifying_id,
            usage=usage,
            exponent_bits=exponent_bits,
            key=SevRsaKey(bits=bits, exponent=exponent, modulus=modulus),
            signature=signature,
        )
        return certificate, reader.offset

    @property
    def signed(self) -> bytes:
        """The bytes that the signature covers, as received: all before it."""
        return self.data[: -len(self.signature)]

    def to_bytes(self) -> bytes:
        """Encode from the fields, not from `data`."""
        return b"".join(
            (
                self.version.to_bytes(4, "little"),
                self.key_id,
                self.certifying_id,
                self.usage.to_bytes(4, "little"),
                bytes(16),
                self.exponent_bits.to_bytes(4, "little"),
                self.key.bits.to_bytes(4, "little"),
                self.key.exponent.to_bytes(self.exponent_bits // 8, "little"),
                self.key.modulus.to_bytes(self.key.bits // 8, "little"),
                self.signature[::-1],
            )
        )


def is_signer_file(data: bytes) -> bool:
    """Tell whether data begins like an ASK or ARK certificate; it may be none all the same."""
    usage = int.from_bytes(data[36:40], "little")
    sizes = (int.from_bytes(data[56:60], "little"), int.from_bytes(data[60:64], "little"))
    begins = data[:4] == b"\1\0\0\0" and usage in {ARK, ASK} and not any(data[40:56])
    return len(data) > _HEADER_SIZE and begins and all(size in RSA_BITS for size in sizes)


def split_signers(data: bytes, *, limit: int = 16) -> tuple[SevSignerCertificate, ...]:
    """Split what holds nothing but ASK and ARK certificates, one behind the other, as AMD's files do.

    Raises:
        DecodeError: a certificate is malformed, or there are more than `limit`.
    """
    found: list[SevSignerCertificate] = []
    start = 0
    while start < len(data) or not found:
        if len(found) == limit:
            raise DecodeError(_STRUCTURE, "", start, f"more than {limit} certificates")
        certificate, start = SevSignerCertificate._read(data, start)  # noqa: SLF001  # of this module
        found.append(certificate)
    return tuple(found)


def products_of_root(key_id: bytes, bits: int) -> tuple[str, ...]:
    """Give the products whose ARK may have that key id; certificates do not name them.

    Args:
        key_id: of an ARK: AMD's own, or one that is simulated; of another only the size of the key tells something.
        bits: size of the key that it signed.
    """
    for product in PRODUCTS:
        if key_id in {_ARK_KEY_IDS[product], simulated_key_id(product)}:
            return (product,)
    return PRODUCTS[:1] if bits == RSA_BITS[0] else PRODUCTS[1:]


def simulated_key_id(product: str) -> bytes:
    """Give the key id of the simulated ARK of a product (16 bytes)."""
    return SIMULATED_KEY_ID + product.encode()[: KEY_ID_SIZE - len(SIMULATED_KEY_ID)]
