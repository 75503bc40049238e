"""Frost textures: which are used, how they are resized, and what is said when they are missing."""

from __future__ import annotations

import dataclasses
import hashlib

import numpy as np
import pytest
import torch
from PIL import Image

from corruptions import CorruptionError, corrupt, frost_source, textures
from corruptions.draws import Draws
from corruptions.frost import over

CPU = torch.device("cpu")


@pytest.fixture
def published(tmp_path, monkeypatch):
    """A folder that passes for the published one: flat pictures whose level tells their number."""
    pictures = []
    for number, picture in enumerate(textures.PICTURES):
        path = tmp_path / picture.file.replace(".jpg", ".png")
        level = np.full((picture.height, picture.width, 3), 50 * (number + 1), np.uint8)
        Image.fromarray(level).save(path)
        md5 = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
        pictures.append(dataclasses.replace(picture, file=path.name, md5=md5))
    monkeypatch.setattr(textures, "PICTURES", tuple(pictures))
    return tmp_path


def test_pictures_are_drawn_with_the_published_weights(published):
    # Binomial counts of 4000 draws, false alarm 1e-4 each.
    crops = over(published).sample(Draws("weights", 0, 4000, CPU), (3, 32, 32), (0.2, 1, 0.2))
    share = [(crops[:, 0, 0, 0] == 50 * (k + 1)).float().mean().item() for k in range(4)]
    np.testing.assert_allclose(share, [0.2, 0.4, 0.2, 0.2], atol=0.03)


def test_folder_by_argument_and_by_environment(published, monkeypatch):
    images = np.zeros((4, 32, 32, 3), np.uint8)
    drawn = corrupt(images, "frost", 1)
    assert frost_source() == "synthetic"
    from_folder = corrupt(images, "frost", 1, textures=published)
    assert set(np.unique(from_folder)) <= {10, 20, 30, 40}
    assert (drawn != from_folder).any()
    monkeypatch.setenv("CORRUPTIONS_FROST_DIR", str(published))
    assert frost_source() == "published"
    np.testing.assert_array_equal(corrupt(images, "frost", 1), from_folder)


def test_missing_and_altered_files_are_named(published):
    images = np.zeros((1, 32, 32, 3), np.uint8)
    name = textures.PICTURES[1].file
    (published / name).write_bytes(b"something else")
    with pytest.raises(CorruptionError, match=f"{name} is not the published texture"):
        corrupt(images, "frost", 2, textures=published)
    (published / name).unlink()
    with pytest.raises(CorruptionError, match=f"has no {name}; put"):
        corrupt(images, "frost", 3, textures=published)


def test_sizes_after_scaling_are_the_published_ones():
    sizes = {
        factor: [picture.shape[:2] for picture in textures.rescale(textures.draw(), factor)]
        for factor in (0.2, 0.3)
    }
    assert sizes[0.2] == [(120, 180), (63, 112), (70, 105), (99, 132)]
    assert sizes[0.3] == [(180, 270), (94, 168), (105, 158), (148, 198)]


def test_scaling_by_a_fifth_picks_every_fifth_pixel():
    picture = textures.draw()[1]
    (small,) = textures.rescale([picture], 0.2)
    np.testing.assert_array_equal(small, picture[2::5, 2::5])


def test_scaling_is_bilinear():
    generator = np.random.default_rng(0)
    picture = generator.integers(0, 256, (40, 50, 3), np.uint8)
    (small,) = textures.rescale([picture], 0.3)
    for y, x in ((0, 0), (5, 7), (11, 14)):
        v, u = (y + 0.5) / 0.3 - 0.5, (x + 0.5) / 0.3 - 0.5
        top, left = int(v), int(u)
        part = picture[top : top + 2, left : left + 2].astype(float)
        rows = part[0] * (1 - v + top) + part[1] * (v - top)
        exact = rows[0] * (1 - u + left) + rows[1] * (u - left)
        np.testing.assert_allclose(small[y, x], exact, atol=1)


def test_drawn_textures_have_the_mean_colours():
    for texture, picture in zip(textures.draw(), textures.PICTURES, strict=True):
        np.testing.assert_allclose(texture.mean((0, 1)), picture.colour, atol=5)


def test_images_larger_than_the_textures_get_larger_textures():
    images = np.zeros((1, 80, 600, 3), np.uint8)
    assert (corrupt(images, "frost", 1) > 0).any()
