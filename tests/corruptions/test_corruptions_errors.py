"""Mistakes of the caller end in one sentence that says what to do."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from corruptions import CorruptionError, corrupt, names

IMAGES = np.zeros((2, 32, 32, 3), np.uint8)


@pytest.mark.parametrize("severity", [0, 6, -1, 2.5, True, "3", None])
def test_severity_outside_one_to_five(severity):
    with pytest.raises(CorruptionError, match="give an integer from 1 to 5"):
        corrupt(IMAGES, "contrast", severity)


def test_integers_of_numpy_are_severities():
    np.testing.assert_array_equal(
        corrupt(IMAGES, "contrast", np.int64(3)), corrupt(IMAGES, "contrast", 3)
    )


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [("gausian_noise", "gaussian_noise"), ("jpeg", "jpeg_compression"), ("Contrast", "contrast")],
)
def test_unknown_name_suggests_the_nearest(wrong, meant):
    with pytest.raises(CorruptionError, match=f"'{wrong}'; did you mean '{meant}'"):
        corrupt(IMAGES, wrong, 1)


def test_hopeless_name_lists_what_there_is():
    with pytest.raises(CorruptionError, match="choose one of gaussian_noise, "):
        corrupt(IMAGES, "xyz", 1)


@pytest.mark.parametrize(
    "images",
    [IMAGES.astype(np.float32), torch.zeros(2, 3, 32, 32), torch.zeros(2, 3, 32, 32).int()],
)
def test_other_types_than_uint8(images):
    with pytest.raises(CorruptionError, match="give uint8"):
        corrupt(images, "contrast", 1)


@pytest.mark.parametrize("shape", [(32, 32, 3), (2, 32, 32), (2, 32, 32, 4), (2, 2, 32, 32)])
def test_wrong_shapes(shape):
    with pytest.raises(CorruptionError, match=r"images have shape .*; give \(n, 3, h, w\)"):
        corrupt(np.zeros(shape, np.uint8), "contrast", 1)


@pytest.mark.parametrize("shape", [(2, 15, 32, 3), (2, 3, 32, 8)])
def test_sides_below_sixteen(shape):
    with pytest.raises(CorruptionError, match="sides need at least 16"):
        corrupt(np.zeros(shape, np.uint8), "contrast", 1)


def test_other_objects_than_arrays():
    with pytest.raises(CorruptionError, match="images are a list"):
        corrupt(IMAGES.tolist(), "contrast", 1)


def test_unknown_preset_and_group():
    with pytest.raises(CorruptionError, match="choose one of cifar, tiny-imagenet, imagenet"):
        corrupt(IMAGES, "contrast", 1, preset="svhn")
    with pytest.raises(CorruptionError, match="choose 'common', 'extra' or 'all'"):
        names("some")


@pytest.mark.parametrize("start", [-1, 0.5, None])
def test_start_is_an_index(start):
    with pytest.raises(CorruptionError, match=r"start is .*; give the index"):
        corrupt(IMAGES, "contrast", 1, start=start)


@pytest.mark.parametrize("seed", [0.5, "a", None])
def test_seed_is_an_integer(seed):
    with pytest.raises(CorruptionError, match=r"seed is .*; give an integer"):
        corrupt(IMAGES, "contrast", 1, seed=seed)
