"""What every cell imports or looks up, done once before cells are forked."""

from __future__ import annotations

import encodings.cp437  # noqa: F401 - zip files
from collections.abc import Iterable

import torch._dynamo  # noqa: F401 - which torch's first optimizer would import

from robustbench_zosam.models.registry import MODELS
from robustbench_zosam.optim.registry import OPTIMIZERS
from robustbench_zosam.provenance import versions
from robustbench_zosam.registry import Entry
from robustbench_zosam.runs import cell_process
from robustbench_zosam.sparsity.registry import SPARSIFIERS


def preload() -> None:
    """Loads this project's methods and models, and the versions that results name.

    No operation of torch runs here: its threads would not survive a fork.
    """
    assert cell_process
    versions()
    registries: tuple[Iterable[Entry[object]], ...] = (MODELS, OPTIMIZERS, SPARSIFIERS)
    for registry in registries:
        for entry in registry:
            if isinstance(entry.target, str) and entry.target.startswith("robustbench_zosam."):
                entry.load()
