"""Linear operators: what the algorithms of this package work on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor


class LinearOperator(Protocol):
    """A symmetric linear map of R^size."""

    @property
    def size(self) -> int:
        """Dimension of the space."""

    @property
    def device(self) -> torch.device:
        """Device of its vectors."""

    @property
    def dtype(self) -> torch.dtype:
        """Type of its vectors."""

    def matvec(self, vector: Tensor) -> Tensor:
        """Returns the product with a vector; both have shape (size,)."""


@dataclass(frozen=True)
class MatrixOperator:
    """A symmetric matrix as an operator.

    Attributes:
        matrix: shape (size, size).
    """

    matrix: Tensor

    @property
    def size(self) -> int:
        """Dimension of the space."""
        return len(self.matrix)

    @property
    def device(self) -> torch.device:
        """Device of its vectors."""
        return self.matrix.device

    @property
    def dtype(self) -> torch.dtype:
        """Type of its vectors."""
        return self.matrix.dtype

    def matvec(self, vector: Tensor) -> Tensor:
        """Returns matrix @ vector."""
        return self.matrix @ vector
