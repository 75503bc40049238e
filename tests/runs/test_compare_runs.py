"""Comparing stored runs, in the terminal and as a page."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from robustbench_zosam.cli import main
from robustbench_zosam.errors import InputError
from robustbench_zosam.runs.compare_runs import compare_runs, compare_stored

CONDITIONS = ("clean/0", *(f"{c}/{s}" for c in ("gaussian_noise", "shot_noise") for s in (1, 5)))


def store(runs: ModuleType, folder: Path, seed: int, **changes: object) -> Path:
    """Writes a run of SGD and a control with random predictions."""
    made = runs.make_results(
        kinds=2, seeds=2, corruptions=2, n=50, flat=False, slices=False, dense=False,
        severities=(1, 5),
    )  # fmt: skip
    made["data"] |= changes
    runs.write_run(folder, made)
    rng = np.random.default_rng(seed)
    for cell in made["cells"]:
        home = folder / "cells" / cell["id"]
        home.mkdir(parents=True)
        correct = rng.integers(0, 2, (len(CONDITIONS), 50), dtype=np.uint8)
        np.savez(
            home / "predictions.npz",
            conditions=np.array(CONDITIONS),
            clean_correct=correct[0],
            correct=correct[1:],
        )
    return folder


@pytest.fixture
def pair(runs: ModuleType, tmp_path: Path) -> tuple[Path, Path]:
    return store(runs, tmp_path / "one", 1), store(runs, tmp_path / "two", 2)


def call(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["zosam-robust", "compare", *arguments])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 0


METHODS = ("random-perturbation-rigl-0.9", "sgd-rigl-0.9")


def test_two_methods_are_shown_with_a_page(
    pair: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    page = pair[0] / "pair.html"
    call(monkeypatch, *METHODS, "--out", str(pair[0]), "--page", str(page))
    out = capsys.readouterr().out
    assert "inconclusive" in out
    assert "gaussian_noise" in out
    assert "per seed" in out
    assert "50 images, 2 seeds" in out
    html = page.read_text(encoding="utf-8")
    assert "Random perturbation" in html
    assert 'id="differences"' in html


def test_the_json_is_that_of_the_function(
    pair: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    texts = [f"{run}:{METHODS[1]}" for run in pair]
    call(monkeypatch, *texts, "--json")
    assert json.loads(capsys.readouterr().out) == compare_stored(*texts, out=pair[0])


def test_whole_runs_are_compared_method_by_method(
    pair: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    page = pair[0].parent / "runs.html"
    call(monkeypatch, str(pair[0]), str(pair[1]), "--page", str(page))
    assert capsys.readouterr().out.count("inconclusive") == 4
    html = page.read_text(encoding="utf-8")
    assert 'id="between"' in html
    assert "sgd-rigl-0.9: two − one" in html
    found = compare_runs(pair[1], pair[0])
    assert [c["method"] for c in found] == [f"{pair[1]}:{name}" for name in METHODS[::-1]]
    assert found[0]["rows"][0]["n_seeds"] == 2


def test_a_run_equals_itself(pair: tuple[Path, Path]):
    for comparison in compare_runs(pair[0], pair[0]):
        assert {row["verdict"] for row in comparison["rows"]} == {"tie"}
        assert all(row["difference"] == 0 for row in comparison["rows"])


def test_other_images_are_refused(pair: tuple[Path, Path], runs: ModuleType, tmp_path: Path):
    other = store(runs, tmp_path / "three", 3, fingerprint="cd" * 32)
    with pytest.raises(InputError, match="different images"):
        compare_runs(pair[0], other)
    with pytest.raises(InputError, match="has no method 'sgdd'"):
        compare_stored("sgdd", METHODS[1], pair[0])


def test_results_without_their_predictions_are_refused(pair: tuple[Path, Path]):
    file = next(pair[0].glob("cells/sgd*/predictions.npz"))
    for content in (None, b"no archive"):
        file.unlink() if content is None else file.write_bytes(content)
        with pytest.raises(InputError, match="lacks the per-image outcomes"):
            compare_stored(*METHODS, out=pair[0])


def test_three_methods_are_one_too_many(
    pair: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(sys, "argv", ["zosam-robust", "compare", "a", "b", "c"])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 2
    assert "one too many" in capsys.readouterr().err
