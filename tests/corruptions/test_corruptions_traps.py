"""Mistakes that other implementations are known for."""

from __future__ import annotations

import numpy as np
import torch

from corruptions import corrupt, edges, names
from corruptions.draws import Draws
from corruptions.plasma import plasma
from corruptions.registry import get

CPU = torch.device("cpu")


def test_default_preset_is_for_small_images(crops):
    clean = crops(2, 32)
    for name in names("all"):
        np.testing.assert_array_equal(
            corrupt(clean, name, 5), corrupt(clean, name, 5, preset="cifar")
        )


def test_results_are_truncated():
    # Black and white halves averaged with equal weights give 127.5.
    image = np.zeros((1, 32, 32, 3), np.uint8)
    image[0, ::2] = 255
    middle = corrupt(image, "contrast", 5)
    assert set(np.unique(middle)) == {108, 146}  # 127.5 - 19.125 and 127.5 + 19.125


def test_glass_offsets_exclude_the_upper_bound():
    for severity, reach in ((1, 1), (4, 3), (5, 4)):
        facts = get("glass_blur")
        row = facts.row("imagenet", severity)
        offsets = facts.load().sample(Draws("glass", 0, 20, CPU), (3, 32, 32), row)
        assert sorted(offsets.unique().tolist()) == list(range(-reach, reach))


def test_glass_leaves_the_margin_alone():
    image = np.arange(32 * 32, dtype=np.int64).reshape(1, 32, 32, 1) % 251
    image = image.repeat(3, 3).astype(np.uint8)
    result = corrupt(image, "glass_blur", 1)  # sigma 0.05: no blur
    changed = (result != image).any(-1)[0]
    assert not changed[:2].any()
    assert not changed[:, :2].any()
    assert changed[2:, 2:].mean() > 0.6
    assert changed[31].any()


def test_motion_blur_reads_to_one_side_only():
    image = np.zeros((64, 33, 33, 3), np.uint8)
    image[:, 16, 16] = 255
    result = corrupt(image, "motion_blur", 5)[..., 0]
    assert (result[:, :, 17:] == 0).all()  # light only spreads against the direction
    assert (result[:, :, :16] > 0).any(axis=(1, 2)).all()


def test_plasma_spans_zero_to_one_and_wraps_around():
    surface = plasma(Draws("plasma", 0, 50, CPU).uniform("p", (32 * 32 - 1,)), 3)
    assert torch.equal(surface.amin((1, 2)), torch.zeros(50, dtype=torch.float64))
    assert torch.equal(surface.amax((1, 2)), torch.ones(50, dtype=torch.float64))
    inside = surface.diff(dim=1).abs().mean()
    across = (surface[:, 0] - surface[:, -1]).abs().mean()
    assert across < 2 * inside


def test_fog_keeps_the_brightest_value(crops):
    clean = crops(8, 32)
    top = corrupt(clean, "fog", 4).max((1, 2, 3)).astype(int)
    assert (top <= clean.max((1, 2, 3))).all()


def test_pixelate_depends_on_each_side_alone(crops):
    wide = crops(1, 32, 64)
    blocks = corrupt(wide, "pixelate", 5)[0].astype(int)
    assert (np.diff(blocks, axis=1) == 0).all((0, 2)).sum() == 64 - int(64 * 0.65)
    assert (np.diff(blocks, axis=0) == 0).all((1, 2)).sum() == 32 - int(32 * 0.65)


def test_water_without_drops_leaves_the_image():
    dry = get("spatter").load().apply
    image = torch.full((2, 3, 32, 32), 90, dtype=torch.uint8)
    row = (0.1, 0.01, 0.7, 0.7, 0.5, 0)
    assert torch.equal(dry(image, torch.zeros(2, 32, 32), row), image)


def test_equalising_a_constant_plane_changes_nothing():
    planes = torch.tensor([7, 0, 255], dtype=torch.uint8)[:, None, None].expand(3, 8, 8)
    assert torch.equal(edges.equalise(planes), planes)


def test_canny_finds_a_step_once():
    plane = torch.zeros(1, 16, 16, dtype=torch.uint8)
    plane[..., 8:] = 200
    found = edges.canny(plane, 50, 150)[0]
    assert found[2:-2].sum(1).tolist() == [1] * 12


def test_chamfer_distance_without_targets_is_the_limit():
    distance = edges.chamfer_distance(torch.zeros(1, 16, 16, dtype=torch.uint8), 20)
    assert (distance == 20).all()
