"""Masks of layers with names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from robustbench_zosam.errors import InputError
from robustbench_zosam.sparsity.layers import MaskableLayer
from robustbench_zosam.sparsity.masks import MaskSet, astray

_WRAPPERS = ("", "module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module.")


class NamedMasks(MaskSet):
    """Masks of some of a model's maskable layers.

    Args:
        layers: the maskable layers.
        masks: of the first of them, or of none.

    Attributes:
        layers: the maskable layers.
    """

    def __init__(self, layers: Sequence[MaskableLayer], masks: Sequence[Tensor]) -> None:
        self.layers = tuple(layers)
        # without masks the model is dense, and every layer stays out of the engine's way
        self._masked = self.layers[: len(masks)]
        super().__init__({x.weight: m for x, m in zip(self._masked, masks, strict=True)})

    @property
    def masks(self) -> dict[str, Tensor]:
        """Bool masks by parameter name, empty for a dense model; not to be written to."""
        return {layer.name: self._masks[layer.weight] for layer in self._masked}

    @torch.no_grad()
    def apply_to(self, state: Mapping[str, Tensor]) -> None:
        """Zeroes, in place, what is off the masks in a state dict: an average of weights is denser.

        Args:
            state: by the names of the model, or with `module.` or `_orig_mod.` before them, as of
                `torch.optim.swa_utils.AveragedModel`.

        Raises:
            InputError: a masked weight is missing, or of another shape.
        """
        prefix = next((p for p in _WRAPPERS if all(p + name in state for name in self.masks)), None)
        if prefix is None:
            missing = next(name for name in self.masks if name not in state)
            raise InputError(f"the state dict lacks {missing}: give that of the masked model")
        for name, mask in self.masks.items():
            value = state[prefix + name]
            if value.shape != mask.shape:
                raise InputError(
                    f"the state dict has {name} of shape {tuple(value.shape)}, not "
                    f"{tuple(mask.shape)}: give that of the masked model"
                )
            value.mul_(mask.to(value.device))

    @torch.no_grad()
    def _astray(self) -> dict[str, int]:
        """Returns how many weights of each masked layer are not zero although off the mask."""
        if not self._masked:
            return {}
        found = [astray(x.weight, self._masks[x.weight]) for x in self._masked]
        return dict(zip(self.masks, torch.stack(found).tolist(), strict=True))

    def _active_counts(self) -> dict[str, int]:
        counts = {layer.name: layer.size for layer in self.layers}
        if self._masked:
            sums = torch.stack([mask.sum() for mask in self.masks.values()])  # waits only once
            counts.update(zip(self.masks, sums.tolist(), strict=True))
        return counts
