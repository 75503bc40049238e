"""The page of several runs."""

import pytest

from robustbench_zosam.errors import InputError
from robustbench_zosam.report.side_by_side import build_side_by_side

SMALL = {"seeds": 2, "corruptions": 2, "n": 40, "flat": False, "slices": False}


@pytest.fixture(scope="module")
def folders(make, write, tmp_path_factory):
    root = tmp_path_factory.mktemp("several")
    one, other = make(kinds=2, **SMALL), make(kinds=3, **SMALL)
    other["config"]["training"]["epochs"] = 99
    return [write(root / "first", one), write(root / "second" / "run", other)]


def test_every_method_answer_and_difference_is_there(folders, tmp_path):
    page = build_side_by_side(folders, tmp_path / "runs.html").read_text(encoding="utf-8")
    assert page.count("first: SGD") == page.count("run: SGD") > 1
    assert "training.epochs" in page
    assert "<td>99</td>" in page
    assert page.count('class="panel"') == 2
    assert 'id="claims"' in page


def test_equal_names_are_told_apart(folders, write, make, tmp_path):
    twin = write(tmp_path / "first", make(kinds=1, **SMALL))
    file = build_side_by_side([folders[0], twin], tmp_path / "runs.html")
    assert f"{twin.parent.name}/first: SGD" in file.read_text(encoding="utf-8")


def test_one_run_is_refused(folders, tmp_path):
    with pytest.raises(InputError, match="two or more"):
        build_side_by_side(folders[:1], tmp_path / "runs.html")
