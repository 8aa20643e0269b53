"""Settings of simulated Hygon CSV guests. Every default is that of a healthy production system."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from rats_tls.simulation.states import simulated_measurement

NODBG = 1 << 0
_ALL_FORBIDDEN = 0b0111_1111
"""NODBG, NOKS, ES, NOSEND, DOMAIN, CSV, CSV3."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CsvState:
    """A CSV guest, its chip and its firmware; fields are those of the attestation report.

    Attributes:
        report_version: 1, 2 or 3. Registers, build and rtmr_version exist from 2 on, host_data in 3.
        debug: clears NODBG.
        policy: guest policy besides NODBG; the upper half is the lowest API version of the firmware.
        anonce: the mask of version 1.
        event_log: whether an event log goes with the report. The registers 1 to 4 are then those to which it
            replays; one that is set here all the same keeps its value, and the log does not replay to it.
        command_line: kernel command line in that log.
        certificates: where HSK and CEK are: in the Evidence as rats-tls or librats writes it, or beside it.
        serial: the chip's serial number, in place of its own.
        sig_usage: usage of the key that the report names.
        sig_algo: algorithm that the report names.
        hsk_usage: usage in the HSK certificate, as `cek_usage` and `pek_usage` in the others.
        cek_signed_by: usage of the key that the HSK's signature in the CEK certificate names.
        pek_signed_by: usage of the key that the CEK's signature in the PEK certificate names.
        wrong_user_id: the report is signed with another user id than the PEK certificate has.
        another_pek: the report is signed by another key than that of its certificate.
    """

    report_version: Literal[1, 2, 3] = 3
    debug: bool = False
    policy: int = 0x0401_0000 | _ALL_FORBIDDEN
    user_pubkey_digest: bytes = simulated_measurement("user_pubkey_digest", 32)
    vm_id: bytes = simulated_measurement("vm_id", 16)
    vm_version: bytes = simulated_measurement("vm_version", 16)
    mnonce: bytes = simulated_measurement("mnonce", 16)
    measurement: bytes = simulated_measurement("measurement", 32)
    build: int = 2400
    rtmr_version: int = 1
    rtmr0: bytes = simulated_measurement("rtmr0", 32)
    rtmr1: bytes = simulated_measurement("rtmr1", 32)
    rtmr2: bytes = simulated_measurement("rtmr2", 32)
    rtmr3: bytes = simulated_measurement("rtmr3", 32)
    rtmr4: bytes = bytes(32)
    host_data: bytes = simulated_measurement("host_data", 32).ljust(64, b"\0")
    anonce: bytes = simulated_measurement("anonce", 4)
    event_log: bool = False
    command_line: str = "root=LABEL=root ro console=ttyS0"
    certificates: Literal["rats-tls", "librats", "beside"] = "rats-tls"
    serial: str | None = None
    sig_usage: int = 0x1002
    sig_algo: int = 4
    hsk_usage: int = 0x13
    cek_usage: int = 0x1004
    pek_usage: int = 0x1002
    cek_signed_by: int = 0x13
    pek_signed_by: int = 0x1004
    wrong_user_id: bool = False
    another_pek: bool = False
