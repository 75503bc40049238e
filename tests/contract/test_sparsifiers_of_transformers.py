"""Every sparsifier on a vision transformer, with fused attention and a classifier of zeros."""

import copy
import pickle

import pytest
import torch
from torch import nn
from torchvision.models import VisionTransformer

from robustbench_zosam.errors import InputError
from robustbench_zosam.optim import create_optimizer, make_closure
from robustbench_zosam.sparsity import SPARSIFIERS, create_masker

STEPS = 20
NEED_SIGNAL = {"snip", "synflow", "shuffle"}  # GraSP redraws linear maps


def transformer(*, zero_head=False):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = VisionTransformer(8, 4, 1, 2, 16, 32, num_classes=10)
        if not zero_head:
            nn.init.normal_(model.heads.head.weight, std=0.2)
    return model


def examples(per_class, generator):
    labels = torch.arange(10).repeat_interleave(per_class)
    return torch.randn(len(labels), 3, 8, 8, generator=generator), labels


@pytest.fixture
def pruned():
    def build(name, **given):
        model = transformer(**given)
        sparsity = 0 if name == "dense" else 0.5
        options = {"total_steps": STEPS, "examples": examples}
        options |= {"rounds": 3} if name == "synflow" else {}
        return model, create_masker(name, model, sparsity=sparsity, **options)

    return build


@pytest.mark.parametrize("name", SPARSIFIERS.names())
def test_a_transformer_is_pruned_trained_and_copied(name, pruned):
    model, masker = pruned(name)
    optimizer = create_optimizer("sam", model, masker=masker, lr=0.01)
    images, labels = examples(1, torch.Generator().manual_seed(0))

    def steps(network, optimizer):
        for _ in range(2):
            optimizer.step(make_closure(loss_of(network), images, labels))
        optimizer.masks.check(optimizer)
        return torch.cat([p.detach().flatten() for p in network.parameters()])

    steps(model, optimizer)
    twins = copy.deepcopy((model, optimizer)), pickle.loads(pickle.dumps((model, optimizer)))
    ours = steps(model, optimizer)
    assert ours.isfinite().all()
    assert all(torch.equal(steps(*twin), ours) for twin in twins)


def loss_of(network):
    def losses(images, labels):
        return nn.functional.cross_entropy(network(images), labels, reduction="none")

    return losses


@pytest.mark.parametrize("name", sorted(NEED_SIGNAL))
def test_scores_that_are_all_zero_are_refused(name, pruned):
    with pytest.raises(InputError, match=r"scores every weight of this model 0.*initialise it at"):
        pruned(name, zero_head=True)


def test_grasp_prunes_a_transformer_whose_classifier_starts_at_zero(pruned):
    _, masker = pruned("grasp", zero_head=True)
    counts = [layer.active for layer in masker.report().layers]
    assert sum(counts) == round(0.5 * masker.report().maskable)
    assert min(counts) > 1
