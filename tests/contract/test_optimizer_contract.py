"""What every registered optimizer must do within a step."""

import inspect
import subprocess
import sys

import pytest
import torch
from torch import nn

import robustbench_zosam.optim
from robustbench_zosam.errors import InputError
from robustbench_zosam.optim import OPTIMIZERS, Plain

PERTURBING = [entry.name for entry in OPTIMIZERS if "rho" in entry.options]
PERIOD = 10  # steps per epoch


def defaults(kind):
    """Default values of a constructor's arguments, those of its parents included."""
    found = {}
    for owner in kind.__mro__[:-1]:
        for parameter in inspect.signature(owner.__init__).parameters.values():
            found.setdefault(parameter.name, parameter.default)
    return found


def test_facts_tell_what_the_constructor_does(name):
    entry = OPTIMIZERS[name]
    real = defaults(entry.load())
    for option, default in entry.defaults.items():
        assert real[option] == default
        assert type(real[option]) is type(default)
    assert entry.summary
    assert entry.source
    assert inspect.getdoc(entry.load())


@pytest.mark.parametrize(
    "extra",
    [
        {"samples": 24},
        {"queries": 3, "ascent_steps": 3, "interval": 2, "alpha": 1.0, "gamma": 1.0, "samples": 7},
        {"gamma": 0.25, "samples": 30, "update_epochs": 2, "alpha_step": 0.5},
    ],
    ids=["default", "some", "others"],
)
def test_costs_follow_the_formulas(name, extra, setup, closure_for):
    info = OPTIMIZERS[name]
    extra = {key: value for key, value in extra.items() if key in info.options}
    if name == "wsam":
        extra.pop("gamma", None)  # is another thing there
    model, _, optimizer = setup(name, steps_per_epoch=PERIOD, **extra)
    closure = closure_for(model)
    steps = PERIOD * (info.defaults | extra).get("update_epochs", 1)
    passes = info.passes_per_step(extra, batch_size=12, steps_per_epoch=PERIOD)
    for _ in range(steps):
        optimizer.step(closure)
    for which, each in zip(("forwards", "backwards"), passes, strict=True):
        shares = [share for backward, share in closure.shares if backward == (which == "backwards")]
        assert getattr(optimizer.cost, which) == pytest.approx(steps * each)
        # ssam-f tries once to run examples together, which batch norm without momentum prevents
        attempts = 1 / 12 if name == "ssam-f" and which == "forwards" else 0
        assert sum(shares) == pytest.approx(steps * each + attempts)
    assert optimizer.cost.steps == steps


def test_a_step_updates_buffers_once_and_restores_the_weights(name, setup, closure_for):
    model, _, optimizer = setup(name, lr=0.0, weight_decay=0.0)
    before = [p.detach().clone() for p in model.parameters()]
    optimizer.step(closure_for(model))
    assert all(torch.equal(p, b) for p, b in zip(model.parameters(), before, strict=True))
    assert model[1].num_batches_tracked == 1
    assert model[4].num_batches_tracked == 1


def test_buffers_are_found_without_a_model(name, network, closure_for, snapshot, same):
    finals = []
    for given in (False, True):
        model = network()
        optimizer = OPTIMIZERS[name].load()(
            model.parameters(), lr=0.05, model=model if given else None
        )
        torch.manual_seed(0)
        for _ in range(2):
            optimizer.step(closure_for(model))
        assert model[1].num_batches_tracked == 2
        finals.append(snapshot(model))
    assert same(*finals)


def test_all_passes_draw_the_same_numbers_and_the_stream_advances_once(name, setup, closure_for):
    model, _, optimizer = setup(name)
    closure, draws = closure_for(model), []
    closure.before = lambda backward: draws.append(torch.rand(3))
    torch.manual_seed(4)
    closure(backward=False)
    after = torch.get_rng_state()
    torch.manual_seed(4)
    optimizer.step(closure)
    assert all(torch.equal(draw, draws[0]) for draw in draws)
    assert torch.equal(torch.get_rng_state(), after)


def test_statistics_come_from_one_pass_of_the_step(
    name, setup, network, closure_for, snapshot, same
):
    model, _, optimizer = setup(name, lr=0.0, weight_decay=0.0)
    closure, weights = closure_for(model), []
    closure.before = lambda backward: weights.append((backward, snapshot(model)))
    torch.manual_seed(0)
    optimizer.step(closure)
    at = next((state for backward, state in weights if backward), weights[0][1])
    twin = network()
    twin.load_state_dict(at)
    torch.manual_seed(0)
    closure_for(twin)()
    buffers = {key for key, _ in model.named_buffers()}
    assert same({k: snapshot(model)[k] for k in buffers}, {k: snapshot(twin)[k] for k in buffers})


@pytest.mark.parametrize("name", PERTURBING)
@pytest.mark.parametrize("base", ["sgd", "adamw"])
@pytest.mark.parametrize("sparsifier", ["dense", "rigl"])
def test_without_a_radius_the_base_optimizer_is_left_bit_by_bit(
    name, base, sparsifier, setup, closure_for, snapshot, same
):
    options = {"lr": 0.05, "weight_decay": 1e-2}
    (model, _, optimizer), (twin, _, plain) = (
        setup(name, sparsifier, base=base, rho=0.0, **options),
        setup(base, sparsifier, **options),
    )
    for one, m in ((optimizer, model), (plain, twin)):
        torch.manual_seed(0)
        for _ in range(4):
            one.step(closure_for(m))
    assert same(snapshot(model), snapshot(twin))
    assert optimizer.cost == plain.cost


@pytest.mark.parametrize("base", ["sgd", "adamw"])
def test_the_plain_wrappers_are_the_torch_optimizers_bit_by_bit(
    base, setup, network, closure_for, snapshot, same
):
    model, _, optimizer = setup(base, weight_decay=1e-2)
    twin = network()
    options = {"momentum": 0.9} if base == "sgd" else {}
    kind = {"sgd": torch.optim.SGD, "adamw": torch.optim.AdamW}[base]
    plain = kind(twin.parameters(), lr=0.05, weight_decay=1e-2, **options)
    torch.manual_seed(0)
    for _ in range(4):
        optimizer.step(closure_for(model))
    torch.manual_seed(0)
    for _ in range(4):
        plain.zero_grad()
        closure_for(twin)()
        plain.step()
    assert same(snapshot(model), snapshot(twin))


def test_no_pass_leaves_the_sparse_subspace(name, setup, closure_for):
    model, masker, optimizer = setup(name, "random")
    closure = closure_for(model)
    closure.before = lambda backward: masker.check()
    for _ in range(5):
        optimizer.step(closure)


def test_frozen_and_unused_parameters_stay_and_are_never_perturbed(
    name, network, closure_for, snapshot
):
    model = network()
    model[0].weight.requires_grad_(False)
    unused = nn.Parameter(torch.randn(3, generator=torch.Generator().manual_seed(0)))
    optimizer = OPTIMIZERS[name].load()(
        [{"params": model.parameters()}, {"params": [unused]}], lr=0.05, model=model
    )
    before = model[0].weight.clone(), unused.detach().clone()
    closure = closure_for(model)
    seen = []
    closure.before = lambda backward: seen.append(torch.equal(model[0].weight, before[0]))
    for _ in range(3):
        optimizer.step(closure)
    assert all(seen)
    assert torch.equal(model[0].weight, before[0])
    assert model[0].weight.grad is None
    assert name == "zo-sgd" or torch.equal(unused, before[1])
    assert [p.requires_grad for p in model.parameters()] == [False] + [True] * 9


def test_an_error_in_any_pass_leaves_weights_and_flags_as_they_were(name, setup, closure_for):
    model, _, optimizer = setup(name)
    counting = closure_for(model)
    before = [p.detach().clone() for p in model.parameters()]

    def fail(at):
        def check(backward):
            if counting.calls == at:
                raise MemoryError("boom")

        return check

    for at in range(3):
        counting.calls = 0
        counting.before = fail(at)
        if at < round(optimizer_passes(name)):
            with pytest.raises(MemoryError, match="boom"):
                optimizer.step(counting)
            assert all(torch.equal(p, b) for p, b in zip(model.parameters(), before, strict=True))
            assert all(p.requires_grad for p in model.parameters())


def optimizer_passes(name):
    """Passes of a mini-batch that every step of an optimizer makes."""
    passes = OPTIMIZERS[name].passes_per_step(batch_size=12, steps_per_epoch=10**9)
    return int(passes.forwards)


def test_a_closure_that_cannot_do_what_is_asked_is_refused_in_a_sentence(name):
    weight = nn.Parameter(torch.ones(3, 2))
    optimizer = OPTIMIZERS[name].load()([weight], lr=0.1)

    def closure():
        loss = weight.square().sum()
        loss.backward()
        return loss

    refusal = None
    try:
        optimizer.step(closure)
    except InputError as error:
        refusal = str(error)
    if refusal is None:
        assert (weight != 1).any()
    else:
        assert "let the closure take" in refusal
        assert torch.equal(weight, torch.ones(3, 2))
    if isinstance(optimizer, Plain):  # as torch's own
        assert optimizer.step() is None
        return
    with pytest.raises(InputError, match="needs a closure"):
        optimizer.step()


def test_the_package_exports_what_it_lists():
    assert all(hasattr(robustbench_zosam.optim, x) for x in robustbench_zosam.optim.__all__)
    with pytest.raises(AttributeError, match="nothing"):
        _ = robustbench_zosam.optim.nothing


def test_the_registry_does_not_import_torch():
    code = (
        "import sys, robustbench_zosam.optim.registry as r; r.OPTIMIZERS.names();"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
