"""Leases: one holder at a time, whatever sleeps, dies or comes back."""

from __future__ import annotations

import dataclasses
import errno
import multiprocessing
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from robustbench_zosam.files import fenced, write_text
from robustbench_zosam.runs import lease as lease_module
from robustbench_zosam.runs.lease import Holder, Lease, LeaseLostError, Watch, find, read
from robustbench_zosam.runs.processes import ProcessName


def elsewhere(holder: Holder) -> Holder:
    """Returns a holder as if it were on another machine, whose death nobody sees."""
    return dataclasses.replace(
        holder, process=dataclasses.replace(holder.process, host="far", kernel="other")
    )


def move_away(folder: Path) -> Holder:
    file = find(folder)
    holder = read(file)
    assert file is not None
    assert holder is not None
    file.write_bytes(elsewhere(holder).pack())
    return elsewhere(holder)


def test_one_process_holds_it_until_it_gives_it_back(tmp_path: Path):
    first = Lease.acquire(tmp_path)
    assert first is not None
    assert Lease.acquire(tmp_path) is None
    first.check()
    first.release()
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(LeaseLostError):
        first.check()
    second = Lease.acquire(tmp_path)
    assert second is not None
    second.release()


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{}", b"\xff\x00", b'{"process": 3}', b"[" * 9000, b"null"]
)
def test_a_damaged_lease_goes_stale_and_is_taken_over(tmp_path: Path, content: bytes):
    (tmp_path / "lease-000004").write_bytes(content)
    clock = [0.0]
    watch = Watch(lambda: clock[0])
    assert watch.state(tmp_path)[0] == "held"
    assert Lease.acquire(tmp_path) is None
    while watch.state(tmp_path)[0] == "held":
        clock[0] += 1
    state, holder = watch.state(tmp_path)
    assert (state, clock[0]) == ("stale", 60)
    assert holder is not None
    taken = Lease.acquire(tmp_path, takeover=holder.token)
    assert taken is not None
    taken.check()
    taken.release()


def test_of_many_that_try_at_once_one_succeeds(tmp_path: Path):
    for _ in range(20):
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(lambda _: Lease.acquire(tmp_path), range(8)))
        [held] = [item for item in found if item is not None]
        held.release()


def test_a_dead_holder_on_this_machine_is_replaced_at_once(tmp_path: Path):
    code = f"""
import os; from pathlib import Path; from robustbench_zosam.runs.lease import Lease
assert Lease.acquire(Path({str(tmp_path)!r})); os._exit(9)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 9
    assert Watch().state(tmp_path)[0] == "stale"
    held = Lease.acquire(tmp_path)
    assert held is not None
    assert len(list(tmp_path.iterdir())) == 1
    held.release()


def test_a_reused_process_number_is_not_the_holder():
    me = ProcessName.current()
    assert not me.is_gone()
    if me.started:
        assert dataclasses.replace(me, started="1").is_gone()
    assert not dataclasses.replace(me, host="far", started="1").is_gone()


def test_silence_counts_by_the_clock_of_the_observer(tmp_path: Path):
    held = Lease.acquire(tmp_path)
    assert held is not None
    move_away(tmp_path)
    clock = [1000.0]
    watch = Watch(lambda: clock[0])
    states = []
    for _ in range(16):
        states.append(watch.state(tmp_path)[0])
        clock[0] += 4.0
    assert states == ["held"] * 15 + ["stale"]
    held.release()


def test_a_beat_ends_the_silence(tmp_path: Path):
    held = Lease.acquire(tmp_path)
    assert held is not None
    holder = move_away(tmp_path)
    clock = [0.0]
    watch = Watch(lambda: clock[0])
    file = find(tmp_path)
    assert file is not None
    for beat in range(50):
        clock[0] += 5.0
        if beat % 10 == 9:
            file.write_bytes(dataclasses.replace(holder, beat=beat).pack())
        assert watch.state(tmp_path)[0] == ("held" if beat < 9 else "beating")
    held.release()


def test_time_in_which_the_observer_slept_does_not_count(tmp_path: Path):
    held = Lease.acquire(tmp_path)
    assert held is not None
    move_away(tmp_path)
    clock = [0.0]
    watch = Watch(lambda: clock[0])
    watch.state(tmp_path)
    clock[0] += 3600
    assert watch.state(tmp_path)[0] == "held"
    held.release()


def test_the_holder_beats_and_tells_how_far_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(lease_module, "BEAT_SECONDS", 0.01)
    held = Lease.acquire(tmp_path)
    assert held is not None
    held.report("training", 3, 10)
    deadline = time.monotonic() + 10
    while (seen := read(find(tmp_path))) is None or seen.beat < 3:
        assert time.monotonic() < deadline
    assert (seen.stage, seen.done, seen.total) == ("training", 3, 10)
    held.check()
    held.release()


def test_who_slept_through_a_takeover_saves_nothing_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(lease_module, "BEAT_SECONDS", 0.01)
    sleeper = Lease.acquire(tmp_path)
    assert sleeper is not None
    second = Lease.acquire(tmp_path, takeover=sleeper.holder.token)
    assert second is not None
    with fenced(sleeper.check), pytest.raises(LeaseLostError):
        write_text(tmp_path / "result", "old")
    second.release()
    time.sleep(0.1)  # beats of the sleeper must not bring its lease back
    assert list(tmp_path.iterdir()) == []
    with fenced(sleeper.check), pytest.raises(LeaseLostError):
        write_text(tmp_path / "result", "old")
    sleeper.release()
    assert list(tmp_path.iterdir()) == []


def test_only_the_holder_that_was_seen_dead_is_replaced(tmp_path: Path):
    first = Lease.acquire(tmp_path)
    assert first is not None
    seen = move_away(tmp_path)
    second = Lease.acquire(tmp_path, takeover=seen.token)
    assert second is not None
    assert Lease.acquire(tmp_path, takeover=seen.token) is None
    second.check()
    second.release()


@pytest.mark.parametrize("code", [errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_file_system_without_links_will_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
):
    def refuse(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "link", refuse)
    held = Lease.acquire(tmp_path)
    assert held is not None
    assert Lease.acquire(tmp_path) is None
    held.release()


def _count(arguments: tuple[Path, int]) -> None:
    """Adds to a counter in a file, which goes wrong wherever two do it at a time."""
    folder, times = arguments
    for _ in range(times):
        while (held := Lease.acquire(folder, "counter")) is None:
            time.sleep(0.001)
        with held:
            file = folder / "count"
            file.write_text(str(int(file.read_text() or 0) + 1))


def test_processes_exclude_each_other(tmp_path: Path):
    (tmp_path / "count").write_text("0")
    with multiprocessing.get_context("forkserver").Pool(3) as pool:
        pool.map(_count, [(tmp_path, 20)] * 3)
    assert (tmp_path / "count").read_text() == "60"
