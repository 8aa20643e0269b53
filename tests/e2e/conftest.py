"""What tests of the command line share."""

from __future__ import annotations

import pytest

from support.command_files import CommandFiles


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> CommandFiles:
    """Files to call the command line with, made once for all tests of a process."""
    return CommandFiles(tmp_path_factory.mktemp("command-line"))
