"""Settings of Attesters as text, as a command line gives them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from rats_tls.core.errors import ConfigurationError

Setting = Callable[[str], object]


def _number(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or len(text) > 10:
        raise ConfigurationError(f"got {text[:40]!r}, expected a whole number")
    return int(text)


def _seconds(text: str) -> float:
    if not text.isascii() or not text.isdecimal() or not 0 < len(text) <= 4 or not int(text):
        raise ConfigurationError(f"got {text[:40]!r}, expected 1 to 9999 seconds")
    return float(text)


_COMMON: Mapping[str, Setting] = {"seconds": _seconds}
SETTINGS: Mapping[str, Mapping[str, Setting]] = {
    "sgx_ecdsa": _COMMON,
    "sgx_la": {**_COMMON, "target_info": str},
    "tdx_ecdsa": {**_COMMON, "qgs": str},
    "sev_snp": {**_COMMON, "privilege_level": _number},
    "csv": {**_COMMON, "report_version": _number, "certificates": str},
    "sev": {**_COMMON, "broker": str, "guest_handle": _number},
}
"""Of each Attester that has any: keyword arguments of its class, and what makes one of a text."""


def read_settings(attester: str, texts: Mapping[str, str]) -> dict[str, object]:
    """Make keyword arguments of texts.

    Raises:
        ConfigurationError: a setting that the Attester does not have, or a value that it does not take.
    """
    known = SETTINGS.get(attester, {})
    made: dict[str, object] = {}
    for name, text in texts.items():
        read = known.get(name)
        if read is None:
            there = ", ".join(known) or "none"
            raise ConfigurationError(f"attester {attester}: setting {name[:40]!r}: not known; there are: {there}")
        try:
            made[name] = read(text)
        except ConfigurationError as error:
            raise ConfigurationError(f"attester {attester}: {name}: {error.message}") from error
    return made
