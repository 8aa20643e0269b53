"""Typed access to the fields of a decoded message."""

from __future__ import annotations

from typing import TypeVar

from rats_tls.core.errors import DecodeError, ProtocolError
from rats_tls.core.limits import Limits
from rats_tls.core.refusals import Refusal
from rats_tls.preamble.cbor import decode_message

_T = TypeVar("_T", int, bytes, str, bool)


class Fields:
    """The fields of one message.

    Unknown non-negative keys are ignored. Negative keys are critical: one that is not among `known` is refused.

    Args:
        data: payload of the message.
        structure: the message's name, for errors.
        limits: bounds of CBOR.

    Raises:
        DecodeError: not a map with integer keys in the form of `rats_tls.preamble.cbor`.
        ProtocolError: an unknown critical key.
    """

    def __init__(self, data: bytes, structure: str, limits: Limits) -> None:
        self._structure = structure
        self._items = decode_message(data, structure, limits)
        critical = sorted(key for key in self._items if key < 0)
        if critical:
            raise ProtocolError(f"{structure}: unknown critical key {critical[-1]}", refusal=Refusal.PROTOCOL_PROFILE)

    def one(self, key: int, name: str, kind: type[_T]) -> _T:
        """Give a field that must be there, of exactly type `kind`. Raises DecodeError."""
        if key not in self._items:
            raise DecodeError(self._structure, name, None, f"key {key} is missing")
        return self._checked(self._items[key], name, kind)

    def perhaps(self, key: int, name: str, kind: type[_T]) -> _T | None:
        """Give a field of exactly type `kind`, or None when it is not there. Raises DecodeError."""
        return self.one(key, name, kind) if key in self._items else None

    def many(self, key: int, name: str, kind: type[_T]) -> tuple[_T, ...]:
        """Give an array field, empty when it is not there. Raises DecodeError."""
        return tuple(self._checked(item, name, kind) for item in self.array(key, name))

    def array(self, key: int, name: str) -> list[object]:
        """Give an array field as it is, empty when it is not there. Raises DecodeError."""
        value = self._items.get(key, [])
        if not isinstance(value, list):
            raise DecodeError(self._structure, name, None, f"got {type(value).__name__}, expected an array")
        return value

    def octets_by_name(self, key: int, name: str) -> dict[str, bytes]:
        """Give a map from text to bytes, empty when it is not there. Raises DecodeError."""
        value = self._items.get(key, {})
        if not isinstance(value, dict):
            raise DecodeError(self._structure, name, None, f"got {type(value).__name__}, expected a map")
        return {self._checked(k, name, str): self._checked(v, name, bytes) for k, v in value.items()}

    def _checked(self, value: object, name: str, kind: type[_T]) -> _T:
        # Exactly: bool is a subclass of int.
        if type(value) is not kind:
            raise DecodeError(self._structure, name, None, f"got {type(value).__name__}, expected {kind.__name__}")
        if kind is int and int(value) < 0:
            raise DecodeError(self._structure, name, None, f"got {value!r}, expected an unsigned integer")
        return value
