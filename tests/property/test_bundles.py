"""Bundles: any bytes are a bundle or our error, and what is read can be written and read again."""

from __future__ import annotations

import contextlib
import functools

from hypothesis import given, settings
from hypothesis import strategies as st

from rats_tls.core.errors import DecodeError
from rats_tls.endorsements.bundle import Bundle, bundle_from_bytes, bundle_to_bytes
from support.bundles import MANIFEST, archive_of, files_of, small_bundle
from support.mutations import mutated


@functools.cache
def bundles() -> tuple[bytes, ...]:
    data = small_bundle()
    return data, archive_of(files_of(data), 0)


@functools.cache
def manifests() -> tuple[bytes, ...]:
    return (files_of(small_bundle())[0][1],)


def read_or_refused(data: bytes) -> None:
    with contextlib.suppress(DecodeError):
        bundle = bundle_from_bytes(data, where="carried.zip")
        again = bundle_from_bytes(written(bundle), where="again")
        assert sorted(map(repr, again.items)) == sorted(map(repr, bundle.items))


def written(bundle: Bundle) -> bytes:
    try:
        return bundle_to_bytes(bundle)
    except DecodeError as error:
        raise AssertionError("what was read cannot be written") from error


@given(st.one_of(st.binary(max_size=300), st.binary(max_size=300).map(lambda data: b"PK\x03\x04" + data)))
def test_any_bytes(data: bytes) -> None:
    with contextlib.suppress(DecodeError):
        bundle_from_bytes(data, where="carried.zip")


@settings(max_examples=300)
@given(mutated(bundles))
def test_changed_bundles(data: bytes) -> None:
    read_or_refused(data)


@settings(max_examples=300)
@given(mutated(manifests))
def test_changed_manifests(manifest: bytes) -> None:
    read_or_refused(archive_of([(MANIFEST, manifest), *files_of(small_bundle())[1:]]))
