"""Arithmetic of curves in plain Python, to make keys and signatures that no library makes. For tests only."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from rats_tls.core.algorithms import KeyAlgorithm
from rats_tls.crypto_wrappers.ecdsa_signatures import ORDERS

Point = tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class Weierstrass:
    """A curve y^2 = x^3 - 3x + b over p; None is the point at infinity. Source: SEC 2 version 2.0, 2.4.2 and 2.5.1."""

    p: int
    b: int
    n: int
    g: Point

    @property
    def size(self) -> int:
        """Bytes of a coordinate."""
        return (self.p.bit_length() + 7) // 8

    def at(self, x: int) -> Point | None:
        """A point with this x, if there is one."""
        square = (x**3 - 3 * x + self.b) % self.p
        y = pow(square, (self.p + 1) // 4, self.p)
        return (x, y) if y * y % self.p == square else None

    def add(self, one: Point | None, other: Point | None) -> Point | None:
        if one is None or other is None:
            return one or other
        (x1, y1), (x2, y2) = one, other
        if x1 == x2 and (y1 + y2) % self.p == 0:
            return None
        rise, run = (3 * x1 * x1 - 3, 2 * y1) if one == other else (y2 - y1, x2 - x1)
        slope = rise * pow(run, -1, self.p)
        x = (slope * slope - x1 - x2) % self.p
        return x, (slope * (x1 - x) - y1) % self.p

    def times(self, factor: int, point: Point | None) -> Point | None:
        total: Point | None = None
        while factor:
            if factor & 1:
                total = self.add(total, point)
            point = self.add(point, point)
            factor >>= 1
        return total

    def encoded(self, point: Point | None) -> bytes:
        """x‖y."""
        assert point is not None
        return b"".join(number.to_bytes(self.size, "big") for number in point)

    def key_for(self, commitment: Point, s: int, digest: int) -> Point | None:
        """The public key under which (x of `commitment`, s) signs `digest`."""
        inverse = pow(commitment[0] % self.n, -1, self.n)
        return self.add(self.times(s * inverse % self.n, commitment), self.times(-digest * inverse % self.n, self.g))


CURVES = {
    KeyAlgorithm.EC_P256: Weierstrass(
        p=2**256 - 2**224 + 2**192 + 2**96 - 1,
        b=0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B,
        n=ORDERS[KeyAlgorithm.EC_P256],
        g=(
            0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
            0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
        ),
    ),
    KeyAlgorithm.EC_P384: Weierstrass(
        p=2**384 - 2**128 - 2**96 + 2**32 - 1,
        b=int("B3312FA7E23EE7E4988E056BE3F82D19181D9C6EFE8141120314088F5013875AC656398D8A2ED19D2A85C8EDD3EC2AEF", 16),
        n=ORDERS[KeyAlgorithm.EC_P384],
        g=(
            int("AA87CA22BE8B05378EB1C71EF320AD746E1D3B628BA79B9859F741E082542A385502F25DBF55296C3A545E3872760AB7", 16),
            int("3617DE4A96262C6F5D9E98BF9292DC29F8F41DBD289A147CE9DA3113B5F0B8C00A60B1CE1D7E819D7A431D7C90EA0E5F", 16),
        ),
    ),
}

ED25519_P = 2**255 - 19
ED25519_L = 2**252 + 27742317777372353535851937790883648493
_D = -121665 * pow(121666, -1, ED25519_P) % ED25519_P


def edwards_decoded(data: bytes) -> Point:
    """Decode a point. Source: RFC 8032 5.1.3."""
    y = int.from_bytes(data, "little") & (2**255 - 1)
    square = (y * y - 1) * pow(_D * y * y + 1, -1, ED25519_P) % ED25519_P
    x = pow(square, (ED25519_P + 3) // 8, ED25519_P)
    if x * x % ED25519_P != square:
        x = x * pow(2, (ED25519_P - 1) // 4, ED25519_P) % ED25519_P
    if x * x % ED25519_P != square:
        raise ValueError("no such point")
    return (x if x & 1 == data[31] >> 7 else -x % ED25519_P), y


def edwards_encoded(point: Point) -> bytes:
    return (point[1] | (point[0] & 1) << 255).to_bytes(32, "little")


def edwards_add(one: Point, other: Point) -> Point:
    (x1, y1), (x2, y2) = one, other
    product = _D * x1 * x2 * y1 * y2
    return (
        (x1 * y2 + x2 * y1) * pow(1 + product, -1, ED25519_P) % ED25519_P,
        (y1 * y2 + x1 * x2) * pow(1 - product, -1, ED25519_P) % ED25519_P,
    )


def edwards_times(factor: int, point: Point) -> Point:
    total = (0, 1)
    while factor:
        if factor & 1:
            total = edwards_add(total, point)
        point = edwards_add(point, point)
        factor >>= 1
    return total


ED25519_BASE = edwards_decoded(b"\x58" + 31 * b"\x66")


def small_order_points() -> list[Point]:
    """The eight points whose order divides 8."""
    for y in range(2, 100):
        try:
            torsion = edwards_times(ED25519_L, edwards_decoded(y.to_bytes(32, "little")))
        except ValueError:
            continue
        if edwards_times(4, torsion) != (0, 1):
            return [edwards_times(factor, torsion) for factor in range(8)]
    raise AssertionError("no point of order 8")


def ed25519_challenge(commitment: bytes, key: bytes, data: bytes) -> int:
    """Source: RFC 8032 5.1.7, step 2."""
    return int.from_bytes(hashlib.sha512(commitment + key + data).digest(), "little") % ED25519_L
