"""Power of the comparison that is made, against simulated tables and against the t-test."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from robustbench_zosam.errors import InputError
from robustbench_zosam.statistics import Forecast, Spread, paired_difference, seeds_needed

SPREAD = Spread(seed=0.01**2, image=0.08**2, residual=0.2**2)  # as of accuracies on digits
TRIALS = 400


@pytest.mark.parametrize(
    "spread", [SPREAD, Spread(0.0, 0.05**2, 0.3**2), Spread(0.02**2, 0.0, 0.01)]
)
@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_the_power_is_that_of_simulated_comparisons(spread: Spread, seeds: int):
    """400 tables: a standard error of 2.2 points at most; found within 5 (seed fixed)."""
    images = 200
    forecast = Forecast(spread, seeds, images)
    rng, found = np.random.default_rng(seeds), []
    for effect in (forecast.detectable(0.5), forecast.detectable()):
        hits = 0
        for _ in range(TRIALS):
            table = (
                effect
                + rng.normal(0, math.sqrt(spread.seed), (seeds, 1))
                + rng.normal(0, math.sqrt(spread.image), (1, images))
                + rng.normal(0, math.sqrt(spread.residual), (seeds, images))
            )
            hits += paired_difference(table, np.zeros_like(table))["p"] < 0.05
        found.append(hits / TRIALS)
    assert found == pytest.approx([0.5, 0.8], abs=0.05)


def test_correct_or_wrong_images_are_forecast_too():
    """Outcomes of 0 and 1 with abilities that vary between training runs."""
    seeds, images, rng = 5, 400, np.random.default_rng(1)

    def table(gain: float, runs: int) -> np.ndarray:
        hard = rng.normal(0, 1.5, (1, images))
        pairs = [
            rng.logistic(size=(runs, images)) + shift + rng.normal(0, 0.15, (runs, 1)) > hard
            for shift in (1.0 + gain, 1.0)
        ]
        return pairs[0].astype(float) - pairs[1]

    components = paired_difference(large := table(0.0, 400), np.zeros_like(large))["components"]
    seed, image, residual = (components[k] or 0.0 for k in ("seed", "image", "residual"))
    gain = 0.25
    effect = float(np.mean([table(gain, 50).mean() for _ in range(40)]))
    hits = [
        paired_difference(one := table(gain, seeds), np.zeros_like(one))["p"] < 0.05
        for _ in range(TRIALS)
    ]
    forecast = Forecast(Spread(seed, image, residual), seeds, images).power(effect)
    assert float(np.mean(hits)) == pytest.approx(forecast, abs=0.06)


@pytest.mark.parametrize("seeds", [2, 3, 5, 10, 30])
def test_where_training_runs_are_all_that_matters_it_is_the_t_test(seeds: int):
    forecast = Forecast(Spread(1.0, 0.0, 0.0), seeds, 100)
    for effect in (0.5, 1.0):
        centre, critical = effect * math.sqrt(seeds), stats.t.isf(0.025, seeds - 1)
        exact = stats.nct.sf(critical, seeds - 1, centre) + stats.nct.cdf(
            -critical, seeds - 1, centre
        )
        assert forecast.power(effect) == pytest.approx(exact, abs=0.01)
    assert forecast.power(0.0) == pytest.approx(0.05, abs=0.005)


def test_seeds_and_differences_answer_each_other():
    assert seeds_needed(Forecast(SPREAD, 7, 300).detectable() + 1e-5, SPREAD, 300) == 7
    assert seeds_needed(1e-4, SPREAD, 300) is None
    few, many = (Forecast(SPREAD, 3, n).detectable() for n in (100, 10000))
    assert few > many
    assert Forecast(SPREAD, 3, 100).power(-few) == pytest.approx(0.8, abs=1e-3)


def test_no_spread_finds_everything():
    forecast = Forecast(Spread(0.0, 0.0, 0.0), 3, 10)
    assert (forecast.power(0.1), forecast.power(0.0), forecast.detectable()) == (1.0, 0.0, 0.0)


def test_one_seed_forecasts_nothing():
    with pytest.raises(InputError, match="seeds is 1: give an integer >= 2"):
        Forecast(SPREAD, 1, 100)
