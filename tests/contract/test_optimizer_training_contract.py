"""What every registered optimizer must do over many steps, alone and with sparsifiers."""

import copy
import math

import pytest
import torch
from torch import nn

from robustbench_zosam.optim import OPTIMIZERS, create_optimizer, make_closure
from robustbench_zosam.sparsity import SPARSIFIERS

PERTURBING = [entry.name for entry in OPTIMIZERS if "rho" in entry.options]


def test_a_saved_run_goes_on_bit_by_bit(optimizer_pair, setup, closure_for, snapshot, same):
    model, masker, optimizer = setup(*optimizer_pair)
    for _ in range(5):
        optimizer.step(closure_for(model))
    saved = copy.deepcopy((model.state_dict(), masker.state_dict(), optimizer.state_dict()))
    random = torch.get_rng_state()
    finals = []
    for resume in (False, True):
        if resume:
            model, masker, optimizer = setup(*optimizer_pair)
            model.load_state_dict(saved[0])
            masker.load_state_dict(saved[1])
            optimizer.load_state_dict(saved[2])
        torch.set_rng_state(random)
        for _ in range(6):
            optimizer.step(closure_for(model))
        finals.append((snapshot(model), optimizer.cost, optimizer.diagnostics, masker.events))
    assert same(finals[0][0], finals[1][0])
    assert finals[0][1:] == finals[1][1:]


def test_the_state_is_tensors_and_plain_types(name, setup, closure_for, tmp_path):
    model, masker, optimizer = setup(name, "rigl")
    for _ in range(2):
        optimizer.step(closure_for(model))
    torch.save((optimizer.state_dict(), masker.state_dict()), tmp_path / "state.pt")
    state, _ = torch.load(tmp_path / "state.pt", weights_only=True)
    optimizer.load_state_dict(state)


def test_runs_of_one_seed_agree(optimizer_pair, setup, closure_for, snapshot, same):
    finals = []
    for _ in range(2):
        model, _, optimizer = setup(*optimizer_pair)
        torch.manual_seed(0)
        for _ in range(4):
            optimizer.step(closure_for(model))
        finals.append(snapshot(model))
    assert same(*finals)


@pytest.mark.parametrize("base", ["sgd", "adamw"])
def test_weights_and_state_stay_zero_and_counts_exact_at_every_step(
    optimizer_pair, base, setup, closure_for
):
    name, sparsifier = optimizer_pair
    base = OPTIMIZERS[name].base or base
    model, masker, optimizer = setup(name, sparsifier, base=base, weight_decay=0.1)
    report = masker.report()
    target = round((1 - masker.sparsity) * report.maskable)
    scheduled = masker.policy.conserves is None
    if not scheduled and sparsifier != "sr-ste":  # which leaves some layers dense
        assert report.active == target
    active = report.active
    for _ in range(masker.training_steps if scheduled else 9):
        optimizer.step(closure_for(model))
        masker.check(optimizer)
        report = masker.report()
        assert target <= report.active <= active if scheduled else report.active == active
        off = sum(int((~mask).sum()) for mask in masker.masks.values())
        assert off == report.maskable - report.active
        active = report.active
    if scheduled:
        assert active == target


def test_it_works_with_every_sparsifier(name, setup, closure_for):
    for sparsifier in SPARSIFIERS.names():
        model, masker, optimizer = setup(name, sparsifier, steps=6)
        closure = closure_for(model)
        for _ in range(6):
            assert optimizer.step(closure).isfinite(), sparsifier
        masker.check(optimizer)
        if masker.policy.dynamic and sparsifier not in {"sr-ste", "dsr"}:  # in all steps, in none
            assert masker.events, sparsifier


def test_masks_grow_where_the_dense_gradient_is_largest(name, setup, closure_for):
    model, masker, optimizer = setup(name, "rigl", lr=0.0, weight_decay=0.0)
    closure = closure_for(model)
    for _ in range(2):
        optimizer.step(closure)
    before = {key: mask.clone() for key, mask in masker.masks.items()}
    optimizer.step(closure)
    assert masker.events[0].grown > 0
    for layer in masker.layers:
        gradient = layer.weight.grad
        grown = masker.masks[layer.name] & ~before[layer.name]
        if grown.any() and gradient is not None:
            assert gradient[~before[layer.name]].any()  # a masked gradient would be zero there


@pytest.mark.parametrize("reload", [False, True])
def test_schedulers_work_on_it_directly(name, reload, setup, closure_for):
    model, _, optimizer = setup(name)
    if reload:
        optimizer.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.1)
    for _ in range(2):
        optimizer.step(closure_for(model))
        scheduler.step()
    if reload:
        optimizer.load_state_dict(copy.deepcopy(optimizer.state_dict()))
        scheduler.step()
    expected = 0.05 * 0.1 ** (3 if reload else 2)
    assert optimizer.base.param_groups[0]["lr"] == pytest.approx(expected)


def test_groups_have_options_of_their_own_and_can_be_added(name, network, closure_for):
    model = network()
    first = {"params": list(model[0].parameters()), "lr": 0.0, "weight_decay": 0.0}
    middle = {"params": [*model[1].parameters(), *model[3].parameters()]}
    optimizer = OPTIMIZERS[name].load()([first, middle], lr=0.05, model=model)
    for _ in range(2):
        optimizer.step(closure_for(model))
    optimizer.add_param_group({"params": [*model[4].parameters(), *model[7].parameters()]})
    before = {key: p.detach().clone() for key, p in model.named_parameters()}
    for _ in range(2):
        optimizer.step(closure_for(model))
    after = dict(model.named_parameters())
    assert torch.equal(after["0.weight"], before["0.weight"])
    assert not torch.equal(after["3.weight"], before["3.weight"])
    assert not torch.equal(after["7.weight"], before["7.weight"])
    copied = copy.deepcopy(optimizer.state_dict())
    optimizer.load_state_dict(copied)
    optimizer.step(closure_for(model))


def test_a_convex_problem_is_solved(name):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(200, 10, generator=generator)
    y = x @ torch.randn(10, 1, generator=generator) + 0.1 * torch.randn(200, 1, generator=generator)
    optimum = (x @ torch.linalg.lstsq(x, y).solution - y).square().mean()
    model = nn.Linear(10, 1, bias=False)
    options = OPTIMIZERS[name].options
    # a small radius, since the minimum of the perturbed loss is another; all examples, likewise
    quick = {"rho": 0.01, "samples": 16, "gamma": 1.0, "queries": 4}
    extra = {key: value for key, value in quick.items() if key in options}
    if name == "friendly-sam":
        extra["sigma"] = 0.9
    if name == "wsam":
        extra["gamma"] = 0.5  # another gamma: the weight of the sharpness
    optimizer = create_optimizer(name, model, lr=0.02, weight_decay=0.0, **extra)
    closure = make_closure(lambda x, y: (model(x) - y).square()[:, 0], x, y)
    first = optimizer.step(closure)
    for _ in range(400):
        last = optimizer.step(closure)
    final = closure(backward=False)
    assert final - optimum < 1e-3
    assert first > 100 * optimum
    assert last.shape == ()
    assert math.isclose(last, final, abs_tol=1e-2)


def test_autocast_in_the_closure_works(name, setup, closure_for):
    model, _, optimizer = setup(name)
    for _ in range(2):
        assert optimizer.step(closure_for(model, autocast=True)).isfinite()
    assert all(p.dtype == torch.float32 for p in model.parameters())
    assert all(vector.dtype == torch.float32 for vector in optimizer.vectors.values())


def test_a_model_in_bfloat16_keeps_its_type(name, network, closure_for):
    model = network().to(torch.bfloat16)
    optimizer = OPTIMIZERS[name].load()(model.parameters(), lr=0.05, model=model)
    inner = closure_for(model)
    hook = model.register_forward_pre_hook(lambda _, args: (args[0].bfloat16(),))
    after = model.register_forward_hook(lambda _, args, out: out.float())
    for _ in range(2):
        assert optimizer.step(inner).isfinite()
    assert all(p.dtype == torch.bfloat16 for p in model.parameters())
    hook.remove()
    after.remove()


def test_a_gradient_scaler_changes_nothing_but_the_scale(name, network, closure_for):
    finals = []
    for scaled in (False, True):
        model = network()
        inner = closure_for(model)
        scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10) if scaled else None
        optimizer = create_optimizer(name, model, lr=0.05, steps_per_epoch=2, scaler=scaler)

        def closure(backward=True, inner=inner, scaler=scaler, **options):
            if not backward or scaler is None:
                return inner(backward, **options)
            with torch.enable_grad():
                loss = inner(False, **options)
                scaler.scale(loss.mean()).backward()
            return loss.detach()

        torch.manual_seed(0)
        for step in range(4):
            optimizer.step(closure)
            if scaler is not None:
                scaler.update(2.0 ** (12 + 2 * step))  # what is remembered must not keep a scale
        finals.append(torch.cat([p.detach().flatten() for p in model.parameters()]))
    assert torch.allclose(*finals, atol=1e-5)


@pytest.mark.parametrize("name", [n for n in OPTIMIZERS.names() if n != "zo-sgd"])
def test_a_gradient_that_overflows_skips_the_step_and_is_not_remembered(name, setup, closure_for):
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10)
    model, _, optimizer = setup(name, "rigl", scaler=scaler)
    inner = closure_for(model)

    def closure(backward=True, factor=1.0, **options):
        if not backward:
            return inner(False, **options)
        with torch.enable_grad():
            loss = inner(False, **options)
            (scaler.scale(loss.mean()) * closure.factor).backward()
        return loss.detach()

    for closure.factor in (1.0, torch.inf, torch.inf, 1.0, 1.0):
        before = [p.detach().clone() for p in model.parameters()]
        optimizer.step(closure)
        scaler.update()
        stayed = all(torch.equal(p, b) for p, b in zip(model.parameters(), before, strict=True))
        assert stayed == (closure.factor == torch.inf)
        assert all(vector.isfinite().all() for vector in optimizer.vectors.values())
    assert scaler.get_scale() == 2.0**8


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_it_runs_on_every_device(optimizer_pair, device, setup, closure_for):
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    model, masker, optimizer = setup(*optimizer_pair, device=device)
    closure = closure_for(model)
    draws = []
    closure.before = lambda backward: draws.append(torch.rand(3, device=device))
    for _ in range(3):
        draws.clear()
        assert optimizer.step(closure).isfinite()
        assert all(torch.equal(draw, draws[0]) for draw in draws)
        masker.check(optimizer)
    optimizer.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    masker.load_state_dict(copy.deepcopy(masker.state_dict()))
    optimizer.step(closure)
    masker.check(optimizer)
    assert model[1].num_batches_tracked == 4
