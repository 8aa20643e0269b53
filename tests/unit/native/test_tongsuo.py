"""Finding the library in `tongsuopy`."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from rats_tls.native import tongsuo


@pytest.mark.parametrize("spec", [None, SimpleNamespace(submodule_search_locations=None)])
def test_a_package_that_is_missing_or_none(spec: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tongsuo, "find_spec", lambda _: spec)
    assert tongsuo.library_path() is None


def test_a_package_for_another_platform(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = SimpleNamespace(submodule_search_locations=[str(tmp_path)])
    monkeypatch.setattr(tongsuo, "find_spec", lambda _: spec)
    assert tongsuo.library_path() is None
    (tmp_path / "backends").mkdir()
    library = tmp_path / "backends" / "_tongsuo.abi3.so"
    library.touch()
    assert tongsuo.library_path() == library
