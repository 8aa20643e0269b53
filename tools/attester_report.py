#!/usr/bin/env python3
"""Tries the Attester of the TEE that this runs in, and packs what came of it into one file to send to the project.

    python tools/attester_report.py [OPTIONS OF `rats-tls collect`]

It asks for Evidence a few times, one after the other and at once, and looks at what it got. The file has that Evidence,
which names the machine (chip id, PPID or the like) and what was measured, the kernel's version, and the names of the
devices that are there. Nothing is sent anywhere.
"""

from __future__ import annotations

import io
import json
import platform
import subprocess
import sys
import tarfile
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

OUTPUT = Path("attester-report.tar.gz")
SECONDS = 120
AT_ONCE = 8
DEVICES = (
    *("/dev/attestation", "/dev/sgx", "/dev/sgx_enclave", "/dev/tdx_guest", "/dev/sev-guest", "/dev/csv-guest"),
    *("/sys/kernel/config/tsm/report", "/sys/firmware/acpi/tables/data/CCEL", "/etc/tdx-attest.conf"),
)


def rats_tls(*arguments: str) -> tuple[int, str, str, float]:
    """Run a command; give exit code, output, errors and seconds."""
    begun = time.monotonic()
    try:
        ended = subprocess.run(
            [sys.executable, "-m", "rats_tls", *arguments],
            capture_output=True, text=True, timeout=SECONDS, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return -1, "", f"no end within {SECONDS} seconds", time.monotonic() - begun
    return ended.returncode, ended.stdout, ended.stderr, time.monotonic() - begun


def main(options: list[str]) -> int:
    files: dict[str, str | bytes] = {}
    facts: dict[str, object] = {"machine": platform.platform(), "python": platform.python_version(), "options": options}
    facts["devices"] = {path: Path(path).exists() for path in DEVICES}
    code, files["doctor.json"], _, _ = rats_tls("doctor", "--json")
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)

        def collect(name: str) -> dict[str, object]:
            evidence, log, bundle = (folder / f"{name}.{kind}" for kind in ("bin", "log", "zip"))
            places = ("--output", str(evidence), "--event-log-output", str(log), "--endorsements-output", str(bundle))
            code, output, errors, seconds = rats_tls("collect", *options, *places, "--data", name, "--json")
            for place in (evidence, log, bundle):
                if place.exists():
                    files[place.name] = place.read_bytes()
            said = json.loads(output) if output else None
            return {"name": name, "exit": code, "seconds": round(seconds, 2), "said": said, "errors": errors}

        one_by_one = [collect(f"alone-{number}") for number in range(3)]
        with ThreadPoolExecutor(AT_ONCE) as pool:
            at_once = list(pool.map(collect, (f"at-once-{number}" for number in range(AT_ONCE))))
        facts["collected"] = [*one_by_one, *at_once]
        if (folder / "alone-0.bin").exists():
            code, files["inspect.txt"], errors, _ = rats_tls("inspect", str(folder / "alone-0.bin"))
            facts["inspect"] = {"exit": code, "errors": errors}
    files["facts.json"] = json.dumps(facts, indent=2)
    with tarfile.open(OUTPUT, "w:gz") as archive:
        for name, content in sorted(files.items()):
            data = content.encode() if isinstance(content, str) else content
            entry = tarfile.TarInfo(f"attester-report/{name}")
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    good = sum(each["exit"] in {0, 4} for each in [*one_by_one, *at_once])
    print(f"{OUTPUT}: Evidence was got {good} of {len(one_by_one) + len(at_once)} times; it names this machine")
    return 0 if good == len(one_by_one) + len(at_once) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
