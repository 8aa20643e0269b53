"""Public keys at and beyond the edge of what is one, with what every crypto wrapper has to say of each."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa, x25519

from rats_tls.core.algorithms import KeyAlgorithm
from rats_tls.core.errors import DecodeError, RatsTlsError, UnsupportedError
from support.curves import CURVES, ED25519_P, edwards_encoded, small_order_points
from support.der import ED25519_SPKI, bit_string, integer, sequence, spki_of, tlv

_EC_PUBLIC_KEY = bytes.fromhex("06072a8648ce3d0201")
_CURVE_OIDS = {
    KeyAlgorithm.EC_P256: bytes.fromhex("06082a8648ce3d030107"),
    KeyAlgorithm.EC_P384: bytes.fromhex("06052b81040022"),
}
_PRIME_FIELD = bytes.fromhex("06072a8648ce3d0101")
_RSA_ENCRYPTION = bytes.fromhex("06092a864886f70d010101")
_RSASSA_PSS = bytes.fromhex("06092a864886f70d01010a")
_NULL = b"\x05\x00"


@dataclass(frozen=True, kw_only=True)
class KeyCase:
    """A SubjectPublicKeyInfo, and the error that refuses it; None where it is taken.

    Attributes:
        point: x‖y where it can be given so, to be refused in the same way by itself.
    """

    name: str
    spki: bytes
    refusal: type[RatsTlsError] | None = DecodeError
    point: bytes | None = None


@cache
def ec_cases(algorithm: KeyAlgorithm) -> tuple[KeyCase, ...]:
    curve, oid = CURVES[algorithm], _CURVE_OIDS[algorithm]
    size, p = curve.size, curve.p
    other = next(one for one in CURVES if one is not algorithm)
    x, y = curve.times(12345, curve.g) or (0, 0)
    raw_x, raw_y = x.to_bytes(size, "big"), y.to_bytes(size, "big")
    uncompressed = b"\x04" + raw_x + raw_y
    small = next(point for x in range(1, 100) if (point := curve.at(x)) is not None)
    base = bytes([0x04]) + curve.encoded(curve.g)

    def named(point: bytes, *, parameters: bytes = oid, algorithm: bytes = _EC_PUBLIC_KEY, unused: int = 0) -> bytes:
        return sequence(sequence(algorithm, parameters), bit_string(point, unused))

    def with_point(x: int, y: int) -> tuple[bytes, bytes]:
        point = b"".join((number % (1 << 8 * size)).to_bytes(size, "big") for number in (x, y))
        return named(b"\x04" + point), point

    good = named(uncompressed)
    points = {
        "off the curve": (x, y ^ 1),
        "x is another one": (x + 1, y),
        "swapped": (y, x),
        "origin": (0, 0),
        "all ones": (-1, -1),
        "x is p": (p, y),
        "y is p": (x, p),
        "y is 0": (x, 0),
    }
    cases = [
        KeyCase(name="usual", spki=good, refusal=None, point=raw_x + raw_y),
        KeyCase(
            name="negative of the usual", spki=with_point(x, p - y)[0], refusal=None, point=with_point(x, p - y)[1]
        ),
        KeyCase(name="base point", spki=named(base), refusal=None, point=base[1:]),
        KeyCase(name="small x", spki=with_point(*small)[0], refusal=None, point=with_point(*small)[1]),
    ]
    for name, pair in points.items():
        spki, point = with_point(*pair)
        cases.append(KeyCase(name=name, spki=spki, point=point))
    beyond = small[0] + p  # on the curve, but not reduced
    assert beyond < 1 << 8 * size
    cases.append(
        KeyCase(name="x is not reduced", spki=with_point(beyond, small[1])[0], point=with_point(beyond, small[1])[1])
    )

    # Curve and base point written out: what CVE-2020-0601 used. The same curve's, and one with a base point of its own.
    def explicit(base: bytes) -> bytes:
        field = sequence(_PRIME_FIELD, integer(p))
        coefficients = sequence(tlv(4, (p - 3).to_bytes(size, "big")), tlv(4, curve.b.to_bytes(size, "big")))
        return sequence(integer(1), field, coefficients, tlv(4, base), integer(curve.n), integer(1))

    bad_y = b"\x04" + raw_x + raw_y[:-1]
    forms = {
        "infinity": named(b"\0"),
        "infinity, padded": named(bytes(1 + 2 * size)),
        "empty point": named(b""),
        "compressed": named(bytes([2 | y & 1]) + raw_x),
        "compressed, of no point": named(b"\x02" + next(
            x for x in range(1, 100) if curve.at(x) is None).to_bytes(size, "big")),
        "hybrid": named(bytes([6 | y & 1]) + raw_x + raw_y),
        "hybrid with the other sign": named(bytes([6 | y & 1 ^ 1]) + raw_x + raw_y),
        "point without its first byte": named(raw_x + raw_y),
        "point with another first byte": named(b"\x05" + raw_x + raw_y),
        "point cut": named(bad_y),
        "byte behind the point": named(uncompressed + b"\0"),
        "unused bits": named(uncompressed, unused=1),
        "eight unused bits": named(uncompressed, unused=8),
        "the other curve's name": named(uncompressed, parameters=_CURVE_OIDS[other]),
        "explicit parameters": named(uncompressed, parameters=explicit(base)),
        "no curve": named(uncompressed, parameters=b""),
        "two curves": named(uncompressed, parameters=oid + oid),
        "byte behind": good + b"\0",
        "cut": good[:-1],
        "something inside, behind the point": sequence(sequence(_EC_PUBLIC_KEY, oid), bit_string(uncompressed), _NULL),
        "octet string": sequence(sequence(_EC_PUBLIC_KEY, oid), tlv(4, uncompressed)),
        "long-form length": b"\x30\x81" + good[1:] if good[1] < 0x80 else b"",
        "indefinite length": b"\x30\x80" + good[2:] + b"\0\0",
        "empty": b"",
        "point alone": uncompressed,
    }  # fmt: skip
    cases += [KeyCase(name=name, spki=spki) for name, spki in forms.items()]
    curves = {
        "explicit parameters with a base point of its own": explicit(uncompressed),
        "NULL in the place of the curve": _NULL,
    }
    cases += [
        KeyCase(name=name, spki=named(uncompressed, parameters=parameters), refusal=UnsupportedError)
        for name, parameters in curves.items()
    ]
    return tuple(cases)


@cache
def rsa_cases() -> tuple[KeyCase, ...]:
    # A modulus made for the purpose would tell nothing more: nobody factors it when a key is loaded.
    n = rsa.generate_private_key(65537, 2048).public_key().public_numbers().n
    identifier = sequence(_RSA_ENCRYPTION, _NULL)

    def of(n: int, e: int, *, identifier: bytes = identifier) -> bytes:
        return sequence(identifier, bit_string(sequence(integer(n), integer(e))))

    def bits(count: int) -> int:
        return 1 << count - 1 | 1 << count // 2 | 1

    good = of(n, 65537)
    numbers = {
        "e is 3": (n, 3), "e is 17": (n, 17), "e is 65535": (n, 65535),
        "e is of 34 bits": (n, 1 << 33 | 1), "e of 256 bits": (n, 1 << 255 | 1), "n is even": (n - 1, 65537),
        "512 bits": (bits(512), 65537), "1024 bits": (bits(1024), 65537), "2047 bits": (bits(2047), 65537),
        "8193 bits": (bits(8193), 65537), "16384 bits": (bits(16384), 65537),
    }  # fmt: skip
    malformed = {
        "negative n": of(n - (1 << 2048), 65537),
        "e is 0": of(n, 0),
        "e is 1": of(n, 1),
        "e is even": of(n, 65538),
        "e is n": of(n, n),
        "negative e": of(n, -65537),
        "padded n": sequence(identifier, bit_string(sequence(tlv(2, b"\0" + integer(n)[4:]), integer(65537)))),
        "no NULL": of(n, 65537, identifier=sequence(_RSA_ENCRYPTION)),
        "three numbers": sequence(identifier, bit_string(sequence(integer(n), integer(65537), integer(1)))),
        "byte behind the numbers": sequence(identifier, bit_string(sequence(integer(n), integer(65537)) + b"\0")),
        "RSAPublicKey alone": sequence(integer(n), integer(65537)),
        "byte behind": good + b"\0",
        "cut": good[:-1],
    }
    return (
        KeyCase(name="usual", spki=good, refusal=None),
        KeyCase(name="e is of 33 bits", spki=of(n, 1 << 32 | 1), refusal=None),
        KeyCase(name="4096 bits", spki=of(bits(4096), 65537), refusal=None),
        KeyCase(name="4104 bits", spki=of(bits(4104), 65537), refusal=None),
        KeyCase(name="8192 bits", spki=of(bits(8192), 65537), refusal=None),
        *(KeyCase(name=name, spki=of(*pair), refusal=UnsupportedError) for name, pair in numbers.items()),
        KeyCase(name="of RSASSA-PSS", spki=of(n, 65537, identifier=sequence(_RSASSA_PSS))),
        *(KeyCase(name=name, spki=spki) for name, spki in malformed.items()),
    )


@cache
def ed25519_cases() -> tuple[KeyCase, ...]:
    good = spki_of(ed25519.Ed25519PrivateKey.generate().public_key())
    small = {f"of small order, {index}": edwards_encoded(point) for index, point in enumerate(small_order_points())}
    raw = {
        **small,
        "neutral point with a sign": (1 | 1 << 255).to_bytes(32, "little"),
        "point of order 2 with a sign": (ED25519_P - 1 | 1 << 255).to_bytes(32, "little"),
        "y is p": ED25519_P.to_bytes(32, "little"),
        "y is p + 1": (ED25519_P + 1).to_bytes(32, "little"),
        "y is p + 3": (ED25519_P + 3).to_bytes(32, "little"),
        "all ones": b"\xff" * 32,
        "no point": (2).to_bytes(32, "little"),
    }
    forms = {
        "NULL for parameters": sequence(sequence(bytes.fromhex("06032b6570"), _NULL), bit_string(good[-32:])),
        "a byte too long": sequence(sequence(bytes.fromhex("06032b6570")), bit_string(good[-32:] + b"\0")),
        "a byte too short": sequence(sequence(bytes.fromhex("06032b6570")), bit_string(good[-31:])),
        "unused bits": sequence(sequence(bytes.fromhex("06032b6570")), bit_string(good[-32:], 1)),
        "byte behind": good + b"\0",
        "cut": good[:-1],
    }
    return (
        KeyCase(name="usual", spki=good, refusal=None),
        *(KeyCase(name=name, spki=ED25519_SPKI + key) for name, key in raw.items()),
        *(KeyCase(name=name, spki=spki) for name, spki in forms.items()),
    )


@cache
def other_cases() -> tuple[KeyCase, ...]:
    """Keys of kinds that no wrapper verifies with."""
    private = {
        "P-521": ec.generate_private_key(ec.SECP521R1()),
        "P-224": ec.generate_private_key(ec.SECP224R1()),
        "secp256k1": ec.generate_private_key(ec.SECP256K1()),
        "brainpoolP256r1": ec.generate_private_key(ec.BrainpoolP256R1()),
        "X25519": x25519.X25519PrivateKey.generate(),
        "Ed448": ed448.Ed448PrivateKey.generate(),
        "DSA": dsa.generate_private_key(1024),
    }
    return tuple(
        KeyCase(name=name, spki=spki_of(key.public_key()), refusal=UnsupportedError)  # type: ignore[attr-defined]
        for name, key in private.items()
    )


CASES = {
    KeyAlgorithm.EC_P256: lambda: ec_cases(KeyAlgorithm.EC_P256),
    KeyAlgorithm.EC_P384: lambda: ec_cases(KeyAlgorithm.EC_P384),
    KeyAlgorithm.RSA: rsa_cases,
    KeyAlgorithm.ED25519: ed25519_cases,
}
"""By the key's algorithm; made when asked for."""
