"""Signatures at and beyond the edge of what is one, with what every crypto wrapper has to say of each.

Made at import from keys of `cryptography` and the arithmetic in `support.curves`: no private key is stored.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from rats_tls.core.algorithms import KeyAlgorithm, SignatureAlgorithm
from rats_tls.crypto_wrappers.public_keys import ec_spki
from support.curves import (
    CURVES,
    ED25519_BASE,
    ED25519_L,
    ED25519_P,
    ed25519_challenge,
    edwards_add,
    edwards_encoded,
    edwards_times,
    small_order_points,
)
from support.der import ED25519_SPKI, integer, sequence, spki_of, tlv

DATA = b"signed data"


@dataclass(frozen=True, kw_only=True)
class Case:
    """A signature, and whether it is one.

    Attributes:
        name: what is odd about it.
        spki: of the key.
        scheme: signature algorithm.
        signature: in X.509 form.
        good: whether it verifies over `DATA`.
        integers: r and s, where both can be given instead.
    """

    name: str
    spki: bytes
    scheme: SignatureAlgorithm
    signature: bytes
    good: bool = False
    integers: tuple[int, int] | None = None


ECDSA = {
    KeyAlgorithm.EC_P256: (SignatureAlgorithm.ECDSA_SHA256, ec.SECP256R1(), ec.ECDSA(hashes.SHA256())),
    KeyAlgorithm.EC_P384: (SignatureAlgorithm.ECDSA_SHA384, ec.SECP384R1(), ec.ECDSA(hashes.SHA384())),
}


@cache
def ecdsa_cases(algorithm: KeyAlgorithm) -> tuple[Case, ...]:
    scheme, library_curve, hashing = ECDSA[algorithm]
    curve = CURVES[algorithm]
    n, size = curve.n, curve.size
    private = ec.generate_private_key(library_curve)
    spki = spki_of(private.public_key())
    while True:  # both with the high bit set, so that every form below is another one
        r, s = decode_dss_signature(private.sign(DATA, hashing))
        if r >> 8 * size - 1 and s >> 8 * size - 1:
            break
    good = encode_dss_signature(r, s)
    digest = int.from_bytes(hashlib.new(scheme.value.rpartition("-")[2], DATA).digest(), "big")
    cases: list[Case] = []

    def numbers(name: str, r: int, s: int, *, good: bool = False, spki: bytes = spki) -> None:
        der = sequence(integer(r), integer(s))
        cases.append(Case(name=name, spki=spki, scheme=scheme, signature=der, good=good, integers=(r, s)))

    numbers("as signed", r, s, good=True)
    numbers("n - s, which signs as well", r, n - s, good=True)
    out_of_place = {
        "zero": 0, "one": 1, "minus one": -1, "n": n, "n - 1": n - 1, "n + 1": n + 1, "2^k": 1 << 8 * size,
        "p": curve.p, "huge": 1 << 20_000,
    }  # fmt: skip
    for name, wrong in out_of_place.items():
        numbers(f"r is {name}", wrong, s)
        numbers(f"s is {name}", r, wrong)
        numbers(f"both are {name}", wrong, wrong)
    moved = {
        "n - r": (n - r, s), "-r": (-r, s), "-s": (r, -s), "both negated": (-r, -s), "r + n": (r + n, s),
        "s + n": (r, s + n), "both + n": (r + n, s + n), "r - n": (r - n, s), "s - n": (r, s - n), "swapped": (s, r),
    }  # fmt: skip
    for name, pair in moved.items():
        numbers(name, *pair)
    scalar = private.private_numbers().private_value
    numbers("adds up to infinity", -digest * pow(scalar, -1, n) % n, s)
    # Signatures of keys that are made for them: what is rare must be taken as well.
    wrapped = next(point for x in range(n + 1, n + 1000) if (point := curve.at(x)) is not None)
    common = curve.times(5, curve.g)
    assert common is not None
    for name, commitment, factor in (
        ("x of the commitment is n or more", wrapped, 7),
        ("s is one, and signs", common, 1),
        ("s is n - 1, and signs", common, n - 1),
        ("the commitment is the base point", curve.g, 3),
    ):
        key = ec_spki(algorithm, curve.encoded(curve.key_for(commitment, factor, digest)))
        numbers(name, commitment[0] % n, factor, good=True, spki=key)
        numbers(f"{name}, but r is not reduced", commitment[0] % n + n, factor, spki=key)

    raw_r, raw_s = r.to_bytes(size, "big"), s.to_bytes(size, "big")
    body = good[good.index(b"\x02") :]
    one, other = integer(r), integer(s)
    forms = {
        "empty": b"",
        "raw": raw_r + raw_s,
        "empty sequence": sequence(),
        "s is missing": sequence(one),
        "three integers": sequence(one, other, other),
        "NULL behind s": sequence(one, other, b"\x05\x00"),
        "zeros behind s": sequence(one, other, b"\0\0"),
        "byte behind": good + b"\0",
        "whole signature behind": good + good,
        "cut": good[:-1],
        "set": tlv(0x31, body),
        "primitive sequence": tlv(0x10, body),
        "context tag": tlv(0xA0, body),
        "octet string in the place of s": sequence(one, b"\x04" + other[1:]),
        "bit string in the place of r": sequence(b"\x03" + one[1:], other),
        "constructed integer": sequence(tlv(0x22, one), other),
        "high tag number form": sequence(b"\x1f\x02" + one[1:], other),
        "empty r": sequence(b"\x02\x00", other),
        "padded r": sequence(tlv(2, b"\0\0" + raw_r), other),
        "padded s": sequence(one, tlv(2, b"\0\0" + raw_s)),
        "high bits without zero": sequence(tlv(2, raw_r), tlv(2, raw_s)),
        "indefinite length": b"\x30\x80" + body + b"\0\0",
        "indefinite length without end": b"\x30\x80" + body,
        "one byte of length": b"\x30\x81" + bytes([len(body)]) + body,
        "two bytes of length": b"\x30\x82\x00" + bytes([len(body)]) + body,
        "five bytes of length": b"\x30\x85\x00\x00\x00\x00" + bytes([len(body)]) + body,
        "length of all ones": b"\x30\xff" + body,
        "long-form length of r": sequence(b"\x02\x81" + one[1:], other),
        "long-form length of s": sequence(one, b"\x02\x81" + other[1:]),
        "length one short": good[:1] + bytes([good[1] - 1]) + good[2:],
        "length beyond the end": good[:1] + bytes([good[1] + 1]) + good[2:],
        "in another sequence": sequence(good),
        "64 KB": sequence(one, other, tlv(4, bytes(65536))),
    }
    cases += [Case(name=name, spki=spki, scheme=scheme, signature=form) for name, form in forms.items()]
    stranger = spki_of(ec.generate_private_key(library_curve).public_key())
    cases.append(Case(name="another key's", spki=stranger, scheme=scheme, signature=good))
    return tuple(cases)


HASHES = {"sha256": hashes.SHA256(), "sha384": hashes.SHA384(), "sha512": hashes.SHA512()}
DIGEST_INFO = {
    "sha256": bytes.fromhex("3031300d060960864801650304020105000420"),
    "sha384": bytes.fromhex("3041300d060960864801650304020205000430"),
    "sha512": bytes.fromhex("3051300d060960864801650304020305000440"),
}
"""DER in front of the digest. Source: RFC 8017 9.2, note 1."""


@cache
def rsa_key(bits: int) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, bits)


def _raw(private: rsa.RSAPrivateKey, encoded: bytes) -> bytes:
    numbers = private.private_numbers()
    n = numbers.public_numbers.n
    return pow(int.from_bytes(encoded, "big"), numbers.d, n).to_bytes((n.bit_length() + 7) // 8, "big")


@cache
def rsa_pkcs1_cases(hash_name: str) -> tuple[Case, ...]:
    private = rsa_key(2048)
    scheme = SignatureAlgorithm(f"rsa-pkcs1-{hash_name}")
    digest = hashlib.new(hash_name, DATA).digest()
    prefix = DIGEST_INFO[hash_name]
    info = prefix + digest
    size = 256
    n = private.public_key().public_numbers().n
    good = private.sign(DATA, padding.PKCS1v15(), HASHES[hash_name])

    def padded(info: bytes, *, block: bytes = b"\x00\x01", fill: bytes = b"\xff", end: bytes = b"\x00") -> bytes:
        return block + fill * (size - len(block) - len(end) - len(info)) + end + info

    assert _raw(private, padded(info)) == good
    oid = prefix[4 : 4 + 11]
    identifier = {
        "no NULL": tlv(0x30, oid),
        "another NULL": tlv(0x30, oid + b"\x05\x01\x00"),
        "empty sequence in the place of NULL": tlv(0x30, oid + b"\x30\x00"),
        "NULL and more": tlv(0x30, oid + b"\x05\x00\x05\x00"),
        "another hash": tlv(0x30, DIGEST_INFO["sha512" if hash_name == "sha256" else "sha256"][4:15] + b"\x05\x00"),
        "long-form length": b"\x30\x81" + bytes([len(oid) + 2]) + oid + b"\x05\x00",
    }
    encodings = {
        **{f"DigestInfo: {name}": padded(tlv(0x30, given + tlv(4, digest))) for name, given in identifier.items()},
        "DigestInfo: bytes behind the digest": padded(tlv(0x30, prefix[2:17] + tlv(4, digest) + b"\x05\x00")),
        "DigestInfo: long digest": padded(tlv(0x30, prefix[2:17] + tlv(4, digest + b"\0"))),
        "DigestInfo: short digest": padded(tlv(0x30, prefix[2:17] + tlv(4, digest[:-1]))),
        "DigestInfo: indefinite length": padded(b"\x30\x80" + info[2:] + b"\0\0"),
        "digest without DigestInfo": padded(digest),
        "bytes behind DigestInfo": b"\x00\x01" + b"\xff" * 8 + b"\x00" + info + bytes(size - 11 - len(info)),
        "short padding and bytes in front": bytes(size - 12 - len(info)) + b"\x01" + b"\xff" * 10 + b"\x00" + info,
        "no padding": b"\x00\x01\x00" + info + b"\xff" * (size - 3 - len(info)),
        "block type 2": padded(info, block=b"\x00\x02"),
        "block type 0": padded(info, block=b"\x00\x00", fill=b"\x00"),
        "first byte is not zero": padded(info, block=b"\x01\x01"),
        "padding of other bytes": padded(info, fill=b"\xfe"),
        "one byte of the padding differs": padded(info).replace(b"\xff\xff", b"\xff\x7f", 1),
        "no zero behind the padding": padded(info, end=b"\xff"),
        "another digest": padded(prefix + bytes(len(digest))),
    }
    cases = [
        Case(name=name, spki=spki_of(private.public_key()), scheme=scheme, signature=_raw(private, encoded))
        for name, encoded in encodings.items()
    ]
    return (*cases, *_of_any_rsa(scheme, good, n))


def _of_any_rsa(scheme: SignatureAlgorithm, good: bytes, n: int) -> list[Case]:
    spki, value = spki_of(rsa_key(2048).public_key()), int.from_bytes(good, "big")
    numbers = {"0": 0, "1": 1, "n - 1": n - 1, "n": n, "n - s": n - value, "2^2048 - 1": 2**2048 - 1}
    forms = {
        **{f"signature is {name}": number.to_bytes(256, "big") for name, number in numbers.items()},
        "signature + n": (value + n).to_bytes(257, "big"),
        "zero in front": b"\0" + good,
        "zero behind": good + b"\0",
        "first byte cut": good[1:],
        "last byte cut": good[:-1],
        "empty": b"",
        "twice": good + good,
    }
    return [
        Case(name="as signed", spki=spki, scheme=scheme, signature=good, good=True),
        *(Case(name=name, spki=spki, scheme=scheme, signature=form) for name, form in forms.items()),
        Case(name="another key's", spki=spki_of(rsa_key(2056).public_key()), scheme=scheme, signature=good),
    ]


@cache
def rsa_pss_cases(hash_name: str) -> tuple[Case, ...]:
    hashing = HASHES[hash_name]
    scheme = SignatureAlgorithm(f"rsa-pss-{hash_name}")
    n = rsa_key(2048).public_key().public_numbers().n
    other = HASHES["sha512" if hash_name == "sha256" else "sha256"]

    def signed(salt: int, *, mgf: hashes.HashAlgorithm = hashing, bits: int = 2048) -> bytes:
        return rsa_key(bits).sign(DATA, padding.PSS(padding.MGF1(mgf), salt), hashing)

    size = hashing.digest_size
    salts = {
        0,
        20,
        size - 1,
        size + 1,
        other.digest_size,
        padding.calculate_max_pss_salt_length(rsa_key(2048), hashing),
    }
    forms = {f"salt of {salt} bytes": signed(salt) for salt in salts - {size}}
    forms["mask by another hash"] = signed(size, mgf=other)
    forms["PKCS #1"] = rsa_key(2048).sign(DATA, padding.PKCS1v15(), hashing)
    spki = spki_of(rsa_key(2048).public_key())
    cases = [Case(name=name, spki=spki, scheme=scheme, signature=form) for name, form in forms.items()]
    # Where the encoded message is a byte shorter than the modulus (RFC 8017 8.1.1).
    odd = spki_of(rsa_key(2049).public_key())
    cases.append(
        Case(name="2049 bits", spki=odd, scheme=scheme, signature=signed(size, bits=2049), good=True),
    )
    # One that begins with a zero: some libraries miss nothing when it is left out.
    good = next(signature for signature in iter(lambda: signed(size), b"") if signature[0] == 0)
    return (*cases, *_of_any_rsa(scheme, good, n))


@cache
def ed25519_cases() -> tuple[Case, ...]:
    scalar = int.from_bytes(hashlib.sha512(b"a test's scalar").digest(), "little") % ED25519_L
    nonce = int.from_bytes(hashlib.sha512(b"a test's nonce").digest(), "little") % ED25519_L
    point, commitment = edwards_times(scalar, ED25519_BASE), edwards_times(nonce, ED25519_BASE)
    torsion = next(p for p in small_order_points() if edwards_times(4, p) != (0, 1))
    key, raw_r = edwards_encoded(point), edwards_encoded(commitment)

    def answer(raw_r: bytes, key: bytes, *, nonce: int = nonce) -> bytes:
        return ((nonce + ed25519_challenge(raw_r, key, DATA) * scalar) % ED25519_L).to_bytes(32, "little")

    s = answer(raw_r, key)
    value = int.from_bytes(s, "little")
    mixed_r = edwards_encoded(edwards_add(commitment, torsion))
    mixed_key = edwards_encoded(edwards_add(point, torsion))
    divisible = next(
        (encoded, factor)
        for factor in range(1, 1000)
        if ed25519_challenge(encoded := edwards_encoded(edwards_times(factor, ED25519_BASE)), mixed_key, DATA) % 8 == 0
    )
    not_divisible = next(
        (encoded, factor)
        for factor in range(1, 1000)
        if ed25519_challenge(encoded := edwards_encoded(edwards_times(factor, ED25519_BASE)), mixed_key, DATA) % 8
    )
    small_r = edwards_encoded(torsion)
    neutral, unreduced, signed = ((y).to_bytes(32, "little") for y in (1, ED25519_P + 1, 1 | 1 << 255))
    good = raw_r + s
    spki = ED25519_SPKI + key

    def case(name: str, signature: bytes, *, good: bool = False, spki: bytes = spki) -> Case:
        return Case(name=name, spki=spki, scheme=SignatureAlgorithm.ED25519, signature=signature, good=good)

    def by_mixed_key(name: str, raw_r: bytes, nonce: int, *, good: bool = False) -> Case:
        signature = raw_r + answer(raw_r, mixed_key, nonce=nonce)
        return case(
            f"key with a component of small order, which {name}", signature, good=good, spki=ED25519_SPKI + mixed_key
        )

    largest = (2**256 - value) // ED25519_L - 1
    return (
        case("as signed", good, good=True),
        case("S + L", raw_r + (value + ED25519_L).to_bytes(32, "little")),
        case("S + as many L as fit", raw_r + (value + largest * ED25519_L).to_bytes(32, "little")),
        case("S is L", raw_r + ED25519_L.to_bytes(32, "little")),
        case("S is 0", raw_r + bytes(32)),
        case("S is all ones", raw_r + b"\xff" * 32),
        case("-S", raw_r + (ED25519_L - value).to_bytes(32, "little")),
        case("R negated", raw_r[:31] + bytes([raw_r[31] ^ 0x80]) + s),
        case("R of small order", small_r + answer(small_r, key, nonce=0)),
        case("R is the neutral point, and signs", neutral + answer(neutral, key, nonce=0), good=True),
        case("R is the neutral point, y not reduced", unreduced + answer(unreduced, key, nonce=0)),
        case("R is the neutral point with a sign", signed + answer(signed, key, nonce=0)),
        case("R with a component of small order", mixed_r + answer(mixed_r, key)),
        by_mixed_key("falls out", *divisible, good=True),
        by_mixed_key("does not fall out", *not_divisible),
        case("R is no point", (2).to_bytes(32, "little") + s),
        case("empty", b""),
        case("byte behind", good + b"\0"),
        case("cut", good[:-1]),
        case("twice", good + good),
        case("halves swapped", s + raw_r),
    )


CASES = {
    **{algorithm: lambda algorithm=algorithm: ecdsa_cases(algorithm) for algorithm in ECDSA},
    KeyAlgorithm.RSA: lambda: tuple(
        case for hash_name in HASHES for make in (rsa_pkcs1_cases, rsa_pss_cases) for case in make(hash_name)
    ),
    KeyAlgorithm.ED25519: ed25519_cases,
}
"""By the key's algorithm; made when asked for."""
