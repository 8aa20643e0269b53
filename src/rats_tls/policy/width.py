"""Which of two values of a field accepts more: whether all that the narrow one accepts, the wide one accepts too."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any as Anything

from rats_tls.policy.values import ANY

Covers = Callable[[Anything, Anything], bool]
"""From a wide and a narrow value to whether the wide one covers the other; may say no where it does not know."""


def same(wide: Anything, narrow: Anything) -> bool:
    """No order is known: a value covers itself alone."""
    return bool(wide == narrow)


def list_covers(wide: Anything, narrow: Anything) -> bool:
    """Of lists of accepted values: the longer list."""
    return narrow is not ANY and set(narrow) <= set(wide)


def most_covers(wide: Anything, narrow: Anything) -> bool:
    """Of largest accepted numbers: the larger one."""
    return narrow is not ANY and bool(narrow <= wide)


def least_covers(wide: Anything, narrow: Anything) -> bool:
    """Of lowest accepted numbers: the lower one; "any" is 0."""
    return bool(wide <= (0 if narrow is ANY else narrow))


def mask_covers(wide: Anything, narrow: Anything) -> bool:
    """Of masks of allowed bits: the one with all bits of the other."""
    return not narrow & ~wide


def bits_cover(wide: Anything, narrow: Anything) -> bool:
    """Of masks of required bits: the one with no bit that the other lacks."""
    return not wide & ~narrow


def permission_covers(wide: Anything, narrow: Anything) -> bool:
    """Of permissions: the one that is given."""
    return bool(wide) or not narrow


def demand_covers(wide: Anything, narrow: Anything) -> bool:
    """Of demands: the one that is not made."""
    return not wide or bool(narrow)


def floors_cover(wide: Anything, narrow: Anything) -> bool:
    """Of tables of lowest versions: the one whose every component is not demanded, or not above the other's."""

    def low(of_wide: Anything, of_narrow: Anything) -> bool:
        if of_wide is None:
            return True
        if of_narrow is None:
            return False
        if isinstance(of_wide, tuple):
            return all(w <= n for w, n in zip(of_wide, of_narrow, strict=True))
        return bool(of_wide <= of_narrow)

    return narrow is not ANY and all(
        low(getattr(wide, declared.name), getattr(narrow, declared.name)) for declared in fields(wide)
    )
