"""A fake of configfs-tsm, in memory: the attributes of its entries, and the rules by which the kernel serves them.

Sources: Linux, Documentation/ABI/testing/configfs-tsm-report; Documentation/filesystems/configfs.rst.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass

from rats_tls.core.evidence import TeeType
from rats_tls.formats.amd.certificate_table import endorsements_to_table
from rats_tls.simulation.attesters import SimulatedAttester

ROOT = "/sys/kernel/config/tsm/report"
PROVIDERS = {TeeType.SEV_SNP: "sev_guest", TeeType.TDX_ECDSA: "tdx_guest"}

_INBLOB = 64
_MOST_BLOB = 32_768
_READ, _WRITE = 0o444, 0o200
_ATTRIBUTES = {"provider": _READ, "generation": _READ, "inblob": _WRITE, "outblob": _READ}
_OF_SEV = {"privlevel": _WRITE, "privlevel_floor": _READ, "auxblob": _READ}

Blobs = Callable[[bytes], tuple[bytes, bytes]]
"""Makes outblob and auxblob for report_data (64 bytes)."""


def blobs_of(attester: SimulatedAttester) -> Blobs:
    """Make blobs of a simulated attester's Evidence, for SEV-SNP with the certificate table of its Endorsements."""

    def made(report_data: bytes) -> tuple[bytes, bytes]:
        collected = attester.collect(report_data)
        is_snp = attester.tee_type is TeeType.SEV_SNP
        return collected.evidence.data, endorsements_to_table(collected.endorsements) if is_snp else b""

    return made


@dataclass
class _Entry:
    """One entry; the counters wrap as the kernel's do."""

    written: int = 0
    read: int = 0
    level: int = 0
    inblob: bytes = b""
    outblob: bytes | None = None
    auxblob: bytes = b""


class FakeTsm:
    """`Files` of configfs-tsm. Thread-safe; one call at a time, as in the kernel.

    Args:
        blobs: what the provider makes.
        provider: its name; None where there is none.
        root: where entries are made.
        privlevel_floor: lowest level that the guest may ask for.
        generation_bits: width of the generation counter.

    Attributes:
        is_mounted: whether there is `root`.
        provider: as above; may be changed.
        may_write: whether the caller is root.
        calls: calls that were made, such as `write inblob`, in order.
        levels: the privilege level of every report that was made.
    """

    def __init__(
        self,
        blobs: Blobs,
        *,
        provider: str | None = "sev_guest",
        root: str = ROOT,
        privlevel_floor: int = 0,
        generation_bits: int = 64,
    ) -> None:
        self.root = root
        self.provider = provider
        self.is_mounted = True
        self.may_write = True
        self.calls: list[str] = []
        self.levels: list[int] = []
        self._blobs = blobs
        self._floor = privlevel_floor
        self._modulus = 1 << generation_bits
        self._entries: dict[str, _Entry] = {}
        self._plans: dict[str, list[Callable[[str], None]]] = {}
        self._lock = threading.RLock()

    @classmethod
    def of(cls, attester: SimulatedAttester, **settings: object) -> FakeTsm:
        """Make the fake of the machine on which a simulated attester for SEV-SNP or TDX runs."""
        chosen: dict[str, object] = {"provider": PROVIDERS[attester.tee_type], **settings}
        return cls(blobs_of(attester), **chosen)  # type: ignore[arg-type]  # settings of this class

    def before(self, call: str, action: Callable[[str], None], *, times: int = 1) -> None:
        """Have `action` called with the path, before each of the next `times` calls such as `read outblob`.

        The calls of the root are `make`, `remove` and `names`.
        """
        self._plans.setdefault(call, []).extend([action] * times)

    def fail(self, call: str, number: int, *, times: int = 1) -> None:
        """Have each of the next `times` calls fail with an errno."""

        def raises(path: str) -> None:
            raise _error(number, path)

        self.before(call, raises, times=times)

    @property
    def entries(self) -> tuple[str, ...]:
        """The names of the entries that there are."""
        with self._lock:
            return tuple(self._entries)

    @property
    def attributes(self) -> dict[str, int]:
        """The modes of an entry's attributes, by name; providers have different ones."""
        return {**_ATTRIBUTES, **(_OF_SEV if self.provider == "sev_guest" else {})}

    # --- Files -------------------------------------------------------------------------------------------------------
    def is_there(self, path: str) -> bool:
        """Whether there is such a directory or attribute."""
        with self._lock:
            if not self.is_mounted:
                return False
            name, _, attribute = self._relative(path).partition("/")
            return not name or (name in self._entries and (not attribute or attribute in self.attributes))

    def read(self, path: str, most: int) -> bytes:
        """Read an attribute. Raises OSError as the kernel does."""
        with self._lock:
            entry, attribute = self._attribute(path, _READ)
            self._begin(f"read {attribute}", path)
            data = self._read(entry, attribute, path)
            if len(data) > most:
                raise _error(errno.EFBIG, path)
            return data

    def write(self, path: str, data: bytes) -> None:
        """Write an attribute by one call. Raises OSError as the kernel does."""
        with self._lock:
            entry, attribute = self._attribute(path, _WRITE)
            self._begin(f"write {attribute}", path)
            if attribute == "inblob":
                if len(data) > _INBLOB:
                    raise _error(errno.EFBIG, path)
                self._advance(entry, path)
                entry.inblob = data
            else:
                level = self._level(data, path)
                self._advance(entry, path)
                entry.level = level

    def make_directory(self, path: str) -> None:
        """Make an entry. Raises OSError as the kernel does."""
        with self._lock:
            name = self._relative(path)
            self._begin("make", path)
            if not self.is_mounted:
                raise _error(errno.ENOENT, path)
            if not self.may_write:
                raise _error(errno.EACCES, path)
            if name in self._entries:
                raise _error(errno.EEXIST, path)
            if self.provider is None:
                raise _error(errno.ENXIO, path)
            self._entries[name] = _Entry()

    def remove_directory(self, path: str) -> None:
        """Remove an entry. Raises OSError as the kernel does."""
        with self._lock:
            name = self._relative(path)
            self._begin("remove", path)
            if name not in self._entries:
                raise _error(errno.ENOENT, path)
            del self._entries[name]

    def names(self, path: str) -> tuple[str, ...]:
        """Give the names in the root. Raises OSError as the kernel does."""
        with self._lock:
            self._begin("names", path)
            if not self.is_mounted:
                raise _error(errno.ENOENT, path)
            return tuple(self._entries)

    # --- the kernel's side -------------------------------------------------------------------------------------------
    def _relative(self, path: str) -> str:
        if path != self.root and not path.startswith(f"{self.root}/"):
            raise _error(errno.ENOENT, path)
        return path[len(self.root) + 1 :]

    def _attribute(self, path: str, mode: int) -> tuple[_Entry, str]:
        name, _, attribute = self._relative(path).partition("/")
        if name not in self._entries or attribute not in self.attributes:
            raise _error(errno.ENOENT, path)
        if not self.attributes[attribute] & mode:
            raise _error(errno.EACCES, path)
        return self._entries[name], attribute

    def _begin(self, call: str, path: str) -> None:
        self.calls.append(call)
        if self._plans.get(call):
            self._plans[call].pop(0)(path)

    def _advance(self, entry: _Entry, path: str) -> None:
        if entry.written == (entry.read - 1) % self._modulus:
            raise _error(errno.EBUSY, path)
        entry.written = (entry.written + 1) % self._modulus

    def _level(self, data: bytes, path: str) -> int:
        """Read a level as the kernel reads text: a number, and a newline or none."""
        text = data[:-1] if data.endswith(b"\n") else data
        if not text.isdigit() or len(text) > 10 or not self._floor <= int(text) <= 3:
            raise _error(errno.EINVAL, path)
        return int(text)

    def _read(self, entry: _Entry, attribute: str, path: str) -> bytes:
        if attribute in {"outblob", "auxblob"}:
            outblob, auxblob = self._report(entry, path)
            blob = outblob if attribute == "outblob" else auxblob
            if len(blob) > _MOST_BLOB:
                raise _error(errno.EFBIG, path)
            return blob
        if self.provider is None:
            raise _error(errno.ENXIO, path)
        values = {"provider": self.provider, "generation": entry.written, "privlevel_floor": self._floor}
        return f"{values[attribute]}\n".encode()

    def _report(self, entry: _Entry, path: str) -> tuple[bytes, bytes]:
        if not entry.inblob:
            raise _error(errno.EINVAL, path)
        if entry.outblob is None or entry.read != entry.written:
            if self.provider is None:
                raise _error(errno.ENXIO, path)
            # Providers want all bytes; the firmware refuses a level below that of the guest.
            if len(entry.inblob) != _INBLOB or entry.level < self._floor:
                raise _error(errno.EINVAL, path)
            entry.outblob, entry.auxblob = self._blobs(entry.inblob)
            entry.read = entry.written
            self.levels.append(entry.level)
        return entry.outblob, entry.auxblob


def _error(number: int, path: str) -> OSError:
    return OSError(number, os.strerror(number), path)
