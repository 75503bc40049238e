"""Which parameters are perturbed: the weights, the normalisation layers, or those of a name."""

import math

import pytest
import torch
from torch import nn

from robustbench_zosam.errors import InputError
from robustbench_zosam.optim import (
    OPTIMIZERS,
    SAM,
    SSAMF,
    ZOSAM,
    GuidedZOSAM,
    RandomPerturbation,
    create_optimizer,
    make_closure,
)
from robustbench_zosam.optim.scope import norm_parameters

PERTURBING = [entry.name for entry in OPTIMIZERS if "rho" in entry.options]
NORMS = ("1.weight", "1.bias", "3.weight", "3.bias")
SCOPES = {
    "norm": NORMS,
    "weights": ("0.weight", "2.weight", "5.weight"),
    "5": ("5.weight", "5.bias"),
    "*.bias": ("1.bias", "3.bias", "5.bias"),
}
QUICK = {"interval": 2, "samples": 4, "rho": 0.3, "beta": 0.7, "alpha_step": 0.5}


def network():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, bias=False),
        nn.BatchNorm2d(8),
        nn.Conv2d(8, 8, 3, bias=False),
        nn.GroupNorm(2, 8),
        nn.Flatten(),
        nn.Linear(8 * 4, 5),
    )


def batch(seed=0):
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(8, 3, 6, 6, generator=generator)
    return images, torch.randint(5, (8,), generator=generator)


def closure_of(model, seen=None):
    """The loss of each example; notes the weights of every pass."""

    def losses(x, y):
        if seen is not None:
            seen.append({n: p.detach().clone() for n, p in model.named_parameters()})
        return nn.functional.cross_entropy(model(x), y, reduction="none")

    return make_closure(losses, *batch())


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("name", PERTURBING)
def test_no_pass_moves_a_parameter_out_of_scope(name, scope):
    model, seen = network(), []
    options = {k: v for k, v in QUICK.items() if k in OPTIMIZERS[name].options}
    optimizer = create_optimizer(name, model, lr=0.0, scope=scope, **options)
    for _ in range(3):
        optimizer.step(closure_of(model, seen))
    start = {n: p.detach() for n, p in model.named_parameters()}
    moved = {n for place in seen for n, p in place.items() if not torch.equal(p, start[n])}
    assert moved
    assert moved <= set(SCOPES[scope])
    if name not in {"esam", "ssam-f", "ssam-d"}:  # these leave some out by themselves
        assert moved == set(SCOPES[scope])
        lengths = [
            math.sqrt(sum((p - start[n]).square().sum() for n, p in at.items())) for at in seen
        ]
        radius = max(lengths) if name == "asam" else 0.3  # in the norm of its own
        assert any(length == pytest.approx(radius, rel=1e-4) for length in lengths if length)


def sam_on(model, closure, rho, lr):
    """SAM over the parameters of the normalisation layers, in the authors' order of operations."""
    params = dict(model.named_parameters())
    closure()
    norm = math.sqrt(sum(params[n].grad.double().square().sum() for n in NORMS))
    old = {n: params[n].detach().clone() for n in NORMS}
    with torch.no_grad():
        for n in NORMS:
            params[n].add_(params[n].grad, alpha=rho / norm)
    model.zero_grad()
    statistics = {n: b.clone() for n, b in model.named_buffers()}
    closure()
    with torch.no_grad():
        for n, b in model.named_buffers():
            b.copy_(statistics[n])
        for n in NORMS:
            params[n].copy_(old[n])
        for p in params.values():
            p.sub_(p.grad, alpha=lr)
    model.zero_grad()


def test_sam_in_the_normalisation_layers_is_sam_on():
    one, other = network().double(), network().double()
    optimizer = SAM(one.parameters(), lr=0.1, rho=0.5, scope="norm", model=one)
    images, labels = batch()

    def mean_loss(model):
        def closure(backward=True):
            loss = nn.functional.cross_entropy(model(images.double()), labels)
            if backward:
                loss.backward()
            return loss

        return closure

    for _ in range(5):
        optimizer.step(mean_loss(one))
        sam_on(other, mean_loss(other), 0.5, 0.1)
    for mine, theirs in zip(one.state_dict().values(), other.state_dict().values(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", PERTURBING)
def test_a_pattern_of_everything_changes_nothing(name):
    finals = []
    for scope in ("all", "*"):
        model = network()
        options = {k: v for k, v in QUICK.items() if k in OPTIMIZERS[name].options}
        optimizer = create_optimizer(name, model, lr=0.1, scope=scope, **options)
        for _ in range(3):
            optimizer.step(closure_of(model))
        finals.append(torch.cat([p.detach().flatten() for p in model.parameters()]))
    assert torch.equal(*finals)


def test_the_radius_per_weight_counts_those_in_scope_under_the_masks():
    model = network()
    mask = {model[2].weight: torch.rand(model[2].weight.shape) < 0.5}
    for scope, count in (("norm", 32), ("2.*", int(mask[model[2].weight].sum()))):
        seen = []
        model.zero_grad()
        optimizer = RandomPerturbation(
            model.parameters(), lr=0.0, sigma=0.1, scope=scope, model=model, mask=mask
        )
        optimizer.step(closure_of(model, seen))
        start = {n: p.detach() for n, p in model.named_parameters()}
        moved = sum((p - start[n]).square().sum() for n, p in seen[0].items())
        assert float(moved) == pytest.approx(0.1**2 * count, rel=1e-4)


def test_pruned_weights_are_perturbed_only_if_they_are_wanted_and_in_scope():
    model = network()
    mask = {model[2].weight: torch.zeros_like(model[2].weight, dtype=torch.bool)}
    mask[model[2].weight][0] = True
    for support in ("active", "dense"):
        seen = []
        model.zero_grad()
        optimizer = ZOSAM(
            model.parameters(), lr=0.0, rho=1.0, scope="2", model=model, mask=mask, support=support
        )
        optimizer.step(closure_of(model, seen))
        moved = seen[0]["2.weight"] - model[2].weight
        assert bool(moved[1:].any()) == (support == "dense")
        assert torch.equal(seen[0]["0.weight"], model[0].weight)


def test_guides_are_gradients_within_the_scope():
    model = network()
    optimizer = GuidedZOSAM(model.parameters(), lr=0.1, rho=0.3, scope="norm", model=model)
    optimizer.step(closure_of(model))
    (guide,) = optimizer.vectors.values()
    support, count = optimizer.support()
    assert count == 32
    assert not guide[~support].any()
    assert float(guide.norm()) == pytest.approx(1.0, rel=1e-5)


def test_sparse_sam_chooses_its_fraction_of_the_scope():
    model = network()
    optimizer = SSAMF(
        model.parameters(), lr=0.1, scope="norm", model=model, sparsity=0.25, samples=4
    )
    optimizer.step(closure_of(model))
    assert int(optimizer.vectors["perturbed"].sum()) == 24


class OwnNorm(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(3))


class PreNormBlock(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer, self.inner = OwnNorm(), nn.Linear(3, 3)
        self.scale = nn.Parameter(torch.ones(3))


def test_normalisation_layers_are_known_by_their_class():
    model = nn.Sequential(
        nn.BatchNorm1d(3), nn.LayerNorm(3), nn.RMSNorm(3), nn.SyncBatchNorm(3), PreNormBlock()
    )
    found = {id(p) for p in norm_parameters(model)}
    names = {n for n, p in model.named_parameters() if id(p) in found}
    expected = {"2.weight", "4.layer.weight"}
    expected |= {f"{i}.{kind}" for i in (0, 1, 3) for kind in ("weight", "bias")}
    assert names == expected


def test_names_come_from_the_parameters_or_from_a_wrapped_model():
    model = network()
    named = SAM(model.named_parameters(), lr=0.1, scope="5.*")
    wrapped = nn.DataParallel(model)
    given = SAM(wrapped.parameters(), lr=0.1, scope="5.*", model=wrapped)
    assert named.support()[1] == given.support()[1] == 5 * 33


def test_groups_that_are_added_are_in_scope_too():
    model = network()
    optimizer = SAM(model[5].parameters(), lr=0.1, scope="*.bias", model=model)
    assert optimizer.support()[1] == 5
    optimizer.add_param_group({"params": [model[1].bias]})
    assert optimizer.support()[1] == 13


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scope": "norm"}, "needs the model"),
        ({"scope": "layer4.*"}, "named_parameters"),
        ({"scope": "layer4.*", "model": True}, r"matches no parameter's name; they are 0.weight"),
        ({"scope": ""}, "choose all, weights, norm"),
        ({"scope": 3}, "choose all, weights, norm"),
    ],
)
def test_a_scope_that_cannot_be_told_is_refused_in_a_sentence(options, message):
    model = network()
    if "model" in options:
        options = {**options, "model": model}
    with pytest.raises(InputError, match=message):
        SAM(model.parameters(), lr=0.1, **options)


@pytest.mark.parametrize("scope", ["norm", "weights"])
def test_a_scope_without_parameters_is_refused(scope):
    model = nn.Linear(3, 2)
    params = [model.bias]
    with pytest.raises(InputError, match="matches nothing"):
        SAM(params, lr=0.1, scope=scope, model=model)
