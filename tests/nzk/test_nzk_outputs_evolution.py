"""Predicted evolution of several outputs against recursions, simulation and training."""

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
from robustbench_zosam.nzk.evolution import LossModes
from robustbench_zosam.nzk.functional import squared_loss

N, D, C = 9, 3, 2
GAUSSIAN = ProbeDistribution("gaussian")


def task(outputs=C, rows=N):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(rows, D, generator=generator, dtype=torch.float64)
    labels = torch.randint(outputs, (rows,), generator=generator)
    one_hot = nn.functional.one_hot(labels, outputs).double()
    return Regression(FlatModel(nn.Linear(D, outputs, bias=False)), x, one_hot)


def jacobian(x):
    return torch.kron(x, torch.eye(C, dtype=torch.float64))[:, _BY_OUTPUT]


_BY_OUTPUT = [k * C + c for c in range(C) for k in range(D)]  # the order of W.flatten()


def test_the_jacobian_of_these_tests_is_that_of_the_model():
    problem = task()
    found = problem.model.jacobian(problem.model.start(), problem.inputs)
    assert torch.allclose(found, jacobian(problem.inputs))


def test_the_loss_sums_over_outputs_and_averages_over_examples():
    outputs, targets = torch.tensor([[3.0, 0.0], [1.0, 1.0]]), torch.tensor([[1.0, 0.0]] * 2)
    assert squared_loss(outputs, targets).item() == pytest.approx((4 + 1) / 4)
    column = squared_loss(outputs[:, :1], targets[:, :1])
    assert column.item() == squared_loss(outputs[:, 0], targets[:, 0]).item()


def test_evolution_is_the_recursion_and_its_flow_the_matrix_exponential():
    problem = task()
    kernel = nzk_expected_linear(problem.inputs, GAUSSIAN, shared=True, outputs=C)
    start = torch.linspace(-1, 1, N * C, dtype=torch.float64).view(N, C)
    lr, outputs = 0.3 * stable_rate(kernel, outputs=C), start.flatten()
    for _ in range(7):
        outputs = outputs - lr / N * kernel @ (outputs - problem.targets.flatten())
    assert torch.allclose(evolve(kernel, start, problem.targets, lr, [7])[0].flatten(), outputs)
    decay = torch.from_numpy(expm(-0.4 * kernel.numpy() / N))
    flow = problem.targets.flatten() + decay @ (start - problem.targets).flatten()
    assert torch.allclose(evolve_flow(kernel, start, problem.targets, [0.4])[0], flow.view(N, C))


def test_the_stable_rate_divides_decay_from_growth():
    kernel = torch.diag(torch.tensor([4.0, 1.0, 2.0, 0.5]))  # two examples with two outputs
    one, zero = torch.ones(2, 2), torch.zeros(2, 2)
    limit = stable_rate(kernel, outputs=2)
    assert limit == 1.0
    assert evolve(kernel, one, zero, 0.99 * limit, [400]).norm() < 0.05
    assert evolve(kernel, one, zero, 1.01 * limit, [400]).norm() > 100


def test_a_step_changes_all_outputs_by_the_kernel_of_its_directions():
    problem, lr, drawn = task(), 0.01, []

    class Remembering(ProbeDistribution):
        def sample(self, *arguments):
            drawn.append(super().sample(*arguments))
            return drawn[-1]

    start = torch.ones(1, C * D, dtype=torch.float64)
    runs = train(
        problem, start, {"shared": [lr], "independent": [lr]},
        seeds=[5], steps=1, directions=Remembering(), keep=[1],
    )  # fmt: skip
    z, zeta = (block[:1] for block in drawn[:2])
    module = nn.Linear(D, C, bias=False)
    before = problem.model.outputs(start, problem.inputs).flatten()
    for update, other in (("shared", None), ("independent", zeta)):
        kernel = nzk_empirical(module, problem.inputs, z, other)[0]
        after = problem.model.outputs(runs[update].points[1][0], problem.inputs).flatten()
        change = -lr / N * kernel @ (before - problem.targets.flatten())
        assert torch.allclose(after - before, change, rtol=1e-6, atol=1e-9)


def test_first_order_training_is_the_exact_recursion():
    problem = task()
    start = torch.ones(1, C * D, dtype=torch.float64)
    outputs = problem.model.outputs(start, problem.inputs)[0]
    rows = jacobian(problem.inputs)
    lr = 0.4 * stable_rate(rows @ rows.T, outputs=C)
    run = train(problem, start, {"first-order": [lr]}, seeds=[0], steps=30, directions=GAUSSIAN)
    losses = run["first-order"].losses[:, 0, 0]
    path = evolve(rows @ rows.T, outputs, problem.targets, lr, range(31))
    assert torch.allclose(losses, squared_loss(path, problem.targets))
    again = expected_loss(
        rows, outputs, problem.targets, GAUSSIAN, "first-order", [lr], range(31)
    )  # fmt: skip
    assert torch.allclose(losses, again[0])


@pytest.mark.parametrize("update", UPDATES[:3])
def test_predicted_and_measured_loss_overlap(update):
    problem, seeds = task(), range(300)
    starts = torch.ones(1, C * D, dtype=torch.float64).repeat(300, 1)
    outputs = problem.model.outputs(starts[:1], problem.inputs)[0]
    rows = jacobian(problem.inputs)
    kappa = update_moments(update, GAUSSIAN, C * D)[0]
    lr = 0.02 * stable_rate(kappa * rows @ rows.T, outputs=C)
    run = train(
        problem, starts, {update: [lr]}, seeds=seeds, steps=40, directions=GAUSSIAN
    )[update]  # fmt: skip
    losses = run.losses[..., 0]
    theory = expected_loss(rows, outputs, problem.targets, GAUSSIAN, update, [lr], run.steps)[0]
    se = losses.std(dim=1) / 300**0.5
    # 41 correlated points of near-normal means, 4.5 standard errors: false alarm below 3e-4
    assert ((losses.mean(dim=1) - theory).abs() <= 4.5 * se + 1e-9).all()
    mean_path = evolve(kappa * rows @ rows.T, outputs, problem.targets, lr, run.steps)
    of_mean = squared_loss(mean_path, problem.targets)
    assert (of_mean <= theory + 1e-12).all()
    modes = LossModes.of(rows, outputs, problem.targets)
    assert torch.allclose(modes.loss_of_expected(kappa, lr, run.steps), of_mean)
    assert theory[-1] < 0.9 * theory[0]  # and something was learnt


def test_outputs_that_share_no_weight_evolve_as_if_alone():
    """In expectation: their noise does not, since one probe serves all of them."""
    problem = task()
    rows = jacobian(problem.inputs)
    start = torch.zeros(N, C, dtype=torch.float64)
    both = evolve(rows @ rows.T, start, problem.targets, 0.1, [0, 3, 9])
    gram = problem.inputs @ problem.inputs.T
    for c in range(C):
        alone = evolve(gram, start[:, c], problem.targets[:, c], 0.1, [0, 3, 9])
        assert torch.allclose(both[..., c], alone)


@pytest.mark.parametrize(
    ("call", "needle"),
    [
        (lambda: stable_rate(torch.eye(3), outputs=2), "outputs is 2: the kernel has 3 rows"),
        (
            lambda: evolve(torch.eye(4), torch.ones(4, 2), torch.ones(4, 2), 0.1, [1]),
            "8 outputs in all, and the matrix 4 rows",
        ),
        (
            lambda: evolve(torch.eye(4), torch.ones(2, 2), torch.ones(4), 0.1, [1]),
            r"start has shape \(2, 2\) and targets \(4,\)",
        ),
        (
            lambda: Regression(FlatModel(nn.Linear(D, C)), torch.ones(N, D), torch.ones(N)),
            r"the model has 2 outputs for each of 9 inputs, give \(9, 2\)",
        ),
        (
            lambda: Regression(
                FlatModel(nn.Linear(D, 1)), torch.ones(N, D).double(), torch.ones(N, 1)
            ),
            r"give \(9,\)",
        ),
    ],
)
def test_bad_input_is_one_sentence(call, needle):
    with pytest.raises(InputError, match=needle):
        call()
