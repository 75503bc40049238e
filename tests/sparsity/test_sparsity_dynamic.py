"""SET, ITOP, DSR, MEST, SR-STE: the rules, the counts and the stages."""

import numpy as np
import pytest
import torch
from torch import nn

from robustbench_zosam.optim import SAM, create_optimizer
from robustbench_zosam.sparsity import MaskedLayer, Moment, create_masker, maskable_layers
from robustbench_zosam.sparsity.policies.dsr import DSR
from robustbench_zosam.sparsity.policies.mest_em import MestEM
from robustbench_zosam.sparsity.policies.rigl_itop import RigLITOP
from robustbench_zosam.sparsity.policies.sr_ste import SRSTE


def two_layers():
    model = nn.Sequential(nn.Linear(40, 50, bias=False), nn.Linear(50, 20, bias=False))
    with torch.no_grad():
        generator = torch.Generator().manual_seed(0)
        for layer in model:
            layer.weight.copy_(torch.randn(layer.weight.shape, generator=generator))
    return model


def masker_for(name, steps=100, sparsity=0.9, **options):
    model = two_layers()
    settings = {"sparsity": sparsity, "total_steps": steps} | options
    return model, create_masker(name, model, **settings)


def idle(masker, steps):
    """Steps in which the optimizer changes nothing."""
    for _ in range(steps):
        masker.before_update(lambda _: [])
        masker.after_update(lambda _: [])


def test_set_drops_the_smallest_and_grows_anywhere():
    model, masker = masker_for("set", interval=10, tie_noise=0.0)
    old = {n: m.clone() for n, m in masker.masks.items()}
    weights = {n: model.get_parameter(n).detach().clone() for n in old}
    idle(masker, 11)
    for name, mask in masker.masks.items():
        count = int(0.3 / 2 * (1 + np.cos(np.pi * 10 / 75)) * int(old[name].sum()))
        ranked = weights[name][old[name]].abs().sort().values
        lost = weights[name][old[name] & ~mask].abs()
        assert lost.max() <= ranked[count - 1]
        assert int(mask.sum()) == int(old[name].sum())
        # of `count` random places nearly all are new
        assert int((mask & ~old[name]).sum()) > 0.7 * count


def test_growth_of_set_is_uniform():
    # chi-square over 500 empty places of one layer; false alarm 1e-4 at this fixed seed
    counts = np.zeros(1000)
    model = nn.Linear(100, 10, bias=False)
    policy = create_masker("set", model, sparsity=0.5, total_steps=100).policy
    mask = torch.zeros(10, 100, dtype=torch.bool)
    mask[:, :50] = True
    with torch.no_grad():
        model.weight.fill_(1.0)
    layer = MaskedLayer("weight", model.weight, mask)
    generator = torch.Generator().manual_seed(0)
    for _ in range(300):
        grown = policy.growth_scores(layer, generator).masked_fill(mask, -1).flatten().topk(50)
        counts[grown.indices] += 1
    empty = counts.reshape(10, 100)[:, 50:]
    expected = 300 * 50 / 500
    statistic = ((empty - expected) ** 2 / (expected * (1 - 0.1))).sum()
    assert counts.reshape(10, 100)[:, :50].sum() == 0
    assert statistic < 500 + 3.7 * np.sqrt(1000)


def test_itop_updates_rarely_until_the_end():
    policy = RigLITOP()
    policy.prepare(97_656)
    assert policy.interval == 4000
    short = RigLITOP()
    short.prepare(240)
    assert [t for t in range(240) if short.due(Moment(t, 240))] == list(range(10, 240, 10))


def test_itop_drops_half_at_first_and_little_at_the_end():
    _, masker = masker_for("rigl-itop", interval=10, allocation="uniform")
    dropped = []
    for step in range(100):
        for layer in masker.layers:
            layer.weight.grad = torch.randn(layer.shape, generator=torch.Generator().manual_seed(1))
        idle(masker, 1)
        if masker.events and masker.events[-1].step == step:
            dropped.append(masker.events[-1].dropped)
    assert len(dropped) == 9
    assert dropped[0] > 10 * dropped[-1]


def test_dsr_moves_weights_to_where_most_survive_and_keeps_the_total():
    model, masker = masker_for("dsr", interval=10, threshold=2e-5)
    with torch.no_grad():  # half of the first layer falls below the threshold, none of the second
        first = masker.masks["0.weight"]
        places = first.flatten().nonzero().flatten()
        model[0].weight.view(-1)[places[:100]] = 1e-5
    idle(masker, 11)
    event, report = masker.events[-1], masker.report()
    assert event.dropped == event.grown == 100
    survivors = np.array([100, 100])
    assert [layer.active for layer in report.layers] == list(survivors + 50)
    assert not (masker.masks["0.weight"].flatten()[places[:100]]).any()
    assert report.active == 300


@pytest.mark.parametrize(("count", "factor"), [(0, 2), (8, 2), (10, 1), (11, 1), (12, 0.5)])
def test_the_threshold_of_dsr_adapts(count, factor):
    policy = DSR(threshold=1.0)
    policy._adapt(count, 10.0)
    assert policy.threshold == factor


def test_dsr_never_empties_a_layer_and_saves_its_threshold():
    _, masker = masker_for("dsr", interval=10, threshold=1e9)
    idle(masker, 11)
    assert [layer.active for layer in masker.report().layers] == [150, 150]
    assert masker.state_dict()["policy"] == {"threshold": 5e8}
    other = DSR()
    other.load_state_dict(masker.state_dict()["policy"])
    assert other.threshold == 5e8


def test_the_interval_of_dsr_doubles():
    policy = DSR(interval=10)
    policy.prepare(1000)
    due = [t for t in range(1000) if policy.due(Moment(t, 1000))]
    assert due[:12] == list(range(10, 121, 10))
    assert set(np.diff(due)) == {10, 20, 40, 80}
    assert due[-1] < 950


def test_dsr_leaves_a_nearly_dense_network_alone():
    _, masker = masker_for("dsr", interval=10, sparsity=0.0, threshold=1.0)
    idle(masker, 20)
    assert masker.report().sparsity_maskable == 0


def test_mest_scores_by_weight_and_gradient():
    model = nn.Linear(2, 2, bias=False)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[1.0, -2.0], [3.0, 4.0]]))
    model.weight.grad = torch.tensor([[40.0, 0.0], [-10.0, 0.0]])
    mask = torch.tensor([[True, True], [True, False]])
    layer = MaskedLayer("weight", model.weight, mask)
    expected = torch.tensor([[5.0, 2.0], [4.0, -torch.inf]])
    assert torch.equal(MestEM(lambda_grad=0.1)._importance(layer), expected)
    assert MestEM().gradient is None
    assert MestEM(lambda_grad=0.1).gradient == "update"


@pytest.mark.parametrize(
    ("name", "sparsity", "expected"),
    [  # (lower, upper) densities of the three stages, from the authors' scripts
        ("mest-em", 0.90, [(0.08, 0.10), (0.09, 0.10), (0.10, 0.10)]),
        ("mest-em", 0.95, [(0.04, 0.05), (0.045, 0.05), (0.05, 0.05)]),
        ("mest-ems", 0.90, [(0.10, 0.15), (0.10, 0.125), (0.10, 0.10)]),
        ("mest-ems", 0.95, [(0.05, 0.10), (0.05, 0.075), (0.05, 0.05)]),
        ("mest-ems", 0.98, [(0.02, 0.04), (0.02, 0.03), (0.02, 0.02)]),
    ],
)
def test_the_bounds_of_mest_are_those_of_the_scripts(name, sparsity, expected):
    _, masker = masker_for(name, sparsity=sparsity)
    size = 100_000
    bounds = [masker.policy.bounds(round((1 - sparsity) * size), size, s) for s in range(3)]
    assert np.array(bounds) / size == pytest.approx(np.array(expected))


def test_the_stages_of_mest_follow_the_published_epochs():
    for name, freezes in (("mest-em", []), ("mest-ems", [120])):
        _, masker = masker_for(name, steps=160, interval=5)
        due = [t for t in range(160) if masker.policy.due(Moment(t, 160))]
        assert due == [*range(5, 120, 5), *freezes]


@pytest.mark.parametrize(("steps", "interval"), [(125_000, 3906), (2000, 100), (160, 30), (2, 1)])
def test_the_default_interval_of_mest_leaves_new_weights_time(steps, interval):
    policy = MestEM()
    policy.prepare(steps)
    assert policy.interval == interval


def test_mest_starts_from_the_largest_initial_weights():
    weight = two_layers()[0].weight.detach().abs()
    _, masker = masker_for("mest-em")
    kept = masker.masks["0.weight"]
    assert weight[kept].min() > weight[~kept].max()


def test_mest_exchanges_a_fifth_then_a_tenth_then_nothing():
    _, masker = masker_for("mest-em", steps=160, interval=5)
    idle(masker, 160)
    assert {m.sum().item() for m in masker.masks.values()} == {200, 100}
    dropped = {event.step: event.dropped for event in masker.events}
    assert all(50 < dropped[t] <= 60 for t in range(5, 90, 5))  # of 300; some grow where they fell
    assert all(22 < dropped[t] <= 30 for t in range(90, 120, 5))
    assert max(dropped) == 115


def test_mest_ems_is_denser_until_its_last_stage():
    _, masker = masker_for("mest-ems", steps=160)
    actives = []
    for _ in range(160):
        idle(masker, 1)
        masker.check()
        actives.append(masker.report().active)
    assert actives[:90] == [450] * 90
    assert actives[90:120] == [375] * 30
    assert actives[120:] == [300] * 40


def sr_ste(**options):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(
            nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 2), nn.Flatten(), nn.Linear(4, 5)
        )
    options = {"sparsity": 0.5, "total_steps": 20} | options
    return model, create_masker("sr-ste", model, **options)


def test_two_of_every_four_weights_along_the_inputs_are_kept():
    _, masker = sr_ste()
    assert masker.masks["0.weight"].all()  # three inputs are no multiple of four
    conv = masker.masks["2.weight"]
    assert (conv.view(4, 2, 4, 2, 2).sum(2) == 2).all()
    assert (masker.masks["4.weight"].sum(1) == 2).all()
    assert masker.report().active == 216 + 64 + 10
    fresh = SRSTE()
    layers = maskable_layers(nn.Linear(8, 3))
    mask = fresh.initial_masks(
        type("S", (), {"sparsity": 0.75, "layers": layers})  # what initial_masks looks at
    )[0]
    groups = layers[0].weight.detach().abs().view(3, 2, 4)
    assert torch.equal(mask.view(3, 2, 4).int().argmax(2), groups.argmax(2))


def test_sr_ste_follows_the_published_update():
    """Against the update written out on one dense matrix: w <- w - lr (g(m w) + decay (1-m) w)."""
    model = nn.Linear(8, 6, bias=False)
    dense = model.weight.detach().clone()
    masker = create_masker("sr-ste", model, sparsity=0.5, total_steps=20, decay=0.1)
    optimizer = create_optimizer("sgd", model, masker=masker, lr=0.5, momentum=0, weight_decay=0)
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(30, 8, generator=generator), torch.randn(30, 6, generator=generator)

    def closure(backward=True):
        loss = (model(x) - y).square().mean()
        if backward:
            loss.backward()
        return loss

    def mask_of(weight):
        groups = weight.abs().view(-1, 4)
        kept = torch.zeros_like(groups).scatter_(1, groups.argsort(1, descending=True)[:, :2], 1)
        return kept.view(weight.shape)

    changed = 0
    for _ in range(20):
        mask = mask_of(dense)
        sparse = (mask * dense).requires_grad_()
        gradient = torch.autograd.grad((x @ sparse.T - y).square().mean(), sparse)[0]
        dense = dense - 0.5 * (gradient + 0.1 * (1 - mask) * dense)
        changed += int((mask_of(dense) != mask).sum())
        optimizer.step(closure)
        masker.check(optimizer)
        assert torch.allclose(model.weight, mask_of(dense) * dense, atol=1e-6)
    assert changed > 0


def test_perturbations_see_the_sparse_network_of_sr_ste():
    model = nn.Linear(8, 6, bias=False)
    masker = create_masker("sr-ste", model, sparsity=0.5, total_steps=20)
    optimizer = SAM(model.parameters(), lr=0.1, rho=0.5, mask=masker)
    x = torch.randn(30, 8, generator=torch.Generator().manual_seed(0))
    seen = []

    def closure(backward=True):
        seen.append((model.weight.detach() != 0).sum().item())
        loss = model(x).square().mean()
        if backward:
            loss.backward()
        return loss

    for _ in range(3):
        optimizer.step(closure)
    assert max(seen) <= 24
