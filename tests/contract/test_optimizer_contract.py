"""What every registered optimizer must do, alone and with every registered sparsifier."""

import copy
import inspect
import math
import subprocess
import sys

import pytest
import torch
from torch import nn

import robustbench_zosam.optim
from robustbench_zosam.optim import OPTIMIZERS, create_optimizer
from robustbench_zosam.sparsity import SPARSIFIERS, create_masker

PERTURBING = [entry.name for entry in OPTIMIZERS if "rho" in entry.facts["options"]]
QUICK = {"rigl": {"interval": 2}}


def network(seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Conv2d(8, 8, 3, padding=1),
            nn.BatchNorm2d(8, momentum=None),
            nn.Dropout(0.3),
            nn.Flatten(),
            nn.Linear(128, 10),
        )


def closure_for(model):
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(12, 3, 4, 4, generator=generator)
    labels = torch.randint(10, (12,), generator=generator)

    def closure(backward=True):
        closure.before(backward)
        loss = nn.functional.cross_entropy(model(images), labels)
        if backward:
            loss.backward()
        return loss

    closure.before = lambda backward: None
    return closure


def setup(name, sparsifier="dense", seed=0, **options):
    model = network(seed)
    masker = create_masker(
        sparsifier,
        model,
        sparsity=0 if sparsifier == "dense" else 0.8,
        total_steps=20,
        seed=seed,
        **QUICK.get(sparsifier, {}),
    )
    optimizer = create_optimizer(name, model, masker=masker, seed=seed, **{"lr": 0.05, **options})
    return model, masker, optimizer


def snapshot(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


@pytest.fixture(params=OPTIMIZERS.names())
def name(request):
    return request.param


@pytest.fixture(params=SPARSIFIERS.names())
def sparsifier(request):
    return request.param


def test_facts_tell_what_the_constructor_does(name):
    entry = OPTIMIZERS[name]
    signature = inspect.signature(entry.load())
    for option, default in entry.facts["options"].items():
        assert signature.parameters[option].default == default
    assert entry.summary
    assert entry.source
    assert inspect.getdoc(entry.load())


@pytest.mark.parametrize("extra", [{}, {"queries": 3}], ids=["default", "queries"])
def test_costs_follow_the_formulas(name, extra):
    entry = OPTIMIZERS[name]
    extra = {key: value for key, value in extra.items() if key in entry.facts["options"]}
    model, _, optimizer = setup(name, **extra)
    calls = []
    closure = closure_for(model)
    closure.before = calls.append
    for _ in range(3):
        optimizer.step(closure)
    options = {**entry.facts["options"], **extra}
    forwards, backwards = (eval(entry.facts[k], {}, options) for k in ("forwards", "backwards"))
    cost = optimizer.cost
    assert (cost.forwards, cost.backwards, cost.steps) == (3 * forwards, 3 * backwards, 3)
    assert (len(calls), sum(calls)) == (3 * forwards, 3 * backwards)


def test_a_step_updates_buffers_once_and_restores_the_weights(name):
    model, _, optimizer = setup(name, lr=0.0, weight_decay=0.0)
    before = snapshot(model)
    optimizer.step(closure_for(model))
    parameters = {key for key, _ in model.named_parameters()}
    assert same({k: model.state_dict()[k] for k in parameters}, {k: before[k] for k in parameters})
    assert model[1].num_batches_tracked == 1
    assert model[4].num_batches_tracked == 1


def test_buffers_are_found_without_a_model(name):
    finals = []
    for given in (False, True):
        model = network()
        optimizer = OPTIMIZERS.load(name)(
            model.parameters(), lr=0.05, model=model if given else None
        )
        torch.manual_seed(0)
        for _ in range(2):
            optimizer.step(closure_for(model))
        assert model[1].num_batches_tracked == 2
        finals.append(snapshot(model))
    assert same(*finals)


def test_all_passes_draw_the_same_numbers_and_the_stream_advances_once(name):
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


def test_statistics_come_from_the_first_gradient_pass(name):
    model, _, optimizer = setup(name, lr=0.0, weight_decay=0.0)
    closure, weights = closure_for(model), []
    closure.before = lambda backward: weights.append((backward, snapshot(model)))
    torch.manual_seed(0)
    optimizer.step(closure)
    at = next(state for backward, state in weights if backward)
    twin = network()
    twin.load_state_dict(at)
    torch.manual_seed(0)
    closure_for(twin)()
    buffers = {key for key, _ in model.named_buffers()}
    assert same({k: snapshot(model)[k] for k in buffers}, {k: snapshot(twin)[k] for k in buffers})


def test_a_saved_run_goes_on_bit_by_bit(name, sparsifier):
    model, masker, optimizer = setup(name, sparsifier)
    for _ in range(5):
        optimizer.step(closure_for(model))
    saved = copy.deepcopy((model.state_dict(), masker.state_dict(), optimizer.state_dict()))
    random = torch.get_rng_state()
    finals = []
    for resume in (False, True):
        if resume:
            model, masker, optimizer = setup(name, sparsifier, seed=0)
            model.load_state_dict(saved[0])
            masker.load_state_dict(saved[1])
            optimizer.load_state_dict(saved[2])
        torch.set_rng_state(random)
        for _ in range(6):
            optimizer.step(closure_for(model))
        finals.append((snapshot(model), optimizer.cost, optimizer.diagnostics, masker.events))
    assert same(finals[0][0], finals[1][0])
    assert finals[0][1:] == finals[1][1:]


def test_the_state_is_tensors_and_plain_types(name, sparsifier, tmp_path):
    model, masker, optimizer = setup(name, sparsifier)
    optimizer.step(closure_for(model))
    torch.save((optimizer.state_dict(), masker.state_dict()), tmp_path / "state.pt")
    state, _ = torch.load(tmp_path / "state.pt", weights_only=True)
    optimizer.load_state_dict(state)


def test_runs_of_one_seed_agree(name, sparsifier):
    finals = []
    for _ in range(2):
        model, _, optimizer = setup(name, sparsifier)
        torch.manual_seed(0)
        for _ in range(4):
            optimizer.step(closure_for(model))
        finals.append(snapshot(model))
    assert same(*finals)


@pytest.mark.parametrize("name", PERTURBING)
@pytest.mark.parametrize("base", ["sgd", "adamw"])
def test_without_a_radius_the_base_optimizer_is_left_bit_by_bit(name, base, sparsifier):
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
def test_the_plain_wrappers_are_the_torch_optimizers_bit_by_bit(base):
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


@pytest.mark.parametrize(
    ("name", "base"),
    [
        (entry.name, base)
        for entry in OPTIMIZERS
        for base in ([entry.facts["base"]] if "base" in entry.facts else ["sgd", "adamw"])
    ],
)
def test_weights_and_state_stay_zero_and_counts_exact_at_every_step(name, base, sparsifier):
    model, masker, optimizer = setup(name, sparsifier, base=base, weight_decay=0.1)
    report = masker.report()
    target = round((1 - masker.sparsity) * report.maskable)
    for _ in range(12):
        optimizer.step(closure_for(model))
        masker.check(optimizer)
        report = masker.report()
        assert report.active == target
        off = sum(int((~mask).sum()) for mask in masker.masks.values())
        assert off == report.maskable - target


def test_no_pass_leaves_the_sparse_subspace(name):
    model, masker, optimizer = setup(name, "random")
    closure = closure_for(model)
    closure.before = lambda backward: masker.check()
    for _ in range(3):
        optimizer.step(closure)


@pytest.mark.parametrize("reload", [False, True])
def test_schedulers_work_on_it_directly(name, reload):
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


def test_a_convex_problem_is_solved(name):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(200, 10, generator=generator)
    y = x @ torch.randn(10, 1, generator=generator) + 0.1 * torch.randn(200, 1, generator=generator)
    optimum = (x @ torch.linalg.lstsq(x, y).solution - y).square().mean()
    model = nn.Linear(10, 1, bias=False)
    extra = {"rho": 0.01} if name in PERTURBING else {}
    optimizer = create_optimizer(name, model, lr=0.02, weight_decay=0.0, **extra)

    def closure(backward=True):
        loss = (model(x) - y).square().mean()
        if backward:
            loss.backward()
        return loss

    first = optimizer.step(closure)
    for _ in range(400):
        last = optimizer.step(closure)
    with torch.no_grad():
        final = closure(backward=False)
    assert final - optimum < 1e-3
    assert first > 100 * optimum
    assert last.shape == ()
    assert math.isclose(last, final, abs_tol=1e-2)


def test_autocast_in_the_closure_works(name):
    model, _, optimizer = setup(name)
    inner = closure_for(model)

    def closure(backward=True):
        with torch.autocast("cpu", torch.bfloat16, enabled=backward):
            loss = inner(backward=False)
        if backward:
            loss.backward()
        return loss

    assert optimizer.step(closure).isfinite()
    assert all(p.dtype == torch.float32 for p in model.parameters())


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_it_runs_on_every_device(name, sparsifier, device):
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    model = network().to(device)
    images = torch.randn(12, 3, 4, 4, generator=torch.Generator().manual_seed(0)).to(device)
    labels = torch.arange(12, device=device) % 10
    masker = create_masker(
        sparsifier,
        model,
        sparsity=0 if sparsifier == "dense" else 0.8,
        total_steps=20,
        **QUICK.get(sparsifier, {}),
    )
    optimizer = create_optimizer(name, model, masker=masker, lr=0.05)
    draws = []

    def closure(backward=True):
        draws.append(torch.rand(3, device=device))
        loss = nn.functional.cross_entropy(model(images), labels)
        if backward:
            loss.backward()
        return loss

    for _ in range(5):
        draws.clear()
        assert optimizer.step(closure).isfinite()
        assert all(torch.equal(draw, draws[0]) for draw in draws)
        masker.check(optimizer)
    optimizer.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    masker.load_state_dict(copy.deepcopy(masker.state_dict()))
    optimizer.step(closure)
    masker.check(optimizer)
    assert model[1].num_batches_tracked == 6


def test_the_package_exports_what_it_lists():
    assert all(hasattr(robustbench_zosam.optim, x) for x in robustbench_zosam.optim.__all__)
    with pytest.raises(AttributeError, match="nothing"):
        _ = robustbench_zosam.optim.nothing


def test_the_registry_does_not_import_torch():
    code = "import sys, robustbench_zosam.optim.registry as r; r.OPTIMIZERS.names(); print('torch' in sys.modules)"  # noqa: E501 - one program
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
