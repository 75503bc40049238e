"""Predicted evolution against hand-computed cases, scipy, simulation and training."""

import math

import pytest
import torch
from scipy.linalg import expm
from torch import nn

from robustbench_zosam.errors import InputError
from robustbench_zosam.nzk import (
    UPDATES,
    FlatModel,
    ProbeDistribution,
    Regression,
    evolve,
    evolve_flow,
    expected_loss,
    nzk_empirical,
    nzk_expected_linear,
    stable_rate,
    train,
    update_moments,
)
from robustbench_zosam.nzk.functional import squared_loss
from robustbench_zosam.nzk.measure import homogeneity, through_training
from robustbench_zosam.nzk.problems import Problem, synthetic_linear
from robustbench_zosam.nzk.tuning import choose, common_target, passage, speed_up

N, D = 12, 4
GAUSSIAN = ProbeDistribution("gaussian")


def regression(dimension=D, seed=0):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(N, dimension, generator=generator, dtype=torch.float64)
    y = torch.randn(N, generator=generator, dtype=torch.float64)
    return Regression(FlatModel(nn.Linear(dimension, 1, bias=False)), x, y)


def test_one_sample_by_hand():
    # K = 2, n = 1, lr = 1/4: the error halves each step
    found = evolve(torch.tensor([[2.0]]), torch.tensor([5.0]), torch.tensor([1.0]), 0.25, [0, 1, 2])
    assert found.flatten().tolist() == pytest.approx([5, 3, 2])
    flow = evolve_flow(torch.tensor([[2.0]]), torch.tensor([5.0]), torch.tensor([1.0]), [0.5])
    assert flow.item() == pytest.approx(1 + 4 * math.exp(-1))


def test_evolution_is_the_recursion_and_its_flow_the_matrix_exponential():
    task = regression()
    kernel = nzk_expected_linear(task.inputs, GAUSSIAN, shared=True)
    outputs = start = torch.linspace(-1, 1, N, dtype=torch.float64)
    lr = 0.3 * stable_rate(kernel)
    for _ in range(7):
        outputs = outputs - lr / N * kernel @ (outputs - task.targets)
    assert torch.allclose(evolve(kernel, start, task.targets, lr, [7])[0], outputs)
    decay = torch.from_numpy(expm(-0.4 * kernel.numpy() / N))
    flow = task.targets + decay @ (start - task.targets)
    assert torch.allclose(evolve_flow(kernel, start, task.targets, [0.4])[0], flow)
    fine = evolve(kernel, start, task.targets, 0.4 / 100_000, [100_000])[0]
    assert torch.allclose(fine, flow, rtol=1e-4, atol=1e-5)


def test_the_stable_rate_divides_decay_from_growth():
    kernel = torch.diag(torch.tensor([4.0, 1.0]))
    one, zero = torch.ones(2), torch.zeros(2)
    limit = stable_rate(kernel)
    assert limit == 1.0
    assert evolve(kernel, one, zero, 0.99 * limit, [400]).norm() < 0.01
    assert evolve(kernel, one, zero, 1.01 * limit, [400]).norm() > 100


def test_a_step_changes_the_outputs_by_the_kernel_of_its_directions():
    task, lr = regression(), 0.01
    module = nn.Linear(D, 1, bias=False)
    drawn = []

    class Remembering(ProbeDistribution):
        def sample(self, *arguments):
            drawn.append(super().sample(*arguments))
            return drawn[-1]

    start = torch.ones(1, D, dtype=torch.float64)
    runs = train(
        task, start, {"shared": [lr], "independent": [lr], "plain": [lr]},
        seeds=[5], steps=1, directions=Remembering(), keep=[0, 1],
    )  # fmt: skip
    z, zeta = (block[:1] for block in drawn[:2])
    before = task.inputs @ start[0]
    kernels = {
        "shared": nzk_empirical(module, task.inputs, z)[0],
        "independent": nzk_empirical(module, task.inputs, z, zeta)[0],
        "plain": torch.outer(*[task.inputs @ z[0]] * 2),
    }
    for update, kernel in kernels.items():
        after = task.inputs @ runs[update].points[1][0, 0]
        change = -lr / N * kernel @ (before - task.targets)
        assert torch.allclose(after - before, change, rtol=1e-6, atol=1e-9)


def test_with_equal_lengths_the_shared_vector_is_plain_descent_with_another_rate():
    task, directions = regression(), ProbeDistribution("sphere")
    starts = torch.ones(2, D, dtype=torch.float64)
    runs = train(
        task, starts, {"shared": [0.01], "plain": [0.01 * D]},
        seeds=[0, 1], steps=50, directions=directions,
    )  # fmt: skip
    assert torch.allclose(runs["shared"].losses, runs["plain"].losses, rtol=1e-6)
    assert runs["plain"].losses[-1].max() < runs["plain"].losses[0].min()


def test_first_order_training_is_the_exact_recursion():
    task = regression()
    start = torch.ones(1, D, dtype=torch.float64)
    kernel = task.inputs @ task.inputs.T
    lr = 0.4 * stable_rate(kernel)
    run = train(task, start, {"first-order": [lr]}, seeds=[0], steps=30, directions=GAUSSIAN)
    path = evolve(kernel, task.inputs @ start[0], task.targets, lr, range(31))
    assert torch.allclose(run["first-order"].losses[:, 0, 0], squared_loss(path, task.targets))
    again = expected_loss(
        task.inputs, task.inputs @ start[0], task.targets, GAUSSIAN, "first-order", [lr], range(31)
    )
    assert torch.allclose(run["first-order"].losses[:, 0, 0], again[0])


@pytest.mark.parametrize("name", ["gaussian", "sphere"])
@pytest.mark.parametrize("update", UPDATES[:3])
def test_moments_of_the_updates(update, name):
    generator, directions = torch.Generator().manual_seed(1), ProbeDistribution(name, scale=0.8)
    z, zeta = (directions.sample(100_000, D, generator) for _ in range(2))
    outer = z[:, :, None] * z[:, None, :]
    if update == "shared":
        outer *= z.square().sum(dim=1)[:, None, None]
    if update == "independent":
        outer = zeta[:, :, None] * (zeta * z).sum(dim=1)[:, None, None] * z[:, None, :]
    a = torch.diag(torch.tensor([1.0, 2.0, 0.0, -0.5]).double()) + 0.3
    products = outer @ a @ outer.mT
    kappa, alpha, beta = update_moments(update, directions, D)
    eye = torch.eye(D, dtype=torch.float64)
    for values, theory in ((outer, kappa * eye), (products, alpha * a + beta * a.trace() * eye)):
        se = values.std(dim=0) / len(values) ** 0.5
        # 32 entries, 4.7 standard errors: false alarm below 1e-4 for near-normal means
        assert ((values.mean(dim=0) - theory).abs() < 4.7 * se + 1e-12).all()


@pytest.mark.parametrize("update", UPDATES[:3])
def test_predicted_and_measured_loss_overlap(update):
    task, seeds = regression(), range(300)
    starts = torch.ones(1, D, dtype=torch.float64).repeat(300, 1)
    kappa = update_moments(update, GAUSSIAN, D)[0]
    lr = 0.02 * stable_rate(kappa * task.inputs @ task.inputs.T)
    run = train(
        task, starts, {update: [lr]}, seeds=seeds, steps=40, directions=GAUSSIAN
    )[update]  # fmt: skip
    losses = run.losses[..., 0]
    theory = expected_loss(
        task.inputs, task.inputs @ starts[0], task.targets, GAUSSIAN, update, [lr], run.steps
    )[0]
    se = losses.std(dim=1) / 300**0.5
    # 41 correlated points of near-normal means, 4.5 standard errors: false alarm below 3e-4
    assert ((losses.mean(dim=1) - theory).abs() <= 4.5 * se + 1e-9).all()
    mean_path = evolve(
        kappa * task.inputs @ task.inputs.T, task.inputs @ starts[0], task.targets, lr, run.steps
    )
    below = squared_loss(mean_path, task.targets)
    assert (below <= theory + 1e-12).all()  # the loss is convex
    assert theory[-1] < 0.9 * theory[0]  # and something was learnt


def test_the_measured_kernel_of_a_linear_model_is_constant_through_training():
    problem = synthetic_linear(n=20, dimension=4)
    lr = 0.1 * stable_rate(
        nzk_expected_linear(problem.regression.inputs, GAUSSIAN, shared=True)
    )  # fmt: skip
    run = train(
        problem.regression, problem.starts([0]), {"shared": [lr]}, seeds=[0], steps=100,
        directions=GAUSSIAN, keep=[0, 1, 10, 100],
    )["shared"]  # fmt: skip
    assert run.losses[-1] < 0.1 * run.losses[0]
    points = {step: kept[0, 0] for step, kept in run.points.items()}
    found = through_training(problem, points, GAUSSIAN, draws=4000, seed=0)
    for name in ("shared", "independent"):
        test = found[name]["constant"]
        assert test["p"] > 1e-3  # the false-alarm rate; the seed is fixed
        assert abs(test["mean"] - 1) < 4 * test["se"]
        assert found[name]["theory"] == pytest.approx([1.0] * 4)


def test_a_kernel_that_moves_is_noticed():
    torch.manual_seed(0)
    task = regression()
    module = nn.Sequential(nn.Linear(D, 3), nn.Tanh(), nn.Linear(3, 1))
    model = FlatModel(module)
    problem = Problem("moving", "Moving", "", True, Regression(model, task.inputs, task.targets))
    points = {0: model.start(), 1: 3 * model.start()}
    found = through_training(problem, points, GAUSSIAN, draws=4000, seed=0)
    assert found["shared"]["constant"]["p"] < 1e-6
    assert abs(found["ntk_trace"][1] - 1) > 0.5
    errors = zip(found["shared"]["measured"], found["shared"]["theory"], strict=True)
    for (measured, theory), se in zip(errors, found["shared"]["se"], strict=True):
        assert abs(measured - theory) < 4 * se


def test_homogeneity_by_hand():
    found = homogeneity([1.0, 3.0], [1.0, 1.0])
    assert (found["mean"], found["chi2"], found["df"]) == (2.0, 2.0, 1)
    assert found["p"] == pytest.approx(0.157299, abs=1e-6)


def test_the_directions_of_a_seed_depend_on_nothing_else():
    task = regression()
    starts = torch.ones(2, D, dtype=torch.float64)
    both = train(
        task, starts, {"shared": [0.001, 0.002], "plain": [0.01, 0.02]},
        seeds=[3, 8], steps=70, directions=GAUSSIAN,
    )  # fmt: skip
    alone = train(task, starts[:1], {"plain": [0.02]}, seeds=[8], steps=65, directions=GAUSSIAN)
    assert torch.allclose(alone["plain"].losses[:66, 0, 0], both["plain"].losses[:66, 1, 1])


def test_passages_and_speed_ups_by_hand():
    slow, fast = torch.tensor([8.0, 4.0, 2.0, 1.0]), torch.tensor([8.0, 2.0, 0.5, 0.125])
    assert passage([0, 1, 2, 3], fast, 1.0) == pytest.approx(1.5)
    assert passage([0, 1, 2, 3], slow, 0.5) is None
    assert speed_up([0, 1, 2, 3], fast, slow) == (pytest.approx(2.0), False)
    assert speed_up([0, 1, 2, 3], slow, fast) == (pytest.approx(0.5), False)
    assert speed_up([0, 1, 2, 3], fast, slow, target=0.25) == (pytest.approx(3 / 2.5), True)


def test_tuning_takes_the_rate_that_gets_there_first_and_stays():
    curves = torch.tensor([
        [8.0, 8.0, 8.0], [4.0, 1.0, 0.5], [2.0, 0.5, 1e9],
    ])[:, None].double()  # fmt: skip
    choice = choose([0, 1, 2], curves, 1.0)
    assert (choice.index, choice.passage, choice.at_edge) == (1, 1.0, False)
    assert common_target({"a": curves, "b": 2 * curves}) == pytest.approx(1.0)
    with pytest.raises(InputError, match="b diverged"):
        common_target({"a": curves, "b": math.inf * curves})


@pytest.mark.parametrize(
    ("call", "needle"),
    [
        (lambda: evolve(torch.ones(2, 3), torch.ones(2), torch.ones(2), 0.1, [1]), "kernel has"),
        (
            lambda: evolve(torch.tensor([[1.0, 2.0], [0.0, 1.0]]), *[torch.ones(2)] * 2, 0.1, [1]),
            "not symmetric",
        ),
        (lambda: stable_rate(torch.zeros(2, 2)), "kernel is zero"),
        (lambda: update_moments("both", GAUSSIAN, 3), "update is 'both'"),
        (
            lambda: train(regression(), torch.ones(1, 3), {"plain": [0.1]}, seeds=[0], steps=1,
                          directions=GAUSSIAN),
            "starts have shape",
        ),
        (
            lambda: train(regression(), torch.ones(1, D), {"plain": [0.1], "shared": []},
                          seeds=[0], steps=1, directions=GAUSSIAN),
            "different numbers of learning rates",
        ),
        (
            lambda: train(regression(), torch.ones(1, D), {"plain": [-0.1]}, seeds=[0], steps=1,
                          directions=GAUSSIAN),
            "lr is -0.1",
        ),
    ],
)  # fmt: skip
def test_bad_input_is_one_sentence(call, needle):
    with pytest.raises(InputError, match=needle):
        call()
