"""configfs-tsm: one interface of the kernel (6.7 and later) to reports of SEV-SNP, quotes of TDX, tokens of CCA.

Source: Linux, Documentation/ABI/testing/configfs-tsm-report.
"""

from __future__ import annotations

import errno
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from rats_tls.attesters.deadline import Deadline
from rats_tls.attesters.device import Files, OsFiles, failure
from rats_tls.attesters.presence import ABSENT, unseen
from rats_tls.attesters.tsm_entries import abandoned, new_name
from rats_tls.core.errors import CollectionError
from rats_tls.core.limits import DEFAULT_LIMITS

ROOT = "/sys/kernel/config/tsm/report"
INBLOB_SIZE = 64

_MOST_TEXT = 4096  # a text attribute of configfs
_MOST_OUTBLOB = DEFAULT_LIMITS.evidence
_MOST_AUXBLOB = 65_536
_PAUSES = (0.25, 0.5, 1.0, 2.0)
_PASSING = frozenset({errno.EAGAIN, errno.EBUSY})
_OF_AUXBLOB = frozenset({errno.EFBIG, errno.EIO})  # of it alone: the report is there
_HINTS = {
    ("make", errno.ENOENT): "configfs is not mounted, or the kernel has no configfs-tsm",
    ("make", errno.ENXIO): "there is no provider: no TEE, or its driver is not loaded",
    ("make", errno.EACCES): "only root may make entries",
    ("make", errno.EPERM): "only root may make entries",
}
_log = logging.getLogger(__name__)
T = TypeVar("T")


class NoProviderError(CollectionError):
    """configfs-tsm is there, and nothing that would make reports."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TsmReport:
    """What an entry gave.

    Attributes:
        provider: who made it: `sev_guest`, `tdx_guest`, ...
        outblob: report, quote or token.
        auxblob: what came along, such as AMD's certificate table; may be empty.
    """

    provider: str
    outblob: bytes
    auxblob: bytes


class Tsm:
    """The entries of configfs-tsm.

    Each use makes an entry of its own and removes it. What processes of ours left behind that were killed is removed
    too. A provider that is busy or throttled is asked again a few times, for less than four seconds.

    Args:
        root: where they are made.
        files: reads and writes them.
        sleep: pauses before a busy provider is asked again.
    """

    def __init__(
        self, root: str = ROOT, *, files: Files | None = None, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self.root = root
        self._files = files if files is not None else OsFiles()
        self._sleep = sleep

    def is_there(self) -> bool:
        """Whether the kernel has configfs-tsm; asking has no effect."""
        return self._files.is_there(self.root)

    def absence(self) -> str:
        """Say why it is not there, as what follows its root."""
        try:
            self._files.names(self.root)
        except OSError as error:
            return unseen(error)
        return ABSENT

    def provider(self, *, deadline: Deadline | None = None) -> str:
        """Give the name of the provider, by an entry that is made and removed.

        Args:
            deadline: until then a busy one is asked again; it is asked once where left out.

        Raises:
            NoProviderError: there is no provider.
            CollectionError: the entry cannot be made or read.
        """

        def ask() -> str:
            with self._entry() as entry:
                return entry.text("provider")

        return self._patiently(ask, deadline)

    def report(
        self,
        inblob: bytes,
        *,
        provider: str,
        privilege_level: int | None = None,
        deadline: Deadline | None = None,
    ) -> TsmReport:
        """Get a report that carries `inblob`.

        Args:
            inblob: 64 bytes.
            provider: who must make it.
            privilege_level: 0 to 3, for SEV-SNP (VMPL); the provider's own where left out.
            deadline: as for `provider`.

        Raises:
            NoProviderError: there is no provider.
            CollectionError: another provider, or a step failed; the message names provider, attribute and errno.
        """
        if len(inblob) != INBLOB_SIZE:
            raise CollectionError(f"{self.root}: inblob: got {len(inblob)} bytes, expected {INBLOB_SIZE}")

        def ask() -> TsmReport:
            with self._entry() as entry:
                return _report(entry, inblob, provider, privilege_level)

        return self._patiently(ask, deadline)

    def _patiently(self, ask: Callable[[], T], deadline: Deadline | None) -> T:
        """Ask, and ask again while the provider is busy and somebody waits; each time with an entry of its own."""
        for pause in _PAUSES:
            try:
                return ask()
            except CollectionError as error:
                is_passing = isinstance(error.__cause__, OSError) and error.__cause__.errno in _PASSING
                if not is_passing or deadline is None or not deadline.allows(pause):
                    raise
                self._sleep(pause)
                if not deadline.left:
                    raise
        return ask()

    @contextmanager
    def _entry(self) -> Iterator[_Entry]:
        self._remove_abandoned()
        path = f"{self.root}/{new_name()}"
        try:
            self._files.make_directory(path)
        except OSError as error:
            raise _failed(self.root, "make", "an entry", error) from error
        try:
            yield _Entry(self.root, path, self._files)
        finally:
            self._remove(path)

    def _remove_abandoned(self) -> None:
        try:
            names = self._files.names(self.root)
        except OSError as error:
            _log.debug("%s: its entries cannot be listed: %s", self.root, error)
            return
        for name in names:
            if abandoned(name):
                self._remove(f"{self.root}/{name}")

    def _remove(self, path: str) -> None:
        """Remove an entry. One that stays is removed by whoever comes when this process has ended."""
        try:
            self._files.remove_directory(path)
        except FileNotFoundError:
            _log.debug("%s: another process has removed it", path)
        except OSError as error:
            _log.warning("%s: the entry cannot be removed: %s", path, error)


class _Entry:
    """One entry, its attributes by name."""

    def __init__(self, root: str, path: str, files: Files) -> None:
        self.root = root
        self.provider = ""
        self.writes = 0
        self._path = path
        self._files = files

    def text(self, attribute: str) -> str:
        return self.blob(attribute, _MOST_TEXT).decode(errors="replace").strip()

    def number(self, attribute: str) -> int:
        text = self.text(attribute)
        if not (text.isascii() and text.isdigit() and len(text) <= 20):
            raise self.wrong(attribute, f"got {text[:32]!r}, expected a decimal number")
        return int(text)

    def blob(self, attribute: str, most: int, *, told: str = "") -> bytes:
        try:
            return self._files.read(f"{self._path}/{attribute}", most)
        except OSError as error:
            raise self._failed("read", attribute, error, told) from error

    def write(self, attribute: str, data: bytes) -> None:
        try:
            self._files.write(f"{self._path}/{attribute}", data)
        except OSError as error:
            raise self._failed("write", attribute, error) from error
        self.writes += 1

    def auxblob(self) -> bytes:
        """Give what comes along. It is the host's, and proves nothing: what cannot be read is left out."""
        if not self.has("auxblob"):
            return b""
        try:
            return self.blob("auxblob", _MOST_AUXBLOB)
        except CollectionError as error:
            if not (isinstance(error.__cause__, OSError) and error.__cause__.errno in _OF_AUXBLOB):
                raise
            _log.warning("the host's certificates are left out: %s", error)
            return b""

    def require_own_writes(self) -> None:
        """Require that the entry was written as often as here: the kernel drops what comes of binary attributes.

        It takes them when they are closed, and closing tells nobody of an error.
        """
        generation = self.number("generation")
        if generation < self.writes:
            raise self.wrong(
                "generation", f"got {generation}, expected {self.writes}: the kernel did not take what was written"
            )
        if generation > self.writes:
            raise self.wrong(
                "generation", f"got {generation}, expected {self.writes}: another process has written to this entry"
            )

    def has(self, attribute: str) -> bool:
        return self._files.is_there(f"{self._path}/{attribute}")

    def wrong(self, attribute: str, problem: str) -> CollectionError:
        by = f" of provider {self.provider}" if self.provider else ""
        return CollectionError(f"{self.root}: {attribute}{by}: {problem}")

    def _failed(self, call: str, attribute: str, error: OSError, told: str = "") -> CollectionError:
        by = f"provider {self.provider}" if self.provider else ""
        return _failed(self.root, call, attribute, error, told=", ".join(filter(None, (by, told))))


def _report(entry: _Entry, inblob: bytes, provider: str, privilege_level: int | None) -> TsmReport:
    """Go through the steps of the ABI."""
    # (1) Who would make it.
    found = entry.text("provider")
    if found != provider:
        raise CollectionError(f"{entry.root}: provider: got {found[:64]!r}, expected {provider!r}")
    entry.provider = provider
    # (2) At which level: decimal text.
    floor = entry.number("privlevel_floor") if entry.has("privlevel_floor") else 0
    if privilege_level is not None:
        if not floor <= privilege_level <= 3:
            raise entry.wrong("privlevel", f"got {privilege_level}, expected {floor} (privlevel_floor) to 3")
        entry.write("privlevel", b"%d" % privilege_level)
    # (3) For which bytes; the attribute takes what one write gives it.
    entry.write("inblob", inblob)
    # (4) The report, and what comes along: not every provider has it.
    told = f"privlevel_floor is {floor}: set a privilege level" if floor and privilege_level is None else ""
    try:
        outblob = entry.blob("outblob", _MOST_OUTBLOB, told=told)
    except CollectionError as error:
        if isinstance(error.__cause__, OSError) and error.__cause__.errno == errno.EINVAL:
            entry.require_own_writes()  # the better reason, if there is one
        raise
    if not outblob:
        raise entry.wrong("outblob", "is empty")
    auxblob = entry.auxblob()
    # (5) All writes were taken, and nobody else wrote meanwhile.
    entry.require_own_writes()
    return TsmReport(provider=provider, outblob=outblob, auxblob=auxblob)


def _failed(root: str, call: str, what: str, error: OSError, *, told: str = "") -> CollectionError:
    hint = _HINTS.get((call, error.errno or 0), "")
    made = failure(root, f"{call} {what}", error, told=", ".join(filter(None, (told, hint))))
    is_about_provider = call == "make" or what == "provider"
    return NoProviderError(made.message) if is_about_provider and error.errno == errno.ENXIO else made
