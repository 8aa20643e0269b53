"""Chains of a simulated Hygon in which one link is another than it should be."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace

from rats_tls.core.endorsements import Endorsement, Endorsements, Origin
from rats_tls.core.evidence import Evidence, TeeType
from rats_tls.simulation import csv_structure
from rats_tls.simulation.csv_chip import SimulatedHygon, SimulatedHygonChip
from rats_tls.simulation.csv_states import CsvState
from rats_tls.simulation.csv_structure import CEK, HSK, PEK, Signer
from support.hygon import PEK_LATER

_SLOT, _SLOT_SIZE = 1044, 520
REPORT_DATA = bytes(range(64))


@functools.cache
def vendor(name: str = "a vendor") -> SimulatedHygon:
    """Give a simulated Hygon that the tests' world knows nothing of."""
    return SimulatedHygon(name.encode().ljust(32, b"."))


@functools.cache
def chip(name: str = "a chip", of: str = "a vendor") -> SimulatedHygonChip:
    """Give one of its chips."""
    return SimulatedHygonChip(vendor(of), name.encode().ljust(32, b"."))


@dataclass(frozen=True, kw_only=True)
class Links:
    """What a chain is made of; each default is the right one.

    Attributes:
        hrk: signs the HSK's certificate.
        hsk: signs the CEK's certificate.
        cek: signs the PEK's certificate.
        hsk_key: key that the HSK's certificate is of, as `cek_key` and `pek_key`.
        change_cek: changes the CEK's certificate, as `change_pek` the PEK's.
    """

    hrk: Signer = vendor()._hrk
    hsk: Signer = vendor()._hsk
    cek: Signer = chip()._cek
    hsk_key: Signer = vendor()._hsk
    cek_key: Signer = chip()._cek
    pek_key: Signer = chip()._pek
    change_cek: Callable[[bytes], bytes] = bytes
    change_pek: Callable[[bytes], bytes] = bytes

    def chain(self, origin: Origin = Origin.LOCAL) -> Endorsement:
        """Make HSK and CEK."""
        hsk = csv_structure.root_certificate(self.hsk_key, HSK, self.hrk)
        cek = csv_structure.key_certificate(self.cek_key, CEK, self.hsk, HSK, names_issuer=True)
        made = chip().chain()
        return replace(made, data=self.change_cek(cek), issuer_chain=(hsk,), origin=origin)

    def evidence(self, report_data: bytes = REPORT_DATA) -> Evidence:
        """Make a report of version 3 without certificates beside its PEK's, signed by the PEK."""
        page = chip().evidence(CsvState(certificates="beside"), report_data)
        pek = csv_structure.key_certificate(self.pek_key, PEK, self.cek, CEK, names_issuer=False)
        return Evidence.of(TeeType.CSV, with_pek(page, self.change_pek(pek)))

    def endorsements(self) -> Endorsements:
        """Give HSK and CEK as Endorsements."""
        return Endorsements((self.chain(),))


def with_pek(page: bytes, pek: bytes) -> bytes:
    """Put another PEK certificate into a report of version 2 or 3: the report's signature does not cover it."""
    return page[:PEK_LATER] + pek + page[PEK_LATER + len(pek) :]


def swapped_slots(certificate: bytes) -> bytes:
    """Give a CEK or PEK certificate whose two signatures stand the other way round."""
    first, second = certificate[_SLOT : _SLOT + _SLOT_SIZE], certificate[_SLOT + _SLOT_SIZE :]
    return certificate[:_SLOT] + second + first


def with_word(certificate: bytes, offset: int, value: int) -> bytes:
    """Give a certificate with another 32-bit word."""
    return certificate[:offset] + value.to_bytes(4, "little") + certificate[offset + 4 :]


FIRST_ALGORITHM, SECOND_USAGE = _SLOT + 4, _SLOT + _SLOT_SIZE
"""Offsets of words that no signature covers."""


def named(signer: Signer, user_id: bytes) -> Signer:
    """Give the same key under another user id."""
    return Signer(signer.private, user_id)
