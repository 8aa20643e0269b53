"""configfs-tsm: one interface of the kernel (6.7 and later) to reports of SEV-SNP, quotes of TDX, tokens of CCA.

Source: Linux, Documentation/ABI/testing/configfs-tsm-report.
"""

from __future__ import annotations

from dataclasses import dataclass

from rats_tls.attesters.device import Files, OsFiles

ROOT = "/sys/kernel/config/tsm/report"


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

    Args:
        root: where they are made.
        files: reads and writes them.
    """

    def __init__(self, root: str = ROOT, *, files: Files | None = None) -> None:
        self.root = root
        self._files = files if files is not None else OsFiles()

    def is_there(self) -> bool:
        """Whether the kernel has configfs-tsm; asking has no effect."""
        return self._files.is_there(self.root)

    def provider(self) -> str:
        """Give the name of the provider, by an entry that is made and removed.

        Raises:
            CollectionError: it cannot be made or read, or there is no provider.
        """
        raise NotImplementedError

    def report(self, inblob: bytes, *, provider: str, privilege_level: int | None = None) -> TsmReport:
        """Get a report that carries `inblob`.

        Args:
            inblob: 64 bytes.
            provider: who must make it.
            privilege_level: 0 to 3, for SEV-SNP (VMPL); the provider's own where left out.

        Raises:
            CollectionError: another provider, or a step failed; the message names provider, attribute and errno.
        """
        raise NotImplementedError
