"""A library that stands for Intel's quote verification library, compiled from its published prototypes."""

from __future__ import annotations

import ctypes
import functools
import hashlib
import struct
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rats_tls.simulation import intel_quote
from rats_tls.simulation.local_attestation import SimulatedProcessor, cmac
from rats_tls.verifiers.qve.report import QVE_MR_SIGNER
from support.paths import REPOSITORY
from support.simulated import NOW, world

SOURCE = REPOSITORY / "tests" / "support" / "quoteverify_stub.c"
OK, OUT_OF_DATE, REVOKED = 0, 0xA002, 0xA005
PARTS = ("quote", "issuer_chain", "root_crl", "pck_crl", "tcb_chain", "tcb_info", "qe_chain", "qe_identity")
_Reporter = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)


@functools.cache
def _directory() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="quoteverify-")


@functools.cache
def compiled(*defines: str) -> str:
    """Compile the library; gives its path."""
    path = Path(_directory().name) / f"libquoteverify{'-'.join(('', *defines))}.so"
    flags = [f"-D{name}" for name in defines]
    subprocess.run(["gcc", "-shared", "-fPIC", "-Wall", "-Werror", *flags, "-o", path, SOURCE], check=True)
    return str(path)


def supplemental(
    ppid: bytes,
    cpu_svn: bytes,
    *,
    advisories: bytes = b"",
    major: int = 3,
    minor: int = 3,
    number: int = 99,
    tee: int = 0,
) -> bytes:
    """Write supplemental data as version 3 has it (536 bytes)."""
    head = struct.pack("<HH4x4q3I", major, minor, 1, 2, 3, 4, 5, 6, number) + bytes(48) + ppid + cpu_svn
    middle = struct.pack("<HHIB16s3x3I", 13, 0, tee, 1, bytes(16), 1, 0, 1)
    return (head + middle + advisories.ljust(320, b"\0")).ljust(536, b"\0")


@dataclass
class Stub:
    """What the library answers, and what it got.

    Attributes:
        supplemental: as it writes it.
        changes: fields of QvE's report body, in place of the right ones.
        machine: number of the machine on which QvE runs.
        key_id: of its report.
        bound: what is bound in place of what was asked and answered, by its place among the six.
    """

    path: str = field(default_factory=compiled)
    supplemental: bytes = b""
    changes: dict[str, Any] = field(default_factory=dict)
    machine: int = 0
    key_id: bytes = bytes(32)
    bound: dict[int, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._library = ctypes.CDLL(self.path)
        self._library.stub_layout_name.restype = ctypes.c_char_p
        self._library.stub_layout_value.restype = ctypes.c_size_t
        self._library.stub_part.restype = ctypes.c_void_p
        self._library.stub_part_size.restype = ctypes.c_uint32
        for name in ("size_code", "code", "expiration", "result", "writes_nothing", "calls"):
            self.set(name, 0)
        self.answers(self.supplemental)
        self._kept = _Reporter(self._report)
        ctypes.c_void_p.in_dll(self._library, "stub_reporter").value = ctypes.cast(self._kept, ctypes.c_void_p).value

    def set(self, name: str, value: int) -> None:
        """Set what it answers: `code`, `size_code`, `expiration`, `result`, `size`, `writes_nothing`."""
        ctypes.c_uint32.in_dll(self._library, f"stub_{name}").value = value

    def answers(self, data: bytes) -> None:
        """Set the supplemental data."""
        self.supplemental = data
        self.set("size", len(data))
        (ctypes.c_uint8 * 1024).in_dll(self._library, "stub_supplemental")[: len(data)] = data

    def got(self, name: str) -> int:
        """Give a number that it got: `calls`, `with_report`, `supplemental_size`, `version`, `tee_type`."""
        return ctypes.c_uint32.in_dll(self._library, f"stub_{name}").value

    @property
    def date(self) -> int:
        return ctypes.c_int64.in_dll(self._library, "stub_date").value

    def part(self, name: str) -> bytes:
        """Give the bytes that it got."""
        place = PARTS.index(name)
        return ctypes.string_at(self._library.stub_part(place), self._library.stub_part_size(place))

    @property
    def layout(self) -> dict[str, int]:
        """Give sizes and offsets, as the compiler has them."""
        found: dict[str, int] = {}
        while (name := self._library.stub_layout_name(len(found))) is not None:
            found[name.decode()] = self._library.stub_layout_value(len(found))
        return found

    def _report(self, nonce: int, target_info: int, report: int) -> None:
        """Make QvE's report: a genuine one of the simulated machine, unless something is to be wrong with it."""
        parts = [
            ctypes.string_at(nonce, 16),
            self.part("quote"),
            struct.pack("<q", int(NOW.timestamp())),
            struct.pack("<I", ctypes.c_uint32.in_dll(self._library, "stub_expiration").value),
            struct.pack("<I", ctypes.c_uint32.in_dll(self._library, "stub_result").value),
            self.supplemental,
        ]
        for place, other in self.bound.items():
            parts[place] = other
        fields: dict[str, Any] = {
            "cpu_svn": bytes(16),
            "miscselect": 0,
            "attributes": 0x05,
            "xfrm": 0xE7,
            "mr_enclave": bytes([9] * 32),
            "mr_signer": QVE_MR_SIGNER,
            "isv_prod_id": 2,
            "isv_svn": 7,
            "report_data": hashlib.sha256(b"".join(parts)).digest() + bytes(32),
        }
        body = intel_quote.report_body(**{**fields, **self.changes})
        processor = SimulatedProcessor(world().intel_machine(self.machine))
        key = processor.report_key(ctypes.string_at(target_info, 512), self.key_id)
        ctypes.memmove(report, body + self.key_id + cmac(key, body), 432)
