"""Deterministic corruptions against other libraries and closed forms."""

from __future__ import annotations

import colorsys
import io

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import ndimage

from corruptions import corrupt, registry
from corruptions.jpeg import compress
from corruptions.separable import gaussian_matrix


def each_severity(name, presets=("cifar", "tiny-imagenet", "imagenet")):
    return [
        (preset, s, registry.get(name).row(preset, s)) for preset in presets for s in range(1, 6)
    ]


@pytest.mark.parametrize(("preset", "severity", "row"), each_severity("pixelate"))
@pytest.mark.parametrize("shape", [(32, 32), (64, 64), (40, 57)])
def test_pixelate_is_pillow(preset, severity, row, shape, crops):
    clean = crops(3, *shape)
    height, width = shape
    small = (int(width * row[0]), int(height * row[0]))
    for image, result in zip(
        clean, corrupt(clean, "pixelate", severity, preset=preset), strict=True
    ):
        boxes = Image.fromarray(image).resize(small, Image.Resampling.BOX)
        expected = np.asarray(boxes.resize((width, height), Image.Resampling.BOX))
        np.testing.assert_array_equal(result, expected)


def pillow_jpeg(image, quality):
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


@pytest.mark.parametrize(("preset", "severity", "row"), each_severity("jpeg_compression"))
def test_jpeg_compression_is_pillow(preset, severity, row, crops):
    clean = crops(3, 33, 50)
    result = corrupt(clean, "jpeg_compression", severity, preset=preset)
    for image, got in zip(clean, result, strict=True):
        np.testing.assert_array_equal(got, pillow_jpeg(image, int(row[0])))


# Odd sides, sides that end inside a chroma block, and sides that need no filling.
@pytest.mark.parametrize("shape", [(32, 32), (40, 57), (17, 16), (31, 72), (16, 19)])
@pytest.mark.parametrize("quality", [1, 10, 49, 75, 96, 100])
def test_jpeg_arithmetic_is_libjpeg_on_anything(shape, quality, crops):
    generator = np.random.default_rng(quality)
    images = np.concatenate([
        crops(2, *shape),
        generator.integers(0, 256, (2, *shape, 3), np.uint8),
        generator.integers(0, 2, (2, *shape, 3), np.uint8) * 255,
    ])
    result = compress(torch.from_numpy(images).permute(0, 3, 1, 2), quality).permute(0, 2, 3, 1)
    for image, got in zip(images, result.numpy(), strict=True):
        np.testing.assert_array_equal(got, pillow_jpeg(image, quality))


@pytest.mark.parametrize(("preset", "severity", "row"), each_severity("gaussian_blur"))
def test_gaussian_blur_is_scipy(preset, severity, row, crops):
    clean = crops(3, 40, 33)
    result = corrupt(clean, "gaussian_blur", severity, preset=preset)
    sigmas = (0, row[0], row[0], 0)
    exact = ndimage.gaussian_filter(clean / 255.0, sigmas, mode="nearest", truncate=4)
    np.testing.assert_array_equal(result, (np.clip(exact, 0, 1) * 255).astype(np.uint8))


@pytest.mark.parametrize("border", ["nearest", "symmetric"])
@pytest.mark.parametrize(("side", "sigma", "truncate"), [(32, 1.0, 4), (16, 8.0, 3), (20, 0.5, 3)])
def test_filter_matrix_is_scipy(side, sigma, truncate, border):
    matrix = gaussian_matrix(side, sigma, truncate, border).numpy()
    np.testing.assert_array_equal(matrix.sum(1), 2.0**30)
    mode = {"nearest": "nearest", "symmetric": "reflect"}[border]
    expected = ndimage.gaussian_filter1d(np.eye(side), sigma, axis=0, mode=mode, truncate=truncate)
    np.testing.assert_allclose(matrix / 2**30, expected, atol=side * 2.0**-30)


@pytest.mark.parametrize("name", ["contrast", "pixelate", "zoom_blur", "elastic_transform"])
def test_flat_images_keep_their_level(name):
    flat = np.arange(256, dtype=np.uint8)[:, None, None, None] * np.ones((1, 32, 32, 3), np.uint8)
    for severity in range(1, 6):
        np.testing.assert_array_equal(corrupt(flat, name, severity), flat)


def hsv_oracle(pixel, change):
    hue, saturation, value = colorsys.rgb_to_hsv(*(pixel / 255))
    return 255 * np.array(colorsys.hsv_to_rgb(*change(hue, saturation, value)))


@pytest.mark.parametrize(("preset", "severity", "row"), each_severity("brightness"))
def test_brightness_adds_to_the_value(preset, severity, row, crops):
    clean = crops(2, 16)
    result = corrupt(clean, "brightness", severity, preset=preset).reshape(-1, 3)
    for pixel, got in zip(clean.reshape(-1, 3), result, strict=True):
        exact = hsv_oracle(pixel, lambda h, s, v: (h, s, min(v + row[0], 1)))
        assert (np.abs(got + 0.5 - exact) <= 0.5 + 1e-6).all()


@pytest.mark.parametrize(("preset", "severity", "row"), each_severity("saturate"))
def test_saturate_scales_the_saturation(preset, severity, row, crops):
    clean = crops(2, 16)
    factor, shift = row
    result = corrupt(clean, "saturate", severity, preset=preset).reshape(-1, 3)
    for pixel, got in zip(clean.reshape(-1, 3), result, strict=True):
        exact = hsv_oracle(pixel, lambda h, s, v: (h, min(s * factor + shift, 1), v))
        assert (np.abs(got + 0.5 - exact) <= 0.5 + 1e-6).all()


def test_saturating_grey_turns_it_reddish():
    grey = np.full((1, 16, 16, 3), 200, np.uint8)
    result = corrupt(grey, "saturate", 5)[0, 0, 0]
    assert result.tolist() == [200, 160, 160]


def test_brightening_black_gives_grey():
    black = np.zeros((1, 16, 16, 3), np.uint8)
    assert corrupt(black, "brightness", 4)[0, 0, 0].tolist() == [51, 51, 51]


def test_contrast_is_its_formula_truncated(crops):
    clean = crops(3, 30, 41)
    for severity in range(1, 6):
        (factor,) = registry.get("contrast").row("cifar", severity)
        mean = clean.mean((1, 2), keepdims=True, dtype=np.float64)
        exact = (clean - mean) * factor + mean
        result = corrupt(clean, "contrast", severity)
        assert (np.abs(result + 0.5 - exact) <= 0.5 + 1e-9).all()


def test_grey_scale_is_the_grey_of_the_colour_result(crops):
    grey = crops(2, 32)[..., 1:2]
    colour = np.repeat(grey, 3, 3)
    for name in ("gaussian_blur", "contrast", "pixelate", "brightness"):
        np.testing.assert_array_equal(corrupt(grey, name, 3), corrupt(colour, name, 3)[..., :1])
