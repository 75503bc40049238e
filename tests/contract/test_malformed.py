"""A sample of the corpus of malformed inputs; the nox session `fuzz` runs all of it."""

from __future__ import annotations

import itertools
import warnings
from pathlib import Path

import pytest
from malformed import GROUPS, pictures
from malformed.case import Case, judge, problem
from PIL import Image

from corruptions.pictures import open_rgb

SAMPLE = 12  # of each group
FEW = {"stored": 3}  # whole runs


@pytest.mark.parametrize("group", GROUPS)
def test_malformed_inputs_end_in_one_sentence(
    group: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    count = FEW.get(group, SAMPLE)
    cases = list(GROUPS[group]())
    bad = {}
    for number, case in enumerate(itertools.islice(cases, 0, None, max(len(cases) // count, 1))):
        folder = tmp_path / str(number)
        folder.mkdir()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what Pillow and torch say of files they then refuse
            found = problem(case, folder)
        if found is not None:
            bad[case.name] = found
    assert bad == {}


@pytest.mark.parametrize("name", [name for name, *_ in pictures.sound()])
def test_pictures_of_any_depth_are_rescaled_by_their_type(name: str, tmp_path: Path):
    suffix, content, wanted = next(rest for found, *rest in pictures.sound() if found == name)
    file = tmp_path / f"a.{suffix}"
    file.write_bytes(content)
    with open_rgb(file) as image:
        assert image.mode == "RGB"
        assert all((channel == wanted).all() for channel in map(_array, image.split()))


def _array(image: Image.Image):
    import numpy as np

    return np.asarray(image)


@pytest.mark.parametrize(
    ("code", "said", "outcome"),
    [
        (0, "", "refused"),
        (1, "error: x.txt: bad\n", "refused"),
        (2, "error: bad\n", "refused"),
        (2, "error: x.txt\nerror: again\n", "refused"),
        (2, "Traceback (most recent call last):\nerror: x.txt\n", "either"),
        (0, "", "made good"),
        (2, "error: x.txt\n", "made good"),
    ],
)
def test_the_judge_sees_what_is_wrong(code: int, said: str, outcome: str):
    """The corpus would prove nothing if everything passed."""
    case = Case("a", lambda folder: [], "x.txt", outcome)
    assert judge(case, code, said) is not None


def test_the_judge_lets_pass_what_is_right():
    case = Case("a", lambda folder: [], "x.txt")
    assert judge(case, 2, "error: x.txt is damaged\n") is None
    made = Case("a", lambda folder: [], "x.txt", "made good")
    assert judge(made, 0, "warning: x.txt is damaged; computing it again\n") is None
