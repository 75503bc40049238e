"""Kernels of several outputs: closed forms, enumeration, an independent Jacobian, Monte Carlo."""

import pytest
import torch
from torch import nn

from robustbench_zosam.errors import InputError
from robustbench_zosam.nzk import (
    FlatModel,
    ProbeDistribution,
    ntk,
    nzk_empirical,
    nzk_expected,
    nzk_expected_linear,
    nzk_monte_carlo,
)

N, D, C = 4, 3, 2
ALL = {
    "gaussian": ProbeDistribution("gaussian", scale=0.5),
    "rademacher": ProbeDistribution("rademacher"),
    "laplace": ProbeDistribution("laplace", scale=0.605),
    "sphere": ProbeDistribution("sphere"),
    "shifted": ProbeDistribution("gaussian", mean=0.4),
}


def linear(outputs=C):
    return nn.Linear(D, outputs, bias=False)


def network(outputs=C):
    torch.manual_seed(3)
    return nn.Sequential(nn.Linear(D, 4), nn.Tanh(), nn.Linear(4, outputs))


def data(n=N):
    return torch.randn(n, D, generator=torch.Generator().manual_seed(0)).double()


def jacobian_of(model, x):
    """Returns the Jacobian by one backward pass for each output, (nC, d)."""
    model = model.double()
    weights = list(model.parameters())
    rows = [
        torch.autograd.grad(value, weights, retain_graph=True)
        for one in x
        for value in model(one[None])[0]
    ]
    return torch.stack([torch.cat([part.flatten() for part in row]) for row in rows])


def false_alarm_limit(tests, alpha=1e-4):
    """The number of standard errors that `tests` normal means exceed with probability alpha."""
    return float(torch.distributions.Normal(0, 1).icdf(torch.tensor(1 - alpha / (2 * tests))))


@pytest.mark.parametrize("shared", [True, False], ids=["shared", "independent"])
@pytest.mark.parametrize("name", ALL)
def test_monte_carlo_agrees_with_the_closed_form_of_a_linear_classifier(name, shared):
    x = data()
    found = nzk_monte_carlo(linear(), x, ALL[name], shared=shared, draws=20_000, seed=7)
    theory = nzk_expected_linear(x, ALL[name], shared=shared, outputs=C)
    coupling = torch.einsum("icid->cd", theory.view(N, C, N, C))
    limit = false_alarm_limit(64 + 4 + 1)
    assert ((found.value - theory).abs() <= limit * found.se).all()
    assert ((found.coupling - coupling).abs() <= limit * found.coupling_se).all()
    assert abs(found.trace - theory.trace().item()) <= limit * found.trace_se
    assert found.trace_se < 0.05 * found.trace  # narrow enough to tell the factors apart
    assert found.outputs == C


def test_the_kernel_of_a_linear_classifier_is_that_of_one_output_in_every_block():
    x, gaussian = data(), ProbeDistribution("gaussian")
    jacobian = torch.zeros(N, C, C, D, dtype=torch.float64)
    for c in range(C):
        jacobian[:, c, c] = x
    jacobian = jacobian.view(N * C, C * D)
    for directions in ALL.values():
        for shared in (True, False):
            assert torch.allclose(
                nzk_expected_linear(x, directions, shared=shared, outputs=C),
                nzk_expected(jacobian, directions, shared=shared),
            )
    blocks = nzk_expected_linear(x, gaussian, shared=True, outputs=C).view(N, C, N, C)
    factor = C * D + 2  # of all weights, those of the other output included
    assert torch.allclose(blocks[:, 0, :, 0], factor * x @ x.T)
    assert torch.equal(blocks[:, 0, :, 1], torch.zeros(N, N, dtype=torch.float64))
    mean = nzk_expected_linear(x, ALL["shifted"], shared=False, outputs=C).view(N, C, N, C)
    assert mean[:, 0, :, 1].abs().max() > 0.1  # a mean couples the outputs


def test_two_outputs_by_hand():
    x = torch.tensor([[1.0, 2.0]])
    z, zeta = torch.tensor([[1.0, 1.0, 0.0, 2.0]]), torch.tensor([[2.0, 0.0, 1.0, 0.0]])
    # W = [[w0, w1], [w2, w3]]: D_ζ f = (2, 1), D_z f = (3, 4), ⟨ζ, z⟩ = 2
    expected = torch.tensor([[[12.0, 16.0], [6.0, 8.0]]]).double()
    assert torch.allclose(nzk_empirical(nn.Linear(2, 2, bias=False), x, z, zeta), expected)


def test_averaging_over_all_sign_vectors_is_the_expectation_and_its_error_exactly():
    signs = torch.cartesian_prod(*[torch.tensor([-1.0, 1.0])] * (C * D)).double()
    x, rademacher = data(), ProbeDistribution("rademacher")
    kernels = nzk_empirical(linear(), x, signs)
    theory = nzk_expected_linear(x, rademacher, shared=True, outputs=C)
    assert torch.allclose(kernels.mean(dim=0), theory)
    couplings = torch.einsum("kicid->kcd", kernels.view(-1, N, C, N, C))
    draws = 6000
    found = nzk_monte_carlo(linear(), x, rademacher, shared=True, draws=draws)
    # a standard deviation from 6000 draws is known to about 2 %
    for errors, values in ((found.se, kernels), (found.coupling_se, couplings)):
        exact = values.std(dim=0, correction=0) / draws**0.5
        assert torch.allclose(errors, exact, rtol=0.1, atol=1e-6)


def test_monte_carlo_is_the_mean_and_standard_error_of_its_kernels():
    x, model, directions = data(), network(), ProbeDistribution()
    found = nzk_monte_carlo(model, x, directions, shared=True, draws=2, seed=1)
    assert found.coupling.trace().item() == pytest.approx(found.trace)
    blocks = found.value.view(N, C, N, C)
    assert torch.allclose(found.coupling, torch.einsum("icid->cd", blocks))
    again = nzk_monte_carlo(model, x, directions, shared=True, draws=2, seed=1, epsilon=None)
    assert torch.allclose(found.value, again.value, rtol=1e-6, atol=1e-6)


def test_jacobian_and_tangent_kernel_are_those_of_another_route():
    model, x = network(3), data()
    jacobian = jacobian_of(model, x)
    flat = FlatModel(model)
    assert torch.allclose(flat.jacobian(flat.start(), x), jacobian)
    assert torch.allclose(ntk(model, x), jacobian @ jacobian.T)


@pytest.mark.parametrize("shared", [True, False], ids=["shared", "independent"])
def test_at_fixed_weights_the_closed_form_holds_for_a_network(shared):
    model, x, directions = network(3), data(), ProbeDistribution()
    found = nzk_monte_carlo(model, x, directions, shared=shared, draws=20_000, seed=2)
    theory = nzk_expected(jacobian_of(model, x), directions, shared=shared)
    assert ((found.value - theory).abs() <= false_alarm_limit(144) * found.se).all()
    between = theory.view(N, 3, N, 3)[:, 0, :, 1]
    assert between.abs().max() > 10 * found.se.max() or not shared  # outputs share the first layer


def test_differences_approach_the_exact_derivatives():
    model, x = network(), data()
    size = sum(p.numel() for p in model.parameters())
    z = torch.randn(3, size, generator=torch.Generator().manual_seed(0))
    exact = nzk_empirical(model, x, z, epsilon=None)
    errors = [
        (nzk_empirical(model, x, z, epsilon=e) - exact).abs().max().item() for e in (1e-2, 1e-3)
    ]
    assert errors[0] / errors[1] == pytest.approx(100, rel=0.05)  # second order


def test_one_output_with_and_without_its_axis_is_the_same_to_the_bit():
    x, directions = data(), ProbeDistribution()
    column = network(1)
    vector = nn.Sequential(*column, nn.Flatten(0))
    for shared in (True, False):
        one, other = (
            nzk_monte_carlo(model, x, directions, shared=shared, draws=600)
            for model in (column, vector)
        )
        assert torch.equal(one.value, other.value)
        assert torch.equal(one.se, other.se)
        assert one.outputs == 1
        assert one.coupling.item() == pytest.approx(one.trace)
        assert one.coupling_se.item() == pytest.approx(one.trace_se, rel=1e-6)
    assert torch.equal(
        nzk_expected_linear(x, directions, shared=True, outputs=1),
        nzk_expected_linear(x, directions, shared=True),
    )


def test_a_network_of_one_output_gives_one_block_of_a_network_of_several():
    model, x = network(3), data()
    whole = ntk(model, x).view(N, 3, N, 3)
    flat = FlatModel(model, classes=(2, 0))
    jacobian = flat.jacobian(flat.start(), x)
    chosen = (jacobian @ jacobian.T).view(N, 2, N, 2)
    assert torch.allclose(chosen, whole[:, [2, 0]][:, :, :, [2, 0]])


def test_pruned_weights_are_no_directions():
    """A layer that has lost a column is the dense layer without that input."""
    torch.manual_seed(0)
    sparse, dense = linear(), nn.Linear(D - 1, C, bias=False)
    mask = torch.ones(C, D, dtype=torch.bool)
    mask[:, 1] = False
    with torch.no_grad():
        dense.weight.copy_(sparse.weight[:, [0, 2]])
    model, x = FlatModel(sparse, masks={"weight": mask}), data()
    assert (model.dimension, model.size) == (C * (D - 1), C * D)
    other = FlatModel(dense)
    assert torch.allclose(
        model.jacobian(model.start(), x), other.jacobian(other.start(), x[:, [0, 2]])
    )
    points = torch.randn(5, model.dimension, dtype=torch.float64)
    assert torch.allclose(model.outputs(points, x), other.outputs(points, x[:, [0, 2]]))


def test_working_in_parts_changes_nothing(monkeypatch):
    model, x = FlatModel(network()), data()
    points, y = torch.randn(7, model.dimension, dtype=torch.float64), torch.zeros(N, C).double()
    calls = (
        lambda: model.outputs(points, x),
        lambda: model.jacobian(points[0], x),
        lambda: model.loss_gradients(points, x, y),
    )
    whole = [call() for call in calls]
    monkeypatch.setattr("robustbench_zosam.nzk.functional.BLOCK", 2 * model.size)
    for one, call in zip(whole, calls, strict=True):
        assert torch.allclose(one, call())


def test_what_does_not_fit_in_memory_is_refused_in_one_sentence(monkeypatch):
    monkeypatch.setattr("robustbench_zosam.nzk.memory.memory_bytes", lambda: 2000)
    x, directions = data(), ProbeDistribution()
    for call in (
        lambda: ntk(network(3), x),
        lambda: nzk_empirical(linear(), x, torch.ones(3, C * D)),
        lambda: nzk_monte_carlo(linear(), x, directions, shared=True, draws=2),
        lambda: nzk_expected_linear(x, directions, shared=True, outputs=C),
        lambda: nzk_expected(torch.ones(N * C, D), directions, shared=True),
    ):
        with pytest.raises(InputError, match=r"needs .* GiB, more than half .* fewer outputs"):
            call()


@pytest.mark.parametrize(
    ("call", "needle"),
    [
        (
            lambda: FlatModel(linear(), classes=(0, 2)).width(data()),
            r"classes is \[0, 2\]: give different numbers from 0 to 1",
        ),
        (lambda: FlatModel(linear(), classes=(0, 0)).width(data()), "give different numbers"),
        (
            lambda: FlatModel(linear(), masks={"bias": torch.ones(2)}),
            "no such parameter of this shape",
        ),
        (
            lambda: FlatModel(linear(), masks={"weight": torch.zeros(C, D)}),
            "the masks prune every weight",
        ),
        (
            lambda: nzk_expected_linear(data(), ALL["sphere"], shared=True, outputs=0),
            "outputs is 0",
        ),
    ],
)
def test_bad_input_is_one_sentence(call, needle):
    with pytest.raises(InputError, match=needle):
        call()
