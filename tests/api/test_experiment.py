"""`experiment`: the main command, from Python."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import robustbench_zosam as rz
from robustbench_zosam.errors import InputError
from robustbench_zosam.loading import load_config

SMALL = {
    "data.image_size": 16,
    "dense_reference": False,
    "suite.corruptions": ["contrast"],
    "suite.severities": [1, 5],
    "flatness.images": 8,
    "landscape": {"images": 8, "points": 5, "directions": 2, "grid": 3},
    "run.threads": 1,
}


def small(out: Path, **changes: object) -> rz.Experiment:
    given = {"optimizers": ["sgd", "sam"], "data": "digits", "limit": 30, "epochs": 1, "seeds": 1}
    given |= {"out": out, "workers": 0, "device": "cpu", "model": {"width": 0.25}}
    return rz.experiment(SMALL, **given | changes)


def test_settings_are_those_of_file_and_command_line(tmp_path):
    by_name = small(tmp_path, training={"lr": 0.2}, seeds=2).config
    dotted = load_config(
        None,
        {
            **SMALL,
            "optimizers": ["sgd", "sam"],
            "data.name": "digits",
            "data.limit": 30,
            "training.epochs": 1,
            "training.lr": 0.2,
            "seeds": [0, 1],
            "run.out": str(tmp_path),
            "run.workers": 0,
            "run.device": "cpu",
            "model.width": 0.25,
        },
    )
    assert by_name == dotted
    folder = rz.experiment(data="folder:a/b", root=None).config
    assert (folder.data.name, folder.data.root) == ("folder", "a/b")


def test_what_is_given_is_not_changed():
    training = {"lr": 0.2}
    rz.experiment({"training.epochs": 3}, training=training)
    assert training == {"lr": 0.2}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"optimisers": ["sgd"]}, "optimisers is not a known setting"),
        ({"epochs": 0}, "training.epochs = 0"),
        ({"seeds": 0}, "seeds"),
        ({"training": {"speed": 1}}, "training.speed is not a known setting"),
    ],
)
def test_a_mistake_is_one_sentence(given, said):
    with pytest.raises(InputError, match=said):
        rz.experiment(**given)


def test_a_run_is_a_result_and_is_resumed(tmp_path):
    told: list[tuple[str, int, int]] = []
    first = small(tmp_path / "run").run(progress=lambda *step: told.append(step))
    assert ("cells", 2, 2) in told
    assert first.folder == tmp_path / "run"
    assert {m["optimizer"] for m in first.content["methods"]} == {"sgd", "sam"}
    assert not first.summary().empty
    first.report(tmp_path / "r.html")
    assert first.plot("training").get_xlabel() == "epoch"
    page = (tmp_path / "run" / "report.html").read_text("utf-8")
    assert (tmp_path / "r.html").read_text("utf-8") == page
    told.clear()
    again = small(tmp_path / "run").run(progress=lambda *step: told.append(step))
    assert again.content == first.content
    assert told == [("cells", 2, 2)]
    assert rz.load(tmp_path / "run").content == first.content


def test_a_run_without_any_result_says_why(tmp_path, monkeypatch):
    from robustbench_zosam.runs import stage_training

    def fail(*_: object) -> None:
        raise ValueError("no light")

    monkeypatch.setattr(stage_training, "train_cell", fail)
    with pytest.raises(InputError, match="no light"):
        small(tmp_path / "run").run()


def test_importing_the_package_loads_nothing_heavy():
    code = (
        "import sys, robustbench_zosam as rz; dir(rz); assert rz.InputError;"
        "heavy = {'torch', 'numpy', 'pandas', 'matplotlib', 'scipy', 'rich'} & set(sys.modules);"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
