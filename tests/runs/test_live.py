"""What a run tells while it goes on."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from robustbench_zosam.cli.display import Display
from robustbench_zosam.cli.running import run as run_and_tell
from robustbench_zosam.runs.cell_store import CellStore
from robustbench_zosam.runs.endings import Ending
from robustbench_zosam.runs.engines import RunEvent
from robustbench_zosam.runs.live import Live, read_live
from robustbench_zosam.runs.plan import make_plan
from robustbench_zosam.runs.state import read_state
from robustbench_zosam.runs.time_left import TimeLeft

STAGES = ("training", "robustness")


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def forecast(clock: Clock, cells: int = 4, workers: int = 1, known: dict | None = None) -> TimeLeft:
    names = [f"c{i}" for i in range(cells)]
    methods = {name: "ab"[i % 2] for i, name in enumerate(names)}
    return TimeLeft(methods, dict.fromkeys(names, STAGES), known or {}, workers, clock)


def pass_cell(found: TimeLeft, clock: Clock, cell: str, training: float, robustness: float) -> None:
    found.take(RunEvent(cell, "started"))
    clock.now += training
    found.take(RunEvent(cell, "robustness", 0, 4))
    clock.now += robustness
    found.take(RunEvent(cell, "finished", ending=Ending(why="done")))


def test_the_rest_costs_what_the_same_method_and_stage_have_cost():
    clock = Clock()
    found = forecast(clock)
    assert found.seconds() is None
    pass_cell(found, clock, "c0", 10, 3)
    assert found.seconds() == 3 * 13  # nothing is known yet of the other method
    pass_cell(found, clock, "c1", 20, 5)
    assert found.seconds() == 13 + 25
    found.take(RunEvent("c2", "started"))
    clock.now += 4
    assert found.seconds() == 9 + 25
    found.take(RunEvent("c2", "training", 1, 4))  # a quarter in four seconds: 16 in all
    assert found.seconds() == 12 + 3 + 25
    clock.now += 12
    found.take(RunEvent("c2", "robustness", 0, 4))
    assert found.seconds() == 3 + 25


def test_costs_of_earlier_runs_and_several_workers_count():
    clock = Clock()
    known = {("a", "training"): [10.0], ("b", "training"): [30.0], ("a", "robustness"): [2.0]}
    assert forecast(clock, known=known).seconds() == 2 * 12 + 2 * 32
    assert forecast(clock, known=known, workers=2).seconds() == 44
    assert forecast(clock, known=known, workers=9).seconds() == 32  # the longest cell


def test_a_failed_cell_costs_nothing_more_and_teaches_nothing():
    clock = Clock()
    found = forecast(clock, cells=1, known={("a", s): [5.0] for s in STAGES})
    found.take(RunEvent("c0", "started"))
    found.take(RunEvent("c0", "finished", ending=Ending(why="failed")))
    assert found.seconds() == 0


def test_epochs_are_in_the_log_and_the_newest_line_apart(tmp_path):
    store = CellStore(tmp_path)
    live = Live(store)
    live.tell("epoch 1/2, loss 1, validation accuracy 50.0 %")
    live.tell("epoch 2/2, loss 0.5, validation accuracy 60.0 %")
    log = store.log_file.read_text("utf-8").splitlines()
    assert [line.split(" ", 1)[1].partition(",")[0] for line in log] == ["epoch 1/2", "epoch 2/2"]
    assert read_live(store).startswith("epoch 2/2")
    live.end()
    assert read_live(store) == ""
    assert store.log_file.exists()


def test_a_run_ends_with_its_verdict_and_the_path(
    lab: SimpleNamespace, tmp_path, capsys: pytest.CaptureFixture[str], monkeypatch
):
    folder = tmp_path / "data"
    folder.mkdir()
    lab.write_images(folder)
    plan = make_plan(lab.small(folder, tmp_path / "run"))
    monkeypatch.setattr("robustbench_zosam.cli.display._QUIET_SECONDS", 0.0)
    run_and_tell(plan)
    shown = capsys.readouterr()
    assert shown.out.strip() == str(tmp_path / "run" / "report.html")
    assert "ZO-SAM" in shown.err.splitlines()[-1] or "Note:" in shown.err
    assert "epoch 1/2, loss " in shown.err
    for cell in plan.cells:
        log = plan.store(cell).log_file.read_text("utf-8")
        assert log.count("epoch ") == 2
        assert "robustness: " in log
        assert not plan.store(cell).live_file.exists()
    assert {state.state for state in read_state(plan.out)} == {"done"}


def test_bars_name_stage_epoch_loss_and_accuracy(tmp_path):
    store = CellStore(tmp_path / "cells" / "c0")
    store.folder.mkdir(parents=True)
    Live(store).tell("epoch 1/4, loss 1, validation accuracy 50.0 %")
    clock = Clock()
    with Display(4, forecast(clock), tmp_path) as display:
        display(RunEvent("c0", "started"))
        clock.now = 5
        display(RunEvent("c0", "training", 1, 4))
        texts = display.lines()
    assert any("c0 · training · epoch 1/4, loss 1, validation accuracy 50.0 %" in t for t in texts)
    assert any("left" in text for text in texts)
