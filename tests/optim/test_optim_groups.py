"""What may change between two steps: radii of groups, types, parameters, gradients."""

import pytest
import torch
from torch import nn

from robustbench_zosam.errors import InputError
from robustbench_zosam.optim import (
    OPTIMIZERS,
    SAM,
    SSAMF,
    ZOSAM,
    LookSAM,
    RandomPerturbation,
    create_optimizer,
    make_closure,
)

WITH_RADIUS = [entry.name for entry in OPTIMIZERS if "rho" in entry.options]
QUICK = {"samples": 8, "interval": 1, "sparsity": 0.0, "alpha": 1.0, "gamma": 1.0, "beta": 1.0}


def build(name="sam", **options):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3))
    known = {key: QUICK[key] for key in OPTIMIZERS[name].options if key in QUICK}
    if name == "wsam":
        del known["gamma"]  # 1 would leave the sharpness alone
    groups = [{"params": model[0].parameters()}, {"params": model[2].parameters()}]
    return model, OPTIMIZERS[name].load()(groups, lr=0.1, **known, **options)


def closure_of(model):
    generator = torch.Generator().manual_seed(1)
    dtype = model[0].weight.dtype
    x, y = torch.randn(8, 4, generator=generator), torch.randint(3, (8,), generator=generator)
    return make_closure(
        lambda a, b: nn.functional.cross_entropy(model(a), b, reduction="none"), x.to(dtype), y
    )


@torch.no_grad()
def displacement(optimizer, closure):
    """Returns where the gradient is taken, from the weights."""
    places = []
    start = optimizer.space.gather_weights()
    optimizer.rehearse(closure, watch=lambda: places.append(optimizer.space.gather_weights()))
    return [piece - start for piece in places][-1].split([25, 18])


@pytest.mark.parametrize("name", WITH_RADIUS)
def test_groups_have_radii_of_their_own(name):
    found = {}
    for rho in (0.0, 0.1, 0.2):
        model, optimizer = build(name, rho=0.1)
        optimizer.step(closure_of(model))  # some methods begin with the second step
        optimizer.param_groups[0]["rho"] = rho
        found[rho] = displacement(optimizer, closure_of(model))
    assert not found[0.0][0].any()
    if name not in {"zo-sam", "zo-sam-guided"}:  # whose probes, and sign, move along
        assert torch.allclose(found[0.2][0], 2 * found[0.1][0], atol=1e-6)
        assert torch.allclose(found[0.0][1], found[0.1][1], atol=1e-6)
    assert torch.allclose(found[0.2][0].abs(), 2 * found[0.1][0].abs(), atol=1e-6)
    assert torch.allclose(found[0.2][1].abs(), found[0.1][1].abs(), atol=1e-6)
    assert found[0.1][1].any()


def test_radii_are_given_saved_and_taken_over_by_new_groups():
    model, _ = build()
    first = {"params": model[0].parameters(), "rho": 0.3}
    optimizer = SAM([first], lr=0.1, rho=0.1)
    optimizer.add_param_group({"params": model[2].parameters()})
    assert [group["rho"] for group in optimizer.param_groups] == [0.3, 0.1]
    twin = SAM([{"params": m.parameters()} for m in (model[0], model[2])], lr=0.1)
    twin.load_state_dict(optimizer.state_dict())
    assert [group["rho"] for group in twin.param_groups] == [0.3, 0.1]


def test_bad_radii_of_groups_are_refused():
    weight = nn.Parameter(torch.ones(2))
    with pytest.raises(InputError, match="rho is -1"):
        SAM([{"params": [weight], "rho": -1.0}], lr=0.1)
    with pytest.raises(InputError, match="give groups a sigma"):
        ZOSAM([{"params": [weight], "rho": 0.1}], lr=0.1, sigma=0.1)
    optimizer = RandomPerturbation([{"params": [weight], "sigma": 0.5}], lr=0.1, sigma=0.1)
    assert optimizer.sigma == 0.5


def test_looksam_remembers_what_is_orthogonal_to_the_gradient_whatever_the_radii():
    model, _ = build()
    groups = [{"params": model[0].parameters(), "rho": 0.0}, {"params": model[2].parameters()}]
    optimizer = LookSAM(groups, lr=0.0, rho=0.5, interval=2)
    optimizer.step(closure_of(model))
    clean = SAM(model.parameters(), lr=0.0, rho=0.0)
    clean.step(closure_of(model))
    sideways, gradient = optimizer.vectors["sideways"], clean.space.gather_gradients()
    assert abs(sideways @ gradient) < 1e-6 * sideways.norm() * gradient.norm()


@pytest.mark.parametrize("name", OPTIMIZERS.names())
def test_a_change_of_type_loses_no_bits(name):
    model, optimizer = build(name)
    optimizer.step(closure_of(model))
    model.double()
    with torch.no_grad():
        for p in model.parameters():
            p.add_(torch.full_like(p, 1e-12))
    before = [p.detach().clone() for p in model.parameters()]
    for group in optimizer.param_groups:
        group["lr"] = 0.0
        group["weight_decay"] = 0.0
    optimizer.step(closure_of(model))
    assert all(torch.equal(p, b) for p, b in zip(model.parameters(), before, strict=True))
    state = [v for s in optimizer.state.values() for v in s.values() if torch.is_tensor(v)]
    assert all(v.dtype == torch.float64 for v in state if v.ndim)
    assert all(v.dtype == torch.float64 for v in optimizer.vectors.values())


@pytest.mark.parametrize("name", ["sgd", *WITH_RADIUS])
def test_a_parameter_that_is_replaced_is_moved_and_perturbed(name):
    model, optimizer = build(name)
    for _ in range(2):
        optimizer.step(closure_of(model))
    old = model[2].weight
    model[2].weight = nn.Parameter(old.detach().clone())
    optimizer.param_groups[1]["params"][0] = model[2].weight
    closure = closure_of(model)
    optimizer.step(closure)
    assert not torch.equal(model[2].weight, old)
    if name != "sgd":
        assert displacement(optimizer, closure)[1][:15].any()


def test_a_masked_parameter_cannot_be_replaced_unnoticed():
    weight = nn.Parameter(torch.ones(4))
    optimizer = SAM([weight], lr=0.1, mask={weight: torch.tensor([True, False] * 2)})
    optimizer.param_groups[0]["params"][0] = nn.Parameter(torch.ones(4))
    with pytest.raises(InputError, match="has a mask was taken out"):
        optimizer.step(lambda: None)


@pytest.mark.parametrize("name", [n for n in OPTIMIZERS.names() if n != "zo-sgd"])
def test_a_closure_that_forgets_backward_is_refused(name):
    model, _ = build()
    optimizer = create_optimizer(name, model, lr=0.1)
    x = torch.ones(2, 4)

    def closure(backward=True, examples=None, reduction="mean"):
        losses = model(x).square().mean(1)
        return losses if reduction == "none" else losses.mean()

    before = model[0].weight.detach().clone()
    with pytest.raises(InputError, match=r"backward\(\)"):
        optimizer.step(closure)
    assert torch.equal(model[0].weight, before)


@pytest.mark.parametrize("name", OPTIMIZERS.names())
def test_gradients_that_steps_have_left_are_no_surprise(name):
    model, optimizer = build(name)
    closure = closure_of(model)
    optimizer.step(closure)
    optimizer.step(closure)  # nobody cleared them
    optimizer.zero_grad(set_to_none=False)
    optimizer.step(closure)
    model.double()
    optimizer.step(closure_of(model))
    _, other = build(name)
    other = OPTIMIZERS[name].load()(model.parameters(), lr=0.1)
    other.step(closure_of(model))  # another optimizer takes over

    def failing(*arguments, **options):
        closure_of(model)(*arguments, **options)
        raise MemoryError

    with pytest.raises(MemoryError):
        other.step(failing)
    other.step(closure_of(model))


def test_groups_of_a_pattern_end_with_their_row():
    generator = torch.Generator().manual_seed(0)
    for shape in ((3, 6), (4, 3, 2, 2), (2, 9)):
        weight = nn.Parameter(torch.randn(shape, generator=generator))
        optimizer = SSAMF([weight], lr=0.1, pattern="2:4")
        scores = torch.rand(weight.numel(), generator=generator)
        chosen = optimizer.pattern.choose(scores, 0, optimizer.space, None).view(shape)
        rows = chosen.movedim(1, -1).reshape(-1, shape[1])
        ranked = scores.view(shape).movedim(1, -1).reshape(-1, shape[1])
        for start in range(0, shape[1], 4):
            group, score = rows[:, start : start + 4], ranked[:, start : start + 4]
            assert (group.sum(1) == min(2, group.shape[1])).all()
            lowest = score.where(group > 0, torch.inf).amin(1)
            assert (score.where(group == 0, -torch.inf).amax(1) < lowest).all()
