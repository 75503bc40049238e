import numpy as np
import pytest

from robustbench_zosam.analysis import CellScores, compare, rank
from robustbench_zosam.errors import InputError

CONDITIONS = ("clean/0", "fog/1", "fog/2")


def runs(abilities, rng, seeds=5, images=300, conditions=CONDITIONS):
    """Returns outcomes of methods whose seeds and images vary alike."""
    difficulty = rng.normal(size=images)
    found = {}
    for name, ability in abilities.items():
        found[name] = []
        for seed in range(seeds):
            latent = ability + 0.05 * rng.normal() - difficulty
            noise = rng.normal(size=(len(conditions), images))
            found[name].append(CellScores(seed, conditions, (latent + noise > 0).astype(np.uint8)))
    return found


def test_clear_differences_are_told_from_the_best():
    found = rank(runs({"low": 0.0, "high": 2.0, "middle": 1.0}, np.random.default_rng(0)))
    assert found["order"] == ["high", "middle", "low"]
    assert found["with_best"] == ["high"]
    assert found["metric"] == "mean"
    assert found["pairs"] == 3
    assert found["means"] == sorted(found["means"], reverse=True)


def test_equal_methods_are_not_told_from_the_best_however_many():
    # 150 rankings of six equal methods; the chance of any split is at most 5 % in each (Holm over
    # all 15 pairs): more than 17 splits have a probability of about 0.1 %.
    rng = np.random.default_rng(1)
    names = dict.fromkeys("abcdef", 0.8)
    drawn = (rank(runs(names, rng, seeds=3, images=60)) for _ in range(150))
    splits = sum(len(found["with_best"]) < len(names) for found in drawn)
    assert splits <= 17


def test_those_beside_the_best_are_in_the_order_of_their_means():
    found = rank(runs({"a": 1.5, "b": 1.5, "c": 0.2, "d": 0.2}, np.random.default_rng(0)))
    assert set(found["with_best"]) == {"a", "b"}
    assert found["with_best"] == found["order"][:2]


def test_without_corruptions_the_clean_accuracy_is_ranked():
    scores = runs({"a": 0.0, "b": 2.0}, np.random.default_rng(0), conditions=("clean/0",))
    assert rank(scores)["metric"] == "clean"


def test_a_single_method_is_the_best():
    found = rank(runs({"a": 0.0}, np.random.default_rng(0)))
    assert (found["order"], found["with_best"], found["pairs"]) == (["a"], ["a"], 0)


def test_nothing_and_unpaired_runs_are_refused():
    with pytest.raises(InputError, match="no finished"):
        rank({})
    scores = runs({"a": 0.0, "b": 0.0}, np.random.default_rng(0), seeds=1)
    scores["b"] = [CellScores(9, CONDITIONS, scores["b"][0].correct)]
    with pytest.raises(InputError, match="share no"):
        rank(scores)


def test_the_order_is_that_of_the_means_whoever_is_told_from_the_best():
    """A steady method in the middle is told from the best; an unsteady one below is not."""
    right = {"best": [320] * 6, "steady": [300] * 6, "unsteady": [390, 150] * 3}
    scores = {
        name: [CellScores(s, ("clean/0",), [np.arange(400) < k]) for s, k in enumerate(counts)]
        for name, counts in right.items()
    }
    pair = compare("steady", "best", scores["steady"], scores["best"])["rows"][0]
    assert pair["verdict"] == "worse"
    found = rank(scores)
    assert found["order"] == ["best", "steady", "unsteady"]
    assert found["with_best"] == ["best", "unsteady"]
