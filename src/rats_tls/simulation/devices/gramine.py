"""A fake of Gramine's `/dev/attestation`: pseudo files of a process, whose quotes carry what was last written.

Source: Gramine documentation, "Attestation and Secret Provisioning". Gramine itself fills short writes up with zeros
and cuts long ones; the fake refuses both, so that a wrong request does not pass for a right one.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from typing import Literal

from rats_tls.simulation.devices.enclave import SimulatedEnclave

_SIZES = {"user_report_data": 64, "target_info": 512}


class FakeGramine:
    """`Files` of one process under Gramine. As in Gramine, nothing keeps threads apart.

    Args:
        enclave: the enclave around the process.
        root: where the files are.
        attestation_type: what the manifest asks for; with "none" there is no file `quote`.

    Attributes:
        there: whether the process runs under Gramine.
        fails: errno of each call on a file, by its name.
        takes: how many bytes a write takes, where it is not all.
        overwritten_by: report_data that other code of the process writes right behind each write.
        changes: changes what is read from a file: its name, its bytes.
        before: called before each read.
        written: what was written: name and bytes.
    """

    def __init__(
        self,
        enclave: SimulatedEnclave,
        *,
        root: str = "/dev/attestation",
        attestation_type: Literal["none", "epid", "dcap"] = "dcap",
    ) -> None:
        self.root = root
        self.there = True
        self.fails: dict[str, int] = {}
        self.takes: int | None = None
        self.overwritten_by: bytes | None = None
        self.changes: Callable[[str, bytes], bytes] = lambda _name, data: data
        self.before: Callable[[], object] = lambda: None
        self.written: list[tuple[str, bytes]] = []
        self._enclave = enclave
        self._type = attestation_type
        self._held = {name: bytes(size) for name, size in _SIZES.items()}

    def is_there(self, path: str) -> bool:
        """Whether there is such a file or directory."""
        return self.there and (path == self.root or self._name(path) in self.names(self.root))

    def read(self, path: str, most: int) -> bytes:
        """Read a file. Raises OSError, EFBIG where it has more than `most` bytes."""
        name = self._existing(path)
        self.before()
        data = self.changes(name, self._content(name, path))
        if len(data) > most:
            raise OSError(errno.EFBIG, f"more than {most} bytes", path)
        return data

    def write(self, path: str, data: bytes) -> None:
        """Write 64 bytes of report_data, or a TARGETINFO of 512. Raises OSError, EINVAL for any other size."""
        name = self._existing(path)
        if name not in _SIZES:
            raise _error(errno.EACCES, path)
        if len(data) != _SIZES[name]:
            raise _error(errno.EINVAL, path)
        if self.takes is not None:
            raise OSError(errno.EIO, f"{self.takes} of {len(data)} bytes were taken", path)
        self.written.append((name, data))
        others = self.overwritten_by if name == "user_report_data" else None
        self._held[name] = data if others is None else others

    def make_directory(self, path: str) -> None:
        """Refuse: there are no directories of others in it."""
        raise _error(errno.EACCES, path)

    def remove_directory(self, path: str) -> None:
        """Refuse, as `make_directory`."""
        raise _error(errno.EACCES, path)

    def names(self, path: str) -> tuple[str, ...]:
        """Give the names of the files."""
        if path != self.root or not self.there:
            raise _error(errno.ENOENT, path)
        quotes = () if self._type == "none" else ("quote",)
        return ("attestation_type", "my_target_info", "report", *_SIZES, *quotes)

    def _content(self, name: str, path: str) -> bytes:
        match name:
            case "attestation_type":
                return self._type.encode()
            case "my_target_info":
                return self._enclave.target_info()
            case "report":
                return self._enclave.local_report(self._held["target_info"], self._held["user_report_data"])
            case "quote" if self._type == "dcap":
                return self._enclave.quote(self._held["user_report_data"])
            case "quote":
                raise _error(errno.EACCES, path)  # nothing here makes quotes of another kind
            case _:
                return self._held[name]

    def _existing(self, path: str) -> str:
        if not self.is_there(path):
            raise _error(errno.ENOENT, path)
        name = self._name(path)
        if name in self.fails:
            raise _error(self.fails[name], path)
        return name

    def _name(self, path: str) -> str:
        return path.removeprefix(f"{self.root}/")


def _error(number: int, path: str) -> OSError:
    return OSError(number, os.strerror(number), path)
