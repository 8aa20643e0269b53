"""Sizes, offsets and numbers as a C compiler sees them, to compare tables with."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from support.machine import lacking


def measured(
    directory: Path,
    expressions: Mapping[str, str],
    *,
    headers: Sequence[str] = (),
    include: Sequence[Path] = (),
    declarations: str = "",
    install: str = "linux-libc-dev of a release that has it (.ci/tdx-headers)",
) -> dict[str, int]:
    """Compile and run a program that prints the values of constant expressions.

    Skips where there is no compiler, or no such header.

    Args:
        directory: where it is built.
        expressions: C expressions by name, such as `sizeof(struct snp_report_req)`.
        headers: what to include, such as `linux/sev-guest.h`.
        include: directories in which headers are looked for first.
        declarations: C code before the program.
        install: what brings the headers.
    """
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        lacking("no C compiler", install="gcc and libc6-dev")
    lines = [
        f'  printf("%s\\"{name}\\": %llu", {n} ? ", " : "", (unsigned long long)({text}));'
        for n, (name, text) in enumerate(expressions.items())
    ]
    source = "\n".join(
        [
            "#include <stdio.h>",
            "#include <stddef.h>",
            "#include <stdint.h>",
            "#include <sys/ioctl.h>",
            *(f"#include <{header}>" for header in headers),
            declarations,
            'int main(void) {\n  printf("{");',
            *lines,
            '  printf("}\\n");\n  return 0;\n}\n',
        ]
    )
    program = directory / "layout"
    (directory / "layout.c").write_text(source)
    options = [f"-I{path}" for path in include]
    built = subprocess.run(
        [compiler, "-std=gnu11", "-Wall", "-Werror", *options, "-o", str(program), str(directory / "layout.c")],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    if any(f"{header}: No such file" in built.stderr for header in headers):
        lacking(f"no {' or '.join(headers)}", install=install)
    assert built.returncode == 0, built.stderr
    ran = subprocess.run([str(program)], capture_output=True, text=True, timeout=20, check=True)
    values: dict[str, int] = json.loads(ran.stdout)
    return values
