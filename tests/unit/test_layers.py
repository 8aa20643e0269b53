"""The layers of `docs/architecture.md`, held over the source by its syntax trees.

A module belongs to exactly one layer; a new folder or top-level module fails until it gets a row here and there.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from rats_tls.registry import BUILT_IN
from support.paths import REPOSITORY

SOURCE = REPOSITORY / "src"
PACKAGE = "rats_tls"


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One row of the import table.

    Attributes:
        name: as `docs/architecture.md` lists it.
        modules: modules and packages that make the layer up, without the package's name.
        imports: other modules and packages of ours that it may import; its own, `core` and `_version` always.
        libraries: third-party packages that it may import.
        pure: no I/O, clock or randomness.
    """

    name: str
    modules: tuple[str, ...]
    imports: tuple[str, ...] = ()
    libraries: tuple[str, ...] = ()
    pure: bool = False


CHANNEL = ("channel", "channel_events", "channel_exporter", "channel_settings", "channel_transport", "preamble")
APPRAISAL = (
    "appraisal",
    "appraisal_binding",
    "appraisal_checks",
    "appraisal_expiry",
    "appraisal_memory",
    "appraisal_verifiers",
)
SHELLS = (
    *("addresses", "aio", "aio_pace", "aio_transport", "aio_wire", "appraisers", "collecting", "combinations"),
    *(
        "connection",
        "connection_file",
        "connection_pumps",
        "connection_wire",
        "context",
        "context_checks",
        "credentials",
        "files",
        "gathering",
    ),
    *(
        "judging",
        "listener",
        "lookups",
        "provisioning",
        "survey",
        "survey_wrappers",
        "tls_self_test",
        "tls_trial",
        "verdicts",
        "workers",
    ),
)
# The public modules, as docs/architecture.md lists them.
PUBLIC = (
    "",
    "aio",
    "appraisal",
    "appraisers",
    "collecting",
    "connection",
    "context",
    "files",
    "listener",
    "policy",
    "survey",
)

LAYERS = (
    Layer(name="core", modules=("core",), pure=True),
    Layer(name="formats", modules=("formats",), libraries=("cbor2", "cryptography"), pure=True),
    Layer(
        name="certificates",
        modules=("certificates",),
        imports=("formats",),
        libraries=("cbor2", "asn1crypto"),
        pure=True,
    ),
    Layer(name="policy", modules=("policy",), imports=("formats",)),
    Layer(name="endorsements", modules=("endorsements",), imports=("formats",), libraries=("cbor2", "urllib3")),
    Layer(name="attesters", modules=("attesters",), imports=("formats",)),
    Layer(name="verifiers", modules=("verifiers",), imports=("formats",), pure=True),
    Layer(
        name="verifiers on this machine",
        modules=("verifiers.occlum", "verifiers.sgx_la", "verifiers.qve"),
        imports=("formats", "verifiers"),
    ),
    Layer(name="native", modules=("native",)),
    Layer(
        name="crypto_wrappers",
        modules=("crypto_wrappers",),
        imports=("native",),
        libraries=("Crypto", "asn1crypto", "awscrt", "cffi", "cryptography", "gmalg"),
    ),
    Layer(
        name="tls_wrappers",
        modules=("tls_wrappers",),
        imports=("native",),
        libraries=("OpenSSL", "cffi", "cryptography", "rtls", "tlslite"),
    ),
    Layer(name="appraisal", modules=APPRAISAL, imports=("certificates", "policy"), pure=True),
    Layer(name="channel", modules=CHANNEL, imports=("certificates", "policy"), libraries=("cbor2",), pure=True),
    Layer(name="registry", modules=("registry",), imports=("attesters.auto", "attesters.settings", "simulation")),
    Layer(
        name="shells",
        modules=SHELLS,
        imports=(
            *(*CHANNEL, "appraisal", "certificates", "endorsements", "policy", "registry"),
            # Anchors, and what a file that the user names holds.
            *("verifiers.chain", "verifiers.endorsements", "verifiers.explicit_anchors", "verifiers.vendor_roots"),
            *("formats.amd.pem", "formats.amd.sev_report", "formats.detect", "formats.endorsement_keys"),
            "formats.event_log.dstack_quote",
            *("formats.hygon.hsk_cek", "formats.hygon.trustee", "formats.json_document", "formats.x509"),
            # What is here.
            "attesters.auto",
            # Which library does SM2.
            "crypto_wrappers.sm2.choosing",
            # What TLS wrappers are tried by.
            *("crypto_wrappers.trial_key", "tls_wrappers.openssl_forger"),
        ),
    ),
    Layer(
        name="capi",
        modules=("capi",),
        imports=(*CHANNEL, "certificates", "endorsements", "policy", "registry", "connection", "context"),
    ),
    Layer(
        name="inspection",
        modules=("inspection",),
        imports=("formats", "certificates", "endorsements", "policy", "registry", "files", "channel_settings"),
    ),
    Layer(name="explanation", modules=("explanation",), imports=("policy",), libraries=("cryptography",), pure=True),
    Layer(
        name="simulation",
        modules=("simulation",),
        imports=(
            *("formats", "certificates", "policy", "endorsements", "attesters", "verifiers", "crypto_wrappers"),
            *("tls_wrappers", "appraisal", *CHANNEL, "registry", *SHELLS),
        ),
        libraries=("cryptography", "cbor2"),
    ),
    Layer(
        name="cli",
        modules=("cli", "__main__"),
        imports=(
            *PUBLIC,
            *("registry", "simulation", "inspection", "explanation", "endorsements", "lookups"),
            *("gathering", "provisioning"),
        ),
        libraries=("click", "rich"),
    ),
    Layer(
        name="public names",
        modules=("",),
        imports=PUBLIC,
    ),
)

IMPURE_MODULES = frozenset(
    {
        *("asyncio", "concurrent", "ctypes", "fcntl", "ftplib", "getpass", "glob", "http", "logging.handlers"),
        *("mmap", "multiprocessing", "os", "pathlib", "platform", "random", "secrets", "select", "selectors"),
        *("shutil", "signal", "socket", "socketserver", "ssl", "subprocess", "sys", "tempfile", "time"),
        *("urllib", "uuid", "zoneinfo"),
    }
)
LAYOUTS = ("formats.devices", "ctypes")
"""Structures of devices are laid out with ctypes; nothing is called by it."""
STUBS = "_typeshed"
"""Types of the standard library; only type checkers have it."""
IMPURE_CALLS = frozenset({"now", "utcnow", "today", "random_serial_number", "urandom", "getenv"})
IMPURE_BUILTINS = frozenset({"open", "input", "print", "exec", "eval", "__import__", "breakpoint"})


def module_name(path: Path) -> str:
    """Dotted name within the package; "" for the package itself."""
    parts = path.relative_to(SOURCE / PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted((SOURCE / PACKAGE).rglob("*.py"))}


def within(module: str, package: str) -> bool:
    return module == package or (package != "" and module.startswith(f"{package}."))


def layers_of(module: str) -> list[Layer]:
    """Give the layers whose rows name it, or a package around it; the closest one counts."""
    near = {
        layer.name: max(len(p) for p in layer.modules if within(module, p))
        for layer in LAYERS
        if any(within(module, p) for p in layer.modules)
    }
    return [layer for layer in LAYERS if layer.name in near and near[layer.name] == max(near.values())]


def imported_names(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Every absolute name that is imported, by statement or by `importlib.import_module` of a literal."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: imports are absolute"
            for alias in node.names:
                # `from a.b import c`: c may be a module of its own.
                inner = f"{node.module}.{alias.name}"
                known = inner.removeprefix(f"{PACKAGE}.") in MODULES
                yield node.lineno, inner if known else str(node.module)
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("importlib.import_module", "import_module"):
            argument = node.args[0]
            if isinstance(argument, ast.Constant):
                yield node.lineno, argument.value


def complaints(module: str, source: str) -> list[str]:
    """What `source` does that a module of that name may not."""
    (layer,) = layers_of(module)
    tree = ast.parse(source)
    found = []
    for line, name in imported_names(tree):
        top, _, rest = name.partition(".")
        if top == PACKAGE:
            allowed = ("core", "_version", *layer.modules, *layer.imports)
            if not any(within(rest, package) for package in allowed):
                found.append(f"{line}: layer {layer.name} imports {name}")
            elif layer not in layers_of(rest) and not any(
                within(rest, p) for p in ("core", "_version", *layer.imports)
            ):
                found.append(f"{line}: layer {layer.name} imports {name}, of another layer")
        elif top in sys.stdlib_module_names or top == STUBS:
            is_layout = within(module, LAYOUTS[0]) and name == LAYOUTS[1]
            if layer.pure and not is_layout and (top in IMPURE_MODULES or name in IMPURE_MODULES):
                found.append(f"{line}: layer {layer.name} is pure and imports {name}")
        elif top not in layer.libraries:
            found.append(f"{line}: layer {layer.name} imports the library {name}")
    if layer.pure:
        found.extend(impure_calls(tree, layer))
    return found


def impure_calls(tree: ast.AST, layer: Layer) -> Iterator[str]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        function = node.func
        if isinstance(function, ast.Attribute) and function.attr in IMPURE_CALLS:
            yield f"{node.lineno}: layer {layer.name} is pure and calls {ast.unparse(function)}"
        if isinstance(function, ast.Name) and function.id in IMPURE_BUILTINS:
            yield f"{node.lineno}: layer {layer.name} is pure and calls {function.id}"


@pytest.mark.parametrize("module", [name for name in MODULES if name != "_version"])
def test_every_module_keeps_to_its_layer(module: str) -> None:
    names = [layer.name for layer in layers_of(module)]
    assert len(names) == 1, f"{module}: in the layers {names}, expected exactly one; add a row to LAYERS"
    assert complaints(module, MODULES[module].read_text(encoding="utf-8")) == []


def test_every_row_has_a_module() -> None:
    gone = [package for layer in LAYERS for package in layer.modules if package not in MODULES]
    assert gone == []


def test_architecture_page_lists_the_layers() -> None:
    page = (REPOSITORY / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| ")]
    for layer in LAYERS:
        assert any(row.startswith(f"| {layer.name} |") for row in rows), f"no row for the layer {layer.name}"


def test_built_in_instances_live_in_the_folder_of_their_kind() -> None:
    for kind, instances in BUILT_IN.items():
        for name, target in instances.items():
            module, _, attribute = target.partition(":")
            path = MODULES.get(module.removeprefix(f"{PACKAGE}."))
            assert module.startswith(f"{PACKAGE}.{kind}."), f"{kind} {name}: {target}"
            assert path is not None, f"{kind} {name}: no module {module}"
            classes = [
                node.name for node in ast.parse(path.read_text(encoding="utf-8")).body if isinstance(node, ast.ClassDef)
            ]
            assert attribute in classes, f"{kind} {name}: {module} has no class {attribute}"


def test_simulation_is_imported_by_the_registry_and_the_command_line_alone() -> None:
    importers = {
        module
        for module, path in MODULES.items()
        for _, name in imported_names(ast.parse(path.read_text(encoding="utf-8")))
        if within(name, f"{PACKAGE}.simulation") and not within(module, "simulation")
    }
    assert all(module == "registry" or within(module, "cli") for module in importers), importers
    registry = ast.parse(MODULES["registry"].read_text(encoding="utf-8"))
    statements = [node for node in ast.walk(registry) if isinstance(node, ast.Import | ast.ImportFrom)]
    assert not any("simulation" in ast.unparse(node) for node in statements), "the registry imports it lazily"


@pytest.mark.parametrize(
    ("module", "source", "complaint"),
    [
        ("core.evidence", "import socket", "pure and imports socket"),
        ("core.evidence", "from os import path", "pure and imports os"),
        ("core.evidence", "from rats_tls.formats.x509 import parse", "imports rats_tls.formats"),
        ("core.evidence", "import cryptography", "imports the library cryptography"),
        ("core.evidence", "def f():\n    return datetime.now(UTC)", "calls datetime.now"),
        ("formats.x509", "x = open('f')", "calls open"),
        ("formats.x509", "import time", "pure and imports time"),
        ("formats.x509", "import ctypes", "pure and imports ctypes"),
        ("formats.devices.ioctl", "import fcntl", "pure and imports fcntl"),
        ("verifiers.chain", "from rats_tls.policy import Policy", "imports rats_tls.policy"),
        ("verifiers.chain", "from rats_tls import policy", "imports rats_tls.policy"),
        ("verifiers.chain", "from rats_tls.endorsements import files", "imports rats_tls.endorsements"),
        ("verifiers.chain", "from rats_tls.certificates import registry", "imports rats_tls.certificates"),
        ("verifiers.chain", "from rats_tls.crypto_wrappers import openssl", "imports rats_tls.crypto_wrappers"),
        ("verifiers.chain", "from rats_tls.verifiers.occlum import x", "imports rats_tls.verifiers.occlum, of another"),
        ("channel", "from rats_tls.verifiers.chain import x", "imports rats_tls.verifiers"),
        ("channel", "import socket", "pure and imports socket"),
        ("context", "from rats_tls.simulation import world", "imports rats_tls.simulation"),
        ("context", "import importlib\nimportlib.import_module('rats_tls.simulation.world')", "imports rats_tls.sim"),
        ("simulation.world", "from rats_tls.cli import main", "imports rats_tls.cli"),
        ("appraisal", "import random", "pure and imports random"),
        ("registry", "from rats_tls.native import wolfssl", "imports rats_tls.native"),
        ("native.wolfssl", "from rats_tls.tls_wrappers import null", "imports rats_tls.tls_wrappers"),
    ],
)
def test_the_rules_are_seen_when_broken(module: str, source: str, complaint: str) -> None:
    assert any(complaint in text for text in complaints(module, source))
