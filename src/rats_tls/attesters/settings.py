"""Settings of Attesters as text, as a command line gives them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from rats_tls.core.errors import ConfigurationError

Setting = Callable[[str], object]


_NUMBER = re.compile("[0-9]{1,20}|0[xX][0-9A-Fa-f]{1,16}")


def _number(least: int, most: int) -> Setting:
    """Give what reads a whole number, in decimal digits or hexadecimal ones behind 0x."""

    def read(text: str) -> int:
        number = int(text, 16 if text[:2] in {"0x", "0X"} else 10) if _NUMBER.fullmatch(text) else None
        if number is None or not least <= number <= most:
            raise ConfigurationError(f"got {text[:40]!r}, expected a whole number from {least} to {most}")
        return number

    return read


def _seconds(text: str) -> float:
    if not text.isascii() or not text.isdecimal() or not 0 < len(text) <= 4 or not int(text):
        raise ConfigurationError(f"got {text[:40]!r}, expected 1 to 9999 seconds")
    return float(text)


_COMMON: Mapping[str, Setting] = {"seconds": _seconds}
SETTINGS: Mapping[str, Mapping[str, Setting]] = {
    "sgx_ecdsa": _COMMON,
    "sgx_la": {**_COMMON, "target_info": str},
    "tdx_ecdsa": {**_COMMON, "qgs": str},
    "sev_snp": {**_COMMON, "privilege_level": _number(0, 3)},
    "csv": {**_COMMON, "report_version": _number(1, 3), "certificates": str},
    "sev": {**_COMMON, "broker": str, "guest_handle": _number(1, 0xFFFF_FFFF)},
}
"""Of each Attester that has any: keyword arguments of its class, and what makes one of a text."""

REQUIRED: Mapping[str, Mapping[str, str]] = {
    "sgx_la": {"target_info": "FILE, the TARGETINFO of the enclave that shall check the reports"},
    "sev": {
        "broker": "ADDRESS of the attestation evidence broker on the host, unix:PATH or vsock:CID:PORT",
        "guest_handle": "NUMBER that the host's firmware has for this guest",
    },
}
"""Of each Attester that cannot be made without: those settings, and what they are."""


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
