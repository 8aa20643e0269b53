"""What no crypto wrapper takes, the same for all: a peer must not gain by the library that judges it.

Each case has one outcome. Where a library is laxer than the strictest, its wrapper checks what it does not.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from rats_tls.core.algorithms import KeyAlgorithm
from rats_tls.core.errors import DecodeError, RatsTlsError, SignatureError, UnsupportedError
from rats_tls.core.interfaces import CryptoWrapper
from support import key_cases, signature_cases
from support.crypto import with_keys, wrappers

FAMILIES = tuple(signature_cases.CASES)


def outcome(attempt: Callable[..., object], *arguments: object) -> type[Exception] | None:
    """The error's class; one that is not ours breaks the contract and ends the test."""
    try:
        attempt(*arguments)
    except RatsTlsError as error:
        return type(error)
    return None


@with_keys("verifies", *FAMILIES)
def test_signatures(crypto: CryptoWrapper, algorithm: KeyAlgorithm) -> None:
    cases = signature_cases.CASES[algorithm]()
    keys = {spki: crypto.load_public_key(spki) for spki in {case.spki for case in cases}}
    expected: dict[str, object] = {}
    found: dict[str, object] = {}
    for case in cases:
        name = f"{case.scheme.value}: {case.name}"
        key = keys[case.spki]
        assert name not in expected, "cases have names of their own"
        expected[name] = None if case.good else SignatureError
        found[name] = outcome(key.verify, case.scheme, case.signature, signature_cases.DATA)
        if case.integers is not None:
            expected[f"{name}, as integers"] = expected[name]
            found[f"{name}, as integers"] = outcome(key.verify_ecdsa, case.scheme, *case.integers, signature_cases.DATA)
    assert found == expected
    assert {None, SignatureError} == set(expected.values())


@wrappers
@pytest.mark.parametrize("family", key_cases.CASES, ids=lambda family: family.value)
def test_keys(crypto: CryptoWrapper, family: KeyAlgorithm) -> None:
    expected: dict[str, object] = {}
    found: dict[str, object] = {}
    knows = family in crypto.capabilities.verifies
    for case in key_cases.CASES[family]():
        loaded = outcome(crypto.load_public_key, case.spki)
        if not knows:
            assert loaded in (UnsupportedError, DecodeError), case.name
            continue
        assert case.name not in expected, "cases have names of their own"
        expected[case.name], found[case.name] = case.refusal, loaded
        if case.refusal is None:
            assert crypto.load_public_key(case.spki).spki == case.spki
        if case.point is not None:
            expected[f"{case.name}, as a point"] = case.refusal
            found[f"{case.name}, as a point"] = outcome(crypto.load_ec_point, family, case.point)
    assert found == expected


@wrappers
def test_kinds_of_keys_that_none_verifies_with(crypto: CryptoWrapper) -> None:
    for case in key_cases.other_cases():
        assert outcome(crypto.load_public_key, case.spki) is case.refusal, case.name


@wrappers
@pytest.mark.parametrize("algorithm", KeyAlgorithm, ids=lambda algorithm: algorithm.value)
def test_points_of_kinds_that_are_not_loaded_from_points(crypto: CryptoWrapper, algorithm: KeyAlgorithm) -> None:
    if algorithm not in (KeyAlgorithm.EC_P256, KeyAlgorithm.EC_P384) or algorithm not in crypto.capabilities.verifies:
        with pytest.raises(RatsTlsError):
            crypto.load_ec_point(algorithm, bytes(64))
