"""Files of a run that are damaged count as absent: the stage runs again, and a warning says so."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from robustbench_zosam.errors import DamagedFileWarning, InputError
from robustbench_zosam.runs import experiment
from robustbench_zosam.runs.cell_store import CellStore
from robustbench_zosam.runs.endings import Ending
from robustbench_zosam.runs.plan import make_plan


@pytest.fixture(scope="module")
def finished(lab: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with photos and a finished run in `out`."""
    folder = tmp_path_factory.mktemp("damaged")
    (folder / "photos").mkdir()
    lab.write_images(folder / "photos")
    assert run(lab, folder).ran == 1
    return folder


def run(lab: SimpleNamespace, folder: Path) -> experiment.Outcome:
    config = lab.small(folder / "photos", folder / "out", optimizers=["sgd"])
    outcome = experiment.run(make_plan(config), lambda event: None)
    assert outcome.failed == {}
    return outcome


def without(name: str) -> Any:
    def change(file: Path) -> None:
        with np.load(file) as stored:
            arrays = {key: stored[key] for key in stored.files if key != name}
        np.savez(file, **arrays)

    return change


def value_of(**changes: Any) -> Any:
    def change(file: Path) -> None:
        stored = json.loads(file.read_text())
        stored["value"].update(changes)
        file.write_text(json.dumps(stored))

    return change


DAMAGES: dict[str, tuple[str, Any]] = {
    "stage of another form": ("cells/*/training.json", lambda f: f.write_text("[]")),
    "numbers of another type": ("cells/*/robustness.json", value_of(rows=3)),
    "empty outcomes": ("cells/*/predictions.npz", lambda f: f.write_bytes(b"")),
    "outcomes without a part": ("cells/*/predictions.npz", without("confidence")),
    "half a model": (
        "cells/*/model.safetensors", lambda f: f.write_bytes(f.read_bytes()[:-100])
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGES)
def test_what_is_damaged_is_computed_again(
    name: str, lab: SimpleNamespace, finished: Path, tmp_path: Path
):
    pattern, change = DAMAGES[name]
    wanted = lab.comparable(finished / "out")
    shutil.copytree(finished / "out", tmp_path / "out")
    (tmp_path / "photos").symlink_to(finished / "photos")
    [file] = (tmp_path / "out").glob(pattern)
    change(file)
    with pytest.warns(DamagedFileWarning, match=file.name):
        run(lab, tmp_path)
    assert lab.comparable(tmp_path / "out") == wanted


WRONG = [b"", b"\xff\xfe\x00", b"[]", b"{}", b"3", b'{"error": 3, "traceback": "", "final": 1}']


@pytest.mark.parametrize("content", WRONG)
def test_damaged_accounts_of_failures_count_as_absent(tmp_path: Path, content: bytes):
    store = CellStore(tmp_path / "cells" / "a")
    store.folder.mkdir(parents=True)
    store.error_file.write_bytes(content)
    with pytest.warns(DamagedFileWarning, match=r"error\.json .*what it said counts"):
        assert store.error() is None
    with pytest.warns(DamagedFileWarning, match=r"error\.json"):
        assert not store.is_given_up()
    store.fail("no luck")
    assert (store.error(), store.is_given_up()) == ("no luck", True)


@pytest.mark.parametrize("content", [*WRONG[:2], b"{}", b"[3]", b'[{"why": "bored"}]'])
def test_damaged_accounts_of_attempts_count_as_absent(tmp_path: Path, content: bytes):
    store = CellStore(tmp_path / "cells" / "a")
    store.folder.mkdir(parents=True)
    store.attempts_file.write_bytes(content)
    with pytest.warns(DamagedFileWarning, match=r"attempts\.json"):
        assert store.attempts() == []
    with pytest.warns(DamagedFileWarning, match=r"attempts\.json"):
        assert store.add_attempt(Ending(why="lost")) == 1
    assert [ending.why for ending in store.attempts()] == ["lost"]


@pytest.mark.parametrize("content", WRONG)
def test_a_damaged_description_of_a_cell_is_written_anew(
    lab: SimpleNamespace, finished: Path, tmp_path: Path, content: bytes
):
    plan = make_plan(lab.small(finished / "photos", finished / "out", optimizers=["sgd"]))
    store = CellStore(tmp_path / "cells" / "a")
    store.write_spec(plan.cells[0])
    whole = store.spec_file.read_bytes()
    store.spec_file.write_bytes(content)
    with pytest.raises(InputError, match=r"cell\.json"):
        store.read_spec()
    store.write_spec(plan.cells[0])
    assert store.spec_file.read_bytes() == whole


def test_damaged_results_are_collected_again(lab: SimpleNamespace, finished: Path, tmp_path: Path):
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    run(lab, tmp_path)
    file = tmp_path / "out" / "results.json"
    whole = file.read_text()
    file.write_text(whole.replace('"accuracy": 0', '"accuracy": 7', 1))
    with pytest.warns(DamagedFileWarning, match=r"results\.json is damaged"):
        assert run(lab, tmp_path).ran == 0
    assert lab.comparable(tmp_path / "out") == lab.comparable(finished / "out")


def test_no_home_folder_reaches_the_results(
    lab: SimpleNamespace, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HOME", str(tmp_path))
    shutil.copytree(finished / "photos", tmp_path / "photos")
    run(lab, tmp_path)
    for file in ("results.json", "report.html", "results.csv"):
        assert str(tmp_path) not in (tmp_path / "out" / file).read_text(encoding="utf-8")
