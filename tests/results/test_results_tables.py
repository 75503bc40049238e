import copy
import csv
import re
import shutil
import subprocess

import numpy as np
import pandas as pd
import pytest

from robustbench_zosam.errors import InputError
from robustbench_zosam.results import (
    claims_frame,
    comparisons_frame,
    load,
    methods_frame,
    tidy,
    upgrade,
)
from robustbench_zosam.results.tables import tables
from robustbench_zosam.results.typeset import latex, markdown
from robustbench_zosam.results.words import verdict_words

HOSTILE = "a|b & <script>alert(1)</script> 100 % $x_1^2$ #{~}\\ *new*\nline"


def test_the_tidy_table_has_a_row_for_each_measurement(small):
    frame = tidy(small)
    cell = small["cells"][0]
    mine = frame[frame.cell == cell["id"]]
    wanted = cell["robustness"]["rows"][4]
    row = mine[
        (mine.corruption == wanted["corruption"])
        & (mine.severity == wanted["severity"])
        & (mine.metric == "accuracy")
    ]
    assert row[["value", "low", "high", "n"]].to_numpy().tolist() == [
        [wanted[key] for key in ("accuracy", "low", "high", "n")]
    ]
    assert set(mine.metric) >= {"accuracy", "nll", "brier", "ece", "rmsce", "trace", "seconds"}
    assert not frame.duplicated(["cell", "corruption", "severity", "metric"]).any()


def test_frames_hold_what_the_results_hold(small):
    methods = methods_frame(small).set_index(["method", "metric"])
    value = small["summary"]["sam-rigl-0.9"]["clean_accuracy"]["value"]
    assert methods.loc[("sam-rigl-0.9", "clean_accuracy"), "value"] == value
    comparisons = comparisons_frame(small)
    assert len(comparisons) == sum(len(c["rows"]) for c in small["comparisons"])
    assert comparisons.equivalent.dtype == bool
    claims = claims_frame(small)
    assert set(claims.id) == {claim["id"] for claim in small["claims"]}
    tested = claims[claims.id == "zo-sam-robustness"].iloc[0]
    assert tested.value == small["claims"][0]["effect"]["value"]
    assert tested.setting == "rigl 90 %"


def test_frames_of_a_run_without_cells_are_empty(small):
    empty = small | {"cells": [], "comparisons": [], "claims": [], "summary": {}, "ranking": []}
    frames = [make(empty) for make in (tidy, methods_frame, comparisons_frame, claims_frame)]
    assert all(len(frame) == 0 and len(frame.columns) for frame in frames)
    assert tables(empty) == ()


def test_a_tie_is_equivalent_or_undecided_and_never_a_win():
    tie = {"verdict": "tie", "equivalence": {"equivalent": True}}
    assert verdict_words(tie) == "equivalent"
    assert verdict_words(tie | {"equivalence": {"equivalent": False}}) == "undecided"
    assert verdict_words(tie | {"verdict": "worse"}) == "worse"


def poisoned(small):
    results = copy.deepcopy(small)
    for method in results["methods"]:
        method["label"] = HOSTILE
    return results


def test_markdown_keeps_its_columns_whatever_the_names(small):
    for table in tables(poisoned(small)):
        lines = [line for line in markdown(table).splitlines() if line.startswith("|")]
        counts = {len(re.findall(r"(?<!\\)\|", line)) for line in lines}
        assert counts == {len(table.head) + 1}
        assert len(lines) == len(table.rows) + 2
        assert "<script>" not in markdown(table)


def test_latex_escapes_what_it_would_obey(small):
    for table in tables(poisoned(small)):
        text = latex(table)
        parts = re.findall(r"\\midrule(.*?)\\bottomrule", text, re.DOTALL)
        body = [line for part in parts for line in part.strip().splitlines()]
        assert len(body) == len(table.rows)
        for line in body:
            assert line.endswith(r"\\")
            assert len(re.findall(r"(?<!\\)&", line)) == len(table.head) - 1
            assert not re.search(r"(?<!\\)[%#]", line)
    assert r"\textbackslash{}" in latex(tables(poisoned(small))[0])


DOCUMENT = r"""\documentclass[twocolumn]{article}
\usepackage[T1]{fontenc}\usepackage[utf8]{inputenc}\usepackage{array,booktabs}
\begin{document}
%s
\end{document}
"""


@pytest.mark.parametrize("hostile", [False, True])
def test_latex_compiles_and_fits_its_column(small, tmp_path, hostile):
    program = shutil.which("pdflatex") or shutil.which("tectonic")
    if program is None:
        pytest.skip("no TeX on this machine")
    results = poisoned(small) if hostile else small
    body = "\n".join(latex(table) for table in tables(results))
    (tmp_path / "t.tex").write_text(DOCUMENT % body, encoding="utf-8")
    quiet = ["-interaction=nonstopmode", "-halt-on-error"] if "pdflatex" in program else []
    done = subprocess.run(
        [program, *quiet, "t.tex"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:]
    wide = re.findall(r"Overfull \\hbox \(([\d.]+)pt", done.stdout)
    assert hostile or all(float(points) < 3 for points in wide)


def test_latex_wraps_its_cells_into_the_width_of_a_column(small):
    for table in tables(small):
        text = latex(table)
        assert sum(table.widths) == pytest.approx(1)
        assert text.count(r"\raggedright\arraybackslash") == len(table.head) * text.count(
            r"\toprule"
        )
        assert (r"\textwidth" if table.wide else r"\columnwidth") in text
        for rows in re.findall(r"\\midrule(.*?)\\bottomrule", text, re.DOTALL):
            assert len(rows.strip().splitlines()) <= 8 or not table.wide
    methods, differences, _ = tables(small)
    assert len(methods.head) <= 5
    assert len(differences.head) == 5


def test_the_columns_of_the_methods_are_chosen(small):
    table = tables(small, ["clean_accuracy", "trace", "mce"])[0]
    assert table.head == ("method", "against best", "clean (%)", "trace")
    with pytest.raises(InputError, match="there is no metric 'clean'"):
        tables(small, ["clean"])


def test_every_export_of_claims_says_where_its_numbers_are_from(small):
    table = tables(small)[-1]
    tested = [claim for claim in small["claims"] if claim["verdict"] != "not tested"]
    for claim, row in zip(tested, table.rows, strict=True):
        assert claim["source"] in row[0]
        assert claim["scope"]["paper"] in row[3]
    assert "by secondary summaries" in markdown(table)
    assert "by secondary summaries" in latex(table)
    frame = claims_frame(small)
    assert frame[frame.id == "zo-sam-robustness"].second_hand.all()
    assert not frame[frame.id == "zo-sam-backward"].second_hand.any()
    assert "data" in frame[frame.id == "zo-sam-robustness"].iloc[0].differs


def test_methods_say_how_they_stand_to_the_best_mean(small):
    table = tables(small)[0]
    assert table.head[1] == "against best"
    assert table.rows[0][1] == "best mean"
    assert {row[1] for row in table.rows[1:]} <= {"undecided", "lower"}
    assert "Undecided: not told from the best mean" in table.caption


def test_the_first_results_have_no_order(version1):
    assert "against best" not in tables(upgrade(version1))[0].head


def test_a_notebook_shows_tables_and_gives_frames(run, small):
    found = load(run)
    html = found._repr_html_()
    assert html.count("<table>") == html.count("</table>") == 3
    assert small["title"] in repr(found)
    pd.testing.assert_frame_equal(found.frame(), tidy(small))
    assert len(found.methods())
    assert len(found.comparisons())
    assert len(found.claims())


def test_a_notebook_shows_names_only_as_names(small):
    from robustbench_zosam.results import StoredResults

    html = StoredResults(poisoned(small) | {"title": HOSTILE})._repr_html_()
    assert "<script>" not in html
    assert "&lt;script&gt;" in html


@pytest.mark.parametrize("value", [0.0, 0.05, 12.345, 1234.5, 2e7, -0.3, 1e-9])
def test_numbers_lose_no_more_than_a_percent(value):
    from robustbench_zosam.results.tables import _number

    assert float(_number(value).replace("−", "-")) == pytest.approx(value, rel=0.01)


def test_the_tidy_table_survives_csv(small, tmp_path):
    frame = tidy(small)
    frame.to_csv(tmp_path / "a.csv", index=False)
    with (tmp_path / "a.csv").open(encoding="utf-8", newline="") as stream:
        again = [float(row["value"] or "nan") for row in csv.DictReader(stream)]
    np.testing.assert_array_equal(again, frame.value.astype(float))
