"""Magnitude, GMP, GraNet: exact counts along the schedule, and which weights go."""

import pytest
import torch
from torch import nn

from robustbench_zosam.errors import InputError
from robustbench_zosam.optim import create_optimizer
from robustbench_zosam.sparsity import Moment, create_masker
from robustbench_zosam.sparsity.policies.gmp import GMP
from robustbench_zosam.sparsity.policies.granet import GraNet
from robustbench_zosam.sparsity.policies.magnitude import Magnitude
from robustbench_zosam.sparsity.policies.schedules import cubic_remainder


def run(name, network, closure_of, steps=40, sparsity=0.8, seed=0, **options):
    """Trains and yields (masker, optimizer) after each step."""
    model = network(seed)
    masker = create_masker(name, model, sparsity=sparsity, total_steps=steps, **options)
    optimizer = create_optimizer("sgd", model, masker=masker, lr=0.05)
    for _ in range(steps):
        optimizer.step(closure_of(model))
        masker.check(optimizer)
        yield masker


def test_the_cubic_schedule_has_the_published_values():
    golden = {0: 0.0, 10: 0.2439, 25: 0.5203, 50: 0.7875, 75: 0.8859, 100: 0.9}
    found = {t: 0.9 * (1 - cubic_remainder(t, 0, 100)) for t in golden}
    assert found == pytest.approx(golden, abs=5e-5)


@pytest.mark.parametrize("scope", ["global", "uniform", "erk"])
def test_gmp_follows_the_schedule_exactly_and_masks_only_shrink(network, closure_of, scope):
    before = None
    for done, masker in enumerate(
        run("gmp", network, closure_of, interval=3, scope=scope), start=1
    ):
        total = masker.report().maskable
        final = round(0.2 * total)
        event = min(8 + (done - 1 - 8) // 3 * 3, 30) if done - 1 >= 8 else 0
        event = 30 if done - 1 >= 30 else event
        left = (1 - min(max(event - 8, 0) / 22, 1)) ** 3
        slack = 0 if scope == "global" else len(masker.layers)
        assert abs(masker.report().active - final - round((total - final) * left)) <= slack
        masks = {name: mask.clone() for name, mask in masker.masks.items()}
        assert before is None or not any((masks[n] & ~before[n]).any() for n in masks)
        before = masks
    assert masker.report().active == final
    assert len(masker.events) == 8  # 11, 14, ..., 29, and the end
    assert masker.events[-1].step == 30


def test_gmp_falls_on_the_interval_and_on_its_end():
    policy = GMP(interval=10)
    policy.prepare(100)
    assert [t for t in range(100) if policy.due(Moment(t, 100))] == [30, 40, 50, 60, 70, 75]


def test_pruning_keeps_the_largest_weights_of_all_layers_and_ranks_the_dead_below():
    model = nn.Sequential(nn.Linear(10, 10, bias=False), nn.Linear(10, 10, bias=False))
    masker = create_masker("magnitude", model, sparsity=0.5, total_steps=10, prune_at=0.3)
    with torch.no_grad():
        model[0].weight.copy_(torch.arange(100.0).view(10, 10) - 60)
        model[1].weight.zero_()  # live zeros stay eligible
    for _ in range(4):
        masker.after_update(lambda _: [])
    kept = masker.masks["0.weight"]
    assert [(e.step, e.dropped) for e in masker.events] == [(3, 100)]
    assert masker.report().active == 100
    assert int(masker.masks["1.weight"].sum()) >= 1
    assert kept.flatten()[:60].all()
    assert masker.report().layers[0].active + masker.report().layers[1].active == 100


def test_one_shot_pruning_happens_once_and_can_come_before_training(network, closure_of):
    counts = [m.report().active for m in run("magnitude", network, closure_of, steps=10)]
    total, final = counts[0], counts[-1]
    assert counts == [total] * 5 + [final] * 5
    assert final == round(0.2 * total)
    early = [m.report().active for m in run("magnitude", network, closure_of, prune_at=0.0)]
    assert set(early) == {final}


def test_pruning_before_training_keeps_the_largest_initial_weights(network):
    model = network()
    weights = torch.cat([network()[i].weight.detach().abs().flatten() for i in (0, 3, 6)])
    masker = create_masker("magnitude", model, sparsity=0.8, total_steps=9, prune_at=0.0)
    kept = torch.cat([mask.flatten() for mask in masker.masks.values()])
    assert weights[kept].min() > weights[~kept].max()


@pytest.mark.parametrize("initial", [0.5, 0.0])
def test_granet_prunes_along_the_schedule_and_regrows_as_many(network, closure_of, initial):
    options = {"interval": 3, "initial_sparsity": initial, "start_fraction": 0.1}
    for masker in run("granet", network, closure_of, **options):
        report = masker.report()
        event = masker.events[-1] if masker.events else None
        left = 1 if event is None else (1 - max(event.step - 4, 0) / 26) ** 3
        first, final = (round((1 - s) * report.maskable) for s in (initial, 0.8))
        assert report.active == final + round((first - final) * left)
    assert masker.report().active == final
    assert sum(event.grown for event in masker.events) > 50
    assert [event.step for event in masker.events] == list(range(3, 31, 3))


def test_granet_waits_with_pruning_in_short_trainings():
    for steps, start in ((100, 0.2), (100_000, 0.0)):
        policy = GraNet()
        policy.prepare(steps)
        assert policy.start_fraction == start


def test_granet_never_starts_sparser_than_asked_for(network, closure_of):
    for masker in run("granet", network, closure_of, sparsity=0.3, steps=20, interval=3):
        assert masker.report().active == round(0.7 * masker.report().maskable)


def test_diverged_weights_leave_the_masks_alone(network):
    model = network()
    masker = create_masker("gmp", model, sparsity=0.8, total_steps=40, interval=3)
    with torch.no_grad():
        model[0].weight.fill_(torch.nan)
    for _ in range(20):
        masker.after_update(lambda _: [])
    assert masker.events
    assert all(event.skipped for event in masker.events)
    assert masker.report().sparsity_maskable == 0


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("gmp", {"start_fraction": 0.8}, "is not before stop_fraction"),
        ("gmp", {"stop_fraction": 1.0}, "stop_fraction is 1.0"),
        ("gmp", {"interval": 60}, "interval 60 never falls"),
        ("gmp", {"scope": "local"}, "choose one of global"),
        ("magnitude", {"prune_at": 1.0}, "prune_at is 1.0"),
        ("granet", {"stop_fraction": 1.0}, "leaves pruning incomplete"),
        ("granet", {"initial_sparsity": 1.0}, "initial_sparsity is 1.0"),
        ("granet", {"start_fraction": 0.8}, "start_fraction is 0.8"),
        ("gmp", {"sparsity": 0.9999}, "each needs at least one"),
        ("rigl-itop", {"drop_floor": 0.7}, "drop_floor is 0.7"),
        ("shuffle", {"of": "rigl"}, "choose one of"),
        ("sr-ste", {"sparsity": 0.9}, "choose one of 0.25, 0.5, 0.75"),
        ("sr-ste", {"group": 7, "sparsity": 4 / 7}, "multiple of 7 inputs"),
        ("mest-ems", {"total_steps": 1}, "too few for the stages"),
        ("dsr", {"threshold": 0.0}, "threshold is 0.0"),
    ],
)
def test_bad_options_are_refused_in_a_sentence(network, name, options, message):
    with pytest.raises(InputError, match=message):
        create_masker(name, network(), **{"sparsity": 0.5, "total_steps": 100, **options})


def test_a_pruning_phase_outside_the_training_is_refused():
    with pytest.raises(InputError, match="does not fit"):
        GMP().prepare(0)
    Magnitude().prepare(1)
