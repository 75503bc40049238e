"""Masks of a network's weights in its checkpoints; their names are those in the classifier."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from torch import Tensor, nn

from robustbench_zosam.errors import InputError

_PRUNABLE = (
    nn.Conv1d, nn.Conv2d, nn.Conv3d,
    nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d,
    nn.Linear, nn.Bilinear, nn.MultiheadAttention, nn.RNNBase, nn.RNNCellBase,
)  # fmt: skip


def masks_from_zeros(backbone: nn.Module) -> dict[str, Tensor]:
    """Returns where the weights of a network are not zero, for those that have zeros."""
    masks = {name: weight != 0 for name, weight in _weights(backbone)}
    return {f"backbone.{name}": mask for name, mask in masks.items() if not mask.all()}


def _weights(backbone: nn.Module) -> Iterator[tuple[str, Tensor]]:
    for path, module in backbone.named_modules():
        if isinstance(module, _PRUNABLE):
            for name, parameter in module.named_parameters(path, recurse=False):
                if parameter.ndim > 1:
                    yield name, parameter.detach()


def require_known(backbone: nn.Module, masks: Mapping[str, Tensor]) -> None:
    """Refuses masks of what is no tensor of the network, as an `InputError`."""
    known = [f"backbone.{name}" for name in backbone.state_dict()]
    unknown = sorted(set(masks) - set(known))
    if unknown:
        raise InputError(
            f"there is a mask for {unknown[0]}, which is no tensor of the model: masks have names "
            f"such as {known[0]}, those of a masker that was given the whole classifier"
        )
