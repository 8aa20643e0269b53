"""Rules about the repository as a whole: what its files hold, and that its pages point at what exists."""

from __future__ import annotations

import ast
import importlib
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from support.paths import REPOSITORY
from support.repository import name, text, tracked

LONGEST_SOURCE_FILE = 450

# Written in parts, so that this file does not hold what it looks for.
MACHINE_PATHS = tuple(f"/{name}/" for name in ("work", "root", "tmp", "home", "Users"))
PACKAGE_INDEXES = tuple(
    f"{name}.{domain}"
    for name, domain in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("npmjs", "com"),
        ("npmjs", "org"),
        ("crates", "io"),
        ("proxy.golang", "org"),
        ("anaconda", "org"),
    )
)
UNFINISHED = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|XX" + r"X|HA" + r"CK)\b|Not" + r"ImplementedError")


TRACKED = tracked()
SOURCES = [path for path in TRACKED if path.is_relative_to(REPOSITORY / "src") and path.suffix == ".py"]
TESTS = [path for path in TRACKED if path.is_relative_to(REPOSITORY / "tests") and path.name.startswith("test_")]
PAGES = [path for path in TRACKED if path.suffix == ".md"]


def tree(path: Path) -> ast.Module:
    return ast.parse(text(path))


def lines_with(paths: list[Path], found: object) -> list[str]:
    """Give `file:line: text` of every line for which `found` is true."""
    return [
        f"{name(path)}:{number}: {line.strip()}"
        for path in paths
        for number, line in enumerate(text(path).splitlines(), 1)
        if found(line)
    ]


def test_there_is_something_to_look_at() -> None:
    assert len(SOURCES) > 50
    assert len(TESTS) > 20
    assert {"README.md", "CHANGELOG.md", "SECURITY.md", "CONTRIBUTING.md"} <= {name(path) for path in PAGES}


# --- what files hold ----------------------------------------------------------------------------------------------
def test_every_tracked_file_is_text() -> None:
    binary = [name(path) for path in TRACKED if b"\0" in path.read_bytes()]
    assert binary == []


def test_no_paths_of_a_machine() -> None:
    def found(line: str) -> bool:
        return any(re.search(rf"(?<![\w.}}-]){path}", line) for path in MACHINE_PATHS)

    assert lines_with(TRACKED, found) == []


def test_no_package_index_is_named() -> None:
    assert lines_with(TRACKED, lambda line: any(host in line for host in PACKAGE_INDEXES)) == []


def test_source_files_are_short() -> None:
    long = {name(path): len(text(path).splitlines()) for path in SOURCES}
    assert {path: count for path, count in long.items() if count > LONGEST_SOURCE_FILE} == {}


def test_nothing_is_left_unfinished() -> None:
    assert lines_with([path for path in TRACKED if path.suffix == ".py"], UNFINISHED.search) == []


def test_every_module_says_what_it_is() -> None:
    assert [name(path) for path in SOURCES if not ast.get_docstring(tree(path)) and text(path)] == []


def test_checks_are_not_assert_statements() -> None:
    """`python -O` takes assert statements out."""
    found = [
        f"{name(path)}:{node.lineno}"
        for path in SOURCES
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Assert)
    ]
    assert found == []


def test_exceptions_are_not_swallowed() -> None:
    found = [
        f"{name(path)}:{node.lineno}"
        for path in SOURCES
        for node in ast.walk(tree(path))
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or ast.unparse(node.type) in ("Exception", "BaseException"))
        and all(isinstance(statement, ast.Pass | ast.Continue) for statement in node.body)
    ]
    assert found == []


def test_suppressed_findings_name_rule_and_reason() -> None:
    """`# noqa: S603  # why`, `# type: ignore[code]  # why`."""

    def found(line: str) -> bool:
        _, mark, rest = line.partition("# noqa")
        if mark and not re.match(r": [A-Z]+[0-9]+(, ?[A-Z]+[0-9]+)*\s+(#|\S)", rest):
            return True
        _, mark, rest = line.partition("# type: ignore")
        return bool(mark) and not re.match(r"\[[a-z-]+(, ?[a-z-]+)*\]\s+#", rest)

    assert found("x = 1  # no" + "qa")
    assert found("x = 1  # type: ig" + "nore")
    assert lines_with(SOURCES, found) == []


# --- tests --------------------------------------------------------------------------------------------------------
def test_every_test_file_can_fail() -> None:
    """It asserts something, or expects an exception."""
    helpless = [
        name(path)
        for path in TESTS
        if not any(
            isinstance(node, ast.Assert) or (isinstance(node, ast.Attribute) and node.attr == "raises")
            for node in ast.walk(tree(path))
        )
    ]
    assert helpless == []


def test_continuous_integration_lists_what_is_skipped() -> None:
    """A machine may have no /dev/fuse, which nothing installs: what was not proved there must be seen."""
    assert re.search(r"make test PYTEST_ARGS=\S*-rs", text(REPOSITORY / ".ci/run"))


def test_no_test_is_skipped_or_expected_to_fail() -> None:
    marks = {"skip", "skipif", "xfail", "importorskip", "skipTest", "expectedFailure"}
    found = [
        f"{name(path)}:{node.lineno}"
        for path in TRACKED
        if path.is_relative_to(REPOSITORY / "tests") and path.suffix == ".py"
        # What a machine lacks is told in one place, where completeness can be asked for.
        if path != REPOSITORY / "tests/support/machine.py"
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Attribute) and node.attr in marks
    ]
    assert found == []


@pytest.mark.parametrize("required", [False, True])
def test_a_run_without_real_evidence_says_so(tmp_path: Path, required: bool) -> None:
    """Locally it goes on without those tests; where completeness is asked for it fails."""
    environment = {key: value for key, value in os.environ.items() if key not in ("CI", "RATS_TLS_REQUIRE_VECTORS")}
    environment["RATS_TLS_VECTORS"] = str(tmp_path / "absent")
    if required:
        environment["RATS_TLS_REQUIRE_VECTORS"] = "1"
    command = [sys.executable, "-m", "pytest", "-q", "--collect-only", "tests/vectors", "tests/unit/core"]
    run = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False)
    output = run.stdout + run.stderr
    assert "real evidence: absent" in output
    assert "tests/vectors/" not in run.stdout
    assert (run.returncode == 0) is not required


# --- pages --------------------------------------------------------------------------------------------------------
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+\s+(.+)$", FENCED.sub("", text(page)), re.MULTILINE)
    plain = [re.sub(r"[^\w\s-]", "", heading.lower()) for heading in headings]
    return {re.sub(r"\s", "-", heading.strip()) for heading in plain}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    broken = []
    for target in LINK.findall(FENCED.sub("", text(page))):
        if re.match(r"(https?|mailto):", target):
            continue
        file, _, anchor = target.partition("#")
        other = (page.parent / file).resolve() if file else page
        if not other.exists() or (anchor and anchor not in anchors(other)):
            broken.append(target)
    assert broken == []


def test_the_index_lists_every_page() -> None:
    index = text(REPOSITORY / "docs" / "README.md")
    pages = [path for path in PAGES if path.is_relative_to(REPOSITORY / "docs") and path.name != "README.md"]
    unlisted = [name(path) for path in pages if path.relative_to(REPOSITORY / "docs").as_posix() not in index]
    assert [path for path in unlisted if "template" not in path] == []


def test_commands_of_the_pages_exist_in_the_makefile() -> None:
    targets = set(re.findall(r"^([a-z][\w-]*):", text(REPOSITORY / "Makefile"), re.MULTILINE))
    wanted = {
        (name(page), target)
        for page in PAGES
        for target in re.findall(r"(?:`|^\$ |^\s{0,4})make ([a-z][\w-]*)", text(page), re.MULTILINE)
    }
    assert ("README.md", "demo") in wanted
    assert ("README.md", "test") in wanted
    assert [item for item in wanted if item[1] not in targets] == []


def test_files_that_pages_name_exist() -> None:
    """Paths in backquotes that begin with a folder of the repository."""
    missing = []
    for page in PAGES:
        for quoted in re.findall(
            r"`((?:src|tests|docs|bench|changelog\.d)/[\w./-]+|rats_tls/[\w./-]+\.py)`", text(page)
        ):
            path = REPOSITORY / (f"src/{quoted}" if quoted.startswith("rats_tls/") else quoted)
            if not path.exists():
                missing.append(f"{name(page)}: {quoted}")
    assert missing == []


def exists_in_package(dotted: str) -> bool:
    """Whether `dotted` is a module, or a name within one."""
    parts = dotted.split(".")
    for cut in range(len(parts), 0, -1):
        try:
            found: object = importlib.import_module(".".join(parts[:cut]))
        except ModuleNotFoundError:
            continue
        return all((found := getattr(found, part, None)) is not None for part in parts[cut:])
    return False


def test_modules_that_pages_name_exist() -> None:
    named = {(name(page), dotted) for page in PAGES for dotted in re.findall(r"`(rats_tls(?:\.\w+)+)", text(page))}
    assert len(named) > 5
    assert [item for item in sorted(named) if not exists_in_package(item[1])] == []


def test_standards_name_files_that_exist() -> None:
    page = text(REPOSITORY / "docs" / "standards.md")
    rows = [line.split("|")[1:-1] for line in page.splitlines() if line.startswith("| ") and "---" not in line]
    files = [file for row in rows if len(row) == 4 for file in re.findall(r"`([^`]+)`", row[2])]
    assert len(files) > 15
    missing = [
        file
        for file in files
        if not any((REPOSITORY / folder / file).exists() for folder in ("", "src", "src/rats_tls", "docs"))
    ]
    assert missing == []
    statuses = {row[3].strip() for row in rows if len(row) == 4} - {"status"}
    assert statuses <= {"implemented", "in part", "names only", "not yet"}, statuses


def test_decisions_follow_their_template() -> None:
    folder = REPOSITORY / "docs" / "adr"
    wanted = re.findall(r"^## .+$", text(folder / "template.md"), re.MULTILINE)
    pages = sorted(path for path in folder.glob("[0-9]*.md"))
    assert len(pages) >= 6
    assert [int(path.name[:4]) for path in pages] == list(range(1, len(pages) + 1))
    for page in pages:
        assert re.findall(r"^## .+$", text(page), re.MULTILINE) == wanted, name(page)


def test_changelog_begins_with_what_is_unreleased() -> None:
    headings = re.findall(r"^## (.+)$", text(REPOSITORY / "CHANGELOG.md"), re.MULTILINE)
    assert headings[0] == "[Unreleased]"


# --- package ------------------------------------------------------------------------------------------------------
def test_extras_that_errors_name_exist() -> None:
    """An error that tells the user to install `rats-tls[extra]` names an extra that there is."""
    extras = tomllib.loads(text(REPOSITORY / "pyproject.toml"))["project"]["optional-dependencies"]
    named = {extra for path in SOURCES for extra in re.findall(r"rats-tls\[([\w,-]+)\]", text(path))}
    assert named <= set(extras)
