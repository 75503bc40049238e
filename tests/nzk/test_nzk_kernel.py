"""Measured kernels against closed forms, hand-computed cases and an independent oracle."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.func import functional_call, jacrev

from robustbench_zosam.errors import InputError
from robustbench_zosam.nzk import (
    ProbeDistribution,
    ntk,
    nzk_empirical,
    nzk_expected,
    nzk_expected_linear,
    nzk_monte_carlo,
)

D = 5
ALL = {
    "gaussian": ProbeDistribution("gaussian", scale=0.5),
    "rademacher": ProbeDistribution("rademacher"),
    "uniform": ProbeDistribution("uniform", scale=1.5),
    "laplace": ProbeDistribution("laplace", scale=0.605),
    "student": ProbeDistribution("student", freedom=10.0),
    "sphere": ProbeDistribution("sphere"),
    "coordinate": ProbeDistribution("coordinate", scale=0.7),
    "shifted": ProbeDistribution("gaussian", mean=0.4),
}


def linear(dimension=D):
    return nn.Linear(dimension, 1, bias=False)


def data(n=6, dimension=D, seed=0):
    return torch.randn(n, dimension, generator=torch.Generator().manual_seed(seed)).double()


def network():
    torch.manual_seed(3)
    return nn.Sequential(nn.Linear(D, 4), nn.Tanh(), nn.Linear(4, 1))


def false_alarm_limit(tests, alpha=1e-4):
    """The number of standard errors that `tests` normal means exceed with probability alpha."""
    return float(torch.distributions.Normal(0, 1).icdf(torch.tensor(1 - alpha / (2 * tests))))


@pytest.mark.parametrize("shared", [True, False], ids=["shared", "independent"])
@pytest.mark.parametrize("name", ALL)
def test_monte_carlo_agrees_with_the_closed_form(name, shared):
    # 36 entries and a trace: one false alarm in 10,000 runs of a case, for the fixed seed never
    x = data()
    found = nzk_monte_carlo(linear(), x, ALL[name], shared=shared, draws=20_000, seed=7)
    theory = nzk_expected_linear(x, ALL[name], shared=shared)
    limit = false_alarm_limit(37)
    assert ((found.value - theory).abs() <= limit * found.se).all()
    assert abs(found.trace - theory.trace().item()) <= limit * found.trace_se
    assert found.trace_se < 0.05 * found.trace  # narrow enough to tell the factors apart


def test_the_false_alarm_rate_is_as_stated():
    # standard errors are honest: over 200 seeds, deviations in units of them are standard normal
    x, directions = data(), ProbeDistribution("rademacher")
    theory = nzk_expected_linear(x, directions, shared=False).trace().item()
    deviations = []
    for seed in range(200):
        found = nzk_monte_carlo(
            linear(), x, directions, shared=False, draws=400, seed=seed, epsilon=None
        )
        deviations.append((found.trace - theory) / found.trace_se)
    z = torch.tensor(deviations)
    # χ² with 200 degrees of freedom has standard deviation 20; 4 of them: false alarm below 1e-3
    assert abs(z.square().sum().item() - 200) < 4 * 20
    assert abs(z.mean().item()) < 4 / math.sqrt(200)


@pytest.mark.parametrize(
    ("directions", "factor"),
    [
        (ProbeDistribution("gaussian"), D + 2),
        (ProbeDistribution("gaussian", scale=0.5), (D + 2) / 16),
        (ProbeDistribution("rademacher"), D),
        (ProbeDistribution("laplace", scale=0.5), (4 * D + 20) / 16),
        (ProbeDistribution("student", freedom=10.0), 6.25 + (D - 1) * 1.5625),
        (ProbeDistribution("uniform"), D + 0.8),
        (ProbeDistribution("sphere"), D),
        (ProbeDistribution("coordinate"), D),
    ],
)
def test_shared_factors_are_the_published_ones(directions, factor):
    x = data()
    assert torch.allclose(nzk_expected_linear(x, directions, shared=True), factor * x @ x.T)


@pytest.mark.parametrize("name", ["gaussian", "rademacher", "uniform", "laplace", "student"])
def test_moments_of_the_samples(name):
    directions = ALL[name]
    drawn = directions.sample(40_000, 5, torch.Generator().manual_seed(0)).flatten()
    m2, m4 = directions.entry_moments
    for power, moment in ((2, m2), (4, m4)):
        values = drawn**power
        # 200,000 entries; 5 standard errors: false alarm below 1e-5 (student's m8 exists at ν = 10)
        assert abs(values.mean() - moment) < 5 * values.std() / math.sqrt(len(values)) + 1e-12


@pytest.mark.parametrize("name", ["sphere", "coordinate"])
def test_whole_directions_have_their_length(name):
    drawn = ProbeDistribution(name, scale=2.0).sample(50, 9, torch.Generator().manual_seed(0))
    assert torch.allclose(drawn.norm(dim=1), torch.full((50,), 6.0, dtype=torch.float64))


class Cubes(nn.Module):
    """f(x) = Σ x_i w_i³, whose differences tell their step."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([1.0, -2.0]))

    def forward(self, x):
        return x @ self.weight[:, None] ** 3


def test_both_factors_of_a_kernel_are_differences_of_the_given_step():
    x, step = torch.tensor([[1.0, 2.0], [3.0, -1.0]]), 0.5
    z, zeta = torch.tensor([[1.0, 1.0]]), torch.tensor([[2.0, -1.0]])
    module = Cubes().double()
    w = module.weight.detach()

    def slope(direction):  # ((w + εu)³ − (w − εu)³) / 2ε = 3 w² u + ε² u³
        u = direction[0].double()
        return x.double() @ (3 * w**2 * u + step**2 * u**3)

    expected = float(zeta @ z.T) * torch.outer(slope(zeta), slope(z))
    found = nzk_empirical(module, x.double(), z, zeta, epsilon=step)
    assert torch.allclose(found[0], expected, rtol=1e-10)


def test_no_directions_are_refused_by_name():
    with pytest.raises(InputError, match="count"):
        ProbeDistribution().sample(0, 3, torch.Generator())


def test_a_kernel_by_hand():
    x = torch.tensor([[1.0, 2.0], [3.0, -1.0]])
    z, zeta = torch.tensor([[1.0, 1.0]]), torch.tensor([[2.0, 0.0]])
    # D_ζ f = (2, 6), D_z f = (3, 2), ⟨ζ, z⟩ = 2
    expected = torch.tensor([[[12.0, 8.0], [36.0, 24.0]]]).double()
    assert torch.allclose(nzk_empirical(linear(2), x, z, zeta), expected)
    # ζ = z: D_z f = (3, 2), ‖z‖² = 2
    shared = torch.tensor([[[18.0, 12.0], [12.0, 8.0]]]).double()
    assert torch.allclose(nzk_empirical(linear(2), x, z), shared)


def test_averaging_over_all_sign_vectors_is_the_expectation_exactly():
    signs = torch.cartesian_prod(*[torch.tensor([-1.0, 1.0])] * 3)
    x, rademacher = data(4, 3), ProbeDistribution("rademacher")
    shared = nzk_empirical(linear(3), x, signs).mean(dim=0)
    assert torch.allclose(shared, nzk_expected_linear(x, rademacher, shared=True))
    pairs = torch.cartesian_prod(torch.arange(8), torch.arange(8))
    both = nzk_empirical(linear(3), x, signs[pairs[:, 0]], signs[pairs[:, 1]]).mean(dim=0)
    assert torch.allclose(both, nzk_expected_linear(x, rademacher, shared=False))


def test_monte_carlo_is_the_mean_and_standard_error_of_its_kernels(monkeypatch):
    x, model = data(), network()
    found = nzk_monte_carlo(model, x, ProbeDistribution(), shared=True, draws=700, seed=1)
    drawn = []
    sample = ProbeDistribution.sample

    def remember(self, *arguments):
        drawn.append(sample(self, *arguments))
        return drawn[-1]

    monkeypatch.setattr(ProbeDistribution, "sample", remember)
    nzk_monte_carlo(model, x, ProbeDistribution(), shared=True, draws=700, seed=1)
    kernels = nzk_empirical(model, x, torch.cat(drawn))
    assert torch.allclose(found.value, kernels.mean(dim=0))
    assert torch.allclose(found.se, kernels.std(dim=0) / 700**0.5)
    traces = kernels.diagonal(dim1=1, dim2=2).sum(dim=1)
    assert found.trace == pytest.approx(traces.mean().item())
    assert found.trace_se == pytest.approx(traces.std().item() / 700**0.5)


def test_the_tangent_kernel_is_that_of_an_independent_jacobian():
    model, x = network().double(), data()
    weights = dict(model.named_parameters())
    blocks = jacrev(lambda w: functional_call(model, w, (x,)).squeeze(-1))(weights)
    jacobian = torch.cat([block.flatten(1) for block in blocks.values()], dim=1)
    assert torch.allclose(ntk(model, x), jacobian @ jacobian.T)


def test_at_fixed_weights_the_closed_form_holds_for_a_network():
    model, x = network(), data()
    size = sum(p.numel() for p in model.parameters())
    found = nzk_monte_carlo(model, x, ProbeDistribution(), shared=True, draws=20_000, seed=2)
    theory = (size + 2) * ntk(model, x)
    assert ((found.value - theory).abs() <= false_alarm_limit(36) * found.se).all()


def test_differences_approach_the_exact_derivatives():
    model, x = network(), data()
    size = sum(p.numel() for p in model.parameters())
    z = torch.randn(3, size, generator=torch.Generator().manual_seed(0))
    exact = nzk_empirical(model, x, z, epsilon=None)
    errors = [
        (nzk_empirical(model, x, z, epsilon=e) - exact).abs().max().item() for e in (1e-2, 1e-3)
    ]
    assert errors[0] / errors[1] == pytest.approx(100, rel=0.05)  # second order


@settings(max_examples=25, deadline=None)
@given(
    name=st.sampled_from(sorted(ALL)),
    n=st.integers(1, 5),
    dimension=st.integers(1, 6),
    shared=st.booleans(),
)
def test_expected_kernels_are_symmetric_and_positive(name, n, dimension, shared):
    kernel = nzk_expected(data(n, dimension), ALL[name], shared=shared)
    assert torch.equal(kernel, kernel.T)
    assert torch.linalg.eigvalsh(kernel)[0] > -1e-9 * kernel.abs().max()


def test_the_module_stays_as_it_was():
    model, x = network().train(), data()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    nzk_monte_carlo(model, x, ProbeDistribution(), shared=False, draws=10)
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(value.grad is None for value in model.parameters())


@pytest.mark.parametrize(
    ("call", "needle"),
    [
        (lambda: ProbeDistribution("gausian"), "directions is 'gausian'"),
        (lambda: ProbeDistribution(scale=0.0), "scale is 0.0"),
        (lambda: ProbeDistribution("student", freedom=4.0), "freedom is 4.0"),
        (lambda: ProbeDistribution("sphere", mean=1.0), "sphere directions have none"),
        (lambda: ProbeDistribution("laplace").quartic(3), "no closed form here for laplace"),
        (lambda: nzk_empirical(linear(), data(), torch.ones(2, 4)), r"z has shape \(2, 4\)"),
        (lambda: nzk_empirical(linear(), data(), torch.full((1, D), math.nan)), "z holds NaN"),
        (
            lambda: nzk_empirical(linear(), data(), torch.ones(2, D), torch.ones(1, D)),
            "zeta has 1 directions and z 2",
        ),
        (
            lambda: nzk_empirical(
                nn.Sequential(nn.Linear(D, 6), nn.Unflatten(1, (2, 3))), data(), torch.ones(1, 36)
            ),
            r"the model returns shape \(1, 2, 3\) for 1 inputs",
        ),
        (lambda: ntk(nn.ReLU(), data()), "no parameters"),
        (lambda: ntk(linear(), torch.ones(D)), "inputs have shape"),
        (lambda: ntk(linear(), torch.full((2, D), math.inf)), "NaN or infinite"),
        (
            lambda: nzk_monte_carlo(linear(), data(), ProbeDistribution(), shared=True, draws=1),
            "draws is 1",
        ),
        (lambda: nzk_empirical(linear(), data(), torch.ones(1, D), epsilon=0), "epsilon is 0"),
        (
            lambda: nzk_expected(torch.ones(3), ProbeDistribution(), shared=True),
            "the Jacobian has shape",
        ),
        (
            lambda: nzk_expected(
                data(), ProbeDistribution(), shared=True, zeta=ProbeDistribution()
            ),
            "zeta is given although it is shared",
        ),
    ],
)
def test_bad_input_is_one_sentence(call, needle):
    with pytest.raises(InputError, match=needle):
        call()
