"""The event logs of simulated guests (TDX, CSV) in the form of CCEL, and the registers to which they replay.

Written apart from the decoders in `rats_tls.formats.event_log`, so that each is a check on the other.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields, replace
from typing import TypeVar

from cryptography.hazmat.primitives import hashes

from rats_tls.simulation.bytefields import word
from rats_tls.simulation.csv_states import CsvState
from rats_tls.simulation.states import TdxState, simulated_measurement

_NO_ACTION, _SEPARATOR, _EVENT_TAG, _IPL = 3, 4, 6, 13
_VARIABLE_DRIVER_CONFIG, _VARIABLE_BOOT, _APPLICATION, _ACTION = 0x80000001, 0x80000002, 0x80000003, 0x80000007
_AREA = 65_536
_GLOBAL_VARIABLES = uuid.UUID("8be4df61-93ca-11d2-aa0d-00e098032b8c")


_State = TypeVar("_State", TdxState, CsvState)


def _sm3(data: bytes) -> bytes:
    digest = hashes.Hash(hashes.SM3())
    digest.update(data)
    return digest.finalize()


@dataclass(frozen=True, slots=True)
class _Form:
    """How a kind of TEE logs.

    Attributes:
        algorithm: its hash in logs (TPM_ALG_ID).
        size: of a digest.
        digest: hashes.
        first: number of the register that an event of log index 1 is extended into.
    """

    algorithm: int
    size: int
    digest: Callable[[bytes], bytes]
    first: int


_TDX = _Form(0x000C, 48, lambda data: hashlib.sha384(data).digest(), 0)
_CSV = _Form(0x0012, 32, _sm3, 1)


@dataclass(frozen=True, slots=True)
class _Event:
    """An event.

    Attributes:
        register: number among the registers that are extended, from 0.
        type: its type.
        measured: what was hashed.
        data: what the log says of it.
    """

    register: int
    type: int
    measured: bytes
    data: bytes


def measured_state(state: TdxState) -> tuple[TdxState, bytes]:
    """Give a state with the registers to which its event log replays, and the log; padded, as firmware leaves it.

    A register that the state sets itself keeps that value: the log does not replay to it.
    """
    return _measured(state, _TDX)


def measured_csv_state(state: CsvState) -> tuple[CsvState, bytes]:
    """Give the same of a CSV guest: registers 1 to 4, in SM3."""
    return _measured(state, _CSV)


def _measured(state: _State, form: _Form) -> tuple[_State, bytes]:
    if not state.event_log:
        return state, b""
    events = _events(state.command_line)
    registers = {f"rtmr{form.first + number}": _replay(events, number, form) for number in range(4)}
    untouched = {item.name for item in fields(state) if getattr(state, item.name) == item.default}
    changed: dict[str, bytes] = {name: value for name, value in registers.items() if name in untouched}
    return replace(state, **changed), _encode(events, form)  # type: ignore[arg-type]  # names of registers only


def _events(command_line: str) -> tuple[_Event, ...]:
    secure_boot = _variable("SecureBoot", b"\1")
    order = b"\0\0"
    command = command_line.encode()
    workload = b"rats-tls.example measure workload"
    return (
        _Event(0, _VARIABLE_DRIVER_CONFIG, secure_boot, secure_boot),
        _Event(0, _VARIABLE_BOOT, order, _variable("BootOrder", order)),
        _same(0, _SEPARATOR, bytes(4)),
        _same(1, _ACTION, b"Calling EFI Application from Boot Option"),
        _Event(1, _APPLICATION, simulated_measurement("boot loader", 48), _image("\\EFI\\BOOT\\BOOTX64.EFI")),
        _Event(1, _APPLICATION, simulated_measurement("kernel", 48), _image("\\vmlinuz")),
        _same(1, _ACTION, b"Exit Boot Services Invocation"),
        _Event(2, _IPL, command, b"kernel_cmdline: " + command + b"\0"),
        _Event(2, _IPL, simulated_measurement("initrd", 48), b"/initrd\0"),
        _same(3, _EVENT_TAG, b"LEAA" + word(len(workload), 4) + workload),
    )


def _same(register: int, kind: int, data: bytes) -> _Event:
    return _Event(register, kind, data, data)


def _replay(events: Iterable[_Event], register: int, form: _Form) -> bytes:
    value = bytes(form.size)
    for event in events:
        if event.register == register:
            value = form.digest(value + form.digest(event.measured))
    return value


def _encode(events: Iterable[_Event], form: _Form) -> bytes:
    specification = b"Spec ID Event03\0" + bytes(4) + bytes((0, 2, 0, 2)) + word(1, 4) + word(form.algorithm, 2)
    specification += word(form.size, 2) + b"\0"
    log = word(1, 4) + word(_NO_ACTION, 4) + bytes(20) + word(len(specification), 4) + specification
    for event in events:
        log += word(event.register + 1, 4) + word(event.type, 4) + word(1, 4)
        log += word(form.algorithm, 2) + form.digest(event.measured)
        log += word(len(event.data), 4) + event.data
    return log.ljust(_AREA, b"\xff")


def _variable(name: str, value: bytes) -> bytes:
    sizes = word(len(name), 8) + word(len(value), 8)
    return _GLOBAL_VARIABLES.bytes_le + sizes + name.encode("utf-16-le") + value


def _image(path: str) -> bytes:
    text = path.encode("utf-16-le") + b"\0\0"
    node = bytes((4, 4)) + word(4 + len(text), 2) + text + bytes.fromhex("7fff0400")
    return word(0x1000, 8) + word(0x2000, 8) + bytes(8) + word(len(node), 8) + node
