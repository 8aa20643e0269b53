"""What all Attesters of devices share: bounded looks, a loop that goes on, retries in time, and one kind of error."""

from __future__ import annotations

import asyncio
import errno
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from rats_tls import registry
from rats_tls.attesters import auto, sev_guest
from rats_tls.attesters import tsm as tsm_module
from rats_tls.attesters.device_attester import DeviceAttester, probed
from rats_tls.attesters.gramine import Gramine
from rats_tls.attesters.sev_snp import SevSnpAttester
from rats_tls.attesters.sgx_ecdsa import SgxEcdsaAttester
from rats_tls.attesters.tdx_ecdsa import TdxEcdsaAttester
from rats_tls.attesters.tsm import Tsm
from rats_tls.cli.doctor import doctor
from rats_tls.core.errors import CollectionError
from rats_tls.core.interfaces import Collected
from rats_tls.formats.amd.report import AttestationReport
from rats_tls.formats.intel.quote import Quote
from rats_tls.simulation.devices.qgs import SimulatedQgs
from rats_tls.simulation.devices.sev_guest import FakeSevGuest
from rats_tls.simulation.devices.tdx_guest import SimulatedTdxGuest
from rats_tls.simulation.devices.tsm import FakeTsm
from rats_tls.simulation.devices.unix_service import StreamFaults
from support.devices import gramine, refusal
from support.host_services import trust_domain
from support.judged import appraise
from support.sides import SNP, TDX, policy_for
from support.simulated import REPORT_DATA, world

WAIT = 20.0


def report_of(user_data: bytes, vmpl: int) -> bytes:
    return world().attester(SNP, vmpl=vmpl).collect(user_data).evidence.data


class HangingTsm(FakeTsm):
    """configfs-tsm whose calls can hang, each by itself.

    Attributes:
        hangs: the calls that do, such as `read outblob`, as long as `go` is not set.
        hung: set when one hangs.
    """

    hangs: tuple[str, ...] = ()

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.go, self.hung = threading.Event(), threading.Event()

    def make_directory(self, path: str) -> None:
        self._hang("make")
        super().make_directory(path)

    def read(self, path: str, most: int) -> bytes:
        self._hang(f"read {path.rpartition('/')[2]}")
        return super().read(path, most)

    def _hang(self, call: str) -> None:
        if call in self.hangs and not self.go.is_set():
            self.hung.set()
            self.go.wait(WAIT)


class Fakes:
    """A guest of SEV-SNP: configfs-tsm under a root of its own, or the device."""

    def __init__(self, tmp_path: Path, *, by_tsm: bool = True, hangs: tuple[str, ...] = ()) -> None:
        self.root = str(tmp_path / "report")
        self.files = HangingTsm.of(world().attester(SNP), root=self.root)
        assert isinstance(self.files, HangingTsm)
        self.files.is_mounted = by_tsm
        self.files.hangs = hangs
        self.device = FakeSevGuest(report_of)
        self.device.path = str(tmp_path / "sev-guest")
        self.device.there = not by_tsm

    def attester(self, **settings: Any) -> SevSnpAttester:
        return SevSnpAttester(tsm=Tsm(self.root, files=self.files), device=self.device, **settings)


@contextmanager
def took(least: float, most: float) -> Iterator[None]:
    begun = time.monotonic()
    yield
    assert least <= time.monotonic() - begun < most


# --- looking ---------------------------------------------------------------------------------------------------------
def test_a_look_at_a_kernel_that_hangs_is_bounded(tmp_path: Path) -> None:
    fakes = Fakes(tmp_path, hangs=("make",))
    try:
        with took(0.2, 1.5):
            found = fakes.attester(seconds=0.3).availability()
        assert (found.usable, found.told) == (False, f"probe of {fakes.root}: no answer within 0.3 seconds")
        # Others who look wait for it, as long as it takes and no longer.
        with took(0.2, 1.5):
            assert not fakes.attester(seconds=0.3).availability().usable
    finally:
        fakes.files.go.set()
    assert fakes.attester(seconds=5).availability().usable
    assert fakes.files.entries == ()


def test_a_look_takes_two_seconds_at_most(tmp_path: Path) -> None:
    fakes = Fakes(tmp_path, hangs=("make",))
    try:
        with took(1.8, 4):
            assert not fakes.attester().availability().usable
    finally:
        fakes.files.go.set()


@pytest.mark.parametrize("number", [errno.EBUSY, errno.EAGAIN])
def test_a_look_asks_a_busy_provider_once(number: int, tmp_path: Path) -> None:
    fakes = Fakes(tmp_path)
    fakes.files.fail("make", number, times=5)
    with took(0, 2):
        assert errno.errorcode[number] in fakes.attester().availability().told
    assert fakes.files.calls.count("make") == 1


def test_who_looks_does_not_wait_for_who_collects(tmp_path: Path) -> None:
    fakes = Fakes(tmp_path, hangs=("read outblob",))
    collecting = threading.Thread(target=fakes.attester().collect, args=(REPORT_DATA,))
    collecting.start()
    assert fakes.files.hung.wait(WAIT)
    with took(0, 1):
        assert fakes.attester().availability().usable
    fakes.files.go.set()
    collecting.join(WAIT)


def test_a_device_that_may_not_be_opened_is_not_usable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fakes = Fakes(tmp_path, by_tsm=False)
    assert fakes.attester().availability().usable
    monkeypatch.setattr(fakes.device, "obstacle", lambda: "may not be opened by this user")
    found = fakes.attester().availability()
    assert (found.usable, found.told) == (False, f"{fakes.device.path} may not be opened by this user")


def test_one_look_for_all_that_doctor_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[int] = []
    monkeypatch.setattr(auto, "_candidates", lambda: (looks.append(1), (SevSnpAttester(), TdxEcdsaAttester()))[1])
    ended = CliRunner().invoke(doctor, ["--json"])
    assert ended.exit_code == 0, ended.output
    assert looks == [1]


# --- the order -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("provider", "first"),
    [("sev_guest", "sev_snp"), ("tdx_guest", "tdx_ecdsa"), ("arm_cca_guest", "tdx_ecdsa"), (None, "tdx_ecdsa")],
)
def test_whose_provider_configfs_has_comes_before_any_device(
    provider: str | None, first: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = FakeTsm(lambda data: (data, b""), provider=provider)
    monkeypatch.setattr(auto, "Tsm", lambda: Tsm(files=files))
    names = [made.name for made in auto._candidates()]
    assert (names[0], sorted(names)) == (first, ["csv", "sev_snp", "sgx_ecdsa", "tdx_ecdsa"])
    assert files.entries == ()


def test_an_order_that_cannot_be_asked_for_is_that_of_the_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    files = HangingTsm(lambda data: (data, b""), root="/sys/hangs")
    files.hangs = ("make",)
    monkeypatch.setattr(auto, "Tsm", lambda: Tsm("/sys/hangs", files=files))
    try:
        with took(1.8, 4):
            assert [made.name for made in auto._candidates()] == ["tdx_ecdsa", "sev_snp", "csv", "sgx_ecdsa"]
    finally:
        files.go.set()


# --- collecting ------------------------------------------------------------------------------------------------------
def test_the_loop_goes_on_while_a_device_answers(tmp_path: Path) -> None:
    """Each kind of provider, and many at once."""
    fakes, by_device = Fakes(tmp_path), Fakes(tmp_path, by_tsm=False)
    fakes.files.before("read outblob", lambda _: time.sleep(0.1), times=4)

    async def collecting() -> list[Collected]:
        made = (fakes.attester(), by_device.attester())
        calls = [asyncio.to_thread(each.collect, bytes((number,)) * 64) for number in range(4) for each in made]
        gathered = asyncio.gather(*calls)
        ticks = 0
        while not gathered.done():
            ticks += 1
            await asyncio.sleep(0.01)
        assert ticks > 10
        return await gathered

    given = asyncio.run(asyncio.wait_for(collecting(), WAIT))
    carried = sorted(AttestationReport.from_bytes(each.evidence.data).report_data[0] for each in given)
    assert carried == [0, 0, 1, 1, 2, 2, 3, 3]


def test_an_answer_that_nobody_awaits_any_more_stops_nobody(tmp_path: Path) -> None:
    """Under asyncio, who gives up goes at once; the device is free again when its call returns."""
    fakes = Fakes(tmp_path, hangs=("read outblob",))

    async def collecting() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.to_thread(fakes.attester(seconds=0.3).collect, REPORT_DATA), 0.1)
        fakes.files.go.set()
        await asyncio.to_thread(fakes.attester().collect, REPORT_DATA)

    asyncio.run(asyncio.wait_for(collecting(), WAIT))
    assert fakes.files.entries == ()


def hung_snp(tmp_path: Path, go: threading.Event, *, by_tsm: bool) -> tuple[DeviceAttester, Callable[[], bytes]]:
    fakes = Fakes(tmp_path, by_tsm=by_tsm, hangs=("read outblob",))
    fakes.files.go = go
    fakes.device = FakeSevGuest(lambda *given: (go.wait(WAIT), report_of(*given))[1], path=fakes.device.path)
    fakes.device.there = not by_tsm
    made = fakes.attester(seconds=0.3)
    return made, lambda: AttestationReport.from_bytes(fakes.attester().collect(REPORT_DATA).evidence.data).report_data


def hung_tdx(tmp_path: Path, go: threading.Event, *, by_tsm: bool) -> tuple[DeviceAttester, Callable[[], bytes]]:
    root = str(tmp_path / "report")
    files = HangingTsm.of(world().attester(TDX), root=root)
    assert isinstance(files, HangingTsm)
    files.is_mounted, files.hangs, files.go = by_tsm, ("read outblob",), go
    path = str(tmp_path / "tdx_guest")
    device = SimulatedTdxGuest(trust_domain(), path=path, changes=lambda report: (go.wait(WAIT), report)[1])

    def attester(qgs: str, seconds: float) -> TdxEcdsaAttester:
        none = str(tmp_path / "none")
        tsm = Tsm(root, files=files)
        return TdxEcdsaAttester(tsm=tsm, device=device, qgs=qgs, event_log=none, configuration=none, seconds=seconds)

    def collect() -> bytes:
        with SimulatedQgs(tmp_path / "q", trust_domain()) as qgs:
            quote = attester(qgs.address, WAIT).collect(REPORT_DATA).evidence.data
        return Quote.from_bytes(quote).body.report_data

    return attester("unix:/nowhere", 0.3), collect


@pytest.mark.parametrize("by_tsm", [True, False], ids=["configfs-tsm", "device"])
@pytest.mark.parametrize("hung", [hung_snp, hung_tdx])
def test_a_hang_ends_in_time_and_the_device_serves_again(hung: Any, by_tsm: bool, tmp_path: Path) -> None:
    go = threading.Event()
    made, collect = hung(tmp_path, go, by_tsm=by_tsm)
    try:
        for said in ("no answer within 0.3 seconds", "others have kept it busy for 0.3 seconds"):
            with took(0.2, 1.5):
                assert refusal(made) == f"attester {made.name}: {made.device}: {said}"
    finally:
        go.set()
    assert collect() == REPORT_DATA


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short pauses."""
    monkeypatch.setattr(tsm_module, "_PAUSES", (0.1, 0.1, 0.1, 0.1))
    monkeypatch.setattr(sev_guest, "_PAUSES", (0.1, 0.1, 0.1, 0.1))


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("call", ["make", "write inblob", "read outblob"])
def test_a_busy_configfs_is_asked_again_as_long_as_somebody_waits(call: str, tmp_path: Path) -> None:
    fakes = Fakes(tmp_path)
    fakes.files.fail(call, errno.EBUSY, times=2)
    assert fakes.attester().collect(REPORT_DATA).evidence.data
    fakes.files.fail(call, errno.EBUSY, times=5)
    with took(0.3, 3):
        assert "EBUSY" in refusal(fakes.attester())
    asked = fakes.files.calls.count(call)
    fakes.files.fail(call, errno.EBUSY, times=5)
    with took(0.1, 2):
        assert "EBUSY" in refusal(fakes.attester(seconds=0.25))
    assert fakes.files.calls.count(call) - asked <= 3
    # Nobody is asked after the caller has gone.
    before = len(fakes.files.calls)
    time.sleep(0.3)
    assert len(fakes.files.calls) == before


@pytest.mark.usefixtures("quick")
def test_a_host_that_throttles_is_asked_again_as_long_as_somebody_waits(tmp_path: Path) -> None:
    fakes = Fakes(tmp_path, by_tsm=False)
    fakes.device.busy = 2
    assert fakes.attester().collect(REPORT_DATA).evidence.data
    fakes.device.busy = 100
    with took(0.1, 2):
        assert "vmm_err 0x2" in refusal(fakes.attester(seconds=0.25))
    before = len(fakes.device.calls)
    time.sleep(0.3)
    assert len(fakes.device.calls) == before


def test_what_a_service_is_given_is_what_is_left(tmp_path: Path) -> None:
    """Who waited for others leaves less to the QGS, and says so."""
    device = SimulatedTdxGuest(trust_domain(), path=str(tmp_path / "tdx_guest"))
    none = str(tmp_path / "none")
    files = FakeTsm.of(world().attester(TDX), root=none)
    files.is_mounted = False

    def attester(qgs: str, seconds: float) -> TdxEcdsaAttester:
        tsm = Tsm(none, files=files)
        return TdxEcdsaAttester(tsm=tsm, device=device, qgs=qgs, event_log=none, configuration=none, seconds=seconds)

    with SimulatedQgs(tmp_path / "q", trust_domain(), faults=StreamFaults(stalls=True)) as qgs:
        first = threading.Thread(target=refusal, args=(attester(qgs.address, 0.5),))
        first.start()
        time.sleep(0.1)
        with took(0.5, 1.05):
            said = refusal(attester(qgs.address, 1))
        first.join(WAIT)
    within = float(said.rpartition("no answer within ")[2].removesuffix(" seconds"))
    assert 0.3 < within < 0.65


def test_a_quote_of_tdx_by_the_kernel_is_one_that_peers_accept(tmp_path: Path) -> None:
    made = world().attester(TDX)
    files, none = FakeTsm.of(made), str(tmp_path / "none")
    device = SimulatedTdxGuest(trust_domain())
    attester = TdxEcdsaAttester(tsm=Tsm(files=files), device=device, event_log=none, configuration=none)
    assert attester.availability().told == f"{files.root}: provider tdx_guest"
    evidence = attester.collect(REPORT_DATA).evidence
    assert appraise(evidence, made.endorsements, policy_for(TDX), report_data=REPORT_DATA).verdict == "accepted"
    assert (files.entries, device.calls) == ((), 0)


# --- errors ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "error",
    [OSError(errno.ENOMEM, "Cannot allocate memory"), MemoryError("none left"), RuntimeError("can't start new thread")],
)
def test_whatever_the_machine_lacks_is_our_error(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lacks(*_: object) -> None:
        raise error

    fakes = Fakes(tmp_path, by_tsm=False)
    monkeypatch.setattr("rats_tls.attesters.sev_guest.mmap.mmap", lacks)
    said = f"{fakes.device.path}: {type(error).__name__}: {error}"
    assert refusal(fakes.attester()) == f"attester sev_snp: {said}"
    monkeypatch.setattr(fakes.device, "is_there", lacks)
    assert fakes.attester().availability().told == said


def test_a_look_that_fails_in_its_own_way() -> None:
    def probe() -> str:
        raise CollectionError("nothing is there")

    assert probed("/dev/x", probe).told == "nothing is there"


def test_files_that_may_not_be_looked_at_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: str) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", path)

    monkeypatch.setattr("rats_tls.attesters.device.os.stat", refuse)
    assert not Gramine().is_there()
    assert not Tsm().is_there()
    assert not SgxEcdsaAttester().availability().usable
    assert refusal(SevSnpAttester()).startswith("attester sev_snp: /sys/kernel/config/tsm/report is not there")
    assert gramine().is_there("/dev/attestation/quote")
    assert not registry.attester("sgx_ecdsa").availability().usable  # type: ignore[attr-defined]  # of a device
