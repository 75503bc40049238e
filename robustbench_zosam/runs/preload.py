"""What every cell imports or does for the first time, done once before cells are forked."""

from __future__ import annotations

import encodings.cp437  # noqa: F401 - zip files
import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
import torch._dynamo  # noqa: F401 - which torch's first optimizer would import

from robustbench_zosam.config import ModelConfig, TrainingConfig
from robustbench_zosam.data.dataset import Split
from robustbench_zosam.data.prepare import facts_form
from robustbench_zosam.machine import has_gpu
from robustbench_zosam.models.checkpoints import save_checkpoint
from robustbench_zosam.models.classifier import build_model
from robustbench_zosam.models.registry import MODELS
from robustbench_zosam.optim import create_optimizer
from robustbench_zosam.optim.registry import OPTIMIZERS
from robustbench_zosam.provenance import versions
from robustbench_zosam.registry import Entry
from robustbench_zosam.runs import cell_process
from robustbench_zosam.runs.cell_arguments import parser
from robustbench_zosam.sparsity import create_masker
from robustbench_zosam.sparsity.registry import SPARSIFIERS
from robustbench_zosam.training import Batches, TrainingSetup, train


def preload() -> None:
    """Loads methods and models, the forms of files, and the parts of torch that all use."""
    assert cell_process
    versions()
    parser()
    facts_form()
    registries: tuple[Iterable[Entry[object]], ...] = (MODELS, OPTIMIZERS, SPARSIFIERS)
    for registry in registries:
        for entry in registry:
            if isinstance(entry.target, str) and entry.target.startswith("robustbench_zosam."):
                entry.load()
    if not has_gpu():  # beside one, torch would start threads, which do not survive a fork
        _warm_up()


def _warm_up() -> None:
    """Trains and stores a tiny network in this thread, so that cells find all of it linked."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    images = Split(np.zeros((8, 3, 8, 8), np.uint8), np.arange(8) % 2)
    config = ModelConfig(name="digits-resnet", width=0.25)
    model = build_model(config, 2, (0.5,) * 3, (0.25,) * 3)
    batches = Batches(
        images, batch_size=8, seed=0, device=torch.device("cpu"), augment=True, flip=True
    )
    masker = create_masker(
        "rigl", model, sparsity=0.5, total_steps=1, seed=0, examples=batches.draw
    )
    optimizer = create_optimizer("sgd", model, masker=masker, lr=0.1, momentum=0.9, weight_decay=0)
    setup = TrainingSetup(model, masker, optimizer, batches, images)
    with tempfile.TemporaryDirectory() as folder:
        train(setup, TrainingConfig(epochs=1), resume_file=Path(folder, "state"))
        save_checkpoint(Path(folder, "model"), model, config, masks=masker.masks)
