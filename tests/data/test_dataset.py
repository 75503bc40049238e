from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from robustbench_zosam.data.dataset import Dataset, balanced_subset, stratified_split
from robustbench_zosam.errors import InputError

label_arrays = st.lists(st.integers(2, 30), min_size=1, max_size=5).map(
    lambda counts: np.random.default_rng(0).permutation(np.repeat(np.arange(len(counts)), counts))
)


@given(label_arrays, st.floats(0.05, 0.95), st.integers(0, 5))
def test_a_split_keeps_every_index_once_and_every_class_on_both_sides(labels, fraction, seed):
    names = tuple(map(str, np.unique(labels)))
    first, rest = stratified_split(labels, fraction, seed, names)
    assert sorted([*first, *rest]) == list(range(len(labels)))
    for label in np.unique(labels):
        size, chosen = (labels == label).sum(), (labels[first] == label).sum()
        assert 1 <= chosen <= size - 1
        assert abs(chosen - fraction * size) <= 1


@given(label_arrays, st.integers(1, 100))
def test_a_limit_takes_the_classes_as_even_as_they_come(labels, limit):
    kept = balanced_subset(labels, limit, seed=0)
    assert len(kept) == min(limit, len(labels))
    assert len(set(kept)) == len(kept)
    counts, sizes = np.bincount(labels[kept], minlength=labels.max() + 1), np.bincount(labels)
    for count, size in zip(counts, sizes, strict=True):
        assert count == size or count >= counts.max() - 1


def test_a_class_of_one_image_is_named():
    with pytest.raises(InputError, match=r"class 'b' has 1 image\(s\)"):
        stratified_split(np.array([0, 0, 1]), 0.5, 0, ("a", "b"))


def test_channel_statistics_are_those_of_all_pixels(stripes: Dataset):
    mean, std = stripes.channel_statistics()
    pixels = stripes.train.images / 255
    np.testing.assert_allclose(mean, pixels.mean(axis=(0, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(std, pixels.std(axis=(0, 2, 3)), rtol=1e-9)


def test_the_fingerprint_sees_a_single_pixel_and_a_class_name(stripes: Dataset):
    before = stripes.facts()["fingerprint"]
    renamed = dataclasses.replace(stripes, classes=("red", "green", "azure"))
    assert renamed.facts()["fingerprint"] != before
    stripes.test.images[3, 1, 2, 2] ^= 1
    assert stripes.facts()["fingerprint"] != before
