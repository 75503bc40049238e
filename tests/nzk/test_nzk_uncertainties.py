"""Standard errors, tests and intervals of the kernel study against closed forms and scipy."""

import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

from robustbench_zosam.nzk import (
    FlatModel,
    ProbeDistribution,
    Regression,
    nzk_expected,
    nzk_monte_carlo,
)
from robustbench_zosam.nzk.compare import _band, _speed_up
from robustbench_zosam.nzk.measure import by_distribution, homogeneity, through_training
from robustbench_zosam.nzk.problems import Problem
from robustbench_zosam.nzk.training import Trajectory

D = 3


def data(n=4):
    return torch.randn(n, D, generator=torch.Generator().manual_seed(0)).double()


def problem(linear=True):
    torch.manual_seed(0)
    module = nn.Linear(D, 1, bias=False)
    if not linear:
        module = nn.Sequential(nn.Linear(D, 2), nn.Tanh(), nn.Linear(2, 1))
    task = Regression(FlatModel(module), data(), torch.ones(4).double())
    return Problem("tiny", "Tiny", "", linear, task)


@pytest.mark.parametrize("shared", [True, False])
def test_the_error_of_the_trace_is_that_of_enumerated_signs(shared):
    """Rademacher vectors of three entries can all be written down, and so the variance."""
    signs = torch.cartesian_prod(*[torch.tensor([-1.0, 1.0]).double()] * D)
    slopes = signs @ data().T  # (8, n)
    if shared:
        traces, entries = D * slopes.square().sum(1), D * slopes[:, 0] * slopes[:, 1]
    else:
        inner = signs @ signs.T
        traces = (inner * (slopes @ slopes.T)).flatten()
        entries = (inner * torch.outer(slopes[:, 0], slopes[:, 1])).flatten()
    draws = 6000
    found = nzk_monte_carlo(
        nn.Linear(D, 1, bias=False),
        data(),
        ProbeDistribution("rademacher"),
        shared=shared,
        draws=draws,
    )
    assert found.draws == draws
    # a standard deviation from 6000 draws is known to about 2 %
    assert found.trace_se == pytest.approx(traces.std(correction=0).item() / draws**0.5, rel=0.1)
    assert found.se[0, 1].item() == pytest.approx(
        entries.std(correction=0).item() / draws**0.5, rel=0.1
    )


def test_two_draws_have_the_unbiased_error():
    found = nzk_monte_carlo(
        nn.Linear(D, 1, bias=False),
        data(1),
        ProbeDistribution(),
        shared=True,
        draws=2,
        epsilon=None,
    )
    # one input: the only entry is the trace, and both errors come from the same two values
    assert found.trace == pytest.approx(found.value.item())
    assert found.trace_se == pytest.approx(found.se.item())


def test_homogeneity_is_cochrans_test():
    rng = np.random.default_rng(0)
    values, errors = rng.normal(1, 0.3, 5), rng.uniform(0.1, 0.5, 5)
    found = homogeneity(values.tolist(), errors.tolist())
    mean = np.average(values, weights=errors**-2)
    assert found["mean"] == pytest.approx(mean)
    assert found["chi2"] == pytest.approx((((values - mean) / errors) ** 2).sum())
    assert found["df"] == 4
    assert found["p"] == pytest.approx(stats.chi2.sf(found["chi2"], 4))
    # the error of a weighted mean of independent values
    weights = errors**-2 / (errors**-2).sum()
    assert found["se"] == pytest.approx(math.sqrt(((weights * errors) ** 2).sum()))


def test_homogeneity_rejects_as_often_as_it_says():
    # 2000 sets of four equal means: the share of p below 5 % lies within 4 standard errors of it
    rng, errors = np.random.default_rng(1), [0.5, 1.0, 2.0, 1.0]
    p = np.array([homogeneity(rng.normal(3, errors).tolist(), errors)["p"] for _ in range(2000)])
    assert abs((p < 0.05).mean() - 0.05) < 4 * math.sqrt(0.05 * 0.95 / 2000)
    assert stats.kstest(p, "uniform").pvalue > 1e-3


def test_distributions_are_compared_in_units_of_the_tangent_kernel():
    rows = by_distribution(problem(), draws=400)
    assert len(rows) == 14
    x = data()
    for row in rows:
        assert row["entries"] == 16
        assert row["largest_deviation"] < 6
        assert abs(row["measured"] - row["theory"]) < 5 * row["se"] + 1e-6
    theory = {(row["distribution"], row["shared"]): row["theory"] for row in rows}
    assert theory["gaussian", True] == pytest.approx(D + 2)
    assert theory["gaussian", False] == pytest.approx(1)
    assert theory["rademacher", True] == pytest.approx(D)
    assert theory["laplace", True] == pytest.approx(6 + D - 1)
    spread = {(row["distribution"], row["shared"]): row["se"] for row in rows}
    again = nzk_expected(x, ProbeDistribution("gaussian"), shared=True).trace() / x.square().sum()
    assert again.item() == pytest.approx(theory["gaussian", True])
    assert spread["laplace", True] > spread["rademacher", True]


def test_kernels_in_training_are_relative_to_the_first():
    torch.manual_seed(1)
    moving = problem(linear=False)
    size = moving.regression.model.dimension
    start = torch.randn(size).double()
    points = {0: start, 7: 2 * start}
    found = through_training(moving, points, ProbeDistribution(), draws=300, seed=0)
    jacobians = [moving.regression.model.jacobian(p, data()) for p in points.values()]
    kernels = [j @ j.T for j in jacobians]
    assert found["steps"] == [0, 7]
    assert found["ntk_trace"] == pytest.approx([
        1,
        (kernels[1].trace() / kernels[0].trace()).item(),
    ])
    cosine = torch.nn.functional.cosine_similarity(kernels[0].flatten(), kernels[1].flatten(), 0)
    assert found["ntk_cosine"] == pytest.approx([1, cosine.item()])
    for name in ("shared", "independent"):
        assert found[name]["theory"] == pytest.approx(found["ntk_trace"])  # one factor for both
        assert found[name]["constant"] is None  # only a linear model's is constant
        columns = (found[name][key] for key in ("measured", "se", "theory"))
        for measured, se, theory in zip(*columns, strict=True):
            assert abs(measured - theory) < 5 * se


class TestBands:
    def test_known_starts_take_their_part_out_of_the_interval(self):
        """Of start + noise only the noise is uncertain, where the starts are predicted."""
        starts = torch.tensor([1.0, 5.0, 9.0, 3.0]).double()
        noise = torch.tensor([0.1, -0.2, 0.3, 0.2]).double()
        found = _band(starts + noise, starts, 100.0)
        low, high = stats.t.interval(0.95, 3, loc=0.1, scale=stats.sem(noise))
        assert found.value == pytest.approx(4.5 + 0.1)
        assert (found.low, found.high) == pytest.approx((4.5 + low, 4.5 + high))

    def test_without_a_prediction_it_is_the_interval_over_seeds(self):
        losses = torch.tensor([1.0, 2.0, 4.0]).double()
        found = _band(losses, torch.tensor([1.0, math.inf, 1.0]).double(), 1.0)
        assert (found.low, found.high) == pytest.approx(
            stats.t.interval(0.95, 2, loc=7 / 3, scale=stats.sem(losses))
        )

    def test_a_diverged_seed_leaves_no_mean(self):
        assert _band(torch.tensor([1.0, 100.0]), torch.ones(2), 1.0) is None
        assert _band(torch.tensor([1.0, math.nan]), torch.ones(2), 1.0) is None

    def test_speed_ups_have_the_t_interval_of_their_logarithms(self):
        steps = list(range(9))
        halving = torch.tensor([2.0 ** -min(s, 8) for s in steps]).double()
        slower = torch.stack([halving ** (1 / f) for f in (2.0, 1.5, 3.0)], 1)[..., None]
        runs = {
            "fast": Trajectory(steps, halving[:, None, None].repeat(1, 3, 1), {}),
            "slow": Trajectory(steps, slower, {}),
        }
        row = _speed_up(runs, ("fast", "slow"), "tuned", 0.25, 1.9)
        assert row["per_seed"] == pytest.approx([2.0, 1.5, 3.0])
        logs = np.log([2.0, 1.5, 3.0])
        limits = stats.t.interval(0.95, 2, loc=logs.mean(), scale=stats.sem(logs))
        assert row["value"] == pytest.approx(stats.gmean([2.0, 1.5, 3.0]))
        assert (row["low"], row["high"]) == pytest.approx(tuple(np.exp(limits)))
        assert (row["seeds"], row["of"], row["bounds"], row["theory"]) == (3, 3, 0, 1.9)
