"""The table of methods."""

import copy

from robustbench_zosam.report.build import render
from robustbench_zosam.report.run import Run
from robustbench_zosam.report.tables import method_tables
from robustbench_zosam.results.notebook import StoredResults
from robustbench_zosam.results.tables import tables
from robustbench_zosam.results.typeset import latex, markdown


def ordered(make):
    """Results of three methods, of which the last has the best mean and the first the lowest."""
    results = make(kinds=3, seeds=2, corruptions=2, n=40, dense=False)
    first, second, third = (method["id"] for method in results["methods"])
    whole = {"metric": "mean", "means": [0.9, 0.8, 0.7], "pairs": 3}
    results["ranking"] = [
        whole | {"setting": "RigL 90 %", "order": [first], "means": [0.7], "with_best": [first]},
        whole | {"setting": "", "order": [third, second, first], "with_best": [third, first]},
    ]
    return results, [third, second, first]


def test_methods_stand_in_the_order_of_their_means_and_no_place_is_given(make):
    """A method told from the best may stand above one that is not."""
    results, order = ordered(make)
    found = method_tables(Run(results, None))
    assert [row.method.id for row in found[0].rows] == order
    assert [row.best for row in found[0].rows] == ["best mean", "lower", "undecided"]
    assert found[0].ranked
    assert not found[1].ranked
    assert [row.method.id for row in found[1].rows] == order


def test_page_exports_and_notebook_follow_one_rule(make):
    results, order = ordered(make)
    labels = {method["id"]: method["label"] for method in results["methods"]}
    table = tables(results)[0]
    assert [row[0] for row in table.rows] == [labels[name] for name in order]
    assert [row[1] for row in table.rows] == ["best mean", "lower", "undecided"]
    shown = (markdown(table), latex(table), StoredResults(results)._repr_html_())
    for text in (*shown, render(Run(copy.deepcopy(results), None))):
        places = [text.index(word) for word in ("best mean<", "best mean ") if word in text]
        assert places
        assert "rank" not in text.lower().replace("rank correlation", "").replace("ranked by", "")


def test_without_an_order_methods_stand_as_they_were_given(make):
    results = make(kinds=2, seeds=1, corruptions=1, n=40)
    results["ranking"] = []
    found = method_tables(Run(results, None))[0]
    assert not found.ranked
    assert [row.method.id for row in found.rows] == [m["id"] for m in results["methods"]]
