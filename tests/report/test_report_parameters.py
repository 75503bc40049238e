"""What differs between methods, and what does not."""

from robustbench_zosam.optim.registry import OPTIMIZERS
from robustbench_zosam.report.parameters import common, differing
from robustbench_zosam.report.run import Run
from robustbench_zosam.sparsity.registry import SPARSIFIERS

SMALL = {"kinds": 2, "seeds": 2, "corruptions": 1, "n": 20, "flat": False, "slices": False}


def test_only_what_differs_is_shown(make):
    results = make(**SMALL, dense=False)
    table = differing(Run(results, None))
    assert table.head == ("method", "optimizer", "rho")
    assert [row[1] for row in table.rows] == ["sgd", "random-perturbation"]


def test_the_radius_shows_its_value_and_no_word_for_it(make):
    results = make(**SMALL | {"kinds": 4}, dense=False)
    results["methods"][3]["options"] = {"queries": 4}
    table = differing(Run(results, None))
    column = table.head.index("rho")
    known = [OPTIMIZERS[m["optimizer"]].defaults.get("rho") for m in results["methods"]]
    assert known[0] is None
    shown = [row[column] for row in table.rows]
    assert shown == ["–", *(f"{value:g}" for value in known[1:])]
    queries = table.head.index("queries")
    assert [row[queries] for row in table.rows] == ["–", "–", "–", "4"]
    assert "default" not in {cell for row in table.rows for cell in row}


def test_options_that_one_method_lacks_are_its_defaults(make):
    results = make(**SMALL, dense=False)
    results["methods"][1]["options"] = {"rho": 0.1}
    results["methods"][1]["sparsifier_options"] = {"drop_fraction": 0.5}
    table = differing(Run(results, None))
    assert table.head[2:] == ("rho", "sparsifier drop fraction")
    default = SPARSIFIERS["rigl"].defaults["drop_fraction"]
    assert [row[2:] for row in table.rows] == [("–", f"{default}"), ("0.1", "0.5")]


def test_one_method_differs_in_nothing(make):
    assert differing(Run(make(**SMALL | {"kinds": 1}, dense=False), None)) is None


def test_common_settings_are_one_sentence(make):
    results = make(**SMALL)
    assert common(Run(results, None)) == "The same for all: epochs 20, lr 0.1."
    results["config"] = {}
    assert common(Run(results, None)) == ""
