"""SNIP, GraSP and SynFlow against their definitions, written out on small networks."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from robustbench_zosam.errors import InputError
from robustbench_zosam.sparsity import SPARSIFIERS, Start, create_masker, maskable_layers
from robustbench_zosam.sparsity.saliency import ScratchModel
from robustbench_zosam.sparsity.selection import keep_highest

INPUTS, CLASSES = 4, 3


def small(seed=0, dtype=torch.float64):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        layers = nn.Linear(INPUTS, 5, bias=False), nn.Tanh(), nn.Linear(5, CLASSES, bias=False)
        return nn.Sequential(*layers).to(dtype)


def examples(per_class, generator):
    labels = torch.arange(CLASSES).repeat_interleave(per_class)
    images = torch.randn(len(labels), INPUTS, generator=generator, dtype=torch.float64)
    return images, labels


def masks_of(name, model, sparsity=0.6, data=examples, **options):
    options = {"sparsity": sparsity, "total_steps": 9, "examples": data} | options
    masker = create_masker(name, model, **options)
    return torch.cat([mask.flatten() for mask in masker.masks.values()])


def flat(tensors):
    return torch.cat([tensor.flatten() for tensor in tensors])


def highest(scores, share):
    count = round(share * len(scores))
    mask = torch.zeros(len(scores), dtype=torch.bool)
    mask[scores.argsort(descending=True)[:count]] = True
    return mask


def the_batch(per_class, generator=None):
    """The same examples whenever it is asked."""
    return examples(per_class, torch.Generator().manual_seed(7))


def test_snip_scores_by_the_derivative_with_respect_to_the_mask():
    model = small()
    images, labels = the_batch(10)
    mask = [torch.ones_like(w, requires_grad=True) for w in model.parameters()]
    first, second = (m * w.detach() for m, w in zip(mask, model.parameters(), strict=True))
    loss = F.cross_entropy((images @ first.T).tanh() @ second.T, labels)
    expected = flat(torch.autograd.grad(loss, mask)).abs()
    assert torch.equal(masks_of("snip", model, data=the_batch), highest(expected, 0.4))


def test_rounds_of_snip_score_what_is_left():
    model = small()
    images, labels = the_batch(10)
    weights = flat(model.parameters()).detach()
    mask = torch.ones(len(weights), dtype=torch.bool)
    for done in (1, 2, 3):
        w = (weights * mask).requires_grad_()
        first, second = w[:20].view(5, 4), w[20:].view(3, 5)
        loss = F.cross_entropy((images @ first.T).tanh() @ second.T, labels)
        scores = (w * torch.autograd.grad(loss, w)[0]).abs().detach()
        mask = highest(scores.masked_fill(~mask, -1), 0.4 ** (done / 3))
    found = masks_of("snip", model, data=the_batch, rounds=3)
    assert torch.equal(found, mask)
    assert not torch.equal(found, masks_of("snip", small(), data=the_batch))


def test_grasp_removes_the_largest_of_minus_w_times_the_hessian_gradient_product():
    model = small()

    class Halves:
        """Records the halves the policy scores, to write the definition out on them."""

        def __init__(self):
            self.seen = []

        def __call__(self, module, args, output):
            self.seen.append(args[0].detach())

    policy = SPARSIFIERS["grasp"].load()()
    start = Start(model, maskable_layers(model), 0.6, torch.Generator().manual_seed(0), the_batch)
    scratch = ScratchModel(start, training=True)
    policy.arrange(scratch, start)
    scratch.apply([torch.ones_like(w, dtype=torch.bool) for w in scratch.weights])
    recorder = Halves()
    handle = scratch.model.register_forward_hook(recorder)
    scores = flat(policy.scores(scratch, start))
    handle.remove()

    images, labels = the_batch(10)
    sets = []
    for half in recorder.seen[:2]:
        rows = [int((images == row).all(1).nonzero()) for row in half]
        sets.append((images[rows], labels[rows]))
    assert sorted(len(x) for x, _ in sets) == [15, 15]

    def loss(w, x, y):
        logits = (x @ w[:20].view(5, 4).T).tanh() @ w[20:].view(3, 5).T
        return F.cross_entropy(logits / 200, y)

    w = flat(scratch.weights).detach()

    def both(w):
        return sum(loss(w, *half) for half in sets)

    gradient = torch.autograd.functional.jacobian(both, w)
    hessian = torch.autograd.functional.hessian(both, w)
    expected = -w * (hessian @ gradient)
    torch.testing.assert_close(-scores, expected, rtol=1e-8, atol=1e-18)
    assert (expected > 0).any()
    assert (expected < 0).any()


def test_grasp_draws_linear_maps_anew_in_its_copy_alone():
    model = small()
    start = Start(model, maskable_layers(model), 0.6, torch.Generator().manual_seed(0), examples)
    scratch = ScratchModel(start, training=True)
    SPARSIFIERS["grasp"].load()().arrange(scratch, start)
    assert not torch.equal(scratch.initial[0], model[0].weight)
    assert torch.equal(model[0].weight, small()[0].weight)
    assert 0.5 < scratch.initial[0].std() / (2 / 9) ** 0.5 < 2


def chain():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1, bias=False),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Conv2d(8, 6, 3, padding=1, bias=False),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(6 * 16, 10, bias=False),
        )


def pictures(per_class, generator):
    labels = torch.arange(10).repeat_interleave(per_class)
    return torch.rand(len(labels), 3, 4, 4, generator=generator), labels


def synflow_scores(model):
    start = Start(model, maskable_layers(model), 0.5, torch.Generator(), pictures)
    policy = SPARSIFIERS["synflow"].load()()
    scratch = ScratchModel(start, training=policy.training, dtype=policy.dtype)
    policy.arrange(scratch, start)
    return policy.scores(scratch, start), scratch


def test_synaptic_flow_is_conserved_from_layer_to_layer():
    scores, _ = synflow_scores(chain())
    sums = [float(s.sum()) for s in scores]
    assert sums == pytest.approx([sums[0]] * 3, rel=1e-12)


def test_synflow_scores_are_the_share_of_paths_through_a_weight():
    model = small(dtype=torch.float32)
    found = synflow_scores_of_linear(model)
    a, b = (w.detach().double().abs() for w in model.parameters())
    first = (b.sum(0)[:, None] * a).flatten()  # sum over outputs of |b| times |a| times 1
    second = (b * a.sum(1)[None, :]).flatten()
    torch.testing.assert_close(found, torch.cat([first, second]))


def synflow_scores_of_linear(model):
    linear = nn.Sequential(model[0], nn.Identity(), model[2])

    def ones(per_class, generator):
        return torch.zeros(3, INPUTS), torch.arange(3)

    start = Start(linear, maskable_layers(linear), 0.5, torch.Generator(), ones)
    policy = SPARSIFIERS["synflow"].load()()
    scratch = ScratchModel(start, training=False, dtype=torch.float64)
    policy.arrange(scratch, start)
    return flat(policy.scores(scratch, start))


def deep(width=6, depth=12):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layers = [nn.Linear(width, width, bias=False) for _ in range(depth - 1)]
        return nn.Sequential(*layers, nn.Linear(width, 3, bias=False))


def test_rounds_keep_layers_alive_that_one_round_empties():
    # one bottleneck layer of large scores everywhere else would starve: the paper's layer collapse
    def uneven():
        model = nn.Sequential(nn.Linear(30, 30, bias=False), nn.Linear(30, 300, bias=False))
        with torch.no_grad():
            generator = torch.Generator().manual_seed(0)
            model[0].weight.uniform_(0.5, 1, generator=generator)
            model[1].weight.uniform_(0.5, 1, generator=generator)
        return model

    def ones(per_class, generator):
        return torch.zeros(3, 30), torch.arange(3)

    def rounds(count):
        options = {"sparsity": 0.92, "total_steps": 9, "examples": ones}
        return create_masker("synflow", uneven(), rounds=count, **options).report()

    assert rounds(1).collapsed == ("1.weight",)
    assert rounds(1).active == rounds(50).active == round(0.08 * 9900)
    assert rounds(50).collapsed == ()


def test_a_flow_beyond_double_precision_is_an_error():
    model = deep()
    with torch.no_grad():
        for p in model.parameters():
            p.fill_(1e30)

    def ones(per_class, generator):
        return torch.zeros(3, 6), torch.arange(3)

    with pytest.raises(InputError, match="flow through this model is inf"):
        create_masker("synflow", model, sparsity=0.5, total_steps=9, examples=ones)


def test_a_flow_beyond_single_precision_is_none():
    model = deep()
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(1e5)

    def ones(per_class, generator):
        return torch.zeros(3, 6), torch.arange(3)

    report = create_masker("synflow", model, sparsity=0.5, total_steps=9, examples=ones).report()
    assert report.collapsed == ()


def test_weights_that_are_not_finite_are_refused():
    model = small()
    with torch.no_grad():
        model[0].weight[0, 0] = torch.nan
    with pytest.raises(InputError, match="not finite"):
        masks_of("snip", model)


def test_shuffled_masks_keep_each_layers_count_and_nothing_else():
    model = chain()
    masks = {}
    for name, options in {"synflow": {}, "shuffle": {"of": "synflow"}}.items():
        settings = {"sparsity": 0.7, "total_steps": 9, "examples": pictures}
        masks[name] = create_masker(name, chain(), **settings, **options).masks
    assert all(int(masks["shuffle"][n].sum()) == int(m.sum()) for n, m in masks["synflow"].items())
    assert not any(torch.equal(masks["shuffle"][n], m) for n, m in masks["synflow"].items())
    assert set(masks["shuffle"]) == {layer.name for layer in maskable_layers(model)}


def test_a_small_dense_network_is_the_one_of_the_first_channels():
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, bias=False), nn.ReLU(), nn.Conv2d(8, 8, 2), nn.Flatten(), nn.Linear(8, 5)
    )
    half = 4 * 3 * 9 + 4 * 4 * 4 + 5 * 4  # weights of the network of half the width
    total = 8 * 3 * 9 + 8 * 8 * 4 + 5 * 8
    masker = create_masker("small-dense", model, sparsity=1 - half / total, total_steps=1)
    assert masker.report().active == half
    found = [mask.numpy() for mask in masker.masks.values()]
    expected = [np.zeros_like(mask) for mask in found]
    expected[0][:4] = expected[1][:4, :4] = expected[2][:, :4] = True
    assert all(np.array_equal(f, e) for f, e in zip(found, expected, strict=True))


def test_equal_scores_at_the_threshold_are_drawn_from_at_random():
    scores = [torch.tensor([3.0, 0, 0, 0]), torch.tensor([2.0, 0, 0, 0])]
    drawn = [
        torch.cat(keep_highest(scores, 4, torch.Generator().manual_seed(seed))).tolist()
        for seed in range(40)
    ]
    assert all(mask[0] and mask[4] and sum(mask) == 4 for mask in drawn)
    assert all(any(mask[i] for mask in drawn) for i in range(8))
    assert drawn[0] == torch.cat(keep_highest(scores, 4, torch.Generator().manual_seed(0))).tolist()
