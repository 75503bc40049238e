import copy
import json
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

from robustbench_zosam.errors import InputError
from robustbench_zosam.results import VERSION, json_schema, read_results, upgrade
from robustbench_zosam.statistics import wilson

PUBLISHED = Path(__file__).parents[2] / "docs" / "results.schema.json"


def check(results):
    jsonschema.Draft202012Validator(json_schema()).validate(results)


def test_the_published_schema_is_that_of_this_release():
    """To publish it again: `json.dump(json_schema(), file, indent=1)` and a newline."""
    assert json.loads(PUBLISHED.read_text(encoding="utf-8")) == json_schema()


def test_results_follow_the_schema(small):
    jsonschema.Draft202012Validator.check_schema(json_schema())
    check(small)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda r: r.pop("ranking"),
        lambda r: r.update(schema=1),
        lambda r: r["comparisons"][0]["rows"][0].update(verdict="win"),
        lambda r: r["cells"][0]["robustness"]["rows"][0].pop("low"),
        lambda r: r["claims"][0].update(settings=None),
    ],
)
def test_the_schema_refuses_what_is_not_of_this_form(small, spoil):
    spoiled = copy.deepcopy(small)
    spoil(spoiled)
    with pytest.raises(jsonschema.ValidationError):
        check(spoiled)


def test_the_first_version_is_read_in_todays_form(version1):
    before = copy.deepcopy(version1)
    found = upgrade(version1)
    assert version1 == before
    check(found)
    assert found["schema"] == VERSION
    row, old = found["comparisons"][0]["rows"][1], version1["comparisons"][0]["rows"][1]
    kept = old.keys() - {"p_holm"}  # now over all comparisons
    assert {key: row[key] for key in kept} == {key: old[key] for key in kept}
    assert row["equivalence"]["margin"] == 0.01
    clean = found["cells"][0]["robustness"]["rows"][0]
    oracle = wilson(round(clean["accuracy"] * clean["n"]), clean["n"])
    assert (clean["low"], clean["high"]) == (oracle.low, oracle.high)
    slope = found["summary"]["sgd-dense"]["degradation_slope"]
    assert slope["value"] < 0
    assert {c["id"]: c["verdict"] for c in found["claims"]}["zo-sam-backward"] == "supported"


def test_tie_groups_of_the_second_version_are_read_as_an_order(small):
    """There, a steady method above an unsteady one had the lower place."""
    names = [method["id"] for method in small["methods"]]
    old = copy.deepcopy(small) | {"schema": 2}
    groups = {"groups": [[names[0], names[2]], names[1:2]], "means": [[0.9, 0.7], [0.8]]}
    old["ranking"] = [groups | {"metric": "mean", "pairs": 3, "setting": ""}]
    for comparison in old["comparisons"]:
        del comparison["design"]
    found = upgrade(old)
    check(found)
    (ranking,) = found["ranking"]
    assert ranking["order"] == names[:3]
    assert ranking["means"] == [0.9, 0.8, 0.7]
    assert ranking["with_best"] == [names[0], names[2]]
    assert found["comparisons"] == small["comparisons"]


def test_reading_upgrades(version1, tmp_path):
    (tmp_path / "results.json").write_text(json.dumps(version1), encoding="utf-8")
    assert read_results(tmp_path) == read_results(tmp_path / "results.json") == upgrade(version1)


def test_todays_results_are_read_as_they_are(small, run):
    assert read_results(run) == small


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('{"schema": 99}', "update zosam-robust"),
        ("[]", "no result of this program"),
        ('{"schema": "2"}', "no result of this program"),
        ('{"schema": true}', "no result of this program"),
        ('{"schema": 2', "not valid JSON"),
        ('{"schema": NaN}', "no number of JSON"),
        ('{"schema": 1, "schema": 2}', "stands there twice"),
        ('{"schema": 1e999}', "too large a number"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_other_files_are_refused_in_a_sentence(tmp_path, content, words):
    (tmp_path / "results.json").write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=words):
        read_results(tmp_path)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda r: r.pop("ranking"), "ranking is missing"),
        (lambda r: r["cells"][0].update(seed="0"), r"cells\.0\.seed is '0'"),
        (lambda r: r["cells"][0].update(method="x"), "none of its methods"),
        (lambda r: r["cells"].append(r["cells"][0]), "stands there twice"),
        (lambda r: r["cells"][0]["robustness"]["rows"][0].update(accuracy=1.5), "is 1.5, not from"),
        (lambda r: r["cells"][0].update(id="../../x"), "no name of a folder"),
        (lambda r: r["cells"][0]["landscape"]["plane"]["losses"].pop(), "is not 21 by 21"),
    ],
)
def test_damaged_results_are_refused_in_a_sentence(small, tmp_path, spoil, words):
    spoiled = copy.deepcopy(small)
    spoil(spoiled)
    (tmp_path / "results.json").write_text(json.dumps(spoiled), encoding="utf-8")
    with pytest.raises(InputError, match=rf"results\.json is damaged: .*{words}") as caught:
        read_results(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_folder_without_results_is_refused(tmp_path):
    with pytest.raises(InputError, match="holds no results"):
        read_results(tmp_path / "absent")


def test_reading_imports_nothing_heavy(run):
    code = (
        "import sys; from robustbench_zosam.results import read_results; "
        f"read_results({str(run)!r}); "
        "sys.exit(bool({'torch', 'pandas', 'scipy', 'matplotlib'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
