"""`rats-tls simulate services` in a process of its own."""

from __future__ import annotations

import http.client
import json
import re
import signal
import ssl
import subprocess
from pathlib import Path

import pytest

from rats_tls.simulation.services.faults import FAULT_NAMES
from rats_tls.simulation.world import SimulatedWorld
from support.commands import run, run_in_terminal, started
from support.paths import REPOSITORY

IDENTITY = "/tdx/certification/v4/qe/identity"


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("services") / "world"
    SimulatedWorld.create(directory)
    return directory


def urls_of(process: subprocess.Popen[str]) -> dict[str, str]:
    """Wait for the services to serve; give what stands behind each name."""
    assert process.stdout is not None
    urls: dict[str, str] = {}
    for line in process.stdout:
        if line == "serving until Ctrl-C\n":
            return urls
        name, _, value = line.strip().rpartition("  ")
        urls[name.strip()] = value
    assert process.stderr is not None
    raise AssertionError(f"nothing is served: {process.stderr.read()}")


def get(url: str, target: str, ca: str) -> tuple[int, bytes]:
    host = url.rpartition("/")[2]
    connection = http.client.HTTPSConnection(host, timeout=20, context=ssl.create_default_context(cafile=ca))
    connection.request("GET", target)
    with connection.getresponse() as response:
        answer = response.status, response.read()
    connection.close()
    return answer


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_they_serve_until_a_signal(directory: Path, number: signal.Signals, code: int) -> None:
    with started("simulate", "services", directory) as process:
        urls = urls_of(process)
        assert list(urls) == ["intel-pcs", "intel-pccs", "amd-kds", "hygon-certs", "CA certificate"]
        ca = urls["CA certificate"]
        assert ca == str(directory / "services-ca.pem")
        status, body = get(urls["intel-pcs"], IDENTITY, ca)
        assert (status, json.loads(body)["enclaveIdentity"]["id"]) == (200, "TD_QE")
        assert get(urls["intel-pccs"], "/sgx/certification/v4/rootcacrl", ca)[0] == 200
        assert get(urls["amd-kds"], "/nothing", ca)[0] == 404
        process.send_signal(number)
        said, warned = process.communicate(timeout=60)
    assert (process.returncode, said, warned) == (code, "", "")


def test_faults_and_json(directory: Path) -> None:
    arguments = ("--json", "--machines", "1", "--fault", "intel-pcs:throttle=1/600", "--fault", "only=/qe/")
    with started("simulate", "services", directory, *arguments) as process:
        assert process.stdout is not None
        told = json.loads(process.stdout.readline())
        ca = str(directory / "services-ca.pem")
        assert (told["event"], told["ca_certificate"]) == ("serving", ca)
        pcs, pccs = told["services"]["intel-pcs"], told["services"]["intel-pccs"]
        assert [get(pcs, IDENTITY, ca)[0] for _ in range(2)] == [200, 429]
        assert [get(pccs, IDENTITY, ca)[0] for _ in range(2)] == [200, 200]
        assert get(pcs, "/IntelSGXRootCA.der", ca)[0] == 200
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=60) == ("", "")
    assert process.returncode == 130


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--fault", "broken"), 1, "error: configuration: fault 'broken': expected one of expired, "),
        (("--fault", "pcs:down"), 1, "no service 'pcs'; there are intel-pcs, intel-pccs, amd-kds, hygon-certs"),
        (("--fault", "stall=-1"), 1, "error: configuration: stall: got -1.0"),
        (("--port", "65534"), 1, "error: usage: "),
        (("--http",), 1, "No such option '--http'"),
    ],
)
def test_mistakes(directory: Path, arguments: tuple[str, ...], code: int, message: str) -> None:
    ended = run("simulate", "services", directory, *arguments)
    assert (ended.returncode, ended.stdout) == (code, "")
    assert message in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


def test_every_fault_is_in_the_table_of_the_documentation() -> None:
    page = (REPOSITORY / "docs" / "simulation.md").read_text(encoding="utf-8")
    told = re.findall(r"^\| `([^`]+)` \| .*\|$", page.partition("| fault | what is wrong |")[2], re.MULTILINE)
    assert sorted(told) == sorted(FAULT_NAMES)


def test_a_directory_without_a_world(tmp_path: Path) -> None:
    ended = run("simulate", "services", tmp_path)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == f"error: configuration: simulated world {tmp_path}: there is none\n"
    code, output = run_in_terminal("simulate", "services", str(tmp_path))
    assert code == 1
    assert "there is none" in output
