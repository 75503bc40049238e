"""Weather and spatter against slow definitions in NumPy and SciPy, with the same random draws."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from corruptions import registry, textures

CASES = [(preset, s) for preset in ("cifar", "tiny-imagenet", "imagenet") for s in range(1, 6)]
each_case = pytest.mark.parametrize(("preset", "severity"), CASES)


def assert_close(result, expected, share):
    difference = result.astype(int) - expected.astype(int)
    assert np.abs(difference).max() <= 1
    assert (difference != 0).mean() <= share


def slow_motion(plane, degrees, radius, sigma):
    taps = np.arange(2 * int(np.ceil(radius)) + 1)
    weights = np.exp(-(taps**2) / (2 * sigma**2))
    height, width = plane.shape
    y, x = np.mgrid[:height, :width]
    total = np.zeros(plane.shape)
    for tap, weight in zip(taps, weights / weights.sum(), strict=True):
        angle = np.deg2rad(degrees)
        right, down = (np.ceil(tap * f(angle) - 0.5).astype(int) for f in (np.cos, np.sin))
        total += weight * plane[np.clip(y + down, 0, height - 1), np.clip(x + right, 0, width - 1)]
    return np.floor(np.floor(257 * total + 0.5) / 257)


def zoomed(plane, factor):
    side = len(plane)
    kept = int(np.ceil(side / factor))
    first = (side - kept) // 2
    enlarged = ndimage.zoom(plane[first : first + kept, first : first + kept], factor, order=1)
    trim = (len(enlarged) - side) // 2
    return enlarged[trim : trim + side, trim : trim + side]


def grey(x):
    return x @ np.array([0.299, 0.587, 0.114])


@each_case
def test_snow(preset, severity, crops, replay):
    clean = crops(4, 40)
    mean, deviation, zoom, threshold, radius, sigma, share = registry.get("snow").row(
        preset, severity
    )
    drawn, result = replay(clean, "snow", severity, preset)
    assert drawn.degrees.min() > -135
    assert drawn.degrees.max() < -45
    for image, field, degrees, got in zip(
        clean / 255, drawn.field[:, 0].double().numpy(), drawn.degrees.numpy(), result, strict=True
    ):
        layer = zoomed(mean + deviation * field, zoom)
        layer = np.floor(255 * np.clip(np.where(layer < threshold, 0, layer), 0, 1))
        layer = slow_motion(layer, degrees, radius, sigma) / 255
        whitened = np.maximum(image, (1.5 * grey(image) + 0.5)[..., None])
        mixed = share * image + (1 - share) * whitened
        mixed = mixed + (layer + np.rot90(layer, 2))[..., None]
        assert_close(got, np.floor(255 * np.clip(mixed, 0, 1) + 1e-9), 2e-3)


def slow_plasma(uniform, side, decay):
    surface, step, amplitude = np.zeros((side, side)), side, 100.0
    numbers = iter(uniform)

    def noise():
        return amplitude * amplitude * (2 * next(numbers) - 1)

    while step >= 2:
        half = step // 2
        at = lambda y, x: surface[y % side, x % side]  # noqa: E731 - periodic access
        squares = [(y, x) for y in range(half, side, step) for x in range(half, side, step)]
        for y, x in squares:
            corners = [at(y + a * half, x + b * half) for a in (-1, 1) for b in (-1, 1)]
            surface[y, x] = sum(corners) / 4 + noise()
        rows = [(y, x) for y in range(0, side, step) for x in range(half, side, step)]
        columns = [(y, x) for y in range(half, side, step) for x in range(0, side, step)]
        for y, x in rows + columns:
            edge = [at(y - half, x), at(y + half, x), at(y, x - half), at(y, x + half)]
            surface[y, x] = sum(edge) / 4 + noise()
        step, amplitude = half, amplitude / decay
    surface -= surface.min()
    return surface / surface.max()


@pytest.mark.parametrize(("preset", "severity"), CASES[:10])
@pytest.mark.parametrize("shape", [(32, 32), (20, 40)])
def test_fog(preset, severity, shape, crops, replay):
    clean = crops(2, *shape)
    side, strength, decay = registry.get("fog").row(preset, severity)
    side = max(int(side), 64 if max(shape) > 32 else 32)
    drawn, result = replay(clean, "fog", severity, preset)
    assert drawn.shape == (2, side * side - 1)
    for image, uniform, got in zip(clean / 255, drawn.numpy(), result, strict=True):
        haze = slow_plasma(uniform, side, decay)[: shape[0], : shape[1], None]
        top = image.max()
        foggy = (image + strength * haze) * top / (top + strength)
        assert_close(got, np.floor(255 * np.clip(foggy, 0, 1)), 1e-3)


@each_case
def test_frost(preset, severity, crops, replay):
    clean = crops(8, 32)
    scale, share, thickness = registry.get("frost").row(preset, severity)
    ice, result = replay(clean, "frost", severity, preset)
    ice = ice.permute(0, 2, 3, 1).numpy()
    expected = np.clip(share * clean + thickness * ice, 0, 255).astype(np.uint8)
    np.testing.assert_array_equal(result, expected)
    pictures = textures.rescale(textures.draw(), scale)
    for crop in ice:
        assert any(is_part(crop, picture) for picture in pictures)


def is_part(crop, picture):
    """Whether the crop is a window of the picture that ends before its last row and column."""
    height, width = (a - b for a, b in zip(picture.shape[:2], crop.shape[:2], strict=True))
    corners = np.argwhere((picture[:height, :width] == crop[0, 0]).all(-1))
    return any(
        np.array_equal(picture[y : y + len(crop), x : x + crop.shape[1]], crop) for y, x in corners
    )


def slow_canny(level):
    height, width = level.shape
    p = np.pad(level.astype(int), 1, mode="edge")
    kernel = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]])
    gx, gy = (ndimage.correlate(p, k)[1:-1, 1:-1] for k in (kernel, kernel.T))
    m = np.pad(np.abs(gx) + np.abs(gy), 1)
    candidate = np.zeros(level.shape, bool)
    for y in range(height):
        for x in range(width):
            ay, t22 = 32768 * abs(gy[y, x]), 13573 * abs(gx[y, x])
            t67 = t22 + 65536 * abs(gx[y, x])
            around = m[y : y + 3, x : x + 3]
            here = around[1, 1]
            if ay < t22:
                peak = here > around[1, 0] and here >= around[1, 2]
            elif ay > t67:
                peak = here > around[0, 1] and here >= around[2, 1]
            else:
                s = -1 if (gx[y, x] < 0) != (gy[y, x] < 0) else 1
                peak = here > around[0, 1 - s] and here > around[2, 1 + s]
            candidate[y, x] = peak and here > 50
    regions, count = ndimage.label(candidate, np.ones((3, 3)))
    seeded = np.unique(regions[candidate & (m[1:-1, 1:-1] > 150)])
    return candidate & np.isin(regions, seeded[seeded > 0]) if count else candidate


def slow_chamfer(edges):
    """Every pixel to every edge by the closed form of the 5 x 5 chamfer norm."""
    y, x = np.mgrid[: edges.shape[0], : edges.shape[1]]
    nearest = np.full(edges.shape, 20.0)
    for ey, ex in np.argwhere(edges):
        long, short = np.maximum(abs(y - ey), abs(x - ex)), np.minimum(abs(y - ey), abs(x - ex))
        steep = 2.1969 * short + (long - 2 * short)
        slanted = 2.1969 * (long - short) + 1.4 * (2 * short - long)
        nearest = np.minimum(nearest, np.where(2 * short <= long, steep, slanted))
    return nearest


def slow_equalise(level):
    histogram = np.bincount(level.ravel(), minlength=256)
    first = np.flatnonzero(histogram)[0]
    if histogram[first] == level.size:
        return level
    share = (histogram.cumsum() - histogram[first]) / (level.size - histogram[first])
    return np.where(np.arange(256) <= first, 0, np.rint(255 * share)).astype(int)[level]


def slow_water(liquid):
    level = np.floor(255 * liquid).astype(np.uint8)
    rim = ndimage.uniform_filter(slow_chamfer(slow_canny(level)), 3, mode="mirror")
    rim = slow_equalise(np.floor(rim + 1e-4).astype(int))
    kernel = np.array([[-2, -1, 0], [-1, 1, 1], [0, 1, 2]])
    rim = np.clip(ndimage.correlate(rim, kernel, mode="mirror"), 0, 255)
    rim = np.floor(ndimage.correlate(rim, np.ones((3, 3), int), mode="mirror") / 9 + 0.5)
    depth = level * rim
    return depth / max(depth.max(), 1)


@each_case
def test_spatter(preset, severity, crops, replay):
    clean = crops(6, 40, 33)
    mean, deviation, sigma, threshold, strength, mode = registry.get("spatter").row(
        preset, severity
    )
    fields, result = replay(clean, "spatter", severity, preset)
    for image, field, got in zip(clean / 255, fields.double().numpy(), result, strict=True):
        liquid = ndimage.gaussian_filter(mean + deviation * field, sigma, mode="nearest")
        if mode == 0:
            share = slow_water(np.where(liquid < threshold, 0, liquid)) * strength
            spattered = image + share[..., None] * np.array([175, 238, 238]) / 255
        else:
            wet = (liquid > threshold).astype(float)
            share = ndimage.gaussian_filter(wet, strength, mode="nearest")
            share = np.where(share < 0.8, 0, share)[..., None]
            spattered = image * (1 - share) + share * np.array([63, 42, 20]) / 255
        assert_close(got, np.floor(255 * np.clip(spattered, 0, 1) + 1e-5), 2e-3)
