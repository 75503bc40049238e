"""Blurs and warps against slow definitions in NumPy and SciPy, with the same random draws."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from corruptions import corrupt, registry
from corruptions.blur import defocus_kernel

CASES = [(preset, s) for preset in ("cifar", "tiny-imagenet") for s in range(1, 6)]
LARGE = [("imagenet", 1), ("imagenet", 4), ("inception", 5)]
each_case = pytest.mark.parametrize(("preset", "severity"), CASES + LARGE)


def assert_close(result, expected, largest, share):
    difference = result.astype(int) - expected.astype(int)
    assert np.abs(difference).max() <= largest
    assert (difference != 0).mean() <= share
    assert abs(difference.mean()) < 0.05


def blurred(image, sigma):
    x = ndimage.gaussian_filter(image / 255.0, (sigma, sigma, 0), mode="nearest", truncate=4)
    return (np.clip(x, 0, 1) * 255).astype(np.uint8)


def slow_glass(image, offsets, sigma, reach, sweeps):
    """The published loop, copying row views."""
    out = blurred(image, sigma)
    height, width = out.shape[:2]
    for sweep in range(sweeps):
        for y in range(height - reach, reach, -1):
            for x in range(width - reach, reach, -1):
                dy, dx = offsets[sweep, :, y - reach - 1, x - reach - 1]
                out[y, x] = out[y + dy, x + dx]
    return blurred(out, sigma)


@each_case
def test_glass_blur_is_the_published_loop(preset, severity, crops, replay):
    clean = crops(3, 32, 36)
    sigma, reach, sweeps = registry.get("glass_blur").row(preset, severity)
    offsets, result = replay(clean, "glass_blur", severity, preset)
    assert offsets.min() >= -reach
    assert offsets.max() <= reach - 1
    for image, drawn, got in zip(clean, offsets.numpy(), result, strict=True):
        expected = slow_glass(image, drawn, sigma, int(reach), int(sweeps))
        np.testing.assert_array_equal(got, expected)


def test_glass_copies_and_does_not_swap(replay):
    """A single bright pixel may be copied, but it never moves away without being overwritten."""
    image = np.zeros((1, 16, 16, 3), np.uint8)
    image[0, 1, 1] = 255  # never written: only readers change
    offsets, result = replay(image, "glass_blur", 1, "cifar")
    assert result[0, 1, 1, 0] == 255
    reads_it = np.array_equal(offsets[0, 0, :, 0, 0], [-1, -1])
    assert (result[0, 2, 2, 0] == 255) == reads_it


def slow_motion(image, degrees, radius, sigma):
    taps = np.arange(2 * int(np.ceil(radius)) + 1)
    weights = np.exp(-(taps**2) / (2 * sigma**2))
    weights /= weights.sum()
    height, width = image.shape[:2]
    y, x = np.mgrid[:height, :width]
    total = np.zeros(image.shape)
    for tap, weight in zip(taps, weights, strict=True):
        angle = np.deg2rad(degrees)
        right, down = (np.ceil(tap * f(angle) - 0.5).astype(int) for f in (np.cos, np.sin))
        rows, columns = np.clip(y + down, 0, height - 1), np.clip(x + right, 0, width - 1)
        total += weight * image[rows, columns]
    return np.floor(np.floor(257 * total + 0.5) / 257).astype(np.uint8)


@each_case
def test_motion_blur_is_the_sum_along_a_line(preset, severity, crops, replay):
    clean = crops(12, 32, 36)
    radius, sigma = registry.get("motion_blur").row(preset, severity)
    degrees, result = replay(clean, "motion_blur", severity, preset)
    assert degrees.min() > -45
    assert degrees.max() < 45
    expected = [
        slow_motion(image, angle, radius, sigma)
        for image, angle in zip(clean, degrees.numpy(), strict=True)
    ]
    # Over all cases 1.5e-5 of the values differ; those of a flat stretch differ together.
    assert_close(result, np.array(expected), 1, 2e-4)


def zoomed(image, factor):
    """Crop, SciPy's linear zoom, centre trim; one axis after the other for oblong images."""
    for axis in (0, 1):
        side = image.shape[axis]
        kept = int(np.ceil(side / factor))
        first = (side - kept) // 2
        image = image.take(range(first, first + kept), axis)
        zoom = [factor if a == axis else 1 for a in range(image.ndim)]
        image = ndimage.zoom(image, zoom, order=1)
        trim = (image.shape[axis] - side) // 2
        image = image.take(range(trim, trim + side), axis)
    return image


@each_case
@pytest.mark.parametrize("shape", [(32, 32), (40, 33)])
def test_zoom_blur_is_the_mean_over_zooms(preset, severity, shape, crops):
    clean = crops(2, *shape)
    step, count = registry.get("zoom_blur").row(preset, severity)
    result = corrupt(clean, "zoom_blur", severity, preset=preset)
    for image, got in zip(clean.astype(float), result, strict=True):
        total = image.copy()
        for factor in np.arange(1, 2, step)[: int(count)]:
            total += zoomed(image, factor)
        assert_close(got, np.floor(total / (count + 1) + 1e-6), 1, 1e-3)


def test_zoom_factors_are_the_lists_that_were_used():
    last = {
        preset: [round(1 + step * (n - 1), 2) for step, n in rows]
        for preset, rows in registry.get("zoom_blur").constants.items()
    }
    assert last["cifar"] == last["tiny-imagenet"] == [1.06, 1.11, 1.15, 1.2, 1.25]
    assert last["imagenet"] == last["inception"] == [1.11, 1.15, 1.2, 1.24, 1.3]


def test_defocus_kernels_have_the_published_weights():
    quadrants = {
        ("cifar", 1): [[0.84497315, 0.03712553], [0.03712553, 0.001631182]],
        ("cifar", 2): [[0.61934704, 0.08381951], [0.08381951, 0.011343737]],
        ("cifar", 3): [[0.44521323, 0.111014895], [0.111014895, 0.027681809]],
        ("cifar", 5): [[1 / 9, 1 / 9], [1 / 9, 1 / 9]],
    }
    for (preset, severity), expected in quadrants.items():
        kernel = defocus_kernel(*registry.get("defocus_blur").row(preset, severity))
        centre = len(kernel) // 2
        np.testing.assert_allclose(kernel[centre : centre + 2, centre : centre + 2], expected, 1e-6)
    taps = [
        int((defocus_kernel(*row) > 1e-7).sum())
        for preset in ("tiny-imagenet", "imagenet")
        for row in registry.get("defocus_blur").constants[preset]
    ]
    assert taps == [9, 5, 9, 21, 29, 29, 89, 169, 257, 417]


@each_case
def test_defocus_blur_is_a_correlation(preset, severity, crops):
    clean = crops(2, 32, 36)
    kernel = defocus_kernel(*registry.get("defocus_blur").row(preset, severity)).astype(float)
    exact = ndimage.correlate(clean.astype(float), kernel[None, :, :, None], mode="mirror")
    result = corrupt(clean, "defocus_blur", severity, preset=preset)
    assert_close(result, np.floor(np.minimum(exact, 255)), 1, 1e-3)


def slow_elastic(image, corners, field, row):
    side, strength, sigma, jitter = row
    height, width = image.shape[:2]
    centre, reach = np.array([width // 2, height // 2]), min(height, width) // 3
    anchors = centre + np.array([[reach, reach], [reach, -reach], [-reach, -reach]])
    targets = anchors + corners * jitter * side
    affine = np.linalg.solve(np.column_stack([targets, np.ones(3)]), anchors)
    y, x = np.mgrid[:height, :width]
    read = np.stack([x, y, np.ones_like(x)], -1) @ affine
    out = remap(image.astype(float), read[..., 1], read[..., 0], "mirror")
    if strength:
        dx, dy = (
            ndimage.gaussian_filter(f, sigma * side, mode="reflect", truncate=3) * strength * side
            for f in field
        )
        out = remap(out, y + dy, x + dx, "reflect")
    return np.floor(out + 1e-6).astype(np.uint8)


def remap(image, y, x, mode):
    channels = [
        ndimage.map_coordinates(c, [y, x], order=1, mode=mode) for c in image.T.swapaxes(1, 2)
    ]
    return np.stack(channels, -1)


@each_case
def test_elastic_transform_is_two_interpolations(preset, severity, crops, replay):
    clean = crops(3, 64, 60)
    row = registry.get("elastic_transform").row(preset, severity)
    drawn, result = replay(clean, "elastic_transform", severity, preset)
    for image, corners, field, got in zip(
        clean, drawn.corners.numpy(), drawn.field.numpy(), result, strict=True
    ):
        assert_close(got, slow_elastic(image, corners, field, row), 1, 2e-3)
