"""The first stage of a cell: a trained model, or a loaded one."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from robustbench_zosam.checks import constructor_options
from robustbench_zosam.config import ModelConfig, Options, TrainingConfig
from robustbench_zosam.data.dataset import Dataset
from robustbench_zosam.measurement.flops import inference_flops, training_flops
from robustbench_zosam.measurement.sparsity import sparsity_facts
from robustbench_zosam.models.checkpoints import save_checkpoint
from robustbench_zosam.models.classifier import Classifier, build_model
from robustbench_zosam.models.for_data import load_for
from robustbench_zosam.models.starting import load_starting_weights
from robustbench_zosam.optim import create_optimizer
from robustbench_zosam.optim.factory import base_class
from robustbench_zosam.runs.cell_store import CellSpec, CellStore
from robustbench_zosam.runs.live import Live
from robustbench_zosam.runs.methods import optimizer_name
from robustbench_zosam.schema import HistoryRow, StoredLoaded, StoredTraining
from robustbench_zosam.seeds import derive_seed
from robustbench_zosam.sparsity import create_masker
from robustbench_zosam.sparsity.flops import forward_flops
from robustbench_zosam.training import Batches, TrainingSetup, train
from robustbench_zosam.training.augmentation import Augmentation, Mixing

OnProgress = Callable[[str, int, int], None]


def make_setup(spec: CellSpec, data: Dataset) -> TrainingSetup:
    """Builds model, masks, optimizer and batches of a cell, at step 0, on the cell's device."""
    assert spec.model is not None
    method, device = spec.method, torch.device(spec.device)
    mean, std = data.channel_statistics()
    initial = derive_seed(spec.seed, "initialisation")
    model = build_model(
        spec.model, spec.classes, mean, std, seed=initial, image_size=data.image_size
    )
    load_starting_weights(model, spec.model, data.image_size)
    model = model.to(device)
    if spec.training.channels_last:
        model = model.to(memory_format=torch.channels_last)
    batches = Batches(
        data.train,
        batch_size=spec.training.batch_size,
        seed=spec.seed,
        device=device,
        augment=spec.training.augment,
        flip=data.horizontal_flip,
        augmentation=Augmentation(
            spec.training.augmentation, data.horizontal_flip, data.image_size
        ),
        mixing=Mixing(spec.training.mixing, spec.training.mixing_alpha, spec.classes),
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
    if method.optimizer_class:
        optimizer_name(method.optimizer_class, spec.model.allow_code)
    base = base_class(method.optimizer, method.options.get("base"))
    shared: Options = {
        "weight_decay": spec.training.weight_decay,
        "momentum": spec.training.momentum,
    }
    options: Options = {"lr": spec.training.lr}
    if spec.training.nesterov:
        shared["nesterov"] = True
    options |= {key: shared[key] for key in shared.keys() & set(constructor_options(base))}
    optimizer = create_optimizer(
        method.optimizer,
        model,
        masker=masker,
        seed=derive_seed(spec.seed, "directions"),
        steps_per_epoch=batches.steps_per_epoch,
        epochs=spec.training.epochs,
        clip_norm=spec.training.clip_norm,
        **(options | method.options),
    )
    return TrainingSetup(model, masker, optimizer, batches, data.validation)


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
    on_record: Callable[[HistoryRow], None] = lambda row: None,
) -> StoredTraining:
    """Returns the record of a cell that is trained, or whose checkpoint is loaded, and stored.

    Args:
        on_progress: called with ("training", epochs done, epochs in all).
        should_stop: asked after each step.
        on_record: called with each new entry of the history.
    """
    if spec.method.kind == "checkpoint":
        return _load(spec, store, data)
    assert spec.model is not None
    setup = make_setup(spec, data)
    live = Live(store)

    def record_epoch(row: HistoryRow) -> None:
        live.epoch(row, setup.epochs)
        on_record(row)

    record = train(
        setup,
        recipe(spec),
        resume_file=store.resume_file,
        checkpoint_seconds=spec.checkpoint_seconds,
        keep_state=True,
        on_epoch=lambda done, total: on_progress("training", done, total),
        on_record=record_epoch,
        on_step=live.step,
        should_stop=should_stop,
    )
    masks = setup.masker.masks
    exploration = setup.masker.report().exploration
    if record["status"] == "done":
        setup.masker.check(setup.optimizer)  # not after a divergence: NaN times a mask is NaN
        _save(spec, store, data, setup.model, spec.model, masks)
    forward = forward_flops(setup.model, data.image_size)
    facts = sparsity_facts(setup.model, masks)
    facts["flops"] = inference_flops(forward, facts, data.image_size)
    record["flops"] = training_flops(setup, forward)
    return {**record, "exploration": exploration, "sparsity": facts}


def _load(spec: CellSpec, store: CellStore, data: Dataset) -> StoredLoaded:
    path = spec.method.checkpoint or ""
    checkpoint = load_for(path, spec.model, data)
    model, masks = checkpoint.model, checkpoint.masks
    _save(spec, store, data, model, checkpoint.config, masks)
    facts = sparsity_facts(model, masks)
    size = data.image_size
    facts["flops"] = inference_flops(forward_flops(model, size), facts, size)
    return {
        "status": "done",
        "loaded": path,
        "normalisation": {
            "mean": model.mean.flatten().tolist(),
            "std": model.std.flatten().tolist(),
        },
        "sparsity": facts,
    }


def _save(
    spec: CellSpec,
    store: CellStore,
    data: Dataset,
    model: Classifier,
    config: ModelConfig,
    masks: Mapping[str, Tensor],
) -> None:
    save_checkpoint(
        store.model_file,
        model.cpu(),
        config,
        masks={name: mask.cpu() for name, mask in masks.items()},
        classes=data.classes,
        image_size=data.image_size,
        facts={"data": data.name, "method": spec.method.id, "seed": spec.seed},
    )
