"""configfs-tsm: the steps, what each failure says, who is asked again, and that nothing is left behind."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import threading

import pytest

from rats_tls.attesters.deadline import Deadline
from rats_tls.attesters.tsm import NoProviderError, Tsm
from rats_tls.attesters.turns import in_turn
from rats_tls.core.errors import CollectionError
from rats_tls.core.evidence import Evidence, TeeType
from rats_tls.simulation.devices.tsm import ROOT, FakeTsm
from support.judged import appraise
from support.sides import TDX, policy_for
from support.simulated import world

DATA = bytes(range(64))
PROVIDER = "sev_guest"


def blobs(report_data: bytes) -> tuple[bytes, bytes]:
    return b"report " + report_data, b"table"


def fake(**settings: object) -> FakeTsm:
    return FakeTsm(blobs, **settings)  # type: ignore[arg-type]  # settings of the fake


def tsm(files: FakeTsm, pauses: list[float] | None = None) -> Tsm:
    return Tsm(files=files, sleep=[].append if pauses is None else pauses.append)


def refused(files: FakeTsm, level: int | None = None, *, provider: str = PROVIDER) -> str:
    with pytest.raises(CollectionError) as caught:
        tsm(files).report(DATA, provider=provider, privilege_level=level, deadline=Deadline(20))
    assert files.entries == ()
    return caught.value.message


# --- the steps -------------------------------------------------------------------------------------------------------
def test_the_steps_of_the_abi() -> None:
    files = fake()
    report = tsm(files).report(DATA, provider=PROVIDER, privilege_level=2)
    assert (report.provider, report.outblob, report.auxblob) == (PROVIDER, b"report " + DATA, b"table")
    assert files.levels == [2]
    assert files.entries == ()
    assert files.calls == [
        *("names", "make", "read provider", "read privlevel_floor", "write privlevel", "write inblob"),
        *("read outblob", "read auxblob", "read generation", "remove"),
    ]


def test_a_level_is_written_only_where_one_is_asked_for() -> None:
    files = fake()
    tsm(files).report(DATA, provider=PROVIDER)
    assert "write privlevel" not in files.calls


def test_a_provider_without_levels_and_auxblob() -> None:
    files = fake(provider="tdx_guest")
    report = tsm(files).report(DATA, provider="tdx_guest")
    assert (report.outblob, report.auxblob) == (b"report " + DATA, b"")


def test_a_quote_of_tdx_that_a_peer_accepts() -> None:
    made = world().attester(TDX)
    files = FakeTsm.of(made)
    report = tsm(files).report(DATA, provider="tdx_guest")
    evidence = Evidence.of(TeeType.TDX_ECDSA, report.outblob)
    result = appraise(evidence, made.endorsements, policy_for(TDX), report_data=DATA)
    assert (result.verdict, report.auxblob) == ("accepted", b"")


def test_the_provider_is_told_by_an_entry_that_is_removed() -> None:
    files = fake(provider="tdx_guest")
    assert tsm(files).provider() == "tdx_guest"
    assert files.calls == ["names", "make", "read provider", "remove"]
    assert files.entries == ()


def test_an_empty_auxblob_is_fine() -> None:
    files = FakeTsm(lambda data: (data, b""))
    assert tsm(files).report(DATA, provider=PROVIDER).auxblob == b""


def test_100_callers_get_their_own() -> None:
    files, asked = fake(), [os.urandom(64) for _ in range(100)]
    given: dict[bytes, bytes] = {}

    def ask(data: bytes) -> None:
        given[data] = tsm(files).report(data, provider=PROVIDER).outblob

    threads = [threading.Thread(target=ask, args=(data,)) for data in asked]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert given == {data: b"report " + data for data in asked}
    assert files.entries == ()


# --- what is refused -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("call", "number", "name"),
    [
        ("read outblob", errno.ENXIO, "ENXIO"),
        ("read outblob", errno.EFBIG, "EFBIG"),
        ("read outblob", errno.EINVAL, "EINVAL"),
        ("read outblob", errno.EIO, "EIO"),
        ("read auxblob", errno.EACCES, "EACCES"),
        ("read generation", errno.EIO, "EIO"),
        ("write inblob", errno.EINVAL, "EINVAL"),
        ("write inblob", errno.EACCES, "EACCES"),
        ("write privlevel", errno.EPERM, "EPERM"),
    ],
)
def test_a_step_that_fails_names_provider_attribute_and_errno(call: str, number: int, name: str) -> None:
    files = fake()
    files.fail(call, number)
    assert re.fullmatch(f"{ROOT}: {call}: {name} .*, provider sev_guest", refused(files, 1))
    assert files.calls.count(call) == 1  # not asked again


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (errno.EACCES, "make an entry: EACCES (Permission denied), only root may make entries"),
        (errno.EPERM, "make an entry: EPERM (Operation not permitted), only root may make entries"),
        (errno.ENOSPC, "make an entry: ENOSPC (No space left on device)"),
    ],
)
def test_an_entry_that_cannot_be_made(number: int, text: str) -> None:
    files = fake()
    files.fail("make", number)
    assert refused(files) == f"{ROOT}: {text}"
    files.fail("make", number)
    with pytest.raises(CollectionError, match=errno.errorcode[number]):
        tsm(files).provider()


def test_configfs_that_is_not_mounted() -> None:
    files = fake()
    files.is_mounted = False
    assert not tsm(files).is_there()
    assert "make an entry: ENOENT (No such file or directory), configfs is not mounted" in refused(files)


def test_no_provider() -> None:
    files = fake(provider=None)
    assert tsm(files).is_there()
    with pytest.raises(NoProviderError, match=r"make an entry: ENXIO .*, there is no provider"):
        tsm(files).provider()
    assert "ENXIO" in refused(files)


def test_a_provider_that_goes_meanwhile() -> None:
    files = fake()
    files.before("read provider", lambda _: setattr(files, "provider", None))
    with pytest.raises(NoProviderError, match="read provider: ENXIO"):
        tsm(files).provider()


def test_another_provider_is_not_asked() -> None:
    files = fake()
    assert refused(files, provider="tdx_guest") == f"{ROOT}: provider: got 'sev_guest', expected 'tdx_guest'"
    assert "write inblob" not in files.calls


@pytest.mark.parametrize("level", [0, 4, -1])
def test_levels_that_the_guest_may_not_ask_for(level: int) -> None:
    text = f"privlevel of provider sev_guest: got {level}, expected 1 (privlevel_floor) to 3"
    files = fake(privlevel_floor=1)
    assert refused(files, level) == f"{ROOT}: {text}"
    assert "write privlevel" not in files.calls


def test_a_guest_above_level_0_is_told_to_set_one() -> None:
    text = "read outblob: EINVAL (Invalid argument), provider sev_guest, privlevel_floor is 2: set a privilege level"
    assert text in refused(fake(privlevel_floor=2))
    assert tsm(fake(privlevel_floor=2)).report(DATA, provider=PROVIDER, privilege_level=2).outblob


@pytest.mark.parametrize("text", [b"", b"one\n", b"-1\n", b"9" * 21])
def test_a_floor_or_generation_that_is_no_number(text: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    for attribute in ("privlevel_floor", "generation"):
        files = fake()
        real = files.read
        monkeypatch.setattr(
            files,
            "read",
            lambda path, most, name=attribute, real=real: text if path.endswith(name) else real(path, most),
        )
        assert f"{attribute} of provider sev_guest: got" in refused(files)


def test_an_empty_outblob() -> None:
    assert refused(FakeTsm(lambda _: (b"", b""))) == f"{ROOT}: outblob of provider sev_guest: is empty"


def test_a_report_over_the_kernels_limit() -> None:
    files = FakeTsm(lambda _: (bytes(40_000), b""))
    assert "read outblob: EFBIG (File too large), provider sev_guest" in refused(files)


@pytest.mark.parametrize("number", [errno.EFBIG, errno.EIO])
def test_what_comes_along_and_cannot_be_read_is_left_out(number: int, caplog: pytest.LogCaptureFixture) -> None:
    """It is the host's: whoever has too much of it, or garbage, must not stop the report."""
    files = fake()
    files.fail("read auxblob", number)
    report = tsm(files).report(DATA, provider=PROVIDER)
    assert (report.outblob, report.auxblob, files.entries) == (b"report " + DATA, b"", ())
    text = f"the host's certificates are left out: {ROOT}: read auxblob: {errno.errorcode[number]}"
    assert text in caplog.text
    large = FakeTsm(lambda _: (b"report", bytes(40_000)))
    assert tsm(large).report(DATA, provider=PROVIDER).auxblob == b""


@pytest.mark.parametrize("which", ["outblob", "auxblob"])
def test_blobs_are_bounded_whatever_the_kernel_gives(which: str, monkeypatch: pytest.MonkeyPatch) -> None:
    files, most = fake(), {}
    real = files.read
    monkeypatch.setattr(
        files, "read", lambda path, limit: (most.update({path.rpartition("/")[2]: limit}), real(path, limit))[1]
    )
    tsm(files).report(DATA, provider=PROVIDER)
    assert most[which] == 65_536


@pytest.mark.parametrize("size", [0, 32, 63, 65])
def test_report_data_of_another_size_is_not_asked_for(size: int) -> None:
    files = fake()
    with pytest.raises(CollectionError, match=f"inblob: got {size} bytes, expected 64"):
        tsm(files).report(bytes(size), provider=PROVIDER)
    assert files.calls == []


@pytest.mark.parametrize("call", ["write inblob", "read outblob", "read auxblob", "read generation"])
def test_who_else_writes_to_the_entry_is_noticed(call: str) -> None:
    """Even after the report was read: nobody knows for whom it was."""
    files = fake()
    files.before(call, lambda path: files.write(f"{path.rpartition('/')[0]}/inblob", bytes(64)))
    text = "generation of provider sev_guest: got 2, expected 1: another process has written to this entry"
    assert refused(files) == f"{ROOT}: {text}"
    assert files.calls.count("make") == 1


class Dropping(FakeTsm):
    """The kernel commits binary attributes when they are closed, and drops what comes of it."""

    def write(self, path: str, data: bytes) -> None:
        with contextlib.suppress(OSError):
            super().write(path, data)


@pytest.mark.parametrize(("level", "got"), [(None, 0), (1, 1)])
def test_a_write_that_the_kernel_did_not_take_is_told_from_one_of_others(level: int | None, got: int) -> None:
    files = Dropping(blobs)
    files.fail("write inblob", errno.EINVAL)
    text = f"generation of provider sev_guest: got {got}, expected {got + 1}: the kernel did not take what was written"
    assert refused(files, level) == f"{ROOT}: {text}"


def test_a_report_of_fewer_writes_than_there_were() -> None:
    """Also where a report was given all the same: it is of something else."""
    files = fake()
    files.before("read generation", lambda path: setattr(files._entries[path.split("/")[-2]], "written", 0))
    text = "generation of provider sev_guest: got 0, expected 1: the kernel did not take what was written"
    assert refused(files) == f"{ROOT}: {text}"


def test_a_report_that_cannot_be_made_of_what_was_taken_says_so() -> None:
    files = fake()
    files.fail("read outblob", errno.EINVAL)
    assert "read outblob: EINVAL (Invalid argument), provider sev_guest" in refused(files)


# --- busy ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("number", [errno.EBUSY, errno.EAGAIN])
@pytest.mark.parametrize("call", ["make", "write privlevel", "write inblob", "read outblob", "read auxblob"])
def test_a_busy_provider_is_asked_again_with_a_new_entry(call: str, number: int) -> None:
    files, pauses = fake(), []
    files.fail(call, number, times=4)
    assert (
        tsm(files, pauses).report(DATA, provider=PROVIDER, privilege_level=0, deadline=Deadline(20)).outblob
        == b"report " + DATA
    )
    assert files.calls.count("make") == 5
    assert pauses == [0.25, 0.5, 1.0, 2.0]
    assert files.entries == ()


def test_a_provider_that_stays_busy_is_given_up() -> None:
    files = fake()
    files.fail("read outblob", errno.EBUSY, times=100)
    assert "read outblob: EBUSY (Device or resource busy), provider sev_guest" in refused(files)
    assert files.calls.count("read outblob") == 5


def test_an_entry_whose_generation_would_wrap_is_busy() -> None:
    """The fake keeps that rule: a counter of one bit has no room for two writes."""
    files = fake(generation_bits=1)
    assert tsm(files).report(DATA, provider=PROVIDER).outblob
    assert "write inblob: EBUSY" in refused(files, 1)


# --- what is left behind ---------------------------------------------------------------------------------------------
def test_a_root_that_cannot_be_listed_is_used_all_the_same() -> None:
    files = fake()
    files.fail("names", errno.EACCES)
    assert tsm(files).report(DATA, provider=PROVIDER).outblob


def test_an_entry_that_cannot_be_removed_is_said_and_does_not_hide_the_failure(
    caplog: pytest.LogCaptureFixture,
) -> None:
    files = fake()
    files.fail("remove", errno.EBUSY)
    files.fail("read outblob", errno.EIO)
    with pytest.raises(CollectionError, match="read outblob: EIO"):
        tsm(files).report(DATA, provider=PROVIDER)
    assert "the entry cannot be removed" in caplog.text


def test_a_hung_provider_keeps_its_entry_until_it_answers_and_others_go_on_after_it() -> None:
    go, files = threading.Event(), fake()
    files.before("read outblob", lambda _: go.wait(20))
    ask = tsm(files)
    with pytest.raises(CollectionError, match=r"no answer within 0\.2 seconds"):
        in_turn("hung tsm", lambda _: ask.report(DATA, provider=PROVIDER), seconds=0.2)
    go.set()
    assert in_turn("hung tsm", lambda _: ask.report(DATA, provider=PROVIDER), seconds=20).outblob == b"report " + DATA
    assert files.entries == ()
