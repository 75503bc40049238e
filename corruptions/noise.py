"""The four noise corruptions, each the transition matrix of a memoryless channel."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from corruptions.channel import LEVELS, alias_table, transmit
from corruptions.constants import Row
from corruptions.draws import Draws
from corruptions.kernel import Corruption, Shape

Matrix = NDArray[np.float64]  # probabilities (256, 256), level in by level out
_LEVEL = np.arange(LEVELS)


def gaussian_transitions(deviation: float) -> Matrix:
    """Transition matrix of floor(255 · clip(x + N(0, deviation))), where white is 1."""
    return _normal_transitions(np.full(LEVELS, 255 * deviation, np.float64))


def speckle_transitions(deviation: float) -> Matrix:
    """Transition matrix of floor(255 · clip(x + x · N(0, deviation)))."""
    return _normal_transitions(np.arange(256.0) * deviation)


def shot_transitions(photons: float) -> Matrix:
    """Transition matrix of floor(255 · clip(Poisson(x · photons) / photons))."""
    count = np.arange(int(photons + 20 * photons**0.5) + 40)
    log_factorial = np.concatenate([[0.0], np.log(count[1:]).cumsum()])
    rate = (_LEVEL[1:] / 255 * photons)[:, None]
    probability = np.exp(count * np.log(rate) - rate - log_factorial)
    level = (np.clip(count / photons, 0, 1) * 255).astype(np.uint8)
    matrix = np.zeros((LEVELS, LEVELS))
    matrix[0, 0] = 1
    for out in np.unique(level):
        matrix[1:, out] = probability[:, level == out].sum(1)
    matrix /= matrix.sum(1, keepdims=True)
    return matrix


def impulse_transitions(probability: float) -> Matrix:
    """Transition matrix of salt and pepper, equally likely, with this probability in all."""
    matrix = np.eye(LEVELS) * (1 - probability)
    matrix[:, [0, -1]] += probability / 2
    return matrix


def _normal_transitions(deviation: Matrix) -> Matrix:
    """Truncated normal noise; `deviation` in grey levels, one per level in."""
    upper = _LEVEL[1:] - _LEVEL[:, None]  # level k means a value in [k, k + 1)
    # Black has no speckle: a deviation this small is none, and avoids dividing by zero.
    scaled = upper / np.maximum(deviation, 1e-12)[:, None]
    below = torch.special.ndtr(torch.from_numpy(scaled)).numpy()
    ones = np.ones((LEVELS, 1))
    return np.diff(np.hstack([0 * ones, below, ones]))


def _words(draws: Draws, shape: Shape, _: Row) -> Tensor:
    return draws.words("noise", shape)


def _noise(transitions: Callable[[float], Matrix]) -> Corruption[Tensor]:
    @functools.cache
    def table(constant: float) -> Tensor:
        return alias_table(transitions(constant))

    def apply(images: Tensor, words: Tensor, row: Row) -> Tensor:
        (constant,) = row
        return transmit(images, words, table(constant).to(images.device))

    return Corruption(_words, apply, channels_last=True, piece=2**16)


gaussian_noise = _noise(gaussian_transitions)
shot_noise = _noise(shot_transitions)
impulse_noise = _noise(impulse_transitions)
speckle_noise = _noise(speckle_transitions)
