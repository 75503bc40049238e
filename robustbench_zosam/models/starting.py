"""Weights that training starts from, instead of random ones."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from robustbench_zosam.config import ModelConfig
from robustbench_zosam.models.checkpoints import read_weights
from robustbench_zosam.models.classifier import Classifier
from robustbench_zosam.models.fitting import class_axes, fill_in, require_fit
from robustbench_zosam.models.hub import local_file
from robustbench_zosam.models.published import published_weights


@torch.no_grad()
def load_starting_weights(model: Classifier, config: ModelConfig, image_size: int | None) -> None:
    """Puts the weights that `config` names into a network, with the normalisation they expect.

    A classifier for another number of classes is left as it is. Pruned weights come as zeros.

    Args:
        model: built from `config`, on the CPU.
        image_size: side length in pixels, for architectures that are built for one.

    Raises:
        InputError: the weights cannot be had, or are of another architecture.
    """
    if config.pretrained:
        published = published_weights(config.name, image_size)
        source, state = Path(f"of {config.name}"), dict(published.tensors)
        mean: Sequence[float] = published.mean
        std: Sequence[float] = published.std
    elif config.init is not None:
        source = local_file(config.init)
        state, mean, std = read_weights(source, config, image_size)
    else:
        return
    own = model.backbone.state_dict()
    state = fill_in(state, own)
    if config.pretrained:  # auxiliary heads are not trained here
        state = {name: value for name, value in state.items() if not name.startswith("aux")}
    head = [name for name, axis in class_axes(config, image_size).items() if axis is not None]
    if any(name in state and state[name].shape != own[name].shape for name in head):
        state |= {name: own[name] for name in head}
    require_fit(source, config, own, state)
    model.backbone.load_state_dict(state)
    if config.mean or mean:
        model.mean.copy_(torch.tensor(config.mean or mean).view_as(model.mean))
        model.std.copy_(torch.tensor(config.std or std).view_as(model.std))
