"""The first stage of a cell: a trained model, or a loaded one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from robustbench_zosam.checks import constructor_options
from robustbench_zosam.config import TrainingConfig
from robustbench_zosam.data.dataset import Dataset
from robustbench_zosam.models.checkpoints import save_checkpoint
from robustbench_zosam.models.classifier import build_model
from robustbench_zosam.models.for_data import load_for
from robustbench_zosam.optim import create_optimizer
from robustbench_zosam.optim.factory import base_class
from robustbench_zosam.runs.cell_store import CellSpec, CellStore
from robustbench_zosam.seeds import derive_seed
from robustbench_zosam.sparsity import create_masker
from robustbench_zosam.sparsity.layers import maskable_layers
from robustbench_zosam.training import Batches, Trainee, train

OnProgress = Callable[[str, int, int], None]


def make_trainee(spec: CellSpec, data: Dataset) -> Trainee:
    """Builds model, masks, optimizer and batches of a cell.

    Returns:
        All of it at step 0, on the cell's device.
    """
    assert spec.model is not None
    method, device = spec.method, torch.device(spec.device)
    mean, std = data.channel_statistics()
    initial = derive_seed(spec.seed, "initialisation")
    model = build_model(
        spec.model, spec.classes, mean, std, seed=initial, image_size=data.image_size
    ).to(device)
    if spec.training.channels_last:
        model = model.to(memory_format=torch.channels_last)
    batches = Batches(
        data.train,
        batch_size=spec.training.batch_size,
        seed=spec.seed,
        device=device,
        augment=spec.training.augment,
        flip=data.horizontal_flip,
        channels_last=spec.training.channels_last,
    )
    masker = create_masker(
        method.sparsifier,
        model,
        sparsity=method.sparsity,
        total_steps=spec.training.epochs * batches.steps_per_epoch,
        seed=derive_seed(spec.seed, "masks"),
        examples=batches.draw,
        **method.sparsifier_options,
    )
    base: dict[str, Any] = {"weight_decay": spec.training.weight_decay}
    if "momentum" in constructor_options(base_class(method.optimizer, method.options.get("base"))):
        base["momentum"] = spec.training.momentum
    optimizer = create_optimizer(
        method.optimizer,
        model,
        masker=masker,
        seed=derive_seed(spec.seed, "directions"),
        steps_per_epoch=batches.steps_per_epoch,
        epochs=spec.training.epochs,
        clip_norm=spec.training.clip_norm,
        **({"lr": spec.training.lr} | base | method.options),
    )
    return Trainee(model, masker, optimizer, batches, data.validation)


def recipe(spec: CellSpec) -> TrainingConfig:
    """Returns the recipe of a cell, with the learning rate of its method if it has one."""
    rate = spec.method.options.get("lr", spec.training.lr)
    return spec.training.model_copy(update={"lr": rate})


def train_cell(
    spec: CellSpec,
    store: CellStore,
    data: Dataset,
    on_progress: OnProgress,
    should_stop: Callable[[], bool],
) -> dict[str, Any]:
    """Trains a cell, or loads its checkpoint, and stores the model.

    Args:
        on_progress: called with (stage, done, total).

    Returns:
        The training record and the sparsity reached.
    """
    if spec.method.kind == "checkpoint":
        checkpoint = load_for(spec.method.checkpoint or "", spec.model, data)
        model, masks, config = checkpoint.model, checkpoint.masks, checkpoint.config
        record: dict[str, Any] = {
            "status": "done",
            "loaded": spec.method.checkpoint,
            "normalisation": {
                "mean": model.mean.flatten().tolist(),
                "std": model.std.flatten().tolist(),
            },
        }
    else:
        assert spec.model is not None
        trainee = make_trainee(spec, data)
        record = train(
            trainee,
            recipe(spec),
            resume_file=store.resume_file,
            checkpoint_seconds=spec.checkpoint_seconds,
            on_epoch=lambda done, total: on_progress("training", done, total),
            should_stop=should_stop,
        )
        model, masks, config = trainee.model, trainee.masker.masks, spec.model
        record["exploration"] = trainee.masker.report().exploration
        if record["status"] == "done":  # NaN times a mask is not zero
            trainee.masker.check(trainee.optimizer)
    if record["status"] == "done":
        save_checkpoint(
            store.model_file,
            model.cpu(),
            config,
            masks={name: mask.cpu() for name, mask in masks.items()},
            classes=data.classes,
            image_size=data.image_size,
            facts={"data": data.name, "method": spec.method.id, "seed": spec.seed},
        )
    return record | {"sparsity": sparsity_facts(model, masks)}


def sparsity_facts(model: torch.nn.Module, masks: dict[str, Tensor]) -> dict[str, Any]:
    """Returns both sparsities, of the maskable weights and of all parameters, and each layer's.

    A layer is called collapsed when it is down to the one weight that every sparsifier leaves it.

    Args:
        masks: parameter name to bool mask.
    """
    found = maskable_layers(model, ())
    active = [int(masks[x.name].sum()) if x.name in masks else x.size for x in found]
    layers = [
        {"name": x.name, "size": x.size, "active": count, "density": count / x.size}
        for x, count in zip(found, active, strict=True)
    ]
    maskable = sum(x.size for x in found)
    zero = maskable - sum(active)
    total = sum(parameter.numel() for parameter in model.parameters())
    return {
        "maskable": zero / max(maskable, 1),
        "total": zero / total,
        "active": maskable - zero,
        "maskable_parameters": maskable,
        "parameters": total,
        "collapsed": [
            x.name for x, count in zip(found, active, strict=True) if count == 1 < x.size
        ],
        "layers": layers,
    }
