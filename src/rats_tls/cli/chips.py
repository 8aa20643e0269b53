"""The chips that `--chip` names: PRODUCT:HWID:TCB of AMD, HYGON:SERIAL of Hygon."""

from __future__ import annotations

import re

import click

from rats_tls.core import lookup_keys
from rats_tls.core.claims import SnpTcb
from rats_tls.core.endorsements import MissingEndorsement
from rats_tls.endorsements.url_parts import serial_number
from rats_tls.gathering import wanted_of_chip

_HWID = re.compile(r"[0-9A-Fa-f]{128}|[0-9A-Fa-f]{16}")
_SVN = re.compile(r"[0-9]{1,3}")
_PRODUCTS = {"milan": "Milan", "genoa": "Genoa", "turin": "Turin"}
_SHORT_HWID_DIGITS = 16
_HYGON = "hygon"


def wanted_of(text: str) -> tuple[MissingEndorsement, ...]:
    """Give what judges Evidence of a chip. Raises click.BadParameter: another form."""
    name, _, rest = text.partition(":")
    if name.lower() == _HYGON:
        return (_of_hygon(rest),)
    hwid, _, tcb = rest.partition(":")
    product = _PRODUCTS.get(name.lower())
    if product is None:
        raise _bad_chip(f"product {name[:40]!r}", " or ".join((*_PRODUCTS.values(), "Hygon")))
    is_turin = product == "Turin"
    if not _HWID.fullmatch(hwid) or (len(hwid) == _SHORT_HWID_DIGITS and not is_turin):
        raise _bad_chip(f"chip id of {len(hwid)} characters", f"128 hexadecimal digits{' or 16' if is_turin else ''}")
    values = [int(value) if _SVN.fullmatch(value) else -1 for value in tcb.split(",")]
    names = "fmc,bl,tee,snp,ucode" if is_turin else "bl,tee,snp,ucode"
    if len(values) != len(names.split(",")) or not all(0 <= value <= 0xFF for value in values):
        raise _bad_chip(f"TCB {tcb[:40]!r}", f"{names}, each 0 to 255")
    fmc = values.pop(0) if is_turin else None
    bootloader, tee, snp, microcode = values
    return wanted_of_chip(
        product,
        bytes.fromhex(hwid[:_SHORT_HWID_DIGITS] if is_turin else hwid),
        SnpTcb(fmc=fmc, bootloader=bootloader, tee=tee, snp=snp, microcode=microcode),
    )


def hygon_chip(_context: click.Context, _parameter: click.Parameter, text: str | None) -> MissingEndorsement | None:
    """Give what certificates of a chip of Hygon's are looked up by. Raises click.BadParameter: another form."""
    if text is None:
        return None
    name, _, serial = text.partition(":")
    if name.lower() != _HYGON:
        raise _bad_chip(f"{text[:40]!r}", "HYGON:SERIAL: files of other vendors say which chip they are of")
    return _of_hygon(serial)


def _of_hygon(serial: str) -> MissingEndorsement:
    item = lookup_keys.hygon_cek_chain(serial)
    if serial_number(dict(item.key), "chip") is None:
        raise _bad_chip(f"serial number {serial[:40]!r}", "letters and digits, with '.', '-' and '_' among them")
    return item


def _bad_chip(got: str, expected: str) -> click.BadParameter:
    return click.BadParameter(f"got {got}, expected {expected}", param_hint="--chip")
