"""Training images drawn class by class."""

import numpy as np
import torch

from robustbench_zosam.data.dataset import Split
from robustbench_zosam.training import Batches


def batches(augment=False):
    labels = np.repeat(np.arange(3), [10, 10, 2]).astype(np.int64)
    images = np.broadcast_to(np.arange(22, dtype=np.uint8)[:, None, None, None], (22, 3, 8, 8))
    split = Split(np.ascontiguousarray(images), labels)
    device = torch.device("cpu")
    return Batches(split, batch_size=4, seed=0, device=device, augment=augment, flip=True)


def drawn(source, per_class, seed=0):
    return source.draw(per_class, torch.Generator().manual_seed(seed))


def test_every_class_gives_as_many_distinct_images_as_it_has():
    images, labels = drawn(batches(), 5)
    assert labels.tolist() == [0] * 5 + [1] * 5 + [2] * 2
    indices = (images[:, 0, 0, 0] * 255).round().int().tolist()
    assert len(set(indices)) == 12
    assert [int(np.searchsorted([10, 20], i, side="right")) for i in indices] == labels.tolist()


def test_draws_depend_on_the_generator_alone_and_are_augmented_as_in_training():
    source = batches(augment=True)
    before = torch.get_rng_state()
    first, again, other = (drawn(source, 5, seed)[0] for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    flat = first.flatten(1)
    assert (flat.min(1).values < flat.max(1).values).any()  # black edges of a crop
