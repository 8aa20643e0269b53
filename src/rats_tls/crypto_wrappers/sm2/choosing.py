"""Which library does SM2 in this process: the first that is there and passes a self-test, found once at first use."""

from __future__ import annotations

import importlib
from dataclasses import dataclass

from rats_tls.core.errors import RatsTlsError, SignatureError, UnsupportedError
from rats_tls.crypto_wrappers.sm2.back_end import BackEnd, KeyMaker

BACK_ENDS = ("libcrypto", "tongsuo", "gmalg")
"""In the order of preference; each is a module beside this one with a function `load`."""

KNOWN_POINT = bytes.fromhex(
    "09f9df311e5421a150dd7d161e4bc5c672179fad1833fc076bb08ff356f35020"
    "ccea490ce26775a52dc6ea718cc1aa600aed05fbf35e084a6632f6072da9ad13"
)
KNOWN_USER_ID = b"1234567812345678"
KNOWN_DATA = b"message digest"
KNOWN_SIGNATURE = (
    0xF5A03B0648D2C4630EEAC513E1BB81A15944DA3827D5B74143AC7EACEEE720B3,
    0xB1B6AA29DF212FD8763182BC0D421CA1BB9038FD1F7F42D4840B69C485BBC1AA,
)
"""The published example. Source: GB/T 32918.5-2017, annex A.2."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What was found.

    Attributes:
        back_end: the one that is used; None where none can be.
        unusable: those before it, each with the reason why it is not used.
    """

    back_end: BackEnd | None
    unusable: tuple[tuple[str, str], ...]

    @property
    def reasons(self) -> str:
        """The reasons in one text."""
        return "; ".join(f"{name}: {reason}" for name, reason in self.unusable)


_found: dict[str, Choice] = {}


def choose() -> Choice:
    """Give the choice of this process. Threads that come at once may look twice; all get the same."""
    choice = _found.get("sm2")
    return choice if choice is not None else _found.setdefault("sm2", _look())


def chosen() -> BackEnd:
    """Give the back end of this process. Raises UnsupportedError where there is none: what to install, and why."""
    choice = choose()
    if choice.back_end is None:
        raise UnsupportedError(
            f"no library for SM2: install OpenSSL 3, rats-tls[tongsuo] or rats-tls[sm2] ({choice.reasons})"
        )
    return choice.back_end


def key_maker() -> KeyMaker:
    """Give the back end of this process for making keys and signing with them.

    Raises:
        UnsupportedError: there is none, or one whose time tells of private keys; the message says what to install.
    """
    back_end = chosen()
    if not isinstance(back_end, KeyMaker):
        raise UnsupportedError(
            f"no SM2 keys are made by {back_end.name}, whose time depends on them: install OpenSSL 3 or "
            f"rats-tls[tongsuo] ({choose().reasons})"
        )
    return back_end


def probe(name: str) -> BackEnd:
    """Load one back end and test it. Raises UnsupportedError with the reason why it cannot be used."""
    try:
        back_end: BackEnd = importlib.import_module(f"rats_tls.crypto_wrappers.sm2.{name}").load()
        _self_test(back_end)
    except UnsupportedError:
        raise
    except ModuleNotFoundError as error:
        raise UnsupportedError(f"the package {error.name} is not installed") from error
    except Exception as error:  # a library that does not load must not hide the next
        reason = error.message if isinstance(error, RatsTlsError) else f"{type(error).__name__}: {error}"
        raise UnsupportedError(reason) from error
    return back_end


def _look() -> Choice:
    unusable: list[tuple[str, str]] = []
    for name in BACK_ENDS:
        try:
            return Choice(back_end=probe(name), unusable=tuple(unusable))
        except UnsupportedError as error:
            unusable.append((name, error.message))
    return Choice(back_end=None, unusable=tuple(unusable))


def _self_test(back_end: BackEnd) -> None:
    """Verify the known answer, which must fail for other data and for another user id. Raises UnsupportedError."""
    r, s = KNOWN_SIGNATURE
    try:
        back_end.load(KNOWN_POINT, KNOWN_USER_ID)(r, s, KNOWN_DATA)
    except SignatureError as error:
        raise UnsupportedError(f"self-test: the known signature does not verify: {error.message}") from error
    for user_id, data in ((KNOWN_USER_ID, KNOWN_DATA + b"!"), (KNOWN_USER_ID[:-1] + b"9", KNOWN_DATA)):
        try:
            back_end.load(KNOWN_POINT, user_id)(r, s, data)
        except SignatureError:
            continue
        raise UnsupportedError(f"self-test: {data!r} of user {user_id!r} verifies, and was not signed")
