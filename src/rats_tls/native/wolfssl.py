"""libwolfssl, which has wolfCrypt in it: of the system, or of one's own build, in the loader's standard path."""

from __future__ import annotations

import ctypes.util
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from rats_tls.core.errors import NoInstanceError

INSTALL = "install libwolfssl (Debian: libwolfssl42 or libwolfssl35), or build it as docs/tls-and-crypto.md says"
NAMES = (
    "libwolfssl.so",  # of a development package, or of one's own build
    *(f"libwolfssl.so.{number}" for number in (44, 43, 42, 41, 35)),  # 5.8.4, 5.8.0, 5.6.6, 5.6.4, 5.5.4
    "libwolfssl.dylib",
)
"""What the loader is asked for, the first that it finds being taken."""
OLDEST = 0x05005004
"""5.5.4, the oldest version that was tried. Before 5.5.0 wolfSSL does not always verify CertificateVerify."""
FUNCTIONS = """
int wolfSSL_Init(void);
const char *wolfSSL_lib_version(void);
unsigned int wolfSSL_lib_version_hex(void);
"""
"""What is asked of the library when it is opened; every one of its declarations begins with them."""
SUCCESS = 1  # WOLFSSL_SUCCESS of wolfssl/ssl.h

_FLAGS = os.RTLD_NOW | os.RTLD_NODELETE  # what frees itself when the interpreter ends still calls into it


@dataclass(frozen=True, slots=True)
class Opened:
    """The library, opened and initialised.

    Attributes:
        lib: its functions.
        number: its version, "5.5.4".
        has: keys of what a build may leave out that it was built with.
    """

    lib: Any
    number: str
    has: frozenset[str]


def opened(who: str, ffi: Any, functions: str, optional: Mapping[str, tuple[str, ...]]) -> Opened:  # noqa: ANN401  # cffi has no types
    """Open libwolfssl.

    Args:
        who: wants it: "TLS wrapper wolfssl".
        ffi: with the declarations of `functions`.
        functions: declarations of what is called, those of `FUNCTIONS` among them.
        optional: what a build may leave out, and the names that each takes.

    Raises:
        NoInstanceError: it is not installed, too old, or was built without something that is not optional.
    """
    lib = _found(who, ffi)
    lacking = {name for name in re.findall(r"\b(\w+)\(", functions) if not hasattr(lib, name)}
    if needed := lacking - {name for names in optional.values() for name in names}:
        raise NoInstanceError(f"{who}: libwolfssl is here but was built without {', '.join(sorted(needed))}; {INSTALL}")
    number = ffi.string(lib.wolfSSL_lib_version()).decode("ascii", "replace")
    if lib.wolfSSL_lib_version_hex() < OLDEST:
        raise NoInstanceError(f"{who}: got wolfSSL {number}, expected at least 5.5.4; {INSTALL}")
    if lib.wolfSSL_Init() != SUCCESS:
        raise NoInstanceError(f"{who}: wolfSSL {number} cannot be initialised")
    return Opened(lib, number, frozenset(part for part, names in optional.items() if not lacking & set(names)))


def _found(who: str, ffi: Any) -> Any:  # noqa: ANN401  # likewise
    for name in NAMES:
        try:
            return ffi.dlopen(name, _FLAGS)
        except OSError:
            continue
    # Asked last: it runs programs to find out.
    if found := ctypes.util.find_library("wolfssl"):
        try:
            return ffi.dlopen(found, _FLAGS)
        except OSError as error:
            raise NoInstanceError(f"{who}: {found} cannot be loaded ({error}); {INSTALL}") from error
    raise NoInstanceError(f"{who}: libwolfssl is not in the loader's path; {INSTALL}")


class Tables:
    """wolfCrypt's tables of multiples of points (FP_ECC), which it keeps for each thread and leaves when one ends.

    They are 1.6 MB a thread at first and 10 MB at most; a handshake without them takes seven times as long. An object
    of this goes with a thread, and frees them.

    Args:
        free: frees those of the calling thread.
    """

    def __init__(self, free: Callable[[], None]) -> None:
        self._free = free

    def __del__(self) -> None:
        self._free()
