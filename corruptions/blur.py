"""The blur corruptions."""

from __future__ import annotations

import functools

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from corruptions import glass
from corruptions.constants import Row
from corruptions.draws import Draws
from corruptions.images import to_levels
from corruptions.kernel import Corruption, Shape, deterministic
from corruptions.motion import motion_filter
from corruptions.sampling import mirror, zoom_taps
from corruptions.separable import gaussian_filter

_NEGLIGIBLE = 1e-16  # relative to the heaviest tap: below the round-off of float64
_ZOOM_BITS = 40  # with 8-bit pixels the sums stay below 2⁵³ and are exact


def _gaussian_blur(images: Tensor, row: Row) -> Tensor:
    (sigma,) = row
    return gaussian_filter(images, sigma)


def _defocus_blur(images: Tensor, row: Row) -> Tensor:
    """Adds up the shifted images of equal weight as integers, then weighs the few sums."""
    radius, smoothing = row
    kernel = defocus_kernel(radius, smoothing)
    reach = len(kernel) // 2
    height, width = images.shape[-2:]
    padded = mirror(images, reach).short()
    parts = []
    for weight in np.unique(kernel[kernel > kernel.max() * _NEGLIGIBLE]):
        shifts = np.argwhere(kernel == weight)
        # 16-bit sums are twice as fast, and hold up to 128 pixels.
        whole = torch.int16 if len(shifts) <= 128 else torch.int32
        group = torch.zeros(images.shape, dtype=whole, device=images.device)
        for y, x in shifts:
            group += padded[..., y : y + height, x : x + width]
        parts.append(group.double().mul_(float(weight)))
    return to_levels(functools.reduce(Tensor.add_, parts).clamp_(max=255))


@functools.cache
def defocus_kernel(radius: float, smoothing: float) -> NDArray[np.float32]:
    """Returns the weights of a disk with a softened edge, trimmed to an odd square.

    Args:
        radius: in pixels.
        smoothing: sigma of the Gaussian, on 3 x 3 taps up to radius 8 and on 5 x 5 beyond.
    """
    half = 8 if radius <= 8 else int(radius)
    taps = 1 if radius <= 8 else 2
    line = np.arange(-half, half + 1)
    disk = (line[:, None] ** 2 + line**2 <= radius**2).astype(np.float32)
    disk /= disk.sum()
    weights = np.exp(-(np.arange(taps + 1) ** 2) / (2 * smoothing**2))
    weights = (weights / (weights[0] + 2 * weights[1:].sum())).astype(np.float32)
    kernel = _smooth_rows(_smooth_rows(disk, weights).T, weights).T
    reach = int(np.abs(line[(kernel > kernel.max() * _NEGLIGIBLE).any(0)]).max())
    inner = slice(half - reach, half + reach + 1)
    trimmed: NDArray[np.float32] = kernel[inner, inner]
    return trimmed


def _smooth_rows(plane: NDArray[np.float32], weights: NDArray[np.float32]) -> NDArray[np.float32]:
    taps = len(weights) - 1
    padded = np.pad(plane, ((0, 0), (taps, taps)), mode="reflect")
    side = plane.shape[1]
    out: NDArray[np.float32] = plane * weights[0]
    for k in range(1, taps + 1):
        out += (padded[:, taps - k :][:, :side] + padded[:, taps + k :][:, :side]) * weights[k]
    return out


def _motion_angle(draws: Draws, _: Shape, __: Row) -> Tensor:
    return draws.uniform("angle", ()) * 90 - 45


def _motion_blur(images: Tensor, degrees: Tensor, row: Row) -> Tensor:
    radius, sigma = row
    return motion_filter(images, degrees, radius, sigma)


def _zoom_blur(images: Tensor, row: Row) -> Tensor:
    """One sparse matrix holds the mean over all zooms; pixels are its rows, images its columns."""
    step, count = row
    height, width = images.shape[-2:]
    source, weight, first = (
        part.to(images.device) for part in _zoom_matrix(height, width, step, int(count))
    )
    columns = images.reshape(-1, height * width).double().T.contiguous()
    total = F.embedding_bag(source, columns, first, mode="sum", per_sample_weights=weight)
    return to_levels(total.mul_(2.0**-_ZOOM_BITS)).T.reshape(images.shape)


@functools.lru_cache(maxsize=16)
def _zoom_matrix(height: int, width: int, step: float, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Mean over the image and its zooms, as compressed sparse rows with integer weights."""
    size = height * width
    target = np.arange(size)
    keys, values = [target * size + target], [np.ones(size)]
    for number in range(count):
        factor = 1 + number * ((1 + step) - 1)
        vertical, horizontal = _both_taps(height, factor), _both_taps(width, factor)
        for y, y_weight in vertical:
            for x, x_weight in horizontal:
                keys.append(target * size + (y[:, None] * width + x).ravel())
                values.append((y_weight[:, None] * x_weight).ravel())
    return _compress(np.concatenate(keys), np.concatenate(values) / (count + 1), size)


def _both_taps(side: int, factor: float) -> list[tuple[NDArray[np.int64], NDArray[np.float64]]]:
    if factor == 1:
        return [(np.arange(side), np.ones(side))]
    lower, upper_weight = (part.numpy() for part in zoom_taps(side, factor))
    return [(lower, 1 - upper_weight), (lower + 1, upper_weight)]


def _compress(
    keys: NDArray[np.int64], values: NDArray[np.float64], size: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Adds up entries of equal (row, column) key; rows then sum to exactly 2^_ZOOM_BITS."""
    kept = values > 0
    unique, position = np.unique(keys[kept], return_inverse=True)
    weight = np.rint(np.bincount(position, values[kept]) * 2.0**_ZOOM_BITS)
    row, column = np.divmod(unique, size)
    first = np.searchsorted(row, np.arange(size))
    heaviest = first + [part.argmax() for part in np.split(weight, first[1:])]
    weight[heaviest] += 2.0**_ZOOM_BITS - np.add.reduceat(weight, first)
    return torch.from_numpy(column), torch.from_numpy(weight), torch.from_numpy(first)


gaussian_blur = deterministic(_gaussian_blur)
defocus_blur = deterministic(_defocus_blur, piece=2**18)
zoom_blur = deterministic(_zoom_blur, piece=2**16)
motion_blur = Corruption(_motion_angle, _motion_blur, piece=2**18)
glass_blur = Corruption(glass.sample, glass.apply, piece=2**17)
