"""Settings of simulated attesters: whole states by name, and values as a command line gives them."""

from __future__ import annotations

import types
import typing
from collections.abc import Collection, Mapping
from dataclasses import fields
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Any, Literal

from rats_tls.core.claims import SnpTcb, TcbStatus
from rats_tls.core.endorsements import EndorsementKind
from rats_tls.core.errors import ConfigurationError
from rats_tls.simulation.vendor_state import SignedItem

_Classes = tuple[type[Any], type[Any]]
_INTEL_STATES: dict[str, dict[str, object]] = {
    "out_of_date": {"tcb_status": TcbStatus.OUT_OF_DATE},
    "configuration_needed": {"tcb_status": TcbStatus.CONFIGURATION_NEEDED},
    "sw_hardening_needed": {"tcb_status": TcbStatus.SW_HARDENING_NEEDED},
    "tcb_revoked": {"tcb_status": TcbStatus.REVOKED},
    "no_tcb_level": {"tcb_status": None},
    "qe_out_of_date": {"qe_status": TcbStatus.OUT_OF_DATE},
    "wrong_qe": {"qe_mr_signer": b"\xff" * 32},
    "revoked": {"revoked": frozenset({SignedItem.INTEL_PCK})},
    "intermediate_revoked": {"revoked": frozenset({SignedItem.INTEL_INTERMEDIATE})},
    "tcb_signing_revoked": {"revoked": frozenset({SignedItem.INTEL_TCB_SIGNING})},
    "expired_crl": {"expired": frozenset({SignedItem.INTEL_PCK_CRL})},
    "expired_tcb_info": {"expired": frozenset({SignedItem.INTEL_TCB_INFO})},
    "expired_qe_identity": {"expired": frozenset({SignedItem.INTEL_QE_IDENTITY})},
}
NAMED_STATES: dict[str, dict[str, dict[str, object]]] = {
    "simulated_sgx_ecdsa": _INTEL_STATES,
    "simulated_tdx_ecdsa": {
        **_INTEL_STATES,
        "wrong_module": {"mr_signer_seam": b"\xff" * 48},
        "module_out_of_date": {"module_status": TcbStatus.OUT_OF_DATE},
        "wrong_event_log": {"event_log": True, "rtmr2": b"\xff" * 48},
    },
    "simulated_sev_snp": {
        "revoked": {"revoked": frozenset({SignedItem.AMD_SIGNER})},
        "expired_crl": {"expired": frozenset({SignedItem.AMD_CRL})},
        "wrong_chip": {"chip_id": b"\xff" * 64},
        "vlek": {"key_type": "VLEK"},
    },
    "simulated_sev": {
        "no_es": {"es": False},
        "no_owner": {"owner": False},
        "wrong_usage": {"report_usage": 0x1004},
        "signer_missing": {"missing": frozenset({EndorsementKind.AMD_SEV_SIGNER})},
    },
    "simulated_csv": {
        "masked": {"report_version": 1},
        "wrong_usage": {"sig_usage": 0x1004},
        "wrong_event_log": {"event_log": True, "rtmr3": b"\xff" * 32},
        "certificates_missing": {"missing": frozenset({EndorsementKind.HYGON_CEK_CHAIN})},
    },
}
"""Whole states by name, for each attester, beside the flags of its state (`debug`, `relaunch_advised`, ...)."""


def split_settings(
    name: str, settings: Mapping[str, object], state_class: type[Any], vendor_state_class: type[Any]
) -> tuple[dict[str, object], dict[str, object]]:
    """Sort settings into fields of the attester's state and of its vendor's.

    Raises:
        ConfigurationError: a setting that neither has.
    """
    own_names = {field.name for field in fields(state_class)}
    published_names = {field.name for field in fields(vendor_state_class)}
    unknown = sorted(settings.keys() - own_names - published_names)
    if unknown:
        known = ", ".join(sorted(own_names | published_names))
        raise ConfigurationError(f"{name}: unknown setting {unknown[0]!r}; there are {known}")
    own = {key: value for key, value in settings.items() if key in own_names}
    return own, {key: value for key, value in settings.items() if key in published_names}


def settings_from_texts(name: str, classes: _Classes, texts: Mapping[str, object]) -> dict[str, object]:
    """Turn texts into settings; values that are no texts stay.

    Forms: integers decimal or 0x...; bytes hexadecimal, or `@FILE` for what a file holds; flags true or false;
    enumerations by their value, sets of them separated by commas; several numbers separated by dots
    (`sgx_components`, versions); TCBs of SEV-SNP as `[fmc.]bootloader.tee.snp.microcode`; times in ISO 8601; `none`
    where a setting may be None.

    Raises:
        ConfigurationError: a text that is no value of its setting, or a setting that needs one and has none.
    """
    hints: dict[str, Any] = {}
    for settings_class in classes:
        hints |= typing.get_type_hints(settings_class)
    named = NAMED_STATES.get(name, {})
    settings: dict[str, object] = {}
    for key, value in texts.items():
        if key in named and (value is True or key not in hints):
            settings |= named[key]
        elif isinstance(value, str) and key in hints:
            settings[key] = _value(key, hints[key], value)
        elif value is True and hints.get(key, bool) is not bool:
            raise ConfigurationError(f"{key}: it is no flag and needs a value")
        else:
            settings[key] = value
    return settings


def _value(key: str, hint: Any, text: str) -> object:  # noqa: ANN401  # a type annotation of any kind
    options = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    if types.NoneType in options and text == "none":
        return None
    (kind,) = (option for option in options if option is not types.NoneType)
    try:
        return _parse(kind, text)
    except ValueError as error:
        raise ConfigurationError(f"{key}: got {text!r}: {error}") from error


def _parse(kind: Any, text: str) -> object:  # noqa: ANN401  # one line for each kind of value
    if kind is bool:
        if text not in {"true", "false"}:
            raise ValueError("expected true or false")
        return text == "true"
    if kind is int:
        return int(text, 0)
    if kind is bytes:
        return _contents(text[1:]) if text.startswith("@") else bytes.fromhex(text)
    if kind is str:
        return text
    if kind is datetime:
        return datetime.fromisoformat(text)
    if kind is SnpTcb:
        return _snp_tcb(text)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return _member(kind, text)
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is Literal:
        return next((option for option in arguments if str(option) == text), None) or _no_option(arguments)
    if origin is tuple and arguments[0] is int:
        return tuple(int(part) for part in text.split("."))
    if origin is Collection and arguments[0] in {SignedItem, EndorsementKind}:
        return frozenset(_member(arguments[0], part) for part in text.split(","))
    raise ValueError("this setting cannot be given as text")


def _contents(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ValueError(error.strerror or str(error)) from error


def _member(kind: type[Enum], text: str) -> object:
    return next((member for member in kind if member.value == text), None) or _no_option(
        tuple(member.value for member in kind)
    )


def _no_option(options: tuple[object, ...]) -> object:
    raise ValueError(f"expected one of {', '.join(map(str, options))}")


def _snp_tcb(text: str) -> SnpTcb:
    numbers = [int(part) for part in text.split(".")]
    if len(numbers) not in {4, 5}:
        raise ValueError("expected [fmc.]bootloader.tee.snp.microcode")
    bootloader, tee, snp, microcode = numbers[-4:]
    return SnpTcb(
        fmc=numbers[0] if len(numbers) == 5 else None, bootloader=bootloader, tee=tee, snp=snp, microcode=microcode
    )
