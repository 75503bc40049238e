"""The comparison, its page and its verb, on tiny settings."""

import base64
import copy
import hashlib
import json
import re
import subprocess
import sys

import pytest
from markupsafe import escape

from robustbench_zosam.cli import main
from robustbench_zosam.errors import InputError
from robustbench_zosam.files import write_json
from robustbench_zosam.nzk import StudyConfig, build_page
from robustbench_zosam.nzk.page import render
from robustbench_zosam.nzk.problems import digits, make_problems
from robustbench_zosam.nzk.verdict import claims, gain, verdict
from robustbench_zosam.nzk.views import VIEWS, speed_up
from robustbench_zosam.report import text

HEAVY = {"torch", "sklearn", "matplotlib", "pandas"}
IMPORTS = """
import sys
sys.argv = ["zosam-robust", "nzk", *{arguments!r}]
from robustbench_zosam.cli import main
try:
    main()
except SystemExit as end:
    assert end.code in (0, None), end.code
heavy = {heavy!r} & set(sys.modules)
assert not heavy, heavy
"""


@pytest.fixture(scope="module")
def page(results):
    return render(results)


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["zosam-robust", "nzk", *map(str, arguments)])
    with pytest.raises(SystemExit) as end:
        main()
    return int(end.value.code or 0)


def test_the_stored_results_are_strict_json_and_complete(folder, results):
    def refuse(token):
        raise AssertionError(token)

    json.loads((folder / "nzk.json").read_text(encoding="utf-8"), parse_constant=refuse)
    names = [problem["name"] for problem in results["problems"]]
    assert names == ["synthetic-linear", "digits-linear", "digits-network"]
    assert len(results["distributions"]["rows"]) == 14
    for problem in results["problems"]:
        assert set(problem["tuned"]) == {"shared", "independent", "plain", "first-order"}
        grids = {len(row["losses"]) for row in problem["tuning"].values()}
        assert grids == {results["tuning"]["rates"]}  # the same budget for all
        assert len(problem["speed_ups"]) == 4


def test_the_page_loads_nothing_and_allows_one_script(page):
    for value in re.findall(r'(?:src|href|action|srcset)="([^"]*)"', page):
        assert value[:1] == "#" or value.startswith("data:")
    assert not re.findall(r"url\((?!#)|@import", page)
    script = re.search(r"<script>(.*?)</script>", page, re.DOTALL)[1]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"'sha256-{digest}'" in page
    assert "default-src 'none'" in page
    assert page.count("<script") == 2  # the other one is data
    assert page.count('<script type="application/json" id="data">') == 1


def test_marks_legend_and_names_of_the_updates_have_the_same_numbers(page):
    data = re.search(r'id="data">(.*?)</script>', page)[1]
    assert [method["id"] for method in json.loads(data)["methods"]] == list(VIEWS)
    legend = dict(re.findall(r'<li data-m="(\d)">.*?class="name">([^<]*)<', page))
    assert legend == {str(i): view.label for i, view in enumerate(VIEWS.values())}
    assert set(re.findall(r'<g data-m="(\d)"', page)) == set(legend)


def test_every_figure_has_axes_caption_and_words(page):
    figures = re.findall(r"<figure>(.*?)</figure>", page, re.DOTALL)
    assert len(figures) == 5
    for figure in figures:
        assert re.search(r"<figcaption>.{60,}</figcaption>", figure)
        assert len(re.findall(r'<svg [^>]*aria-label="[^"]{20,}"', figure)) == 3
    for label in ("training step + 1", "learning rate × λmax", "ratio of steps", "loss, ‖f"):
        assert label in page
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids))


def test_the_page_shows_the_stored_numbers(results, page):
    for problem in results["problems"]:
        row = speed_up(problem, "tuned", "shared", "plain")
        assert row["value"] is None or text.number(row["value"], 2) in page
    for claim in claims(results):
        assert claim.verdict in page
    assert escape(results["provenance"]["command"].split(" --")[0]) in page


def test_the_page_is_rebuilt_to_the_byte(results, tmp_path):
    one = {**results, "problems": results["problems"][:1]}
    write_json(tmp_path / "nzk.json", one)
    assert build_page(tmp_path).read_text(encoding="utf-8") == render(one)


def test_user_strings_are_escaped(results):
    hostile = "</script><img src=x onerror=alert(1)>"
    poisoned = copy.deepcopy(results)
    poisoned["title"] = poisoned["provenance"]["command"] = hostile
    del poisoned["problems"][1:]
    poisoned["problems"][0]["title"] = poisoned["problems"][0]["detail"] = hostile
    page = render(poisoned)
    assert "<img" not in page
    assert page.count("<script") == 2


def test_the_verdict_follows_the_numbers(results):
    changed = copy.deepcopy(results)
    for factors, words in (
        ((2.0, 1.5, 2.5), "stays ahead of plain ZO-SGD:"),
        ((1.0, 0.9, 1.1), "nothing of the single shared vector’s acceleration remains"),
    ):
        for problem in changed["problems"]:
            row = speed_up(problem, "tuned", "shared", "plain")
            row.update(zip(("value", "low", "high"), factors, strict=True), bounds=0)
        assert words in verdict(changed)[0]
        kinds = {gain(speed_up(p, "tuned", "shared", "plain")) for p in changed["problems"]}
        held = "supported" if kinds == {"gain"} else "not supported"
        assert claims(changed)[-1].verdict == held


@pytest.mark.parametrize("value", [(0.5, 0.4, 0.8, "loss"), (1, 0.5, 2, "tie"), (3, 2, 4, "gain")])
def test_gains_are_judged_by_the_interval(value):
    assert gain({"value": value[0], "low": value[1], "high": value[2]}) == value[3]
    assert gain({"value": value[0], "low": None, "high": None}) == "tie"


def test_the_verb_runs_and_rebuilds(tmp_path, monkeypatch, capsys):
    out = tmp_path / "out"
    few = ("--data", "synthetic", "--steps", 20, "--draws", 100, "--seeds", 2)
    assert run(monkeypatch, "--out", out, *few) == 0
    assert capsys.readouterr().out.strip().endswith("nzk.html")
    (out / "nzk.html").unlink()
    code = IMPORTS.format(arguments=["--out", str(out), "--page"], heavy=HEAVY)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (out / "nzk.html").is_file()


def test_help_imports_nothing_heavy():
    code = IMPORTS.format(arguments=["--help"], heavy=HEAVY | {"scipy"})
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("arguments", "needle"),
    [
        (["--data", "mnist"], "--data 'mnist' is not known"),
        (["--classes", "3"], "two or more different digits"),
        (["--classes", "3,x"], "--classes '3,x' must be two or more digits"),
        (["--classes", "3,3"], "two or more different digits"),
        (["--classes", "1,2,3", "--outputs", "2"], "3 classes take 3 outputs"),
        (["--outputs", "3"], "2 classes take 2 outputs, or 1"),
        (["--data", "synthetic", "--outputs", "0"], "outputs is 0"),
        (["--images", "9"], "--images is for trained classifiers"),
        (["--model", "resnet20"], "--model is for trained classifiers"),
        (["missing.safetensors"], "missing.safetensors does not exist"),
        (["missing.safetensors", "--outputs", "2"], "--outputs is for the small regressions"),
        (["missing.safetensors", "--images", "1"], "--images is 1"),
        (["--seeds", "x"], "--seeds 'x' must be"),
        (["--seeds", "1000000,"], "below a million"),
        (["--steps", "1"], "--steps is 1"),
        (["--draws", "3"], "--draws is 3"),
        (["--page"], "holds no nzk.json"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(
    arguments, needle, tmp_path, monkeypatch, capsys
):
    assert run(monkeypatch, "--out", tmp_path / "out", *arguments) == 2
    error = capsys.readouterr().err
    assert [line for line in error.splitlines() if line.startswith("error: ") and needle in line]
    assert "Traceback" not in error


def test_stored_results_of_another_version_are_refused(tmp_path):
    (tmp_path / "nzk.json").write_text('{"schema": 99}')
    with pytest.raises(InputError, match="schema 99"):
        build_page(tmp_path)


def test_problems_are_what_they_say():
    linear, network = digits((0, 1), per_class=20)
    assert network.regression.model.dimension == 64 * 10 + 10 + 10 * 5 + 5 + 5 + 1
    for problem in (linear, network):
        assert problem.regression.targets.tolist() == [0.0] * 20 + [1.0] * 20
        assert problem.regression.inputs.norm(dim=1).allclose(problem.regression.targets * 0 + 1)
    assert [p.name for p in make_problems("synthetic")] == ["synthetic-linear"]
    with pytest.raises(InputError, match="only"):
        digits((0, 1), per_class=500)
    with pytest.raises(InputError, match="none twice"):
        StudyConfig(seeds=(1, 1))
