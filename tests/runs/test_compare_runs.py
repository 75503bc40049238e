"""Comparing stored runs, in the terminal and as a page."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from corruptions.suites import Suite
from robustbench_zosam.cli import main
from robustbench_zosam.errors import InputError
from robustbench_zosam.robustness.content import content_digest
from robustbench_zosam.runs.compare_runs import compare_runs, compare_stored

CONDITIONS = ("clean/0", *(f"{c}/{s}" for c in ("gaussian_noise", "shot_noise") for s in (1, 5)))


def store(
    runs: ModuleType,
    folder: Path,
    seed: int,
    *,
    suite: dict[str, object] | None = None,
    first: int = 0,
    **changes: object,
) -> Path:
    """Writes a run of SGD and a control with random predictions, of two seeds from `first` on."""
    made = runs.make_results(
        kinds=2, seeds=2, corruptions=2, n=50, flat=False, slices=False, dense=False,
        severities=(1, 5),
    )  # fmt: skip
    made["suite"] |= suite or {}
    made["data"] |= changes
    if first:
        for each in (*made["methods"], *made["cells"]):
            each |= {"seeds": [s + first for s in each["seeds"]]} if "seeds" in each else {}
        for each in made["cells"]:
            each["seed"] += first
            each["id"] = f"{each['method']}-seed{each['seed']}-1a2b3c4d"
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
    assert "undecided" in out
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
    assert capsys.readouterr().out.count("undecided") == 4
    html = page.read_text(encoding="utf-8")
    assert 'id="between"' in html
    assert "sgd-rigl-0.9: one − two" in html
    found = compare_runs(pair[1], pair[0])
    assert [c["method"] for c in found] == [f"{pair[1]}:{name}" for name in METHODS[::-1]]
    assert found[0]["rows"][0]["n_seeds"] == 2


def test_runs_and_methods_are_subtracted_in_the_order_in_which_they_are_named(
    pair: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    whole = compare_runs(*pair)[0]["rows"][0]["difference"]
    single = compare_stored(f"{pair[0]}:{METHODS[1]}", f"{pair[1]}:{METHODS[1]}", pair[0])
    assert whole == single["rows"][0]["difference"] != 0
    monkeypatch.setenv("COLUMNS", "400")
    call(monkeypatch, str(pair[0]), str(pair[1]))
    out = " ".join(capsys.readouterr().out.split())
    assert f"{pair[0]} minus {pair[1]}, percentage points of accuracy, paired" in out


@pytest.mark.parametrize(
    "other",
    [
        {"preset": "imagenet"},
        {"seed": 7},
        {"frost": "published"},
        {"severities": [1, 3]},
        {"content": "cd"},
    ],
    ids=lambda other: next(iter(other)),
)
def test_other_corrupted_images_are_refused_by_name_and_the_clean_ones_compared(
    runs: ModuleType, tmp_path: Path, other: dict[str, object]
):
    """Equal weights on other corrupted images differ, which says nothing of the weights."""
    known = {"content": "ab", "frost": "synthetic"}
    one = store(runs, tmp_path / "one", 1, suite=known)
    two = store(runs, tmp_path / "two", 2, suite=known | {"content": "ef"} | other)
    name = next(iter(other))
    said = "the images themselves differ" if name == "content" else rf"suite\.{name} is "
    with pytest.raises(InputError, match=said):
        compare_runs(one, two)
    with pytest.raises(InputError, match=said):
        compare_stored(*(f"{run}:{METHODS[1]}" for run in (one, two)), one)
    (found, *_) = compare_runs(one, two, clean=True)
    assert [row["corruption"] for row in found["rows"]] == ["clean"]


def test_runs_without_a_common_seed_are_compared_unpaired(
    runs: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    one, two = store(runs, tmp_path / "one", 1), store(runs, tmp_path / "two", 2, first=5)
    assert {c["design"] for c in compare_runs(one, two)} == {"unpaired"}
    call(monkeypatch, f"{one}:{METHODS[1]}", f"{two}:{METHODS[1]}")
    out = capsys.readouterr().out
    assert "unpaired, since 2 and 2 training runs have no seed in common" in out


def test_the_same_suite_on_two_machines_is_the_same_and_another_is_not():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (2, 5, 8, 8, 3), dtype=np.uint8)

    def suite(pictures: np.ndarray, labels: tuple[int, ...] = (0, 1, 2, 3, 4)) -> Suite:
        return Suite(
            name="s", corruptions=("fog",), missing=(), severities=(1, 2), classes=(), notes=(),
            labels=np.array(labels),
            read=lambda _, severity, first, last: pictures[severity - 1, first:last],
        )  # fmt: skip

    assert content_digest(suite(images)) == content_digest(suite(images.copy()))
    others = (images + 1, images[:, ::-1], images[::-1])
    digests = {content_digest(suite(each)) for each in (images, *others)}
    assert len(digests | {content_digest(suite(images, (0, 1, 2, 4, 3)))}) == 5


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
