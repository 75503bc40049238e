"""The blur corruptions."""

from __future__ import annotations

from torch import Tensor

from corruptions.constants import Row
from corruptions.kernel import deterministic
from corruptions.separable import gaussian_filter


def _gaussian_blur(images: Tensor, row: Row) -> Tensor:
    (sigma,) = row
    return gaussian_filter(images, sigma)


gaussian_blur = deterministic(_gaussian_blur)
