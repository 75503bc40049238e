"""The mask engine: invariants, resuming, and what it refuses."""

import copy
import io

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from robustbench_zosam.errors import InputError
from robustbench_zosam.sparsity import Masker, MaskSet, Policy, create_masker


class ShrinkAfter(Policy):
    """Keeps one weight less per layer after every step: a policy that follows the update."""

    dynamic = True
    conserves = None

    def initial_masks(self, start):
        return [torch.ones(layer.shape, dtype=torch.bool) for layer in start.layers]

    def due(self, moment):
        return moment.step < 3

    def propose(self, layers, moment, generator):
        masks = []
        for layer in layers:
            magnitude = layer.weight.detach().abs().masked_fill(~layer.mask, torch.inf).flatten()
            mask = layer.mask.flatten().clone()
            mask[magnitude.argmin()] = False
            masks.append(mask.view(layer.shape))
        return masks


def train(model, masker, closure, steps, **options):
    """The loop of a plain optimizer that drives the masker itself."""
    optimizer = torch.optim.SGD(model.parameters(), **{"lr": 0.05, "momentum": 0.9, **options})

    def slots(param):
        buffer = optimizer.state.get(param, {}).get("momentum_buffer")
        return [] if buffer is None else [buffer]

    for _ in range(steps):
        optimizer.zero_grad()
        closure()
        replaced = masker.before_update(slots)
        masker.mask_gradients()
        if not replaced:
            optimizer.step()
        masker.after_update(slots)
    return optimizer


@given(st.floats(0, 0.97), st.sampled_from(["erk", "er", "uniform"]), st.integers(0, 99))
def test_random_masks_keep_exactly_the_target(sparsity, allocation, seed):
    model = nn.Sequential(nn.Linear(7, 11), nn.Linear(11, 30), nn.Conv2d(3, 5, 3))
    size = 77 + 330 + 135
    masker = create_masker(
        "random", model, sparsity=sparsity, total_steps=1, seed=seed, allocation=allocation
    )
    assert sum(int(m.sum()) for m in masker.masks.values()) == round((1 - sparsity) * size)
    for name, mask in masker.masks.items():
        assert not model.get_parameter(name)[~mask].any()
    masker.check()


def test_masks_depend_on_the_seed_alone(network):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    masks = [
        create_masker("random", network(), sparsity=0.5, total_steps=1, seed=seed).masks
        for seed in (0, 0, 1)
    ]
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(masks[0][name], masks[1][name]) for name in masks[0])
    assert not all(torch.equal(masks[0][name], masks[2][name]) for name in masks[0])


def test_a_live_weight_that_is_zero_stays_live(network):
    model = network()
    masker = create_masker("random", model, sparsity=0.5, total_steps=1)
    with torch.no_grad():
        model[0].weight.zero_()
    masker.after_update(lambda _: [])
    assert masker.report().active == round(0.5 * masker.report().maskable)


@pytest.mark.parametrize("options", [{}, {"weight_decay": 0.1}, {"nesterov": True}])
@pytest.mark.parametrize("name", ["random", "rigl"])
def test_weights_and_state_stay_zero_off_the_masks(network, closure_of, name, options):
    model = network()
    extra = {"interval": 3} if name == "rigl" else {}
    masker = create_masker(name, model, sparsity=0.8, total_steps=20, **extra)
    optimizer = train(model, masker, closure_of(model), 20, **options)
    masker.check(optimizer)
    assert masker.step == 20
    assert len(masker.events) == (4 if name == "rigl" else 0)


def test_check_finds_a_leak_of_weights_and_of_state(network, closure_of):
    model = network()
    masker = create_masker("random", model, sparsity=0.8, total_steps=9)
    optimizer = train(model, masker, closure_of(model), 3)
    optimizer.state[model[0].weight]["momentum_buffer"].fill_(1e-30)
    masker.check()
    with pytest.raises(AssertionError, match=r"0\.weight is not zero"):
        masker.check(optimizer)
    with torch.no_grad():
        model[3].weight.add_(1e-30)
    with pytest.raises(AssertionError, match=r"3\.weight is not zero"):
        masker.check()


def test_check_finds_a_count_that_drifted(network):
    masker = create_masker("random", network(), sparsity=0.8, total_steps=9)
    mask = masker.masks["6.weight"]
    mask.view(-1)[mask.flatten().nonzero()[0]] = False
    masker.version += 1
    masker.after_update(lambda _: [])
    with pytest.raises(AssertionError, match="count of a layer"):
        masker.check()


def test_a_policy_may_follow_the_update(network, closure_of):
    model = network()
    masker = Masker(model, ShrinkAfter(), sparsity=0.0, total_steps=9)
    optimizer = train(model, masker, closure_of(model), 5)
    masker.check(optimizer)
    assert [(e.step, e.dropped, e.grown) for e in masker.events] == [
        (0, 3, 0),
        (1, 3, 0),
        (2, 3, 0),
    ]
    assert masker.report().active == masker.report().maskable - 9
    assert masker.report().exploration == 1


def test_a_dense_masker_leaves_everything_alone(network):
    model, twin = network(), network()
    masker = create_masker("dense", model, sparsity=0, total_steps=5)
    report = masker.report()
    assert masker.masks == {}
    assert masker.mask_of(model[0].weight) is None
    assert (report.sparsity_maskable, report.sparsity_total, report.exploration) == (0, 0, 1)
    assert [layer.density for layer in report.layers] == [1, 1, 1]
    assert all(
        torch.equal(p, q) for p, q in zip(model.parameters(), twin.parameters(), strict=True)
    )


def test_the_report_counts_by_hand():
    model = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Linear(5, 4))
    masker = create_masker("random", model, sparsity=0.5, total_steps=5, allocation="uniform")
    report = masker.report()
    assert (report.active, report.maskable, report.total) == (20, 40, 40 + 9 + 10)
    assert report.sparsity_maskable == 0.5
    assert report.sparsity_total == pytest.approx(20 / 59)
    assert report.exploration == 0.5
    assert [(x.name, x.shape, x.size, x.active) for x in report.layers] == [
        ("0.weight", (5, 4), 20, 10),
        ("2.weight", (4, 5), 20, 10),
    ]


def test_a_saved_masker_goes_on_bit_by_bit(network, closure_of):
    options = {"sparsity": 0.8, "total_steps": 30, "interval": 4}
    model = network()
    masker = create_masker("rigl", model, seed=3, **options)
    train(model, masker, closure_of(model), 9, momentum=0)
    file = io.BytesIO()
    torch.save({"model": model.state_dict(), "masker": masker.state_dict()}, file)
    file.seek(0)
    saved = torch.load(file, weights_only=True)

    other = network(seed=7)
    resumed = create_masker("rigl", other, seed=8, **options)
    other.load_state_dict(saved["model"])
    resumed.load_state_dict(saved["masker"])
    assert resumed.events == masker.events

    train(model, masker, closure_of(model), 21, momentum=0)
    train(other, resumed, closure_of(other), 21, momentum=0)
    assert resumed.events == masker.events
    assert len(masker.events) == 5
    assert resumed.report() == masker.report()
    assert all(torch.equal(resumed.masks[n], m) for n, m in masker.masks.items())
    assert all(
        torch.equal(p, q) for p, q in zip(model.parameters(), other.parameters(), strict=True)
    )


def test_a_saved_state_is_not_written_to_by_further_training(network, closure_of):
    model = network()
    masker = create_masker("rigl", model, sparsity=0.8, total_steps=30, interval=2)
    state = masker.state_dict()
    copied = copy.deepcopy(state)
    train(model, masker, closure_of(model), 10)
    assert all(torch.equal(state["masks"][n], copied["masks"][n]) for n in copied["masks"])
    assert torch.equal(state["generator"], copied["generator"])


def test_masks_of_another_model_are_refused(network):
    saved = create_masker("random", network(), sparsity=0.5, total_steps=1).state_dict()
    other = create_masker("random", nn.Linear(3, 3), sparsity=0.5, total_steps=1)
    with pytest.raises(InputError, match="not this model's"):
        other.load_state_dict(saved)


def test_a_masked_model_can_be_copied_and_saved(network):
    model = network()
    create_masker("random", model, sparsity=0.5, total_steps=1)
    twin = copy.deepcopy(model)
    assert set(model.state_dict()) == set(network().state_dict())
    assert all(p.is_leaf for p in twin.parameters())


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("dense", {"sparsity": 0.5}, "must be 0"),
        ("random", {"sparsity": 1.0}, "sparsity is 1.0"),
        ("random", {"sparsity": 0.999}, "each needs at least one"),
        ("random", {"total_steps": 0}, "total_steps is 0"),
        ("random", {"seed": -1}, "seed is -1"),
        ("random", {"allocation": "erx"}, "choose one of uniform, er, erk"),
        ("random", {"alocation": "erk"}, "did you mean allocation"),
        ("rigl", {"drop_fraction": 1.5}, "drop_fraction is 1.5"),
        ("rigl", {"interval": 0}, "interval is 0"),
        ("rigl", {"interval": 75}, "never falls before step 75"),
        ("rigl", {"stop_fraction": 0}, "stop_fraction is 0"),
        ("rigl", {"grow_grad": "dirty"}, "choose one of update, clean"),
        ("rigle", {}, "did you mean rigl"),
    ],
)
def test_bad_options_are_refused_in_a_sentence(network, name, options, message):
    with pytest.raises(InputError, match=message):
        create_masker(name, network(), **{"sparsity": 0.5, "total_steps": 100, **options})


def test_a_mask_set_refuses_what_is_no_mask():
    with pytest.raises(InputError, match="give a bool tensor"):
        MaskSet({torch.zeros(3): torch.ones(3)})
    with pytest.raises(InputError, match=r"shape \(3,\)"):
        MaskSet({torch.zeros(3): torch.ones(2, dtype=torch.bool)})


def test_a_report_looks_at_the_weights(network):
    model = network()
    masker = create_masker("random", model, sparsity=0.9, total_steps=9)
    assert (masker.report().sparsity_maskable, masker.report().astray) == (
        pytest.approx(0.9, abs=1e-3),
        0,
    )
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)  # knows nothing of the masks
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    report = masker.report()
    assert report.sparsity_maskable == 0
    assert report.active == report.maskable
    assert report.astray == round(0.9 * report.maskable)


def test_the_state_of_another_sparsifier_is_refused(network):
    one = create_masker("set", network(), sparsity=0.5, total_steps=50)
    other = create_masker("rigl", network(), sparsity=0.5, total_steps=50)
    with pytest.raises(InputError, match="the saved masks are of SET, not RigL"):
        other.load_state_dict(one.state_dict())
    old = {key: value for key, value in one.state_dict().items() if key != "sparsifier"}
    one.load_state_dict(old)  # of version 0.1.0
