"""What is known of a sparsifier without importing it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from robustbench_zosam.options import Configurable

if TYPE_CHECKING:
    from robustbench_zosam.sparsity.policy import Policy

_Kind: TypeAlias = "type[Policy]"


@dataclass(frozen=True, kw_only=True)
class SparsifierInfo(Configurable[_Kind]):
    """What is known of a sparsifier without importing it.

    Attributes:
        dynamic: whether masks change during training.
    """

    dynamic: bool
