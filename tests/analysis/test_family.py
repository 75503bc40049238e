"""Verdicts that are read together."""

import numpy as np

from robustbench_zosam.analysis import CellScores, compare, compare_planned, corrected_together
from robustbench_zosam.statistics import holm

CONDITIONS = ("clean/0", "fog/1", "fog/2")


def runs(abilities, rng):
    """Returns outcomes of methods of different abilities, for five seeds and 300 images."""
    latent = {name: a + rng.normal(0, 0.05, (5, 1, 1)) for name, a in abilities.items()}
    return {
        name: [
            CellScores(s, CONDITIONS, (each[s] + rng.normal(size=(3, 300)) > 0).astype(np.uint8))
            for s in range(5)
        ]
        for name, each in latent.items()
    }


def test_overall_rows_are_corrected_over_all_comparisons_and_corruptions_are_not():
    drawn = runs({"a": 0.5, "b": 0.62, "c": 0.74, "d": 0.86}, np.random.default_rng(0))
    single = [compare(name, "a", drawn[name], drawn["a"]) for name in "bcd"]
    found = corrected_together(single)
    for place in (0, 1):  # clean, mean
        rows = [comparison["rows"][place] for comparison in found]
        adjusted = holm([comparison["rows"][place]["p"] for comparison in single])
        assert tuple(row["p_holm"] for row in rows) == adjusted
        for row, p in zip(rows, adjusted, strict=True):
            assert row["verdict"] == ("better" if p < 0.05 else "tie")
    assert [c["rows"][2:] for c in found] == [c["rows"][2:] for c in single]
    assert corrected_together(single[:1])[0]["rows"][1]["p_holm"] is None


def test_the_comparisons_of_a_run_are_corrected_together():
    drawn = runs({"s": 0.5, "r": 0.6, "z": 0.7}, np.random.default_rng(1))
    methods = [
        {"id": i, "kind": "trained", "role": role, "optimizer": o, "sparsifier": "rigl"}
        | {"sparsity": 0.9}
        for i, o, role in (
            ("s", "sgd", "baseline"),
            ("r", "random-perturbation", "control"),
            ("z", "zo-sam", "method"),
        )
    ]
    found = compare_planned(methods, drawn)
    assert len(found) == 3
    rows = [comparison["rows"][1] for comparison in found]
    assert tuple(row["p_holm"] for row in rows) == holm([row["p"] for row in rows])
